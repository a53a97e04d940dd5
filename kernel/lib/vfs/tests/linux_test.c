/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same random system calls here and on the Linux that runs this test, in a new root directory each: results, errors, and the
 * trees that come out must be the same. Needs the right to chroot(2), or to make a user name space.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs_test.h"
#include "kl_host.h"

#define STEPS 60000
#define FDS 8
#define DATA_BYTES 9000

static uint64_t state = 88172645463325252ull;

static unsigned rnd(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 20) % n;
}

static long sys(long rc)
{
	return rc < 0 ? -errno : rc;
}

static char long_name[300];
static struct {
	int ours, theirs;
} fds[FDS];
static uint8_t data[DATA_BYTES], mine[DATA_BYTES], other[DATA_BYTES];

/* A path of up to four names. */
static const char *path(char *buf)
{
	static const char *const names[] = {
		"a", "b", "c", "d", "a", "b", "link", "longer-name-than-fits-inside-entries", ".", "..", "e"};
	unsigned n = 1 + rnd(3);

	buf[0] = '\0';
	if (rnd(150) == 0)
		return buf;
	if (rnd(150) == 0)
		return long_name;
	if (rnd(6) == 0)
		strcat(buf, "/");
	for (unsigned i = 0; i < n; i++) {
		if (i > 0)
			strcat(buf, rnd(10) == 0 ? "//" : "/");
		strcat(buf, names[rnd(KL_ARRAY_LEN(names))]);
	}
	if (rnd(10) == 0)
		strcat(buf, "/");
	return buf;
}

static int open_flags(void)
{
	static const int mode[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR, O_PATH};
	static const int more[] = {0, O_CREAT, O_CREAT | O_EXCL, O_TRUNC, O_CREAT | O_TRUNC, O_DIRECTORY, O_NOFOLLOW,
		O_APPEND | O_CREAT, O_CREAT | O_NOFOLLOW};

	return mode[rnd(5)] | more[rnd(KL_ARRAY_LEN(more))] | O_NONBLOCK;
}

static int read_names(const uint8_t *buf, long n, char names[][300])
{
	int count = 0;

	for (long at = 0; at < n; at += *(const uint16_t *)(buf + at + 16))
		snprintf(names[count++], 300, "%d %s", buf[at + 18], (const char *)buf + at + 19);
	qsort(names, (size_t)count, 300, (int (*)(const void *, const void *))strcmp);
	return count;
}

/* Contents and attributes of all that is below the current directory. */
static void compare_trees(const char *at, unsigned depth)
{
	static uint8_t a[32768], b[32768];
	static char names_a[200][300], names_b[200][300];
	char copy[64][300], text[4096], here[2][4096];
	int da = (int)kl_sys_open(U(at), O_RDONLY | O_DIRECTORY, 0), db = open(at, O_RDONLY | O_DIRECTORY);
	int na, nb;

	CHECK(da >= 0 && db >= 0);
	na = read_names(a, kl_sys_getdents64(da, U(a), sizeof(a)), names_a);
	nb = read_names(b, syscall(SYS_getdents64, db, b, sizeof(b)), names_b);
	kl_sys_close(da);
	close(db);
	CHECK(na == nb && na < 64);
	for (int i = 0; i < na; i++) {
		CHECK(strcmp(names_a[i], names_b[i]) == 0);
		strcpy(copy[i], strchr(names_a[i], ' ') + 1);
	}
	for (int i = 0; i < na; i++) {
		struct stat sa, sb;

		if (strcmp(copy[i], ".") == 0 || strcmp(copy[i], "..") == 0)
			continue;
		snprintf(text, sizeof(text), "%s/%s", at, copy[i]);
		CHECK(kl_sys_lstat(U(text), U(&sa)) == 0 && lstat(text, &sb) == 0);
		CHECK(sa.st_mode == sb.st_mode && sa.st_nlink == sb.st_nlink);
		CHECK(S_ISDIR(sa.st_mode) || sa.st_size == sb.st_size);
		if (S_ISLNK(sa.st_mode))
			CHECK(kl_sys_readlink(U(text), U(here[0]), 4096) == readlink(text, here[1], 4096) &&
				memcmp(here[0], here[1], (size_t)sa.st_size) == 0);
		if (S_ISDIR(sa.st_mode) && depth < 20)
			compare_trees(text, depth + 1);
	}
}

