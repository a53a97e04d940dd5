// SPDX-License-Identifier: Apache-2.0
/* Serves a folder's files over HTTP with one loop around epoll_wait(). */
#ifndef WEB_SERVER_H
#define WEB_SERVER_H

#include <stdint.h>

struct server;

/* Opens the socket; returns NULL with errno set when that fails. The folder stays the caller's. */
struct server *server_open(int root, uint16_t port);

/* Answers for ever; returns only when epoll_wait() fails, with errno set. */
void server_run(struct server *server);

#endif
