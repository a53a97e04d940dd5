/* SPDX-License-Identifier: Apache-2.0 */
/* The first process, and how it ends. */
#include <kl/arch.h>
#include <kl/aspace.h>
#include <kl/clock.h>
#include <kl/console.h>
#include <kl/futex.h>
#include <kl/image.h>
#include <kl/platform.h>

#include <asm/errno.h>
#include <asm/resource.h>
#include <linux/wait.h>

#include "process_priv.h"

#define FILES_SOFT 65536
#define FILES_HARD 1048576
#define STACK_BYTES (8ull << 20)
#define UNLIMITED                                                                                                      \
	{                                                                                                              \
		RLIM_INFINITY, RLIM_INFINITY                                                                           \
	}

struct kl_process kl_process_init_data = {
	.pid = 1,
	.pgid = 1,
	.sid = 1,
	.threads = KL_LIST_INIT(kl_process_init_data.threads),
	.comm = "kernlet",
	.rlimits =
		{
			[RLIMIT_CPU] = UNLIMITED,
			[RLIMIT_FSIZE] = UNLIMITED,
			[RLIMIT_DATA] = UNLIMITED,
			[RLIMIT_STACK] = {STACK_BYTES, RLIM_INFINITY},
			[RLIMIT_CORE] = {0, RLIM_INFINITY},
			[RLIMIT_RSS] = UNLIMITED,
			[RLIMIT_NPROC] = UNLIMITED,
			[RLIMIT_NOFILE] = {FILES_SOFT, FILES_HARD},
			[RLIMIT_MEMLOCK] = UNLIMITED,
			[RLIMIT_AS] = UNLIMITED,
			[RLIMIT_LOCKS] = UNLIMITED,
			[RLIMIT_SIGPENDING] = {FILES_SOFT, FILES_SOFT},
			[RLIMIT_MSGQUEUE] = {819200, 819200},
			[RLIMIT_RTTIME] = UNLIMITED,
		},
};

static struct kl_list exit_hooks = KL_LIST_INIT(exit_hooks);

int kl_process_init(void)
{
	struct kl_process *proc = &kl_process_init_data;

	proc->aspace = kl_aspace_current;
	proc->uid = proc->euid = proc->suid = kl_image_uid;
	proc->gid = proc->egid = proc->sgid = kl_image_gid;
	if (proc->uid == 0) {
		proc->caps.effective[0] = proc->caps.permitted[0] = UINT32_MAX;
		proc->caps.effective[1] = proc->caps.permitted[1] = (1u << (CAP_LAST_CAP - 31)) - 1;
	}
	return 0;
}

void kl_exit_hook_add(struct kl_exit_hook *hook)
{
	kl_list_push_back(&exit_hooks, &hook->link);
}

/* What is done at the end may wait; meanwhile no other thread of the program gets to run any more. */
static void stop_others(struct kl_process *proc)
{
	KL_LIST_FOR(link, &proc->threads)
	{
		struct kl_thread *thread = KL_LIST_ENTRY(link, struct kl_thread, proc_link);

		if (thread == kl_current)
			continue;
		thread->state = KL_THREAD_DEAD;
		kl_list_remove(&thread->run_link);
	}
}

void kl_process_exit(int status)
{
	kl_proc()->exit_status = status;
	stop_others(kl_proc());
	KL_LIST_FOR(link, &exit_hooks)
	KL_LIST_ENTRY(link, struct kl_exit_hook, link)->fn();
	kl_console_drain();
	kl_platform->exit(status);
}

/* _exit(2), exit_group(2): the status as wait(2) would show it. */
long kl_sys_exit_group(int status)
{
	kl_process_exit(status & 0xff);
}

long kl_sys_exit(int status)
{
	struct kl_process *proc = kl_proc();

	kl_futex_thread_exit();
	if (proc->threads_count <= 1)
		kl_process_exit(status & 0xff);
	proc->ended_cpu_ns += kl_thread_cpu_ns(kl_current);
	kl_list_remove(&kl_current->proc_link);
	proc->threads_count--;
	kl_thread_exit();
}

/* wait(2): there are no other processes. */
long kl_sys_wait4(int pid, kl_uaddr status, int options, kl_uaddr usage)
{
	(void)pid, (void)status, (void)usage;
	return options & ~(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL) ? -EINVAL : -ECHILD;
}

long kl_sys_waitid(int which, int pid, kl_uaddr info, int options, kl_uaddr usage)
{
	(void)which, (void)pid, (void)info, (void)usage;
	return options & (WEXITED | WSTOPPED | WCONTINUED) ? -ECHILD : -EINVAL;
}

uint64_t kl_thread_cpu_ns(const struct kl_thread *thread)
{
	return thread->cpu_ns + (thread == kl_current ? kl_clock_ns() - thread->cpu_since_ns : 0);
}

uint64_t kl_process_cpu_ns(const struct kl_process *proc)
{
	uint64_t sum = proc->ended_cpu_ns;

	KL_LIST_FOR(link, &proc->threads)
	sum += kl_thread_cpu_ns(KL_LIST_ENTRY(link, struct kl_thread, proc_link));
	return sum;
}

struct kl_thread *kl_thread_find(int tid)
{
	struct kl_process *proc = kl_proc();

	if (tid == 0)
		return kl_current;
	KL_LIST_FOR(link, &proc->threads)
	{
		struct kl_thread *thread = KL_LIST_ENTRY(link, struct kl_thread, proc_link);

		if (thread->tid == tid)
			return thread;
	}
	return NULL;
}
