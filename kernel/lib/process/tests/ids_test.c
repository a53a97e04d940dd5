/* SPDX-License-Identifier: Apache-2.0 */
/* Users, groups and capabilities: the transitions of setresuid(2), setreuid(2), setuid(2), capset(2). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kl_host.h"
#include "process_priv.h"

#define KEEP UINT32_MAX

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #cond);                                         \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

struct kl_thread *kl_thread_find(int tid)
{
	return tid == 0 || tid == kl_current->tid ? kl_current : NULL;
}

static void become(uint32_t r, uint32_t e, uint32_t s)
{
	struct kl_process *p = kl_proc();

	p->uid = p->gid = r;
	p->euid = p->egid = e;
	p->suid = p->sgid = s;
	memset(p->caps.permitted, 0xff, sizeof(p->caps.permitted));
	memset(p->caps.effective, 0xff, sizeof(p->caps.effective));
}

static bool is(uint32_t r, uint32_t e, uint32_t s)
{
	const struct kl_process *p = kl_proc();

	return p->uid == r && p->euid == e && p->suid == s;
}

static void test_root_may_become_anybody(void)
{
	become(0, 0, 0);
	CHECK(kl_sys_setresuid(1, 2, 3) == 0 && is(1, 2, 3));
	CHECK(kl_proc()->caps.permitted[0] == 0 && kl_proc()->caps.effective[0] == 0);
	become(0, 0, 0);
	CHECK(kl_sys_setuid(33) == 0 && is(33, 33, 33) && kl_sys_setuid(0) == -EPERM);
	become(0, 0, 0);
	CHECK(kl_sys_setreuid(KEEP, 5) == 0 && is(0, 5, 5) && kl_proc()->caps.effective[0] == 0 &&
		kl_proc()->caps.permitted[0] != 0);
	CHECK(kl_sys_setreuid(KEEP, 0) == 0 && is(0, 0, 5) && kl_proc()->caps.effective[0] != 0);
	CHECK(kl_sys_setuid(KEEP) == -EINVAL && kl_sys_setgid(KEEP) == -EINVAL);
	printf("ok root\n");
}

static void test_others_may_swap(void)
{
	become(10, 11, 12);
	CHECK(kl_sys_setresuid(12, 10, 11) == 0 && is(12, 10, 11));
	CHECK(kl_sys_setresuid(0, KEEP, KEEP) == -EPERM && kl_sys_setresuid(KEEP, 13, KEEP) == -EPERM &&
		is(12, 10, 11));
	CHECK(kl_sys_setuid(11) == 0 && is(12, 11, 11));
	CHECK(kl_sys_setreuid(11, KEEP) == 0 && is(11, 11, 11));
	CHECK(kl_sys_setreuid(12, KEEP) == -EPERM);
	become(10, 11, 12);
	CHECK(kl_sys_setreuid(12, KEEP) == -EPERM && kl_sys_setreuid(KEEP, 12) == 0 && is(10, 12, 12));
	become(10, 10, 10);
	CHECK(kl_sys_setresgid(9, KEEP, KEEP) == -EPERM && kl_sys_setgid(10) == 0);
	printf("ok others\n");
}

static void test_get(void)
{
	uint32_t r, e, s;

	become(1, 2, 3);
	CHECK(kl_sys_getresuid((kl_uaddr)&r, (kl_uaddr)&e, (kl_uaddr)&s) == 0 && r == 1 && e == 2 && s == 3);
	CHECK(kl_sys_getresgid((kl_uaddr)&r, (kl_uaddr)&e, 0) == -EFAULT);
	CHECK(kl_sys_getuid() == 1 && kl_sys_geteuid() == 2 && kl_sys_setfsuid(7) == 2);
	printf("ok get\n");
}

static void test_groups(void)
{
	uint32_t in[3] = {7, 8, 9}, out[3] = {0};

	become(0, 0, 0);
	CHECK(kl_sys_setgroups(3, (kl_uaddr)in) == 0 && kl_sys_getgroups(0, 0) == 3);
	CHECK(kl_sys_getgroups(2, (kl_uaddr)out) == -EINVAL && kl_sys_getgroups(3, (kl_uaddr)out) == 3 && out[2] == 9);
	CHECK(kl_sys_setgroups(-1, 0) == -EINVAL && kl_sys_setgroups(65537, 0) == -EINVAL &&
		kl_sys_setgroups(2, 8) == -EFAULT);
	CHECK(kl_sys_getgroups(0, 0) == 3 && kl_sys_setgroups(0, 0) == 0 && kl_sys_getgroups(0, 0) == 0);
	become(1, 1, 1);
	CHECK(kl_sys_setgroups(0, 0) == -EPERM);
	CHECK(kl_host_allocations() == 0);
	printf("ok groups\n");
}

static void test_caps(void)
{
	struct __user_cap_header_struct header = {0x12345678, 0};
	struct __user_cap_data_struct data[2];

	become(0, 0, 0);
	CHECK(kl_sys_capget((kl_uaddr)&header, 0) == 0 && header.version == _LINUX_CAPABILITY_VERSION_3);
	CHECK(kl_sys_capget((kl_uaddr)&header, (kl_uaddr)data) == 0 && data[0].effective == UINT32_MAX);
	data[0].effective = 1;
	data[0].permitted = 3;
	CHECK(kl_sys_capset((kl_uaddr)&header, (kl_uaddr)data) == 0);
	data[0].permitted = 7;
	CHECK(kl_sys_capset((kl_uaddr)&header, (kl_uaddr)data) == -EPERM);
	data[0].permitted = 1;
	data[0].effective = 3;
	CHECK(kl_sys_capset((kl_uaddr)&header, (kl_uaddr)data) == -EPERM);
	header.pid = 999;
	CHECK(kl_sys_capget((kl_uaddr)&header, (kl_uaddr)data) == -ESRCH);
	printf("ok capabilities\n");
}

static void test_process_groups(void)
{
	struct kl_process *p = kl_proc();

	p->pid = p->pgid = p->sid = 1;
	CHECK(kl_sys_setsid() == -EPERM && kl_sys_setpgid(0, 0) == -EPERM && kl_sys_getpgid(1) == 1 &&
		kl_sys_getpgid(2) == -ESRCH);
	CHECK(kl_sys_setpgid(0, -1) == -EINVAL && kl_sys_setpgid(5, 0) == -ESRCH && kl_sys_getsid(0) == 1);
	printf("ok process groups\n");
}

int main(void)
{
	test_root_may_become_anybody();
	test_others_may_swap();
	test_get();
	test_groups();
	test_caps();
	test_process_groups();
	return 0;
}
