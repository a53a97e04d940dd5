// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

int main(int argc, char **argv)
{
	printf("Hello from a machine of my own.\n");
	for (int i = 1; i < argc; i++)
		printf("Hello, %s.\n", argv[i]);
	return 0;
}
