/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vDSO, a whole ELF shared object in one page, laid out by hand: header, tables for the dynamic linker (glibc and musl look
 * symbols up by DT_HASH and the version LINUX_2.6), functions. It is mapped behind the page of struct vdso_data (vdso.c).
 */
#include <asm/unistd_64.h>

#include "kl_layout.h"

#define DATA_SEQUENCE 0
#define DATA_TSC_START 8
#define DATA_MULT 16
#define DATA_WALL_NS 24
#define SHIFT 32 /* KL_VDSO_SHIFT */

/* Bit n: clock n of clock_gettime(2). Coarse and raw clocks are the same as the others; TAI is UTC, as Linux has it when unset. */
#define CLOCKS 0x8f3         /* REALTIME MONOTONIC MONOTONIC_RAW *_COARSE BOOTTIME TAI */
#define CLOCKS_REALTIME 0x821 /* REALTIME REALTIME_COARSE TAI */
#define CLOCK_LAST 11
#define NS_PER_S 1000000000
#define NS_PER_US 1000

#define HASH_LINUX_2_6 0x3ae75f6
#define HASH_SONAME 0xdeebfa1 /* of "linux-vdso.so.1"; System V ABI, chapter 5 */

	.section .rodata.kl_vdso, "a", @progbits
	.balign 4096
	.globl kl_vdso_image
kl_vdso_image:
	/* Elf64_Ehdr */
	.byte 0x7f, 'E', 'L', 'F', 2, 1, 1, 0
	.quad 0
	.word 3, 62 /* ET_DYN, EM_X86_64 */
	.long 1
	.quad 0 /* entry */
	.quad segments - kl_vdso_image
	.quad 0
	.long 0
	.word 64, 56, 2, 64, 0, 0
segments:
	/* PT_LOAD, R+X, all of it */
	.long 1, 5
	.quad 0, 0, 0, end - kl_vdso_image, end - kl_vdso_image, 4096
	/* PT_DYNAMIC, R */
	.long 2, 4
	.quad dynamic - kl_vdso_image, dynamic - kl_vdso_image, dynamic - kl_vdso_image
	.quad dynamic_end - dynamic, dynamic_end - dynamic, 8

	.balign 8
dynamic:
	.quad 14, name_soname - strings          /* DT_SONAME */
	.quad 4, hash - kl_vdso_image            /* DT_HASH */
	.quad 5, strings - kl_vdso_image         /* DT_STRTAB */
	.quad 6, symbols - kl_vdso_image         /* DT_SYMTAB */
	.quad 10, strings_end - strings          /* DT_STRSZ */
	.quad 11, 24                             /* DT_SYMENT */
	.quad 0x6ffffff0, versions - kl_vdso_image /* DT_VERSYM */
	.quad 0x6ffffffc, definitions - kl_vdso_image /* DT_VERDEF */
	.quad 0x6ffffffd, 2                      /* DT_VERDEFNUM */
	.quad 0, 0
dynamic_end:

	/* One bucket, so that no hash needs to be known: all symbols in one chain. */
hash:
	.long 1, (symbols_end - symbols) / 24
	.long 1
	.long 0, 2, 3, 4, 5, 0

	/* Elf64_Sym: name, STB_GLOBAL << 4 | STT_FUNC, section (any but 0), value, size */
	.macro SYMBOL name
	.long name_\name - strings
	.byte 0x12, 0
	.word 1
	.quad \name - kl_vdso_image, \name\()_end - \name
	.endm
	.balign 8
symbols:
	.fill 3, 8, 0
	SYMBOL clock_gettime
	SYMBOL gettimeofday
	SYMBOL time
	SYMBOL getcpu
	SYMBOL clock_getres
symbols_end:

versions:
	.word 0, 2, 2, 2, 2, 2

	/* Elf64_Verdef with its Elf64_Verdaux, twice: version, flags, index, count, hash, auxiliary, next; name, next */
	.balign 8
