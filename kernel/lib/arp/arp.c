/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded cache. Only neighbours that we asked about, or that asked for our address, get an entry; an unasked-for reply can
 * refresh an entry that exists but never makes one, so a hostile link cannot fill the cache with more than its own requests.
 */
#include <kl/arp.h>
#include <kl/clock.h>
#include <kl/ether.h>
#include <kl/net.h>
#include <kl/random.h>

#include <linux/errno.h>

#define WAYS 4u
#define BUCKETS 32u
#define QUEUE_MAX 8u /* packets that wait for one address */
#define TRIES_MAX 3u /* requests, a second apart */
#define RETRY_NS KL_NS_PER_S
#define FRESH_NS (30 * KL_NS_PER_S)  /* then a use asks again, without waiting */
#define VALID_NS (120 * KL_NS_PER_S) /* then it is not used any more */

struct arp_header {
	uint16_t hardware_be, protocol_be;
	uint8_t hardware_bytes, protocol_bytes;
	uint16_t operation_be;
	uint8_t sender_mac[6];
	uint32_t sender_be;
	uint8_t target_mac[6];
	uint32_t target_be;
} __attribute__((packed));

enum { ARP_REQUEST = 1, ARP_REPLY = 2 };

struct entry {
	struct kl_netif *nif; /* NULL: free */
	uint32_t address_be;
	uint8_t mac[6];
	bool known;
	uint8_t tries;
	uint64_t confirmed_ns; /* known: when; otherwise when it was made */
	uint64_t asked_ns;
	struct kl_pbuf_queue waiting;
};

static struct {
	struct entry entries[BUCKETS][WAYS];
	uint32_t key; /* so that nobody can aim at one bucket */
	struct kl_net_timer timer;
} arp;

static struct entry *bucket_of(uint32_t address_be)
{
	return arp.entries[(address_be ^ arp.key) * 0x9e3779b1u >> 27];
}

static struct entry *find(struct kl_netif *nif, uint32_t address_be)
{
	struct entry *bucket = bucket_of(address_be);

	for (unsigned i = 0; i < WAYS; i++) {
		if (bucket[i].nif == nif && bucket[i].address_be == address_be)
			return &bucket[i];
	}
	return NULL;
}

static void entry_free(struct entry *entry)
{
	kl_pbuf_queue_free(&entry->waiting);
	*entry = (struct entry){0};
}

/* The free entry of the bucket, or its oldest. */
static struct entry *create(struct kl_netif *nif, uint32_t address_be)
{
	struct entry *bucket = bucket_of(address_be), *entry = &bucket[0];

	for (unsigned i = 0; i < WAYS; i++) {
		if (bucket[i].nif == NULL) {
			entry = &bucket[i];
			break;
		}
		if (bucket[i].confirmed_ns < entry->confirmed_ns)
			entry = &bucket[i];
	}
	if (entry->nif != NULL)
		entry_free(entry);
	entry->nif = nif;
	entry->address_be = address_be;
	entry->confirmed_ns = kl_clock_ns();
	return entry;
}

static void send(struct kl_netif *nif, int operation, const uint8_t *dst, const uint8_t *target_mac, uint32_t target_be)
{
	static const uint8_t zero[6];
	struct kl_pbuf *packet = kl_pbuf_alloc(KL_PBUF_HEADROOM, sizeof(struct arp_header));
	struct arp_header *header;

	if (packet == NULL)
		return; /* asked again by the timer */
	header = (struct arp_header *)kl_pbuf_append(packet, sizeof(*header));
	header->hardware_be = kl_htons(1);
	header->protocol_be = kl_htons(KL_ETHERTYPE_IPV4);
	header->hardware_bytes = 6;
	header->protocol_bytes = 4;
	header->operation_be = kl_htons((uint16_t)operation);
	memcpy(header->sender_mac, nif->mac, 6);
	header->sender_be = nif->address_be;
	memcpy(header->target_mac, target_mac != NULL ? target_mac : zero, 6);
	header->target_be = target_be;
	kl_ether_push(nif, packet, dst, KL_ETHERTYPE_ARP);
	(void)kl_netif_transmit(nif, packet);
}

static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void ask(struct entry *entry, uint64_t now)
{
	entry->asked_ns = now;
	send(entry->nif, ARP_REQUEST, entry->known ? entry->mac : broadcast, NULL, entry->address_be);
}

