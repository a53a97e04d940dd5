/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records that the monitor and the guest exchange. Little endian, natural alignment, sizes fixed by the assertions below.
 * Whoever reads a record that the other side wrote copies it once, checks the copy and uses the copy.
 */
#ifndef KL_BOOT_H
#define KL_BOOT_H

#include "kl_layout.h"

#include <stdint.h>

#define KL_BOOT_MAGIC 0x3174656c6e72656bull /* "kernlet1" */
#define KL_HEADER_MAGIC 0x726461656874696dull

enum kl_platform_id { KL_PLATFORM_MONITOR = 1, KL_PLATFORM_PC = 2 };

/* What a device is for, beside its virtio device id. */
enum kl_device_role { KL_ROLE_NONE = 0, KL_ROLE_STDIO = 1, KL_ROLE_STDERR = 2 };

/* One virtio device: all that a driver needs to know before it writes its first register. */
struct kl_boot_device {
	uint32_t virtio_id; /* VIRTIO 1.2, section 5 */
	uint32_t role;      /* enum kl_device_role */
	uint64_t window_pa; /* its virtio-mmio registers */
	uint64_t features;  /* offered */
	uint32_t queues;    /* how many */
	uint32_t queue_max; /* entries in each, at most */
	uint8_t config[64]; /* the start of its configuration space */
};

/* Handed over at KL_BOOT_INFO_PA. The monitor fills it; on other platforms the boot code does. */
struct kl_boot_info {
	uint64_t magic;
	uint32_t abi_version;
	uint32_t platform;      /* enum kl_platform_id */
	uint64_t ram_end_pa;    /* RAM is [0, ram_end_pa), except that [0xa0000, 0x100000) may be missing */
	uint64_t free_start_pa; /* nothing of ours lies from here to ram_end_pa; 4 KiB aligned */
	uint64_t free_zeroed;   /* 1: that memory is known to be zero */
	uint64_t rootfs_pa;     /* EROFS image, 4 KiB aligned; 0: none */
	uint64_t rootfs_bytes;
	uint64_t tables_pa;      /* root of the active page tables */
	uint64_t tables_free_pa; /* first page of [KL_TABLES_PA, KL_TABLES_END_PA) not used by them */
	uint64_t tsc_khz;        /* 0: unknown */
	uint64_t tsc_base;       /* TSC at the moment when CLOCK_REALTIME was wall_ns */
	uint64_t wall_ns;        /* 0: unknown */
	uint8_t seed[48];        /* random; the guest wipes it after use */
	uint32_t cmdline_bytes;  /* without the zero */
	uint32_t devices_count;
	struct kl_boot_device devices[KL_VIRTIO_MAX];
};

/* At KL_GATE_PA + KL_GATE_HEADER_OFFSET of every image: what the monitor must know of the library OS's text. */
struct kl_image_header {
	uint64_t magic;
	uint32_t abi_version;
	uint32_t reserved;
	/* [text_start, text_end): library OS; a tick that hits it only sets kl_shared.pending */
	uint64_t text_start_va;
	uint64_t text_end_va;
	/* [exit_start, exit_end): return to the program; a tick there restarts it at exit_start */
	uint64_t exit_start_va;
	uint64_t exit_end_va;
	uint64_t crash_pa; /* struct of the last fatal fault, for the control socket; 0: none */
	/* Written by the builder, the same as in the image's note; for machines where the guest's own boot code fills kl_boot_info. */
	uint64_t rootfs_pa;
	uint64_t rootfs_bytes;
};

#define KL_WAIT_FOREVER UINT64_MAX

/* At KL_SHARED_PA while the VM runs. */
struct kl_shared {
	/* monitor or stub: set when a tick could not be delivered; guest: cleared when it has looked */
	uint32_t pending;
	uint32_t running; /* guest: 0 while it is in KL_REG_WAIT */
	uint64_t wait_ns; /* guest, before KL_REG_WAIT: the longest wait, relative */
	/* monitor: a signal for the program, with pending set; guest: cleared when it has sent it */
	uint32_t stop_signal;
	uint32_t takes_signals; /* guest: 1 when it looks at stop_signal */
	uint64_t stats[31];     /* guest: counters for the control socket; meaning given by enum kl_stat */
};

#define KL_VIRTIO_SETUP_QUEUES 4

/* One device's set-up, guest to monitor, taken over by KL_REG_ACTIVATE: as if the virtio-mmio registers had been written. */
struct kl_virtio_setup {
	uint32_t device; /* index into kl_boot_info.devices */
	int32_t result;  /* monitor: 0, or -errno and the device is unchanged */
	uint64_t features;
	uint32_t queues; /* set up: queue 0 to queues - 1 */
	uint32_t reserved;
	struct {
		uint64_t desc_pa, avail_pa, used_pa;
		uint32_t size; /* entries, a power of two */
		uint32_t reserved;
	} queue[KL_VIRTIO_SETUP_QUEUES];
};

_Static_assert(sizeof(struct kl_boot_device) == 96, "ABI");
_Static_assert(sizeof(struct kl_boot_info) <= 0x1000, "one page");
_Static_assert(sizeof(struct kl_shared) == 272, "ABI");
_Static_assert(sizeof(struct kl_virtio_setup) == 152, "ABI");

#endif
