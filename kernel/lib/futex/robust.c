/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to a thread's futexes when it ends (set_robust_list(2), set_tid_address(2)). */
#include <linux/futex.h>

#include <kl/futex.h>
#include <kl/sched.h>
#include <kl/uaccess.h>

/* The owner died: sets FUTEX_OWNER_DIED and wakes one waiter, if the lock was this thread's. */
static void release_lock(kl_uaddr addr, bool pending)
{
	uint32_t word;

	if (addr % sizeof(word) != 0 || KL_GET_USER(word, addr) < 0)
		return;
	if (pending && word == 0) {
		kl_futex_wake(addr, 1);
		return;
	}
	if ((word & FUTEX_TID_MASK) != (uint32_t)kl_current->tid)
		return;
	if (KL_PUT_USER(addr, (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED) == 0 && (word & FUTEX_WAITERS) != 0)
		kl_futex_wake(addr, 1);
}

static void walk_robust_list(kl_uaddr list)
{
	struct robust_list_head head;
	kl_uaddr entry, pending, next;

	if (KL_GET_USER(head, list) < 0)
		return;
	pending = (kl_uaddr)head.list_op_pending & ~1ull;
	entry = (kl_uaddr)head.list.next & ~1ull;
	/* The list is the program's: it may be damaged, or a circle. */
	for (unsigned i = 0; i < ROBUST_LIST_LIMIT && entry != list; i++) {
		struct robust_list link;

		if (KL_GET_USER(link, entry) < 0)
			return;
		next = (kl_uaddr)link.next & ~1ull;
		if (entry != pending)
			release_lock(entry + (uint64_t)head.futex_offset, false);
		entry = next;
	}
	if (pending != 0)
		release_lock(pending + (uint64_t)head.futex_offset, true);
}

void kl_futex_thread_exit(void)
{
	static const uint32_t zero;
	kl_uaddr tid = kl_current->clear_child_tid;

	if (kl_current->robust_list != 0)
		walk_robust_list(kl_current->robust_list);
	kl_current->robust_list = 0;
	if (tid != 0 && kl_copy_to_user(tid, &zero, sizeof(zero)) == 0)
		kl_futex_wake(tid, 1);
	kl_current->clear_child_tid = 0;
}
