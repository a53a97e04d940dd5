/* SPDX-License-Identifier: Apache-2.0 */
/* The loader, on small files made here: what lies where, what is on the stack, and what is refused. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/auxvec.h>
#include <linux/elf.h>

#include <kl/aspace.h>
#include <kl/elf.h>
#include <kl/process.h>

#include "fake_vfs.h"
#include "kl_layout.h"
#include "machine.h"

#define PAGE 4096ul
#define FILE_BYTES (4 * PAGE)

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #cond);                                         \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

struct file {
	union {
		unsigned char bytes[FILE_BYTES];
		struct {
			Elf64_Ehdr header;
			Elf64_Phdr segments[8];
		};
	};
};

static const char *const no_strings[] = {NULL};

static Elf64_Phdr *add_segment(struct file *f, unsigned type, unsigned flags, uint64_t offset, uint64_t address,
	uint64_t in_file, uint64_t in_memory)
{
	Elf64_Phdr *p = &f->segments[f->header.e_phnum++];

	*p = (Elf64_Phdr){.p_type = type,
		.p_flags = flags,
		.p_offset = offset,
		.p_vaddr = address,
		.p_filesz = in_file,
		.p_memsz = in_memory,
		.p_align = PAGE};
	return p;
}

/* Text at base, data and 2.5 pages of bss behind it; every byte of the file is known. */
static void make(struct file *f, unsigned type, uint64_t base)
{
	memset(f, 0, sizeof(*f));
	for (size_t i = sizeof(Elf64_Ehdr) + sizeof(f->segments); i < FILE_BYTES; i++)
		f->bytes[i] = (unsigned char)(i * 31 >> 3 | 1);
	memcpy(f->header.e_ident, ELFMAG, SELFMAG);
	f->header.e_ident[EI_CLASS] = ELFCLASS64;
	f->header.e_ident[EI_DATA] = ELFDATA2LSB;
	f->header.e_type = (Elf64_Half)type;
	f->header.e_machine = EM_X86_64;
	f->header.e_phoff = offsetof(struct file, segments);
	f->header.e_phentsize = sizeof(Elf64_Phdr);
	f->header.e_entry = base + 0x800;
	add_segment(f, PT_LOAD, PF_R | PF_X, 0, base, 2 * PAGE, 2 * PAGE);
	add_segment(f, PT_LOAD, PF_R | PF_W, 2 * PAGE + 0x100, base + 3 * PAGE + 0x100, PAGE, 3 * PAGE + 0x800);
}

static int exec(const char *path, const char *const *argv, const char *const *envp, struct kl_regs *regs)
{
	bool committed;
	int err = kl_elf_exec(path, argv, envp, regs, &committed);

	CHECK(err != 0 || committed);
	return err;
}

static unsigned char byte_at(uint64_t va)
{
	unsigned char c = 0;

	CHECK(machine_touch(va, &c, 1, MACHINE_READ) == 0);
	return c;
}

static uint64_t word_at(uint64_t va)
{
	uint64_t v = 0;

	CHECK(machine_touch(va, &v, sizeof(v), MACHINE_READ) == 0);
	return v;
}

static bool string_at(uint64_t va, const char *want)
{
	do {
		if (byte_at(va++) != (unsigned char)*want)
			return false;
	} while (*want++ != 0);
	return true;
}

static void check_segments(const struct file *f, uint64_t base)
{
	unsigned char c = 1;

	for (uint64_t i = 0; i < 2 * PAGE; i += 97)
		CHECK(byte_at(base + i) == f->bytes[i]);
	CHECK(machine_touch(base, &c, 1, MACHINE_WRITE) == -EFAULT && machine_touch(base, &c, 1, MACHINE_EXEC) == 0);
	for (uint64_t i = 0; i < PAGE; i += 13)
		CHECK(byte_at(base + 3 * PAGE + 0x100 + i) == f->bytes[2 * PAGE + 0x100 + i]);
	for (uint64_t i = PAGE; i < 3 * PAGE + 0x800; i += 7)
		CHECK(byte_at(base + 3 * PAGE + 0x100 + i) == 0);
	c = 5;
	CHECK(machine_touch(base + 5 * PAGE, &c, 1, MACHINE_WRITE) == 0 &&
		machine_touch(base + 5 * PAGE, &c, 1, MACHINE_EXEC) == -EFAULT);
	CHECK(machine_touch(base + 2 * PAGE, &c, 1, MACHINE_READ) == -EFAULT);
}

