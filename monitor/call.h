/* SPDX-License-Identifier: Apache-2.0 */
/* Telling the processor's thread that there is news, and waiting for it. */
#ifndef KL_MONITOR_CALL_H
#define KL_MONITOR_CALL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct kl_call {
	atomic_uint news; /* also the futex that the waiter sleeps on */
	atomic_uint waiting;
	uint32_t *pending; /* kl_shared.pending: a running guest sees there that it should look */
};

/* There is news. From any thread, and from signal handlers. */
void kl_call_raise(struct kl_call *call);

/*
 * Take the news, or wait for it until deadline_ns of CLOCK_MONOTONIC (UINT64_MAX: for ever). True: there was news; false: time
 * is over. -EINTR is not returned: whoever interrupts raises the call, too. interrupted() runs after each signal; true ends the
 * wait as if there were news.
 */
bool kl_call_wait(struct kl_call *call, uint64_t deadline_ns, bool (*interrupted)(void *context), void *context);

#endif
