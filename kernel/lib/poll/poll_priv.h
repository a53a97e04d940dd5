/* SPDX-License-Identifier: Apache-2.0 */
/* poll(2) and select(2) on top of one function. */
#ifndef KL_POLL_PRIV_H
#define KL_POLL_PRIV_H

#include <kl/file.h>
#include <kl/sched.h>
#include <kl/types.h>

struct kl_poll_entry {
	struct kl_file *file; /* NULL: none; otherwise with a reference */
	uint32_t wanted;      /* EPOLL*, error conditions included */
	uint32_t events;      /* what holds of these */
	struct kl_waiter waiters[2];
	unsigned queues;
};

/* Waits until some entry has an event. How many have one, 0 after the deadline, -EINTR. deadline_ns 0: does not wait. */
long kl_poll_entries(struct kl_poll_entry *entries, size_t count, uint64_t deadline_ns);
void kl_poll_put(struct kl_poll_entry *entries, size_t count);

/* Reads a time-out (0: none) and says when that is. 0, -EFAULT, -EINVAL. */
int kl_poll_deadline(kl_uaddr timespec, uint64_t *deadline_ns);
/* What is left of it, written back as Linux does; an error there is not reported. */
void kl_poll_put_rest(kl_uaddr timespec, uint64_t deadline_ns);

long kl_sys_poll(kl_uaddr fds, unsigned count, int timeout_ms);
long kl_sys_ppoll(kl_uaddr fds, unsigned count, kl_uaddr timeout, kl_uaddr mask, size_t mask_bytes);
long kl_sys_select(int count, kl_uaddr in, kl_uaddr out, kl_uaddr except, kl_uaddr timeout);
long kl_sys_pselect6(int count, kl_uaddr in, kl_uaddr out, kl_uaddr except, kl_uaddr timeout, kl_uaddr mask);

#endif
