/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of this module. */
#ifndef KL_PROCFS_PRIV_H
#define KL_PROCFS_PRIV_H

#include <kl/procfs.h>
#include <kl/vfs.h>

struct kl_proc_entry;

/* A node: an entry of the table, for a thread or descriptor where the table stands for several. */
struct kl_proc_node {
	struct kl_vnode vn; /* first */
	const struct kl_proc_entry *entry;
	const struct kl_proc_file *added; /* instead of entry->show */
	int id;                           /* tid below task/, descriptor below fd/ */
	char target[24];                  /* of a symbolic link made for this node */
};

/* A directory whose names are numbers. */
struct kl_proc_numbers {
	const struct kl_proc_entry *each;
	bool (*exists)(int id);
	int (*next)(int from); /* the lowest from `from` on, or -1 */
};

struct kl_proc_entry {
	const char *name; /* NULL: end of the table */
	uint32_t mode;    /* with type, which says what else there is */
	union {
		struct { /* directory */
			const struct kl_proc_entry *children;
			const struct kl_proc_numbers *numbers; /* beside the children */
			const char *path;                      /* where other modules' files may be */
		};
		struct { /* file */
			void (*show)(struct kl_text *t, int id);
			int (*store)(const char *text, size_t n, int id);
		};
		struct { /* symbolic link: a text that is made once, or an entry and the text for readlink(2) */
			size_t (*target)(char *buf, size_t size, int id);
			int (*follow)(int id, struct kl_dentry **out);
			kl_ssize (*readlink)(int id, char *buf, size_t size);
		};
	};
};

#define KL_PROC_FILE(n, fn)                                                                                            \
	{                                                                                                              \
		.name = n, .mode = 0100444, .show = fn                                                                 \
	}
#define KL_PROC_DIR(n, c)                                                                                              \
	{                                                                                                              \
		.name = n, .mode = 0040555, .children = c                                                              \
	}
#define KL_PROC_END                                                                                                    \
	{                                                                                                              \
		.name = NULL                                                                                           \
	}

extern const struct kl_proc_entry kl_proc_self[]; /* the table below /proc/<pid> */
extern struct kl_list kl_proc_files;              /* added by other modules */

int kl_proc_mount(const char *path, const char *type, uint32_t magic, const struct kl_proc_entry *root);
int kl_procfs_init(void);

#endif
