/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls. */
#include <asm/errno.h>
#include <linux/signal.h>
#include <linux/time_types.h>

#include <kl/clock.h>
#include <kl/entry.h>
#include <kl/uaccess.h>

#include "signal_priv.h"

#define MINSIGSTKSZ_BYTES 2048

long kl_sys_rt_sigaction(int sig, kl_uaddr new, kl_uaddr old, size_t bytes);
long kl_sys_rt_sigprocmask(int how, kl_uaddr new, kl_uaddr old, size_t bytes);
long kl_sys_rt_sigpending(kl_uaddr set, size_t bytes);
long kl_sys_rt_sigsuspend(kl_uaddr mask, size_t bytes);
long kl_sys_rt_sigtimedwait(kl_uaddr set, kl_uaddr info, kl_uaddr timeout, size_t bytes);
long kl_sys_rt_sigqueueinfo(int pid, int sig, kl_uaddr info);
long kl_sys_rt_tgsigqueueinfo(int pid, int tid, int sig, kl_uaddr info);
long kl_sys_rt_sigreturn(void);
long kl_sys_sigaltstack(kl_uaddr new, kl_uaddr old);
long kl_sys_kill(int pid, int sig);
long kl_sys_tkill(int tid, int sig);
long kl_sys_tgkill(int pid, int tid, int sig);
long kl_sys_pause(void);

long kl_sys_rt_sigaction(int sig, kl_uaddr new, kl_uaddr old, size_t bytes)
{
	struct kl_process *proc = kl_proc();
	struct signal_action action, before;

	if (bytes != sizeof(uint64_t) || sig < 1 || sig > KL_SIGNALS)
		return -EINVAL;
	if (new != 0 && (kl_signal_bit(sig) & SIGNALS_UNBLOCKABLE) != 0)
		return -EINVAL;
	before = proc->sig->actions[sig - 1];
	if (new != 0) {
		if (KL_GET_USER(action, new) < 0)
			return -EFAULT;
		action.mask &= ~SIGNALS_UNBLOCKABLE;
		proc->sig->actions[sig - 1] = action;
		if (signal_ignored(proc, sig)) {
			signal_queue_drop(&proc->sig->pending, &proc->sig->queue, kl_signal_bit(sig));
			KL_LIST_FOR(link, &proc->threads)
			{
				struct kl_thread *thread = KL_LIST_ENTRY(link, struct kl_thread, proc_link);

				signal_queue_drop(&thread->sig.pending, &thread->sig.queue, kl_signal_bit(sig));
			}
		}
	}
	return old == 0 ? 0 : KL_PUT_USER(old, before);
}

long kl_sys_rt_sigprocmask(int how, kl_uaddr new, kl_uaddr old, size_t bytes)
{
	struct kl_thread *self = kl_current;
	uint64_t before = self->sig.blocked, set;

	if (bytes != sizeof(set))
		return -EINVAL;
	if (new != 0) {
		if (KL_GET_USER(set, new) < 0)
			return -EFAULT;
		switch (how) {
		case SIG_BLOCK: set = before | set; break;
		case SIG_UNBLOCK: set = before & ~set; break;
		case SIG_SETMASK: break;
		default: return -EINVAL;
		}
		signal_set_blocked(self, set);
	}
	return old == 0 ? 0 : KL_PUT_USER(old, before);
}

long kl_sys_rt_sigpending(kl_uaddr set, size_t bytes)
{
	uint64_t pending = kl_signal_pending_set() & kl_current->sig.blocked;

	if (bytes > sizeof(pending))
		return -EINVAL;
	return kl_copy_to_user(set, &pending, bytes);
}

/* Ends only by a handler, or with the process. */
static long wait_for_signal(void)
{
	int r;

	do
		r = kl_block(KL_FOREVER, true);
	while (r == 0);
	return r;
}

long kl_sys_rt_sigsuspend(kl_uaddr mask, size_t bytes)
{
	int r;

	if (mask == 0)
		return -EFAULT;
	r = kl_signal_mask_once(mask, bytes);
	return r < 0 ? r : wait_for_signal();
}

long kl_sys_pause(void)
{
	return wait_for_signal();
}

long kl_sys_rt_sigtimedwait(kl_uaddr set, kl_uaddr info_addr, kl_uaddr timeout, size_t bytes)
{
	struct kl_thread *self = kl_current;
	uint64_t wanted, blocked = self->sig.blocked, deadline = KL_FOREVER;
	struct __kernel_timespec ts;
	siginfo_t info;
	int sig, r = 0;

	if (bytes != sizeof(wanted))
		return -EINVAL;
	if (KL_GET_USER(wanted, set) < 0 || (timeout != 0 && KL_GET_USER(ts, timeout) < 0))
		return -EFAULT;
	if (timeout != 0) {
		if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= (long long)KL_NS_PER_S)
			return -EINVAL;
		if ((uint64_t)ts.tv_sec < INT64_MAX / KL_NS_PER_S)
			deadline = kl_clock_ns() + (uint64_t)ts.tv_sec * KL_NS_PER_S + (uint64_t)ts.tv_nsec;
	}
	wanted &= ~SIGNALS_UNBLOCKABLE;
	for (;;) {
		sig = kl_signal_dequeue(wanted, &info);
		if (sig != 0 || r != 0)
			break;
		/* While it waits, those it waits for interrupt it; it takes them before a handler could. */
		self->sig.blocked = blocked & ~wanted;
		r = kl_block(deadline, true);
		self->sig.blocked = blocked;
	}
	if (sig == 0)
		return r == -ETIMEDOUT ? -EAGAIN : r;
	if (info_addr != 0 && KL_PUT_USER(info_addr, info) < 0)
		return -EFAULT;
	return sig;
}

