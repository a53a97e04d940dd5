/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <kl/arch.h>
#include <kl/aspace.h>
#include <kl/log.h>
#include <kl/platform.h>
#include <kl/pmm.h>
#include <kl/uaccess.h>

#include "machine.h"

#define TLB_ENTRIES 65536
#define TABLES_PA 0x10000ul
#define PRESENT 1ull
#define WRITABLE 2ull
#define ACCESSED 0x20ull
#define DIRTY 0x40ull
#define NX (1ull << 63)
#define ADDRESS 0x000ffffffffff000ull

struct kl_boot_info kl_boot;
unsigned machine_flushes, machine_faults;

static struct {
	uint64_t vpn, pte;
	unsigned flushes; /* machine_flushes when it was made; valid as long as that is the same */
} tlb[TLB_ENTRIES];

static kl_phys image_next = MACHINE_IMAGE_PA;

void kl_arch_tlb_flush_all(void)
{
	machine_flushes++;
}

void kl_arch_tlb_flush_page(uint64_t va)
{
	(void)va;
	kl_arch_tlb_flush_all();
}

int kl_pmm_init(void);
int kl_aspace_init(void);

void machine_start(size_t ram_bytes)
{
	size_t bytes = MACHINE_FREE_PA + ram_bytes;
	void *at = (void *)KL_DIRECT_VA;

	if (mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != at)
		kl_panic("no room for the machine's memory");
	kl_boot.tables_pa = TABLES_PA;
	kl_boot.free_start_pa = MACHINE_FREE_PA;
	kl_boot.ram_end_pa = bytes;
	kl_boot.free_zeroed = 1;
	if (kl_pmm_init() < 0 || kl_aspace_init() < 0)
		kl_panic("the machine does not start");
}

/* The last entry on the way to the page. */
static uint64_t *walk(uint64_t va)
{
	kl_phys table = kl_boot.tables_pa;

	for (int shift = 39;; shift -= 9) {
		uint64_t *entry = (uint64_t *)kl_phys_to_virt(table) + (va >> shift & 511);

		if (shift == 12 || !(*entry & PRESENT))
			return entry;
		table = *entry & ADDRESS;
	}
}

static bool permits(uint64_t pte, enum machine_access access)
{
	return (pte & PRESENT) && !(access == MACHINE_WRITE && !(pte & WRITABLE)) &&
		!(access == MACHINE_EXEC && (pte & NX));
}

/* The entry for an access that works, or 0. An entry in the TLB that permits the access is believed, whatever the tables say. */
static uint64_t translate(uint64_t va, enum machine_access access)
{
	uint64_t vpn = va >> KL_PAGE_SHIFT, *pte;
	size_t slot = (vpn ^ vpn >> 17) % TLB_ENTRIES;

	if (tlb[slot].vpn == vpn && tlb[slot].flushes == machine_flushes && permits(tlb[slot].pte, access) &&
		(access != MACHINE_WRITE || (tlb[slot].pte & DIRTY)))
		return tlb[slot].pte;
	pte = walk(va);
	if (!permits(*pte, access))
		return 0;
	*pte |= access == MACHINE_WRITE ? ACCESSED | DIRTY : ACCESSED;
	tlb[slot].vpn = vpn;
	tlb[slot].flushes = machine_flushes;
	tlb[slot].pte = *pte;
	return *pte;
}

static int translate_or_fault(uint64_t va, enum machine_access access, uint64_t *pte)
{
	static const unsigned errors[] = {0, KL_FAULT_WRITE, KL_FAULT_EXEC};
	int code;

	for (unsigned tries = 0; tries < 3; tries++) {
		int err;

		*pte = translate(va, access);
		if (*pte != 0)
			return 0;
		machine_faults++;
		err = kl_aspace_fault(
			kl_aspace_current, va, errors[access] | (*walk(va) & PRESENT ? KL_FAULT_PRESENT : 0), &code);
		if (err < 0)
			return err;
	}
	kl_panic("address %#lx faults for ever", va);
}

int machine_touch(uint64_t va, void *buf, size_t n, enum machine_access access)
{
	char *at = buf;

	while (n > 0) {
		size_t piece = KL_MIN(n, KL_PAGE_BYTES - va % KL_PAGE_BYTES);
		uint64_t pte;
		char *page;
		int err = translate_or_fault(va, access, &pte);

		if (err < 0)
			return err;
		page = (char *)kl_phys_to_virt(pte & ADDRESS) + va % KL_PAGE_BYTES;
		if (access == MACHINE_WRITE)
			memcpy(page, at, piece);
		else
			memcpy(at, page, piece);
		at += piece;
		va += piece;
		n -= piece;
	}
	return 0;
}

