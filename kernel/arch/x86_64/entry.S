/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways into the library OS and back to the program, all at CPL 3: rewritten system calls (through the gate page), system
 * calls that were not rewritten (through LSTAR and the stub), exceptions and interrupts (through the stub).
 *
 * Each way in builds a struct kl_regs (kl/regs.h) at the top of the thread's kernel stack. kl_regs.vector tells the ways back
 * apart: 0 for a rewritten system call, where rcx, r11 and the flags need not be restored and a jump returns; anything else
 * restores every register by iretq.
 */
#include "kl_layout.h"

#define R15 0
#define R14 8
#define R13 16
#define R12 24
#define RBP 32
#define RBX 40
#define R11 48
#define R10 56
#define R9 64
#define R8 72
#define RAX 80
#define RCX 88
#define RDX 96
#define RSI 104
#define RDI 112
#define ORIG_RAX 120
#define VECTOR 128
#define ERROR 136
#define CR2 144
#define RIP 152
#define CS 160
#define RFLAGS 168
#define RSP 176
#define SS 184
#define REGS_BYTES 192

#define VECTOR_SLOW_SYSCALL 0x200 /* kl_regs.vector: no exception, but all registers are to be restored */
#define VECTOR_EXCEPTION 0x100    /* added to the vector of exceptions and interrupts */

#define STACK_RESERVE 1024 /* a fault that leaves less than this of a kernel stack is taken for its overflow */
#define BOOT_STACK_BYTES 16384

	/* Restores every register from the struct kl_regs at rsp. */
	.macro RETURN_ALL
	mov R15(%rsp), %r15
	mov R14(%rsp), %r14
	mov R13(%rsp), %r13
	mov R12(%rsp), %r12
	mov RBP(%rsp), %rbp
	mov RBX(%rsp), %rbx
	mov R11(%rsp), %r11
	mov R10(%rsp), %r10
	mov R9(%rsp), %r9
	mov R8(%rsp), %r8
	mov RAX(%rsp), %rax
	mov RCX(%rsp), %rcx
	mov RDX(%rsp), %rdx
	mov RSI(%rsp), %rsi
	mov RDI(%rsp), %rdi
	add $RIP, %rsp
	iretq
	.endm

/* --- the gate page --- */

	.section .kl.gate, "ax", @progbits
	jmp kl_syscall_fast
	.org KL_GATE_HEADER_OFFSET
	/* struct kl_image_header */
	.quad 0x726461656874696d
	.long KL_ABI_VERSION
	.long 0
	.quad kl_stub_start
	.quad kl_text_end
	.quad kl_exit_start
	.quad kl_text_end
	.quad 0
	.quad 0 /* the builder's */
	.quad 0

/* --- system calls --- */

	.text
	.globl kl_syscall_fast, kl_syscall_slow
	.balign 64
kl_syscall_fast:
	mov %rsp, %r11
	mov kl_kstack_top(%rip), %rsp
	pushq $KL_SEL_DATA3
	push %r11
	pushq $0x202
	pushq $KL_SEL_CODE3
	push %rcx
	sub $16, %rsp
	pushq $0
	jmp 1f

	.balign 16
kl_syscall_slow:
	mov %rsp, kl_landing(%rip)
	mov kl_kstack_top(%rip), %rsp
	pushq $KL_SEL_DATA3
	push kl_landing(%rip)
	push %r11
	pushq $KL_SEL_CODE3
	push %rcx
	sub $16, %rsp
	pushq $VECTOR_SLOW_SYSCALL

1:	push %rax
	push %rdi
	push %rsi
	push %rdx
	push %rcx
	pushq $-38 /* -ENOSYS */
	push %r8
	push %r9
	push %r10
	push %r11
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	cld
	mov %rsp, %rbx
	mov %eax, %eax /* the number is an int */
	cmp kl_syscall_count(%rip), %eax
	jae unknown
	lea kl_syscall_table(%rip), %r11
	mov (%r11, %rax, 8), %r11
	test %r11, %r11
	jz unknown
	mov %r10, %rcx
	call *%r11
	mov %rax, RAX(%rsp)
	jmp kl_exit_start
unknown:
	mov %rsp, %rdi
	call kl_syscall_unknown
	jmp kl_exit_start

/* --- exceptions and interrupts: on the landing stack, with the CPU's frame on a ring-0 stack --- */

	.macro PUSH_FRAME top
	push \top - 8(%rip)  /* ss */
	push \top - 16(%rip) /* rsp */
	push \top - 24(%rip) /* rflags */
	push \top - 32(%rip) /* cs */
	push \top - 40(%rip) /* rip */
	.endm

	.macro PUSH_GPRS rax:req
	pushq $-1 /* KL_REGS_TRAP */
	push %rdi
	push %rsi
	push %rdx
	push %rcx
	push \rax
	push %r8
	push %r9
	push %r10
	push %r11
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	.endm

	.globl kl_trap_exception, kl_trap_fault, kl_trap_interrupt
	.balign 16
