/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/<pid>: the program. */
#include <kl/aspace.h>
#include <kl/clock.h>
#include <kl/pmm.h>
#include <kl/process.h>
#include <kl/string.h>

#include "procfs_priv.h"

#include <asm/errno.h>
#include <linux/mman.h>
#include <linux/resource.h>

#define TICKS_NS 10000000ull /* USER_HZ: 100 */

static struct kl_process *proc(void)
{
	return kl_vfs_proc();
}

static void show_cmdline(struct kl_text *t, int id)
{
	(void)id;
	kl_text_user(t, proc()->arg_start, proc()->arg_end - proc()->arg_start);
}

static void show_environ(struct kl_text *t, int id)
{
	(void)id;
	kl_text_user(t, proc()->env_start, proc()->env_end - proc()->env_start);
}

static void show_auxv(struct kl_text *t, int id)
{
	size_t n = 0;

	(void)id;
	while (n + 2 < KL_ARRAY_LEN(proc()->auxv) && proc()->auxv[n] != 0)
		n += 2;
	kl_text_write(t, proc()->auxv, (n + 2) * sizeof(uint64_t));
}

/* id: tid; 0: the process */
static const char *comm_of(int id)
{
	struct kl_thread *thread = id != 0 ? kl_thread_find(id) : NULL;

	return thread != NULL ? thread->comm : proc()->comm;
}

static void show_comm(struct kl_text *t, int id)
{
	kl_text_printf(t, "%s\n", comm_of(id));
}

static int store_comm(const char *text, size_t n, int id)
{
	struct kl_thread *thread = id != 0 ? kl_thread_find(id) : kl_current;
	size_t size = sizeof(proc()->comm);

	n = KL_MIN(n, size - 1);
	if (n > 0 && text[n - 1] == '\n')
		n--;
	if (id == 0 || id == proc()->pid) {
		memset(proc()->comm, 0, size);
		memcpy(proc()->comm, text, n);
	}
	if (thread != NULL) {
		memset(thread->comm, 0, size);
		memcpy(thread->comm, text, n);
	}
	return 0;
}

static void show_maps(struct kl_text *t, int id)
{
	struct kl_area_info a;
	kl_uaddr at = 0;

	(void)id;
	while (kl_aspace_next_area(proc()->aspace, &at, &a)) {
		size_t before = t->used;

		kl_text_printf(t, "%08lx-%08lx %c%c%c%c %08lx 00:00 0", (unsigned long)a.start, (unsigned long)a.end,
			(a.prot & PROT_READ) != 0 ? 'r' : '-', (a.prot & PROT_WRITE) != 0 ? 'w' : '-',
			(a.prot & PROT_EXEC) != 0 ? 'x' : '-', (a.flags & MAP_SHARED) != 0 ? 's' : 'p',
			(unsigned long)a.offset);
		while (a.name[0] != '\0' && t->used - before < 73)
			kl_text_write(t, " ", 1);
		kl_text_printf(t, "%s\n", a.name);
	}
}

static uint64_t mapped_bytes(void)
{
	struct kl_area_info a;
	kl_uaddr at = 0;
	uint64_t sum = 0;

	while (kl_aspace_next_area(proc()->aspace, &at, &a))
		sum += a.end - a.start;
	return sum;
}

static void show_statm(struct kl_text *t, int id)
{
	(void)id;
	kl_text_printf(t, "%lu %lu 0 0 0 %lu 0\n", (unsigned long)(mapped_bytes() / KL_PAGE_BYTES),
		(unsigned long)kl_aspace_resident_pages(proc()->aspace),
		(unsigned long)(mapped_bytes() / KL_PAGE_BYTES));
}

