/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include <kl/sched.h>

struct kl_thread *kl_current;
static int blocked_with;

void kl_thread_wake(struct kl_thread *thread)
{
	thread->woken = true;
}

int kl_block(uint64_t deadline_ns, bool interruptible)
{
	(void)deadline_ns;
	(void)interruptible;
	return blocked_with;
}

static unsigned order[4], woken;

struct numbered {
	struct kl_waiter waiter;
	unsigned number;
};

static void record(struct kl_waiter *w, uint32_t events)
{
	(void)events;
	order[woken++] = KL_CONTAINER(w, struct numbered, waiter)->number;
	kl_waitq_remove(w);
}

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d %s\n", __FILE__, __LINE__, #cond);                                          \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

int main(void)
{
	struct kl_waitq q;
	struct numbered w[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
	struct kl_thread thread = {.tid = 1};

	kl_waitq_init(&q);
	CHECK(kl_waitq_wake_some(&q, 1, 1) == 0);
	for (int i = 0; i < 3; i++) {
		w[i].waiter.wake = record;
		kl_waitq_add(&q, &w[i].waiter);
	}
	CHECK(kl_waitq_wake_some(&q, 1, 1) == 1 && order[0] == 1);
	kl_waitq_wake(&q, 1);
	CHECK(woken == 3 && order[1] == 2 && order[2] == 3);
	CHECK(kl_list_empty(&q.waiters));
	printf("ok wakes in order, and waiters may leave while woken\n");

	kl_current = &thread;
	blocked_with = -110;
	CHECK(kl_wait(&q, 5, true) == -110 && kl_list_empty(&q.waiters));
	printf("ok a wait that fails leaves the queue\n");
	return 0;
}
