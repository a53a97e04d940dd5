/* SPDX-License-Identifier: Apache-2.0 */
/* Timers against a plain list, over random operations. */
#include <stdio.h>
#include <stdlib.h>

#include <kl/clock.h>

#define TIMERS 100

static uint64_t now;
static struct {
	struct kl_timer timer;
	bool set;
} t[TIMERS];
static uint64_t last_fired;
static int failures;

uint64_t kl_clock_ns(void)
{
	return now;
}

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d %s\n", __FILE__, __LINE__, #cond);                                          \
			failures++;                                                                                    \
		}                                                                                                      \
	} while (0)

static void fired(struct kl_timer *timer)
{
	size_t i = (size_t)((char *)timer - (char *)t) / sizeof(t[0]);

	CHECK(t[i].set);
	CHECK(timer->deadline_ns <= now);
	CHECK(timer->deadline_ns >= last_fired);
	last_fired = timer->deadline_ns;
	t[i].set = false;
}

static void compare(void)
{
	uint64_t next = KL_FOREVER;

	for (int i = 0; i < TIMERS; i++) {
		CHECK(kl_timer_is_set(&t[i].timer) == t[i].set);
		if (t[i].set && t[i].timer.deadline_ns < next)
			next = t[i].timer.deadline_ns;
	}
	CHECK(kl_timers_next_ns() == next);
}

int main(void)
{
	srand(1);
	for (int i = 0; i < TIMERS; i++)
		t[i].timer.fn = fired;
	for (int step = 0; step < 20000 && failures == 0; step++) {
		int i = rand() % TIMERS;

		switch (rand() % 4) {
		case 0:
		case 1:
			CHECK(kl_timer_set(&t[i].timer, now + (uint64_t)(rand() % 1000)) == 0);
			t[i].set = true;
			break;
		case 2:
			kl_timer_cancel(&t[i].timer);
			t[i].set = false;
			break;
		default:
			now += (uint64_t)(rand() % 50);
			last_fired = 0;
			kl_timers_run();
			for (int k = 0; k < TIMERS; k++)
				CHECK(!t[k].set || t[k].timer.deadline_ns > now);
		}
		compare();
	}
	if (failures == 0)
		printf("ok timers fire in order, and only those that are set\n");
	return failures != 0;
}
