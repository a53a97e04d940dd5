/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors: close(2), close_range(2), dup(2). */
#include <kl/heap.h>
#include <kl/process.h>
#include <kl/string.h>
#include "vfs_priv.h"

#include <asm/errno.h>
#include <linux/close_range.h>
#include <linux/fcntl.h>
#include <linux/resource.h>

#define SLOTS_FIRST 64u
#define SLOTS_MAX (1u << 20) /* as fs.nr_open */

struct kl_fdtable {
	uint32_t refs;
	uint32_t slots;  /* a multiple of 64 */
	uint32_t lowest; /* no free slot is below */
	struct kl_file **files;
	uint64_t *used, *cloexec; /* bits */
};

static bool bit(const uint64_t *map, uint32_t i)
{
	return (map[i / 64] >> i % 64 & 1) != 0;
}

static void set_bit(uint64_t *map, uint32_t i, bool on)
{
	map[i / 64] = (map[i / 64] & ~(1ull << i % 64)) | (uint64_t)on << i % 64;
}

/* One allocation: pointers, then both bitmaps. */
static int resize(struct kl_fdtable *t, uint32_t slots)
{
	struct kl_file **files = kl_zalloc(slots * sizeof(*files) + slots / 4);
	uint64_t *used;

	if (files == NULL)
		return -ENOMEM;
	used = (uint64_t *)(files + slots);
	if (t->files != NULL) {
		memcpy(files, t->files, t->slots * sizeof(*files));
		memcpy(used, t->used, t->slots / 8);
		memcpy(used + slots / 64, t->cloexec, t->slots / 8);
		kl_free(t->files);
	}
	t->files = files;
	t->used = used;
	t->cloexec = used + slots / 64;
	t->slots = slots;
	return 0;
}

struct kl_fdtable *kl_fdtable_create(void)
{
	struct kl_fdtable *t = kl_zalloc(sizeof(*t));

	if (t == NULL)
		return NULL;
	t->refs = 1;
	if (resize(t, SLOTS_FIRST) < 0) {
		kl_free(t);
		return NULL;
	}
	return t;
}

struct kl_fdtable *kl_fdtable_clone(struct kl_fdtable *from)
{
	struct kl_fdtable *t = kl_zalloc(sizeof(*t));

	if (t == NULL)
		return NULL;
	t->refs = 1;
	if (resize(t, from->slots) < 0) {
		kl_free(t);
		return NULL;
	}
	t->lowest = from->lowest;
	memcpy(t->files, from->files, from->slots * sizeof(*t->files) + from->slots / 4);
	for (uint32_t i = 0; i < t->slots; i++)
		if (t->files[i] != NULL)
			kl_file_get(t->files[i]);
	return t;
}

void kl_fdtable_set(struct kl_fdtable *t, int fd, struct kl_file *file)
{
	t->files[fd] = file;
	set_bit(t->used, (uint32_t)fd, true);
}

void kl_fdtable_get(struct kl_fdtable *t)
{
	t->refs++;
}

static struct kl_file *take(struct kl_fdtable *t, uint32_t fd)
{
	struct kl_file *file = fd < t->slots ? t->files[fd] : NULL;

	if (file == NULL)
		return NULL;
	t->files[fd] = NULL;
	set_bit(t->used, fd, false);
	t->lowest = KL_MIN(t->lowest, fd);
	return file;
}

static int close_file(struct kl_file *file)
{
	int rc = file->ops->flush != NULL ? file->ops->flush(file) : 0;

	kl_file_put(file);
	return rc;
}

void kl_fdtable_put(struct kl_fdtable *t)
{
	if (--t->refs != 0)
		return;
	for (uint32_t i = 0; i < t->slots; i++) {
		struct kl_file *file = take(t, i);

		if (file != NULL)
			close_file(file);
	}
	kl_free(t->files);
	kl_free(t);
}

void kl_fdtable_close_on_exec(struct kl_fdtable *t)
{
	for (uint32_t i = 0; i < t->slots; i++) {
		struct kl_file *file = bit(t->cloexec, i) ? take(t, i) : NULL;

		if (file != NULL)
			close_file(file);
	}
}

void kl_fdtable_each(struct kl_fdtable *t, int fd, bool (*fn)(int fd, struct kl_file *file, void *arg), void *arg)
{
	for (uint32_t i = (uint32_t)fd; i < t->slots; i++)
		if (t->files[i] != NULL && !fn((int)i, t->files[i], arg))
			return;
}

struct kl_file *kl_fdtable_file(struct kl_fdtable *t, int fd)
{
	struct kl_file *file = (uint32_t)fd < t->slots ? t->files[fd] : NULL;

	if (file != NULL)
		kl_file_get(file);
	return file;
}

struct kl_file *kl_fd_get(int fd)
{
	return kl_fdtable_file(kl_proc()->fds, fd);
}

