// SPDX-License-Identifier: Apache-2.0
/* What a request is answered with. */
#ifndef WEB_RESPONSE_H
#define WEB_RESPONSE_H

#include "request.h"

#include <sys/types.h>

/* Takes the fields of every answer, and a path of the longest kind with each octet as %XX. */
enum { RESPONSE_HEAD_BYTES = 4096 };

struct response {
	int fd;           /* the file, -1 if there is none; whoever has the response closes it */
	off_t at;         /* what is to be sent of the file next */
	uint64_t left;    /* how much of it */
	struct text head; /* with the body of those answers that have no file */
};

/* Answers a request that was read with this status, from the files below the folder. */
void response_make(struct response *response, int root, const struct request *request, enum status status,
	char out[RESPONSE_HEAD_BYTES]);

#endif
