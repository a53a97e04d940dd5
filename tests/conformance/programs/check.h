/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs print must not depend on the machine: results, errno names, and whether something held. */
#ifndef CHECK_H
#define CHECK_H

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "call = 3" or "call = ENOENT". */
#define SHOW(call)                                                                                                     \
	do {                                                                                                           \
		long show_r_ = (long)(call);                                                                           \
		if (show_r_ == -1)                                                                                     \
			printf("%s = %s\n", #call, strerrorname_(errno));                                              \
		else                                                                                                   \
			printf("%s = %ld\n", #call, show_r_);                                                          \
		fflush(stdout);                                                                                        \
	} while (0)

#define HOLDS(cond)                                                                                                    \
	do {                                                                                                           \
		printf("%s: %s\n", #cond, (cond) ? "yes" : "no");                                                      \
		fflush(stdout);                                                                                        \
	} while (0)

/* Names of the errors that the programs meet: C libraries differ in what they offer for this. */
static inline const char *strerrorname_(int e)
{
	static const struct {
		int number;
		const char *name;
	} names[] = {
		{EPERM, "EPERM"},
		{ENOENT, "ENOENT"},
		{ESRCH, "ESRCH"},
		{EINTR, "EINTR"},
		{EIO, "EIO"},
		{ENXIO, "ENXIO"},
		{EBADF, "EBADF"},
		{ECHILD, "ECHILD"},
		{EAGAIN, "EAGAIN"},
		{ENOMEM, "ENOMEM"},
		{EACCES, "EACCES"},
		{EFAULT, "EFAULT"},
		{EBUSY, "EBUSY"},
		{EEXIST, "EEXIST"},
		{EXDEV, "EXDEV"},
		{ENODEV, "ENODEV"},
		{ENOTDIR, "ENOTDIR"},
		{EISDIR, "EISDIR"},
		{EINVAL, "EINVAL"},
		{EMFILE, "EMFILE"},
		{ENOTTY, "ENOTTY"},
		{EFBIG, "EFBIG"},
		{ENOSPC, "ENOSPC"},
		{ESPIPE, "ESPIPE"},
		{EROFS, "EROFS"},
		{EMLINK, "EMLINK"},
		{EPIPE, "EPIPE"},
		{ERANGE, "ERANGE"},
		{EDEADLK, "EDEADLK"},
		{ENAMETOOLONG, "ENAMETOOLONG"},
		{ENOSYS, "ENOSYS"},
		{ENOTEMPTY, "ENOTEMPTY"},
		{ELOOP, "ELOOP"},
		{ENODATA, "ENODATA"},
		{EOVERFLOW, "EOVERFLOW"},
		{ENOTSOCK, "ENOTSOCK"},
		{EDESTADDRREQ, "EDESTADDRREQ"},
		{EMSGSIZE, "EMSGSIZE"},
		{EPROTOTYPE, "EPROTOTYPE"},
		{ENOPROTOOPT, "ENOPROTOOPT"},
		{EPROTONOSUPPORT, "EPROTONOSUPPORT"},
		{EOPNOTSUPP, "EOPNOTSUPP"},
		{EAFNOSUPPORT, "EAFNOSUPPORT"},
		{EADDRINUSE, "EADDRINUSE"},
		{EADDRNOTAVAIL, "EADDRNOTAVAIL"},
		{ENETUNREACH, "ENETUNREACH"},
		{ECONNABORTED, "ECONNABORTED"},
		{ECONNRESET, "ECONNRESET"},
		{ENOBUFS, "ENOBUFS"},
		{EISCONN, "EISCONN"},
		{ENOTCONN, "ENOTCONN"},
		{ETIMEDOUT, "ETIMEDOUT"},
		{ECONNREFUSED, "ECONNREFUSED"},
		{EALREADY, "EALREADY"},
		{EINPROGRESS, "EINPROGRESS"},
		{ECANCELED, "ECANCELED"},
		{EOWNERDEAD, "EOWNERDEAD"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == e)
			return names[i].name;
	return "another error";
}

#endif
