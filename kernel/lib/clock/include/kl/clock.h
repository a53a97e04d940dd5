/* SPDX-License-Identifier: Apache-2.0 */
/* Time and timers. All times in ns; deadlines are on the monotonic clock. */
#ifndef KL_CLOCK_H
#define KL_CLOCK_H

#include <kl/types.h>

uint64_t kl_clock_ns(void);      /* CLOCK_MONOTONIC: since boot */
uint64_t kl_clock_wall_ns(void); /* CLOCK_REALTIME: since 1970-01-01 UTC */
/* Adds to CLOCK_REALTIME (settimeofday); no effect on deadlines. */
void kl_clock_wall_set(uint64_t wall_ns);

/* Called once at or after its deadline, from the scheduler's poll, on any kernel stack; must not block. May set itself again. */
struct kl_timer {
	uint64_t deadline_ns;
	void (*fn)(struct kl_timer *timer);
	size_t slot; /* clock's own; 0: not set */
};

/* Initialise with zero and fn. Setting a timer that is set moves it. 0, or -ENOMEM (when more timers are set than ever before). */
int kl_timer_set(struct kl_timer *timer, uint64_t deadline_ns) KL_MUST_CHECK;
void kl_timer_cancel(struct kl_timer *timer); /* not set: no effect */
static inline bool kl_timer_is_set(const struct kl_timer *timer)
{
	return timer->slot != 0;
}

void kl_timers_run(void);         /* those that are due */
uint64_t kl_timers_next_ns(void); /* earliest deadline, or KL_FOREVER */

#endif
