/* SPDX-License-Identifier: Apache-2.0 */
/* An image by mkfs.erofs, read and changed: contents, attributes, directories, what lies over it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kl/erofs.h>
#include <kl/pmm.h>

#include "../../vfs/tests/fs_test.h"
#include "kl_host.h"

#define MANY 700

static char folder[] = "/tmp/kl-erofs-XXXXXX";
static uint8_t data[200000], mine[200000];
static const unsigned sizes[] = {0, 1, 100, 3000, 4095, 4096, 4097, 8192, 12288, 12300, 100000, 131072};

struct kl_boot_info kl_boot;
const struct kl_platform *kl_platform;

static void make_tree(void)
{
	char path[300];

	CHECK(mkdtemp(folder) != NULL && chdir(folder) == 0 && mkdir("tree", 0755) == 0 && chdir("tree") == 0);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	for (unsigned i = 0; i < KL_ARRAY_LEN(sizes); i++) {
		snprintf(path, sizeof(path), "file%u", sizes[i]);
		int fd = open(path, O_CREAT | O_WRONLY, 0640);

		CHECK(write(fd, data + i, sizes[i]) == sizes[i] && close(fd) == 0);
	}
	CHECK(mkdir("many", 0755) == 0 && mkdir("empty", 0700) == 0 && mkdir("deep", 0755) == 0 &&
		mkdir("deep/er", 0755) == 0);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "many/entry-%u-%.*s", i, (int)(i % 60),
			"................................................................");
		int fd = open(path, O_CREAT | O_WRONLY, 0600);

		CHECK(fd >= 0 && close(fd) == 0);
	}
	CHECK(symlink("../file100", "deep/link") == 0 && link("file4097", "deep/er/hard") == 0 &&
		mkfifo("fifo", 0600) == 0);
	memset(path, 'y', 200);
	path[200] = '\0';
	CHECK(close(open(path, O_CREAT | O_WRONLY, 0600)) == 0);
}

static void mount_image(void)
{
	struct stat st;
	int fd;

	CHECK(chdir(folder) == 0 && system("mkfs.erofs -x-1 -T1700000000 image tree >log 2>&1") == 0);
	fd = open("image", O_RDONLY);
	CHECK(fd >= 0 && fstat(fd, &st) == 0);
	kl_boot.rootfs_bytes = (uint64_t)st.st_size;
	kl_boot.rootfs_pa = kl_pages_alloc((size_t)(st.st_size + 4095) / 4096, 1);
	CHECK(kl_boot.rootfs_pa != 0 && read(fd, kl_phys_to_virt(kl_boot.rootfs_pa), (size_t)st.st_size) == st.st_size);
	close(fd);
	CHECK(kl_erofs_init() == 0);
	fs_test_process();
}

static void test_contents(void)
{
	char path[300];
	struct stat st;
	kl_phys page;

	for (unsigned i = 0; i < KL_ARRAY_LEN(sizes); i++) {
		struct kl_file *file;

		snprintf(path, sizeof(path), "/file%u", sizes[i]);
		CHECK(kl_vfs_open(path, O_RDONLY, 0, &file) == 0 && kl_file_size(file) == sizes[i]);
		CHECK(kl_file_read_exact(file, mine, sizes[i], 0) == 0 && memcmp(mine, data + i, sizes[i]) == 0);
		CHECK(kl_file_read_exact(file, mine, 1, sizes[i]) == -EIO && strcmp(kl_file_path(file), path) == 0);
		for (unsigned at = 0; at < sizes[i]; at += 4096) {
			unsigned n = sizes[i] - at < 4096 ? sizes[i] - at : 4096;

			CHECK(file->ops->page(file, at / 4096, false, &page) == 0);
			CHECK(memcmp(kl_phys_to_virt(page), data + i + at, n) == 0);
			if (n == 4096) /* whole pages are the image's own */
				CHECK(page >= kl_boot.rootfs_pa && page < kl_boot.rootfs_pa + kl_boot.rootfs_bytes);
			kl_page_put(page);
		}
		CHECK(file->ops->page(file, (sizes[i] + 4095) / 4096, false, &page) == -EFAULT);
		kl_file_put(file);
		CHECK(kl_sys_stat(U(path), U(&st)) == 0 && st.st_mode == (S_IFREG | 0640) && st.st_mtime == 1700000000);
		CHECK(st.st_nlink == (sizes[i] == 4097 ? 2 : 1));
	}
	CHECK(kl_sys_open(U("/deep/link/"), O_RDONLY, 0) == -ENOTDIR &&
		kl_sys_open(U("/deep/none"), O_RDONLY, 0) == -ENOENT);
	CHECK(kl_sys_readlink(U("/deep/link"), U(path), 300) == 10 && memcmp(path, "../file100", 10) == 0);
	CHECK(kl_sys_stat(U("/deep/link"), U(&st)) == 0 && st.st_size == 100);
	CHECK(kl_sys_lstat(U("/fifo"), U(&st)) == 0 && S_ISFIFO(st.st_mode));
	printf("ok contents\n");
}

