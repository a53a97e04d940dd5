// SPDX-License-Identifier: Apache-2.0
/*
 * passt: user-mode networking in a process of its own, reached over a UNIX stream socket on which each frame has its length
 * (32 bits, big endian) before it. No virtio-net header goes over the socket, so there are no offloads, but frames may be as
 * large as IPv4 packets can be.
 */
#include "error.h"
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LENGTH_BYTES 4u
#define FRAME_MAX 65535u
#define FRAME_MIN 14u
#define IN_BYTES (256u << 10)
#define OUT_BYTES (128u << 10)
#define MTU 65520

/* Read what the socket has, behind what is left in the buffer. 0 or -errno; -EPIPE: passt has ended. */
static int fill(struct kl_net *net)
{
	struct kl_passt *passt = &net->passt;

	if (passt->in_start) {
		memmove(passt->in, passt->in + passt->in_start, passt->in_end - passt->in_start);
		passt->in_end -= passt->in_start;
		passt->in_start = 0;
	}
	for (;;) {
		ssize_t bytes = recv(net->fd, passt->in + passt->in_end, IN_BYTES - passt->in_end, MSG_DONTWAIT);

		if (bytes > 0) {
			passt->in_end += (size_t)bytes;
			return 0;
		}
		if (!bytes)
			return -EPIPE;
		if (errno != EINTR)
			return -errno;
	}
}

static ssize_t passt_receive(struct kl_net *net, const struct iovec *iov, unsigned int count)
{
	/* A local socket does not damage anything: the guest need not check the sums of what passt has made. */
	static const struct virtio_net_hdr_v1 unchecked = {0}, valid = {.flags = VIRTIO_NET_HDR_F_DATA_VALID};
	bool trusting = net->device.driver_features & 1ull << VIRTIO_NET_F_GUEST_CSUM;
	struct kl_passt *passt = &net->passt;

	for (;;) {
		size_t left = passt->in_end - passt->in_start;
		uint32_t length;

		if (left >= LENGTH_BYTES) {
			memcpy(&length, passt->in + passt->in_start, LENGTH_BYTES);
			length = ntohl(length);
			if (length < FRAME_MIN || length > FRAME_MAX)
				return -EPROTO;
			if (left - LENGTH_BYTES >= length)
				break;
		}
		int error = fill(net);
		if (error)
			return error;
	}

	uint32_t length;
	memcpy(&length, passt->in + passt->in_start, LENGTH_BYTES);
	length = ntohl(length);
	kl_iov_write(iov, count, 0, trusting ? &valid : &unchecked, KL_NET_HEADER_BYTES);
	kl_iov_write(iov, count, KL_NET_HEADER_BYTES, passt->in + passt->in_start + LENGTH_BYTES, length);
	passt->in_start += LENGTH_BYTES + length;
	return (ssize_t)(KL_NET_HEADER_BYTES + length);
}

/* Hand on what is left of earlier frames. 0, -EAGAIN, or -errno. */
static int flush(struct kl_net *net)
{
	struct kl_passt *passt = &net->passt;

	while (passt->out_start < passt->out_end) {
		ssize_t bytes = send(net->fd, passt->out + passt->out_start, passt->out_end - passt->out_start,
			MSG_DONTWAIT | MSG_NOSIGNAL);

		if (bytes < 0 && errno != EINTR)
			return -errno;
		if (bytes > 0)
			passt->out_start += (size_t)bytes;
	}
	passt->out_start = passt->out_end = 0;
	return 0;
}

/* Keep the part of a frame behind its first sent bytes: a stream has no place to start over. */
static void keep(struct kl_passt *passt, const struct iovec *iov, unsigned int count, size_t sent)
{
	for (unsigned int i = 0; i < count; i++) {
		size_t skip = sent < iov[i].iov_len ? sent : iov[i].iov_len;

		memcpy(passt->out + passt->out_end, (const uint8_t *)iov[i].iov_base + skip, iov[i].iov_len - skip);
		passt->out_end += iov[i].iov_len - skip;
		sent -= skip;
	}
}

static int passt_send(struct kl_net *net, const struct iovec *iov, unsigned int count, size_t bytes)
{
	struct iovec out[KL_VQ_CHAIN_MAX + 1];
	size_t skip = KL_NET_HEADER_BYTES, frame = bytes - KL_NET_HEADER_BYTES;
	uint32_t length = htonl((uint32_t)frame);
	struct msghdr message = {.msg_iov = out};
	int error = flush(net);

	if (error == -EAGAIN)
		return error;
	if (error || net->gone || frame < FRAME_MIN || frame > FRAME_MAX) {
		net->dropped++;
		return 0;
	}
	out[0] = (struct iovec){.iov_base = &length, .iov_len = LENGTH_BYTES};
	message.msg_iovlen = 1;
	for (unsigned int i = 0; i < count; i++) {
		size_t part = skip < iov[i].iov_len ? skip : iov[i].iov_len;

		skip -= part;
		if (part < iov[i].iov_len)
			out[message.msg_iovlen++] = (struct iovec){
				.iov_base = (uint8_t *)iov[i].iov_base + part, .iov_len = iov[i].iov_len - part};
	}
	ssize_t sent = sendmsg(net->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (sent < 0)
		net->dropped++;
	else if ((size_t)sent < frame + LENGTH_BYTES)
		keep(&net->passt, out, (unsigned int)message.msg_iovlen, (size_t)sent);
	return 0;
}

static const struct kl_net_backend backend = {.receive = passt_receive, .send = passt_send, .flush = flush};

/* From the connected socket net->fd to a device. */
static int set_up(struct kl_net *net)
{
	/* A second name for the socket: the I/O thread waits for reading and for writing separately. */
	net->device.out_fd = fcntl(net->fd, F_DUPFD_CLOEXEC, 0);
	uint8_t *buffers = mmap(NULL, IN_BYTES + OUT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (net->device.out_fd < 0 || buffers == MAP_FAILED)
		return kl_fail(errno, "free some memory", "buffers for passt: %s", strerror(errno));
	net->passt = (struct kl_passt){.in = buffers, .out = buffers + IN_BYTES};
	net->device.features |= 1ull << VIRTIO_NET_F_GUEST_CSUM;
	net->backend = &backend;
	kl_net_set_mtu(net, MTU);
	return 0;
}

int kl_passt_attach(struct kl_net *net, int fd)
{
	socklen_t bytes = sizeof(int);
	int type;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) < 0 || type != SOCK_STREAM)
		return kl_fail(EINVAL, "start it: passt --fd N", "passt at descriptor %d: not a stream socket", fd);
	net->fd = fd;
	return set_up(net);
}

int kl_passt_open(struct kl_net *net, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.sun_path))
		return kl_fail(ENAMETOOLONG, "use a shorter path", "passt at %s: %s", path, strerror(ENAMETOOLONG));
	strcpy(address.sun_path, path);
	net->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (net->fd < 0 || connect(net->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return kl_fail(errno, "start it: passt --socket PATH", "passt at %s: %s", path, strerror(errno));
	return set_up(net);
}
