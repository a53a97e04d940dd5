/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets: the system calls on one side, the address families on the other. */
#ifndef KL_SOCKET_H
#define KL_SOCKET_H

#include <kl/file.h>
#include <kl/sched.h>
#include <kl/types.h>

/* Linux's numbers, which no UAPI header has (socket(2), recv(2), send(2), shutdown(2)). */
enum { KL_AF_UNSPEC = 0, KL_AF_UNIX = 1, KL_AF_INET = 2 };
enum {
	KL_SOCK_STREAM = 1,
	KL_SOCK_DGRAM = 2,
	KL_SOCK_SEQPACKET = 5,
	KL_SOCK_NONBLOCK = 04000,
	KL_SOCK_CLOEXEC = 02000000
};
enum { KL_SHUT_RD = 0, KL_SHUT_WR = 1, KL_SHUT_RDWR = 2 };
enum {
	KL_MSG_OOB = 0x1,
	KL_MSG_PEEK = 0x2,
	KL_MSG_DONTROUTE = 0x4,
	KL_MSG_CTRUNC = 0x8,
	KL_MSG_TRUNC = 0x20,
	KL_MSG_DONTWAIT = 0x40,
	KL_MSG_EOR = 0x80,
	KL_MSG_WAITALL = 0x100,
	KL_MSG_ERRQUEUE = 0x2000,
	KL_MSG_NOSIGNAL = 0x4000,
	KL_MSG_MORE = 0x8000,
	KL_MSG_WAITFORONE = 0x10000,
	KL_MSG_FASTOPEN = 0x20000000,
	KL_MSG_CMSG_CLOEXEC = 0x40000000,
};

#define KL_SOCKADDR_BYTES 128 /* sockaddr_storage */

/* An address as the program gave it, copied; family is checked by the address family's own code. */
struct kl_sockaddr {
	uint32_t bytes;
	union {
		uint16_t family;
		uint8_t raw[KL_SOCKADDR_BYTES];
	};
};

struct kl_socket;

/* A message of sendmsg(2), recvmsg(2). */
struct kl_message {
	struct kl_iter *it;
	struct kl_sockaddr *addr; /* send: destination or NULL; receive: filled in, or NULL */
	uint8_t *control;         /* ancillary data, already copied; or room for it */
	size_t control_bytes;     /* send: how many; receive: room, then how many are used */
	int flags;                /* MSG_* ; receive: those for msg_flags */
};

/* All return 0, a count or -errno. Blocking calls honour O_NONBLOCK in sock->file->flags, MSG_DONTWAIT and the time-outs. */
struct kl_socket_ops {
	int (*bind)(struct kl_socket *sock, const struct kl_sockaddr *addr);
	int (*listen)(struct kl_socket *sock, int backlog);
	/* A new connection as a socket without file; the caller makes one. */
	int (*accept)(struct kl_socket *sock, bool nonblock, struct kl_socket **out);
	int (*connect)(struct kl_socket *sock, const struct kl_sockaddr *addr, bool nonblock);
	kl_ssize (*send)(struct kl_socket *sock, struct kl_message *msg);
	kl_ssize (*receive)(struct kl_socket *sock, struct kl_message *msg);
	int (*shutdown)(struct kl_socket *sock, int how);
	int (*name)(struct kl_socket *sock, bool peer, struct kl_sockaddr *out);
	/* level SOL_SOCKET is tried by the family first; -ENOPROTOOPT then falls back to the common options. */
	int (*set_option)(struct kl_socket *sock, int level, int name, const void *value, size_t bytes);
	int (*get_option)(struct kl_socket *sock, int level, int name, void *value, size_t *bytes);
	uint32_t (*poll)(struct kl_socket *sock, struct kl_poll_table *table);
	long (*ioctl)(struct kl_socket *sock, unsigned cmd, uint64_t arg);
	int (*pair)(struct kl_socket *a, struct kl_socket *b); /* socketpair(2) */
	void (*release)(struct kl_socket *sock);               /* close; frees sock */
	/* As kl_file_ops.write_span; may be NULL. */
	kl_ssize (*send_span)(struct kl_socket *sock, const void *data, size_t bytes, kl_phys hold, bool more);
};

/* The first member of each family's own structure. */
struct kl_socket {
	const struct kl_socket_ops *ops;
	struct kl_file *file; /* NULL until it has a descriptor */
	int family, type, protocol;
	struct kl_waitq wait;              /* woken with EPOLL* bits */
	uint64_t rcvtimeo_ns, sndtimeo_ns; /* SO_RCVTIMEO, SO_SNDTIMEO; 0: none */
	int error;                         /* SO_ERROR: positive errno, cleared when read */
	bool reuse_addr, reuse_port, keep_alive, broadcast;
	uint32_t rcvbuf, sndbuf; /* bytes */
	uint32_t rcvlowat;       /* SO_RCVLOWAT: bytes from which on there is something to read; at least 1 */
	struct {
		int on, seconds;
	} linger;
};

/* Once, at init. create makes a socket of that family; *out is the family's own structure. */
struct kl_socket_family {
	struct kl_list link;
	int family;
	int (*create)(int type, int protocol, struct kl_socket **out);
};
void kl_socket_family_add(struct kl_socket_family *family);
/* Fills in the common part. */
void kl_socket_init(struct kl_socket *sock, const struct kl_socket_ops *ops, int family, int type, int protocol);
/* A descriptor for it; type may carry SOCK_NONBLOCK, SOCK_CLOEXEC. On failure the socket is still the caller's. */
int kl_socket_install(struct kl_socket *sock, int type);
/* Whether this call must not wait: O_NONBLOCK, MSG_DONTWAIT. */
bool kl_socket_nonblock(const struct kl_socket *sock, int flags);
/* The socket of a file, or NULL when it is something else (-ENOTSOCK). */
struct kl_socket *kl_socket_of(struct kl_file *file);

#endif
