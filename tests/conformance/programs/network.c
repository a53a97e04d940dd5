/* SPDX-License-Identifier: Apache-2.0 */
/* Corners of AF_INET sockets over loopback: options, half-open states, messages, readiness, names. */
#include "check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static struct sockaddr_in here;
static char buf[300000];

static int bound(int type, int port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = port};
	socklen_t n = sizeof(here);
	int fd = socket(AF_INET, type, 0);

	if (bind(fd, (void *)&addr, sizeof(addr)) < 0) {
		close(fd);
		return -1;
	}
	getsockname(fd, (void *)&here, &n);
	return fd;
}

static void pair(int *server, int *client, int *peer)
{
	*server = bound(SOCK_STREAM, 0);
	listen(*server, 8);
	*client = socket(AF_INET, SOCK_STREAM, 0);
	connect(*client, (void *)&here, sizeof(here));
	*peer = accept(*server, NULL, NULL);
}

static int revents(int fd, short events, int timeout)
{
	struct pollfd p = {.fd = fd, .events = events};

	poll(&p, 1, timeout);
	return p.revents;
}

static int option(int fd, int level, int name)
{
	int v = -77;
	socklen_t n = sizeof(v);

	return getsockopt(fd, level, name, &v, &n) < 0 ? -1 : v;
}

static int set(int fd, int level, int name, int v)
{
	return setsockopt(fd, level, name, &v, sizeof(v));
}

static void options(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
	struct timeval time = {1, 500000};
	struct linger linger;
	socklen_t n;
	char c;

	SHOW(option(fd, SOL_SOCKET, SO_DOMAIN));
	SHOW(option(fd, SOL_SOCKET, SO_PROTOCOL));
	SHOW(option(udp, SOL_SOCKET, SO_PROTOCOL));
	SHOW(option(udp, SOL_SOCKET, SO_TYPE));
	SHOW(option(fd, SOL_SOCKET, SO_ACCEPTCONN));
	SHOW(option(fd, SOL_SOCKET, SO_REUSEADDR));
	SHOW(set(fd, SOL_SOCKET, SO_REUSEADDR, 5));
	SHOW(option(fd, SOL_SOCKET, SO_REUSEADDR));
	SHOW(set(fd, SOL_SOCKET, SO_KEEPALIVE, 1));
	SHOW(option(fd, SOL_SOCKET, SO_KEEPALIVE));
	SHOW(set(fd, SOL_SOCKET, SO_RCVBUF, 10000));
	SHOW(option(fd, SOL_SOCKET, SO_RCVBUF));
	SHOW(set(fd, SOL_SOCKET, SO_SNDBUF, 20000));
	SHOW(option(fd, SOL_SOCKET, SO_SNDBUF));
	SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)));
	n = sizeof(time);
	memset(&time, 0, sizeof(time));
	SHOW(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, &n));
	HOLDS(time.tv_sec == 1 && time.tv_usec == 500000 && n == sizeof(time));
	time.tv_usec = 1000000;
	SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)));
	SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, 4));
	linger = (struct linger){7, 3};
	SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	n = sizeof(linger);
	SHOW(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &n));
	HOLDS(linger.l_onoff == 1 && linger.l_linger == 3);
	SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, 4));
	SHOW(set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 100));
	SHOW(option(fd, IPPROTO_TCP, TCP_KEEPIDLE));
	SHOW(option(fd, IPPROTO_TCP, TCP_KEEPINTVL));
	SHOW(option(fd, IPPROTO_TCP, TCP_KEEPCNT));
	SHOW(set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 0));
	SHOW(set(fd, IPPROTO_TCP, TCP_KEEPCNT, 128));
	SHOW(set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 40000));
	SHOW(set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, -1));
	SHOW(set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000));
	SHOW(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT));
	SHOW(option(fd, IPPROTO_TCP, TCP_NODELAY));
	SHOW(option(fd, IPPROTO_TCP, TCP_CORK));
	SHOW(set(fd, IPPROTO_TCP, TCP_CORK, 1));
	SHOW(option(fd, IPPROTO_TCP, TCP_CORK));
	SHOW(set(fd, IPPROTO_TCP, 9999, 1));
	SHOW(option(fd, IPPROTO_TCP, 9999));
	SHOW(set(fd, IPPROTO_TCP, TCP_MAXSEG, 10));
	SHOW(set(udp, IPPROTO_TCP, TCP_NODELAY, 1));
	SHOW(set(fd, IPPROTO_IP, IP_TTL, 33));
	SHOW(option(fd, IPPROTO_IP, IP_TTL));
	SHOW(set(fd, IPPROTO_IP, IP_TTL, 256));
	SHOW(set(fd, IPPROTO_IP, IP_TTL, 0));
	c = 40;
	SHOW(setsockopt(fd, IPPROTO_IP, IP_TTL, &c, 1));
	SHOW(option(fd, IPPROTO_IP, IP_TTL));
	SHOW(set(fd, IPPROTO_IP, IP_TOS, 0x10));
	SHOW(option(fd, IPPROTO_IP, IP_TOS));
	SHOW(option(udp, IPPROTO_IP, IP_MULTICAST_TTL));
	SHOW(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &c, 1));
	SHOW(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, (void *)8, sizeof(int)));
	SHOW(setsockopt(fd, 4711, 1, &c, 1));
	n = 2;
	SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, &c, (socklen_t *)8));
	SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, buf, &n));
	SHOW(n);
	n = -1;
	SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, buf, &n));
	close(fd);
	close(udp);
}

