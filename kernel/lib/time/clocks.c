/* SPDX-License-Identifier: Apache-2.0 */
#include <asm/errno.h>
#include <linux/time.h>

#include <kl/clock.h>
#include <kl/process.h>
#include <kl/sched.h>
#include <kl/uaccess.h>

#include "time_priv.h"

long kl_sys_clock_gettime(int clock, kl_uaddr ts);
long kl_sys_clock_getres(int clock, kl_uaddr ts);
long kl_sys_clock_settime(int clock, kl_uaddr ts);
long kl_sys_clock_nanosleep(int clock, int flags, kl_uaddr request, kl_uaddr remain);
long kl_sys_nanosleep(kl_uaddr request, kl_uaddr remain);
long kl_sys_gettimeofday(kl_uaddr tv, kl_uaddr tz);
long kl_sys_settimeofday(kl_uaddr tv, kl_uaddr tz);
long kl_sys_time(kl_uaddr t);

int kl_time_read(kl_uaddr addr, uint64_t *ns)
{
	struct __kernel_timespec ts;

	if (KL_GET_USER(ts, addr) < 0)
		return -EFAULT;
	if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= (long long)KL_NS_PER_S)
		return -EINVAL;
	if ((uint64_t)ts.tv_sec >= INT64_MAX / KL_NS_PER_S)
		*ns = INT64_MAX;
	else
		*ns = (uint64_t)ts.tv_sec * KL_NS_PER_S + (uint64_t)ts.tv_nsec;
	return 0;
}

static uint64_t thread_cpu_ns(const struct kl_thread *thread)
{
	return thread->cpu_ns + (thread == kl_current ? kl_clock_ns() - thread->cpu_since_ns : 0);
}

static uint64_t process_cpu_ns(void)
{
	uint64_t ns = 0;

	KL_LIST_FOR(link, &kl_proc()->threads)
	ns += thread_cpu_ns(KL_LIST_ENTRY(link, struct kl_thread, proc_link));
	return ns;
}

/*
 * Clocks of other processes and threads (clock_getcpuclockid(3), pthread_getcpuclockid(3)) are negative: the complement of the
 * id, then three bits of kind, of which bit 2 says "thread".
 */
static int cpu_clock_ns(int clock, uint64_t *ns)
{
	int id = ~(clock >> 3);

	if ((clock & 4) == 0) {
		if (id != 0 && id != kl_proc()->pid)
			return -EINVAL;
		*ns = process_cpu_ns();
		return 0;
	}
	KL_LIST_FOR(link, &kl_proc()->threads)
	{
		struct kl_thread *thread = KL_LIST_ENTRY(link, struct kl_thread, proc_link);

		if (id == 0 ? thread == kl_current : thread->tid == id) {
			*ns = thread_cpu_ns(thread);
			return 0;
		}
	}
	return -EINVAL;
}

int kl_time_clock_ns(int clock, uint64_t *ns)
{
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_REALTIME_ALARM:
	case CLOCK_TAI: *ns = kl_clock_wall_ns(); return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
	case CLOCK_BOOTTIME_ALARM: *ns = kl_clock_ns(); return 0;
	case CLOCK_PROCESS_CPUTIME_ID: *ns = process_cpu_ns(); return 0;
	case CLOCK_THREAD_CPUTIME_ID: *ns = thread_cpu_ns(kl_current); return 0;
	default: return clock < 0 ? cpu_clock_ns(clock, ns) : -EINVAL;
	}
}

uint64_t time_deadline(int clock, bool absolute, uint64_t ns)
{
	uint64_t now = kl_clock_ns(), clock_now;

	if (ns >= INT64_MAX)
		return KL_FOREVER;
	if (!absolute)
		return now + ns;
	if (kl_time_clock_ns(clock, &clock_now) < 0)
		return now;
	return ns > clock_now ? now + (ns - clock_now) : now;
}

long kl_sys_clock_gettime(int clock, kl_uaddr ts)
{
	uint64_t ns;
	int r = kl_time_clock_ns(clock, &ns);

	return r < 0 ? r : KL_PUT_USER(ts, kl_time_timespec(ns));
}

long kl_sys_clock_getres(int clock, kl_uaddr ts)
{
	uint64_t ns;
	int r = kl_time_clock_ns(clock, &ns);

	if (r < 0 || ts == 0)
		return r;
	return KL_PUT_USER(ts, kl_time_timespec(1));
}

long kl_sys_clock_settime(int clock, kl_uaddr ts)
{
	uint64_t ns;
	int r;

	if (clock != CLOCK_REALTIME)
		return -EINVAL;
	r = kl_time_read(ts, &ns);
	if (r < 0)
		return r;
	if (kl_proc()->euid != 0)
		return -EPERM;
	kl_clock_wall_set(ns);
	return 0;
}

static long sleep_until(uint64_t deadline_ns)
{
	int r;

	do
		r = kl_block(deadline_ns, true);
	while (r == 0);
	return r == -ETIMEDOUT ? 0 : r;
}

long kl_sys_clock_nanosleep(int clock, int flags, kl_uaddr request, kl_uaddr remain)
{
	bool absolute = (flags & TIMER_ABSTIME) != 0;
	uint64_t ns, now, deadline;
	long r;

	if (clock == CLOCK_THREAD_CPUTIME_ID || kl_time_clock_ns(clock, &now) < 0)
		return -EINVAL;
	r = kl_time_read(request, &ns);
	if (r < 0)
		return r;
	deadline = time_deadline(clock, absolute, ns);
	r = sleep_until(deadline);
	if (r == -EINTR && !absolute && remain != 0) {
		now = kl_clock_ns();
		if (KL_PUT_USER(remain, kl_time_timespec(deadline > now ? deadline - now : 0)) < 0)
			return -EFAULT;
	}
	return r;
}

long kl_sys_nanosleep(kl_uaddr request, kl_uaddr remain)
{
	return kl_sys_clock_nanosleep(CLOCK_MONOTONIC, 0, request, remain);
}

long kl_sys_gettimeofday(kl_uaddr tv, kl_uaddr tz)
{
	static const struct timezone utc;
	uint64_t ns = kl_clock_wall_ns();
	struct __kernel_old_timeval now = {
		.tv_sec = (__kernel_long_t)(ns / KL_NS_PER_S),
		.tv_usec = (__kernel_long_t)(ns % KL_NS_PER_S / KL_NS_PER_US),
	};

	if (tv != 0 && KL_PUT_USER(tv, now) < 0)
		return -EFAULT;
	if (tz != 0 && kl_copy_to_user(tz, &utc, sizeof(utc)) < 0)
		return -EFAULT;
	return 0;
}

long kl_sys_settimeofday(kl_uaddr tv, kl_uaddr tz)
{
	struct __kernel_old_timeval now;

	(void)tz; /* the library OS keeps UTC only, as Linux does since 5.x but for one offset nobody sets */
	if (tv == 0)
		return 0;
	if (KL_GET_USER(now, tv) < 0)
		return -EFAULT;
	if (now.tv_sec < 0 || now.tv_usec < 0 || now.tv_usec >= 1000000)
		return -EINVAL;
	if (kl_proc()->euid != 0)
		return -EPERM;
	kl_clock_wall_set((uint64_t)now.tv_sec * KL_NS_PER_S + (uint64_t)now.tv_usec * KL_NS_PER_US);
	return 0;
}

long kl_sys_time(kl_uaddr t)
{
	__kernel_long_t now = (__kernel_long_t)(kl_clock_wall_ns() / KL_NS_PER_S);

	if (t != 0 && KL_PUT_USER(t, now) < 0)
		return -EFAULT;
	return now;
}
