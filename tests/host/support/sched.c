/* SPDX-License-Identifier: Apache-2.0 */
/* One thread, which must never block; waiting queues as the interface says. */
#include <asm/errno.h>

#include <kl/log.h>
#include <kl/process.h>
#include <kl/sched.h>

#define WEAK __attribute__((weak))

WEAK struct kl_process kl_process_init_data = {.pid = 1, .threads_count = 1};

static struct kl_thread the_thread = {.tid = 1, .proc = &kl_process_init_data, .state = KL_THREAD_RUNNING};

WEAK struct kl_thread *kl_current = &the_thread;

WEAK int kl_block(uint64_t deadline_ns, bool interruptible)
{
	(void)interruptible;
	if (kl_current->woken) {
		kl_current->woken = false;
		return 0;
	}
	if (deadline_ns == KL_FOREVER)
		kl_panic("a host test would block for ever");
	return -ETIMEDOUT;
}

WEAK void kl_thread_wake(struct kl_thread *thread)
{
	thread->woken = true;
}

WEAK void kl_yield(void)
{
}

WEAK unsigned kl_waitq_wake_some(struct kl_waitq *q, uint32_t events, unsigned n)
{
	struct kl_list *last = q->waiters.prev, *link, *next;
	unsigned woken = 0;

	for (link = q->waiters.next; link != &q->waiters && woken < n; link = next) {
		struct kl_waiter *w = KL_LIST_ENTRY(link, struct kl_waiter, link);
		bool end = link == last;

		next = link->next;
		w->wake(w, events);
		woken++;
		if (end)
			break;
	}
	return woken;
}

WEAK void kl_waitq_wake(struct kl_waitq *q, uint32_t events)
{
	kl_waitq_wake_some(q, events, ~0u);
}

WEAK void kl_waiter_wake_thread(struct kl_waiter *w, uint32_t events)
{
	(void)events;
	kl_thread_wake(w->thread);
}

WEAK int kl_wait(struct kl_waitq *q, uint64_t deadline_ns, bool interruptible)
{
	struct kl_waiter w = {.wake = kl_waiter_wake_thread, .thread = kl_current};
	int error;

	kl_waitq_add(q, &w);
	error = kl_block(deadline_ns, interruptible);
	kl_waitq_remove(&w);
	return error;
}

WEAK void kl_poller_add(struct kl_poller *poller)
{
	(void)poller;
}

WEAK bool kl_poll(void)
{
	return false;
}