static void binding(void)
{
	int a = bound(SOCK_STREAM, 0), b, port = here.sin_port;
	struct sockaddr_in addr = here;

	HOLDS(a >= 0 && ntohs(port) >= 1024);
	SHOW(bind(a, (void *)&addr, sizeof(addr)));
	b = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(bind(b, (void *)&addr, sizeof(addr)));
	addr.sin_addr.s_addr = htonl(INADDR_ANY);
	SHOW(bind(b, (void *)&addr, sizeof(addr)));
	addr.sin_addr.s_addr = htonl(0x7f000002);
	SHOW(bind(b, (void *)&addr, sizeof(addr)));
	close(b);
	/* Both with SO_REUSEADDR, until one listens. */
	set(a, SOL_SOCKET, SO_REUSEADDR, 1);
	b = socket(AF_INET, SOCK_STREAM, 0);
	set(b, SOL_SOCKET, SO_REUSEADDR, 1);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	SHOW(bind(b, (void *)&addr, sizeof(addr)));
	SHOW(listen(a, 1));
	SHOW(listen(b, 1));
	close(b);
	b = socket(AF_INET, SOCK_STREAM, 0);
	set(b, SOL_SOCKET, SO_REUSEADDR, 1);
	SHOW(bind(b, (void *)&addr, sizeof(addr)));
	close(b);
	close(a);
	/* SO_REUSEPORT: several listeners. */
	a = socket(AF_INET, SOCK_STREAM, 0);
	b = socket(AF_INET, SOCK_STREAM, 0);
	set(a, SOL_SOCKET, SO_REUSEPORT, 1);
	set(b, SOL_SOCKET, SO_REUSEPORT, 1);
	SHOW(bind(a, (void *)&addr, sizeof(addr)));
	SHOW(bind(b, (void *)&addr, sizeof(addr)));
	SHOW(listen(a, 1));
	SHOW(listen(b, 1));
	close(a);
	close(b);
	addr.sin_family = AF_UNIX;
	a = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(bind(a, (void *)&addr, sizeof(addr)));
	SHOW(bind(a, (void *)&addr, -1));
	SHOW(bind(a, (void *)8, sizeof(addr)));
	SHOW(connect(a, (void *)&addr, sizeof(addr)));
	SHOW(connect(a, (void *)&addr, 1));
	close(a);
	SHOW(listen(0, 1));
	a = socket(AF_INET, SOCK_DGRAM, 0);
	SHOW(listen(a, 1));
	SHOW(accept(a, NULL, NULL));
	close(a);
}