static struct kl_thread *find_thread(int tid)
{
	KL_LIST_FOR(link, &kl_proc()->threads)
	{
		struct kl_thread *thread = KL_LIST_ENTRY(link, struct kl_thread, proc_link);

		if (thread->tid == tid)
			return thread;
	}
	return NULL;
}

static siginfo_t info_from_here(int sig, int code)
{
	siginfo_t info = {.si_signo = sig, .si_code = code};

	info.si_pid = kl_proc()->pid;
	info.si_uid = kl_proc()->uid;
	return info;
}

/* pid as in kill(2): 0, -1 and the own group all mean the one process. */
static bool names_this_process(int pid)
{
	const struct kl_process *proc = kl_proc();

	return pid == proc->pid || pid == 0 || pid == -1 || pid == -proc->pgid;
}

long kl_sys_kill(int pid, int sig)
{
	siginfo_t info = info_from_here(sig, SI_USER);

	if (sig < 0 || sig > KL_SIGNALS)
		return -EINVAL;
	/* kill(-1) spares the caller, and there is nobody else. */
	if (pid == -1 || !names_this_process(pid))
		return -ESRCH;
	return kl_signal_send(kl_proc(), sig, &info);
}

static long send_to_thread(int tid, int sig, const siginfo_t *info)
{
	struct kl_thread *thread = find_thread(tid);

	if (thread == NULL)
		return -ESRCH;
	return kl_signal_send_thread(thread, sig, info);
}

long kl_sys_tkill(int tid, int sig)
{
	siginfo_t info = info_from_here(sig, SI_TKILL);

	return tid <= 0 ? -EINVAL : send_to_thread(tid, sig, &info);
}

long kl_sys_tgkill(int pid, int tid, int sig)
{
	siginfo_t info = info_from_here(sig, SI_TKILL);

	if (tid <= 0 || pid <= 0)
		return -EINVAL;
	return pid == kl_proc()->pid ? send_to_thread(tid, sig, &info) : -ESRCH;
}

long kl_sys_rt_sigqueueinfo(int pid, int sig, kl_uaddr info_addr)
{
	siginfo_t info;

	if (KL_GET_USER(info, info_addr) < 0)
		return -EFAULT;
	info.si_signo = sig;
	return names_this_process(pid) ? kl_signal_send(kl_proc(), sig, &info) : -ESRCH;
}

long kl_sys_rt_tgsigqueueinfo(int pid, int tid, int sig, kl_uaddr info_addr)
{
	siginfo_t info;

	if (tid <= 0 || pid <= 0)
		return -EINVAL;
	if (KL_GET_USER(info, info_addr) < 0)
		return -EFAULT;
	info.si_signo = sig;
	return pid == kl_proc()->pid ? send_to_thread(tid, sig, &info) : -ESRCH;
}

long kl_sys_rt_sigreturn(void)
{
	struct kl_regs *regs = kl_current->regs;
	uint64_t mask;

	if (signal_frame_pop(regs, &mask) < 0) {
		kl_signal_fault(SIGSEGV, SI_KERNEL, 0);
		return 0;
	}
	signal_set_blocked(kl_current, mask);
	return (long)regs->rax;
}

static bool on_altstack_now(const struct kl_thread_signals *ts)
{
	kl_uaddr sp = kl_current->regs->rsp;

	return ts->altstack_bytes != 0 && sp > ts->altstack && sp - ts->altstack <= ts->altstack_bytes;
}

long kl_sys_sigaltstack(kl_uaddr new, kl_uaddr old)
{
	struct kl_thread_signals *ts = &kl_current->sig;
	bool on = on_altstack_now(ts);
	stack_t stack,
		before = {
			.ss_sp = (void *)ts->altstack,
			.ss_size = ts->altstack_bytes,
			.ss_flags = ts->altstack_bytes == 0 ? SS_DISABLE : (on ? SS_ONSTACK : ts->altstack_flags),
		};

	if (new != 0) {
		if (KL_GET_USER(stack, new) < 0)
			return -EFAULT;
		if (on)
			return -EPERM;
		if (((unsigned)stack.ss_flags & ~(SS_AUTODISARM | SS_DISABLE | SS_ONSTACK)) != 0)
			return -EINVAL;
		if ((stack.ss_flags & SS_DISABLE) != 0) {
			ts->altstack = ts->altstack_bytes = 0;
			ts->altstack_flags = 0;
		} else {
			if (stack.ss_size < MINSIGSTKSZ_BYTES)
				return -ENOMEM;
			ts->altstack = (kl_uaddr)stack.ss_sp;
			ts->altstack_bytes = stack.ss_size;
			ts->altstack_flags = (int)((unsigned)stack.ss_flags & SS_AUTODISARM);
		}
	}
	return old == 0 ? 0 : KL_PUT_USER(old, before);
}
