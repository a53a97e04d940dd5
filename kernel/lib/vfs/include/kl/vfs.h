/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name space: entries (names, struct kl_dentry) that refer to nodes (files, struct kl_vnode) of mounted file systems (struct
 * kl_super). All of it lives in memory, and nothing here blocks. Functions return 0 or -errno unless they say otherwise.
 */
#ifndef KL_VFS_H
#define KL_VFS_H

#include <kl/file.h>
#include <kl/list.h>
#include <kl/types.h>

#define KL_NAME_MAX 255u  /* bytes of one name */
#define KL_PATH_MAX 4096u /* bytes of a path with its zero */
#define KL_LINKS_MAX 40u  /* symbolic links on one path (path_resolution(7)) */

struct kl_dentry;
struct kl_super;
struct kl_vnode;
struct statfs;

/* What kl_vnode_ops.create makes. */
struct kl_new {
	uint32_t mode; /* with the type, S_IF* */
	uint64_t rdev;
	const char *target; /* of a symbolic link; copied */
	size_t target_bytes;
};

/*
 * What a file system implements; any may be NULL. Permissions have been checked. name: n bytes (at most KL_NAME_MAX) without a
 * zero, neither "." nor "..".
 */
struct kl_vnode_ops {
	/* Directories. lookup: called for names that are not cached; *out with a reference. */
	int (*lookup)(struct kl_dentry *dir, const char *name, size_t n, struct kl_dentry **out);
	int (*create)(
		struct kl_dentry *dir, const char *name, size_t n, const struct kl_new *what, struct kl_dentry **out);
	int (*link)(struct kl_dentry *dir, const char *name, size_t n, struct kl_vnode *node);
	int (*unlink)(struct kl_dentry *victim); /* a directory: -ENOTEMPTY unless it is empty */
	/* over: what has the new name, or NULL; it is replaced, or with exchange gets the old name. */
	int (*rename)(struct kl_dentry *from, struct kl_dentry *dir, const char *name, size_t n, struct kl_dentry *over,
		bool exchange);
	/* Symbolic links: either a text that is kept while the node is, or (in procfs) an entry to jump to and a text for readlink(2). */
	int (*target)(struct kl_vnode *node, const char **text, size_t *n);
	int (*follow)(struct kl_vnode *node, struct kl_dentry **out);
	kl_ssize (*readlink)(struct kl_vnode *node, char *buf, size_t size);
	/* Files. */
	int (*set_size)(struct kl_vnode *node, uint64_t size);
	int (*allocate)(struct kl_vnode *node, int mode, uint64_t offset, uint64_t bytes); /* fallocate(2) */
	long (*seals)(struct kl_vnode *node, int64_t add); /* F_ADD_SEALS; F_GET_SEALS when negative */
	int (*open)(struct kl_file *file);     /* file->ops is already file_ops; may change it and set priv */
	void (*update)(struct kl_vnode *node); /* brings the node's attributes up to date */
	void (*free)(struct kl_vnode *node);   /* the last reference went */
	const struct kl_file_ops *file_ops;
};

struct kl_vnode {
	const struct kl_vnode_ops *ops;
	struct kl_super *super;
	uint32_t refs;
	uint32_t mode, uid, gid, nlink;
	uint64_t ino, rdev, size, blocks;               /* blocks: of 512 bytes */
	int64_t atime_ns, mtime_ns, ctime_ns, btime_ns; /* since 1970 */
	struct kl_list *marks;                          /* inotify watches; NULL: none */
	struct kl_list *locks;                          /* flock(2); NULL: none */
	void *endpoint;                                 /* a FIFO's pipe, or the socket bound to the name */
};

#define KL_DENTRY_HASHED 1u   /* in the cache, which holds a reference */
#define KL_DENTRY_LOWER 2u    /* file system's own: the read-only layer has this name too */
#define KL_DENTRY_UNLINKED 4u /* the name is gone */