static void fresh_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), v = -1;
	struct stat st;

	signal(SIGPIPE, SIG_IGN);
	SHOW(revents(fd, POLLIN | POLLOUT, 0));
	SHOW(write(fd, "x", 1));
	SHOW(read(fd, buf, 1));
	SHOW(shutdown(fd, SHUT_WR));
	SHOW(shutdown(fd, 7));
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(fstat(fd, &st));
	HOLDS(S_ISSOCK(st.st_mode));
	SHOW(ioctl(fd, FIONREAD, &v));
	SHOW(v);
	SHOW(accept4(fd, NULL, NULL, 1));
	SHOW(listen(fd, 1));
	SHOW(connect(fd, (void *)&here, sizeof(here)));
	SHOW(read(fd, buf, 1));
	SHOW(revents(fd, POLLIN | POLLOUT, 0));
	SHOW(option(fd, SOL_SOCKET, SO_ACCEPTCONN));
	SHOW(shutdown(fd, SHUT_RD));
	SHOW(option(fd, SOL_SOCKET, SO_ACCEPTCONN));
	close(fd);
}

static void half_closed(void)
{
	int server, client, peer;

	pair(&server, &client, &peer);
	SHOW(revents(client, POLLIN | POLLOUT | POLLRDHUP, 0));
	SHOW(shutdown(peer, SHUT_WR));
	SHOW(revents(client, POLLIN | POLLOUT | POLLRDHUP, 500));
	SHOW(revents(peer, POLLIN | POLLOUT | POLLRDHUP, 0));
	SHOW(write(peer, "x", 1));
	SHOW(read(client, buf, 10));
	SHOW(read(client, buf, 10));
	SHOW(write(client, "still", 5));
	SHOW(read(peer, buf, 10));
	SHOW(shutdown(client, SHUT_WR));
	SHOW(revents(peer, POLLIN | POLLOUT | POLLRDHUP, 500));
	SHOW(read(peer, buf, 10));
	SHOW(revents(client, POLLIN | POLLOUT | POLLRDHUP, 500));
	close(peer);
	SHOW(shutdown(client, SHUT_WR) == 0 || errno == ENOTCONN);
	close(client);
	close(server);

	pair(&server, &client, &peer);
	SHOW(shutdown(client, SHUT_RD));
	SHOW(read(client, buf, 1));
	SHOW(revents(client, POLLIN | POLLOUT | POLLRDHUP, 0));
	SHOW(write(client, "out", 3));
	SHOW(read(peer, buf, 10));
	close(client);
	close(peer);
	close(server);
}

static void unread_data_resets(void)
{
	int server, client, peer;

	pair(&server, &client, &peer);
	write(client, "unread", 6);
	revents(peer, POLLIN, 500);
	close(peer);
	SHOW(revents(client, POLLIN, 500) & (POLLERR | POLLHUP | POLLIN));
	SHOW(option(client, SOL_SOCKET, SO_ERROR));
	SHOW(option(client, SOL_SOCKET, SO_ERROR));
	SHOW(read(client, buf, 1));
	SHOW(write(client, "x", 1));
	close(client);
	close(server);
}

