/* SPDX-License-Identifier: Apache-2.0 */
/* Gives an ELF file its place in the address space. */
#include <kl/aspace.h>
#include <kl/file.h>
#include <kl/uaccess.h>

#include <asm/errno.h>
#include <linux/mman.h>

#include "elf_priv.h"

static int protection(const Elf64_Phdr *p)
{
	return (p->p_flags & PF_R ? PROT_READ : 0) | (p->p_flags & PF_W ? PROT_WRITE : 0) |
		(p->p_flags & PF_X ? PROT_EXEC : 0);
}

/* Behind a segment's part of the file: zeroes to the end of its last page, then pages of memory. */
static int map_bss(const Elf64_Phdr *p, uint64_t bias, int prot)
{
	uint64_t file_end = bias + p->p_vaddr + p->p_filesz, end = bias + p->p_vaddr + p->p_memsz;
	uint64_t page = KL_ALIGN_UP(file_end, KL_PAGE_BYTES);
	int64_t addr;

	if (end == file_end)
		return 0;
	if (p->p_filesz != 0 && page != file_end && (prot & PROT_WRITE)) {
		kl_aspace_populate(kl_aspace_current, file_end, 1, true);
		if (kl_zero_user(file_end, page - file_end) < 0)
			return -EFAULT;
	}
	if (p->p_filesz == 0)
		page = KL_ALIGN_DOWN(bias + p->p_vaddr, KL_PAGE_BYTES);
	end = KL_ALIGN_UP(end, KL_PAGE_BYTES);
	if (end <= page)
		return 0;
	addr = kl_aspace_map(
		kl_aspace_current, page, end - page, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0);
	return addr < 0 ? (int)addr : 0;
}

static int map_segment(const struct elf_image *image, const Elf64_Phdr *p, uint64_t bias)
{
	uint64_t lead = p->p_vaddr & (KL_PAGE_BYTES - 1);
	int prot = protection(p);
	int64_t addr;

	if (p->p_filesz != 0) {
		addr = kl_aspace_map(kl_aspace_current, bias + p->p_vaddr - lead, p->p_filesz + lead, prot,
			MAP_PRIVATE | MAP_FIXED, image->file, p->p_offset - lead);
		if (addr < 0)
			return (int)addr;
	}
	return map_bss(p, bias, prot);
}

/* Where the lowest page goes: the file says, or, if it need not care, we do. Address or -errno. */
static int64_t choose(const struct elf_image *image, uint64_t base)
{
	int64_t addr;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	uint64_t bytes = image->high - image->low;

	if (image->header.e_type == ET_EXEC)
		return kl_aspace_map(
			kl_aspace_current, image->low, bytes, PROT_NONE, flags | MAP_FIXED_NOREPLACE, NULL, 0);
	if (base != 0) {
		base = KL_ALIGN_UP(base, image->align);
		return kl_aspace_map(kl_aspace_current, base, bytes, PROT_NONE, flags | MAP_FIXED_NOREPLACE, NULL, 0);
	}
	addr = kl_aspace_map(kl_aspace_current, 0, bytes + image->align - KL_PAGE_BYTES, PROT_NONE, flags, NULL, 0);
	if (addr < 0 || image->align == KL_PAGE_BYTES)
		return addr;
	if (kl_aspace_unmap(kl_aspace_current, (uint64_t)addr, bytes + image->align - KL_PAGE_BYTES) < 0)
		return -ENOMEM;
	addr = (int64_t)KL_ALIGN_UP((uint64_t)addr, image->align);
	return kl_aspace_map(kl_aspace_current, (uint64_t)addr, bytes, PROT_NONE, flags | MAP_FIXED_NOREPLACE, NULL, 0);
}

/* The program headers' address: PT_PHDR says it, or they lie in a segment. */
static uint64_t find_headers(const struct elf_image *image, uint64_t bias)
{
	uint64_t offset = image->header.e_phoff;

	for (unsigned i = 0; i < image->header.e_phnum; i++) {
		const Elf64_Phdr *p = &image->segments[i];

		if (p->p_type == PT_PHDR)
			return bias + p->p_vaddr;
	}
	for (unsigned i = 0; i < image->header.e_phnum; i++) {
		const Elf64_Phdr *p = &image->segments[i];

		if (p->p_type == PT_LOAD && offset >= p->p_offset && offset - p->p_offset < p->p_filesz)
			return bias + p->p_vaddr + (offset - p->p_offset);
	}
	return 0;
}

/* Removes what choose() mapped and no segment covers. */
static int map_all(const struct elf_image *image, uint64_t bias)
{
	uint64_t done = image->low; /* up to here there are segments, or holes that were opened */
	int err = 0;

	for (unsigned i = 0; err == 0 && i < image->header.e_phnum; i++) {
		const Elf64_Phdr *p = &image->segments[i];
		uint64_t start = KL_ALIGN_DOWN(p->p_vaddr, KL_PAGE_BYTES);

		if (p->p_type != PT_LOAD || p->p_memsz == 0)
			continue;
		if (start > done)
			err = kl_aspace_unmap(kl_aspace_current, bias + done, start - done);
		if (err == 0)
			err = map_segment(image, p, bias);
		done = KL_MAX(done, KL_ALIGN_UP(p->p_vaddr + p->p_memsz, KL_PAGE_BYTES));
	}
	return err;
}

int elf_image_map(const struct elf_image *image, uint64_t base, struct elf_place *place)
{
	int64_t addr = choose(image, base);
	int err;

	if (addr < 0)
		return (int)addr;
	place->bias = (uint64_t)addr - image->low;
	place->low = (uint64_t)addr;
	place->high = place->bias + image->high;
	place->entry = place->bias + image->header.e_entry;
	place->segments = find_headers(image, place->bias);
	err = map_all(image, place->bias);
	return err == -EFAULT ? -ENOMEM : err;
}
