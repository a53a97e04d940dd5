/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll(7). Each registration waits in its file's queues for as long as it is there; what is signalled goes to the list of ready
 * ones, and only that list is looked at by epoll_wait(2).
 */
#include <kl/clock.h>
#include <kl/file.h>
#include <kl/heap.h>
#include <kl/process.h>
#include <kl/signal.h>
#include <kl/uaccess.h>
#include <kl/vfs.h>

#include "epoll_priv.h"

#include <asm/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/time_types.h>

#define NEST_MAX 4u /* epolls watching epolls */
#define FLAGS (EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE)
#define ALWAYS (EPOLLERR | EPOLLHUP)
#define QUEUES_MAX 2 /* in which one file signals */

struct epoll {
	struct kl_file *file; /* its own */
	struct kl_list items;
	struct kl_list ready;
	struct kl_waitq threads; /* in epoll_wait(2): one is woken for each item that becomes ready */
	struct kl_waitq pollers; /* other epolls, poll(2): all are woken */
};

struct item {
	struct kl_list link, ready; /* in epoll.items; in epoll.ready */
	struct kl_list watch;       /* in kl_file.watches */
	struct epoll *ep;
	struct kl_file *file;     /* without a reference: the item goes with it */
	struct epoll_event event; /* with ALWAYS, unless disarmed by EPOLLONESHOT */
	int fd;
	unsigned queues;
	struct item_waiter {
		struct kl_waiter waiter;
		struct item *item;
	} waiters[QUEUES_MAX];
};

struct item_table {
	struct kl_poll_table table;
	struct item *item;
};

static void make_ready(struct item *item)
{
	struct epoll *ep = item->ep;

	if (!kl_list_linked(&item->ready))
		kl_list_push_back(&ep->ready, &item->ready);
	kl_waitq_wake_some(&ep->threads, EPOLLIN, 1);
	if (!kl_list_empty(&ep->pollers.waiters))
		kl_waitq_wake(&ep->pollers, EPOLLIN);
}

static void wake(struct kl_waiter *waiter, uint32_t events)
{
	struct item *item = KL_CONTAINER(waiter, struct item_waiter, waiter)->item;
	if ((events & item->event.events & ~(uint32_t)FLAGS) != 0)
		make_ready(item);
}

static void add_queue(struct kl_poll_table *table, struct kl_waitq *q)
{
	struct item *item = KL_CONTAINER(table, struct item_table, table)->item;
	struct item_waiter *w = &item->waiters[item->queues];

	if (item->queues == QUEUES_MAX)
		return; /* no file of ours has so many */
	item->queues++;
	w->item = item;
	w->waiter.wake = wake;
	kl_waitq_add(q, &w->waiter);
}

/* What holds now of what is wanted. */
static uint32_t current_events(const struct item *item, struct kl_poll_table *table)
{
	return item->file->ops->poll(item->file, table) & item->event.events & ~(uint32_t)FLAGS;
}

static void item_free(struct item *item)
{
	for (unsigned i = 0; i < item->queues; i++)
		kl_waitq_remove(&item->waiters[i].waiter);
	kl_list_remove(&item->ready);
	kl_list_remove(&item->watch);
	kl_list_remove(&item->link);
	kl_free(item);
}

/* --- the file --- */

static uint32_t epoll_poll(struct kl_file *file, struct kl_poll_table *table)
{
	struct epoll *ep = file->priv;

	if (table != NULL)
		table->add(table, &ep->pollers);
	KL_LIST_FOR_SAFE(link, &ep->ready)
	{
		struct item *item = KL_LIST_ENTRY(link, struct item, ready);

		if (current_events(item, NULL) != 0)
			return EPOLLIN | EPOLLRDNORM;
		kl_list_remove(link);
	}
	return 0;
}

static void epoll_release(struct kl_file *file)
{
	struct epoll *ep = file->priv;

	KL_LIST_FOR_SAFE(link, &ep->items)
	item_free(KL_LIST_ENTRY(link, struct item, link));
	kl_free(ep);
}

static const struct kl_file_ops ops = {.poll = epoll_poll, .release = epoll_release};

static void file_closed(struct kl_file *file)
{
	KL_LIST_FOR_SAFE(link, &file->watches)
	item_free(KL_LIST_ENTRY(link, struct item, watch));
}

