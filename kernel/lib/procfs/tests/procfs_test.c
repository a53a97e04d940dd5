/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <kl/aspace.h>
#include <kl/devfs.h>
#include <kl/system.h>

#include "../../vfs/tests/fs_test.h"

#include "procfs_priv.h"

struct kl_boot_info kl_boot;

bool kl_aspace_next_area(struct kl_aspace *as, kl_uaddr *at, struct kl_area_info *out)
{
	if (*at > 0x1000)
		return false;
	*out = (struct kl_area_info){.start = 0x1000, .end = 0x3000, .prot = 5, .flags = 2, .name = "/bin/x"};
	*at = 0x3000;
	return true;
}

size_t kl_aspace_resident_pages(struct kl_aspace *as)
{
	return 7;
}

uint64_t kl_process_cpu_ns(const struct kl_process *proc)
{
	return 120000000;
}

uint64_t kl_thread_cpu_ns(const struct kl_thread *thread)
{
	return 10000000;
}

struct kl_thread *kl_thread_find(int tid)
{
	return tid == 1 || tid == 0 ? kl_current : NULL;
}

const struct new_utsname *kl_system_names(void)
{
	static const struct new_utsname names = {
		.sysname = "Linux", .release = "6.1.0-x", .version = "#1", .nodename = "host"};

	return &names;
}

static char text[65536];

static const char *contents(const char *path)
{
	int fd = (int)kl_sys_open(U(path), O_RDONLY, 0);
	long n;

	if (fd < 0)
		printf("%s: %d\n", path, fd);
	CHECK(fd >= 0);
	n = kl_sys_read(fd, U(text), sizeof(text) - 1);
	CHECK(n >= 0);
	text[n] = '\0';
	kl_sys_close(fd);
	return text;
}

static unsigned files, links;

/* Reads all that is there. */
static void visit(const char *path, unsigned depth)
{
	static uint8_t buf[8][8192];
	char below[400], target[300];
	int fd = (int)kl_sys_open(U(path), O_RDONLY | O_DIRECTORY, 0);
	long n;

	CHECK(fd >= 0 && depth < 8);
	while ((n = kl_sys_getdents64(fd, U(buf[depth]), 300)) > 0)
		for (long at = 0; at < n; at += *(uint16_t *)(buf[depth] + at + 16)) {
			const char *name = (const char *)buf[depth] + at + 19;
			struct stat st;

			if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
				continue;
			snprintf(below, sizeof(below), "%s/%s", path, name);
			CHECK(kl_sys_lstat(U(below), U(&st)) == 0);
			CHECK(buf[depth][at + 18] == (st.st_mode >> 12) && *(uint64_t *)(buf[depth] + at) == st.st_ino);
			if (S_ISDIR(st.st_mode))
				visit(below, depth + 1);
			else if (S_ISLNK(st.st_mode))
				links += kl_sys_readlink(U(below), U(target), sizeof(target)) > 0;
			else
				files += contents(below) != NULL;
		}
	CHECK(n == 0);
	kl_sys_close(fd);
}

static void show_sockets(struct kl_text *t)
{
	kl_text_printf(t, "  sl  local_address\n");
}

