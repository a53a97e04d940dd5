/* SPDX-License-Identifier: Apache-2.0 */
/* The page tables that a guest starts with, and walking the ones it has now. */
#ifndef KL_MONITOR_TABLES_H
#define KL_MONITOR_TABLES_H

#include "image.h"
#include "memory.h"

/*
 * Write tables at KL_TABLES_PA as kl_layout.h describes them. *free_pa: first page behind them. 0, or -ENOSPC.
 *
 * Every entry has its accessed and dirty bits set: nobody here looks at them, and with shadow page tables a clean page costs
 * a second fault at its first write.
 */
int kl_tables_build(const struct kl_image *image, const struct kl_memory *memory, uint64_t *free_pa);

/* The physical address behind va in the tables at root_pa. 0, or -EFAULT: not mapped. The guest wrote the tables. */
int kl_tables_walk(const struct kl_memory *memory, uint64_t root_pa, uint64_t va, uint64_t *pa);

#endif
