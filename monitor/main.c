// SPDX-License-Identifier: Apache-2.0
/* kernlet-monitor: one process, one virtual machine, one kernlet. */
#include "boot.h"
#include "console.h"
#include "control.h"
#include "error.h"
#include "image.h"
#include "net.h"
#include "options.h"
#include "probe.h"
#include "rng.h"
#include "sandbox.h"
#include "tables.h"
#include "vcpu.h"
#include "vm.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FAILED 125

/* Memory ends below the monitor's registers. */
#define MEMORY_LIMIT_PA KL_MONITOR_PA

enum { CONSOLE_STDIO, CONSOLE_STDERR, CONSOLES };

struct machine {
	struct kl_options options;
	struct kl_image image;
	struct kl_vm vm;
	struct kl_vcpu vcpu;
	struct kl_worker worker;
	struct kl_console consoles[CONSOLES];
	struct kl_rng rng;
	struct kl_net nets[KL_OPTIONS_NET_MAX];
	struct kl_virtio *devices[KL_VIRTIO_MAX];
	unsigned int devices_count;
	struct kl_control control;
};

/* The one machine of this process. */
static struct machine machine;

static void add_device(struct machine *m, struct kl_virtio *device)
{
	device->memory = &m->vm.memory;
	device->call = &m->vcpu.call;
	device->index = m->devices_count;
	m->devices[m->devices_count++] = device;
}

static int add_devices(struct machine *m)
{
	kl_console_init(&m->consoles[CONSOLE_STDIO], "console", KL_ROLE_STDIO, STDIN_FILENO, STDOUT_FILENO);
	kl_console_init(&m->consoles[CONSOLE_STDERR], "console-stderr", KL_ROLE_STDERR, -1, STDERR_FILENO);
	for (unsigned int i = 0; i < CONSOLES; i++)
		m->consoles[i].shared = m->vcpu.shared;
	kl_rng_init(&m->rng);
	add_device(m, &m->consoles[CONSOLE_STDIO].device);
	add_device(m, &m->consoles[CONSOLE_STDERR].device);
	add_device(m, &m->rng.device);
	for (unsigned int i = 0; i < m->options.nets_count; i++) {
		int error = kl_net_init(&m->nets[i], &m->options.nets[i]);

		if (error)
			return error;
		add_device(m, &m->nets[i].device);
	}
	return 0;
}

/* Read and check the image. Returns its descriptor, or -errno after saying why. */
static int open_image(struct machine *m)
{
	const char *path = m->options.image, *why;
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error;

	if (fd < 0)
		return kl_fail(errno, "give the path of a kernlet", "%s: %s", path, strerror(errno));
	if (fstat(fd, &status) || !S_ISREG(status.st_mode) || status.st_size <= 0) {
		error = kl_fail(ENOEXEC, "build one with kernlet build", "%s: not a kernlet", path);
		goto close_fd;
	}
	uint8_t *file = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (file == MAP_FAILED) {
		error = kl_fail(errno, "free some memory", "%s: %s", path, strerror(errno));
		goto close_fd;
	}
	error = kl_image_parse(&m->image, file, (uint64_t)status.st_size, MEMORY_LIMIT_PA, &why);
	munmap(file, (size_t)status.st_size);
	if (!error)
		return fd;
	kl_fail(-error, "build it again with kernlet build", "%s: not a kernlet: %s", path, why);
close_fd:
	close(fd);
	return error;
}

static int load_image(struct machine *m)
{
	int fd = open_image(m), error;

	if (fd < 0)
		return fd;
	uint64_t memory = (m->options.memory_bytes + KL_PAGE_BYTES - 1) & ~(KL_PAGE_BYTES - 1);
	uint64_t free_pa = kl_image_free_pa(&m->image);
	if (memory < m->options.memory_bytes || free_pa > MEMORY_LIMIT_PA || memory > MEMORY_LIMIT_PA - free_pa)
		error = kl_fail(EINVAL, "give less", "--memory: image and memory together exceed %u MiB",
			MEMORY_LIMIT_PA >> 20);
	else
		error = kl_vm_reserve(&m->vm, free_pa + memory);
	if (!error) {
		error = kl_image_map(&m->image, fd, &m->vm.memory);
		if (error)
			kl_fail(-error, "free some memory", "%s: mapping it: %s", m->options.image, strerror(-error));
	}
	close(fd);
	return error;
}

