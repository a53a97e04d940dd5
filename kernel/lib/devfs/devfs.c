/* SPDX-License-Identifier: Apache-2.0 */
/* /dev is a file system in memory in which the devices' nodes are made at start-up; null(4), zero(4), full(4), random(4). */
#include <kl/devfs.h>
#include <kl/heap.h>
#include <kl/process.h>
#include <kl/random.h>
#include <kl/stat.h>
#include <kl/string.h>
#include <kl/tmpfs.h>

#include <asm/errno.h>
#include <linux/fs.h>
#include <linux/random.h>

struct device {
	uint64_t rdev;
	const struct kl_file_ops *ops;
	void *priv;
};

static struct {
	struct device *devices;
	size_t count;
	struct kl_dentry *dir;
} root;

static int open_device(struct kl_file *file)
{
	for (size_t i = 0; i < root.count; i++) {
		if (root.devices[i].rdev != file->vnode->rdev || !S_ISCHR(file->vnode->mode))
			continue;
		file->ops = root.devices[i].ops;
		file->priv = root.devices[i].priv;
		return 0;
	}
	return -ENXIO;
}

static int make(const char *name, const struct kl_new *what)
{
	struct kl_dentry *d;
	int rc = root.dir->vnode->ops->create(root.dir, name, strlen(name), what, &d);

	if (rc == 0)
		kl_dentry_put(d);
	return rc;
}

int kl_devfs_add(const char *name, unsigned mode, uint64_t rdev, const struct kl_file_ops *ops, void *priv)
{
	struct kl_new what = {.mode = S_IFCHR | mode, .rdev = rdev};
	struct device *devices = kl_realloc(root.devices, (root.count + 1) * sizeof(*devices));

	if (devices == NULL)
		return -ENOMEM;
	root.devices = devices;
	devices[root.count++] = (struct device){.rdev = rdev, .ops = ops, .priv = priv};
	return name != NULL ? make(name, &what) : 0;
}

int kl_devfs_link(const char *name, const char *target)
{
	struct kl_new what = {.mode = S_IFLNK | 0777, .target = target, .target_bytes = strlen(target)};

	return make(name, &what);
}

static kl_ssize null_read(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	(void)file, (void)it, (void)pos;
	return 0;
}

static kl_ssize null_write(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	kl_ssize n = (kl_ssize)it->left;

	(void)file, (void)pos;
	it->left = 0;
	return n;
}

static int64_t null_seek(struct kl_file *file, int64_t offset, int whence)
{
	(void)offset, (void)whence;
	return file->pos = 0;
}

static kl_ssize zero_read(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	kl_ssize n = (kl_ssize)it->left;
	int rc = kl_iter_zero(it, it->left);

	(void)file, (void)pos;
	n -= (kl_ssize)it->left;
	return n > 0 ? n : rc;
}

static kl_ssize full_write(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	(void)file, (void)pos;
	return it->left > 0 ? -ENOSPC : 0;
}

static kl_ssize random_read(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	uint8_t chunk[256];
	kl_ssize done = 0;

	(void)file, (void)pos;
	while (it->left > 0) {
		size_t left = it->left, n = KL_MIN(left, sizeof(chunk));
		int rc;

		kl_random_bytes(chunk, n);
		rc = kl_iter_write(it, chunk, n);
		done += (kl_ssize)(left - it->left);
		if (rc < 0)
			return done > 0 ? done : rc;
	}
	return done;
}

static kl_ssize random_write(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	uint8_t chunk[256];
	kl_ssize done = 0;

	(void)file, (void)pos;
	while (it->left > 0) {
		size_t n = KL_MIN(it->left, sizeof(chunk));
		int rc = kl_iter_read(it, chunk, n);

		if (rc < 0)
			return done > 0 ? done : rc;
		kl_random_add(chunk, n);
		done += (kl_ssize)n;
	}
	return done;
}

static long random_ioctl(struct kl_file *file, unsigned cmd, uint64_t arg)
{
	(void)file;
	return cmd == RNDGETENTCNT ? KL_PUT_USER(arg, 256) : -ENOTTY;
}

static const struct kl_file_ops null_ops = {.read = null_read, .write = null_write, .seek = null_seek};
static const struct kl_file_ops zero_ops = {.read = zero_read, .write = null_write, .seek = null_seek};
static const struct kl_file_ops full_ops = {.read = zero_read, .write = full_write, .seek = null_seek};
static const struct kl_file_ops random_ops = {
	.read = random_read, .write = random_write, .seek = null_seek, .ioctl = random_ioctl};

static int mount_at(const char *path, const char *options, unsigned mode, struct kl_super **super)
{
	int rc = kl_vfs_mkdirs(path, 0755);

	if (rc == 0)
		rc = kl_tmpfs_create(options, mode, NULL, super);
	return rc == 0 ? kl_vfs_mount(*super, path) : rc;
}

int kl_devfs_init(void)
{
	static const struct {
		const char *name;
		uint64_t rdev;
		const struct kl_file_ops *ops;
	} devices[] = {
		{"null", KL_DEV(1, 3), &null_ops},
		{"zero", KL_DEV(1, 5), &zero_ops},
		{"full", KL_DEV(1, 7), &full_ops},
		{"random", KL_DEV(1, 8), &random_ops},
		{"urandom", KL_DEV(1, 9), &random_ops},
	};
	static const char *const links[][2] = {
		{"fd", "/proc/self/fd"},
		{"stdin", "/proc/self/fd/0"},
		{"stdout", "/proc/self/fd/1"},
		{"stderr", "/proc/self/fd/2"},
	};
	struct kl_super *dev, *shm;
	int rc = mount_at("/dev", "rw,nosuid", 0755, &dev);

	if (rc < 0)
		return rc;
	root.dir = dev->root;
	kl_vfs_hooks.device_open = open_device;
	for (size_t i = 0; rc == 0 && i < KL_ARRAY_LEN(devices); i++)
		rc = kl_devfs_add(devices[i].name, 0666, devices[i].rdev, devices[i].ops, NULL);
	for (size_t i = 0; rc == 0 && i < KL_ARRAY_LEN(links); i++)
		rc = kl_devfs_link(links[i][0], links[i][1]);
	if (rc == 0) /* there is no controlling terminal: to open it gives -ENXIO */
		rc = make("tty", &(struct kl_new){.mode = S_IFCHR | 0666, .rdev = KL_DEV(5, 0)});
	return rc < 0 ? rc : mount_at("/dev/shm", "rw,nosuid,nodev", 01777, &shm);
}