int kl_copy_from_user(void *dst, kl_uaddr src, size_t n)
{
	return machine_touch(src, dst, n, MACHINE_READ) < 0 ? -EFAULT : 0;
}

int kl_copy_to_user(kl_uaddr dst, const void *src, size_t n)
{
	return machine_touch(dst, (void *)src, n, MACHINE_WRITE) < 0 ? -EFAULT : 0;
}

int kl_zero_user(kl_uaddr dst, size_t n)
{
	static char zeroes[KL_PAGE_BYTES];

	for (size_t piece; n > 0; n -= piece, dst += piece) {
		piece = KL_MIN(n, sizeof(zeroes));
		if (machine_touch(dst, zeroes, piece, MACHINE_WRITE) < 0)
			return -EFAULT;
	}
	return 0;
}

/* --- files --- */

struct store {
	size_t bytes;
	kl_phys image;   /* of an image file */
	kl_phys pages[]; /* of a memory file */
};

static int image_page(struct kl_file *file, uint64_t index, bool shared_write, kl_phys *page)
{
	struct store *store = file->priv;

	if (shared_write)
		return -ENODEV;
	if (index * KL_PAGE_BYTES >= store->bytes)
		return -EFAULT;
	*page = store->image + index * KL_PAGE_BYTES;
	return 0;
}

static int memory_page(struct kl_file *file, uint64_t index, bool shared_write, kl_phys *page)
{
	struct store *store = file->priv;

	(void)shared_write;
	if (index * KL_PAGE_BYTES >= store->bytes)
		return -EFAULT;
	if (store->pages[index] == KL_PHYS_NONE)
		store->pages[index] = kl_page_alloc_zeroed();
	if (store->pages[index] == KL_PHYS_NONE)
		return -ENOMEM;
	kl_page_get(store->pages[index]);
	*page = store->pages[index];
	return 0;
}

static void store_release(struct kl_file *file)
{
	struct store *store = file->priv;

	for (size_t i = 0; store->image == KL_PHYS_NONE && i * KL_PAGE_BYTES < store->bytes; i++) {
		if (store->pages[i] != KL_PHYS_NONE)
			kl_page_put(store->pages[i]);
	}
	free(store);
}

static const struct kl_file_ops image_ops = {.page = image_page, .release = store_release};
static const struct kl_file_ops memory_ops = {.page = memory_page, .release = store_release};

struct kl_file *machine_image_file(const void *data, size_t bytes, unsigned flags)
{
	struct store *store = calloc(1, sizeof(*store));
	size_t room = MACHINE_FREE_PA - image_next;

	store->bytes = bytes;
	store->image = image_next;
	if (KL_ALIGN_UP(bytes, KL_PAGE_BYTES) > room)
		kl_panic("the image is full");
	memset(kl_phys_to_virt(image_next), 0, KL_ALIGN_UP(bytes, KL_PAGE_BYTES));
	memcpy(kl_phys_to_virt(image_next), data, bytes);
	image_next += KL_ALIGN_UP(bytes, KL_PAGE_BYTES);
	return kl_file_create(&image_ops, flags, store);
}

struct kl_file *machine_memory_file(size_t bytes, unsigned flags)
{
	size_t pages = (bytes + KL_PAGE_BYTES - 1) / KL_PAGE_BYTES;
	struct store *store = calloc(1, sizeof(*store) + pages * sizeof(kl_phys));

	store->bytes = bytes;
	return kl_file_create(&memory_ops, flags, store);
}

uint8_t *machine_file_byte(struct kl_file *file, uint64_t offset)
{
	kl_phys page = KL_PHYS_NONE;

	if (file->ops->page(file, offset / KL_PAGE_BYTES, false, &page) < 0)
		return NULL;
	kl_page_put(page);
	return (uint8_t *)kl_phys_to_virt(page) + offset % KL_PAGE_BYTES;
}

void machine_forget_images(void)
{
	image_next = MACHINE_IMAGE_PA;
}

struct kl_file *kl_file_create(const struct kl_file_ops *ops, uint32_t flags, void *priv)
{
	struct kl_file *file = calloc(1, sizeof(*file));

	*file = (struct kl_file){.ops = ops, .refs = 1, .flags = flags, .priv = priv};
	return file;
}

void kl_file_get(struct kl_file *file)
{
	file->refs++;
}

void kl_file_put(struct kl_file *file)
{
	if (--file->refs != 0)
		return;
	file->ops->release(file);
	free(file);
}

const char *kl_file_path(const struct kl_file *file)
{
	(void)file;
	return "/file";
}

__attribute__((weak)) struct kl_file *kl_fd_get(int fd)
{
	(void)fd;
	return NULL;
}
