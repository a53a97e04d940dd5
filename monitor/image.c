// SPDX-License-Identifier: Apache-2.0
#include "image.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

struct kl_image_note {
	uint32_t abi_version, reserved;
	uint64_t rootfs_pa, rootfs_bytes;
};

static int refuse(const char **why, const char *text)
{
	*why = text;
	return -ENOEXEC;
}

/* Copy [offset, offset + bytes) of the file, or false where it does not lie inside. */
static bool copy_out(void *to, const uint8_t *file, uint64_t file_bytes, uint64_t offset, uint64_t bytes)
{
	if (bytes > file_bytes || offset > file_bytes - bytes)
		return false;
	memcpy(to, file + offset, bytes);
	return true;
}

static uint64_t page_up(uint64_t value)
{
	return (value + KL_PAGE_BYTES - 1) & ~(KL_PAGE_BYTES - 1);
}

static int add_segment(
	struct kl_image *image, const Elf64_Phdr *phdr, uint64_t file_bytes, uint64_t limit_pa, const char **why)
{
	struct kl_image_segment segment = {
		.pa = phdr->p_paddr,
		.va = phdr->p_vaddr,
		.file_offset = phdr->p_offset,
		.file_bytes = phdr->p_filesz,
		.memory_bytes = phdr->p_memsz,
		.writable = phdr->p_flags & PF_W,
		.executable = phdr->p_flags & PF_X,
	};

	if (!segment.memory_bytes)
		return 0;
	if (segment.file_bytes > segment.memory_bytes)
		return refuse(why, "a segment has more bytes in the file than in memory");
	if (segment.file_bytes > file_bytes || segment.file_offset > file_bytes - segment.file_bytes)
		return refuse(why, "a segment lies beyond the end of the file (truncated?)");
	if (segment.pa % KL_PAGE_BYTES)
		return refuse(why, "a segment does not start on a page");
	if (segment.file_bytes && segment.file_offset % KL_PAGE_BYTES)
		return refuse(why, "a segment does not start on a page of the file");
	if (segment.pa < image->end_pa)
		return refuse(why, "segments overlap, are out of order, or lie below the image's place");
	if (segment.pa > limit_pa || segment.memory_bytes > limit_pa - segment.pa)
		return refuse(why, "a segment ends beyond the largest memory there can be");
	if (segment.va == KL_DIRECT_VA + segment.pa)
		segment.direct_only = true;
	else if (segment.va != KL_BASE_VA + segment.pa)
		return refuse(why, "a segment's virtual address does not follow from its physical one");
	if (segment.writable && segment.executable)
		return refuse(why, "a segment is writable and executable");
	if (segment.direct_only && (segment.writable || segment.executable))
		return refuse(why, "the root file system's segment is not read-only");
	if (image->segments_count == KL_IMAGE_SEGMENTS_MAX)
		return refuse(why, "too many segments");
	image->segments[image->segments_count++] = segment;
	image->end_pa = page_up(segment.pa + segment.memory_bytes);
	return 0;
}

/* Look for kernlet's note in one PT_NOTE. *found says whether it was there. */
static int read_notes(struct kl_image *image, const Elf64_Phdr *phdr, const uint8_t *file, uint64_t file_bytes,
	bool *found, const char **why)
{
	uint64_t offset = phdr->p_offset, left = phdr->p_filesz;
	Elf64_Nhdr header;

	if (left > file_bytes || offset > file_bytes - left)
		return refuse(why, "a note lies beyond the end of the file (truncated?)");
	while (left >= sizeof(header)) {
		struct kl_image_note note;
		char name[8];

		if (!copy_out(&header, file, file_bytes, offset, sizeof(header)))
			return refuse(why, "a note lies beyond the end of the file (truncated?)");
		uint64_t name_bytes = ((uint64_t)header.n_namesz + 3) & ~3ull;
		uint64_t desc_bytes = ((uint64_t)header.n_descsz + 3) & ~3ull;
		uint64_t whole = sizeof(header) + name_bytes + desc_bytes;

		if (whole > left)
			return refuse(why, "a note is longer than its segment");
		if (header.n_namesz == sizeof(name) && header.n_type == KL_IMAGE_NOTE_TYPE &&
			copy_out(name, file, file_bytes, offset + sizeof(header), sizeof(name)) &&
			!memcmp(name, "kernlet", sizeof(name))) {
			if (header.n_descsz < sizeof(note) ||
				!copy_out(&note, file, file_bytes, offset + sizeof(header) + name_bytes, sizeof(note)))
				return refuse(why, "its note is too short");
			if (note.abi_version != KL_ABI_VERSION)
				return refuse(why, "it was built for another version of the monitor (rebuild it)");
			image->rootfs_pa = note.rootfs_pa;
			image->rootfs_bytes = note.rootfs_bytes;
			*found = true;
		}
		offset += whole;
		left -= whole;
	}
	return 0;
}

