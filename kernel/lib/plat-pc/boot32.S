/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PVH entry (the boot protocol that QEMU -kernel, Firecracker and Cloud Hypervisor speak): 32-bit protected mode, flat segments,
 * no paging, interrupts off, ebx = physical address of the start information. To 64-bit mode on throw-away tables that map the
 * first GiB both where it is and at KL_BASE_VA, then boot.c in ring 0, then kl_start at CPL 3 as on every other platform.
 *
 * The throw-away tables lie in the stack that kl_start will use: the lowest three of its four pages.
 */
#include "kl_layout.h"

#define PA(symbol) (symbol - KL_BASE_VA)

#define TABLE_FLAGS 0x03 /* present, writable */
#define LARGE_FLAGS 0x83 /* and a page of 2 MiB */
#define BASE_INDEX ((KL_BASE_VA >> 39) & 511)

#define CR4_PAE 0x20
#define CR0_VALUE 0x80010033 /* PG, WP, NE, ET, MP, PE */
#define MSR_EFER 0xc0000080
#define EFER_VALUE 0x901 /* NXE, LME, SCE */

	.section .text.boot32, "ax", @progbits
	.globl kl_pvh_start
	.code32
kl_pvh_start:
	cld
	mov $PA(kl_boot_stack), %edi
	mov %edi, %ebp
	xor %eax, %eax
	mov $0x3000 / 4, %ecx
	rep stosl
	lea 0x1000 + TABLE_FLAGS(%ebp), %eax
	mov %eax, (%ebp)
	mov %eax, 8 * BASE_INDEX(%ebp)
	lea 0x2000 + TABLE_FLAGS(%ebp), %eax
	mov %eax, 0x1000(%ebp)
	mov $LARGE_FLAGS, %eax
	xor %ecx, %ecx
1:	mov %eax, 0x2000(%ebp, %ecx, 8)
	add $0x200000, %eax
	inc %ecx
	cmp $512, %ecx
	jne 1b

	mov $CR4_PAE, %eax
	mov %eax, %cr4
	mov %ebp, %cr3
	mov $MSR_EFER, %ecx
	mov $EFER_VALUE, %eax
	xor %edx, %edx
	wrmsr
	mov $CR0_VALUE, %eax
	mov %eax, %cr0
	lgdt PA(gdt_low)
	ljmp $KL_SEL_CODE0, $PA(long_mode)

	.code64
long_mode:
	movabs $at_base, %rax
	jmp *%rax
at_base:
	lgdt gdt_high(%rip)
	lidt idt_none(%rip) /* a mistake in ring 0 is a triple fault, and ends the machine */
	mov $KL_SEL_DATA0, %eax
	mov %eax, %ss
	mov $KL_SEL_DATA3, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %fs
	mov %eax, %gs
	lea kl_boot_stack_top(%rip), %rsp
	xor %ebp, %ebp
	mov %ebx, %edi
	call kl_pc_boot
	lidt idt_high(%rip)
	mov $KL_SEL_TSS, %eax
	ltr %ax
	movabs $KL_BASE_VA + KL_BOOT_INFO_PA, %rdi
	pushq $KL_SEL_DATA3
	push %rsp
	pushq $0x202 /* IF: nothing interrupts yet */
	pushq $KL_SEL_CODE3
	lea kl_start(%rip), %rax
	push %rax
	iretq

	.section .rodata.boot32, "a", @progbits
	.balign 8
	.skip 6
gdt_low:
	.word KL_TABLE_GDT_BYTES - 1
	.long KL_TABLE_PA + KL_TABLE_GDT_OFFSET
	.balign 8
	.skip 6
gdt_high:
	.word KL_TABLE_GDT_BYTES - 1
	.quad KL_BASE_VA + KL_TABLE_PA + KL_TABLE_GDT_OFFSET
	.balign 8
	.skip 6
idt_high:
	.word KL_STUB_VECTORS * 16 - 1
	.quad KL_BASE_VA + KL_TABLE_PA + KL_TABLE_IDT_OFFSET

idt_none:
	.word 0
	.quad 0

	.section .note.GNU-stack, "", @progbits
