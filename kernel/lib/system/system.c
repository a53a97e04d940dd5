/* SPDX-License-Identifier: Apache-2.0 */
/* The system as a whole: uname(2), sysinfo(2), syslog(2). */
#include <kl/clock.h>
#include <kl/image.h>
#include <kl/platform.h>
#include <kl/pmm.h>
#include <kl/process.h>
#include <kl/string.h>
#include <kl/system.h>
#include <kl/uaccess.h>

#include <asm/errno.h>
#include <linux/sysinfo.h>
#include <linux/utsname.h>

#include "system_priv.h"

/* The version of Linux whose system calls are the contract: programs compare it with what they need. */
#define RELEASE "6.1.0-kernlet"

enum { SYSLOG_READ_ALL = 3, SYSLOG_SIZE_UNREAD = 9, SYSLOG_SIZE_BUFFER = 10 };

static struct new_utsname names = {
	.sysname = "Linux",
	.release = RELEASE,
	.version = "#1 kernlet",
	.machine = "x86_64",
	.domainname = "(none)",
};

int kl_system_init(void)
{
	const char *name = kl_cmdline_get("hostname", 0);

	if (name == NULL)
		name = kl_image_hostname;
	memcpy(names.nodename, name, strnlen(name, __NEW_UTS_LEN));
	return 0;
}

const struct new_utsname *kl_system_names(void)
{
	return &names;
}

long kl_sys_uname(kl_uaddr out)
{
	return kl_copy_to_user(out, &names, sizeof(names));
}

static long set(char *field, kl_uaddr name, int n)
{
	char copy[__NEW_UTS_LEN + 1] = {0};

	if (kl_proc()->euid != 0)
		return -EPERM;
	if (n < 0 || n > __NEW_UTS_LEN)
		return -EINVAL;
	if (kl_copy_from_user(copy, name, (size_t)n) < 0)
		return -EFAULT;
	memcpy(field, copy, sizeof(copy));
	return 0;
}

long kl_sys_sethostname(kl_uaddr name, int n)
{
	return set(names.nodename, name, n);
}

long kl_sys_setdomainname(kl_uaddr name, int n)
{
	return set(names.domainname, name, n);
}

long kl_sys_sysinfo(kl_uaddr out)
{
	struct sysinfo info = {
		.uptime = (long)(kl_clock_ns() / KL_NS_PER_S),
		.totalram = kl_pages_total() * KL_PAGE_BYTES,
		.freeram = kl_pages_free() * KL_PAGE_BYTES,
		.procs = (uint16_t)kl_proc()->threads_count,
		.mem_unit = 1,
	};

	return kl_copy_to_user(out, &info, sizeof(info));
}

/* The log goes to the machine line by line; nothing of it is kept for the program. */
long kl_sys_syslog(int type, kl_uaddr buf, int n)
{
	(void)buf;
	switch (type) {
	case SYSLOG_READ_ALL: return n < 0 ? -EINVAL : 0;
	case SYSLOG_SIZE_UNREAD:
	case SYSLOG_SIZE_BUFFER: return 0;
	default: return -EINVAL;
	}
}
