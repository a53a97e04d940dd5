/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of the program at a system call, fault or tick, in the order in which the entry code stores them (and in which
 * the CPU expects the last five for iretq). kernel/arch/x86_64/entry.S depends on the layout.
 */
#ifndef KL_REGS_H
#define KL_REGS_H

#include <kl/types.h>

struct kl_regs {
	uint64_t r15, r14, r13, r12, rbp, rbx;
	uint64_t r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t orig_rax;           /* system call number; KL_REGS_TRAP when it was not one */
	uint64_t vector, error, cr2; /* of an exception */
	uint64_t rip, cs, rflags, rsp, ss;
};

#define KL_REGS_TRAP UINT64_MAX

_Static_assert(sizeof(struct kl_regs) == 24 * 8, "entry.S");

#endif
