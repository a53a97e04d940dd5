/* SPDX-License-Identifier: Apache-2.0 */
#include <asm/errno.h>

#include <kl/entry.h>
#include <kl/string.h>
#include <kl/uaccess.h>

#include "signal_priv.h"

int kl_signal_init(void);

static struct kl_signal_process first_process;

int kl_signal_init(void)
{
	kl_list_init(&first_process.queue);
	kl_waitq_init(&first_process.arrivals);
	kl_process_init_data.sig = &first_process;
	return 0;
}

enum signal_default signal_default(int sig)
{
	switch (sig) {
	case SIGCHLD:
	case SIGCONT:
	case SIGURG:
	case SIGWINCH: return DEFAULT_IGNORE;
	case SIGSTOP:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU: return DEFAULT_STOP;
	case SIGQUIT:
	case SIGILL:
	case SIGTRAP:
	case SIGABRT:
	case SIGBUS:
	case SIGFPE:
	case SIGSEGV:
	case SIGXCPU:
	case SIGXFSZ:
	case SIGSYS: return DEFAULT_CORE;
	default: return DEFAULT_TERMINATE;
	}
}

bool signal_ignored(const struct kl_process *proc, int sig)
{
	kl_uaddr handler = proc->sig->actions[sig - 1].handler;

	if (handler == ACTION_DEFAULT)
		return signal_default(sig) == DEFAULT_IGNORE || signal_default(sig) == DEFAULT_STOP;
	return handler == ACTION_IGNORE;
}

static uint64_t pending_set(const struct kl_thread *thread)
{
	return thread->sig.pending | thread->proc->sig->pending;
}

bool kl_signal_pending(const struct kl_thread *thread)
{
	if (thread->proc == NULL || thread->proc->sig == NULL)
		return false;
	return (pending_set(thread) & ~thread->sig.blocked) != 0;
}

uint64_t kl_signal_pending_set(void)
{
	return pending_set(kl_current);
}

struct kl_waitq *kl_signal_waitq(void)
{
	return &kl_proc()->sig->arrivals;
}

int kl_signal_dequeue(uint64_t mask, siginfo_t *info)
{
	struct kl_thread *self = kl_current;
	struct kl_signal_process *proc = self->proc->sig;
	int sig = signal_queue_take(&self->sig.pending, &self->sig.queue, mask, info);

	return sig != 0 ? sig : signal_queue_take(&proc->pending, &proc->queue, mask, info);
}

/* A signal has come for the thread: it leaves its wait, or looks before it goes on with the program. */
static void notify(struct kl_thread *thread)
{
	if (thread == kl_current)
		kl_exit_work = 1;
	/* The current thread may be blocked too: it is the one that looks for work meanwhile. */
	if (thread->state == KL_THREAD_BLOCKED && thread->interruptible)
		kl_thread_wake(thread);
}

/* Dropped on arrival when ignored, unless a thread blocks it: then it may be waited for, or get a handler later. */
static bool dropped(struct kl_process *proc, struct kl_thread *thread, int sig)
{
	uint64_t bit = kl_signal_bit(sig);

	if (!signal_ignored(proc, sig))
		return false;
	if (thread != NULL)
		return (thread->sig.blocked & bit) == 0;
	KL_LIST_FOR(link, &proc->threads)
	if ((KL_LIST_ENTRY(link, struct kl_thread, proc_link)->sig.blocked & bit) == 0)
		return true;
	return false;
}

int kl_signal_send_thread(struct kl_thread *thread, int sig, const siginfo_t *info)
{
	int r;

	if (sig < 0 || sig > KL_SIGNALS)
		return -EINVAL;
	if (sig == 0 || dropped(thread->proc, thread, sig))
		return 0;
	r = signal_queue_add(&thread->sig.pending, &thread->sig.queue, sig, info);
	if (r < 0)
		return r;
	if ((thread->sig.blocked & kl_signal_bit(sig)) == 0)
		notify(thread);
	kl_waitq_wake(&thread->proc->sig->arrivals, ~0u);
	return 0;
}

int kl_signal_send(struct kl_process *proc, int sig, const siginfo_t *info)
{
	int r;

	if (sig < 0 || sig > KL_SIGNALS)
		return -EINVAL;
	if (sig == 0 || dropped(proc, NULL, sig))
		return 0;
	r = signal_queue_add(&proc->sig->pending, &proc->sig->queue, sig, info);
	if (r < 0)
		return r;
	/* The first that does not block it takes it; the main thread is the first of the list. */
	KL_LIST_FOR(link, &proc->threads)
	{
		struct kl_thread *thread = KL_LIST_ENTRY(link, struct kl_thread, proc_link);

		if ((thread->sig.blocked & kl_signal_bit(sig)) == 0) {
			notify(thread);
			break;
		}
	}
	kl_waitq_wake(&proc->sig->arrivals, ~0u);
	return 0;
}

void kl_signal_fault(int sig, int code, kl_uaddr addr)
{
	struct kl_thread *self = kl_current;
	struct signal_action *action = &self->proc->sig->actions[sig - 1];
	siginfo_t info = {0};

	info.si_signo = sig;
	info.si_code = code;
	info.si_addr = (void *)addr;
	/* One that is blocked or ignored would fault again for ever: it ends the process. */
	if ((self->sig.blocked & kl_signal_bit(sig)) != 0 || action->handler == ACTION_IGNORE) {
		action->handler = ACTION_DEFAULT;
		self->sig.blocked &= ~kl_signal_bit(sig);
	}
	signal_queue_add(&self->sig.pending, &self->sig.queue, sig, &info);
	kl_exit_work = 1;
}

void signal_set_blocked(struct kl_thread *thread, uint64_t mask)
{
	thread->sig.blocked = mask & ~SIGNALS_UNBLOCKABLE;
	if (kl_signal_pending(thread))
		kl_exit_work = 1;
}

int kl_signal_mask_once(kl_uaddr mask, size_t bytes)
{
	struct kl_thread *self = kl_current;
	uint64_t set;

	if (mask == 0)
		return 0;
	if (bytes != sizeof(set))
		return -EINVAL;
	if (KL_GET_USER(set, mask) < 0)
		return -EFAULT;
	if (!self->sig.saved_valid) {
		self->sig.saved = self->sig.blocked;
		self->sig.saved_valid = true;
	}
	signal_set_blocked(self, set);
	kl_exit_work = 1;
	return 0;
}
