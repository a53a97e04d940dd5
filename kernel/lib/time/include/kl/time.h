/* SPDX-License-Identifier: Apache-2.0 */
/* Times as programs give them (clock_gettime(2), timespec(3)). */
#ifndef KL_TIME_H
#define KL_TIME_H

#include <kl/types.h>
#include <linux/time_types.h>

/* A timespec of the program's in ns; far futures become the largest int64. 0, -EFAULT, -EINVAL. */
int kl_time_read(kl_uaddr addr, uint64_t *ns);
/* Now, by clock. 0, or -EINVAL for a clock that there is not. */
int kl_time_clock_ns(int clock, uint64_t *ns);

static inline struct __kernel_timespec kl_time_timespec(uint64_t ns)
{
	return (struct __kernel_timespec){
		.tv_sec = (long long)(ns / KL_NS_PER_S), .tv_nsec = (long long)(ns % KL_NS_PER_S)};
}

#endif
