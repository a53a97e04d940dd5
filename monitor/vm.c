// SPDX-License-Identifier: Apache-2.0
#include "vm.h"

#include "error.h"
#include "kl_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <x86intrin.h>

#define CPUID_XSAVE 0xd

#define MSR_TSC 0x10
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_SFMASK 0xc0000084

/* TF, IF, DF, NT, AC: what the LSTAR entry must not inherit. */
#define SFMASK_VALUE 0x44700

#define CR0_VALUE 0x80010033 /* PG WP NE ET MP PE */
#define CR4_VALUE 0x50620    /* OSXSAVE FSGSBASE OSXMMEXCPT OSFXSR PAE */
#define EFER_VALUE 0xd01     /* NXE LMA LME SCE */

static const char check_kvm[] = "kernlet-monitor --probe tells what KVM can do here";

/* Let the guest's TSC be the host's; where KVM cannot, find out by how much it differs. */
static void prepare_tsc(struct kl_vm *vm)
{
	uint64_t zero = 0;
	struct kvm_device_attr attribute = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&zero};
	int khz = ioctl(vm->vcpu_fd, KVM_GET_TSC_KHZ, 0);

	vm->tsc_khz = khz > 0 ? (uint64_t)khz : 0;
	if (ioctl(vm->vcpu_fd, KVM_SET_DEVICE_ATTR, &attribute) == 0)
		return;
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} tsc = {.head.nmsrs = 1, .entry.index = MSR_TSC};
	if (ioctl(vm->vcpu_fd, KVM_GET_MSRS, &tsc) == 1)
		vm->tsc_offset = tsc.entry.data - __rdtsc();
}

int kl_vm_open(struct kl_vm *vm)
{
	vm->vm_fd = vm->vcpu_fd = -1;
	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0)
		return kl_fail(errno, errno == EACCES ? "join the group kvm" : "run on QEMU instead", "/dev/kvm: %s",
			strerror(errno));
	if (ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return kl_fail(ENODEV, "run on QEMU instead", "/dev/kvm: unknown version of its interface");
	return 0;
}

void kl_vm_query(struct kl_vm *vm)
{
	vm->cpuid.head.nent = KL_VM_CPUID_MAX;
	if (ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, &vm->cpuid) < 0)
		vm->cpuid.head.nent = 0;
}

int kl_vm_create(struct kl_vm *vm)
{
	vm->vm_fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
	if (vm->vm_fd < 0)
		return kl_fail(errno, check_kvm, "KVM_CREATE_VM: %s", strerror(errno));
	vm->vcpu_fd = ioctl(vm->vm_fd, KVM_CREATE_VCPU, 0);
	if (vm->vcpu_fd < 0)
		return kl_fail(errno, check_kvm, "KVM_CREATE_VCPU: %s", strerror(errno));
	int run_bytes = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (run_bytes < (int)sizeof(*vm->run))
		return kl_fail(EINVAL, check_kvm, "KVM_GET_VCPU_MMAP_SIZE: too small");
	vm->run = mmap(NULL, (size_t)run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu_fd, 0);
	if (vm->run == MAP_FAILED) {
		vm->run = NULL;
		return kl_fail(errno, check_kvm, "mapping the processor's state: %s", strerror(errno));
	}
	vm->run_bytes = (size_t)run_bytes;
	prepare_tsc(vm);
	return 0;
}

