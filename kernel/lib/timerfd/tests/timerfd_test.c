/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include <kl/clock.h>

#include "../../vfs/tests/fs_test.h"
#include "kl_host.h"
#include "timerfd_priv.h"

#define MS 1000000ull

static struct itimerspec spec(uint64_t value_ns, uint64_t interval_ns)
{
	return (struct itimerspec){{(time_t)(interval_ns / 1000000000), (long)(interval_ns % 1000000000)},
		{(time_t)(value_ns / 1000000000), (long)(value_ns % 1000000000)}};
}

static int64_t take(int fd)
{
	uint64_t ticks = 77;
	long rc = kl_sys_read(fd, U(&ticks), sizeof(ticks));

	return rc < 0 ? rc : (int64_t)ticks;
}

int main(void)
{
	struct itimerspec s = spec(10 * MS, 0), old;
	int fd;

	fs_test_empty_root();
	CHECK(kl_sys_timerfd_create(99, 0) == -EINVAL && kl_sys_timerfd_create(1, 1) == -EINVAL);
	fd = (int)kl_sys_timerfd_create(CLOCK_MONOTONIC, O_NONBLOCK);
	CHECK(fd >= 0 && take(fd) == -EAGAIN && kl_sys_timerfd_settime(fd, 0, U(&s), 0) == 0);
	kl_host_advance(9 * MS);
	CHECK(take(fd) == -EAGAIN && kl_sys_timerfd_gettime(fd, U(&old)) == 0 && old.it_value.tv_nsec == (long)MS);
	kl_host_advance(2 * MS);
	CHECK(take(fd) == 1 && take(fd) == -EAGAIN && kl_sys_timerfd_gettime(fd, U(&old)) == 0 &&
		old.it_value.tv_nsec == 0);
	printf("ok one shot\n");

	s = spec(5 * MS, 3 * MS);
	CHECK(kl_sys_timerfd_settime(fd, 0, U(&s), 0) == 0);
	kl_host_advance(20 * MS);
	CHECK(take(fd) == 6 && take(fd) == -EAGAIN);
	kl_host_now_ns += 100 * MS; /* the timer comes late: what was missed counts */
	kl_timers_run();
	CHECK(take(fd) == 33);
	s = spec(0, 0);
	CHECK(kl_sys_timerfd_settime(fd, 0, U(&s), U(&old)) == 0 && old.it_interval.tv_nsec == 3 * (long)MS);
	kl_host_advance(50 * MS);
	CHECK(take(fd) == -EAGAIN);
	printf("ok intervals\n");

	s = spec(kl_clock_ns() + 5 * MS, 0);
	CHECK(kl_sys_timerfd_settime(fd, 1, U(&s), 0) == 0);
	kl_host_advance(6 * MS);
	CHECK(take(fd) == 1);
	fd = (int)kl_sys_timerfd_create(CLOCK_REALTIME, O_NONBLOCK);
	s = spec(kl_clock_wall_ns() + 5 * MS, 0);
	CHECK(kl_sys_timerfd_settime(fd, 1, U(&s), 0) == 0);
	kl_host_advance(4 * MS);
	CHECK(take(fd) == -EAGAIN);
	kl_host_advance(1 * MS);
	CHECK(take(fd) == 1);
	s = spec(1, 0); /* long ago */
	CHECK(kl_sys_timerfd_settime(fd, 1, U(&s), 0) == 0);
	kl_host_advance(1);
	CHECK(take(fd) == 1);
	s.it_value.tv_nsec = 1000000000;
	CHECK(kl_sys_timerfd_settime(fd, 0, U(&s), 0) == -EINVAL && kl_sys_timerfd_settime(0, 0, U(&s), 0) == -EINVAL);
	CHECK(kl_sys_close(fd) == 0);
	printf("ok absolute times\n");
	return 0;
}
