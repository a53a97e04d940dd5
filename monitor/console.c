// SPDX-License-Identifier: Apache-2.0
#include "console.h"

#include <errno.h>
#include <limits.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

enum { QUEUE_IN, QUEUE_OUT, QUEUES };

#define BUDGET 64

static bool ready(int fd, short events, int timeout_ms)
{
	struct pollfd wait = {.fd = fd, .events = events};

	return poll(&wait, 1, timeout_ms) > 0;
}

/* A pipe or terminal that poll(2) calls writable takes PIPE_BUF bytes without blocking, and more might block. */
static size_t clip(const struct kl_console *console, struct iovec *part)
{
	uint64_t skip = console->written;
	size_t bytes = 0, count = 0;

	for (unsigned int i = 0; i < console->chain.out_count && bytes < PIPE_BUF; i++) {
		struct iovec buffer = console->iov[i];

		if (skip >= buffer.iov_len) {
			skip -= buffer.iov_len;
			continue;
		}
		buffer.iov_base = (uint8_t *)buffer.iov_base + skip;
		buffer.iov_len -= skip;
		skip = 0;
		if (buffer.iov_len > PIPE_BUF - bytes)
			buffer.iov_len = PIPE_BUF - bytes;
		bytes += buffer.iov_len;
		part[count++] = buffer;
	}
	return count;
}

/* Nobody reads any more: what comes is dropped, and the program learns of it as it would from its own pipe. */
static void break_out(struct kl_console *console, int error)
{
	uint32_t none = 0;

	console->out_broken = true;
	if (error != EPIPE || !__atomic_load_n(&console->shared->takes_signals, __ATOMIC_RELAXED))
		return;
	/* A request to stop that is under way already goes before. */
	__atomic_compare_exchange_n(
		&console->shared->stop_signal, &none, SIGPIPE, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	kl_call_raise(console->device.call);
}

/* Write the current request. True: it is done. False: the descriptor takes no more for now. */
static bool write_request(struct kl_console *console, int timeout_ms)
{
	while (console->written < console->chain.out_bytes && !console->out_broken) {
		struct iovec part[KL_VQ_CHAIN_MAX];

		if (!ready(console->device.out_fd, POLLOUT, timeout_ms))
			return false;
		ssize_t done = writev(console->device.out_fd, part, (int)clip(console, part));
		if (done > 0)
			console->written += (uint64_t)done;
		else if (done < 0 && errno != EINTR && errno != EAGAIN)
			break_out(console, errno);
		else if (done < 0 && timeout_ms)
			return false;
	}
	return true;
}

static bool poll_out(struct kl_console *console, int timeout_ms)
{
	struct kl_vq *vq = &console->device.vq[QUEUE_OUT];

	for (int left = BUDGET; left; left--) {
		if (!console->writing) {
			int taken = kl_vq_take(vq, &console->chain, console->iov);

			if (taken < 0)
				kl_virtio_break(&console->device, QUEUE_OUT);
			if (taken < 0 || (!taken && !kl_vq_watch(vq)))
				break;
			if (!taken)
				continue;
			console->writing = true;
			console->written = 0;
		}
		if (!write_request(console, timeout_ms)) {
			console->device.blocked = true;
			break;
		}
		console->writing = false;
		console->device.requests++;
		kl_vq_put(vq, console->chain.head, 0);
	}
	kl_virtio_publish(&console->device, QUEUE_OUT);
	return !console->device.blocked && console->device.running && kl_vq_watch(vq);
}

static void poll_in(struct kl_console *console)
{
	struct kl_vq *vq = &console->device.vq[QUEUE_IN];

	while (console->device.in_fd >= 0 && !console->end_told) {
		struct iovec iov[KL_VQ_CHAIN_MAX];
		struct kl_vq_chain chain;

		if (!console->in_ended && !ready(console->device.in_fd, POLLIN, 0))
			break;
		int taken = kl_vq_take(vq, &chain, iov);
		if (taken < 0)
			kl_virtio_break(&console->device, QUEUE_IN);
		if (taken < 0 || (!taken && !kl_vq_watch(vq)))
			break;
		if (!taken)
			continue;
		ssize_t got = 0;
		if (chain.in_count)
			got = readv(console->device.in_fd, iov + chain.out_count, chain.in_count);
		if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
			kl_vq_untake(vq, 1);
			break;
		}
		if (chain.in_count && got <= 0)
			console->in_ended = console->end_told = true;
		console->device.requests++;
		kl_vq_put(vq, chain.head, got > 0 ? (uint32_t)got : 0);
	}
	kl_virtio_publish(&console->device, QUEUE_IN);
}

static bool console_poll(struct kl_virtio *device)
{
	struct kl_console *console = (struct kl_console *)device;
	bool more = poll_out(console, 0);

	if (device->running)
		poll_in(console);
	return more && device->running;
}

static void console_reset(struct kl_virtio *device)
{
	struct kl_console *console = (struct kl_console *)device;

	console->writing = false;
	console->end_told = false;
}

static const struct kl_virtio_ops ops = {.poll = console_poll, .reset = console_reset};

void kl_console_init(struct kl_console *console, const char *name, enum kl_device_role role, int in_fd, int out_fd)
{
	kl_virtio_init(&console->device, &ops, name, VIRTIO_ID_CONSOLE, QUEUES);
	console->device.role = role;
	console->in_ended = console->end_told = console->out_broken = console->writing = false;
	console->device.in_fd = in_fd;
	console->device.out_fd = out_fd;
}

void kl_console_drain(struct kl_console *console, const volatile int *stop)
{
	struct kl_virtio *device = &console->device;
	bool more = true;

	pthread_mutex_lock(&device->lock);
	while (device->running && more) {
		bool last = *stop;

		more = poll_out(console, last ? 0 : 100) || (console->writing && !last);
	}
	pthread_mutex_unlock(&device->lock);
}
