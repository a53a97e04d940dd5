/* SPDX-License-Identifier: Apache-2.0 */
/* select(2): sets of descriptors as bits. */
#include <kl/clock.h>
#include <kl/heap.h>
#include <kl/process.h>
#include <kl/signal.h>
#include <kl/string.h>

#include "poll_priv.h"

#include <asm/errno.h>
#include <linux/eventpoll.h>
#include <linux/resource.h>
#include <linux/time.h>
#include <linux/time_types.h>

#define SETS 3u
#define COUNT_MAX 65536u

/* What counts as ready in each set, as in Linux's fs/select.c. */
static const uint32_t set_events[SETS] = {
	EPOLLRDNORM | EPOLLRDBAND | EPOLLIN | EPOLLHUP | EPOLLERR,
	EPOLLWRBAND | EPOLLWRNORM | EPOLLOUT | EPOLLERR,
	EPOLLPRI,
};

struct sets {
	uint64_t *bits[SETS]; /* NULL: not asked for */
	size_t bytes;         /* of each */
	unsigned count;       /* descriptors below it */
};

static bool has(const struct sets *s, unsigned set, unsigned fd)
{
	return s->bits[set] != NULL && (s->bits[set][fd / 64] >> fd % 64 & 1) != 0;
}

static unsigned count_wanted(const struct sets *s)
{
	unsigned n = 0;

	for (unsigned fd = 0; fd < s->count; fd++)
		n += has(s, 0, fd) || has(s, 1, fd) || has(s, 2, fd);
	return n;
}

/* One entry for each descriptor in a set. How many, or -EBADF: then all references are put. */
static long fill(const struct sets *s, struct kl_poll_entry *entries)
{
	size_t n = 0;

	for (unsigned fd = 0; fd < s->count; fd++) {
		struct kl_poll_entry *e = &entries[n];

		if (!has(s, 0, fd) && !has(s, 1, fd) && !has(s, 2, fd))
			continue;
		memset(e, 0, sizeof(*e));
		for (unsigned set = 0; set < SETS; set++)
			e->wanted |= has(s, set, fd) ? set_events[set] : 0;
		e->file = kl_fd_get((int)fd);
		if (e->file == NULL) {
			kl_poll_put(entries, n);
			return -EBADF;
		}
		n++;
	}
	return (long)n;
}

/* Leaves the bits of what is ready; how many. */
static long take(struct sets *s, const struct kl_poll_entry *entries)
{
	long found = 0;

	for (unsigned fd = 0; fd < s->count; fd++) {
		bool used = false;

		for (unsigned set = 0; set < SETS; set++) {
			if (!has(s, set, fd))
				continue;
			used = true;
			if ((entries->events & set_events[set]) != 0)
				found++;
			else
				s->bits[set][fd / 64] &= ~(1ull << fd % 64);
		}
		entries += used;
	}
	return found;
}

static long wait(struct sets *s, uint64_t deadline_ns)
{
	unsigned wanted = count_wanted(s);
	struct kl_poll_entry *entries = kl_malloc(KL_MAX(wanted, 1u) * sizeof(*entries));
	long n, rc;

	if (entries == NULL)
		return -ENOMEM;
	n = rc = fill(s, entries);
	if (n >= 0) {
		rc = kl_poll_entries(entries, (size_t)n, deadline_ns);
		if (rc >= 0)
			rc = take(s, entries);
		kl_poll_put(entries, (size_t)n);
	}
	kl_free(entries);
	return rc;
}

static long select_user(int count, const kl_uaddr addrs[SETS], uint64_t deadline_ns)
{
	struct sets s = {.count = KL_MIN((unsigned)count, COUNT_MAX)};
	uint64_t fast[SETS * 16], *bits = fast;
	long rc = 0;

	if (count < 0)
		return -EINVAL;
	s.bytes = KL_ALIGN_UP((size_t)s.count, 64) / 8;
	if (SETS * s.bytes > sizeof(fast))
		bits = kl_malloc(SETS * s.bytes);
	if (bits == NULL)
		return -ENOMEM;
	for (unsigned set = 0; rc == 0 && set < SETS; set++) {
		if (addrs[set] == 0)
			continue;
		s.bits[set] = bits + set * s.bytes / 8;
		rc = kl_copy_from_user(s.bits[set], addrs[set], s.bytes);
	}
	if (rc == 0)
		rc = wait(&s, deadline_ns);
	for (unsigned set = 0; rc >= 0 && set < SETS; set++)
		if (addrs[set] != 0 && kl_copy_to_user(addrs[set], s.bits[set], s.bytes) < 0)
			rc = -EFAULT;
	if (bits != fast)
		kl_free(bits);
	return rc;
}

long kl_sys_select(int count, kl_uaddr in, kl_uaddr out, kl_uaddr except, kl_uaddr timeout)
{
	struct __kernel_old_timeval tv;
	uint64_t deadline_ns = KL_FOREVER, now;
	long rc;

	if (timeout != 0) {
		if (KL_GET_USER(tv, timeout) < 0)
			return -EFAULT;
		if (tv.tv_sec < 0 || tv.tv_usec < 0)
			return -EINVAL;
		if (tv.tv_sec == 0 && tv.tv_usec == 0)
			deadline_ns = 0;
		else if (tv.tv_sec < (1l << 33) && tv.tv_usec < (1l << 50))
			deadline_ns =
				kl_clock_ns() + (uint64_t)tv.tv_sec * KL_NS_PER_S + (uint64_t)tv.tv_usec * KL_NS_PER_US;
	}
	rc = select_user(count, (const kl_uaddr[SETS]){in, out, except}, deadline_ns);
	if (timeout != 0 && deadline_ns != KL_FOREVER) {
		now = kl_clock_ns();
		now = deadline_ns > now ? deadline_ns - now : 0;
		tv.tv_sec = (long)(now / KL_NS_PER_S);
		tv.tv_usec = (long)(now % KL_NS_PER_S / KL_NS_PER_US);
		(void)!KL_PUT_USER(timeout, tv);
	}
	return rc;
}

long kl_sys_pselect6(int count, kl_uaddr in, kl_uaddr out, kl_uaddr except, kl_uaddr timeout, kl_uaddr mask)
{
	struct {
		kl_uaddr set;
		uint64_t bytes;
	} arg = {0};
	uint64_t deadline_ns;
	long rc = kl_poll_deadline(timeout, &deadline_ns);

	if (rc == 0 && mask != 0)
		rc = KL_GET_USER(arg, mask);
	if (rc == 0 && arg.set != 0)
		rc = kl_signal_mask_once(arg.set, arg.bytes);
	if (rc < 0)
		return rc;
	rc = select_user(count, (const kl_uaddr[SETS]){in, out, except}, deadline_ns);
	kl_poll_put_rest(timeout, deadline_ns);
	return rc;
}
