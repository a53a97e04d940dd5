/* SPDX-License-Identifier: Apache-2.0 */
/* What entry.S and the C code around it share. */
#ifndef KL_ENTRY_H
#define KL_ENTRY_H

#include <kl/regs.h>
#include <kl/types.h>

#include "kl_boot.h"

/* kl_regs.vector; entry.S. 0: a rewritten system call, returned from without restoring rcx, r11 and the flags. */
#define KL_VECTOR_SLOW_SYSCALL 0x200u
#define KL_VECTOR_EXCEPTION 0x100u

/* At KL_SHARED_PA. pending is written by the stub and the monitor. */
extern volatile struct kl_shared kl_shared;

/* Nonzero: kl_exit_do_work() is called before the program goes on. Set by who finds work for the current thread. */
extern volatile uint32_t kl_exit_work;

/* Makes the way back restore all registers: for whoever changes rcx, r11, the flags or callee-saved registers in *regs. */
static inline void kl_regs_restore_all(struct kl_regs *regs)
{
	if (regs->vector == 0)
		regs->vector = KL_VECTOR_SLOW_SYSCALL;
}

/* Makes the program issue the system call of *regs again (it was one, and failed with -EINTR). */
void kl_regs_restart_syscall(struct kl_regs *regs);

/* Called by entry.S. */
void kl_trap_program(struct kl_regs *regs);
void kl_trap_kernel(struct kl_regs *regs);
KL_NORETURN void kl_trap_stack_lost(struct kl_regs *regs);
void kl_exit_do_work(struct kl_regs *regs);
void kl_syscall_unknown(struct kl_regs *regs);
KL_NORETURN void kl_boot_main(const struct kl_boot_info *record);

/* Delivers signals to the program: the signal module. Returns when *regs says where the program is to go on. */
void kl_signal_deliver(struct kl_regs *regs);

/* A report of registers on the log, for crashes. */
void kl_regs_log(const struct kl_regs *regs);

#endif