static void show_status(struct kl_text *t, int id)
{
	struct kl_process *p = proc();
	unsigned long size = mapped_bytes() / 1024,
		      resident = kl_aspace_resident_pages(p->aspace) * (KL_PAGE_BYTES / 1024);

	kl_text_printf(t,
		"Name:\t%s\nUmask:\t%04o\nState:\tR (running)\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n",
		comm_of(id), p->fs->umask, p->pid, id != 0 ? id : p->pid, p->ppid);
	kl_text_printf(t, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nFDSize:\t64\nGroups:\t", p->uid, p->euid,
		p->suid, p->euid, p->gid, p->egid, p->sgid, p->egid);
	for (unsigned i = 0; i < p->groups_count; i++)
		kl_text_printf(t, "%u ", p->groups[i]);
	kl_text_printf(t,
		"\nVmPeak:\t%8lu kB\nVmSize:\t%8lu kB\nVmLck:\t       0 kB\nVmHWM:\t%8lu kB\nVmRSS:\t%8lu kB\nVmSwap:\t       0 kB\n",
		size, size, resident, resident);
	kl_text_printf(t, "Threads:\t%u\nCapInh:\t%08x%08x\nCapPrm:\t%08x%08x\nCapEff:\t%08x%08x\n", p->threads_count,
		p->caps.inheritable[1], p->caps.inheritable[0], p->caps.permitted[1], p->caps.permitted[0],
		p->caps.effective[1], p->caps.effective[0]);
	kl_text_printf(t, "Cpus_allowed:\t1\nCpus_allowed_list:\t0\nMems_allowed_list:\t0\n");
}

static void show_stat(struct kl_text *t, int id)
{
	struct kl_process *p = proc();
	struct kl_thread *thread = id != 0 ? kl_thread_find(id) : NULL;
	unsigned long ticks = (thread != NULL ? kl_thread_cpu_ns(thread) : kl_process_cpu_ns(p)) / TICKS_NS;

	kl_text_printf(t, "%d (%s) R %d %d %d 0 -1 4194304 0 0 0 0 %lu 0 0 0 %d %d %u 0 0 %lu %lu %lu",
		id != 0 ? id : p->pid, comm_of(id), p->ppid, p->pgid, p->sid, ticks, 20 + p->nice, p->nice,
		p->threads_count, (unsigned long)mapped_bytes(), (unsigned long)kl_aspace_resident_pages(p->aspace),
		~0ul);
	kl_text_printf(t, " 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 %lu %lu %lu %lu %d\n",
		(unsigned long)p->arg_start, (unsigned long)p->arg_end, (unsigned long)p->env_start,
		(unsigned long)p->env_end, p->exit_status);
}

static void show_limits(struct kl_text *t, int id)
{
	static const struct {
		const char *name, *unit;
	} limits[RLIM_NLIMITS] = {
		[RLIMIT_CPU] = {"Max cpu time", "seconds"},
		[RLIMIT_FSIZE] = {"Max file size", "bytes"},
		[RLIMIT_DATA] = {"Max data size", "bytes"},
		[RLIMIT_STACK] = {"Max stack size", "bytes"},
		[RLIMIT_CORE] = {"Max core file size", "bytes"},
		[RLIMIT_RSS] = {"Max resident set", "bytes"},
		[RLIMIT_NPROC] = {"Max processes", "processes"},
		[RLIMIT_NOFILE] = {"Max open files", "files"},
		[RLIMIT_MEMLOCK] = {"Max locked memory", "bytes"},
		[RLIMIT_AS] = {"Max address space", "bytes"},
		[RLIMIT_LOCKS] = {"Max file locks", "locks"},
		[RLIMIT_SIGPENDING] = {"Max pending signals", "signals"},
		[RLIMIT_MSGQUEUE] = {"Max msgqueue size", "bytes"},
		[RLIMIT_NICE] = {"Max nice priority", ""},
		[RLIMIT_RTPRIO] = {"Max realtime priority", ""},
		[RLIMIT_RTTIME] = {"Max realtime timeout", "us"},
	};

	(void)id;
	kl_text_printf(t, "Limit                     Soft Limit           Hard Limit           Units     \n");
	for (unsigned i = 0; i < RLIM_NLIMITS; i++) {
		uint64_t v[2] = {proc()->rlimits[i].soft, proc()->rlimits[i].hard};
		size_t column = t->used + 26;

		kl_text_printf(t, "%s", limits[i].name);
		for (unsigned k = 0; k < 2; k++, column += 21) {
			while (t->used < column && !t->lost)
				kl_text_write(t, " ", 1);
			if (v[k] == RLIM_INFINITY)
				kl_text_printf(t, "unlimited");
			else
				kl_text_printf(t, "%lu", (unsigned long)v[k]);
		}
		while (t->used < column && !t->lost)
			kl_text_write(t, " ", 1);
		kl_text_printf(t, "%s\n", limits[i].unit);
	}
}