static uint64_t aux(uint64_t sp, uint64_t type)
{
	uint64_t at = sp + 8 + (word_at(sp) + 1) * 8;

	while (word_at(at) != 0)
		at += 8;
	for (at += 8; word_at(at) != AT_NULL; at += 16) {
		if (word_at(at) == type)
			return word_at(at + 8);
	}
	return 0;
}

static void test_fixed(void)
{
	static const char *const argv[] = {"prog", "a b", "", NULL}, *const envp[] = {"X=1", "Y=2", NULL};
	struct kl_regs regs;
	struct file f;

	make(&f, ET_EXEC, 0x400000);
	fake_vfs_add("/prog", &f, sizeof(f));
	CHECK(exec("/prog", argv, envp, &regs) == 0);
	CHECK(regs.rip == 0x400800 && regs.cs == KL_SEL_CODE3 && regs.ss == KL_SEL_DATA3 && regs.rsp % 16 == 0);
	check_segments(&f, 0x400000);
	CHECK(word_at(regs.rsp) == 3 && word_at(regs.rsp + 32) == 0 && word_at(regs.rsp + 56) == 0);
	CHECK(string_at(word_at(regs.rsp + 8), "prog") && string_at(word_at(regs.rsp + 16), "a b"));
	CHECK(string_at(word_at(regs.rsp + 40), "X=1") && string_at(word_at(regs.rsp + 48), "Y=2"));
	CHECK(aux(regs.rsp, AT_PHDR) == 0x400000 + f.header.e_phoff && aux(regs.rsp, AT_PHNUM) == 2);
	CHECK(aux(regs.rsp, AT_ENTRY) == 0x400800 && aux(regs.rsp, AT_BASE) == 0 && aux(regs.rsp, AT_PAGESZ) == PAGE);
	CHECK(string_at(aux(regs.rsp, AT_EXECFN), "/prog") && string_at(aux(regs.rsp, AT_PLATFORM), "x86_64"));
	CHECK(word_at(aux(regs.rsp, AT_RANDOM)) != 0);
	CHECK(string_at(kl_proc()->arg_start, "prog") && kl_proc()->arg_end - kl_proc()->arg_start == 5 + 4 + 1);
	CHECK(string_at(kl_proc()->env_start, "X=1") && kl_proc()->env_end - kl_proc()->env_start == 8);
	CHECK(kl_aspace_brk(kl_aspace_current, 0) >= 0x400000 + 7 * PAGE);
	fake_vfs_clear();
	printf("ok program at a fixed address\n");
}

static void test_interpreter(void)
{
	struct kl_regs regs;
	struct file program, loader;
	uint64_t entry;

	make(&program, ET_DYN, 0);
	strcpy((char *)program.bytes + 0x900, "/ld.so");
	add_segment(&program, PT_INTERP, PF_R, 0x900, 0x900, 7, 7);
	make(&loader, ET_DYN, 0);
	fake_vfs_add("/prog", &program, sizeof(program));
	fake_vfs_add("/ld.so", &loader, sizeof(loader));
	CHECK(exec("/prog", no_strings, no_strings, &regs) == 0);
	entry = aux(regs.rsp, AT_ENTRY);
	check_segments(&program, entry - 0x800);
	check_segments(&loader, aux(regs.rsp, AT_BASE));
	CHECK(regs.rip == aux(regs.rsp, AT_BASE) + 0x800 && regs.rip != entry && word_at(regs.rsp) == 0);
	CHECK(exec("/prog", no_strings, no_strings, &regs) == 0 &&
		aux(regs.rsp, AT_ENTRY) != entry); /* elsewhere each time */
	fake_vfs_clear();
	fake_vfs_add("/prog", &program, sizeof(program));
	CHECK(exec("/prog", no_strings, no_strings, &regs) == -ENOENT);
	fake_vfs_add("/ld.so", "no ELF file at all", 18);
	CHECK(exec("/prog", no_strings, no_strings, &regs) == -ELIBBAD);
	fake_vfs_clear();
	printf("ok dynamic loader\n");
}

