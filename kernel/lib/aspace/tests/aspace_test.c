/* SPDX-License-Identifier: Apache-2.0 */
/* Address spaces: random operations against a model that knows of each page what it is and what it holds. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kl/aspace.h>
#include <kl/pmm.h>

#include "kl_host.h"
#include "aspace_priv.h"
#include "machine.h"

#define ARENA_VA 0x500000000000ul
#define ARENA_PAGES 96u
#define FILE_PAGES 40u
#define ROUNDS 60000

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #cond);                                         \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

/* What the program should see of a page. */
struct model {
	bool mapped;
	int prot;
	struct kl_file *file; /* NULL: anonymous */
	uint64_t index;       /* in the file */
	bool shared;
	bool own;       /* private: written to, so value counts */
	uint64_t value; /* of the first word */
};

static struct model model[ARENA_PAGES];
static struct kl_file *image, *memory, *readonly;
static uint64_t words[3][FILE_PAGES]; /* the first of each page of the files, in that order */
static uint64_t random_state = 88172645463325252ull;

static uint32_t pick(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 32) % n;
}

static uint64_t va(unsigned page)
{
	return ARENA_VA + page * KL_PAGE_BYTES;
}

static uint64_t *word_of(const struct model *m)
{
	return &words[m->file == image ? 0 : m->file == memory ? 1 : 2][m->index];
}

static uint64_t expected(const struct model *m)
{
	return m->own || m->file == NULL ? m->value : *word_of(m);
}

static void check_read(unsigned page)
{
	struct model *m = &model[page];
	uint64_t got = 0;
	int err = machine_touch(va(page), &got, sizeof(got), MACHINE_READ);

	if (!m->mapped || m->prot == PROT_NONE)
		CHECK(err == -EFAULT);
	else if (m->file != NULL && m->index >= FILE_PAGES && !m->own)
		CHECK(err == -EIO);
	else
		CHECK(err == 0 && got == expected(m));
}

static void check_write(unsigned page)
{
	struct model *m = &model[page];
	uint64_t value = random_state | 1;
	int err = machine_touch(va(page), &value, sizeof(value), MACHINE_WRITE);

	if (!m->mapped || !(m->prot & PROT_WRITE)) {
		CHECK(err == -EFAULT);
	} else if (m->file != NULL && m->index >= FILE_PAGES && !m->own) {
		CHECK(err == -EIO);
	} else {
		CHECK(err == 0);
		m->own = !m->shared;
		if (m->shared)
			*word_of(m) = value;
		else
			m->value = value;
	}
}

static void check_exec(unsigned page)
{
	struct model *m = &model[page];
	uint64_t got;
	int err = machine_touch(va(page), &got, sizeof(got), MACHINE_EXEC);

	if (!m->mapped || !(m->prot & PROT_EXEC))
		CHECK(err == -EFAULT);
	else
		CHECK(err == 0 || err == -EIO);
}

static int random_prot(void)
{
	static const int prots[] = {PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE, PROT_READ | PROT_EXEC,
		PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE | PROT_EXEC};

	return prots[pick(KL_ARRAY_LEN(prots))];
}

static void do_map(unsigned page, unsigned pages)
{
	int prot = random_prot(), flags = MAP_FIXED | (pick(8) == 0 ? MAP_POPULATE : 0);
	struct kl_file *file = NULL;
	uint64_t first = pick(FILE_PAGES);
	bool shared = false;
	int64_t got;

	switch (pick(5)) {
	case 0: file = image; break;
	case 1: file = memory; break;
	case 2:
		file = memory;
		shared = true;
		break;
	case 3:
		file = readonly;
		shared = true;
		prot &= ~PROT_WRITE;
		break;
	default: flags |= MAP_ANONYMOUS;
	}
	flags |= shared ? MAP_SHARED : MAP_PRIVATE;
	got = kl_aspace_map(
		kl_aspace_current, va(page), pages * KL_PAGE_BYTES, prot, flags, file, first * KL_PAGE_BYTES);
	CHECK(got == (int64_t)va(page));
	for (unsigned i = 0; i < pages; i++)
		model[page + i] = (struct model){
			.mapped = true, .prot = prot, .file = file, .index = first + i, .shared = shared};
}

