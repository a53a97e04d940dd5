/* SPDX-License-Identifier: Apache-2.0 */
/* What of a thread the CPU holds: stacks, FS and GS base, vector registers; and the services of ring 0. */
#include <asm/errno.h>

#include <kl/arch.h>
#include <kl/entry.h>
#include <kl/heap.h>
#include <kl/sched.h>
#include <kl/string.h>

#define XSAVE_ALIGN 64
#define XSAVE_LEGACY_BYTES 512u
#define XSAVE_HEADER_BYTES 64u
#define FCW_INIT 0x37f
#define MXCSR_INIT 0x1f80

enum service { SERVICE_INVLPG, SERVICE_LOAD_CR3, SERVICE_HALT };

void kl_arch_service(int service, uint64_t arg);
void kl_thread_first(void);

/* Read by entry.S. */
uint64_t kl_kstack_top, kl_kstack_bottom;
struct kl_regs *kl_user_regs;

static struct {
	struct kl_thread *owner; /* whose vector registers are in the CPU; NULL: nobody's */
	size_t bytes;            /* of an XSAVE area; 0: not asked yet */
	kl_phys tables;
} cpu;

void kl_arch_tlb_flush_page(uint64_t va)
{
	kl_arch_service(SERVICE_INVLPG, va);
}

void kl_arch_tlb_flush_all(void)
{
	kl_arch_service(SERVICE_LOAD_CR3, cpu.tables);
}

void kl_arch_set_tables(kl_phys root)
{
	cpu.tables = root;
	kl_arch_service(SERVICE_LOAD_CR3, root);
}

/* At boot: the tables that are loaded already. */
void kl_arch_boot_tables(kl_phys root)
{
	cpu.tables = root;
}

void kl_arch_halt(void)
{
	kl_arch_service(SERVICE_HALT, 0);
}

void kl_arch_set_fs_base(uint64_t base)
{
	__asm__ volatile("wrfsbase %0" ::"r"(base));
}

void kl_arch_set_gs_base(uint64_t base)
{
	__asm__ volatile("wrgsbase %0" ::"r"(base));
}

size_t kl_arch_fpu_bytes(void)
{
	if (cpu.bytes == 0) {
		uint32_t a = 0xd, b, c = 0, d;

		__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
		cpu.bytes = KL_ALIGN_UP(KL_MAX(b, XSAVE_LEGACY_BYTES + XSAVE_HEADER_BYTES), XSAVE_ALIGN);
	}
	return cpu.bytes;
}

static void xsave(void *area)
{
	__asm__ volatile("xsave64 (%0)" ::"r"(area), "a"(~0u), "d"(~0u) : "memory");
}

static void xrstor(const void *area)
{
	__asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"(~0u), "d"(~0u) : "memory");
}

/* kl_thread.fpu is the aligned address; the block's own address lies in the word before it. */
int kl_arch_fpu_init_thread(struct kl_thread *thread, const struct kl_thread *from)
{
	size_t bytes = kl_arch_fpu_bytes();
	char *block = kl_zalloc(bytes + XSAVE_ALIGN + sizeof(void *));
	char *area;

	if (block == NULL)
		return -ENOMEM;
	area = (char *)KL_ALIGN_UP((uint64_t)block + sizeof(void *), XSAVE_ALIGN);
	((void **)area)[-1] = block;
	thread->fpu = area;
	if (from != NULL) {
		if (cpu.owner == from)
			xsave(from->fpu);
		memcpy(area, from->fpu, bytes);
		return 0;
	}
	*(uint16_t *)area = FCW_INIT;
	*(uint32_t *)(area + 24) = MXCSR_INIT;
	/* The header's first word says which parts are not in their initial state: x87 and SSE, for the two values above. */
	*(uint64_t *)(area + XSAVE_LEGACY_BYTES) = 3;
	return 0;
}

void kl_arch_fpu_save(struct kl_thread *thread)
{
	if (cpu.owner == thread)
		xsave(thread->fpu);
}

void kl_arch_fpu_restore(struct kl_thread *thread)
{
	if (cpu.owner == thread)
		xrstor(thread->fpu);
}

uint64_t kl_arch_thread_stack(uint64_t kstack_top, const struct kl_regs *regs, void (*fn)(void *), void *arg)
{
	/* As kl_arch_switch() pops them. */
	struct {
		uint64_t r15, r14, r13, r12, rbp, rbx, rip;
	} * first;

	if (regs != NULL)
		*(struct kl_regs *)(kstack_top - sizeof(*regs)) = *regs;
	first = (void *)(kstack_top - sizeof(struct kl_regs) - sizeof(*first));
	memset(first, 0, sizeof(*first));
	first->rbx = (uint64_t)fn;
	first->rbp = (uint64_t)arg;
	first->rip = (uint64_t)kl_thread_first;
	return (uint64_t)first;
}

void kl_arch_thread_load(struct kl_thread *prev, struct kl_thread *next)
{
	kl_kstack_bottom = next->kstack_va;
	kl_kstack_top = next->kstack_va + KL_KSTACK_BYTES;
	kl_user_regs = next->regs;
	kl_exit_work = 1;
	if (prev != NULL && prev->fpu != NULL) {
		__asm__ volatile("rdfsbase %0" : "=r"(prev->fs_base));
		__asm__ volatile("rdgsbase %0" : "=r"(prev->gs_base));
	}
	if (next->fpu == NULL)
		return;
	kl_arch_set_fs_base(next->fs_base);
	kl_arch_set_gs_base(next->gs_base);
	if (cpu.owner == next)
		return;
	if (cpu.owner != NULL)
		xsave(cpu.owner->fpu);
	xrstor(next->fpu);
	cpu.owner = next;
}

void kl_arch_thread_free(struct kl_thread *thread)
{
	if (cpu.owner == thread)
		cpu.owner = NULL;
	if (thread->fpu != NULL)
		kl_free(((void **)thread->fpu)[-1]);
	thread->fpu = NULL;
}