static void test_script(void)
{
	static const char *const argv[] = {"zero", "one", NULL};
	static const char text[] = "#! /bin/interp  -x  y \nrest", loop[] = "#!/loop\n";
	struct kl_regs regs;
	struct file f;

	make(&f, ET_DYN, 0);
	fake_vfs_add("/bin/interp", &f, sizeof(f));
	fake_vfs_add("/script", text, sizeof(text));
	fake_vfs_add("/loop", loop, sizeof(loop));
	fake_vfs_add("/short", "#!", 2);
	CHECK(exec("/script", argv, no_strings, &regs) == 0 && word_at(regs.rsp) == 4);
	CHECK(string_at(word_at(regs.rsp + 8), "/bin/interp") && string_at(word_at(regs.rsp + 16), "-x  y"));
	CHECK(string_at(word_at(regs.rsp + 24), "/script") && string_at(word_at(regs.rsp + 32), "one"));
	CHECK(exec("/loop", argv, no_strings, &regs) == -ELOOP);
	CHECK(exec("/short", argv, no_strings, &regs) == -ENOEXEC);
	fake_vfs_clear();
	printf("ok scripts\n");
}

static int try(const struct file *f, size_t bytes)
{
	struct kl_regs regs;
	int err;

	fake_vfs_add("/prog", f, bytes);
	err = exec("/prog", no_strings, no_strings, &regs);
	fake_vfs_clear();
	return err;
}

static void test_refused(void)
{
	struct kl_regs regs;
	struct file f;

	CHECK(exec("/none", no_strings, no_strings, &regs) == -ENOENT);
	make(&f, ET_EXEC, 0x400000);
	CHECK(try(&f, sizeof(f)) == 0 && try(&f, 2 * PAGE) == -ENOEXEC && try(&f, 10) == -ENOEXEC &&
		try(&f, 0) == -ENOEXEC);
	f.header.e_machine = EM_AARCH64;
	CHECK(try(&f, sizeof(f)) == -ENOEXEC);
	make(&f, ET_EXEC, 0x400000);
	f.segments[1].p_filesz = f.segments[1].p_memsz + 1;
	CHECK(try(&f, sizeof(f)) == -ENOEXEC);
	make(&f, ET_EXEC, KL_BASE_VA);
	CHECK(try(&f, sizeof(f)) < 0);
	make(&f, ET_EXEC, 0);
	CHECK(try(&f, sizeof(f)) == -EPERM);
	make(&f, ET_DYN, 0);
	f.segments[1].p_vaddr = UINT64_MAX - PAGE + 0x101;
	CHECK(try(&f, sizeof(f)) == -ENOEXEC);
	printf("ok what is refused\n");
}

static void test_arguments_too_long(void)
{
	static char text[100000];
	const char *argv[40];
	struct kl_regs regs;
	struct file f;

	memset(text, 'x', sizeof(text) - 1);
	for (unsigned i = 0; i < 39; i++)
		argv[i] = text;
	argv[10] = argv[39] = NULL;
	make(&f, ET_DYN, 0);
	fake_vfs_add("/prog", &f, sizeof(f));
	CHECK(exec("/prog", argv, no_strings, &regs) == 0 && string_at(word_at(regs.rsp + 80), text));
	argv[10] = text;
	CHECK(exec("/prog", argv, no_strings, &regs) == -E2BIG);
	fake_vfs_clear();
	printf("ok long arguments\n");
}

int main(void)
{
	machine_start(16 << 20);
	kl_proc()->aspace = kl_aspace_current;
	test_fixed();
	test_interpreter();
	test_script();
	test_refused();
	test_arguments_too_long();
	return 0;
}
