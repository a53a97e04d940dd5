/* SPDX-License-Identifier: Apache-2.0 */
/* One KVM virtual machine with one processor, ready to enter a kernlet at CPL 3. */
#ifndef KL_MONITOR_VM_H
#define KL_MONITOR_VM_H

#include "memory.h"

#include <linux/kvm.h>

struct kl_vm {
	int kvm_fd, vm_fd, vcpu_fd;
	struct kvm_run *run;
	size_t run_bytes;
	struct kl_memory memory;
	uint64_t tsc_khz;    /* 0: KVM does not say */
	uint64_t tsc_offset; /* guest's minus host's */
};

/* Open /dev/kvm and make the machine, still without memory. 0 or -errno after saying why. Undone by kl_vm_destroy(). */
int kl_vm_create(struct kl_vm *vm);

/* Reserve bytes of guest memory (all zero, nothing allocated until touched). 0 or -errno after saying why. */
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
