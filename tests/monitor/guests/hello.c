// SPDX-License-Identifier: Apache-2.0
/* Says hello in the log and ends with 42. */
#include "guest.h"

void guest_trap(struct frame *frame)
{
	guest_log_number("unexpected vector ", frame->vector);
	guest_exit(99);
}

void guest_main(const struct kl_boot_info *info)
{
	if (info->magic != KL_BOOT_MAGIC)
		guest_exit(98);
	guest_log("hello\n");
	guest_exit(42);
}
