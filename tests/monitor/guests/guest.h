/* SPDX-License-Identifier: Apache-2.0 */
/* What the test guests share. They run at CPL 3 on the bare monitor, without a library OS. */
#ifndef KL_TEST_GUEST_H
#define KL_TEST_GUEST_H

#include "kl_boot.h"

#include <stddef.h>
#include <stdint.h>

#define AT(type, pa) ((type *)(KL_BASE_VA + (uint64_t)(pa)))
#define DIRECT(type, pa) ((type *)(KL_DIRECT_VA + (uint64_t)(pa)))
#define MMIO(type, pa) ((volatile type *)(KL_MMIO_VA + (uint64_t)(pa)))

/* As stub.S pushes it. */
struct frame {
	uint64_t rbx, cr2, rax, vector, error, rip, cs, flags, rsp, ss;
};

void guest_main(const struct kl_boot_info *info);
void guest_trap(struct frame *frame);
void library_spin(void);
uint64_t library_exit(void);

static inline void copy(void *to, const void *from, size_t bytes)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes)::"memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static inline void monitor_write(uint32_t offset, uint32_t value)
{
	__asm__ volatile("" ::: "memory");
	*MMIO(uint32_t, KL_MONITOR_PA + offset) = value;
	__asm__ volatile("" ::: "memory");
}

static inline _Noreturn void guest_exit(uint32_t status)
{
	for (;;)
		monitor_write(KL_REG_EXIT, status);
}

static inline void guest_log(const char *text)
{
	char *to = AT(char, KL_LOG_PA);
	uint32_t n = 0;

	while (text[n] && n < KL_LOG_BYTES) {
		to[n] = text[n];
		n++;
	}
	monitor_write(KL_REG_LOG, n);
}

static inline void guest_log_number(const char *label, uint64_t value)
{
	char text[128];
	size_t n = 0;
	char digits[20];
	int k = 0;

	while (label[n] && n < 100) {
		text[n] = label[n];
		n++;
	}
	do
		digits[k++] = (char)('0' + value % 10);
	while (value /= 10);
	while (k)
		text[n++] = digits[--k];
	text[n++] = '\n';
	text[n] = 0;
	guest_log(text);
}

#endif
