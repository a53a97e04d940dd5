/* SPDX-License-Identifier: Apache-2.0 */
/* Signals (signal(7)). Delivery to handlers happens on the way back to the program. */
#ifndef KL_SIGNAL_H
#define KL_SIGNAL_H

#include <kl/sched.h>
#include <kl/types.h>
#include <asm/siginfo.h>
#include <asm/signal.h>

/* To the process (a thread that does not block it takes it), or to one thread. info NULL: SI_KERNEL. 0 or -errno. */
int kl_signal_send(struct kl_process *proc, int sig, const siginfo_t *info);
int kl_signal_send_thread(struct kl_thread *thread, int sig, const siginfo_t *info);
/* A fault of the current thread: cannot be blocked or ignored (SIGSEGV and so on). addr: si_addr. */
void kl_signal_fault(int sig, int code, kl_uaddr addr);
/* Whether a signal waits for the thread that is not blocked: a wait then ends with -EINTR. */
bool kl_signal_pending(const struct kl_thread *thread);
/* For ppoll(2), epoll_pwait(2) and so on: replaces the mask (a kernel sigset of 8 bytes at user address) until the call has returned. 0 or -errno. */
int kl_signal_mask_once(kl_uaddr mask, size_t bytes);

#endif
