/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP (RFC 9293): the structures that its files share. Sequence numbers and ports are in host order, addresses in network order,
 * times in ns of the monotonic clock; "us" fields hold its low 32 bits in us, compared by difference.
 */
#ifndef TCP_PRIV_H
#define TCP_PRIV_H

#include <kl/clock.h>
#include <kl/heap.h>
#include <kl/inet.h>
#include <kl/ipv4.h>
#include <kl/pmm.h>
#include <kl/socket.h>
#include <kl/string.h>

#define TCP_HEADER_BYTES 20u
#define TCP_OPTIONS_MAX 40u
#define TCP_MSS_DEFAULT 536u
#define TCP_MSS_MIN 64u
#define TCP_WSCALE_MAX 14
#define TCP_WINDOW_START 65535u /* offered at first */
#define TCP_IW_SEGMENTS 10u     /* RFC 6928 */
#define TCP_RTO_MIN_US 200000u
#define TCP_RTO_MAX_US 120000000u
#define TCP_RTO_START_US 1000000u
#define TCP_DELACK_NS (40 * KL_NS_PER_MS)
#define TCP_RETRIES_MAX 15       /* of data: about 15 minutes */
#define TCP_ORPHAN_RETRIES_MAX 8 /* when nobody waits any more */
#define TCP_SYN_RETRIES_MAX 6
#define TCP_FIN_WAIT2_NS (60 * KL_NS_PER_S)
#define TCP_TIME_WAIT_NS (60 * KL_NS_PER_S)
#define TCP_SNDBUF_MAX (4u << 20)
#define TCP_RCVBUF_MAX (6u << 20)
#define TCP_BUF_MIN 4096u

enum {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_URG = 0x20,
	TCP_ECE = 0x40,
	TCP_CWR = 0x80
};

/* Numbers as in Linux's TCP_INFO. */
enum tcp_state {
	TCP_S_ESTABLISHED = 1,
	TCP_S_SYN_SENT,
	TCP_S_SYN_RECV,
	TCP_S_FIN_WAIT1,
	TCP_S_FIN_WAIT2,
	TCP_S_TIME_WAIT,
	TCP_S_CLOSED,
	TCP_S_CLOSE_WAIT,
	TCP_S_LAST_ACK,
	TCP_S_LISTEN,
	TCP_S_CLOSING,
};
#define TCP_IN(state, mask) ((1u << (state)) & (mask))
#define TCP_M(s) (1u << TCP_S_##s)
#define TCP_CAN_SEND (TCP_M(ESTABLISHED) | TCP_M(CLOSE_WAIT))
#define TCP_CAN_RECEIVE (TCP_M(ESTABLISHED) | TCP_M(FIN_WAIT1) | TCP_M(FIN_WAIT2))
#define TCP_FIN_RECEIVED (TCP_M(CLOSE_WAIT) | TCP_M(LAST_ACK) | TCP_M(CLOSING) | TCP_M(TIME_WAIT) | TCP_M(CLOSED))

static inline bool seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}
static inline bool seq_le(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}
static inline uint32_t seq_max(uint32_t a, uint32_t b)
{
	return seq_lt(a, b) ? b : a;
}

struct tcp_header {
	uint16_t src_be, dst_be;
	uint32_t seq_be, ack_be;
	uint8_t offset, flags;
	uint16_t window_be, checksum, urgent_be;
} __attribute__((packed));

/* --- what a segment says --- */

struct tcp_range {
	uint32_t start, end; /* [start, end) */
};

struct tcp_segment {
	uint32_t seq, ack, end; /* end: behind data, SYN and FIN */
	uint32_t bytes;         /* data */
	uint32_t window;        /* as in the header, not scaled */
	uint8_t flags;
	bool has_ts, has_wscale, sack_ok;
	uint8_t wscale, sacks;
	uint16_t mss, urgent; /* mss 0: no option */
	uint32_t ts_value, ts_echo;
	struct tcp_range sack[4];
	struct kl_pbuf *packet; /* data only; NULL once taken over */
	const struct kl_ipv4_info *info;
};

/* --- what is looked up by addresses and ports --- */

enum tcp_kind { TCP_CONNECTION, TCP_REQUEST, TCP_TIMEWAIT };

struct tcp_node {
	struct tcp_node *next; /* in the bucket */
	uint32_t local_be, remote_be;
	uint16_t local_port, remote_port;
	uint8_t kind; /* enum tcp_kind */
	bool hashed;
};

