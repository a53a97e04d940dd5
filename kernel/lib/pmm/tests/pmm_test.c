/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <kl/platform.h>
#include <kl/pmm.h>

#define START 0x200000ul
#define PAGES 600ul

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #cond);                                         \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

struct kl_boot_info kl_boot;

static unsigned refs[PAGES + 1];

static size_t touched_pages(void)
{
	static unsigned char vec[PAGES];
	size_t n = 0;

	CHECK(mincore((void *)(KL_DIRECT_VA + START), PAGES * KL_PAGE_BYTES, vec) == 0);
	for (size_t i = 0; i < PAGES; i++)
		n += vec[i] & 1;
	return n;
}

static void start(bool zeroed)
{
	void *at = (void *)(KL_DIRECT_VA + START);

	CHECK(mmap(at, PAGES * KL_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		at);
	if (!zeroed)
		memset(at, 0x5a, PAGES * KL_PAGE_BYTES);
	kl_boot = (struct kl_boot_info){
		.free_start_pa = START, .ram_end_pa = START + PAGES * KL_PAGE_BYTES, .free_zeroed = zeroed};
	CHECK(kl_pmm_init() == 0);
	memset(refs, 0, sizeof(refs));
}

static size_t index_of(kl_phys page)
{
	CHECK(page % KL_PAGE_BYTES == 0 && page >= START && page < START + PAGES * KL_PAGE_BYTES);
	return (page - START) / KL_PAGE_BYTES;
}

static bool is_zero(kl_phys page)
{
	const char *bytes = kl_phys_to_virt(page);

	for (size_t i = 0; i < KL_PAGE_BYTES; i++) {
		if (bytes[i] != 0)
			return false;
	}
	return true;
}

static void test_costs_nothing_at_start(void)
{
	start(true);
	CHECK(touched_pages() == 0);
	CHECK(kl_page_alloc_zeroed() != KL_PHYS_NONE && touched_pages() == 1);
	CHECK(kl_page_alloc_fresh() != KL_PHYS_NONE && kl_pages_alloc_zeroed(16, 1) != KL_PHYS_NONE &&
		touched_pages() == 1);
	printf("ok start touches nothing\n");
}

static void take(kl_phys first, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t index = index_of(first + i * KL_PAGE_BYTES);

		CHECK(refs[index] == 0);
		refs[index] = 1;
		memset(kl_phys_to_virt(first + i * KL_PAGE_BYTES), 0xff, KL_PAGE_BYTES);
	}
}

static void random_step(void)
{
	kl_phys page = START + (size_t)(rand() % (int)PAGES) * KL_PAGE_BYTES;
	size_t n = 1 + (size_t)rand() % 12, align = 1ul << rand() % 5;

	switch (rand() % 8) {
	case 0:
		page = rand() % 2 ? kl_pages_alloc(n, align) : kl_pages_alloc_zeroed(n, align);
		CHECK(page == KL_PHYS_NONE || page / KL_PAGE_BYTES % align == 0);
		if (page != KL_PHYS_NONE)
			take(page, n);
		break;
	case 1:
		page = rand() % 2 ? kl_page_alloc_zeroed() : kl_page_alloc_fresh();
		CHECK(page == KL_PHYS_NONE || is_zero(page));
		if (page != KL_PHYS_NONE)
			take(page, 1);
		break;
	case 2:
		page = kl_page_alloc();
		CHECK((page == KL_PHYS_NONE) == (kl_pages_free() == 0));
		if (page != KL_PHYS_NONE)
			take(page, 1);
		break;
	case 3:
		if (refs[index_of(page)] != 0) {
			kl_page_get(page);
			refs[index_of(page)]++;
		}
		break;
	default:
		if (refs[index_of(page)] != 0) {
			CHECK(kl_page_refs(page) == refs[index_of(page)]);
			kl_page_put(page);
			refs[index_of(page)]--;
		}
	}
}

static void test_random(bool zeroed)
{
	size_t used = 0;

	start(zeroed);
	for (unsigned i = 0; i < 300000; i++)
		random_step();
	for (size_t i = 0; i < PAGES; i++)
		used += refs[i] != 0;
	CHECK(kl_pages_free() == kl_pages_total() - used);
	for (size_t i = 0; i < PAGES; i++) {
		while (refs[i] > 0) {
			kl_page_put(START + i * KL_PAGE_BYTES);
			refs[i]--;
		}
	}
	CHECK(kl_pages_free() == kl_pages_total());
	CHECK(kl_pages_alloc(kl_pages_total(), 1) != KL_PHYS_NONE); /* nothing is lost to fragments */
	CHECK(kl_page_alloc() == KL_PHYS_NONE && kl_page_alloc_zeroed() == KL_PHYS_NONE);
	printf("ok random, memory %s\n", zeroed ? "zeroed" : "not zeroed");
}

static void test_zeroed_runs(void)
{
	start(true);
	for (unsigned i = 0; i < 2; i++) {
		kl_phys run = kl_pages_alloc_zeroed(kl_pages_total(), 1);

		for (size_t k = 0; k < kl_pages_total(); k++) {
			CHECK(is_zero(run + k * KL_PAGE_BYTES));
			memset(kl_phys_to_virt(run + k * KL_PAGE_BYTES), 1, KL_PAGE_BYTES);
			kl_page_put(run + k * KL_PAGE_BYTES);
		}
	}
	printf("ok zeroed runs\n");
}

static void test_image_pages(void)
{
	start(true);
	kl_page_put(0x100000);
	kl_page_get(0x100000);
	CHECK(kl_page_refs(0x100000) == UINT32_MAX);
	printf("ok pages of the image\n");
}

static void test_too_little(void)
{
	kl_boot.ram_end_pa = kl_boot.free_start_pa + KL_PAGE_BYTES;
	CHECK(kl_pmm_init() < 0);
	printf("ok too little memory\n");
}

int main(void)
{
	srand(1);
	test_costs_nothing_at_start();
	test_random(true);
	test_random(false);
	test_zeroed_runs();
	test_image_pages();
	test_too_little();
	return 0;
}
