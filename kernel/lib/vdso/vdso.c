/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/aspace.h>
#include <kl/log.h>
#include <kl/pmm.h>
#include <kl/vdso.h>

#include <asm/errno.h>
#include <linux/mman.h>

/* The page before the vDSO in the program's memory; image.S knows the offsets. */
struct vdso_data {
	uint32_t sequence; /* changes with each update: who reads in pieces looks again */
	uint32_t reserved;
	uint64_t tsc_start, mult, wall_ns;
};

static union {
	volatile struct vdso_data data;
	char page[KL_PAGE_BYTES]; /* nothing else may lie there: the program sees all of it */
} shared __attribute__((aligned(KL_PAGE_BYTES)));

extern const char kl_vdso_image[KL_PAGE_BYTES]; /* image.S */

void kl_vdso_update(uint64_t tsc_start, uint64_t mult, unsigned shift, uint64_t wall_ns)
{
	KL_ASSERT(shift == KL_VDSO_SHIFT);
	shared.data.sequence++;
	shared.data.tsc_start = tsc_start;
	shared.data.mult = mult;
	shared.data.wall_ns = wall_ns;
}

int64_t kl_vdso_map(struct kl_aspace *as)
{
	kl_phys code = kl_virt_to_phys(kl_vdso_image), data = kl_virt_to_phys(&shared);
	int64_t at = kl_aspace_map(as, 0, 2 * KL_PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0);
	kl_uaddr start = (kl_uaddr)at;

	if (at < 0)
		return at;
	if (kl_aspace_unmap(as, start, 2 * KL_PAGE_BYTES) < 0 ||
		kl_aspace_map_image(as, start, data, KL_PAGE_BYTES, PROT_READ, "[vvar]") != at)
		return -ENOMEM;
	at = kl_aspace_map_image(as, start + KL_PAGE_BYTES, code, KL_PAGE_BYTES, PROT_READ | PROT_EXEC, "[vdso]");
	if (at != (int64_t)(start + KL_PAGE_BYTES))
		return -ENOMEM;
	kl_aspace_populate(as, start, 2 * KL_PAGE_BYTES, false);
	return at;
}
