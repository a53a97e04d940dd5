/* SPDX-License-Identifier: Apache-2.0 */
/* How fast the time-stamp counter runs, and what time it is. */
#include "pc_priv.h"

#include <kl/arch.h>
#include <kl/string.h>

#include "cpuid_priv.h"

#define CALIBRATE_NS (2 * KL_NS_PER_MS)
#define CALIBRATE_READS 1000000u
#define NO_CLOCK_S 1767225600ull /* 2026-01-01: programs take the epoch itself for "not yet known", and nginx crashes */
#define FRESH_S 30               /* a counter that stands at less began with the machine */

uint64_t pc_cmdline_number(const char *text, const char *key)
{
	size_t key_bytes = strlen(key);

	while (*text != '\0') {
		size_t bytes = 0;
		uint64_t value = 0;

		while (text[bytes] != '\0' && text[bytes] != ' ')
			bytes++;
		if (bytes == 2 && memcmp(text, "--", 2) == 0)
			return 0;
		if (bytes > key_bytes + 1 && memcmp(text, key, key_bytes) == 0 && text[key_bytes] == '=') {
			for (size_t i = key_bytes + 1; i < bytes; i++) {
				unsigned digit = (unsigned)text[i] - '0';

				if (digit > 9 || value > (UINT64_MAX - digit) / 10)
					return 0;
				value = value * 10 + digit;
			}
			return value;
		}
		text += bytes;
		text += *text == ' ';
	}
	return 0;
}

/* --- the counter's frequency --- */

static uint64_t khz_from_cpuid(void)
{
	struct cpuid r = cpuid(0, 0);
	uint32_t last = r.a;

	if (cpuid(1, 0).c & CPUID1_C_HYPERVISOR && cpuid(0x40000000, 0).a >= 0x40000010) {
		r = cpuid(0x40000010, 0);
		if (r.a != 0)
			return r.a;
	}
	if (last >= 0x15) {
		r = cpuid(0x15, 0);
		if (r.a != 0 && r.b != 0 && r.c != 0)
			return (uint64_t)r.c * r.b / r.a / 1000;
	}
	return 0;
}

/* Against the local APIC's timer, counting down. The reads of both are close together, so the error is their distance. */
static uint64_t khz_from_lapic(void)
{
	volatile uint32_t *current = pc_register(LAPIC_PA + LAPIC_TIMER_CURRENT);
	uint32_t ticks = 0, first;
	uint64_t start, end;

	*pc_register(LAPIC_PA + LAPIC_SPURIOUS) = LAPIC_ENABLE | 0xff;
	*pc_register(LAPIC_PA + LAPIC_LVT_TIMER) = LAPIC_MASKED;
	*pc_register(LAPIC_PA + LAPIC_TIMER_DIVIDE) = LAPIC_DIVIDE_BY_1;
	*pc_register(LAPIC_PA + LAPIC_TIMER_INITIAL) = UINT32_MAX;
	first = *current;
	start = end = kl_arch_tsc();
	for (unsigned reads = 0; ticks < CALIBRATE_NS && reads < CALIBRATE_READS; reads++) {
		ticks = first - *current;
		end = kl_arch_tsc();
	}
	*pc_register(LAPIC_PA + LAPIC_TIMER_INITIAL) = 0;
	if (ticks < CALIBRATE_NS)
		return 0;
	return (end - start) * (LAPIC_TIMER_HZ / 1000) / ticks;
}

/* --- the real-time clock (MC146818) --- */

enum { RTC_SECOND = 0, RTC_MINUTE = 2, RTC_HOUR = 4, RTC_DAY = 7, RTC_MONTH = 8, RTC_YEAR = 9, RTC_A = 10, RTC_B = 11 };

#define RTC_A_UPDATING 0x80
#define RTC_B_BINARY 0x04
#define RTC_B_24H 0x02
#define RTC_HOUR_PM 0x80

static uint8_t rtc_read(uint8_t index)
{
	pc_out8(0x70, index);
	return pc_in8(0x71);
}

static unsigned rtc_value(uint8_t raw, uint8_t mode)
{
	return mode & RTC_B_BINARY ? raw : (raw >> 4) * 10u + (raw & 15u);
}

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar; years from March on, so that leap days come last. */
static uint64_t days_since_epoch(unsigned year, unsigned month, unsigned day)
{
	unsigned y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;

	return (uint64_t)y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

static uint64_t rtc_wall_ns(void)
{
	uint8_t mode = rtc_read(RTC_B), hour;
	unsigned second, minute, hours, day, month, year, reads = 0;

	if (mode == 0xff)
		return 0; /* there is none */
	do {
		while (rtc_read(RTC_A) & RTC_A_UPDATING && reads++ < 10000)
			;
		second = rtc_value(rtc_read(RTC_SECOND), mode);
		minute = rtc_value(rtc_read(RTC_MINUTE), mode);
		hour = rtc_read(RTC_HOUR);
		day = rtc_value(rtc_read(RTC_DAY), mode);
		month = rtc_value(rtc_read(RTC_MONTH), mode);
		year = 2000 + rtc_value(rtc_read(RTC_YEAR), mode);
	} while (second != rtc_value(rtc_read(RTC_SECOND), mode) && reads++ < 10000);
	hours = rtc_value(hour & (uint8_t)~RTC_HOUR_PM, mode);
	if (!(mode & RTC_B_24H))
		hours = hours % 12 + (hour & RTC_HOUR_PM ? 12 : 0);
	if (second > 60 || minute > 59 || hours > 23 || day < 1 || day > 31 || month < 1 || month > 12)
		return 0;
	return ((days_since_epoch(year, month, day) * 24 + hours) * 3600 + minute * 60 + second) * KL_NS_PER_S;
}

void pc_find_time(struct kl_boot_info *info)
{
	const char *text = pc_low_memory(KL_CMDLINE_PA);

	info->tsc_khz = pc_cmdline_number(text, "tsc_khz");
	if (info->tsc_khz == 0)
		info->tsc_khz = khz_from_cpuid();
	if (info->tsc_khz == 0)
		info->tsc_khz = khz_from_lapic();
	info->tsc_base = kl_arch_tsc();
	info->wall_ns = pc_cmdline_number(text, "wall_ns");
	if (info->wall_ns == 0) {
		info->wall_ns = rtc_wall_ns();
		if (info->wall_ns == 0)
			info->wall_ns = NO_CLOCK_S * KL_NS_PER_S;
	} else if (info->tsc_base / 1000 < info->tsc_khz * FRESH_S) {
		info->tsc_base = 0; /* the time is from when the machine was started, and so is the counter */
	}
}
