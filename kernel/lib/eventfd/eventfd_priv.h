/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KL_EVENTFD_PRIV_H
#define KL_EVENTFD_PRIV_H

long kl_sys_eventfd(unsigned count);
long kl_sys_eventfd2(unsigned count, int flags);

#endif
