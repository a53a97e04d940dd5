/* SPDX-License-Identifier: Apache-2.0 */
/* pipe(7), eventfd(2), timerfd_create(2), poll(2), select(2). */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/timerfd.h>
#include <unistd.h>

static int poll_one(int fd, short events, int timeout)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, timeout) < 0 ? -1 : p.revents;
}

static void pipes(void)
{
	static char big[200000];
	int p[2], n;
	char buf[8] = "";

	SHOW(pipe2(p, O_NONBLOCK));
	SHOW(read(p[0], buf, 4));
	SHOW(poll_one(p[0], POLLIN, 0));
	SHOW(poll_one(p[1], POLLOUT, 0));
	SHOW(write(p[1], "abc", 3));
	SHOW(poll_one(p[0], POLLIN, 0));
	SHOW(ioctl(p[0], FIONREAD, &n));
	SHOW(n);
	SHOW(read(p[0], buf, 8));
	printf("%s\n", buf);
	SHOW(write(p[1], big, sizeof(big)));
	SHOW(write(p[1], "x", 1));
	SHOW(poll_one(p[1], POLLOUT, 0));
	SHOW(read(p[0], big, sizeof(big)));
	/* a full pipe of which a part of a page is read */
	SHOW(write(p[1], big, 65536));
	SHOW(read(p[0], big, 100));
	SHOW(write(p[1], "x", 1));
	SHOW(poll_one(p[1], POLLOUT, 0));
	SHOW(read(p[0], big, 3996));
	memset(big, 'y', 4096);
	SHOW(write(p[1], big, 4096));
	SHOW(read(p[0], big, 61440));
	SHOW(read(p[0], big, sizeof(big)));
	HOLDS(big[0] == 'y' && big[4095] == 'y');
	SHOW(fcntl(p[1], F_GETPIPE_SZ));
	SHOW(lseek(p[0], 0, SEEK_SET));
	SHOW(read(p[1], buf, 1));
	SHOW(write(p[0], buf, 1));
	close(p[1]);
	SHOW(read(p[0], buf, 1));
	SHOW(poll_one(p[0], POLLIN, 0));
	close(p[0]);

	SHOW(pipe(p));
	close(p[0]);
	signal(SIGPIPE, SIG_IGN);
	SHOW(write(p[1], "x", 1));
	SHOW(poll_one(p[1], POLLOUT, 0));
	close(p[1]);
	SHOW(poll_one(p[1], POLLIN, 0));
}

static void eventfds(void)
{
	uint64_t v = 5;
	int fd = eventfd(3, EFD_NONBLOCK), sem;

	SHOW(write(fd, &v, 8));
	SHOW(read(fd, &v, 8));
	SHOW((long)v);
	SHOW(read(fd, &v, 8));
	SHOW(read(fd, &v, 4));
	v = UINT64_MAX - 1;
	SHOW(write(fd, &v, 8));
	v = 1;
	SHOW(write(fd, &v, 8));
	SHOW(poll_one(fd, POLLIN | POLLOUT, 0));
	v = UINT64_MAX;
	SHOW(write(fd, &v, 8));
	close(fd);
	sem = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
	SHOW(read(sem, &v, 8));
	SHOW((long)v);
	SHOW(read(sem, &v, 8));
	SHOW(read(sem, &v, 8));
	close(sem);
}

static void timerfds(void)
{
	struct itimerspec its = {.it_value = {0, 20000000}, .it_interval = {0, 20000000}}, now;
	uint64_t n = 0;
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);

	SHOW(read(fd, &n, 8));
	SHOW(timerfd_settime(fd, 0, &its, NULL));
	SHOW(poll_one(fd, POLLIN, 0));
	SHOW(poll_one(fd, POLLIN, 5000));
	SHOW(read(fd, &n, 8));
	HOLDS(n >= 1 && n < 50);
	usleep(100000);
	SHOW(read(fd, &n, 8));
	HOLDS(n >= 4 && n < 50);
	SHOW(timerfd_gettime(fd, &now));
	HOLDS(now.it_value.tv_nsec <= 20000000 && now.it_interval.tv_nsec == 20000000);
	memset(&its, 0, sizeof(its));
	SHOW(timerfd_settime(fd, 0, &its, NULL));
	SHOW(poll_one(fd, POLLIN, 50));
	SHOW(timerfd_create(12345, 0));
	close(fd);
}

static void selects(void)
{
	struct timeval tv = {0, 10000};
	fd_set r, w;
	int p[2];

	SHOW(pipe(p));
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(p[0], &r);
	FD_SET(p[1], &w);
	SHOW(select(p[1] + 1, &r, &w, NULL, &tv));
	HOLDS(!FD_ISSET(p[0], &r) && FD_ISSET(p[1], &w));
	FD_ZERO(&r);
	FD_SET(p[0], &r);
	SHOW(select(p[1] + 1, &r, NULL, NULL, &tv));
	HOLDS(!FD_ISSET(p[0], &r));
	SHOW(write(p[1], "x", 1));
	FD_SET(p[0], &r);
	SHOW(select(p[1] + 1, &r, NULL, NULL, NULL));
	SHOW(select(-1, NULL, NULL, NULL, &tv));
	FD_ZERO(&r);
	FD_SET(50, &r);
	SHOW(select(51, &r, NULL, NULL, &tv));
	SHOW(poll(NULL, 0, 10));
	close(p[0]);
	close(p[1]);
}

int main(void)
{
	pipes();
	eventfds();
	timerfds();
	selects();
	return 0;
}
