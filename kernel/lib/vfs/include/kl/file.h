/* SPDX-License-Identifier: Apache-2.0 */
/* Open files, descriptors, and readiness. Every descriptor's object (file, pipe, socket, epoll, ...) is a struct kl_file. */
#ifndef KL_FILE_H
#define KL_FILE_H

#include <kl/list.h>
#include <kl/sched.h>
#include <kl/types.h>
#include <kl/uaccess.h>

struct kl_file;
struct kl_dentry;
struct kl_process;
struct kl_vnode;
struct stat;

/* Passed to kl_file_ops.poll to register where readiness will be signalled. NULL: only the current state is asked for. */
struct kl_poll_table {
	void (*add)(struct kl_poll_table *table, struct kl_waitq *q);
};

/* Any but release may be NULL (the call then fails as Linux does). All return -errno on failure. */
struct kl_file_ops {
	/* Up to it->left bytes. pos: the offset to use and advance; ignored by streams. Blocks unless O_NONBLOCK. */
	kl_ssize (*read)(struct kl_file *file, struct kl_iter *it, int64_t *pos);
	kl_ssize (*write)(struct kl_file *file, struct kl_iter *it, int64_t *pos);
	int64_t (*seek)(struct kl_file *file, int64_t offset, int whence);
	uint32_t (*poll)(struct kl_file *file, struct kl_poll_table *table); /* EPOLL* that hold now */
	long (*ioctl)(struct kl_file *file, unsigned cmd, uint64_t arg);
	/* linux_dirent64 records into it. */
	kl_ssize (*getdents)(struct kl_file *file, struct kl_iter *it);
	/*
	 * The physical page that holds bytes [index * 4096, ...) of the file, with a reference, for mapping. shared_write: it will be
	 * mapped writable and shared. -ENODEV: cannot be mapped; -EFAULT (SIGBUS): beyond the end. Pages of an image's root file
	 * system are the image's own memory: nothing is copied.
	 */
	int (*page)(struct kl_file *file, uint64_t index, bool shared_write, kl_phys *page);
	/*
	 * For copying files without a buffer: bytes that can be read at offset where *data points, at most max; 0 at the end. *hold: a
	 * page whose reference the caller puts when it is done, or KL_PHYS_NONE.
	 */
	kl_ssize (*span)(struct kl_file *file, uint64_t offset, size_t max, const void **data, kl_phys *hold);
	/*
	 * As write, for sendfile(2), without a copy; may be NULL, and -EOPNOTSUPP means: use write. data may be read later too: it stays
	 * as long as the page hold, of which references are taken, or for ever (KL_PHYS_NONE). more: further data follows at once.
	 */
	kl_ssize (*write_span)(struct kl_file *file, const void *data, size_t bytes, kl_phys hold, bool more);
	int (*stat)(struct kl_file *file, struct stat *st); /* when there is no vnode */
	int (*flush)(struct kl_file *file);                 /* a descriptor of it is closed */
	void (*release)(struct kl_file *file);              /* the last reference went */
};

struct kl_file {
	const struct kl_file_ops *ops;
	uint32_t refs;
	uint32_t flags; /* O_* of open(2), without O_CLOEXEC */
	int64_t pos;
	struct kl_vnode *vnode;      /* NULL: not from a file system */
	struct kl_dentry *dentry;    /* that it was opened by, with a reference; NULL when vnode is */
	void *priv;                  /* the object's own */
	struct kl_list watches;      /* epoll registrations, so that they end with the file */
	int owner_pid, owner_signal; /* F_SETOWN, F_SETSIG */
	const char *anonymous;       /* for /proc: "[eventpoll]" and so on; NULL: see dentry */
};

/* file->flags allow it */
static inline bool kl_file_readable(const struct kl_file *file)
{
	return ((file->flags + 1) & 1) != 0 && (file->flags & 010000000 /* O_PATH */) == 0;
}
static inline bool kl_file_writable(const struct kl_file *file)
{
	return ((file->flags + 1) & 2) != 0 && (file->flags & 010000000 /* O_PATH */) == 0;
}

/* With one reference. NULL: out of memory. */
struct kl_file *kl_file_create(const struct kl_file_ops *ops, uint32_t flags, void *priv);
void kl_file_get(struct kl_file *file);
void kl_file_put(struct kl_file *file);

/* Lowest free descriptor; takes over the caller's reference only on success. Descriptor or -EMFILE, -ENOMEM. */
int kl_fd_install(struct kl_file *file, bool cloexec);
/* The file of a descriptor of the current process with a reference, or NULL (-EBADF). */
struct kl_file *kl_fd_get(int fd) KL_MUST_CHECK;
int kl_fd_close(int fd);
/* File operations as read(2), write(2): checks of the mode, then file->ops. */
kl_ssize kl_file_read(struct kl_file *file, struct kl_iter *it, int64_t *pos);
kl_ssize kl_file_write(struct kl_file *file, struct kl_iter *it, int64_t *pos);

/* Copies an array of struct iovec into *out (fast, or allocated: free unless it is fast) and starts it over them. */
#define KL_IOV_FAST 8u
int kl_iov_from_user(struct kl_iter *it, struct kl_iovec **out, struct kl_iovec *fast, kl_uaddr iov, size_t count);

/* --- descriptor tables, for processes --- */

struct kl_fdtable;
struct kl_fsinfo;

struct kl_fdtable *kl_fdtable_create(void);                   /* empty, one reference; NULL: out of memory */
struct kl_fdtable *kl_fdtable_clone(struct kl_fdtable *from); /* as fork(2) does */
/* Takes over the reference; fd is free and below 64. For the first process. */
void kl_fdtable_set(struct kl_fdtable *t, int fd, struct kl_file *file);
void kl_fdtable_get(struct kl_fdtable *t); /* CLONE_FILES */
void kl_fdtable_put(struct kl_fdtable *t); /* the last reference closes all */
void kl_fdtable_close_on_exec(struct kl_fdtable *t);
/* Calls fn for each open descriptor from fd on, until it returns false. */
void kl_fdtable_each(struct kl_fdtable *t, int fd, bool (*fn)(int fd, struct kl_file *file, void *arg), void *arg);
struct kl_file *kl_fdtable_file(struct kl_fdtable *t, int fd) KL_MUST_CHECK; /* as kl_fd_get() */
struct kl_fsinfo *kl_fsinfo_clone(struct kl_fsinfo *from);
void kl_fsinfo_get(struct kl_fsinfo *fs);
void kl_fsinfo_put(struct kl_fsinfo *fs);

/* --- for the library OS itself --- */

/* As open(2) from the root directory, symbolic links followed. flags: O_*. */
int kl_vfs_open(const char *path, int flags, unsigned mode, struct kl_file **out);
/* Exactly n bytes at offset, or -EIO when the file is shorter. */
int kl_file_read_exact(struct kl_file *file, void *buf, size_t n, uint64_t offset);
/* Size in bytes of a regular file; -errno otherwise. */
int64_t kl_file_size(struct kl_file *file);
/* Path of the file, for /proc/self/maps and crash reports; never NULL, valid until the next call. */
const char *kl_file_path(const struct kl_file *file);

#endif
