/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a kernlet: an ELF file that nobody has vouched for. */
#ifndef KL_MONITOR_IMAGE_H
#define KL_MONITOR_IMAGE_H

#include "kl_boot.h"
#include "memory.h"

#include <stdbool.h>

#define KL_IMAGE_SEGMENTS_MAX 16
#define KL_IMAGE_NOTE_TYPE 1

struct kl_image_segment {
	uint64_t pa, va, file_offset, file_bytes, memory_bytes;
	bool writable, executable;
	bool direct_only; /* mapped at KL_DIRECT_VA only: the root file system */
};

/* What is known of an image after all checks. Segments are in ascending order, page-disjoint, within [KL_IMAGE_PA, end_pa). */
struct kl_image {
	uint64_t entry_va;
	uint64_t end_pa; /* behind the last segment, rounded up to a page */
	uint64_t rootfs_pa, rootfs_bytes;
	unsigned int segments_count;
	struct kl_image_segment segments[KL_IMAGE_SEGMENTS_MAX];
	struct kl_image_header header;
};

/* Where free memory starts: at the next huge page, so that all of it can lie in huge pages of the host. */
static inline uint64_t kl_image_free_pa(const struct kl_image *image)
{
	return (image->end_pa + KL_HUGE_PAGE_BYTES - 1) & ~(KL_HUGE_PAGE_BYTES - 1);
}

/*
 * Check the file and fill image from it: everything used is copied out of file once, before it is checked. No part of the file
 * is trusted. limit_pa: where segments must end. 0, or -ENOEXEC with a phrase in *why that says what is wrong.
 */
int kl_image_parse(
	struct kl_image *image, const uint8_t *file, uint64_t file_bytes, uint64_t limit_pa, const char **why);

/* Put the segments into memory: file pages privately mapped (shared until written), what lies behind them zero. 0 or -errno. */
int kl_image_map(const struct kl_image *image, int fd, const struct kl_memory *memory);

#endif
