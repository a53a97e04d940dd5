/* SPDX-License-Identifier: Apache-2.0 */
/* What nodes of all file systems have in common: attributes, permissions, stat(2). */
#include <kl/process.h>
#include <kl/stat.h>
#include <kl/string.h>
#include <kl/vfs.h>

#include <asm/errno.h>
#include <asm/stat.h>

struct kl_process *kl_vfs_proc(void)
{
	return kl_current != NULL ? kl_proc() : &kl_process_init_data;
}

void kl_vnode_init(
	struct kl_vnode *node, struct kl_super *super, const struct kl_vnode_ops *ops, uint32_t mode, uint64_t ino)
{
	int64_t now = kl_vfs_now_ns();

	node->super = super;
	node->ops = ops;
	node->refs = 1;
	node->nlink = 1;
	node->mode = mode;
	node->ino = ino;
	node->uid = kl_vfs_proc()->euid;
	node->gid = kl_vfs_proc()->egid;
	node->atime_ns = node->mtime_ns = node->ctime_ns = node->btime_ns = now;
}

static bool in_group(const struct kl_process *proc, uint32_t gid)
{
	for (unsigned i = 0; i < proc->groups_count; i++)
		if (proc->groups[i] == gid)
			return true;
	return false;
}

int kl_vnode_may(const struct kl_vnode *node, unsigned mask, bool real)
{
	const struct kl_process *proc = kl_vfs_proc();
	uint32_t uid = real ? proc->uid : proc->euid, gid = real ? proc->gid : proc->egid;
	uint32_t mode = node->mode;

	if (uid == 0) { /* CAP_DAC_OVERRIDE: all but executing what nobody may */
		if ((mask & 1) != 0 && !S_ISDIR(mode) && (mode & 0111) == 0)
			return -EACCES;
		return 0;
	}
	if (node->uid == uid)
		mode >>= 6;
	else if (node->gid == gid || in_group(proc, node->gid))
		mode >>= 3;
	return (mode & mask) == mask ? 0 : -EACCES;
}

static void set_time(unsigned long *s, unsigned long *ns, int64_t t)
{
	int64_t sec = t / (int64_t)KL_NS_PER_S, rest = t % (int64_t)KL_NS_PER_S;

	if (rest < 0) {
		rest += (int64_t)KL_NS_PER_S;
		sec--;
	}
	*s = (unsigned long)sec;
	*ns = (unsigned long)rest;
}

void kl_vnode_stat(struct kl_vnode *node, struct stat *st)
{
	if (node->ops->update != NULL)
		node->ops->update(node);
	memset(st, 0, sizeof(*st));
	st->st_dev = node->super != NULL ? node->super->dev : 1;
	st->st_ino = node->ino;
	st->st_nlink = node->nlink;
	st->st_mode = node->mode;
	st->st_uid = node->uid;
	st->st_gid = node->gid;
	st->st_rdev = node->rdev;
	st->st_size = (long)node->size;
	st->st_blksize = KL_PAGE_BYTES;
	st->st_blocks = (long)node->blocks;
	set_time(&st->st_atime, &st->st_atime_nsec, node->atime_ns);
	set_time(&st->st_mtime, &st->st_mtime_nsec, node->mtime_ns);
	set_time(&st->st_ctime, &st->st_ctime_nsec, node->ctime_ns);
}
