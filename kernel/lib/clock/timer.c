/* SPDX-License-Identifier: Apache-2.0 */
/* A binary heap of the timers that are set, by deadline; kl_timer.slot is its place, counted from 1. */
#include <asm/errno.h>

#include <kl/clock.h>
#include <kl/heap.h>

#define FIRST_CAPACITY 32

static struct {
	struct kl_timer **heap; /* heap[1] to heap[count] */
	size_t count, capacity;
} timers;

static void place(struct kl_timer *timer, size_t slot)
{
	timers.heap[slot] = timer;
	timer->slot = slot;
}

static void sift_up(struct kl_timer *timer, size_t slot)
{
	while (slot > 1 && timers.heap[slot / 2]->deadline_ns > timer->deadline_ns) {
		place(timers.heap[slot / 2], slot);
		slot /= 2;
	}
	place(timer, slot);
}

static void sift_down(struct kl_timer *timer, size_t slot)
{
	for (;;) {
		size_t child = 2 * slot;

		if (child > timers.count)
			break;
		if (child < timers.count && timers.heap[child + 1]->deadline_ns < timers.heap[child]->deadline_ns)
			child++;
		if (timers.heap[child]->deadline_ns >= timer->deadline_ns)
			break;
		place(timers.heap[child], slot);
		slot = child;
	}
	place(timer, slot);
}

int kl_timer_set(struct kl_timer *timer, uint64_t deadline_ns)
{
	uint64_t before = timer->deadline_ns;

	if (timer->slot != 0) {
		timer->deadline_ns = deadline_ns;
		if (deadline_ns < before)
			sift_up(timer, timer->slot);
		else
			sift_down(timer, timer->slot);
		return 0;
	}
	if (timers.count + 1 >= timers.capacity) {
		size_t capacity = timers.capacity == 0 ? FIRST_CAPACITY : 2 * timers.capacity;
		struct kl_timer **heap = kl_realloc(timers.heap, capacity * sizeof(struct kl_timer *));

		if (heap == NULL)
			return -ENOMEM;
		timers.heap = heap;
		timers.capacity = capacity;
	}
	timer->deadline_ns = deadline_ns;
	sift_up(timer, ++timers.count);
	return 0;
}

void kl_timer_cancel(struct kl_timer *timer)
{
	size_t slot = timer->slot;
	struct kl_timer *last;

	if (slot == 0)
		return;
	timer->slot = 0;
	last = timers.heap[timers.count--];
	if (last == timer)
		return;
	if (last->deadline_ns < timer->deadline_ns)
		sift_up(last, slot);
	else
		sift_down(last, slot);
}

uint64_t kl_timers_next_ns(void)
{
	return timers.count == 0 ? KL_FOREVER : timers.heap[1]->deadline_ns;
}

/* What a timer's function sets for now runs at the next call: one call always ends. */
void kl_timers_run(void)
{
	uint64_t now;

	if (timers.count == 0)
		return;
	now = kl_clock_ns();
	for (size_t left = timers.count; left > 0 && timers.count > 0; left--) {
		struct kl_timer *timer = timers.heap[1];

		if (timer->deadline_ns > now)
			return;
		kl_timer_cancel(timer);
		timer->fn(timer);
	}
}