int kl_vm_reserve(struct kl_vm *vm, uint64_t bytes)
{
	size_t reserved_bytes = bytes + KL_HUGE_PAGE_BYTES;
	void *base =
		mmap(NULL, reserved_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return kl_fail(errno, "give less with --memory", "%llu bytes of guest memory: %s",
			(unsigned long long)bytes, strerror(errno));
	/* Huge pages of the guest begin where the host's do. The rest of the reservation is never touched. */
	uintptr_t start = ((uintptr_t)base + KL_HUGE_PAGE_BYTES - 1) & ~(KL_HUGE_PAGE_BYTES - 1);
	vm->memory = (struct kl_memory){.base = (uint8_t *)start, .bytes = bytes};
	vm->reserved = base;
	vm->reserved_bytes = reserved_bytes;
	/* No huge pages here: then it is only slower. */
	madvise(vm->memory.base, bytes, MADV_HUGEPAGE);
	return 0;
}

int kl_vm_attach_memory(struct kl_vm *vm)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = vm->memory.bytes, .userspace_addr = (uintptr_t)vm->memory.base};

	if (ioctl(vm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return kl_fail(errno, check_kvm, "KVM_SET_USER_MEMORY_REGION: %s", strerror(errno));
	return 0;
}

/* Everything that KVM can offer. *xcr0: the state components that XSAVE may be told to save. */
static int prepare_cpuid(struct kl_vm *vm, uint64_t *xcr0)
{
	if (!vm->cpuid.head.nent)
		return kl_fail(ENODEV, check_kvm, "KVM_GET_SUPPORTED_CPUID: no answer");
	*xcr0 = 3; /* x87 and SSE */
	for (unsigned int i = 0; i < vm->cpuid.head.nent; i++) {
		const struct kvm_cpuid_entry2 *entry = &vm->cpuid.entries[i];

		if (entry->function == CPUID_XSAVE && entry->index == 0)
			*xcr0 = entry->eax | (uint64_t)entry->edx << 32;
	}
	if (ioctl(vm->vcpu_fd, KVM_SET_CPUID2, &vm->cpuid) < 0)
		return kl_fail(errno, check_kvm, "KVM_SET_CPUID2: %s", strerror(errno));
	return 0;
}

static int prepare_sregs(struct kl_vm *vm)
{
	struct kvm_segment code = {
		.limit = ~0u, .selector = KL_SEL_CODE3, .type = 11, .present = 1, .dpl = 3, .s = 1, .l = 1, .g = 1};
	struct kvm_segment data = {
		.limit = ~0u, .selector = KL_SEL_DATA3, .type = 3, .present = 1, .dpl = 3, .s = 1, .db = 1, .g = 1};
	const uint64_t table_va = KL_BASE_VA + KL_TABLE_PA;
	struct kvm_sregs sregs;

	if (ioctl(vm->vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return kl_fail(errno, check_kvm, "KVM_GET_SREGS: %s", strerror(errno));
	sregs.cr3 = KL_TABLES_PA;
	sregs.cr4 = CR4_VALUE;
	sregs.cr0 = CR0_VALUE;
	sregs.efer = EFER_VALUE;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.gdt = (struct kvm_dtable){.base = table_va + KL_TABLE_GDT_OFFSET, .limit = KL_TABLE_GDT_BYTES - 1};
	sregs.idt = (struct kvm_dtable){.base = table_va + KL_TABLE_IDT_OFFSET, .limit = KL_STUB_VECTORS * 16 - 1};
	sregs.tr = (struct kvm_segment){.base = table_va + KL_TABLE_TSS_OFFSET,
		.limit = KL_TABLE_TSS_LIMIT,
		.selector = KL_SEL_TSS,
		.type = 11,
		.present = 1};
	if (ioctl(vm->vcpu_fd, KVM_SET_SREGS, &sregs) < 0)
		return kl_fail(errno, check_kvm, "KVM_SET_SREGS: %s", strerror(errno));
	return 0;
}

static int prepare_msrs(struct kl_vm *vm)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[3];
	} msrs = {.head.nmsrs = 3,
		.entries = {
			/* sysret is not used: its selectors would be 0x33 and 0x2b, counted from 0x23 */
			{.index = MSR_STAR, .data = 0x23ull << 48 | (uint64_t)KL_SEL_CODE0 << 32},
			{.index = MSR_LSTAR, .data = KL_BASE_VA + KL_STUB_PA + KL_STUB_LSTAR_OFFSET},
			{.index = MSR_SFMASK, .data = SFMASK_VALUE},
		}};

	if (ioctl(vm->vcpu_fd, KVM_SET_MSRS, &msrs) != 3)
		return kl_fail(EINVAL, check_kvm, "KVM_SET_MSRS: refused");
	return 0;
}

int kl_vm_prepare(struct kl_vm *vm, uint64_t entry_va, uint64_t argument)
{
	struct kvm_xcrs xcrs = {.nr_xcrs = 1};
	uint64_t xcr0 = 0;
	struct kvm_regs regs = {.rip = entry_va, .rdi = argument, .rflags = 0x202};
	int error;

	error = prepare_cpuid(vm, &xcr0);
	xcrs.xcrs[0].value = xcr0;
	if (!error)
		error = prepare_sregs(vm);
	if (error)
		return error;
	if (ioctl(vm->vcpu_fd, KVM_SET_XCRS, &xcrs) < 0)
		return kl_fail(errno, check_kvm, "KVM_SET_XCRS: %s", strerror(errno));
	error = prepare_msrs(vm);
	if (error)
		return error;
	if (ioctl(vm->vcpu_fd, KVM_SET_REGS, &regs) < 0)
		return kl_fail(errno, check_kvm, "KVM_SET_REGS: %s", strerror(errno));
	return 0;
}

void kl_vm_destroy(struct kl_vm *vm)
{
	if (vm->run)
		munmap(vm->run, vm->run_bytes);
	if (vm->vcpu_fd >= 0)
		close(vm->vcpu_fd);
	if (vm->vm_fd >= 0)
		close(vm->vm_fd);
	if (vm->kvm_fd >= 0)
		close(vm->kvm_fd);
	if (vm->reserved)
		munmap(vm->reserved, vm->reserved_bytes);
}
