// SPDX-License-Identifier: Apache-2.0
/* Exceptions, ticks in ordinary code and in library text, the restart of the exit sequence, waiting, system calls by LSTAR. */
#include "guest.h"

static volatile uint64_t ticks, breakpoints;
static uint64_t khz;

void guest_trap(struct frame *frame)
{
	if (frame->vector == KL_VECTOR_TICK) {
		ticks++;
	} else if (frame->vector == 3) {
		breakpoints++;
	} else {
		guest_log_number("unexpected vector ", frame->vector);
		guest_log_number("rip ", frame->rip);
		guest_log_number("address ", frame->cr2);
		guest_exit(99);
	}
}

static uint64_t wait_us(uint64_t wait_ns)
{
	uint64_t start = rdtsc();

	AT(struct kl_shared, KL_SHARED_PA)->wait_ns = wait_ns;
	monitor_write(KL_REG_WAIT, 0);
	return (rdtsc() - start) * 1000 / khz;
}

void guest_main(const struct kl_boot_info *info)
{
	struct kl_shared *shared = AT(struct kl_shared, KL_SHARED_PA);
	uint64_t start;

	khz = info->tsc_khz;
	__asm__ volatile("int3");
	guest_log_number("breakpoints ", breakpoints);
	for (start = rdtsc(); rdtsc() - start < khz * 205;)
		;
	guest_log_number("ticks ", ticks);
	shared->pending = 0;
	start = ticks;
	library_spin();
	guest_log_number("ticks in library text ", ticks - start);
	guest_log_number("restarts ", library_exit() - 1);
	guest_log_number("waited us ", wait_us(50000000));
	guest_log_number("waited us ", wait_us(100000));
	guest_log_number("waited us ", wait_us(0));
	uint64_t age_ns = (rdtsc() - info->tsc_base) * 1000000 / khz;
	guest_log_number("wall ns ", info->wall_ns + age_ns);
	__asm__ volatile("mov $0, %%eax\n\tsyscall" ::: "rax", "rcx", "r10", "r11", "memory");
	guest_log("syscall returned\n");
	guest_exit(0);
}
