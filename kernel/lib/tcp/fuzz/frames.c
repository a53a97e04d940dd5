/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames and the program's own calls, in any order, around an established connection. The input is a list of operations: a byte for
 * which, two for how. Segments are built from the connection's real numbers plus small differences, so that the fuzzer is past the
 * first checks; raw frames go in as they are. After each operation the books must add up; at the end all must be given back.
 */
#include "../tests/peer.h"

#include <stdlib.h>
#include <string.h>

#define PIECE_MAX 3000u

struct input {
	const uint8_t *data;
	size_t left;
};

static uint8_t take8(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->data++;
}

static uint16_t take16(struct input *in)
{
	uint8_t high = take8(in);

	return (uint16_t)(high << 8 | take8(in));
}

/* Up to n bytes of the input as they are. */
static const uint8_t *take(struct input *in, size_t *n)
{
	const uint8_t *at = in->data;

	*n = KL_MIN(*n, in->left);
	in->data += *n;
	in->left -= *n;
	return at;
}

static struct peer peer;
static struct tcp *conn;
static struct kl_socket *listener, *udp;
static uint8_t pattern[65536];

/* A small difference, sometimes a large one. */
static uint32_t near(struct input *in)
{
	uint16_t v = take16(in);

	if (v < 0x8000)
		return 0;
	return v & 1 ? (uint32_t)(int32_t)(int16_t)(v << 2) : (uint32_t)v * (uint32_t)v * 3;
}

static void op_segment(struct input *in)
{
	uint8_t flags = take8(in), kind = take8(in);
	uint32_t seq = peer.seq + near(in), ack = (conn != NULL ? conn->snd_nxt : peer.ack) + near(in);
	size_t options_bytes = kind & 3 ? (kind >> 2 & 7) * 4u : 0, n = take16(in) % PIECE_MAX;
	const uint8_t *options = take(in, &options_bytes);
	uint8_t mixed[44];

	options_bytes &= ~(size_t)3;
	memcpy(mixed + 12, options, options_bytes);
	kl_put_be32(mixed, 0x0101080a);
	kl_put_be32(mixed + 4, peer.ts_value + (kind >> 5));
	kl_put_be32(mixed + 8, conn != NULL ? tcp_ts_now(conn->ts_offset) : 0);
	/* SACK blocks near the truth. */
	if ((kind & 3) == 3 && options_bytes >= 12 && conn != NULL) {
		kl_put_be32(mixed + 12, 0x0101050a);
		kl_put_be32(mixed + 16, conn->snd_una + kl_get_be16(options));
		kl_put_be32(mixed + 20, conn->snd_una + kl_get_be16(options) + kl_get_be16(options + 2));
		options_bytes = 12;
	}
	peer.window = take16(in);
	peer_tcp(&peer, seq, ack, kind & 0x10 ? TCP_ACK : flags, mixed, 12 + options_bytes, pattern, n);
	if (conn != NULL)
		peer.seq = conn->rcv_nxt;
}

static void op_icmp(struct input *in)
{
	uint8_t message[64] = {3, take8(in) & 15};
	uint16_t sum;

	kl_put_be16(message + 6, take16(in));
	message[8] = 0x45;
	message[17] = take8(in) & 1 ? KL_IPPROTO_UDP : KL_IPPROTO_TCP;
	kl_put_be32(message + 20, OUR_IP);
	kl_put_be32(message + 24, PEER_IP);
	kl_put_be16(message + 28, peer.our_port);
	kl_put_be16(message + 30, peer.port);
	kl_put_be32(message + 32, (conn != NULL ? conn->snd_una : 0) + near(in));
	sum = (uint16_t)~kl_net_sum(message, 36, 0);
	memcpy(message + 2, &sum, 2);
	peer_ip(KL_IPPROTO_ICMP, PEER_IP, OUR_IP, message, 36, 0, 1);
}

static void op_raw(struct input *in)
{
	uint8_t frame[256] = {0x52, 0x54, 0, 0, 0, 2, 0x52, 0x54, 0, 0, 0, 1};
	size_t n = take8(in);
	const uint8_t *data = take(in, &n);
	uint16_t sum;

	n = KL_MIN(n, sizeof(frame) - 12);
	memcpy(frame + 12, data, n);
	/* A right header checksum, or nothing gets past it. */
	if (n >= 22 && frame[12] == 8 && frame[13] == 0 && (frame[14] & 15) >= 5 && (frame[14] & 15) * 4u + 2 <= n) {
		frame[24] = frame[25] = 0;
		sum = (uint16_t)~kl_net_sum(frame + 14, (frame[14] & 15) * 4u, 0);
		memcpy(frame + 24, &sum, 2);
	}
	peer_frame(frame, 12 + n);
}

