/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP (RFC 792, RFC 1122 section 3.2.2): echo, errors in both directions. */
#include <kl/clock.h>
#include <kl/ipv4.h>
#include <kl/string.h>

#include <linux/errno.h>
#include <linux/icmp.h>

#define HEADER_BYTES 8u
#define ERRORS_PER_S 1000u /* sent, as Linux's icmp_msgs_per_sec */
#define ERRORS_BURST 50u
#define QUOTE_MAX 548u /* of the packet that an error is about (RFC 1812: 576 in all) */

static struct {
	uint64_t filled_ns;
	unsigned tokens;
} limit = {.tokens = ERRORS_BURST};

static void finish(struct kl_pbuf *packet)
{
	uint16_t sum;

	memset(packet->data + 2, 0, 2);
	sum = (uint16_t)~kl_pbuf_sum(packet, 0, packet->total, 0);
	memcpy(packet->data + 2, &sum, sizeof(sum));
}

static void echo_reply(struct kl_pbuf *packet, const struct kl_ipv4_info *info)
{
	struct kl_ipv4_send send = {info->dst_be, info->src_be, KL_IPPROTO_ICMP, 64, info->tos, false};
	struct kl_route route;
	struct kl_pbuf *reply;

	/* Broadcast echo is ignored, as everywhere (RFC 1122 allows it). */
	if (info->group || kl_route_find(info->src_be, NULL, &route) != 0)
		return;
	reply = kl_pbuf_copy(packet, KL_PBUF_HEADROOM);
	if (reply == NULL)
		return;
	reply->csum = KL_CSUM_NONE;
	reply->gso = KL_GSO_NONE;
	reply->header_bytes = 0;
	reply->data[0] = ICMP_ECHOREPLY;
	finish(reply);
	(void)kl_ipv4_output(reply, &send, &route);
}

struct meaning {
	int error;
	bool hard;
};

/* By code of "destination unreachable", as Linux's icmp_err_convert. */
static const struct meaning unreachable[] = {
	[ICMP_NET_UNREACH] = {ENETUNREACH, false},
	[ICMP_HOST_UNREACH] = {EHOSTUNREACH, false},
	[ICMP_PROT_UNREACH] = {ENOPROTOOPT, true},
	[ICMP_PORT_UNREACH] = {ECONNREFUSED, true},
	[ICMP_FRAG_NEEDED] = {EMSGSIZE, false},
	[ICMP_SR_FAILED] = {EOPNOTSUPP, false},
	[ICMP_NET_UNKNOWN] = {ENETUNREACH, true},
	[ICMP_HOST_UNKNOWN] = {EHOSTDOWN, true},
	[ICMP_HOST_ISOLATED] = {ENONET, true},
	[ICMP_NET_ANO] = {ENETUNREACH, true},
	[ICMP_HOST_ANO] = {EHOSTUNREACH, true},
	[ICMP_NET_UNR_TOS] = {ENETUNREACH, false},
	[ICMP_HOST_UNR_TOS] = {EHOSTUNREACH, false},
	[ICMP_PKT_FILTERED] = {EHOSTUNREACH, true},
	[ICMP_PREC_VIOLATION] = {EHOSTUNREACH, true},
	[ICMP_PREC_CUTOFF] = {EHOSTUNREACH, true},
};

static void error_input(struct kl_pbuf *packet)
{
	uint8_t type = packet->data[0], code = packet->data[1];
	const uint8_t *quoted = packet->data + HEADER_BYTES;
	size_t quoted_bytes = packet->bytes - HEADER_BYTES;
	struct meaning meaning = {EHOSTUNREACH, false};
	uint32_t mtu = 0;

	if (type == ICMP_DEST_UNREACH) {
		if (code >= KL_ARRAY_LEN(unreachable))
			return;
		meaning = unreachable[code];
		if (code == ICMP_FRAG_NEEDED) {
			mtu = kl_get_be16(packet->data + 6);
			if (mtu == 0) /* a router from before RFC 1191 */
				mtu = 576;
		}
	} else if (type == ICMP_PARAMETERPROB) {
		meaning = (struct meaning){EPROTO, true};
	}
	kl_ipv4_report(quoted, quoted_bytes, type, code, meaning.error, meaning.hard, mtu);
}

static void icmp_input(struct kl_pbuf *packet, const struct kl_ipv4_info *info)
{
	if (packet->total < HEADER_BYTES || kl_pbuf_sum(packet, 0, packet->total, 0) != 0xffff)
		goto out;
	switch (packet->data[0]) {
	case ICMP_ECHO: echo_reply(packet, info); break;
	case ICMP_DEST_UNREACH:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETERPROB: error_input(packet); break;
	default: break; /* redirects and source quench are ignored on purpose (RFC 6633) */
	}
out:
	kl_pbuf_put(packet);
}

static bool take_token(void)
{
	uint64_t now = kl_clock_ns();
	uint64_t fresh = (now - limit.filled_ns) / (KL_NS_PER_S / ERRORS_PER_S);

	if (fresh > 0) {
		limit.tokens = (unsigned)KL_MIN((uint64_t)ERRORS_BURST, limit.tokens + fresh);
		limit.filled_ns = now;
	}
	if (limit.tokens == 0)
		return false;
	limit.tokens--;
	return true;
}

static void reject(struct kl_pbuf *packet, const struct kl_ipv4_info *info, uint8_t type, uint8_t code)
{
	struct kl_ipv4_send send = {info->dst_be, info->src_be, KL_IPPROTO_ICMP, 64, 0, false};
	const uint8_t *quoted = packet->start + packet->l3;
	size_t n = (size_t)(packet->data + packet->bytes - quoted);
	struct kl_route route;
	struct kl_pbuf *error;
	uint8_t *header;

	n = KL_MIN(n, (size_t)QUOTE_MAX);
	/* Never about an error, so that two hosts can't keep each other busy. */
	if (info->protocol == KL_IPPROTO_ICMP || info->src_be == 0 || !kl_route_is_local(info->dst_be) || !take_token())
		return;
	if (kl_route_find(info->src_be, NULL, &route) != 0)
		return;
	error = kl_pbuf_alloc(KL_PBUF_HEADROOM, HEADER_BYTES + n);
	if (error == NULL)
		return;
	header = kl_pbuf_append(error, HEADER_BYTES + n);
	memset(header, 0, HEADER_BYTES);
	header[0] = type;
	header[1] = code;
	memcpy(header + HEADER_BYTES, quoted, n);
	finish(error);
	(void)kl_ipv4_output(error, &send, &route);
}

int kl_icmp_init(void);
int kl_icmp_init(void)
{
	static struct kl_ipv4_protocol protocol = {.protocol = KL_IPPROTO_ICMP, .input = icmp_input};

	kl_ipv4_protocol_add(&protocol);
	kl_ipv4_set_reject(reject);
	return 0;
}