struct kl_dentry {
	struct kl_dentry *hash_next;
	struct kl_dentry *parent; /* with a reference; NULL: root of a file system, or without a name */
	struct kl_vnode *vnode;   /* with a reference; NULL: the name is known not to exist */
	struct kl_list siblings;  /* in parent->children; file system's own use */
	struct kl_list children;
	uint64_t cookie;           /* position for getdents64(2); file system's own use */
	struct kl_dentry *mounted; /* root of the file system that covers it */
	struct kl_dentry *covers;  /* of a mounted root: the entry that it covers */
	const char *name; /* name_bytes long; its own memory (short_name), allocated, or constant (own_name false) */
	uint32_t hash, refs;
	uint8_t name_bytes, flags;
	bool own_name;
	char short_name[21];
};

struct kl_super {
	struct kl_list link;
	const char *type;    /* as in /proc/filesystems */
	const char *options; /* for /proc/mounts */
	uint64_t dev;
	struct kl_dentry *root;
	const struct kl_super_ops *ops;
};

struct kl_super_ops {
	int (*statfs)(struct kl_super *super, struct statfs *out);
};

extern struct kl_list kl_supers; /* mounted file systems, in order of mounting */

/* --- entries and nodes --- */

static inline struct kl_dentry *kl_dentry_get(struct kl_dentry *d)
{
	d->refs++;
	return d;
}
void kl_dentry_put(struct kl_dentry *d); /* NULL: no effect */
/* With one reference. Takes over the caller's reference to node, also on failure. keep_name: name is constant memory. NULL: -ENOMEM */
struct kl_dentry *kl_dentry_create(
	struct kl_dentry *parent, const char *name, size_t n, struct kl_vnode *node, bool keep_name);
void kl_dentry_hash(struct kl_dentry *d); /* into the cache */
void kl_dentry_unhash(struct kl_dentry *d);
struct kl_dentry *kl_dentry_cached(
	struct kl_dentry *parent, const char *name, size_t n); /* without a new reference, or NULL */
/* The entry of a name, also of one that does not exist when *out has no vnode; mounts are not crossed. */
int kl_dentry_lookup(struct kl_dentry *dir, const char *name, size_t n, struct kl_dentry **out);
/* Gives d a new name and parent, in the cache too when it was there. */
int kl_dentry_move(struct kl_dentry *d, struct kl_dentry *parent, const char *name, size_t n);
void kl_dentry_swap(struct kl_dentry *a, struct kl_dentry *b); /* names and parents */
/* The path from root (NULL: the very root) into the end of buf; a pointer into buf, or NULL when it is too small. */
char *kl_dentry_path(const struct kl_dentry *d, const struct kl_dentry *root, char *buf, size_t size);

static inline struct kl_vnode *kl_vnode_get(struct kl_vnode *node)
{
	node->refs++;
	return node;
}
void kl_vnode_put(struct kl_vnode *node);
/* Sets what all nodes have: one reference, one link, owner, times. */
void kl_vnode_init(
	struct kl_vnode *node, struct kl_super *super, const struct kl_vnode_ops *ops, uint32_t mode, uint64_t ino);
/* mask: 4 read, 2 write, 1 execute or search, for the effective or (real) the real user. -EACCES, -EROFS. */
int kl_vnode_may(const struct kl_vnode *node, unsigned mask, bool real);
uint64_t kl_vnode_new_ino(void);

/* Gives super a device number and covers the entry at path ("/": the root). */
int kl_vfs_mount(struct kl_super *super, const char *path);
/* Makes a directory (mode without type), with parents of mode 0755, where it is not there. */
int kl_vfs_mkdirs(const char *path, uint32_t mode);

/* --- paths --- */

#define KL_WALK_NOFOLLOW 1u /* a symbolic link at the end is the result */
#define KL_WALK_EMPTY 2u    /* "" stands for dfd itself */
#define KL_WALK_PARENT 4u   /* the result is the directory; the last name is not looked up */
#define KL_WALK_CREATE 8u   /* that the last name does not exist is no error: dentry is NULL, dir and last are set */
#define KL_WALK_DIR 16u     /* -ENOTDIR unless the result is a directory */
#define KL_WALK_BENEATH 32u /* openat2(2): RESOLVE_BENEATH */
#define KL_WALK_IN_ROOT 64u
#define KL_WALK_NO_LINKS 128u
#define KL_WALK_NO_MAGIC 256u
#define KL_WALK_NO_XDEV 512u
#define KL_WALK_CWD 1024u /* kl_walk_kernel(): from the working directory */

