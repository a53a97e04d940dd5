// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "connection.h"

#include <errno.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	TURN_BYTES = 256 * 1024, /* sent of a file before others have their turn */
	RATE_BYTES = 16 * 1024,  /* what a client must take until its deadline */
};

void connection_start(struct connection *connection, int fd)
{
	connection->fd = fd;
	connection->sent_bytes = connection->skip_bytes = 0;
	connection->in_used = 0;
	connection->answering = connection->lingering = connection->waits_to_send = false;
	connection->response.fd = -1;
}

void connection_end(struct connection *connection)
{
	close(connection->fd);
	if (connection->response.fd >= 0)
		close(connection->response.fd);
}

/* Drops what has been read of a body. */
static void skip_body(struct connection *c)
{
	size_t count = c->skip_bytes < c->in_used ? (size_t)c->skip_bytes : c->in_used;

	c->skip_bytes -= count;
	c->in_used -= count;
	memmove(c->in, c->in + count, c->in_used);
}

/* Takes the next request out of the buffer and prepares its response; returns whether there was one. */
static bool take_request(struct connection *c, int root)
{
	enum status status = STATUS_HEADER_TOO_LARGE;
	struct request request;
	size_t head;

	skip_body(c);
	head = request_head_bytes(c->in, c->in_used);
	if (head) {
		status = request_read(&request, c->in, head);
	} else if (c->in_used == sizeof(c->in)) {
		memset(&request, 0, sizeof(request));
		head = c->in_used;
	} else {
		return false;
	}
	response_make(&c->response, root, &request, status, c->out);
	c->answering = true;
	c->keep = request.keep;
	c->head_at = 0;
	c->skip_bytes = request.body_bytes;
	c->in_used -= head;
	memmove(c->in, c->in + head, c->in_used);
	return true;
}

static enum progress send_error(void)
{
	return errno == EAGAIN || errno == EINTR ? PROGRESS_NONE : PROGRESS_ENDED;
}

static enum progress send_head(struct connection *c)
{
	struct response *r = &c->response;

	while (c->head_at < r->head.used) {
		int more = r->left ? MSG_MORE : 0;
		ssize_t sent = send(c->fd, c->out + c->head_at, r->head.used - c->head_at, MSG_NOSIGNAL | more);

		if (sent < 0)
			return send_error();
		c->head_at += (size_t)sent;
		c->sent_bytes += (size_t)sent;
	}
	return PROGRESS_SOME;
}

static enum progress send_file(struct connection *c)
{
	struct response *r = &c->response;
	uint64_t turn = TURN_BYTES;

	while (r->left) {
		size_t count = r->left < turn ? (size_t)r->left : (size_t)turn;
		ssize_t sent = count ? sendfile(c->fd, r->fd, &r->at, count) : 0;

		if (sent < 0)
			return send_error();
		if (!sent)
			return count ? PROGRESS_ENDED
				     : PROGRESS_NONE; /* the file became shorter; or it is others' turn */
		r->left -= (size_t)sent;
		turn -= (size_t)sent;
		c->sent_bytes += (size_t)sent;
	}
	return PROGRESS_SOME;
}

/* Sends on; PROGRESS_SOME says that the response is complete. */
static enum progress send_response(struct connection *c)
{
	enum progress progress = send_head(c);

	if (progress == PROGRESS_SOME)
		progress = send_file(c);
	if (progress != PROGRESS_SOME)
		return progress;
	if (c->response.fd >= 0)
		close(c->response.fd);
	c->response.fd = -1;
	c->answering = false;
	if (!c->keep) {
		/* Closed at once with input left unread, the response would be lost (RFC 9112, 9.6). */
		shutdown(c->fd, SHUT_WR);
		c->lingering = true;
	}
	return PROGRESS_SOME;
}

/* Reads what there is. PROGRESS_SOME: something came. */
static enum progress receive(struct connection *c)
{
	ssize_t got;

	if (c->lingering)
		c->in_used = 0;
	got = recv(c->fd, c->in + c->in_used, sizeof(c->in) - c->in_used, 0);
	if (got < 0)
		return send_error();
	if (!got)
		return PROGRESS_ENDED;
	c->in_used += (size_t)got;
	return PROGRESS_SOME;
}

enum progress connection_serve(struct connection *c, int root)
{
	enum progress result = PROGRESS_NONE, step;

	if (!c->answering) {
		step = receive(c);
		if (step != PROGRESS_SOME || c->lingering)
			return step == PROGRESS_ENDED ? step : PROGRESS_NONE;
	}
	while (c->answering || take_request(c, root)) {
		step = send_response(c);
		if (step == PROGRESS_ENDED)
			return step;
		if (step == PROGRESS_NONE) {
			if (c->sent_bytes >= RATE_BYTES)
				result = PROGRESS_SOME;
			break;
		}
		result = PROGRESS_SOME;
		if (c->lingering)
			break;
	}
	return result;
}
