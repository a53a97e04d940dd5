// SPDX-License-Identifier: Apache-2.0
#include "control_commands.h"

#include "json.h"
#include "tables.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MEMORY_MAX 4096

/* Each command adds its fields, all starting with a comma, behind {"ok": true. 0, or -errno: the answer is an error. */
typedef int command(struct kl_control *control, const struct kl_json_object *request, struct kl_json_out *out);

/* Resident and shared pages of this process, guest memory included. */
static void resident_pages(const struct kl_control *control, unsigned long long *resident, unsigned long long *shared)
{
	char text[128];
	ssize_t bytes = pread(control->statm_fd, text, sizeof(text) - 1, 0);

	*resident = *shared = 0;
	text[bytes > 0 ? bytes : 0] = 0;
	if (sscanf(text, "%*u %llu %llu", resident, shared) != 2)
		*resident = *shared = 0;
}

static int status(struct kl_control *control, const struct kl_json_object *request, struct kl_json_out *out)
{
	unsigned long long resident, shared;
	struct timespec now;

	(void)request;
	clock_gettime(CLOCK_MONOTONIC, &now);
	uint64_t uptime_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec - control->start_ns;
	resident_pages(control, &resident, &shared);
	pthread_mutex_lock(&control->vcpu->lock);
	const char *state = control->vcpu->ended ? "ended" : control->vcpu->paused ? "paused" : "running";
	pthread_mutex_unlock(&control->vcpu->lock);
	kl_json_add(out,
		", \"state\": \"%s\", \"waiting\": %s, \"uptime_ns\": %llu, \"memory_bytes\": %llu, \"resident_bytes\": %llu, \"shared_bytes\": %llu",
		state, atomic_load(&control->vcpu->call.waiting) ? "true" : "false", (unsigned long long)uptime_ns,
		(unsigned long long)control->vcpu->vm->memory.bytes, resident * KL_PAGE_BYTES, shared * KL_PAGE_BYTES);
	return 0;
}

static int pause_vm(struct kl_control *control, const struct kl_json_object *request, struct kl_json_out *out)
{
	(void)request;
	(void)out;
	return kl_vcpu_pause(control->vcpu);
}

static int resume_vm(struct kl_control *control, const struct kl_json_object *request, struct kl_json_out *out)
{
	(void)request;
	(void)out;
	return kl_vcpu_resume(control->vcpu);
}

static int stop_vm(struct kl_control *control, const struct kl_json_object *request, struct kl_json_out *out)
{
	(void)request;
	(void)out;
	control->stop_wanted = true;
	return 0;
}