long kl_sys_epoll_create1(int flags)
{
	struct epoll *ep;
	struct kl_file *file;
	int rc;

	if ((flags & ~EPOLL_CLOEXEC) != 0)
		return -EINVAL;
	ep = kl_zalloc(sizeof(*ep));
	if (ep == NULL)
		return -ENOMEM;
	kl_list_init(&ep->items);
	kl_list_init(&ep->ready);
	kl_waitq_init(&ep->threads);
	kl_waitq_init(&ep->pollers);
	file = kl_file_create(&ops, O_RDWR, ep);
	if (file == NULL) {
		kl_free(ep);
		return -ENOMEM;
	}
	ep->file = file;
	file->anonymous = "anon_inode:[eventpoll]";
	rc = kl_fd_install(file, flags != 0);
	if (rc < 0)
		kl_file_put(file);
	return rc;
}

long kl_sys_epoll_create(int size)
{
	return size <= 0 ? -EINVAL : kl_sys_epoll_create1(0);
}

/* --- epoll_ctl(2) --- */

static struct item *find_item(struct epoll *ep, struct kl_file *file, int fd)
{
	KL_LIST_FOR(link, &file->watches)
	{
		struct item *item = KL_LIST_ENTRY(link, struct item, watch);

		if (item->ep == ep && item->fd == fd)
			return item;
	}
	return NULL;
}

/* Epolls nested below ep, at most `left` deep; -ELOOP when target is among them, or when they go deeper. */
static int check_nesting(struct epoll *ep, const struct epoll *target, unsigned left)
{
	if (ep == target)
		return -ELOOP;
	KL_LIST_FOR(link, &ep->items)
	{
		struct item *item = KL_LIST_ENTRY(link, struct item, link);

		if (item->file->ops == &ops && (left == 0 || check_nesting(item->file->priv, target, left - 1) < 0))
			return -ELOOP;
	}
	return 0;
}

/* How many epolls lie above ep, counted up to one more than the limit. */
static unsigned height_above(const struct epoll *ep, unsigned left)
{
	unsigned most = 0;

	KL_LIST_FOR(link, &ep->file->watches)
	{
		if (left > 0)
			most = KL_MAX(most, 1 + height_above(KL_LIST_ENTRY(link, struct item, watch)->ep, left - 1));
	}
	return most;
}

static int add_item(struct epoll *ep, struct kl_file *file, int fd, const struct epoll_event *event)
{
	struct item *item = kl_zalloc(sizeof(*item));
	struct item_table table = {{add_queue}, item};

	if (item == NULL)
		return -ENOMEM;
	item->ep = ep;
	item->file = file;
	item->fd = fd;
	item->event = *event;
	kl_list_push_back(&ep->items, &item->link);
	kl_list_push_back(&file->watches, &item->watch);
	if (current_events(item, &table.table) != 0)
		make_ready(item);
	return 0;
}

static int change_item(struct item *item, const struct epoll_event *event)
{
	if ((item->event.events & EPOLLEXCLUSIVE) != 0)
		return -EINVAL;
	item->event = *event;
	if (current_events(item, NULL) != 0 && !kl_list_linked(&item->ready))
		make_ready(item);
	return 0;
}

static int control(struct epoll *ep, struct kl_file *file, int op, int fd, struct epoll_event *event)
{
	struct item *item;

	event->events |= ALWAYS;
	if ((event->events & EPOLLEXCLUSIVE) != 0) {
		uint32_t allowed = EPOLLIN | EPOLLOUT | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE | ALWAYS;

		if (op == EPOLL_CTL_MOD)
			return -EINVAL;
		if (op == EPOLL_CTL_ADD && (file->ops == &ops || (event->events & ~allowed) != 0))
			return -EINVAL;
	}
	item = find_item(ep, file, fd);
	switch (op) {
	case EPOLL_CTL_ADD:
		if (item != NULL)
			return -EEXIST;
		if (file->ops == &ops) {
			unsigned above = height_above(ep, NEST_MAX);

			if (above >= NEST_MAX || check_nesting(file->priv, ep, NEST_MAX - 1 - above) < 0)
				return -ELOOP;
		}
		return add_item(ep, file, fd, event);
	case EPOLL_CTL_MOD: return item != NULL ? change_item(item, event) : -ENOENT;
	case EPOLL_CTL_DEL:
		if (item == NULL)
			return -ENOENT;
		item_free(item);
		return 0;
	default: return -EINVAL;
	}
}

long kl_sys_epoll_ctl(int epfd, int op, int fd, kl_uaddr event_addr)
{
	struct epoll_event event = {0};
	struct kl_file *epfile, *file;
	int rc;

	if (op != EPOLL_CTL_DEL && KL_GET_USER(event, event_addr) < 0)
		return -EFAULT;
	epfile = kl_fd_get(epfd);
	if (epfile == NULL)
		return -EBADF;
	file = kl_fd_get(fd);
	if (file == NULL) {
		rc = -EBADF;
		goto put_epfile;
	}
	if (file->ops->poll == NULL)
		rc = -EPERM;
	else if (file == epfile || epfile->ops != &ops)
		rc = -EINVAL;
	else
		rc = control(epfile->priv, file, op, fd, &event);
	kl_file_put(file);
put_epfile:
	kl_file_put(epfile);
	return rc;
}

