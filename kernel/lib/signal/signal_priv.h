/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KL_SIGNAL_PRIV_H
#define KL_SIGNAL_PRIV_H

#include <kl/list.h>
#include <kl/process.h>
#include <kl/regs.h>
#include <kl/sched.h>
#include <kl/signal.h>

/* As rt_sigaction(2) passes it. */
struct signal_action {
	kl_uaddr handler; /* 0: SIG_DFL, 1: SIG_IGN */
	uint64_t flags;   /* SA_* */
	kl_uaddr restorer;
	uint64_t mask;
};

#define ACTION_DEFAULT 0
#define ACTION_IGNORE 1

struct kl_signal_process {
	struct signal_action actions[KL_SIGNALS]; /* actions[n - 1] is signal n's */
	uint64_t pending;
	struct kl_list queue;
	struct kl_waitq arrivals;
};

enum signal_default { DEFAULT_TERMINATE, DEFAULT_CORE, DEFAULT_IGNORE, DEFAULT_STOP };

enum signal_default signal_default(int sig);
/* Whether it would have no effect on arrival. */
bool signal_ignored(const struct kl_process *proc, int sig);
/* SIGKILL and SIGSTOP. */
#define SIGNALS_UNBLOCKABLE (kl_signal_bit(SIGKILL) | kl_signal_bit(SIGSTOP))

/* queue.c: pending signals; set and queue are a thread's or a process's. 0 or -EAGAIN. */
int signal_queue_add(uint64_t *pending, struct kl_list *queue, int sig, const siginfo_t *info);
/* The lowest of those in mask, or 0. */
int signal_queue_take(uint64_t *pending, struct kl_list *queue, uint64_t mask, siginfo_t *info);
void signal_queue_drop(uint64_t *pending, struct kl_list *queue, uint64_t mask);

/* frame.c: the handler's frame on the program's stack. 0 or -EFAULT. */
int signal_frame_push(
	struct kl_regs *regs, int sig, const struct signal_action *action, const siginfo_t *info, uint64_t mask);
/* rt_sigreturn(2). 0 or -EFAULT. */
int signal_frame_pop(struct kl_regs *regs, uint64_t *mask);

void signal_set_blocked(struct kl_thread *thread, uint64_t mask);
/* crash.c: what happened and where, on the log. */
void signal_report_crash(const struct kl_regs *regs, int sig, const siginfo_t *info);

#endif