static int count_names(const char *path, unsigned size)
{
	static uint8_t buf[8192];
	int fd = (int)kl_sys_open(U(path), O_RDONLY | O_DIRECTORY, 0), count = 0;
	long n;

	CHECK(fd >= 0);
	while ((n = kl_sys_getdents64(fd, U(buf), size)) > 0)
		for (long at = 0; at < n; at += *(uint16_t *)(buf + at + 16))
			count++;
	CHECK(n == 0);
	kl_sys_close(fd);
	return count;
}

static void test_directories(void)
{
	char path[300];

	CHECK(count_names("/many", 8192) == MANY + 2 && count_names("/many", 100) == MANY + 2 &&
		count_names("/empty", 8192) == 2);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "/many/entry-%u-%.*s", i, (int)(i % 60),
			"................................................................");
		CHECK(kl_sys_access(U(path), 0) == 0);
		strcat(path, "x");
		CHECK(kl_sys_access(U(path), 0) == -ENOENT);
		path[strlen(path) - 1] = '\0';
		if (i % 2 == 0)
			CHECK(kl_sys_unlink(U(path)) == 0 && kl_sys_access(U(path), 0) == -ENOENT);
	}
	CHECK(count_names("/many", 8192) == MANY / 2 + 2);
	CHECK(kl_sys_rmdir(U("/many")) == -ENOTEMPTY);
	/* rm -r: names vanish while the directory is read */
	CHECK(kl_sys_rename(U("/many"), U("/deep/moved")) == 0 && kl_sys_access(U("/many"), 0) == -ENOENT);
	for (unsigned i = 1; i < MANY; i += 2) {
		snprintf(path, sizeof(path), "/deep/moved/entry-%u-%.*s", i, (int)(i % 60),
			"................................................................");
		CHECK(kl_sys_unlink(U(path)) == 0);
	}
	CHECK(kl_sys_rmdir(U("/deep/moved")) == 0 && kl_sys_mkdir(U("/many"), 0755) == 0 &&
		count_names("/many", 8192) == 2);
	CHECK(count_names("/deep", 8192) == 4);
	printf("ok directories\n");
}

static void test_changes(void)
{
	struct stat st;
	kl_phys page;
	int fd = (int)kl_sys_open(U("/file12300"), O_RDWR, 0);

	CHECK(fd >= 0 && kl_sys_pwrite64(fd, U("XYZ"), 3, 5000) == 3 && kl_sys_pread64(fd, U(mine), 12300, 0) == 12300);
	memcpy(mine + 5000, data + 9 + 5000, 3);
	CHECK(memcmp(mine, data + 9, 12300) == 0);
	/* cut, then grown: zeros where the image had bytes */
	CHECK(kl_sys_ftruncate(fd, 4200) == 0 && kl_sys_ftruncate(fd, 9000) == 0 &&
		kl_sys_pread64(fd, U(mine), 9000, 0) == 9000);
	CHECK(memcmp(mine, data + 9, 4200) == 0);
	for (unsigned i = 4200; i < 9000; i++)
		CHECK(mine[i] == 0);
	kl_sys_close(fd);
	/* what is mapped shared and written is what is read */
	struct kl_file *file;

	CHECK(kl_vfs_open("/file100", O_RDWR, 0, &file) == 0 && file->ops->page(file, 0, true, &page) == 0);
	((char *)kl_phys_to_virt(page))[3] = '!';
	CHECK(kl_file_read_exact(file, mine, 100, 0) == 0 && mine[3] == '!' && mine[4] == data[2 + 4]);
	kl_page_put(page);
	kl_file_put(file);
	/* one file with two names */
	fd = (int)kl_sys_open(U("/deep/er/hard"), O_WRONLY | O_TRUNC, 0);
	CHECK(fd >= 0 && kl_sys_write(fd, U("abc"), 3) == 3 && kl_sys_close(fd) == 0);
	CHECK(kl_sys_stat(U("/file4097"), U(&st)) == 0 && st.st_size == 3 && st.st_nlink == 2);
	CHECK(kl_sys_unlink(U("/file4097")) == 0 && kl_sys_stat(U("/deep/er/hard"), U(&st)) == 0 && st.st_nlink == 1);
	CHECK(kl_sys_symlink(U("deep/er"), U("/file4097")) == 0 && kl_sys_stat(U("/file4097/hard"), U(&st)) == 0);
	CHECK(kl_sys_rename(U("/file8192"), U("/file4096")) == 0 && kl_sys_stat(U("/file4096"), U(&st)) == 0 &&
		st.st_size == 8192);
	CHECK(kl_sys_rename(U("/deep"), U("/empty")) == 0 && kl_sys_stat(U("/empty/er/hard"), U(&st)) == 0);
	CHECK(kl_sys_mkdir(U("/deep"), 0755) == 0 && kl_sys_access(U("/deep/er"), 0) == -ENOENT &&
		count_names("/deep", 8192) == 2);
	printf("ok changes\n");
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	if (system("mkfs.erofs --help >/dev/null 2>&1") != 0) {
		printf("skip: no mkfs.erofs\n");
		return 0;
	}
	umask(022);
	make_tree();
	mount_image();
	CHECK(chdir("/") == 0);
	test_contents();
	test_directories();
	test_changes();
	snprintf((char *)mine, sizeof(mine), "rm -rf %s", folder);
	return system((char *)mine);
}
