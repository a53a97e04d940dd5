/* SPDX-License-Identifier: Apache-2.0 */
/* TCP against a scripted peer: what goes out, and when. Time stands still but for peer_advance(). */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/errno.h>
#include <linux/eventpoll.h>

static struct kl_socket *listener;
static uint8_t bytes[200000];

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d %s\n", __FILE__, __LINE__, #cond);                                          \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

static uint16_t next_port = 40000;

static struct tcp *start(struct peer *peer)
{
	struct tcp *t;

	*peer = (struct peer){.seq = 5000,
		.port = next_port++,
		.our_port = OUR_PORT,
		.window = 0xffff,
		.ts = true,
		.ts_value = (uint32_t)(kl_host_now_ns / KL_NS_PER_MS),
		.wscale = 7};
	t = peer_connect(peer, listener);
	if (t == NULL)
		t = peer_connect(peer, listener); /* its address had to be asked for */
	CHECK(t != NULL && t->state == TCP_S_ESTABLISHED);
	return t;
}

static void finish(struct tcp *t)
{
	peer_check(t);
	t->sock.ops->release(&t->sock);
	peer_drain();
}

static void ack(struct peer *peer, uint32_t to)
{
	peer->ack = to;
	peer->ts_recent = peer_last.ts_value;
	peer_send(peer, TCP_ACK, NULL, 0);
}

/* Acknowledges to, and reports [start, end). */
static void sack(struct peer *peer, uint32_t start, uint32_t end)
{
	uint8_t options[24];

	kl_put_be32(options, 0x0101080a);
	kl_put_be32(options + 4, peer->ts_value);
	kl_put_be32(options + 8, peer->ts_recent);
	kl_put_be32(options + 12, 0x0101050a);
	kl_put_be32(options + 16, start);
	kl_put_be32(options + 20, end);
	peer_tcp(peer, peer->seq, peer->ack, TCP_ACK, options, 24, NULL, 0);
	peer_round();
}

static void test_handshake_offers_what_linux_does(void)
{
	struct peer peer = {.seq = 1,
		.port = next_port++,
		.our_port = OUR_PORT,
		.window = 1000,
		.ts = true,
		.ts_value = 9,
		.wscale = 2};
	struct tcp *t;

	peer_forget();
	t = peer_connect(&peer, listener);
	CHECK(t != NULL && peer_log[0].mss == 1460 && peer_log[0].has_ts && peer_log[0].ts_echo == 9);
	CHECK(t->mss == 1448 && t->snd_wscale == 2 && t->sack_ok);
	finish(t);
	printf("ok the handshake agrees on MSS, window scale, SACK and timestamps\n");
}

static void test_reply_carries_the_acknowledgement(void)
{
	struct peer peer;
	struct tcp *t = start(&peer);
	char buf[10];

	peer_send(&peer, TCP_ACK | TCP_PSH, "hello", 5);
	CHECK(peer_sent_count == 0);
	CHECK(peer_read(t, buf, 10) == 5 && memcmp(buf, "hello", 5) == 0);
	CHECK(peer_sent_count == 0);
	CHECK(peer_write(t, "world", 5, 0) == 5);
	CHECK(peer_sent_count == 1 && peer_last.bytes == 5 && peer_last.ack == peer.seq && (peer_last.flags & TCP_PSH));
	peer_advance(100);
	CHECK(peer_sent_count == 1);
	finish(t);
	printf("ok a reply carries the acknowledgement: one segment each way\n");
}

static void test_acknowledgement_is_delayed(void)
{
	struct peer peer;
	struct tcp *t = start(&peer);

	peer_send(&peer, TCP_ACK, bytes, 100);
	peer_advance(30);
	CHECK(peer_sent_count == 0);
	peer_advance(20);
	CHECK(peer_sent_count == 1 && peer_last.bytes == 0 && peer_last.ack == peer.seq);
	peer_forget();
	peer_send(&peer, TCP_ACK, bytes, 1448);
	peer_send(&peer, TCP_ACK, bytes, 1448);
	CHECK(peer_sent_count == 1 && peer_last.ack == peer.seq);
	CHECK(peer_read(t, bytes + 10000, 50000) == 2996);
	finish(t);
	printf("ok acknowledgements wait for 40 ms or two segments\n");
}

