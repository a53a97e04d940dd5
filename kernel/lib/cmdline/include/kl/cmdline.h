/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's command line: KEY=VALUE settings, then after "--" the program's arguments. Each token is percent-encoded. */
#ifndef KL_CMDLINE_H
#define KL_CMDLINE_H

#include <kl/platform.h> /* kl_cmdline_get */
#include <kl/types.h>

/* The program's arguments, and how many. NULL: the command line has none, so the image's hold. Kept for ever. */
const char *const *kl_cmdline_argv(size_t *count);

#endif