struct kl_walk {
	struct kl_dentry *dentry; /* result, with a reference */
	struct kl_dentry *dir;    /* with KL_WALK_PARENT, KL_WALK_CREATE: directory, with a reference */
	const char *last;         /* with these: the last name */
	size_t last_bytes;
	bool last_special; /* it is ".", ".." or there is none ("/") */
	bool slash;        /* the path ended with a slash */
	char *path;        /* copied from the program */
	unsigned links_count;
	struct kl_vnode *links[KL_LINKS_MAX];
};

/* dfd: descriptor or AT_FDCWD. On success and on failure to be ended by kl_walk_end(). */
int kl_walk_user(struct kl_walk *w, int dfd, kl_uaddr path, unsigned flags);
int kl_walk_kernel(
	struct kl_walk *w, const char *path, unsigned flags); /* from the root directory; path is kept until the end */
/* As mknod(2), from the working directory; *out with a reference. */
int kl_vfs_make(const char *path, uint32_t mode, struct kl_dentry **out);
void kl_walk_end(struct kl_walk *w);
/* For *at() with KL_WALK_EMPTY: dfd's own file may have no entry; *file then has a reference and w->dentry is NULL. */
int kl_walk_user_or_file(struct kl_walk *w, int dfd, kl_uaddr path, unsigned flags, struct kl_file **file);

/* Buffers of KL_PATH_MAX bytes. NULL: out of memory. */
char *kl_path_buffer_get(void);
void kl_path_buffer_put(char *buf);

/* --- what belongs to a process --- */

struct kl_fsinfo {
	uint32_t refs;
	uint32_t umask;
	struct kl_dentry *root, *cwd;
};

/* --- other modules hook in; NULL: not in this image --- */

struct kl_vfs_hooks {
	/* pipe: opens a FIFO */
	int (*fifo_open)(struct kl_file *file);
	/* pipe: F_GETPIPE_SZ (bytes -1), F_SETPIPE_SZ; -EBADF when it is no pipe */
	long (*pipe_size)(struct kl_file *file, int64_t bytes);
	/* epoll: the file is being closed */
	void (*file_closed)(struct kl_file *file);
	/* inotify: mask IN_* happened to node (or NULL), or to that entry of its directory (or NULL). cookie: of IN_MOVED_*. */
	void (*notify)(struct kl_vnode *node, struct kl_dentry *entry, uint32_t mask, uint32_t cookie);
	/* devfs: opens a device node by its number */
	int (*device_open)(struct kl_file *file);
};

extern struct kl_vfs_hooks kl_vfs_hooks;

/* An event (IN_*) for the node of the entry and for the directory that it is in. */
static inline void kl_vfs_notify(struct kl_dentry *entry, uint32_t mask)
{
	if (entry != NULL &&
		KL_UNLIKELY(
			entry->vnode->marks != NULL || (entry->parent != NULL && entry->parent->vnode->marks != NULL)))
		kl_vfs_hooks.notify(entry->vnode, entry, mask, 0);
}

/* Opens an entry: makes the file, calls the file system. The caller keeps its reference to d. flags: O_*. */
int kl_vfs_open_dentry(struct kl_dentry *d, uint32_t flags, struct kl_file **out);
/* Fills in st for an entry's node. */
void kl_vnode_stat(struct kl_vnode *node, struct stat *st);
/* Writes one record of getdents64(2). 1, 0 when there is no room for it, or -EFAULT. next: position after this entry. */
int kl_dirent_emit(struct kl_iter *it, uint64_t ino, int64_t next, unsigned type, const char *name, size_t n);
/* A node without a name, for pipes and sockets: a dentry with one reference. Takes over node's reference. */
struct kl_dentry *kl_dentry_anonymous(const char *name, struct kl_vnode *node);

/* The current process; during start-up, when no thread runs yet, the first one. */
struct kl_process *kl_vfs_proc(void);
/* Now, CLOCK_REALTIME in ns, for time stamps. */
int64_t kl_vfs_now_ns(void);

#endif
