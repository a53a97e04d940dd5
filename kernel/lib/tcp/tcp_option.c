/* SPDX-License-Identifier: Apache-2.0 */
/* Options and ioctls (tcp(7), socket(7), ip(7)). */
#include "tcp_priv.h"

#include <asm/ioctls.h>
#include <asm/socket.h>
#include <linux/errno.h>
#include <linux/in.h>
#include <linux/sockios.h>

/* Not <linux/tcp.h>: its enums have the names of this file's states. The values are Linux's ABI. */
enum {
	OPT_NODELAY = 1,
	OPT_MAXSEG,
	OPT_CORK,
	OPT_KEEPIDLE,
	OPT_KEEPINTVL,
	OPT_KEEPCNT,
	OPT_SYNCNT,
	OPT_LINGER2,
	OPT_DEFER_ACCEPT,
	OPT_WINDOW_CLAMP,
	OPT_INFO,
	OPT_QUICKACK,
	OPT_CONGESTION,
	OPT_USER_TIMEOUT = 18,
	OPT_FASTOPEN = 23,
	OPT_NOTSENT_LOWAT = 25,
	OPT_FASTOPEN_CONNECT = 30,
};

/* struct tcp_info up to tcpi_total_retrans. */
struct info {
	uint8_t state, ca_state, retransmits, probes, backoff, options, wscale, flags;
	uint32_t rto, ato, snd_mss, rcv_mss, unacked, sacked, lost, retrans, fackets;
	uint32_t last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
	uint32_t pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering;
	uint32_t rcv_rtt, rcv_space, total_retrans;
};

static void fill_info(const struct tcp *t, struct info *info)
{
	uint32_t since_ms = (uint32_t)((kl_clock_ns() - t->last_received_ns) / KL_NS_PER_MS);

	*info = (struct info){
		.state = t->state,
		.ca_state = t->ca == TCP_CA_OPEN_ ? 0 : (t->ca == TCP_CA_RECOVERY_ ? 3 : 4),
		.retransmits = t->retries,
		.probes = t->probes,
		.backoff = t->retries,
		.options = (uint8_t)((t->ts_ok ? 1 : 0) | (t->sack_ok ? 2 : 0) | (t->wscale_ok ? 4 : 0)),
		.wscale = (uint8_t)(t->snd_wscale | t->rcv_wscale << 4),
		.rto = t->rto_us,
		.ato = (uint32_t)(TCP_DELACK_NS / KL_NS_PER_US),
		.snd_mss = t->mss,
		.rcv_mss = t->rcv_mss,
		.unacked = (t->snd_nxt - t->snd_una + t->mss - 1) / t->mss,
		.sacked = t->sacked_segs,
		.lost = t->lost_segs,
		.last_data_recv = since_ms,
		.last_ack_recv = since_ms,
		.pmtu = t->mss + KL_IPV4_HEADER_BYTES + TCP_HEADER_BYTES + (t->ts_ok ? 12 : 0),
		.rcv_ssthresh = t->sock.rcvbuf,
		.rtt = t->srtt_us,
		.rttvar = t->rttvar_us,
		.snd_ssthresh = t->ssthresh == UINT32_MAX ? 0x7fffffff : t->ssthresh / t->mss,
		.snd_cwnd = t->cwnd / t->mss,
		.advmss = tcp_mss_for(t->node.remote_be),
		.reordering = 3,
		.rcv_space = t->sock.rcvbuf,
		.total_retrans = t->total_retrans,
	};
}

static int set_tcp(struct tcp *t, int name, int v)
{
	switch (name) {
	case OPT_NODELAY:
		t->no_delay = v != 0;
		if (v != 0 && t->state != TCP_S_LISTEN)
			tcp_pend(t);
		return 0;
	case OPT_CORK:
		t->cork = v != 0;
		t->more = false;
		if (v == 0 && t->state != TCP_S_LISTEN) {
			t->uncork = true;
			tcp_pend(t);
		}
		return 0;
	case OPT_MAXSEG:
		if (v != 0 && (v < (int)TCP_MSS_MIN || v > 32767))
			return -EINVAL;
		t->mss_user = (uint16_t)v;
		return 0;
	case OPT_KEEPIDLE:
		if (v < 1 || v > 32767)
			return -EINVAL;
		t->keep_idle_s = (uint32_t)v;
		tcp_timer_keep(t);
		return 0;
	case OPT_KEEPINTVL:
		if (v < 1 || v > 32767)
			return -EINVAL;
		t->keep_interval_s = (uint32_t)v;
		return 0;
	case OPT_KEEPCNT:
		if (v < 1 || v > 127)
			return -EINVAL;
		t->keep_count = (uint32_t)v;
		return 0;
	case OPT_LINGER2: t->linger2_s = v; return 0;
	case OPT_DEFER_ACCEPT: t->defer_accept_s = (uint8_t)KL_MIN(KL_MAX(v, 0), 255); return 0;
	case OPT_QUICKACK:
		t->quick_ack = v != 0;
		if (v != 0 && t->ack_pending) {
			t->ack_now = true;
			tcp_pend(t);
		}
		return 0;
	case OPT_USER_TIMEOUT:
		if (v < 0)
			return -EINVAL;
		t->user_timeout_ms = (uint32_t)v;
		return 0;
	default: return -ENOPROTOOPT;
	}
}

