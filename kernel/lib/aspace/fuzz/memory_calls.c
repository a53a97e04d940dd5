/* SPDX-License-Identifier: Apache-2.0 */
/* Any sequence of system calls on memory, with any arguments: no call harms the library OS, and all memory comes back. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "aspace_priv.h"
#include "machine.h"
#include "syscalls_priv.h"

#define FILE_BYTES 40000
#define CALLS_MAX 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct kl_file *files[2];

struct kl_file *kl_fd_get(int fd)
{
	if (fd < 0 || fd > 1)
		return NULL;
	kl_file_get(files[fd]);
	return files[fd];
}

struct input {
	const uint8_t *at, *end;
	uint64_t last; /* address that a call returned */
};

static uint8_t byte(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

/* Addresses and sizes that collide often, or lie at an edge, or are anything at all. */
static uint64_t number(struct input *in)
{
	uint8_t kind = byte(in);
	uint64_t small = (uint64_t)(kind >> 4 | byte(in) << 4);

	switch (kind & 7) {
	case 0: return small * KL_PAGE_BYTES;
	case 1: return 0x500000000000 + small * KL_PAGE_BYTES;
	case 2: return in->last + small * KL_PAGE_BYTES;
	case 3: return small;
	case 4: return KL_BASE_VA - 8 * KL_PAGE_BYTES + small * KL_PAGE_BYTES;
	case 5: return KL_USER_TOP_VA - small * KL_PAGE_BYTES;
	case 6: return (uint64_t)0 - small;
	default: return small << (byte(in) & 63);
	}
}

static void touch(struct input *in)
{
	uint64_t va = number(in), buf = 0;

	machine_touch(va, &buf, 1 + byte(in) % 8, (enum machine_access)(byte(in) % 3));
}

static void call(struct input *in)
{
	uint64_t a, b, c;
	long r = 0;

	switch (byte(in) % 12) {
	case 0:
	case 1:
	case 2: {
		int prot = byte(in) & 7, flags = byte(in) | byte(in) << 8 | byte(in) << 16, fd = byte(in) % 3 - 1;

		a = number(in);
		b = number(in);
		c = number(in);
		r = kl_sys_mmap(a, b, prot, flags & ~(MAP_POPULATE | MAP_LOCKED), fd, c);
		break;
	}
	case 3:
		a = number(in);
		kl_sys_munmap(a, number(in));
		break;
	case 4:
		a = number(in);
		b = number(in);
		kl_sys_mprotect(a, b, byte(in) & 7);
		break;
	case 5: {
		int flags = byte(in) & 7;

		a = number(in);
		b = number(in);
		c = number(in);
		r = kl_sys_mremap(a, b, c, flags, number(in));
		break;
	}
	case 6: r = kl_sys_brk(number(in)); break;
	case 7:
		a = number(in);
		b = number(in);
		kl_sys_madvise(a, b, byte(in) & 31);
		break;
	case 8:
		a = number(in);
		b = number(in) & 0xffff;
		kl_sys_mincore(a, b, number(in));
		kl_sys_msync(a, b, byte(in));
		kl_sys_mlock(a, b);
		break;
	default: touch(in);
	}
	if (r > 0)
		in->last = (uint64_t)r;
}

/* In order, apart from each other, and in the program's part. */
static void check_areas(void)
{
	struct kl_area_info info;
	kl_uaddr at = 0, end = 0;

	while (kl_aspace_next_area(kl_aspace_current, &at, &info)) {
		if (info.start < end || info.end <= info.start || !aspace_range_ok(info.start, info.end - info.start))
			abort();
		end = info.end;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char text[FILE_BYTES] = "the image";
	static size_t free_at_start;
	struct input in = {data, data + n, 0x500000000000};

	if (free_at_start == 0) {
		machine_start(4 << 20);
		free_at_start = kl_pages_free();
	}
	files[0] = machine_image_file(text, sizeof(text), O_RDONLY);
	files[1] = machine_memory_file(FILE_BYTES, O_RDWR);
	kl_aspace_set_brk(kl_aspace_current, 0x500000000000 + 64 * KL_PAGE_BYTES);
	for (unsigned i = 0; i < CALLS_MAX && in.at < in.end; i++)
		call(&in);
	check_areas();
	kl_aspace_reset(kl_aspace_current);
	if (kl_aspace_resident_pages(kl_aspace_current) != 0)
		abort();
	kl_file_put(files[0]);
	kl_file_put(files[1]);
	machine_forget_images();
	if (kl_pages_free() != free_at_start)
		abort();
	return 0;
}
