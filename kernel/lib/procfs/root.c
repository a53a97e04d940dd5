/* SPDX-License-Identifier: Apache-2.0 */
/* /proc itself, /proc/sys, and the little of /sys that C libraries read. */
#include <kl/clock.h>
#include <kl/platform.h>
#include <kl/pmm.h>
#include <kl/process.h>
#include <kl/random.h>
#include <kl/string.h>
#include <kl/system.h>

#include "procfs_priv.h"

#include <asm/errno.h>
#include <linux/magic.h>

#define TICKS_NS 10000000ull /* USER_HZ: 100 */

/* --- the machine --- */

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4])
{
	__asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(sub));
}

/* The flags that programs look for, where CPUID has them (Intel SDM, volume 2A, CPUID). */
static void show_flags(struct kl_text *t)
{
	static const struct {
		uint32_t leaf;
		uint8_t reg, bit;
		char name[12];
	} flags[] = {
		{1, 3, 0, "fpu"},
		{1, 3, 4, "tsc"},
		{1, 3, 8, "cx8"},
		{1, 3, 15, "cmov"},
		{1, 3, 23, "mmx"},
		{1, 3, 24, "fxsr"},
		{1, 3, 25, "sse"},
		{1, 3, 26, "sse2"},
		{1, 3, 28, "ht"},
		{1, 2, 0, "pni"},
		{1, 2, 1, "pclmulqdq"},
		{1, 2, 9, "ssse3"},
		{1, 2, 12, "fma"},
		{1, 2, 13, "cx16"},
		{1, 2, 19, "sse4_1"},
		{1, 2, 20, "sse4_2"},
		{1, 2, 22, "movbe"},
		{1, 2, 23, "popcnt"},
		{1, 2, 25, "aes"},
		{1, 2, 26, "xsave"},
		{1, 2, 28, "avx"},
		{1, 2, 29, "f16c"},
		{1, 2, 30, "rdrand"},
		{7, 1, 0, "fsgsbase"},
		{7, 1, 3, "bmi1"},
		{7, 1, 5, "avx2"},
		{7, 1, 8, "bmi2"},
		{7, 1, 9, "erms"},
		{7, 1, 16, "avx512f"},
		{7, 1, 18, "rdseed"},
		{7, 1, 19, "adx"},
		{7, 1, 29, "sha_ni"},
		{7, 1, 30, "avx512bw"},
		{7, 1, 31, "avx512vl"},
		{7, 2, 8, "gfni"},
	};
	uint32_t r[4];

	kl_text_printf(t, "flags\t\t:");
	for (size_t i = 0; i < KL_ARRAY_LEN(flags); i++) {
		cpuid(flags[i].leaf, 0, r);
		if ((r[flags[i].reg] >> flags[i].bit & 1) != 0)
			kl_text_printf(t, " %s", flags[i].name);
	}
	kl_text_printf(t, " lm constant_tsc nopl\n");
}

static void show_cpuinfo(struct kl_text *t, int id)
{
	uint32_t r[4], v[4], brand[12];
	unsigned family, model;

	(void)id;
	cpuid(0, 0, v);
	cpuid(1, 0, r);
	for (uint32_t i = 0; i < 3; i++)
		cpuid(0x80000002 + i, 0, &brand[4 * i]);
	family = (r[0] >> 8 & 15) + ((r[0] >> 8 & 15) == 15 ? r[0] >> 20 & 255 : 0);
	model = (r[0] >> 4 & 15) | (r[0] >> 12 & 0xf0);
	kl_text_printf(t,
		"processor\t: 0\nvendor_id\t: %.4s%.4s%.4s\ncpu family\t: %u\nmodel\t\t: %u\nmodel name\t: %.48s\nstepping\t: %u\n",
		(char *)&v[1], (char *)&v[3], (char *)&v[2], family, model, (char *)brand, r[0] & 15);
	kl_text_printf(t,
		"cpu MHz\t\t: %lu.%03lu\nphysical id\t: 0\nsiblings\t: 1\ncore id\t\t: 0\ncpu cores\t: 1\napicid\t\t: 0\nfpu\t\t: yes\n",
		(unsigned long)(kl_boot.tsc_khz / 1000), (unsigned long)(kl_boot.tsc_khz % 1000));
	show_flags(t);
	kl_text_printf(t, "clflush size\t: 64\ncache_alignment\t: 64\n\n");
}

