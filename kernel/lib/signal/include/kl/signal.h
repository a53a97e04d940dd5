/* SPDX-License-Identifier: Apache-2.0 */
/* Signals (signal(7)). Delivery to handlers happens on the way back to the program. */
#ifndef KL_SIGNAL_H
#define KL_SIGNAL_H

#include <kl/sched.h>
#include <kl/types.h>
#include <asm/siginfo.h>
#include <asm/signal.h>

#define KL_SIGNALS 64 /* 1 to 64; 32 and up are real-time signals */

static inline uint64_t kl_signal_bit(int sig)
{
	return 1ull << (sig - 1);
}

/* To the process (a thread that does not block it takes it), or to one thread. info NULL: SI_KERNEL. 0 or -errno. */
int kl_signal_send(struct kl_process *proc, int sig, const siginfo_t *info);
int kl_signal_send_thread(struct kl_thread *thread, int sig, const siginfo_t *info);
/* A fault of the current thread: cannot be blocked or ignored (SIGSEGV and so on). addr: si_addr. */
void kl_signal_fault(int sig, int code, kl_uaddr addr);
/* Whether a signal waits for the thread that is not blocked: a wait then ends with -EINTR. */
bool kl_signal_pending(const struct kl_thread *thread);
/* Takes the next pending signal of those in mask off the current thread or its process: its number, or 0. For signalfd(2). */
int kl_signal_dequeue(uint64_t mask, siginfo_t *info);
/* The pending signals of the current thread and its process, and where arrivals are announced. */
uint64_t kl_signal_pending_set(void);
struct kl_waitq *kl_signal_waitq(void);
/* The thread has ended: what was pending for it alone is dropped. */
void kl_signal_thread_free(struct kl_thread *thread);
/* "SIGSEGV", or "signal 40" for those without a name; static storage for the latter. */
const char *kl_signal_name(int sig);
/* For ppoll(2), epoll_pwait(2) and so on: replaces the mask (a kernel sigset of 8 bytes at user address) until the call has returned. 0 or -errno. */
int kl_signal_mask_once(kl_uaddr mask, size_t bytes);

#endif
