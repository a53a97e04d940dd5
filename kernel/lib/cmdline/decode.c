/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/string.h>

#include "cmdline_priv.h"

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* An encoded zero would end the string early; it stays as it is, and so does a '%' that no two digits follow. */
static size_t decode_one(const char *in, size_t n, char *out)
{
	int hi, lo;

	*out = *in;
	if (*in != '%' || n < 3)
		return 1;
	hi = digit(in[1]);
	lo = digit(in[2]);
	if (hi < 0 || lo < 0 || hi + lo == 0)
		return 1;
	*out = (char)(hi << 4 | lo);
	return 3;
}

size_t cmdline_decode(char *text, size_t n, size_t *bytes)
{
	size_t in = 0, out = 0, count = 0;
	bool arguments = false, more = false;

	while (in < n && text[in] != 0) {
		size_t start = out;

		if (text[in] == ' ' && !arguments) {
			in++;
			continue;
		}
		while (in < n && text[in] != ' ' && text[in] != 0) {
			in += decode_one(text + in, n - in, text + out);
			out++;
		}
		/* never beyond what was read: the zero goes where the space was, or the last one */
		more = in < n && text[in] == ' ';
		in += more;
		text[out++] = 0;
		count++;
		if (strcmp(text + start, "--") == 0)
			arguments = true;
	}
	if (arguments && more) { /* an empty argument is the last one */
		text[out++] = 0;
		count++;
	}
	*bytes = out;
	return count;
}
