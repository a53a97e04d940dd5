/* SPDX-License-Identifier: Apache-2.0 */
/* What belongs to a process as a whole. One process is the normal case. */
#ifndef KL_PROCESS_H
#define KL_PROCESS_H

#include <kl/list.h>
#include <kl/sched.h>
#include <kl/types.h>

struct kl_aspace;
struct kl_fdtable;
struct kl_fsinfo;
struct kl_signal_process;

#define KL_RLIMITS 16

struct kl_process {
	int pid, ppid, pgid, sid;
	struct kl_list threads; /* kl_thread.proc_link */
	unsigned threads_count;
	struct kl_aspace *aspace;
	struct kl_fdtable *fds; /* vfs */
	struct kl_fsinfo *fs;   /* vfs: root, working directory, umask */
	struct kl_signal_process *sig;
	uint32_t uid, euid, suid, gid, egid, sgid;
	struct {
		uint64_t soft, hard;
	} rlimits[KL_RLIMITS]; /* by RLIMIT_* */
	char comm[16];
	char *exe;        /* path of the program */
	uint32_t *groups; /* supplementary, groups_count of them */
	unsigned groups_count;
	struct {
		uint32_t effective[2], permitted[2], inheritable[2];
	} caps; /* capabilities(7) */
	int nice;
	uint64_t ended_cpu_ns;                           /* of threads that have ended */
	unsigned persona;                                /* personality(2) */
	kl_uaddr arg_start, arg_end, env_start, env_end; /* on its stack, for /proc */
	uint64_t auxv[48];                               /* pairs, up to AT_NULL */
	int exit_status;
};

static inline struct kl_process *kl_proc(void)
{
	return kl_current->proc;
}

/*
 * Ends the process as exit_group(2) does: the last process's end is the VM's, after the consoles have been drained. status: 0 to 255;
 * 128 + signal when a signal ended it. Called by exit_group and by the default action of signals.
 */
KL_NORETURN void kl_process_exit(int status);

/*
 * Called at the end of the last process, before the VM ends, in the order of adding: for what must still get out (the send queues
 * of the network). May block, for a bounded time.
 */
struct kl_exit_hook {
	struct kl_list link;
	void (*fn)(void);
};
void kl_exit_hook_add(struct kl_exit_hook *hook);

/* The program's processor time, and that of one thread, ns. */
uint64_t kl_process_cpu_ns(const struct kl_process *proc);
uint64_t kl_thread_cpu_ns(const struct kl_thread *thread);
/* The thread of the current process with that number (0: the calling one), or NULL. */
struct kl_thread *kl_thread_find(int tid);

/* The first process; it is there before the file systems are. */
extern struct kl_process kl_process_init_data;

#endif