static int check_rootfs(const struct kl_image *image, const char **why)
{
	if (!image->rootfs_pa && !image->rootfs_bytes)
		return 0;
	for (unsigned int i = 0; i < image->segments_count; i++) {
		const struct kl_image_segment *segment = &image->segments[i];

		if (image->rootfs_pa == segment->pa && image->rootfs_bytes &&
			image->rootfs_bytes <= segment->file_bytes)
			return 0;
	}
	return refuse(why, "the root file system is not where its note says");
}

static bool within(uint64_t start, uint64_t end, uint64_t low, uint64_t high)
{
	return start <= end && (start == end || (start >= low && end <= high));
}

/* The stub pages have their fixed place at the start; the header in them describes the library OS's text. */
static int read_header(struct kl_image *image, const uint8_t *file, uint64_t file_bytes, const char **why)
{
	const uint64_t pa = KL_GATE_PA + KL_GATE_HEADER_OFFSET;
	struct kl_image_header *header = &image->header;

	for (unsigned int i = 0; i < image->segments_count; i++) {
		const struct kl_image_segment *segment = &image->segments[i];

		if (pa < segment->pa || pa - segment->pa >= segment->file_bytes ||
			segment->file_bytes - (pa - segment->pa) < sizeof(*header))
			continue;
		if (!copy_out(header, file, file_bytes, segment->file_offset + (pa - segment->pa), sizeof(*header)))
			break;
		if (header->magic != KL_HEADER_MAGIC || header->abi_version != KL_ABI_VERSION)
			return refuse(why, "the header of the library OS is missing or of another version");
		if (!within(header->text_start_va, header->text_end_va, KL_BASE_VA + KL_IMAGE_PA,
			    KL_BASE_VA + image->end_pa) ||
			!within(header->exit_start_va, header->exit_end_va, header->text_start_va, header->text_end_va))
			return refuse(why, "the header of the library OS names text outside of it");
		return 0;
	}
	return refuse(why, "it has no stub pages");
}

/* The entry point must be executable text at CPL 3. */
static bool entry_is_text(const struct kl_image *image)
{
	for (unsigned int i = 0; i < image->segments_count; i++) {
		const struct kl_image_segment *segment = &image->segments[i];

		if (segment->executable && image->entry_va >= segment->va &&
			image->entry_va - segment->va < segment->memory_bytes)
			return true;
	}
	return false;
}

int kl_image_parse(
	struct kl_image *image, const uint8_t *file, uint64_t file_bytes, uint64_t limit_pa, const char **why)
{
	Elf64_Ehdr elf;
	Elf64_Phdr phdrs[2 * KL_IMAGE_SEGMENTS_MAX];
	bool noted = false;
	int error;

	memset(image, 0, sizeof(*image));
	image->end_pa = KL_IMAGE_PA;
	if (!copy_out(&elf, file, file_bytes, 0, sizeof(elf)) || memcmp(elf.e_ident, ELFMAG, SELFMAG))
		return refuse(why, "not an ELF file");
	if (elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_ident[EI_DATA] != ELFDATA2LSB || elf.e_machine != EM_X86_64)
		return refuse(why, "not for x86-64");
	if (elf.e_type != ET_EXEC)
		return refuse(why, "an ordinary program, not a kernlet");
	if (elf.e_phentsize != sizeof(phdrs[0]) || !elf.e_phnum || elf.e_phnum > sizeof(phdrs) / sizeof(phdrs[0]))
		return refuse(why, "its program headers make no sense");
	if (!copy_out(phdrs, file, file_bytes, elf.e_phoff, elf.e_phnum * sizeof(phdrs[0])))
		return refuse(why, "its program headers lie beyond the end of the file (truncated?)");
	for (unsigned int i = 0; i < elf.e_phnum; i++) {
		if (phdrs[i].p_type == PT_LOAD)
			error = add_segment(image, &phdrs[i], file_bytes, limit_pa, why);
		else if (phdrs[i].p_type == PT_NOTE)
			error = read_notes(image, &phdrs[i], file, file_bytes, &noted, why);
		else
			error = 0;
		if (error)
			return error;
	}
	if (!noted)
		return refuse(why, "an ordinary program, not a kernlet");
	error = check_rootfs(image, why);
	if (!error)
		error = read_header(image, file, file_bytes, why);
	if (error)
		return error;
	image->entry_va = elf.e_entry;
	if (!entry_is_text(image))
		return refuse(why, "its entry point is not in executable text");
	return 0;
}

int kl_image_map(const struct kl_image *image, int fd, const struct kl_memory *memory)
{
	for (unsigned int i = 0; i < image->segments_count; i++) {
		const struct kl_image_segment *segment = &image->segments[i];
		uint64_t mapped = page_up(segment->file_bytes);
		uint8_t *to = kl_memory_at(memory, segment->pa, mapped);

		if (!to)
			return -ENOMEM;
		if (!mapped)
			continue;
		if (mmap(to, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd,
			    (off_t)segment->file_offset) == MAP_FAILED)
			return -errno;
		/* The file goes on behind the segment, the guest's memory does not. */
		if (segment->file_bytes % KL_PAGE_BYTES && segment->memory_bytes > segment->file_bytes)
			memset(to + segment->file_bytes, 0, mapped - segment->file_bytes);
	}
	return 0;
}
