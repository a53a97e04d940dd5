/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the builder (src/kernlet/kernel) generates for each image from the modules' manifests and from the image's settings.
 * All of it is constant.
 */
#ifndef KL_IMAGE_H
#define KL_IMAGE_H

#include <kl/types.h>

/* --- system calls --- */

/* By number (<asm/unistd_64.h>), kl_syscall_count entries; NULL: not in this image. Unused arguments are ignored. */
typedef long (*kl_syscall_fn)(long a0, long a1, long a2, long a3, long a4, long a5);
extern const kl_syscall_fn kl_syscall_table[];
extern const unsigned kl_syscall_count;
/* Name of any system call of x86-64 Linux, in this image or not; NULL: no such number. For the log. */
const char *kl_syscall_name(unsigned number);

/* --- start-up --- */

enum kl_init_stage {
	KL_INIT_EARLY, /* nothing works yet but the log */
	KL_INIT_CORE,
	KL_INIT_DEVICE,
	KL_INIT_FS,
	KL_INIT_NET,
	KL_INIT_LATE,
};

struct kl_init {
	int (*fn)(void); /* 0 or -errno */
	const char *module;
	enum kl_init_stage stage;
};

/* kl_init_count entries, by stage, and within one by what requires what. */
extern const struct kl_init kl_init_table[];
extern const unsigned kl_init_count;

/* --- the image's settings; the command line overrides them --- */

extern const char *const kl_image_argv[]; /* ends with NULL; empty: no program */
extern const char *const kl_image_env[];  /* KEY=VALUE, ends with NULL */
extern const char kl_image_cwd[];
extern const char kl_image_hostname[];
extern const unsigned kl_image_uid, kl_image_gid;

#endif
