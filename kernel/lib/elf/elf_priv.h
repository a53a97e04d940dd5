/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KL_ELF_PRIV_H
#define KL_ELF_PRIV_H

#include <kl/types.h>

#include <linux/elf.h>

struct kl_file;

/* An ELF file that was opened and found sound. All addresses are the file's own, before it gets a place. */
struct elf_image {
	struct kl_file *file; /* a reference */
	Elf64_Ehdr header;
	Elf64_Phdr *segments; /* header.e_phnum of them */
	char *interpreter;    /* PT_INTERP's path, or NULL */
	uint64_t low, high;   /* all PT_LOADs, whole pages */
	uint64_t align;       /* the largest p_align, at least a page */
	bool exec_stack;
};

/* 0; -ENOEXEC: no ELF program for this machine, or damaged; or why it can't be read. */
int elf_image_open(struct elf_image *image, struct kl_file *file);
void elf_image_close(struct elf_image *image);

/* Where an image was mapped. */
struct elf_place {
	uint64_t bias; /* added to the file's addresses */
	uint64_t entry, segments, low, high;
};

/* Maps all segments. base: wanted place of a position-independent image, 0: any. */
int elf_image_map(const struct elf_image *image, uint64_t base, struct elf_place *place);

/* What the new program finds on its stack. Strings and arrays are the library OS's. */
struct elf_start {
	const char *path; /* AT_EXECFN */
	const char *const *argv, *const *envp;
	struct elf_place program;
	uint64_t segment_count;
	uint64_t base; /* of the interpreter; 0: none */
	uint64_t vdso;
	bool exec_stack;
};

/* Makes the stack; *sp: its pointer. 0, -E2BIG, -ENOMEM. Fills in what the process keeps of it. */
int elf_stack_make(const struct elf_start *start, uint64_t *sp);

#endif
