/* SPDX-License-Identifier: Apache-2.0 */
/* timer_create(2) and its relatives. */
#include <asm/errno.h>
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <linux/time.h>

#include <kl/clock.h>
#include <kl/heap.h>
#include <kl/process.h>
#include <kl/signal.h>
#include <kl/uaccess.h>

#include "time_priv.h"

#define TIMERS_MAX 1024

struct posix_timer {
	struct kl_timer timer;
	int id, clock;
	int notify, sig, tid; /* SIGEV_* */
	sigval_t value;
	uint64_t expires_ns;  /* on the monotonic clock; 0: not armed */
	uint64_t interval_ns; /* 0: once */
	int overrun;
};

static struct posix_timer *timers[TIMERS_MAX];

long kl_sys_timer_create(int clock, kl_uaddr event, kl_uaddr id);
long kl_sys_timer_settime(int id, int flags, kl_uaddr new, kl_uaddr old);
long kl_sys_timer_gettime(int id, kl_uaddr value);
long kl_sys_timer_getoverrun(int id);
long kl_sys_timer_delete(int id);

static struct posix_timer *find(int id)
{
	return id >= 0 && id < TIMERS_MAX ? timers[id] : NULL;
}

static struct kl_thread *thread_of(int tid)
{
	KL_LIST_FOR(link, &kl_process_init_data.threads)
	{
		struct kl_thread *thread = KL_LIST_ENTRY(link, struct kl_thread, proc_link);

		if (thread->tid == tid)
			return thread;
	}
	return NULL;
}

static void notify(struct posix_timer *t)
{
	siginfo_t info = {0};
	struct kl_thread *thread;

	if (t->notify == SIGEV_NONE)
		return;
	info.si_signo = t->sig;
	info.si_code = SI_TIMER;
	info.si_tid = t->id;
	info.si_overrun = t->overrun;
	info.si_value = t->value;
	if (t->notify != SIGEV_THREAD_ID) {
		kl_signal_send(&kl_process_init_data, t->sig, &info);
		return;
	}
	thread = thread_of(t->tid);
	if (thread != NULL)
		kl_signal_send_thread(thread, t->sig, &info);
}

static void expired(struct kl_timer *timer)
{
	struct posix_timer *t = KL_CONTAINER(timer, struct posix_timer, timer);
	uint64_t now = kl_clock_ns(), missed = 0;
	int r;

	if (t->interval_ns != 0) {
		missed = (now - t->expires_ns) / t->interval_ns;
		t->expires_ns += (1 + missed) * t->interval_ns;
		r = kl_timer_set(&t->timer, t->expires_ns); /* its slot was just freed: there is room */
		(void)r;
	} else {
		t->expires_ns = 0;
	}
	t->overrun = (int)KL_MIN(missed, (uint64_t)INT32_MAX);
	notify(t);
}

static int read_event(kl_uaddr event, struct posix_timer *t)
{
	struct sigevent ev;

	t->notify = SIGEV_SIGNAL;
	t->sig = SIGALRM;
	t->value.sival_int = t->id;
	if (event == 0)
		return 0;
	if (KL_GET_USER(ev, event) < 0)
		return -EFAULT;
	t->notify = ev.sigev_notify;
	t->sig = ev.sigev_signo;
	t->value = ev.sigev_value;
	t->tid = ev._sigev_un._tid;
	if (t->notify == SIGEV_NONE)
		return 0;
	if (t->sig < 1 || t->sig > KL_SIGNALS)
		return -EINVAL;
	if (t->notify == SIGEV_THREAD_ID)
		return thread_of(t->tid) == NULL ? -EINVAL : 0;
	return t->notify == SIGEV_SIGNAL || t->notify == SIGEV_THREAD ? 0 : -EINVAL;
}

long kl_sys_timer_create(int clock, kl_uaddr event, kl_uaddr id)
{
	struct posix_timer *t;
	uint64_t now;
	int slot, r;

	if (kl_time_clock_ns(clock, &now) < 0)
		return -EINVAL;
	for (slot = 0; slot < TIMERS_MAX && timers[slot] != NULL; slot++)
		;
	if (slot == TIMERS_MAX)
		return -EAGAIN;
	t = kl_zalloc(sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	t->timer.fn = expired;
	t->id = slot;
	t->clock = clock;
	r = read_event(event, t);
	if (r == 0)
		r = KL_PUT_USER(id, slot);
	if (r < 0) {
		kl_free(t);
		return r;
	}
	timers[slot] = t;
	return 0;
}

static struct __kernel_itimerspec current_value(const struct posix_timer *t)
{
	uint64_t now = kl_clock_ns(), left = 0;

	if (t->expires_ns != 0)
		left = t->expires_ns > now ? t->expires_ns - now : 1;
	return (struct __kernel_itimerspec){
		.it_interval = kl_time_timespec(t->interval_ns), .it_value = kl_time_timespec(left)};
}

long kl_sys_timer_settime(int id, int flags, kl_uaddr new, kl_uaddr old)
{
	struct posix_timer *t = find(id);
	struct __kernel_itimerspec before;
	uint64_t value, interval;
	int r;

	if (t == NULL || new == 0)
		return -EINVAL;
	r = kl_time_read(new + offsetof(struct __kernel_itimerspec, it_interval), &interval);
	if (r == 0)
		r = kl_time_read(new + offsetof(struct __kernel_itimerspec, it_value), &value);
	if (r < 0)
		return r;
	before = current_value(t);
	if (old != 0 && KL_PUT_USER(old, before) < 0)
		return -EFAULT;
	kl_timer_cancel(&t->timer);
	t->expires_ns = 0;
	t->interval_ns = interval;
	if (value == 0)
		return 0;
	t->expires_ns = time_deadline(t->clock, (flags & TIMER_ABSTIME) != 0, value);
	return kl_timer_set(&t->timer, t->expires_ns);
}

long kl_sys_timer_gettime(int id, kl_uaddr value)
{
	struct posix_timer *t = find(id);

	return t == NULL ? -EINVAL : KL_PUT_USER(value, current_value(t));
}

long kl_sys_timer_getoverrun(int id)
{
	struct posix_timer *t = find(id);

	return t == NULL ? -EINVAL : t->overrun;
}

long kl_sys_timer_delete(int id)
{
	struct posix_timer *t = find(id);

	if (t == NULL)
		return -EINVAL;
	kl_timer_cancel(&t->timer);
	timers[id] = NULL;
	kl_free(t);
	return 0;
}
