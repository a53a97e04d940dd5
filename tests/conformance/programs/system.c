/* SPDX-License-Identifier: Apache-2.0 */
/* Time, identity, limits, /proc, random numbers: what programs ask when they start. */
#include "check.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000l + ts.tv_nsec;
}

static void times(void)
{
	long a = ns(CLOCK_MONOTONIC), b, back = 0;
	struct timespec ts = {0, 20000000}, bad = {0, 1000000000};
	struct timeval tv;

	for (int i = 0; i < 100000; i++) {
		b = ns(CLOCK_MONOTONIC);
		back += b < a;
		a = b;
	}
	SHOW(back);
	SHOW(nanosleep(&ts, NULL));
	HOLDS(ns(CLOCK_MONOTONIC) - a >= 20000000);
	HOLDS(ns(CLOCK_MONOTONIC) - a < 2000000000);
	SHOW(nanosleep(&bad, NULL));
	SHOW(gettimeofday(&tv, NULL));
	HOLDS(tv.tv_sec == time(NULL) || tv.tv_sec + 1 == time(NULL));
	HOLDS(tv.tv_sec > 1700000000);
	HOLDS(labs(ns(CLOCK_REALTIME) / 1000000000 - tv.tv_sec) <= 1);
	SHOW(clock_gettime(99, &ts));
	HOLDS(clock_getres(CLOCK_MONOTONIC, &ts) == 0 && ts.tv_sec == 0 && ts.tv_nsec > 0);
	HOLDS(ns(CLOCK_PROCESS_CPUTIME_ID) > 0 && ns(CLOCK_THREAD_CPUTIME_ID) > 0);
	a = ns(CLOCK_REALTIME);
	HOLDS(labs(syscall(SYS_time, NULL) - a / 1000000000) <= 1);
}

static void identity(void)
{
	struct utsname u;
	struct rlimit rl;
	struct sysinfo si;
	struct rusage ru;
	cpu_set_t cpus;
	char name[32] = "";

	SHOW(getpid() > 0);
	SHOW(syscall(SYS_gettid) == getpid());
	SHOW(getuid() == geteuid());
	SHOW(uname(&u));
	HOLDS(strcmp(u.sysname, "Linux") == 0 && strcmp(u.machine, "x86_64") == 0 && atoi(u.release) >= 4);
	SHOW(getrlimit(RLIMIT_NOFILE, &rl));
	HOLDS(rl.rlim_cur >= 256);
	SHOW(getrlimit(1000, &rl));
	rl.rlim_cur = 100;
	SHOW(setrlimit(RLIMIT_NOFILE, &rl));
	SHOW(dup2(0, 100));
	SHOW(dup2(0, 99));
	SHOW(sysinfo(&si));
	HOLDS(si.totalram > 0 && si.freeram <= si.totalram);
	SHOW(getrusage(RUSAGE_SELF, &ru));
	HOLDS(sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) >= 1);
	SHOW(sched_yield());
	HOLDS(sysconf(_SC_NPROCESSORS_ONLN) >= 1 && sysconf(_SC_PAGESIZE) == 4096);
	SHOW(prctl(PR_SET_NAME, "renamed"));
	SHOW(prctl(PR_GET_NAME, name));
	printf("%s\n", name);
	SHOW(wait(NULL));
	SHOW(syscall(SYS_set_tid_address, &rl) == syscall(SYS_gettid));
	SHOW(syscall(100000));
	HOLDS(getauxval(AT_PAGESZ) == 4096 && getauxval(AT_RANDOM) != 0 && getauxval(AT_ENTRY) != 0);
}

static long line_count(const char *path)
{
	char line[4096];
	FILE *f = fopen(path, "r");
	long n = 0;

	if (f == NULL)
		return -1;
	while (fgets(line, sizeof(line), f) != NULL)
		n++;
	fclose(f);
	return n;
}

static void proc(void)
{
	char path[256] = "";
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	HOLDS(n > 0 && path[0] == '/');
	HOLDS(line_count("/proc/self/maps") > 3);
	HOLDS(line_count("/proc/self/status") > 5);
	HOLDS(line_count("/proc/self/stat") == 1);
	HOLDS(line_count("/proc/meminfo") > 3);
	HOLDS(line_count("/proc/cpuinfo") > 3);
	HOLDS(line_count("/proc/uptime") == 1);
	HOLDS(line_count("/proc/self/cmdline") >= 1);
	HOLDS(line_count("/proc/nothing") == -1);
	HOLDS(access("/proc/self/fd/0", F_OK) == 0);
	HOLDS(line_count("/proc/sys/net/core/somaxconn") == 1);
}

static void random_numbers(void)
{
	unsigned char a[32] = {0}, b[32] = {0};
	int fd = open("/dev/urandom", O_RDONLY);

	SHOW(getrandom(a, sizeof(a), 0));
	SHOW(read(fd, b, sizeof(b)));
	HOLDS(memcmp(a, b, sizeof(a)) != 0);
	SHOW(getrandom(a, 1, 0xffff));
	close(fd);
	fd = open("/dev/null", O_RDWR);
	SHOW(write(fd, a, 32));
	SHOW(read(fd, a, 32));
	close(fd);
	fd = open("/dev/zero", O_RDWR);
	SHOW(read(fd, a, 32));
	HOLDS(a[31] == 0);
	close(fd);
	fd = open("/dev/full", O_RDWR);
	SHOW(write(fd, a, 1));
	close(fd);
}

int main(int argc, char **argv)
{
	times();
	identity();
	proc();
	random_numbers();
	for (int i = 1; i < argc; i++)
		printf("argument %d: %s\n", i, argv[i]);
	printf("KEY=%s\n", getenv("KEY"));
	return 42;
}
