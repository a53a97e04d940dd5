/* SPDX-License-Identifier: Apache-2.0 */
/* A scripted peer for host tests and fuzzing: a fake device, frames made and taken apart by hand, the clock in the test's hand. */
#ifndef PEER_H
#define PEER_H

#include "../tcp_priv.h"

#include "kl_host.h"

#define OUR_IP 0x0a090002u /* host order */
#define PEER_IP 0x0a090001u
#define PEER_PORT 40000
#define OUR_PORT 80

/* What the stack sent, taken apart. */
struct sent {
	uint16_t src_port, dst_port;
	uint32_t seq, ack;
	uint8_t flags;
	uint32_t window, bytes;
	bool has_ts, gso;
	uint32_t ts_value, ts_echo;
	unsigned sacks;
	struct tcp_range sack[4];
	uint16_t mss;
	uint8_t wscale;
	uint8_t data[2048]; /* the first bytes */
};

struct peer {
	uint32_t seq, ack; /* what it sends next, and has received */
	uint32_t window;   /* as in the header */
	uint16_t port, our_port;
	bool ts;
	uint32_t ts_value, ts_recent;
	uint8_t wscale;
	uint32_t our_ip;
};

extern unsigned peer_sent_count;  /* segments since peer_forget() */
extern struct sent peer_last;     /* the last TCP segment sent */
extern struct sent peer_log[64];  /* the first 64 */
extern bool peer_ring_full;       /* transmit() says -ENOBUFS */
extern unsigned peer_listeners;   /* sockets that may stay over peer_drain() */
extern unsigned peer_other_count; /* frames that were no TCP */
extern struct kl_netif peer_netif;

void peer_start(uint32_t features); /* once: the stack and the device */
void peer_forget(void);
/* Ends batches: work that is due, and the pollers. */
void peer_round(void);
void peer_advance(uint64_t ms); /* time passes; rounds included */
void peer_frame(const void *data, size_t n);
void peer_ip(uint8_t protocol, uint32_t src, uint32_t dst, const void *data, size_t n, uint16_t fragment, uint16_t id);
/* A TCP segment; options: raw bytes, a multiple of 4. */
void peer_tcp(const struct peer *peer, uint32_t seq, uint32_t ack, uint8_t flags, const void *options,
	size_t options_bytes, const void *data, size_t n);
/* One with the peer's own numbers and timestamps; moves seq. */
void peer_send(struct peer *peer, uint8_t flags, const void *data, size_t n);

struct kl_socket *peer_listen(uint16_t port, int backlog);
struct kl_socket *peer_udp(void);
/* Three-way handshake with the listener, wscale 7 unless the peer says something else. The accepted socket. */
struct tcp *peer_connect(struct peer *peer, struct kl_socket *listener);
kl_ssize peer_write(struct tcp *t, const void *data, size_t n, int flags);
kl_ssize peer_read(struct tcp *t, void *data, size_t n);
/* Aborts when a connection's books do not add up, or when it waits for something that will never come. */
void peer_check(const struct tcp *t);
/* All connections that have no owner end; aborts if some do not. */
void peer_drain(void);

#endif
