/* SPDX-License-Identifier: Apache-2.0 */
/* Threads and their kernel stacks. A stack's slot is twice its size: what lies below it is never mapped. */
#include <asm/errno.h>

#include <kl/arch.h>
#include <kl/aspace.h>
#include <kl/heap.h>
#include <kl/pmm.h>
#include <kl/process.h>
#include <kl/signal.h>
#include <kl/string.h>

#include "kl_layout.h"
#include "sched_priv.h"

#define SLOT_BYTES (2 * KL_KSTACK_BYTES)

static struct {
	uint64_t next_slot_va; /* never used yet */
	uint64_t next_mapped;  /* bytes of it that are mapped all the same: memory ran out on the way */
	uint64_t free_va; /* stack that can be used again, still mapped; its top word names the next one; 0: none */
	struct kl_list dead;
	int next_tid;
} threads = {
	.next_slot_va = KL_STACKS_VA,
	.dead = KL_LIST_INIT(threads.dead),
	.next_tid = 1,
};

static uint64_t *next_free(uint64_t va)
{
	return (uint64_t *)(va + KL_KSTACK_BYTES) - 1;
}

static int map_stack(uint64_t va)
{
	while (threads.next_mapped < KL_KSTACK_BYTES) {
		kl_phys page = kl_page_alloc_zeroed();

		if (page == KL_PHYS_NONE)
			return -ENOMEM;
		if (kl_kernel_map(va + threads.next_mapped, page, KL_MAP_WRITE) < 0) {
			kl_page_put(page);
			return -ENOMEM;
		}
		threads.next_mapped += KL_PAGE_BYTES;
	}
	threads.next_mapped = 0;
	return 0;
}

/* The lowest byte of a mapped stack, or 0. A slot whose mapping failed half-way is gone on with next time. */
static uint64_t stack_alloc(void)
{
	uint64_t va = threads.free_va;

	if (va != 0) {
		threads.free_va = *next_free(va);
		return va;
	}
	va = threads.next_slot_va + KL_KSTACK_BYTES;
	if (map_stack(va) < 0)
		return 0;
	threads.next_slot_va += SLOT_BYTES;
	return va;
}

static void stack_free(uint64_t va)
{
	*next_free(va) = threads.free_va;
	threads.free_va = va;
}

static struct kl_thread *create(void)
{
	struct kl_thread *thread = kl_zalloc(sizeof(*thread));

	if (thread == NULL)
		return NULL;
	thread->kstack_va = stack_alloc();
	if (thread->kstack_va == 0) {
		kl_free(thread);
		return NULL;
	}
	thread->regs = (struct kl_regs *)(thread->kstack_va + KL_KSTACK_BYTES) - 1;
	kl_list_init(&thread->sig.queue);
	return thread;
}

struct kl_thread *kl_thread_create(struct kl_process *proc, const struct kl_regs *regs)
{
	bool same = kl_current->fpu != NULL;
	struct kl_thread *thread = create();

	if (thread == NULL)
		return NULL;
	if (kl_arch_fpu_init_thread(thread, same ? kl_current : NULL) < 0) {
		sched_free(thread);
		return NULL;
	}
	if (same) {
		__asm__ volatile("rdfsbase %0" : "=r"(thread->fs_base));
		__asm__ volatile("rdgsbase %0" : "=r"(thread->gs_base));
	}
	thread->proc = proc;
	thread->tid = threads.next_tid++;
	thread->sig.blocked = kl_current->sig.blocked;
	memcpy(thread->comm, kl_current->comm, sizeof(thread->comm));
	thread->ksp = kl_arch_thread_stack(thread->kstack_va + KL_KSTACK_BYTES, regs, NULL, NULL);
	kl_list_push_back(&proc->threads, &thread->proc_link);
	proc->threads_count++;
	return thread;
}

struct kl_thread *kl_thread_create_kernel(const char *name, void (*fn)(void *arg), void *arg)
{
	struct kl_thread *thread = create();

	if (thread == NULL)
		return NULL;
	thread->proc = &kl_process_init_data;
	memcpy(thread->comm, name, strnlen(name, sizeof(thread->comm) - 1));
	thread->ksp = kl_arch_thread_stack(thread->kstack_va + KL_KSTACK_BYTES, NULL, fn, arg);
	return thread;
}

void sched_free(struct kl_thread *thread)
{
	kl_signal_thread_free(thread);
	kl_arch_thread_free(thread);
	stack_free(thread->kstack_va);
	kl_free(thread);
}

void kl_thread_discard(struct kl_thread *thread)
{
	kl_list_remove(&thread->proc_link);
	thread->proc->threads_count--;
	sched_free(thread);
}

void sched_bury(struct kl_thread *thread)
{
	kl_list_push_back(&threads.dead, &thread->run_link);
}

void sched_reap(void)
{
	KL_LIST_FOR_SAFE(link, &threads.dead)
	{
		struct kl_thread *thread = KL_LIST_ENTRY(link, struct kl_thread, run_link);

		if (thread == kl_current)
			continue;
		kl_list_remove(link);
		sched_free(thread);
	}
}
