/* SPDX-License-Identifier: Apache-2.0 */
/* Segments as bytes: headers and options (RFC 9293 section 3.2, RFC 7323, RFC 2018). */
#include "tcp_priv.h"

#include <linux/errno.h>

enum { OPTION_END = 0, OPTION_NOP, OPTION_MSS, OPTION_WSCALE, OPTION_SACK_OK, OPTION_SACK, OPTION_TS = 8 };

static void parse_option(struct tcp_segment *seg, uint8_t kind, const uint8_t *p, size_t n)
{
	switch (kind) {
	case OPTION_MSS:
		if (n == 2 && (seg->flags & TCP_SYN))
			seg->mss = kl_get_be16(p);
		break;
	case OPTION_WSCALE:
		if (n == 1 && (seg->flags & TCP_SYN)) {
			seg->has_wscale = true;
			seg->wscale = KL_MIN(p[0], (uint8_t)TCP_WSCALE_MAX);
		}
		break;
	case OPTION_SACK_OK:
		if (n == 0 && (seg->flags & TCP_SYN))
			seg->sack_ok = true;
		break;
	case OPTION_SACK:
		if (n % 8 != 0 || n > 32)
			break;
		seg->sacks = (uint8_t)(n / 8);
		for (unsigned i = 0; i < seg->sacks; i++)
			seg->sack[i] = (struct tcp_range){kl_get_be32(p + 8 * i), kl_get_be32(p + 8 * i + 4)};
		break;
	case OPTION_TS:
		if (n == 8) {
			seg->has_ts = true;
			seg->ts_value = kl_get_be32(p);
			seg->ts_echo = kl_get_be32(p + 4);
		}
		break;
	default: break;
	}
}

static void parse_options(struct tcp_segment *seg, const uint8_t *p, size_t n)
{
	/* What nearly all segments have: NOP NOP timestamps. */
	if (n == 12 && kl_get_be32(p) == 0x0101080a) {
		parse_option(seg, OPTION_TS, p + 4, 8);
		return;
	}
	while (n > 0) {
		if (*p == OPTION_END)
			return;
		if (*p == OPTION_NOP) {
			p++;
			n--;
			continue;
		}
		if (n < 2 || p[1] < 2 || p[1] > n)
			return;
		parse_option(seg, p[0], p + 2, p[1] - 2u);
		n -= p[1];
		p += p[1];
	}
}

/* The packet's data is advanced to the payload. false: malformed or damaged. */
bool tcp_segment_parse(struct tcp_segment *seg, struct kl_pbuf *packet, const struct kl_ipv4_info *info)
{
	const struct tcp_header *header = (const struct tcp_header *)packet->data;
	unsigned header_bytes;

	if (packet->bytes < sizeof(*header))
		return false;
	header_bytes = (header->offset >> 4) * 4u;
	if (header_bytes < sizeof(*header) || header_bytes > packet->bytes)
		return false;
	if (packet->csum == KL_CSUM_NONE) {
		uint32_t sum = kl_net_pseudo_sum(info->src_be, info->dst_be, KL_IPPROTO_TCP, (uint16_t)packet->total);

		if (kl_pbuf_sum(packet, 0, packet->total, sum) != 0xffff)
			return false;
	}
	*seg = (struct tcp_segment){
		.seq = kl_ntohl(header->seq_be),
		.ack = kl_ntohl(header->ack_be),
		.window = kl_ntohs(header->window_be),
		.flags = header->flags,
		.urgent = kl_ntohs(header->urgent_be),
		.bytes = packet->total - header_bytes,
		.packet = packet,
		.info = info,
	};
	seg->end = seg->seq + seg->bytes + (seg->flags & TCP_SYN ? 1 : 0) + (seg->flags & TCP_FIN ? 1 : 0);
	if (header_bytes > sizeof(*header))
		parse_options(seg, packet->data + sizeof(*header), header_bytes - sizeof(*header));
	kl_pbuf_pull(packet, header_bytes);
	return true;
}

static uint8_t *put_ts(uint8_t *p, uint32_t value, uint32_t echo)
{
	kl_put_be32(p, 0x0101080a);
	kl_put_be32(p + 4, value);
	kl_put_be32(p + 8, echo);
	return p + 12;
}

static uint8_t *put_syn_options(uint8_t *p, const struct tcp_control *control)
{
	p[0] = OPTION_MSS;
	p[1] = 4;
	kl_put_be16(p + 2, control->mss);
	p += 4;
	if (control->sack_ok) {
		kl_put_be32(p, 0x01010402);
		p += 4;
	}
	if (control->has_wscale) {
		kl_put_be32(p, 0x01030300u | control->wscale);
		p += 4;
	}
	return p;
}

int tcp_send_control(const struct tcp_control *control)
{
	const struct tcp_node *node = control->node;
	struct kl_ipv4_send send = {node->local_be, node->remote_be, KL_IPPROTO_TCP,
		control->ttl != 0 ? control->ttl : 64, control->tos, true};
	struct kl_route route;
	struct kl_pbuf *packet;
	struct tcp_header *header;
	uint8_t *options;
	int err = kl_route_find(node->remote_be, NULL, &route);

	if (err != 0)
		return err;
	packet = kl_pbuf_alloc(KL_PBUF_HEADROOM, TCP_HEADER_BYTES + TCP_OPTIONS_MAX);
	if (packet == NULL)
		return -ENOBUFS;
	header = (struct tcp_header *)kl_pbuf_append(packet, sizeof(*header));
	options = (uint8_t *)(header + 1);
	if (control->mss != 0)
		options = put_syn_options(options, control);
	if (control->has_ts)
		options = put_ts(options, control->ts_value, control->ts_echo);
	kl_pbuf_append(packet, (size_t)(options - (uint8_t *)(header + 1)));
	*header = (struct tcp_header){
		.src_be = kl_htons(node->local_port),
		.dst_be = kl_htons(node->remote_port),
		.seq_be = kl_htonl(control->seq),
		.ack_be = kl_htonl(control->ack),
		.offset = (uint8_t)(packet->bytes / 4 << 4),
		.flags = control->flags,
		.window_be = kl_htons((uint16_t)control->window),
	};
	header->checksum =
		(uint16_t)kl_net_pseudo_sum(send.src_be, send.dst_be, KL_IPPROTO_TCP, (uint16_t)packet->bytes);
	packet->csum = KL_CSUM_PARTIAL;
	packet->csum_start = (uint16_t)(packet->data - packet->start);
	packet->csum_offset = offsetof(struct tcp_header, checksum);
	return kl_ipv4_output(packet, &send, &route);
}

void tcp_reset_reply(const struct tcp_segment *seg, uint16_t local_port, uint16_t remote_port)
{
	struct tcp_node node = {
		.local_be = seg->info->dst_be,
		.remote_be = seg->info->src_be,
		.local_port = local_port,
		.remote_port = remote_port,
	};
	struct tcp_control control = {.node = &node, .flags = TCP_RST};

	if (seg->flags & TCP_RST)
		return;
	if (seg->flags & TCP_ACK) {
		control.seq = seg->ack;
	} else {
		control.ack = seg->end;
		control.flags |= TCP_ACK;
	}
	(void)tcp_send_control(&control);
}

uint16_t tcp_mss_for(uint32_t remote_be)
{
	struct kl_route route;
	uint32_t mtu = 576;

	if (kl_route_find(remote_be, NULL, &route) == 0)
		mtu = kl_route_pmtu(remote_be, route.mtu);
	return (uint16_t)(KL_MIN(mtu, 65535u) - KL_IPV4_HEADER_BYTES - TCP_HEADER_BYTES);
}
