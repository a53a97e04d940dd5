/* SPDX-License-Identifier: Apache-2.0 */
/* From a path to an entry: path_resolution(7), openat2(2). */
#include <kl/heap.h>
#include <kl/process.h>
#include <kl/stat.h>
#include <kl/string.h>
#include <kl/vfs.h>

#include <asm/errno.h>
#include <linux/fcntl.h>

static struct path_buffer {
	struct path_buffer *next;
} * buffers; /* unused ones */

char *kl_path_buffer_get(void)
{
	struct path_buffer *b = buffers;

	if (b == NULL)
		return kl_malloc(KL_PATH_MAX);
	buffers = b->next;
	return (char *)b;
}

void kl_path_buffer_put(char *buf)
{
	struct path_buffer *b = (struct path_buffer *)buf;

	if (b == NULL)
		return;
	b->next = buffers;
	buffers = b;
}

/* Where the walk is. Text still to do: [p, end), then the texts that symbolic links interrupted, the last first. */
struct cursor {
	struct kl_walk *w;
	struct kl_dentry *at;           /* with a reference */
	struct kl_dentry *root, *start; /* without */
	const char *p, *end;
	unsigned flags, depth;
	struct {
		const char *p, *end;
	} rest[KL_LINKS_MAX];
};

static void step_to(struct cursor *c, struct kl_dentry *d)
{
	kl_dentry_put(c->at);
	c->at = d;
}

/* The root of what is mounted on d; takes over the reference. */
static struct kl_dentry *cross_down(struct kl_dentry *d)
{
	while (d->mounted != NULL) {
		struct kl_dentry *root = kl_dentry_get(d->mounted);

		kl_dentry_put(d);
		d = root;
	}
	return d;
}

static int step_up(struct cursor *c)
{
	struct kl_dentry *d = c->at;

	if ((c->flags & KL_WALK_BENEATH) != 0 && d == c->start)
		return -EXDEV;
	if (d == c->root)
		return 0;
	while (d->parent == NULL && d->covers != NULL) {
		if ((c->flags & KL_WALK_NO_XDEV) != 0)
			return -EXDEV;
		d = d->covers;
		if (d == c->root)
			break;
	}
	if (d != c->root && d->parent != NULL)
		d = d->parent;
	step_to(c, cross_down(kl_dentry_get(d)));
	return 0;
}

/* Goes on with the link's target; d's reference is taken over. */
static int enter_link(struct cursor *c, struct kl_dentry *d)
{
	struct kl_vnode *node = d->vnode;
	struct kl_dentry *target;
	const char *text = NULL;
	size_t n = 0;
	int rc;

	if ((c->flags & KL_WALK_NO_LINKS) != 0 || c->w->links_count == KL_LINKS_MAX) {
		rc = -ELOOP;
		goto out;
	}
	if (node->ops->follow != NULL) {
		rc = (c->flags & KL_WALK_NO_MAGIC) != 0 ? -ELOOP : node->ops->follow(node, &target);
		if (rc == 0 && (c->flags & (KL_WALK_BENEATH | KL_WALK_IN_ROOT)) != 0) {
			kl_dentry_put(target);
			rc = -EXDEV;
		}
		if (rc == 0) {
			c->w->links[c->w->links_count++] = kl_vnode_get(node);
			step_to(c, target);
		}
		goto out;
	}
	rc = node->ops->target(node, &text, &n);
	if (rc == 0 && n == 0)
		rc = -ENOENT;
	if (rc == 0 && text[0] == '/' && (c->flags & KL_WALK_BENEATH) != 0)
		rc = -EXDEV;
	if (rc < 0)
		goto out;
	/* The text stays while the node does. */
	c->w->links[c->w->links_count++] = kl_vnode_get(node);
	if (c->p < c->end) {
		c->rest[c->depth].p = c->p;
		c->rest[c->depth++].end = c->end;
	}
	c->p = text;
	c->end = text + n;
	if (text[0] == '/')
		step_to(c, kl_dentry_get(c->root));
out:
	kl_dentry_put(d);
	return rc;
}

/* Looks up one name. 1: it is the last one, and the caller only wants its directory or may create it. */
static int step(struct cursor *c, const char *name, size_t n, bool last)
{
	struct kl_walk *w = c->w;
	bool special = name[0] == '.' && (n == 1 || (n == 2 && name[1] == '.'));
	struct kl_dentry *d;
	int rc;

	if (c->at->vnode == NULL || !S_ISDIR(c->at->vnode->mode))
		return -ENOTDIR;
	rc = kl_vnode_may(c->at->vnode, 1, false);
	if (rc < 0)
		return rc;
	w->last = name;
	w->last_bytes = n;
	w->last_special = special;
	if (last && (c->flags & KL_WALK_PARENT) != 0)
		return 1;
	if (special)
		return n == 2 ? step_up(c) : 0;
	if (last && w->slash && (c->flags & KL_WALK_CREATE) != 0)
		return -EISDIR; /* of all that could be there, open(2) with O_CREAT makes no directory */
	rc = kl_dentry_lookup(c->at, name, n, &d);
	if (rc == -ENOENT && last && (c->flags & KL_WALK_CREATE) != 0 && (c->at->flags & KL_DENTRY_UNLINKED) == 0)
		return 1;
	if (rc < 0)
		return rc;
	if (d->mounted != NULL) {
		if ((c->flags & KL_WALK_NO_XDEV) != 0) {
			kl_dentry_put(d);
			return -EXDEV;
		}
		d = cross_down(d);
	}
	if (S_ISLNK(d->vnode->mode) && (!last || w->slash || (c->flags & KL_WALK_NOFOLLOW) == 0))
		return enter_link(c, d);
	if (last &&
		(c->flags & KL_WALK_CREATE) !=
			0) { /* it exists, but who creates with O_EXCL still needs to know where */
		kl_dentry_put(w->dir);
		w->dir = kl_dentry_get(c->at);
	}
	step_to(c, d);
	return 0;
}

