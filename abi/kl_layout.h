/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things live: guest-physical (PA) and guest-virtual (VA) addresses on which the monitor, the library OS, the ring-0 stub
 * and the builder agree. Plain numeric #defines only: included from C and assembly, and parsed by the Python builder.
 *
 * Guest-physical memory, the same on every platform:
 *
 *   0x0000_0000  never mapped
 *   0x0000_1000  struct kl_boot_info (kl_boot.h)
 *   0x0000_2000  command line, zero-terminated text
 *   0x0000_d000  struct kl_virtio_setup[]: device set-up that the guest asks for in one exit
 *   0x0000_e000  struct kl_shared: what guest and monitor (or stub) share while running
 *   0x0000_f000  log buffer: text that the guest hands to the monitor
 *   0x0001_0000  initial page tables, up to KL_TABLES_END_PA
 *   0x0010_0000  the image: stub pages, library OS, root file system; then free memory up to the end of RAM
 *   0xd000_0000  the monitor's registers and virtio-mmio windows (nothing on other platforms)
 *
 * Guest-virtual memory that belongs to the library OS; the rest of the lower half is the program's:
 *
 *   KL_BASE_VA + pa        low pages and the library OS's own segments, 4 KiB pages, W^X
 *   KL_DIRECT_VA + pa      all of RAM (image included), read-write, never executable
 *   KL_STACKS_VA           kernel stacks, each with a guard page
 *   KL_MMIO_VA + pa        device windows, mapped on demand
 */
#ifndef KL_LAYOUT_H
#define KL_LAYOUT_H

#define KL_ABI_VERSION 1

#define KL_BOOT_INFO_PA 0x1000
#define KL_CMDLINE_PA 0x2000
#define KL_CMDLINE_BYTES 0xb000
#define KL_VIRTIO_SETUP_PA 0xd000
#define KL_SHARED_PA 0xe000
#define KL_LOG_PA 0xf000
#define KL_LOG_BYTES 0x1000
#define KL_TABLES_PA 0x10000
#define KL_TABLES_END_PA 0x9f000
#define KL_IMAGE_PA 0x100000

#define KL_BASE_VA 0x100000000000
#define KL_DIRECT_VA 0x200000000000
#define KL_STACKS_VA 0x300000000000
#define KL_MMIO_VA 0x380000000000
#define KL_END_VA 0x400000000000
#define KL_USER_TOP_VA 0x7ffffffff000

/* The first pages of the image; every image has the same ones at the same place. */
#define KL_STUB_PA 0x100000       /* ring-0 text: gates, LSTAR entry, services */
#define KL_GATE_PA 0x101000       /* CPL 3 entries at fixed offsets, then struct kl_image_header */
#define KL_TABLE_PA 0x102000      /* IDT, GDT, TSS with its I/O bitmap */
#define KL_TRAP_STACK_PA 0x103000 /* ring-0 stack of exceptions (TSS.RSP0); its page is readable at CPL 3 */
#define KL_IRQ_STACK_PA 0x104000  /* ring-0 stack of interrupts (TSS.IST1) */
#define KL_KERNEL_PA 0x105000     /* the library OS proper */

/* KL_GATE_PA: where rewritten code jumps. rcx = return address, the rest as for the syscall instruction. */
#define KL_GATE_SYSCALL_VA 0x100000101000
#define KL_GATE_HEADER_OFFSET 0x100 /* struct kl_image_header */

/* KL_STUB_PA: gate of vector v at KL_STUB_PA + 16 * v; the entry for LSTAR behind them. */
#define KL_STUB_VECTORS 64
#define KL_STUB_LSTAR_OFFSET 0x400
/* KL_TABLE_PA */
#define KL_TABLE_IDT_OFFSET 0x000
#define KL_TABLE_GDT_OFFSET 0x400
#define KL_TABLE_GDT_BYTES 0x50
#define KL_TABLE_TSS_OFFSET 0x480
#define KL_TABLE_TSS_LIMIT 0x268 /* 0x68 bytes of TSS, 0x200 of bitmap (ports 0 to 0xfff, all allowed), one of ones */

#define KL_SEL_CODE0 0x08
#define KL_SEL_DATA0 0x10
#define KL_SEL_DATA3 0x2b
#define KL_SEL_CODE3 0x33
#define KL_SEL_TSS 0x40

#define KL_VECTOR_TICK 0x30 /* timer or event: the guest should look at its rings and timers */

/* The monitor's registers: 32-bit writes at KL_MONITOR_PA + offset. */
#define KL_MONITOR_PA 0xd0000000
#define KL_REG_WAIT 0x00 /* block until a device has news or kl_shared.wait_ns has passed; notifies network queues */
#define KL_REG_EXIT 0x04 /* end the VM; value: exit status, 0 to 255 */
#define KL_REG_ACTIVATE 0x08 /* take over value entries of kl_virtio_setup[]; each entry's result is filled in */
#define KL_REG_LOG 0x0c      /* value bytes of text lie in the log buffer */
/* virtio-mmio windows (VIRTIO 1.2, section 4.2, version 2), 4 KiB apart. */
#define KL_VIRTIO_PA 0xd0001000
#define KL_VIRTIO_STRIDE 0x1000
#define KL_VIRTIO_MAX 16

#endif
