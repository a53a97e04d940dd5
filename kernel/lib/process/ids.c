/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of processes, users and groups: credentials(7). */
#include <kl/heap.h>
#include <kl/uaccess.h>

#include <asm/errno.h>

#include "process_priv.h"

#define KEEP UINT32_MAX
#define GROUPS_MAX 65536

long kl_sys_getpid(void)
{
	return kl_proc()->pid;
}

long kl_sys_getppid(void)
{
	return kl_proc()->ppid;
}

long kl_sys_gettid(void)
{
	return kl_current->tid;
}

long kl_sys_getpgrp(void)
{
	return kl_proc()->pgid;
}

static bool is_me(int pid)
{
	return pid == 0 || pid == kl_proc()->pid;
}

long kl_sys_getpgid(int pid)
{
	return is_me(pid) ? kl_proc()->pgid : -ESRCH;
}

long kl_sys_setpgid(int pid, int pgid)
{
	struct kl_process *proc = kl_proc();

	if (pgid < 0)
		return -EINVAL;
	if (!is_me(pid))
		return -ESRCH;
	/* a leader of a session may not change its group, nor is there another group to join */
	if (proc->sid == proc->pid || (pgid != 0 && pgid != proc->pid))
		return -EPERM;
	proc->pgid = proc->pid;
	return 0;
}

long kl_sys_getsid(int pid)
{
	return is_me(pid) ? kl_proc()->sid : -ESRCH;
}

long kl_sys_setsid(void)
{
	struct kl_process *proc = kl_proc();

	if (proc->pgid == proc->pid)
		return -EPERM;
	proc->pgid = proc->sid = proc->pid;
	return proc->sid;
}

long kl_sys_getuid(void)
{
	return kl_proc()->uid;
}

long kl_sys_geteuid(void)
{
	return kl_proc()->euid;
}

long kl_sys_getgid(void)
{
	return kl_proc()->gid;
}

long kl_sys_getegid(void)
{
	return kl_proc()->egid;
}

static bool privileged(void)
{
	return kl_proc()->euid == 0;
}

/* capabilities(7): leaving the user id 0 behind drops them. */
static void adjust_caps(struct kl_process *proc)
{
	for (unsigned i = 0; i < 2; i++) {
		if (proc->uid != 0 && proc->euid != 0 && proc->suid != 0)
			proc->caps.permitted[i] = 0;
		proc->caps.effective[i] = proc->euid == 0 ? proc->caps.permitted[i] : 0;
	}
}

static bool may_have(uint32_t id, uint32_t real, uint32_t effective, uint32_t saved)
{
	return id == KEEP || privileged() || id == real || id == effective || id == saved;
}

static uint32_t pick(uint32_t id, uint32_t old)
{
	return id == KEEP ? old : id;
}

long kl_sys_setresuid(uint32_t ruid, uint32_t euid, uint32_t suid)
{
	struct kl_process *p = kl_proc();

	if (!may_have(ruid, p->uid, p->euid, p->suid) || !may_have(euid, p->uid, p->euid, p->suid) ||
		!may_have(suid, p->uid, p->euid, p->suid))
		return -EPERM;
	p->uid = pick(ruid, p->uid);
	p->euid = pick(euid, p->euid);
	p->suid = pick(suid, p->suid);
	adjust_caps(p);
	return 0;
}

long kl_sys_setresgid(uint32_t rgid, uint32_t egid, uint32_t sgid)
{
	struct kl_process *p = kl_proc();

	if (!may_have(rgid, p->gid, p->egid, p->sgid) || !may_have(egid, p->gid, p->egid, p->sgid) ||
		!may_have(sgid, p->gid, p->egid, p->sgid))
		return -EPERM;
	p->gid = pick(rgid, p->gid);
	p->egid = pick(egid, p->egid);
	p->sgid = pick(sgid, p->sgid);
	return 0;
}

long kl_sys_setuid(uint32_t uid)
{
	if (uid == KEEP)
		return -EINVAL;
	return privileged() ? kl_sys_setresuid(uid, uid, uid) : kl_sys_setresuid(KEEP, uid, KEEP);
}

long kl_sys_setgid(uint32_t gid)
{
	if (gid == KEEP)
		return -EINVAL;
	return privileged() ? kl_sys_setresgid(gid, gid, gid) : kl_sys_setresgid(KEEP, gid, KEEP);
}

/* setreuid(2): the saved id follows the effective one when the real one is set, or the effective one to another than it. */
long kl_sys_setreuid(uint32_t ruid, uint32_t euid)
{
	struct kl_process *p = kl_proc();
	uint32_t new_euid = pick(euid, p->euid);
	bool follow = ruid != KEEP || (euid != KEEP && euid != p->uid);

	if (!privileged() && ruid != KEEP && ruid != p->uid && ruid != p->euid)
		return -EPERM;
	return kl_sys_setresuid(ruid, euid, follow ? new_euid : KEEP);
}

long kl_sys_setregid(uint32_t rgid, uint32_t egid)
{
	struct kl_process *p = kl_proc();
	uint32_t new_egid = pick(egid, p->egid);
	bool follow = rgid != KEEP || (egid != KEEP && egid != p->gid);

	if (!privileged() && rgid != KEEP && rgid != p->gid && rgid != p->egid)
		return -EPERM;
	return kl_sys_setresgid(rgid, egid, follow ? new_egid : KEEP);
}

static long put3(kl_uaddr a, kl_uaddr b, kl_uaddr c, uint32_t x, uint32_t y, uint32_t z)
{
	return KL_PUT_USER(a, x) < 0 || KL_PUT_USER(b, y) < 0 || KL_PUT_USER(c, z) < 0 ? -EFAULT : 0;
}

long kl_sys_getresuid(kl_uaddr ruid, kl_uaddr euid, kl_uaddr suid)
{
	return put3(ruid, euid, suid, kl_proc()->uid, kl_proc()->euid, kl_proc()->suid);
}

long kl_sys_getresgid(kl_uaddr rgid, kl_uaddr egid, kl_uaddr sgid)
{
	return put3(rgid, egid, sgid, kl_proc()->gid, kl_proc()->egid, kl_proc()->sgid);
}

/* setfsuid(2): the file system's ids always are the effective ones here; the call reports that, as it does on failure. */
long kl_sys_setfsuid(uint32_t uid)
{
	(void)uid;
	return kl_proc()->euid;
}

long kl_sys_setfsgid(uint32_t gid)
{
	(void)gid;
	return kl_proc()->egid;
}

long kl_sys_getgroups(int count, kl_uaddr list)
{
	const struct kl_process *p = kl_proc();

	if (count < 0 || (count != 0 && (unsigned)count < p->groups_count))
		return -EINVAL;
	if (count != 0 && kl_copy_to_user(list, p->groups, p->groups_count * sizeof(*p->groups)) < 0)
		return -EFAULT;
	return p->groups_count;
}

long kl_sys_setgroups(int count, kl_uaddr list)
{
	struct kl_process *p = kl_proc();
	uint32_t *groups = NULL;

	if (!privileged())
		return -EPERM;
	if (count < 0 || count > GROUPS_MAX)
		return -EINVAL;
	if (count > 0) {
		groups = kl_malloc((size_t)count * sizeof(*groups));
		if (groups == NULL)
			return -ENOMEM;
		if (kl_copy_from_user(groups, list, (size_t)count * sizeof(*groups)) < 0) {
			kl_free(groups);
			return -EFAULT;
		}
	}
	kl_free(p->groups);
	p->groups = groups;
	p->groups_count = (unsigned)count;
	return 0;
}
