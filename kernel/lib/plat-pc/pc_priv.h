/* SPDX-License-Identifier: Apache-2.0 */
/* PC hardware that the boot code and the platform share. */
#ifndef KL_PLAT_PC_PRIV_H
#define KL_PLAT_PC_PRIV_H

#include <kl/types.h>

#include "kl_boot.h"

/* Mapped by boot.c at KL_MMIO_VA + pa, 2 MiB each, uncached. */
#define VIRTIO_PA 0xfea00000ull /* QEMU's microvm has its windows in the upper half */
#define IOAPIC_PA 0xfec00000ull
#define LAPIC_PA 0xfee00000ull

/* Local APIC (Intel SDM volume 3, table 11-1). */
#define LAPIC_EOI 0x0b0
#define LAPIC_SPURIOUS 0x0f0
#define LAPIC_LVT_TIMER 0x320
#define LAPIC_LVT_LINT0 0x350
#define LAPIC_LVT_LINT1 0x360
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390
#define LAPIC_TIMER_DIVIDE 0x3e0
#define LAPIC_ENABLE 0x100u
#define LAPIC_MASKED 0x10000u
#define LAPIC_DIVIDE_BY_1 0x0bu
#define LAPIC_TIMER_HZ 1000000000ull /* QEMU's and KVM's, undivided */

static inline volatile uint32_t *pc_register(kl_phys pa)
{
	return (volatile uint32_t *)(KL_MMIO_VA + pa);
}

static inline void pc_out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t pc_in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

/* serial.c */
void pc_serial_write(const char *text, size_t bytes);
/* Ends the machine. */
KL_NORETURN void pc_end(int status);

/* clock.c: fills tsc_khz, tsc_base, wall_ns. Needs the local APIC mapped. */
void pc_find_time(struct kl_boot_info *info);
/* Value of key=<decimal> before " -- ", or 0. */
uint64_t pc_cmdline_number(const char *text, const char *key);

/* tables.c: the page tables (root and their end) of an image as kl_layout.h has them. Only in ring 0 on the boot's tables. */
void pc_tables_build(struct kl_boot_info *info);

/* boot.c; called by boot32.S in ring 0. */
void kl_pc_boot(uint32_t start_info_pa);

#endif
