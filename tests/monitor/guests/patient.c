// SPDX-License-Identifier: Apache-2.0
/* Takes signals for its program, as the monitor sees it, and does not end for them. */
#include "guest.h"

void guest_trap(struct frame *frame)
{
	if (frame->vector != KL_VECTOR_TICK)
		guest_exit(99);
}

void guest_main(const struct kl_boot_info *info)
{
	struct kl_shared *shared = (void *)(KL_BASE_VA + KL_SHARED_PA);

	(void)info;
	shared->takes_signals = 1;
	for (;;)
		__asm__ volatile("pause");
}
