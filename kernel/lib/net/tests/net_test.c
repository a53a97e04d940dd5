/* SPDX-License-Identifier: Apache-2.0 */
/* Packet buffers and checksums against plain arrays, the timing wheel against its promise, routes, the command line's text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/errno.h>

#include "../net_priv.h"
#include <kl/clock.h>
#include <kl/log.h>
#include "kl_host.h"

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d %s\n", __FILE__, __LINE__, #cond);                                          \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

static const char *net0;

const char *kl_cmdline_get(const char *key, unsigned n)
{
	return n == 0 && strcmp(key, "net0") == 0 ? net0 : NULL;
}

static uint32_t rnd(uint32_t below)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 20) % below;
}

/* --- checksums --- */

static uint16_t naive_sum(const uint8_t *p, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += i % 2 == 0 ? p[i] : (uint64_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void test_sum_is_the_plain_one(void)
{
	static uint8_t data[5000];

	for (int round = 0; round < 20000; round++) {
		size_t at = rnd(64), n = rnd(round % 10 == 0 ? 4900 : 100);

		for (size_t i = 0; i < n; i++)
			data[at + i] = round % 3 == 0 ? 0xff : (uint8_t)rnd(256);
		/* 0 and 0xffff are the same number. */
		CHECK(kl_net_sum(data + at, n, 0) % 0xffff == naive_sum(data + at, n) % 0xffff);
		CHECK(kl_net_sum(data + at, n, 0xffff) <= 0xffff);
	}
	printf("ok checksums of any length at any place\n");
}

/* --- packet buffers --- */

struct model {
	struct kl_pbuf *packet;
	uint8_t bytes[20000];
	size_t n;
};

static void model_add(struct model *m, size_t n)
{
	struct kl_pbuf *buf = kl_pbuf_alloc(rnd(100), n);

	CHECK(buf != NULL);
	for (size_t i = 0; i < n; i++)
		m->bytes[m->n + i] = (uint8_t)rnd(256);
	memcpy(kl_pbuf_append(buf, n), m->bytes + m->n, n);
	if (m->packet == NULL)
		m->packet = buf;
	else
		kl_pbuf_chain(m->packet, buf);
	m->n += n;
}

static void model_check(const struct model *m)
{
	static uint8_t out[20000];
	size_t at = m->n == 0 ? 0 : rnd((uint32_t)m->n), n = m->n - at == 0 ? 0 : rnd((uint32_t)(m->n - at));

	CHECK(m->packet->total == m->n);
	kl_pbuf_copy_out(m->packet, 0, out, m->n);
	CHECK(memcmp(out, m->bytes, m->n) == 0);
	CHECK(kl_pbuf_sum(m->packet, at, n, 0) % 0xffff == naive_sum(m->bytes + at, n) % 0xffff);
}

static void test_packets_are_their_bytes(void)
{
	size_t before = kl_host_allocations();
	static struct model m;

	for (int round = 0; round < 3000; round++) {
		m = (struct model){0};
		for (uint32_t i = 0, pieces = 1 + rnd(8); i < pieces; i++)
			model_add(&m, rnd(i % 3 == 0 ? 2000 : 50));
		model_check(&m);
		for (int op = 0; op < 6; op++) {
			size_t n = m.n == 0 ? 0 : rnd((uint32_t)m.n + 1);
			struct kl_pbuf *copy;

			switch (rnd(4)) {
			case 0:
				m.packet = kl_pbuf_drop(m.packet, n);
				memmove(m.bytes, m.bytes + n, m.n - n);
				m.n -= n;
				break;
			case 1:
				kl_pbuf_trim(m.packet, n);
				m.n = n;
				break;
			case 2:
				m.packet = kl_pbuf_pullup(m.packet, n);
				CHECK(m.packet != NULL && m.packet->bytes >= n);
				break;
			default:
				copy = kl_pbuf_copy(m.packet, 20);
				CHECK(copy != NULL && copy->bytes == m.n && kl_pbuf_headroom(copy) >= 20);
				kl_pbuf_put(m.packet);
				m.packet = copy;
			}
			model_check(&m);
		}
		CHECK(kl_pbuf_pullup(m.packet, m.n + 1) == NULL);
	}
	CHECK(kl_host_allocations() - before < 200); /* spares only */
	printf("ok packets through any sequence of operations are their bytes\n");
}

static void test_slices_keep_their_storage(void)
{
	struct kl_pbuf *buf = kl_pbuf_alloc(0, 3000), *slice, *again;

	memset(kl_pbuf_append(buf, 3000), 7, 3000);
	slice = kl_pbuf_slice(buf, 1000, 1000);
	CHECK(slice != NULL && buf->refs == 2);
	kl_pbuf_put(buf);
	again = kl_pbuf_slice(slice, 500, 100);
	kl_pbuf_put(slice);
	CHECK(again->bytes == 100 && again->data[99] == 7);
	kl_pbuf_put(again); /* ASan: nothing before, everything now */
	printf("ok slices of slices keep the storage\n");
}

/* --- timers --- */

#define TIMERS 500

struct timed {
	struct kl_net_timer timer;
	uint64_t due_ns;
	bool set;
};

static struct timed timed[TIMERS];
static unsigned fired;
static uint64_t latest_ns;

static void on_timer(struct kl_net_timer *timer)
{
	struct timed *t = KL_CONTAINER(timer, struct timed, timer);

	CHECK(t->set && kl_host_now_ns >= t->due_ns);
	latest_ns = KL_MAX(latest_ns, kl_host_now_ns - t->due_ns);
	t->set = false;
	fired++;
	if (rnd(4) == 0) { /* sets another one, and cancels one, from within */
		struct timed *other = &timed[rnd(TIMERS)];

		other->set = true;
		other->due_ns = kl_host_now_ns + rnd(2000) * KL_NS_PER_MS;
		kl_net_timer_set(&other->timer, other->due_ns);
		other = &timed[rnd(TIMERS)];
		other->set = false;
		kl_net_timer_cancel(&other->timer);
	}
}

static void test_timers_fire_in_time_and_never_early(void)
{
	for (unsigned i = 0; i < TIMERS; i++)
		timed[i].timer.fn = on_timer;
	for (int round = 0; round < 20000; round++) {
		struct timed *t = &timed[rnd(TIMERS)];

		if (rnd(5) == 0) {
			t->set = false;
			kl_net_timer_cancel(&t->timer);
		} else {
			t->set = true;
			t->due_ns = kl_host_now_ns + rnd(round % 7 == 0 ? 100000000 : 3000000) * 1000ull;
			kl_net_timer_set(&t->timer, t->due_ns);
		}
		kl_host_advance(rnd(4000000));
		CHECK(t->set == kl_net_timer_is_set(&t->timer));
	}
	kl_host_advance(200 * KL_NS_PER_S);
	for (unsigned i = 0; i < TIMERS; i++)
		CHECK(!timed[i].set && !kl_net_timer_is_set(&timed[i].timer));
	CHECK(fired > 3000 && latest_ns <= 4 * KL_NS_PER_MS);
	printf("ok timers fire, never early, at most 4 ms late\n");
}

/* --- routes and configuration --- */

static int drop(struct kl_netif *nif, struct kl_pbuf *frame)
{
	(void)nif;
	kl_pbuf_put(frame);
	return 0;
}

static void flush(struct kl_netif *nif)
{
	(void)nif;
}

static const struct kl_netif_ops ops = {drop, flush};
static const struct kl_link_ops link_ops = {0};

static uint32_t ip(const char *text)
{
	const char *end;
	uint32_t v;

	CHECK(kl_net_parse_address(text, &v, &end) && *end == 0);
	return v;
}

static void test_the_longest_prefix_wins(void)
{
	static struct kl_netif a = {.ops = &ops, .link = &link_ops, .mtu = 1500},
			       b = {.ops = &ops, .link = &link_ops, .mtu = 9000};
	struct kl_route route;
	char text[16];

	net0 = "ip:10.1.0.5/16,gw:10.1.0.1,dns:1.1.1.1,dns:8.8.4.4,mtu:1400";
	CHECK(kl_netif_add(&a) == 0 && kl_netif_add(&b) == 0);
	CHECK(a.mtu == 1400 && kl_net_dns(0) == ip("1.1.1.1") && kl_net_dns(1) == ip("8.8.4.4") && kl_net_dns(2) == 0);
	CHECK(!a.dhcp && b.dhcp && strcmp(a.name, "eth0") == 0 && strcmp(b.name, "eth1") == 0);
	kl_netif_set_address(&b, ip("10.1.2.5"), ip("255.255.255.0"));
	CHECK(kl_route_find(ip("10.1.9.9"), NULL, &route) == 0 && route.nif == &a &&
		route.next_hop_be == ip("10.1.9.9"));
	CHECK(kl_route_find(ip("10.1.2.9"), NULL, &route) == 0 && route.nif == &b && route.source_be == ip("10.1.2.5"));
	CHECK(kl_route_find(ip("9.9.9.9"), NULL, &route) == 0 && route.nif == &a &&
		route.next_hop_be == ip("10.1.0.1"));
	CHECK(kl_route_is_local(ip("10.1.2.5")) && kl_route_is_local(ip("127.4.5.6")) &&
		!kl_route_is_local(ip("10.1.2.6")));
	CHECK(kl_route_is_broadcast(ip("10.1.255.255")) && kl_route_is_broadcast(ip("255.255.255.255")));
	CHECK(!kl_route_is_broadcast(ip("10.1.2.254")));
	kl_netif_set_address(&b, 0, 0);
	CHECK(kl_route_find(ip("10.1.2.9"), NULL, &route) == 0 && route.nif == &a);
	kl_route_pmtu_learn(ip("9.9.9.9"), 700);
	CHECK(kl_route_pmtu(ip("9.9.9.9"), 1400) == 700 && kl_route_pmtu(ip("9.9.9.8"), 1400) == 1400);
	kl_route_pmtu_learn(ip("9.9.9.9"), 68);
	CHECK(kl_route_pmtu(ip("9.9.9.9"), 1400) >= 552);
	kl_host_advance(601 * KL_NS_PER_S);
	CHECK(kl_route_pmtu(ip("9.9.9.9"), 1400) == 1400);
	CHECK(strcmp(kl_net_format_address(ip("255.0.10.1"), text), "255.0.10.1") == 0);
	printf("ok routes and path MTUs\n");
}

static void test_bad_configuration_is_refused(void)
{
	static const char *const bad[] = {"ip:10.0.0/8", "ip:1.2.3.4/33", "ip:1.2.3.400/8", "gw:", "hello",
		"ip:1.2.3.4/24;", "mtu:5", "ip:1.2.3.4/24,", "", "dns:1.2.3.4.5"};
	static struct kl_netif nif = {.ops = &ops, .link = &link_ops, .mtu = 1500};

	for (size_t i = 0; i < KL_ARRAY_LEN(bad); i++) {
		net0 = bad[i];
		nif.address_be = 0;
		net_configure(&nif, 0);
		CHECK(nif.address_be == 0 && !nif.dhcp);
	}
	printf("ok a configuration that is not understood changes nothing\n");
}

int main(void)
{
	CHECK(kl_net_init() == 0);
	kl_log_level = -1;
	test_sum_is_the_plain_one();
	test_packets_are_their_bytes();
	test_slices_keep_their_storage();
	test_timers_fire_in_time_and_never_early();
	test_the_longest_prefix_wins();
	test_bad_configuration_is_refused();
	return 0;
}
