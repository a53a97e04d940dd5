/* SPDX-License-Identifier: Apache-2.0 */
/* Both clocks are the time-stamp counter, scaled: ns = ticks * mult / 2^32. */
#include <kl/arch.h>
#include <kl/clock.h>
#include <kl/log.h>
#include <kl/platform.h>
#include <kl/vdso.h>

#define SCALE_SHIFT 32
#define KHZ_FALLBACK 1000000u /* a clock that runs at the wrong speed beats none; said in the log */
#define WALL_FALLBACK_NS (1767225600 * KL_NS_PER_S) /* 2026-01-01: programs take 1970 for "not set" */

static struct {
	uint64_t tsc_start; /* the monotonic clock's zero */
	uint64_t mult;
	uint64_t wall_ns; /* CLOCK_REALTIME at the monotonic clock's zero */
} clock;

int kl_clock_init(void);

static uint64_t ticks_to_ns(uint64_t ticks)
{
	return (uint64_t)((unsigned __int128)ticks * clock.mult >> SCALE_SHIFT);
}

uint64_t kl_clock_ns(void)
{
	return ticks_to_ns(kl_arch_tsc() - clock.tsc_start);
}

uint64_t kl_clock_wall_ns(void)
{
	return clock.wall_ns + kl_clock_ns();
}

static void publish(void)
{
	kl_vdso_update(clock.tsc_start, clock.mult, SCALE_SHIFT, clock.wall_ns);
}

void kl_clock_wall_set(uint64_t wall_ns)
{
	clock.wall_ns = wall_ns - kl_clock_ns();
	publish();
}

int kl_clock_init(void)
{
	uint64_t khz = kl_boot.tsc_khz;

	if (khz == 0) {
		kl_warn("the speed of the time-stamp counter is unknown: taken for 1 GHz; pass tsc_khz=");
		khz = KHZ_FALLBACK;
	}
	clock.mult = (KL_NS_PER_MS << SCALE_SHIFT) / khz;
	clock.tsc_start = kl_boot.tsc_base != 0 ? kl_boot.tsc_base : kl_arch_tsc();
	clock.wall_ns = kl_boot.wall_ns;
	if (clock.wall_ns == 0) {
		kl_warn("the date is unknown: taken for 2026-01-01; pass wall_ns=");
		clock.wall_ns = WALL_FALLBACK_NS;
	}
	publish();
	return 0;
}