static void test_small_writes_are_joined(void)
{
	struct peer peer;
	struct tcp *t = start(&peer);

	CHECK(peer_write(t, "a", 1, 0) == 1 && peer_sent_count == 1);
	CHECK(peer_write(t, "b", 1, 0) == 1 && peer_write(t, "c", 1, 0) == 1);
	CHECK(peer_sent_count == 1); /* Nagle */
	ack(&peer, peer.ack + 1);
	CHECK(peer_sent_count == 2 && peer_last.bytes == 2 && memcmp(peer_last.data, "bc", 2) == 0);
	t->no_delay = true;
	CHECK(peer_write(t, "d", 1, 0) == 1 && peer_sent_count == 3);
	finish(t);
	printf("ok small writes wait for the acknowledgement, not with TCP_NODELAY\n");
}

static void test_cork_and_more_hold_back(void)
{
	struct peer peer;
	struct tcp *t = start(&peer);

	CHECK(peer_write(t, "head", 4, KL_MSG_MORE) == 4 && peer_sent_count == 0);
	CHECK(peer_write(t, "body", 4, 0) == 4);
	CHECK(peer_sent_count == 1 && peer_last.bytes == 8 && memcmp(peer_last.data, "headbody", 8) == 0);
	ack(&peer, peer.ack + 8);
	peer_forget();
	CHECK(peer_write(t, "late", 4, KL_MSG_MORE) == 4);
	peer_advance(150);
	CHECK(peer_sent_count == 0);
	peer_advance(60);
	CHECK(peer_sent_count == 1 && peer_last.bytes == 4);
	finish(t);
	printf("ok MSG_MORE holds back, for 200 ms at most\n");
}

static void test_time_out_resends_and_backs_off(void)
{
	struct peer peer;
	struct tcp *t = start(&peer);
	uint32_t seq;

	CHECK(peer_write(t, bytes, 1000, 0) == 1000 && peer_sent_count == 1);
	seq = peer_last.seq;
	peer_advance(215);
	CHECK(peer_sent_count == 2 && peer_last.seq == seq && peer_last.bytes == 1000 && t->cwnd == t->mss);
	peer_advance(370);
	CHECK(peer_sent_count == 2);
	peer_advance(50);
	CHECK(peer_sent_count == 3 && peer_last.seq == seq);
	ack(&peer, seq + 1000);
	CHECK(t->snd_una == seq + 1000 && t->flying == 0);
	finish(t);
	printf("ok a time-out sends again, and the next one waits twice as long\n");
}

static void test_silent_peer_times_out(void)
{
	struct peer peer;
	struct tcp *t = start(&peer);
	uint64_t begin = kl_host_now_ns;

	CHECK(peer_write(t, bytes, 10, 0) == 10);
	while (t->state != TCP_S_CLOSED && kl_host_now_ns - begin < 3000 * KL_NS_PER_S)
		peer_advance(10000);
	CHECK(t->state == TCP_S_CLOSED && kl_host_now_ns - begin > 600 * KL_NS_PER_S);
	CHECK(peer_read(t, bytes, 1) == -ETIMEDOUT && peer_read(t, bytes, 1) == 0);
	CHECK(peer_write(t, bytes, 1, 0) == -EPIPE);
	finish(t);
	printf("ok a silent peer ends the connection with ETIMEDOUT\n");
}

static void test_sack_repairs_in_one_round_trip(void)
{
	struct peer peer;
	struct tcp *t = start(&peer);
	uint32_t una = t->snd_una;

	CHECK(peer_write(t, bytes, 14480, 0) == 14480 && peer_sent_count == 10);
	peer_advance(5);
	peer_forget();
	/* The first and the third are missing. */
	sack(&peer, una + 1448, una + 2 * 1448);
	sack(&peer, una + 3 * 1448, una + 5 * 1448);
	sack(&peer, una + 3 * 1448, una + 8 * 1448);
	peer_advance(5); /* what reordering is given */
	CHECK(t->ca == TCP_CA_RECOVERY_ && t->total_retrans == 2);
	CHECK(peer_log[0].seq == una && peer_log[0].bytes == 1448 && peer_log[1].seq == una + 2 * 1448);
	peer_check(t);
	ack(&peer, una + 14480);
	CHECK(t->ca == TCP_CA_OPEN_ && t->flying == 0 && t->cwnd >= 2 * t->mss && t->cwnd <= 7240 + t->mss);
	finish(t);
	printf("ok two holes are filled within one round trip, and the window is halved\n");
}