/* Storage of the send queue. Packets on their way hold references. */
struct tcp_block {
	struct tcp_block *next;
	uint8_t *data;
	uint32_t used, size;
	uint32_t refs;
	bool external; /* memory of a file, sent without a copy; otherwise data lies behind this structure */
	kl_phys hold;  /* with external: a page that keeps the memory, or KL_PHYS_NONE */
};

enum tcp_seg_state { TCP_SEG_FLYING, TCP_SEG_SACKED, TCP_SEG_LOST };

/* What was sent and is not acknowledged: one or, with segmentation offload, many segments. */
struct tcp_seg {
	struct kl_list link;
	uint32_t seq, end; /* end includes a FIN */
	uint32_t sent_us;
	uint8_t state; /* enum tcp_seg_state; LOST: believed lost and not sent again yet */
	bool resent, fin;
	struct tcp_block *block; /* where the byte seq lies; not owned */
	uint32_t offset;
};

enum tcp_ca { TCP_CA_OPEN_, TCP_CA_RECOVERY_, TCP_CA_LOSS_ };
enum tcp_loss_timer { TCP_T_NONE, TCP_T_RTO, TCP_T_PROBE, TCP_T_REORDER, TCP_T_PERSIST, TCP_T_CORK, TCP_T_RETRY };

struct tcp_listen;

struct tcp {
	struct kl_socket sock; /* first */
	struct tcp_node node;
	struct kl_list bind_link;    /* in the table of bound ports */
	struct kl_list pending_link; /* to be looked at at the end of the batch */
	struct kl_net_timer timer;
	struct kl_list accept_link; /* in the listener's queue of new connections */
	struct tcp_listen *listen;  /* a listener's; NULL: not listening */
	struct kl_inet_options ip;
	uint32_t bound_be; /* the address given to bind(2) */
	uint8_t state;
	bool bound, orphan, was_connected;
	bool shut_read, shut_write; /* shutdown(2) */
	bool fin_queued, fin_sent, fin_received, ooo_fin;
	bool sack_ok, ts_ok, wscale_ok;
	bool no_delay, cork, more, quick_ack, uncork; /* more: MSG_MORE; uncork: send what is held back, once */
	bool no_space;                                /* somebody waits for room in the send queue */
	bool no_memory;                               /* the last output could not go on; tried again soon */
	bool ack_now, ack_pending, probe_now;
	bool rcvbuf_locked, sndbuf_locked;
	bool cwnd_limited, reordering, tlp_pending;
	bool route_error; /* a soft error is worth reporting at a time-out */
	uint8_t ca;       /* enum tcp_ca */
	uint8_t snd_wscale, rcv_wscale;
	uint8_t retries, probes, keep_sent, dup_acks;
	uint8_t defer_accept_s;
	int soft_error;

	/* --- send --- */
	uint32_t iss, snd_una, snd_nxt, snd_end; /* snd_end: behind what the program wrote (a FIN not counted) */
	uint32_t snd_wnd, snd_wl1, snd_wl2, snd_wnd_max;
	uint32_t mss; /* payload of a full segment, timestamps taken off */
	uint16_t mss_peer, mss_user;
	struct tcp_block *snd_first, *snd_last, *snd_next; /* next: holds snd_nxt; NULL: all sent */
	uint32_t snd_first_seq;                            /* of snd_first's first byte */
	uint32_t snd_next_offset;                          /* into snd_next */
	struct kl_list segs;                               /* struct tcp_seg by seq */
	uint32_t snd_small;   /* end of the last segment that was not full (Minshall's form of Nagle's rule) */
	uint32_t fack;        /* highest sequence number that was acknowledged or sacked */
	uint32_t flying;      /* bytes that are believed to be in the network */
	uint32_t sacked_segs; /* how many of segs are SACKED */
	uint32_t lost_segs;
	uint32_t cwnd, ssthresh; /* bytes */
	uint32_t recover, prr_delivered, prr_out, prr_flight;
	uint32_t srtt_us, rttvar_us, rto_us, min_rtt_us;            /* srtt 0: none yet */
	uint32_t rack_sent_us, rack_end, rack_rtt_us, rack_wait_us; /* wait: until the next segment counts as lost */
	uint32_t tlp_end;
	uint32_t undo_cwnd, undo_ssthresh, undo_ts; /* what to go back to when a time-out was spurious */

