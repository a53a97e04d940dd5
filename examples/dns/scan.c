// SPDX-License-Identifier: Apache-2.0
#include "scan.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool ends_word(char c)
{
	return is_blank(c) || c == '\n' || c == ';' || c == '(' || c == ')' || c == '"';
}

static void skip_comment(struct scan *scan)
{
	while (scan->at < scan->end && *scan->at != '\n')
		scan->at++;
}

/* Reads a word or, after its first mark, a quoted text. */
static const char *scan_token(struct scan *scan, struct token *token, bool quoted)
{
	const char *start = scan->at;

	while (scan->at < scan->end && (quoted ? *scan->at != '"' && *scan->at != '\n' : !ends_word(*scan->at))) {
		if (*scan->at == '\\' && ++scan->at == scan->end)
			return "the file ends within an escape";
		if (*scan->at == '\n')
			return "a line ends within an escape";
		scan->at++;
	}
	*token = (struct token){.text = start, .length = (size_t)(scan->at - start), .quoted = quoted};
	if (!quoted)
		return NULL;
	if (scan->at == scan->end || *scan->at != '"')
		return "a quoted text has no end";
	scan->at++;
	return NULL;
}

static const char *add_token(struct scan *scan, struct entry *entry, bool quoted)
{
	if (entry->count == ENTRY_TOKENS_MAX)
		return "an entry has too many words";
	return scan_token(scan, &entry->tokens[entry->count++], quoted);
}

/* Reads to the end of the line that closes the last parenthesis. */
static const char *scan_line(struct scan *scan, struct entry *entry)
{
	unsigned int depth = 0;
	const char *error = NULL;

	entry->line = scan->line;
	entry->count = 0;
	entry->blank_start = scan->at < scan->end && is_blank(*scan->at);
	while (scan->at < scan->end && !error) {
		char c = *scan->at;

		if (c == ';') {
			skip_comment(scan);
		} else if (c == '"' || !ends_word(c)) {
			scan->at += c == '"';
			error = add_token(scan, entry, c == '"');
		} else {
			scan->at++;
			if (c == '(')
				depth++;
			else if (c == ')' && !depth--)
				return "a parenthesis closes that was not opened";
			else if (c == '\n')
				scan->line++;
			if (c == '\n' && !depth)
				return NULL;
		}
	}
	return error ? error : depth ? "a parenthesis is not closed" : NULL;
}

const char *scan_entry(struct scan *scan, struct entry *entry)
{
	const char *error;

	do {
		error = scan_line(scan, entry);
	} while (!error && !entry->count && scan->at < scan->end);
	return error;
}

bool token_is(const struct token *token, const char *word)
{
	size_t i = 0;

	for (; i < token->length && word[i]; i++)
		if ((token->text[i] | 0x20) != (word[i] | 0x20))
			return false;
	return !token->quoted && i == token->length && !word[i];
}
