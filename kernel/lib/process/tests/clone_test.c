/* SPDX-License-Identifier: Apache-2.0 */
/* clone(2), clone3(2): which flags make a thread, what it starts with, and what is refused. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/sched.h>

#include <kl/entry.h>

#include "kl_host.h"
#include "kl_layout.h"
#include "process_priv.h"

#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #cond);                                         \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

static struct kl_thread made;
static struct kl_regs made_regs;
static unsigned created, started, discarded;

struct kl_thread *kl_thread_create(struct kl_process *proc, const struct kl_regs *regs)
{
	if (kl_host_fail_after == 0)
		return NULL;
	memset(&made, 0, sizeof(made));
	made.proc = proc;
	made.tid = 7;
	made_regs = *regs;
	created++;
	return &made;
}

void kl_thread_start(struct kl_thread *thread)
{
	started += thread == &made;
}

void kl_thread_discard(struct kl_thread *thread)
{
	discarded += thread == &made;
}

struct kl_thread *kl_thread_find(int tid)
{
	return tid == 0 || tid == kl_current->tid ? kl_current : NULL;
}

static void test_thread(void)
{
	int parent_tid = 0, child_tid = 0;

	CHECK(kl_sys_clone(THREAD | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_SYSVSEM,
		      0x500000001000, (kl_uaddr)&parent_tid, (kl_uaddr)&child_tid, 0x500000002000) == 7);
	CHECK(started == 1 && parent_tid == 7 && child_tid == 0 && made.clear_child_tid == (kl_uaddr)&child_tid);
	CHECK(made.fs_base == 0x500000002000 && made_regs.rax == 0 && made_regs.rsp == 0x500000001000);
	CHECK(made_regs.rbx == 11 && made_regs.rip == 12 && made_regs.vector == KL_VECTOR_SLOW_SYSCALL);
	CHECK(kl_sys_clone(THREAD | CLONE_CHILD_SETTID, 0, 0, (kl_uaddr)&child_tid, 0) == 7 && child_tid == 7 &&
		made_regs.rsp == 13);
	printf("ok thread\n");
}

static void test_refused(void)
{
	unsigned before = created;

	CHECK(kl_sys_clone(CLONE_THREAD | CLONE_VM, 0, 0, 0, 0) == -EINVAL &&
		kl_sys_clone(CLONE_SIGHAND, 0, 0, 0, 0) == -EINVAL);
	CHECK(kl_sys_clone(17, 0, 0, 0, 0) == -ENOSYS &&
		kl_sys_clone(CLONE_VM | CLONE_VFORK | 17, 0, 0, 0, 0) == -ENOSYS);
	CHECK(kl_sys_clone(THREAD | CLONE_NEWNS, 0, 0, 0, 0) == -ENOSYS);
	CHECK(kl_sys_clone(THREAD | CLONE_SETTLS, 0, 0, 0, UINT64_MAX) == -EPERM && created == before);
	CHECK(kl_sys_clone(THREAD | CLONE_PARENT_SETTID, 0, 8, 0, 0) == -EFAULT && discarded == 1);
	kl_host_fail_after = 0;
	CHECK(kl_sys_clone(THREAD, 0, 0, 0, 0) == -EAGAIN);
	kl_host_fail_after = -1;
	printf("ok refused\n");
}

static void test_clone3(void)
{
	struct clone_args args = {.flags = THREAD, .stack = 0x500000000000, .stack_size = 0x2000};

	CHECK(kl_sys_clone3((kl_uaddr)&args, sizeof(args)) == 7 && made_regs.rsp == 0x500000002000);
	CHECK(kl_sys_clone3((kl_uaddr)&args, CLONE_ARGS_SIZE_VER0) == 7);
	CHECK(kl_sys_clone3((kl_uaddr)&args, 8) == -EINVAL && kl_sys_clone3((kl_uaddr)&args, 4096) == -E2BIG);
	CHECK(kl_sys_clone3(8, sizeof(args)) == -EFAULT);
	args.stack_size = 0;
	CHECK(kl_sys_clone3((kl_uaddr)&args, sizeof(args)) == -EINVAL);
	args.stack_size = UINT64_MAX;
	CHECK(kl_sys_clone3((kl_uaddr)&args, sizeof(args)) == -EINVAL);
	printf("ok clone3\n");
}

static void test_addresses(void)
{
	uint64_t head = 0, bytes = 0;

	CHECK(kl_sys_set_tid_address(0x1234) == kl_current->tid && kl_current->clear_child_tid == 0x1234);
	CHECK(kl_sys_set_robust_list(0x5678, 24) == 0 && kl_sys_set_robust_list(1, 8) == -EINVAL);
	CHECK(kl_sys_get_robust_list(0, (kl_uaddr)&head, (kl_uaddr)&bytes) == 0 && head == 0x5678 && bytes == 24);
	CHECK(kl_sys_get_robust_list(99, (kl_uaddr)&head, (kl_uaddr)&bytes) == -ESRCH);
	printf("ok addresses\n");
}

int main(void)
{
	struct kl_regs regs = {.rax = 56, .rbx = 11, .rip = 12, .rsp = 13};

	kl_current->regs = &regs;
	test_thread();
	test_refused();
	test_clone3();
	test_addresses();
	return 0;
}
