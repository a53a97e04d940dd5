// SPDX-License-Identifier: Apache-2.0
#include "call.h"

#include <errno.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000u

uint64_t kl_call_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int kl_call_init(struct kl_call *call, uint32_t *pending)
{
	call->pending = pending;
	call->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return call->fd < 0 ? -errno : 0;
}

void kl_call_raise(struct kl_call *call)
{
	uint64_t one = 1;
	int kept = errno;

	__atomic_store_n(call->pending, 1, __ATOMIC_RELEASE);
	if (!atomic_exchange(&call->news, 1) && atomic_load(&call->waiting) && write(call->fd, &one, sizeof(one)) < 0)
		atomic_store(&call->news, 1); /* full: the sleep ends all the same */
	errno = kept;
}

bool kl_call_take(struct kl_call *call)
{
	return atomic_load(&call->news) && atomic_exchange(&call->news, 0);
}

int kl_call_sleep(struct kl_call *call, const int *fds, unsigned int count, uint64_t deadline_ns)
{
	struct pollfd wait[KL_CALL_FDS_MAX + 1] = {{.fd = call->fd, .events = POLLIN}};
	struct timespec left, *timeout = NULL;
	uint64_t drained;
	int result = 0;

	for (unsigned int i = 0; i < count && i < KL_CALL_FDS_MAX; i++)
		wait[i + 1] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	if (deadline_ns != UINT64_MAX) {
		uint64_t now_ns = kl_call_now_ns(), left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;

		left = (struct timespec){.tv_sec = (time_t)(left_ns / NS_PER_S), .tv_nsec = (long)(left_ns % NS_PER_S)};
		timeout = &left;
	}
	/* In this order: whoever raises either sees that we wait, or we see the news. */
	atomic_store(&call->waiting, 1);
	if (!atomic_load(&call->news)) {
		int ready = ppoll(wait, count + 1, timeout, NULL);

		result = ready < 0 ? -errno : ready ? 0 : -ETIMEDOUT;
	}
	atomic_store(&call->waiting, 0);
	if (!result && wait[0].revents && read(call->fd, &drained, sizeof(drained)) < 0)
		return 0; /* drained already */
	return result;
}