static void show_mounts(struct kl_text *t, int id)
{
	(void)id;
	KL_LIST_FOR(link, &kl_supers)
	{
		struct kl_super *s = KL_LIST_ENTRY(link, struct kl_super, link);
		char *buf = kl_path_buffer_get(),
		     *path = buf != NULL ? kl_dentry_path(s->root, NULL, buf, KL_PATH_MAX) : NULL;

		kl_text_printf(t, "%s %s %s %s 0 0\n", s->type, path != NULL ? path : "?", s->type, s->options);
		kl_path_buffer_put(buf);
	}
}

static void show_mountinfo(struct kl_text *t, int id)
{
	(void)id;
	KL_LIST_FOR(link, &kl_supers)
	{
		struct kl_super *s = KL_LIST_ENTRY(link, struct kl_super, link);
		char *buf = kl_path_buffer_get(),
		     *path = buf != NULL ? kl_dentry_path(s->root, NULL, buf, KL_PATH_MAX) : NULL;

		kl_text_printf(t, "%u %u 0:%u / %s %s - %s %s %s\n", (unsigned)s->dev,
			s->root->covers != NULL ? 20u : 1u, (unsigned)s->dev, path != NULL ? path : "?", s->options,
			s->type, s->type, s->options);
		kl_path_buffer_put(buf);
	}
}

static void show_zero(struct kl_text *t, int id)
{
	(void)id;
	kl_text_printf(t, "0\n");
}

/* Kept for who reads it back; there is no other program to be killed first. */
static int oom_adjustment;

static void show_oom_adjustment(struct kl_text *t, int id)
{
	(void)id;
	kl_text_printf(t, "%d\n", oom_adjustment);
}

static int store_oom_adjustment(const char *text, size_t n, int id)
{
	bool minus = n > 0 && text[0] == '-';
	int v = 0;

	(void)id;
	for (size_t i = minus; i < n && text[i] != '\n'; i++) {
		if (text[i] < '0' || text[i] > '9' || v > 1000)
			return -EINVAL;
		v = v * 10 + (text[i] - '0');
	}
	if (v > 1000)
		return -EINVAL;
	oom_adjustment = minus ? -v : v;
	return 0;
}

static void show_cgroup(struct kl_text *t, int id)
{
	(void)id;
	kl_text_printf(t, "0::/\n");
}

/* --- links --- */

static kl_ssize copy_text(char *buf, size_t size, const char *text)
{
	size_t n = KL_MIN(strlen(text), size);

	memcpy(buf, text, n);
	return (kl_ssize)n;
}

static kl_ssize exe_text(int id, char *buf, size_t size)
{
	(void)id;
	return proc()->exe != NULL ? copy_text(buf, size, proc()->exe) : -ENOENT;
}

static int exe_follow(int id, struct kl_dentry **out)
{
	struct kl_walk w;
	int rc;

	(void)id;
	if (proc()->exe == NULL)
		return -ENOENT;
	rc = kl_walk_kernel(&w, proc()->exe, 0);
	if (rc == 0)
		*out = kl_dentry_get(w.dentry);
	kl_walk_end(&w);
	return rc;
}

static kl_ssize path_text(const struct kl_dentry *d, char *buf, size_t size)
{
	char *path = kl_dentry_path(d, proc()->fs->root, buf, size);
	size_t n;

	if (path == NULL)
		return -ENAMETOOLONG;
	n = strlen(path);
	memmove(buf, path, n);
	return (kl_ssize)n;
}

static kl_ssize cwd_text(int id, char *buf, size_t size)
{
	(void)id;
	return path_text(proc()->fs->cwd, buf, size);
}

static int cwd_follow(int id, struct kl_dentry **out)
{
	(void)id;
	*out = kl_dentry_get(proc()->fs->cwd);
	return 0;
}

static kl_ssize root_text(int id, char *buf, size_t size)
{
	(void)id;
	return path_text(proc()->fs->root, buf, size);
}

static int root_follow(int id, struct kl_dentry **out)
{
	(void)id;
	*out = kl_dentry_get(proc()->fs->root);
	return 0;
}

/* --- fd/, task/ --- */

static kl_ssize fd_text(int id, char *buf, size_t size)
{
	struct kl_file *file = kl_fdtable_file(proc()->fds, id);
	const char *text;
	kl_ssize n;

	if (file == NULL)
		return -ENOENT;
	text = kl_file_path(file);
	n = copy_text(buf, size, text[0] != '\0' ? text : "anon_inode:[file]");
	kl_file_put(file);
	return n;
}

