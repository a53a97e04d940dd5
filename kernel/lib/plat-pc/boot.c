/* SPDX-License-Identifier: Apache-2.0 */
/* What the monitor does on its platform, done by the guest in ring 0, on tables that map the first GiB: the boot record. */
#include "pc_priv.h"

#include <kl/arch.h>
#include <kl/string.h>

#include "cpuid_priv.h"

/* PVH start information (Xen's public header arch-x86/hvm/start_info.h describes the format). */
struct start_info {
	uint32_t magic, version, flags, modules_count;
	uint64_t modules_pa, cmdline_pa, rsdp_pa;
	uint64_t memmap_pa; /* from version 1 */
	uint32_t memmap_count, reserved;
};

struct memmap_entry {
	uint64_t start, bytes;
	uint32_t type, reserved;
};

#define START_MAGIC 0x336ec578u
#define MEMMAP_RAM 1
#define MEMMAP_MAX 32u
#define REACH (1ull << 30) /* what is mapped now */

static uint32_t copy_memmap(const struct start_info *start, struct memmap_entry *map)
{
	uint32_t count = KL_MIN(start->memmap_count, MEMMAP_MAX);

	if (start->version < 1 || count == 0 || start->memmap_pa > REACH - sizeof(*map) * MEMMAP_MAX)
		pc_give_up("kernlet: the loader gave no map of memory\n");
	memcpy(map, pc_low_memory(start->memmap_pa), count * sizeof(*map));
	return count;
}

/* The end of the RAM that holds the image. */
static uint64_t find_ram_end(const struct memmap_entry *map, uint32_t count)
{
	uint64_t end = KL_IMAGE_PA;
	bool grown;

	do {
		grown = false;
		for (uint32_t i = 0; i < count; i++) {
			if (map[i].type != MEMMAP_RAM || map[i].start > end || map[i].bytes > UINT64_MAX - map[i].start)
				continue;
			if (map[i].start + map[i].bytes > end) {
				end = map[i].start + map[i].bytes;
				grown = true;
			}
		}
	} while (grown);
	return KL_ALIGN_DOWN(end, KL_PAGE_BYTES);
}

/* The text may lie anywhere, also where it is to go, or where the records will be. */
static uint32_t take_cmdline(kl_phys pa)
{
	char *text = pc_low_memory(KL_CMDLINE_PA);
	size_t bytes = 0;

	if (pa != 0 && pa < REACH - KL_CMDLINE_BYTES)
		bytes = strnlen(pc_low_memory(pa), KL_CMDLINE_BYTES);
	if (bytes == KL_CMDLINE_BYTES)
		pc_give_up("kernlet: the command line is too long\n");
	memmove(text, pc_low_memory(pa), bytes);
	memset(text + bytes, 0, KL_CMDLINE_BYTES - bytes);
	return (uint32_t)bytes;
}

static void fill_seed(uint8_t *seed, size_t bytes)
{
	bool has = cpuid(1, 0).c & CPUID1_C_RDRAND;

	for (size_t at = 0; at + 8 <= bytes; at += 8) {
		uint64_t word = 0;
		uint8_t ok = 0;

		for (int tries = 0; has && !ok && tries < 10; tries++)
			__asm__ volatile("rdrand %0; setc %1" : "=r"(word), "=qm"(ok) : : "cc");
		/* Poor, but a processor without the instruction has nothing better; virtio-rng adds to it. */
		word ^= kl_arch_tsc() * 0x9e3779b97f4a7c15ull;
		memcpy(seed + at, &word, 8);
	}
}

static void find_memory(struct kl_boot_info *info, const struct memmap_entry *map, uint32_t count, uint64_t end)
{
	const struct kl_image_header *header = pc_low_memory(KL_GATE_PA + KL_GATE_HEADER_OFFSET);

	info->ram_end_pa = find_ram_end(map, count);
	info->rootfs_pa = header->rootfs_pa;
	info->rootfs_bytes = header->rootfs_bytes;
	end = KL_MAX(end, info->rootfs_pa + info->rootfs_bytes);
	info->free_start_pa = KL_ALIGN_UP(end, KL_PAGE_BYTES);
	if (info->free_start_pa >= info->ram_end_pa)
		pc_give_up("kernlet: too little memory for the image; start with more (-m)\n");
}

void pc_boot_record(uint32_t start_info_pa, const struct pc_image *image)
{
	struct kl_boot_info *info = pc_low_memory(KL_BOOT_INFO_PA);
	struct memmap_entry map[MEMMAP_MAX];
	struct start_info start;
	uint32_t count, cmdline_bytes;

	/* Everything is taken out of the loader's memory before anything is put there. */
	if (start_info_pa > REACH - sizeof(start))
		pc_give_up("kernlet: start information out of reach\n");
	memcpy(&start, pc_low_memory(start_info_pa), sizeof(start));
	if (start.magic != START_MAGIC)
		pc_give_up("kernlet: not started by the PVH protocol\n");
	count = copy_memmap(&start, map);
	cmdline_bytes = take_cmdline(start.cmdline_pa);

	memset(info, 0, KL_PAGE_BYTES);
	memset(pc_low_memory(KL_VIRTIO_SETUP_PA), 0, KL_LOG_PA + KL_LOG_BYTES - KL_VIRTIO_SETUP_PA);
	info->magic = KL_BOOT_MAGIC;
	info->abi_version = KL_ABI_VERSION;
	info->platform = KL_PLATFORM_PC;
	info->cmdline_bytes = cmdline_bytes;
	find_memory(info, map, count, image->end_va - KL_BASE_VA);
	fill_seed(info->seed, sizeof(info->seed));
	pc_tables_build(info, image);
}
