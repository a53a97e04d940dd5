/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/sched.h>

unsigned kl_waitq_wake_some(struct kl_waitq *q, uint32_t events, unsigned n)
{
	unsigned woken = 0;

	KL_LIST_FOR_SAFE(link, &q->waiters)
	{
		struct kl_waiter *waiter = KL_LIST_ENTRY(link, struct kl_waiter, link);

		if (woken == n)
			break;
		waiter->wake(waiter, events);
		woken++;
	}
	return woken;
}

void kl_waitq_wake(struct kl_waitq *q, uint32_t events)
{
	kl_waitq_wake_some(q, events, UINT32_MAX);
}

void kl_waiter_wake_thread(struct kl_waiter *w, uint32_t events)
{
	(void)events;
	kl_thread_wake(w->thread);
}

int kl_wait(struct kl_waitq *q, uint64_t deadline_ns, bool interruptible)
{
	struct kl_waiter waiter = {.wake = kl_waiter_wake_thread, .thread = kl_current};
	int r;

	kl_waitq_add(q, &waiter);
	r = kl_block(deadline_ns, interruptible);
	kl_waitq_remove(&waiter);
	return r;
}
