/* SPDX-License-Identifier: Apache-2.0 */
/* What devices without offloads need done: checksums, and the cutting of large TCP packets into frames. */
#include <kl/string.h>

#include "net_priv.h"

#include <linux/errno.h>

#define TCP_FLAG_FIN 0x01
#define TCP_FLAG_PSH 0x08
#define IP_LENGTH 2
#define IP_ID 4
#define IP_CHECKSUM 10
#define TCP_SEQ 4
#define TCP_FLAGS 13
#define TCP_CHECKSUM 16

void net_complete_checksum(struct kl_pbuf *packet)
{
	unsigned start = kl_pbuf_csum_start(packet);
	uint16_t sum = (uint16_t)~kl_pbuf_sum(packet, start, packet->total - start, 0);

	/* UDP: 0 means "none", so a sum of 0 is sent as its other form; for TCP the two are the same. */
	if (sum == 0)
		sum = 0xffff;
	memcpy(packet->data + start + packet->csum_offset, &sum, sizeof(sum));
	packet->csum = KL_CSUM_NONE;
}

/* Headers of the frame that carries payload [offset, offset + n) of packet. */
static struct kl_pbuf *frame_headers(const struct kl_pbuf *packet, uint32_t offset, uint32_t n, bool last)
{
	unsigned header = packet->header_bytes;
	unsigned l3 = packet->l3 - (unsigned)(packet->data - packet->start);
	unsigned l4 = packet->l4 - (unsigned)(packet->data - packet->start);
	struct kl_pbuf *frame = kl_pbuf_alloc(KL_PBUF_HEADROOM, header);
	uint8_t *ip, *tcp;
	uint32_t src, dst, sum;

	if (frame == NULL)
		return NULL;
	memcpy(kl_pbuf_append(frame, header), packet->data, header);
	ip = frame->data + l3;
	tcp = frame->data + l4;
	kl_put_be16(ip + IP_LENGTH, (uint16_t)(header - l3 + n));
	kl_put_be16(ip + IP_ID, (uint16_t)(kl_get_be16(ip + IP_ID) + offset / packet->gso_bytes));
	memset(ip + IP_CHECKSUM, 0, 2);
	sum = ~kl_net_sum(ip, l4 - l3, 0);
	memcpy(ip + IP_CHECKSUM, &(uint16_t){(uint16_t)sum}, 2);
	kl_put_be32(tcp + TCP_SEQ, kl_get_be32(tcp + TCP_SEQ) + offset);
	if (!last)
		tcp[TCP_FLAGS] &= (uint8_t) ~(TCP_FLAG_FIN | TCP_FLAG_PSH);
	memcpy(&src, ip + 12, 4);
	memcpy(&dst, ip + 16, 4);
	sum = kl_net_pseudo_sum(src, dst, 6, (uint16_t)(header - l4 + n));
	memcpy(tcp + TCP_CHECKSUM, &(uint16_t){(uint16_t)sum}, 2);
	frame->l3 = (uint16_t)(ip - frame->start);
	frame->l4 = frame->csum_start = (uint16_t)(tcp - frame->start);
	frame->csum_offset = TCP_CHECKSUM;
	frame->csum = KL_CSUM_PARTIAL;
	return frame;
}

int net_segment(struct kl_pbuf *packet, struct kl_netif *nif, int (*sink)(struct kl_netif *nif, struct kl_pbuf *frame))
{
	struct kl_pbuf *from = packet;
	uint32_t at = packet->header_bytes; /* in from */
	uint32_t payload = packet->total - packet->header_bytes;
	int err = 0;

	for (uint32_t offset = 0; offset < payload;) {
		uint32_t n = KL_MIN(payload - offset, (uint32_t)packet->gso_bytes), left = n;
		struct kl_pbuf *frame = frame_headers(packet, offset, n, offset + n == payload);
		struct kl_pbuf **tail;

		if (frame == NULL) {
			err = -ENOBUFS;
			break;
		}
		tail = &frame->next;
		while (left > 0) {
			uint32_t part;

			while (at == from->bytes) {
				from = from->next;
				at = 0;
			}
			part = KL_MIN(left, from->bytes - at);
			*tail = kl_pbuf_slice(from, at, part);
			if (*tail == NULL)
				break;
			tail = &(*tail)->next;
			at += part;
			left -= part;
		}
		frame->total += n;
		if (left > 0) {
			kl_pbuf_put(frame);
			err = -ENOBUFS;
			break;
		}
		offset += n;
		err = sink(nif, frame);
		if (err != 0)
			break;
	}
	kl_pbuf_put(packet);
	return err;
}
