/* SPDX-License-Identifier: Apache-2.0 */
/* kl_snprintf against the host's snprintf. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kl/string.h>

static int failures;

#define SAME(...)                                                                                                      \
	do {                                                                                                           \
		char want[64], got[64];                                                                                \
		int w = snprintf(want, sizeof(want), __VA_ARGS__), g = kl_snprintf(got, sizeof(got), __VA_ARGS__);     \
		if (w != g || strcmp(want, got) != 0) {                                                                \
			printf("FAIL %s: want %d \"%s\", got %d \"%s\"\n", #__VA_ARGS__, w, want, g, got);             \
			failures++;                                                                                    \
		}                                                                                                      \
	} while (0)

int main(void)
{
	char small[4];

	SAME("plain");
	SAME("%d %i %u", -5, 7, 4000000000u);
	SAME("%5d|%-5d|%05d|%+d", 42, 42, -42, 42);
	SAME("%x %X %#x %08lx", 255u, 255u, 255u, 0xdeadbeefcafeul);
	SAME("%lld %llu %zu", -1ll, ~0ull, sizeof(long));
	SAME("%hhd %hhu %hd", 300, 300, 70000);
	SAME("%s|%10s|%-10s|%.2s|%.*s", "abc", "abc", "abc", "abc", 1, "xyz");
	SAME("%c%c%%", 'a', 'b');
	SAME("%.3d %o", 7, 8u);
	SAME("%ld", (-0x7fffffffffffffffl - 1));
	if (kl_snprintf(small, sizeof(small), "%s", "truncated") != 9 || strcmp(small, "tru") != 0) {
		printf("FAIL truncation: \"%s\"\n", small);
		failures++;
	}
	if (failures == 0)
		printf("ok format\n");
	return failures != 0;
}
