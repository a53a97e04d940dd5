/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <kl/cmdline.h>

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #cond);                                         \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

struct kl_boot_info kl_boot;

int kl_cmdline_init(void);

static void start(const char *text)
{
	kl_boot.cmdline_bytes = (uint32_t)strlen(text);
	strcpy((char *)KL_DIRECT_VA + KL_CMDLINE_PA, text);
	CHECK(kl_cmdline_init() == 0);
}

static bool is(const char *key, unsigned n, const char *want)
{
	const char *got = kl_cmdline_get(key, n);

	return want == NULL ? got == NULL : got != NULL && strcmp(got, want) == 0;
}

int main(void)
{
	const char *const *argv;
	size_t argc;

	CHECK(mmap((void *)KL_DIRECT_VA, 0x10000, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != MAP_FAILED);
	start("");
	CHECK(is("env", 0, NULL) && kl_cmdline_argv(&argc) == NULL);
	printf("ok empty\n");

	start("tsc_khz=2596000 env=A=1 env=B=two%20words%25 hostname=web cwd=/x%0Ay");
	CHECK(is("tsc_khz", 0, "2596000") && is("env", 0, "A=1") && is("env", 1, "B=two words%") && is("env", 2, NULL));
	CHECK(is("hostname", 0, "web") && is("cwd", 0, "/x\ny") && is("host", 0, NULL) &&
		kl_cmdline_argv(&argc) == NULL);
	printf("ok settings\n");

	start("cwd=/ -- /bin/prog -- a%20b env=C=3 %2D%2d");
	argv = kl_cmdline_argv(&argc);
	CHECK(argv != NULL && argc == 5 && argv[5] == NULL && strcmp(argv[0], "/bin/prog") == 0 &&
		strcmp(argv[1], "--") == 0);
	CHECK(strcmp(argv[2], "a b") == 0 && strcmp(argv[3], "env=C=3") == 0 && strcmp(argv[4], "--") == 0);
	CHECK(is("env", 0, NULL));
	printf("ok arguments\n");

	start("cwd=/ -- /bin/prog  a ");
	argv = kl_cmdline_argv(&argc);
	CHECK(argv != NULL && argc == 4 && argv[1][0] == 0 && strcmp(argv[2], "a") == 0 && argv[3][0] == 0);
	start("-- ");
	CHECK(kl_cmdline_argv(&argc) != NULL && argc == 1);
	printf("ok empty arguments\n");

	start("  cwd=%  env=%4 env=%zz%41%00  --");
	CHECK(is("cwd", 0, "%") && is("env", 0, "%4") && is("env", 1, "%zzA%00") && kl_cmdline_argv(&argc) == NULL);
	printf("ok what is not well encoded stays\n");
	return 0;
}