static void test_duplicate_acknowledgements_without_sack(void)
{
	struct peer peer;
	struct tcp *t = start(&peer);
	uint32_t una = t->snd_una;

	t->sack_ok = false;
	CHECK(peer_write(t, bytes, 14480, 0) == 14480);
	peer_forget();
	for (int i = 0; i < 2; i++)
		ack(&peer, una);
	CHECK(t->total_retrans == 0);
	ack(&peer, una);
	CHECK(t->total_retrans == 1 && peer_last.seq == una && peer_last.bytes == 1448);
	ack(&peer, una + 4 * 1448); /* partial: the fifth is missing too */
	CHECK(t->total_retrans == 2 && t->ca == TCP_CA_RECOVERY_);
	ack(&peer, una + 14480);
	CHECK(t->ca == TCP_CA_OPEN_);
	finish(t);
	printf("ok NewReno: three duplicates, then each partial acknowledgement\n");
}

static void test_zero_window_is_probed(void)
{
	struct peer peer;
	struct tcp *t = start(&peer);
	uint32_t una = t->snd_una;

	peer.window = 0;
	peer_send(&peer, TCP_ACK, NULL, 0);
	CHECK(peer_write(t, bytes, 1000, 0) == 1000 && peer_sent_count == 0);
	peer_advance(250);
	CHECK(peer_sent_count == 1 && peer_last.bytes == 0 && peer_last.seq == una - 1);
	peer_send(&peer, TCP_ACK, NULL, 0);
	peer_advance(1000);
	CHECK(peer_sent_count >= 2);
	peer_forget();
	peer.window = 100;
	peer_send(&peer, TCP_ACK, NULL, 0);
	CHECK(peer_sent_count == 1 && peer_last.bytes == 1000);
	finish(t);
	printf("ok a closed window is probed until it opens\n");
}

static void test_full_receive_buffer_closes_and_reopens_the_window(void)
{
	struct peer peer;
	struct tcp *t = start(&peer);
	uint32_t sent = 0;
	kl_ssize n;

	t->rcvbuf_locked = true;
	while (seq_lt(peer.seq, t->rcv_adv)) {
		uint32_t part = KL_MIN(t->rcv_adv - peer.seq, 1448u);

		peer_send(&peer, TCP_ACK, bytes, part);
		sent += part;
		CHECK(sent < 10000000);
	}
	peer_advance(50);
	CHECK(peer_last.window == 0);
	peer_forget();
	while ((n = peer_read(t, bytes, 20000)) > 0)
		sent -= (uint32_t)n;
	CHECK(sent == 0 && peer_sent_count >= 1 && peer_last.window > 0);
	finish(t);
	printf("ok reading opens the window again, and says so\n");
}

static void test_out_of_order_data_is_kept_and_reported(void)
{
	struct peer peer;
	struct tcp *t = start(&peer);
	uint32_t base = peer.seq;

	peer.seq = base + 200;
	peer_send(&peer, TCP_ACK, bytes + 200, 100);
	CHECK(peer_sent_count == 1 && peer_last.ack == base && peer_last.sacks == 1);
	CHECK(peer_last.sack[0].start == base + 200 && peer_last.sack[0].end == base + 300);
	peer.seq = base + 400;
	peer_send(&peer, TCP_ACK | TCP_FIN, bytes + 400, 50);
	CHECK(peer_last.sacks == 2 && peer_last.sack[0].start == base + 400);
	peer.seq = base + 250; /* overlaps both ways */
	peer_send(&peer, TCP_ACK, bytes + 250, 180);
	CHECK(peer_last.sacks == 2 && peer_last.sack[0].start == base + 250 &&
		peer_last.sack[0].end == base + 300); /* RFC 2883 */
	CHECK(peer_last.sack[1].start == base + 200 && peer_last.sack[1].end == base + 450);
	peer.seq = base;
	for (int i = 0; i < 200; i++)
		bytes[i] = (uint8_t)i;
	peer_send(&peer, TCP_ACK, bytes, 200);
	CHECK(peer_last.ack == base + 451 && t->state == TCP_S_CLOSE_WAIT);
	CHECK(peer_read(t, bytes + 1000, 1000) == 450 && memcmp(bytes + 1000, bytes, 450) == 0);
	CHECK(peer_read(t, bytes, 1000) == 0);
	finish(t);
	printf("ok data out of order is kept, reported, and put together; so is a FIN\n");
}

