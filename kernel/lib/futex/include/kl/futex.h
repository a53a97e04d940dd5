/* SPDX-License-Identifier: Apache-2.0 */
/* Fast user-space locking (futex(2)): what other modules need of it when a thread ends. */
#ifndef KL_FUTEX_H
#define KL_FUTEX_H

#include <kl/types.h>

/* Wakes at most n waiters on the futex at addr of the current process. How many were woken. */
unsigned kl_futex_wake(kl_uaddr addr, unsigned n);
/* The current thread ends: clears *clear_child_tid and wakes one waiter, and marks the locks of its robust list as dead. */
void kl_futex_thread_exit(void);

#endif
