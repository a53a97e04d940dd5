/* SPDX-License-Identifier: Apache-2.0 */
/* Network byte order. */
#ifndef KL_BYTEORDER_H
#define KL_BYTEORDER_H

#include <kl/types.h>

static inline uint16_t kl_htons(uint16_t v)
{
	return __builtin_bswap16(v);
}
static inline uint16_t kl_ntohs(uint16_t v)
{
	return __builtin_bswap16(v);
}
static inline uint32_t kl_htonl(uint32_t v)
{
	return __builtin_bswap32(v);
}
static inline uint32_t kl_ntohl(uint32_t v)
{
	return __builtin_bswap32(v);
}

/* At any alignment, in host order. */
static inline uint16_t kl_get_be16(const void *p)
{
	uint16_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return kl_ntohs(v);
}
static inline uint32_t kl_get_be32(const void *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return kl_ntohl(v);
}
static inline void kl_put_be16(void *p, uint16_t v)
{
	v = kl_htons(v);
	__builtin_memcpy(p, &v, sizeof(v));
}
static inline void kl_put_be32(void *p, uint32_t v)
{
	v = kl_htonl(v);
	__builtin_memcpy(p, &v, sizeof(v));
}

#endif
