/* SPDX-License-Identifier: Apache-2.0 */
/* Limits, names, usage and scheduling. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/utsname.h>

#include <kl/aspace.h>
#include <kl/image.h>
#include <kl/platform.h>
#include <kl/process.h>

#include "kl_host.h"
#include "system_priv.h"

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #cond);                                         \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

const char kl_image_hostname[] = "image-name";
struct kl_aspace *kl_aspace_current;
static uint64_t stack_limit;

const char *kl_cmdline_get(const char *key, unsigned n)
{
	return strcmp(key, "hostname") == 0 && n == 0 ? "from-cmdline" : NULL;
}

void kl_aspace_set_stack_limit(struct kl_aspace *as, uint64_t bytes)
{
	(void)as;
	stack_limit = bytes;
}

size_t kl_aspace_resident_pages(struct kl_aspace *as)
{
	(void)as;
	return 100;
}

struct kl_thread *kl_thread_find(int tid)
{
	return tid == 0 || tid == kl_current->tid ? kl_current : NULL;
}

uint64_t kl_process_cpu_ns(const struct kl_process *proc)
{
	(void)proc;
	return 2500000000;
}

uint64_t kl_thread_cpu_ns(const struct kl_thread *thread)
{
	(void)thread;
	return 1500000000;
}

bool kl_poll(void)
{
	return false;
}

static void test_names(void)
{
	struct utsname names;

	CHECK(kl_system_init() == 0 && kl_sys_uname((kl_uaddr)&names) == 0);
	CHECK(strcmp(names.sysname, "Linux") == 0 && strcmp(names.nodename, "from-cmdline") == 0 &&
		strcmp(names.machine, "x86_64") == 0);
	CHECK(kl_sys_sethostname((kl_uaddr) "short", 3) == 0 && kl_sys_uname((kl_uaddr)&names) == 0 &&
		strcmp(names.nodename, "sho") == 0);
	CHECK(kl_sys_sethostname((kl_uaddr) "x", 65) == -EINVAL && kl_sys_sethostname(8, 3) == -EFAULT &&
		kl_sys_uname(8) == -EFAULT);
	kl_proc()->euid = 5;
	CHECK(kl_sys_setdomainname((kl_uaddr) "x", 1) == -EPERM);
	kl_proc()->euid = 0;
	printf("ok names\n");
}

static void test_limits(void)
{
	struct rlimit limit = {100, 200}, got;

	kl_proc()->rlimits[RLIMIT_NOFILE].soft = 10;
	kl_proc()->rlimits[RLIMIT_NOFILE].hard = 1000;
	CHECK(kl_sys_prlimit64(0, RLIMIT_NOFILE, (kl_uaddr)&limit, (kl_uaddr)&got) == 0 && got.rlim_cur == 10 &&
		got.rlim_max == 1000);
	CHECK(kl_sys_getrlimit(RLIMIT_NOFILE, (kl_uaddr)&got) == 0 && got.rlim_cur == 100 && got.rlim_max == 200);
	limit.rlim_cur = 300;
	CHECK(kl_sys_setrlimit(RLIMIT_NOFILE, (kl_uaddr)&limit) == -EINVAL);
	limit = (struct rlimit){5, 2000000};
	CHECK(kl_sys_setrlimit(RLIMIT_NOFILE, (kl_uaddr)&limit) == -EPERM);
	limit = (struct rlimit){1 << 20, RLIM_INFINITY};
	CHECK(kl_sys_setrlimit(RLIMIT_STACK, (kl_uaddr)&limit) == 0 && stack_limit == 1 << 20);
	kl_proc()->euid = 5;
	limit = (struct rlimit){5, 300};
	CHECK(kl_sys_setrlimit(RLIMIT_NOFILE, (kl_uaddr)&limit) == -EPERM);
	kl_proc()->euid = 0;
	CHECK(kl_sys_getrlimit(16, (kl_uaddr)&got) == -EINVAL && kl_sys_prlimit64(99, 0, 0, 0) == -ESRCH);
	CHECK(kl_sys_getrlimit(RLIMIT_CPU, 0) == -EFAULT && kl_sys_setrlimit(RLIMIT_CPU, 8) == -EFAULT);
	printf("ok limits\n");
}

static void test_usage(void)
{
	struct rusage usage;
	struct sysinfo info;
	struct tms times;

	CHECK(kl_sys_getrusage(RUSAGE_SELF, (kl_uaddr)&usage) == 0 && usage.ru_utime.tv_sec == 2 &&
		usage.ru_utime.tv_usec == 500000);
	CHECK(usage.ru_maxrss == 400 && kl_sys_getrusage(1, (kl_uaddr)&usage) == 0 && usage.ru_utime.tv_sec == 1);
	CHECK(kl_sys_getrusage(RUSAGE_CHILDREN, (kl_uaddr)&usage) == 0 && usage.ru_utime.tv_sec == 0);
	CHECK(kl_sys_getrusage(9, (kl_uaddr)&usage) == -EINVAL);
	kl_host_now_ns = 7000000000;
	CHECK(kl_sys_times((kl_uaddr)&times) == 700 && times.tms_utime == 250 && kl_sys_times(0) == 700);
	CHECK(kl_sys_sysinfo((kl_uaddr)&info) == 0 && info.uptime == 7 && info.mem_unit == 1 &&
		info.freeram <= info.totalram);
	printf("ok usage\n");
}

static void test_scheduling(void)
{
	struct sched_param param = {0};
	uint64_t mask[2] = {0};

	CHECK(kl_sys_sched_getaffinity(0, 8, (kl_uaddr)mask) == 8 && mask[0] == 1);
	CHECK(kl_sys_sched_getaffinity(0, 4, (kl_uaddr)mask) == -EINVAL &&
		kl_sys_sched_getaffinity(55, 8, (kl_uaddr)mask) == -ESRCH);
	mask[0] = 2;
	CHECK(kl_sys_sched_setaffinity(0, 8, (kl_uaddr)mask) == -EINVAL);
	mask[0] = 3;
	CHECK(kl_sys_sched_setaffinity(0, 8, (kl_uaddr)mask) == 0);
	CHECK(kl_sys_sched_getscheduler(0) == SCHED_OTHER && kl_sys_sched_getscheduler(-1) == -EINVAL);
	CHECK(kl_sys_sched_setscheduler(0, SCHED_BATCH, (kl_uaddr)&param) == 0);
	param.sched_priority = 1;
	CHECK(kl_sys_sched_setscheduler(0, SCHED_OTHER, (kl_uaddr)&param) == -EINVAL);
	CHECK(kl_sys_sched_setscheduler(0, SCHED_FIFO, (kl_uaddr)&param) == -EPERM);
	CHECK(kl_sys_sched_get_priority_max(SCHED_RR) == 99 && kl_sys_sched_get_priority_min(77) == -EINVAL);
	CHECK(kl_sys_getpriority(PRIO_PROCESS, 0) == 20 && kl_sys_setpriority(PRIO_PROCESS, 0, 100) == 0);
	CHECK(kl_sys_getpriority(PRIO_PROCESS, 0) == 1 && kl_sys_getpriority(9, 0) == -EINVAL);
	kl_proc()->euid = 5;
	CHECK(kl_sys_setpriority(PRIO_PROCESS, 0, 0) == -EACCES);
	printf("ok scheduling\n");
}

int main(void)
{
	kl_proc()->pid = 1;
	test_names();
	test_limits();
	test_usage();
	test_scheduling();
	return 0;
}
