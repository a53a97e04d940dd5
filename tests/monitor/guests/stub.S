/* SPDX-License-Identifier: Apache-2.0 */
/* Ring 0 of the test guests, and their entry: the smallest thing that follows kl_layout.h. */
#include "kl_layout.h"

#define KL_HEADER_MAGIC 0x726461656874696d

#define VA(pa) (KL_BASE_VA + (pa))
#define TRAP_TOP VA(KL_TRAP_STACK_PA + 0x1000)
#define IRQ_TOP VA(KL_IRQ_STACK_PA + 0x1000)
#define TABLE VA(KL_TABLE_PA)

	.altmacro
	.macro gate n
	.balign 16
	.if !(\n == 8 || (\n >= 10 && \n <= 14) || \n == 17)
	pushq $0
	.endif
	pushq $\n
	jmp reflect
	.endm

/* A gate descriptor split into what the assembler can compute: addresses are known constants. */
	.macro descriptor n
	.quad ((VA(KL_STUB_PA) + 16 * \n) & 0xffff) | (KL_SEL_CODE0 << 16) | (((\n == KL_VECTOR_TICK) & 1) << 32) | (0xee << 40) | (((VA(KL_STUB_PA) + 16 * \n) >> 16 & 0xffff) << 48)
	.quad VA(KL_STUB_PA) >> 32
	.endm

	.section .stub, "ax"
	.set i, 0
	.rept KL_STUB_VECTORS
	gate %i
	.set i, i + 1
	.endr

	.org KL_STUB_LSTAR_OFFSET
	movabs $syscall_stack_pointer, %r10 /* ring 0 has no stack of its own here */
	mov %rsp, (%r10)
	movabs $TRAP_TOP, %rsp
	pushq $KL_SEL_DATA3
	pushq (%r10)
	pushq %r11
	pushq $KL_SEL_CODE3
	pushq %rcx
	iretq

/* Frame, downwards: ss rsp flags cs rip error vector rax cr2 rbx. The handler at CPL 3 gets its address in rax. */
reflect:
	push %rax
	mov %cr2, %rax
	push %rax
	push %rbx
	mov %rsp, %rax
	pushq $KL_SEL_DATA3
	movabs $handler_stack_top, %rbx
	push %rbx
	pushq $0x202
	pushq $KL_SEL_CODE3
	movabs $handler_entry, %rbx
	push %rbx
	iretq

	.section .gate, "ax"
	.org KL_GATE_HEADER_OFFSET
	.quad KL_HEADER_MAGIC
	.long KL_ABI_VERSION, 0
	.quad library_start, library_end, exit_start, exit_end, 0

	.section .table, "aw"
	.set i, 0
	.rept KL_STUB_VECTORS
	descriptor %i
	.set i, i + 1
	.endr
	.org KL_TABLE_GDT_OFFSET
	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0
	.quad 0x00cffb000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff, 0
	.quad (KL_TABLE_TSS_LIMIT) | ((TABLE + KL_TABLE_TSS_OFFSET) & 0xffffff) << 16 | 0x8b << 40 | ((TABLE + KL_TABLE_TSS_OFFSET) >> 24 & 0xff) << 56
	.quad (TABLE + KL_TABLE_TSS_OFFSET) >> 32
	.org KL_TABLE_TSS_OFFSET
	.long 0
	.quad TRAP_TOP
	.org KL_TABLE_TSS_OFFSET + 0x24
	.quad IRQ_TOP
	.org KL_TABLE_TSS_OFFSET + 0x66
	.word 0x68
	.org KL_TABLE_TSS_OFFSET + KL_TABLE_TSS_LIMIT
	.byte 0xff

	.section .stacks, "aw"
	.skip 0x2000

	.section .text.start, "ax"
	.globl _start
_start:
	lea stack_top(%rip), %rsp
	jmp guest_main

handler_entry:
	push %rcx; push %rdx; push %rsi; push %rdi; push %rbp; push %r8; push %r9
	push %r10; push %r11; push %r12; push %r13; push %r14; push %r15; push %rax
	mov %rax, %rdi
	call guest_trap
	pop %rax; pop %r15; pop %r14; pop %r13; pop %r12; pop %r11; pop %r10
	pop %r9; pop %r8; pop %rbp; pop %rdi; pop %rsi; pop %rdx; pop %rcx
	mov (%rax), %rbx
	lea 40(%rax), %rsp
	mov 16(%rax), %rax
	iretq

/* What the image header calls library text: a tick here must only set kl_shared.pending. Spins until it is set. */
	.section .text.library, "ax"
	.globl library_spin
library_start:
library_spin:
	movabs $VA(KL_SHARED_PA), %rdx
1:	cmpl $0, (%rdx)
	je 1b
	xor %eax, %eax
	ret
/* Counts how often it was restarted: the loop itself never goes back to exit_start. */
	.globl library_exit
library_exit:
	xor %eax, %eax
	movabs $VA(KL_SHARED_PA), %rdx
exit_start:
	inc %rax
	cmp $3, %rax
	jae 2f
1:	jmp 1b
2:	nop
exit_end:
	ret
library_end:

	.section .note.kernlet, "a", @note
	.long 8, 24, 1
	.asciz "kernlet"
	.long KL_ABI_VERSION, 0
	.quad 0, 0

	.bss
	.balign 16
syscall_stack_pointer:
	.skip 8
	.balign 16
	.skip 0x2000
handler_stack_top:
	.skip 0x4000
stack_top:

	.section .note.GNU-stack, "", @progbits
