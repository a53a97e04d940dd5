/* SPDX-License-Identifier: Apache-2.0 */
/* On the way back to the program: what its pending signals do. */
#include <asm/errno.h>
#include <asm/unistd_64.h>

#include <kl/entry.h>
#include <kl/uaccess.h>

#include "signal_priv.h"

#define STATUS_SIGNAL 128

/* Whether SA_RESTART makes the call go on after a handler (signal(7), "Interruption of system calls"). */
static bool restartable(const struct kl_regs *regs)
{
	switch (regs->orig_rax) {
	case __NR_read:
	case __NR_readv:
	case __NR_pread64:
	case __NR_preadv:
	case __NR_preadv2:
	case __NR_write:
	case __NR_writev:
	case __NR_pwrite64:
	case __NR_pwritev:
	case __NR_pwritev2:
	case __NR_open:
	case __NR_openat:
	case __NR_openat2:
	case __NR_ioctl:
	case __NR_wait4:
	case __NR_waitid:
	case __NR_accept:
	case __NR_accept4:
	case __NR_connect:
	case __NR_recvfrom:
	case __NR_recvmsg:
	case __NR_recvmmsg:
	case __NR_sendto:
	case __NR_sendmsg:
	case __NR_sendmmsg:
	case __NR_sendfile:
	case __NR_splice:
	case __NR_flock:
	case __NR_fcntl:
	case __NR_getrandom: return true;
	case __NR_futex: return regs->r10 == 0; /* without a time-out */
	default: return false;
	}
}

static bool interrupted(const struct kl_regs *regs)
{
	return regs->orig_rax != KL_REGS_TRAP && (int64_t)regs->rax == -EINTR;
}

static void run_default(const struct kl_regs *regs, int sig, const siginfo_t *info)
{
	switch (signal_default(sig)) {
	case DEFAULT_CORE: signal_report_crash(regs, sig, info); kl_process_exit(STATUS_SIGNAL + sig);
	case DEFAULT_TERMINATE: kl_process_exit(STATUS_SIGNAL + sig);
	case DEFAULT_STOP: /* nobody is there to continue it: suspending a VM is the monitor's affair */
	case DEFAULT_IGNORE: break;
	}
}

static void run_handler(struct kl_regs *regs, int sig, const siginfo_t *info)
{
	struct kl_thread_signals *ts = &kl_current->sig;
	struct signal_action *slot = &kl_proc()->sig->actions[sig - 1], action = *slot;
	uint64_t mask = ts->saved_valid ? ts->saved : ts->blocked;

	if (interrupted(regs) && (action.flags & SA_RESTART) != 0 && restartable(regs))
		kl_regs_restart_syscall(regs);
	regs->orig_rax = KL_REGS_TRAP;
	if (signal_frame_push(regs, sig, &action, info, mask) < 0) {
		siginfo_t fault = {.si_signo = SIGSEGV, .si_code = SI_KERNEL};

		run_default(regs, SIGSEGV, &fault);
	}
	ts->saved_valid = false;
	if ((action.flags & SA_RESETHAND) != 0)
		slot->handler = ACTION_DEFAULT;
	ts->blocked |= action.mask;
	if ((action.flags & SA_NODEFER) == 0)
		ts->blocked |= kl_signal_bit(sig);
	ts->blocked &= ~SIGNALS_UNBLOCKABLE;
}

void kl_signal_deliver(struct kl_regs *regs)
{
	struct kl_thread *self = kl_current;
	siginfo_t info;
	int sig;

	while ((sig = kl_signal_dequeue(~self->sig.blocked, &info)) != 0) {
		kl_uaddr handler = self->proc->sig->actions[sig - 1].handler;

		if (handler == ACTION_DEFAULT)
			run_default(regs, sig, &info);
		else if (handler != ACTION_IGNORE)
			run_handler(regs, sig, &info);
	}
	if (self->sig.saved_valid) {
		self->sig.saved_valid = false;
		signal_set_blocked(self, self->sig.saved);
	}
	/* A signal without a handler must not be noticed. */
	if (interrupted(regs) && restartable(regs))
		kl_regs_restart_syscall(regs);
}
