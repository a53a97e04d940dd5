/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KL_RESOLV_PRIV_H
#define KL_RESOLV_PRIV_H

int kl_resolv_init(void);

#endif
