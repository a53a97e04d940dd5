/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's command line. */
#ifndef KL_MONITOR_OPTIONS_H
#define KL_MONITOR_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define KL_OPTIONS_NET_MAX 4

/* KL_NET_FD: passt's framing (big-endian 32-bit length, frame) on an inherited, already connected stream socket. */
enum kl_net_kind { KL_NET_TAP, KL_NET_PASST, KL_NET_FD };

struct kl_net_options {
	enum kl_net_kind kind;
	char name[108]; /* interface, or path of passt's socket, or number of the descriptor connected to it */
	int fd;         /* KL_NET_FD: that descriptor; otherwise -1 */
	uint8_t mac[6];
};

enum kl_action { KL_ACTION_RUN, KL_ACTION_PROBE, KL_ACTION_VERSION, KL_ACTION_HELP };

struct kl_options {
	enum kl_action action;
	const char *image;
	const char *cmdline; /* never NULL */
	const char *control; /* path of the control socket, or NULL */
	pid_t parent;        /* the process that we are not to outlive, or 0 */
	uint64_t memory_bytes;
	int log_fd;
	bool sandbox;
	unsigned int nets_count;
	struct kl_net_options nets[KL_OPTIONS_NET_MAX];
};

/* Fill options from argv (whose strings it keeps). 0, or -EINVAL after saying why. */
int kl_options_parse(struct kl_options *options, int argc, char **argv);

extern const char kl_options_help[];

#endif
