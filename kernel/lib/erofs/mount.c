/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/erofs.h>
#include <kl/log.h>
#include <kl/platform.h>
#include <kl/pmm.h>

#include <asm/errno.h>

int kl_erofs_init(void)
{
	static struct kl_erofs fs;
	const struct kl_lower *lower = NULL;
	struct kl_super *super;
	int rc;

	if (kl_boot.rootfs_pa != 0) {
		rc = kl_erofs_open(&fs, kl_phys_to_virt(kl_boot.rootfs_pa), kl_boot.rootfs_bytes);
		if (rc < 0) {
			kl_error("the root file system in the image is damaged, or compressed");
			return rc;
		}
		lower = &fs.lower;
	}
	rc = kl_tmpfs_create("rw", 0755, lower, &super);
	if (rc == 0)
		rc = kl_vfs_mount(super, "/");
	if (rc < 0)
		return rc;
	/* What programs expect even of an image that holds nothing but themselves; what is there already, links too, stays. */
	if (kl_vfs_mkdirs("/tmp", 01777) == -ENOMEM || kl_vfs_mkdirs("/run", 0755) == -ENOMEM)
		return -ENOMEM;
	return 0;
}
