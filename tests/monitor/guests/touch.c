// SPDX-License-Identifier: Apache-2.0
/* What first touches of memory cost: nanoseconds a page, by kind of mapping. */
#include "guest.h"

void guest_trap(struct frame *frame)
{
	if (frame->vector != KL_VECTOR_TICK)
		guest_exit(99);
}

static uint64_t khz;

static void measure(const char *label, uint64_t va, uint64_t pages, int write)
{
	uint64_t start = rdtsc();

	for (uint64_t i = 0; i < pages; i++) {
		volatile uint8_t *at = (volatile uint8_t *)(va + i * 4096);

		if (write)
			*at = 1;
		else
			(void)*at;
	}
	guest_log_number(label, (rdtsc() - start) * 1000000 / khz / pages);
}

void guest_main(const struct kl_boot_info *info)
{
	uint64_t free_va = KL_DIRECT_VA + info->free_start_pa;
	/* a table of 4 KiB pages made here, as a library OS would, for 512 pages behind the first 16 MiB */
	uint64_t *table = DIRECT(uint64_t, info->tables_free_pa);
	uint64_t *directory = table + 512, *upper = table + 1024, *root = DIRECT(uint64_t, info->tables_pa);

	khz = info->tsc_khz;
	measure("direct map, write ", free_va, 512, 1);
	measure("direct map, write again ", free_va, 512, 1);
	measure("direct map, read then ", free_va + (4 << 20), 512, 0);
	measure("direct map, write ", free_va + (4 << 20), 512, 1);
	measure("direct map, write ", free_va + (8 << 20), 2048, 1);
	for (int i = 0; i < 512; i++)
		table[i] = (info->free_start_pa + (32ull << 20) + 4096ull * (uint64_t)i) | 0x67 | 1ull << 63;
	directory[0] = (info->tables_free_pa) | 7;
	upper[0] = (info->tables_free_pa + 4096) | 7;
	root[1] = (info->tables_free_pa + 8192) | 7;
	measure("4 KiB pages, memory not touched before, write ", 1ull << 39, 512, 1);
	for (int i = 0; i < 512; i++)
		table[i] = (info->free_start_pa + 4096ull * (uint64_t)i) | 0x67 | 1ull << 63;
	directory[1] = (info->tables_free_pa) | 7;
	measure("4 KiB pages, memory touched before, write ", (1ull << 39) + (2 << 20), 512, 1);
	for (int i = 0; i < 512; i++)
		table[i] = (info->free_start_pa + 4096ull * (uint64_t)i) | 0x7 | 1ull << 63;
	directory[2] = (info->tables_free_pa) | 7;
	measure("4 KiB pages without A and D, touched before, write ", (1ull << 39) + (4 << 20), 512, 1);
	guest_exit(0);
}
