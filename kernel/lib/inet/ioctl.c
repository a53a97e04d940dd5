/* SPDX-License-Identifier: Apache-2.0 */
/* What programs ask about interfaces (netdevice(7)). */
#include <kl/inet.h>
#include <kl/string.h>
#include <kl/uaccess.h>

#include <linux/errno.h>
#include <linux/sockios.h>

/* struct ifreq of <linux/if.h>, which does not go with <linux/in.h> alone. */
struct request {
	char name[16];
	union {
		struct {
			uint16_t family, port;
			uint32_t address_be;
			uint8_t zero[8];
		} in;
		struct {
			uint16_t family;
			uint8_t bytes[14];
		} hardware;
		int32_t number;
		int16_t flags;
		uint8_t raw[24];
	};
};
_Static_assert(sizeof(struct request) == 40, "struct ifreq");

struct conf {
	int32_t bytes, pad;
	kl_uaddr buf;
};

enum { FLAG_UP = 0x1, FLAG_BROADCAST = 0x2, FLAG_LOOPBACK = 0x8, FLAG_RUNNING = 0x40, FLAG_MULTICAST = 0x1000 };
enum { HARDWARE_ETHER = 1, HARDWARE_LOOPBACK = 772 };

static void put_address(struct request *request, uint32_t address_be)
{
	memset(request->raw, 0, sizeof(request->raw));
	request->in.family = KL_AF_INET;
	request->in.address_be = address_be;
}

static long list(uint64_t arg)
{
	struct kl_netif *nif = NULL;
	struct conf conf;
	int32_t used = 0;

	if (KL_GET_USER(conf, arg) != 0)
		return -EFAULT;
	while ((nif = kl_netif_next(nif)) != NULL) {
		struct request request = {0};

		if (nif->address_be == 0)
			continue;
		if (conf.buf != 0 && used + (int32_t)sizeof(request) > conf.bytes)
			break;
		memcpy(request.name, nif->name, sizeof(request.name));
		put_address(&request, nif->address_be);
		if (conf.buf != 0 && kl_copy_to_user(conf.buf + (uint32_t)used, &request, sizeof(request)) != 0)
			return -EFAULT;
		used += (int32_t)sizeof(request);
	}
	conf.bytes = used;
	return KL_PUT_USER(arg, conf);
}

static int answer(unsigned cmd, const struct kl_netif *nif, struct request *request)
{
	bool loopback = (nif->features & KL_NETIF_LOOPBACK) != 0;

	switch (cmd) {
	case SIOCGIFADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFBRDADDR:
		if (nif->address_be == 0)
			return -EADDRNOTAVAIL;
		put_address(request,
			cmd == SIOCGIFADDR              ? nif->address_be
				: cmd == SIOCGIFNETMASK ? nif->mask_be
							: (loopback ? 0 : nif->broadcast_be));
		return 0;
	case SIOCGIFFLAGS:
		request->flags = FLAG_UP | FLAG_RUNNING | (loopback ? FLAG_LOOPBACK : FLAG_BROADCAST | FLAG_MULTICAST);
		return 0;
	case SIOCGIFMTU: request->number = (int32_t)nif->mtu; return 0;
	case SIOCGIFINDEX: request->number = (int32_t)nif->index; return 0;
	case SIOCGIFMETRIC: request->number = 0; return 0;
	case SIOCGIFHWADDR:
		memset(request->raw, 0, sizeof(request->raw));
		request->hardware.family = loopback ? HARDWARE_LOOPBACK : HARDWARE_ETHER;
		memcpy(request->hardware.bytes, nif->mac, sizeof(nif->mac));
		return 0;
	default: return -ENOTTY;
	}
}

long kl_inet_ioctl(unsigned cmd, uint64_t arg)
{
	struct request request;
	struct kl_netif *nif;
	int err;

	switch (cmd) {
	case SIOCGIFCONF: return list(arg);
	case SIOCGIFNAME:
	case SIOCGIFADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFBRDADDR:
	case SIOCGIFFLAGS:
	case SIOCGIFMTU:
	case SIOCGIFINDEX:
	case SIOCGIFMETRIC:
	case SIOCGIFHWADDR: break;
	default: return -ENOTTY;
	}
	if (KL_GET_USER(request, arg) != 0)
		return -EFAULT;
	if (cmd == SIOCGIFNAME) {
		nif = kl_netif_by_index((unsigned)request.number);
		if (nif == NULL)
			return -ENODEV;
		memcpy(request.name, nif->name, sizeof(request.name));
	} else {
		request.name[sizeof(request.name) - 1] = 0;
		nif = kl_netif_by_name(request.name);
		if (nif == NULL)
			return -ENODEV;
		err = answer(cmd, nif, &request);
		if (err != 0)
			return err;
	}
	return KL_PUT_USER(arg, request);
}
