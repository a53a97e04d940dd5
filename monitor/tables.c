// SPDX-License-Identifier: Apache-2.0
#include "tables.h"

#include <errno.h>
#include <string.h>

#define PRESENT 0x001ull
#define WRITE 0x002ull
#define USER 0x004ull
#define ACCESSED 0x020ull
#define DIRTY 0x040ull
#define LARGE 0x080ull
#define NO_EXECUTE (1ull << 63)
#define ADDRESS 0x000ffffffffff000ull
#define LARGE_BYTES 0x200000ull

#define TABLE (PRESENT | WRITE | USER | ACCESSED)
#define LEAF (PRESENT | ACCESSED | DIRTY)

struct builder {
	const struct kl_memory *memory;
	uint64_t next_pa; /* first table page not used yet */
};

static uint64_t *new_table(struct builder *builder, uint64_t *pa)
{
	uint64_t *table = kl_memory_at(builder->memory, builder->next_pa, KL_PAGE_BYTES);

	if (!table || builder->next_pa + KL_PAGE_BYTES > KL_TABLES_END_PA)
		return NULL;
	*pa = builder->next_pa;
	builder->next_pa += KL_PAGE_BYTES;
	return table;
}

/* The table that holds va's entry of the given level (1: 4 KiB pages, 2: 2 MiB pages), made where it is missing. */
static uint64_t *table_of(struct builder *builder, uint64_t va, unsigned int level)
{
	uint64_t *table = kl_memory_at(builder->memory, KL_TABLES_PA, KL_PAGE_BYTES), pa;

	for (unsigned int at = 4; table && at > level; at--) {
		uint64_t *entry = &table[va >> (12 + 9 * (at - 1)) & 511];

		if (*entry & PRESENT) {
			table = kl_memory_at(builder->memory, *entry & ADDRESS, KL_PAGE_BYTES);
			continue;
		}
		table = new_table(builder, &pa);
		if (table)
			*entry = pa | TABLE;
	}
	return table;
}

/* Map [pa, pa + bytes) at va; whole 2 MiB pages where large is given and both addresses allow it. */
static int map(struct builder *builder, uint64_t va, uint64_t pa, uint64_t bytes, uint64_t flags, bool large)
{
	uint64_t *table = NULL;
	unsigned int table_level = 0;

	while (bytes) {
		bool fits = large && !((va | pa) % LARGE_BYTES) && bytes >= LARGE_BYTES;
		unsigned int level = fits ? 2 : 1, shift = fits ? 21 : 12;
		unsigned int index = va >> shift & 511;

		if (!table || !index || level != table_level)
			table = table_of(builder, va, level);
		if (!table)
			return -ENOSPC;
		table_level = level;
		table[index] = pa | flags | LEAF | (fits ? LARGE : 0);
		va += 1ull << shift;
		pa += 1ull << shift;
		bytes -= 1ull << shift;
	}
	return 0;
}

/*
 * The descriptor tables are out of CPL 3's sight. The ring-0 stacks are not: its handlers read the frames there. Nor is the
 * ring-0 text: a software KVM (kvm_pvm) fetches the LSTAR entry with user rights and reports a page fault otherwise, though it
 * does fetch the gates of exceptions with supervisor rights.
 */
static bool supervisor_only(uint64_t pa)
{
	return pa == KL_TABLE_PA;
}

static int map_segment(struct builder *builder, const struct kl_image_segment *segment)
{
	uint64_t flags = (segment->writable ? WRITE : 0) | (segment->executable ? 0 : NO_EXECUTE);
	uint64_t end = (segment->pa + segment->memory_bytes + KL_PAGE_BYTES - 1) & ~(KL_PAGE_BYTES - 1);
	uint64_t pa = segment->pa;
	int error = 0;

	if (segment->direct_only)
		return 0;
	/* Page by page where single pages differ, the rest in one go. */
	for (; !error && pa < end && pa < KL_KERNEL_PA; pa += KL_PAGE_BYTES)
		error = map(
			builder, KL_BASE_VA + pa, pa, KL_PAGE_BYTES, flags | (supervisor_only(pa) ? 0 : USER), false);
	if (!error && pa < end)
		error = map(builder, KL_BASE_VA + pa, pa, end - pa, flags | USER, false);
	return error;
}

int kl_tables_build(const struct kl_image *image, const struct kl_memory *memory, uint64_t *free_pa)
{
	struct builder builder = {.memory = memory, .next_pa = KL_TABLES_PA};
	const uint64_t data = WRITE | USER | NO_EXECUTE;
	uint64_t root;
	int error;

	if (!new_table(&builder, &root))
		return -ENOSPC;
	error = map(
		&builder, KL_BASE_VA + KL_BOOT_INFO_PA, KL_BOOT_INFO_PA, KL_TABLES_PA - KL_BOOT_INFO_PA, data, false);
	for (unsigned int i = 0; !error && i < image->segments_count; i++)
		error = map_segment(&builder, &image->segments[i]);
	if (!error)
		error = map(&builder, KL_DIRECT_VA, 0, memory->bytes, data, true);
	if (!error)
		error = map(&builder, KL_MMIO_VA + KL_MONITOR_PA, KL_MONITOR_PA, LARGE_BYTES, data, true);
	*free_pa = builder.next_pa;
	return error;
}

int kl_tables_walk(const struct kl_memory *memory, uint64_t root_pa, uint64_t va, uint64_t *pa)
{
	uint64_t table_pa = root_pa & ADDRESS;

	if (va >> 47)
		return -EFAULT;
	for (unsigned int level = 4; level; level--) {
		unsigned int shift = 12 + 9 * (level - 1);
		const volatile uint64_t *table = kl_memory_at(memory, table_pa, KL_PAGE_BYTES);

		if (!table)
			return -EFAULT;
		uint64_t entry = table[va >> shift & 511];
		if (!(entry & PRESENT))
			return -EFAULT;
		if (level == 1 || (level <= 3 && entry & LARGE)) {
			uint64_t inside = (1ull << shift) - 1;
			*pa = (entry & ADDRESS & ~inside) | (va & inside);
			return 0;
		}
		table_pa = entry & ADDRESS;
	}
	return -EFAULT;
}
