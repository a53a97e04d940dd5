/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A futex is named by address space and address. Waiters hang in a hash table; "compare, then wait" needs no lock, since the
 * library OS is not preempted.
 */
#include <asm/errno.h>
#include <linux/futex.h>
#include <linux/time_types.h>

#include <kl/aspace.h>
#include <kl/clock.h>
#include <kl/futex.h>
#include <kl/list.h>
#include <kl/process.h>
#include <kl/sched.h>
#include <kl/uaccess.h>

#define BUCKETS 64

struct waiter {
	struct kl_list link;
	struct kl_thread *thread;
	struct kl_aspace *aspace;
	kl_uaddr addr;
	uint32_t bitset;
	bool woken;
};

static struct kl_list buckets[BUCKETS];

long kl_sys_futex(kl_uaddr addr, int op, uint32_t val, kl_uaddr timeout, kl_uaddr addr2, uint32_t val3);

static struct kl_list *bucket_of(kl_uaddr addr)
{
	struct kl_list *bucket = &buckets[(addr >> 2 ^ addr >> 12) % BUCKETS];

	if (!kl_list_linked(bucket))
		kl_list_init(bucket);
	return bucket;
}

static int read_word(kl_uaddr addr, uint32_t *word)
{
	if (addr % sizeof(*word) != 0)
		return -EINVAL;
	return KL_GET_USER(*word, addr);
}

static void wake(struct waiter *w)
{
	kl_list_remove(&w->link);
	w->woken = true;
	kl_thread_wake(w->thread);
}

static unsigned wake_bitset(kl_uaddr addr, unsigned n, uint32_t bitset)
{
	unsigned woken = 0;

	KL_LIST_FOR_SAFE(link, bucket_of(addr))
	{
		struct waiter *w = KL_LIST_ENTRY(link, struct waiter, link);

		if (woken == n)
			break;
		if (w->addr != addr || w->aspace != kl_aspace_current || (w->bitset & bitset) == 0)
			continue;
		wake(w);
		woken++;
	}
	return woken;
}

unsigned kl_futex_wake(kl_uaddr addr, unsigned n)
{
	return wake_bitset(addr, n, FUTEX_BITSET_MATCH_ANY);
}

static long futex_wait(kl_uaddr addr, uint32_t expected, uint64_t deadline_ns, uint32_t bitset)
{
	struct waiter w = {.thread = kl_current, .aspace = kl_aspace_current, .addr = addr, .bitset = bitset};
	uint32_t word;
	int r;

	if (bitset == 0)
		return -EINVAL;
	r = read_word(addr, &word);
	if (r < 0)
		return r;
	if (word != expected)
		return -EAGAIN;
	kl_list_push_back(bucket_of(addr), &w.link);
	do
		r = kl_block(deadline_ns, true);
	while (r == 0 && !w.woken);
	if (w.woken)
		return 0;
	kl_list_remove(&w.link);
	return r;
}

/* addr's waiters beyond the first val go over to addr2, val2 of them at most. */
static long futex_requeue(kl_uaddr addr, unsigned val, unsigned val2, kl_uaddr addr2, const uint32_t *expected)
{
	unsigned woken, moved = 0;
	uint32_t word;
	int r;

	if (addr2 % sizeof(word) != 0 || (int)val < 0 || (int)val2 < 0)
		return -EINVAL;
	r = read_word(addr, &word);
	if (r < 0)
		return r;
	if (expected != NULL && word != *expected)
		return -EAGAIN;
	woken = kl_futex_wake(addr, val);
	if (addr == addr2)
		return woken;
	KL_LIST_FOR_SAFE(link, bucket_of(addr))
	{
		struct waiter *w = KL_LIST_ENTRY(link, struct waiter, link);

		if (moved == val2)
			break;
		if (w->addr != addr || w->aspace != kl_aspace_current)
			continue;
		kl_list_remove(link);
		w->addr = addr2;
		kl_list_push_back(bucket_of(addr2), &w->link);
		moved++;
	}
	return woken + moved;
}

