/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KL_INOTIFY_PRIV_H
#define KL_INOTIFY_PRIV_H

#include <kl/types.h>

int kl_inotify_init(void);
long kl_sys_inotify_init(void);
long kl_sys_inotify_init1(int flags);
long kl_sys_inotify_add_watch(int fd, kl_uaddr path, uint32_t mask);
long kl_sys_inotify_rm_watch(int fd, int wd);

#endif
