/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run queue, first in, first out. A thread that blocks looks for the next one, and where there is none waits for events on
 * its own stack: a program of one thread never switches.
 */
#include <asm/errno.h>

#include <kl/arch.h>
#include <kl/clock.h>
#include <kl/entry.h>
#include <kl/platform.h>
#include <kl/process.h>
#include <kl/sched.h>
#include <kl/signal.h>

#include "sched_priv.h"

struct kl_thread *kl_current;

static struct {
	struct kl_list ready;
	struct kl_list pollers;
	bool polling;
} sched = {
	.ready = KL_LIST_INIT(sched.ready),
	.pollers = KL_LIST_INIT(sched.pollers),
};

void kl_poller_add(struct kl_poller *poller)
{
	kl_list_push_back(&sched.pollers, &poller->link);
}

bool kl_poll(void)
{
	bool found = false;

	if (sched.polling)
		return false;
	sched.polling = true;
	if (KL_UNLIKELY(kl_shared.stop_signal != 0)) {
		kl_signal_send(&kl_process_init_data, (int)kl_shared.stop_signal, NULL);
		kl_shared.stop_signal = 0;
	}
	kl_timers_run();
	KL_LIST_FOR(link, &sched.pollers)
	{
		struct kl_poller *poller = KL_LIST_ENTRY(link, struct kl_poller, link);

		found |= poller->poll(poller);
	}
	sched.polling = false;
	return found;
}

/* Nothing can run: waits for an event or the next timer. */
static void idle(void)
{
	uint64_t next, now;

	if (kl_poll() || !kl_list_empty(&sched.ready))
		return;
	KL_LIST_FOR(link, &sched.pollers)
	{
		struct kl_poller *poller = KL_LIST_ENTRY(link, struct kl_poller, link);

		if (poller->arm != NULL && poller->arm(poller))
			return;
	}
	next = kl_timers_next_ns();
	now = kl_clock_ns();
	if (next <= now)
		return;
	kl_current->cpu_ns += now - kl_current->cpu_since_ns;
	kl_platform->wait(next == KL_FOREVER ? KL_WAIT_FOREVER : next - now);
	kl_current->cpu_since_ns = kl_clock_ns();
	kl_shared.pending = 0;
	kl_platform->ack();
}

static void switch_to(struct kl_thread *next)
{
	struct kl_thread *prev = kl_current;
	uint64_t now;

	next->state = KL_THREAD_RUNNING;
	if (next == prev)
		return;
	now = kl_clock_ns();
	prev->cpu_ns += now - prev->cpu_since_ns;
	next->cpu_since_ns = now;
	kl_current = next;
	kl_arch_thread_load(prev, next);
	kl_arch_switch(&prev->ksp, next->ksp);
}

/* The current thread is in the ready queue, blocked, or dead. */
static void schedule(void)
{
	for (;;) {
		struct kl_list *link = kl_list_pop_front(&sched.ready);

		if (link != NULL) {
			switch_to(KL_LIST_ENTRY(link, struct kl_thread, run_link));
			sched_reap();
			return;
		}
		idle();
	}
}

void kl_yield(void)
{
	if (kl_list_empty(&sched.ready))
		return;
	kl_current->state = KL_THREAD_READY;
	kl_list_push_back(&sched.ready, &kl_current->run_link);
	schedule();
}

void kl_thread_wake(struct kl_thread *thread)
{
	thread->woken = true;
	if (thread->state != KL_THREAD_BLOCKED)
		return;
	thread->state = KL_THREAD_READY;
	kl_list_push_back(&sched.ready, &thread->run_link);
}

struct block_timer {
	struct kl_timer timer;
	struct kl_thread *thread;
	bool expired;
};

static void block_expired(struct kl_timer *timer)
{
	struct block_timer *block = KL_CONTAINER(timer, struct block_timer, timer);

	block->expired = true;
	kl_thread_wake(block->thread);
}

int kl_block(uint64_t deadline_ns, bool interruptible)
{
	struct block_timer block = {.timer.fn = block_expired, .thread = kl_current};
	struct kl_thread *self = kl_current;
	int r = 0;

	if (!self->woken && !(interruptible && kl_signal_pending(self))) {
		if (deadline_ns != KL_FOREVER) {
			if (deadline_ns <= kl_clock_ns()) {
				/* Even a poll without waiting lets the devices and the others have their turn. */
				kl_poll();
				kl_yield();
				r = self->woken ? 0 : -ETIMEDOUT;
				self->woken = false;
				return r;
			}
			r = kl_timer_set(&block.timer, deadline_ns);
			if (r < 0)
				return r;
		}
		self->interruptible = interruptible;
		self->state = KL_THREAD_BLOCKED;
		schedule();
		kl_timer_cancel(&block.timer);
	}
	if (block.expired)
		r = -ETIMEDOUT;
	else if (interruptible && kl_signal_pending(self))
		r = -EINTR;
	self->woken = false;
	return r;
}

void kl_thread_start(struct kl_thread *thread)
{
	thread->state = KL_THREAD_READY;
	kl_list_push_back(&sched.ready, &thread->run_link);
}

void kl_thread_exit(void)
{
	kl_current->state = KL_THREAD_DEAD;
	sched_bury(kl_current);
	schedule();
	__builtin_unreachable();
}
