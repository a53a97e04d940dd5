/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/erofs.h>
#include <kl/stat.h>
#include <kl/string.h>

#include <asm/errno.h>

#define SUPER_OFFSET 1024u
#define SUPER_MAGIC 0xe0f5e1e2u
#define BLOCK_BITS 12u
#define BLOCK_BYTES (1u << BLOCK_BITS)
#define SLOT_BYTES 32u /* inodes are numbered by these */

struct super_block {
	uint32_t magic, checksum, feature_compat;
	uint8_t block_bits, ext_slots;
	uint16_t root_nid;
	uint64_t inodes, build_time;
	uint32_t build_time_ns, blocks, meta_block, xattr_block;
	uint8_t uuid[16], volume[16];
	uint32_t feature_incompat;
	uint8_t reserved[44];
};

enum layout { LAYOUT_PLAIN = 0, LAYOUT_INLINE = 2 };

struct inode_compact {
	uint16_t format, xattr_count, mode, nlink;
	uint32_t size, reserved, u, ino;
	uint16_t uid, gid;
	uint32_t reserved2;
};

struct inode_extended {
	uint16_t format, xattr_count, mode, reserved;
	uint64_t size;
	uint32_t u, ino, uid, gid;
	uint64_t mtime;
	uint32_t mtime_ns, nlink;
	uint8_t reserved2[16];
};

struct dirent {
	uint64_t nid;
	uint16_t name_offset;
	uint8_t type, reserved;
} __attribute__((packed));

_Static_assert(sizeof(struct super_block) == 128, "format");
_Static_assert(sizeof(struct inode_compact) == 32, "format");
_Static_assert(sizeof(struct inode_extended) == 64, "format");
_Static_assert(sizeof(struct dirent) == 12, "format");

static const struct kl_erofs *erofs_of(const struct kl_lower *lower)
{
	return KL_CONTAINER(lower, const struct kl_erofs, lower);
}

/* n bytes of the image at offset, or NULL when they are not all in it. */
static const uint8_t *range(const struct kl_erofs *fs, uint64_t offset, uint64_t n)
{
	return offset <= fs->bytes && n <= fs->bytes - offset ? fs->base + offset : NULL;
}

/* Where the content is. at: offset of the end of the inode with its attributes. */
static int get_extent(const struct kl_erofs *fs, unsigned layout, uint64_t size, uint32_t block, uint64_t at,
	struct kl_lower_extent *out)
{
	uint64_t blocks = size / BLOCK_BYTES + (size % BLOCK_BYTES != 0), tail = 0;

	memset(out, 0, sizeof(*out));
	out->size = size;
	if (size == 0)
		return 0;
	if (layout == LAYOUT_INLINE) {
		tail = size - (blocks - 1) * BLOCK_BYTES;
		blocks--;
		out->tail = range(fs, at, tail);
		if (out->tail == NULL || at % BLOCK_BYTES + tail > BLOCK_BYTES)
			return -EIO;
	}
	if (blocks > 0) {
		out->data = blocks <= fs->bytes / BLOCK_BYTES
			? range(fs, (uint64_t)block << BLOCK_BITS, blocks << BLOCK_BITS)
			: NULL;
		if (out->data == NULL)
			return -EIO;
		out->data_bytes = size - tail;
	}
	return 0;
}

static bool known_type(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK: return true;
	default: return false;
	}
}

static int get_node(const struct kl_lower *lower, uint64_t id, struct kl_lower_node *out)
{
	const struct kl_erofs *fs = erofs_of(lower);
	struct inode_extended in = {0};
	struct inode_compact compact;
	const uint8_t *p;
	uint64_t at;

	if (id > fs->bytes / SLOT_BYTES)
		return -EIO;
	at = fs->meta + id * SLOT_BYTES;
	p = range(fs, at, sizeof(compact));
	if (p == NULL)
		return -EIO;
	memcpy(&compact, p, sizeof(compact));
	memset(out, 0, sizeof(*out));
	if ((compact.format & 1) != 0) {
		p = range(fs, at, sizeof(in));
		if (p == NULL)
			return -EIO;
		memcpy(&in, p, sizeof(in));
		out->mtime_ns = (int64_t)(in.mtime % (1ull << 33) * KL_NS_PER_S + in.mtime_ns % KL_NS_PER_S);
		at += sizeof(in);
	} else {
		in.format = compact.format;
		in.xattr_count = compact.xattr_count;
		in.mode = compact.mode;
		in.nlink = compact.nlink;
		in.size = compact.size;
		in.u = compact.u;
		in.uid = compact.uid;
		in.gid = compact.gid;
		out->mtime_ns = fs->build_ns;
		at += sizeof(compact);
	}
	if (in.xattr_count > 0)
		at += 12 + 4 * (in.xattr_count - 1u);
	if (!known_type(in.mode) || (in.size > fs->bytes && in.size != 0))
		return -EIO;
	out->mode = in.mode;
	out->uid = in.uid;
	out->gid = in.gid;
	out->nlink = in.nlink;
	if (S_ISCHR(in.mode) || S_ISBLK(in.mode))
		out->rdev = in.u;
	if (!S_ISREG(in.mode) && !S_ISDIR(in.mode) && !S_ISLNK(in.mode))
		return 0;
	if ((in.format >> 1 & 7) != LAYOUT_PLAIN && (in.format >> 1 & 7) != LAYOUT_INLINE)
		return -EIO; /* compressed, or in chunks */
	return get_extent(fs, in.format >> 1 & 7, in.size, in.u, at, &out->extent);
}

