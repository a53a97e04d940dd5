/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The boot record and the first page tables, made in a piece of host memory at the place where the guest has them. The tables are
 * then walked as a processor does.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../pc_priv.h"

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d %s\n", __FILE__, __LINE__, #cond);                                          \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

#define LOW_BYTES 0x400000ul
#define WRITE 2u
#define USER 4u
#define NO_EXECUTE (1ull << 63)
#define ADDRESS 0x000ffffffffff000ull

static jmp_buf given_up;
static char why[200];

void pc_give_up(const char *text)
{
	snprintf(why, sizeof(why), "%s", text);
	longjmp(given_up, 1);
}

static void *low(uint64_t pa)
{
	return pc_low_memory(pa);
}

struct start {
	uint32_t magic, version, flags, modules_count;
	uint64_t modules_pa, cmdline_pa, rsdp_pa, memmap_pa;
	uint32_t memmap_count, reserved;
};

struct entry {
	uint64_t start, bytes;
	uint32_t type, reserved;
};

static const struct pc_image image = {
	.rodata_va = KL_BASE_VA + 0x120000,
	.data_va = KL_BASE_VA + 0x128000,
	.end_va = KL_BASE_VA + 0x130000,
};

static const struct entry usual[] = {{0, 0x9fc00, 1, 0}, {0x9fc00, 0x400, 2, 0}, {0xf0000, 0x10000, 2, 0},
	{0x100000, 0x3f00000, 1, 0}, {0xfffc0000, 0x40000, 2, 0}};

/* Puts the loader's records where they are asked for. */
static void load(
	uint64_t info_pa, uint64_t map_pa, uint64_t text_pa, const char *text, const struct entry *map, uint32_t n)
{
	struct kl_image_header header = {.magic = KL_HEADER_MAGIC, .rootfs_pa = 0x130000, .rootfs_bytes = 0x45678};
	struct start start = {
		.magic = 0x336ec578, .version = 1, .cmdline_pa = text_pa, .memmap_pa = map_pa, .memmap_count = n};

	memset(low(0x1000), 0xee, LOW_BYTES - 0x1000);
	memcpy(low(KL_GATE_PA + KL_GATE_HEADER_OFFSET), &header, sizeof(header));
	memcpy(low(info_pa), &start, sizeof(start));
	memcpy(low(map_pa), map, n * sizeof(*map));
	if (text_pa != 0)
		strcpy(low(text_pa), text);
}

/* What the CPU finds for va: the entry that maps it (with the AND of all levels' WRITE and USER), or 0. */
static uint64_t walk(uint64_t va, uint64_t *pa)
{
	uint64_t table = ((struct kl_boot_info *)low(KL_BOOT_INFO_PA))->tables_pa, all = WRITE | USER;

	for (unsigned level = 4;; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		uint64_t entry = ((uint64_t *)low(table))[va >> shift & 511];

		if (!(entry & 1))
			return 0;
		all &= entry;
		if (level == 1 || entry & 0x80) {
			*pa = (entry & ADDRESS) + (va & ((1ull << shift) - 1));
			return (entry & ~(uint64_t)(WRITE | USER)) | all;
		}
		table = entry & ADDRESS;
		CHECK(table >= KL_TABLES_PA && table < KL_TABLES_END_PA);
	}
}

static void expect(uint64_t from_pa, uint64_t to_pa, uint64_t flags)
{
	for (uint64_t pa = from_pa; pa < to_pa; pa += KL_PAGE_BYTES) {
		uint64_t at = 0, entry = walk(KL_BASE_VA + pa, &at);

		CHECK(entry != 0 && at == pa && (entry & (WRITE | USER | NO_EXECUTE)) == flags);
	}
}

static void test_tables(void)
{
	uint64_t pa;

	load(0x6000, 0x7000, 0x20000, "tsc_khz=1000 -- /x", usual, 5);
	pc_boot_record(0x6000, &image);
	CHECK(walk(0, &pa) == 0 && walk(KL_BASE_VA, &pa) == 0 && walk(KL_BASE_VA + KL_TABLES_PA, &pa) == 0);
	expect(KL_BOOT_INFO_PA, KL_TABLES_PA, WRITE | USER | NO_EXECUTE);
	expect(KL_STUB_PA, KL_GATE_PA, 0);
	expect(KL_GATE_PA, KL_TABLE_PA, USER);
	expect(KL_TABLE_PA, KL_TRAP_STACK_PA, WRITE | NO_EXECUTE);
	expect(KL_TRAP_STACK_PA, KL_KERNEL_PA, WRITE | USER | NO_EXECUTE);
	expect(KL_KERNEL_PA, 0x120000, USER);
	expect(0x120000, 0x128000, USER | NO_EXECUTE);
	expect(0x128000, 0x130000, WRITE | USER | NO_EXECUTE);
	CHECK(walk(KL_BASE_VA + 0x130000, &pa) == 0);
	for (uint64_t at = 0; at < 0x4000000; at += KL_PAGE_BYTES) {
		uint64_t entry = walk(KL_DIRECT_VA + at, &pa);

		CHECK(pa == at && (entry & (WRITE | USER | NO_EXECUTE | 0x80)) == (WRITE | USER | NO_EXECUTE | 0x80));
	}
	CHECK(walk(KL_DIRECT_VA + 0x4000000, &pa) == 0);
	CHECK(walk(KL_MMIO_VA + LAPIC_PA + 0x300, &pa) & NO_EXECUTE && pa == LAPIC_PA + 0x300);
	printf("ok nothing is writable and executable, ring 0 is out of sight, page 0 is not there\n");
}

