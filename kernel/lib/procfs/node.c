/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of the tables: made when they are looked up, gone when nobody uses them. */
#include <kl/heap.h>
#include <kl/process.h>
#include <kl/stat.h>
#include <kl/string.h>

#include "procfs_priv.h"

#include <asm/errno.h>
#include <asm/statfs.h>
#include <linux/fs.h>

#define STORE_BYTES 128u

struct kl_list kl_proc_files = KL_LIST_INIT(kl_proc_files);

void kl_procfs_add(struct kl_proc_file *file)
{
	kl_list_push_back(&kl_proc_files, &file->link);
}

static struct kl_proc_node *node_of(struct kl_vnode *vn)
{
	return KL_CONTAINER(vn, struct kl_proc_node, vn);
}

/* --- text --- */

static bool grow(struct kl_text *t, size_t n)
{
	size_t size = KL_MAX(t->size, (size_t)256);
	char *buf;

	while (size < t->used + n)
		size *= 2;
	if (size == t->size)
		return true;
	buf = kl_realloc(t->buf, size);
	if (buf == NULL) {
		t->lost = true;
		return false;
	}
	t->buf = buf;
	t->size = size;
	return true;
}

void kl_text_write(struct kl_text *t, const void *data, size_t n)
{
	if (!grow(t, n))
		return;
	memcpy(t->buf + t->used, data, n);
	t->used += n;
}

void kl_text_user(struct kl_text *t, kl_uaddr from, size_t n)
{
	if (grow(t, n) && kl_copy_from_user(t->buf + t->used, from, n) == 0)
		t->used += n;
}

void kl_text_printf(struct kl_text *t, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = kl_vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (!grow(t, (size_t)n + 1))
		return;
	va_start(args, fmt);
	kl_vsnprintf(t->buf + t->used, (size_t)n + 1, fmt, args);
	va_end(args);
	t->used += (size_t)n;
}

/* --- files: the text is made at the first read, and again when reading starts anew --- */

static int make_text(struct kl_file *file, struct kl_text *t)
{
	struct kl_proc_node *node = node_of(file->vnode);

	t->used = 0;
	t->lost = false;
	if (node->added != NULL)
		node->added->show(t);
	else if (node->entry->show != NULL)
		node->entry->show(t, node->id);
	return t->lost ? -ENOMEM : 0;
}

static kl_ssize file_read(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	struct kl_text *t = file->priv;
	size_t n, left = it->left;
	int rc;

	if (t == NULL) {
		t = kl_zalloc(sizeof(*t));
		if (t == NULL)
			return -ENOMEM;
		file->priv = t;
	}
	if (*pos == 0 || t->buf == NULL) {
		rc = make_text(file, t);
		if (rc < 0)
			return rc;
	}
	if ((uint64_t)*pos >= t->used)
		return 0;
	n = KL_MIN(left, t->used - (size_t)*pos);
	rc = kl_iter_write(it, t->buf + *pos, n);
	left -= it->left;
	*pos += (int64_t)left;
	return left > 0 ? (kl_ssize)left : rc;
}

static kl_ssize file_write(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	struct kl_proc_node *node = node_of(file->vnode);
	char text[STORE_BYTES];
	size_t n = it->left;
	int rc;

	(void)pos;
	if (n >= sizeof(text))
		return -EINVAL;
	rc = kl_iter_read(it, text, n);
	if (rc < 0)
		return rc;
	text[n] = '\0';
	if (node->added != NULL)
		rc = node->added->store != NULL ? node->added->store(text, n) : -EACCES;
	else
		rc = node->entry->store != NULL ? node->entry->store(text, n, node->id) : -EACCES;
	return rc < 0 ? rc : (kl_ssize)n;
}

static int64_t file_seek(struct kl_file *file, int64_t offset, int whence)
{
	if (whence == SEEK_CUR)
		offset += file->pos;
	else if (whence != SEEK_SET)
		return -EINVAL;
	if (offset < 0)
		return -EINVAL;
	return file->pos = offset;
}

static void file_release(struct kl_file *file)
{
	struct kl_text *t = file->priv;

	if (t != NULL)
		kl_free(t->buf);
	kl_free(t);
}

static int set_size(struct kl_vnode *vn, uint64_t size)
{
	(void)vn, (void)size;
	return 0; /* open(2) with O_TRUNC, as shells do for "echo 1 >/proc/..." */
}

