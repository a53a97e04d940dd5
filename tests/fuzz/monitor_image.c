// SPDX-License-Identifier: Apache-2.0
/* The monitor's reader of images on any file. What it accepts must keep what image.h promises. */
#include "image.h"

#include <stdlib.h>
#include <string.h>

#define LIMIT_PA KL_MONITOR_PA

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check(const struct kl_image *image, uint64_t file_bytes)
{
	uint64_t end_pa = KL_IMAGE_PA;

	require(image->segments_count <= KL_IMAGE_SEGMENTS_MAX);
	for (unsigned int i = 0; i < image->segments_count; i++) {
		const struct kl_image_segment *segment = &image->segments[i];

		require(segment->pa % KL_PAGE_BYTES == 0);
		require(segment->pa >= end_pa && segment->pa <= LIMIT_PA);
		require(segment->memory_bytes && segment->memory_bytes <= LIMIT_PA - segment->pa);
		require(segment->file_bytes <= segment->memory_bytes && segment->file_bytes <= file_bytes);
		require(segment->file_offset <= file_bytes || !segment->file_bytes);
		require(!segment->writable || !segment->executable);
		end_pa = (segment->pa + segment->memory_bytes + KL_PAGE_BYTES - 1) & ~(KL_PAGE_BYTES - 1);
	}
	require(image->end_pa == end_pa);
	require(kl_image_free_pa(image) >= end_pa);
	require(image->rootfs_pa + image->rootfs_bytes <= end_pa);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kl_image image;
	const char *why = NULL;

	if (kl_image_parse(&image, data, size, LIMIT_PA, &why))
		require(why != NULL && strlen(why) > 0);
	else
		check(&image, size);
	return 0;
}
