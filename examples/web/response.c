// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "response.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	enum status status;
	const char *reason;
} reasons[] = {
	{STATUS_OK, "OK"},
	{STATUS_PARTIAL, "Partial Content"},
	{STATUS_MOVED, "Moved Permanently"},
	{STATUS_NOT_MODIFIED, "Not Modified"},
	{STATUS_BAD_REQUEST, "Bad Request"},
	{STATUS_FORBIDDEN, "Forbidden"},
	{STATUS_NOT_FOUND, "Not Found"},
	{STATUS_NOT_ALLOWED, "Method Not Allowed"},
	{STATUS_TOO_LARGE, "Content Too Large"},
	{STATUS_URI_TOO_LONG, "URI Too Long"},
	{STATUS_BAD_RANGE, "Range Not Satisfiable"},
	{STATUS_HEADER_TOO_LARGE, "Request Header Fields Too Large"},
	{STATUS_ERROR, "Internal Server Error"},
	{STATUS_UNAVAILABLE, "Service Unavailable"},
	{STATUS_VERSION, "HTTP Version Not Supported"},
};

static const struct {
	char extension[8];
	const char *type;
} types[] = {
	{"html", "text/html; charset=utf-8"},
	{"htm", "text/html; charset=utf-8"},
	{"css", "text/css; charset=utf-8"},
	{"js", "text/javascript; charset=utf-8"},
	{"mjs", "text/javascript; charset=utf-8"},
	{"txt", "text/plain; charset=utf-8"},
	{"md", "text/markdown; charset=utf-8"},
	{"csv", "text/csv; charset=utf-8"},
	{"xml", "application/xml"},
	{"json", "application/json"},
	{"pdf", "application/pdf"},
	{"wasm", "application/wasm"},
	{"gz", "application/gzip"},
	{"zip", "application/zip"},
	{"svg", "image/svg+xml"},
	{"png", "image/png"},
	{"jpg", "image/jpeg"},
	{"jpeg", "image/jpeg"},
	{"gif", "image/gif"},
	{"webp", "image/webp"},
	{"avif", "image/avif"},
	{"ico", "image/x-icon"},
	{"woff2", "font/woff2"},
	{"mp3", "audio/mpeg"},
	{"mp4", "video/mp4"},
	{"webm", "video/webm"},
};

static const char *reason_of(enum status status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "";
}

static const char *type_of(const char *path)
{
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot && i < sizeof(types) / sizeof(types[0]); i++)
		if (slice_is((struct slice){dot + 1, strlen(dot + 1)}, types[i].extension))
			return types[i].type;
	return "application/octet-stream";
}

static void add_number_field(struct text *head, const char *name, uint64_t number)
{
	text_add(head, name);
	text_number(head, number, 10);
	text_add(head, "\r\n");
}

static void start_head(struct text *head, enum status status, const struct request *request)
{
	struct timespec now;

	text_add(head, "HTTP/1.1 ");
	text_number(head, status, 10);
	text_add(head, " ");
	text_add(head, reason_of(status));
	text_add(head, "\r\nServer: kernlet-web\r\nDate: ");
	clock_gettime(CLOCK_REALTIME, &now);
	text_date(head, now.tv_sec);
	text_add(head, request->keep ? "\r\nConnection: keep-alive\r\n" : "\r\nConnection: close\r\n");
}

/* Ends the head and adds a page that says the status. */
static void add_page(struct text *head, enum status status, const struct request *request)
{
	char out[256];
	struct text page = {.out = out, .size = sizeof(out)};

	text_add(&page, "<!DOCTYPE html>\n<html lang=\"en\"><title>");
	text_number(&page, status, 10);
	text_add(&page, " ");
	text_add(&page, reason_of(status));
	text_add(&page, "</title><h1>");
	text_add(&page, reason_of(status));
	text_add(&page, "</h1></html>\n");
	add_number_field(head, "Content-Length: ", page.used);
	text_add(head, "Content-Type: text/html; charset=utf-8\r\n\r\n");
	if (!request->head_only)
		text_slice(head, (struct slice){out, page.used});
}

/* Adds the path of a folder as a client must write it. */
static void add_location(struct text *head, const struct request *request)
{
	text_add(head, "Location: /");
	for (const unsigned char *at = (const unsigned char *)request->path; *at; at++) {
		bool plain = (*at >= '0' && *at <= '9') || ((*at | 0x20) >= 'a' && (*at | 0x20) <= 'z') ||
			strchr("/-._~", *at);

		if (plain) {
			text_slice(head, (struct slice){(const char *)at, 1});
		} else {
			text_add(head, *at < 16 ? "%0" : "%");
			text_number(head, *at, 16);
		}
	}
	text_add(head, "/");
	if (request->query.length < 512)
		text_slice(head, request->query);
	text_add(head, "\r\n");
}

static enum status status_of(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ELOOP:
	case ENAMETOOLONG: return STATUS_NOT_FOUND;
	case EACCES:
	case ENXIO: return STATUS_FORBIDDEN;
	case EMFILE:
	case ENFILE:
	case ENOMEM: return STATUS_UNAVAILABLE;
	default: return STATUS_ERROR;
	}
}

