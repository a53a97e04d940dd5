/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What host tests and fuzzing harnesses may ask of the support code beside the modules' own interfaces. Everything in the support
 * code is a weak symbol: a test that defines a function itself, or takes the real module in, gets that one.
 */
#ifndef KL_HOST_H
#define KL_HOST_H

#include <stddef.h>
#include <stdint.h>

/* --- time: stands still until a test moves it --- */

extern uint64_t kl_host_now_ns;
/* Moves the clock to each deadline in turn and runs what is due, until ns have passed. */
void kl_host_advance(uint64_t ns);

/* --- memory --- */

/* The allocation after n more fails (of kl_malloc and its like, and of pages), and all after it; -1: none fails. */
extern long kl_host_fail_after;
/* Allocations that were not freed, and pages. */
size_t kl_host_allocations(void);
size_t kl_host_pages_used(void);

/* --- random numbers: the same in each run --- */

void kl_host_seed(uint64_t seed);

/* --- the program's memory: any address that the host can read, unless a test sets a limit --- */

/* kl_copy_from_user() and the others return -EFAULT outside of [start, end); 0, 0: no limit. */
extern uint64_t kl_host_user_start, kl_host_user_end;

#endif
