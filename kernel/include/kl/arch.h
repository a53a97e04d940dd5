/* SPDX-License-Identifier: Apache-2.0 */
/* What kernel/arch/x86_64 offers to the modules. */
#ifndef KL_ARCH_H
#define KL_ARCH_H

#include <kl/regs.h>
#include <kl/types.h>

struct kl_thread;

/* Services of ring 0, each about 25 us on a KVM without hardware support: batch. */
void kl_arch_tlb_flush_page(uint64_t va); /* invlpg */
void kl_arch_tlb_flush_all(void);         /* reload CR3 */
void kl_arch_set_tables(kl_phys root);    /* load CR3 */
void kl_arch_boot_tables(kl_phys root);   /* at boot: those that are loaded already */
void kl_arch_halt(void); /* sti; hlt; returns at once if kl_shared.pending is set; not on the monitor */

/* Saves the callee-saved registers on the stack, its pointer to *save_ksp, and goes on from load_ksp. */
void kl_arch_switch(uint64_t *save_ksp, uint64_t load_ksp);
/* The initial stack of a thread: kl_arch_switch() to the value returned enters fn(arg), or returns to the program with regs. */
uint64_t kl_arch_thread_stack(uint64_t kstack_top, const struct kl_regs *regs, void (*fn)(void *), void *arg);
/* Called by the scheduler when next becomes the current thread: kernel stack, FS and GS base, vector registers. */
void kl_arch_thread_load(struct kl_thread *prev, struct kl_thread *next);
void kl_arch_thread_free(struct kl_thread *thread);
/* Brings kl_thread.fpu up to date, or makes the CPU take what was changed there. */
void kl_arch_fpu_save(struct kl_thread *thread);
void kl_arch_fpu_restore(struct kl_thread *thread);
size_t kl_arch_fpu_bytes(void);
int kl_arch_fpu_init_thread(struct kl_thread *thread, const struct kl_thread *from); /* from NULL: initial state */
void kl_arch_set_fs_base(uint64_t base);
void kl_arch_set_gs_base(uint64_t base);

static inline uint64_t kl_arch_tsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

/* Frames that exist in the library OS's text, for crash reports. */
extern const char kl_text_start[], kl_text_end[];

#endif
