/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same random calls on pipes, event counters, epolls, poll(2) and select(2) here and on the Linux that runs this test. Nothing
 * waits. Reports of epoll_wait(2) are compared as sets.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../vfs/tests/fs_test.h"

#include "../../eventfd/eventfd_priv.h"
#include "../../poll/poll_priv.h"
#include "epoll_priv.h"

int kl_pipe_init(void);
long kl_sys_pipe2(kl_uaddr fds, int flags);
int kl_signal_send_thread(struct kl_thread *thread, int sig, const void *info);
int kl_signal_mask_once(kl_uaddr mask, size_t bytes);

int kl_signal_send_thread(struct kl_thread *thread, int sig, const void *info)
{
	CHECK(thread == kl_current && sig == SIGPIPE && info == NULL);
	return 0;
}

int kl_signal_mask_once(kl_uaddr mask, size_t bytes)
{
	return 0;
}

#define STEPS 100000
#define FDS 14
#define EPOLLS 4

static uint64_t state = 88172645463325252ull;
static struct {
	int a, b; /* descriptor here, on Linux */
} fds[FDS];
static bool counter[FDS];
static char data[5000], mine[5000], other[5000];

static unsigned rnd(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 20) % n;
}

static long sys(long rc)
{
	return rc < 0 ? -errno : rc;
}

static void same(unsigned step, const char *what, long a, long b, unsigned i)
{
	if (a == b)
		return;
	printf("FAIL step %u: %s = %ld, Linux %ld (object %u)\n", step, what, a, b, i);
	exit(1);
}
#define SAME(a, b) same(step, #a, (a), sys(b), i)

static void set(unsigned i, int a, int b)
{
	CHECK(a >= 0 && b >= 0);
	if (fds[i].a >= 0) {
		kl_sys_close(fds[i].a);
		close(fds[i].b);
	}
	fds[i].a = a;
	fds[i].b = b;
	counter[i] = false;
}

static void open_one(unsigned i)
{
	int a[2], b[2];

	if (i < EPOLLS) {
		set(i, (int)kl_sys_epoll_create1(0), epoll_create1(0));
	} else if (rnd(3) == 0) {
		int flags = EFD_NONBLOCK | (rnd(2) ? EFD_SEMAPHORE : 0);
		unsigned v = rnd(3);

		set(i, (int)kl_sys_eventfd2(v, flags), eventfd(v, flags));
		counter[i] = true;
	} else {
		unsigned j = EPOLLS + rnd(FDS - EPOLLS);

		if (i == j)
			return;
		CHECK(kl_sys_pipe2(U(a), O_NONBLOCK) == 0 && pipe2(b, O_NONBLOCK) == 0);
		set(i, a[0], b[0]);
		set(j, a[1], b[1]);
	}
}

static int by_data(const void *a, const void *b)
{
	const struct epoll_event *x = a, *y = b;

	return x->data.u64 < y->data.u64 ? -1 : x->data.u64 > y->data.u64;
}

static void check_wait(unsigned step, unsigned i)
{
	struct epoll_event a[64], b[64];
	long n = kl_sys_epoll_wait(fds[i].a, U(a), 64, 0);

	long m = sys(epoll_wait(fds[i].b, b, 64, 0));

	for (long k = 0; m != n && k < (m > n ? m : n); k++)
		printf("ours %#x %lu, Linux %#x %lu\n", k < n ? a[k].events : 0,
			k < n ? (unsigned long)a[k].data.u64 : 0, k < m ? b[k].events : 0,
			k < m ? (unsigned long)b[k].data.u64 : 0);
	SAME(n, m);
	if (n <= 0)
		return;
	qsort(a, (size_t)n, sizeof(a[0]), by_data);
	qsort(b, (size_t)n, sizeof(b[0]), by_data);
	for (long k = 0; k < n; k++)
		if (a[k].events != b[k].events || a[k].data.u64 != b[k].data.u64) {
			printf("FAIL step %u: epoll_wait reports %#x of %lu, Linux %#x of %lu\n", step, a[k].events,
				(unsigned long)a[k].data.u64, b[k].events, (unsigned long)b[k].data.u64);
			exit(1);
		}
}

static void control(unsigned step, unsigned i)
{
	static const uint32_t bits[] = {
		EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLPRI, EPOLLET, EPOLLONESHOT, EPOLLHUP, EPOLLRDNORM, EPOLLWRNORM};
	static const int ops[] = {EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL, 7};
	unsigned e = rnd(EPOLLS), op = rnd(100) == 0 ? 4 : rnd(4);
	struct epoll_event event = {.data.u64 = i + 100 * step};

	for (unsigned k = rnd(4); k > 0; k--)
		event.events |= bits[rnd(KL_ARRAY_LEN(bits))];
	if (rnd(30) == 0)
		event.events |= EPOLLEXCLUSIVE;
	if (rnd(50) == 0)
		e = i; /* not always an epoll; itself */
	if (getenv("TRACE") != NULL)
		printf("%u: epoll %u op %u object %u events %#x\n", step, e, op, i, event.events);
	SAME(kl_sys_epoll_ctl(fds[e].a, ops[op], fds[i].a, U(&event)), epoll_ctl(fds[e].b, ops[op], fds[i].b, &event));
}