kl_trap_exception: /* below the frame: error code, vector */
	PUSH_FRAME kl_trap_stack_top
	pushq $0
	push kl_trap_stack_top - 48(%rip)
	push kl_trap_stack_top - 56(%rip)
	PUSH_GPRS %rax
	jmp trap
kl_trap_fault: /* page fault: error code, rax; rax = CR2 */
	PUSH_FRAME kl_trap_stack_top
	push %rax
	push kl_trap_stack_top - 48(%rip)
	pushq $14
	PUSH_GPRS kl_trap_stack_top-56(%rip)
	jmp trap
kl_trap_interrupt: /* rax */
	PUSH_FRAME kl_irq_stack_top
	pushq $0
	pushq $0
	pushq $KL_VECTOR_TICK
	PUSH_GPRS kl_irq_stack_top-8*6(%rip)

trap:
	cld
	addq $VECTOR_EXCEPTION, VECTOR(%rsp)
	mov %rsp, %rsi
	mov RIP(%rsp), %rax
	lea kl_stub_start(%rip), %rdx
	cmp %rdx, %rax
	jb 1f
	lea kl_text_end(%rip), %rdx
	cmp %rdx, %rax
	jb 2f
	/* from the program: to the top of the kernel stack */
1:	mov kl_kstack_top(%rip), %rdi
	sub $REGS_BYTES, %rdi
	mov %rdi, %rsp
	mov $REGS_BYTES / 8, %ecx
	rep movsq
	mov %rsp, %rdi
	call kl_trap_program
	jmp kl_exit_start
	/* from the library OS: below its stack pointer, if that is on the kernel stack with room left */
2:	mov RSP(%rsp), %rdi
	sub $REGS_BYTES, %rdi
	and $-16, %rdi
	mov %rdi, %rax
	sub kl_kstack_bottom(%rip), %rax
	cmp $STACK_RESERVE, %rax
	jb stack_overflow
	mov kl_kstack_top(%rip), %rax
	cmp %rax, %rdi
	jae stack_overflow
	mov %rdi, %rsp
	mov $REGS_BYTES / 8, %ecx
	rep movsq
	mov %rsp, %rdi
	call kl_trap_kernel
	RETURN_ALL
stack_overflow:
	mov %rsp, %rdi
	call kl_trap_stack_lost

/* --- threads --- */

	/* kl_arch_switch(uint64_t *save_ksp, uint64_t load_ksp) */
	.globl kl_arch_switch
kl_arch_switch:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, (%rdi)
	mov %rsi, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

	/* First run of a thread (kl_arch_thread_stack): rbx = fn or 0, rbp = arg; the registers for the program lie on the stack. */
	.globl kl_thread_first
kl_thread_first:
	test %rbx, %rbx
	jz kl_exit_start
	mov %rbp, %rdi
	call *%rbx
	ud2

/* --- services of ring 0 --- */

	/* kl_arch_service(int service, uint64_t arg) */
	.globl kl_arch_service, kl_arch_service_ud2
kl_arch_service:
kl_arch_service_ud2:
	ud2
	ret

/* --- start --- */

	.globl kl_start
kl_start: /* rdi = boot record */
	lea kl_boot_stack_top(%rip), %rsp
	xor %ebp, %ebp
	call kl_boot_main
	ud2

/*
 * The way back to the program, from the struct kl_regs at the top of the kernel stack (kl_user_regs). A tick that comes after the check below
 * makes the stub (or the monitor) start again at kl_exit_start, so everything up to kl_text_end may be repeated. The last jump
 * lies behind kl_text_end: for ticks and faults it is the program's.
 */
	.section .text.exit, "ax", @progbits
	.globl kl_exit_start, kl_text_end
	.balign 64
kl_exit_start:
	mov kl_user_regs(%rip), %rsp
	mov kl_shared(%rip), %eax /* .pending */
	or kl_exit_work(%rip), %eax
	jnz work
	cmpq $0, VECTOR(%rsp)
	jne return_all
	mov RAX(%rsp), %rax
	mov RDI(%rsp), %rdi
	mov RSI(%rsp), %rsi
	mov RDX(%rsp), %rdx
	mov R8(%rsp), %r8
	mov R9(%rsp), %r9
	mov R10(%rsp), %r10
	mov RBX(%rsp), %rbx
	mov RIP(%rsp), %rcx
	mov RSP(%rsp), %rsp
	jmp return_fast
return_all:
	RETURN_ALL
work:
	mov %rsp, %rdi
	call kl_exit_do_work
	jmp kl_exit_start
kl_text_end:
return_fast:
	jmp *%rcx

	.bss
	.balign 16
	.globl kl_landing_top
kl_landing:
	.skip 512
kl_landing_top:
	.balign 4096
	.globl kl_boot_stack, kl_boot_stack_top
kl_boot_stack:
	.skip BOOT_STACK_BYTES
kl_boot_stack_top:

	.section .note.GNU-stack, "", @progbits
