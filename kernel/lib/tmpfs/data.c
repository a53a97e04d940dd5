/* SPDX-License-Identifier: Apache-2.0 */
/* Contents of regular files: pages of their own where something was written, below that the read-only tree, else zeros. */
#include <kl/process.h>
#include <kl/string.h>

#include "tmpfs_priv.h"

#include <asm/errno.h>
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/resource.h>

#define SIZE_MAX_BYTES (1ull << 47)

static const uint8_t zeros[512];

/* Bytes that lie together at pos (below the end), at most max; *page: the file's own page that they are in, or KL_PHYS_NONE. */
static size_t span(struct kl_tmpfs_node *node, uint64_t pos, size_t max, const uint8_t **data, kl_phys *page)
{
	const struct kl_lower_extent *lower = &node->lower;
	size_t in_page = KL_PAGE_BYTES - pos % KL_PAGE_BYTES;

	*page = KL_PHYS_NONE;
	if (node->pages.root != KL_PHYS_NONE) {
		*page = kl_pagemap_find(&node->pages, pos / KL_PAGE_BYTES);
		max = KL_MIN(max, in_page);
		if (*page != KL_PHYS_NONE) {
			*data = (uint8_t *)kl_phys_to_virt(*page) + pos % KL_PAGE_BYTES;
			return max;
		}
	}
	if (pos < lower->data_bytes && pos < lower->size) {
		*data = lower->data + pos;
		max = KL_MIN(max, lower->size - pos);
		return KL_MIN(max, lower->data_bytes - pos);
	}
	if (pos < lower->size) {
		*data = lower->tail + (pos - lower->data_bytes);
		return KL_MIN(max, lower->size - pos);
	}
	*data = zeros;
	max = KL_MIN(max, in_page);
	return KL_MIN(max, sizeof(zeros));
}

/* The file's own page, made from what is there. whole: all of it will be overwritten. */
static int own_page(struct kl_tmpfs_node *node, uint64_t index, bool whole, kl_phys *out)
{
	struct kl_tmpfs *fs = kl_tmpfs_of(&node->vn);
	kl_phys page = kl_pagemap_find(&node->pages, index), from;
	uint64_t pos = index * KL_PAGE_BYTES, end = pos + KL_PAGE_BYTES;
	int rc;

	*out = page;
	if (page != KL_PHYS_NONE)
		return 0;
	if (fs->pages >= fs->pages_max)
		return -ENOSPC;
	page = whole ? kl_page_alloc() : kl_page_alloc_zeroed();
	if (page == KL_PHYS_NONE)
		return -ENOSPC;
	while (!whole && pos < end && pos < node->lower.size) {
		const uint8_t *data;
		size_t n = span(node, pos, end - pos, &data, &from);

		memcpy((uint8_t *)kl_phys_to_virt(page) + pos % KL_PAGE_BYTES, data, n);
		pos += n;
	}
	rc = kl_pagemap_insert(&node->pages, index, page);
	if (rc < 0) {
		kl_page_put(page);
		return rc;
	}
	fs->pages++;
	node->vn.blocks += KL_PAGE_BYTES / 512;
	*out = page;
	return 0;
}

static void drop_pages(struct kl_tmpfs_node *node, uint64_t first, uint64_t last)
{
	size_t n = kl_pagemap_drop(&node->pages, first, last);

	kl_tmpfs_of(&node->vn)->pages -= n;
	node->vn.blocks -= KL_MIN(node->vn.blocks, n * (KL_PAGE_BYTES / 512));
}

static kl_ssize file_read(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	struct kl_tmpfs_node *node = kl_tmpfs_node(file->vnode);
	kl_ssize done = 0;

	while (it->left > 0 && (uint64_t)*pos < node->vn.size) {
		const uint8_t *data;
		kl_phys page;
		size_t left = it->left;
		size_t n = span(node, (uint64_t)*pos, KL_MIN(left, node->vn.size - (uint64_t)*pos), &data, &page);
		int rc = kl_iter_write(it, data, n);

		left -= it->left;
		*pos += (int64_t)left;
		done += (kl_ssize)left;
		if (rc < 0)
			return done > 0 ? done : rc;
	}
	return done;
}

