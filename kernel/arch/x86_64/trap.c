/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions and ticks, and the work left before the program goes on. */
#include <asm/errno.h>
#include <asm/siginfo.h>
#include <asm/signal.h>

#include <kl/arch.h>
#include <kl/aspace.h>
#include <kl/entry.h>
#include <kl/image.h>
#include <kl/log.h>
#include <kl/platform.h>
#include <kl/sched.h>
#include <kl/signal.h>
#include <kl/uaccess.h>

enum {
	VECTOR_DIVIDE = 0,
	VECTOR_DEBUG = 1,
	VECTOR_BREAKPOINT = 3,
	VECTOR_OVERFLOW = 4,
	VECTOR_BOUND = 5,
	VECTOR_UNDEFINED = 6,
	VECTOR_PAGE = 14,
	VECTOR_X87 = 16,
	VECTOR_ALIGNMENT = 17,
	VECTOR_SIMD = 19,
};

volatile uint32_t kl_exit_work;

static void page_fault(struct kl_regs *regs)
{
	int code = SEGV_MAPERR;
	int r = kl_aspace_fault(kl_aspace_current, regs->cr2, (unsigned)regs->error, &code);

	if (r == 0)
		return;
	if (r == -EIO)
		kl_signal_fault(SIGBUS, code, regs->cr2);
	else if (r == -ENOMEM)
		kl_signal_fault(SIGKILL, SI_KERNEL, regs->cr2);
	else
		kl_signal_fault(SIGSEGV, code, regs->cr2);
}

/* As Linux maps exceptions to signals (signal(7), sigaction(2)). */
static void exception(struct kl_regs *regs, unsigned vector)
{
	switch (vector) {
	case VECTOR_DIVIDE: kl_signal_fault(SIGFPE, FPE_INTDIV, regs->rip); break;
	case VECTOR_X87:
	case VECTOR_SIMD: kl_signal_fault(SIGFPE, FPE_FLTINV, regs->rip); break;
	case VECTOR_DEBUG:
		regs->rflags &= ~0x100ull;
		kl_signal_fault(SIGTRAP, TRAP_TRACE, regs->rip);
		break;
	case VECTOR_BREAKPOINT: kl_signal_fault(SIGTRAP, SI_KERNEL, 0); break;
	case VECTOR_UNDEFINED: kl_signal_fault(SIGILL, ILL_ILLOPN, regs->rip); break;
	case VECTOR_ALIGNMENT: kl_signal_fault(SIGBUS, BUS_ADRALN, 0); break;
	case VECTOR_OVERFLOW:
	case VECTOR_BOUND:
	default: kl_signal_fault(SIGSEGV, SI_KERNEL, 0);
	}
}

static void tick(void)
{
	kl_shared.pending = 0;
	kl_platform->ack();
	kl_poll();
	kl_yield();
}

void kl_trap_program(struct kl_regs *regs)
{
	unsigned vector = (unsigned)regs->vector & 0xff;

	if (vector == KL_VECTOR_TICK)
		tick();
	else if (vector == VECTOR_PAGE)
		page_fault(regs);
	else
		exception(regs, vector);
}

void kl_trap_kernel(struct kl_regs *regs)
{
	unsigned vector = (unsigned)regs->vector & 0xff;
	int code;

	if (vector == VECTOR_PAGE && kl_aspace_current != NULL &&
		kl_aspace_fault(kl_aspace_current, regs->cr2, (unsigned)regs->error, &code) == 0)
		return;
	if (kl_extable_fixup(regs))
		return;
	kl_error("exception %u (error %#lx, address %#lx) in the library OS", vector, regs->error, regs->cr2);
	kl_regs_log(regs);
	kl_panic("fault at %#lx", regs->rip);
}

void kl_trap_stack_lost(struct kl_regs *regs)
{
	kl_error("exception %lu with the stack pointer at %#lx, kernel stack at %#lx", regs->vector & 0xff, regs->rsp,
		kl_current == NULL ? 0 : kl_current->kstack_va);
	kl_regs_log(regs);
	kl_panic("kernel stack overflow, or a fault before there is a thread");
}

void kl_exit_do_work(struct kl_regs *regs)
{
	if (kl_shared.pending != 0)
		tick();
	kl_exit_work = 0;
	kl_signal_deliver(regs);
}

/* Each number is reported once: a program that probes for a call in a loop must not flood the log. */
void kl_syscall_unknown(struct kl_regs *regs)
{
	static uint64_t reported[8];
	uint64_t number = regs->orig_rax;
	const char *name;

	regs->rax = (uint64_t)-ENOSYS;
	if (number >= 64 * KL_ARRAY_LEN(reported) || (reported[number / 64] & 1ull << number % 64) != 0)
		return;
	reported[number / 64] |= 1ull << number % 64;
	name = kl_syscall_name((unsigned)number);
	kl_info("system call %lu (%s) is not in this image", number, name == NULL ? "unknown" : name);
}

void kl_regs_restart_syscall(struct kl_regs *regs)
{
	regs->rax = regs->orig_rax;
	regs->rcx = regs->rip;
	regs->rip = KL_GATE_SYSCALL_VA;
	kl_regs_restore_all(regs);
}

void kl_regs_log(const struct kl_regs *regs)
{
	kl_error("rip %016lx  rsp %016lx  flags %08lx", regs->rip, regs->rsp, regs->rflags);
	kl_error("rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx", regs->rax, regs->rbx, regs->rcx, regs->rdx);
	kl_error("rsi %016lx  rdi %016lx  rbp %016lx  r8  %016lx", regs->rsi, regs->rdi, regs->rbp, regs->r8);
	kl_error("r9  %016lx  r10 %016lx  r11 %016lx  r12 %016lx", regs->r9, regs->r10, regs->r11, regs->r12);
	kl_error("r13 %016lx  r14 %016lx  r15 %016lx", regs->r13, regs->r14, regs->r15);
}