static void test_blind_attacks_get_challenges(void)
{
	struct peer peer, forged;
	struct tcp *t = start(&peer);

	forged = peer;
	forged.seq = peer.seq + 100;
	peer_send(&forged, TCP_RST, NULL, 0);
	CHECK(t->state == TCP_S_ESTABLISHED && peer_sent_count == 1 && peer_last.flags == TCP_ACK);
	forged.seq = peer.seq;
	peer_send(&forged, TCP_SYN, NULL, 0);
	CHECK(t->state == TCP_S_ESTABLISHED && peer_sent_count == 2 && peer_last.flags == TCP_ACK);
	forged = peer;
	forged.ack = peer.ack + 1000; /* of what was not sent */
	peer_send(&forged, TCP_ACK, "x", 1);
	CHECK(t->rcv_queue.bytes == 0 && peer_sent_count == 3);
	forged = peer;
	forged.ts_value = peer.ts_value - 5; /* PAWS */
	peer_send(&forged, TCP_ACK, "x", 1);
	CHECK(t->rcv_queue.bytes == 0);
	peer_send(&peer, TCP_RST, NULL, 0);
	CHECK(t->state == TCP_S_CLOSED && peer_read(t, bytes, 1) == -ECONNRESET);
	finish(t);
	printf("ok forged RST, SYN, ACK and old timestamps change nothing\n");
}

static void test_close_goes_through_time_wait(void)
{
	struct peer peer;
	struct tcp *t = start(&peer);

	t->sock.ops->release(&t->sock);
	peer_round();
	CHECK(peer_sent_count == 1 && (peer_last.flags & TCP_FIN));
	ack(&peer, peer_last.seq + 1);
	CHECK(tcp_root.connections == 2); /* FIN-WAIT-2, and the listener */
	peer_send(&peer, TCP_FIN | TCP_ACK, NULL, 0);
	CHECK(peer_last.ack == peer.seq && tcp_root.timewaits_count == 1 && tcp_root.connections == 1);
	/* The FIN again is answered again. */
	peer_forget();
	peer.seq--;
	peer_send(&peer, TCP_FIN | TCP_ACK, NULL, 0);
	CHECK(peer_sent_count == 1 && peer_last.ack == peer.seq);
	/* The same addresses again, with a newer timestamp. */
	peer.seq += 100000;
	peer.ts_value += 10;
	t = peer_connect(&peer, listener);
	CHECK(t != NULL && tcp_root.timewaits_count == 0);
	finish(t);
	printf("ok close, TIME-WAIT, and its early reuse\n");
}

static void test_closing_with_unread_data_resets(void)
{
	struct peer peer;
	struct tcp *t = start(&peer);

	peer_send(&peer, TCP_ACK, "unread", 6);
	t->sock.ops->release(&t->sock);
	peer_round();
	CHECK((peer_last.flags & TCP_RST) && tcp_root.timewaits_count == 0);
	peer_drain();
	printf("ok closing with unread data resets\n");
}

static void test_keep_alive_ends_a_dead_connection(void)
{
	struct peer peer;
	struct tcp *t = start(&peer);

	t->sock.keep_alive = true;
	t->keep_idle_s = 10;
	t->keep_interval_s = 5;
	t->keep_count = 3;
	tcp_timer_keep(t);
	peer_advance(9000);
	CHECK(peer_sent_count == 0);
	peer_advance(2000);
	CHECK(peer_sent_count == 1 && peer_last.seq == t->snd_una - 1);
	peer_send(&peer, TCP_ACK, NULL, 0); /* alive */
	peer_forget();
	peer_advance(30000);
	CHECK(t->state == TCP_S_CLOSED && peer_sent_count == 4 && (peer_last.flags & TCP_RST));
	CHECK(peer_read(t, bytes, 1) == -ETIMEDOUT);
	finish(t);
	printf("ok keep-alive\n");
}

static void test_full_ring_delays_but_loses_nothing(void)
{
	struct peer peer;
	struct tcp *t = start(&peer);

	peer_ring_full = true;
	CHECK(peer_write(t, bytes, 5000, 0) == 5000 && peer_sent_count == 0);
	peer_check(t);
	peer_advance(5);
	peer_ring_full = false;
	kl_netif_tx_ready(&peer_netif);
	peer_round();
	CHECK(peer_sent_count == 4 && peer_log[0].bytes == 1448);
	finish(t);
	printf("ok a full ring delays only\n");
}

static void test_no_memory_delays_but_loses_nothing(void)
{
	struct peer peer;
	struct tcp *t = start(&peer);
	uint32_t end;

	for (long n = 0; n < 12; n++) {
		kl_host_fail_after = n;
		(void)peer_write(t, bytes, 3000, 0);
		peer_advance(5);
		kl_host_fail_after = -1;
		peer_check(t);
		end = t->snd_end;
		for (int i = 0; i < 5 && t->snd_una != end; i++) {
			peer_advance(300);
			ack(&peer, t->snd_nxt);
		}
		CHECK(t->snd_una == end);
	}
	finish(t);
	printf("ok without memory sending waits and goes on\n");
}

