/* SPDX-License-Identifier: Apache-2.0 */
/* Page tables as kl_layout.h describes them; the same as kernlet's monitor makes. */
#include "pc_priv.h"

#include <kl/string.h>

#define PRESENT 0x001ull
#define WRITE 0x002ull
#define USER 0x004ull
#define UNCACHED 0x018ull
#define ACCESSED 0x020ull
#define DIRTY 0x040ull
#define LARGE 0x080ull
#define NO_EXECUTE (1ull << 63)
#define ADDRESS 0x000ffffffffff000ull
#define LARGE_BYTES 0x200000ull

#define TABLE (PRESENT | WRITE | USER | ACCESSED)
#define LEAF (PRESENT | ACCESSED | DIRTY)
#define DATA (WRITE | USER | NO_EXECUTE)

static kl_phys new_table(struct kl_boot_info *info)
{
	kl_phys pa = info->tables_free_pa;

	if (pa + KL_PAGE_BYTES > KL_TABLES_END_PA)
		pc_give_up("kernlet: more memory than its first page tables can map; start with less (-m)\n");
	memset(pc_low_memory(pa), 0, KL_PAGE_BYTES);
	info->tables_free_pa += KL_PAGE_BYTES;
	return pa;
}

/* The table that holds va's entry of the given level (1: 4 KiB pages, 2: 2 MiB pages), made where it is missing. */
static uint64_t *table_of(struct kl_boot_info *info, uint64_t va, unsigned level)
{
	uint64_t *table = pc_low_memory(info->tables_pa);

	for (unsigned at = 4; at > level; at--) {
		uint64_t *entry = &table[va >> (12 + 9 * (at - 1)) & 511];

		if (!(*entry & PRESENT))
			*entry = new_table(info) | TABLE;
		table = pc_low_memory(*entry & ADDRESS);
	}
	return table;
}

/* Maps [pa, pa + bytes) at va, with whole 2 MiB pages where large is given and both addresses allow it. */
static void map(struct kl_boot_info *info, uint64_t va, kl_phys pa, uint64_t bytes, uint64_t flags, bool large)
{
	while (bytes > 0) {
		bool fits = large && (va | pa) % LARGE_BYTES == 0 && bytes >= LARGE_BYTES;
		unsigned level = fits ? 2 : 1, shift = fits ? 21 : 12;
		uint64_t *table = table_of(info, va, level);
		unsigned i = va >> shift & 511;

		for (; i < 512 && bytes >= 1ull << shift; i++) {
			if (!fits && large && (va | pa) % LARGE_BYTES == 0 && bytes >= LARGE_BYTES)
				break;
			table[i] = pa | flags | LEAF | (fits ? LARGE : 0);
			va += 1ull << shift;
			pa += 1ull << shift;
			bytes -= 1ull << shift;
		}
	}
}

static void map_image(struct kl_boot_info *info, uint64_t start_va, uint64_t end_va, uint64_t flags)
{
	end_va = KL_ALIGN_UP(end_va, KL_PAGE_BYTES);
	map(info, start_va, start_va - KL_BASE_VA, end_va - start_va, flags, false);
}

void pc_tables_build(struct kl_boot_info *info, const struct pc_image *image)
{
	const uint64_t stub = KL_BASE_VA + KL_STUB_PA, gate = KL_BASE_VA + KL_GATE_PA, table = KL_BASE_VA + KL_TABLE_PA;
	const uint64_t stacks = KL_BASE_VA + KL_TRAP_STACK_PA, text = KL_BASE_VA + KL_KERNEL_PA;

	info->tables_free_pa = KL_TABLES_PA;
	info->tables_pa = new_table(info);
	map(info, KL_BASE_VA + KL_BOOT_INFO_PA, KL_BOOT_INFO_PA, KL_TABLES_PA - KL_BOOT_INFO_PA, DATA, false);
	/* The ring-0 text and the descriptor tables are out of CPL 3's sight. */
	map_image(info, stub, gate, 0);
	map_image(info, gate, table, USER);
	map_image(info, table, stacks, WRITE | NO_EXECUTE);
	map_image(info, stacks, text, DATA);
	map_image(info, text, image->rodata_va, USER);
	map_image(info, image->rodata_va, image->data_va, USER | NO_EXECUTE);
	map_image(info, image->data_va, image->end_va, DATA);
	map(info, KL_DIRECT_VA, 0, info->ram_end_pa, DATA, true);
	map(info, KL_MMIO_VA + VIRTIO_PA, VIRTIO_PA, LARGE_BYTES, DATA | UNCACHED, true);
	map(info, KL_MMIO_VA + IOAPIC_PA, IOAPIC_PA, LARGE_BYTES, DATA | UNCACHED, true);
	map(info, KL_MMIO_VA + LAPIC_PA, LAPIC_PA, LARGE_BYTES, DATA | UNCACHED, true);
}
