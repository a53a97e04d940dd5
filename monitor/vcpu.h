/* SPDX-License-Identifier: Apache-2.0 */
/* Running the processor: exits, the monitor's registers, ticks, pausing and stopping. */
#ifndef KL_MONITOR_VCPU_H
#define KL_MONITOR_VCPU_H

#include "call.h"
#include "console.h"
#include "image.h"
#include "vm.h"
#include "worker.h"

#include <signal.h>
#include <time.h>

#define KL_TICK_NS 10000000

/* The processor's registers, as the control socket shows them. */
struct kl_registers {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
};

struct kl_vcpu_counters {
	uint64_t exits, waits, ticks, ticks_delivered, activations, log_bytes;
};

struct kl_vcpu {
	struct kl_vm *vm;
	struct kl_worker *worker;
	const struct kl_image_header *header;
	struct kl_virtio **devices;
	unsigned int devices_count;
	struct kl_console *consoles;
	unsigned int consoles_count;
	int log_fd;
	struct kl_call call;
	struct kl_shared *shared; /* in guest memory: hostile */
	struct kl_vcpu_counters counters;

	pthread_t thread;
	timer_t timer;
	bool ticking;
	/* Set by signal handlers. */
	volatile sig_atomic_t tick_due;
	volatile sig_atomic_t kicked; /* the control socket wants something */
	volatile int stop_signal;     /* end the VM */
	volatile int passed_signal;   /* handed to the guest's program */
	uint64_t passed_ns;           /* when (CLOCK_MONOTONIC) */

	/* Between the control socket and the processor's thread. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool pause_wanted, paused, registers_wanted, ended;
	struct kl_registers registers;
};

/* Signals and the timer; before other threads start. 0 or -errno after saying why. Only one vCPU per process. */
int kl_vcpu_init(struct kl_vcpu *vcpu, struct kl_vm *vm);

/* Run the guest to its end. Its exit status, 128 + signal, or 125 after reporting what went wrong. */
int kl_vcpu_run(struct kl_vcpu *vcpu);

/* From the I/O thread. 0, -ETIMEDOUT when the processor's thread does not answer, -ESRCH when it has ended. */
int kl_vcpu_pause(struct kl_vcpu *vcpu);
int kl_vcpu_resume(struct kl_vcpu *vcpu);
int kl_vcpu_read_registers(struct kl_vcpu *vcpu, struct kl_registers *registers);
void kl_vcpu_stop(struct kl_vcpu *vcpu, int signal);

/* Served by vcpu.c's loop: an access to [KL_MONITOR_PA, ...). */
enum kl_bus_result { KL_BUS_DONE, KL_BUS_EXIT, KL_BUS_UNKNOWN };
enum kl_bus_result kl_bus_access(
	struct kl_vcpu *vcpu, uint64_t pa, uint8_t *data, uint32_t bytes, bool write, int *status);

/* Wait as KL_REG_WAIT asks: for news or kl_shared.wait_ns. */
void kl_vcpu_wait(struct kl_vcpu *vcpu);

/* Write the processor's state and what ended it to the log. */
void kl_crash_report(struct kl_vcpu *vcpu, const char *what);

#endif