	/* --- receive --- */
	uint32_t irs, rcv_nxt, rcv_adv; /* rcv_adv: right edge that was advertised */
	uint32_t ack_sent;              /* the last acknowledgement number sent */
	uint32_t ts_recent, ts_offset;
	uint64_t ts_recent_ns;
	struct kl_pbuf_queue rcv_queue; /* in order, not read yet; the first packet is partly read */
	struct kl_pbuf *ooo, *ooo_last; /* beyond rcv_nxt, sorted by seq, linked by queue */
	uint32_t rcv_truesize, ooo_truesize;
	uint32_t ooo_fin_seq;             /* with ooo_fin: where a FIN lies that came early */
	struct tcp_range last_ooo, dsack; /* what the next acknowledgement reports first */
	uint16_t rcv_mss;                 /* estimate of the peer's segments */
	uint32_t tune_seq, tune_us;       /* receive buffer tuning: bytes per round trip */
	uint32_t rcv_rtt_us;
	uint32_t read_bytes;

	/* --- timers: deadlines, 0 when off; all of them by the one timer --- */
	uint64_t loss_at_ns, delack_at_ns, keep_at_ns;
	uint8_t loss_timer;                     /* enum tcp_loss_timer */
	uint64_t last_received_ns, rto_base_ns; /* rto_base: since when the oldest segment makes no progress */
	uint32_t keep_idle_s, keep_interval_s, keep_count, user_timeout_ms;
	int32_t linger2_s;

	uint32_t total_retrans, segs_in, segs_out;
	uint64_t bytes_acked, bytes_received;
};

/* A connection in SYN-RECEIVED: small, since hostile peers can make many. */
struct tcp_request {
	struct tcp_node node;
	struct kl_list link; /* in the listener's list */
	struct kl_net_timer timer;
	struct tcp *listener;
	uint32_t iss, irs, ts_recent, ts_offset;
	uint16_t mss;
	uint32_t sent_us;
	uint8_t snd_wscale, rcv_wscale, tries;
	uint16_t window;
	bool has_ts, has_wscale, sack_ok, acked; /* acked: deferred, or the accept queue is full */
	bool waiting;                            /* the handshake is over, only the accept queue was full */
};

struct tcp_listen {
	struct kl_list link; /* in the table of listeners */
	struct tcp *tcp;
	struct kl_list requests; /* struct tcp_request */
	struct kl_list accepted; /* struct tcp.accept_link */
	unsigned requests_count, accepted_count, backlog;
	unsigned waiting_count; /* requests that are waiting; they are the first of the list */
};

struct tcp_timewait {
	struct tcp_node node;
	struct kl_list link; /* oldest first */
	uint64_t until_ns;
	uint32_t snd_nxt, rcv_nxt, ts_recent, ts_offset;
	uint32_t window;
	bool has_ts;
};

#define TCP_LISTEN_BUCKETS 32u
#define TCP_BIND_BUCKETS 64u

/* The root of all of TCP's state. */
struct tcp_root {
	struct tcp_node **buckets;
	uint32_t buckets_mask, nodes_count;
	uint64_t hash_key[2];
	struct kl_list listeners[TCP_LISTEN_BUCKETS]; /* struct tcp_listen, by port */
	struct kl_list bound[TCP_BIND_BUCKETS];       /* struct tcp.bind_link, by port */
	struct kl_list pending;                       /* struct tcp.pending_link */
	struct kl_net_work work;
	struct kl_list timewaits;
	struct kl_net_timer timewait_timer;
	unsigned timewaits_count, timewaits_max;
	unsigned requests_count, requests_max;
	unsigned orphans_count, orphans_max;
	uint64_t cookies_until_ns; /* cookies were handed out: valid until then */
	unsigned connections;
	uint64_t now_ns;           /* tcp_now() */
	size_t memory, memory_max; /* bytes that queues hold */
	uint32_t port_counter;
	uint64_t challenge_ns;
	unsigned challenge_left;
	struct tcp_seg *spare_segs;
	unsigned spare_segs_count;
};
extern struct tcp_root tcp_root;

static inline struct tcp *tcp_of(struct kl_socket *sock)
{
	return (struct tcp *)sock;
}
/*
 * The time as of the last entry into TCP (a segment, a timer, the end of a batch, a call): reading the clock takes longer than most
 * of what is done with it.
 */
static inline uint64_t tcp_now(void)
{
	return tcp_root.now_ns;
}
static inline void tcp_enter(void)
{
	tcp_root.now_ns = kl_clock_ns();
}
static inline uint32_t tcp_us(void)
{
	return (uint32_t)(tcp_now() / KL_NS_PER_US);
}
/* The timestamp clock: 1 ms (RFC 7323, section 5.4). */
static inline uint32_t tcp_ts_now(uint32_t offset)
{
	return (uint32_t)(tcp_now() / KL_NS_PER_MS) + offset;
}
/* Sequence number behind all that is to be sent, a FIN included. */
static inline uint32_t tcp_send_limit(const struct tcp *t)
{
	return t->snd_end + (t->fin_queued ? 1 : 0);
}
static inline uint32_t tcp_queued(const struct tcp *t)
{
	return t->snd_end - t->snd_una;
}

