/* SPDX-License-Identifier: Apache-2.0 */
/* In ring 0: control registers and model-specific registers, what CPL 3 needs and no more. */
#include "pc_priv.h"

#include "cpuid_priv.h"

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

/* kernel.ld */
extern const char kl_rodata_start[], kl_data_start[], kl_image_end[];

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
		pc_give_up("kernlet: the processor lacks FSGSBASE (QEMU: -cpu max)\n");
	if (xsave)
		cr4 |= CR4_OSXSAVE;
	else
		pc_give_up("kernlet: the processor lacks XSAVE (QEMU: -cpu max)\n");
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
	const struct pc_image image = {
		.rodata_va = (uint64_t)kl_rodata_start,
		.data_va = (uint64_t)kl_data_start,
		.end_va = (uint64_t)kl_image_end,
	};
	struct kl_boot_info *info = pc_low_memory(KL_BOOT_INFO_PA);

	pc_boot_record(start_info_pa, &image);
	set_up_processor(info->tables_pa);
	pc_find_time(info);
}
