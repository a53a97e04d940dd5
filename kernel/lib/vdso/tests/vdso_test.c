/* SPDX-License-Identifier: Apache-2.0 */
/* The vDSO as a program finds it: symbols by hash and version, clocks from the data page. */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <x86intrin.h>

#include <kl/types.h>

#define PAGE 4096ul

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #cond);                                         \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

extern const char kl_vdso_image[PAGE];

/* As vdso.c has it. */
struct vdso_data {
	uint32_t sequence, reserved;
	uint64_t tsc_start, mult, wall_ns;
};

static struct vdso_data *data;
static char *image;

static uint64_t dynamic(uint64_t tag)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)image;
	const Elf64_Phdr *ph = (const Elf64_Phdr *)(image + header->e_phoff);

	for (unsigned i = 0; i < header->e_phnum; i++) {
		if (ph[i].p_type != PT_DYNAMIC)
			continue;
		for (const Elf64_Dyn *d = (const Elf64_Dyn *)(image + ph[i].p_offset); d->d_tag != DT_NULL; d++) {
			if ((uint64_t)d->d_tag == tag)
				return d->d_un.d_val;
		}
	}
	printf("FAIL no dynamic tag %lu\n", tag);
	exit(1);
}

static uint32_t elf_hash(const char *name)
{
	uint32_t h = 0;

	for (; *name != 0; name++) {
		h = (h << 4) + (unsigned char)*name;
		h = (h ^ (h & 0xf0000000) >> 24) & 0x0fffffff;
	}
	return h;
}

/* As dynamic linkers do it: DT_HASH's chain, then the version's name and hash. */
static void *find(const char *name)
{
	const uint32_t *hash = (const uint32_t *)(image + dynamic(DT_HASH));
	const Elf64_Sym *symbols = (const Elf64_Sym *)(image + dynamic(DT_SYMTAB));
	const char *strings = image + dynamic(DT_STRTAB);
	const uint16_t *versions = (const uint16_t *)(image + dynamic(DT_VERSYM));

	for (uint32_t i = hash[2 + elf_hash(name) % hash[0]]; i != 0; i = hash[2 + hash[0] + i]) {
		const Elf64_Verdef *def = (const Elf64_Verdef *)(image + dynamic(DT_VERDEF));

		CHECK(i < hash[1]);
		if (strcmp(strings + symbols[i].st_name, name) != 0)
			continue;
		CHECK(ELF64_ST_TYPE(symbols[i].st_info) == STT_FUNC && symbols[i].st_shndx != SHN_UNDEF);
		while (def->vd_ndx != versions[i]) {
			CHECK(def->vd_next != 0);
			def = (const Elf64_Verdef *)((const char *)def + def->vd_next);
		}
		const Elf64_Verdaux *aux = (const Elf64_Verdaux *)((const char *)def + def->vd_aux);

		CHECK(strcmp(strings + aux->vda_name, "LINUX_2.6") == 0 && def->vd_hash == elf_hash("LINUX_2.6"));
		return image + symbols[i].st_value;
	}
	return NULL;
}

static void test_tables(void)
{
	const Elf64_Verdef *base = (const Elf64_Verdef *)(image + dynamic(DT_VERDEF));

	CHECK(memcmp(image, ELFMAG, SELFMAG) == 0 && ((const Elf64_Ehdr *)image)->e_type == ET_DYN);
	CHECK(base->vd_flags == VER_FLG_BASE && base->vd_hash == elf_hash("linux-vdso.so.1"));
	CHECK(strcmp(image + dynamic(DT_STRTAB) + dynamic(DT_SONAME), "linux-vdso.so.1") == 0 &&
		dynamic(DT_VERDEFNUM) == 2);
	CHECK(find("__vdso_none") == NULL);
	printf("ok tables\n");
}

static void test_clock_gettime(void)
{
	int (*gettime)(int, struct timespec *) = find("__vdso_clock_gettime");
	int (*getres)(int, struct timespec *) = find("__vdso_clock_getres");
	struct timespec ts, last = {0};

	CHECK(gettime != NULL && getres != NULL);
	data->tsc_start = __rdtsc() - 5000000000ull; /* at 1 GHz: 5 s ago */
	data->mult = 1ull << 32;
	data->wall_ns = 1700000000999999999ull;
	CHECK(gettime(CLOCK_MONOTONIC, &ts) == 0 && (ts.tv_sec == 5 || ts.tv_sec == 6) && ts.tv_nsec < 1000000000);
	CHECK(gettime(CLOCK_REALTIME, &ts) == 0 &&
		(ts.tv_sec == 1700000005 || ts.tv_sec == 1700000006 || ts.tv_sec == 1700000007));
	CHECK(gettime(CLOCK_BOOTTIME, &ts) == 0 && ts.tv_sec < 100 && gettime(CLOCK_REALTIME_COARSE, &ts) == 0 &&
		ts.tv_sec > 1700000000);
	for (unsigned i = 0; i < 1000; i++) {
		CHECK(gettime(CLOCK_MONOTONIC, &ts) == 0);
		CHECK(ts.tv_sec > last.tv_sec || (ts.tv_sec == last.tv_sec && ts.tv_nsec >= last.tv_nsec));
		last = ts;
	}
	CHECK(getres(CLOCK_MONOTONIC, &ts) == 0 && ts.tv_sec == 0 && ts.tv_nsec == 1 &&
		getres(CLOCK_REALTIME, NULL) == 0);
	data->mult = (1000000ull << 32) / 2596000; /* 2.596 GHz */
	data->tsc_start = __rdtsc() - 2596000ull * 3600000;
	CHECK(gettime(CLOCK_MONOTONIC, &ts) == 0 && (ts.tv_sec == 3599 || ts.tv_sec == 3600));
	printf("ok clock_gettime\n");
}

static void test_others(void)
{
	int (*getday)(struct timeval *, struct timezone *) = find("__vdso_gettimeofday");
	time_t (*gettime)(time_t *) = find("__vdso_time");
	int (*getcpu)(unsigned *, unsigned *, void *) = find("__vdso_getcpu");
	struct timezone zone = {1, 1};
	struct timeval tv;
	unsigned cpu = 9, node = 9;
	time_t t;

	data->tsc_start = __rdtsc();
	data->mult = 1;
	data->wall_ns = 1700000000987654321ull;
	CHECK(getday(&tv, &zone) == 0 && tv.tv_sec == 1700000000 && tv.tv_usec == 987654 && zone.tz_minuteswest == 0);
	CHECK(getday(NULL, NULL) == 0);
	CHECK(gettime(&t) == 1700000000 && t == 1700000000 && gettime(NULL) == t);
	CHECK(getcpu(&cpu, &node, NULL) == 0 && cpu == 0 && node == 0 && getcpu(NULL, NULL, NULL) == 0);
	printf("ok gettimeofday, time, getcpu\n");
}

int main(void)
{
	char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(pages != MAP_FAILED);
	data = (struct vdso_data *)pages;
	image = pages + PAGE;
	memcpy(image, kl_vdso_image, PAGE);
	CHECK(mprotect(image, PAGE, PROT_READ | PROT_EXEC) == 0);
	test_tables();
	test_clock_gettime();
	test_others();
	return 0;
}
