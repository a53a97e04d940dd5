/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KL_TIMERFD_PRIV_H
#define KL_TIMERFD_PRIV_H

#include <kl/types.h>

long kl_sys_timerfd_create(int clock, int flags);
long kl_sys_timerfd_settime(int fd, int flags, kl_uaddr value, kl_uaddr old);
long kl_sys_timerfd_gettime(int fd, kl_uaddr value);

#endif
