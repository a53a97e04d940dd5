/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SOCKET_PRIV_H
#define SOCKET_PRIV_H

#include <kl/file.h>
#include <kl/socket.h>

struct kl_socket_family *socket_family(int number); /* NULL: not in this image */
/* send of the family, and SIGPIPE where send(2) says so. */
kl_ssize socket_send(struct kl_socket *sock, struct kl_message *msg);
int socket_stat(struct kl_file *file, struct stat *st);

/* A descriptor's socket, and its file with a reference. 0, -EBADF, -ENOTSOCK. */
int socket_get(int fd, struct kl_file **file, struct kl_socket **sock);
int socket_address_get(struct kl_sockaddr *addr, kl_uaddr from, int bytes);
int socket_address_put(const struct kl_sockaddr *addr, kl_uaddr to, kl_uaddr bytes);

long kl_sys_socket(int family, int type, int protocol);
long kl_sys_socketpair(int family, int type, int protocol, kl_uaddr out);
long kl_sys_bind(int fd, kl_uaddr addr, int bytes);
long kl_sys_getsockname(int fd, kl_uaddr addr, kl_uaddr bytes);
long kl_sys_getpeername(int fd, kl_uaddr addr, kl_uaddr bytes);
long kl_sys_listen(int fd, int backlog);
long kl_sys_accept(int fd, kl_uaddr addr, kl_uaddr bytes);
long kl_sys_accept4(int fd, kl_uaddr addr, kl_uaddr bytes, int flags);
long kl_sys_connect(int fd, kl_uaddr addr, int bytes);
long kl_sys_shutdown(int fd, int how);
long kl_sys_sendto(int fd, kl_uaddr buf, size_t n, int flags, kl_uaddr addr, int addr_bytes);
long kl_sys_recvfrom(int fd, kl_uaddr buf, size_t n, int flags, kl_uaddr addr, kl_uaddr addr_bytes);
long kl_sys_sendmsg(int fd, kl_uaddr msg, int flags);
long kl_sys_recvmsg(int fd, kl_uaddr msg, int flags);
long kl_sys_sendmmsg(int fd, kl_uaddr vector, unsigned count, int flags);
long kl_sys_recvmmsg(int fd, kl_uaddr vector, unsigned count, int flags, kl_uaddr timeout);
long kl_sys_setsockopt(int fd, int level, int name, kl_uaddr value, int bytes);
long kl_sys_getsockopt(int fd, int level, int name, kl_uaddr value, kl_uaddr bytes);

#endif
