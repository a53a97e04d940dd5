/* SPDX-License-Identifier: Apache-2.0 */
/* inotify(7): events of files and directories, told by vfs. */
#include <kl/heap.h>
#include <kl/sched.h>
#include <kl/stat.h>
#include <kl/string.h>
#include <kl/uaccess.h>
#include <kl/vfs.h>

#include "inotify_priv.h"

#include <asm/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/inotify.h>

#define EVENTS_MAX 16384u /* fs.inotify.max_queued_events */

struct queue {
	struct kl_waitq wait;
	struct kl_list events, watches; /* struct event, struct watch (of_queue) */
	uint32_t events_count, bytes;
	int last_wd;
};

struct event {
	struct kl_list link;
	struct inotify_event head; /* len: with padding */
	char name[];
};

struct watch {
	struct kl_list of_queue, of_node;
	struct queue *queue;
	struct kl_vnode *node; /* with a reference */
	uint32_t mask;
	int wd;
};

static uint32_t event_bytes(const struct event *e)
{
	return (uint32_t)sizeof(e->head) + e->head.len;
}

static bool same(const struct event *a, const struct event *b)
{
	return a->head.wd == b->head.wd && a->head.mask == b->head.mask && a->head.cookie == b->head.cookie &&
		a->head.len == b->head.len && memcmp(a->name, b->name, a->head.len) == 0;
}

static void put_event(struct queue *q, int wd, uint32_t mask, uint32_t cookie, const char *name, size_t n)
{
	bool overflow = q->events_count >= EVENTS_MAX;
	size_t padded = n > 0 ? KL_ALIGN_UP(n + 1, sizeof(struct inotify_event)) : 0;
	struct event *e;

	if (q->events_count > EVENTS_MAX)
		return;
	if (overflow) {
		wd = -1;
		mask = IN_Q_OVERFLOW;
		cookie = 0;
		padded = n = 0;
	}
	e = kl_zalloc(sizeof(*e) + padded);
	if (e == NULL)
		return;
	e->head = (struct inotify_event){.wd = wd, .mask = mask, .cookie = cookie, .len = (uint32_t)padded};
	memcpy(e->name, name, n);
	/* Two of the same in a row are one. */
	if (!kl_list_empty(&q->events) && same(e, KL_CONTAINER(q->events.prev, struct event, link))) {
		kl_free(e);
		return;
	}
	kl_list_push_back(&q->events, &e->link);
	q->events_count++;
	q->bytes += event_bytes(e);
	kl_waitq_wake(&q->wait, EPOLLIN | EPOLLRDNORM);
}

/* Silently: IN_IGNORED is the caller's business. */
static void watch_free(struct watch *w)
{
	struct kl_vnode *node = w->node;

	kl_list_remove(&w->of_queue);
	kl_list_remove(&w->of_node);
	if (kl_list_empty(node->marks)) {
		kl_free(node->marks);
		node->marks = NULL;
	}
	kl_vnode_put(node);
	kl_free(w);
}

/* entry: the name in the directory node that it happened to; NULL: it happened to the node itself */
static void tell(struct kl_vnode *node, uint32_t mask, uint32_t cookie, const struct kl_dentry *entry)
{
	bool unlinked = entry != NULL && (entry->flags & KL_DENTRY_UNLINKED) != 0 && (mask & IN_DELETE) == 0;

	if (node->marks == NULL)
		return;
	KL_LIST_FOR_SAFE(link, node->marks)
	{
		struct watch *w = KL_LIST_ENTRY(link, struct watch, of_node);
		struct kl_list *marks = node->marks;
		bool last = marks->next == marks->prev;

		if ((w->mask & mask & IN_ALL_EVENTS) != 0 && !(unlinked && (w->mask & IN_EXCL_UNLINK) != 0)) {
			put_event(w->queue, w->wd, mask, cookie, entry != NULL ? entry->name : "",
				entry != NULL ? entry->name_bytes : 0);
			if ((w->mask & IN_ONESHOT) != 0)
				mask |= IN_IGNORED;
		}
		if ((mask & (IN_DELETE_SELF | IN_IGNORED)) != 0) {
			put_event(w->queue, w->wd, IN_IGNORED, 0, "", 0);
			watch_free(w);
			mask &= ~(uint32_t)IN_IGNORED;
			if (last)
				return; /* the list went with its last element */
		}
	}
}

static void notify(struct kl_vnode *node, struct kl_dentry *entry, uint32_t mask, uint32_t cookie)
{
	struct kl_vnode *dir = entry != NULL && entry->parent != NULL ? entry->parent->vnode : NULL;
	/* What happens to a name is told to its directory; what happens to a file, to both. */
	bool of_name = (mask & (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)) != 0;

	if (node != NULL && S_ISDIR(node->mode) && !of_name && (mask & (IN_DELETE_SELF | IN_MOVE_SELF)) == 0)
		mask |= IN_ISDIR;
	if (dir != NULL)
		tell(dir, mask, cookie, entry);
	if (node != NULL && !of_name)
		tell(node, mask, cookie, NULL);
}

/* --- the file --- */

static kl_ssize queue_read(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	struct queue *q = file->priv;
	kl_ssize done = 0;

	(void)pos;
	while (kl_list_empty(&q->events)) {
		int rc = (file->flags & O_NONBLOCK) != 0 ? -EAGAIN : kl_wait(&q->wait, KL_FOREVER, true);

		if (rc < 0)
			return rc;
	}
	while (!kl_list_empty(&q->events)) {
		struct event *e = KL_LIST_FIRST(&q->events, struct event, link);
		uint32_t n = event_bytes(e);
		int rc;

		if (it->left < n)
			return done > 0 ? done : -EINVAL;
		rc = kl_iter_write(it, &e->head, n);
		if (rc < 0)
			return done > 0 ? done : rc;
		done += n;
		q->bytes -= n;
		q->events_count--;
		kl_list_remove(&e->link);
		kl_free(e);
	}
	return done;
}

