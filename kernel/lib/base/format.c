/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/string.h>

struct out {
	char *buf;
	size_t size, used; /* used may exceed size: the length that the text would have */
};

struct spec {
	bool left, zero, alt, plus, is_signed;
	int width, precision; /* precision -1: none */
	unsigned base;
	bool upper;
};

static void put(struct out *o, char c)
{
	if (o->used + 1 < o->size)
		o->buf[o->used] = c;
	o->used++;
}

static void pad(struct out *o, char c, int n)
{
	while (n-- > 0)
		put(o, c);
}

static void put_text(struct out *o, const struct spec *spec, const char *s, int len)
{
	if (!spec->left)
		pad(o, ' ', spec->width - len);
	for (int i = 0; i < len; i++)
		put(o, s[i]);
	if (spec->left)
		pad(o, ' ', spec->width - len);
}

static void put_number(struct out *o, const struct spec *spec, uint64_t value, bool negative)
{
	char digits[24];
	int n = 0, zeros, sign = negative || spec->plus, prefix = spec->alt && spec->base == 16 ? 2 : 0;

	do
		digits[n++] = (spec->upper ? "0123456789ABCDEF" : "0123456789abcdef")[value % spec->base];
	while ((value /= spec->base) > 0);

	zeros = spec->precision > n ? spec->precision - n : 0;
	if (spec->zero && !spec->left && spec->precision < 0 && spec->width > n + sign + prefix)
		zeros = spec->width - n - sign - prefix;
	if (!spec->left)
		pad(o, ' ', spec->width - n - zeros - sign - prefix);
	if (sign)
		put(o, negative ? '-' : '+');
	if (prefix) {
		put(o, '0');
		put(o, spec->upper ? 'X' : 'x');
	}
	pad(o, '0', zeros);
	for (int i = n; i-- > 0;)
		put(o, digits[i]);
	if (spec->left)
		pad(o, ' ', spec->width - n - zeros - sign - prefix);
}

/* bytes: size of the argument as the length modifier gives it. */
static uint64_t narrow(uint64_t value, unsigned bytes, bool is_signed)
{
	unsigned shift = 64 - 8 * bytes;

	return is_signed ? (uint64_t)((int64_t)(value << shift) >> shift) : value << shift >> shift;
}

static const char *parse_flags(const char *fmt, struct spec *spec)
{
	for (;; fmt++) {
		switch (*fmt) {
		case '-': spec->left = true; break;
		case '0': spec->zero = true; break;
		case '#': spec->alt = true; break;
		case '+': spec->plus = true; break;
		case ' ': break;
		default: return fmt;
		}
	}
}

static const char *parse_int(const char *fmt, int *value)
{
	*value = 0;
	while (*fmt >= '0' && *fmt <= '9' && *value < 10000)
		*value = *value * 10 + (*fmt++ - '0');
	return fmt;
}

static const char *parse_length(const char *fmt, unsigned *bytes)
{
	*bytes = sizeof(int);
	if (*fmt == 'l' || *fmt == 'z' || *fmt == 't' || *fmt == 'j') {
		*bytes = sizeof(long);
		fmt += fmt[0] == 'l' && fmt[1] == 'l' ? 2 : 1;
	} else if (*fmt == 'h') {
		*bytes = fmt[1] == 'h' ? sizeof(char) : sizeof(short);
		fmt += fmt[1] == 'h' ? 2 : 1;
	}
	return fmt;
}

int kl_vsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	struct out o = {buf, size, 0};

	for (; *fmt != '\0'; fmt++) {
		struct spec spec = {.precision = -1, .base = 10};
		unsigned bytes;
		uint64_t value;
		const char *s;
		char c;

		if (*fmt != '%') {
			put(&o, *fmt);
			continue;
		}
		fmt = parse_flags(fmt + 1, &spec);
		if (*fmt == '*') {
			spec.width = va_arg(args, int);
			fmt++;
		} else {
			fmt = parse_int(fmt, &spec.width);
		}
		if (*fmt == '.') {
			if (fmt[1] == '*') {
				spec.precision = va_arg(args, int);
				fmt += 2;
			} else {
				fmt = parse_int(fmt + 1, &spec.precision);
			}
		}
		fmt = parse_length(fmt, &bytes);

		switch (*fmt) {
		case 's':
			s = va_arg(args, const char *);
			if (s == NULL)
				s = "(null)";
			put_text(
				&o, &spec, s, (int)strnlen(s, spec.precision < 0 ? INT32_MAX : (size_t)spec.precision));
			break;
		case 'c':
			c = (char)va_arg(args, int);
			put_text(&o, &spec, &c, 1);
			break;
		case 'd':
		case 'i':
			value = bytes == 8 ? (uint64_t)va_arg(args, long) : (uint64_t)va_arg(args, int);
			value = narrow(value, bytes, true);
			put_number(&o, &spec, (int64_t)value < 0 ? -value : value, (int64_t)value < 0);
			break;
		case 'p':
			spec.alt = true;
			bytes = sizeof(void *);
			/* fall through */
		case 'x':
		case 'X':
			spec.base = 16;
			/* fall through */
		case 'o':
		case 'u':
			if (*fmt == 'o')
				spec.base = 8;
			spec.upper = *fmt == 'X';
			spec.plus = false;
			value = bytes == 8 ? va_arg(args, unsigned long) : va_arg(args, unsigned);
			put_number(&o, &spec, narrow(value, bytes, false), false);
			break;
		case '%': put(&o, '%'); break;
		default: /* a bug of the caller's that the compiler would have found */
			put(&o, '?');
			if (*fmt == '\0')
				fmt--;
		}
	}
	if (size > 0)
		buf[KL_MIN(o.used, size - 1)] = '\0';
	return (int)o.used;
}

int kl_snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = kl_vsnprintf(buf, size, fmt, args);
	va_end(args);
	return n;
}