static int set_socket(struct tcp *t, int name, int v)
{
	uint32_t half = (uint32_t)KL_MIN(KL_MAX(v, (int)TCP_BUF_MIN / 2), 4 << 20);

	switch (name) {
	case SO_KEEPALIVE:
		t->sock.keep_alive = v != 0;
		tcp_timer_keep(t);
		return 0;
	case SO_SNDBUF:
		t->sock.sndbuf = half * 2; /* socket(7): doubled */
		t->sndbuf_locked = true;
		return 0;
	case SO_RCVBUF:
		t->sock.rcvbuf = half * 2;
		t->rcvbuf_locked = true;
		return 0;
	default: return -ENOPROTOOPT;
	}
}

int tcp_set_option(struct kl_socket *sock, int level, int name, const void *value, size_t bytes)
{
	struct tcp *t = tcp_of(sock);
	int v, err;

	tcp_enter();
	if (level == IPPROTO_IP)
		return kl_inet_set_option(&t->ip, name, value, bytes);
	if (level != IPPROTO_TCP && level != SOL_SOCKET)
		return -ENOPROTOOPT;
	if (level == IPPROTO_TCP && name == OPT_CONGESTION)
		return bytes >= 4 && memcmp(value, "reno", 4) == 0 ? 0 : -ENOENT;
	if (level == SOL_SOCKET && name != SO_KEEPALIVE && name != SO_SNDBUF && name != SO_RCVBUF)
		return -ENOPROTOOPT;
	err = kl_inet_int(value, bytes, &v);
	if (err != 0)
		return err;
	return level == SOL_SOCKET ? set_socket(t, name, v) : set_tcp(t, name, v);
}

int tcp_get_option(struct kl_socket *sock, int level, int name, void *value, size_t *bytes)
{
	struct tcp *t = tcp_of(sock);
	struct info info;
	int v;

	if (level == IPPROTO_IP)
		return kl_inet_get_option(&t->ip, name, value, bytes);
	if (level == SOL_SOCKET && name == SO_ACCEPTCONN) {
		kl_inet_put_int(value, bytes, t->state == TCP_S_LISTEN);
		return 0;
	}
	if (level != IPPROTO_TCP)
		return -ENOPROTOOPT;
	switch (name) {
	case OPT_NODELAY: v = t->no_delay; break;
	case OPT_CORK: v = t->cork; break;
	case OPT_MAXSEG: v = t->state == TCP_S_CLOSED && t->mss_user != 0 ? t->mss_user : (int)t->mss; break;
	case OPT_KEEPIDLE: v = (int)t->keep_idle_s; break;
	case OPT_KEEPINTVL: v = (int)t->keep_interval_s; break;
	case OPT_KEEPCNT: v = (int)t->keep_count; break;
	case OPT_SYNCNT: v = TCP_SYN_RETRIES_MAX; break;
	case OPT_LINGER2: v = t->linger2_s != 0 ? t->linger2_s : (int)(TCP_FIN_WAIT2_NS / KL_NS_PER_S); break;
	case OPT_DEFER_ACCEPT: v = t->defer_accept_s; break;
	case OPT_QUICKACK: v = t->quick_ack; break;
	case OPT_USER_TIMEOUT: v = (int)t->user_timeout_ms; break;
	case OPT_FASTOPEN: v = 0; break;
	case OPT_INFO:
		fill_info(t, &info);
		*bytes = KL_MIN(*bytes, sizeof(info));
		memcpy(value, &info, *bytes);
		return 0;
	case OPT_CONGESTION:
		*bytes = KL_MIN(*bytes, (size_t)16);
		memset(value, 0, *bytes);
		memcpy(value, "reno", KL_MIN(*bytes, (size_t)4));
		return 0;
	default: return -ENOPROTOOPT;
	}
	kl_inet_put_int(value, bytes, v);
	return 0;
}

long tcp_ioctl(struct kl_socket *sock, unsigned cmd, uint64_t arg)
{
	struct tcp *t = tcp_of(sock);
	int v;

	switch (cmd) {
	case SIOCINQ: /* FIONREAD */
		if (t->state == TCP_S_LISTEN)
			return -EINVAL;
		v = (int)t->rcv_queue.bytes;
		break;
	case SIOCOUTQ:
		if (t->state == TCP_S_LISTEN)
			return -EINVAL;
		v = (int)tcp_queued(t);
		break;
	case SIOCOUTQNSD: v = (int)(t->snd_end - t->snd_nxt); break;
	case SIOCATMARK: v = 0; break;
	default: return kl_inet_ioctl(cmd, arg);
	}
	return KL_PUT_USER(arg, v);
}