definitions:
	.word 1, 1, 1, 1
	.long HASH_SONAME, 20, 28
	.long name_soname - strings, 0
	.word 1, 0, 2, 1
	.long HASH_LINUX_2_6, 20, 0
	.long name_version - strings, 0

strings:
	.byte 0
name_soname:
	.asciz "linux-vdso.so.1"
name_version:
	.asciz "LINUX_2.6"
name_clock_gettime:
	.asciz "__vdso_clock_gettime"
name_gettimeofday:
	.asciz "__vdso_gettimeofday"
name_time:
	.asciz "__vdso_time"
name_getcpu:
	.asciz "__vdso_getcpu"
name_clock_getres:
	.asciz "__vdso_clock_getres"
strings_end:

	/* rax = monotonic ns, rcx = what to add for real time; clobbers rdx, r8, r9 */
	.macro READ_CLOCK
	lea kl_vdso_image - 4096(%rip), %r8
77:	mov DATA_SEQUENCE(%r8), %r9d
	lfence
	rdtsc
	shl $32, %rdx
	or %rdx, %rax
	sub DATA_TSC_START(%r8), %rax
	mulq DATA_MULT(%r8)
	shrd $SHIFT, %rdx, %rax
	mov DATA_WALL_NS(%r8), %rcx
	cmp DATA_SEQUENCE(%r8), %r9d
	jne 77b
	.endm

	/* The system call instead, as rewritten code would make it. */
	.macro SYSTEM_CALL number
	mov $\number, %eax
	lea 78f(%rip), %rcx
	movabs $KL_GATE_SYSCALL_VA, %r11
	jmp *%r11
78:	ret
	.endm

	.balign 64
clock_gettime: /* edi = clock, rsi = struct timespec */
	cmp $CLOCK_LAST, %edi
	ja 1f
	mov $CLOCKS, %eax
	bt %edi, %eax
	jnc 1f
	READ_CLOCK
	mov $CLOCKS_REALTIME, %edx
	bt %edi, %edx
	jnc 2f
	add %rcx, %rax
2:	xor %edx, %edx
	mov $NS_PER_S, %ecx
	div %rcx
	mov %rax, (%rsi)
	mov %rdx, 8(%rsi)
	xor %eax, %eax
	ret
1:	SYSTEM_CALL __NR_clock_gettime
clock_gettime_end:

	.balign 16
gettimeofday: /* rdi = struct timeval, rsi = struct timezone; either may be NULL */
	test %rdi, %rdi
	jz 1f
	READ_CLOCK
	add %rcx, %rax
	xor %edx, %edx
	mov $NS_PER_S, %ecx
	div %rcx
	mov %rax, (%rdi)
	mov %edx, %eax
	xor %edx, %edx
	mov $NS_PER_US, %ecx
	div %ecx
	mov %rax, 8(%rdi)
1:	test %rsi, %rsi
	jz 2f
	movq $0, (%rsi)
2:	xor %eax, %eax
	ret
gettimeofday_end:

	.balign 16
time: /* rdi = time_t or NULL */
	READ_CLOCK
	add %rcx, %rax
	xor %edx, %edx
	mov $NS_PER_S, %ecx
	div %rcx
	test %rdi, %rdi
	jz 1f
	mov %rax, (%rdi)
1:	ret
time_end:

	.balign 16
getcpu: /* rdi, rsi = unsigned, or NULL */
	xor %eax, %eax
	test %rdi, %rdi
	jz 1f
	mov %eax, (%rdi)
1:	test %rsi, %rsi
	jz 2f
	mov %eax, (%rsi)
2:	ret
getcpu_end:

	.balign 16
clock_getres: /* edi = clock, rsi = struct timespec or NULL */
	cmp $CLOCK_LAST, %edi
	ja 1f
	mov $CLOCKS, %eax
	bt %edi, %eax
	jnc 1f
	xor %eax, %eax
	test %rsi, %rsi
	jz 2f
	movq $0, (%rsi)
	movq $1, 8(%rsi)
2:	ret
1:	SYSTEM_CALL __NR_clock_getres
clock_getres_end:
end:
	.balign 4096

	.section .note.GNU-stack, "", @progbits
