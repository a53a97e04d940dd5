/* SPDX-License-Identifier: Apache-2.0 */
/* AF_INET: sockets by type, addresses, the options of ip(7). */
#include <kl/clock.h>
#include <kl/inet.h>
#include <kl/ipv4.h>
#include <kl/random.h>
#include <kl/sched.h>
#include <kl/string.h>

#include <linux/errno.h>
#include <linux/in.h>

#define POLL_NS (100 * KL_NS_PER_US)

static struct {
	struct kl_list protocols;
	uint64_t key[2];
	uint64_t polled_ns;
} root;

void kl_inet_protocol_add(struct kl_inet_protocol *protocol)
{
	kl_list_push_back(&root.protocols, &protocol->link);
}

static int create(int type, int protocol, struct kl_socket **out)
{
	bool type_known = false;

	if (protocol < 0 || protocol > 262)
		return -EINVAL;
	KL_LIST_FOR(link, &root.protocols)
	{
		struct kl_inet_protocol *p = KL_LIST_ENTRY(link, struct kl_inet_protocol, link);

		type_known |= p->type == type;
		if (p->type == type && (protocol == 0 || protocol == p->protocol))
			return p->create(out);
	}
	return type_known ? -EPROTONOSUPPORT : -ESOCKTNOSUPPORT;
}

int kl_inet_address_get(const struct kl_sockaddr *from, uint32_t *address_be, uint16_t *port)
{
	struct sockaddr_in in;

	if (from->bytes < sizeof(in))
		return -EINVAL;
	memcpy(&in, from->raw, sizeof(in));
	if (in.sin_family != KL_AF_INET && !(in.sin_family == KL_AF_UNSPEC && in.sin_addr.s_addr == 0))
		return -EAFNOSUPPORT;
	*address_be = in.sin_addr.s_addr;
	*port = kl_ntohs(in.sin_port);
	return 0;
}

void kl_inet_address_put(struct kl_sockaddr *to, uint32_t address_be, uint16_t port)
{
	struct sockaddr_in in = {.sin_family = KL_AF_INET, .sin_port = kl_htons(port), .sin_addr = {address_be}};

	memcpy(to->raw, &in, sizeof(in));
	to->bytes = sizeof(in);
}

uint64_t kl_inet_deadline(uint64_t timeout_ns)
{
	return timeout_ns == 0 ? KL_FOREVER : kl_clock_ns() + timeout_ns;
}

void kl_inet_poll(void)
{
	uint64_t now = kl_clock_ns();

	if (now - root.polled_ns < POLL_NS)
		return;
	root.polled_ns = now;
	kl_poll();
}

/* --- options --- */

void kl_inet_options_init(struct kl_inet_options *options)
{
	*options = (struct kl_inet_options){.ttl = 64, .multicast_ttl = 1, .multicast_loop = true};
}

int kl_inet_int(const void *value, size_t bytes, int *out)
{
	if (bytes >= sizeof(*out)) {
		memcpy(out, value, sizeof(*out));
		return 0;
	}
	return -EINVAL;
}

void kl_inet_put_int(void *value, size_t *bytes, int v)
{
	*bytes = KL_MIN(*bytes, sizeof(v));
	memcpy(value, &v, *bytes);
}

static int membership(int name, const void *value, size_t bytes)
{
	struct ip_mreq mreq;

	if (bytes < sizeof(mreq))
		return -EINVAL;
	memcpy(&mreq, value, sizeof(mreq));
	if (!kl_route_is_multicast(mreq.imr_multiaddr.s_addr))
		return -EINVAL;
	return name == IP_ADD_MEMBERSHIP ? kl_ipv4_join(mreq.imr_multiaddr.s_addr)
					 : kl_ipv4_leave(mreq.imr_multiaddr.s_addr);
}

int kl_inet_set_option(struct kl_inet_options *options, int name, const void *value, size_t bytes)
{
	int v;

	if (name == IP_ADD_MEMBERSHIP || name == IP_DROP_MEMBERSHIP)
		return membership(name, value, bytes);
	/* ip(7): a single byte is taken too. */
	if (bytes >= sizeof(v))
		memcpy(&v, value, sizeof(v));
	else if (bytes >= 1)
		v = *(const uint8_t *)value;
	else
		return -EINVAL;
	switch (name) {
	case IP_TOS: options->tos = (uint8_t)v; return 0;
	case IP_TTL:
		if (v != -1 && (v < 1 || v > 255))
			return -EINVAL;
		options->ttl = v == -1 ? 64 : (uint8_t)v;
		return 0;
	case IP_MULTICAST_TTL:
		if (v < -1 || v > 255)
			return -EINVAL;
		options->multicast_ttl = v == -1 ? 1 : (uint8_t)v;
		return 0;
	case IP_MULTICAST_LOOP: options->multicast_loop = v != 0; return 0;
	case IP_PKTINFO: options->packet_info = v != 0; return 0;
	case IP_RECVERR: options->receive_error = v != 0; return 0;
	case IP_MTU_DISCOVER: return v >= 0 && v <= 5 ? 0 : -EINVAL;
	default: return -ENOPROTOOPT;
	}
}

int kl_inet_get_option(const struct kl_inet_options *options, int name, void *value, size_t *bytes)
{
	int v;

	switch (name) {
	case IP_TOS: v = options->tos; break;
	case IP_TTL: v = options->ttl; break;
	case IP_MULTICAST_TTL: v = options->multicast_ttl; break;
	case IP_MULTICAST_LOOP: v = options->multicast_loop; break;
	case IP_PKTINFO: v = options->packet_info; break;
	case IP_RECVERR: v = options->receive_error; break;
	case IP_MTU_DISCOVER: v = IP_PMTUDISC_WANT; break;
	default: return -ENOPROTOOPT;
	}
	kl_inet_put_int(value, bytes, v);
	return 0;
}

/* --- SipHash-2-4 --- */

static uint64_t rotl(uint64_t v, unsigned n)
{
	return v << n | v >> (64 - n);
}

static void rounds(uint64_t v[4], unsigned n)
{
	while (n-- > 0) {
		v[0] += v[1];
		v[1] = rotl(v[1], 13) ^ v[0];
		v[0] = rotl(v[0], 32);
		v[2] += v[3];
		v[3] = rotl(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotl(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotl(v[1], 17) ^ v[2];
		v[2] = rotl(v[2], 32);
	}
}

uint64_t kl_inet_hash(const void *data, size_t n)
{
	const uint8_t *p = data;
	uint64_t v[4] = {root.key[0] ^ 0x736f6d6570736575u, root.key[1] ^ 0x646f72616e646f6du,
		root.key[0] ^ 0x6c7967656e657261u, root.key[1] ^ 0x7465646279746573u};
	uint64_t word = 0, last = (uint64_t)n << 56;

	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&word, p, 8);
		v[3] ^= word;
		rounds(v, 2);
		v[0] ^= word;
	}
	for (size_t i = 0; i < n; i++)
		last |= (uint64_t)p[i] << (8 * i);
	v[3] ^= last;
	rounds(v, 2);
	v[0] ^= last;
	v[2] ^= 0xff;
	rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

int kl_inet_init(void);
int kl_inet_init(void)
{
	static struct kl_socket_family family = {.family = KL_AF_INET, .create = create};

	kl_list_init(&root.protocols);
	kl_random_bytes(root.key, sizeof(root.key));
	kl_socket_family_add(&family);
	return 0;
}
