/* SPDX-License-Identifier: Apache-2.0 */
/* PC hardware that the boot code and the platform share. */
#ifndef KL_PLAT_PC_PRIV_H
#define KL_PLAT_PC_PRIV_H

#include <kl/types.h>

#include "kl_boot.h"

/* Where the boot code finds the first GiB of memory. A host test has another place for it. */
#ifndef PC_LOW_VA
#define PC_LOW_VA KL_BASE_VA
#endif

static inline void *pc_low_memory(kl_phys pa)
{
	return (void *)(PC_LOW_VA + pa);
}

/* Mapped by tables.c at KL_MMIO_VA + pa, 2 MiB each, uncached. */
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
/* Before there is a log: a line for the user, then the end with status 125. */
KL_NORETURN void pc_give_up(const char *text);

/* time.c: fills tsc_khz, tsc_base, wall_ns. Needs the local APIC mapped. */
void pc_find_time(struct kl_boot_info *info);
/* Value of key=<decimal> before " -- ", or 0. */
uint64_t pc_cmdline_number(const char *text, const char *key);

/* Where one kind of page of the library OS ends and the next begins (kernel.ld): text, constants, data. */
struct pc_image {
	uint64_t rodata_va, data_va, end_va;
};

/* tables.c: makes the page tables that kl_layout.h describes; fills tables_pa and tables_free_pa. On the boot's tables. */
void pc_tables_build(struct kl_boot_info *info, const struct pc_image *image);

/* boot.c: takes the record and the command line out of what the loader left, and makes the tables. */
void pc_boot_record(uint32_t start_info_pa, const struct pc_image *image);

/* processor.c; called by boot32.S in ring 0. From its return on, the tables are those of the record. */
void kl_pc_boot(uint32_t start_info_pa);

#endif
