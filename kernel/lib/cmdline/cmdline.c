/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/cmdline.h>
#include <kl/heap.h>
#include <kl/log.h>
#include <kl/string.h>

#include <asm/errno.h>

#include "cmdline_priv.h"

static struct {
	char **tokens; /* NULL: no command line */
	size_t count;
	size_t settings; /* of them, before "--" */
} cmdline;

int kl_cmdline_init(void);

/* Whoever reads a key that is not here adds it. */
static const char *const known_keys[] = {"cwd", "env", "hostname", "log", "mem", "net", "tsc_khz", "wall_ns"};

static bool is_known(const char *setting)
{
	size_t n = (size_t)(strchr(setting, '=') - setting);

	while (n > 0 && setting[n - 1] >= '0' && setting[n - 1] <= '9') /* net0 */
		n--;
	for (size_t i = 0; i < KL_ARRAY_LEN(known_keys); i++) {
		if (strlen(known_keys[i]) == n && memcmp(known_keys[i], setting, n) == 0)
			return true;
	}
	return false;
}

static void set_log_level(const char *name)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};

	for (unsigned i = 0; name != NULL && i < KL_ARRAY_LEN(names); i++) {
		if (strcmp(name, names[i]) == 0)
			kl_log_level = (enum kl_log_level)i;
	}
}

static int split(char *text, size_t n)
{
	size_t bytes;
	char *at = text;

	kl_free(cmdline.tokens);
	cmdline.tokens = NULL;
	cmdline.count = cmdline.settings = cmdline_decode(text, n, &bytes);
	if (cmdline.count == 0)
		return 0;
	cmdline.tokens = kl_malloc((cmdline.count + 1) * sizeof(*cmdline.tokens));
	if (cmdline.tokens == NULL) {
		cmdline.count = cmdline.settings = 0;
		return -ENOMEM;
	}
	for (size_t i = 0; i < cmdline.count; i++) {
		cmdline.tokens[i] = at;
		if (cmdline.settings == cmdline.count && strcmp(at, "--") == 0)
			cmdline.settings = i;
		at += strlen(at) + 1;
	}
	cmdline.tokens[cmdline.count] = NULL;
	return 0;
}

int kl_cmdline_init(void)
{
	char *text = (char *)(KL_DIRECT_VA + KL_CMDLINE_PA);
	size_t n = KL_MIN(kl_boot.cmdline_bytes, KL_CMDLINE_BYTES - 1u);
	int err;

	if (n == 0)
		return 0;
	text[n] = 0;
	err = split(text, n);
	if (err < 0)
		return err;
	set_log_level(kl_cmdline_get("log", 0));
	for (size_t i = 0; i < cmdline.settings; i++) {
		if (strchr(cmdline.tokens[i], '=') == NULL || !is_known(cmdline.tokens[i]))
			kl_warn("command line: unknown setting \"%s\"", cmdline.tokens[i]);
	}
	return 0;
}

const char *kl_cmdline_get(const char *key, unsigned n)
{
	size_t bytes = strlen(key);

	for (size_t i = 0; i < cmdline.settings; i++) {
		if (strncmp(cmdline.tokens[i], key, bytes) != 0 || cmdline.tokens[i][bytes] != '=')
			continue;
		if (n-- == 0)
			return cmdline.tokens[i] + bytes + 1;
	}
	return NULL;
}

const char *const *kl_cmdline_argv(size_t *count)
{
	if (cmdline.settings + 1 >= cmdline.count)
		return NULL;
	*count = cmdline.count - cmdline.settings - 1;
	return (const char *const *)cmdline.tokens + cmdline.settings + 1;
}
