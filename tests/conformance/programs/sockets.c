/* SPDX-License-Identifier: Apache-2.0 */
/* socket(7) over loopback: TCP, UDP, UNIX. */
#include "check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_in here;
static socklen_t here_bytes = sizeof(here);

static int listener(int backlog)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (void *)&any, sizeof(any)) < 0 || listen(fd, backlog) < 0)
		abort();
	here_bytes = sizeof(here);
	getsockname(fd, (void *)&here, &here_bytes);
	return fd;
}

static int connected(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return connect(fd, (void *)&here, sizeof(here)) < 0 ? -1 : fd;
}

static int revents(int fd, short events, int timeout)
{
	struct pollfd p = {.fd = fd, .events = events};

	poll(&p, 1, timeout);
	return p.revents;
}

static void tcp(void)
{
	int server = listener(5), client, peer, v;
	socklen_t n = sizeof(v);
	struct sockaddr_in addr;
	char buf[16] = "";

	SHOW(here.sin_port != 0);
	SHOW(fcntl(server, F_SETFL, O_NONBLOCK));
	SHOW(accept(server, NULL, NULL));
	SHOW(revents(server, POLLIN, 0));
	client = connected();
	HOLDS(client >= 0);
	SHOW(revents(server, POLLIN, 1000));
	n = sizeof(addr);
	peer = accept4(server, (void *)&addr, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
	HOLDS(peer >= 0 && n == sizeof(addr) && addr.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
	SHOW(fcntl(peer, F_GETFL) & O_NONBLOCK);
	SHOW(read(peer, buf, 4));
	SHOW(write(client, "hello", 5));
	SHOW(revents(peer, POLLIN | POLLOUT, 1000));
	SHOW(recv(peer, buf, 2, MSG_PEEK));
	SHOW(recv(peer, buf, sizeof(buf), 0));
	printf("%s\n", buf);
	SHOW(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
	n = sizeof(v);
	SHOW(getsockopt(client, IPPROTO_TCP, TCP_NODELAY, &v, &n));
	SHOW(v);
	n = sizeof(v);
	SHOW(getsockopt(client, SOL_SOCKET, SO_TYPE, &v, &n));
	SHOW(v);
	n = sizeof(v);
	SHOW(getsockopt(client, SOL_SOCKET, SO_ERROR, &v, &n));
	SHOW(v);
	SHOW(setsockopt(client, SOL_SOCKET, SO_REUSEADDR, &(int){1}, 1));
	SHOW(setsockopt(client, SOL_SOCKET, 9999, &(int){1}, sizeof(int)));
	SHOW(connect(client, (void *)&here, sizeof(here)));
	SHOW(shutdown(client, SHUT_WR));
	SHOW(revents(peer, POLLIN | POLLRDHUP, 1000));
	SHOW(read(peer, buf, 4));
	SHOW(write(peer, "bye", 3));
	SHOW(read(client, buf, sizeof(buf)));
	SHOW(close(peer));
	SHOW(read(client, buf, sizeof(buf)));
	SHOW(send(client, "x", 1, MSG_NOSIGNAL));
	SHOW(close(client));
	SHOW(close(server));
	client = connected();
	SHOW(client);
	HOLDS(errno == ECONNREFUSED);
}

static void resets(void)
{
	int server = listener(1), client = connected(), peer = accept(server, NULL, NULL);
	struct linger linger = {1, 0};
	char c;

	SHOW(setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	SHOW(close(peer));
	SHOW(revents(client, POLLIN, 1000) & (POLLIN | POLLHUP | POLLERR));
	SHOW(read(client, &c, 1));
	SHOW(read(client, &c, 1));
	signal(SIGPIPE, SIG_IGN);
	SHOW(write(client, &c, 1));
	SHOW(bind(client, (void *)&here, 3));
	SHOW(listen(client, 1) == 0 || errno == EINVAL);
	close(client);
	close(server);
}

static void nonblocking_connect(void)
{
	int server = listener(1), client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), v;
	socklen_t n = sizeof(v);
	int r = connect(client, (void *)&here, sizeof(here));

	HOLDS(r == 0 || errno == EINPROGRESS);
	SHOW(revents(client, POLLOUT, 1000));
	SHOW(getsockopt(client, SOL_SOCKET, SO_ERROR, &v, &n));
	SHOW(v);
	close(client);
	close(server);
	client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	r = connect(client, (void *)&here, sizeof(here));
	HOLDS(r == -1 && (errno == EINPROGRESS || errno == ECONNREFUSED));
	close(client);
}

#define BULK (4 << 20)

static void *send_bulk(void *arg)
{
	static unsigned char block[65536];
	int fd = *(int *)arg;
	long sent = 0;

	while (sent < BULK) {
		ssize_t n;

		for (size_t i = 0; i < sizeof(block); i++)
			block[i] = (unsigned char)((sent + (long)i) * 31 >> 3);
		n = write(fd, block, sizeof(block));
		if (n <= 0)
			break;
		sent += n;
	}
	shutdown(fd, SHUT_WR);
	return NULL;
}

static void bulk(int reader, int writer)
{
	static unsigned char block[40000];
	long got = 0, wrong = 0;
	ssize_t n;
	pthread_t t;

	pthread_create(&t, NULL, send_bulk, &writer);
	while ((n = read(reader, block, sizeof(block))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			wrong += block[i] != (unsigned char)((got + i) * 31 >> 3);
		got += n;
	}
	pthread_join(t, NULL);
	SHOW(got);
	SHOW(wrong);
}

static void bulk_tcp(void)
{
	int server = listener(1), client = connected(), peer = accept(server, NULL, NULL);

	bulk(peer, client);
	close(client);
	close(peer);
	close(server);
}

static void udp(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, from;
	int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t n = sizeof(from);
	char buf[8] = "";

	SHOW(bind(a, (void *)&any, sizeof(any)));
	getsockname(a, (void *)&any, &n);
	SHOW(bind(b, (void *)&any, sizeof(any)));
	SHOW(send(b, "x", 1, 0));
	SHOW(sendto(b, "first", 5, 0, (void *)&any, sizeof(any)));
	SHOW(sendto(b, "", 0, 0, (void *)&any, sizeof(any)));
	SHOW(sendto(b, "a long one", 10, 0, (void *)&any, sizeof(any)));
	n = sizeof(from);
	SHOW(recvfrom(a, buf, sizeof(buf), 0, (void *)&from, &n));
	printf("%s\n", buf);
	SHOW(recv(a, buf, sizeof(buf), 0));
	SHOW(recv(a, buf, sizeof(buf), MSG_TRUNC));
	SHOW(recv(a, buf, sizeof(buf), MSG_DONTWAIT));
	SHOW(connect(b, (void *)&any, sizeof(any)));
	SHOW(send(b, "x", 1, 0));
	SHOW(connect(a, (void *)&from, sizeof(from)));
	SHOW(write(a, "back", 4));
	SHOW(read(b, buf, sizeof(buf)));
	SHOW(revents(b, POLLIN, 0));
	SHOW(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0, 20000}, sizeof(struct timeval)));
	SHOW(recv(a, buf, 1, 0));
	SHOW(recv(a, buf, 1, 0));
	close(a);
	close(b);
}

static void unix_sockets(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "/tmp/sock"};
	int pair[2], server, client, peer, pass[2];
	char buf[8] = "", control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {"m", 1};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg;

	SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	bulk(pair[0], pair[1]);
	close(pair[0]);
	close(pair[1]);
	SHOW(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	SHOW(write(pair[0], "ab", 2));
	SHOW(write(pair[0], "cde", 3));
	SHOW(read(pair[1], buf, sizeof(buf)));
	SHOW(read(pair[1], buf, 1));
	close(pair[0]);
	SHOW(read(pair[1], buf, 1));
	close(pair[1]);

	unlink(addr.sun_path);
	server = socket(AF_UNIX, SOCK_STREAM, 0);
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	SHOW(connect(client, (void *)&addr, sizeof(addr)));
	SHOW(bind(server, (void *)&addr, sizeof(addr)));
	SHOW(connect(client, (void *)&addr, sizeof(addr)));
	SHOW(listen(server, 2));
	SHOW(connect(client, (void *)&addr, sizeof(addr)));
	peer = accept(server, NULL, NULL);
	HOLDS(peer >= 0);
	SHOW(pipe(pass));
	cmsg = CMSG_FIRSTHDR(&msg);
	*cmsg = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(cmsg), &pass[1], sizeof(int));
	SHOW(sendmsg(client, &msg, 0));
	close(pass[1]);
	memset(control, 0, sizeof(control));
	iov = (struct iovec){buf, sizeof(buf)};
	SHOW(recvmsg(peer, &msg, 0));
	memcpy(&pass[1], CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	SHOW(write(pass[1], "through", 7));
	SHOW(read(pass[0], buf, 7));
	printf("%.7s\n", buf);
	SHOW(bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&addr, sizeof(addr)));
	unlink(addr.sun_path);
	close(server);
	close(client);
	close(peer);
}

static void errors(void)
{
	struct sockaddr_in far = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x08080808), .sin_port = htons(9)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), p[2];

	SHOW(socket(99, SOCK_STREAM, 0));
	SHOW(socket(AF_INET, 77, 0));
	SHOW(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
	SHOW(bind(fd, (void *)&far, sizeof(far)));
	SHOW(accept(fd, NULL, NULL));
	SHOW(read(fd, p, 1));
	SHOW(shutdown(fd, SHUT_RD));
	SHOW(getpeername(fd, (void *)&far, &(socklen_t){sizeof(far)}));
	SHOW(pipe(p));
	SHOW(bind(p[0], (void *)&far, sizeof(far)));
	SHOW(send(1000, "x", 1, 0));
	close(fd);
}

