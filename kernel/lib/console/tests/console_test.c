/* SPDX-License-Identifier: Apache-2.0 */
/* Standard streams over a device that takes little at a time. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <kl/console.h>
#include <kl/devfs.h>

#include "../../vfs/tests/fs_test.h"
#include "console_priv.h"

struct kl_boot_info kl_boot;
static char logged[100], out[100000];
static size_t logged_bytes, out_bytes, in_flight, resumed;

static void keep_log(const char *text, size_t n)
{
	memcpy(logged + logged_bytes, text, n);
	logged_bytes += n;
}

static const struct kl_platform platform = {.name = "test", .log = keep_log};
const struct kl_platform *kl_platform = &platform;

#define RING 700

static size_t ring_write(struct kl_console_port *port, const void *data, size_t n)
{
	n = n < RING - in_flight ? n : RING - in_flight;
	memcpy(out + out_bytes, data, n);
	out_bytes += n;
	in_flight += n;
	return n;
}

static void ring_flush(struct kl_console_port *port)
{
}

static bool ring_drained(struct kl_console_port *port)
{
	return in_flight == 0;
}

static void ring_resume(struct kl_console_port *port)
{
	resumed++;
}

static const struct kl_console_ops ops = {ring_write, ring_flush, ring_drained, ring_resume};
static struct kl_console_port port = {.ops = &ops, .role = KL_ROLE_STDIO};
static unsigned blocked;

/* The device goes on while the program waits. */
int kl_block(uint64_t deadline_ns, bool interruptible)
{
	blocked++;
	in_flight = 0;
	kl_console_room(&port);
	return 0;
}

static char data[50000], got[5000];

int main(void)
{
	struct stat st;

	fs_test_empty_root();
	kl_fdtable_put(kl_process_init_data.fds); /* the console makes the one that counts */
	CHECK(kl_devfs_init() == 0 && kl_console_init() == 0);
	CHECK(kl_sys_write(1, U("early\n"), 6) == 6 && logged_bytes == 6 && memcmp(logged, "early\n", 6) == 0);
	CHECK(kl_sys_read(0, U(got), 10) == 0);
	printf("ok without a driver\n");

	CHECK(kl_console_add(&port) == 0 && kl_console_add(&port) == -EEXIST);
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 31 + i / 256);
	CHECK(kl_sys_write(1, U(data), sizeof(data)) == sizeof(data) && out_bytes == sizeof(data) &&
		memcmp(out, data, sizeof(data)) == 0);
	CHECK(blocked > 50 && in_flight > 0);
	kl_console_drain();
	CHECK(in_flight == 0);
	CHECK(kl_sys_fcntl(1, F_SETFL, O_NONBLOCK) == 0);
	out_bytes = 0;
	CHECK(kl_sys_write(1, U(data), 2000) == RING && out_bytes == RING && kl_sys_write(1, U(data), 1) == -EAGAIN);
	printf("ok output is whole and in order\n");

	resumed = 0;
	CHECK(kl_sys_read(0, U(got), 10) == -EAGAIN && resumed == 1); /* input is asked for when somebody reads */
	CHECK(kl_sys_read(0, U(got), 10) == -EAGAIN && resumed == 1);
	CHECK(kl_console_input(&port, "line\n", 5) == 5 && kl_sys_read(0, U(got), 2) == 2 &&
		kl_sys_read(0, U(got), 10) == 3);
	CHECK(kl_console_input(&port, data, sizeof(data)) == KL_CONSOLE_INPUT_BYTES);
	CHECK(kl_sys_read(0, U(got), 100) == 100 && memcmp(got, data, 100) == 0 && resumed == 2);
	CHECK(kl_console_input(&port, data, 10) == 10 && kl_sys_read(0, U(got), 5000) == 4006);
	kl_console_input_end(&port);
	CHECK(kl_sys_read(0, U(got), 10) == 0);
	CHECK(kl_sys_ioctl(1, 0x5401, U(got)) == -ENOTTY && kl_sys_fstat(1, U(&st)) == 0 && S_ISCHR(st.st_mode));
	CHECK(kl_sys_lseek(1, 0, 1) == -ESPIPE);
	printf("ok input\n");
	return 0;
}
