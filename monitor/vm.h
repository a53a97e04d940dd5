/* SPDX-License-Identifier: Apache-2.0 */
/* One KVM virtual machine with one processor, ready to enter a kernlet at CPL 3. */
#ifndef KL_MONITOR_VM_H
#define KL_MONITOR_VM_H

#include "memory.h"

#include <linux/kvm.h>

#define KL_VM_CPUID_MAX 256

struct kl_vm {
	int kvm_fd, vm_fd, vcpu_fd;
	struct kvm_run *run;
	size_t run_bytes;
	struct kl_memory memory;
	uint64_t tsc_khz;    /* 0: KVM does not say */
	uint64_t tsc_offset; /* guest's minus host's */
	void *reserved;      /* what memory is a part of */
	size_t reserved_bytes;
	struct kl_vm_cpuid {
		struct kvm_cpuid2 head; /* nent 0: not asked yet, or KVM_GET_SUPPORTED_CPUID failed */
		struct kvm_cpuid_entry2 entries[KL_VM_CPUID_MAX];
	} cpuid;
};

/* Open /dev/kvm. 0 or -errno after saying why. Undone by kl_vm_destroy(), as is all that follows. */
int kl_vm_open(struct kl_vm *vm);

/*
 * Ask KVM which CPUID it supports. That takes 0.3 ms where CPUID itself is slow, in a VM, and needs nothing but the open device:
 * it may run on another thread beside kl_vm_create(). kl_vm_prepare() needs the answer.
 */
void kl_vm_query(struct kl_vm *vm);

/* Make the machine, still without memory. 0 or -errno after saying why. */
int kl_vm_create(struct kl_vm *vm);

/*
 * Reserve bytes of guest memory (all zero, nothing allocated until touched). Transparent huge pages where the host has them:
 * a guest's first touches of 2 MiB then cost about 0.1 ms instead of 2 ms. 0 or -errno after saying why.
 */
int kl_vm_reserve(struct kl_vm *vm, uint64_t bytes);

/* Make the reserved memory the guest's; whatever is to be mapped over it already is. 0 or -errno after saying why. */
int kl_vm_attach_memory(struct kl_vm *vm);

/*
 * Processor set-up as kl_layout.h describes it: long mode, CPL 3, page tables at KL_TABLES_PA, descriptor tables in the image,
 * rip = entry_va, rdi = argument. The guest sets rsp itself. 0 or -errno after saying why.
 */
int kl_vm_prepare(struct kl_vm *vm, uint64_t entry_va, uint64_t argument);

void kl_vm_destroy(struct kl_vm *vm);

#endif
