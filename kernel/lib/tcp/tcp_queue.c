/* SPDX-License-Identifier: Apache-2.0 */
/* The send queue: blocks of bytes between snd_una and snd_end. Packets on their way are windows into them. */
#include "tcp_priv.h"

#include <linux/errno.h>

/* Sizes of blocks, this structure included: the heap's classes, and pages. */
static const uint32_t sizes[] = {576, 2016, 4096, 16384};
#define PAGE_SIZE_INDEX 2u

void tcp_block_put(struct tcp_block *block)
{
	if (--block->refs > 0)
		return;
	tcp_root.memory -= block->size;
	if (block->hold != KL_PHYS_NONE)
		kl_page_put(block->hold);
	kl_free(block);
}

static struct tcp_block *alloc_block(size_t want)
{
	unsigned i = 0;

	while (i < PAGE_SIZE_INDEX && want > sizes[i] - sizeof(struct tcp_block))
		i++;
	if (want > 2 * sizes[PAGE_SIZE_INDEX] && !tcp_memory_tight())
		i++;
	for (;; i--) {
		struct tcp_block *block = kl_malloc(sizes[i]);

		if (block != NULL) {
			*block = (struct tcp_block){
				.data = (uint8_t *)(block + 1), .size = sizes[i] - (uint32_t)sizeof(*block), .refs = 1};
			tcp_root.memory += block->size;
			return block;
		}
		if (i == 0)
			return NULL;
	}
}

static void link_block(struct tcp *t, struct tcp_block *block)
{
	if (t->snd_last != NULL) {
		t->snd_last->next = block;
	} else {
		t->snd_first = block;
		t->snd_first_seq = t->snd_end;
	}
	t->snd_last = block;
}

struct tcp_block *tcp_block_room(struct tcp *t, size_t want)
{
	struct tcp_block *block = t->snd_last;

	if (block != NULL && !block->external && block->used < block->size)
		return block;
	return alloc_block(want);
}

/* The block is the last one, or new. */
void tcp_queue_append(struct tcp *t, struct tcp_block *block, uint32_t bytes)
{
	if (bytes == 0) {
		if (block != t->snd_last)
			tcp_block_put(block);
		return;
	}
	if (block != t->snd_last)
		link_block(t, block);
	if (t->snd_next == NULL) {
		t->snd_next = block;
		t->snd_next_offset = block->used;
	}
	block->used += bytes;
	t->snd_end += bytes;
}

int tcp_queue_span(struct tcp *t, const void *data, uint32_t bytes, kl_phys hold)
{
	struct tcp_block *block = kl_malloc(sizeof(*block));

	if (block == NULL)
		return -ENOMEM;
	if (hold != KL_PHYS_NONE)
		kl_page_get(hold);
	*block = (struct tcp_block){.data = (uint8_t *)data, .size = bytes, .refs = 1, .external = true, .hold = hold};
	tcp_root.memory += bytes;
	tcp_queue_append(t, block, bytes);
	return 0;
}

static void pop_block(struct tcp *t)
{
	struct tcp_block *block = t->snd_first;

	t->snd_first = block->next;
	if (t->snd_first == NULL)
		t->snd_last = NULL;
	t->snd_first_seq += block->used;
	tcp_block_put(block);
}

void tcp_queue_acked(struct tcp *t, uint32_t una)
{
	while (t->snd_first != NULL && seq_le(t->snd_first_seq + t->snd_first->used, una) &&
		t->snd_first != t->snd_next)
		pop_block(t);
}

void tcp_queue_clear(struct tcp *t)
{
	tcp_segs_clear(t);
	t->snd_next = NULL;
	while (t->snd_first != NULL)
		pop_block(t);
	t->snd_end = t->snd_nxt = t->snd_una;
}