static int fd_follow(int id, struct kl_dentry **out)
{
	struct kl_file *file = kl_fdtable_file(proc()->fds, id);
	int rc = 0;

	if (file == NULL)
		return -ENOENT;
	if (file->dentry != NULL)
		*out = kl_dentry_get(file->dentry);
	else
		rc = -ENXIO;
	kl_file_put(file);
	return rc;
}

static bool fd_exists(int id)
{
	struct kl_file *file = kl_fdtable_file(proc()->fds, id);

	if (file != NULL)
		kl_file_put(file);
	return file != NULL;
}

static bool first_fd(int fd, struct kl_file *file, void *arg)
{
	(void)file;
	*(int *)arg = fd;
	return false;
}

static int fd_next(int from)
{
	int fd = -1;

	kl_fdtable_each(proc()->fds, from, first_fd, &fd);
	return fd;
}

static void show_fdinfo(struct kl_text *t, int id)
{
	struct kl_file *file = kl_fdtable_file(proc()->fds, id);

	if (file == NULL)
		return;
	kl_text_printf(t, "pos:\t%ld\nflags:\t0%o\nmnt_id:\t0\n", (long)file->pos, file->flags);
	kl_file_put(file);
}

static bool tid_exists(int id)
{
	return id != 0 && kl_thread_find(id) != NULL;
}

static int tid_next(int from)
{
	int best = -1;

	KL_LIST_FOR(link, &proc()->threads)
	{
		int tid = KL_LIST_ENTRY(link, struct kl_thread, proc_link)->tid;

		if (tid >= from && (best < 0 || tid < best))
			best = tid;
	}
	return best;
}

static const struct kl_proc_entry fd_each = {.mode = 0120700, .follow = fd_follow, .readlink = fd_text};
static const struct kl_proc_numbers fd_numbers = {&fd_each, fd_exists, fd_next};
static const struct kl_proc_entry fdinfo_each = {.mode = 0100444, .show = show_fdinfo};
static const struct kl_proc_numbers fdinfo_numbers = {&fdinfo_each, fd_exists, fd_next};

static const struct kl_proc_entry task_entries[] = {
	{.name = "comm", .mode = 0100644, .show = show_comm, .store = store_comm},
	KL_PROC_FILE("cmdline", show_cmdline),
	KL_PROC_FILE("stat", show_stat),
	KL_PROC_FILE("statm", show_statm),
	KL_PROC_FILE("status", show_status),
	KL_PROC_FILE("maps", show_maps),
	KL_PROC_END,
};
static const struct kl_proc_entry task_each = {.mode = 0040555, .children = task_entries};
static const struct kl_proc_numbers task_numbers = {&task_each, tid_exists, tid_next};

static const struct kl_proc_entry net_entries[] = {KL_PROC_END};

const struct kl_proc_entry kl_proc_self[] = {
	{.name = "cwd", .mode = 0120777, .follow = cwd_follow, .readlink = cwd_text},
	{.name = "exe", .mode = 0120777, .follow = exe_follow, .readlink = exe_text},
	{.name = "root", .mode = 0120777, .follow = root_follow, .readlink = root_text},
	{.name = "fd", .mode = 0040500, .numbers = &fd_numbers},
	{.name = "fdinfo", .mode = 0040555, .numbers = &fdinfo_numbers},
	{.name = "net", .mode = 0040555, .children = net_entries, .path = "net"},
	{.name = "task", .mode = 0040555, .numbers = &task_numbers},
	{.name = "comm", .mode = 0100644, .show = show_comm, .store = store_comm},
	{.name = "auxv", .mode = 0100400, .show = show_auxv},
	{.name = "environ", .mode = 0100400, .show = show_environ},
	{.name = "oom_score_adj", .mode = 0100644, .show = show_oom_adjustment, .store = store_oom_adjustment},
	KL_PROC_FILE("oom_score", show_zero),
	KL_PROC_FILE("cgroup", show_cgroup),
	KL_PROC_FILE("cmdline", show_cmdline),
	KL_PROC_FILE("limits", show_limits),
	KL_PROC_FILE("maps", show_maps),
	KL_PROC_FILE("mountinfo", show_mountinfo),
	KL_PROC_FILE("mounts", show_mounts),
	KL_PROC_FILE("stat", show_stat),
	KL_PROC_FILE("statm", show_statm),
	KL_PROC_FILE("status", show_status),
	KL_PROC_END,
};
