/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/errno.h>

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			fprintf(stderr, "FAIL %s:%d %s\n", __FILE__, __LINE__, #cond);                                 \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

int kl_arp_init(void);
int kl_ipv4_init(void);
int kl_icmp_init(void);
int kl_inet_init(void);
int kl_tcp_init(void);
int kl_udp_init(void);
int kl_loopback_init(void);

static const uint8_t our_mac[6] = {0x52, 0x54, 0, 0, 0, 2}, peer_mac[6] = {0x52, 0x54, 0, 0, 0, 1};

unsigned peer_sent_count, peer_other_count;
struct sent peer_last, peer_log[64];
bool peer_ring_full;
unsigned peer_listeners;
static bool arp_asked;
static struct kl_list pollers = KL_LIST_INIT(pollers);

void kl_poller_add(struct kl_poller *poller)
{
	kl_list_push_back(&pollers, &poller->link);
}

bool kl_poll(void)
{
	bool any = false;

	kl_timers_run();
	KL_LIST_FOR(link, &pollers)
	{
		struct kl_poller *poller = KL_LIST_ENTRY(link, struct kl_poller, link);

		any |= poller->poll(poller);
	}
	return any;
}

/* Waiting in a test: time passes until it is over. */
int kl_block(uint64_t deadline_ns, bool interruptible)
{
	uint64_t limit = kl_host_now_ns + 600 * KL_NS_PER_S;

	(void)interruptible;
	while (!kl_current->woken) {
		if (kl_host_now_ns >= deadline_ns || kl_host_now_ns > limit)
			return -ETIMEDOUT;
		if (!kl_poll())
			kl_host_advance(KL_NS_PER_MS);
	}
	kl_current->woken = false;
	return 0;
}

const char *kl_cmdline_get(const char *key, unsigned n)
{
	return n == 0 && strcmp(key, "net0") == 0 ? "ip:10.9.0.2/24,gw:10.9.0.1" : NULL;
}

static struct kl_socket_family *inet;

void kl_socket_family_add(struct kl_socket_family *family)
{
	inet = family;
}

void kl_socket_init(struct kl_socket *sock, const struct kl_socket_ops *ops, int family, int type, int protocol)
{
	sock->ops = ops;
	sock->family = family;
	sock->type = type;
	sock->protocol = protocol;
	sock->rcvlowat = 1;
	sock->rcvbuf = sock->sndbuf = 212992;
	kl_waitq_init(&sock->wait);
}

bool kl_socket_nonblock(const struct kl_socket *sock, int flags)
{
	(void)sock;
	return (flags & KL_MSG_WAITALL) == 0;
}

/* --- the device --- */

static void take_apart(const uint8_t *frame, size_t n, const struct kl_pbuf *packet)
{
	const uint8_t *ip = frame + 14, *tcp = ip + 20;
	struct sent s = {0};
	size_t header;

	if (frame[12] == 8 && frame[13] == 6 && kl_get_be16(frame + 20) == 1)
		arp_asked = true;
	if (n < 54 || ip[9] != KL_IPPROTO_TCP || frame[12] != 8) {
		peer_other_count++;
		return;
	}
	CHECK(kl_net_sum(ip, 20, 0) == 0xffff);
	if (packet->csum != KL_CSUM_PARTIAL) {
		uint32_t src, dst;

		memcpy(&src, ip + 12, 4);
		memcpy(&dst, ip + 16, 4);
		CHECK(kl_net_sum(tcp, n - 34, kl_net_pseudo_sum(src, dst, KL_IPPROTO_TCP, (uint16_t)(n - 34))) ==
			0xffff);
	}
	header = (tcp[12] >> 4) * 4u;
	s.src_port = kl_get_be16(tcp);
	s.dst_port = kl_get_be16(tcp + 2);
	s.seq = kl_get_be32(tcp + 4);
	s.ack = kl_get_be32(tcp + 8);
	s.flags = tcp[13];
	s.window = kl_get_be16(tcp + 14);
	s.bytes = (uint32_t)(n - 34 - header);
	s.gso = packet->gso != KL_GSO_NONE;
	memcpy(s.data, tcp + header, KL_MIN(s.bytes, (uint32_t)sizeof(s.data)));
	for (size_t i = 20; i < header && tcp[i] != 0;) {
		if (tcp[i] == 1) {
			i++;
			continue;
		}
		CHECK(i + 1 < header && tcp[i + 1] >= 2 && i + tcp[i + 1] <= header);
		if (tcp[i] == 2)
			s.mss = kl_get_be16(tcp + i + 2);
		if (tcp[i] == 3)
			s.wscale = tcp[i + 2];
		if (tcp[i] == 5) {
			s.sacks = (tcp[i + 1] - 2u) / 8;
			for (unsigned k = 0; k < s.sacks; k++)
				s.sack[k] = (struct tcp_range){
					kl_get_be32(tcp + i + 2 + 8 * k), kl_get_be32(tcp + i + 6 + 8 * k)};
		}
		if (tcp[i] == 8) {
			s.has_ts = true;
			s.ts_value = kl_get_be32(tcp + i + 2);
			s.ts_echo = kl_get_be32(tcp + i + 6);
		}
		i += tcp[i + 1];
	}
	if (peer_sent_count < KL_ARRAY_LEN(peer_log))
		peer_log[peer_sent_count] = s;
	peer_last = s;
	peer_sent_count++;
}

static int transmit(struct kl_netif *nif, struct kl_pbuf *frame)
{
	static uint8_t copy[70000];
	size_t sum = 0;

	if (peer_ring_full)
		return -ENOBUFS;
	for (const struct kl_pbuf *buf = frame; buf != NULL; buf = buf->next)
		sum += buf->bytes;
	CHECK(sum == frame->total && sum <= sizeof(copy));
	CHECK(frame->gso == KL_GSO_NONE || (nif->features & KL_NETIF_TSO4));
	CHECK(frame->csum != KL_CSUM_PARTIAL || (nif->features & KL_NETIF_TX_CSUM));
	CHECK(frame->gso != KL_GSO_NONE || frame->total <= nif->mtu + 14);
	kl_pbuf_copy_out(frame, 0, copy, frame->total);
	take_apart(copy, frame->total, frame);
	kl_pbuf_put(frame);
	return 0;
}

static void flush(struct kl_netif *nif)
{
	(void)nif;
}

static const struct kl_netif_ops ops = {transmit, flush};
struct kl_netif peer_netif = {
	.ops = &ops, .link = &kl_ether_link, .mtu = 1500, .gso_max_bytes = 65535, .gso_max_segs = 64};

/* Asks for our address or answers our question; either way the stack learns the peer's. */
static void send_arp(void)
{
	uint8_t arp[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	arp_asked = false;
	memcpy(arp + 6, peer_mac, 6);
	kl_put_be16(arp + 12, KL_ETHERTYPE_ARP);
	kl_put_be32(arp + 14, 0x00010800);
	kl_put_be32(arp + 18, 0x06040001);
	memcpy(arp + 22, peer_mac, 6);
	kl_put_be32(arp + 28, PEER_IP);
	kl_put_be32(arp + 38, OUR_IP);
	peer_frame(arp, sizeof(arp));
}

void peer_start(uint32_t features)
{
	memcpy(peer_netif.mac, our_mac, 6);
	peer_netif.features = features;
	CHECK(kl_net_init() == 0 && kl_arp_init() == 0 && kl_ipv4_init() == 0 && kl_icmp_init() == 0);
	CHECK(kl_inet_init() == 0 && kl_tcp_init() == 0 && kl_udp_init() == 0);
	CHECK(kl_netif_add(&peer_netif) == 0 && kl_loopback_init() == 0);
	send_arp();
	peer_forget();
}

void peer_forget(void)
{
	peer_sent_count = peer_other_count = 0;
}

void peer_round(void)
{
	for (int i = 0; i < 100 && (kl_poll() || arp_asked); i++) {
		if (arp_asked)
			send_arp();
	}
}

void peer_advance(uint64_t ms)
{
	while (ms > 0) {
		uint64_t step = KL_MIN(ms, (uint64_t)(ms > 5000 ? 100 : 1));

		kl_host_advance(step * KL_NS_PER_MS);
		peer_round();
		ms -= step;
	}
}

/* --- frames --- */

struct rx {
	struct kl_pbuf buf;
	uint8_t data[];
};

static void rx_release(struct kl_pbuf *buf)
{
	free(KL_CONTAINER(buf, struct rx, buf));
}

void peer_frame(const void *data, size_t n)
{
	struct rx *rx = malloc(sizeof(*rx) + n + 2);

	if (rx == NULL)
		abort();
	kl_pbuf_init(&rx->buf, rx->data, n + 2, rx_release, rx);
	rx->buf.data += 2;
	memcpy(kl_pbuf_append(&rx->buf, n), data, n);
	kl_netif_receive(&peer_netif, &rx->buf);
}

void peer_ip(uint8_t protocol, uint32_t src, uint32_t dst, const void *data, size_t n, uint16_t fragment, uint16_t id)
{
	static uint8_t frame[70000];
	uint8_t *ip = frame + 14;
	uint16_t sum;

	if (n > 65000)
		n = 65000;
	memcpy(frame, our_mac, 6);
	memcpy(frame + 6, peer_mac, 6);
	kl_put_be16(frame + 12, KL_ETHERTYPE_IPV4);
	memset(ip, 0, 20);
	ip[0] = 0x45;
	kl_put_be16(ip + 2, (uint16_t)(20 + n));
	kl_put_be16(ip + 4, id);
	kl_put_be16(ip + 6, fragment);
	ip[8] = 64;
	ip[9] = protocol;
	kl_put_be32(ip + 12, src);
	kl_put_be32(ip + 16, dst);
	sum = (uint16_t)~kl_net_sum(ip, 20, 0);
	memcpy(ip + 10, &sum, 2);
	memcpy(ip + 20, data, n);
	peer_frame(frame, 34 + n);
}

void peer_tcp(const struct peer *peer, uint32_t seq, uint32_t ack, uint8_t flags, const void *options,
	size_t options_bytes, const void *data, size_t n)
{
	static uint8_t tcp[66000];
	size_t header = 20 + options_bytes;
	uint16_t sum;

	memset(tcp, 0, 20);
	kl_put_be16(tcp, peer->port);
	kl_put_be16(tcp + 2, peer->our_port);
	kl_put_be32(tcp + 4, seq);
	kl_put_be32(tcp + 8, ack);
	tcp[12] = (uint8_t)(header / 4 << 4);
	tcp[13] = flags;
	kl_put_be16(tcp + 14, (uint16_t)peer->window);
	if (options_bytes > 0)
		memcpy(tcp + 20, options, options_bytes);
	if (n > 0)
		memcpy(tcp + header, data, n);
	sum = (uint16_t)~kl_net_sum(tcp, header + n,
		kl_net_pseudo_sum(kl_htonl(PEER_IP), kl_htonl(OUR_IP), KL_IPPROTO_TCP, (uint16_t)(header + n)));
	memcpy(tcp + 16, &sum, 2);
	peer_ip(KL_IPPROTO_TCP, PEER_IP, OUR_IP, tcp, header + n, KL_IPV4_DF, 1);
}

void peer_send(struct peer *peer, uint8_t flags, const void *data, size_t n)
{
	uint8_t options[12];

	kl_put_be32(options, 0x0101080a);
	kl_put_be32(options + 4, peer->ts_value);
	kl_put_be32(options + 8, peer->ts_recent);
	peer_tcp(peer, peer->seq, peer->ack, flags, options, peer->ts ? 12 : 0, data, n);
	peer->seq += (uint32_t)n + (flags & (TCP_SYN | TCP_FIN) ? 1 : 0);
	peer_round();
}

/* --- sockets --- */

struct kl_socket *peer_listen(uint16_t port, int backlog)
{
	struct kl_sockaddr address;
	struct kl_socket *sock;

	CHECK(inet->create(KL_SOCK_STREAM, 0, &sock) == 0);
	sock->reuse_addr = true;
	kl_inet_address_put(&address, 0, port);
	CHECK(sock->ops->bind(sock, &address) == 0);
	CHECK(sock->ops->listen(sock, backlog) == 0);
	return sock;
}

struct kl_socket *peer_udp(void)
{
	struct kl_socket *sock;

	CHECK(inet->create(KL_SOCK_DGRAM, 0, &sock) == 0);
	return sock;
}

struct tcp *peer_connect(struct peer *peer, struct kl_socket *listener)
{
	uint8_t options[24] = {2, 4, 0x05, 0xb4, 1, 1, 4, 2, 1, 3, 3, peer->wscale, 1, 1, 8, 10};
	struct kl_socket *sock;

	kl_put_be32(options + 16, peer->ts_value);
	peer_forget();
	peer_tcp(peer, peer->seq, 0, TCP_SYN, options, peer->ts ? 24 : 12, NULL, 0);
	peer_round();
	if (peer_sent_count != 1 || peer_last.flags != (TCP_SYN | TCP_ACK))
		return NULL;
	peer->seq++;
	peer->ack = peer_last.seq + 1;
	peer->ts_recent = peer_last.ts_value;
	peer_send(peer, TCP_ACK, NULL, 0);
	if (listener->ops->accept(listener, true, &sock) != 0)
		return NULL;
	peer_forget();
	return tcp_of(sock);
}

kl_ssize peer_write(struct tcp *t, const void *data, size_t n, int flags)
{
	struct kl_iter it;
	struct kl_message msg = {.it = &it, .flags = flags};
	kl_ssize sent;

	kl_iter_kernel(&it, (void *)data, n);
	sent = t->sock.ops->send(&t->sock, &msg);
	peer_round();
	return sent;
}

kl_ssize peer_read(struct tcp *t, void *data, size_t n)
{
	struct kl_iter it;
	struct kl_message msg = {.it = &it};
	kl_ssize got;

	kl_iter_kernel(&it, data, n);
	got = t->sock.ops->receive(&t->sock, &msg);
	peer_round();
	return got;
}

/* --- invariants --- */

void peer_check(const struct tcp *t)
{
	uint32_t flying = 0, sacked = 0, lost = 0, at = t->snd_una, queued = 0, received = 0;

	if (t->state == TCP_S_CLOSED || t->state == TCP_S_LISTEN)
		return;
	KL_LIST_FOR(link, &t->segs)
	{
		const struct tcp_seg *seg = KL_LIST_ENTRY(link, struct tcp_seg, link);

		CHECK(seg->seq == at && seq_lt(seg->seq, seg->end));
		at = seg->end;
		flying += seg->state == TCP_SEG_FLYING ? seg->end - seg->seq : 0;
		sacked += seg->state == TCP_SEG_SACKED;
		lost += seg->state == TCP_SEG_LOST;
	}
	if (t->state != TCP_S_SYN_SENT && t->state != TCP_S_SYN_RECV)
		CHECK(at == t->snd_nxt);
	CHECK(flying == t->flying && sacked == t->sacked_segs && lost == t->lost_segs);
	for (const struct tcp_block *block = t->snd_first; block != NULL; block = block->next)
		queued += block->used;
	CHECK(t->snd_first == NULL || t->snd_first_seq + queued == t->snd_end);
	for (const struct kl_pbuf *packet = t->rcv_queue.first; packet != NULL; packet = packet->queue)
		received += packet->total;
	CHECK(received == t->rcv_queue.bytes);
	for (const struct kl_pbuf *packet = t->ooo; packet != NULL; packet = packet->queue) {
		CHECK(seq_lt(t->rcv_nxt, packet->seq));
		CHECK(packet->queue == NULL || seq_le(packet->seq + packet->total, packet->queue->seq));
		CHECK(packet->queue != NULL || packet == t->ooo_last);
	}
	/* Whatever is to be done has something that does it. */
	if (t->snd_una != tcp_send_limit(t) || t->state == TCP_S_SYN_SENT || t->state == TCP_S_SYN_RECV)
		CHECK(kl_net_timer_is_set(&t->timer) || kl_list_linked(&t->pending_link));
	if (t->ack_pending || t->ack_now)
		CHECK(kl_net_timer_is_set(&t->timer) || kl_list_linked(&t->pending_link));
}

void peer_drain(void)
{
	peer_ring_full = false;
	kl_netif_tx_ready(&peer_netif);
	peer_round();
	/* Orphans give up on a silent peer within minutes. */
	for (int i = 0; i < 2000 && (tcp_root.connections > peer_listeners || tcp_root.timewaits_count > 0); i++) {
		kl_host_advance(KL_NS_PER_S);
		peer_round();
	}
	CHECK(tcp_root.connections == peer_listeners && tcp_root.nodes_count == 0 && tcp_root.requests_count == 0);
	CHECK(tcp_root.memory == 0 && tcp_root.orphans_count == 0);
}
