// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

#include "boot.h"
#include "error.h"
#include "tables.h"
#include "vm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define MEMORY_BYTES 0x200000ull
#define TIME_LIMIT_SECONDS 5
#define VECTOR_UD 6

/* What the guest writes to the monitor's register 0 when all went well. */
#define ANSWER 0x6b6c

/*
 * At CPL 3: ud2 goes to ring 0 by its gate. The gate returns with iretq to the instruction behind, at CPL 3. That one stores
 * the answer to the register at KL_MMIO_VA + KL_MONITOR_PA, whose address is in rdi.
 */
static const uint8_t text3[] = {
	0x48, 0x83, 0xec, 0x08,             /* sub $8, %rsp: the stack is the trap stack's lower half */
	0x0f, 0x0b,                         /* ud2 */
	0xc7, 0x07, 0x6c, 0x6b, 0x00, 0x00, /* movl $ANSWER, (%rdi) */
	0xeb, 0xfe,                         /* jmp . */
};
static const uint8_t gate_ud[] = {
	0x48, 0x83, 0x04, 0x24, 0x02, /* addq $2, (%rsp): behind ud2 */
	0x48, 0xcf,                   /* iretq */
};

#define VA(pa) (KL_BASE_VA + (uint64_t)(pa))

/* The image that a real kernlet would bring: stub, descriptor tables, stacks, text. */
static void fill_image(struct kl_image *image)
{
	*image = (struct kl_image){
		.entry_va = VA(KL_KERNEL_PA),
		.end_pa = KL_KERNEL_PA + KL_PAGE_BYTES,
		.segments_count = 3,
		.segments =
			{
				{.pa = KL_STUB_PA,
					.va = VA(KL_STUB_PA),
					.memory_bytes = 2 * KL_PAGE_BYTES,
					.executable = true},
				{.pa = KL_TABLE_PA,
					.va = VA(KL_TABLE_PA),
					.memory_bytes = 3 * KL_PAGE_BYTES,
					.writable = true},
				{.pa = KL_KERNEL_PA,
					.va = VA(KL_KERNEL_PA),
					.memory_bytes = KL_PAGE_BYTES,
					.executable = true},
			},
	};
}

static void fill_memory(const struct kl_memory *memory)
{
	const uint64_t gate = VA(KL_STUB_PA) + 16 * VECTOR_UD, tss = VA(KL_TABLE_PA + KL_TABLE_TSS_OFFSET);
	uint8_t *table = memory->base + KL_TABLE_PA;
	const uint64_t stack = VA(KL_TRAP_STACK_PA + KL_PAGE_BYTES);
	const uint64_t idt[2] = {
		(gate & 0xffff) | KL_SEL_CODE0 << 16 | 0xeeull << 40 | (gate >> 16 & 0xffff) << 48, gate >> 32};
	const uint64_t gdt[KL_TABLE_GDT_BYTES / 8] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0, 0x00cffb000000ffff,
		0x00cff3000000ffff, 0x00affb000000ffff, 0,
		KL_TABLE_TSS_LIMIT | (tss & 0xffffff) << 16 | 0x8bull << 40 | (tss >> 24 & 0xff) << 56, tss >> 32};

	memcpy(table + KL_TABLE_IDT_OFFSET + 16 * VECTOR_UD, idt, sizeof(idt));
	memcpy(table + KL_TABLE_GDT_OFFSET, gdt, sizeof(gdt));
	memcpy(table + KL_TABLE_TSS_OFFSET + 4, &stack, sizeof(stack));
	memcpy(memory->base + KL_STUB_PA + 16 * VECTOR_UD, gate_ud, sizeof(gate_ud));
	memcpy(memory->base + KL_KERNEL_PA, text3, sizeof(text3));
}

/* 0 and the machine is ready to run, or -errno after saying why on standard error. */
static int prepare(struct kl_vm *vm)
{
	struct kl_image image;
	uint64_t free_pa;
	int error = kl_vm_open(vm);

	if (!error)
		error = kl_vm_create(vm);

	if (!error)
		error = kl_vm_reserve(vm, MEMORY_BYTES);
	if (!error)
		error = kl_vm_attach_memory(vm);
	if (error)
		return error;
	kl_vm_query(vm);
	fill_image(&image);
	fill_memory(&vm->memory);
	error = kl_tables_build(&image, &vm->memory, &free_pa);
	if (!error)
		error = kl_vm_prepare(vm, image.entry_va, KL_MMIO_VA + KL_MONITOR_PA);
	if (error)
		return error;
	struct kvm_regs regs;
	if (ioctl(vm->vcpu_fd, KVM_GET_REGS, &regs) < 0)
		return -errno;
	regs.rsp = VA(KL_TRAP_STACK_PA + KL_PAGE_BYTES / 2);
	return ioctl(vm->vcpu_fd, KVM_SET_REGS, &regs) < 0 ? -errno : 0;
}

static void on_alarm(int number)
{
	(void)number;
}

/* NULL when the guest gave its answer, otherwise what happened instead. */
static const char *run(struct kl_vm *vm)
{
	struct sigaction action = {.sa_handler = on_alarm};
	uint32_t answer = 0;

	sigaction(SIGALRM, &action, NULL);
	alarm(TIME_LIMIT_SECONDS);
	int result = ioctl(vm->vcpu_fd, KVM_RUN, 0);
	alarm(0);
	if (result < 0)
		return errno == EINTR ? "a guest of a few instructions did not end in time" : strerror(errno);
	if (vm->run->exit_reason == KVM_EXIT_SHUTDOWN)
		return "a guest at CPL 3 stopped with a triple fault";
	if (vm->run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		return "KVM cannot run the guest (internal error)";
	if (vm->run->exit_reason != KVM_EXIT_MMIO || vm->run->mmio.phys_addr != KL_MONITOR_PA ||
		!vm->run->mmio.is_write)
		return "a guest at CPL 3 did something else than told";
	memcpy(&answer, vm->run->mmio.data, sizeof(answer));
	return answer == ANSWER ? NULL : "a guest at CPL 3 computed a wrong result";
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000;
}

int kl_probe(void)
{
	static struct kl_vm vm;
	uint64_t start_us = now_us();
	int error = prepare(&vm);
	const char *reason = error ? strerror(-error) : run(&vm);
	uint64_t tsc_khz = vm.tsc_khz, boot_us = now_us() - start_us;

	kl_vm_destroy(&vm);
	if (reason) {
		printf("{\"usable\": false, \"reason\": \"%s%s\", \"remedy\": \"run on QEMU instead\"}\n",
			error ? "/dev/kvm: " : "", reason);
		return 1;
	}
	printf("{\"usable\": true, \"reason\": \"a test guest ran at CPL 3 and took an exception\", \"tsc_khz\": %llu, \"boot_us\": %llu}\n",
		(unsigned long long)tsc_khz, (unsigned long long)boot_us);
	return 0;
}
