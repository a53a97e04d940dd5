/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KL_SCHED_PRIV_H
#define KL_SCHED_PRIV_H

#include <kl/sched.h>

/* Frees threads that have ended; never the one whose stack is in use. */
void sched_reap(void);
/* The thread's stack is freed by the next one that schedules. */
void sched_bury(struct kl_thread *thread);
void sched_free(struct kl_thread *thread);

#endif