static void test_offload_sends_large_packets(void)
{
	struct peer peer;
	struct tcp *t;

	peer_netif.features = KL_NETIF_TX_CSUM | KL_NETIF_TSO4;
	t = start(&peer);
	CHECK(peer_write(t, bytes, 14480, 0) == 14480);
	CHECK(peer_sent_count == 1 && peer_last.gso && peer_last.bytes == 14480);
	peer_check(t);
	peer_netif.features = 0;
	finish(t);
	printf("ok with segmentation offload one packet carries the window\n");
}

static void test_backlog_and_cookies(void)
{
	struct peer peers[12];
	struct kl_socket *small = peer_listen(OUR_PORT + 1, 2);
	uint8_t options[24] = {2, 4, 0x05, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7, 1, 1, 8, 10};
	struct kl_socket *sock;
	unsigned held = 0;

	for (unsigned i = 0; i < KL_ARRAY_LEN(peers); i++) {
		peers[i] = (struct peer){.seq = 100 * i,
			.port = next_port++,
			.our_port = OUR_PORT + 1,
			.window = 500,
			.ts = true,
			.ts_value = 50,
			.wscale = 7};
		kl_put_be32(options + 16, peers[i].ts_value);
		peer_forget();
		peer_tcp(&peers[i], peers[i].seq, 0, TCP_SYN, options, 24, NULL, 0);
		peer_round();
		CHECK(peer_sent_count == 1 && peer_last.flags == (TCP_SYN | TCP_ACK));
		peers[i].seq++;
		peers[i].ack = peer_last.seq + 1;
		peers[i].ts_recent = peer_last.ts_value;
	}
	held = tcp_root.requests_count;
	CHECK(held < KL_ARRAY_LEN(peers));
	/* The last one's state is in the cookie alone. */
	peer_send(&peers[11], TCP_ACK, "GET", 3);
	CHECK(small->ops->accept(small, true, &sock) == 0);
	CHECK(tcp_of(sock)->snd_wscale == 7 && tcp_of(sock)->sack_ok && tcp_of(sock)->rcv_queue.bytes == 3);
	sock->ops->release(sock);
	/* A wrong one is refused. */
	peers[10].ack += 77;
	peer_send(&peers[10], TCP_ACK, NULL, 0);
	CHECK(peer_last.flags & TCP_RST);
	small->ops->release(small);
	peer_drain();
	printf("ok beyond the backlog cookies let connections in\n");
}

static void test_loopback_connects_to_itself(void)
{
	struct tcp *server;
	struct kl_sockaddr address;
	struct kl_socket *sock, *accepted;
	int err;

	CHECK(tcp_create(&sock) == 0);
	kl_inet_address_put(&address, kl_htonl(0x7f000001), OUR_PORT);
	err = sock->ops->connect(sock, &address, true);
	CHECK(err == -EINPROGRESS);
	peer_round();
	CHECK(tcp_of(sock)->state == TCP_S_ESTABLISHED);
	CHECK(listener->ops->accept(listener, true, &accepted) == 0);
	server = tcp_of(accepted);
	CHECK(peer_write(tcp_of(sock), bytes, 100000, 0) > 60000);
	for (size_t done = 0; done < 60000;) {
		kl_ssize n = peer_read(server, bytes + 100000, 100000);

		CHECK(n > 0);
		done += (size_t)n;
	}
	peer_check(server);
	sock->ops->release(sock);
	peer_round();
	accepted->ops->release(accepted);
	peer_drain();
	printf("ok a connection over loopback\n");
}

int main(void)
{
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + (i >> 8));
	peer_start(0);
	listener = peer_listen(OUR_PORT, 16);
	peer_listeners = 1;
	test_handshake_offers_what_linux_does();
	test_reply_carries_the_acknowledgement();
	test_acknowledgement_is_delayed();
	test_small_writes_are_joined();
	test_cork_and_more_hold_back();
	test_time_out_resends_and_backs_off();
	test_silent_peer_times_out();
	test_sack_repairs_in_one_round_trip();
	test_duplicate_acknowledgements_without_sack();
	test_zero_window_is_probed();
	test_full_receive_buffer_closes_and_reopens_the_window();
	test_out_of_order_data_is_kept_and_reported();
	test_blind_attacks_get_challenges();
	test_close_goes_through_time_wait();
	test_closing_with_unread_data_resets();
	test_keep_alive_ends_a_dead_connection();
	test_full_ring_delays_but_loses_nothing();
	test_no_memory_delays_but_loses_nothing();
	test_offload_sends_large_packets();
	test_backlog_and_cookies();
	test_loopback_connects_to_itself();
	listener->ops->release(listener);
	peer_listeners = 0;
	peer_drain();
	return 0;
}
