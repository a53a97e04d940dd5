/* SPDX-License-Identifier: Apache-2.0 */
/* For host tests of what works on files: a file system in memory, and the program that is this test. */
#ifndef FS_TEST_H
#define FS_TEST_H

#include <stdio.h>
#include <stdlib.h>

#include <kl/file.h>
#include <kl/platform.h>
#include <kl/process.h>
#include <kl/tmpfs.h>
#include <kl/vfs.h>
#include <kl/vfs_sys.h>

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d %s\n", __FILE__, __LINE__, #cond);                                          \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

#define U(p) ((kl_uaddr)(uintptr_t)(p)) /* an address as the program would pass it */

/* The first process: super user, no limits, no files. */
static inline void fs_test_process(void)
{
	struct kl_process *p = &kl_process_init_data;

	for (unsigned i = 0; i < KL_RLIMITS; i++)
		p->rlimits[i].soft = p->rlimits[i].hard = UINT64_MAX;
	p->rlimits[7].soft = p->rlimits[7].hard = 1024; /* RLIMIT_NOFILE */
	p->fds = kl_fdtable_create();
	CHECK(p->fds != NULL);
}

static inline void fs_test_empty_root(void)
{
	struct kl_super *super;

	CHECK(kl_tmpfs_create("rw", 0755, NULL, &super) == 0);
	CHECK(kl_vfs_mount(super, "/") == 0);
	fs_test_process();
}

#endif
