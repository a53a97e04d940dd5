/* SPDX-License-Identifier: Apache-2.0 */
/* The first program: what the image says, changed by the command line. */
#include <kl/aspace.h>
#include <kl/cmdline.h>
#include <kl/elf.h>
#include <kl/file.h>
#include <kl/heap.h>
#include <kl/image.h>
#include <kl/log.h>
#include <kl/process.h>
#include <kl/string.h>
#include <kl/vfs_sys.h>

#include <asm/errno.h>
#include <linux/fcntl.h>

/* As a shell would report them. */
#define STATUS_NOT_FOUND 127
#define STATUS_NOT_RUNNABLE 126

#define PATH_BYTES 4096
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static size_t count(const char *const *list)
{
	size_t n = 0;

	while (list[n] != NULL)
		n++;
	return n;
}

static size_t key_bytes(const char *setting)
{
	const char *equals = strchr(setting, '=');

	return equals != NULL ? (size_t)(equals - setting) : strlen(setting);
}

static void set_env(const char **env, size_t *n, const char *setting)
{
	size_t bytes = key_bytes(setting);

	for (size_t i = 0; i < *n; i++) {
		if (key_bytes(env[i]) == bytes && memcmp(env[i], setting, bytes) == 0) {
			env[i] = setting;
			return;
		}
	}
	env[(*n)++] = setting;
}

/* The image's environment with the command line's settings. NULL: out of memory. */
static const char **make_env(void)
{
	size_t n = 0, more = 0;
	const char **env;

	while (kl_cmdline_get("env", (unsigned)more) != NULL)
		more++;
	env = kl_malloc((count(kl_image_env) + more + 1) * sizeof(*env));
	if (env == NULL)
		return NULL;
	for (size_t i = 0; kl_image_env[i] != NULL; i++)
		set_env(env, &n, kl_image_env[i]);
	for (unsigned i = 0; i < more; i++)
		set_env(env, &n, kl_cmdline_get("env", i));
	env[n] = NULL;
	return env;
}

static const char *get_env(const char *const *env, const char *key)
{
	size_t bytes = strlen(key);

	for (; *env != NULL; env++) {
		if (key_bytes(*env) == bytes && memcmp(*env, key, bytes) == 0 && (*env)[bytes] == '=')
			return *env + bytes + 1;
	}
	return NULL;
}

static bool exists(const char *path)
{
	struct kl_file *file;

	if (kl_vfs_open(path, O_RDONLY, 0, &file) < 0)
		return false;
	kl_file_put(file);
	return true;
}

/* A name without a slash is looked for in PATH; a relative path starts at the working directory. */
static const char *find_program(const char *name, const char *cwd, const char *const *env, char *buf)
{
	const char *path = get_env(env, "PATH");

	if (name[0] == '/')
		return name;
	if (strchr(name, '/') != NULL) {
		kl_snprintf(buf, PATH_BYTES, "%s/%s", cwd, name);
		return buf;
	}
	if (path == NULL)
		path = DEFAULT_PATH;
	while (*path != 0) {
		const char *colon = strchr(path, ':');
		size_t n = colon != NULL ? (size_t)(colon - path) : strlen(path);

		kl_snprintf(buf, PATH_BYTES, "%.*s/%s", (int)n, path, name);
		if (n > 0 && exists(buf))
			return buf;
		path += n + (colon != NULL);
	}
	return name;
}

static int change_directory(const char *path)
{
	struct kl_file *file;
	int fd, err = kl_vfs_open(path, O_RDONLY | O_DIRECTORY, 0, &file);

	if (err < 0)
		return err;
	fd = kl_fd_install(file, false);
	if (fd < 0) {
		kl_file_put(file);
		return fd;
	}
	err = (int)kl_sys_fchdir(fd);
	kl_fd_close(fd);
	return err;
}

static const char *reason(int err)
{
	switch (err) {
	case -ENOENT: return "no such file, or its dynamic loader is missing from the image";
	case -EACCES: return "not an executable file";
	case -ENOEXEC: return "not an x86-64 ELF program, or damaged";
	case -ELIBBAD: return "its dynamic loader is damaged";
	case -ENOMEM: return "not enough memory: give it more with --memory";
	case -E2BIG: return "arguments and environment are too long";
	case -ELOOP: return "too many symbolic links, or scripts that run scripts";
	default: return "it can't be loaded";
	}
}

int kl_process_start_init(void)
{
	const char *cwd = kl_cmdline_get("cwd", 0), *path;
	const char *const *argv;
	const char **env = make_env();
	char *buf = kl_malloc(PATH_BYTES);
	struct kl_thread *thread;
	struct kl_regs regs;
	bool committed;
	size_t argc;
	int err;

	if (env == NULL || buf == NULL)
		return -ENOMEM;
	argv = kl_cmdline_argv(&argc);
	if (argv == NULL)
		argv = kl_image_argv;
	if (cwd == NULL)
		cwd = kl_image_cwd;
	if (argv[0] == NULL) {
		kl_error("there is no program to start: name one at the end of the command line, behind --");
		kl_process_exit(STATUS_NOT_FOUND);
	}
	err = change_directory(cwd);
	if (err < 0)
		kl_warn("working directory %s: error %d; / is used", cwd, -err);
	path = find_program(argv[0], cwd, env, buf);
	err = kl_elf_exec(path, argv, env, &regs, &committed);
	if (err < 0) {
		kl_error("can't start %s: %s (error %d)", path, reason(err), -err);
		kl_process_exit(err == -ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_RUNNABLE);
	}
	thread = kl_thread_create(&kl_process_init_data, &regs);
	if (thread == NULL)
		return -ENOMEM;
	memcpy(thread->comm, kl_process_init_data.comm, sizeof(thread->comm));
	kl_free(buf);
	kl_free(env);
	kl_thread_start(thread);
	return 0;
}
