/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <kl/arch.h>
#include <kl/vdso.h>
#include <kl/vfs.h>

#include "fake_vfs.h"
#include "machine.h"

#define FILES_MAX 8

static struct {
	const char *path;
	struct kl_file *file;
	size_t bytes;
} files[FILES_MAX];

void fake_vfs_add(const char *path, const void *data, size_t bytes)
{
	unsigned i = 0;

	while (files[i].path != NULL)
		i++;
	files[i].path = path;
	files[i].file = machine_image_file(data, bytes, O_RDONLY);
	files[i].bytes = bytes;
}

void fake_vfs_clear(void)
{
	for (unsigned i = 0; i < FILES_MAX && files[i].path != NULL; i++)
		kl_file_put(files[i].file);
	memset(files, 0, sizeof(files));
	machine_forget_images();
}

int kl_vfs_open(const char *path, int flags, unsigned mode, struct kl_file **out)
{
	(void)flags;
	(void)mode;
	for (unsigned i = 0; i < FILES_MAX && files[i].path != NULL; i++) {
		if (strcmp(files[i].path, path) != 0)
			continue;
		kl_file_get(files[i].file);
		*out = files[i].file;
		return 0;
	}
	return -ENOENT;
}

int64_t kl_file_size(struct kl_file *file)
{
	for (unsigned i = 0; i < FILES_MAX; i++) {
		if (files[i].file == file)
			return (int64_t)files[i].bytes;
	}
	return -EISDIR;
}

int kl_file_read_exact(struct kl_file *file, void *buf, size_t n, uint64_t offset)
{
	uint64_t size = (uint64_t)kl_file_size(file);

	if (offset > size || n > size - offset)
		return -EIO;
	for (size_t i = 0; i < n; i++)
		((uint8_t *)buf)[i] = *machine_file_byte(file, offset + i);
	return 0;
}

int kl_vnode_may(const struct kl_vnode *node, unsigned mask, bool real)
{
	(void)node;
	(void)mask;
	(void)real;
	return 0;
}

int64_t kl_vdso_map(struct kl_aspace *as)
{
	(void)as;
	return -ENOMEM;
}

size_t kl_arch_fpu_bytes(void)
{
	return 2696;
}