static void show_meminfo(struct kl_text *t, int id)
{
	unsigned long total = kl_pages_total() * (KL_PAGE_BYTES / 1024),
		      available = kl_pages_free() * (KL_PAGE_BYTES / 1024);
	static const char *const zeros[] = {"Buffers", "Cached", "SwapCached", "Active", "Inactive", "Unevictable",
		"Mlocked", "SwapTotal", "SwapFree", "Dirty", "Writeback"};

	(void)id;
	kl_text_printf(t, "MemTotal:       %8lu kB\nMemFree:        %8lu kB\nMemAvailable:   %8lu kB\n", total,
		available, available);
	for (size_t i = 0; i < KL_ARRAY_LEN(zeros); i++)
		kl_text_printf(t, "%s:%*s0 kB\n", zeros[i], (int)(22 - strlen(zeros[i])), "");
	kl_text_printf(t, "HugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n");
}

static void show_stat(struct kl_text *t, int id)
{
	unsigned long busy = kl_process_cpu_ns(kl_vfs_proc()) / TICKS_NS, all = kl_clock_ns() / TICKS_NS;
	unsigned long idle = all > busy ? all - busy : 0;

	(void)id;
	kl_text_printf(t, "cpu  %lu 0 0 %lu 0 0 0 0 0 0\ncpu0 %lu 0 0 %lu 0 0 0 0 0 0\nintr 0\nctxt 0\n", busy, idle,
		busy, idle);
	kl_text_printf(t, "btime %lu\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n",
		(unsigned long)((kl_clock_wall_ns() - kl_clock_ns()) / KL_NS_PER_S));
}

static void show_uptime(struct kl_text *t, int id)
{
	unsigned long up = kl_clock_ns() / TICKS_NS, busy = kl_process_cpu_ns(kl_vfs_proc()) / TICKS_NS;
	unsigned long idle = up > busy ? up - busy : 0;

	(void)id;
	kl_text_printf(t, "%lu.%02lu %lu.%02lu\n", up / 100, up % 100, idle / 100, idle % 100);
}

static void show_loadavg(struct kl_text *t, int id)
{
	const struct kl_process *p = kl_vfs_proc();

	(void)id;
	kl_text_printf(t, "0.00 0.00 0.00 1/%u %d\n", p->threads_count, p->pid);
}

static void show_version(struct kl_text *t, int id)
{
	const struct new_utsname *n = kl_system_names();

	(void)id;
	kl_text_printf(t, "%s version %s %s\n", n->sysname, n->release, n->version);
}

static void show_filesystems(struct kl_text *t, int id)
{
	(void)id;
	kl_text_printf(t, "nodev\ttmpfs\nnodev\tproc\nnodev\tsysfs\n\terofs\n");
}

static void show_empty(struct kl_text *t, int id)
{
	(void)t, (void)id;
}

static size_t self_target(char *buf, size_t size, int id)
{
	(void)id;
	return (size_t)kl_snprintf(buf, size, "%d", kl_vfs_proc()->pid);
}

static size_t thread_self_target(char *buf, size_t size, int id)
{
	(void)id;
	return (size_t)kl_snprintf(
		buf, size, "%d/task/%d", kl_vfs_proc()->pid, kl_current != NULL ? kl_current->tid : 0);
}

static size_t mounts_target(char *buf, size_t size, int id)
{
	(void)id;
	return (size_t)kl_snprintf(buf, size, "self/mounts");
}

