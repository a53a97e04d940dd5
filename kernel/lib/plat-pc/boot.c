/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the monitor does on its platform, done by the guest in ring 0: boot record, page tables, control registers. Called once by
 * boot32.S, on tables that map the first GiB; returns on the final ones.
 */
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

#define CR4_PAE (1ull << 5)
#define CR4_OSFXSR (1ull << 9)
#define CR4_OSXMMEXCPT (1ull << 10)
#define CR4_FSGSBASE (1ull << 16)
#define CR4_OSXSAVE (1ull << 18)

#define XCR0_BASE 0x7ull    /* x87, SSE, AVX */
#define XCR0_AVX512 0xe0ull /* all three or none */

#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_SFMASK 0xc0000084
#define SFMASK_VALUE 0x44700 /* TF, IF, DF, NT, AC */
#define STAR_USER 0x23ull

extern const char kl_image_end[];

static KL_NORETURN void give_up(const char *text)
{
	pc_serial_write(text, strlen(text));
	pc_end(125);
}

static void *low_memory(kl_phys pa)
{
	return (void *)(KL_BASE_VA + pa);
}

static uint32_t copy_memmap(const struct start_info *start, struct memmap_entry *map)
{
	uint32_t count = KL_MIN(start->memmap_count, MEMMAP_MAX);

	if (start->version < 1 || count == 0 || start->memmap_pa > REACH - sizeof(*map) * MEMMAP_MAX)
		give_up("kernlet: the loader gave no map of memory\n");
	memcpy(map, low_memory(start->memmap_pa), count * sizeof(*map));
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
	char *text = low_memory(KL_CMDLINE_PA);
	size_t bytes = 0;

	if (pa != 0 && pa < REACH - KL_CMDLINE_BYTES)
		bytes = strnlen(low_memory(pa), KL_CMDLINE_BYTES);
	if (bytes == KL_CMDLINE_BYTES)
		give_up("kernlet: the command line is too long\n");
	memmove(text, low_memory(pa), bytes);
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

static void find_memory(struct kl_boot_info *info, const struct memmap_entry *map, uint32_t count)
{
	const struct kl_image_header *header = low_memory(KL_GATE_PA + KL_GATE_HEADER_OFFSET);
	uint64_t end = (uint64_t)kl_image_end - KL_BASE_VA;

	info->ram_end_pa = find_ram_end(map, count);
	info->rootfs_pa = header->rootfs_pa;
	info->rootfs_bytes = header->rootfs_bytes;
	end = KL_MAX(end, info->rootfs_pa + info->rootfs_bytes);
	info->free_start_pa = KL_ALIGN_UP(end, KL_PAGE_BYTES);
	if (info->free_start_pa >= info->ram_end_pa)
		give_up("kernlet: too little memory for the image; start with more (-m)\n");
}

static void write_msr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static void set_up_processor(uint64_t tables_pa)
{
	uint64_t cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT, xcr0;
	bool xsave = cpuid(1, 0).c & CPUID1_C_XSAVE;

	if (cpuid(0, 0).a >= 7 && cpuid(7, 0).b & CPUID7_B_FSGSBASE)
		cr4 |= CR4_FSGSBASE;
	else
		give_up("kernlet: the processor lacks FSGSBASE (QEMU: -cpu max)\n");
	if (xsave)
		cr4 |= CR4_OSXSAVE;
	else
		give_up("kernlet: the processor lacks XSAVE (QEMU: -cpu max)\n");
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4) : "memory");
	xcr0 = cpuid(0xd, 0).a & (XCR0_BASE | XCR0_AVX512);
	if ((xcr0 & XCR0_AVX512) != XCR0_AVX512)
		xcr0 &= XCR0_BASE;
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)xcr0), "d"(0));
	write_msr(MSR_STAR, STAR_USER << 48 | (uint64_t)KL_SEL_CODE0 << 32);
	write_msr(MSR_LSTAR, KL_BASE_VA + KL_STUB_PA + KL_STUB_LSTAR_OFFSET);
	write_msr(MSR_SFMASK, SFMASK_VALUE);
	__asm__ volatile("mov %0, %%cr3" : : "r"(tables_pa) : "memory");
}

void kl_pc_boot(uint32_t start_info_pa)
{
	struct kl_boot_info *info = low_memory(KL_BOOT_INFO_PA);
	struct memmap_entry map[MEMMAP_MAX];
	struct start_info start;
	uint32_t count, cmdline_bytes;

	/* Everything is taken out of the loader's memory before anything is put there. */
	if (start_info_pa > REACH - sizeof(start))
		give_up("kernlet: start information out of reach\n");
	memcpy(&start, low_memory(start_info_pa), sizeof(start));
	if (start.magic != START_MAGIC)
		give_up("kernlet: not started by the PVH protocol\n");
	count = copy_memmap(&start, map);
	cmdline_bytes = take_cmdline(start.cmdline_pa);

	memset(info, 0, KL_PAGE_BYTES);
	memset(low_memory(KL_VIRTIO_SETUP_PA), 0, KL_LOG_PA + KL_LOG_BYTES - KL_VIRTIO_SETUP_PA);
	info->magic = KL_BOOT_MAGIC;
	info->abi_version = KL_ABI_VERSION;
	info->platform = KL_PLATFORM_PC;
	info->cmdline_bytes = cmdline_bytes;
	find_memory(info, map, count);
	fill_seed(info->seed, sizeof(info->seed));
	pc_tables_build(info);
	set_up_processor(info->tables_pa);
	pc_find_time(info);
}
