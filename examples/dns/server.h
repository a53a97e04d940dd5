// SPDX-License-Identifier: Apache-2.0
/* Serves a zone over UDP and TCP (RFC 7766) with one loop around poll(). */
#ifndef DNS_SERVER_H
#define DNS_SERVER_H

#include "zone.h"

struct server;

/* Opens the sockets; returns NULL with errno set when that fails. */
struct server *server_open(const struct zone *zone, uint16_t port);

/* Answers for ever; returns only when poll() fails, with errno set. */
void server_run(struct server *server);

#endif
