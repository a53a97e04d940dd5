/* SPDX-License-Identifier: Apache-2.0 */
/* Options, start and end of netstack-host. */
#include "netstack.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kl/clock.h>

#include "../../../kernel/lib/tcp/tcp_priv.h"

int kl_net_init(void);
int kl_arp_init(void);
int kl_ipv4_init(void);
int kl_icmp_init(void);
int kl_inet_init(void);
int kl_tcp_init(void);
int kl_udp_init(void);
int kl_dhcp_init(void);
int kl_loopback_init(void);

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static void usage(void)
{
	fprintf(stderr,
		"usage: netstack-host --tap NAME --net ip:A.B.C.D/N[,gw:A.B.C.D] [--offload] [--loss P] [--duplicate P]\n"
		"  [--reorder P] [--reorder-ms N] [--corrupt P] [--delay-ms N] [--seed N]\n"
		"  [--connect IP:PORT --service echo|sink|source --bytes N --connections N --parallel N]\n");
	exit(2);
}

static int service_number(const char *name)
{
	static const char *const names[] = {"echo", "sink", "source", "http"};

	for (int i = 0; i < 4; i++) {
		if (strcmp(names[i], name) == 0)
			return i;
	}
	usage();
	return -1;
}

/* Everything that is still there must go by itself: connections to their end, then not one allocation of theirs is left. */
static int finish(void)
{
	uint64_t deadline = kl_clock_ns() + 150 * KL_NS_PER_S;

	app_close_listeners();
	while ((app_open > 0 || tcp_root.connections > 0) && kl_clock_ns() < deadline)
		platform_round();
	if (app_open > 0 || tcp_root.connections > 0 || tcp_root.requests_count > 0) {
		fprintf(stderr, "netstack-host: %u connections did not end (%u open)\n", tcp_root.connections,
			app_open);
		for (uint32_t i = 0; i <= tcp_root.buckets_mask; i++) {
			for (struct tcp_node *node = tcp_root.buckets[i]; node != NULL; node = node->next) {
				struct tcp *t = KL_CONTAINER(node, struct tcp, node);

				if (node->kind == TCP_CONNECTION)
					fprintf(stderr,
						"  port %u state %u una %u nxt %u end %u wnd %u fly %u lost %u cwnd %u timer %u\n",
						node->remote_port, t->state, t->snd_una - t->iss, t->snd_nxt - t->iss,
						t->snd_end - t->iss, t->snd_wnd, t->flying, t->lost_segs, t->cwnd,
						t->loss_timer);
			}
		}
		return 1;
	}
	while (!kl_list_empty(&tcp_root.timewaits))
		tcp_timewait_free(KL_LIST_FIRST(&tcp_root.timewaits, struct tcp_timewait, link));
	/* The last acknowledgements. */
	for (int i = 0; i < 10; i++)
		platform_round();
	device_close();
	if (tcp_root.memory != 0 || tcp_root.nodes_count != 0) {
		fprintf(stderr, "netstack-host: %zu bytes of queues and %u nodes are left\n", tcp_root.memory,
			tcp_root.nodes_count);
		return 1;
	}
	return 0;
}

static void print_configuration(struct kl_netif *nif)
{
	char address[16], mask[16], dns[16];

	printf("address %s mask %s dns %s\n", kl_net_format_address(nif->address_be, address),
		kl_net_format_address(nif->mask_be, mask), kl_net_format_address(kl_net_dns(0), dns));
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"tap", 1, NULL, 't'}, {"net", 1, NULL, 'n'}, {"offload", 0, NULL, 'o'},
		{"loss", 1, NULL, 'l'}, {"duplicate", 1, NULL, 'd'}, {"reorder", 1, NULL, 'r'},
		{"reorder-ms", 1, NULL, 'R'}, {"corrupt", 1, NULL, 'C'}, {"delay-ms", 1, NULL, 'D'},
		{"seed", 1, NULL, 's'}, {"connect", 1, NULL, 'c'}, {"service", 1, NULL, 'S'}, {"bytes", 1, NULL, 'b'},
		{"connections", 1, NULL, 'N'}, {"parallel", 1, NULL, 'P'}, {NULL, 0, NULL, 0}};
	static const uint8_t mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
	struct impairment impairment = {.seed = 1, .reorder_ms = 5};
	struct client_plan plan = {.connections = 1, .parallel = 1};
	struct kl_netif *nif;
	const char *tap = NULL;
	char *colon;
	bool offload = false;
	int c, status = 0;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 't': tap = optarg; break;
		case 'n': platform_set_net0(optarg); break;
		case 'o': offload = true; break;
		case 'l': impairment.loss = atof(optarg); break;
		case 'd': impairment.duplicate = atof(optarg); break;
		case 'r': impairment.reorder = atof(optarg); break;
		case 'R': impairment.reorder_ms = (unsigned)atoi(optarg); break;
		case 'C': impairment.corrupt = atof(optarg); break;
		case 'D': impairment.delay_ms = (unsigned)atoi(optarg); break;
		case 's': impairment.seed = strtoull(optarg, NULL, 0); break;
		case 'c':
			colon = strchr(optarg, ':');
			if (colon == NULL)
				usage();
			*colon = 0;
			plan.ip = optarg;
			plan.port = (unsigned)atoi(colon + 1);
			break;
		case 'S': plan.service = service_number(optarg); break;
		case 'b': plan.bytes = strtoull(optarg, NULL, 0); break;
		case 'N': plan.connections = strtoul(optarg, NULL, 0); break;
		case 'P': plan.parallel = (unsigned)atoi(optarg); break;
		default: usage();
		}
	}
	if (tap == NULL)
		usage();
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	if (kl_net_init() != 0 || kl_arp_init() != 0 || kl_ipv4_init() != 0 || kl_icmp_init() != 0 ||
		kl_inet_init() != 0 || kl_tcp_init() != 0 || kl_udp_init() != 0)
		return 1;
	nif = device_open(tap, mac, offload, &impairment);
	if (kl_loopback_init() != 0 || kl_dhcp_init() != 0)
		return 1;
	if (kl_net_wait_configured() != 0)
		return 1;
	print_configuration(nif);
	printf("ready\n");
	fflush(stdout);
	if (plan.ip != NULL) {
		status = client_run(&plan);
	} else {
		app_serve(7, SERVICE_ECHO);
		app_serve(9, SERVICE_SINK);
		app_serve(19, SERVICE_SOURCE);
		app_serve(80, SERVICE_HTTP);
		app_serve_udp(7);
		while (!stop)
			platform_round();
	}
	status |= finish();
	printf("accepted %lu\n", app_accepted);
	return status;
}
