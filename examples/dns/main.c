// SPDX-License-Identifier: Apache-2.0
/* An authoritative DNS server for one zone: dns [-p PORT] ZONEFILE [ORIGIN] */
#include "parse.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PORT = 53, TEXT_BYTES = 1024 };

/* One line of output; what doesn't fit is left out. */
struct line {
	size_t used;
	char text[TEXT_BYTES];
};

static void add_text(struct line *line, const char *text)
{
	while (*text && line->used < sizeof(line->text))
		line->text[line->used++] = *text++;
}

static void add_number(struct line *line, uint32_t number)
{
	char digits[11], *at = digits + sizeof(digits) - 1;

	*at = 0;
	do {
		*--at = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	add_text(line, at);
}

/* Adds a name as zone files write it, but for escapes; the root is a dot. */
static void add_name(struct line *line, const uint8_t *name)
{
	if (!*name)
		add_text(line, ".");
	for (; *name; name += 1 + *name) {
		for (unsigned int i = 1; i <= *name; i++)
			add_text(line, (char[]){name[i] > ' ' && name[i] < 0x7f ? (char)name[i] : '?', 0});
		add_text(line, ".");
	}
}

static void print(int fd, struct line *line)
{
	ssize_t written;

	add_text(line, "\n");
	written = write(fd, line->text, line->used);
	(void)written; /* nobody is left to be told */
}

/* Says what failed and with which file; returns the program's status. */
static int fail(const char *what, const char *where, uint32_t line_number)
{
	struct line line = {0};

	add_text(&line, "dns: ");
	if (where) {
		add_text(&line, where);
		if (line_number) {
			add_text(&line, ":");
			add_number(&line, line_number);
		}
		add_text(&line, ": ");
	}
	add_text(&line, what);
	print(STDERR_FILENO, &line);
	return 1;
}

static const char *load(struct zone *zone, const char *path, const uint8_t *origin, unsigned int *line)
{
	const char *error;
	struct stat status;
	void *text;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	*line = 0;
	if (fd < 0)
		return strerror(errno);
	if (fstat(fd, &status) || !S_ISREG(status.st_mode) || !status.st_size) {
		close(fd);
		return "not a file with a zone in it";
	}
	text = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (text == MAP_FAILED)
		return strerror(errno);
	error = zone_parse(zone, text, (size_t)status.st_size, origin, line);
	munmap(text, (size_t)status.st_size);
	return error;
}

static bool read_port(const char *text, uint16_t *port)
{
	uint32_t value = 0;

	for (const char *at = text; *at; at++) {
		if (*at < '0' || *at > '9' || value > 0xffff)
			return false;
		value = value * 10 + (uint32_t)(*at - '0');
	}
	*port = (uint16_t)value;
	return value > 0 && value <= 0xffff;
}

static void greet(const struct zone *zone, uint16_t port)
{
	struct line line = {0};

	add_text(&line, "dns: ");
	add_name(&line, zone->apex->name);
	add_text(&line, " with ");
	add_number(&line, zone->records);
	add_text(&line, " records on port ");
	add_number(&line, port);
	print(STDOUT_FILENO, &line);
}

int main(int argc, char **argv)
{
	static struct zone zone;
	uint8_t origin[NAME_MAX_BYTES];
	unsigned int line;
	uint16_t port = PORT;
	struct server *server;
	const char *error;
	int at = 1;

	if (argc > 2 && !strcmp(argv[1], "-p")) {
		if (!read_port(argv[2], &port))
			return fail("is not a port", argv[2], 0);
		at = 3;
	}
	if (argc - at < 1 || argc - at > 2 || argv[at][0] == '-')
		return fail("usage: dns [-p PORT] ZONEFILE [ORIGIN]", NULL, 0);
	if (argc - at == 2 && !name_from_text(origin, argv[at + 1], strlen(argv[at + 1]), (const uint8_t *)""))
		return fail("is not a domain name", argv[at + 1], 0);
	error = load(&zone, argv[at], argc - at == 2 ? origin : NULL, &line);
	if (error)
		return fail(error, argv[at], line);
	server = server_open(&zone, port);
	if (!server)
		return fail(strerror(errno), "socket", 0);
	greet(&zone, port);
	server_run(server);
	return fail(strerror(errno), "poll", 0);
}