static void op_fragment(struct input *in)
{
	uint16_t field = take16(in);
	uint8_t id = take8(in) & 3;
	size_t n = take16(in) % PIECE_MAX;

	peer_ip(KL_IPPROTO_UDP, PEER_IP, OUR_IP, pattern, n, field & (KL_IPV4_MF | KL_IPV4_OFFSET), id);
}

static void op_udp(struct input *in)
{
	uint8_t datagram[PIECE_MAX + 8];
	size_t n = take16(in) % PIECE_MAX;
	struct kl_iter it;
	struct kl_sockaddr from;
	struct kl_message msg = {.it = &it, .addr = &from};

	memset(datagram, 0x55, sizeof(datagram));
	kl_put_be16(datagram, 5000);
	kl_put_be16(datagram + 2, 53);
	kl_put_be16(datagram + 4, (uint16_t)(n + 8 - (take8(in) & 7)));
	kl_put_be16(datagram + 6, 0);
	peer_ip(KL_IPPROTO_UDP, PEER_IP, OUR_IP, datagram, n + 8, 0, 1);
	kl_iter_kernel(&it, datagram, sizeof(datagram));
	if (take8(in) & 1)
		(void)udp->ops->receive(udp, &msg);
}

static void op_program(struct input *in)
{
	uint8_t what = take8(in);
	uint16_t n = take16(in);

	if (conn == NULL)
		return;
	switch (what & 7) {
	case 0:
	case 1: peer_write(conn, pattern, n, what & 8 ? KL_MSG_MORE : 0); break;
	case 2:
	case 3: peer_read(conn, (uint8_t[65536]){0}, n); break;
	case 4: conn->sock.ops->shutdown(&conn->sock, n % 3); break;
	case 5: {
		int v = n & 0x8000 ? 0 : n & 63;

		conn->sock.ops->set_option(&conn->sock, 6, 1 + (n >> 6 & 31), &v, sizeof(v));
		break;
	}
	case 6: {
		int v = n;

		conn->sock.ops->set_option(&conn->sock, 1, n & 1 ? 7 : 8, &v, sizeof(v));
		break;
	}
	default:
		if ((n & 15) == 0) {
			conn->sock.ops->release(&conn->sock);
			conn = NULL;
		}
	}
}

static void op_time(struct input *in)
{
	uint16_t v = take16(in);

	peer_advance(v & 0xc000 ? v & 0xff : (uint64_t)v * 20);
	peer.ts_value += v >> 3;
}

static void op_connection(void)
{
	struct peer other = {
		.seq = 77, .port = (uint16_t)(41000 + kl_host_now_ns % 7), .our_port = OUR_PORT, .window = 1000};
	struct tcp *t = peer_connect(&other, listener);

	if (t != NULL)
		t->sock.ops->release(&t->sock);
}

static void run(struct input *in)
{
	switch (take8(in) % 12) {
	case 0:
	case 1:
	case 2:
	case 3: op_segment(in); break;
	case 4: op_program(in); break;
	case 5: op_time(in); break;
	case 6: op_raw(in); break;
	case 7: op_icmp(in); break;
	case 8: op_fragment(in); break;
	case 9: op_udp(in); break;
	case 10: kl_host_fail_after = take8(in) & 1 ? take8(in) : -1; break;
	default:
		if (take8(in) & 1) {
			peer_ring_full = !peer_ring_full;
			if (!peer_ring_full)
				kl_netif_tx_ready(&peer_netif);
		} else {
			op_connection();
		}
	}
	if (conn != NULL)
		peer_check(conn);
	peer_round();
	if (conn != NULL)
		peer_check(conn);
}

static void set_up(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)i;
	kl_host_seed(1);
	peer_start(0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct kl_sockaddr address;
	uint8_t features = take8(&in);

	set_up();
	peer_netif.features = features & 1 ? KL_NETIF_TX_CSUM | KL_NETIF_TSO4 : 0;
	listener = peer_listen(OUR_PORT, features & 2 ? 1 : 8);
	peer = (struct peer){.seq = 1000u + features * 0x1000000u,
		.port = PEER_PORT,
		.our_port = OUR_PORT,
		.window = 0xffff,
		.ts = true,
		.ts_value = (uint32_t)(kl_host_now_ns / KL_NS_PER_MS),
		.wscale = features >> 4};
	conn = peer_connect(&peer, listener);
	if (conn == NULL) /* the address had to be asked for first */
		conn = peer_connect(&peer, listener);
	if (conn == NULL)
		abort();
	udp = peer_udp();
	kl_inet_address_put(&address, 0, 53);
	if (udp->ops->bind(udp, &address) != 0)
		abort();
	for (int ops = 0; in.left > 0 && ops < 300; ops++)
		run(&in);
	kl_host_fail_after = -1;
	if (conn != NULL)
		conn->sock.ops->release(&conn->sock);
	listener->ops->release(listener);
	udp->ops->release(udp);
	peer_drain();
	return 0;
}
