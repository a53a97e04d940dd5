/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kl/heap.h>
#include <kl/platform.h>
#include <kl/pmm.h>

#define START 0x200000ul
#define PAGES 2000ul
#define BLOCKS 3000

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #cond);                                         \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

struct kl_boot_info kl_boot = {.free_start_pa = START, .ram_end_pa = START + PAGES * KL_PAGE_BYTES, .free_zeroed = 1};

static struct {
	unsigned char *at;
	size_t bytes;
	unsigned char fill;
} blocks[BLOCKS];

static size_t random_size(void)
{
	switch (rand() % 8) {
	case 0: return (size_t)rand() % 20000;
	case 1: return (size_t)rand() % 5000;
	default: return (size_t)rand() % 600;
	}
}

static void check_block(unsigned i)
{
	for (size_t k = 0; k < blocks[i].bytes; k++)
		CHECK(blocks[i].at[k] == blocks[i].fill);
}

static void fill_block(unsigned i, unsigned char *at, size_t bytes)
{
	CHECK((uint64_t)at % 16 == 0);
	blocks[i].at = at;
	blocks[i].bytes = bytes;
	blocks[i].fill = (unsigned char)rand();
	memset(at, blocks[i].fill, bytes);
}

static void random_step(void)
{
	unsigned i = (unsigned)rand() % BLOCKS;
	size_t bytes = random_size();
	unsigned char *p;

	if (blocks[i].at == NULL) {
		p = rand() % 2 ? kl_malloc(bytes) : kl_zalloc(bytes);
		if (p != NULL)
			fill_block(i, p, bytes);
		return;
	}
	check_block(i);
	if (rand() % 3 == 0) {
		p = kl_realloc(blocks[i].at, bytes);
		if (p == NULL)
			return;
		for (size_t k = 0; k < bytes && k < blocks[i].bytes; k++)
			CHECK(p[k] == blocks[i].fill);
		fill_block(i, p, bytes);
		return;
	}
	kl_free(blocks[i].at);
	blocks[i].at = NULL;
}

static void test_random(void)
{
	size_t at_start = kl_pages_free();

	for (unsigned i = 0; i < 300000; i++)
		random_step();
	for (unsigned i = 0; i < BLOCKS; i++) {
		if (blocks[i].at != NULL)
			check_block(i);
		kl_free(blocks[i].at);
	}
	CHECK(kl_pages_free() + 1 >= at_start); /* one page may be kept */
	printf("ok random blocks keep what is written to them, and all memory comes back\n");
}

static void test_zeroed(void)
{
	unsigned char *p = kl_malloc(5000);

	memset(p, 0xff, 5000);
	kl_free(p);
	p = kl_zalloc(5000);
	for (size_t i = 0; i < 5000; i++)
		CHECK(p[i] == 0);
	kl_free(p);
	printf("ok zeroed\n");
}

static void test_too_much(void)
{
	CHECK(kl_malloc(SIZE_MAX) == NULL && kl_malloc(PAGES * KL_PAGE_BYTES * 2) == NULL);
	CHECK(kl_malloc(SIZE_MAX - 4095) == NULL);
	printf("ok too much is refused\n");
}

/* A wrong free ends in a panic, in a child here. */
static void expect_abort(void *p)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(1);
		kl_free(p);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && !(WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

static void test_wrong_free(void)
{
	char *p = kl_malloc(100), *q = kl_malloc(100);

	kl_free(p);
	expect_abort(p);
	expect_abort(q + 16);
	kl_free(q);
	printf("ok wrong frees are noticed\n");
}

int main(void)
{
	CHECK(mmap((void *)(KL_DIRECT_VA + START), PAGES * KL_PAGE_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != MAP_FAILED);
	CHECK(kl_pmm_init() == 0);
	srand(1);
	test_random();
	test_zeroed();
	test_too_much();
	test_wrong_free();
	return 0;
}
