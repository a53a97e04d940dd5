/* SPDX-License-Identifier: Apache-2.0 */
/* Each write to a register is an exit to the monitor: 25 to 30 us where KVM has no hardware to lean on. */
#include <kl/entry.h>
#include <kl/platform.h>
#include <kl/string.h>
#include <kl/virtio_direct.h>

#include "kl_layout.h"

static void write_register(unsigned offset, uint32_t value)
{
	*(volatile uint32_t *)(KL_MMIO_VA + KL_MONITOR_PA + offset) = value;
}

static int monitor_init(void)
{
	kl_virtio_direct_use();
	return 0;
}

static void monitor_wait(uint64_t ns)
{
	kl_shared.wait_ns = ns;
	kl_shared.running = 0;
	write_register(KL_REG_WAIT, 0);
	kl_shared.running = 1;
}

/* The monitor ticks whenever the guest runs for long; it needs no acknowledgement. */
static void monitor_tick(bool on)
{
	(void)on;
}

static void monitor_ack(void)
{
}

static void monitor_log(const char *text, size_t bytes)
{
	char *buffer = (char *)(KL_BASE_VA + KL_LOG_PA);

	while (bytes > 0) {
		size_t n = KL_MIN(bytes, (size_t)KL_LOG_BYTES);

		memcpy(buffer, text, n);
		write_register(KL_REG_LOG, (uint32_t)n);
		text += n;
		bytes -= n;
	}
}

static KL_NORETURN void monitor_exit(int status)
{
	write_register(KL_REG_EXIT, (uint32_t)status & 0xff);
	for (;;)
		monitor_wait(KL_WAIT_FOREVER);
}

const struct kl_platform kl_platform_monitor = {
	.name = "monitor",
	.init = monitor_init,
	.wait = monitor_wait,
	.tick = monitor_tick,
	.ack = monitor_ack,
	.log = monitor_log,
	.exit = monitor_exit,
};