static size_t net_target(char *buf, size_t size, int id)
{
	(void)id;
	return (size_t)kl_snprintf(buf, size, "self/net");
}

static bool pid_exists(int id)
{
	return id == kl_vfs_proc()->pid;
}

static int pid_next(int from)
{
	int pid = kl_vfs_proc()->pid;

	return from <= pid ? pid : -1;
}

/* --- /proc/sys --- */

#define TEXT(fn, text)                                                                                                 \
	static void fn(struct kl_text *t, int id)                                                                      \
	{                                                                                                              \
		(void)id;                                                                                              \
		kl_text_printf(t, "%s\n", text);                                                                       \
	}

TEXT(show_ostype, kl_system_names()->sysname)
TEXT(show_osrelease, kl_system_names()->release)
TEXT(show_osversion, kl_system_names()->version)
TEXT(show_hostname, kl_system_names()->nodename)
TEXT(show_domainname, kl_system_names()->domainname)
TEXT(show_zero, "0")
TEXT(show_one, "1")
TEXT(show_two, "2")
TEXT(show_pid_max, "32768")
TEXT(show_overflow_id, "65534")
TEXT(show_groups_max, "65536")
TEXT(show_cap_last, "40")
TEXT(show_entropy, "256")
TEXT(show_somaxconn, "4096")
TEXT(show_map_count, "65530")
TEXT(show_nr_open, "1048576")
TEXT(show_ports, "32768\t60999")
TEXT(show_max_map_bits, "28")

