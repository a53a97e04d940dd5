/* SPDX-License-Identifier: Apache-2.0 */
/* A network device that says what it likes about what it received: lengths, numbers of buffers, offloads, ids. */
#include "../tests/stack.h"

#include <kl/log.h>

/* Here, so that each input begins with a device that nobody has claimed. */
#include "../../virtio/device.c"

void kl_log(enum kl_log_level level, const char *fmt, ...)
{
	(void)level;
	(void)fmt;
}

static void put_half(const void *buffer)
{
	kl_phys page = KL_ALIGN_DOWN(kl_virt_to_phys(buffer), KL_PAGE_BYTES);

	/* The second half of it that comes by takes the page along. */
	kl_page_set_tag(page, kl_page_tag(page) + 0x100);
	if (kl_page_tag(page) >> 8 == 2)
		kl_page_put(page);
}

static void tear_down(void)
{
	struct net *net = lab.nif->priv;
	struct kl_list *link;
	void *buffer;

	kl_pbuf_queue_free(&lab.received);
	if (net->packet)
		kl_pbuf_put(net->packet);
	lab_check_buffers();
	while ((buffer = kl_virtq_detach(&net->rx)) != NULL)
		put_half(buffer);
	while ((link = kl_list_pop_front(&net->rx_free)) != NULL)
		put_half(KL_LIST_ENTRY(link, struct rx_buffer, free_link));
	CHECK(kl_host_pages_used() == 0);
	kl_virtq_free(&net->rx);
	kl_virtq_free(&net->tx);
	kl_free(net->headers);
	kl_free(net);
	memset(&root, 0, sizeof(root));
	memset(&lab, 0, sizeof(lab));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t buffer[2048];

	lab.pages_free = 10000;
	lab_start(ALL_FEATURES);
	while (size >= 5) {
		uint8_t action = data[0];
		uint32_t bytes = (uint32_t)(data[1] << 8 | data[2]) % sizeof(buffer);
		uint32_t said = action & 0x80 ? bytes : (uint32_t)(data[3] << 8 | data[4]);
		size_t taken = KL_MIN(size - 5, (size_t)HEADER);

		data += 5;
		size -= 5;
		switch (action % 6) {
		case 0:
		case 1:
			memset(buffer, 0, HEADER);
			memcpy(buffer, data, taken);
			data += taken;
			size -= taken;
			lab_fill(buffer, bytes, said);
			break;
		case 2:
			model_publish(&lab.rx);
			lab.poller->poll(lab.poller);
			break;
		case 3: kl_pbuf_put(kl_pbuf_dequeue(&lab.received)); break;
		case 4:
			lab.pages_free = said % 600;
			lab.poller->arm(lab.poller);
			break;
		default:
			if (action & 0x40) {
				lab.rx.used->ring[lab.rx.next_used % lab.rx.size].id = said % 300;
				lab.rx.next_used++;
			}
			break;
		}
	}
	model_publish(&lab.rx);
	lab.poller->poll(lab.poller);
	tear_down();
	return 0;
}
