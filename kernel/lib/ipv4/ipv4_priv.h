/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IPV4_PRIV_H
#define IPV4_PRIV_H

#include <kl/ipv4.h>

/* A fragment, beginning with its IP header. The whole packet once it is complete, or NULL. Takes over the reference. */
struct kl_pbuf *ipv4_reassemble(struct kl_pbuf *packet);

#endif
