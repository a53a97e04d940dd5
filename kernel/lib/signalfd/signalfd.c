/* SPDX-License-Identifier: Apache-2.0 */
/* signalfd(2): signals that are read like a file. */
#include <kl/file.h>
#include <kl/heap.h>
#include <kl/sched.h>
#include <kl/signal.h>
#include <kl/string.h>
#include <kl/uaccess.h>

#include "signalfd_priv.h"

#include <asm/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/signalfd.h>

struct signals {
	uint64_t mask;
};

static void fill(struct signalfd_siginfo *out, int sig, const siginfo_t *in)
{
	memset(out, 0, sizeof(*out));
	out->ssi_signo = (uint32_t)sig;
	out->ssi_errno = in->si_errno;
	out->ssi_code = in->si_code;
	switch (sig) {
	case SIGILL:
	case SIGFPE:
	case SIGSEGV:
	case SIGBUS:
	case SIGTRAP:
		if (in->si_code <= 0)
			break;
		out->ssi_addr = (uint64_t)(uintptr_t)in->si_addr;
		return;
	case SIGCHLD:
		if (in->si_code <= 0)
			break;
		out->ssi_status = in->si_status;
		out->ssi_utime = (uint64_t)in->si_utime;
		out->ssi_stime = (uint64_t)in->si_stime;
		break;
	default: break;
	}
	if (in->si_code == SI_TIMER) {
		out->ssi_tid = (uint32_t)in->si_tid;
		out->ssi_overrun = (uint32_t)in->si_overrun;
	} else {
		out->ssi_pid = (uint32_t)in->si_pid;
		out->ssi_uid = (uint32_t)in->si_uid;
	}
	if (in->si_code == SI_QUEUE || in->si_code == SI_TIMER || in->si_code == SI_MESGQ) {
		out->ssi_ptr = (uint64_t)(uintptr_t)in->si_ptr;
		out->ssi_int = in->si_int;
	}
}

static kl_ssize signal_read(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	struct signals *s = file->priv;
	struct signalfd_siginfo out;
	kl_ssize done = 0;
	siginfo_t info;
	int sig, rc;

	(void)pos;
	if (it->left < sizeof(out))
		return -EINVAL;
	while (it->left >= sizeof(out)) {
		sig = kl_signal_dequeue(s->mask, &info);
		if (sig == 0) {
			if (done > 0)
				break;
			rc = (file->flags & O_NONBLOCK) != 0 ? -EAGAIN : kl_wait(kl_signal_waitq(), KL_FOREVER, true);
			if (rc < 0)
				return rc;
			continue;
		}
		fill(&out, sig, &info);
		rc = kl_iter_write(it, &out, sizeof(out));
		if (rc < 0)
			return done > 0 ? done : rc;
		done += (kl_ssize)sizeof(out);
	}
	return done;
}

static uint32_t signal_poll(struct kl_file *file, struct kl_poll_table *table)
{
	struct signals *s = file->priv;

	if (table != NULL)
		table->add(table, kl_signal_waitq());
	return (kl_signal_pending_set() & s->mask) != 0 ? EPOLLIN : 0;
}

static void signal_release(struct kl_file *file)
{
	kl_free(file->priv);
}

static const struct kl_file_ops ops = {.read = signal_read, .poll = signal_poll, .release = signal_release};

/* Of an existing descriptor: replaces the mask. */
static long change(int fd, uint64_t mask)
{
	struct kl_file *file = kl_fd_get(fd);
	long rc = fd;

	if (file == NULL)
		return -EBADF;
	if (file->ops == &ops) {
		((struct signals *)file->priv)->mask = mask;
		kl_waitq_wake(kl_signal_waitq(), ~0u);
	} else {
		rc = -EINVAL;
	}
	kl_file_put(file);
	return rc;
}

long kl_sys_signalfd4(int fd, kl_uaddr mask_addr, size_t mask_bytes, int flags)
{
	struct signals *s;
	struct kl_file *file;
	uint64_t mask;
	int rc;

	if (mask_bytes != sizeof(mask) || (flags & ~(SFD_CLOEXEC | SFD_NONBLOCK)) != 0)
		return -EINVAL;
	if (KL_GET_USER(mask, mask_addr) < 0)
		return -EFAULT;
	mask &= ~(kl_signal_bit(SIGKILL) | kl_signal_bit(SIGSTOP));
	if (fd != -1)
		return change(fd, mask);
	s = kl_malloc(sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->mask = mask;
	file = kl_file_create(&ops, O_RDWR | ((uint32_t)flags & O_NONBLOCK), s);
	if (file == NULL) {
		kl_free(s);
		return -ENOMEM;
	}
	file->anonymous = "anon_inode:[signalfd]";
	rc = kl_fd_install(file, (flags & SFD_CLOEXEC) != 0);
	if (rc < 0)
		kl_file_put(file);
	return rc;
}

long kl_sys_signalfd(int fd, kl_uaddr mask, size_t mask_bytes)
{
	return kl_sys_signalfd4(fd, mask, mask_bytes, 0);
}