static void node_free(struct kl_vnode *vn)
{
	kl_free(node_of(vn));
}

static int link_target(struct kl_vnode *vn, const char **text, size_t *n)
{
	*text = node_of(vn)->target;
	*n = vn->size;
	return 0;
}

static int link_follow(struct kl_vnode *vn, struct kl_dentry **out)
{
	return node_of(vn)->entry->follow(node_of(vn)->id, out);
}

static kl_ssize link_readlink(struct kl_vnode *vn, char *buf, size_t size)
{
	return node_of(vn)->entry->readlink(node_of(vn)->id, buf, size);
}

static int dir_lookup(struct kl_dentry *dir, const char *name, size_t n, struct kl_dentry **out);
static kl_ssize dir_getdents(struct kl_file *file, struct kl_iter *it);

static const struct kl_file_ops file_fops = {
	.read = file_read, .write = file_write, .seek = file_seek, .release = file_release};
static const struct kl_file_ops dir_fops = {.seek = file_seek, .getdents = dir_getdents};
static const struct kl_vnode_ops file_ops = {.set_size = set_size, .free = node_free, .file_ops = &file_fops};
static const struct kl_vnode_ops text_link_ops = {.target = link_target, .free = node_free};
static const struct kl_vnode_ops magic_link_ops = {.follow = link_follow, .readlink = link_readlink, .free = node_free};
static const struct kl_vnode_ops dir_ops = {.lookup = dir_lookup, .free = node_free, .file_ops = &dir_fops};

/* --- directories --- */

static uint64_t number_of(const void *what, int id)
{
	return ((uint64_t)(uintptr_t)what >> 3 ^ (uint64_t)(uint32_t)id << 20) & 0x7fffffff;
}

/* entry or added says what it is; size as Linux shows it: 0, or 64 for links */
static struct kl_proc_node *make_node(
	struct kl_super *super, const struct kl_proc_entry *entry, const struct kl_proc_file *added, int id)
{
	struct kl_proc_node *node = kl_zalloc(sizeof(*node));
	uint32_t mode = added != NULL ? S_IFREG | added->mode : entry->mode;
	const struct kl_vnode_ops *ops = &file_ops;

	if (node == NULL)
		return NULL;
	if (S_ISDIR(mode))
		ops = &dir_ops;
	else if (S_ISLNK(mode))
		ops = entry->target != NULL ? &text_link_ops : &magic_link_ops;
	kl_vnode_init(&node->vn, super, ops, mode, number_of(added != NULL ? (const void *)added : entry, id));
	node->entry = entry;
	node->added = added;
	node->id = id;
	if (S_ISDIR(mode))
		node->vn.nlink = 2;
	if (S_ISLNK(mode))
		node->vn.size = entry->target != NULL ? entry->target(node->target, sizeof(node->target), id) : 64;
	return node;
}

static bool is(const char *a, const char *name, size_t n)
{
	return strlen(a) == n && memcmp(a, name, n) == 0;
}

static int parse_number(const char *name, size_t n)
{
	int64_t v = 0;

	if (n == 0 || n > 9 || (n > 1 && name[0] == '0'))
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (name[i] < '0' || name[i] > '9')
			return -1;
		v = v * 10 + (name[i] - '0');
	}
	return (int)v;
}

static bool added_here(const struct kl_proc_file *file, const struct kl_proc_entry *dir)
{
	return dir->path != NULL && strcmp(file->dir, dir->path) == 0;
}

static struct kl_proc_node *find(
	struct kl_super *super, struct kl_proc_node *dir, const char *name, size_t n, bool *found)
{
	const struct kl_proc_entry *e = dir->entry->children;
	const struct kl_proc_numbers *numbers = dir->entry->numbers;
	int id = parse_number(name, n);

	*found = true;
	for (; e != NULL && e->name != NULL; e++)
		if (is(e->name, name, n))
			return make_node(super, e, NULL, dir->id);
	if (numbers != NULL && id >= 0 && numbers->exists(id))
		return make_node(super, numbers->each, NULL, id);
	KL_LIST_FOR(link, &kl_proc_files)
	{
		struct kl_proc_file *file = KL_LIST_ENTRY(link, struct kl_proc_file, link);

		if (added_here(file, dir->entry) && is(file->name, name, n))
			return make_node(super, dir->entry, file, dir->id);
	}
	*found = false;
	return NULL;
}

