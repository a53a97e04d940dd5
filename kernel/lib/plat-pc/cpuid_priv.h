/* SPDX-License-Identifier: Apache-2.0 */
/* Processor features that the boot code asks for (Intel SDM volume 2, CPUID). */
#ifndef KL_PLAT_PC_CPUID_PRIV_H
#define KL_PLAT_PC_CPUID_PRIV_H

#include <kl/types.h>

#define CPUID1_C_XSAVE (1u << 26)
#define CPUID1_C_RDRAND (1u << 30)
#define CPUID1_C_HYPERVISOR (1u << 31)
#define CPUID7_B_FSGSBASE (1u << 0)

struct cpuid {
	uint32_t a, b, c, d;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t sub)
{
	struct cpuid r;

	__asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
	return r;
}

#endif
