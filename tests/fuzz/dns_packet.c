// SPDX-License-Identifier: Apache-2.0
/* The DNS example's answers to any packet. The zone is made once, from the file that DNS_ZONE names. */
#include "dns_check.h"
#include "parse.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct zone zone;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char text[65536];
	FILE *file = fopen(getenv("DNS_ZONE"), "r");
	unsigned int line;
	const char *error;

	(void)argc;
	(void)argv;
	if (!file)
		abort();
	error = zone_parse(&zone, text, fread(text, 1, sizeof(text), file), NULL, &line);
	fclose(file);
	if (error)
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_packet(&zone, data, size);
	return 0;
}
