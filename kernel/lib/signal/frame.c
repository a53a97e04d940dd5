/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame that a handler finds on its stack, laid out as Linux does on x86-64: return address, ucontext, siginfo; above it the
 * XSAVE area with the magic words by which programs recognise its size (<asm/sigcontext.h>).
 */
#include <asm/errno.h>
#include <linux/signal.h>
#include <asm/sigcontext.h>
#include <asm/ucontext.h>

#include <kl/arch.h>
#include <kl/entry.h>
#include <kl/string.h>
#include <kl/uaccess.h>

#include "kl_layout.h"
#include "signal_priv.h"

#define RED_ZONE_BYTES 128
#define XSAVE_ALIGN 64
#define XSAVE_HEADER_OFFSET 512
#define FLAGS_RESTORED 0x50dd5ull /* AC OF DF TF SF ZF AF PF CF RF: what sigreturn may change */
#define FLAGS_ALWAYS 0x202ull
#define FLAGS_CLEARED 0x10500ull /* RF, DF, TF: at a handler's start */
#define MXCSR_MASK 0xffffu

struct frame {
	kl_uaddr return_address;
	struct ucontext uc;
	siginfo_t info;
};

static uint64_t xcr0(void)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (uint64_t)hi << 32 | lo;
}

static bool on_altstack(const struct kl_thread_signals *sig, kl_uaddr sp)
{
	return sp > sig->altstack && sp - sig->altstack <= sig->altstack_bytes;
}

static void fill_sigcontext(struct sigcontext *sc, const struct kl_regs *regs, uint64_t mask, kl_uaddr fpstate)
{
	*sc = (struct sigcontext){
		.r8 = regs->r8,
		.r9 = regs->r9,
		.r10 = regs->r10,
		.r11 = regs->r11,
		.r12 = regs->r12,
		.r13 = regs->r13,
		.r14 = regs->r14,
		.r15 = regs->r15,
		.rdi = regs->rdi,
		.rsi = regs->rsi,
		.rbp = regs->rbp,
		.rbx = regs->rbx,
		.rdx = regs->rdx,
		.rax = regs->rax,
		.rcx = regs->rcx,
		.rsp = regs->rsp,
		.rip = regs->rip,
		.eflags = regs->rflags,
		.cs = KL_SEL_CODE3,
		.ss = KL_SEL_DATA3,
		.err = regs->error,
		.trapno = regs->vector & 0xff,
		.oldmask = mask,
		.cr2 = regs->cr2,
		.fpstate = (void *)fpstate,
	};
}

static int push_fpstate(kl_uaddr at)
{
	struct kl_thread *self = kl_current;
	size_t bytes = kl_arch_fpu_bytes();
	struct _fpx_sw_bytes sw = {
		.magic1 = FP_XSTATE_MAGIC1,
		.extended_size = (uint32_t)bytes + FP_XSTATE_MAGIC2_SIZE,
		.xfeatures = xcr0(),
		.xstate_size = (uint32_t)bytes,
	};
	uint32_t magic2 = FP_XSTATE_MAGIC2;

	kl_arch_fpu_save(self);
	if (kl_copy_to_user(at, self->fpu, bytes) < 0)
		return -EFAULT;
	if (KL_PUT_USER(at + offsetof(struct _fpstate_64, sw_reserved), sw) < 0)
		return -EFAULT;
	return KL_PUT_USER(at + bytes, magic2);
}

int signal_frame_push(
	struct kl_regs *regs, int sig, const struct signal_action *action, const siginfo_t *info, uint64_t mask)
{
	struct kl_thread_signals *ts = &kl_current->sig;
	kl_uaddr sp = regs->rsp - RED_ZONE_BYTES, fpstate, at;
	struct frame frame;

	if ((action->flags & SA_ONSTACK) != 0 && (ts->altstack_flags & SS_DISABLE) == 0 && ts->altstack_bytes != 0 &&
		!on_altstack(ts, regs->rsp))
		sp = ts->altstack + ts->altstack_bytes;
	fpstate = KL_ALIGN_DOWN(sp - kl_arch_fpu_bytes() - FP_XSTATE_MAGIC2_SIZE, XSAVE_ALIGN);
	/* As after a call: rsp + 8 is a multiple of 16. */
	at = KL_ALIGN_DOWN(fpstate - sizeof(frame), 16) - 8;

