// SPDX-License-Identifier: Apache-2.0
#include "vcpu.h"

#include "error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#define KICK_SIGNAL SIGUSR1
#define FLAGS_IF 0x200

/* A wait of more than a century is one without end; it keeps sums of nanoseconds from overflowing. */
#define LONGEST_WAIT_NS (1ull << 62)
#define GRACE_SECONDS 10 /* as docker stop has it */
#define SAME_REQUEST_NS 300000000ull
#define ASK_SECONDS 5 /* far more than a busy host takes to run a thread */

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* The root that signal handlers start from; set once. */
static struct kl_vcpu *signalled;

/*
 * A request to stop goes to the guest's program first, which may end as it likes. A second request, or no end in time, ends the
 * VM. A terminal and whoever waits for us may both pass on the same Ctrl-C: what comes at once counts once.
 */
static void on_stop(int number)
{
	uint64_t now_ns = kl_call_now_ns();

	if (signalled->stop_signal)
		_exit(128 + number); /* asked once more: do not wait for anything */
	if (signalled->passed_signal && number != SIGALRM && now_ns - signalled->passed_ns < SAME_REQUEST_NS)
		return;
	if (!signalled->passed_signal && __atomic_load_n(&signalled->shared->takes_signals, __ATOMIC_RELAXED)) {
		signalled->passed_signal = number;
		signalled->passed_ns = now_ns;
		__atomic_store_n(&signalled->shared->stop_signal, (uint32_t)number, __ATOMIC_RELAXED);
		signalled->tick_due = 1;
		alarm(GRACE_SECONDS);
	} else {
		signalled->stop_signal = signalled->passed_signal ? signalled->passed_signal : number;
	}
	kl_call_raise(&signalled->call);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (number != KICK_SIGNAL) {
		on_stop(number);
	} else if (info->si_code == SI_TIMER) {
		signalled->tick_due = 1;
	} else {
		signalled->kicked = 1;
	}
	/* Whether KVM_RUN is running or about to: it returns EINTR. */
	signalled->vm->run->immediate_exit = 1;
}

static void on_bus_error(int number)
{
	static const char text[] =
		"kernlet-monitor: the image or memory went away: SIGBUS; do not change an image while it runs, and give enough memory\n";

	(void)number;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(125);
	_exit(125);
}

static int set_signals(void)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	struct sigaction bus_error = {.sa_handler = on_bus_error}, ignore = {.sa_handler = SIG_IGN};

	/* No handler is interrupted by another one. */
	sigaddset(&action.sa_mask, KICK_SIGNAL);
	if (sigaction(KICK_SIGNAL, &action, NULL) || sigaction(SIGTERM, &action, NULL) ||
		sigaction(SIGINT, &action, NULL) || sigaction(SIGHUP, &action, NULL) ||
		sigaction(SIGALRM, &action, NULL) || sigaction(SIGBUS, &bus_error, NULL) ||
		sigaction(SIGPIPE, &ignore, NULL))
		return -errno;
	return 0;
}

int kl_vcpu_init(struct kl_vcpu *vcpu, struct kl_vm *vm)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = KICK_SIGNAL};
	int error;

	vcpu->vm = vm;
	vcpu->shared = kl_memory_at(&vm->memory, KL_SHARED_PA, sizeof(*vcpu->shared));
	vcpu->thread = pthread_self();
	pthread_mutex_init(&vcpu->lock, NULL);
	pthread_cond_init(&vcpu->changed, NULL);
	signalled = vcpu;
	error = kl_call_init(&vcpu->call, &vcpu->shared->pending);
	if (!error)
		error = set_signals();
	event.sigev_notify_thread_id = gettid();
	if (!error && timer_create(CLOCK_MONOTONIC, &event, &vcpu->timer))
		error = -errno;
	if (error)
		return kl_fail(-error, "try again", "signals and timer: %s", strerror(-error));
	/* Waits end when they should, not up to 50 us later. */
	prctl(PR_SET_TIMERSLACK, 1);
	return 0;
}

static void set_ticking(struct kl_vcpu *vcpu, bool on)
{
	struct itimerspec period = {0};

	if (on)
		period.it_interval.tv_nsec = period.it_value.tv_nsec = KL_TICK_NS;
	timer_settime(vcpu->timer, 0, &period, NULL);
	vcpu->ticking = on;
}

/* A tick during a wait: stop ticking, so that an idle guest costs nothing. It starts again after the wait. */
static void interrupted(void *context)
{
	struct kl_vcpu *vcpu = context;

	if (vcpu->tick_due && vcpu->ticking)
		set_ticking(vcpu, false);
}