static kl_ssize write_pages(struct kl_tmpfs_node *node, struct kl_iter *it, int64_t *pos, uint64_t limit)
{
	kl_ssize done = 0;

	while (it->left > 0 && (uint64_t)*pos < limit) {
		size_t at = (uint64_t)*pos % KL_PAGE_BYTES, left = it->left;
		size_t n = KL_MIN(left, KL_PAGE_BYTES - at);
		kl_phys page;
		int rc;

		n = KL_MIN(n, limit - (uint64_t)*pos);
		rc = own_page(node, (uint64_t)*pos / KL_PAGE_BYTES, n == KL_PAGE_BYTES, &page);

		if (rc == 0) {
			uint8_t *data = (uint8_t *)kl_phys_to_virt(page) + at;

			rc = kl_iter_read(it, data, n);
			left -= it->left;
			if (rc < 0 && n == KL_PAGE_BYTES)
				memset(data + left, 0, n - left);
			*pos += (int64_t)left;
			done += (kl_ssize)left;
			node->vn.size = KL_MAX(node->vn.size, (uint64_t)*pos);
		}
		if (rc < 0)
			return done > 0 ? done : rc;
	}
	return done;
}

static kl_ssize file_write(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	struct kl_tmpfs_node *node = kl_tmpfs_node(file->vnode);
	uint64_t limit = KL_MIN(kl_vfs_proc()->rlimits[RLIMIT_FSIZE].soft, (uint64_t)SIZE_MAX_BYTES);
	kl_ssize done;

	if ((file->flags & O_APPEND) != 0)
		*pos = (int64_t)node->vn.size;
	if (it->left == 0)
		return 0;
	if ((node->seals & F_SEAL_WRITE) != 0)
		return -EPERM;
	if ((node->seals & F_SEAL_GROW) != 0) {
		limit = KL_MIN(limit, node->vn.size);
		if ((uint64_t)*pos >= limit)
			return -EPERM;
	}
	if ((uint64_t)*pos >= limit)
		return -EFBIG;
	done = write_pages(node, it, pos, limit);
	if (done > 0)
		node->vn.mtime_ns = node->vn.ctime_ns = kl_vfs_now_ns();
	return done;
}

static int64_t file_seek(struct kl_file *file, int64_t offset, int whence)
{
	int64_t size = (int64_t)file->vnode->size, base;

	switch (whence) {
	case SEEK_SET: base = 0; break;
	case SEEK_CUR: base = file->pos; break;
	case SEEK_END: base = size; break;
	case SEEK_DATA: /* all of a file counts as data */
	case SEEK_HOLE:
		if (offset < 0 || offset >= size)
			return -ENXIO;
		return file->pos = whence == SEEK_DATA ? offset : size;
	default: return -EINVAL;
	}
	if (__builtin_add_overflow(base, offset, &base))
		return -EOVERFLOW;
	if (base < 0)
		return -EINVAL;
	return file->pos = base;
}

static int file_page(struct kl_file *file, uint64_t index, bool shared_write, kl_phys *out)
{
	struct kl_tmpfs_node *node = kl_tmpfs_node(file->vnode);
	uint64_t pos = index * KL_PAGE_BYTES;
	kl_phys page;
	int rc;

	if (index >= SIZE_MAX_BYTES / KL_PAGE_BYTES || pos >= node->vn.size)
		return -EFAULT;
	if (shared_write && (node->seals & F_SEAL_WRITE) != 0)
		return -EPERM;
	page = kl_pagemap_find(&node->pages, index);
	if (page == KL_PHYS_NONE && !shared_write && pos < node->lower.data_bytes &&
		KL_MIN(pos + KL_PAGE_BYTES, node->vn.size) <= node->lower.size) {
		page = kl_virt_to_phys(node->lower.data + pos);
	} else if (page == KL_PHYS_NONE) {
		rc = own_page(node, index, false, &page);
		if (rc < 0)
			return -ENOMEM;
	}
	kl_page_get(page);
	*out = page;
	return 0;
}

static kl_ssize file_span(struct kl_file *file, uint64_t offset, size_t max, const void **out, kl_phys *hold)
{
	struct kl_tmpfs_node *node = kl_tmpfs_node(file->vnode);
	const uint8_t *data;
	size_t n;

	*hold = KL_PHYS_NONE;
	if (offset >= node->vn.size)
		return 0;
	n = span(node, offset, KL_MIN(max, node->vn.size - offset), &data, hold);
	if (*hold != KL_PHYS_NONE)
		kl_page_get(*hold);
	*out = data;
	return (kl_ssize)n;
}

