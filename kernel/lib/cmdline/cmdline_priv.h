/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KL_CMDLINE_PRIV_H
#define KL_CMDLINE_PRIV_H

#include <kl/types.h>

/*
 * Decodes text, of n bytes and a zero, in place into strings that follow each other, each with its zero. Returns how many.
 * *bytes: all that they take. Behind "--" each single space separates two strings, so that one may be empty.
 */
size_t cmdline_decode(char *text, size_t n, size_t *bytes);

#endif
