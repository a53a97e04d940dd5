/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a virtqueue for host tests, cut into single steps: between any two of them the driver may run, and the
 * other way round. Sees only the rings, as a device does.
 */
#ifndef KL_VIRTIO_TESTS_MODEL_H
#define KL_VIRTIO_TESTS_MODEL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kl/pmm.h>
#include <kl/virtio.h>
#include <linux/virtio_config.h>

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d %s\n", __FILE__, __LINE__, #cond);                                          \
			fflush(stdout);                                                                                \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

enum model_state { MODEL_LOOKING, MODEL_WATCHING, MODEL_PUBLISHED, MODEL_ASLEEP };

struct model {
	struct vring_desc *desc;
	volatile struct vring_avail *avail;
	volatile struct vring_used *used;
	uint16_t size;
	bool event_idx;
	enum model_state state;
	uint16_t next_avail, next_used, published, old_published;
	bool interrupt;           /* the driver has been notified */
	unsigned long notified;   /* how often we were */
	unsigned long interrupts; /* and the driver was */
	/* Serves a chain; returns bytes written. NULL: writes nothing. */
	uint32_t (*serve)(struct model *model, uint16_t head);
	void *context;
};

static inline void model_attach(struct model *m, const struct kl_virtq *vq)
{
	*m = (struct model){
		.desc = vq->desc,
		.avail = vq->avail,
		.used = vq->used,
		.size = vq->size,
		.event_idx = kl_virtio_has(vq->dev, VIRTIO_RING_F_EVENT_IDX),
	};
}

static inline volatile uint16_t *model_avail_event(struct model *m)
{
	return (volatile uint16_t *)&m->used->ring[m->size];
}

static inline volatile uint16_t *model_used_event(struct model *m)
{
	return &m->avail->ring[m->size];
}

/* Takes one request and puts it into the used ring; not yet published. False: none. */
static inline bool model_take(struct model *m)
{
	uint16_t head;

	if (m->avail->idx == m->next_avail)
		return false;
	head = m->avail->ring[m->next_avail % m->size];
	m->next_avail++;
	m->used->ring[m->next_used % m->size].id = head;
	m->used->ring[m->next_used % m->size].len = m->serve ? m->serve(m, head) : 0;
	m->next_used++;
	return true;
}

static inline void model_publish(struct model *m)
{
	m->old_published = m->published;
	m->published = m->next_used;
	m->used->idx = m->published;
}

/* After model_publish(): tells the driver if it wants to know. */
static inline void model_interrupt(struct model *m)
{
	bool wanted = m->event_idx ? vring_need_event(*model_used_event(m), m->published, m->old_published)
				   : !(m->avail->flags & VRING_AVAIL_F_NO_INTERRUPT);

	if (wanted && m->published != m->old_published) {
		m->interrupt = true;
		m->interrupts++;
	}
}

/* One step: batch says how many requests it may serve before it publishes. */
static inline void model_step(struct model *m, unsigned batch)
{
	switch (m->state) {
	case MODEL_LOOKING:
		/* Polls without notifications. */
		m->used->flags = VRING_USED_F_NO_NOTIFY;
		for (unsigned i = 0; i < batch && model_take(m); i++)
			;
		if (m->next_used != m->published) {
			model_publish(m);
			m->state = MODEL_PUBLISHED;
			return;
		}
		*model_avail_event(m) = m->next_avail;
		m->used->flags = 0;
		m->state = MODEL_WATCHING;
		return;
	case MODEL_PUBLISHED:
		model_interrupt(m);
		m->state = MODEL_LOOKING;
		return;
	case MODEL_WATCHING: m->state = m->avail->idx == m->next_avail ? MODEL_ASLEEP : MODEL_LOOKING; return;
	case MODEL_ASLEEP: return;
	}
}

static inline void model_notify(struct model *m)
{
	m->notified++;
	if (m->state == MODEL_ASLEEP || m->state == MODEL_WATCHING)
		m->state = MODEL_LOOKING;
}

/* Until it has nothing to do. */
static inline void model_run(struct model *m)
{
	while (m->state != MODEL_ASLEEP)
		model_step(m, m->size);
}

#endif
