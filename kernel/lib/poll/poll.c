/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/clock.h>
#include <kl/heap.h>
#include <kl/process.h>
#include <kl/signal.h>
#include <kl/string.h>

#include "poll_priv.h"

#include <asm/errno.h>
#include <asm/poll.h>
#include <linux/eventpoll.h>
#include <linux/resource.h>
#include <linux/time_types.h>

#define FAST 8u /* entries on the stack */

struct entry_table {
	struct kl_poll_table table;
	struct kl_poll_entry *entry;
};

static void add_queue(struct kl_poll_table *table, struct kl_waitq *q)
{
	struct kl_poll_entry *entry = KL_CONTAINER(table, struct entry_table, table)->entry;
	struct kl_waiter *w = &entry->waiters[entry->queues];

	if (entry->queues == KL_ARRAY_LEN(entry->waiters))
		return;
	entry->queues++;
	w->wake = kl_waiter_wake_thread;
	w->thread = kl_current;
	kl_waitq_add(q, w);
}

/* registering: also leaves a waiter in the queues of each file */
static long look(struct kl_poll_entry *entries, size_t count, bool registering)
{
	long found = 0;

	for (size_t i = 0; i < count; i++) {
		struct kl_poll_entry *e = &entries[i];
		struct entry_table table = {{add_queue}, e};
		uint32_t now = EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM;

		if (e->file != NULL) {
			if (e->file->ops->poll != NULL)
				now = e->file->ops->poll(e->file, registering && found == 0 ? &table.table : NULL);
			e->events = now & e->wanted;
		}
		found += e->events != 0;
	}
	return found;
}

long kl_poll_entries(struct kl_poll_entry *entries, size_t count, uint64_t deadline_ns)
{
	long found;
	int rc = 0;

	/* What has been sent goes out, and what has come in counts, before anything is said. */
	kl_poll();
	found = look(entries, count, false);
	if (found != 0 || deadline_ns == 0)
		return found;
	found = look(entries, count, true);
	while (found == 0 && rc == 0) {
		rc = kl_block(deadline_ns, true);
		found = look(entries, count, false);
	}
	for (size_t i = 0; i < count; i++)
		while (entries[i].queues > 0)
			kl_waitq_remove(&entries[i].waiters[--entries[i].queues]);
	return found != 0 || rc == -ETIMEDOUT ? found : rc;
}

void kl_poll_put(struct kl_poll_entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (entries[i].file != NULL)
			kl_file_put(entries[i].file);
}

int kl_poll_deadline(kl_uaddr timespec, uint64_t *deadline_ns)
{
	struct __kernel_timespec ts;

	*deadline_ns = KL_FOREVER;
	if (timespec == 0)
		return 0;
	if (KL_GET_USER(ts, timespec) < 0)
		return -EFAULT;
	if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= (long long)KL_NS_PER_S)
		return -EINVAL;
	if (ts.tv_sec == 0 && ts.tv_nsec == 0)
		*deadline_ns = 0;
	else if (ts.tv_sec < (1ll << 33))
		*deadline_ns = kl_clock_ns() + (uint64_t)ts.tv_sec * KL_NS_PER_S + (uint64_t)ts.tv_nsec;
	return 0;
}

void kl_poll_put_rest(kl_uaddr timespec, uint64_t deadline_ns)
{
	uint64_t now = kl_clock_ns(), left = deadline_ns > now ? deadline_ns - now : 0;
	struct __kernel_timespec ts = {
		.tv_sec = (long long)(left / KL_NS_PER_S), .tv_nsec = (long long)(left % KL_NS_PER_S)};

	if (timespec != 0 && deadline_ns != KL_FOREVER)
		(void)!KL_PUT_USER(timespec, ts);
}

static long poll_fds(struct pollfd *fds, struct kl_poll_entry *entries, unsigned count, uint64_t deadline_ns)
{
	long rc;

	for (unsigned i = 0; i < count; i++) {
		struct kl_poll_entry *e = &entries[i];

		memset(e, 0, offsetof(struct kl_poll_entry, waiters));
		e->queues = 0;
		e->wanted = (uint16_t)fds[i].events | POLLERR | POLLHUP;
		if (fds[i].fd >= 0) {
			e->file = kl_fd_get(fds[i].fd);
			if (e->file == NULL)
				e->events = POLLNVAL;
		}
	}
	rc = kl_poll_entries(entries, count, deadline_ns);
	for (unsigned i = 0; i < count; i++)
		fds[i].revents = (short)entries[i].events;
	kl_poll_put(entries, count);
	return rc;
}

static long poll_user(kl_uaddr addr, unsigned count, uint64_t deadline_ns)
{
	struct kl_poll_entry fast[FAST], *entries = fast;
	struct pollfd fast_fds[FAST], *fds = fast_fds;
	long rc;

	if (count > kl_proc()->rlimits[RLIMIT_NOFILE].soft)
		return -EINVAL;
	if (count > FAST) {
		entries = kl_malloc(count * (sizeof(*entries) + sizeof(*fds)));
		if (entries == NULL)
			return -ENOMEM;
		fds = (struct pollfd *)(entries + count);
	}
	rc = kl_copy_from_user(fds, addr, count * sizeof(*fds));
	if (rc == 0)
		rc = poll_fds(fds, entries, count, deadline_ns);
	for (unsigned i = 0; rc >= 0 && i < count; i++)
		if (KL_PUT_USER(addr + i * sizeof(*fds) + offsetof(struct pollfd, revents), fds[i].revents) < 0)
			rc = -EFAULT;
	if (entries != fast)
		kl_free(entries);
	return rc;
}

long kl_sys_poll(kl_uaddr fds, unsigned count, int timeout_ms)
{
	uint64_t deadline_ns = KL_FOREVER;

	if (timeout_ms >= 0)
		deadline_ns = timeout_ms == 0 ? 0 : kl_clock_ns() + (uint64_t)timeout_ms * KL_NS_PER_MS;
	return poll_user(fds, count, deadline_ns);
}

long kl_sys_ppoll(kl_uaddr fds, unsigned count, kl_uaddr timeout, kl_uaddr mask, size_t mask_bytes)
{
	uint64_t deadline_ns;
	long rc = kl_poll_deadline(timeout, &deadline_ns);

	if (rc == 0 && mask != 0)
		rc = kl_signal_mask_once(mask, mask_bytes);
	if (rc < 0)
		return rc;
	rc = poll_user(fds, count, deadline_ns);
	kl_poll_put_rest(timeout, deadline_ns);
	return rc;
}