void kl_vcpu_wait(struct kl_vcpu *vcpu)
{
	uint64_t wait_ns = __atomic_load_n(&vcpu->shared->wait_ns, __ATOMIC_RELAXED);
	uint64_t deadline_ns = wait_ns < LONGEST_WAIT_NS ? kl_call_now_ns() + wait_ns : UINT64_MAX;

	vcpu->counters.waits++;
	kl_worker_wait_for_news(vcpu->worker, &vcpu->call, deadline_ns, interrupted, vcpu);
	/*
	 * The guest looks at everything now: an old tick tells it nothing. The order makes sure that no other signal gets lost:
	 * its handler sets immediate_exit last.
	 */
	vcpu->tick_due = 0;
	vcpu->vm->run->immediate_exit = 0;
	if (vcpu->stop_signal || vcpu->kicked)
		vcpu->vm->run->immediate_exit = 1;
	if (!vcpu->ticking)
		set_ticking(vcpu, true);
}

static bool inside(uint64_t va, uint64_t start, uint64_t end)
{
	return va >= start && va < end;
}

/*
 * A tick is an interrupt where the program runs, and a mark in kl_shared.pending where the library OS runs or ring 0 does.
 * 0 or -errno.
 */
static int deliver_tick(struct kl_vcpu *vcpu)
{
	const struct kl_image_header *header = vcpu->header;
	const uint64_t stub_va = KL_BASE_VA + KL_STUB_PA;
	struct kvm_interrupt interrupt = {.irq = KL_VECTOR_TICK};
	struct kvm_run *run = vcpu->vm->run;
	struct kvm_regs regs;

	vcpu->counters.ticks++;
	if (ioctl(vcpu->vm->vcpu_fd, KVM_GET_REGS, &regs) < 0)
		return -errno;
	bool program = !inside(regs.rip, header->text_start_va, header->text_end_va) &&
		!inside(regs.rip, stub_va, stub_va + KL_PAGE_BYTES);
	if (program && run->ready_for_interrupt_injection) {
		vcpu->counters.ticks_delivered++;
		return ioctl(vcpu->vm->vcpu_fd, KVM_INTERRUPT, &interrupt) < 0 ? -errno : 0;
	}
	__atomic_store_n(&vcpu->shared->pending, 1, __ATOMIC_RELEASE);
	/* CPL 3 cannot mask interrupts, but a stub's iretq may have left them masked; then the next tick gets through. */
	if (program && !run->if_flag)
		regs.rflags |= FLAGS_IF;
	else if (inside(regs.rip, header->exit_start_va, header->exit_end_va))
		regs.rip = header->exit_start_va;
	else
		return 0;
	return ioctl(vcpu->vm->vcpu_fd, KVM_SET_REGS, &regs) < 0 ? -errno : 0;
}

/* What the control socket wants. Returns when the guest may run on. */
static void serve(struct kl_vcpu *vcpu)
{
	pthread_mutex_lock(&vcpu->lock);
	for (;;) {
		if (vcpu->registers_wanted) {
			if (ioctl(vcpu->vm->vcpu_fd, KVM_GET_REGS, &vcpu->registers.regs) < 0 ||
				ioctl(vcpu->vm->vcpu_fd, KVM_GET_SREGS, &vcpu->registers.sregs) < 0)
				memset(&vcpu->registers, 0, sizeof(vcpu->registers));
			vcpu->registers_wanted = false;
		}
		vcpu->paused = vcpu->pause_wanted && !vcpu->stop_signal;
		pthread_cond_broadcast(&vcpu->changed);
		if (!vcpu->paused)
			break;
		/* Now and then look whether a signal wants us to stop: a handler cannot wake this wait. */
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 100000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&vcpu->changed, &vcpu->lock, &until);
	}
	pthread_mutex_unlock(&vcpu->lock);
}

static int after_signal(struct kl_vcpu *vcpu)
{
	vcpu->vm->run->immediate_exit = 0;
	if (vcpu->stop_signal)
		return 0;
	if (vcpu->kicked) {
		vcpu->kicked = 0;
		serve(vcpu);
	}
	if (!vcpu->tick_due)
		return 0;
	vcpu->tick_due = 0;
	return deliver_tick(vcpu);
}

static int crash(struct kl_vcpu *vcpu, const char *format, uint64_t detail)
{
	char what[128];

	snprintf(what, sizeof(what), format, (unsigned long long)detail);
	kl_crash_report(vcpu, what);
	return 125;
}