/* The operation and comparison encoded in val3 (futex(2), FUTEX_WAKE_OP). */
static long futex_wake_op(kl_uaddr addr, unsigned val, unsigned val2, kl_uaddr addr2, uint32_t encoded)
{
	uint32_t op = encoded >> 28 & 7, cmp = encoded >> 24 & 15;
	int32_t oparg = (int32_t)(encoded << 8) >> 20, cmparg = (int32_t)(encoded << 20) >> 20;
	uint32_t old, new;
	bool holds;
	unsigned woken;
	int r = read_word(addr2, &old);

	if (r < 0)
		return r;
	if ((encoded >> 28 & FUTEX_OP_OPARG_SHIFT) != 0)
		oparg = (int32_t)(1u << (oparg & 31));
	switch (op) {
	case FUTEX_OP_SET: new = (uint32_t)oparg; break;
	case FUTEX_OP_ADD: new = old + (uint32_t)oparg; break;
	case FUTEX_OP_OR: new = old | (uint32_t)oparg; break;
	case FUTEX_OP_ANDN: new = old & ~(uint32_t)oparg; break;
	case FUTEX_OP_XOR: new = old ^ (uint32_t)oparg; break;
	default: return -ENOSYS;
	}
	switch (cmp) {
	case FUTEX_OP_CMP_EQ: holds = (int32_t)old == cmparg; break;
	case FUTEX_OP_CMP_NE: holds = (int32_t)old != cmparg; break;
	case FUTEX_OP_CMP_LT: holds = (int32_t)old < cmparg; break;
	case FUTEX_OP_CMP_LE: holds = (int32_t)old <= cmparg; break;
	case FUTEX_OP_CMP_GT: holds = (int32_t)old > cmparg; break;
	case FUTEX_OP_CMP_GE: holds = (int32_t)old >= cmparg; break;
	default: return -ENOSYS;
	}
	r = KL_PUT_USER(addr2, new);
	if (r < 0)
		return r;
	woken = kl_futex_wake(addr, val);
	if (holds)
		woken += kl_futex_wake(addr2, val2);
	return woken;
}

/* FUTEX_WAIT's time-out is relative; FUTEX_WAIT_BITSET's is absolute, on the clock that the operation names. */
static int read_deadline(kl_uaddr timeout, bool absolute, bool realtime, uint64_t *deadline_ns)
{
	struct __kernel_timespec ts;
	uint64_t ns, wall;

	*deadline_ns = KL_FOREVER;
	if (timeout == 0)
		return 0;
	if (KL_GET_USER(ts, timeout) < 0)
		return -EFAULT;
	if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= (long long)KL_NS_PER_S)
		return -EINVAL;
	if ((uint64_t)ts.tv_sec > INT64_MAX / KL_NS_PER_S - 1)
		return 0;
	ns = (uint64_t)ts.tv_sec * KL_NS_PER_S + (uint64_t)ts.tv_nsec;
	if (!absolute) {
		*deadline_ns = kl_clock_ns() + ns;
	} else if (realtime) {
		wall = kl_clock_wall_ns();
		*deadline_ns = kl_clock_ns() + (ns > wall ? ns - wall : 0);
	} else {
		*deadline_ns = ns;
	}
	return 0;
}

long kl_sys_futex(kl_uaddr addr, int op, uint32_t val, kl_uaddr timeout, kl_uaddr addr2, uint32_t val3)
{
	bool realtime = (op & FUTEX_CLOCK_REALTIME) != 0;
	int cmd = op & FUTEX_CMD_MASK;
	uint64_t deadline_ns;
	int r;

	switch (cmd) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		r = read_deadline(timeout, cmd == FUTEX_WAIT_BITSET, realtime, &deadline_ns);
		if (r < 0)
			return r;
		return futex_wait(addr, val, deadline_ns, cmd == FUTEX_WAIT ? FUTEX_BITSET_MATCH_ANY : val3);
	case FUTEX_WAKE:
	case FUTEX_WAKE_BITSET:
		if (addr % sizeof(uint32_t) != 0 || (cmd == FUTEX_WAKE_BITSET && val3 == 0))
			return -EINVAL;
		return wake_bitset(addr, val, cmd == FUTEX_WAKE ? FUTEX_BITSET_MATCH_ANY : val3);
	case FUTEX_REQUEUE: return futex_requeue(addr, val, (unsigned)timeout, addr2, NULL);
	case FUTEX_CMP_REQUEUE: return futex_requeue(addr, val, (unsigned)timeout, addr2, &val3);
	case FUTEX_WAKE_OP:
		if (addr % sizeof(uint32_t) != 0)
			return -EINVAL;
		return futex_wake_op(addr, val, (unsigned)timeout, addr2, val3);
	default: return -ENOSYS;
	}
}