static int registers(struct kl_control *control, const struct kl_json_object *request, struct kl_json_out *out)
{
	struct kl_registers r;
	int error = kl_vcpu_read_registers(control->vcpu, &r);

	(void)request;
	if (error)
		return error;
	const struct {
		const char *name;
		unsigned long long value;
	} list[] = {{"rax", r.regs.rax}, {"rbx", r.regs.rbx}, {"rcx", r.regs.rcx}, {"rdx", r.regs.rdx},
		{"rsi", r.regs.rsi}, {"rdi", r.regs.rdi}, {"rbp", r.regs.rbp}, {"rsp", r.regs.rsp}, {"r8", r.regs.r8},
		{"r9", r.regs.r9}, {"r10", r.regs.r10}, {"r11", r.regs.r11}, {"r12", r.regs.r12}, {"r13", r.regs.r13},
		{"r14", r.regs.r14}, {"r15", r.regs.r15}, {"rip", r.regs.rip}, {"rflags", r.regs.rflags},
		{"cs", r.sregs.cs.selector}, {"ss", r.sregs.ss.selector}, {"fs_base", r.sregs.fs.base},
		{"gs_base", r.sregs.gs.base}, {"cr0", r.sregs.cr0}, {"cr2", r.sregs.cr2}, {"cr3", r.sregs.cr3},
		{"cr4", r.sregs.cr4}, {"efer", r.sregs.efer}};

	for (unsigned int i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		kl_json_add(out, ", \"%s\": \"0x%llx\"", list[i].name, list[i].value);
	return 0;
}

/* Copy guest memory from a virtual address, page by page as the guest's tables say now. */
static int copy_virtual(struct kl_control *control, uint64_t va, uint8_t *to, uint64_t bytes)
{
	const struct kl_memory *memory = &control->vcpu->vm->memory;
	struct kl_registers r;
	int error = kl_vcpu_read_registers(control->vcpu, &r);

	for (uint64_t done = 0; !error && done < bytes;) {
		uint64_t pa, part = KL_PAGE_BYTES - (va + done) % KL_PAGE_BYTES;
		if (part > bytes - done)
			part = bytes - done;
		error = kl_tables_walk(memory, r.sregs.cr3, va + done, &pa);
		const void *from = error ? NULL : kl_memory_at(memory, pa, part);
		if (!from)
			return error ? error : -EFAULT;
		memcpy(to + done, from, part);
		done += part;
	}
	return error;
}

static int memory(struct kl_control *control, const struct kl_json_object *request, struct kl_json_out *out)
{
	uint8_t bytes[MEMORY_MAX];
	uint64_t address, length;

	if (!kl_json_number(request, "len", &length) || !length || length > sizeof(bytes))
		return -EINVAL;
	if (kl_json_number(request, "pa", &address)) {
		const void *from = kl_memory_at(&control->vcpu->vm->memory, address, length);

		if (!from)
			return -EFAULT;
		memcpy(bytes, from, length);
	} else if (kl_json_number(request, "va", &address)) {
		int error = copy_virtual(control, address, bytes, length);

		if (error)
			return error;
	} else {
		return -EINVAL;
	}
	kl_json_add(out, ", \"bytes\": \"");
	for (uint64_t i = 0; i < length; i++)
		kl_json_add(out, "%02x", bytes[i]);
	kl_json_add(out, "\"");
	return 0;
}

static int stats(struct kl_control *control, const struct kl_json_object *request, struct kl_json_out *out)
{
	const struct kl_vcpu *vcpu = control->vcpu;
	const struct kl_vcpu_counters c = vcpu->counters;

	(void)request;
	kl_json_add(out,
		", \"exits\": %llu, \"waits\": %llu, \"ticks\": %llu, \"ticks_delivered\": %llu, \"log_bytes\": %llu",
		(unsigned long long)c.exits, (unsigned long long)c.waits, (unsigned long long)c.ticks,
		(unsigned long long)c.ticks_delivered, (unsigned long long)c.log_bytes);
	kl_json_add(out, ", \"devices\": [");
	for (unsigned int i = 0; i < vcpu->devices_count; i++)
		kl_json_add(out, "%s{\"name\": \"%s\", \"running\": %s, \"slow_notifies\": %u}", i ? ", " : "",
			vcpu->devices[i]->name, vcpu->devices[i]->running ? "true" : "false",
			vcpu->devices[i]->slow_notifies);
	kl_json_add(out, "], \"nets\": [");
	for (unsigned int i = 0; i < control->nets_count; i++) {
		const struct kl_net *net = &control->nets[i];

		kl_json_add(out,
			"%s{\"received\": %llu, \"received_bytes\": %llu, \"sent\": %llu, \"sent_bytes\": %llu, \"dropped\": %llu}",
			i ? ", " : "", (unsigned long long)net->received, (unsigned long long)net->received_bytes,
			(unsigned long long)net->sent, (unsigned long long)net->sent_bytes,
			(unsigned long long)net->dropped);
	}
	kl_json_add(out, "], \"guest\": [");
	for (unsigned int i = 0; i < sizeof(vcpu->shared->stats) / sizeof(vcpu->shared->stats[0]); i++)
		kl_json_add(out, "%s%llu", i ? ", " : "",
			(unsigned long long)__atomic_load_n(&vcpu->shared->stats[i], __ATOMIC_RELAXED));
	kl_json_add(out, "]");
	return 0;
}

static int version(struct kl_control *control, const struct kl_json_object *request, struct kl_json_out *out)
{
	(void)control;
	(void)request;
	kl_json_add(out, ", \"version\": \"%s\", \"abi\": %d", KL_VERSION, KL_ABI_VERSION);
	return 0;
}

static const struct {
	const char *name;
	command *run;
} commands[] = {{"status", status}, {"pause", pause_vm}, {"resume", resume_vm}, {"stop", stop_vm},
	{"registers", registers}, {"memory", memory}, {"stats", stats}, {"version", version}};

static const char *explain(int error)
{
	switch (error) {
	case -EINVAL: return "bad arguments";
	case -EFAULT: return "no memory there";
	case -ETIMEDOUT: return "the processor is busy";
	case -ESRCH: return "the VM has ended";
	default: return "failed";
	}
}

size_t kl_control_command(struct kl_control *control, const char *line, size_t bytes, char text[KL_CONTROL_ANSWER_MAX])
{
	struct kl_json_out out = {.text = text, .room = KL_CONTROL_ANSWER_MAX};
	struct kl_json_object request;
	const char *name = NULL, *problem = "unknown command";

	if (kl_json_parse(&request, line, bytes))
		problem = "not a JSON object of strings and whole numbers";
	else
		name = kl_json_text(&request, "cmd");
	for (unsigned int i = 0; name && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(name, commands[i].name))
			continue;
		kl_json_add(&out, "{\"ok\": true");
		int error = commands[i].run(control, &request, &out);
		kl_json_add(&out, "}\n");
		if (!error && !out.overflow)
			return out.used;
		problem = out.overflow ? "answer too long" : explain(error);
		break;
	}
	out = (struct kl_json_out){.text = text, .room = KL_CONTROL_ANSWER_MAX};
	kl_json_add(&out, "{\"ok\": false, \"error\": \"%s\"}\n", problem);
	return out.used;
}