static uint32_t queue_poll(struct kl_file *file, struct kl_poll_table *table)
{
	struct queue *q = file->priv;

	if (table != NULL)
		table->add(table, &q->wait);
	return kl_list_empty(&q->events) ? 0 : EPOLLIN | EPOLLRDNORM;
}

static long queue_ioctl(struct kl_file *file, unsigned cmd, uint64_t arg)
{
	struct queue *q = file->priv;

	return cmd == 0x541b /* FIONREAD */ ? KL_PUT_USER(arg, (int)q->bytes) : -ENOTTY;
}

static void queue_release(struct kl_file *file)
{
	struct queue *q = file->priv;
	struct kl_list *link;

	KL_LIST_FOR_SAFE(at, &q->watches)
	watch_free(KL_LIST_ENTRY(at, struct watch, of_queue));
	while ((link = kl_list_pop_front(&q->events)) != NULL)
		kl_free(KL_LIST_ENTRY(link, struct event, link));
	kl_free(q);
}

static const struct kl_file_ops ops = {
	.read = queue_read, .poll = queue_poll, .ioctl = queue_ioctl, .release = queue_release};

/* --- system calls --- */

long kl_sys_inotify_init1(int flags)
{
	struct queue *q;
	struct kl_file *file;
	int rc;

	if ((flags & ~(IN_CLOEXEC | IN_NONBLOCK)) != 0)
		return -EINVAL;
	q = kl_zalloc(sizeof(*q));
	if (q == NULL)
		return -ENOMEM;
	kl_waitq_init(&q->wait);
	kl_list_init(&q->events);
	kl_list_init(&q->watches);
	file = kl_file_create(&ops, O_RDONLY | ((uint32_t)flags & O_NONBLOCK), q);
	if (file == NULL) {
		kl_free(q);
		return -ENOMEM;
	}
	file->anonymous = "anon_inode:inotify";
	rc = kl_fd_install(file, (flags & IN_CLOEXEC) != 0);
	if (rc < 0)
		kl_file_put(file);
	return rc;
}

long kl_sys_inotify_init(void)
{
	return kl_sys_inotify_init1(0);
}

static struct watch *find_watch(struct queue *q, const struct kl_vnode *node, int wd)
{
	KL_LIST_FOR(link, &q->watches)
	{
		struct watch *w = KL_LIST_ENTRY(link, struct watch, of_queue);

		if (node != NULL ? w->node == node : w->wd == wd)
			return w;
	}
	return NULL;
}

static int add_watch(struct queue *q, struct kl_vnode *node, uint32_t mask)
{
	struct watch *w = find_watch(q, node, 0);

	if (w != NULL) {
		if ((mask & IN_MASK_CREATE) != 0)
			return -EEXIST;
		w->mask = (mask & IN_MASK_ADD) != 0 ? w->mask | mask : mask;
		return w->wd;
	}
	w = kl_zalloc(sizeof(*w));
	if (w == NULL)
		return -ENOMEM;
	if (node->marks == NULL) {
		node->marks = kl_malloc(sizeof(*node->marks));
		if (node->marks == NULL) {
			kl_free(w);
			return -ENOMEM;
		}
		kl_list_init(node->marks);
	}
	w->queue = q;
	w->node = kl_vnode_get(node);
	w->mask = mask;
	w->wd = ++q->last_wd;
	kl_list_push_back(&q->watches, &w->of_queue);
	kl_list_push_back(node->marks, &w->of_node);
	return w->wd;
}

static struct kl_file *get_file(int fd, int *error)
{
	struct kl_file *file = kl_fd_get(fd);

	*error = file == NULL ? -EBADF : -EINVAL;
	if (file == NULL || file->ops == &ops)
		return file;
	kl_file_put(file);
	return NULL;
}

long kl_sys_inotify_add_watch(int fd, kl_uaddr path, uint32_t mask)
{
	unsigned flags = (mask & IN_DONT_FOLLOW) != 0 ? KL_WALK_NOFOLLOW : 0;
	struct kl_file *file;
	struct kl_walk w;
	int rc;

	if ((mask & (IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED)) == 0 ||
		(mask & (IN_MASK_ADD | IN_MASK_CREATE)) == (IN_MASK_ADD | IN_MASK_CREATE))
		return -EINVAL;
	file = get_file(fd, &rc);
	if (file == NULL)
		return rc;
	rc = kl_walk_user(&w, AT_FDCWD, path, flags | ((mask & IN_ONLYDIR) != 0 ? KL_WALK_DIR : 0));
	if (rc == 0)
		rc = kl_vnode_may(w.dentry->vnode, 4, false);
	if (rc == 0)
		rc = add_watch(file->priv, w.dentry->vnode, mask);
	kl_walk_end(&w);
	kl_file_put(file);
	return rc;
}

long kl_sys_inotify_rm_watch(int fd, int wd)
{
	struct watch *w;
	int rc;
	struct kl_file *file = get_file(fd, &rc);

	if (file == NULL)
		return rc;
	w = find_watch(file->priv, NULL, wd);
	if (w != NULL) {
		put_event(w->queue, w->wd, IN_IGNORED, 0, "", 0);
		watch_free(w);
	}
	kl_file_put(file);
	return w != NULL ? 0 : -EINVAL;
}

int kl_inotify_init(void)
{
	kl_vfs_hooks.notify = notify;
	return 0;
}
