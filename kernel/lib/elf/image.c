/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and checking of ELF files (System V ABI, chapters 4 and 5). Every number in them may be a lie. */
#include <kl/file.h>
#include <kl/heap.h>
#include <kl/string.h>

#include <asm/errno.h>

#include "elf_priv.h"
#include "kl_layout.h"

#define SEGMENTS_MAX 128
#define INTERPRETER_MAX 4096
#define ALIGN_MAX (1ull << 30)

static bool header_ok(const Elf64_Ehdr *h)
{
	return memcmp(h->e_ident, ELFMAG, SELFMAG) == 0 && h->e_ident[EI_CLASS] == ELFCLASS64 &&
		h->e_ident[EI_DATA] == ELFDATA2LSB && h->e_machine == EM_X86_64 &&
		(h->e_type == ET_EXEC || h->e_type == ET_DYN) && h->e_phentsize == sizeof(Elf64_Phdr) &&
		h->e_phnum > 0 && h->e_phnum <= SEGMENTS_MAX;
}

static bool load_ok(const Elf64_Phdr *p, uint64_t file_bytes)
{
	uint64_t end;

	if (p->p_filesz > p->p_memsz || p->p_memsz > KL_USER_TOP_VA || p->p_vaddr > KL_USER_TOP_VA)
		return false;
	if (__builtin_add_overflow(p->p_offset, p->p_filesz, &end) || end > file_bytes)
		return false;
	return ((p->p_offset ^ p->p_vaddr) & (KL_PAGE_BYTES - 1)) == 0 && p->p_vaddr + p->p_memsz <= KL_USER_TOP_VA;
}

/* Takes in one PT_LOAD; they are to be in order of address. */
static int add_load(struct elf_image *image, const Elf64_Phdr *p, uint64_t file_bytes)
{
	uint64_t start = KL_ALIGN_DOWN(p->p_vaddr, KL_PAGE_BYTES);
	bool first = image->high == 0;

	if (!load_ok(p, file_bytes) || (!first && p->p_vaddr < image->low))
		return -ENOEXEC;
	if (first)
		image->low = start;
	image->high = KL_MAX(image->high, KL_ALIGN_UP(p->p_vaddr + p->p_memsz, KL_PAGE_BYTES));
	if ((p->p_align & (p->p_align - 1)) == 0 && p->p_align <= ALIGN_MAX)
		image->align = KL_MAX(image->align, p->p_align);
	return 0;
}

static int read_interpreter(struct elf_image *image, const Elf64_Phdr *p)
{
	int err;

	if (image->interpreter != NULL || p->p_filesz < 2 || p->p_filesz > INTERPRETER_MAX)
		return -ENOEXEC;
	image->interpreter = kl_malloc(p->p_filesz);
	if (image->interpreter == NULL)
		return -ENOMEM;
	err = kl_file_read_exact(image->file, image->interpreter, p->p_filesz, p->p_offset);
	if (err < 0)
		return err;
	return image->interpreter[p->p_filesz - 1] == 0 ? 0 : -ENOEXEC;
}

static int read_segments(struct elf_image *image)
{
	int64_t file_bytes = kl_file_size(image->file);
	size_t bytes = image->header.e_phnum * sizeof(Elf64_Phdr);
	int err;

	if (file_bytes < 0)
		return (int)file_bytes;
	image->segments = kl_malloc(bytes);
	if (image->segments == NULL)
		return -ENOMEM;
	err = kl_file_read_exact(image->file, image->segments, bytes, image->header.e_phoff);
	for (unsigned i = 0; err == 0 && i < image->header.e_phnum; i++) {
		const Elf64_Phdr *p = &image->segments[i];

		if (p->p_type == PT_LOAD && p->p_memsz != 0)
			err = add_load(image, p, (uint64_t)file_bytes);
		else if (p->p_type == PT_INTERP)
			err = read_interpreter(image, p);
		else if (p->p_type == PT_GNU_STACK)
			image->exec_stack = p->p_flags & PF_X;
	}
	if (err < 0)
		return err;
	return image->high > image->low ? 0 : -ENOEXEC;
}

int elf_image_open(struct elf_image *image, struct kl_file *file)
{
	int err;

	memset(image, 0, sizeof(*image));
	image->align = KL_PAGE_BYTES;
	image->file = file;
	kl_file_get(file);
	err = kl_file_read_exact(file, &image->header, sizeof(image->header), 0);
	if (err == 0)
		err = header_ok(&image->header) ? read_segments(image) : -ENOEXEC;
	if (err < 0)
		elf_image_close(image);
	return err == -EIO ? -ENOEXEC : err; /* too short */
}

void elf_image_close(struct elf_image *image)
{
	if (image->file != NULL)
		kl_file_put(image->file);
	kl_free(image->segments);
	kl_free(image->interpreter);
	memset(image, 0, sizeof(*image));
}
