/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SOCKET_PRIV_H
#define SOCKET_PRIV_H

#include <kl/file.h>
#include <kl/socket.h>

struct kl_socket_family *socket_family(int number); /* NULL: not in this image */
/* send of the family, and SIGPIPE where send(2) says so. */
kl_ssize socket_send(struct kl_socket *sock, struct kl_message *msg);
int socket_stat(struct kl_file *file, struct stat *st);

#endif
