/* SPDX-License-Identifier: Apache-2.0 */
/* From a path to a program that is ready to run. */
#include <kl/arch.h>
#include <kl/aspace.h>
#include <kl/elf.h>
#include <kl/entry.h>
#include <kl/heap.h>
#include <kl/process.h>
#include <kl/random.h>
#include <kl/string.h>
#include <kl/vdso.h>
#include <kl/vfs.h>

#include <asm/errno.h>
#include <linux/fcntl.h>

#include "elf_priv.h"
#include "kl_layout.h"

#define SCRIPTS_MAX 4              /* interpreters that are scripts themselves, on the way */
#define SCRIPT_BYTES 256           /* of its first line */
#define BRK_DISTANCE_PAGES 0x1fffu /* at most, from the program's end */
#define MAY_EXECUTE 1

/* What becomes of path and arguments on the way through scripts. */
struct request {
	const char *path;
	const char **argv; /* allocated */
	size_t argc;
	char *lines[SCRIPTS_MAX]; /* argv and path point into them */
	unsigned scripts;
	struct kl_file *file; /* of path */
};

static void request_free(struct request *req)
{
	if (req->file != NULL)
		kl_file_put(req->file);
	for (unsigned i = 0; i < req->scripts; i++)
		kl_free(req->lines[i]);
	kl_free(req->argv);
}

static int request_init(struct request *req, const char *path, const char *const *argv)
{
	memset(req, 0, sizeof(*req));
	while (argv[req->argc] != NULL)
		req->argc++;
	req->argv = kl_malloc((req->argc + 2 * SCRIPTS_MAX + 1) * sizeof(*req->argv));
	if (req->argv == NULL)
		return -ENOMEM;
	memcpy(req->argv, argv, (req->argc + 1) * sizeof(*argv));
	req->path = path;
	return 0;
}

static int open_program(const char *path, struct kl_file **file)
{
	int err = kl_vfs_open(path, O_RDONLY, 0, file);

	if (err < 0)
		return err;
	if ((*file)->vnode != NULL)
		err = kl_vnode_may((*file)->vnode, MAY_EXECUTE, false);
	if (err < 0)
		kl_file_put(*file);
	return err;
}

