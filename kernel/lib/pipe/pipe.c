/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/heap.h>
#include <kl/process.h>
#include <kl/stat.h>
#include <kl/string.h>

#include "pipe_priv.h"

#include <asm/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/magic.h>

static bool nonblocking(const struct kl_file *file)
{
	return (file->flags & O_NONBLOCK) != 0;
}

static kl_ssize pipe_read(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	struct kl_pipe *p = kl_pipe_of(file);
	kl_ssize done = 0;
	int rc;

	(void)pos;
	if (it->left == 0)
		return 0;
	rc = kl_pipe_wait_data(p, nonblocking(file));
	if (rc <= 0)
		return rc;
	while (it->left > 0 && kl_pipe_used(p) > 0) {
		const void *data;
		size_t n = kl_pipe_peek(p, &data), left = it->left;

		rc = kl_iter_write(it, data, KL_MIN(n, left));
		left -= it->left;
		if (left > 0)
			kl_pipe_consume(p, left);
		done += (kl_ssize)left;
		if (rc < 0)
			return done > 0 ? done : rc;
	}
	return done;
}

static kl_ssize pipe_write(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	struct kl_pipe *p = kl_pipe_of(file);
	bool atomic = it->left <= KL_PIPE_ATOMIC;
	kl_ssize done = 0;

	(void)pos;
	if (it->left == 0)
		return 0;
	do {
		kl_ssize rc = kl_pipe_wait_room(p, atomic ? it->left : 1, nonblocking(file));

		if (rc == 0)
			rc = kl_pipe_put(p, it, it->left);
		if (rc < 0)
			return done > 0 ? done : rc;
		done += rc;
	} while (it->left > 0);
	return done;
}

static uint32_t pipe_poll(struct kl_file *file, struct kl_poll_table *table)
{
	struct kl_pipe *p = kl_pipe_of(file);
	uint32_t events = 0;

	if (kl_file_readable(file)) {
		if (table != NULL)
			table->add(table, &p->readers_wait);
		if (kl_pipe_used(p) > 0)
			events |= EPOLLIN | EPOLLRDNORM;
		/* A FIFO that nobody has ever written to since it was opened has not been hung up. */
		if (p->writers == 0 && file->pos != p->writers_ever)
			events |= EPOLLHUP;
	}
	if (kl_file_writable(file)) {
		if (table != NULL)
			table->add(table, &p->writers_wait);
		if (kl_pipe_room(p) >= KL_PIPE_ATOMIC)
			events |= EPOLLOUT | EPOLLWRNORM;
		if (p->readers == 0)
			events |= EPOLLERR;
	}
	return events;
}

static long pipe_ioctl(struct kl_file *file, unsigned cmd, uint64_t arg)
{
	if (cmd != 0x541b) /* FIONREAD */
		return -ENOTTY;
	return KL_PUT_USER(arg, (int)kl_pipe_used(kl_pipe_of(file)));
}

static void pipe_release(struct kl_file *file)
{
	struct kl_pipe *p = kl_pipe_of(file);

	if (kl_file_readable(file) && --p->readers == 0)
		kl_waitq_wake(&p->writers_wait, EPOLLOUT | EPOLLWRNORM | EPOLLERR);
	if (kl_file_writable(file) && --p->writers == 0)
		kl_waitq_wake(&p->readers_wait, EPOLLIN | EPOLLRDNORM | EPOLLHUP);
	if (p->readers == 0 && p->writers == 0) {
		file->vnode->endpoint = NULL;
		kl_pipe_free(p);
	}
}

const struct kl_file_ops kl_pipe_file_ops = {
	.read = pipe_read,
	.write = pipe_write,
	.poll = pipe_poll,
	.ioctl = pipe_ioctl,
	.release = pipe_release,
};

static void attach(struct kl_file *file, struct kl_pipe *p)
{
	file->ops = &kl_pipe_file_ops;
	file->priv = p;
	file->pos = p->writers == 0 ? (int64_t)p->writers_ever : -1;
	if (kl_file_readable(file)) {
		p->readers++;
		p->readers_ever++;
		kl_waitq_wake(&p->writers_wait, EPOLLOUT | EPOLLWRNORM);
	}
	if (kl_file_writable(file)) {
		p->writers++;
		p->writers_ever++;
		kl_waitq_wake(&p->readers_wait, 0);
	}
}

/* fifo(7): opening for reading waits for a writer, and the other way round. */
static int fifo_open(struct kl_file *file)
{
	struct kl_vnode *node = file->vnode;
	struct kl_pipe *p = node->endpoint;
	bool wait = !nonblocking(file);
	int rc = 0;

	if (p == NULL)
		p = kl_pipe_create();
	if (p == NULL)
		return -ENOMEM;
	node->endpoint = p;
	if ((file->flags & O_ACCMODE) == O_WRONLY && !wait && p->readers == 0) {
		rc = -ENXIO;
		goto out;
	}
	attach(file, p);
	if ((file->flags & O_ACCMODE) == O_RDONLY && wait && p->writers == 0) {
		uint32_t before = p->writers_ever;

		while (rc == 0 && p->writers_ever == before)
			rc = kl_wait(&p->readers_wait, KL_FOREVER, true);
	} else if ((file->flags & O_ACCMODE) == O_WRONLY && p->readers == 0) {
		uint32_t before = p->readers_ever;

		while (rc == 0 && p->readers_ever == before)
			rc = kl_wait(&p->writers_wait, KL_FOREVER, true);
	}
	if (rc < 0)
		pipe_release(file);
	return rc;
out:
	if (p->readers == 0 && p->writers == 0) {
		node->endpoint = NULL;
		kl_pipe_free(p);
	}
	return rc;
}