/* tcp.c */
struct tcp *tcp_alloc(void);
void tcp_free(struct tcp *t);               /* resources and memory; no file refers to it */
void tcp_destroy(struct tcp *t, int error); /* to CLOSED: timers and queues go; the socket's waiters learn it */
void tcp_set_state(struct tcp *t, enum tcp_state state);
void tcp_wake(struct tcp *t, uint32_t events);
void tcp_pend(struct tcp *t); /* tcp_output() at the end of the batch */
bool tcp_memory_tight(void);

/* tcp_demux.c */
int tcp_demux_init(void);
void tcp_node_insert(struct tcp_node *node);
void tcp_node_remove(struct tcp_node *node);
struct tcp_node *tcp_node_find(uint32_t local_be, uint16_t local_port, uint32_t remote_be, uint16_t remote_port);
struct tcp *tcp_listener_find(uint32_t local_be, uint16_t port, uint32_t remote_be, uint16_t remote_port);
uint32_t tcp_isn(const struct tcp_node *node);
uint32_t tcp_ts_offset(const struct tcp_node *node);

/* tcp_bind.c */
int tcp_bind_port(struct tcp *t, uint32_t address_be, uint16_t port);
void tcp_unbind(struct tcp *t);
int tcp_bind_ephemeral(struct tcp *t); /* for connect: node's addresses and remote port are set */
int tcp_listen_conflict(struct tcp *t);

/* tcp_segment.c */
bool tcp_segment_parse(struct tcp_segment *seg, struct kl_pbuf *packet, const struct kl_ipv4_info *info);
/* The answer to a segment that belongs to nothing (RFC 9293, section 3.10.7.1). */
void tcp_reset_reply(const struct tcp_segment *seg, uint16_t local_port, uint16_t remote_port);
struct tcp_control {
	const struct tcp_node *node;
	uint32_t seq, ack;
	uint32_t window; /* as in the header */
	uint8_t flags, tos, ttl;
	bool has_ts;
	uint32_t ts_value, ts_echo;
	uint16_t mss; /* SYN: 0: no option */
	bool sack_ok, has_wscale;
	uint8_t wscale;
};
/* A segment without data. 0 or -errno. */
int tcp_send_control(const struct tcp_control *control);
uint16_t tcp_mss_for(uint32_t remote_be); /* what we can receive there */

/* tcp_input.c, tcp_connect.c */
void tcp_input(struct kl_pbuf *packet, const struct kl_ipv4_info *info);
void tcp_error(const struct kl_ipv4_error *error);
void tcp_receive_segment(struct tcp *t, struct tcp_segment *seg);
int tcp_connect(struct tcp *t, uint32_t remote_be, uint16_t remote_port); /* sends the SYN */
uint8_t tcp_window_scale(const struct tcp *t);
void tcp_input_syn_sent(struct tcp *t, struct tcp_segment *seg);
void tcp_established(struct tcp *t, const struct tcp_segment *seg); /* options are agreed: sets what depends on them */
bool tcp_challenge_allowed(void);

/* tcp_ack.c */
void tcp_ack_in(struct tcp *t, const struct tcp_segment *seg);
void tcp_update_mss(struct tcp *t, uint32_t mtu);

/* tcp_loss.c */
struct tcp_seg *tcp_seg_alloc(void);
void tcp_seg_free(struct tcp_seg *seg);
void tcp_segs_clear(struct tcp *t);
struct tcp_acked {
	uint32_t delivered; /* bytes newly acknowledged or sacked */
	uint32_t rtt_us;    /* 0: no sample */
	bool resent_acked;
};
void tcp_segs_ack(struct tcp *t, uint32_t ack, struct tcp_acked *acked);
void tcp_segs_sack(struct tcp *t, const struct tcp_segment *seg, struct tcp_acked *acked);
/* Splits seg, so that it ends at seq. false: no memory. */
bool tcp_seg_split(struct tcp *t, struct tcp_seg *seg, uint32_t at);
void tcp_seg_lost(struct tcp *t, struct tcp_seg *seg);
bool tcp_rack_detect(struct tcp *t); /* marks what is lost; true: something was */

