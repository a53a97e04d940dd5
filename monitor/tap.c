// SPDX-License-Identifier: Apache-2.0
/* A tap interface of the host: frames with a virtio-net header, straight from and to guest memory. */
#include "error.h"
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static ssize_t tap_receive(struct kl_net *net, const struct iovec *iov, unsigned int count)
{
	ssize_t bytes;

	do
		bytes = readv(net->fd, iov, (int)count);
	while (bytes < 0 && errno == EINTR);
	return bytes < 0 ? -errno : bytes;
}

static int tap_send(struct kl_net *net, const struct iovec *iov, unsigned int count, size_t bytes)
{
	(void)bytes;
	while (writev(net->fd, iov, (int)count) < 0) {
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN)
			return -EAGAIN;
		net->dropped++; /* interface down, or a frame that the host refuses */
		break;
	}
	return 0;
}

/* The kernel completes checksums and cuts large segments itself where the driver has not accepted to get them as they are. */
static void tap_start(struct kl_net *net)
{
	uint64_t features = net->device.driver_features;
	unsigned long offloads = 0;

	if (features & 1ull << VIRTIO_NET_F_GUEST_CSUM)
		offloads |= TUN_F_CSUM;
	if (features & 1ull << VIRTIO_NET_F_GUEST_CSUM && features & 1ull << VIRTIO_NET_F_GUEST_TSO4)
		offloads |= TUN_F_TSO4;
	ioctl(net->fd, TUNSETOFFLOAD, offloads);
}

static const struct kl_net_backend backend = {.receive = tap_receive, .send = tap_send, .start = tap_start};

static uint16_t interface_mtu(const char *interface)
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, SIOCGIFMTU, &request) < 0 || request.ifr_mtu < 68 || request.ifr_mtu > 65535)
		request.ifr_mtu = 1500;
	if (fd >= 0)
		close(fd);
	return (uint16_t)request.ifr_mtu;
}

/* The tap must be there: a monitor that could create one would need the right to. */
int kl_tap_open(struct kl_net *net, const char *interface)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int header_bytes = KL_NET_HEADER_BYTES;

	if (!if_nametoindex(interface))
		return kl_fail(
			ENODEV, "create it: ip tuntap add mode tap NAME", "tap %s: no such interface", interface);
	net->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (net->fd < 0)
		return kl_fail(errno, "load the module tun, or use passt", "/dev/net/tun: %s", strerror(errno));
	strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
	if (ioctl(net->fd, TUNSETIFF, &request) < 0)
		return kl_fail(
			errno, "see that it is a tap, yours, and not in use", "tap %s: %s", interface, strerror(errno));
	if (ioctl(net->fd, TUNSETVNETHDRSZ, &header_bytes) < 0)
		return kl_fail(errno, "use passt", "tap %s: TUNSETVNETHDRSZ: %s", interface, strerror(errno));
	net->device.features |= 1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_HOST_TSO4;
	if (ioctl(net->fd, TUNSETOFFLOAD, (unsigned long)(TUN_F_CSUM | TUN_F_TSO4)) == 0)
		net->device.features |= 1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_GUEST_TSO4;
	net->backend = &backend;
	kl_net_set_mtu(net, interface_mtu(interface));
	return 0;
}
