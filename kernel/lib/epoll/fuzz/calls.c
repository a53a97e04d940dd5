/* SPDX-License-Identifier: Apache-2.0 */
/* Epolls over pipes, counters, sockets and each other, closed in any order. */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>

#include "../../vfs/tests/fs_test.h"
#include "kl_host.h"

#include "../../eventfd/eventfd_priv.h"
#include "../../poll/poll_priv.h"
#include "../../socket/socket_priv.h"
#include "../epoll_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);
int kl_pipe_init(void);
int kl_unix_init(void);
long kl_sys_pipe2(kl_uaddr fds, int flags);
int kl_signal_send_thread(struct kl_thread *thread, int sig, const void *info);
int kl_signal_mask_once(kl_uaddr mask, size_t bytes);

int kl_signal_send_thread(struct kl_thread *thread, int sig, const void *info)
{
	return 0;
}

int kl_signal_mask_once(kl_uaddr mask, size_t bytes)
{
	return 0;
}

#define NONBLOCK 04000
#define FDS 24

static void call(const uint8_t b[6])
{
	static uint8_t data[6000];
	struct epoll_event event = {.events = (uint32_t)b[3] << 28 | (b[3] & 15) << 1 | 1, .data.u64 = b[2]};
	int fd = b[1] % FDS, fd2 = b[2] % FDS, pair[2];
	size_t n = (size_t)b[3] * 20;

	switch (b[0] % 16) {
	case 0: kl_sys_epoll_create1(0); break;
	case 1: kl_sys_eventfd2(b[1], NONBLOCK); break;
	case 2: kl_sys_pipe2(U(pair), NONBLOCK); break;
	case 3: kl_sys_socketpair(1, 1 + b[1] % 2, 0, U(pair)); break;
	case 4:
	case 5:
	case 6: kl_sys_epoll_ctl(fd, 1 + b[4] % 3, fd2, U(&event)); break;
	case 7: kl_sys_epoll_wait(fd, U(data), 1 + b[2] % 100, 0); break;
	case 8:
	case 9: kl_sys_close(fd); break;
	case 10: kl_sys_dup2(fd, fd2); break;
	case 11:
		kl_sys_fcntl(fd, 4, NONBLOCK);
		kl_sys_write(fd, U(data), n);
		break;
	case 12:
		kl_sys_fcntl(fd, 4, NONBLOCK);
		kl_sys_read(fd, U(data), n);
		break;
	case 13: {
		struct {
			int fd;
			short events, revents;
		} p[3] = {{fd, b[3], 0}, {fd2, b[4], 0}, {b[5] % FDS, 7, 0}};

		kl_sys_poll(U(p), 3, 0);
		break;
	}
	case 14: kl_sys_shutdown(fd, b[2] % 3); break;
	case 15: { /* a descriptor travels in a message */
		struct {
			uint64_t bytes;
			int level, type, fd, pad;
		} c = {20, 1, 1, fd2, 0};
		struct kl_iovec v = {U(data), 1};
		struct {
			uint64_t name, name_bytes, iov, count, control, control_bytes, flags;
		} m = {0, 0, U(&v), 1, U(&c), sizeof(c), 0};

		struct kl_file *file = kl_fd_get(fd2);
		bool is_socket = file != NULL && kl_socket_of(file) != NULL;

		if (file != NULL)
			kl_file_put(file);
		kl_sys_fcntl(fd, 4, NONBLOCK);
		if ((b[3] & 1) != 0 && !is_socket) /* sockets in each other's queues are not collected */
			kl_sys_sendmsg(fd, U(&m), 0);
		else if ((b[3] & 1) == 0)
			kl_sys_recvmsg(fd, U(&m), 0);
		break;
	}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
	static bool made;

	if (!made) {
		fs_test_empty_root();
		kl_pipe_init();
		kl_epoll_init();
		kl_unix_init();
	}
	made = true;
	for (size_t i = 0; i + 6 <= n && i < 6 * 500; i += 6)
		call(input + i);
	for (int fd = 0; fd < 1024; fd++)
		kl_sys_close(fd);
	return 0;
}
