// SPDX-License-Identifier: Apache-2.0
/* One client: its requests are answered in order, each wholly before the next is looked at. */
#ifndef WEB_CONNECTION_H
#define WEB_CONNECTION_H

#include "response.h"

struct connection {
	int fd;
	struct connection *earlier, *later; /* in the server's list, by deadline */
	int64_t deadline_ms;
	uint64_t sent_bytes; /* since the deadline was set */
	uint64_t skip_bytes; /* of a request's body, to come and be ignored */
	size_t in_used;      /* octets in in */
	size_t head_at;      /* how much of the response's head is sent */
	bool answering;      /* response holds something to send */
	bool keep;           /* goes on after this response */
	bool lingering;      /* all is sent; what comes is dropped until the client closes, too */
	bool waits_to_send;  /* what epoll is told to wait for */
	struct response response;
	char in[HEAD_MAX_BYTES];
	char out[RESPONSE_HEAD_BYTES];
};

enum progress {
	PROGRESS_NONE,  /* waits; the deadline stays */
	PROGRESS_SOME,  /* a response is complete, or enough of it for the time: the deadline moves */
	PROGRESS_ENDED, /* to be closed */
};

void connection_start(struct connection *connection, int fd);

/* Does what can be done without waiting; connection->answering then says what it waits for. */
enum progress connection_serve(struct connection *connection, int root);

/* Closes what it holds. */
void connection_end(struct connection *connection);

#endif
