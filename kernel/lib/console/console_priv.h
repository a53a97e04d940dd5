/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KL_CONSOLE_PRIV_H
#define KL_CONSOLE_PRIV_H

/* At init: /dev/console, and the first process's descriptors 0 to 2. */
int kl_console_init(void);

#endif
