/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine of a few MiB for tests of memory: RAM at the place of the direct map, a TLB that forgets nothing unless it is told to,
 * and accesses that fault as the program's would. Takes in the real pmm, heap and aspace. kl_copy_to_user() and its like use it.
 */
#ifndef KL_TEST_MACHINE_H
#define KL_TEST_MACHINE_H

#include <kl/file.h>
#include <kl/types.h>

#define MACHINE_IMAGE_PA 0x100000ul /* pages of files in the image, up to MACHINE_FREE_PA */
#define MACHINE_FREE_PA 0x400000ul

enum machine_access { MACHINE_READ, MACHINE_WRITE, MACHINE_EXEC };

extern unsigned machine_flushes, machine_faults;

/* Once. ram_bytes: beyond MACHINE_FREE_PA. */
void machine_start(size_t ram_bytes);
/* 0, or what kl_aspace_fault() said. */
int machine_touch(uint64_t va, void *buf, size_t n, enum machine_access access);

/* Files without names. Image: its bytes are in the machine's image (at most what fits), page for page; otherwise pages of pmm's. */
struct kl_file *machine_image_file(const void *data, size_t bytes, unsigned flags);
struct kl_file *machine_memory_file(size_t bytes, unsigned flags);
/* A byte of the file as read(2) would see it. */
uint8_t *machine_file_byte(struct kl_file *file, uint64_t offset);
/* Pages of image files are given out again. */
void machine_forget_images(void);

#endif