#define SAME(ours, theirs)                                                                                             \
	do {                                                                                                           \
		long ours_ = (ours), theirs_ = sys(theirs);                                                            \
		if (ours_ != theirs_) {                                                                                \
			printf("FAIL step %u: %s = %ld, Linux %ld; \"%s\" \"%s\" fd %u\n", step, #ours, ours_,         \
				theirs_, p, q, i);                                                                     \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

static void compare_contents(unsigned step, unsigned i)
{
	const char *p = "", *q = "";
	long n = pread(fds[i].theirs, other, sizeof(other), 0);

	SAME(kl_sys_pread64(fds[i].ours, U(mine), sizeof(mine), 0), n);
	CHECK(n <= 0 || memcmp(mine, other, (size_t)n) == 0);
}

#ifdef WITH_INOTIFY
#include <sys/inotify.h>

int kl_inotify_init(void);
long kl_sys_inotify_init1(int flags);
long kl_sys_inotify_add_watch(int fd, kl_uaddr path, uint32_t mask);
long kl_sys_inotify_rm_watch(int fd, int wd);

static int queue_a, queue_b;

static void start_watching(void)
{
	kl_inotify_init();
	queue_a = (int)kl_sys_inotify_init1(IN_NONBLOCK);
	queue_b = inotify_init1(IN_NONBLOCK);
	CHECK(queue_a >= 0 && queue_b >= 0);
}

static void print_events(const char *who, const uint8_t *buf, long n)
{
	for (long at = 0; at < n;) {
		const struct inotify_event *e = (const void *)(buf + at);

		printf("%s: %d %#x %.*s\n", who, e->wd, e->mask, (int)e->len, e->name);
		at += (long)sizeof(*e) + e->len;
	}
}

/* The numbers that join IN_MOVED_FROM and IN_MOVED_TO are each system's own. */
static void clear_cookies(uint8_t *buf, long n)
{
	for (long at = 0; at < n;) {
		struct inotify_event *e = (void *)(buf + at);

		e->cookie = e->cookie != 0;
		at += (long)sizeof(*e) + e->len;
	}
}

static void compare_events(unsigned step, unsigned i, const char *p, const char *q)
{
	static uint8_t a[65536], b[65536];
	long n = kl_sys_read(queue_a, U(a), sizeof(a)), m = sys(read(queue_b, b, sizeof(b)));

	clear_cookies(a, n);
	clear_cookies(b, m);
	if (n == m && (n < 0 || memcmp(a, b, (size_t)n) == 0))
		return;
	print_events("ours", a, n);
	print_events("Linux", b, m);
	SAME(n, m);
	CHECK(false);
}

static void on_watches(unsigned step, unsigned i, const char *p, const char *q)
{
	static const uint32_t masks[] = {IN_ALL_EVENTS, IN_ALL_EVENTS, IN_CREATE | IN_DELETE, IN_MODIFY | IN_ONESHOT,
		IN_MOVE | IN_MASK_ADD, IN_ATTRIB | IN_DONT_FOLLOW, IN_ALL_EVENTS | IN_ONLYDIR,
		IN_DELETE_SELF | IN_MOVE_SELF, IN_OPEN | IN_CLOSE | IN_MASK_CREATE};
	uint32_t mask = masks[rnd(KL_ARRAY_LEN(masks))];
	int wd = (int)rnd(step / 100 + 2);

	if (rnd(4) == 0)
		SAME(kl_sys_inotify_rm_watch(queue_a, wd), inotify_rm_watch(queue_b, wd));
	else
		SAME(kl_sys_inotify_add_watch(queue_a, U(p), mask), inotify_add_watch(queue_b, p, mask));
}
#else
static void start_watching(void)
{
}

static void compare_events(unsigned step, unsigned i, const char *p, const char *q)
{
}

static void on_watches(unsigned step, unsigned i, const char *p, const char *q)
{
}
#endif

static void on_names(unsigned step, unsigned i, const char *p, const char *q)
{
	struct stat sa, sb;
	unsigned mode = 0400 + rnd(0400), size = rnd(20000);

	switch (rnd(16)) {
	case 0:
	case 1: SAME(kl_sys_mkdir(U(p), mode), mkdir(p, mode)); break;
	case 2: SAME(kl_sys_rmdir(U(p)), rmdir(p)); break;
	case 3:
	case 4: SAME(kl_sys_unlink(U(p)), unlink(p)); break;
	case 5:
	case 6: SAME(kl_sys_rename(U(p), U(q)), rename(p, q)); break;
	case 7: {
		unsigned flags = 1 + rnd(3);
		SAME(kl_sys_renameat2(AT_FDCWD, U(p), AT_FDCWD, U(q), flags),
			renameat2(AT_FDCWD, p, AT_FDCWD, q, flags));
		break;
	}
	case 8: SAME(kl_sys_link(U(p), U(q)), link(p, q)); break;
	case 9: SAME(kl_sys_symlink(U(p), U(q)), symlink(p, q)); break;
	case 10: SAME(kl_sys_readlink(U(p), U(mine), 100), readlink(p, (char *)other, 100)); break;
	case 11: SAME(kl_sys_truncate(U(p), size), truncate(p, size)); break;
	case 12: SAME(kl_sys_chmod(U(p), mode), chmod(p, mode)); break;
	case 13: {
		unsigned kind = rnd(2) ? S_IFSOCK : S_IFREG;
		SAME(kl_sys_mknod(U(p), kind | mode, 0), mknod(p, kind | mode, 0));
		break;
	}
	case 14:
		SAME(kl_sys_stat(U(p), U(&sa)), stat(p, &sb));
		SAME(kl_sys_lstat(U(q), U(&sa)), lstat(q, &sb));
		break;
	case 15:
		SAME(kl_sys_access(U(p), (int)mode & 7), access(p, (int)mode & 7));
		if (rnd(10) == 0)
			SAME(kl_sys_chdir(U(q)), chdir(q));
		break;
	}
}

static void on_files(unsigned step, unsigned i, const char *p, const char *q)
{
	int a = fds[i].ours, b = fds[i].theirs;
	unsigned n = rnd(DATA_BYTES), at = rnd(30000);

	switch (rnd(10)) {
	case 0:
	case 1: SAME(kl_sys_write(a, U(data), n), write(b, data, n)); break;
	case 2: SAME(kl_sys_pwrite64(a, U(data), n, at), pwrite(b, data, n, at)); break;
	case 3: SAME(kl_sys_read(a, U(mine), n), read(b, other, n)); break;
	case 4: SAME(kl_sys_ftruncate(a, at), ftruncate(b, at)); break;
	case 5: {
		int whence = (int)rnd(4);
		SAME(kl_sys_lseek(a, (int)at - 8000, whence == 3 ? 9 : whence),
			lseek(b, (int)at - 8000, whence == 3 ? 9 : whence));
		break;
	}
	case 6: {
		int mode = (int)rnd(4);
		SAME(kl_sys_fallocate(a, mode, at, n), fallocate(b, mode, at, n));
		break;
	}
	case 7: compare_contents(step, i); break;
	case 8: SAME(kl_sys_fchmod(a, 0644), fchmod(b, 0644)); break;
	case 9: {
		unsigned j = rnd(FDS);
		SAME(kl_sys_copy_file_range(a, 0, fds[j].ours, 0, n, 0),
			syscall(SYS_copy_file_range, b, NULL, fds[j].theirs, NULL, n, 0));
		break;
	}
	}
}

static void step_once(unsigned step)
{
	static char bufs[2][1024];
	const char *p = path(bufs[0]), *q = path(bufs[1]);
	unsigned i = rnd(FDS);

	for (unsigned k = 0; k < 16; k++)
		data[rnd(DATA_BYTES)] = (uint8_t)rnd(256);
	if (rnd(3) == 0) {
		int flags = open_flags();
		long a = kl_sys_open(U(p), flags, 0640), b = sys(open(p, flags, 0640));

		if ((a < 0 ? a : 0) != (b < 0 ? b : 0)) {
			printf("FAIL step %u: open(\"%s\", %#o) = %ld, Linux %ld\n", step, p, flags, a, b);
			exit(1);
		}
		if (a >= 0) {
			SAME(kl_sys_close(fds[i].ours), close(fds[i].theirs));
			fds[i].ours = (int)a;
			fds[i].theirs = (int)b;
		}
	} else if (rnd(2) == 0) {
		on_files(step, i, p, q);
	} else {
		on_names(step, i, p, q);
	}
	if (rnd(10) == 0)
		on_watches(step, i, p, q);
	compare_events(step, i, p, q);
	if (step % 500 == 499) {
		compare_trees("/", 0);
		compare_events(step, i, p, q);
	}
}

/* A file system of the same kind over /tmp, in a name space of mounts of our own: nobody else sees it, and it goes with us. */
static bool new_root(void)
{
	if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
		return false;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		mount("none", "/tmp", "tmpfs", 0, "mode=755") == 0 && chroot("/tmp") == 0 && chdir("/") == 0;
}

/* The leak checker needs /proc, which is out of sight after chroot(2). */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	if (!new_root()) {
		printf("skip: needs mount(2) and chroot(2), or user name spaces\n");
		return 0;
	}
	umask(022);
	memset(long_name, 'x', sizeof(long_name) - 1);
	fs_test_empty_root();
	for (unsigned i = 0; i < FDS; i++) {
		fds[i].ours = (int)kl_sys_open(U("/"), O_PATH, 0);
		fds[i].theirs = open("/", O_PATH);
	}
	start_watching();
	for (unsigned step = 0; step < STEPS; step++)
		step_once(step);
	printf("ok %d random calls are as on Linux\n", STEPS);
	return 0;
}
