/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PC without firmware's help: QEMU's microvm, at CPL 3 like everything else. Ports below 0x1000 are open by the TSS's bitmap,
 * device registers are mapped. All interrupts have one vector, which says no more than "look".
 */
#include "pc_priv.h"

#include <kl/arch.h>
#include <kl/entry.h>
#include <kl/log.h>
#include <kl/platform.h>
#include <kl/virtio_mmio.h>

/* QEMU microvm (hw/i386/microvm: 8 windows, or 24 with a second IOAPIC). */
#define WINDOWS_PA 0xfeb00000ull
#define WINDOW_BYTES 512
#define WINDOWS 24

#define IOAPIC_SECOND_PA (IOAPIC_PA + 0x10000)
#define IOAPIC_SELECT 0x00
#define IOAPIC_DATA 0x10
#define IOAPIC_VERSION 0x01
#define IOAPIC_PINS 0x10 /* two registers each: vector, edge, active high, unmasked; destination */

#define PIC_MASTER_DATA 0x21
#define PIC_SLAVE_DATA 0xa1

#define SPURIOUS_VECTOR 0x3fu
#define TICK_NS (10 * KL_NS_PER_MS)
#define WAIT_MIN_NS KL_NS_PER_US

static bool tick_on = true;

static void lapic_write(unsigned offset, uint32_t value)
{
	*pc_register(LAPIC_PA + offset) = value;
}

/* One shot; 0: none. */
static void set_timer(uint64_t ns)
{
	lapic_write(LAPIC_TIMER_INITIAL, ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns);
}

static void set_up_lapic(void)
{
	lapic_write(LAPIC_SPURIOUS, LAPIC_ENABLE | SPURIOUS_VECTOR);
	lapic_write(LAPIC_LVT_LINT0, LAPIC_MASKED);
	lapic_write(LAPIC_LVT_LINT1, LAPIC_MASKED);
	lapic_write(LAPIC_TIMER_DIVIDE, LAPIC_DIVIDE_BY_1);
	lapic_write(LAPIC_LVT_TIMER, KL_VECTOR_TICK);
}

static void set_up_ioapic(kl_phys pa)
{
	volatile uint32_t *select = pc_register(pa + IOAPIC_SELECT), *data = pc_register(pa + IOAPIC_DATA);
	uint32_t version, pins;

	*select = IOAPIC_VERSION;
	version = *data;
	if (version == 0 || version == UINT32_MAX)
		return;
	pins = (version >> 16 & 0xff) + 1;
	for (uint32_t pin = 0; pin < pins; pin++) {
		*select = IOAPIC_PINS + 2 * pin;
		*data = KL_VECTOR_TICK;
	}
}

static int pc_init(void)
{
	pc_out8(PIC_MASTER_DATA, 0xff);
	pc_out8(PIC_SLAVE_DATA, 0xff);
	set_up_lapic();
	set_up_ioapic(IOAPIC_PA);
	set_up_ioapic(IOAPIC_SECOND_PA);
	kl_virtio_mmio_probe(&kl_boot, WINDOWS_PA, WINDOW_BYTES, WINDOWS);
	kl_virtio_mmio_use();
	set_timer(TICK_NS);
	return 0;
}

static void pc_wait(uint64_t ns)
{
	if (ns == KL_WAIT_FOREVER)
		set_timer(0);
	else
		set_timer(KL_MAX(ns, (uint64_t)WAIT_MIN_NS));
	kl_arch_halt();
}

static void pc_tick(bool on)
{
	tick_on = on;
	set_timer(on ? TICK_NS : 0);
}

static void pc_ack(void)
{
	/* The devices first: one that has news after this raises its line again. */
	kl_virtio_mmio_ack();
	lapic_write(LAPIC_EOI, 0);
	if (tick_on)
		set_timer(TICK_NS);
}

static void pc_log(const char *text, size_t bytes)
{
	pc_serial_write(text, bytes);
}

const struct kl_platform kl_platform_pc = {
	.name = "pc",
	.init = pc_init,
	.wait = pc_wait,
	.tick = pc_tick,
	.ack = pc_ack,
	.log = pc_log,
	.exit = pc_end,
};
