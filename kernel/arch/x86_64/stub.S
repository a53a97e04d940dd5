/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that runs in ring 0. Where KVM has no hardware to lean on, each instruction here costs half a microsecond, so each is
 * counted: an event is handed to CPL 3 by an iretq from a prepared frame, with the frame that the CPU pushed left where it is, on
 * a page that CPL 3 can read.
 *
 * Exceptions come in on the trap stack. None can come while CPL 3 code (entry.S) has not yet copied the frame, since that code
 * touches mapped memory only. Interrupts come in on the interrupt stack: one that hits the library OS, or the hlt below, only
 * sets kl_shared.pending; it is not acknowledged to the interrupt controller before the library OS has looked, so no second one
 * can overwrite the frame of one that was handed on.
 */
#include "kl_layout.h"

	.section .kl.stub, "ax", @progbits
	.globl kl_stub_start
kl_stub_start:
	.set vector, 0
	.rept KL_STUB_VECTORS
	.balign 16
	.if vector == 6
	jmp undefined
	.elseif vector == 14
	push %rax
	mov %cr2, %rax
	push %rax
	lea frame_fault(%rip), %rsp
	iretq
	.elseif vector >= 32
	jmp interrupt
	.else
	.if !(vector == 8 || (vector >= 10 && vector <= 13) || vector == 17 || vector == 21)
	pushq $0
	.endif
	pushq $vector
	jmp exception
	.endif
	.set vector, vector + 1
	.endr

	/* LSTAR: a system call that was not rewritten. rcx = return address, r11 = flags, rsp = the program's. */
	.org KL_STUB_LSTAR_OFFSET
	mov %rsp, frame_syscall_rsp(%rip)
	lea frame_syscall(%rip), %rsp
	iretq

exception:
	lea frame_exception(%rip), %rsp
	iretq

	/* ud2: a request of kl_arch_service() if it comes from there, and the program's own mistake otherwise. */
undefined:
	push %rax
	lea kl_arch_service_ud2(%rip), %rax
	cmp %rax, 8(%rsp)
	pop %rax
	je service
	pushq $0
	pushq $6
	jmp exception

	/* edi: 0 invlpg rsi, 1 load CR3 from rsi, 2 halt until an interrupt unless one is pending */
service:
	addq $2, (%rsp)
	cmp $1, %edi
	ja halt
	je load_cr3
	invlpg (%rsi)
	iretq
load_cr3:
	mov %rsi, %cr3
	iretq
halt:
	cmpl $0, kl_shared(%rip) /* .pending */
	jne 1f
	sti
	hlt
	cli
1:	iretq

interrupt:
	push %rax
	lea kl_text_end(%rip), %rax
	cmp %rax, 8(%rsp)
	jae hand_on
	lea kl_stub_start(%rip), %rax
	cmp %rax, 8(%rsp)
	jb hand_on
	movl $1, kl_shared(%rip) /* .pending */
	lea kl_exit_start(%rip), %rax
	cmp %rax, 8(%rsp)
	jb 1f
	mov %rax, 8(%rsp)
1:	pop %rax
	iretq
hand_on:
	lea frame_interrupt(%rip), %rsp
	iretq

/* --- descriptor tables and prepared frames --- */

	.section .kl.table, "aw", @progbits
	.globl kl_table
kl_table:
	/* IDT: 64-bit interrupt gates, int3 open to the program, interrupts on IST 1. */
	.set vector, 0
	.rept KL_STUB_VECTORS
	.set handler, KL_BASE_VA + KL_STUB_PA + 16 * vector
	.word handler & 0xffff
	.word KL_SEL_CODE0
	.if vector >= 32
	.byte 1
	.else
	.byte 0
	.endif
	.if vector == 3
	.byte 0xee
	.else
	.byte 0x8e
	.endif
	.word (handler >> 16) & 0xffff
	.long handler >> 32
	.long 0
	.set vector, vector + 1
	.endr

	.org KL_TABLE_GDT_OFFSET
	.quad 0
	.quad 0x00af9b000000ffff /* KL_SEL_CODE0 */
	.quad 0x00cf93000000ffff /* KL_SEL_DATA0 */
	.quad 0
	.quad 0x00cffb000000ffff /* 32-bit code of CPL 3: STAR counts from here */
	.quad 0x00cff3000000ffff /* KL_SEL_DATA3 */
	.quad 0x00affb000000ffff /* KL_SEL_CODE3 */
	.quad 0
	/* KL_SEL_TSS */
	.set tss, KL_BASE_VA + KL_TABLE_PA + KL_TABLE_TSS_OFFSET
	.quad KL_TABLE_TSS_LIMIT | (tss & 0xffffff) << 16 | 0x89 << 40 | ((tss >> 24) & 0xff) << 56
	.quad tss >> 32

	.org KL_TABLE_TSS_OFFSET
	.long 0
	.quad KL_BASE_VA + KL_TRAP_STACK_PA + 0x1000 /* RSP0 */
	.quad 0, 0, 0
	.quad KL_BASE_VA + KL_IRQ_STACK_PA + 0x1000 /* IST 1 */
	.fill 6, 8, 0
	.quad 0
	.word 0
	.word 0x68 /* offset of the I/O bitmap: all zero, all allowed */
	.fill 0x200, 1, 0
	.byte 0xff

	/* What iretq takes: rip, cs, rflags, rsp, ss. The landing stack is for entry.S alone, before it chooses a kernel stack. */
	.macro FRAME name, rip
	.balign 8
\name:
	.quad \rip
	.quad KL_SEL_CODE3
	.quad 0x202
\name\()_rsp:
	.quad kl_landing_top
	.quad KL_SEL_DATA3
	.endm
	FRAME frame_exception, kl_trap_exception
	FRAME frame_fault, kl_trap_fault
	FRAME frame_interrupt, kl_trap_interrupt

	/* A KVM without hardware to lean on runs the code at LSTAR with the rights of CPL 3 until the iretq: not on a ring-0 page. */
	.data
	FRAME frame_syscall, kl_syscall_slow /* its rsp is the program's, stored at entry */

	.section .kl.trapstack, "aw", @nobits
	.skip 0x1000
	.section .kl.irqstack, "aw", @nobits
	.skip 0x1000

	.section .note.GNU-stack, "", @progbits
