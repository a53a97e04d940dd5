/* SPDX-License-Identifier: Apache-2.0 */
/* Files and directories under /tmp: open(2), read(2), rename(2), getdents(2) and their relatives. */
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void list(const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, by_name);

	printf("%s:", path);
	for (int i = 0; i < n; i++) {
		printf(" %s(%d)", entries[i]->d_name, entries[i]->d_type);
		free(entries[i]);
	}
	printf("\n");
	free(entries);
}

static void contents(int fd)
{
	char buf[16] = "";
	struct stat st;

	SHOW(fd >= 0);
	SHOW(write(fd, "hello world", 11));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(lseek(fd, 6, SEEK_SET));
	SHOW(read(fd, buf, sizeof(buf)));
	printf("\"%s\"\n", buf);
	SHOW(read(fd, buf, sizeof(buf)));
	SHOW(pwrite(fd, "HE", 2, 0));
	SHOW(pread(fd, buf, 5, 0));
	printf("\"%.5s\"\n", buf);
	SHOW(lseek(fd, -1, SEEK_SET));
	SHOW(lseek(fd, 100, SEEK_END));
	SHOW(write(fd, "x", 1));
	SHOW(fstat(fd, &st));
	printf("size %ld, mode %o, links %ld\n", (long)st.st_size, st.st_mode, (long)st.st_nlink);
	SHOW(pread(fd, buf, 4, 50));
	HOLDS(buf[0] == 0 && buf[3] == 0);
	SHOW(ftruncate(fd, 5));
	SHOW(fstat(fd, &st));
	SHOW((long)st.st_size);
	SHOW(ftruncate(fd, -1));
	SHOW(fsync(fd));
	SHOW(lseek(fd, 0, SEEK_DATA));
	SHOW(posix_fallocate(fd, 0, 10000));
	fstat(fd, &st);
	SHOW((long)st.st_size);
}

static void vectors(void)
{
	char a[3] = "", b[8] = "";
	struct iovec out[] = {{"one", 3}, {"", 0}, {"twothree", 8}};
	struct iovec in[] = {{a, 2}, {b, 7}};
	int fd = open("/tmp/c/vec", O_RDWR | O_CREAT | O_TRUNC, 0600);

	SHOW(writev(fd, out, 3));
	SHOW(preadv(fd, in, 2, 1));
	printf("%s %s\n", a, b);
	SHOW(readv(fd, in, -1));
	SHOW(writev(fd, out, 5000));
	SHOW(close(fd));
	SHOW(close(fd));
	SHOW(write(fd, "x", 1));
}

static void names(void)
{
	struct stat st;
	char buf[64] = "";

	SHOW(open("/tmp/c/none", O_RDONLY));
	SHOW(open("/tmp/c/file/x", O_RDONLY));
	SHOW(open("/tmp/c", O_WRONLY));
	SHOW(open("/tmp/c/file", O_CREAT | O_EXCL | O_RDWR, 0600));
	SHOW(open("/tmp/c/file", O_DIRECTORY));
	SHOW(open("", O_RDONLY));
	SHOW(open((char *)1, O_RDONLY));
	SHOW(symlink("file", "/tmp/c/link"));
	SHOW(symlink("loop", "/tmp/c/loop"));
	SHOW(open("/tmp/c/loop", O_RDONLY));
	SHOW(open("/tmp/c/link", O_RDONLY | O_NOFOLLOW));
	SHOW(readlink("/tmp/c/link", buf, sizeof(buf)));
	printf("%s\n", buf);
	SHOW(readlink("/tmp/c/file", buf, sizeof(buf)));
	SHOW(lstat("/tmp/c/link", &st));
	HOLDS(S_ISLNK(st.st_mode) && st.st_size == 4);
	SHOW(stat("/tmp/c/link", &st));
	HOLDS(S_ISREG(st.st_mode));
	SHOW(link("/tmp/c/file", "/tmp/c/hard"));
	stat("/tmp/c/hard", &st);
	SHOW((long)st.st_nlink);
	SHOW(mkdir("/tmp/c/d", 0755));
	SHOW(mkdir("/tmp/c/d", 0755));
	SHOW(mkdir("/tmp/c/d/e/f", 0755));
	SHOW(rmdir("/tmp/c"));
	SHOW(unlink("/tmp/c/d"));
	SHOW(rmdir("/tmp/c/file"));
	SHOW(rename("/tmp/c/hard", "/tmp/c/d/moved"));
	SHOW(rename("/tmp/c/d", "/tmp/c/d/inside"));
	SHOW(rename("/tmp/c/file", "/tmp/c/d"));
	SHOW(rename("/tmp/c/none", "/tmp/c/x"));
	SHOW(access("/tmp/c/file", R_OK));
	SHOW(access("/tmp/c/none", R_OK));
	SHOW(chmod("/tmp/c/file", 0640));
	stat("/tmp/c/file", &st);
	printf("mode %o\n", st.st_mode);
	memset(buf, 'n', sizeof(buf));
	list("/tmp/c");
	SHOW(chdir("/tmp/c/d"));
	SHOW(getcwd(buf, sizeof(buf)) != NULL);
	printf("%s\n", buf);
	SHOW((long)getcwd(buf, 3) == 0 ? -1 : 0);
	SHOW(open("moved", O_RDONLY) >= 0);
	SHOW(unlinkat(AT_FDCWD, "moved", 0));
	SHOW(chdir(".."));
	SHOW(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
	list(".");
}

static void unlinked(void)
{
	int fd = open("/tmp/c/gone", O_RDWR | O_CREAT, 0600);
	char buf[8] = "";
	struct stat st;

	SHOW(unlink("/tmp/c/gone"));
	SHOW(write(fd, "still", 5));
	SHOW(pread(fd, buf, 5, 0));
	printf("%s\n", buf);
	fstat(fd, &st);
	SHOW((long)st.st_nlink);
	SHOW(access("/tmp/c/gone", F_OK));
	close(fd);
}

static void descriptors(void)
{
	int fd = open("/tmp/c/file", O_RDONLY | O_APPEND), other;

	SHOW(fcntl(fd, F_GETFD));
	SHOW(fcntl(fd, F_SETFD, FD_CLOEXEC));
	SHOW(fcntl(fd, F_GETFD));
	SHOW(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK));
	SHOW(fcntl(fd, F_SETFL, O_NONBLOCK));
	SHOW(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK));
	other = dup2(fd, 100);
	SHOW(other);
	SHOW(fcntl(other, F_GETFD));
	SHOW(lseek(fd, 3, SEEK_SET));
	SHOW(lseek(other, 0, SEEK_CUR));
	SHOW(fcntl(fd, F_DUPFD, 200));
	SHOW(fcntl(fd, F_DUPFD_CLOEXEC, 200));
	SHOW(dup(-1));
	SHOW(dup2(fd, -1));
	SHOW(dup3(fd, fd, 0));
	SHOW(write(fd, "x", 1));
	SHOW(isatty(fd));
	SHOW(ftruncate(fd, 1));
	close(fd);
	SHOW(fcntl(fd, F_GETFD));
}

int main(void)
{
	umask(022);
	SHOW(mkdir("/tmp/c", 0755));
	contents(open("/tmp/c/file", O_RDWR | O_CREAT | O_TRUNC, 0644));
	vectors();
	names();
	unlinked();
	descriptors();
	chdir("/");
	unlink("/tmp/c/file");
	unlink("/tmp/c/link");
	unlink("/tmp/c/loop");
	unlink("/tmp/c/vec");
	SHOW(rmdir("/tmp/c"));
	return 0;
}
