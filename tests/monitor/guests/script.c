// SPDX-License-Identifier: Apache-2.0
/*
 * Does what its command line says, word by word, numbers in hexadecimal: tests describe hostile guests as data.
 *
 *   w BYTES OFFSET VALUE   write BYTES (1, 2, 4, 8) at KL_MONITOR_PA + OFFSET
 *   r BYTES OFFSET         read likewise, and log the value
 *   m PA VALUE             write 64 bits of memory            m2, m4: 16, 32 bits
 *   a DEVICE Q SIZE D A U [Q SIZE D A U] ;   an entry of kl_virtio_setup with all offered features; logs the result
 *   A VALUE                write VALUE to KL_REG_ACTIVATE
 *   d TABLE_PA I ADDR LEN FLAGS NEXT         one descriptor
 *   l VALUE                write VALUE to KL_REG_LOG          v VA: write a byte there          j VA: jump there
 *   t NS                   wait                               x STATUS: end                     s PORT: out to a port
 *   W                      write every register offset of every window, in every width, with odd values
 */
#include "guest.h"

#include <linux/virtio_ring.h>

static const char *at;

void guest_trap(struct frame *frame)
{
	if (frame->vector == KL_VECTOR_TICK)
		return;
	guest_log_number("trap ", frame->vector);
	guest_exit(0x60 + (uint32_t)frame->vector);
}

/* The next word's first character, or 0 at the end. */
static char word(void)
{
	while (*at == ' ')
		at++;
	return *at;
}

static uint64_t number(void)
{
	uint64_t value = 0;

	for (word(); *at && *at != ' '; at++) {
		if (*at >= '0' && *at <= '9')
			value = value << 4 | (uint64_t)(*at - '0');
		else if (*at >= 'a' && *at <= 'f')
			value = value << 4 | (uint64_t)(*at - 'a' + 10);
		else
			guest_exit(0x5f);
	}
	return value;
}

static void mmio_write(uint64_t bytes, uint64_t offset, uint64_t value)
{
	uint64_t pa = KL_MONITOR_PA + offset;

	switch (bytes) {
	case 1: *MMIO(uint8_t, pa) = (uint8_t)value; break;
	case 2: *MMIO(uint16_t, pa) = (uint16_t)value; break;
	case 4: *MMIO(uint32_t, pa) = (uint32_t)value; break;
	default: *MMIO(uint64_t, pa) = value; break;
	}
}

static uint64_t mmio_read(uint64_t bytes, uint64_t offset)
{
	uint64_t pa = KL_MONITOR_PA + offset;

	switch (bytes) {
	case 1: return *MMIO(uint8_t, pa);
	case 2: return *MMIO(uint16_t, pa);
	case 4: return *MMIO(uint32_t, pa);
	default: return *MMIO(uint64_t, pa);
	}
}

static void activate(const struct kl_boot_info *info)
{
	struct kl_virtio_setup *setup = AT(struct kl_virtio_setup, KL_VIRTIO_SETUP_PA);

	setup->device = (uint32_t)number();
	setup->features = setup->device < info->devices_count ? info->devices[setup->device].features : 1ull << 32;
	setup->queues = 0;
	setup->result = 1;
	while (word() != ';') {
		uint32_t queue = (uint32_t)number() % KL_VIRTIO_SETUP_QUEUES;

		setup->queue[queue].size = (uint32_t)number();
		setup->queue[queue].desc_pa = number();
		setup->queue[queue].avail_pa = number();
		setup->queue[queue].used_pa = number();
		setup->queues++;
	}
	at++;
	monitor_write(KL_REG_ACTIVATE, 1);
	guest_log_number("result ", (uint64_t) - (int64_t) * (volatile int32_t *)&setup->result);
}

static void descriptor(void)
{
	uint64_t table = number(), i = number();
	struct vring_desc *desc = DIRECT(struct vring_desc, table + 16 * i);

	desc->addr = number();
	desc->len = (uint32_t)number();
	desc->flags = (uint16_t)number();
	desc->next = (uint16_t)number();
}

static void write_everything(void)
{
	static const uint64_t values[] = {0, 1, 0xffffffffffffffff, 0x8000000080000000};

	/* Not the registers that wait, end or log: they have tests of their own. */
	for (uint64_t window = 1; window < 5; window++)
		for (uint64_t offset = 0; offset < 0x140; offset += offset < 0x100 ? 4 : 13)
			for (uint64_t bytes = 1; bytes <= 8; bytes *= 2) {
				mmio_write(bytes, window * 0x1000 + offset, values[(offset / 4 + bytes) % 4]);
				mmio_read(bytes, window * 0x1000 + offset);
			}
	for (uint64_t bytes = 1; bytes <= 8; bytes *= 2)
		for (uint64_t offset = 1; offset <= 0xff8; offset += 0x17) {
			if (bytes != 4 || offset % 4)
				mmio_write(bytes, offset, 0xffffffffffffffff);
			mmio_read(bytes, offset);
		}
}

static void step(const struct kl_boot_info *info, char command, char second)
{
	uint64_t first = command == 'a' || command == 'd' || command == 'W' ? 0 : number();

	switch (command) {
	case 'w': {
		uint64_t offset = number();

		mmio_write(first, offset, number());
		break;
	}
	case 'r': guest_log_number("read ", mmio_read(first, number())); break;
	case 'm':
		if (second == '2')
			*DIRECT(volatile uint16_t, first) = (uint16_t)number();
		else if (second == '4')
			*DIRECT(volatile uint32_t, first) = (uint32_t)number();
		else
			*DIRECT(volatile uint64_t, first) = number();
		break;
	case 'a': activate(info); break;
	case 'A': monitor_write(KL_REG_ACTIVATE, (uint32_t)first); break;
	case 'd': descriptor(); break;
	case 'l': monitor_write(KL_REG_LOG, (uint32_t)first); break;
	case 'v': *(volatile uint8_t *)first = 1; break;
	case 'j': ((void (*)(void))first)(); break;
	case 't':
		AT(struct kl_shared, KL_SHARED_PA)->wait_ns = first;
		monitor_write(KL_REG_WAIT, 0);
		break;
	case 's': __asm__ volatile("outl %0, %w1" ::"a"(0), "d"((uint32_t)first)); break;
	case 'W': write_everything(); break;
	case 'x': guest_exit((uint32_t)first);
	default: guest_exit(0x5e);
	}
}

void guest_main(const struct kl_boot_info *info)
{
	char command, second;

	at = AT(char, KL_CMDLINE_PA);
	while ((command = word())) {
		at++;
		second = *at;
		if (second && second != ' ')
			at++;
		step(info, command, second);
	}
	guest_exit(0);
}
