/* SPDX-License-Identifier: Apache-2.0 */
/* Copies that run into unmapped pages: the fault comes as SIGSEGV here, and is fixed up as the trap handler would. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <kl/regs.h>
#include <kl/uaccess.h>

#include "kl_layout.h"
#include "uaccess_priv.h"

#define PAGE 4096ul

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #cond);                                         \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

static char *user; /* two pages, then one that is not mapped */

static void on_fault(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	struct kl_regs regs = {.rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP]};

	(void)info;
	if (!kl_extable_fixup(&regs)) {
		signal(sig, SIG_DFL);
		return;
	}
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)regs.rip;
}

static void test_copies(void)
{
	char from[300], to[300];

	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (char)(i * 7 + 1);
	for (size_t n = 0; n < sizeof(from); n++) {
		memset(user, 0, 2 * PAGE);
		memset(to, 0, sizeof(to));
		CHECK(kl_copy_to_user((kl_uaddr)user + 5, from, n) == 0 && memcmp(user + 5, from, n) == 0 &&
			user[5 + n] == 0);
		CHECK(kl_copy_from_user(to, (kl_uaddr)user + 5, n) == 0 && memcmp(to, from, n) == 0);
		CHECK(n == sizeof(to) || to[n] == 0);
		CHECK(kl_zero_user((kl_uaddr)user + 5, n) == 0);
		for (size_t i = 0; i < n; i++)
			CHECK(user[5 + i] == 0);
	}
	printf("ok copies of each length\n");
}

static void test_faults(void)
{
	kl_uaddr end = (kl_uaddr)user + 2 * PAGE;
	char buf[300];

	memset(buf, 0x11, sizeof(buf));
	for (size_t n = 1; n < sizeof(buf); n++) {
		for (size_t good = 0; good < n; good += 1 + n / 16) {
			memset(user + 2 * PAGE - good, 0, good);
			CHECK(kl_uaccess_copy((void *)(end - good), buf, n) == n - good);
			for (size_t i = 0; i < good; i++)
				CHECK(user[2 * PAGE - good + i] == 0x11);
			CHECK(kl_uaccess_copy(buf, (void *)(end - good), n) == n - good);
			CHECK(kl_copy_from_user(buf, end - good, n) == -EFAULT);
			CHECK(kl_uaccess_zero((void *)(end - good), n) == n - good);
		}
	}
	printf("ok faults stop at the right byte\n");
}

static void test_ranges(void)
{
	char c = 0;

	CHECK(kl_copy_to_user(KL_BASE_VA, &c, 1) == -EFAULT && kl_copy_to_user(KL_END_VA - 1, &c, 1) == -EFAULT);
	CHECK(kl_copy_to_user(KL_BASE_VA - 1, &c, 2) == -EFAULT && kl_copy_to_user(KL_USER_TOP_VA, &c, 1) == -EFAULT);
	CHECK(kl_copy_to_user(UINT64_MAX, &c, 1) == -EFAULT && kl_copy_from_user(&c, 0xffff800000000000, 1) == -EFAULT);
	CHECK(kl_copy_to_user(0, &c, 1) == -EFAULT && kl_copy_from_user(&c, UINT64_MAX - 3, 8) == -EFAULT);
	printf("ok ranges\n");
}

static void test_strings(void)
{
	kl_uaddr end = (kl_uaddr)user + 2 * PAGE;
	char buf[200];

	for (size_t n = 1; n < 150; n++) {
		memset(user + 2 * PAGE - n, 'x', n);
		CHECK(kl_string_from_user(buf, end - n, sizeof(buf)) == -EFAULT);
		user[2 * PAGE - 1] = 0;
		CHECK(kl_string_from_user(buf, end - n, sizeof(buf)) == (kl_ssize)n - 1 && strlen(buf) == n - 1);
		CHECK(kl_string_from_user(buf, end - n, n) == (kl_ssize)n - 1);
		CHECK(kl_string_from_user(buf, end - n, n - 1) == -ENAMETOOLONG);
	}
	printf("ok strings\n");
}

static void test_iterators(void)
{
	struct kl_iovec iov[] = {{(kl_uaddr)user, 3}, {(kl_uaddr)user + 10, 0}, {(kl_uaddr)user + 20, 100},
		{(kl_uaddr)user + 2 * PAGE - 2, 8}};
	struct kl_iovec huge[] = {{0, INT64_MAX}, {0, 1}};
	char data[200], back[200];
	struct kl_iter it;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i + 1);
	memset(user, 0, 2 * PAGE);
	CHECK(kl_iter_iov(&it, iov, 4) == 0 && it.left == 111);
	CHECK(kl_iter_write(&it, data, 2) == 0 && kl_iter_write(&it, data + 2, 50) == 0 && it.left == 59);
	CHECK(kl_iter_write(&it, data + 52, 59) == -EFAULT && it.left == 6);
	CHECK(user[0] == 1 && user[2] == 3 && user[3] == 0 && user[20] == 4 && user[119] == 103 &&
		user[2 * PAGE - 1] == 105);
	CHECK(kl_iter_iov(&it, iov, 3) == 0 && kl_iter_read(&it, back, 103) == 0 && memcmp(back, data, 103) == 0 &&
		it.left == 0);
	CHECK(kl_iter_iov(&it, huge, 2) == -EINVAL);
	kl_iter_kernel(&it, back, 10);
	CHECK(kl_iter_write(&it, data, 4) == 0 && kl_iter_zero(&it, 6) == 0 && it.left == 0 && back[3] == 4 &&
		back[9] == 0);
	kl_iter_user(&it, (kl_uaddr)user, 8);
	CHECK(kl_iter_zero(&it, 8) == 0 && user[0] == 0);
	printf("ok iterators\n");
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	user = mmap((void *)0x500000000000, 3 * PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(user != MAP_FAILED && munmap(user + 2 * PAGE, PAGE) == 0);
	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
	test_copies();
	test_faults();
	test_ranges();
	test_strings();
	test_iterators();
	return 0;
}
