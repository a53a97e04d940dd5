/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setitimer(2), alarm(2). The virtual and profiling timers count the process's time by the wall clock while it runs: with one
 * process on one CPU they differ by what the program slept, so they are re-armed for the rest when they fire early.
 */
#include <asm/errno.h>
#include <asm/signal.h>
#include <linux/time.h>

#include <kl/clock.h>
#include <kl/process.h>
#include <kl/signal.h>
#include <kl/uaccess.h>

#include "time_priv.h"

struct itimer {
	struct kl_timer timer;
	int clock, sig;
	uint64_t expires_ns;  /* on clock; 0: not armed */
	uint64_t interval_ns; /* 0: once */
};

struct itimer_value {
	struct __kernel_old_timeval interval, value;
};

static void expired(struct kl_timer *timer);

static struct itimer itimers[] = {
	[ITIMER_REAL] = {.timer.fn = expired, .clock = CLOCK_MONOTONIC, .sig = SIGALRM},
	[ITIMER_VIRTUAL] = {.timer.fn = expired, .clock = CLOCK_PROCESS_CPUTIME_ID, .sig = SIGVTALRM},
	[ITIMER_PROF] = {.timer.fn = expired, .clock = CLOCK_PROCESS_CPUTIME_ID, .sig = SIGPROF},
};

long kl_sys_getitimer(int which, kl_uaddr old);
long kl_sys_setitimer(int which, kl_uaddr new, kl_uaddr old);
long kl_sys_alarm(unsigned seconds);

/* Timers may fire on a kernel thread: CPU time is that of the process anyway. */
static uint64_t clock_now(const struct itimer *it)
{
	uint64_t ns = 0;

	kl_time_clock_ns(it->clock, &ns);
	return ns;
}

static int arm(struct itimer *it)
{
	uint64_t now = clock_now(it);

	return kl_timer_set(&it->timer, kl_clock_ns() + (it->expires_ns > now ? it->expires_ns - now : 0));
}

static void expired(struct kl_timer *timer)
{
	struct itimer *it = KL_CONTAINER(timer, struct itimer, timer);
	uint64_t now = clock_now(it);
	int r = 0;

	if (now >= it->expires_ns) {
		kl_signal_send(&kl_process_init_data, it->sig, NULL);
		if (it->interval_ns == 0) {
			it->expires_ns = 0;
			return;
		}
		it->expires_ns += (1 + (now - it->expires_ns) / it->interval_ns) * it->interval_ns;
	}
	r = arm(it); /* its slot was just freed: there is room */
	(void)r;
}

static struct __kernel_old_timeval timeval(uint64_t ns)
{
	ns += KL_NS_PER_US - 1; /* what is left never reads as zero */
	return (struct __kernel_old_timeval){
		.tv_sec = (__kernel_long_t)(ns / KL_NS_PER_S),
		.tv_usec = (__kernel_long_t)(ns % KL_NS_PER_S / KL_NS_PER_US),
	};
}

static struct itimer_value current_value(const struct itimer *it)
{
	uint64_t now = clock_now(it);
	struct itimer_value value = {0};

	if (it->interval_ns != 0)
		value.interval = timeval(it->interval_ns);
	if (it->expires_ns != 0)
		value.value = timeval(it->expires_ns > now ? it->expires_ns - now : 1);
	return value;
}

static bool valid(const struct __kernel_old_timeval *tv)
{
	return tv->tv_sec >= 0 && tv->tv_usec >= 0 && tv->tv_usec < 1000000;
}

static uint64_t timeval_ns(const struct __kernel_old_timeval *tv)
{
	if ((uint64_t)tv->tv_sec > INT64_MAX / (2 * KL_NS_PER_S))
		return INT64_MAX / 2;
	return (uint64_t)tv->tv_sec * KL_NS_PER_S + (uint64_t)tv->tv_usec * KL_NS_PER_US;
}

static int set(struct itimer *it, uint64_t value_ns, uint64_t interval_ns)
{
	it->interval_ns = interval_ns;
	if (value_ns == 0) {
		it->expires_ns = 0;
		kl_timer_cancel(&it->timer);
		return 0;
	}
	it->expires_ns = clock_now(it) + value_ns;
	return arm(it);
}

long kl_sys_getitimer(int which, kl_uaddr old)
{
	if ((unsigned)which >= KL_ARRAY_LEN(itimers))
		return -EINVAL;
	return KL_PUT_USER(old, current_value(&itimers[which]));
}

long kl_sys_setitimer(int which, kl_uaddr new, kl_uaddr old)
{
	struct itimer_value value = {0}, before;

	if ((unsigned)which >= KL_ARRAY_LEN(itimers))
		return -EINVAL;
	if (new != 0 && KL_GET_USER(value, new) < 0)
		return -EFAULT;
	if (!valid(&value.value) || !valid(&value.interval))
		return -EINVAL;
	before = current_value(&itimers[which]);
	if (old != 0 && KL_PUT_USER(old, before) < 0)
		return -EFAULT;
	return set(&itimers[which], timeval_ns(&value.value), timeval_ns(&value.interval));
}

long kl_sys_alarm(unsigned seconds)
{
	struct itimer_value before = current_value(&itimers[ITIMER_REAL]);
	int r = set(&itimers[ITIMER_REAL], seconds * KL_NS_PER_S, 0);

	if (r < 0)
		return r;
	return before.value.tv_sec + (before.value.tv_usec > 0);
}
