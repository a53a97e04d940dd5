/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KL_ASPACE_PRIV_H
#define KL_ASPACE_PRIV_H

#include <kl/aspace.h>
#include <kl/pmm.h>

#include <linux/mman.h>

/* --- areas: what mmap(2) made, disjoint, in a tree by address --- */

#define AREA_SHARED 0x01u
#define AREA_GROWSDOWN 0x02u
#define AREA_PHYS 0x04u    /* offset is a physical address of the image */
#define AREA_NOWRITE 0x08u /* shared, of a file that is open for reading only */
#define AREA_NOFORK 0x10u  /* MADV_DONTFORK */
#define AREA_WIPEFORK 0x20u
#define AREA_LIMIT 65530 /* as vm.max_map_count */

struct kl_area {
	struct kl_area *left, *right;
	uint64_t lo, hi, gap; /* of the subtree: lowest start, highest end, largest gap between two areas */
	uint64_t start, end;
	struct kl_file *file;        /* a reference; NULL: anonymous */
	uint64_t offset;             /* of start in the file, bytes */
	uint64_t next_up, next_down; /* pages at which a fault would go on from the last one */
	const char *name;
	uint32_t priority; /* of a treap */
	uint16_t flags;
	uint8_t prot;
	uint8_t window; /* pages mapped at the last fault */
};

struct area_tree {
	struct kl_area *root;
	size_t count;
};

/* The area that holds addr, or the next one above; NULL: none. */
struct kl_area *area_at_or_above(const struct area_tree *tree, uint64_t addr);
struct kl_area *area_find(const struct area_tree *tree, uint64_t addr);
struct kl_area *area_below(const struct area_tree *tree, uint64_t addr); /* the last one that ends at or below addr */
void area_insert(struct area_tree *tree, struct kl_area *area);
void area_remove(struct area_tree *tree, struct kl_area *area);
/* The highest address in [low, high) with bytes free from there on, below high; 0: none. */
uint64_t area_find_gap(const struct area_tree *tree, uint64_t bytes, uint64_t low, uint64_t high);

/* --- address spaces --- */

struct kl_aspace {
	struct area_tree areas;
	struct kl_area *last; /* that a fault was in */
	kl_phys tables;
	uint64_t brk_start, brk;
	uint64_t stack_top, mmap_top, program_base; /* chosen at random */
	uint64_t stack_limit;
	size_t resident; /* pages that aren't the image's */
	size_t unused;   /* entries made without PTE_SEEN, at most: their pages can be taken back while that stays so */
	bool stale;      /* the TLB may hold what the tables no longer say */
};

/* [addr, addr + bytes) belongs to the program's part. Page 0 does not. */
bool aspace_range_ok(uint64_t addr, uint64_t bytes);
void aspace_flush(struct kl_aspace *as); /* if stale */

/* So that an area starts at addr, if there is one around it. 0 or -ENOMEM. */
int aspace_split(struct kl_aspace *as, uint64_t addr);
/* Changes the bounds of an area; what it shows stays where it is. */
void aspace_resize(struct kl_aspace *as, struct kl_area *area, uint64_t start, uint64_t end);
/* Joins neighbours that differ in nothing, from the one before start to the one at end. */
void aspace_merge(struct kl_aspace *as, uint64_t start, uint64_t end);
/* An area like model (or, NULL, plain) for [start, end), inserted. Takes its own reference of the file. NULL: out of memory or too many. */
struct kl_area *aspace_add(struct kl_aspace *as, const struct kl_area *model, uint64_t start, uint64_t end);
/* Where a new area of that size goes; flags: MAP_32BIT. 0: no room. */
uint64_t aspace_place(const struct kl_aspace *as, uint64_t hint, uint64_t bytes, int flags);
/* Whether all of [start, end) is mapped. */
bool aspace_covered(const struct kl_aspace *as, uint64_t start, uint64_t end);

/* --- page tables --- */

#define PTE_PRESENT 0x001ull
#define PTE_WRITE 0x002ull
#define PTE_USER 0x004ull
#define PTE_UNCACHED 0x018ull
#define PTE_ACCESSED 0x020ull
#define PTE_DIRTY 0x040ull
#define PTE_SEEN (PTE_ACCESSED | PTE_DIRTY) /* set from the start: saves the CPU, or who emulates it, a write */
#define PTE_NX (1ull << 63)
#define PTE_ADDRESS 0x000ffffffffff000ull

/* Entries of pages that the program must not touch (PROT_NONE) keep their page, without PTE_PRESENT. */
static inline bool pte_used(uint64_t pte)
{
	return pte != 0;
}

uint64_t *pt_entry(kl_phys root, uint64_t va, bool create); /* NULL: not there, or out of memory */
/* The first entries at or above *va and below end whose table exists: moves *va, returns how many lie in a row; 0: none. */
size_t pt_run(kl_phys root, uint64_t *va, uint64_t end, uint64_t **entries);
/* Frees tables without entries. Returns how many. */
size_t pt_trim(kl_phys root);

uint64_t pte_make(kl_phys page, unsigned prot, bool writable);
void pte_install(struct kl_aspace *as, uint64_t *pte, uint64_t value); /* the page's reference goes to the entry */
void aspace_clear(struct kl_aspace *as, uint64_t start, uint64_t end); /* all entries */
/* Gives all entries a new protection. */
void aspace_tighten(struct kl_aspace *as, uint64_t start, uint64_t end, unsigned prot, bool shared);

/* Moves all entries; those of the new place must be empty. 0, or -ENOMEM with nothing moved. */
int aspace_move(struct kl_aspace *as, uint64_t from, uint64_t to, uint64_t bytes);

/* Frees zeroed pages that were mapped ahead and never touched. Whether there were any. */
bool aspace_reclaim(void);

/*
 * Maps pages ahead of any fault, as far as it can. write: those of private files are copied. surely: they will be used; otherwise,
 * memory can be taken back, and isn't mapped when it is scarce.
 */
void aspace_prefault(struct kl_aspace *as, struct kl_area *area, uint64_t start, uint64_t end, bool write, bool surely);

/* Memory for MAP_SHARED | MAP_ANONYMOUS: a file without a name. NULL: out of memory. */
struct kl_file *aspace_shared_file(uint64_t bytes);

#endif