/* One exit. False: the guest goes on. True: *status is the end. */
static bool handle_exit(struct kl_vcpu *vcpu, int *status)
{
	struct kvm_run *run = vcpu->vm->run;

	vcpu->counters.exits++;
	switch (run->exit_reason) {
	case KVM_EXIT_MMIO: {
		uint64_t pa = run->mmio.phys_addr;

		switch (kl_bus_access(vcpu, pa, run->mmio.data, run->mmio.len, run->mmio.is_write, status)) {
		case KL_BUS_DONE: return false;
		case KL_BUS_EXIT: return true;
		case KL_BUS_UNKNOWN:
			*status = crash(vcpu, "access to physical address 0x%llx, where there is nothing", pa);
			return true;
		}
		return false;
	}
	case KVM_EXIT_INTR: return false;
	case KVM_EXIT_IO:
		*status = crash(vcpu, "access to I/O port 0x%llx, and there are none", run->io.port);
		return true;
	case KVM_EXIT_HLT: *status = crash(vcpu, "hlt in ring 0", 0); return true;
	case KVM_EXIT_SHUTDOWN: *status = crash(vcpu, "triple fault", 0); return true;
	case KVM_EXIT_FAIL_ENTRY:
		*status = crash(
			vcpu, "KVM cannot enter it (reason 0x%llx)", run->fail_entry.hardware_entry_failure_reason);
		return true;
	case KVM_EXIT_INTERNAL_ERROR:
		*status = crash(vcpu, "KVM internal error %llu", run->internal.suberror);
		return true;
	default: *status = crash(vcpu, "unexpected exit %llu", run->exit_reason); return true;
	}
}

static int run_loop(struct kl_vcpu *vcpu)
{
	int status = 125, error = 0;

	set_ticking(vcpu, true);
	for (;;) {
		if (ioctl(vcpu->vm->vcpu_fd, KVM_RUN, 0) == 0) {
			if (handle_exit(vcpu, &status))
				break;
			continue;
		}
		if (errno == EINTR || errno == EAGAIN)
			error = after_signal(vcpu);
		else
			error = -errno;
		if (error) {
			status = crash(vcpu, "KVM refuses (error %llu)", (uint64_t)-error);
			break;
		}
		if (vcpu->stop_signal) {
			for (unsigned int i = 0; i < vcpu->consoles_count; i++)
				kl_console_drain(&vcpu->consoles[i], &vcpu->stop_signal);
			break;
		}
	}
	set_ticking(vcpu, false);
	return vcpu->stop_signal ? 128 + vcpu->stop_signal : status;
}

int kl_vcpu_run(struct kl_vcpu *vcpu)
{
	int status = run_loop(vcpu);

	pthread_mutex_lock(&vcpu->lock);
	vcpu->ended = true;
	pthread_cond_broadcast(&vcpu->changed);
	pthread_mutex_unlock(&vcpu->lock);
	return status;
}

/* Interrupt the processor's thread and wait until *flag is value. Lock held. */
static int ask(struct kl_vcpu *vcpu, const bool *flag, bool value)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ASK_SECONDS;
	pthread_cond_broadcast(&vcpu->changed);
	if (vcpu->ended)
		return -ESRCH;
	kl_call_raise(&vcpu->call);
	pthread_kill(vcpu->thread, KICK_SIGNAL);
	while (*flag != value) {
		if (vcpu->ended)
			return -ESRCH;
		if (pthread_cond_timedwait(&vcpu->changed, &vcpu->lock, &until) == ETIMEDOUT)
			return -ETIMEDOUT;
	}
	return 0;
}

static int set_paused(struct kl_vcpu *vcpu, bool wanted)
{
	pthread_mutex_lock(&vcpu->lock);
	vcpu->pause_wanted = wanted;
	int error = vcpu->paused == wanted ? 0 : ask(vcpu, &vcpu->paused, wanted);
	pthread_mutex_unlock(&vcpu->lock);
	return error;
}

int kl_vcpu_pause(struct kl_vcpu *vcpu)
{
	return set_paused(vcpu, true);
}

int kl_vcpu_resume(struct kl_vcpu *vcpu)
{
	return set_paused(vcpu, false);
}

int kl_vcpu_read_registers(struct kl_vcpu *vcpu, struct kl_registers *registers)
{
	pthread_mutex_lock(&vcpu->lock);
	vcpu->registers_wanted = true;
	int error = ask(vcpu, &vcpu->registers_wanted, false);
	if (!error)
		*registers = vcpu->registers;
	pthread_mutex_unlock(&vcpu->lock);
	return error;
}

void kl_vcpu_stop(struct kl_vcpu *vcpu, int signal)
{
	pthread_kill(vcpu->thread, signal);
}
