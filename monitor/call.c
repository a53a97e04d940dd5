// SPDX-License-Identifier: Apache-2.0
#include "call.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void kl_call_raise(struct kl_call *call)
{
	int kept = errno;

	__atomic_store_n(call->pending, 1, __ATOMIC_RELEASE);
	if (!atomic_exchange(&call->news, 1) && atomic_load(&call->waiting))
		syscall(SYS_futex, &call->news, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	errno = kept;
}

bool kl_call_wait(struct kl_call *call, uint64_t deadline_ns, bool (*interrupted)(void *context), void *context)
{
	struct timespec until = {
		.tv_sec = (time_t)(deadline_ns / 1000000000u), .tv_nsec = (long)(deadline_ns % 1000000000u)};
	bool news;

	atomic_store(&call->waiting, 1);
	while (!(news = atomic_exchange(&call->news, 0))) {
		/* FUTEX_WAIT_BITSET takes an absolute time */
		long result = syscall(SYS_futex, &call->news, FUTEX_WAIT_BITSET_PRIVATE, 0,
			deadline_ns == UINT64_MAX ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);

		if (result < 0 && errno == ETIMEDOUT)
			break;
		if (result < 0 && errno == EINTR && interrupted(context)) {
			news = true;
			break;
		}
	}
	atomic_store(&call->waiting, 0);
	return news;
}
