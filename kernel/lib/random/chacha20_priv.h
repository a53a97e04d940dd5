/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KL_CHACHA20_PRIV_H
#define KL_CHACHA20_PRIV_H

#include <kl/types.h>

/* One block: the words that follow the key in the state are the block counter and the nonce. */
void chacha20_block(const uint32_t key[8], const uint32_t counter_nonce[4], uint32_t out[16]);

#endif