static int walk(struct cursor *c)
{
	struct kl_walk *w = c->w;
	int rc;

	for (;;) {
		const char *name;
		size_t n;

		while (c->p < c->end && *c->p == '/')
			c->p++;
		if (c->p == c->end) {
			if (c->depth == 0)
				return 0;
			c->depth--;
			c->p = c->rest[c->depth].p;
			c->end = c->rest[c->depth].end;
			continue;
		}
		name = c->p;
		while (c->p < c->end && *c->p != '/')
			c->p++;
		n = (size_t)(c->p - name);
		const char *after = c->p;

		while (after < c->end && *after == '/')
			after++;
		bool last = after == c->end && c->depth == 0;

		if (last && after > c->p)
			w->slash = true;
		if (after == c->end)
			c->p = after;
		rc = step(c, name, n, last);
		if (rc != 0)
			return rc;
	}
}

static int run(struct kl_walk *w, struct kl_dentry *start, const char *path, unsigned flags)
{
	struct kl_fsinfo *fs = kl_vfs_proc()->fs;
	struct cursor c = {.w = w, .start = start, .root = fs->root, .flags = flags};
	int rc;

	if ((flags & KL_WALK_IN_ROOT) != 0)
		c.root = start;
	c.p = path;
	c.end = path + strlen(path);
	if (*path == '/' && (flags & KL_WALK_BENEATH) != 0)
		return -EXDEV;
	c.at = kl_dentry_get(*path == '/' ? c.root : start);
	w->last_special = true; /* "/" and ".": nothing can be made there */
	rc = walk(&c);
	if (rc < 0) {
		kl_dentry_put(c.at);
		return rc;
	}
	if (rc == 1 || (flags & KL_WALK_PARENT) != 0) {
		kl_dentry_put(w->dir);
		w->dir = c.at;
		return 0;
	}
	if (((flags & KL_WALK_DIR) != 0 || w->slash) && (c.at->vnode == NULL || !S_ISDIR(c.at->vnode->mode))) {
		kl_dentry_put(c.at);
		return -ENOTDIR;
	}
	w->dentry = c.at;
	return 0;
}

static void begin(struct kl_walk *w)
{
	memset(w, 0, offsetof(struct kl_walk, links));
}

int kl_walk_kernel(struct kl_walk *w, const char *path, unsigned flags)
{
	begin(w);
	return run(w, (flags & KL_WALK_CWD) != 0 ? kl_vfs_proc()->fs->cwd : kl_vfs_proc()->fs->root, path, flags);
}

static int walk_from(struct kl_walk *w, int dfd, unsigned flags, struct kl_file **file)
{
	struct kl_fsinfo *fs = kl_vfs_proc()->fs;
	struct kl_file *dir = NULL;
	struct kl_dentry *start = fs->cwd;
	int rc;

	if (w->path[0] != '/' || (flags & (KL_WALK_BENEATH | KL_WALK_IN_ROOT)) != 0) {
		if (dfd != AT_FDCWD) {
			dir = kl_fd_get(dfd);
			if (dir == NULL)
				return -EBADF;
			start = dir->dentry;
		}
		if (w->path[0] == '\0' && (start == NULL || file != NULL) && dir != NULL) {
			if (file == NULL)
				rc = -ENOTDIR;
			else {
				*file = dir;
				w->dentry = start != NULL ? kl_dentry_get(start) : NULL;
				return 0;
			}
			goto out;
		}
		rc = -ENOTDIR;
		if (start == NULL || (w->path[0] != '\0' && !S_ISDIR(start->vnode->mode)))
			goto out;
	}
	if (w->path[0] == '\0') {
		w->dentry = kl_dentry_get(start);
		rc = 0;
	} else {
		rc = run(w, start, w->path, flags);
	}
out:
	if (dir != NULL)
		kl_file_put(dir);
	return rc;
}

int kl_walk_user_or_file(struct kl_walk *w, int dfd, kl_uaddr path, unsigned flags, struct kl_file **file)
{
	kl_ssize n;

	begin(w);
	w->path = kl_path_buffer_get();
	if (w->path == NULL)
		return -ENOMEM;
	n = kl_string_from_user(w->path, path, KL_PATH_MAX);
	if (n < 0)
		return (int)n;
	if (n == 0 && (flags & KL_WALK_EMPTY) == 0)
		return -ENOENT;
	return walk_from(w, dfd, flags, file);
}

int kl_walk_user(struct kl_walk *w, int dfd, kl_uaddr path, unsigned flags)
{
	return kl_walk_user_or_file(w, dfd, path, flags, NULL);
}

void kl_walk_end(struct kl_walk *w)
{
	for (unsigned i = 0; i < w->links_count; i++)
		kl_vnode_put(w->links[i]);
	w->links_count = 0;
	kl_dentry_put(w->dentry);
	kl_dentry_put(w->dir);
	w->dentry = w->dir = NULL;
	kl_path_buffer_put(w->path);
	w->path = NULL;
}
