/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: a UNIX stream socket; each request is a JSON object on one line, each answer too.
 *
 *   {"cmd": "status"}       state, uptime_ns, memory_bytes, resident_bytes, shared_bytes, waiting
 *   {"cmd": "pause"}, {"cmd": "resume"}
 *   {"cmd": "stop"}         end the VM as SIGTERM does
 *   {"cmd": "registers"}    general and control registers as hexadecimal strings
 *   {"cmd": "memory", "pa": N, "len": N}  or "va" instead of "pa"; up to 4096 bytes, as hexadecimal text
 *   {"cmd": "stats"}        what the monitor and its devices counted; kl_shared.stats as "guest"
 *   {"cmd": "version"}
 *
 * Answers start with "ok": true, or are {"ok": false, "error": TEXT}. A line that is too long ends the connection.
 */
#ifndef KL_MONITOR_CONTROL_H
#define KL_MONITOR_CONTROL_H

#include "image.h"
#include "net.h"
#include "vcpu.h"
#include "worker.h"

#define KL_CONTROL_CLIENTS_MAX 4
#define KL_CONTROL_LINE_MAX 512

struct kl_control;

struct kl_control_client {
	struct kl_source source;
	struct kl_control *control;
	size_t used;
	char line[KL_CONTROL_LINE_MAX];
};

struct kl_control {
	struct kl_source listener;
	struct kl_worker *worker;
	struct kl_vcpu *vcpu;
	struct kl_net *nets;
	unsigned int nets_count;
	uint64_t start_ns;
	int statm_fd;
	bool stop_wanted; /* once the answer has been sent */
	char *path; /* in a read-only page of its own: the sandbox allows to remove just this file. NULL: no socket */
	struct kl_control_client clients[KL_CONTROL_CLIENTS_MAX];
};

/* Listen at path; a socket there that nobody listens on any more is replaced. 0 or -errno after saying why. */
int kl_control_open(struct kl_control *control, const char *path);

/* Begin to serve, on the I/O thread. worker, vcpu and nets are set. 0 or -errno after saying why. */
int kl_control_start(struct kl_control *control);

/* Remove the socket file. */
void kl_control_close(struct kl_control *control);

#endif