static void do_protect(unsigned page, unsigned pages)
{
	int prot = random_prot(), want = 0;
	unsigned i;

	for (i = 0; i < pages && want == 0; i++) {
		struct model *m = &model[page + i];

		if (!m->mapped)
			want = -ENOMEM;
		else if (m->shared && m->file == readonly && (prot & PROT_WRITE) && m->prot != prot)
			want = -EACCES;
		else
			m->prot = prot;
	}
	CHECK(kl_aspace_protect(kl_aspace_current, va(page), pages * KL_PAGE_BYTES, prot) == want);
}

static void do_dontneed(unsigned page, unsigned pages)
{
	int want = 0;

	for (unsigned i = 0; i < pages; i++) {
		struct model *m = &model[page + i];

		if (!m->mapped)
			want = -ENOMEM;
		if (!m->shared) {
			m->own = false;
			m->value = 0;
		}
	}
	CHECK(kl_aspace_advise(kl_aspace_current, va(page), pages * KL_PAGE_BYTES, MADV_DONTNEED) == want);
}

/* The pages of one mapping that follow page, as far as mremap(2) takes them for one. */
static unsigned same_area(unsigned page, unsigned most)
{
	unsigned n = 1;

	while (n < most && model[page + n].mapped && model[page + n].prot == model[page].prot &&
		model[page + n].file == model[page].file && model[page + n].shared == model[page].shared &&
		(model[page].file == NULL || model[page + n].index == model[page].index + n))
		n++;
	return n;
}

static void do_remap(unsigned page, unsigned pages)
{
	unsigned n = same_area(page, pages), to = pick(ARENA_PAGES), size = 1 + pick(12);
	struct model moved[16];
	int64_t got, want = (int64_t)va(to);

	if (!model[page].mapped)
		return;
	n = KL_MIN(n, 12u);
	size = KL_MIN(size, ARENA_PAGES - to);
	got = kl_aspace_remap(kl_aspace_current, va(page), n * KL_PAGE_BYTES, size * KL_PAGE_BYTES,
		MREMAP_MAYMOVE | MREMAP_FIXED, va(to));
	if (to < page + n && page < to + size)
		want = -EINVAL;
	CHECK(got == want);
	if (got < 0)
		return;
	for (unsigned i = 0; i < size; i++) {
		moved[i] = model[page];
		if (i < n)
			moved[i] = model[page + i];
		else
			moved[i].index = model[page].index + i;
		moved[i].own &= i < n;
		if (i >= n)
			moved[i].value = 0;
	}
	memset(&model[page], 0, n * sizeof(model[0]));
	memcpy(&model[to], moved, size * sizeof(model[0]));
}

static void do_unmap(unsigned page, unsigned pages)
{
	CHECK(kl_aspace_unmap(kl_aspace_current, va(page), pages * KL_PAGE_BYTES) == 0);
	memset(&model[page], 0, pages * sizeof(model[0]));
}

static void one_round(void)
{
	unsigned page = pick(ARENA_PAGES), pages = 1 + pick(16);

	pages = KL_MIN(pages, ARENA_PAGES - page);
	switch (pick(16)) {
	case 0:
	case 1: do_map(page, pages); break;
	case 2: do_unmap(page, pages); break;
	case 3: do_protect(page, pages); break;
	case 4: do_dontneed(page, pages); break;
	case 5: do_remap(page, pages); break;
	case 6: check_exec(page); break;
	case 7:
	case 8:
	case 9:
	case 10: check_write(page); break;
	default: check_read(page);
	}
}

