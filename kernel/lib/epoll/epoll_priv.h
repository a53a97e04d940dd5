/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KL_EPOLL_PRIV_H
#define KL_EPOLL_PRIV_H

#include <kl/types.h>

int kl_epoll_init(void);
long kl_sys_epoll_create(int size);
long kl_sys_epoll_create1(int flags);
long kl_sys_epoll_ctl(int epfd, int op, int fd, kl_uaddr event);
long kl_sys_epoll_wait(int epfd, kl_uaddr events, int max, int timeout_ms);
long kl_sys_epoll_pwait(int epfd, kl_uaddr events, int max, int timeout_ms, kl_uaddr mask, size_t mask_bytes);
long kl_sys_epoll_pwait2(int epfd, kl_uaddr events, int max, kl_uaddr timeout, kl_uaddr mask, size_t mask_bytes);

#endif