struct kl_file *kl_fd_get_io(int fd)
{
	struct kl_file *file = kl_fd_get(fd);

	if (file == NULL || (file->flags & O_PATH) == 0)
		return file;
	kl_file_put(file);
	return NULL;
}

static uint32_t limit(void)
{
	return (uint32_t)KL_MIN(kl_proc()->rlimits[RLIMIT_NOFILE].soft, (uint64_t)SLOTS_MAX);
}

static int make_room(struct kl_fdtable *t, uint32_t fd)
{
	uint32_t slots = t->slots;

	while (slots <= fd)
		slots *= 2;
	return slots > t->slots ? resize(t, slots) : 0;
}

int kl_fd_install_from(struct kl_file *file, int from, bool cloexec)
{
	struct kl_fdtable *t = kl_proc()->fds;
	uint32_t fd = KL_MAX((uint32_t)from, t->lowest), word = fd / 64;
	int rc;

	if (fd < t->slots) {
		uint64_t free = ~t->used[word] & ~0ull << fd % 64;

		while (free == 0 && ++word < t->slots / 64)
			free = ~t->used[word];
		fd = free != 0 ? word * 64 + (uint32_t)__builtin_ctzll(free) : t->slots;
	}
	if (fd >= limit())
		return -EMFILE;
	rc = make_room(t, fd);
	if (rc < 0)
		return rc;
	t->files[fd] = file;
	set_bit(t->used, fd, true);
	set_bit(t->cloexec, fd, cloexec);
	if ((uint32_t)from <= t->lowest)
		t->lowest = fd + 1;
	return (int)fd;
}

int kl_fd_install(struct kl_file *file, bool cloexec)
{
	return kl_fd_install_from(file, 0, cloexec);
}

bool kl_fd_cloexec(int fd)
{
	return bit(kl_proc()->fds->cloexec, (uint32_t)fd);
}

void kl_fd_set_cloexec(int fd, bool on)
{
	set_bit(kl_proc()->fds->cloexec, (uint32_t)fd, on);
}

int kl_fd_close(int fd)
{
	struct kl_file *file = take(kl_proc()->fds, (uint32_t)fd);

	return file != NULL ? close_file(file) : -EBADF;
}

long kl_sys_close(int fd)
{
	return kl_fd_close(fd);
}

long kl_sys_close_range(unsigned first, unsigned last, unsigned flags)
{
	struct kl_fdtable *t = kl_proc()->fds;

	if (first > last || (flags & ~(unsigned)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) != 0)
		return -EINVAL;
	if ((flags & CLOSE_RANGE_UNSHARE) != 0 && t->refs > 1) {
		struct kl_fdtable *own = kl_fdtable_clone(t);

		if (own == NULL)
			return -ENOMEM;
		kl_fdtable_put(t);
		kl_proc()->fds = t = own;
	}
	for (uint32_t i = first; i < t->slots && i <= last; i++) {
		if ((flags & CLOSE_RANGE_CLOEXEC) != 0)
			set_bit(t->cloexec, i, true);
		else
			(void)kl_fd_close((int)i);
	}
	return 0;
}

/* dup2(2), dup3(2): makes newfd refer to oldfd's file. */
static long dup_to(int oldfd, int newfd, bool cloexec)
{
	struct kl_fdtable *t = kl_proc()->fds;
	struct kl_file *file = kl_fd_get(oldfd), *old;
	int rc;

	if (file == NULL)
		return -EBADF;
	rc = (uint32_t)newfd >= limit() ? -EBADF : make_room(t, (uint32_t)newfd);
	if (rc < 0) {
		kl_file_put(file);
		return rc;
	}
	old = take(t, (uint32_t)newfd);
	t->files[newfd] = file;
	set_bit(t->used, (uint32_t)newfd, true);
	set_bit(t->cloexec, (uint32_t)newfd, cloexec);
	if (old != NULL)
		(void)close_file(old);
	return newfd;
}

long kl_sys_dup(int fd)
{
	struct kl_file *file = kl_fd_get(fd);
	int rc;

	if (file == NULL)
		return -EBADF;
	rc = kl_fd_install(file, false);
	if (rc < 0)
		kl_file_put(file);
	return rc;
}

long kl_sys_dup2(int oldfd, int newfd)
{
	if (oldfd == newfd) {
		struct kl_file *file = kl_fd_get(oldfd);

		if (file == NULL)
			return -EBADF;
		kl_file_put(file);
		return newfd;
	}
	return dup_to(oldfd, newfd, false);
}

long kl_sys_dup3(int oldfd, int newfd, int flags)
{
	if ((flags & ~O_CLOEXEC) != 0 || oldfd == newfd)
		return -EINVAL;
	return dup_to(oldfd, newfd, (flags & O_CLOEXEC) != 0);
}
