/* SPDX-License-Identifier: Apache-2.0 */
/* The same random calls on sockets of AF_UNIX here and on the Linux that runs this test; then descriptors in messages. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../vfs/tests/fs_test.h"

#include "../../poll/poll_priv.h"
#include "../../socket/socket_priv.h"
#include "unix_priv.h"

int kl_signal_send_thread(struct kl_thread *thread, int sig, const void *info);
int kl_signal_mask_once(kl_uaddr mask, size_t bytes);

int kl_signal_send_thread(struct kl_thread *thread, int sig, const void *info)
{
	CHECK(sig == SIGPIPE);
	return 0;
}

int kl_signal_mask_once(kl_uaddr mask, size_t bytes)
{
	return 0;
}

#define STEPS 200000
#define FDS 12

static uint64_t state = 88172645463325252ull;
static struct {
	int a, b;
} fds[FDS];
static char data[3000], mine[3000], other[3000];
static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};

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
	printf("FAIL step %u: %s = %ld, Linux %ld (socket %u)\n", step, what, a, b, i);
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
}

static int address(struct sockaddr_un *un, unsigned n)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	return 2 + 1 + snprintf(un->sun_path + 1, 50, "kl-test-%d-%u", (int)getpid(), n);
}

static void make_pair(unsigned i)
{
	unsigned j = rnd(FDS);
	int type = types[rnd(3)] | SOCK_NONBLOCK, a[2], b[2];

	if (i == j)
		return;
	CHECK(kl_sys_socketpair(AF_UNIX, type, 0, U(a)) == 0 && socketpair(AF_UNIX, type, 0, b) == 0);
	set(i, a[0], b[0]);
	set(j, a[1], b[1]);
}

static void accept_one(unsigned step, unsigned i)
{
	struct sockaddr_un x, y;
	unsigned nx = sizeof(x), ny = sizeof(y);
	long a = kl_sys_accept4(fds[i].a, U(&x), U(&nx), SOCK_NONBLOCK),
	     b = sys(accept4(fds[i].b, (struct sockaddr *)&y, &ny, SOCK_NONBLOCK));

	same(step, "accept", a < 0 ? a : 0, b < 0 ? b : 0, i);
	if (a < 0)
		return;
	same(step, "length of the peer's name", nx, ny, i);
	set(rnd(FDS), (int)a, (int)b);
}

static void check_names(unsigned step, unsigned i)
{
	struct sockaddr_un x, y;
	unsigned nx = sizeof(x), ny = sizeof(y);

	SAME(kl_sys_getpeername(fds[i].a, U(&x), U(&nx)), getpeername(fds[i].b, (struct sockaddr *)&y, &ny));
	same(step, "length of the peer's name", nx, ny, i);
	nx = ny = sizeof(x);
	SAME(kl_sys_getsockname(fds[i].a, U(&x), U(&nx)), getsockname(fds[i].b, (struct sockaddr *)&y, &ny));
	CHECK(nx == ny && memcmp(&x, &y, nx) == 0);
}

static void check_poll(unsigned step)
{
	struct pollfd a[FDS], b[FDS];

	for (unsigned i = 0; i < FDS; i++) {
		a[i] = (struct pollfd){.fd = fds[i].a, .events = POLLIN | POLLOUT | POLLRDHUP};
		b[i] = (struct pollfd){.fd = fds[i].b, .events = POLLIN | POLLOUT | POLLRDHUP};
	}
	kl_sys_poll(U(a), FDS, 0);
	poll(b, FDS, 0);
	for (unsigned i = 0; i < FDS; i++)
		same(step, "revents", a[i].revents, b[i].revents, i);
}

static void transfer(unsigned step, unsigned i)
{
	static const int more[] = {0, 0, 0, MSG_PEEK, MSG_TRUNC, MSG_WAITALL};
	struct sockaddr_un un, x, y;
	unsigned nx = sizeof(x), ny = sizeof(y), n = rnd(600);
	int bytes = address(&un, rnd(3)), flags = MSG_NOSIGNAL;

	for (unsigned k = 0; k < 8; k++)
		data[rnd(sizeof(data))] = (char)rnd(256);
	switch (rnd(5)) {
	case 0:
	case 1:
		SAME(kl_sys_sendto(fds[i].a, U(data), n, flags, 0, 0), sendto(fds[i].b, data, n, flags, NULL, 0));
		break;
	case 2:
		SAME(kl_sys_sendto(fds[i].a, U(data), n, flags, U(&un), bytes),
			sendto(fds[i].b, data, n, flags, (struct sockaddr *)&un, (socklen_t)bytes));
		break;
	default: {
		flags = more[rnd(6)];
		n = rnd(3) == 0 ? rnd(100) : sizeof(mine);
		long got = kl_sys_recvfrom(fds[i].a, U(mine), n, flags, U(&x), U(&nx));
		SAME(got, recvfrom(fds[i].b, other, n, flags, (struct sockaddr *)&y, &ny));
		if (got < 0)
			break;
		same(step, "length of the sender's name", nx, ny, i);
		CHECK(memcmp(&x, &y, nx) == 0 && memcmp(mine, other, (size_t)(got < n ? got : n)) == 0);
	}
	}
}

static void check_options(unsigned step, unsigned i)
{
	int x = 0, y = 0, n = rnd(2);
	unsigned nx = sizeof(x), ny = sizeof(y);

	SAME(kl_sys_ioctl(fds[i].a, FIONREAD, U(&x)), ioctl(fds[i].b, FIONREAD, &y));
	same(step, "FIONREAD", x, y, i);
	x = y = 0;
	SAME(kl_sys_getsockopt(fds[i].a, SOL_SOCKET, SO_ACCEPTCONN, U(&x), U(&nx)),
		getsockopt(fds[i].b, SOL_SOCKET, SO_ACCEPTCONN, &y, &ny));
	same(step, "SO_ACCEPTCONN", x, y, i);
	SAME(kl_sys_getsockopt(fds[i].a, SOL_SOCKET, SO_ERROR, U(&x), U(&nx)),
		getsockopt(fds[i].b, SOL_SOCKET, SO_ERROR, &y, &ny));
	same(step, "SO_ERROR", x, y, i);
	(void)n;
}

static void step_once(unsigned step)
{
	unsigned i = rnd(FDS);
	struct sockaddr_un un;
	int bytes = address(&un, rnd(3)), how = (int)rnd(4);

	switch (rnd(16)) {
	case 0: make_pair(i); break;
	case 1: {
		int type = types[rnd(3)] | SOCK_NONBLOCK;
		set(i, (int)kl_sys_socket(AF_UNIX, type, 0), socket(AF_UNIX, type, 0));
		break;
	}
	case 2:
		SAME(kl_sys_bind(fds[i].a, U(&un), bytes), bind(fds[i].b, (struct sockaddr *)&un, (socklen_t)bytes));
		break;
	case 3: SAME(kl_sys_listen(fds[i].a, how), listen(fds[i].b, how)); break;
	case 4:
		SAME(kl_sys_connect(fds[i].a, U(&un), bytes),
			connect(fds[i].b, (struct sockaddr *)&un, (socklen_t)bytes));
		break;
	case 5: accept_one(step, i); break;
	case 6:
		if (rnd(6) == 0)
			SAME(kl_sys_shutdown(fds[i].a, how), shutdown(fds[i].b, how));
		break;
	case 7: check_names(step, i); break;
	case 8: check_poll(step); break;
	case 9: check_options(step, i); break;
	default: transfer(step, i); break;
	}
}

/* A pipe's end goes through a socket. */
static void test_rights(void)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(3 * sizeof(int))];
	} c;
	struct iovec v = {data, 1};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = CMSG_SPACE(2 * sizeof(int))};
	int s[2], file = (int)kl_sys_open(U("/f"), O_CREAT | O_RDWR, 0600), got[2], on = 1;
	struct ucred cred;
	unsigned n = sizeof(cred);

	CHECK(kl_sys_socketpair(AF_UNIX, SOCK_STREAM, 0, U(s)) == 0 && file >= 0 &&
		kl_sys_write(file, U("content"), 7) == 7);
	c.h = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(2 * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&c.h), (int[]){file, 900}, 8);
	CHECK(kl_sys_sendmsg(s[0], U(&m), 0) == -EBADF);
	memcpy(CMSG_DATA(&c.h), (int[]){file, file}, 8);
	CHECK(kl_sys_sendmsg(s[0], U(&m), 0) == 1 && kl_sys_close(file) == 0);
	v.iov_len = 100;
	CHECK(kl_sys_recvmsg(s[1], U(&m), MSG_CMSG_CLOEXEC) == 1 && c.h.cmsg_type == SCM_RIGHTS &&
		m.msg_controllen == CMSG_SPACE(8));
	memcpy(got, CMSG_DATA(&c.h), 8);
	CHECK(kl_sys_pread64(got[1], U(mine), 100, 0) == 7 && kl_sys_fcntl(got[0], F_GETFD, 0) == FD_CLOEXEC &&
		m.msg_flags == MSG_CMSG_CLOEXEC);
	CHECK(kl_sys_close(got[1]) == 0);
	/* bytes with files end a receive; too little room loses files and says so; what nobody takes is closed */
	m.msg_controllen = CMSG_SPACE(4);
	v.iov_len = 1;
	c.h.cmsg_len = CMSG_LEN(4);
	memcpy(CMSG_DATA(&c.h), &got[0], 4);
	CHECK(kl_sys_write(s[0], U("ab"), 2) == 2 && kl_sys_sendmsg(s[0], U(&m), 0) == 1 &&
		kl_sys_write(s[0], U("cd"), 2) == 2);
	v.iov_len = 100;
	m.msg_controllen = 0;
	CHECK(kl_sys_recvmsg(s[1], U(&m), 0) == 3 && (m.msg_flags & MSG_CTRUNC) != 0);
	CHECK(kl_sys_recvmsg(s[1], U(&m), 0) == 2 && (m.msg_flags & MSG_CTRUNC) == 0);
	CHECK(kl_sys_setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, U(&on), sizeof(on)) == 0 &&
		kl_sys_write(s[0], U("x"), 1) == 1);
	m.msg_controllen = sizeof(c);
	CHECK(kl_sys_recvmsg(s[1], U(&m), 0) == 1 && c.h.cmsg_type == SCM_CREDENTIALS &&
		c.h.cmsg_len == CMSG_LEN(sizeof(cred)));
	CHECK(kl_sys_getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, U(&cred), U(&n)) == 0 && cred.pid == kl_proc()->pid &&
		n == sizeof(cred));
	m.msg_controllen = CMSG_SPACE(4);
	c.h = (struct cmsghdr){.cmsg_len = CMSG_LEN(4), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&c.h), &got[0], 4);
	CHECK(kl_sys_sendmsg(s[0], U(&m), 0) > 0 && kl_sys_close(got[0]) == 0 && kl_sys_close(s[1]) == 0 &&
		kl_sys_close(s[0]) == 0);
	printf("ok descriptors and credentials in messages\n");
}

