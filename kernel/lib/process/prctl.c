/* SPDX-License-Identifier: Apache-2.0 */
/* prctl(2), arch_prctl(2), personality(2). */
#include <kl/arch.h>
#include <kl/string.h>
#include <kl/uaccess.h>

#include <asm/errno.h>
#include <asm/prctl.h>
#include <linux/personality.h>
#include <linux/prctl.h>

#include "kl_layout.h"
#include "process_priv.h"

#define SIGNALS 64
#define TIMER_SLACK_NS 50000
#define PERSONA_ASK 0xffffffffu

/* What a program may set and ask for again, and nothing else depends on. */
static struct {
	int death_signal;
	bool undumpable, no_new_privs, keep_caps, subreaper, no_huge_pages;
	unsigned long timer_slack_ns;
} settings;

static long set_name(kl_uaddr from)
{
	char name[sizeof(kl_current->comm)] = {0};

	if (kl_string_from_user(name, from, sizeof(name)) == -EFAULT)
		return -EFAULT;
	name[sizeof(name) - 1] = 0;
	memcpy(kl_current->comm, name, sizeof(name));
	if (kl_current->tid == kl_proc()->pid)
		memcpy(kl_proc()->comm, name, sizeof(name));
	return 0;
}

static long set_flag(bool *flag, unsigned long value)
{
	if (value > 1)
		return -EINVAL;
	*flag = value != 0;
	return 0;
}

static long capability(int option, unsigned long cap)
{
	if (cap > CAP_LAST_CAP)
		return -EINVAL;
	if (option == PR_CAPBSET_READ)
		return 1;
	return kl_proc()->euid == 0 ? -EINVAL : -EPERM; /* the bounding set can't be made smaller here */
}

static long get(int option, unsigned long a)
{
	switch (option) {
	case PR_GET_NAME: return kl_copy_to_user(a, kl_current->comm, sizeof(kl_current->comm));
	case PR_GET_PDEATHSIG: return KL_PUT_USER(a, settings.death_signal);
	case PR_GET_DUMPABLE: return !settings.undumpable;
	case PR_GET_NO_NEW_PRIVS: return settings.no_new_privs;
	case PR_GET_KEEPCAPS: return settings.keep_caps;
	case PR_GET_THP_DISABLE: return settings.no_huge_pages;
	case PR_GET_CHILD_SUBREAPER: return KL_PUT_USER(a, (int)settings.subreaper);
	case PR_GET_TIMERSLACK: return (long)(settings.timer_slack_ns != 0 ? settings.timer_slack_ns : TIMER_SLACK_NS);
	case PR_GET_SECCOMP:
	case PR_GET_SECUREBITS: return 0;
	case PR_GET_TID_ADDRESS: return KL_PUT_USER(a, kl_current->clear_child_tid);
	default: return -EINVAL;
	}
}

long kl_sys_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	switch (option) {
	case PR_SET_NAME: return set_name(a);
	case PR_SET_PDEATHSIG:
		if (a > SIGNALS)
			return -EINVAL;
		settings.death_signal = (int)a;
		return 0;
	case PR_SET_DUMPABLE: {
		long err = set_flag(&settings.undumpable, a);

		settings.undumpable ^= err == 0;
		return err;
	}
	case PR_SET_NO_NEW_PRIVS:
		if (a != 1 || b != 0 || c != 0 || d != 0)
			return -EINVAL;
		settings.no_new_privs = true;
		return 0;
	case PR_SET_KEEPCAPS: return set_flag(&settings.keep_caps, a);
	case PR_SET_THP_DISABLE: settings.no_huge_pages = a != 0; return 0;
	case PR_SET_CHILD_SUBREAPER: settings.subreaper = a != 0; return 0;
	case PR_SET_TIMERSLACK: settings.timer_slack_ns = a; return 0;
	case PR_CAPBSET_READ:
	case PR_CAPBSET_DROP: return capability(option, a);
	default: return get(option, a);
	}
}

long kl_sys_arch_prctl(int op, unsigned long addr)
{
	uint64_t base;

	switch (op) {
	case ARCH_SET_FS:
	case ARCH_SET_GS:
		if (addr >= KL_USER_TOP_VA)
			return -EPERM;
		if (op == ARCH_SET_FS)
			kl_arch_set_fs_base(addr);
		else
			kl_arch_set_gs_base(addr);
		return 0;
	case ARCH_GET_FS: __asm__ volatile("rdfsbase %0" : "=r"(base)); return KL_PUT_USER(addr, base);
	case ARCH_GET_GS: __asm__ volatile("rdgsbase %0" : "=r"(base)); return KL_PUT_USER(addr, base);
	case ARCH_GET_CPUID: return 1;
	default: return -EINVAL;
	}
}

long kl_sys_personality(unsigned persona)
{
	struct kl_process *proc = kl_proc();
	long old = proc->persona;

	if (persona == PERSONA_ASK)
		return old;
	if ((persona & PER_MASK) != PER_LINUX)
		return -EINVAL;
	proc->persona = persona;
	return old;
}
