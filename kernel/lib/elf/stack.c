/* SPDX-License-Identifier: Apache-2.0 */
/* The initial stack (System V ABI AMD64 supplement, section 3.4.1; getauxval(3)). */
#include <kl/arch.h>
#include <kl/aspace.h>
#include <kl/heap.h>
#include <kl/process.h>
#include <kl/random.h>
#include <kl/string.h>
#include <kl/uaccess.h>

#include <asm/auxvec.h>
#include <asm/errno.h>
#include <linux/auxvec.h>
#include <linux/mman.h>

#include "elf_priv.h"
#include "kl_layout.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

#define ARGUMENT_BYTES (2u << 20) /* all strings and their pointers; execve(2): a quarter of the stack's limit */
#define STRING_BYTES (128u << 10)
#define STACK_BYTES (132u << 10)        /* mapped from the start, beside the strings */
#define AHEAD_BYTES (4 * KL_PAGE_BYTES) /* present from the start: the program will use them at once */
#define SIGNAL_FRAME_BYTES 1024
#define CLOCK_TICKS 100
#define HWCAP2_FSGSBASE 2
#define RANDOM_BYTES 16

static const char platform[] = "x86_64";

struct builder {
	uint64_t at;     /* where the last string was put */
	uint64_t *words; /* what comes below the strings */
	size_t count;
};

static size_t count_strings(const char *const *list, uint64_t *bytes)
{
	size_t n = 0;

	for (; list[n] != NULL; n++) {
		size_t length = strlen(list[n]) + 1;

		*bytes += length <= STRING_BYTES ? length + sizeof(uint64_t) : ARGUMENT_BYTES + 1;
		if (*bytes > ARGUMENT_BYTES)
			break;
	}
	return n;
}

static int push_bytes(struct builder *b, const void *data, size_t n)
{
	b->at -= n;
	return kl_copy_to_user(b->at, data, n);
}

/* Strings in order of address, as Linux leaves them; words: where their addresses go. */
static int push_strings(struct builder *b, const char *const *list, size_t n, uint64_t *words)
{
	while (n-- > 0) {
		if (push_bytes(b, list[n], strlen(list[n]) + 1) < 0)
			return -EFAULT;
		words[n] = b->at;
	}
	return 0;
}

static void aux(struct builder *b, uint64_t type, uint64_t value)
{
	b->words[b->count++] = type;
	b->words[b->count++] = value;
}

static uint32_t cpu_features(void)
{
	uint32_t a = 1, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return d;
}

static void push_auxv(struct builder *b, const struct elf_start *start, uint64_t path, uint64_t name, uint64_t random)
{
	struct kl_process *proc = kl_proc();
	size_t first = b->count;

	if (start->vdso != 0)
		aux(b, AT_SYSINFO_EHDR, start->vdso);
	aux(b, AT_MINSIGSTKSZ, kl_arch_fpu_bytes() + SIGNAL_FRAME_BYTES);
	aux(b, AT_HWCAP, cpu_features());
	aux(b, AT_PAGESZ, KL_PAGE_BYTES);
	aux(b, AT_CLKTCK, CLOCK_TICKS);
	aux(b, AT_PHDR, start->program.segments);
	aux(b, AT_PHENT, sizeof(Elf64_Phdr));
	aux(b, AT_PHNUM, start->segment_count);
	aux(b, AT_BASE, start->base);
	aux(b, AT_FLAGS, 0);
	aux(b, AT_ENTRY, start->program.entry);
	aux(b, AT_UID, proc->uid);
	aux(b, AT_EUID, proc->euid);
	aux(b, AT_GID, proc->gid);
	aux(b, AT_EGID, proc->egid);
	aux(b, AT_SECURE, 0);
	aux(b, AT_RANDOM, random);
	aux(b, AT_HWCAP2, HWCAP2_FSGSBASE);
	aux(b, AT_EXECFN, path);
	aux(b, AT_PLATFORM, name);
	aux(b, AT_NULL, 0);
	_Static_assert(21 * 2 <= KL_ARRAY_LEN(proc->auxv), "kl_process.auxv");
	memcpy(proc->auxv, b->words + first, (b->count - first) * sizeof(*b->words));
}

static int fill(struct builder *b, const struct elf_start *start, size_t argc, size_t envc)
{
	struct kl_process *proc = kl_proc();
	uint64_t *argv = b->words + 1, *envp = argv + argc + 1;
	uint8_t random[RANDOM_BYTES];
	uint64_t path, name;

	b->at -= sizeof(uint64_t); /* Linux ends with a word of zero */
	if (push_bytes(b, start->path, strlen(start->path) + 1) < 0)
		return -EFAULT;
	path = proc->env_end = b->at;
	if (push_strings(b, start->envp, envc, envp) < 0)
		return -EFAULT;
	proc->env_start = proc->arg_end = b->at;
	if (push_strings(b, start->argv, argc, argv) < 0)
		return -EFAULT;
	proc->arg_start = b->at;
	b->at = KL_ALIGN_DOWN(b->at, 16ul);
	kl_random_bytes(random, sizeof(random));
	if (push_bytes(b, platform, sizeof(platform)) < 0)
		return -EFAULT;
	name = b->at;
	if (push_bytes(b, random, sizeof(random)) < 0)
		return -EFAULT;
	b->words[0] = argc;
	argv[argc] = envp[envc] = 0;
	b->count = argc + envc + 3;
	push_auxv(b, start, path, name, b->at);
	b->at = KL_ALIGN_DOWN(b->at - b->count * sizeof(*b->words), 16ul);
	return kl_copy_to_user(b->at, b->words, b->count * sizeof(*b->words));
}

int elf_stack_make(const struct elf_start *start, uint64_t *sp)
{
	uint64_t bytes = strlen(start->path) + 1;
	size_t argc = count_strings(start->argv, &bytes), envc = count_strings(start->envp, &bytes);
	struct kl_aspace_layout layout;
	struct builder b = {0};
	int64_t addr;
	int err;

	if (bytes > ARGUMENT_BYTES)
		return -E2BIG;
	kl_aspace_layout(kl_aspace_current, &layout);
	addr = kl_aspace_map_stack(kl_aspace_current, layout.stack_top, KL_ALIGN_UP(bytes, KL_PAGE_BYTES) + STACK_BYTES,
		PROT_READ | PROT_WRITE | (start->exec_stack ? PROT_EXEC : 0));
	if (addr < 0)
		return (int)addr;
	b.words = kl_malloc((argc + envc + 3) * sizeof(*b.words) + sizeof(kl_proc()->auxv));
	if (b.words == NULL)
		return -ENOMEM;
	b.at = layout.stack_top;
	bytes += sizeof(kl_proc()->auxv) + AHEAD_BYTES;
	kl_aspace_populate(kl_aspace_current, layout.stack_top - bytes, bytes, true);
	err = fill(&b, start, argc, envc);
	*sp = b.at;
	kl_free(b.words);
	return err == -EFAULT ? -ENOMEM : err;
}
