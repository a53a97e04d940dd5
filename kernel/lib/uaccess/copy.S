/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies that may meet a bad address of the program. A page fault is resolved like the program's own; when it can't be, the
 * trap handler goes on at the instruction's fixup (kl_extable_fixup).
 */
	.macro FIXUP at, to
	.pushsection .rodata.kl_extable, "a", @progbits
	.long \at - .
	.long \to - .
	.popsection
	.endm
	/* An access of the short copies: what they did is done again by the long one, which stops at the right byte. */
	.macro SHORT op:vararg
99:	\op
	FIXUP 99b, long
	.endm

	.section .rodata.kl_extable, "a", @progbits
	.balign 8
	.globl kl_extable_start
kl_extable_start:

	/* size_t kl_uaccess_copy(void *dst, const void *src, size_t n): how many bytes were not copied */
	.text
	.globl kl_uaccess_copy
	.type kl_uaccess_copy, @function
	.balign 16
kl_uaccess_copy:
	cmp $64, %rdx
	ja long
	cmp $8, %edx
	jb few
	xor %ecx, %ecx
	SHORT mov -8(%rsi, %rdx), %r8
1:	SHORT mov (%rsi, %rcx), %rax
	SHORT mov %rax, (%rdi, %rcx)
	add $8, %ecx
	cmp %edx, %ecx
	jb 2f
	xor %eax, %eax
	ret
2:	lea 8(%rcx), %eax
	cmp %edx, %eax
	jbe 1b
	SHORT mov %r8, -8(%rdi, %rdx)
	xor %eax, %eax
	ret
few:	cmp $4, %edx
	jb 3f
	SHORT mov (%rsi), %eax
	SHORT mov -4(%rsi, %rdx), %ecx
	SHORT mov %eax, (%rdi)
	SHORT mov %ecx, -4(%rdi, %rdx)
	xor %eax, %eax
	ret
3:	xor %ecx, %ecx
	jmp 5f
4:	SHORT movb (%rsi, %rcx), %al
	SHORT movb %al, (%rdi, %rcx)
	inc %ecx
5:	cmp %edx, %ecx
	jb 4b
	xor %eax, %eax
	ret
	/* Whole words; where one of them meets a bad address, and behind the last one, single bytes. */
long:	mov %rdx, %rcx
	shr $3, %rcx
	and $7, %edx
6:	rep movsq
	mov %edx, %ecx
	jrcxz 8f
7:	rep movsb
8:	mov %rcx, %rax
	ret
9:	lea (%rdx, %rcx, 8), %rcx
	jmp 7b
	FIXUP 6b, 9b
	FIXUP 7b, 8b
	.size kl_uaccess_copy, . - kl_uaccess_copy

	/* size_t kl_uaccess_zero(void *dst, size_t n): how many bytes were not set */
	.globl kl_uaccess_zero
	.type kl_uaccess_zero, @function
	.balign 16
kl_uaccess_zero:
	mov %rsi, %rcx
	shr $3, %rcx
	and $7, %esi
	xor %eax, %eax
1:	rep stosq
	mov %esi, %ecx
2:	rep stosb
3:	mov %rcx, %rax
	ret
4:	lea (%rsi, %rcx, 8), %rcx
	jmp 2b
	FIXUP 1b, 4b
	FIXUP 2b, 3b
	.size kl_uaccess_zero, . - kl_uaccess_zero

	.section .rodata.kl_extable, "a", @progbits
	.globl kl_extable_end
kl_extable_end:
	.section .note.GNU-stack, "", @progbits
