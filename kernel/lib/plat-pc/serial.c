/* SPDX-License-Identifier: Apache-2.0 */
/* The first serial port, for the log and the exit status, and the end of the machine. Works in ring 0 and at CPL 3. */
#include "pc_priv.h"

#include <kl/string.h>

#define COM1 0x3f8
#define LINE_STATUS 5
#define TRANSMIT_EMPTY 0x20
#define STATUS_READS 100000u /* of a port whose other side does not read, or that is not there */

#define DEBUG_EXIT_PORT 0x501 /* QEMU: -device isa-debug-exit,iobase=0x501,iosize=1 */
#define RESET_PORT 0xcf9
#define RESET_COLD 0x06
#define KEYBOARD_PORT 0x64
#define KEYBOARD_RESET 0xfe

void pc_serial_write(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		for (unsigned reads = 0; reads < STATUS_READS && !(pc_in8(COM1 + LINE_STATUS) & TRANSMIT_EMPTY);
			reads++)
			;
		pc_out8(COM1, (uint8_t)text[i]);
	}
}

void pc_end(int status)
{
	char line[32];
	int n = kl_snprintf(line, sizeof(line), "kernlet-exit: %d\n", status & 0xff);

	pc_serial_write(line, (size_t)n);
	pc_out8(DEBUG_EXIT_PORT, (uint8_t)status);
	pc_out8(KEYBOARD_PORT, KEYBOARD_RESET);
	pc_out8(RESET_PORT, RESET_COLD);
	/* Without gates, an exception is a triple fault, and that ends any virtual machine. */
	memset((void *)(KL_DIRECT_VA + KL_TABLE_PA + KL_TABLE_IDT_OFFSET), 0, KL_STUB_VECTORS * 16);
	for (;;)
		__asm__ volatile("ud2");
}

void pc_give_up(const char *text)
{
	pc_serial_write(text, strlen(text));
	pc_end(125);
}
