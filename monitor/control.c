// SPDX-License-Identifier: Apache-2.0
#include "control.h"

#include "control_commands.h"
#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 4

static void drop(struct kl_control_client *client)
{
	kl_worker_remove(client->control->worker, &client->source);
	close(client->source.fd);
	client->source.fd = -1;
	client->used = 0;
}

/* Send an answer; whoever does not read it is dropped, since nobody waits here. */
static bool answer(struct kl_control_client *client, const char *text, size_t bytes)
{
	return send(client->source.fd, text, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)bytes;
}

static void client_ready(struct kl_source *source)
{
	struct kl_control_client *client = source->context;
	char text[KL_CONTROL_ANSWER_MAX];

	if (source->fd < 0)
		return;
	ssize_t bytes =
		recv(source->fd, client->line + client->used, sizeof(client->line) - client->used, MSG_DONTWAIT);
	if (bytes < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (bytes <= 0) {
		drop(client);
		return;
	}
	client->used += (size_t)bytes;
	for (;;) {
		char *newline = memchr(client->line, '\n', client->used);

		if (!newline)
			break;
		size_t length = (size_t)(newline - client->line);
		if (!answer(client, text, kl_control_command(client->control, client->line, length, text))) {
			drop(client);
			return;
		}
		if (client->control->stop_wanted) {
			/* Once: a second signal ends the monitor without waiting for anything. */
			client->control->stop_wanted = false;
			kl_vcpu_stop(client->control->vcpu, SIGTERM);
		}
		client->used -= length + 1;
		memmove(client->line, newline + 1, client->used);
	}
	if (client->used == sizeof(client->line))
		drop(client);
}

static void listener_ready(struct kl_source *source)
{
	struct kl_control *control = source->context;
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	for (unsigned int i = 0; i < KL_CONTROL_CLIENTS_MAX; i++) {
		struct kl_control_client *client = &control->clients[i];

		if (client->source.fd >= 0)
			continue;
		client->source.fd = fd;
		client->used = 0;
		if (!kl_worker_add(control->worker, &client->source))
			return;
		client->source.fd = -1;
		break;
	}
	close(fd);
}

/* A copy of path that nothing can change any more, once the sandbox forbids mprotect. */
static char *keep_path(const char *path)
{
	char *page = mmap(NULL, KL_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return NULL;
	memcpy(page, path, strlen(path) + 1);
	mprotect(page, KL_PAGE_BYTES, PROT_READ);
	return page;
}

static int listen_at(int fd, const struct sockaddr_un *address)
{
	mode_t before = umask(0177);
	int error = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;

	umask(before);
	if (!error && listen(fd, BACKLOG) < 0)
		error = -errno;
	return error;
}

/* Whether path is a socket left behind by a process that has gone. */
static bool is_stale(const struct sockaddr_un *address)
{
	struct stat status;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	bool stale = lstat(address->sun_path, &status) == 0 && S_ISSOCK(status.st_mode) &&
		connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

int kl_control_open(struct kl_control *control, const char *path)
{
	static const char next[] = "give another path with --control";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, error;

	if (strlen(path) >= sizeof(address.sun_path))
		return kl_fail(ENAMETOOLONG, next, "%s: %s", path, strerror(ENAMETOOLONG));
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return kl_fail(errno, next, "%s: %s", path, strerror(errno));
	error = listen_at(fd, &address);
	if (error == -EADDRINUSE && is_stale(&address)) {
		unlink(path);
		error = listen_at(fd, &address);
	}
	if (!error) {
		control->path = keep_path(path);
		if (!control->path)
			error = -ENOMEM;
	}
	if (error) {
		close(fd);
		return kl_fail(-error, next, "%s: %s", path, strerror(-error));
	}
	control->listener = (struct kl_source){.fd = fd, .ready = listener_ready, .context = control};
	return 0;
}

int kl_control_start(struct kl_control *control)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	control->start_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	if (!control->path)
		return 0;
	control->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	for (unsigned int i = 0; i < KL_CONTROL_CLIENTS_MAX; i++) {
		struct kl_control_client *client = &control->clients[i];

		client->source = (struct kl_source){.fd = -1, .ready = client_ready, .context = client};
		client->control = control;
	}
	int error = kl_worker_add(control->worker, &control->listener);
	return error ? kl_fail(-error, "free file descriptors", "%s: %s", control->path, strerror(-error)) : 0;
}

void kl_control_close(struct kl_control *control)
{
	if (control->path)
		unlink(control->path);
}
