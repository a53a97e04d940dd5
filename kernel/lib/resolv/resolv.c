/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /etc/resolv.conf (resolv.conf(5)) where the image has none: a link to /proc/net/pnp, which lists the name servers that the
 * command line or DHCP gave, as Linux's file of that name does.
 */
#include <kl/net.h>
#include <kl/procfs.h>
#include <kl/stat.h>
#include <kl/string.h>
#include <kl/vfs.h>

#include "resolv_priv.h"

#include <asm/errno.h>

#define SERVERS_MAX 3

static void show(struct kl_text *t)
{
	char buf[16];

	(void)kl_net_wait_configured();
	for (unsigned i = 0; i < SERVERS_MAX && kl_net_dns(i) != 0; i++)
		kl_text_printf(t, "nameserver %s\n", kl_net_format_address(kl_net_dns(i), buf));
}

static int make_link(struct kl_dentry *dir, const char *name, const char *target)
{
	struct kl_new what = {.mode = S_IFLNK | 0777, .target = target, .target_bytes = strlen(target)};
	struct kl_dentry *d;
	int rc = kl_dentry_lookup(dir, name, strlen(name), &d);

	if (rc == 0) {
		/* Container images hold an empty file where the engine would mount its own. */
		bool empty = S_ISREG(d->vnode->mode) && d->vnode->size == 0;

		if (empty)
			rc = dir->vnode->ops->unlink(d);
		kl_dentry_put(d);
		if (!empty || rc < 0)
			return rc;
	} else if (rc != -ENOENT) {
		return rc;
	}
	rc = dir->vnode->ops->create(dir, name, strlen(name), &what, &d);
	if (rc == 0)
		kl_dentry_put(d);
	return rc;
}

int kl_resolv_init(void)
{
	static struct kl_proc_file file = {.dir = "net", .name = "pnp", .mode = 0444, .show = show};
	struct kl_walk w;
	int rc;

	kl_procfs_add(&file);
	rc = kl_walk_kernel(&w, "/etc", KL_WALK_DIR);
	if (rc == 0 && w.dentry->vnode->ops->create != NULL)
		rc = make_link(w.dentry, "resolv.conf", "/proc/net/pnp");
	kl_walk_end(&w);
	return rc == -ENOENT || rc == -ENOTDIR ? 0 : rc; /* no /etc: nobody looks there either */
}