/* tcp_congestion.c */
void tcp_cc_init(struct tcp *t);
void tcp_cc_ack(struct tcp *t, uint32_t bytes_acked);
void tcp_cc_enter_recovery(struct tcp *t);
void tcp_cc_recovery_ack(struct tcp *t, uint32_t delivered);
void tcp_cc_timeout(struct tcp *t);
void tcp_cc_idle(struct tcp *t);

/* tcp_output.c */
void tcp_output(struct tcp *t);
void tcp_send_ack(struct tcp *t);
void tcp_send_syn(struct tcp *t);
void tcp_send_reset(struct tcp *t);
/* Send what the peer's window takes, little as it may be (override timeout, RFC 9293 section 3.8.6.2.1). False: nothing. */
bool tcp_send_overdue(struct tcp *t);
void tcp_send_probe(struct tcp *t); /* old sequence number, no data: makes the peer say what it has */
bool tcp_resend(struct tcp *t, struct tcp_seg *seg);
uint32_t tcp_receive_window(struct tcp *t); /* bytes that may be advertised; moves rcv_adv */
void tcp_window_opened(struct tcp *t);      /* the program has read: tells the peer when it is worth it */

/* tcp_queue.c: the send queue */
struct tcp_block *tcp_block_room(struct tcp *t, size_t want); /* last block, with room for at least one byte, or NULL */
void tcp_block_put(struct tcp_block *block);
void tcp_queue_append(struct tcp *t, struct tcp_block *block, uint32_t bytes); /* bytes were added to the last block */
int tcp_queue_span(struct tcp *t, const void *data, uint32_t bytes, kl_phys hold);
void tcp_queue_acked(struct tcp *t, uint32_t una);
void tcp_queue_clear(struct tcp *t);

/* tcp_receive.c */
void tcp_data_in(struct tcp *t, struct tcp_segment *seg); /* in the window; also notes a FIN */
unsigned tcp_sack_blocks(struct tcp *t, struct tcp_range *out, unsigned max);
void tcp_receive_clear(struct tcp *t);
void tcp_receive_consumed(struct tcp *t, uint32_t bytes);

/* tcp_timer.c */
void tcp_timer_run(struct kl_net_timer *timer);
void tcp_timer_update(struct tcp *t);
void tcp_timer_loss(struct tcp *t); /* arms what the state of the send queue asks for */
void tcp_timer_keep(struct tcp *t);

/* tcp_listen.c, tcp_cookie.c */
void tcp_syn_in(struct tcp *listener, struct tcp_segment *seg, const struct tcp_node *node);
void tcp_request_in(struct tcp_request *request, struct tcp_segment *seg);
void tcp_request_free(struct tcp_request *request);
struct tcp *tcp_request_complete(struct tcp_request *request, const struct tcp_segment *seg);
void tcp_listen_refill(struct tcp_listen *listen); /* the accept queue has room again */
int tcp_listen_start(struct tcp *t, int backlog);
void tcp_listen_stop(struct tcp *t);
uint32_t tcp_cookie_make(const struct tcp_node *node, uint32_t irs, uint16_t mss);
bool tcp_cookie_check(const struct tcp_node *node, uint32_t irs, uint32_t cookie, uint16_t *mss);
void tcp_cookie_ack(struct tcp *listener, struct tcp_segment *seg, const struct tcp_node *node);

/* tcp_timewait.c */
void tcp_timewait_enter(struct tcp *t); /* t becomes CLOSED */
/* true: the segment starts a new connection, the entry is gone. */
bool tcp_timewait_in(struct tcp_timewait *tw, struct tcp_segment *seg);
void tcp_timewait_free(struct tcp_timewait *tw);
void tcp_timewait_init(void);

/* tcp_socket.c, tcp_io.c, tcp_option.c */
extern const struct kl_socket_ops tcp_socket_ops;
int tcp_create(struct kl_socket **out);
void tcp_close(struct tcp *t); /* from release */
kl_ssize tcp_send(struct kl_socket *sock, struct kl_message *msg);
kl_ssize tcp_receive(struct kl_socket *sock, struct kl_message *msg);
kl_ssize tcp_send_span(struct kl_socket *sock, const void *data, size_t bytes, kl_phys hold, bool more);
int tcp_set_option(struct kl_socket *sock, int level, int name, const void *value, size_t bytes);
int tcp_get_option(struct kl_socket *sock, int level, int name, void *value, size_t *bytes);
long tcp_ioctl(struct kl_socket *sock, unsigned cmd, uint64_t arg);
bool tcp_writable(const struct tcp *t);
int tcp_take_error(struct tcp *t);

#endif
