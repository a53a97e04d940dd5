/* SPDX-License-Identifier: Apache-2.0 */
/* A few named files, in the machine's image. */
#ifndef KL_TEST_FAKE_VFS_H
#define KL_TEST_FAKE_VFS_H

#include <stddef.h>

void fake_vfs_add(const char *path, const void *data, size_t bytes);
void fake_vfs_clear(void);

#endif