static void test_random_operations(void)
{
	uint64_t data[FILE_PAGES * KL_PAGE_BYTES / 8];
	size_t free_before;

	for (size_t i = 0; i < KL_ARRAY_LEN(data); i++)
		data[i] = 1000000 + i;
	image = machine_image_file(data, sizeof(data), O_RDONLY);
	memory = machine_memory_file(sizeof(data), O_RDWR);
	readonly = machine_memory_file(sizeof(data), O_RDONLY);
	for (unsigned i = 0; i < FILE_PAGES; i++) {
		words[0][i] = data[i * KL_PAGE_BYTES / 8];
		words[1][i] = 2000000 + i;
		words[2][i] = 3000000 + i;
		memcpy(machine_file_byte(memory, i * KL_PAGE_BYTES), &words[1][i], 8);
		memcpy(machine_file_byte(readonly, i * KL_PAGE_BYTES), &words[2][i], 8);
	}
	free_before = kl_pages_free();
	for (unsigned i = 0; i < ROUNDS; i++) {
		one_round();
		if (i % 64 == 0) {
			for (unsigned page = 0; page < ARENA_PAGES; page++)
				check_read(page);
		}
	}
	for (unsigned i = 0; i < FILE_PAGES; i++) {
		CHECK(memcmp(machine_file_byte(image, i * KL_PAGE_BYTES), &words[0][i], 8) == 0);
		CHECK(memcmp(machine_file_byte(memory, i * KL_PAGE_BYTES), &words[1][i], 8) == 0);
		CHECK(memcmp(machine_file_byte(readonly, i * KL_PAGE_BYTES), &words[2][i], 8) == 0);
	}
	do_unmap(0, ARENA_PAGES);
	CHECK(kl_aspace_resident_pages(kl_aspace_current) == 0);
	CHECK(memory->refs == 1 && image->refs == 1 && readonly->refs == 1);
	kl_aspace_reset(kl_aspace_current);
	/* the file's own pages, and nothing else, may have come */
	CHECK(kl_pages_free() + 8 >= free_before);
	kl_file_put(image);
	kl_file_put(memory);
	kl_file_put(readonly);
	printf("ok random operations against the model (%u faults, %u flushes)\n", machine_faults, machine_flushes);
}

static void test_placement(void)
{
	struct kl_area_info info;
	int64_t a, b, low;
	kl_uaddr at = 0;

	a = kl_aspace_map(kl_aspace_current, 0, 8 * KL_PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0);
	b = kl_aspace_map(kl_aspace_current, 0, KL_PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0);
	CHECK(a > 0 && b == a - (int64_t)KL_PAGE_BYTES); /* below, and joined with it */
	CHECK(kl_aspace_next_area(kl_aspace_current, &at, &info) && info.start == (uint64_t)b &&
		info.end - info.start == 9 * KL_PAGE_BYTES);
	CHECK(!kl_aspace_next_area(kl_aspace_current, &at, &info));
	low = kl_aspace_map(
		kl_aspace_current, 0, KL_PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, NULL, 0);
	CHECK(low > 0 && low < 0x80000000);
	CHECK(kl_aspace_map(kl_aspace_current, (uint64_t)a, KL_PAGE_BYTES, PROT_READ,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, NULL, 0) == -EEXIST);
	CHECK(kl_aspace_map(kl_aspace_current, KL_BASE_VA, KL_PAGE_BYTES, PROT_READ,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0) == -ENOMEM);
	CHECK(kl_aspace_map(kl_aspace_current, KL_BASE_VA - KL_PAGE_BYTES, 2 * KL_PAGE_BYTES, PROT_READ,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0) == -ENOMEM);
	CHECK(kl_aspace_map(kl_aspace_current, 0, KL_PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		      NULL, 0) == -EPERM);
	CHECK(kl_aspace_map(kl_aspace_current, 0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0) == -EINVAL);
	CHECK(kl_aspace_map(kl_aspace_current, 0, UINT64_MAX - 5, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0) ==
		-ENOMEM);
	CHECK(kl_aspace_unmap(kl_aspace_current, KL_DIRECT_VA, KL_PAGE_BYTES) == -EINVAL);
	CHECK(kl_aspace_unmap(kl_aspace_current, (uint64_t)a + 1, KL_PAGE_BYTES) == -EINVAL);
	kl_aspace_reset(kl_aspace_current);
	printf("ok placement\n");
}

static void test_brk(void)
{
	struct kl_aspace_layout layout;
	uint64_t start, value = 7;

	kl_aspace_layout(kl_aspace_current, &layout);
	start = layout.program_base;
	kl_aspace_set_brk(kl_aspace_current, start);
	CHECK(kl_aspace_brk(kl_aspace_current, 0) == start);
	CHECK(kl_aspace_brk(kl_aspace_current, start + 10000) == start + 10000);
	CHECK(machine_touch(start + 9992, &value, 8, MACHINE_WRITE) == 0);
	CHECK(kl_aspace_brk(kl_aspace_current, start + 5000) == start + 5000);
	CHECK(machine_touch(start + 9992, &value, 8, MACHINE_READ) == -EFAULT);
	CHECK(kl_aspace_brk(kl_aspace_current, start + 10000) == start + 10000);
	CHECK(machine_touch(start + 9992, &value, 8, MACHINE_READ) == 0 && value == 0);
	CHECK(kl_aspace_brk(kl_aspace_current, KL_USER_TOP_VA) == start + 10000);
	CHECK(kl_aspace_brk(kl_aspace_current, start - 1) == start + 10000);
	kl_aspace_reset(kl_aspace_current);
	printf("ok brk\n");
}

