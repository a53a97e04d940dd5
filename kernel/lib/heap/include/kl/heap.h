/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of the library OS's own. Aligned to 16 bytes. NULL when there is none left. */
#ifndef KL_HEAP_H
#define KL_HEAP_H

#include <kl/types.h>

void *kl_malloc(size_t bytes) KL_MUST_CHECK;
void *kl_zalloc(size_t bytes) KL_MUST_CHECK;             /* zeroed */
void *kl_realloc(void *old, size_t bytes) KL_MUST_CHECK; /* on NULL, old is still valid */
void kl_free(void *p);                                   /* NULL: no effect */

#endif
