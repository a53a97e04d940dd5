// SPDX-License-Identifier: Apache-2.0
/* Never leaves its processor. */
#include "guest.h"

void guest_trap(struct frame *frame)
{
	if (frame->vector != KL_VECTOR_TICK)
		guest_exit(99);
}

void guest_main(const struct kl_boot_info *info)
{
	(void)info;
	for (;;)
		__asm__ volatile("pause");
}