/* Zeros in [from, to) of the page that from is in. */
static int zero_part(struct kl_tmpfs_node *node, uint64_t from, uint64_t to)
{
	kl_phys page = kl_pagemap_find(&node->pages, from / KL_PAGE_BYTES);
	int rc;

	if (page == KL_PHYS_NONE && KL_ALIGN_DOWN(from, KL_PAGE_BYTES) >= node->lower.size)
		return 0;
	rc = own_page(node, from / KL_PAGE_BYTES, false, &page);
	if (rc == 0)
		memset((uint8_t *)kl_phys_to_virt(page) + from % KL_PAGE_BYTES, 0, to - from);
	return rc;
}

int kl_tmpfs_set_size(struct kl_vnode *vn, uint64_t size)
{
	struct kl_tmpfs_node *node = kl_tmpfs_node(vn);

	if (size > SIZE_MAX_BYTES)
		return -EFBIG;
	if ((size < vn->size && (node->seals & F_SEAL_SHRINK) != 0) ||
		(size > vn->size && (node->seals & F_SEAL_GROW) != 0))
		return -EPERM;
	if (size < vn->size) {
		/* What follows in the last page must read as zeros when the file grows again. A cut lower part ends with a page. */
		if (size % KL_PAGE_BYTES != 0) {
			int rc = zero_part(node, size, KL_ALIGN_UP(size, KL_PAGE_BYTES));

			if (rc < 0)
				return rc;
		}
		drop_pages(node, KL_ALIGN_UP(size, KL_PAGE_BYTES) / KL_PAGE_BYTES, UINT64_MAX);
		if (size < node->lower.size)
			node->lower.size = KL_ALIGN_DOWN(size, KL_PAGE_BYTES);
	}
	vn->size = size;
	return 0;
}

static int punch(struct kl_tmpfs_node *node, uint64_t from, uint64_t to)
{
	int rc = 0;

	while (rc == 0 && from < to) {
		uint64_t next = KL_MIN(KL_ALIGN_DOWN(from, KL_PAGE_BYTES) + KL_PAGE_BYTES, to);

		if (from >= node->lower.size && next - from == KL_PAGE_BYTES) {
			/* Nothing below: the rest is dropped at once. */
			next = KL_ALIGN_DOWN(to, KL_PAGE_BYTES);
			drop_pages(node, from / KL_PAGE_BYTES, next / KL_PAGE_BYTES - 1);
		} else {
			rc = zero_part(node, from, next);
		}
		from = next;
	}
	return rc;
}

/* Pages of its own from first to before end: all, or none when there is no room. */
static int reserve(struct kl_tmpfs_node *node, uint64_t first, uint64_t end)
{
	struct kl_tmpfs *fs = kl_tmpfs_of(&node->vn);
	size_t missing = 0;
	int rc = 0;

	if (end - first > fs->pages_max)
		return -ENOSPC;
	for (uint64_t i = first; i < end; i++)
		missing += kl_pagemap_find(&node->pages, i) == KL_PHYS_NONE;
	if (fs->pages + missing > fs->pages_max || missing > kl_pages_free())
		return -ENOSPC;
	for (uint64_t i = first; rc == 0 && i < end; i++) {
		kl_phys page;

		rc = own_page(node, i, false, &page);
	}
	return rc;
}

int kl_tmpfs_allocate(struct kl_vnode *vn, int mode, uint64_t offset, uint64_t bytes)
{
	struct kl_tmpfs_node *node = kl_tmpfs_node(vn);
	uint64_t end = offset + bytes;
	int rc = 0;

	if (end > SIZE_MAX_BYTES)
		return -EFBIG;
	if ((mode & FALLOC_FL_PUNCH_HOLE) != 0 ? (node->seals & F_SEAL_WRITE) != 0
					       : end > vn->size && (node->seals & F_SEAL_GROW) != 0)
		return -EPERM;
	if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) {
		rc = punch(node, offset, KL_MIN(end, KL_ALIGN_UP(vn->size, KL_PAGE_BYTES)));
	} else if ((mode & ~FALLOC_FL_KEEP_SIZE) == 0) {
		rc = reserve(node, offset / KL_PAGE_BYTES, (end + KL_PAGE_BYTES - 1) / KL_PAGE_BYTES);
		if (rc == 0 && mode == 0)
			vn->size = KL_MAX(vn->size, end);
	} else {
		return -EOPNOTSUPP;
	}
	vn->mtime_ns = vn->ctime_ns = kl_vfs_now_ns();
	return rc;
}

const struct kl_file_ops kl_tmpfs_file_fops = {
	.read = file_read,
	.write = file_write,
	.seek = file_seek,
	.page = file_page,
	.span = file_span,
};
