// SPDX-License-Identifier: Apache-2.0
#include "worker.h"

#include "error.h"

#include <errno.h>
#include <linux/kvm.h>
#include <linux/virtio_mmio.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define EVENTS_MAX 16
#define IN_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)
#define STACK_BYTES (128u << 10)

static const char next_step[] = "free file descriptors or memory";

/*
 * Notifications that come as exits, 25 us each, before a device gets a doorbell. KVM takes 14 ms longer to destroy a machine that
 * got an ioeventfd within its last 10 ms (a grace period of SRCU), which a short-lived program must not pay for. Who uses the
 * network is not short-lived.
 */
#define SLOW_NOTIFIES_DIRECT 64
#define SLOW_NOTIFIES_OTHER 512

/* epoll_data: a device's or a source's address; sources are marked in the lowest bit. */
#define SOURCE_MARK 1u

/* Poll a device under its lock. True: there is more. */
static bool serve(const struct kl_worker *worker, struct kl_virtio *device)
{
	pthread_mutex_lock(&device->lock);
	device->blocked = device->starved = false;
	bool more = device->running && device->ops->poll(device);
	if (device->blocked && device->out_fd >= 0) {
		struct epoll_event event = {.events = EPOLLOUT | EPOLLONESHOT, .data.u64 = (uintptr_t)device};

		epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, device->out_fd, &event);
	}
	pthread_mutex_unlock(&device->lock);
	return more;
}

static bool poll_devices(struct kl_worker *worker)
{
	bool more = false;

	for (unsigned int i = 0; i < worker->devices_count; i++) {
		struct kl_virtio *device = worker->devices[i];

		if (device->again)
			device->again = serve(worker, device);
		more |= device->again;
	}
	return more;
}

static void *run(void *context)
{
	struct kl_worker *worker = context;
	struct epoll_event events[EVENTS_MAX];
	bool more = false;

	worker->first_job(worker->first_context);
	sem_post(&worker->first_done);
	while (worker->epoll_fd >= 0) { /* to the end of the process */
		int count = epoll_wait(worker->epoll_fd, events, EVENTS_MAX, more ? 0 : -1);

		for (int i = 0; i < count; i++) {
			uint64_t data = events[i].data.u64;

			if (data & SOURCE_MARK) {
				struct kl_source *source =
					(struct kl_source *)(uintptr_t)(data & ~(uint64_t)SOURCE_MARK);
				source->ready(source);
			} else {
				((struct kl_virtio *)(uintptr_t)data)->again = true;
			}
		}
		more = poll_devices(worker);
	}
	return NULL;
}

static int watch(const struct kl_worker *worker, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void kick(const struct kl_virtio *device)
{
	uint64_t one = 1;

	if (write(device->notify_fd, &one, sizeof(one)) < 0)
		return; /* full: the thread has been told often enough */
}

/* Let KVM signal notify_fd. Whatever the queue: poll() looks at all of a device's. */
static void add_doorbell(struct kl_worker *worker, struct kl_virtio *device)
{
	struct kvm_ioeventfd doorbell = {
		.addr = KL_VIRTIO_PA + (uint64_t)device->index * KL_VIRTIO_STRIDE + VIRTIO_MMIO_QUEUE_NOTIFY,
		.len = 4,
		.fd = device->notify_fd,
	};

	if (ioctl(worker->vm_fd, KVM_IOEVENTFD, &doorbell) < 0)
		kl_notice("its notifications stay slow", "%s: KVM_IOEVENTFD: %s", device->name, strerror(errno));
}

void kl_worker_notified(struct kl_worker *worker, struct kl_virtio *device)
{
	if (++device->slow_notifies == (device->direct ? SLOW_NOTIFIES_DIRECT : SLOW_NOTIFIES_OTHER))
		add_doorbell(worker, device);
	if (serve(worker, device))
		kick(device);
}

static void watch_direct(struct kl_worker *worker, bool on)
{
	for (unsigned int i = 0; i < worker->devices_count; i++) {
		struct kl_virtio *device = worker->devices[i];
		struct epoll_event event = {.events = on ? IN_EVENTS : 0, .data.u64 = (uintptr_t)device};

		if (device->direct && device->running)
			epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, device->in_fd, &event);
	}
}

