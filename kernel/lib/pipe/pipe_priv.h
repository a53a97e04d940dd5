/* SPDX-License-Identifier: Apache-2.0 */
/* Pipes and FIFOs (pipe(7)): a ring of bytes on pages that are there while they hold something. */
#ifndef KL_PIPE_PRIV_H
#define KL_PIPE_PRIV_H

#include <kl/file.h>
#include <kl/pmm.h>
#include <kl/sched.h>
#include <kl/types.h>
#include <kl/vfs.h>

#define KL_PIPE_SLOTS 16u      /* pages, at first: 64 KiB */
#define KL_PIPE_SLOTS_MAX 256u /* 1 MiB, as fs.pipe-max-size */
#define KL_PIPE_ATOMIC 4096u   /* PIPE_BUF */

struct kl_pipe {
	struct kl_waitq readers_wait, writers_wait;
	uint32_t readers, writers;
	uint32_t readers_ever, writers_ever; /* opens so far */
	uint64_t head, tail;                 /* bytes ever read, ever written */
	uint32_t slots;                      /* a power of two */
	bool taken;                          /* a splice(2) is at the first bytes: nobody else reads */
	kl_phys *pages;                      /* slots of them, KL_PHYS_NONE where nothing is */
};

static inline struct kl_pipe *kl_pipe_of(struct kl_file *file)
{
	return file->priv;
}
static inline size_t kl_pipe_used(const struct kl_pipe *p)
{
	return p->tail - p->head;
}
/* A page that is read only in part keeps its slot, as on Linux: what follows the last slot would otherwise go away with it. */
static inline size_t kl_pipe_room(const struct kl_pipe *p)
{
	return p->slots * KL_PAGE_BYTES - (p->tail - KL_ALIGN_DOWN(p->head, KL_PAGE_BYTES));
}

extern const struct kl_file_ops kl_pipe_file_ops;

struct kl_pipe *kl_pipe_create(void); /* nobody has it open; NULL: out of memory */
void kl_pipe_free(struct kl_pipe *p);
/* Bytes that lie together at the head. */
size_t kl_pipe_peek(struct kl_pipe *p, const void **data);
void kl_pipe_consume(struct kl_pipe *p, size_t n);
/* As many bytes of it as there is room for. A count, or -errno if that is none. */
kl_ssize kl_pipe_put(struct kl_pipe *p, struct kl_iter *it, size_t n);
/* Waits until there is something to read, or nobody writes any more. 1, 0 at the end, -EAGAIN, -EINTR. */
int kl_pipe_wait_data(struct kl_pipe *p, bool nonblock);
/* Waits for room of n bytes. 0, -EAGAIN, -EINTR, -EPIPE (with the signal). */
int kl_pipe_wait_room(struct kl_pipe *p, size_t n, bool nonblock);

int kl_pipe_init(void);
long kl_sys_pipe(kl_uaddr fds);
long kl_sys_pipe2(kl_uaddr fds, int flags);
long kl_sys_splice(int in_fd, kl_uaddr in_off, int out_fd, kl_uaddr out_off, size_t n, unsigned flags);
long kl_sys_tee(int in_fd, int out_fd, size_t n, unsigned flags);
long kl_sys_vmsplice(int fd, kl_uaddr iov, size_t count, unsigned flags);

#endif
