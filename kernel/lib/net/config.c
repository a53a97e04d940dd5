/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as text, and the configuration from the command line: net0=ip:10.0.2.15/24,gw:10.0.2.2,dns:10.0.2.3 or net0=dhcp. */
#include <kl/clock.h>
#include <kl/log.h>
#include <kl/platform.h>
#include <kl/string.h>

#include "net_priv.h"

#include <linux/errno.h>

#define DHCP_WAIT_NS (4 * KL_NS_PER_S)

/* Decimal, at most max. Returns what follows, or NULL. */
static const char *parse_number(const char *text, uint32_t max, uint32_t *value)
{
	uint32_t v = 0;

	if (*text < '0' || *text > '9')
		return NULL;
	for (; *text >= '0' && *text <= '9'; text++) {
		v = v * 10 + (uint32_t)(*text - '0');
		if (v > max)
			return NULL;
	}
	*value = v;
	return text;
}

bool kl_net_parse_address(const char *text, uint32_t *address_be, const char **end)
{
	uint8_t bytes[4];

	for (unsigned i = 0; i < 4; i++) {
		uint32_t v;

		if (i > 0 && *text++ != '.')
			return false;
		text = parse_number(text, 255, &v);
		if (text == NULL)
			return false;
		bytes[i] = (uint8_t)v;
	}
	memcpy(address_be, bytes, sizeof(bytes));
	*end = text;
	return true;
}

char *kl_net_format_address(uint32_t address_be, char *buf)
{
	const uint8_t *b = (const uint8_t *)&address_be;

	kl_snprintf(buf, 16, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
	return buf;
}

uint32_t kl_net_dns(unsigned n)
{
	return n < DNS_MAX ? net_root.dns_be[n] : 0;
}

void kl_net_dns_set(const uint32_t *servers_be, unsigned count)
{
	for (unsigned i = 0; i < DNS_MAX; i++)
		net_root.dns_be[i] = i < count ? servers_be[i] : 0;
}

struct settings {
	uint32_t address_be, mask_be, gateway_be, mtu;
	uint32_t dns_be[DNS_MAX];
	unsigned dns_count;
};

/* One item, KEY:VALUE. Returns what follows its value, or NULL. */
static const char *parse_item(const char *text, struct settings *s)
{
	const char *end;
	uint32_t n;

	if (strncmp(text, "ip:", 3) == 0) {
		if (!kl_net_parse_address(text + 3, &s->address_be, &end))
			return NULL;
		n = 24;
		if (*end == '/')
			end = parse_number(end + 1, 32, &n);
		s->mask_be = n == 0 ? 0 : kl_htonl(UINT32_MAX << (32 - n));
		return end;
	}
	if (strncmp(text, "gw:", 3) == 0)
		return kl_net_parse_address(text + 3, &s->gateway_be, &end) ? end : NULL;
	if (strncmp(text, "dns:", 4) == 0) {
		uint32_t server;

		if (!kl_net_parse_address(text + 4, &server, &end))
			return NULL;
		if (s->dns_count < DNS_MAX)
			s->dns_be[s->dns_count++] = server;
		return end;
	}
	if (strncmp(text, "mtu:", 4) == 0) {
		end = parse_number(text + 4, 65535, &s->mtu);
		return end != NULL && s->mtu >= 576 ? end : NULL;
	}
	return NULL;
}

void net_configure(struct kl_netif *nif, unsigned n)
{
	struct settings s = {0};
	const char *text, *at;
	char key[16];

	kl_snprintf(key, sizeof(key), "net%u", n);
	text = kl_cmdline_get(key, 0);
	if (text == NULL || strcmp(text, "dhcp") == 0) {
		nif->dhcp = true;
		net_root.configure_until_ns = kl_clock_ns() + DHCP_WAIT_NS;
		return;
	}
	for (at = text;; at++) {
		at = parse_item(at, &s);
		if (at == NULL || (*at != 0 && *at != ',')) {
			kl_warn("net: %s=%s: not understood; expected ip:A.B.C.D/N,gw:A.B.C.D,dns:A.B.C.D,mtu:N or dhcp",
				key, text);
			return;
		}
		if (*at == 0)
			break;
	}
	if (s.mtu != 0 && s.mtu < nif->mtu)
		nif->mtu = s.mtu;
	kl_netif_set_address(nif, s.address_be, s.mask_be);
	if (s.gateway_be != 0 && kl_route_add(0, 0, s.gateway_be, nif) != 0)
		kl_warn("net: %s: no room for its default route", nif->name);
	if (s.dns_count > 0)
		kl_net_dns_set(s.dns_be, s.dns_count);
}

int kl_net_wait_configured(void)
{
	struct kl_netif *nif = NULL;

	while ((nif = kl_netif_next(nif)) != NULL) {
		while (nif->dhcp && nif->address_be == 0 && kl_clock_ns() < net_root.configure_until_ns) {
			int err = kl_wait(&net_root.configured, net_root.configure_until_ns, true);

			if (err < 0 && err != -ETIMEDOUT)
				return err;
		}
	}
	return 0;
}

void kl_net_configured(void)
{
	kl_waitq_wake(&net_root.configured, ~0u);
}
