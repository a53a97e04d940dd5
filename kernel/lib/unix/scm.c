/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors and credentials as ancillary data: cmsg(3), unix(7). Limit: sockets that lie in each other's queues and are open
 * nowhere else are not collected.
 */
#include <kl/heap.h>
#include <kl/string.h>

#include "unix_priv.h"

#include <asm/errno.h>

#define LEVEL_SOCKET 1
#define TYPE_RIGHTS 1
#define TYPE_CREDENTIALS 2

struct control_header {
	uint64_t bytes; /* with this header */
	int32_t level, type;
};

#define HEADER sizeof(struct control_header)

void kl_scm_free(struct kl_scm *scm)
{
	for (unsigned i = 0; scm != NULL && i < scm->count; i++)
		kl_file_put(scm->files[i]);
	kl_free(scm);
}

struct kl_scm *kl_scm_copy(const struct kl_scm *scm)
{
	struct kl_scm *copy = kl_malloc(sizeof(*copy) + scm->count * sizeof(copy->files[0]));

	if (copy == NULL)
		return NULL;
	copy->count = scm->count;
	for (unsigned i = 0; i < scm->count; i++) {
		copy->files[i] = scm->files[i];
		kl_file_get(copy->files[i]);
	}
	return copy;
}

static int take_rights(const uint8_t *data, size_t bytes, struct kl_scm **out)
{
	unsigned count = (unsigned)(bytes / sizeof(int)), before = *out != NULL ? (*out)->count : 0;
	struct kl_scm *scm;

	if (before + count > KL_SCM_FILES_MAX)
		return -EINVAL;
	scm = kl_realloc(*out, sizeof(*scm) + (before + count) * sizeof(scm->files[0]));
	if (scm == NULL)
		return -ENOMEM;
	scm->count = before;
	*out = scm;
	for (unsigned i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
		scm->files[scm->count] = kl_fd_get(fd);
		if (scm->files[scm->count] == NULL)
			return -EBADF;
		scm->count++;
	}
	return 0;
}

int kl_scm_take(const uint8_t *control, size_t bytes, struct kl_scm **out)
{
	int rc = 0;

	*out = NULL;
	while (rc == 0 && bytes >= HEADER) {
		struct control_header h;

		memcpy(&h, control, HEADER);
		if (h.bytes < HEADER || h.bytes > bytes) {
			rc = -EINVAL;
			break;
		}
		if (h.level == LEVEL_SOCKET && h.type == TYPE_RIGHTS)
			rc = take_rights(control + HEADER, h.bytes - HEADER, out);
		else if (h.level == LEVEL_SOCKET && h.type == TYPE_CREDENTIALS)
			rc = h.bytes == HEADER + sizeof(struct kl_credentials) ? 0 : -EINVAL; /* what is true is sent */
		else if (h.level == LEVEL_SOCKET)
			rc = -EINVAL;
		h.bytes = KL_MIN(KL_ALIGN_UP(h.bytes, 8), (uint64_t)bytes);
		control += h.bytes;
		bytes -= h.bytes;
	}
	if (rc < 0) {
		kl_scm_free(*out);
		*out = NULL;
	}
	return rc;
}

/* Room for one more record; false: MSG_CTRUNC. */
static bool put(struct kl_message *msg, size_t *used, int type, const void *data, size_t bytes)
{
	struct control_header h = {.bytes = HEADER + bytes, .level = LEVEL_SOCKET, .type = type};

	if (*used + h.bytes > msg->control_bytes) {
		msg->flags |= KL_MSG_CTRUNC;
		return false;
	}
	memcpy(msg->control + *used, &h, HEADER);
	memcpy(msg->control + *used + HEADER, data, bytes);
	*used = KL_MIN(*used + KL_ALIGN_UP(h.bytes, 8), msg->control_bytes);
	return true;
}

void kl_scm_give(struct kl_message *msg, struct kl_scm *scm, const struct kl_credentials *cred, bool cloexec)
{
	int fds[KL_SCM_FILES_MAX];
	unsigned fit, given = 0;
	size_t used = 0;

	if (cred != NULL)
		put(msg, &used, TYPE_CREDENTIALS, cred, sizeof(*cred));
	if (scm != NULL) {
		size_t room = msg->control_bytes - used;

		fit = room > HEADER ? (unsigned)((room - HEADER) / sizeof(int)) : 0;
		while (given < scm->count && given < fit) {
			fds[given] = kl_fd_install(scm->files[given], cloexec);
			if (fds[given] < 0)
				break;
			kl_file_get(scm->files[given++]);
		}
		if (given > 0)
			put(msg, &used, TYPE_RIGHTS, fds, given * sizeof(int));
		if (given < scm->count)
			msg->flags |= KL_MSG_CTRUNC;
		kl_scm_free(scm);
	}
	msg->control_bytes = used;
}
