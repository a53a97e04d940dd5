/* SPDX-License-Identifier: Apache-2.0 */
/* From the boot record to the first program. */
#include <kl/arch.h>
#include <kl/entry.h>
#include <kl/image.h>
#include <kl/log.h>
#include <kl/platform.h>
#include <kl/process.h>
#include <kl/sched.h>

#define CANARY_ZERO_BYTE 0xffull /* one byte of zero stops string functions that run over */

extern char kl_boot_stack[]; /* KL_KSTACK_BYTES */
uint64_t __stack_chk_guard;

KL_NORETURN void __stack_chk_fail(void);

/* The thread that starts everything, and then waits for ever. */
static struct kl_thread boot_thread = {
	.state = KL_THREAD_RUNNING,
	.proc = &kl_process_init_data,
	.comm = "boot",
};

void __stack_chk_fail(void)
{
	kl_panic("stack smashed, called from %p", __builtin_return_address(0));
}

static void run_init(enum kl_init_stage first, enum kl_init_stage last)
{
	for (unsigned i = 0; i < kl_init_count; i++) {
		const struct kl_init *init = &kl_init_table[i];
		int r;

		if (init->stage < first || init->stage > last)
			continue;
		kl_debug("init %s", init->module);
		r = init->fn();
		if (r < 0)
			kl_panic("module %s failed to start: error %d", init->module, -r);
	}
}

/* Sets the guard that its own frame would be checked against. */
__attribute__((optimize("no-stack-protector"))) void kl_boot_main(const struct kl_boot_info *record)
{
	int r;

	if (kl_platform_select(record) < 0)
		for (;;)
			kl_arch_halt();
	__stack_chk_guard = (*(const uint64_t *)kl_boot.seed ^ kl_arch_tsc()) & ~CANARY_ZERO_BYTE;

	kl_list_init(&boot_thread.sig.queue);
	boot_thread.kstack_va = (uint64_t)kl_boot_stack;
	boot_thread.regs = (struct kl_regs *)(boot_thread.kstack_va + KL_KSTACK_BYTES) - 1;
	kl_current = &boot_thread;
	kl_arch_boot_tables(kl_boot.tables_pa);
	kl_arch_thread_load(NULL, &boot_thread);

	run_init(KL_INIT_EARLY, KL_INIT_CORE);
	r = kl_platform->init();
	if (r < 0)
		kl_panic("platform %s failed to start: error %d", kl_platform->name, -r);
	run_init(KL_INIT_DEVICE, KL_INIT_LATE);
	kl_shared.takes_signals = 1;
	for (;;)
		kl_block(KL_FOREVER, false);
}
