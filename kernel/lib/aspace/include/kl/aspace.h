/* SPDX-License-Identifier: Apache-2.0 */
/* Address spaces: areas (mmap(2)), demand paging, page tables. */
#ifndef KL_ASPACE_H
#define KL_ASPACE_H

#include <kl/list.h>
#include <kl/types.h>

struct kl_aspace;
struct kl_file;

extern struct kl_aspace *kl_aspace_current;

/* Takes over the tables that boot made, kl_boot.tables_pa. 0 or -ENOMEM. */
int kl_aspace_init(void);
/* Removes all areas, and chooses a new layout: for execve(2). */
void kl_aspace_reset(struct kl_aspace *as);

/* As mmap(2) etc. with the program's own semantics; address or -errno. file is not consumed. */
int64_t kl_aspace_map(struct kl_aspace *as, kl_uaddr hint, uint64_t bytes, int prot, int flags, struct kl_file *file,
	uint64_t offset);
int kl_aspace_unmap(struct kl_aspace *as, kl_uaddr addr, uint64_t bytes);
int kl_aspace_protect(struct kl_aspace *as, kl_uaddr addr, uint64_t bytes, int prot);
/* mremap(2): address or -errno. */
int64_t kl_aspace_remap(struct kl_aspace *as, kl_uaddr old, uint64_t old_bytes, uint64_t bytes, int flags, kl_uaddr to);
int kl_aspace_advise(struct kl_aspace *as, kl_uaddr addr, uint64_t bytes, int advice); /* madvise(2) */
kl_uaddr kl_aspace_brk(struct kl_aspace *as, kl_uaddr addr);     /* the end of brk's memory after the call, as brk(2) */
bool kl_aspace_is_resident(struct kl_aspace *as, kl_uaddr addr); /* mincore(2) */
/*
 * Maps pages of the image itself (the vDSO) at an address of the library OS's choice, near hint if that is not 0. name: kept, not
 * copied. Address or -ENOMEM.
 */
int64_t kl_aspace_map_image(
	struct kl_aspace *as, kl_uaddr hint, kl_phys pa, uint64_t bytes, int prot, const char *name);
/* The main stack: ends at top, grows down when it is touched below. Its lowest address, or -ENOMEM. */
int64_t kl_aspace_map_stack(struct kl_aspace *as, kl_uaddr top, uint64_t bytes, int prot);
/* Faults [addr, addr + bytes) in, as if the program had read, or written. No error: what cannot be had now faults later. */
void kl_aspace_populate(struct kl_aspace *as, kl_uaddr addr, uint64_t bytes, bool write);
/* Where a new program goes: chosen at random, page-aligned. */
struct kl_aspace_layout {
	kl_uaddr stack_top;    /* highest stack address */
	kl_uaddr program_base; /* of position-independent programs; brk(2)'s memory grows behind them */
};
void kl_aspace_layout(const struct kl_aspace *as, struct kl_aspace_layout *out);
/* How far the main stack may grow, bytes (RLIMIT_STACK). */
void kl_aspace_set_stack_limit(struct kl_aspace *as, uint64_t bytes);
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