/* --- epoll_wait(2) --- */

/* Reports what is ready, each item once. A count, or -EFAULT when not even the first could be written. */
static long collect(struct epoll *ep, kl_uaddr out, int max)
{
	struct kl_list *last = ep->ready.prev;
	long count = 0;
	bool end = kl_list_empty(&ep->ready);

	while (!end && count < max) {
		struct item *item = KL_LIST_FIRST(&ep->ready, struct item, ready);
		struct epoll_event event = {.data = item->event.data};

		end = &item->ready == last;
		kl_list_remove(&item->ready);
		event.events = current_events(item, NULL);
		if (event.events == 0)
			continue;
		if (KL_PUT_USER(out + (uint64_t)count * sizeof(event), event) < 0) {
			kl_list_push_front(&ep->ready, &item->ready);
			return count > 0 ? count : -EFAULT;
		}
		count++;
		if ((item->event.events & EPOLLONESHOT) != 0)
			item->event.events &= FLAGS;
		else if ((item->event.events & EPOLLET) == 0)
			kl_list_push_back(&ep->ready, &item->ready); /* level: looked at again next time */
	}
	return count;
}

static long wait(struct epoll *ep, kl_uaddr out, int max, uint64_t deadline_ns)
{
	bool late = false;

	/* What has been sent goes out, and what has come in counts, before anything is said. */
	kl_poll();
	for (;;) {
		long n = collect(ep, out, max);

		if (n != 0) {
			/* Others may take what is left. */
			if (!kl_list_empty(&ep->ready) && !kl_list_empty(&ep->threads.waiters))
				kl_waitq_wake_some(&ep->threads, EPOLLIN, 1);
			return n;
		}
		if (late || deadline_ns == 0)
			return 0;
		switch (kl_wait(&ep->threads, deadline_ns, true)) {
		case 0: break;
		case -ETIMEDOUT: late = true; break;
		default:
			/* The event that woke this thread woke no other one: it comes before the signal. */
			n = collect(ep, out, max);
			return n != 0 ? n : -EINTR;
		}
	}
}

/* deadline_ns 0: don't wait */
static long wait_fd(int epfd, kl_uaddr out, int max, uint64_t deadline_ns, kl_uaddr mask, size_t mask_bytes)
{
	struct kl_file *file;
	long rc;

	if (max <= 0 || max > (int)(INT32_MAX / sizeof(struct epoll_event)))
		return -EINVAL;
	file = kl_fd_get(epfd);
	if (file == NULL)
		return -EBADF;
	rc = file->ops != &ops ? -EINVAL : 0;
	if (rc == 0 && mask != 0)
		rc = kl_signal_mask_once(mask, mask_bytes);
	if (rc == 0)
		rc = wait(file->priv, out, max, deadline_ns);
	kl_file_put(file);
	return rc;
}

static uint64_t deadline_ms(int timeout_ms)
{
	if (timeout_ms <= 0)
		return timeout_ms < 0 ? KL_FOREVER : 0;
	return kl_clock_ns() + (uint64_t)timeout_ms * KL_NS_PER_MS;
}

long kl_sys_epoll_wait(int epfd, kl_uaddr events, int max, int timeout_ms)
{
	return wait_fd(epfd, events, max, deadline_ms(timeout_ms), 0, 0);
}

long kl_sys_epoll_pwait(int epfd, kl_uaddr events, int max, int timeout_ms, kl_uaddr mask, size_t mask_bytes)
{
	return wait_fd(epfd, events, max, deadline_ms(timeout_ms), mask, mask_bytes);
}

long kl_sys_epoll_pwait2(int epfd, kl_uaddr events, int max, kl_uaddr timeout, kl_uaddr mask, size_t mask_bytes)
{
	struct __kernel_timespec ts;
	uint64_t deadline_ns = KL_FOREVER;

	if (timeout != 0) {
		if (KL_GET_USER(ts, timeout) < 0)
			return -EFAULT;
		if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= (long long)KL_NS_PER_S)
			return -EINVAL;
		if (ts.tv_sec == 0 && ts.tv_nsec == 0)
			deadline_ns = 0;
		else if (ts.tv_sec < (1ll << 33))
			deadline_ns = kl_clock_ns() + (uint64_t)ts.tv_sec * KL_NS_PER_S + (uint64_t)ts.tv_nsec;
	}
	return wait_fd(epfd, events, max, deadline_ns, mask, mask_bytes);
}

int kl_epoll_init(void)
{
	kl_vfs_hooks.file_closed = file_closed;
	return 0;
}