/* The interpreter's path, and what follows it as one argument (or NULL), cut out of a script's first line. */
static char *parse_line(char *line, char **argument)
{
	char *path = line + 2, *end = line + strlen(line);

	*argument = NULL;
	if (strchr(line, '\n') != NULL)
		end = strchr(line, '\n');
	*end = 0;
	while (end > path && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = 0;
	while (*path == ' ' || *path == '\t')
		path++;
	for (char *at = path; *at != 0; at++) {
		if (*at != ' ' && *at != '\t')
			continue;
		*at++ = 0;
		while (*at == ' ' || *at == '\t')
			at++;
		*argument = at;
		break;
	}
	return path;
}

/* argv becomes: interpreter, its argument if there is one, the script's path, and the script's own arguments. */
static int follow_script(struct request *req, char *line)
{
	char *argument, *interpreter = parse_line(line, &argument);
	size_t more = argument != NULL ? 2 : 1;
	size_t keep = req->argc > 0 ? req->argc - 1 : 0;

	if (*interpreter == 0)
		return -ENOEXEC;
	memmove(req->argv + more + 1, req->argv + (req->argc > 0 ? 1 : 0), keep * sizeof(*req->argv));
	req->argv[0] = interpreter;
	if (argument != NULL)
		req->argv[1] = argument;
	req->argv[more] = req->path;
	req->argc = keep + more + 1;
	req->argv[req->argc] = NULL;
	req->path = interpreter;
	return 0;
}

/* Opens the file, and follows scripts up to the program that runs them. */
static int resolve(struct request *req)
{
	for (;;) {
		char *line;
		int64_t bytes;
		int err = open_program(req->path, &req->file);

		if (err < 0) {
			req->file = NULL;
			return err;
		}
		bytes = kl_file_size(req->file);
		if (bytes < 0)
			return bytes == -EISDIR ? -EACCES : (int)bytes;
		bytes = KL_MIN(bytes, SCRIPT_BYTES - 1);
		line = kl_zalloc(SCRIPT_BYTES);
		if (line == NULL)
			return -ENOMEM;
		err = kl_file_read_exact(req->file, line, (size_t)bytes, 0);
		if (err < 0 || line[0] != '#' || line[1] != '!') {
			kl_free(line);
			return err;
		}
		if (req->scripts == SCRIPTS_MAX) {
			kl_free(line);
			return -ELOOP;
		}
		req->lines[req->scripts++] = line;
		err = follow_script(req, line);
		if (err < 0)
			return err;
		kl_file_put(req->file);
		req->file = NULL;
	}
}

/* Images of the program and of its dynamic loader, if it wants one. */
static int open_images(struct request *req, struct elf_image *program, struct elf_image *loader)
{
	struct kl_file *file;
	int err = elf_image_open(program, req->file);

	memset(loader, 0, sizeof(*loader));
	if (err < 0 || program->interpreter == NULL)
		return err;
	err = open_program(program->interpreter, &file);
	if (err == 0) {
		err = elf_image_open(loader, file);
		kl_file_put(file);
	}
	if (err == 0 && loader->interpreter != NULL) {
		elf_image_close(loader);
		err = -ENOEXEC;
	}
	if (err < 0)
		elf_image_close(program);
	return err == -ENOEXEC ? -ELIBBAD : err;
}

static void remember(const struct request *req)
{
	struct kl_process *proc = kl_proc();
	const char *slash = strrchr(req->path, '/'), *name = slash != NULL ? slash + 1 : req->path;
	const char *path = kl_file_path(req->file);
	size_t bytes = strlen(path) + 1;
	char *exe = kl_malloc(bytes);

	if (exe != NULL)
		memcpy(exe, path, bytes);
	kl_free(proc->exe);
	proc->exe = exe;
	memset(proc->comm, 0, sizeof(proc->comm));
	memcpy(proc->comm, name, strnlen(name, sizeof(proc->comm) - 1));
}

static int map_program(const struct request *req, const char *const *envp, const struct elf_image *program,
	const struct elf_image *loader, struct kl_regs *regs)
{
	struct elf_start start = {.path = req->path, .argv = req->argv, .envp = envp};
	struct elf_place loader_place = {0};
	struct kl_aspace_layout layout;
	int64_t vdso;
	int err;

	kl_aspace_layout(kl_aspace_current, &layout);
	err = elf_image_map(program, layout.program_base, &start.program);
	if (err < 0)
		return err;
	vdso = kl_vdso_map(kl_aspace_current);
	start.vdso = vdso > 0 ? (uint64_t)vdso : 0;
	if (loader->file != NULL) {
		err = elf_image_map(loader, 0, &loader_place);
		start.base = loader_place.bias;
	}
	if (err < 0)
		return err;
	kl_aspace_set_brk(
		kl_aspace_current, start.program.high + (kl_random_u32() & BRK_DISTANCE_PAGES) * KL_PAGE_BYTES);
	start.segment_count = program->header.e_phnum;
	start.exec_stack = program->exec_stack;
	memset(regs, 0, sizeof(*regs));
	err = elf_stack_make(&start, &regs->rsp);
	regs->rip = loader->file != NULL ? loader_place.entry : start.program.entry;
	regs->cs = KL_SEL_CODE3;
	regs->ss = KL_SEL_DATA3;
	regs->rflags = 0x202;
	kl_regs_restore_all(regs);
	return err;
}

int kl_elf_exec(
	const char *path, const char *const *argv, const char *const *envp, struct kl_regs *regs, bool *committed)
{
	struct elf_image program, loader;
	struct request req;
	int err;

	*committed = false;
	err = request_init(&req, path, argv);
	if (err < 0)
		return err;
	err = resolve(&req);
	if (err == 0)
		err = open_images(&req, &program, &loader);
	if (err < 0)
		goto out_request;
	*committed = true;
	kl_aspace_reset(kl_aspace_current);
	remember(&req);
	err = map_program(&req, envp, &program, &loader, regs);
	elf_image_close(&loader);
	elf_image_close(&program);
out_request:
	request_free(&req);
	return err;
}
