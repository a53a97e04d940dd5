/* SPDX-License-Identifier: Apache-2.0 */
/* Telling the processor's thread that there is news, and sleeping until there is. */
#ifndef KL_MONITOR_CALL_H
#define KL_MONITOR_CALL_H

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define KL_CALL_FDS_MAX 8

struct kl_call {
	atomic_uint news;
	atomic_uint waiting; /* the processor's thread sleeps, or is about to */
	int fd;              /* eventfd that ends its sleep */
	uint32_t *pending;   /* kl_shared.pending: a running guest sees there that it should look */
};

/* 0 or -errno. */
int kl_call_init(struct kl_call *call, uint32_t *pending);

/* There is news. From any thread, and from signal handlers. */
void kl_call_raise(struct kl_call *call);

/* Take the news. False: there is none. */
bool kl_call_take(struct kl_call *call);

/*
 * Sleep until there is news, or one of count descriptors (up to KL_CALL_FDS_MAX) can be read, or deadline_ns of CLOCK_MONOTONIC
 * (UINT64_MAX: never). 0, -ETIMEDOUT, or -EINTR after a signal. The news is not taken.
 */
int kl_call_sleep(struct kl_call *call, const int *fds, unsigned int count, uint64_t deadline_ns);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t kl_call_now_ns(void);

#endif