static int dir_lookup(struct kl_dentry *dir, const char *name, size_t n, struct kl_dentry **out)
{
	bool found;
	struct kl_proc_node *node = find(dir->vnode->super, node_of(dir->vnode), name, n, &found);

	if (node == NULL)
		return found ? -ENOMEM : -ENOENT;
	*out = kl_dentry_create(dir, name, n, &node->vn, false);
	return *out != NULL ? 0 : -ENOMEM;
}

/* Positions: 0 and 1 for "." and "..", then the table, then what was added, then NUMBERS + id. */
#define NUMBERS (1ll << 32)

/* The entry at or after *pos; *pos becomes its own. False: no more. */
static bool dir_entry(struct kl_proc_node *dir, int64_t *pos, char *name, size_t size, uint32_t *mode, uint64_t *ino)
{
	const struct kl_proc_entry *e = dir->entry->children;
	const struct kl_proc_numbers *numbers = dir->entry->numbers;
	int64_t at = 2;
	int id;

	for (; e != NULL && e->name != NULL; e++, at++) {
		if (at < *pos)
			continue;
		kl_snprintf(name, size, "%s", e->name);
		*mode = e->mode;
		*ino = number_of(e, dir->id);
		*pos = at;
		return true;
	}
	KL_LIST_FOR(link, &kl_proc_files)
	{
		struct kl_proc_file *file = KL_LIST_ENTRY(link, struct kl_proc_file, link);

		if (!added_here(file, dir->entry) || at++ < *pos)
			continue;
		kl_snprintf(name, size, "%s", file->name);
		*mode = S_IFREG;
		*ino = number_of(file, dir->id);
		*pos = at - 1;
		return true;
	}
	if (numbers == NULL)
		return false;
	id = numbers->next(*pos < NUMBERS ? 0 : (int)(*pos - NUMBERS));
	if (id < 0)
		return false;
	kl_snprintf(name, size, "%d", id);
	*mode = numbers->each->mode;
	*ino = number_of(numbers->each, id);
	*pos = NUMBERS + id;
	return true;
}

static kl_ssize dir_getdents(struct kl_file *file, struct kl_iter *it)
{
	size_t room = it->left;
	int rc = 1;

	while (rc > 0) {
		char name[KL_NAME_MAX + 1];
		uint32_t mode = S_IFDIR;
		uint64_t ino = file->vnode->ino;
		int64_t pos = file->pos;

		if (pos < 2)
			kl_snprintf(name, sizeof(name), pos == 0 ? "." : "..");
		else if (!dir_entry(node_of(file->vnode), &pos, name, sizeof(name), &mode, &ino))
			break;
		rc = kl_dirent_emit(it, ino, pos + 1, mode >> 12 & 15, name, strlen(name));
		if (rc > 0)
			file->pos = pos + 1;
	}
	if (it->left < room)
		return (kl_ssize)(room - it->left);
	return rc == 0 ? -EINVAL : rc < 0 ? rc : 0;
}

/* --- mounting --- */

struct proc_super {
	struct kl_super super;
	uint32_t magic;
};

static int get_statfs(struct kl_super *super, struct statfs *out)
{
	out->f_type = KL_CONTAINER(super, struct proc_super, super)->magic;
	return 0;
}

int kl_proc_mount(const char *path, const char *type, uint32_t magic, const struct kl_proc_entry *root)
{
	static const struct kl_super_ops ops = {.statfs = get_statfs};
	struct proc_super *fs = kl_zalloc(sizeof(*fs));
	struct kl_proc_node *node;
	int rc;

	if (fs == NULL)
		return -ENOMEM;
	fs->super.type = type;
	fs->super.options = "rw,nosuid,nodev,noexec";
	fs->super.ops = &ops;
	fs->magic = magic;
	node = make_node(&fs->super, root, NULL, 0);
	if (node != NULL)
		fs->super.root = kl_dentry_create(NULL, "", 0, &node->vn, true);
	if (fs->super.root == NULL) {
		kl_free(fs);
		return -ENOMEM;
	}
	rc = kl_vfs_mkdirs(path, 0555);
	return rc < 0 ? rc : kl_vfs_mount(&fs->super, path);
}
