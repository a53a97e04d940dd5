/* SPDX-License-Identifier: Apache-2.0 */
/* FIFOs, splice(2), tee(2), vmsplice(2); and waiting, where a wake-up function takes the other side's part. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../../vfs/tests/fs_test.h"
#include "pipe_priv.h"

static unsigned signals;

int kl_signal_send_thread(struct kl_thread *thread, int sig, const void *info);
int kl_signal_send_thread(struct kl_thread *thread, int sig, const void *info)
{
	signals++;
	return 0;
}

/* What happens while this thread waits. */
static void (*meanwhile)(void);
static int result;

int kl_block(uint64_t deadline_ns, bool interruptible)
{
	CHECK(interruptible);
	if (meanwhile == NULL)
		return -EINTR;
	meanwhile();
	return result;
}

static char data[100000], got[100000];
static int r, w, file;

static void test_splice(void)
{
	int64_t off = 10;
	int p[2], q[2];

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7 + i / 100);
	file = (int)kl_sys_open(U("/file"), O_CREAT | O_RDWR, 0600);
	CHECK(kl_sys_write(file, U(data), sizeof(data)) == sizeof(data));
	CHECK(kl_sys_pipe2(U(p), O_NONBLOCK) == 0 && kl_sys_pipe2(U(q), 0) == 0);
	CHECK(kl_sys_splice(file, U(&off), p[1], 0, 5000, 0) > 0 && off > 10);
	while (off < 5010)
		CHECK(kl_sys_splice(file, U(&off), p[1], 0, (size_t)(5010 - off), 0) > 0);
	CHECK(kl_sys_tee(p[0], q[1], 3000, 0) == 3000 && kl_sys_read(q[0], U(got), 4000) == 3000 &&
		memcmp(got, data + 10, 3000) == 0);
	int out = (int)kl_sys_open(U("/out"), O_CREAT | O_RDWR, 0600);
	CHECK(kl_sys_splice(p[0], 0, out, 0, 100000, 0) == 5000 && kl_sys_pread64(out, U(got), 6000, 0) == 5000);
	CHECK(memcmp(got, data + 10, 5000) == 0 && kl_sys_splice(p[0], 0, out, 0, 1, 0) == -EAGAIN);
	CHECK(kl_sys_splice(file, 0, out, 0, 1, 0) == -EINVAL && kl_sys_splice(p[0], 0, p[1], 0, 1, 0) == -EINVAL);
	CHECK(kl_sys_splice(p[0], U(&off), out, 0, 1, 0) == -ESPIPE && kl_sys_splice(p[1], 0, out, 0, 1, 0) == -EBADF);
	struct kl_iovec v[2] = {{U(data), 100}, {U(data) + 200, 50}};
	CHECK(kl_sys_vmsplice(p[1], U(v), 2, 0) == 150 && kl_sys_read(p[0], U(got), 1000) == 150 &&
		memcmp(got + 100, data + 200, 50) == 0);
	CHECK(kl_sys_close(p[1]) == 0 && kl_sys_splice(p[0], 0, out, 0, 1, 0) == 0);
	CHECK(kl_sys_sendfile(q[1], file, 0, 10) == -EINVAL || kl_sys_lseek(file, 0, 0) == 0);
	CHECK(kl_sys_lseek(file, 0, 0) == 0 && kl_sys_sendfile(q[1], file, 0, 5000) == 5000);
	CHECK(kl_sys_read(q[0], U(got), 6000) == 5000 && memcmp(got, data, 5000) == 0);
	printf("ok splice, tee, vmsplice, sendfile\n");
}

static void open_writer(void)
{
	meanwhile = NULL;
	w = (int)kl_sys_open(U("/fifo"), O_WRONLY, 0);
	CHECK(w >= 0 && kl_sys_write(w, U("abc"), 3) == 3);
}

static void read_some(void)
{
	CHECK(kl_sys_read(r, U(got), 10000) == 10000);
}

static void close_reader(void)
{
	CHECK(kl_sys_close(r) == 0);
}

