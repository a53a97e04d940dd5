/* SPDX-License-Identifier: Apache-2.0 */
/* The program loader: ELF files, with or without an interpreter, and scripts (execve(2)). */
#ifndef KL_ELF_H
#define KL_ELF_H

#include <kl/regs.h>
#include <kl/types.h>

/*
 * Replaces what the current address space holds by the program at path, and sets *regs so that it starts. path, argv and envp (both
 * end with NULL) are the library OS's. 0 or -errno; once the old program is gone there is no way back, and *committed says so.
 */
int kl_elf_exec(
	const char *path, const char *const *argv, const char *const *envp, struct kl_regs *regs, bool *committed);

/* Starts the first program: the image's, unless the command line names another. It ends the VM if there is none. */
int kl_process_start_init(void);

#endif
