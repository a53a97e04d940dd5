/* SPDX-License-Identifier: Apache-2.0 */
/* epoll(7): level and edge triggered, one-shot, nested, closed descriptors. */
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static int add(int ep, int fd, unsigned events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static int modify(int ep, int fd, unsigned events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
}

/* How many are ready; *which: the events of the first. */
static int ready(int ep, unsigned *which)
{
	struct epoll_event ev[8];
	int n = epoll_wait(ep, ev, 8, 0);

	*which = n > 0 ? ev[0].events : 0;
	return n;
}

static void levels(void)
{
	unsigned which;
	int ep = epoll_create1(EPOLL_CLOEXEC), p[2];
	char c;

	SHOW(pipe2(p, O_NONBLOCK));
	SHOW(add(ep, p[0], EPOLLIN));
	SHOW(add(ep, p[0], EPOLLIN));
	SHOW(ready(ep, &which));
	SHOW(write(p[1], "ab", 2));
	SHOW(ready(ep, &which));
	SHOW(which);
	SHOW(ready(ep, &which));
	SHOW(read(p[0], &c, 1));
	SHOW(ready(ep, &which));
	SHOW(read(p[0], &c, 1));
	SHOW(ready(ep, &which));

	SHOW(modify(ep, p[0], EPOLLIN | EPOLLET));
	SHOW(write(p[1], "ab", 2));
	SHOW(ready(ep, &which));
	SHOW(ready(ep, &which));
	SHOW(write(p[1], "c", 1));
	SHOW(ready(ep, &which));
	SHOW(ready(ep, &which));

	SHOW(modify(ep, p[0], EPOLLIN | EPOLLONESHOT));
	SHOW(ready(ep, &which));
	SHOW(ready(ep, &which));
	SHOW(modify(ep, p[0], EPOLLIN | EPOLLONESHOT));
	SHOW(ready(ep, &which));

	SHOW(modify(ep, p[0], EPOLLIN));
	close(p[1]);
	SHOW(ready(ep, &which));
	SHOW(which);
	close(p[0]);
	SHOW(ready(ep, &which));
	SHOW(modify(ep, p[0], EPOLLIN));
	close(ep);
}

static void errors(void)
{
	struct epoll_event ev;
	int ep = epoll_create(1), other = epoll_create1(0), file = open("/tmp/ep", O_RDWR | O_CREAT, 0600), p[2];
	unsigned which;

	SHOW(epoll_create(0));
	SHOW(add(ep, file, EPOLLIN));
	SHOW(add(ep, ep, EPOLLIN));
	SHOW(add(ep, 1000, EPOLLIN));
	SHOW(add(file, ep, EPOLLIN));
	SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, file, &ev));
	SHOW(epoll_wait(ep, &ev, 0, 0));
	SHOW(epoll_wait(file, &ev, 1, 0));
	SHOW(epoll_wait(ep, (struct epoll_event *)8, 1, 0));
	SHOW(add(ep, other, EPOLLIN));
	SHOW(add(other, ep, EPOLLIN));
	SHOW(pipe(p));
	SHOW(add(other, p[0], EPOLLIN));
	SHOW(ready(ep, &which));
	SHOW(write(p[1], "x", 1));
	SHOW(ready(ep, &which));
	unlink("/tmp/ep");
}

static void *writer(void *arg)
{
	usleep(30000);
	if (write(*(int *)arg, "x", 1) != 1)
		abort();
	return NULL;
}

static void waits(void)
{
	struct epoll_event ev;
	int ep = epoll_create1(0), p[2];
	pthread_t t;

	SHOW(pipe(p));
	SHOW(add(ep, p[0], EPOLLIN));
	SHOW(epoll_wait(ep, &ev, 1, 20));
	pthread_create(&t, NULL, writer, &p[1]);
	SHOW(epoll_wait(ep, &ev, 1, -1));
	HOLDS(ev.data.fd == p[0] && ev.events == EPOLLIN);
	pthread_join(t, NULL);
	SHOW(add(ep, p[1], EPOLLOUT));
	SHOW(epoll_wait(ep, &ev, 1, 0));
	SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL));
	SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL));
}

static int shared_ep, got;

static void ignore(int sig)
{
	(void)sig;
}

static void *waiter(void *arg)
{
	struct timespec start, end;
	struct epoll_event ev;

	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &start);
	if (epoll_wait(shared_ep, &ev, 1, 2000) == 1) {
		clock_gettime(CLOCK_MONOTONIC, &end);
		if (end.tv_sec - start.tv_sec < 2)
			got++;
	}
	return NULL;
}

/* Two threads wait; the first is woken for an event, and interrupted. The event must reach one of them. */
static void interrupted_waiter(void)
{
	struct sigaction action = {.sa_handler = ignore};
	pthread_t a, b;
	int p[2];

	sigaction(SIGUSR1, &action, NULL);
	SHOW(pipe(p));
	shared_ep = epoll_create1(0);
	SHOW(add(shared_ep, p[0], EPOLLIN | EPOLLET));
	pthread_create(&a, NULL, waiter, NULL);
	usleep(20000);
	pthread_create(&b, NULL, waiter, NULL);
	usleep(20000);
	SHOW(write(p[1], "x", 1));
	pthread_kill(a, SIGUSR1);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	HOLDS(got == 1);
	close(shared_ep);
}

/* Chains of epolls, built from the top and from the bottom. */
static void nesting(void)
{
	int ep[7];

	for (int up = 0; up < 2; up++) {
		for (int i = 0; i < 7; i++)
			ep[i] = epoll_create1(0);
		for (int i = 0; i < 6; i++)
			SHOW(add(ep[up ? 5 - i : i], ep[up ? 6 - i : i + 1], EPOLLIN));
		SHOW(add(ep[6], ep[5], EPOLLIN));
		for (int i = 0; i < 7; i++)
			close(ep[i]);
	}
}

int main(void)
{
	levels();
	errors();
	waits();
	interrupted_waiter();
	nesting();
	return 0;
}