static enum status open_at(int folder, const char *path, int *fd, struct stat *file)
{
	/* A pipe must not hold up the server. */
	*fd = openat(folder, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (*fd < 0)
		return status_of(errno);
	if (!fstat(*fd, file))
		return STATUS_OK;
	close(*fd);
	*fd = -1;
	return STATUS_ERROR;
}

/* Opens the file that a path names, or a folder's index; the type is that of the name. */
static enum status open_file(int root, const struct request *request, int *fd, struct stat *file, const char **type)
{
	enum status status = open_at(root, request->path[0] ? request->path : ".", fd, file);

	*type = type_of(request->path);
	if (status == STATUS_OK && S_ISDIR(file->st_mode)) {
		int folder = *fd;

		*fd = -1;
		*type = type_of("index.html");
		status = request->is_folder ? open_at(folder, "index.html", fd, file) : STATUS_MOVED;
		close(folder);
	} else if (status == STATUS_OK && request->is_folder) {
		status = STATUS_NOT_FOUND;
	}
	if (status == STATUS_OK && S_ISREG(file->st_mode))
		return STATUS_OK;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return status == STATUS_OK ? STATUS_FORBIDDEN : status;
}

static void add_etag(struct text *text, const struct stat *file)
{
	text_add(text, "\"");
	text_number(text, (uint64_t)file->st_mtim.tv_sec, 16);
	text_add(text, "-");
	text_number(text, (uint64_t)file->st_mtim.tv_nsec, 16);
	text_add(text, "-");
	text_number(text, (uint64_t)file->st_size, 16);
	text_add(text, "\"");
}

static bool same(struct slice slice, const struct text *text)
{
	return slice.length == text->used && !memcmp(slice.at, text->out, text->used);
}

/* Whether the client has the file already (RFC 9110, 13.2.2). */
static bool is_unchanged(const struct request *request, const struct stat *file, const struct text *etag)
{
	struct slice rest = request->if_none_match, part;
	time_t time;

	if (!rest.at)
		return request->if_modified_since.at && date_read(request->if_modified_since, &time) &&
			file->st_mtim.tv_sec <= time;
	while (slice_cut(&rest, ',', &part)) {
		part = slice_trim(part);
		if (part.length > 2 && !memcmp(part.at, "W/", 2))
			part = (struct slice){part.at + 2, part.length - 2};
		if (slice_is(part, "*") || same(part, etag))
			return true;
	}
	return false;
}

/* Whether a part may be sent: the client's other parts are of the same file (RFC 9110, 13.1.5). */
static bool range_holds(const struct request *request, const struct stat *file, const struct text *etag)
{
	time_t time;

	if (!request->if_range.at || same(request->if_range, etag))
		return true;
	return date_read(request->if_range, &time) && time == file->st_mtim.tv_sec;
}

static void add_file(
	struct response *response, const struct request *request, const struct stat *file, const char *type)
{
	uint64_t size = (uint64_t)file->st_size, start = 0, length = size;
	struct text *head = &response->head;
	enum status status = STATUS_OK;
	char out[64];
	struct text etag = {.out = out, .size = sizeof(out)};

	add_etag(&etag, file);
	if (is_unchanged(request, file, &etag))
		status = STATUS_NOT_MODIFIED;
	else if (request->range.at && !request->head_only && range_holds(request, file, &etag))
		status = range_read(request->range, size, &start, &length);
	start_head(head, status, request);
	text_add(head, "ETag: ");
	text_slice(head, (struct slice){out, etag.used});
	text_add(head, "\r\nLast-Modified: ");
	text_date(head, file->st_mtim.tv_sec);
	text_add(head, "\r\nAccept-Ranges: bytes\r\n");
	if (status == STATUS_PARTIAL || status == STATUS_BAD_RANGE) {
		text_add(head, "Content-Range: bytes ");
		if (status == STATUS_PARTIAL) {
			text_number(head, start, 10);
			text_add(head, "-");
			text_number(head, start + length - 1, 10);
		} else {
			text_add(head, "*");
		}
		add_number_field(head, "/", size);
	}
	if (status == STATUS_BAD_RANGE) {
		add_page(head, status, request);
		return;
	}
	if (status != STATUS_NOT_MODIFIED) {
		text_add(head, "Content-Type: ");
		text_add(head, type);
		add_number_field(head, "\r\nContent-Length: ", length);
		response->at = (off_t)start;
		response->left = request->head_only ? 0 : length;
	}
	text_add(head, "\r\n");
}

void response_make(struct response *response, int root, const struct request *request, enum status status,
	char out[RESPONSE_HEAD_BYTES])
{
	const char *type = NULL;
	struct stat file;

	*response = (struct response){.fd = -1, .head = {.out = out, .size = RESPONSE_HEAD_BYTES}};
	if (status == STATUS_OK)
		status = open_file(root, request, &response->fd, &file, &type);
	if (status == STATUS_OK) {
		add_file(response, request, &file, type);
	} else {
		start_head(&response->head, status, request);
		if (status == STATUS_MOVED)
			add_location(&response->head, request);
		else if (status == STATUS_NOT_ALLOWED)
			text_add(&response->head, "Allow: GET, HEAD\r\n");
		add_page(&response->head, status, request);
	}
	if (!response->left && response->fd >= 0) {
		close(response->fd);
		response->fd = -1;
	}
}
