// SPDX-License-Identifier: Apache-2.0
#include "answer.h"

#include "message.h"

enum { CHAIN_MAX = 8, TARGETS_MAX = 16 };

struct answer {
	const struct zone *zone;
	const struct query *query;
	struct writer writer;
	const struct node *cut; /* the delegation that is referred to, NULL if none */
	bool authoritative, truncated;
	unsigned int rcode;
	unsigned int target_count;
	const uint8_t *targets[TARGETS_MAX]; /* names whose addresses help */
};

static bool is_among(const uint8_t *const *names, unsigned int count, const uint8_t *name)
{
	while (count-- > 0)
		if (name_equal(names[count], name))
			return true;
	return false;
}

/* Notes a name in a record's data whose addresses the client will ask for next. */
static void note_target(struct answer *a, const struct record *record)
{
	const uint8_t *name = record->data;

	switch (record->type) {
	case TYPE_NS: break;
	case TYPE_MX: name += 2; break;
	case TYPE_SRV: name += 6; break;
	default: return;
	}
	if (a->target_count < TARGETS_MAX && !is_among(a->targets, a->target_count, name))
		a->targets[a->target_count++] = name;
}

static void add_set(struct answer *a, enum section section, const uint8_t *owner, const struct record *set)
{
	for (; set; set = set_next(set)) {
		writer_record(&a->writer, section, owner, set->ttl, set);
		if (section != SECTION_ADDITIONAL)
			note_target(a, set);
	}
}

/* Says how long the answer "there is none" may be kept (RFC 2308, 3). */
static void add_soa(struct answer *a)
{
	const struct record *soa = node_set(a->zone->apex, TYPE_SOA);
	const uint8_t *at = soa->data + soa->bytes - 4;
	uint32_t minimum = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];

	writer_record(&a->writer, SECTION_AUTHORITY, a->zone->apex->name, soa->ttl < minimum ? soa->ttl : minimum, soa);
}

/* Answers "any type" with one small record, whatever the name has (RFC 8482, 4.2). */
static void add_any(struct answer *a, const uint8_t *owner)
{
	static const struct record hinfo = {.ttl = 3600, .type = TYPE_HINFO, .bytes = 9, .data = "\7RFC8482"};

	writer_record(&a->writer, SECTION_ANSWER, owner, hinfo.ttl, &hinfo);
}

/* Answers for a name that exists, by itself or from a wildcard; returns the name to go on with, NULL when done. */
static const uint8_t *answer_node(struct answer *a, const struct node *node, const uint8_t *name)
{
	const struct record *set = node_set(node, a->query->type);
	const struct record *alias = node_set(node, TYPE_CNAME);

	if (a->query->type == TYPE_ANY && node->records) {
		add_any(a, name);
	} else if (set) {
		add_set(a, SECTION_ANSWER, name, set);
	} else if (alias) {
		add_set(a, SECTION_ANSWER, name, alias);
		return alias->data;
	} else {
		add_soa(a);
	}
	return NULL;
}

static void resolve(struct answer *a)
{
	const uint8_t *name = a->query->name, *seen[CHAIN_MAX];

	for (unsigned int step = 0; name && step < CHAIN_MAX && !is_among(seen, step, name); step++) {
		const struct node *node;
		struct zone_match match;

		if (!zone_find(a->zone, name, &match)) {
			if (step == 0)
				a->rcode = RCODE_REFUSED;
			return;
		}
		/* The parent's side of a delegation answers for DS (RFC 4035, 3.1.4.1). */
		if (match.cut && !(match.exact && match.node == match.cut && a->query->type == TYPE_DS)) {
			a->cut = match.cut;
			add_set(a, SECTION_AUTHORITY, match.cut->name, node_set(match.cut, TYPE_NS));
			return;
		}
		a->authoritative = true;
		seen[step] = name;
		node = match.exact ? match.node : zone_child(a->zone, match.node, (const uint8_t *)"\1*");
		if (!node) {
			a->rcode = RCODE_NXDOMAIN;
			add_soa(a);
			return;
		}
		name = answer_node(a, node, name);
	}
}

static bool is_below(const struct node *node, const struct node *above)
{
	while (node && node != above)
		node = node->parent;
	return node != NULL;
}

/* Adds addresses of the targets as far as they fit; those without which a referral leads nowhere must (RFC 9471). */
static void add_addresses(struct answer *a)
{
	static const uint16_t kinds[] = {TYPE_A, TYPE_AAAA};

	for (unsigned int i = 0; i < a->target_count; i++) {
		struct zone_match match;

		if (!zone_find(a->zone, a->targets[i], &match) || !match.exact)
			continue;
		for (unsigned int kind = 0; kind < 2; kind++) {
			struct writer before = a->writer;

			add_set(a, SECTION_ADDITIONAL, a->targets[i], node_set(match.node, kinds[kind]));
			if (!a->writer.full)
				continue;
			a->writer = before;
			a->truncated |= a->cut && is_below(match.node, a->cut);
		}
	}
}

static bool is_answerable(const struct query *query)
{
	return (query->class == CLASS_IN || query->class == CLASS_ANY) && query->type != TYPE_AXFR &&
		query->type != TYPE_IXFR;
}

static size_t message_limit(enum transport transport, const struct query *query)
{
	if (transport == OVER_TCP)
		return MESSAGE_MAX_BYTES;
	if (query->udp_bytes <= UDP_PLAIN_BYTES)
		return UDP_PLAIN_BYTES;
	return query->udp_bytes < UDP_EDNS_BYTES ? query->udp_bytes : UDP_EDNS_BYTES;
}

size_t answer_packet(const struct zone *zone, enum transport transport, const uint8_t *packet, size_t bytes,
	uint8_t out[MESSAGE_MAX_BYTES])
{
	struct query query;
	struct answer a = {.zone = zone, .query = &query};
	int rcode = query_read(&query, packet, bytes);
	size_t limit;

	if (rcode < 0)
		return 0;
	/* An answer to nonsense has no question: it can't be longer than what it answers. */
	query.has_question = query.has_question && rcode != RCODE_FORMERR;
	limit = message_limit(transport, &query);
	writer_start(&a.writer, out, limit, &query);
	a.rcode = (unsigned int)rcode;
	if (rcode == RCODE_NOERROR && !is_answerable(&query))
		a.rcode = RCODE_REFUSED;
	else if (rcode == RCODE_NOERROR)
		resolve(&a);
	if (a.writer.full) {
		/* Truncated: the client asks again over TCP. There everything fits: zone_add() sees to that. */
		a.truncated = transport == OVER_UDP;
		a.rcode = transport == OVER_UDP ? a.rcode : RCODE_SERVFAIL;
		writer_start(&a.writer, out, limit, &query);
	} else {
		add_addresses(&a);
	}
	return writer_finish(&a.writer, &query, (a.authoritative ? FLAG_AA : 0) | (a.truncated ? FLAG_TC : 0), a.rcode);
}