/* Serve the direct devices. True: there is more. *count of fds: what to wait for when there is not. */
static bool serve_direct(struct kl_worker *worker, int *fds, unsigned int *count)
{
	bool more = false;

	*count = 0;
	for (unsigned int i = 0; i < worker->devices_count; i++) {
		struct kl_virtio *device = worker->devices[i];

		if (!device->direct || !device->running)
			continue;
		more |= serve(worker, device);
		if (!device->starved && *count < KL_CALL_FDS_MAX)
			fds[(*count)++] = device->in_fd;
	}
	return more;
}

void kl_worker_wait_for_news(struct kl_worker *worker, struct kl_call *call, uint64_t deadline_ns,
	void (*interrupted)(void *context), void *context)
{
	bool watching = true;

	for (;;) {
		int fds[KL_CALL_FDS_MAX], result;
		unsigned int count;
		bool more = serve_direct(worker, fds, &count);

		if (kl_call_take(call))
			break;
		if (more)
			continue;
		if (watching) {
			watch_direct(worker, false);
			watching = false;
		}
		result = kl_call_sleep(call, fds, count, deadline_ns);
		if (result == -ETIMEDOUT)
			break;
		if (result == -EINTR)
			interrupted(context);
	}
	if (!watching)
		watch_direct(worker, true);
}

static int add_device(struct kl_worker *worker, struct kl_virtio *device)
{
	device->notify_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (device->notify_fd < 0)
		return -errno;
	/* Edge-triggered, so the counter need not be read. */
	int error = watch(worker, device->notify_fd, EPOLLIN | EPOLLET, (uintptr_t)device);
	if (!error && device->in_fd >= 0)
		error = watch(worker, device->in_fd, IN_EVENTS, (uintptr_t)device);
	if (error == -EPERM)
		error = 0; /* a regular file: always ready, nothing to wait for */
	if (!error && device->out_fd >= 0)
		error = watch(worker, device->out_fd, EPOLLONESHOT, (uintptr_t)device);
	return error == -EPERM ? 0 : error;
}

int kl_worker_start(struct kl_worker *worker, void (*first_job)(void *context), void *context)
{
	pthread_attr_t attributes;
	sigset_t all, before;

	worker->first_job = first_job;
	worker->first_context = context;
	worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (worker->epoll_fd < 0)
		return kl_fail(errno, next_step, "epoll_create1: %s", strerror(errno));
	sem_init(&worker->first_done, 0, 0);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	sigdelset(&all, SIGBUS); /* its handler says why we end */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&worker->thread, &attributes, run, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error ? kl_fail(error, next_step, "the I/O thread: %s", strerror(error)) : 0;
}

void kl_worker_wait(struct kl_worker *worker)
{
	while (sem_wait(&worker->first_done) < 0)
		continue;
}

int kl_worker_attach(struct kl_worker *worker, int vm_fd, struct kl_virtio **devices, unsigned int devices_count)
{
	int error = 0;

	worker->vm_fd = vm_fd;
	worker->devices = devices;
	worker->devices_count = devices_count;
	for (unsigned int i = 0; !error && i < devices_count; i++)
		error = add_device(worker, devices[i]);
	return error ? kl_fail(-error, next_step, "the devices' doorbells: %s", strerror(-error)) : 0;
}

int kl_worker_add(struct kl_worker *worker, struct kl_source *source)
{
	return watch(worker, source->fd, EPOLLIN, (uintptr_t)source | SOURCE_MARK);
}

void kl_worker_remove(struct kl_worker *worker, struct kl_source *source)
{
	epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
}
