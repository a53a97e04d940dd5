/* SPDX-License-Identifier: Apache-2.0 */
/* timerfd_create(2): timers that are read like files. */
#include <kl/clock.h>
#include <kl/file.h>
#include <kl/heap.h>
#include <kl/sched.h>
#include <kl/uaccess.h>

#include "timerfd_priv.h"

#include <asm/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/time.h>
#include <linux/time_types.h>
#include <linux/timerfd.h>

struct timerfd {
	struct kl_waitq wait;
	struct kl_timer timer;
	uint64_t interval_ns;
	uint64_t ticks; /* since the last read */
	int clock;
};

static void expire(struct kl_timer *timer)
{
	struct timerfd *t = KL_CONTAINER(timer, struct timerfd, timer);
	uint64_t now = kl_clock_ns(), late = now > timer->deadline_ns ? now - timer->deadline_ns : 0, n = 1;

	if (t->interval_ns > 0) {
		n += late / t->interval_ns;
		/* The slot that this timer just left is free. */
		(void)!kl_timer_set(timer, timer->deadline_ns + n * t->interval_ns);
	}
	t->ticks += n;
	kl_waitq_wake(&t->wait, EPOLLIN);
}

static kl_ssize timer_read(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	struct timerfd *t = file->priv;
	uint64_t ticks;
	int rc;

	(void)pos;
	if (it->left < sizeof(ticks))
		return -EINVAL;
	if (t->ticks == 0)
		kl_poll();
	while (t->ticks == 0) {
		rc = (file->flags & O_NONBLOCK) != 0 ? -EAGAIN : kl_wait(&t->wait, KL_FOREVER, true);
		if (rc < 0)
			return rc;
	}
	ticks = t->ticks;
	t->ticks = 0;
	rc = kl_iter_write(it, &ticks, sizeof(ticks));
	return rc < 0 ? rc : (kl_ssize)sizeof(ticks);
}

static uint32_t timer_poll(struct kl_file *file, struct kl_poll_table *table)
{
	struct timerfd *t = file->priv;

	if (table != NULL)
		table->add(table, &t->wait);
	return t->ticks > 0 ? EPOLLIN : 0;
}

static void timer_release(struct kl_file *file)
{
	struct timerfd *t = file->priv;

	kl_timer_cancel(&t->timer);
	kl_free(t);
}

static const struct kl_file_ops ops = {.read = timer_read, .poll = timer_poll, .release = timer_release};

long kl_sys_timerfd_create(int clock, int flags)
{
	struct timerfd *t;
	struct kl_file *file;
	int rc;

	if ((flags & ~(TFD_CLOEXEC | TFD_NONBLOCK)) != 0)
		return -EINVAL;
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_REALTIME_ALARM:
	case CLOCK_BOOTTIME_ALARM: break;
	default: return -EINVAL;
	}
	t = kl_zalloc(sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	kl_waitq_init(&t->wait);
	t->timer.fn = expire;
	t->clock = clock;
	file = kl_file_create(&ops, O_RDWR | ((uint32_t)flags & O_NONBLOCK), t);
	if (file == NULL) {
		kl_free(t);
		return -ENOMEM;
	}
	file->anonymous = "anon_inode:[timerfd]";
	rc = kl_fd_install(file, (flags & TFD_CLOEXEC) != 0);
	if (rc < 0)
		kl_file_put(file);
	return rc;
}

/* -EINVAL when it is no time. Far times count as KL_FOREVER / 2. */
static int to_ns(const struct __kernel_timespec *ts, uint64_t *out)
{
	if (ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec >= (long long)KL_NS_PER_S)
		return -EINVAL;
	*out = KL_FOREVER / 2;
	if ((uint64_t)ts->tv_sec < KL_FOREVER / 2 / KL_NS_PER_S)
		*out = (uint64_t)ts->tv_sec * KL_NS_PER_S + (uint64_t)ts->tv_nsec;
	return 0;
}

static void from_ns(uint64_t ns, struct __kernel_timespec *ts)
{
	ts->tv_sec = (long long)(ns / KL_NS_PER_S);
	ts->tv_nsec = (long long)(ns % KL_NS_PER_S);
}

static void get(const struct timerfd *t, struct __kernel_itimerspec *out)
{
	uint64_t now = kl_clock_ns(), left = 0;

	if (kl_timer_is_set(&t->timer))
		left = t->timer.deadline_ns > now ? t->timer.deadline_ns - now : 1;
	from_ns(left, &out->it_value);
	from_ns(t->interval_ns, &out->it_interval);
}

/* Absolute times of CLOCK_REALTIME are turned into monotonic ones now; later steps of that clock do not move the timer. */
static int set(struct timerfd *t, int flags, const struct __kernel_itimerspec *value)
{
	uint64_t at, interval, now = kl_clock_ns(), base;

	if (to_ns(&value->it_value, &at) < 0 || to_ns(&value->it_interval, &interval) < 0)
		return -EINVAL;
	kl_timer_cancel(&t->timer);
	t->ticks = 0;
	t->interval_ns = interval;
	if (at == 0)
		return 0;
	if ((flags & TFD_TIMER_ABSTIME) == 0)
		at += now;
	else if (t->clock == CLOCK_REALTIME || t->clock == CLOCK_REALTIME_ALARM) {
		base = kl_clock_wall_ns();
		at = at > base ? now + (at - base) : now - KL_MIN(now, base - at);
	}
	return kl_timer_set(&t->timer, at);
}

static struct kl_file *get_file(int fd, long *error)
{
	struct kl_file *file = kl_fd_get(fd);

	*error = file == NULL ? -EBADF : -EINVAL;
	if (file == NULL || file->ops == &ops)
		return file;
	kl_file_put(file);
	return NULL;
}

long kl_sys_timerfd_settime(int fd, int flags, kl_uaddr value, kl_uaddr old)
{
	struct __kernel_itimerspec fresh, before;
	struct kl_file *file;
	long rc;

	if ((flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) != 0)
		return -EINVAL;
	if (KL_GET_USER(fresh, value) < 0)
		return -EFAULT;
	file = get_file(fd, &rc);
	if (file == NULL)
		return rc;
	get(file->priv, &before);
	rc = set(file->priv, flags, &fresh);
	if (rc == 0 && old != 0)
		rc = KL_PUT_USER(old, before);
	kl_file_put(file);
	return rc;
}

long kl_sys_timerfd_gettime(int fd, kl_uaddr value)
{
	struct __kernel_itimerspec now;
	long rc;
	struct kl_file *file = get_file(fd, &rc);

	if (file == NULL)
		return rc;
	get(file->priv, &now);
	kl_file_put(file);
	return KL_PUT_USER(value, now);
}
