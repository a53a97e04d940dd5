/* SPDX-License-Identifier: Apache-2.0 */
/* Images as an attacker might make them: all that the reader can be asked for, on all that it finds, to some depth. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <kl/erofs.h>
#include <kl/string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static uint8_t sum;
static unsigned budget;

static void touch(const uint8_t *p, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		sum ^= p[i];
}

static void visit(const struct kl_lower *lower, uint64_t id, unsigned depth)
{
	struct kl_lower_node node;
	struct kl_lower_entry entry, found;
	uint64_t at = 0;

	if (depth > 4 || budget == 0 || lower->node(lower, id, &node) < 0)
		return;
	budget--;
	if (node.extent.data_bytes > 0)
		touch(node.extent.data, node.extent.data_bytes);
	if (node.extent.size > node.extent.data_bytes)
		touch(node.extent.tail, node.extent.size - node.extent.data_bytes);
	if ((node.mode & 0170000) != 0040000)
		return;
	(void)lower->lookup(lower, &node.extent, "name", 4, &found);
	while (budget > 0 && lower->next(lower, &node.extent, &at, &entry) == 1) {
		touch((const uint8_t *)entry.name, entry.name_bytes);
		(void)lower->lookup(lower, &node.extent, entry.name, entry.name_bytes, &found);
		visit(lower, entry.id, depth + 1);
		budget -= budget > 0;
	}
}

/* The input with its zeros left out: (count of zeros, count of bytes, bytes)... up to 64 KiB, so that whole images stay short. */
static size_t expand(const uint8_t *in, size_t n, uint8_t *out, size_t size)
{
	size_t at = 0;

	while (n >= 3) {
		size_t zeros = in[0] * 16u + (in[1] & 15), bytes = in[2];

		in += 3;
		n -= 3;
		bytes = bytes < n ? bytes : n;
		if (at + zeros + bytes > size)
			break;
		memset(out + at, 0, zeros);
		memcpy(out + at + zeros, in, bytes);
		at += zeros + bytes;
		in += bytes;
		n -= bytes;
	}
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
	static uint8_t image[65536];
	size_t bytes = expand(input, n, image, sizeof(image));
	uint8_t *exact = aligned_alloc(4096, KL_ALIGN_UP(bytes + 1, 4096ul));
	struct kl_erofs fs = {0};

	/* ASan sees reads beyond the last whole page only; the copy below sees the rest. */
	memcpy(exact, image, bytes);
	budget = 2000;
	if (kl_erofs_open(&fs, exact, bytes) == 0)
		visit(&fs.lower, fs.lower.root_id, 0);
	free(exact);
	exact = malloc(bytes);
	memcpy(exact, image, bytes);
	budget = 2000;
	if (bytes > 0 && kl_erofs_open(&fs, exact, bytes) == 0)
		visit(&fs.lower, fs.lower.root_id, 0);
	free(exact);
	return 0;
}