static void test_record(void)
{
	const struct kl_boot_info *info = low(KL_BOOT_INFO_PA);
	const char *text = low(KL_CMDLINE_PA);

	CHECK(info->magic == KL_BOOT_MAGIC && info->platform == KL_PLATFORM_PC && info->devices_count == 0);
	CHECK(info->ram_end_pa == 0x4000000 && info->rootfs_pa == 0x130000 && info->rootfs_bytes == 0x45678);
	CHECK(info->free_start_pa == 0x176000 && info->cmdline_bytes == 18 && strcmp(text, "tsc_khz=1000 -- /x") == 0);
	/* The loader's records may lie where ours go. */
	load(0x1010, 0x2100, 0x2000, "log=debug", usual, 5);
	pc_boot_record(0x1010, &image);
	CHECK(info->ram_end_pa == 0x4000000 && strcmp(text, "log=debug") == 0);
	load(0x12000, 0x13000, 0x1ff0, "net0=dhcp wall_ns=5", usual, 5);
	pc_boot_record(0x12000, &image);
	CHECK(info->ram_end_pa == 0x4000000 && strcmp(text, "net0=dhcp wall_ns=5") == 0);
	/* Memory in pieces, and a last page that is not whole. */
	load(0x6000, 0x7000, 0, "",
		(struct entry[]){{0x300000, 0x101234, 1, 0}, {0, 0x300000, 1, 0}, {0x80000000, 0x1000, 1, 0}}, 3);
	pc_boot_record(0x6000, &image);
	CHECK(info->ram_end_pa == 0x401000 && info->cmdline_bytes == 0);
	printf("ok the record holds what the loader said\n");
}

static void expect_refused(const char *part)
{
	if (setjmp(given_up) == 0) {
		pc_boot_record(0x6000, &image);
		CHECK(!"refused");
	}
	CHECK(strstr(why, part) != NULL);
}

static void test_refused(void)
{
	static char text[KL_CMDLINE_BYTES + 10];

	memset(text, 'x', sizeof(text) - 1);
	load(0x6000, 0x7000, 0x20000, "", usual, 5);
	*(uint32_t *)low(0x6000) = 5;
	expect_refused("PVH");
	load(0x6000, 0x7000, 0x20000, "", usual, 0);
	expect_refused("no map of memory");
	load(0x6000, 0x7000, 0x200000, text, usual, 5);
	expect_refused("command line");
	load(0x6000, 0x7000, 0x20000, "", (struct entry[]){{0, 0x170000, 1, 0}}, 1);
	expect_refused("too little memory");
	load(0x6000, 0x7000, 0x20000, "", (struct entry[]){{0, 1ull << 40, 1, 0}}, 1);
	expect_refused("more memory");
	printf("ok what cannot boot says why\n");
}

static void test_numbers(void)
{
	CHECK(pc_cmdline_number("tsc_khz=2596000 wall_ns=5", "tsc_khz") == 2596000);
	CHECK(pc_cmdline_number("a=1 tsc_khz=18446744073709551615", "tsc_khz") == UINT64_MAX);
	CHECK(pc_cmdline_number("tsc_khz=18446744073709551616", "tsc_khz") == 0);
	CHECK(pc_cmdline_number("xtsc_khz=1 tsc_khzz=2 tsc_khz tsc_khz= tsc_khz=3", "tsc_khz") == 3);
	CHECK(pc_cmdline_number("a=1 -- tsc_khz=4", "tsc_khz") == 0);
	CHECK(pc_cmdline_number("tsc_khz=4x", "tsc_khz") == 0 && pc_cmdline_number("", "tsc_khz") == 0);
	printf("ok numbers of the command line\n");
}

int main(void)
{
	void *at = low(0);

	CHECK(mmap(at, LOW_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
		at);
	test_tables();
	test_record();
	test_refused();
	test_numbers();
	return 0;
}
