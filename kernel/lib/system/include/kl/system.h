/* SPDX-License-Identifier: Apache-2.0 */
/* The system's names. */
#ifndef KL_SYSTEM_H
#define KL_SYSTEM_H

#include <linux/utsname.h>

/* As uname(2) shows them now. */
const struct new_utsname *kl_system_names(void);

#endif
