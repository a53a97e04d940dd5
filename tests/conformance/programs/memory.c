/* SPDX-License-Identifier: Apache-2.0 */
/* mmap(2), mprotect(2), mremap(2), brk(2), madvise(2). */
#include "check.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096l

static sigjmp_buf escape;

static void on_fault(int sig)
{
	siglongjmp(escape, sig);
}

/* 0, or the signal that touching the byte raises. */
static int touch(volatile char *p, int write)
{
	int sig = sigsetjmp(escape, 1);

	if (sig != 0)
		return sig;
	if (write)
		*p = 1;
	else
		(void)*p;
	return 0;
}

static void anonymous(void)
{
	char *p = mmap(NULL, 10 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q;

	HOLDS(p != MAP_FAILED && ((long)p & (PAGE - 1)) == 0);
	for (int i = 0; i < 10; i++)
		p[i * PAGE] = (char)i;
	SHOW(munmap(p + 3 * PAGE, 2 * PAGE));
	SHOW(touch(p + 3 * PAGE, 0) == SIGSEGV);
	SHOW(p[5 * PAGE]);
	SHOW(mprotect(p, PAGE, PROT_READ));
	SHOW(touch(p, 0));
	SHOW(touch(p, 1) == SIGSEGV);
	SHOW(mprotect(p, PAGE, PROT_NONE));
	SHOW(touch(p, 0) == SIGSEGV);
	SHOW(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	SHOW(touch(p, 1));
	SHOW(mprotect(p, 4 * PAGE, PROT_READ));
	SHOW(mprotect(p + 1, PAGE, PROT_READ));
	SHOW(munmap(p + 1, PAGE));
	SHOW(munmap(p, 0));
	q = mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	HOLDS(q == p && *q == 0);
	HOLDS(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED);
	SHOW((long)mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	SHOW((long)mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0));
	SHOW((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, -1, 0));
	SHOW((long)mmap(NULL, 1l << 60, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	SHOW(munmap(p, 10 * PAGE));
	SHOW(munmap(p, 10 * PAGE));
}

static void advise(void)
{
	char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char vec[4];

	memset(p, 7, 4 * PAGE);
	SHOW(madvise(p + PAGE, PAGE, MADV_DONTNEED));
	HOLDS(p[0] == 7 && p[PAGE] == 0 && p[2 * PAGE] == 7);
	SHOW(madvise(p, PAGE, MADV_WILLNEED));
	SHOW(madvise(p, PAGE, 12345));
	SHOW(mincore(p, 4 * PAGE, vec));
	SHOW(mlock(p, PAGE));
	SHOW(munlock(p, PAGE));
	SHOW(msync(p, PAGE, MS_SYNC));
	munmap(p, 4 * PAGE);
	SHOW(madvise(p, PAGE, MADV_DONTNEED));
	SHOW(msync(p, PAGE, MS_SYNC));
}

static void remap(void)
{
	char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q;

	memset(p, 3, 4 * PAGE);
	HOLDS(mremap(p, 4 * PAGE, 2 * PAGE, 0) == p);
	SHOW(touch(p + 2 * PAGE, 0) == SIGSEGV);
	q = mremap(p, 2 * PAGE, 100 * PAGE, MREMAP_MAYMOVE);
	HOLDS(q != MAP_FAILED && q[2 * PAGE - 1] == 3 && q[2 * PAGE] == 0);
	q[99 * PAGE] = 1;
	p = mremap(q, 100 * PAGE, 200 * PAGE, MREMAP_MAYMOVE);
	HOLDS(p != MAP_FAILED && p[0] == 3 && p[99 * PAGE] == 1);
	SHOW((long)mremap(p, 0, PAGE, 0));
	SHOW((long)mremap((void *)(16 * PAGE), PAGE, 2 * PAGE, MREMAP_MAYMOVE));
	munmap(p, 200 * PAGE);
}

static void mapped_files(void)
{
	int fd = open("/tmp/mapped", O_RDWR | O_CREAT | O_TRUNC, 0600);
	char *shared, *private, buf[4] = "";

	SHOW(ftruncate(fd, PAGE + 100));
	shared = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	HOLDS(shared != MAP_FAILED && private != MAP_FAILED);
	memcpy(shared, "abc", 3);
	HOLDS(memcmp(private, "abc", 3) == 0);
	SHOW(pread(fd, buf, 3, 0));
	printf("%s\n", buf);
	private[0] = 'P';
	HOLDS(shared[0] == 'a');
	SHOW(pwrite(fd, "X", 1, 1));
	HOLDS(shared[1] == 'X');
	HOLDS(shared[PAGE + 99] == 0 && shared[PAGE + 200] == 0);
	SHOW(touch(shared + 2 * PAGE, 0) == SIGBUS);
	SHOW(touch(private + 2 * PAGE, 1) == SIGBUS);
	SHOW(close(fd));
	shared[2] = 'Z';
	HOLDS(shared[2] == 'Z');
	munmap(shared, 3 * PAGE);
	munmap(private, 3 * PAGE);
	fd = open("/tmp/mapped", O_RDONLY);
	SHOW(pread(fd, buf, 3, 0));
	printf("%s\n", buf);
	SHOW((long)mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0));
	SHOW((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 1));
	close(fd);
	unlink("/tmp/mapped");
}

static void heap(void)
{
	char *start = sbrk(0), *blocks[200];
	long sum = 0;

	HOLDS(sbrk(100000) == start);
	start[99999] = 5;
	HOLDS(sbrk(-100000) == start + 100000);
	for (int i = 0; i < 200; i++) {
		blocks[i] = malloc((size_t)(i * 1000 + 1));
		memset(blocks[i], i, (size_t)(i * 1000 + 1));
	}
	for (int i = 0; i < 200; i += 2)
		free(blocks[i]);
	for (int i = 1; i < 200; i += 2)
		sum += (unsigned char)blocks[i][i * 1000];
	SHOW(sum);
}

static void system_calls(void)
{
	int p[2];
	char *area = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(area + PAGE, PAGE);
	SHOW(pipe(p));
	SHOW(write(p[1], area + PAGE, 1));
	SHOW(write(p[1], area + PAGE - 2, 2));
	SHOW(read(p[0], area + PAGE - 1, 1));
	SHOW(pipe((int *)1));
	mprotect(area, PAGE, PROT_READ);
	SHOW(read(p[0], area, 1));
	SHOW(write(p[1], (char *)0x7fffffffffff, 1));
	SHOW(write(p[1], (char *)-4096l, 1));
}

int main(void)
{
	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	anonymous();
	advise();
	remap();
	mapped_files();
	heap();
	system_calls();
	return 7;
}
