// SPDX-License-Identifier: Apache-2.0
/* A web server for the files of one folder: web [-p PORT] FOLDER */
#include "server.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { PORT = 80, LINE_BYTES = 1024 };

static void print(int fd, const char *first, const char *second, const char *third)
{
	char out[LINE_BYTES];
	struct text line = {.out = out, .size = sizeof(out)};
	ssize_t written;

	text_add(&line, "web: ");
	text_add(&line, first);
	text_add(&line, second);
	text_add(&line, third);
	text_add(&line, "\n");
	written = write(fd, out, line.used);
	(void)written; /* nobody is left to be told */
}

static int fail(const char *what, const char *why)
{
	print(STDERR_FILENO, what, ": ", why);
	return 1;
}

int main(int argc, char **argv)
{
	const char *port_text = "80", *folder;
	uint64_t port = PORT;
	struct server *server;
	int root, at = 1;

	if (argc > 2 && !strcmp(argv[1], "-p")) {
		port_text = argv[2];
		if (!slice_number((struct slice){port_text, strlen(port_text)}, &port) || !port || port > 0xffff)
			return fail(port_text, "is not a port");
		at = 3;
	}
	if (argc - at != 1 || argv[at][0] == '-')
		return fail("usage", "web [-p PORT] FOLDER");
	folder = argv[at];
	root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return fail(folder, strerror(errno));
	signal(SIGPIPE, SIG_IGN); /* sendfile() to a client that has gone */
	server = server_open(root, (uint16_t)port);
	if (!server)
		return fail("socket", strerror(errno));
	print(STDOUT_FILENO, folder, " on port ", port_text);
	server_run(server);
	return fail("epoll", strerror(errno));
}
