/* SPDX-License-Identifier: Apache-2.0 */
/* Threads: clone(2), clone3(2), and what set_tid_address(2) and get_robust_list(2) keep of them. */
#include <kl/entry.h>
#include <kl/uaccess.h>

#include <asm/errno.h>
#include <linux/futex.h>
#include <linux/sched.h>

#include "kl_layout.h"
#include "process_priv.h"

/* What a thread shares with its process; clone(2) without it makes a process. */
#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define KNOWN_FLAGS                                                                                                    \
	(THREAD_FLAGS | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID |                    \
		CLONE_CHILD_SETTID | CLONE_DETACHED | CLONE_UNTRACED | CLONE_PTRACE | CLONE_IO | CSIGNAL)

struct request {
	uint64_t flags;
	kl_uaddr stack; /* its top; 0: the caller's */
	kl_uaddr parent_tid, child_tid;
	uint64_t tls;
};

static long check(const struct request *req)
{
	if ((req->flags & CLONE_THREAD) && !(req->flags & CLONE_SIGHAND))
		return -EINVAL;
	if ((req->flags & CLONE_SIGHAND) && !(req->flags & CLONE_VM))
		return -EINVAL;
	if ((req->flags & THREAD_FLAGS) != THREAD_FLAGS || (req->flags & ~(uint64_t)KNOWN_FLAGS) != 0)
		return -ENOSYS;
	if ((req->flags & CLONE_SETTLS) && req->tls >= KL_USER_TOP_VA)
		return -EPERM;
	return 0;
}

static long start_thread(const struct request *req)
{
	struct kl_regs regs = *kl_current->regs;
	struct kl_thread *thread;
	long err = check(req);

	if (err < 0)
		return err;
	regs.rax = 0;
	if (req->stack != 0)
		regs.rsp = req->stack;
	kl_regs_restore_all(&regs);
	thread = kl_thread_create(kl_proc(), &regs);
	if (thread == NULL)
		return -EAGAIN;
	if (((req->flags & CLONE_PARENT_SETTID) && KL_PUT_USER(req->parent_tid, thread->tid) < 0) ||
		((req->flags & CLONE_CHILD_SETTID) && KL_PUT_USER(req->child_tid, thread->tid) < 0)) {
		kl_thread_discard(thread);
		return -EFAULT;
	}
	if (req->flags & CLONE_CHILD_CLEARTID)
		thread->clear_child_tid = req->child_tid;
	if (req->flags & CLONE_SETTLS)
		thread->fs_base = req->tls;
	kl_thread_start(thread);
	return thread->tid;
}

long kl_sys_clone(unsigned long flags, kl_uaddr stack, kl_uaddr parent_tid, kl_uaddr child_tid, uint64_t tls)
{
	struct request req = {flags & UINT32_MAX, stack, parent_tid, child_tid, tls};

	return start_thread(&req);
}

long kl_sys_clone3(kl_uaddr uargs, size_t bytes)
{
	struct clone_args args = {0};
	struct request req;

	if (bytes < CLONE_ARGS_SIZE_VER0)
		return -EINVAL;
	if (bytes > sizeof(args))
		return -E2BIG;
	if (kl_copy_from_user(&args, uargs, bytes) < 0)
		return -EFAULT;
	if ((args.flags & (CLONE_DETACHED | CSIGNAL)) != 0 || args.exit_signal != 0 || args.set_tid_size != 0)
		return args.set_tid_size != 0 || (args.flags & CLONE_THREAD) ? -EINVAL : -ENOSYS;
	if ((args.stack == 0) != (args.stack_size == 0) || args.stack + args.stack_size < args.stack)
		return -EINVAL;
	req = (struct request){args.flags, args.stack + args.stack_size, args.parent_tid, args.child_tid, args.tls};
	return start_thread(&req);
}

long kl_sys_set_tid_address(kl_uaddr addr)
{
	kl_current->clear_child_tid = addr;
	return kl_current->tid;
}

long kl_sys_set_robust_list(kl_uaddr head, size_t bytes)
{
	if (bytes != sizeof(struct robust_list_head))
		return -EINVAL;
	kl_current->robust_list = head;
	return 0;
}

long kl_sys_get_robust_list(int tid, kl_uaddr head, kl_uaddr bytes)
{
	const struct kl_thread *thread = kl_thread_find(tid);

	if (thread == NULL)
		return -ESRCH;
	if (KL_PUT_USER(bytes, sizeof(struct robust_list_head)) < 0 || KL_PUT_USER(head, thread->robust_list) < 0)
		return -EFAULT;
	return 0;
}
