/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of AF_UNIX (unix(7)): within the kernlet. */
#ifndef KL_UNIX_PRIV_H
#define KL_UNIX_PRIV_H

#include <kl/list.h>
#include <kl/socket.h>
#include <kl/types.h>
#include <kl/vfs.h>

#define KL_SCM_FILES_MAX 253u
#define KL_UNIX_CHUNK 16384u /* most bytes of one message of a stream */

struct kl_credentials {
	int pid;
	uint32_t uid, gid;
};

/* Files under way. */
struct kl_scm {
	unsigned count;
	struct kl_file *files[]; /* with references */
};

struct kl_unix;

/* What was sent at once, or a part of it. */
struct kl_unix_message {
	struct kl_list link;
	struct kl_scm *scm; /* NULL: none */
	struct kl_credentials cred;
	struct kl_unix *from; /* with a reference: for its name */
	uint32_t bytes, taken;
	uint8_t data[];
};

struct kl_unix {
	struct kl_socket sock;   /* first */
	unsigned refs;           /* itself while it is open, and those whose peer it is */
	struct kl_sockaddr name; /* bytes 0: none */
	struct kl_dentry *entry; /* that it is bound to, with a reference */
	struct kl_list bound;    /* in the list of abstract names */
	struct kl_unix *peer;    /* with a reference; of a stream both ways; of a datagram socket where it sends to */
	struct kl_list senders, sender_link;  /* datagrams: those whose peer this is */
	struct kl_list queue;                 /* messages to be received */
	uint32_t queued;                      /* their bytes, with their headers */
	struct kl_list pending, pending_link; /* a listener's connections to be accepted */
	unsigned pending_count, backlog;
	bool dead;                  /* closed; what is left is its name */
	bool shut_read, shut_write; /* by itself, or for what the peer of a stream did */
	bool listening, pass_cred;
	struct kl_credentials peer_cred; /* as of connect(2), listen(2) */
	struct kl_credentials own_cred;
};

static inline struct kl_unix *kl_unix_of(struct kl_socket *sock)
{
	return KL_CONTAINER(sock, struct kl_unix, sock);
}
static inline bool kl_unix_is_dgram(const struct kl_unix *u)
{
	return u->sock.type == KL_SOCK_DGRAM;
}
extern struct kl_waitq kl_unix_room; /* woken when a queue of someone else may have room, or went away */

struct kl_credentials kl_unix_credentials(void);
void kl_unix_put(struct kl_unix *u); /* NULL: no effect */
/* The peer of a datagram socket from now on; NULL: none. */
void kl_unix_set_peer(struct kl_unix *u, struct kl_unix *peer);
/* The socket at an address; it stays while nothing blocks. 0, -ECONNREFUSED, -ENOENT, -EPROTOTYPE, ... */
int kl_unix_find(const struct kl_sockaddr *addr, int type, struct kl_unix **out);
bool kl_unix_purge(struct kl_unix *u); /* drops what is to be received; whether there was any */

kl_ssize kl_unix_send(struct kl_socket *sock, struct kl_message *msg);
kl_ssize kl_unix_receive(struct kl_socket *sock, struct kl_message *msg);

/* Ancillary data: takes files out of what the program passed; -EINVAL, -EBADF, -ETOOMANYREFS. *out may become NULL. */
int kl_scm_take(const uint8_t *control, size_t bytes, struct kl_scm **out);
void kl_scm_free(struct kl_scm *scm);
struct kl_scm *kl_scm_copy(const struct kl_scm *scm); /* for MSG_PEEK; NULL: out of memory */
/* Gives the files descriptors and writes what recvmsg(2) reports; scm may be NULL and is used up. */
void kl_scm_give(struct kl_message *msg, struct kl_scm *scm, const struct kl_credentials *cred, bool cloexec);

int kl_unix_init(void);

#endif
