/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KL_SIGNALFD_PRIV_H
#define KL_SIGNALFD_PRIV_H

#include <kl/types.h>

long kl_sys_signalfd(int fd, kl_uaddr mask, size_t mask_bytes);
long kl_sys_signalfd4(int fd, kl_uaddr mask, size_t mask_bytes, int flags);

#endif