/* One block of a directory: `used` bytes, `count` entries. */
struct block {
	const uint8_t *p;
	uint32_t used, count;
};

static int get_block(const struct kl_lower_extent *dir, uint64_t index, struct block *b)
{
	uint64_t at = index * BLOCK_BYTES;
	struct dirent first;

	b->used = (uint32_t)KL_MIN(dir->size - at, (uint64_t)BLOCK_BYTES);
	b->p = at < dir->data_bytes ? dir->data + at : dir->tail;
	if (b->used < sizeof(first))
		return -EIO;
	memcpy(&first, b->p, sizeof(first));
	b->count = first.name_offset / sizeof(first);
	return b->count == 0 || first.name_offset > b->used ? -EIO : 0;
}

static int get_entry(const struct block *b, uint32_t i, struct kl_lower_entry *out)
{
	struct dirent d, next;
	uint32_t end = b->used;
	size_t n;

	memcpy(&d, b->p + i * sizeof(d), sizeof(d));
	if (i + 1 < b->count) {
		memcpy(&next, b->p + (i + 1) * sizeof(d), sizeof(d));
		end = next.name_offset;
	}
	if (d.name_offset >= end || end > b->used)
		return -EIO;
	n = strnlen((const char *)b->p + d.name_offset, end - d.name_offset);
	if (n == 0 || n > KL_NAME_MAX || memchr(b->p + d.name_offset, '/', n) != NULL)
		return -EIO;
	out->id = d.nid;
	out->name = (const char *)b->p + d.name_offset;
	out->name_bytes = (uint8_t)n;
	/* File types are numbered as in linux/include/fs_types.h. */
	static const uint8_t types[8] = {0, 8, 4, 2, 6, 1, 12, 10};
	out->type = types[d.type & 7];
	return 0;
}

static int compare(const char *a, size_t a_bytes, const struct kl_lower_entry *e)
{
	int order = memcmp(a, e->name, KL_MIN(a_bytes, (size_t)e->name_bytes));

	return order != 0 ? order : (int)a_bytes - (int)e->name_bytes;
}

/* Names ascend over the whole directory: a binary search for the block, then for the entry. */
static int find(const struct kl_lower *lower, const struct kl_lower_extent *dir, const char *name, size_t n,
	struct kl_lower_entry *out)
{
	uint64_t lo = 0, hi = (dir->size + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct block b;
	uint32_t first, last;
	int rc, order;

	(void)lower;
	while (lo < hi) {
		uint64_t middle = lo + (hi - lo) / 2;

		rc = get_block(dir, middle, &b);
		if (rc == 0)
			rc = get_entry(&b, 0, out);
		if (rc < 0)
			return rc;
		order = compare(name, n, out);
		if (order == 0)
			return 0;
		if (order < 0)
			hi = middle;
		else
			lo = middle + 1;
	}
	if (lo == 0)
		return -ENOENT;
	rc = get_block(dir, lo - 1, &b);
	if (rc < 0)
		return rc;
	for (first = 1, last = b.count; first < last;) {
		uint32_t middle = first + (last - first) / 2;

		rc = get_entry(&b, middle, out);
		if (rc < 0)
			return rc;
		order = compare(name, n, out);
		if (order == 0)
			return 0;
		if (order < 0)
			last = middle;
		else
			first = middle + 1;
	}
	return -ENOENT;
}

/* *at: block index times BLOCK_BYTES plus the entry's index. */
static int next_entry(
	const struct kl_lower *lower, const struct kl_lower_extent *dir, uint64_t *at, struct kl_lower_entry *out)
{
	struct block b;
	int rc;

	(void)lower;
	while (*at < dir->size) {
		uint32_t i = (uint32_t)(*at % BLOCK_BYTES);

		rc = get_block(dir, *at / BLOCK_BYTES, &b);
		if (rc < 0)
			return rc;
		if (i >= b.count) {
			*at = KL_ALIGN_DOWN(*at, BLOCK_BYTES) + BLOCK_BYTES;
			continue;
		}
		rc = get_entry(&b, i, out);
		if (rc < 0)
			return rc;
		++*at;
		if (out->name[0] != '.' || (out->name_bytes != 1 && (out->name_bytes != 2 || out->name[1] != '.')))
			return 1;
	}
	return 0;
}

int kl_erofs_open(struct kl_erofs *fs, const void *base, uint64_t bytes)
{
	struct super_block sb;
	struct kl_lower_node root;

	fs->base = base;
	fs->bytes = KL_MIN(bytes, (uint64_t)UINT32_MAX); /* positions in directories stay below 2^32 */
	if (fs->bytes < SUPER_OFFSET + sizeof(sb))
		return -EINVAL;
	memcpy(&sb, fs->base + SUPER_OFFSET, sizeof(sb));
	if (sb.magic != SUPER_MAGIC || sb.block_bits != BLOCK_BITS || (sb.feature_incompat & ~1u) != 0)
		return -EINVAL;
	fs->meta = (uint64_t)sb.meta_block << BLOCK_BITS;
	fs->build_ns = (int64_t)(sb.build_time % (1ull << 33) * KL_NS_PER_S + sb.build_time_ns % KL_NS_PER_S);
	fs->lower = (struct kl_lower){
		.root_id = sb.root_nid,
		.node = get_node,
		.lookup = find,
		.next = next_entry,
		.pages = fs->bytes / KL_PAGE_BYTES,
	};
	if (get_node(&fs->lower, sb.root_nid, &root) < 0 || !S_ISDIR(root.mode))
		return -EINVAL;
	return 0;
}
