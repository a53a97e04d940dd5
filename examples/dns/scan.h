// SPDX-License-Identifier: Apache-2.0
/*
 * Takes a zone file apart into entries (RFC 1035, 5.1): one line each, or several in parentheses; comments are dropped.
 * Tokens point into the text; their escapes are still there.
 */
#ifndef DNS_SCAN_H
#define DNS_SCAN_H

#include <stdbool.h>
#include <stddef.h>

enum { ENTRY_TOKENS_MAX = 256 };

struct token {
	const char *text;
	size_t length;
	bool quoted;
};

struct entry {
	unsigned int line;
	bool blank_start; /* no owner: that of the entry before */
	unsigned int count;
	struct token tokens[ENTRY_TOKENS_MAX];
};

struct scan {
	const char *at, *end;
	unsigned int line; /* from 1 */
};

/* Reads the next entry that has tokens. Returns NULL, or what is wrong: a constant text. At the end the count is 0. */
const char *scan_entry(struct scan *scan, struct entry *entry);

/* Returns whether a token is this word, in any case. */
bool token_is(const struct token *token, const char *word);

#endif