int kl_arp_resolve(struct kl_netif *nif, uint32_t address_be, struct kl_pbuf *packet, uint8_t mac[6])
{
	struct entry *entry = find(nif, address_be);
	uint64_t now = kl_clock_ns();

	if (entry != NULL && entry->known) {
		uint64_t age = now - entry->confirmed_ns;

		if (age < VALID_NS) {
			memcpy(mac, entry->mac, 6);
			if (age > FRESH_NS && now - entry->asked_ns > RETRY_NS)
				ask(entry, now);
			return 0;
		}
		entry->known = false;
		entry->tries = 0;
	} else if (entry == NULL) {
		entry = create(nif, address_be);
	}
	if (entry->waiting.packets >= QUEUE_MAX)
		kl_pbuf_put(kl_pbuf_dequeue(&entry->waiting));
	kl_pbuf_enqueue(&entry->waiting, packet);
	if (entry->tries == 0) {
		entry->tries = 1;
		ask(entry, now);
	}
	if (!kl_net_timer_is_set(&arp.timer))
		kl_net_timer_set(&arp.timer, now + RETRY_NS);
	return -EINPROGRESS;
}

static void give_up(struct entry *entry)
{
	struct kl_pbuf_queue waiting = entry->waiting;
	struct kl_pbuf *packet;

	entry->waiting = (struct kl_pbuf_queue){0};
	entry_free(entry);
	while ((packet = kl_pbuf_dequeue(&waiting)) != NULL)
		kl_net_unreachable(packet);
}

static void timer_run(struct kl_net_timer *timer)
{
	uint64_t now = kl_clock_ns();
	bool more = false;

	for (unsigned i = 0; i < BUCKETS * WAYS; i++) {
		struct entry *entry = &arp.entries[0][0] + i;

		if (entry->nif == NULL || entry->known)
			continue;
		if (now - entry->asked_ns >= RETRY_NS) {
			if (entry->tries >= TRIES_MAX) {
				give_up(entry);
				continue;
			}
			entry->tries++;
			ask(entry, now);
		}
		more = true;
	}
	if (more)
		kl_net_timer_set(timer, now + RETRY_NS);
}

static void learn(struct entry *entry, const uint8_t mac[6])
{
	struct kl_pbuf *packet;

	memcpy(entry->mac, mac, 6);
	entry->known = true;
	entry->tries = 0;
	entry->confirmed_ns = kl_clock_ns();
	while ((packet = kl_pbuf_dequeue(&entry->waiting)) != NULL) {
		kl_ether_push(entry->nif, packet, entry->mac, KL_ETHERTYPE_IPV4);
		(void)kl_netif_transmit(entry->nif, packet);
	}
}

static void arp_input(struct kl_netif *nif, struct kl_pbuf *packet)
{
	struct arp_header header;
	struct entry *entry;
	bool for_us;

	if (packet->total < sizeof(header))
		goto out;
	kl_pbuf_copy_out(packet, 0, &header, sizeof(header));
	if (header.hardware_be != kl_htons(1) || header.protocol_be != kl_htons(KL_ETHERTYPE_IPV4) ||
		header.hardware_bytes != 6 || header.protocol_bytes != 4)
		goto out;
	/* A group address as a neighbour's, or our own address as a sender's, would turn traffic away. */
	if ((header.sender_mac[0] & 1) != 0 || header.sender_be == nif->address_be ||
		kl_route_is_broadcast(header.sender_be))
		goto out;
	for_us = nif->address_be != 0 && header.target_be == nif->address_be;
	entry = header.sender_be == 0 ? NULL : find(nif, header.sender_be);
	if (entry == NULL && header.sender_be != 0 && for_us && header.operation_be == kl_htons(ARP_REQUEST) &&
		(header.sender_be & nif->mask_be) == (nif->address_be & nif->mask_be))
		entry = create(nif, header.sender_be);
	if (entry != NULL)
		learn(entry, header.sender_mac);
	if (for_us && header.operation_be == kl_htons(ARP_REQUEST))
		send(nif, ARP_REPLY, header.sender_mac, header.sender_mac, header.sender_be);
out:
	kl_pbuf_put(packet);
}

void kl_arp_announce(struct kl_netif *nif)
{
	send(nif, ARP_REQUEST, broadcast, NULL, nif->address_be);
}

int kl_arp_init(void)
{
	static struct kl_net_protocol protocol = {.ethertype = KL_ETHERTYPE_ARP, .input = arp_input};

	arp.key = kl_random_u32();
	arp.timer.fn = timer_run;
	kl_net_protocol_add(&protocol);
	return 0;
}