static void check_poll(unsigned step, unsigned i)
{
	struct pollfd a[FDS], b[FDS];
	unsigned n = 1 + rnd(FDS);

	for (unsigned k = 0; k < n; k++) {
		unsigned j = rnd(FDS);
		short events = (short)(rnd(8) | (rnd(2) ? POLLRDNORM : 0) | (rnd(2) ? POLLWRNORM : 0));

		a[k] = (struct pollfd){.fd = fds[j].a, .events = events};
		b[k] = (struct pollfd){.fd = fds[j].b, .events = events};
		if (rnd(30) == 0)
			a[k].fd = b[k].fd = rnd(2) ? -1 : 900;
	}
	long ours = kl_sys_poll(U(a), n, 0), theirs = sys(poll(b, n, 0));

	for (unsigned k = 0; k < n; k++)
		for (unsigned j = 0; j < FDS; j++)
			if (fds[j].a == a[k].fd)
				same(step, "revents", a[k].revents, b[k].revents, j);
	same(step, "poll()", ours, theirs, i);
}

static void check_select(unsigned step, unsigned i)
{
	fd_set a[3], b[3];
	struct timeval tv = {0}, tv2 = {0};
	int which[3][FDS] = {{0}};

	memset(a, 0, sizeof(a));
	memset(b, 0, sizeof(b));
	for (unsigned k = 0; k < 3; k++)
		for (unsigned j = 0; j < FDS; j++) {
			which[k][j] = rnd(2) != 0;
			if (which[k][j]) {
				FD_SET(fds[j].a, &a[k]);
				FD_SET(fds[j].b, &b[k]);
			}
		}
	long m = kl_sys_select(200, U(&a[0]), U(&a[1]), U(&a[2]), U(&tv)),
	     n = sys(select(200, &b[0], &b[1], &b[2], &tv2));
	for (unsigned k = 0; k < 3; k++)
		for (unsigned j = 0; j < FDS; j++)
			same(step,
				k == 0           ? "in"
					: k == 1 ? "out"
						 : "except",
				FD_ISSET(fds[j].a, &a[k]) != 0, FD_ISSET(fds[j].b, &b[k]) != 0, j);
	same(step, "select()", m, n, i);
}

static void step_once(unsigned step)
{
	unsigned i = rnd(FDS), n = rnd(8) == 0 ? rnd(3000) : rnd(20);

	switch (rnd(12)) {
	case 0:
		if (rnd(6) == 0)
			open_one(i);
		break;
	case 1:
	case 2: {
		uint64_t v = rnd(20) == 0 ? UINT64_MAX - rnd(3) : rnd(3);
		memcpy(data, &v, sizeof(v));
		if (counter[i]) /* some versions of Linux refuse more than 8 bytes */
			n = rnd(5) == 0 ? rnd(8) : 8;
		/* Linux's pipes are full earlier when they hold many short pieces: they are kept from filling up here. */
		SAME(kl_sys_write(fds[i].a, U(data), n), write(fds[i].b, data, n));
		break;
	}
	case 3:
	case 4:
	case 5: {
		long got = kl_sys_read(fds[i].a, U(mine), sizeof(mine));
		SAME(got, read(fds[i].b, other, sizeof(other)));
		CHECK(got <= 0 || memcmp(mine, other, (size_t)got) == 0);
		break;
	}
	case 6:
	case 7: control(step, i); break;
	case 8:
	case 9: check_wait(step, rnd(20) == 0 ? i : i % EPOLLS); break;
	case 10: check_poll(step, i); break;
	case 11: check_select(step, i); break;
	}
}

static void test_fill(void)
{
	int a[2], b[2];

	CHECK(kl_sys_pipe2(U(a), O_NONBLOCK) == 0 && pipe2(b, O_NONBLOCK) == 0);
	for (unsigned size = 4096; size <= 262144; size *= 4) {
		CHECK(kl_sys_fcntl(a[0], F_SETPIPE_SZ, size) == fcntl(b[0], F_SETPIPE_SZ, size));
		CHECK(kl_sys_fcntl(a[0], F_GETPIPE_SZ, 0) == (long)size);
		long m, n;

		do {
			m = kl_sys_write(a[1], U(data), 4096);
			n = sys(write(b[1], data, 4096));
			CHECK(m == n);
		} while (m > 0);
		CHECK(m == -EAGAIN && kl_sys_write(a[1], U(data), 1) == -EAGAIN);
	}
	CHECK(kl_sys_fcntl(a[1], F_SETPIPE_SZ, 4096) == -EBUSY && fcntl(b[1], F_SETPIPE_SZ, 4096) == -1);
	while (kl_sys_read(a[0], U(mine), 3333) > 0)
		;
	CHECK(kl_sys_fcntl(a[1], F_SETPIPE_SZ, 4096) == 4096);
	CHECK(kl_sys_write(a[1], U("hello"), 5) == 5 && kl_sys_read(a[0], U(mine), 100) == 5 &&
		memcmp(mine, "hello", 5) == 0);
	kl_sys_close(a[0]);
	CHECK(kl_sys_write(a[1], U("x"), 1) == -EPIPE);
	kl_sys_close(a[1]);
	printf("ok pipes fill up as on Linux\n");
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	signal(SIGPIPE, SIG_IGN);
	fs_test_empty_root();
	CHECK(kl_pipe_init() == 0 && kl_epoll_init() == 0);
	for (unsigned i = 0; i < FDS; i++)
		fds[i].a = -1;
	for (unsigned i = 0; i < FDS; i++)
		while (fds[i].a < 0)
			open_one(i);
	for (unsigned step = 0; step < STEPS; step++)
		step_once(step);
	for (unsigned i = 0; i < FDS; i++)
		kl_sys_close(fds[i].a);
	printf("ok %d random calls are as on Linux\n", STEPS);
	test_fill();
	return 0;
}