static void messages(void)
{
	int server, client, peer, v;
	struct iovec out[3] = {{"ab", 2}, {"", 0}, {"cdef", 4}}, in[2] = {{buf, 3}, {buf + 10, 10}};
	struct msghdr msg = {.msg_iov = out, .msg_iovlen = 3};
	struct sockaddr_in name;

	pair(&server, &client, &peer);
	SHOW(sendmsg(client, &msg, 0));
	SHOW(revents(peer, POLLIN, 500));
	SHOW(ioctl(peer, FIONREAD, &v));
	SHOW(v);
	msg = (struct msghdr){.msg_iov = in, .msg_iovlen = 2, .msg_name = &name, .msg_namelen = sizeof(name)};
	SHOW(recvmsg(peer, &msg, MSG_PEEK));
	SHOW(recvmsg(peer, &msg, 0));
	HOLDS(memcmp(buf, "abc", 3) == 0 && memcmp(buf + 10, "def", 3) == 0);
	SHOW(msg.msg_namelen);
	SHOW(msg.msg_flags);
	SHOW(recv(peer, buf, 1, MSG_DONTWAIT));
	SHOW(recv(peer, buf, 1, MSG_OOB));
	SHOW(recv(peer, buf, 0, MSG_DONTWAIT));
	SHOW(read(peer, buf, 0));
	SHOW(send(client, "", 0, 0));
	SHOW(send(client, (void *)8, 5, 0));
	SHOW(send(client, "12345", 5, MSG_MORE));
	SHOW(send(client, "678", 3, 0));
	SHOW(recv(peer, buf, 8, MSG_WAITALL));
	SHOW(write(client, "discard", 7));
	revents(peer, POLLIN, 500);
	SHOW(recv(peer, NULL, 4, MSG_TRUNC));
	SHOW(recv(peer, buf, 10, 0));
	HOLDS(memcmp(buf, "ard", 3) == 0);
	SHOW(writev(client, out, 3));
	SHOW(readv(peer, in, 2) > 0);
	msg.msg_iovlen = 1025;
	SHOW(sendmsg(client, &msg, 0));
	SHOW(sendmsg(client, (void *)8, 0));
	SHOW(set(peer, SOL_SOCKET, SO_RCVLOWAT, 4));
	SHOW(write(client, "abc", 3));
	SHOW(revents(peer, POLLIN, 30));
	SHOW(write(client, "d", 1));
	SHOW(revents(peer, POLLIN, 500));
	close(client);
	close(peer);
	close(server);
}

static void full_buffers(void)
{
	int server, client, peer;
	long sent = 0, got = 0;
	ssize_t n;

	pair(&server, &client, &peer);
	fcntl(client, F_SETFL, O_NONBLOCK);
	while ((n = write(client, buf, sizeof(buf))) > 0)
		sent += n;
	HOLDS(n == -1 && errno == EAGAIN && sent > 0);
	usleep(20000); /* what was still on its way makes room */
	while ((n = write(client, buf, sizeof(buf))) > 0)
		sent += n;
	SHOW(revents(client, POLLOUT, 0));
	while (got < sent && (n = read(peer, buf, sizeof(buf))) > 0)
		got += n;
	HOLDS(got == sent);
	SHOW(revents(client, POLLOUT, 500));
	close(client);
	close(peer);
	close(server);
}

static void edge_triggered(void)
{
	int server, client, peer, ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP};

	pair(&server, &client, &peer);
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, peer, &ev));
	SHOW(epoll_wait(ep, &ev, 1, 100));
	SHOW(ev.events);
	SHOW(epoll_wait(ep, &ev, 1, 30));
	SHOW(write(client, "x", 1));
	SHOW(epoll_wait(ep, &ev, 1, 500));
	SHOW(ev.events);
	SHOW(epoll_wait(ep, &ev, 1, 30));
	SHOW(write(client, "y", 1));
	SHOW(epoll_wait(ep, &ev, 1, 500));
	SHOW(close(client));
	SHOW(epoll_wait(ep, &ev, 1, 500));
	SHOW(ev.events);
	close(peer);
	close(server);
	close(ep);
}

static void *accept_one(void *arg)
{
	static int fd;

	usleep(30000);
	fd = accept(*(int *)arg, NULL, NULL);
	write(fd, "served", 6);
	return &fd;
}

