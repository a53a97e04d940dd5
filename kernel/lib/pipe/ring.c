/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/heap.h>
#include <kl/process.h>
#include <kl/signal.h>

#include "pipe_priv.h"

#include <asm/errno.h>
#include <linux/eventpoll.h>

struct kl_pipe *kl_pipe_create(void)
{
	struct kl_pipe *p = kl_zalloc(sizeof(*p));

	if (p == NULL)
		return NULL;
	p->pages = kl_zalloc(KL_PIPE_SLOTS * sizeof(*p->pages));
	if (p->pages == NULL) {
		kl_free(p);
		return NULL;
	}
	p->slots = KL_PIPE_SLOTS;
	kl_waitq_init(&p->readers_wait);
	kl_waitq_init(&p->writers_wait);
	return p;
}

void kl_pipe_free(struct kl_pipe *p)
{
	for (uint32_t i = 0; i < p->slots; i++)
		if (p->pages[i] != KL_PHYS_NONE)
			kl_page_put(p->pages[i]);
	kl_free(p->pages);
	kl_free(p);
}

static kl_phys *slot(struct kl_pipe *p, uint64_t at)
{
	return &p->pages[at / KL_PAGE_BYTES & (p->slots - 1)];
}

size_t kl_pipe_peek(struct kl_pipe *p, const void **data)
{
	size_t at = p->head % KL_PAGE_BYTES, n = KL_PAGE_BYTES - at;

	*data = (uint8_t *)kl_phys_to_virt(*slot(p, p->head)) + at;
	return KL_MIN(n, kl_pipe_used(p));
}

/* Never goes past the end of a page. A page that has been emptied is freed, unless the pipe is empty: that one is used again. */
void kl_pipe_consume(struct kl_pipe *p, size_t n)
{
	kl_phys *page = slot(p, p->head);
	bool full = kl_pipe_room(p) < KL_PIPE_ATOMIC;

	p->head += n;
	if (p->head == p->tail) {
		p->head = p->tail = KL_ALIGN_DOWN(p->head - 1, KL_PAGE_BYTES);
	} else if (p->head % KL_PAGE_BYTES == 0) {
		kl_page_put(*page);
		*page = KL_PHYS_NONE;
	}
	if (full) /* otherwise nobody has cause to wait */
		kl_waitq_wake(&p->writers_wait, EPOLLOUT | EPOLLWRNORM);
}

kl_ssize kl_pipe_put(struct kl_pipe *p, struct kl_iter *it, size_t n)
{
	kl_ssize done = 0;
	int rc = 0;

	n = KL_MIN(n, kl_pipe_room(p));
	while (n > 0 && rc == 0) {
		size_t at = p->tail % KL_PAGE_BYTES, left = it->left;
		kl_phys *page = slot(p, p->tail);

		if (*page == KL_PHYS_NONE)
			*page = kl_page_alloc();
		if (*page == KL_PHYS_NONE) {
			rc = -ENOMEM;
			break;
		}
		rc = kl_iter_read(it, (uint8_t *)kl_phys_to_virt(*page) + at, KL_MIN(n, KL_PAGE_BYTES - at));
		left -= it->left;
		p->tail += left;
		done += (kl_ssize)left;
		n -= left;
	}
	if (done > 0)
		kl_waitq_wake(&p->readers_wait, EPOLLIN | EPOLLRDNORM);
	return done > 0 ? done : rc;
}

int kl_pipe_wait_data(struct kl_pipe *p, bool nonblock)
{
	while (kl_pipe_used(p) == 0 || p->taken) {
		int rc;

		if (p->writers == 0 && !p->taken)
			return 0;
		rc = nonblock ? -EAGAIN : kl_wait(&p->readers_wait, KL_FOREVER, true);
		if (rc < 0)
			return rc;
	}
	return 1;
}

int kl_pipe_wait_room(struct kl_pipe *p, size_t n, bool nonblock)
{
	for (;;) {
		int rc;

		if (p->readers == 0) {
			kl_signal_send_thread(kl_current, SIGPIPE, NULL);
			return -EPIPE;
		}
		if (kl_pipe_room(p) >= n)
			return 0;
		rc = nonblock ? -EAGAIN : kl_wait(&p->writers_wait, KL_FOREVER, true);
		if (rc < 0)
			return rc;
	}
}
