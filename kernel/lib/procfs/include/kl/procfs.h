/* SPDX-License-Identifier: Apache-2.0 */
/* /proc and /sys: files whose text is made when they are read. */
#ifndef KL_PROCFS_H
#define KL_PROCFS_H

#include <kl/file.h>
#include <kl/list.h>
#include <kl/types.h>
#include <kl/uaccess.h>

/* Text that grows as it is written; lost is set when memory ran out. */
struct kl_text {
	char *buf;
	size_t used, size;
	bool lost;
};
void kl_text_printf(struct kl_text *t, const char *fmt, ...) KL_PRINTF(2, 3);
void kl_text_write(struct kl_text *t, const void *data, size_t n);
/* Appends n bytes of the program's memory; stops at what can't be read. */
void kl_text_user(struct kl_text *t, kl_uaddr from, size_t n);

/* Other modules' files, below a directory that is there. At init, stage "fs"; kept for ever. */
struct kl_proc_file {
	struct kl_list link;
	const char *dir;  /* such as "net": relative to /proc */
	const char *name; /* such as "tcp" */
	uint32_t mode;    /* such as 0444 */
	void (*show)(struct kl_text *t);
	/* What was written, n bytes with a zero behind. 0 or -errno. NULL: can't be written. */
	int (*store)(const char *text, size_t n);
};
void kl_procfs_add(struct kl_proc_file *file);

#endif
