/* SPDX-License-Identifier: Apache-2.0 */
/* eventfd(2): a counter that can be waited for. */
#include <kl/file.h>
#include <kl/heap.h>
#include <kl/sched.h>
#include <kl/uaccess.h>

#include "eventfd_priv.h"

#include <asm/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>

/* As in Linux's eventfd.h, which is no UAPI header everywhere. */
#define EFD_SEMAPHORE 1
#define EFD_CLOEXEC O_CLOEXEC
#define EFD_NONBLOCK O_NONBLOCK

#define COUNT_MAX (UINT64_MAX - 1)

struct eventfd {
	struct kl_waitq wait;
	uint64_t count;
	bool semaphore;
};

static int wait_until(struct kl_file *file, bool (*ready)(const struct eventfd *e, uint64_t v), uint64_t v)
{
	struct eventfd *e = file->priv;

	while (!ready(e, v)) {
		int rc = (file->flags & O_NONBLOCK) != 0 ? -EAGAIN : kl_wait(&e->wait, KL_FOREVER, true);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static bool not_zero(const struct eventfd *e, uint64_t v)
{
	(void)v;
	return e->count > 0;
}

static bool has_room(const struct eventfd *e, uint64_t v)
{
	return COUNT_MAX - e->count >= v;
}

static kl_ssize event_read(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	struct eventfd *e = file->priv;
	uint64_t v;
	int rc;

	(void)pos;
	if (it->left < sizeof(v))
		return -EINVAL;
	rc = wait_until(file, not_zero, 0);
	if (rc < 0)
		return rc;
	v = e->semaphore ? 1 : e->count;
	e->count -= v;
	kl_waitq_wake(&e->wait, EPOLLOUT);
	rc = kl_iter_write(it, &v, sizeof(v));
	return rc < 0 ? rc : (kl_ssize)sizeof(v);
}

static kl_ssize event_write(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	struct eventfd *e = file->priv;
	uint64_t v;
	int rc;

	(void)pos;
	if (it->left < sizeof(v))
		return -EINVAL;
	rc = kl_iter_read(it, &v, sizeof(v));
	if (rc == 0 && v == UINT64_MAX)
		rc = -EINVAL;
	if (rc == 0)
		rc = wait_until(file, has_room, v);
	if (rc < 0)
		return rc;
	e->count += v;
	kl_waitq_wake(&e->wait, EPOLLIN);
	return sizeof(v);
}

static uint32_t event_poll(struct kl_file *file, struct kl_poll_table *table)
{
	struct eventfd *e = file->priv;

	if (table != NULL)
		table->add(table, &e->wait);
	return (e->count > 0 ? EPOLLIN : 0) | (e->count < COUNT_MAX ? EPOLLOUT : 0);
}

static void event_release(struct kl_file *file)
{
	kl_free(file->priv);
}

static const struct kl_file_ops ops = {
	.read = event_read, .write = event_write, .poll = event_poll, .release = event_release};

long kl_sys_eventfd2(unsigned count, int flags)
{
	struct eventfd *e;
	struct kl_file *file;
	int rc;

	if ((flags & ~(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK)) != 0)
		return -EINVAL;
	e = kl_zalloc(sizeof(*e));
	if (e == NULL)
		return -ENOMEM;
	kl_waitq_init(&e->wait);
	e->count = count;
	e->semaphore = (flags & EFD_SEMAPHORE) != 0;
	file = kl_file_create(&ops, O_RDWR | ((uint32_t)flags & O_NONBLOCK), e);
	if (file == NULL) {
		kl_free(e);
		return -ENOMEM;
	}
	file->anonymous = "anon_inode:[eventfd]";
	rc = kl_fd_install(file, (flags & EFD_CLOEXEC) != 0);
	if (rc < 0)
		kl_file_put(file);
	return rc;
}

long kl_sys_eventfd(unsigned count)
{
	return kl_sys_eventfd2(count, 0);
}
