/* SPDX-License-Identifier: Apache-2.0 */
/* Address spaces: areas (mmap(2)), demand paging, page tables. */
#ifndef KL_ASPACE_H
#define KL_ASPACE_H

#include <kl/list.h>
#include <kl/types.h>

struct kl_aspace;
struct kl_file;

extern struct kl_aspace *kl_aspace_current;

/* As mmap(2) etc. with the program's own semantics; address or -errno. file is not consumed. */
int64_t kl_aspace_map(struct kl_aspace *as, kl_uaddr hint, uint64_t bytes, int prot, int flags, struct kl_file *file,
		      uint64_t offset);
int kl_aspace_unmap(struct kl_aspace *as, kl_uaddr addr, uint64_t bytes);
int kl_aspace_protect(struct kl_aspace *as, kl_uaddr addr, uint64_t bytes, int prot);
/* Where brk(2) starts; set by the program loader. */
void kl_aspace_set_brk(struct kl_aspace *as, kl_uaddr start);

#define KL_FAULT_WRITE 2u /* bits as in the page fault error code */
#define KL_FAULT_EXEC 16u
#define KL_FAULT_PRESENT 1u
/*
 * Resolves a page fault. 0: retry the instruction. Otherwise -EFAULT with *code = SEGV_MAPERR or SEGV_ACCERR, -EIO for SIGBUS
 * (*code = BUS_ADRERR), -ENOMEM.
 */
int kl_aspace_fault(struct kl_aspace *as, kl_uaddr addr, unsigned error, int *code);

/* Maps one page of the library OS's own (kernel stacks, device windows). flags: KL_MAP_*. 0 or -ENOMEM. */
#define KL_MAP_WRITE 1u
#define KL_MAP_EXEC 2u
#define KL_MAP_UNCACHED 4u
int kl_kernel_map(uint64_t va, kl_phys pa, unsigned flags);
void kl_kernel_unmap(uint64_t va);
/* A device's registers, mapped at KL_MMIO_VA + pa. NULL: out of memory. */
volatile void *kl_mmio_map(kl_phys pa, size_t bytes);

/* For /proc/self/maps and crash reports: the areas in order of address. Returns false when there is none at or above *at. */
struct kl_area_info {
	kl_uaddr start, end;
	int prot, flags;
	uint64_t offset;
	const char *name; /* path, "[heap]", "[stack]", "[vdso]" or "" */
};
bool kl_aspace_next_area(struct kl_aspace *as, kl_uaddr *at, struct kl_area_info *out);
/* Pages that the program has in memory of its own. */
size_t kl_aspace_resident_pages(struct kl_aspace *as);

#endif