static void test_fifo(void)
{
	CHECK(kl_sys_mknod(U("/fifo"), S_IFIFO | 0600, 0) == 0);
	CHECK(kl_sys_open(U("/fifo"), O_WRONLY | O_NONBLOCK, 0) == -ENXIO);
	CHECK(kl_sys_open(U("/fifo"), O_RDONLY, 0) == -EINTR);
	meanwhile = open_writer;
	r = (int)kl_sys_open(U("/fifo"), O_RDONLY, 0);
	CHECK(r >= 0 && kl_sys_read(r, U(got), 10) == 3 && memcmp(got, "abc", 3) == 0);
	/* a long write goes on as the reader takes some, and says how much it had written when the reader is gone */
	meanwhile = read_some;
	CHECK(kl_sys_write(w, U(data), 70000) == 70000);
	meanwhile = close_reader;
	/* 10000 bytes read: the two pages that they filled are free, the third is not */
	CHECK(kl_sys_write(w, U(data), 70000) == 65536 - (70000 - 2 * 4096) && signals == 1);
	CHECK(kl_sys_write(w, U(data), 1) == -EPIPE && signals == 2 && kl_sys_close(w) == 0);
	r = (int)kl_sys_open(U("/fifo"), O_RDONLY | O_NONBLOCK, 0);
	CHECK(r >= 0 && kl_sys_read(r, U(got), 1) == 0);
	w = (int)kl_sys_open(U("/fifo"), O_WRONLY | O_NONBLOCK, 0);
	CHECK(w >= 0 && kl_sys_read(r, U(got), 1) == -EAGAIN && kl_sys_close(w) == 0 && kl_sys_read(r, U(got), 1) == 0);
	printf("ok FIFOs\n");
}

/* A full ring whose first page is read only in part: what is written next survives that page. */
static void test_full(void)
{
	int p[2];

	CHECK(kl_sys_pipe2(U(p), O_NONBLOCK) == 0 && kl_sys_write(p[1], U(data), 65536) == 65536);
	CHECK(kl_sys_read(p[0], U(got), 100) == 100 && kl_sys_write(p[1], U(data), 1) == -EAGAIN);
	CHECK(kl_sys_read(p[0], U(got), 3996) == 3996 && kl_sys_write(p[1], U(data), 5000) == 4096);
	CHECK(kl_sys_read(p[0], U(got), 65536) == 65536 && memcmp(got, data + 4096, 61440) == 0 &&
		memcmp(got + 61440, data, 4096) == 0);
	CHECK(kl_sys_close(p[0]) == 0 && kl_sys_close(p[1]) == 0);
	printf("ok a full pipe\n");
}

static int from[2], to[2];

static void steal(void)
{
	meanwhile = NULL;
	CHECK(kl_sys_read(from[0], U(got), 5000) == -EAGAIN && kl_sys_read(to[0], U(got), 65536) == 65536);
}

/* While a splice waits with bytes of the pipe in hand, nobody else takes them. */
static void test_splice_waits(void)
{
	CHECK(kl_sys_pipe2(U(from), O_NONBLOCK) == 0 && kl_sys_pipe2(U(to), 0) == 0);
	CHECK(kl_sys_write(from[1], U(data), 5000) == 5000 && kl_sys_write(to[1], U(data), 65536) == 65536);
	meanwhile = steal;
	CHECK(kl_sys_splice(from[0], 0, to[1], 0, 5000, 0) == 5000 && meanwhile == NULL);
	CHECK(kl_sys_read(to[0], U(got), 10000) == 5000 && memcmp(got, data, 5000) == 0);
	CHECK(kl_sys_read(from[0], U(got), 1) == -EAGAIN);
	printf("ok a splice that waits\n");
}

static void test_memfd(void)
{
	long kl_sys_memfd_create(kl_uaddr name, unsigned flags);
	int fd = (int)kl_sys_memfd_create(U("buffer"), 2 /* MFD_ALLOW_SEALING */);
	struct stat st;

	CHECK(fd >= 0 && kl_sys_write(fd, U(data), 5000) == 5000 && kl_sys_fstat(fd, U(&st)) == 0 &&
		st.st_size == 5000 && st.st_nlink == 0);
	CHECK(strcmp(kl_file_path(kl_fd_get(fd)), "/memfd:buffer (deleted)") == 0);
	CHECK(kl_sys_fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0 && kl_sys_ftruncate(fd, 4000) == -EPERM);
	CHECK(kl_sys_ftruncate(fd, 6000) == -EPERM && kl_sys_pwrite64(fd, U(data), 10, 4995) == 5 &&
		kl_sys_pwrite64(fd, U(data), 1, 5000) == -EPERM);
	CHECK(kl_sys_fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL) == 0 &&
		kl_sys_pwrite64(fd, U(data), 1, 0) == -EPERM);
	CHECK(kl_sys_fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -EPERM && kl_sys_fcntl(fd, F_GET_SEALS, 0) == 15);
	fd = (int)kl_sys_memfd_create(U(""), 1);
	CHECK(fd >= 0 && kl_sys_fcntl(fd, F_GET_SEALS, 0) == F_SEAL_SEAL && kl_sys_fcntl(fd, F_GETFD, 0) == FD_CLOEXEC);
	CHECK(kl_sys_fcntl(file, F_GET_SEALS, 0) == -EINVAL);
	printf("ok memfd\n");
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	fs_test_empty_root();
	CHECK(kl_pipe_init() == 0);
	test_splice();
	test_fifo();
	test_full();
	test_splice_waits();
	test_memfd();
	return 0;
}