static void *end_accept(void *arg)
{
	usleep(50000);
	SHOW(shutdown(*(int *)arg, SHUT_RDWR));
	return NULL;
}

static void *write_rest(void *arg)
{
	for (int i = 0; i < 2; i++) {
		usleep(50000);
		(void)!write(*(int *)arg, "0123456789", 10);
	}
	return NULL;
}

/* What other threads do while one waits. */
static void waits(void)
{
	int fd = listener(4), client, peer;
	pthread_t thread;
	char buf[32] = "";

	client = connected();
	peer = accept(fd, NULL, NULL);
	pthread_create(&thread, NULL, write_rest, &client);
	SHOW(write(client, "abcdefghij", 10));
	SHOW(recv(peer, buf, 25, MSG_PEEK | MSG_WAITALL));
	printf("%s\n", buf);
	pthread_join(thread, NULL);
	SHOW(recv(peer, buf, 31, 0));
	printf("%s\n", buf);
	pthread_create(&thread, NULL, end_accept, &fd);
	SHOW(accept(fd, NULL, NULL));
	pthread_join(thread, NULL);
	SHOW(accept(fd, NULL, NULL));
	SHOW(revents(fd, POLLIN, 0));
	SHOW(listen(fd, 4));
	close(fd);
	close(client);
	close(peer);
}

int main(void)
{
	tcp();
	resets();
	nonblocking_connect();
	bulk_tcp();
	udp();
	unix_sockets();
	waits();
	errors();
	return 0;
}