static void first_job(void *context)
{
	kl_vm_query(context);
}

static int prepare_memory(struct machine *m)
{
	uint64_t tables_free_pa;
	int error = kl_tables_build(&m->image, &m->vm.memory, &tables_free_pa);

	if (error)
		return kl_fail(-error, "give less with --memory", "page tables: no room");
	return kl_boot_fill(&m->vm, &m->image, tables_free_pa, m->options.cmdline, m->devices, m->devices_count);
}

static int prepare(struct machine *m)
{
	int error = load_image(m);

	if (!error)
		error = kl_vm_open(&m->vm);
	if (!error)
		error = kl_worker_start(&m->worker, first_job, &m->vm);
	if (error)
		return error;
	error = kl_vm_create(&m->vm);
	if (!error)
		error = kl_vm_attach_memory(&m->vm);
	if (!error)
		error = kl_vcpu_init(&m->vcpu, &m->vm);
	if (!error)
		error = add_devices(m);
	if (!error)
		error = prepare_memory(m);
	kl_worker_wait(&m->worker);
	if (!error)
		error = kl_vm_prepare(&m->vm, m->image.entry_va, KL_BASE_VA + KL_BOOT_INFO_PA);
	if (!error)
		error = kl_worker_attach(&m->worker, m->vm.vm_fd, m->devices, m->devices_count);
	return error;
}

static void connect_parts(struct machine *m)
{
	m->vcpu.worker = &m->worker;
	m->vcpu.header = &m->image.header;
	m->vcpu.devices = m->devices;
	m->vcpu.devices_count = m->devices_count;
	m->vcpu.consoles = m->consoles;
	m->vcpu.consoles_count = CONSOLES;
	m->vcpu.log_fd = m->options.log_fd;
	m->control.worker = &m->worker;
	m->control.vcpu = &m->vcpu;
	m->control.nets = m->nets;
	m->control.nets_count = m->options.nets_count;
}

/* Whatever ends the parent, even SIGKILL, stops us, too: nobody else would. */
static int follow_parent(pid_t parent)
{
	if (!parent)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, SIGTERM))
		return kl_fail(errno, "leave it out", "--parent: %s", strerror(errno));
	if (getppid() != parent) /* it has ended already */
		return kl_fail(ESRCH, "give the number of the process that starts us", "--parent %d: not our parent",
			(int)parent);
	return 0;
}

static int run(struct machine *m)
{
	int status = FAILED;

	kl_error_set_log(m->options.log_fd);
	if (follow_parent(m->options.parent))
		return FAILED;
	if (prepare(m))
		return FAILED;
	connect_parts(m);
	if (m->options.control && kl_control_open(&m->control, m->options.control))
		return FAILED;
	if (!kl_control_start(&m->control) && (!m->options.sandbox || !kl_sandbox_enter(m->control.path)))
		status = kl_vcpu_run(&m->vcpu);
	kl_control_close(&m->control);
	return status;
}

int main(int argc, char **argv)
{
	if (kl_options_parse(&machine.options, argc, argv))
		return FAILED;
	switch (machine.options.action) {
	case KL_ACTION_HELP: fputs(kl_options_help, stdout); return 0;
	case KL_ACTION_VERSION: printf("kernlet-monitor %s, ABI %d\n", KL_VERSION, KL_ABI_VERSION); return 0;
	case KL_ACTION_PROBE: return kl_probe();
	case KL_ACTION_RUN: break;
	}
	return run(&machine);
}
