// SPDX-License-Identifier: Apache-2.0
#include "sandbox.h"

#include "error.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPEN_FILES_MAX 256

enum check { ANY, COMMAND, FIRST };

struct rule {
	unsigned int call;
	enum check check; /* COMMAND: argument 1 is value (32 bits); FIRST: argument 0 is value (64 bits) */
	uint64_t value;
};

/* Most frequent first: the filter looks from the top. No call here opens, maps, executes or creates anything. */
static struct rule rules[] = {
	{SYS_ioctl, COMMAND, KVM_RUN},       /* run the guest */
	{SYS_futex, ANY, 0},                 /* locks */
	{SYS_ppoll, ANY, 0},                 /* the guest waits */
	{SYS_epoll_wait, ANY, 0},            /* the I/O thread waits */
	{SYS_readv, ANY, 0},                 /* frames from a tap, standard input */
	{SYS_writev, ANY, 0},                /* frames to a tap, standard output */
	{SYS_recvfrom, ANY, 0},              /* frames from passt, requests on the control socket */
	{SYS_sendmsg, ANY, 0},               /* frames to passt */
	{SYS_sendto, ANY, 0},                /* the rest of a frame to passt, answers on the control socket */
	{SYS_write, ANY, 0},                 /* log, doorbell eventfds */
	{SYS_poll, ANY, 0},                  /* is standard input or output ready? */
	{SYS_read, ANY, 0},                  /* reset the eventfd that ended a wait */
	{SYS_timer_settime, ANY, 0},         /* ticks on and off */
	{SYS_setitimer, ANY, 0},             /* the time that the program has to end (alarm) */
	{SYS_alarm, ANY, 0},                 /* the same, where the C library uses it */
	{SYS_rt_sigreturn, ANY, 0},          /* back from a tick's or kick's handler */
	{SYS_clock_gettime, ANY, 0},         /* where the vDSO has no clock */
	{SYS_getrandom, ANY, 0},             /* virtio-rng */
	{SYS_ioctl, COMMAND, KVM_GET_REGS},  /* ticks: where is the guest? Reports, control socket */
	{SYS_ioctl, COMMAND, KVM_SET_REGS},  /* ticks: restart the exit sequence */
	{SYS_ioctl, COMMAND, KVM_INTERRUPT}, /* ticks: interrupt the program */
	{SYS_ioctl, COMMAND, KVM_GET_SREGS}, /* reports, control socket */
	{SYS_ioctl, COMMAND, KVM_IOEVENTFD}, /* a doorbell for a busy device */
	{SYS_ioctl, COMMAND, TUNSETOFFLOAD}, /* a tap's offloads, once the driver has chosen */
	{SYS_epoll_ctl, ANY, 0},             /* wait for a blocked output; connections of the control socket */
	{SYS_accept4, ANY, 0},               /* control socket */
	{SYS_close, ANY, 0},                 /* connections of the control socket */
	{SYS_pread64, ANY, 0},               /* /proc/self/statm, open already */
	{SYS_tgkill, FIRST, 0},              /* interrupt the processor's thread; only of this process: filled in */
	{SYS_getpid, ANY, 0},                /* part of pthread_kill() */
	{SYS_gettid, ANY, 0},                /* part of pthread_kill() */
	{SYS_rt_sigprocmask, ANY, 0},        /* part of pthread_kill() */
	{SYS_rseq, ANY, 0},            /* the C library at the start of the I/O thread, which may still be ahead */
	{SYS_set_robust_list, ANY, 0}, /* likewise */
	{SYS_restart_syscall, ANY, 0}, /* a wait goes on after SIGSTOP and SIGCONT */
	{SYS_exit_group, ANY, 0},      /* the end */
	{SYS_unlink, FIRST, 0},        /* remove the control socket's file; the value is filled in */
};

#define RULES (sizeof(rules) / sizeof(rules[0]))
#define RULE_STEPS_MAX 7

static unsigned int add_rule(struct sock_filter *step, const struct rule *rule)
{
	const uint32_t arg0 = offsetof(struct seccomp_data, args[0]), arg1 = offsetof(struct seccomp_data, args[1]);
	struct sock_filter *start = step;

	/* Each rule: not this call: to the next rule. This call, but another value: reload the number, and to the next rule. */
	switch (rule->check) {
	case ANY:
		*step++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, rule->call, 0, 1);
		*step++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
		break;
	case COMMAND:
		*step++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, rule->call, 0, 4);
		*step++ = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, arg1);
		*step++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)rule->value, 0, 1);
		*step++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
		*step++ = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
		break;
	case FIRST:
		*step++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, rule->call, 0, 6);
		*step++ = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, arg0);
		*step++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)rule->value, 0, 3);
		*step++ = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, arg0 + 4);
		*step++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(rule->value >> 32), 0, 1);
		*step++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
		*step++ = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
		break;
	}
	return (unsigned int)(step - start);
}

static int filter_calls(const char *socket_path)
{
	struct sock_filter steps[RULES * RULE_STEPS_MAX + 5];
	struct sock_fprog program = {.filter = steps};
	unsigned int used = 0;

	for (unsigned int i = 0; i < RULES; i++) {
		if (rules[i].call == SYS_unlink)
			rules[i].value = (uintptr_t)socket_path;
		else if (rules[i].call == SYS_tgkill)
			rules[i].value = (uint64_t)getpid();
	}
	steps[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	steps[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	steps[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	steps[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (unsigned int i = 0; i < RULES; i++)
		used += add_rule(&steps[used], &rules[i]);
	steps[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	program.len = (unsigned short)used;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) ? -errno : 0;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	/* The bounding set may stay: it counts at execve(2) only, and that neither is allowed nor could give privileges. */
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &header, none) ? -errno : 0;
}

static int lower_limits(void)
{
	static const struct {
		int resource;
		rlim_t limit;
	} limits[] = {{RLIMIT_CORE, 0}, {RLIMIT_NOFILE, OPEN_FILES_MAX}, {RLIMIT_NPROC, 0}, {RLIMIT_MEMLOCK, 0},
		{RLIMIT_MSGQUEUE, 0}};

	for (unsigned int i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit now;

		if (getrlimit((__rlimit_resource_t)limits[i].resource, &now))
			return -errno;
		if (now.rlim_max <= limits[i].limit)
			continue;
		now.rlim_cur = now.rlim_max = limits[i].limit;
		if (setrlimit((__rlimit_resource_t)limits[i].resource, &now))
			return -errno;
	}
	return 0;
}

int kl_sandbox_enter(const char *socket_path)
{
	int error = lower_limits();

	if (!error)
		error = drop_capabilities();
	if (!error && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		error = -errno;
	if (!error)
		error = filter_calls(socket_path);
	if (error)
		return kl_fail(
			-error, "use --no-sandbox only for guests that you trust", "sandbox: %s", strerror(-error));
	return 0;
}
