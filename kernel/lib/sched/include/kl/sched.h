/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads, and waiting. One CPU; the library OS is never preempted, so what it does between two calls that may block is atomic,
 * and "check a condition, then wait" loses no wake-up.
 */
#ifndef KL_SCHED_H
#define KL_SCHED_H

#include <kl/list.h>
#include <kl/regs.h>
#include <kl/types.h>

struct kl_process;

/* What the signal module keeps of each thread; all zero but queue, which kl_thread_create() sets up. Masks: bit n - 1 is signal n. */
struct kl_thread_signals {
	uint64_t blocked, pending;
	uint64_t saved; /* blocked, as it is to be after the system call (kl_signal_mask_once) */
	bool saved_valid;
	struct kl_list queue;              /* pending signals with their siginfo */
	kl_uaddr altstack, altstack_bytes; /* sigaltstack(2) */
	int altstack_flags;
};

enum kl_thread_state { KL_THREAD_READY, KL_THREAD_RUNNING, KL_THREAD_BLOCKED, KL_THREAD_DEAD };

struct kl_thread {
	struct kl_list run_link;  /* in the run queue */
	struct kl_list proc_link; /* in kl_process.threads */
	struct kl_process *proc;
	int tid;
	enum kl_thread_state state;
	bool woken;           /* since it last blocked */
	bool interruptible;   /* while blocked: a signal may wake it */
	uint64_t ksp;         /* kernel stack pointer while not running */
	uint64_t kstack_va;   /* lowest mapped byte of its kernel stack */
	struct kl_regs *regs; /* the program's registers, at the top of the kernel stack */
	uint64_t fs_base, gs_base;
	void *fpu; /* XSAVE area, 64-byte aligned */
	struct kl_thread_signals sig;
	kl_uaddr clear_child_tid;      /* set_tid_address(2) */
	kl_uaddr robust_list;          /* set_robust_list(2) */
	uint64_t cpu_ns, cpu_since_ns; /* time used; since when it runs */
	char comm[16];
};

extern struct kl_thread *kl_current;

#define KL_KSTACK_BYTES 16384ul

/* A thread of proc that enters the program with *regs; inherits the caller's vector registers, FS and GS base and signal mask when
 * the caller is of the same program. It gets to run with kl_thread_start(). NULL: out of memory. */
struct kl_thread *kl_thread_create(struct kl_process *proc, const struct kl_regs *regs);
/* Undoes kl_thread_create() of a thread that was not started. */
void kl_thread_discard(struct kl_thread *thread);
/* One that runs fn(arg) in the library OS only; it must not return. */
struct kl_thread *kl_thread_create_kernel(const char *name, void (*fn)(void *arg), void *arg);
void kl_thread_start(struct kl_thread *thread);
/* The caller has taken the thread out of its process's list. */
KL_NORETURN void kl_thread_exit(void);
void kl_yield(void);

/* --- waiting --- */

/* Blocks the caller until kl_thread_wake(), the deadline, or (interruptible) a signal. 0, -ETIMEDOUT, -EINTR. */
int kl_block(uint64_t deadline_ns, bool interruptible);
void kl_thread_wake(struct kl_thread *thread); /* of a running or ready thread: its next kl_block() returns at once */

struct kl_waitq {
	struct kl_list waiters;
};

/* wake() is called for each event until the waiter is removed; it must not block, and may remove this waiter only. */
struct kl_waiter {
	struct kl_list link;
	void (*wake)(struct kl_waiter *waiter, uint32_t events);
	struct kl_thread *thread; /* for kl_waiter_wake_thread */
};

static inline void kl_waitq_init(struct kl_waitq *q)
{
	kl_list_init(&q->waiters);
}
static inline void kl_waitq_add(struct kl_waitq *q, struct kl_waiter *w)
{
	kl_list_push_back(&q->waiters, &w->link);
}
static inline void kl_waitq_remove(struct kl_waiter *w)
{
	kl_list_remove(&w->link);
}
/* events: EPOLLIN and so on, what has become possible; ~0u when it makes no difference. */
void kl_waitq_wake(struct kl_waitq *q, uint32_t events);
/* At most n waiters, the longest waiting first. */
unsigned kl_waitq_wake_some(struct kl_waitq *q, uint32_t events, unsigned n);
void kl_waiter_wake_thread(struct kl_waiter *w, uint32_t events); /* a wake() that wakes w->thread */
/* Waits in one queue: kl_block() around add and remove. */
int kl_wait(struct kl_waitq *q, uint64_t deadline_ns, bool interruptible);

/* --- what the scheduler calls when it looks for work --- */

/* Looks at a device's rings; true if it found something. Must be cheap when there is nothing. */
struct kl_poller {
	struct kl_list link;
	bool (*poll)(struct kl_poller *poller);
	/* Before the CPU goes to sleep: asks for a notification; true if something came in meanwhile (then it does not sleep). */
	bool (*arm)(struct kl_poller *poller);
};
void kl_poller_add(struct kl_poller *poller);
/* Runs due timers and all pollers. Called when a thread blocks, at ticks, and by system calls about to report "nothing ready". */
bool kl_poll(void);

#endif
