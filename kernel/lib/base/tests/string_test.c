/* SPDX-License-Identifier: Apache-2.0 */
/* Memory functions at every length and alignment against the plainest loops. The module's get names of their own by -D. */
#include <stdio.h>
#include <stdlib.h>

#include <kl/string.h>

#define ROOM 600u
#define EDGE 16u

static uint8_t source[ROOM], want[ROOM], got[ROOM];

static void fill(void)
{
	for (unsigned i = 0; i < ROOM; i++) {
		source[i] = (uint8_t)(i * 37 + 11);
		want[i] = got[i] = (uint8_t)(i * 3);
	}
}

static void check(const char *what, size_t n, unsigned a, unsigned b)
{
	for (unsigned i = 0; i < ROOM; i++) {
		if (want[i] == got[i])
			continue;
		printf("FAIL %s of %zu bytes, offsets %u and %u: byte %u\n", what, n, a, b, i);
		exit(1);
	}
}

static void one(size_t n, unsigned a, unsigned b)
{
	uint8_t saved[ROOM];

	fill();
	for (size_t i = 0; i < n; i++)
		want[EDGE + a + i] = source[EDGE + b + i];
	if (memcpy(got + EDGE + a, source + EDGE + b, n) != got + EDGE + a)
		exit(1);
	check("memcpy", n, a, b);
	for (size_t i = 0; i < n; i++)
		want[EDGE + a + i] = (uint8_t)(n + 0x70);
	memset(got + EDGE + a, (int)n + 0x170, n);
	check("memset", n, a, b);
	fill();
	for (unsigned i = 0; i < ROOM; i++)
		saved[i] = want[i];
	for (size_t i = 0; i < n; i++)
		want[EDGE + a + i] = saved[EDGE + b + i];
	memmove(got + EDGE + a, got + EDGE + b, n);
	check("memmove", n, a, b);
}

int main(void)
{
	for (size_t n = 0; n < 300; n++)
		for (unsigned a = 0; a < 20; a++)
			for (unsigned b = 0; b < 20; b++)
				one(n, a, b);
	printf("ok memcpy, memset, memmove at all lengths and overlaps\n");
	return 0;
}