static long pipe_size(struct kl_file *file, int64_t bytes)
{
	struct kl_pipe *p = kl_pipe_of(file);
	uint32_t slots = 1;
	kl_phys *pages;

	if (file->ops != &kl_pipe_file_ops)
		return -EBADF;
	if (bytes < 0)
		return (long)(p->slots * KL_PAGE_BYTES);
	if ((uint64_t)bytes > KL_PIPE_SLOTS_MAX * KL_PAGE_BYTES)
		return -EPERM;
	while (slots * KL_PAGE_BYTES < (uint64_t)bytes)
		slots *= 2;
	if (kl_pipe_used(p) + p->head % KL_PAGE_BYTES > slots * KL_PAGE_BYTES)
		return -EBUSY;
	pages = kl_zalloc(slots * sizeof(*pages));
	if (pages == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->slots; i++) {
		/* The page of this slot holds bytes from `at` on, or is the spare one of an empty pipe. */
		uint64_t first = p->head / KL_PAGE_BYTES, at = first + ((i - first) & (p->slots - 1));

		if (at - first < slots)
			pages[at & (slots - 1)] = p->pages[i];
		else if (p->pages[i] != KL_PHYS_NONE)
			kl_page_put(p->pages[i]);
	}
	kl_free(p->pages);
	p->pages = pages;
	p->slots = slots;
	kl_waitq_wake(&p->writers_wait, EPOLLOUT | EPOLLWRNORM);
	return (long)(slots * KL_PAGE_BYTES);
}

/* --- pipe(2) --- */

static void node_free(struct kl_vnode *node)
{
	kl_free(node);
}

static const struct kl_vnode_ops node_ops = {.free = node_free, .file_ops = &kl_pipe_file_ops};

/* A node with a name like pipe:[7], so that stat(2) and /proc/self/fd know it. */
static struct kl_dentry *make_entry(void)
{
	struct kl_vnode *node = kl_zalloc(sizeof(*node));
	char name[32];
	int n;

	if (node == NULL)
		return NULL;
	kl_vnode_init(node, NULL, &node_ops, S_IFIFO | 0600, kl_vnode_new_ino());
	n = kl_snprintf(name, sizeof(name), "pipe:[%lu]", (unsigned long)node->ino);
	return kl_dentry_create(NULL, name, (size_t)n, node, false);
}

static struct kl_file *make_end(struct kl_dentry *d, uint32_t flags, struct kl_pipe *p)
{
	struct kl_file *file = kl_file_create(&kl_pipe_file_ops, flags, p);

	if (file == NULL)
		return NULL;
	file->dentry = kl_dentry_get(d);
	file->vnode = kl_vnode_get(d->vnode);
	attach(file, p);
	file->pos = -1;
	return file;
}

static int make_pipe(uint32_t flags, struct kl_file **r, struct kl_file **w)
{
	struct kl_dentry *d = make_entry();
	struct kl_pipe *p;

	if (d == NULL)
		return -ENOMEM;
	p = kl_pipe_create();
	if (p == NULL)
		goto put_entry;
	d->vnode->endpoint = p;
	*r = make_end(d, O_RDONLY | flags, p);
	if (*r == NULL) {
		kl_pipe_free(p);
		goto put_entry;
	}
	*w = make_end(d, O_WRONLY | flags, p);
	if (*w == NULL) {
		kl_file_put(*r);
		goto put_entry;
	}
	kl_dentry_put(d);
	return 0;
put_entry:
	kl_dentry_put(d);
	return -ENOMEM;
}

long kl_sys_pipe2(kl_uaddr fds, int flags)
{
	struct kl_file *r, *w;
	bool cloexec = (flags & O_CLOEXEC) != 0;
	int fd[2], rc;

	if ((flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT)) != 0)
		return -EINVAL;
	if ((flags & O_DIRECT) != 0)
		return -EINVAL; /* packets are not kept apart */
	rc = make_pipe((uint32_t)flags & O_NONBLOCK, &r, &w);
	if (rc < 0)
		return rc;
	fd[0] = rc = kl_fd_install(r, cloexec);
	if (rc < 0) {
		kl_file_put(r);
		kl_file_put(w);
		return rc;
	}
	fd[1] = rc = kl_fd_install(w, cloexec);
	if (rc < 0)
		kl_file_put(w);
	else
		rc = KL_PUT_USER(fds, fd[0]) < 0 || KL_PUT_USER(fds + sizeof(int), fd[1]) < 0 ? -EFAULT : 0;
	if (rc < 0) {
		kl_fd_close(fd[0]);
		if (fd[1] >= 0)
			kl_fd_close(fd[1]);
	}
	return rc;
}

long kl_sys_pipe(kl_uaddr fds)
{
	return kl_sys_pipe2(fds, 0);
}

int kl_pipe_init(void)
{
	kl_vfs_hooks.fifo_open = fifo_open;
	kl_vfs_hooks.pipe_size = pipe_size;
	return 0;
}
