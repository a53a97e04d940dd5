/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between the machines that an image boots on. One implementation a machine; boot picks by kl_boot_info.platform. */
#ifndef KL_PLATFORM_H
#define KL_PLATFORM_H

#include <kl/types.h>

#include "kl_boot.h"

struct kl_platform {
	const char *name;
	/* After the heap works. Finds devices (kl_boot_info.devices), sets up interrupts. 0 or -errno. */
	int (*init)(void);
	/* Blocks until an event of a device, or until ns have passed; returns early at will. Called with nothing left to do. */
	void (*wait)(uint64_t ns);
	/* While a program runs: makes a tick arrive within about 10 ms, again and again; the platform may tick anyway. */
	void (*tick)(bool on);
	/* After a tick reached the library OS (kl_trap of KL_VECTOR_TICK, or kl_shared.pending): acknowledges it to the hardware. */
	void (*ack)(void);
	void (*log)(const char *text, size_t bytes);
	KL_NORETURN void (*exit)(int status);
};

extern const struct kl_platform *kl_platform;

/* Each platform module defines one of these; the boot code takes it by the platform's id. */
extern const struct kl_platform kl_platform_monitor, kl_platform_pc;

/* The boot record, checked and copied at boot. */
extern struct kl_boot_info kl_boot;

/*
 * At boot: checks the record, copies it to kl_boot and picks the platform. 0, -EINVAL (not a record of this ABI version), -ENODEV
 * (the image was not built for this machine).
 */
int kl_platform_select(const struct kl_boot_info *record);

/* Value of a key on the command line, decoded, or NULL; the n-th when it is given several times. Kept for ever. */
const char *kl_cmdline_get(const char *key, unsigned n);

#endif
