/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a rewritten program on Linux: `launcher GATE COUNT_FILE PROGRAM [ARG...]`.
 *
 * The program is stopped at its very first instruction (ptrace), a page with a gate is mapped at GATE, and it goes on.
 * The gate does what the library OS's gate promises and no more: it enters the kernel, spoils the flags and r11, and
 * returns to rcx. How often it was entered is written to COUNT_FILE. Exit status: the program's; 125 if this fails.
 *
 * Needs: ptrace(2). Only the first process has the gate; programs that exec others can't be run.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define GATE_BYTES 8192
#define COUNT_OFFSET 4096 /* uint64_t entries, then the slot for clone's return address */

extern const unsigned char gate_code[], gate_code_end[];

/*
 * The return address can't stay in a register (syscall spoils rcx and r11), so it goes below the red zone. clone, clone3 and
 * vfork return on another stack or share this one: their address goes to a slot in the page.
 */
__asm__(".section .rodata\n"
	".globl gate_code, gate_code_end\n"
	"gate_code:\n"
	"lock incq 4096 + gate_code(%rip)\n"
	"cmp $56, %eax\n"
	"je 1f\n"
	"cmp $435, %eax\n"
	"je 1f\n"
	"cmp $58, %eax\n"
	"je 1f\n"
	"lea -128(%rsp), %rsp\n"
	"push %rcx\n"
	"syscall\n"
	"pop %rcx\n"
	"lea 128(%rsp), %rsp\n"
	"mov $0x5a5a5a5a5a5a5a5a, %r11\n"
	"cmp $1, %rsp\n" /* flags: whatever they are now, not the caller's */
	"jmp *%rcx\n"
	"1: mov %rcx, 4104 + gate_code(%rip)\n"
	"syscall\n"
	"jmp *4104 + gate_code(%rip)\n"
	"gate_code_end:\n"
	".previous\n");

static void die(const char *what)
{
	fprintf(stderr, "launcher: %s: %s\n", what, strerror(errno));
	exit(125);
}

static void poke(pid_t pid, uint64_t at, const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i += 8) {
		long word = 0;

		memcpy(&word, bytes + i, size - i < 8 ? size - i : 8);
		if (ptrace(PTRACE_POKEDATA, pid, at + i, word) != 0)
			die("PTRACE_POKEDATA");
	}
}

/* Map the gate in a process that is stopped at its first instruction. */
static void inject(pid_t pid, uint64_t gate)
{
	struct user_regs_struct saved, regs;
	int status;
	long text;

	if (ptrace(PTRACE_GETREGS, pid, 0, &saved) != 0)
		die("PTRACE_GETREGS");
	text = ptrace(PTRACE_PEEKTEXT, pid, saved.rip, 0);
	poke(pid, saved.rip, (const unsigned char *)"\x0f\x05\xcc\xcc\xcc\xcc\xcc\xcc", 8);
	regs = saved;
	regs.rax = SYS_mmap;
	regs.rdi = gate;
	regs.rsi = GATE_BYTES;
	regs.rdx = PROT_READ | PROT_WRITE | PROT_EXEC;
	regs.r10 = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	regs.r8 = (unsigned long long)-1;
	regs.r9 = 0;
	if (ptrace(PTRACE_SETREGS, pid, 0, &regs) != 0 || ptrace(PTRACE_SINGLESTEP, pid, 0, 0) != 0)
		die("ptrace");
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		die("waitpid");
	if (ptrace(PTRACE_GETREGS, pid, 0, &regs) != 0)
		die("PTRACE_GETREGS");
	if (regs.rax != gate) {
		errno = -(int)regs.rax;
		die("mmap of the gate");
	}
	poke(pid, gate, gate_code, (size_t)(gate_code_end - gate_code));
	poke(pid, saved.rip, (const unsigned char *)&text, 8);
	if (ptrace(PTRACE_SETREGS, pid, 0, &saved) != 0)
		die("PTRACE_SETREGS");
}

static int follow(pid_t pid, uint64_t gate, const char *count_path)
{
	int status, deliver = 0;

	for (;;) {
		if (ptrace(PTRACE_CONT, pid, 0, deliver) != 0)
			die("PTRACE_CONT");
		if (waitpid(pid, &status, 0) != pid)
			die("waitpid");
		if (WIFEXITED(status))
			return WEXITSTATUS(status);
		if (WIFSIGNALED(status))
			return 128 + WTERMSIG(status);
		deliver = status >> 16 ? 0 : WSTOPSIG(status);
		if (status >> 16 == PTRACE_EVENT_EXIT) {
			FILE *file = fopen(count_path, "w");

			if (!file)
				die(count_path);
			fprintf(file, "%ld\n", ptrace(PTRACE_PEEKDATA, pid, gate + COUNT_OFFSET, 0));
			fclose(file);
		}
	}
}

int main(int argc, char **argv)
{
	uint64_t gate;
	int status;
	pid_t pid;

	if (argc < 4) {
		fprintf(stderr, "usage: launcher GATE COUNT_FILE PROGRAM [ARG...]\n");
		return 125;
	}
	gate = strtoull(argv[1], NULL, 0);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0)
			die("PTRACE_TRACEME");
		execv(argv[3], argv + 3);
		die(argv[3]);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return 125;
	inject(pid, gate);
	if (ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL) != 0)
		die("PTRACE_SETOPTIONS");
	return follow(pid, gate, argv[2]);
}
