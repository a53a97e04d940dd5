/* SPDX-License-Identifier: Apache-2.0 */
/* System calls on names and files with any paths and numbers; at the end of each run nothing is left. */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "../tests/fs_test.h"
#include "kl_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

struct source {
	const uint8_t *p;
	size_t n;
};

static uint8_t byte(struct source *s)
{
	if (s->n == 0)
		return 0;
	s->n--;
	return *s->p++;
}

static uint64_t number(struct source *s)
{
	static const uint64_t special[] = {
		0, 1, 4095, 4096, 4097, 8191, 65536, 1ull << 31, 1ull << 46, INT64_MAX, UINT64_MAX};
	uint8_t b = byte(s);

	return b < KL_ARRAY_LEN(special) ? special[b] : b < 128 ? b : (uint64_t)(b << 8 | byte(s));
}

/* Mostly of few names, so that they meet. */
static const char *path(struct source *s, char buf[256])
{
	static const char *const names[] = {"a", "b", "c", "..", ".", "", "/", "a-name-of-more-than-twenty-bytes"};
	size_t at = 0;
	uint8_t parts = byte(s);

	if (parts >= 0xf0) {
		size_t k = byte(s);

		while (k > 0 && s->n > 0 && at < 255) {
			buf[at++] = (char)byte(s);
			k--;
		}
	} else {
		for (unsigned i = 0; i <= parts % 4u; i++) {
			const char *name = names[byte(s) % KL_ARRAY_LEN(names)];

			if (at > 0 || (parts & 0x10) != 0)
				buf[at++] = '/';
			memcpy(buf + at, name, strlen(name));
			at += strlen(name);
		}
	}
	buf[at] = '\0';
	return buf;
}

static void call(struct source *s)
{
	static uint8_t data[9000];
	char x[256], y[256];
	struct stat st;
	const char *p = path(s, x), *q = path(s, y);
	int fd = byte(s) % 16, fd2 = byte(s) % 16;
	uint64_t a = number(s), b = number(s), how[3] = {a & 0xffff, 0, b & 31};

	switch (byte(s) % 32) {
	case 0: kl_sys_mkdir(U(p), (unsigned)a); break;
	case 1: kl_sys_rmdir(U(p)); break;
	case 2: kl_sys_unlink(U(p)); break;
	case 3: kl_sys_rename(U(p), U(q)); break;
	case 4: kl_sys_renameat2(AT_FDCWD, U(p), fd, U(q), (unsigned)a); break;
	case 5: kl_sys_link(U(p), U(q)); break;
	case 6: kl_sys_symlink(U(p), U(q)); break;
	case 7: kl_sys_readlink(U(p), U(data), (int)a & 4095); break;
	case 8: kl_sys_truncate(U(p), (int64_t)a); break;
	case 9: kl_sys_stat(U(p), U(&st)); break;
	case 10: kl_sys_newfstatat(fd, U(p), U(&st), (int)a & 0x1900); break;
	case 11: kl_sys_chdir(U(p)); break;
	case 12: kl_sys_fchdir(fd); break;
	case 13: kl_sys_access(U(p), (int)a & 7); break;
	case 14:
	case 15:
	case 16: kl_sys_open(U(p), (int)(a | b << 8), 0777); break;
	case 17: kl_sys_openat(fd, U(p), (int)(a | b << 8), 0777); break;
	case 18: kl_sys_close(fd); break;
	case 19: kl_sys_dup2(fd, fd2); break;
	case 20: kl_sys_write(fd, U(data), a % sizeof(data)); break;
	case 21: kl_sys_pwrite64(fd, U(data), a % sizeof(data), (int64_t)b); break;
	case 22: kl_sys_read(fd, U(data), a % sizeof(data)); break;
	case 23: kl_sys_pread64(fd, U(data), a % sizeof(data), (int64_t)b); break;
	case 24: kl_sys_lseek(fd, (int64_t)a, (int)b % 6); break;
	case 25: kl_sys_ftruncate(fd, (int64_t)a); break;
	case 26: kl_sys_fallocate(fd, (int)byte(s) & 3, (int64_t)a, (int64_t)(b & 0xffff)); break;
	case 27: kl_sys_getdents64(fd, U(data), (unsigned)a % sizeof(data)); break;
	case 28: kl_sys_getcwd(U(data), a % sizeof(data)); break;
	case 29: kl_sys_copy_file_range(fd, 0, fd2, 0, a & 0xffff, 0); break;
	case 30: kl_sys_openat2(fd, U(p), U(how), sizeof(how)); break;
	case 31: kl_sys_fcntl(fd, (int)a & 3, b); break;
	}
}

/* Removes all below a path. */
static void clear(const char *at)
{
	uint8_t buf[1024];
	char below[4096];
	long n;
	int fd = (int)kl_sys_open(U(at), O_RDONLY | O_DIRECTORY, 0);

	while (fd >= 0 && (n = kl_sys_getdents64(fd, U(buf), sizeof(buf))) > 0)
		for (long i = 0; i < n; i += *(uint16_t *)(buf + i + 16)) {
			const char *name = (const char *)buf + i + 19;

			if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
				continue;
			snprintf(below, sizeof(below), "%s/%s", at, name);
			if (kl_sys_unlink(U(below)) == 0)
				continue;
			clear(below);
			CHECK(kl_sys_rmdir(U(below)) == 0);
		}
	kl_sys_close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
	static bool made;
	static size_t allocations;
	struct source s = {input, n};

	if (!made)
		fs_test_empty_root();
	made = true;
	for (unsigned i = 0; i < 200 && s.n > 0; i++)
		call(&s);
	for (int fd = 0; fd < 1024; fd++)
		kl_sys_close(fd);
	CHECK(kl_sys_chdir(U("/")) == 0);
	clear("");
	clear("/");
	/* The table of the cache and the buffers for paths stay; nothing else may pile up. */
	CHECK(kl_host_pages_used() == 0);
	if (allocations != 0)
		CHECK(kl_host_allocations() <= allocations + 8);
	else
		allocations = kl_host_allocations();
	return 0;
}