static void test_stack_grows(void)
{
	struct kl_aspace_layout layout;
	uint64_t value = 1, top;

	kl_aspace_layout(kl_aspace_current, &layout);
	top = layout.stack_top;
	CHECK(kl_aspace_map_stack(kl_aspace_current, top, 4 * KL_PAGE_BYTES, PROT_READ | PROT_WRITE) > 0);
	CHECK(machine_touch(top - 1000000, &value, 8, MACHINE_WRITE) == 0);
	CHECK(machine_touch(top - (8 << 20) - 4096, &value, 8, MACHINE_WRITE) == -EFAULT);
	/* something in the way: a gap stays */
	CHECK(kl_aspace_map(kl_aspace_current, top - (4 << 20), KL_PAGE_BYTES, PROT_READ,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0) > 0);
	CHECK(machine_touch(top - (4 << 20) + (1 << 20) - 8192, &value, 8, MACHINE_WRITE) == -EFAULT);
	CHECK(machine_touch(top - (4 << 20) + (1 << 20) + 8192, &value, 8, MACHINE_WRITE) == 0);
	kl_aspace_reset(kl_aspace_current);
	printf("ok stack\n");
}

static void test_few_faults_and_flushes(void)
{
	int64_t a = kl_aspace_map(kl_aspace_current, 0, 256 * KL_PAGE_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0);
	unsigned faults = machine_faults, flushes = machine_flushes;
	char byte = 1;

	for (unsigned i = 0; i < 256; i++)
		CHECK(machine_touch((uint64_t)a + i * KL_PAGE_BYTES, &byte, 1, MACHINE_WRITE) == 0);
	CHECK(machine_faults - faults < 24 && machine_flushes == flushes);
	CHECK(kl_aspace_unmap(kl_aspace_current, (uint64_t)a, 256 * KL_PAGE_BYTES) == 0);
	CHECK(machine_flushes == flushes + 1);
	a = kl_aspace_map(
		kl_aspace_current, 0, 1ul << 40, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, NULL, 0);
	CHECK(a > 0 && kl_aspace_unmap(kl_aspace_current, (uint64_t)a, 1ul << 40) == 0);
	CHECK(machine_flushes == flushes + 1); /* nothing was touched */
	kl_aspace_reset(kl_aspace_current);
	printf("ok few faults and flushes\n");
}

static void test_out_of_memory(void)
{
	size_t bytes = (kl_pages_total() + 100) * KL_PAGE_BYTES;
	int64_t a = kl_aspace_map(
		kl_aspace_current, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0);
	uint64_t at = (uint64_t)a;
	char byte = 1;
	int err = 0;

	CHECK(a > 0);
	for (; err == 0; at += KL_PAGE_BYTES)
		err = machine_touch(at, &byte, 1, MACHINE_WRITE);
	CHECK(err == -ENOMEM && at - (uint64_t)a > bytes / 2);
	CHECK(kl_aspace_unmap(kl_aspace_current, (uint64_t)a, bytes) == 0);
	kl_aspace_reset(kl_aspace_current);
	printf("ok out of memory\n");
}

/* What was mapped ahead in vain is taken back before memory runs out. */
static void test_sparse_use(void)
{
	unsigned pages = (unsigned)kl_pages_total() * 3 / 4;
	int64_t a = kl_aspace_map(kl_aspace_current, 0, (uint64_t)pages * 17 * KL_PAGE_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0);

	CHECK(a > 0);
	for (unsigned i = 0; i < pages; i++)
		CHECK(machine_touch((uint64_t)a + i * 17ul * KL_PAGE_BYTES, &i, sizeof(i), MACHINE_WRITE) == 0);
	for (unsigned i = 0; i < pages; i++) {
		unsigned got;

		CHECK(machine_touch((uint64_t)a + i * 17ul * KL_PAGE_BYTES, &got, sizeof(got), MACHINE_READ) == 0 &&
			got == i);
	}
	kl_aspace_reset(kl_aspace_current);
	printf("ok sparse use\n");
}

int main(void)
{
	machine_start(6 << 20);
	test_random_operations();
	test_placement();
	test_brk();
	test_stack_grows();
	test_few_faults_and_flushes();
	test_out_of_memory();
	test_sparse_use();
	return 0;
}
