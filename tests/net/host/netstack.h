/* SPDX-License-Identifier: Apache-2.0 */
/* netstack-host: the TCP/IP stack as an ordinary process on a tap device. What its files share. */
#ifndef NETSTACK_H
#define NETSTACK_H

#include <kl/netif.h>
#include <kl/socket.h>
#include <kl/types.h>

/* How the device mistreats frames, in both directions. Probabilities in 0 to 1. */
struct impairment {
	double loss, duplicate, reorder, corrupt;
	unsigned delay_ms; /* of each frame; a reordered one takes that and up to reorder_ms more */
	unsigned reorder_ms;
	uint64_t seed;
};

/* Opens the tap. offload: checksums and segmentation are the kernel's. Exits with a message on failure. */
struct kl_netif *device_open(const char *name, const uint8_t mac[6], bool offload, const struct impairment *impairment);
bool device_poll(void);            /* frames in, delayed frames on; whether there was any */
void device_wait(uint64_t max_ns); /* until a frame comes in, or the time has passed */
void device_close(void);

/* One round of everything. Whether there was anything to do. */
bool platform_round(void);
void platform_set_net0(const char *text);
/* kl_wait() and kl_block() run rounds until woken. */

/* --- sockets for the applications --- */

struct kl_socket *app_socket(int type);
struct kl_sockaddr app_address(const char *ip, unsigned port);
/* The byte at an offset of every test stream. */
static inline uint8_t app_pattern(uint64_t offset)
{
	return (uint8_t)(offset * 31 + (offset >> 8) * 17 + (offset >> 16));
}
/* CRC-32 (ISO-HDLC, as zlib's crc32) of more bytes. */
uint32_t app_crc(uint32_t crc, const uint8_t *data, size_t n);
void app_serve(unsigned port, int service);
void app_serve_udp(unsigned port); /* sends each datagram back */
enum { SERVICE_ECHO, SERVICE_SINK, SERVICE_SOURCE, SERVICE_HTTP };
extern unsigned app_open; /* connections that are not finished */
extern unsigned long app_accepted;
void app_close_listeners(void);
bool app_run(void); /* connections that have become ready */

struct client_plan {
	const char *ip;
	unsigned port, parallel;
	unsigned long connections;
	uint64_t bytes;
	int service; /* what the other side offers */
};
/* 0 when every connection did what it should. */
int client_run(const struct client_plan *plan);

#endif