static void test_paths(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/run.sock"};
	int a = (int)kl_sys_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0),
	    b = (int)kl_sys_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct stat st;

	CHECK(kl_sys_connect(b, U(&un), sizeof(un)) == -ENOENT && kl_sys_bind(a, U(&un), sizeof(un)) == 0);
	CHECK(kl_sys_stat(U("/run.sock"), U(&st)) == 0 && S_ISSOCK(st.st_mode) &&
		kl_sys_bind(b, U(&un), sizeof(un)) == -EADDRINUSE);
	CHECK(kl_sys_connect(b, U(&un), sizeof(un)) == -ECONNREFUSED && kl_sys_listen(a, 5) == 0);
	CHECK(kl_sys_connect(b, U(&un), sizeof(un)) == 0 && kl_sys_write(b, U("hi"), 2) == 2);
	int c = (int)kl_sys_accept(a, 0, 0);
	CHECK(c >= 0 && kl_sys_read(c, U(mine), 10) == 2 && kl_sys_close(a) == 0);
	int d = (int)kl_sys_socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(kl_sys_connect(d, U(&un), sizeof(un)) == -ECONNREFUSED &&
		kl_sys_open(U("/run.sock"), O_RDWR, 0) == -ENXIO);
	CHECK(kl_sys_unlink(U("/run.sock")) == 0 && kl_sys_close(b) == 0 && kl_sys_read(c, U(mine), 10) == 0);
	printf("ok sockets with paths\n");
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	signal(SIGPIPE, SIG_IGN);
	fs_test_empty_root();
	CHECK(kl_unix_init() == 0);
	for (unsigned i = 0; i < FDS; i++)
		fds[i].a = -1;
	for (unsigned i = 0; i < FDS; i++)
		while (fds[i].a < 0)
			make_pair(i);
	for (unsigned step = 0; step < STEPS; step++)
		step_once(step);
	for (unsigned i = 0; i < FDS; i++)
		kl_sys_close(fds[i].a);
	printf("ok %d random calls are as on Linux\n", STEPS);
	test_rights();
	test_paths();
	return 0;
}