static void show_uuid_of(struct kl_text *t, uint8_t u[16])
{
	u[6] = (u[6] & 15) | 0x40; /* RFC 9562: version 4 */
	u[8] = (u[8] & 0x3f) | 0x80;
	for (unsigned i = 0; i < 16; i++)
		kl_text_printf(t, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", u[i]);
	kl_text_printf(t, "\n");
}

static void show_uuid(struct kl_text *t, int id)
{
	uint8_t u[16];

	(void)id;
	kl_random_bytes(u, sizeof(u));
	show_uuid_of(t, u);
}

static void show_boot_id(struct kl_text *t, int id)
{
	static uint8_t u[16];
	static bool made;

	(void)id;
	if (!made)
		kl_random_bytes(u, sizeof(u));
	made = true;
	show_uuid_of(t, u);
}

static const struct kl_proc_entry sys_random[] = {
	KL_PROC_FILE("boot_id", show_boot_id),
	KL_PROC_FILE("entropy_avail", show_entropy),
	KL_PROC_FILE("poolsize", show_entropy),
	KL_PROC_FILE("uuid", show_uuid),
	KL_PROC_END,
};

static const struct kl_proc_entry sys_kernel[] = {
	KL_PROC_FILE("cap_last_cap", show_cap_last),
	KL_PROC_FILE("domainname", show_domainname),
	KL_PROC_FILE("hostname", show_hostname),
	KL_PROC_FILE("ngroups_max", show_groups_max),
	KL_PROC_FILE("osrelease", show_osrelease),
	KL_PROC_FILE("ostype", show_ostype),
	KL_PROC_FILE("overflowgid", show_overflow_id),
	KL_PROC_FILE("overflowuid", show_overflow_id),
	KL_PROC_FILE("pid_max", show_pid_max),
	KL_PROC_DIR("random", sys_random),
	KL_PROC_FILE("randomize_va_space", show_two),
	KL_PROC_FILE("threads-max", show_pid_max),
	KL_PROC_FILE("version", show_osversion),
	KL_PROC_END,
};

static const struct kl_proc_entry sys_net_core[] = {KL_PROC_FILE("somaxconn", show_somaxconn), KL_PROC_END};
static const struct kl_proc_entry sys_net_ipv4[] = {KL_PROC_FILE("ip_local_port_range", show_ports), KL_PROC_END};
static const struct kl_proc_entry sys_net[] = {
	{.name = "core", .mode = 0040555, .children = sys_net_core, .path = "sys/net/core"},
	{.name = "ipv4", .mode = 0040555, .children = sys_net_ipv4, .path = "sys/net/ipv4"},
	KL_PROC_END,
};

static const struct kl_proc_entry sys_vm[] = {
	KL_PROC_FILE("max_map_count", show_map_count),
	KL_PROC_FILE("mmap_rnd_bits", show_max_map_bits),
	KL_PROC_FILE("overcommit_memory", show_one),
	KL_PROC_FILE("swappiness", show_zero),
	KL_PROC_END,
};

static const struct kl_proc_entry sys_fs[] = {
	KL_PROC_FILE("file-max", show_nr_open),
	KL_PROC_FILE("nr_open", show_nr_open),
	KL_PROC_FILE("pipe-max-size", show_nr_open),
	{.name = "inotify", .mode = 0040555, .path = "sys/fs/inotify"},
	KL_PROC_END,
};

static const struct kl_proc_entry proc_sys[] = {
	KL_PROC_DIR("fs", sys_fs),
	KL_PROC_DIR("kernel", sys_kernel),
	KL_PROC_DIR("net", sys_net),
	KL_PROC_DIR("vm", sys_vm),
	KL_PROC_END,
};

/* --- roots --- */

static const struct kl_proc_entry pid_each = {.mode = 0040555, .children = kl_proc_self};
static const struct kl_proc_numbers pids = {&pid_each, pid_exists, pid_next};

static const struct kl_proc_entry proc_entries[] = {
	KL_PROC_FILE("cmdline", show_empty),
	KL_PROC_FILE("cpuinfo", show_cpuinfo),
	KL_PROC_FILE("filesystems", show_filesystems),
	KL_PROC_FILE("loadavg", show_loadavg),
	KL_PROC_FILE("meminfo", show_meminfo),
	{.name = "mounts", .mode = 0120777, .target = mounts_target},
	{.name = "net", .mode = 0120777, .target = net_target},
	{.name = "self", .mode = 0120777, .target = self_target},
	KL_PROC_FILE("stat", show_stat),
	KL_PROC_FILE("swaps", show_empty),
	KL_PROC_DIR("sys", proc_sys),
	{.name = "thread-self", .mode = 0120777, .target = thread_self_target},
	KL_PROC_FILE("uptime", show_uptime),
	KL_PROC_FILE("version", show_version),
	KL_PROC_END,
};

static const struct kl_proc_entry proc_root = {.mode = 0040555, .children = proc_entries, .numbers = &pids, .path = ""};

static const struct kl_proc_entry sys_cpu[] = {
	KL_PROC_FILE("online", show_zero),
	KL_PROC_FILE("possible", show_zero),
	KL_PROC_FILE("present", show_zero),
	KL_PROC_DIR("cpu0", NULL),
	KL_PROC_END,
};
static const struct kl_proc_entry sys_node[] = {
	KL_PROC_FILE("online", show_zero),
	KL_PROC_FILE("possible", show_zero),
	KL_PROC_END,
};
static const struct kl_proc_entry sys_system[] = {
	KL_PROC_DIR("cpu", sys_cpu), KL_PROC_DIR("node", sys_node), KL_PROC_END};
static const struct kl_proc_entry sys_devices[] = {KL_PROC_DIR("system", sys_system), KL_PROC_END};
static const struct kl_proc_entry sys_entries[] = {
	KL_PROC_DIR("devices", sys_devices),
	KL_PROC_END,
};
static const struct kl_proc_entry sys_root = KL_PROC_DIR(NULL, sys_entries);

int kl_procfs_init(void)
{
	int rc = kl_proc_mount("/proc", "proc", PROC_SUPER_MAGIC, &proc_root);

	return rc < 0 ? rc : kl_proc_mount("/sys", "sysfs", SYSFS_MAGIC, &sys_root);
}