	memset(&frame, 0, sizeof(frame));
	frame.return_address = action->restorer;
	frame.uc.uc_flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	frame.uc.uc_stack.ss_sp = (void *)ts->altstack;
	frame.uc.uc_stack.ss_size = ts->altstack_bytes;
	frame.uc.uc_stack.ss_flags = ts->altstack_bytes == 0 ? SS_DISABLE : ts->altstack_flags;
	fill_sigcontext(&frame.uc.uc_mcontext, regs, mask, fpstate);
	memcpy(&frame.uc.uc_sigmask, &mask, sizeof(mask));
	frame.info = *info;
	if (push_fpstate(fpstate) < 0 || KL_PUT_USER(at, frame) < 0)
		return -EFAULT;

	if ((ts->altstack_flags & (int)SS_AUTODISARM) != 0 && sp == ts->altstack + ts->altstack_bytes)
		ts->altstack = ts->altstack_bytes = 0;
	regs->rdi = (uint64_t)sig;
	regs->rsi = at + offsetof(struct frame, info);
	regs->rdx = at + offsetof(struct frame, uc);
	regs->rax = 0;
	regs->rsp = at;
	regs->rip = action->handler;
	regs->rflags &= ~FLAGS_CLEARED;
	kl_regs_restore_all(regs);
	return 0;
}

/* What xrstor would refuse is taken out, so that it cannot fault. */
static void sanitise_fpstate(void *area)
{
	struct _fpstate_64 *fp = area;
	uint64_t *header = (uint64_t *)((char *)area + XSAVE_HEADER_OFFSET);

	fp->mxcsr &= MXCSR_MASK;
	header[0] &= xcr0();
	memset(header + 1, 0, 7 * sizeof(*header));
}

static int pop_fpstate(kl_uaddr at)
{
	struct kl_thread *self = kl_current;
	struct _fpx_sw_bytes sw;
	size_t bytes = kl_arch_fpu_bytes();

	if (at == 0)
		return 0;
	if (at % XSAVE_ALIGN != 0 || KL_GET_USER(sw, at + offsetof(struct _fpstate_64, sw_reserved)) < 0)
		return -EFAULT;
	kl_arch_fpu_save(self);
	if (sw.magic1 == FP_XSTATE_MAGIC1 && sw.xstate_size == bytes) {
		if (kl_copy_from_user(self->fpu, at, bytes) < 0)
			return -EFAULT;
	} else {
		/* A frame of the program's own making: the legacy part alone, x87 and SSE. */
		if (kl_copy_from_user(self->fpu, at, XSAVE_HEADER_OFFSET) < 0)
			return -EFAULT;
		*(uint64_t *)((char *)self->fpu + XSAVE_HEADER_OFFSET) |= 3;
	}
	sanitise_fpstate(self->fpu);
	kl_arch_fpu_restore(self);
	return 0;
}

int signal_frame_pop(struct kl_regs *regs, uint64_t *mask)
{
	struct kl_thread_signals *ts = &kl_current->sig;
	struct ucontext uc;
	const struct sigcontext *sc = &uc.uc_mcontext;

	/* The handler's ret has taken the return address off. */
	if (KL_GET_USER(uc, regs->rsp - 8 + offsetof(struct frame, uc)) < 0)
		return -EFAULT;
	if (sc->rip >= KL_USER_TOP_VA || pop_fpstate((kl_uaddr)sc->fpstate) < 0)
		return -EFAULT;
	memcpy(mask, &uc.uc_sigmask, sizeof(*mask));
	regs->r8 = sc->r8;
	regs->r9 = sc->r9;
	regs->r10 = sc->r10;
	regs->r11 = sc->r11;
	regs->r12 = sc->r12;
	regs->r13 = sc->r13;
	regs->r14 = sc->r14;
	regs->r15 = sc->r15;
	regs->rdi = sc->rdi;
	regs->rsi = sc->rsi;
	regs->rbp = sc->rbp;
	regs->rbx = sc->rbx;
	regs->rdx = sc->rdx;
	regs->rax = sc->rax;
	regs->rcx = sc->rcx;
	regs->rsp = sc->rsp;
	regs->rip = sc->rip;
	regs->rflags = (sc->eflags & FLAGS_RESTORED) | FLAGS_ALWAYS;
	regs->orig_rax = KL_REGS_TRAP;
	kl_regs_restore_all(regs);
	if (uc.uc_stack.ss_size != 0) {
		ts->altstack = (kl_uaddr)uc.uc_stack.ss_sp;
		ts->altstack_bytes = uc.uc_stack.ss_size;
		ts->altstack_flags = uc.uc_stack.ss_flags;
	}
	return 0;
}
