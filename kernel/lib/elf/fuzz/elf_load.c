/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a program: it is loaded or refused, nothing of the library OS's is harmed, and no page is lost. */
#include <stdlib.h>

#include <kl/aspace.h>
#include <kl/elf.h>
#include <kl/pmm.h>
#include <kl/process.h>

#include "fake_vfs.h"
#include "machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const argv[] = {"/prog", "argument", NULL}, *const envp[] = {"A=B", NULL};
	static size_t free_at_start;
	struct kl_regs regs;
	bool committed;
	char c;

	if (free_at_start == 0) {
		machine_start(16 << 20);
		kl_proc()->aspace = kl_aspace_current;
		free_at_start = kl_pages_free();
	}
	fake_vfs_add("/prog", data, n);
	fake_vfs_add("/ld.so", data, n);
	if (kl_elf_exec("/prog", argv, envp, &regs, &committed) == 0) {
		machine_touch(regs.rip, &c, 1, MACHINE_EXEC);
		if (machine_touch(regs.rsp, &c, 1, MACHINE_WRITE) < 0)
			abort();
	}
	kl_aspace_reset(kl_aspace_current);
	fake_vfs_clear();
	if (kl_pages_free() != free_at_start)
		abort();
	return 0;
}