static void test_self(void)
{
	char path[100];
	int fd = (int)kl_sys_open(U("/etc-file"), O_CREAT | O_RDWR, 0600), again;

	CHECK(fd >= 0 && kl_sys_write(fd, U("hello"), 5) == 5);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(kl_sys_readlink(U(path), U(text), 100) == 9 && memcmp(text, "/etc-file", 9) == 0);
	again = (int)kl_sys_open(U(path), O_RDONLY, 0);
	CHECK(again >= 0 && again != fd && kl_sys_read(again, U(text), 10) == 5);
	CHECK(kl_sys_unlink(U("/etc-file")) == 0);
	CHECK(kl_sys_readlink(U(path), U(text), 100) == 19 && memcmp(text, "/etc-file (deleted)", 19) == 0);
	CHECK(strcmp(contents(path), "hello") == 0); /* still to be had */
	CHECK(kl_sys_open(U("/proc/self/fd/99"), O_RDONLY, 0) == -ENOENT &&
		kl_sys_open(U("/proc/2/stat"), O_RDONLY, 0) == -ENOENT);
	CHECK(kl_sys_mkdir(U("/sub"), 0755) == 0 && kl_sys_chdir(U("/sub")) == 0);
	CHECK(kl_sys_readlink(U("/proc/self/cwd"), U(text), 100) == 4 && memcmp(text, "/sub", 4) == 0);
	CHECK(kl_sys_mkdir(U("/proc/self/cwd/made"), 0755) == 0 && kl_sys_access(U("/sub/made"), 0) == 0);
	CHECK(strncmp(contents("/proc/thread-self/comm"), "test\n", 5) == 0);
	fd = (int)kl_sys_open(U("/proc/self/comm"), O_RDWR | O_TRUNC, 0);
	CHECK(fd >= 0 && kl_sys_write(fd, U("new\n"), 4) == 4 && strcmp(contents("/proc/1/comm"), "new\n") == 0);
	CHECK(strstr(contents("/proc/self/maps"), "00001000-00003000 r-xp 00000000") != NULL &&
		strstr(text, " /bin/x\n") != NULL);
	CHECK(kl_sys_open(U("/proc/self/none"), O_CREAT | O_RDWR, 0600) == -ENOENT &&
		kl_sys_unlink(U("/proc/version")) == -EPERM);
	printf("ok self\n");
}

int main(void)
{
	static struct kl_proc_file added = {.dir = "net", .name = "tcp", .mode = 0444, .show = show_sockets};
	struct kl_process *p = &kl_process_init_data;

	setvbuf(stdout, NULL, _IONBF, 0);
	fs_test_empty_root();
	kl_list_init(&p->threads);
	kl_list_push_back(&p->threads, &kl_current->proc_link);
	strcpy(p->comm, "test");
	strcpy(kl_current->comm, "test");
	p->arg_start = U("a\0b");
	p->arg_end = p->arg_start + 4;
	p->env_start = p->env_end = p->arg_end;
	CHECK(kl_devfs_init() == 0 && kl_procfs_init() == 0);
	kl_procfs_add(&added);
	test_self();
	visit("/proc", 0);
	visit("/sys", 0);
	CHECK(files > 60 && links > 8);
	CHECK(memcmp(contents("/proc/self/cmdline"), "a\0b", 4) == 0 &&
		strcmp(contents("/proc/sys/kernel/osrelease"), "6.1.0-x\n") == 0);
	CHECK(strcmp(contents("/proc/net/tcp"), "  sl  local_address\n") == 0);
	CHECK(strcmp(contents("/sys/devices/system/cpu/online"), "0\n") == 0);
	CHECK(strstr(contents("/proc/mounts"), "tmpfs /dev/shm tmpfs rw,nosuid,nodev 0 0\n") != NULL);
	printf("ok all of /proc and /sys can be read\n");
	CHECK(strlen(contents("/dev/null")) == 0 && kl_sys_mknod(U("/zero"), S_IFCHR | 0600, 0x105) == 0);
	int fd = (int)kl_sys_open(U("/zero"), O_RDWR, 0);
	text[5] = 1;
	CHECK(fd >= 0 && kl_sys_read(fd, U(text), 10) == 10 && text[5] == 0 && kl_sys_write(fd, U(text), 10) == 10);
	fd = (int)kl_sys_open(U("/dev/full"), O_RDWR, 0);
	CHECK(kl_sys_write(fd, U(text), 10) == -ENOSPC && kl_sys_ioctl(fd, 0x5401, 0) == -ENOTTY);
	CHECK(kl_sys_open(U("/dev/tty"), O_RDWR, 0) == -ENXIO);
	printf("ok devices\n");
	return 0;
}
