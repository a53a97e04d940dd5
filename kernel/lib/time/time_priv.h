/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KL_TIME_PRIV_H
#define KL_TIME_PRIV_H

#include <kl/time.h>

/* The deadline on the monotonic clock that stands for a time of the given clock, absolute or relative. */
uint64_t time_deadline(int clock, bool absolute, uint64_t ns);

#endif
