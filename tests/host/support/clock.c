/* SPDX-License-Identifier: Apache-2.0 */
/* A clock that a test moves, and its timers in a plain array. */
#include <asm/errno.h>

#include <kl/clock.h>
#include <kl/log.h>

#include "kl_host.h"

#define WEAK __attribute__((weak))
#define TIMERS_MAX 65536
#define WALL_AT_START_NS 1700000000000000000ull

uint64_t kl_host_now_ns = 1000000000ull;

static struct kl_timer *timers[TIMERS_MAX]; /* kl_timer.slot is the index plus one */
static size_t timers_count;
static uint64_t wall_offset_ns = WALL_AT_START_NS;

WEAK uint64_t kl_clock_ns(void)
{
	return kl_host_now_ns;
}

WEAK uint64_t kl_clock_wall_ns(void)
{
	return kl_clock_ns() + wall_offset_ns;
}

WEAK void kl_clock_wall_set(uint64_t wall_ns)
{
	wall_offset_ns = wall_ns - kl_clock_ns();
}

WEAK int kl_timer_set(struct kl_timer *timer, uint64_t deadline_ns)
{
	timer->deadline_ns = deadline_ns;
	if (timer->slot != 0)
		return 0;
	if (timers_count == TIMERS_MAX)
		return -ENOMEM;
	timers[timers_count++] = timer;
	timer->slot = timers_count;
	return 0;
}

WEAK void kl_timer_cancel(struct kl_timer *timer)
{
	size_t i = timer->slot;

	if (i == 0)
		return;
	timer->slot = 0;
	if (i != timers_count) {
		timers[i - 1] = timers[timers_count - 1];
		timers[i - 1]->slot = i;
	}
	timers_count--;
}

static struct kl_timer *first(void)
{
	struct kl_timer *found = NULL;

	for (size_t i = 0; i < timers_count; i++)
		if (found == NULL || timers[i]->deadline_ns < found->deadline_ns)
			found = timers[i];
	return found;
}

WEAK uint64_t kl_timers_next_ns(void)
{
	struct kl_timer *timer = first();

	return timer == NULL ? KL_FOREVER : timer->deadline_ns;
}

WEAK void kl_timers_run(void)
{
	struct kl_timer *timer;

	while ((timer = first()) != NULL && timer->deadline_ns <= kl_clock_ns()) {
		kl_timer_cancel(timer);
		timer->fn(timer);
	}
}

void kl_host_advance(uint64_t ns)
{
	uint64_t end = kl_host_now_ns + ns;

	for (;;) {
		uint64_t next = kl_timers_next_ns();

		if (next > end)
			break;
		if (next > kl_host_now_ns)
			kl_host_now_ns = next;
		kl_timers_run();
	}
	kl_host_now_ns = end;
}