static void blocking(void)
{
	int server = bound(SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	struct timeval time = {0, 30000};
	pthread_t t;
	void *fd;

	listen(server, 1);
	setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
	SHOW(accept(server, NULL, NULL));
	time.tv_usec = 0;
	setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
	pthread_create(&t, NULL, accept_one, &server);
	SHOW(connect(client, (void *)&here, sizeof(here)));
	SHOW(recv(client, buf, 6, MSG_WAITALL));
	pthread_join(t, &fd);
	time.tv_usec = 30000;
	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
	SHOW(read(client, buf, 1));
	close(*(int *)fd);
	SHOW(read(client, buf, 1));
	close(client);
	close(server);
}

static void datagrams(void)
{
	int a = bound(SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0), v;
	struct sockaddr_in to = here, from = {0};
	struct iovec iov = {buf, 100};
	char control[100];
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg;
	struct mmsghdr many[3];
	struct iovec iovs[3];

	SHOW(revents(a, POLLIN | POLLOUT, 0));
	SHOW(send(b, "x", 1, 0));
	SHOW(sendto(b, buf, 65508, 0, (void *)&to, sizeof(to)));
	SHOW(sendto(b, buf, 65507, 0, (void *)&to, sizeof(to)));
	SHOW(recv(a, buf, sizeof(buf), 0));
	SHOW(set(a, IPPROTO_IP, IP_PKTINFO, 1));
	SHOW(sendto(b, "info", 4, 0, (void *)&to, sizeof(to)));
	SHOW(recvmsg(a, &msg, 0));
	cmsg = CMSG_FIRSTHDR(&msg);
	HOLDS(cmsg != NULL && cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_PKTINFO);
	HOLDS(cmsg != NULL && ((struct in_pktinfo *)CMSG_DATA(cmsg))->ipi_addr.s_addr == htonl(INADDR_LOOPBACK));
	SHOW(msg.msg_namelen);
	SHOW(set(a, IPPROTO_IP, IP_PKTINFO, 0));
	SHOW(sendto(b, "too long", 8, 0, (void *)&to, sizeof(to)));
	iov.iov_len = 3;
	msg.msg_controllen = sizeof(control);
	SHOW(recvmsg(a, &msg, 0));
	SHOW(msg.msg_flags & MSG_TRUNC);
	SHOW(msg.msg_controllen);
	for (int i = 0; i < 3; i++) {
		iovs[i] = (struct iovec){buf + 100 * i, 10 + (size_t)i};
		many[i] = (struct mmsghdr){
			.msg_hdr = {.msg_iov = &iovs[i], .msg_iovlen = 1, .msg_name = &to, .msg_namelen = sizeof(to)}};
	}
	SHOW(sendmmsg(b, many, 3, 0));
	for (int i = 0; i < 3; i++) {
		iovs[i].iov_len = 100;
		many[i].msg_hdr.msg_name = NULL;
	}
	SHOW(recvmmsg(a, many, 3, MSG_DONTWAIT, NULL));
	SHOW(many[0].msg_len * 10000 + many[1].msg_len * 100 + many[2].msg_len);
	SHOW(recvmmsg(a, many, 3, MSG_DONTWAIT, NULL));
	SHOW(ioctl(a, FIONREAD, &v));
	SHOW(v);
	/* Connected: only from there; errors come back. */
	SHOW(connect(a, (void *)&from, sizeof(from)));
	to.sin_port = htons(1);
	SHOW(connect(b, (void *)&to, sizeof(to)));
	SHOW(send(b, "x", 1, 0));
	SHOW(revents(b, POLLIN, 500) & (POLLIN | POLLERR));
	SHOW(read(b, buf, 1));
	to.sin_family = AF_UNSPEC;
	SHOW(connect(b, (void *)&to, sizeof(to)));
	SHOW(send(b, "x", 1, 0));
	to.sin_family = AF_INET;
	to.sin_addr.s_addr = INADDR_BROADCAST;
	SHOW(sendto(b, "x", 1, 0, (void *)&to, sizeof(to)));
	to.sin_port = 0;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	SHOW(sendto(b, "x", 1, 0, (void *)&to, sizeof(to)));
	SHOW(shutdown(b, SHUT_RD));
	close(a);
	close(b);
}

static void names(void)
{
	int server, client, peer;
	struct sockaddr_in a = {0}, b = {0};
	socklen_t n = sizeof(a);

	pair(&server, &client, &peer);
	SHOW(getsockname(client, (void *)&a, &n));
	SHOW(getpeername(peer, (void *)&b, &n));
	HOLDS(memcmp(&a, &b, sizeof(a)) == 0 && n == sizeof(a));
	SHOW(getsockname(peer, (void *)&a, &n));
	HOLDS(memcmp(&a, &here, sizeof(a)) == 0);
	n = 3;
	memset(&a, 0xee, sizeof(a));
	SHOW(getsockname(peer, (void *)&a, &n));
	SHOW(n);
	HOLDS(((unsigned char *)&a)[2] != 0xee || ((unsigned char *)&here)[2] == 0xee);
	HOLDS(((unsigned char *)&a)[3] == 0xee);
	n = -1;
	SHOW(getsockname(peer, (void *)&a, &n));
	n = sizeof(a);
	SHOW(getsockname(peer, (void *)8, &n));
	SHOW(getpeername(server, (void *)&a, &n));
	SHOW(option(client, IPPROTO_TCP, TCP_MAXSEG) > 500);
	close(client);
	close(peer);
	close(server);
}

static void interfaces(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq ifr = {.ifr_name = "lo"};
	char list[1000];
	struct ifconf conf = {.ifc_len = sizeof(list), .ifc_buf = list};

	SHOW(ioctl(fd, SIOCGIFADDR, &ifr));
	HOLDS(((struct sockaddr_in *)&ifr.ifr_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
	SHOW(ioctl(fd, SIOCGIFNETMASK, &ifr));
	HOLDS(((struct sockaddr_in *)&ifr.ifr_addr)->sin_addr.s_addr == htonl(0xff000000));
	SHOW(ioctl(fd, SIOCGIFFLAGS, &ifr));
	HOLDS((ifr.ifr_flags & (IFF_UP | IFF_LOOPBACK)) == (IFF_UP | IFF_LOOPBACK));
	SHOW(ioctl(fd, SIOCGIFINDEX, &ifr));
	SHOW(ioctl(fd, SIOCGIFCONF, &conf));
	HOLDS(conf.ifc_len >= (int)sizeof(struct ifreq) && conf.ifc_len % (int)sizeof(struct ifreq) == 0);
	strcpy(ifr.ifr_name, "none0");
	SHOW(ioctl(fd, SIOCGIFADDR, &ifr));
	SHOW(ioctl(fd, SIOCGIFADDR, (void *)8));
	SHOW(ioctl(fd, 0x5413, &ifr));
	close(fd);
}

static void files_over_sockets(void)
{
	int server, client, peer, fd = open("/tmp/network-test", O_RDWR | O_CREAT | O_TRUNC, 0600);
	long got = 0, wrong = 0;
	off_t at = 1000;
	ssize_t n;

	for (size_t i = 0; i < 100000; i++)
		buf[i] = (char)(i * 7 + (i >> 9));
	SHOW(write(fd, buf, 100000));
	pair(&server, &client, &peer);
	SHOW(sendfile(client, fd, &at, 60000));
	HOLDS(at == 61000);
	shutdown(client, SHUT_WR);
	while ((n = read(peer, buf + 200000, 50000)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			wrong += buf[200000 + i] != buf[1000 + got + i];
		got += n;
	}
	SHOW(got);
	SHOW(wrong);
	SHOW(sendfile(client, fd, &at, 100));
	close(client);
	close(peer);
	close(server);
	close(fd);
	unlink("/tmp/network-test");
}

int main(void)
{
	options();
	binding();
	fresh_socket();
	half_closed();
	unread_data_resets();
	messages();
	full_buffers();
	edge_triggered();
	blocking();
	datagrams();
	names();
	interfaces();
	files_over_sockets();
	return 0;
}
