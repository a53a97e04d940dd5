/* SPDX-License-Identifier: Apache-2.0 */
#include <asm/errno.h>

#include <kl/heap.h>

#include "signal_priv.h"

#define QUEUED_MAX 8192 /* of real-time signals, in all: RLIMIT_SIGPENDING's usual size */

struct queued {
	struct kl_list link;
	siginfo_t info;
};

static unsigned queued_count;

int signal_queue_add(uint64_t *pending, struct kl_list *queue, int sig, const siginfo_t *info)
{
	bool realtime = sig >= SIGRTMIN;
	struct queued *q;

	if (!realtime && (*pending & kl_signal_bit(sig)) != 0)
		return 0;
	q = queued_count < QUEUED_MAX ? kl_zalloc(sizeof(*q)) : NULL;
	if (q == NULL) {
		/* A standard signal arrives all the same, without its siginfo. */
		if (realtime)
			return -EAGAIN;
		*pending |= kl_signal_bit(sig);
		return 0;
	}
	queued_count++;
	if (info != NULL)
		q->info = *info;
	else
		q->info.si_code = SI_KERNEL;
	q->info.si_signo = sig;
	kl_list_push_back(queue, &q->link);
	*pending |= kl_signal_bit(sig);
	return 0;
}

static void drop(struct queued *q)
{
	kl_list_remove(&q->link);
	kl_free(q);
	queued_count--;
}

int signal_queue_take(uint64_t *pending, struct kl_list *queue, uint64_t mask, siginfo_t *info)
{
	uint64_t candidates = *pending & mask;
	bool found = false, more = false;
	int sig;

	if (candidates == 0)
		return 0;
	sig = __builtin_ctzll(candidates) + 1;
	*info = (siginfo_t){.si_signo = sig, .si_code = SI_USER};
	KL_LIST_FOR_SAFE(link, queue)
	{
		struct queued *q = KL_LIST_ENTRY(link, struct queued, link);

		if (q->info.si_signo != sig)
			continue;
		if (found) {
			more = true;
			break;
		}
		*info = q->info;
		found = true;
		drop(q);
	}
	if (!more)
		*pending &= ~kl_signal_bit(sig);
	return sig;
}

void kl_signal_thread_free(struct kl_thread *thread)
{
	signal_queue_drop(&thread->sig.pending, &thread->sig.queue, ~0ull);
}

void signal_queue_drop(uint64_t *pending, struct kl_list *queue, uint64_t mask)
{
	*pending &= ~mask;
	KL_LIST_FOR_SAFE(link, queue)
	{
		struct queued *q = KL_LIST_ENTRY(link, struct queued, link);

		if ((mask & kl_signal_bit(q->info.si_signo)) != 0)
			drop(q);
	}
}
