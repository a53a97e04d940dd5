// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FD_MAX (1 << 20)

static const char see_help[] = "see kernlet-monitor --help";

const char kl_options_help[] =
	"usage: kernlet-monitor --image FILE --memory BYTES [options]\n"
	"       kernlet-monitor --probe | --version | --help\n"
	"\n"
	"  --image FILE            the kernlet to run\n"
	"  --memory BYTES          memory beyond the image itself (suffixes K, M, G)\n"
	"  --cmdline TEXT          command line handed to the library OS\n"
	"  --control SOCKET        serve status, pause, registers ... on this UNIX socket (JSON lines)\n"
	"  --net tap:IF[,mac=MAC]      a network device on an existing tap interface\n"
	"  --net passt:SOCKET[,mac=MAC] a network device on a running passt\n"
	"  --net passt-fd:N[,mac=MAC]  the same, already connected to descriptor N\n"
	"  --parent PID            end as with SIGTERM when this process, our parent, has ended\n"
	"  --log-fd N              where the library OS's log goes (default 2)\n"
	"  --no-sandbox            keep system calls and capabilities (to debug the monitor)\n"
	"  --probe                 find out whether KVM here runs code at CPL 3; prints JSON, exit status 0 or 1\n"
	"\n"
	"Standard input, output and error are the guest's. The exit status is the guest's; 125: the monitor itself failed.\n";

static int parse_bytes(const char *text, uint64_t *bytes)
{
	char *end;
	unsigned int shift = 0;

	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (errno || end == text || text[0] < '0' || text[0] > '9')
		return -EINVAL;
	switch (*end) {
	case 'G': shift += 10; /* fall through */
	case 'M': shift += 10; /* fall through */
	case 'K': shift += 10; end++;
	}
	if (*end || value > UINT64_MAX >> shift)
		return -EINVAL;
	*bytes = value << shift;
	return 0;
}

static int parse_fd(const char *text, int *fd)
{
	uint64_t number;

	if (parse_bytes(text, &number) || number > FD_MAX)
		return -EINVAL;
	*fd = (int)number;
	return 0;
}

static int parse_pid(const char *text, pid_t *pid)
{
	uint64_t number;

	if (parse_bytes(text, &number) || !number || number > INT_MAX)
		return -EINVAL;
	*pid = (pid_t)number;
	return 0;
}

static int parse_mac(const char *text, uint8_t mac[6])
{
	for (int i = 0; i < 6; i++, text += 3) {
		char pair[3] = {text[0], text[0] ? text[1] : 0, 0}, *end;
		unsigned long value = strtoul(pair, &end, 16);
		if (end != pair + 2 || pair[0] == '+' || pair[0] == '-' || text[2] != (i == 5 ? 0 : ':'))
			return -EINVAL;
		mac[i] = (uint8_t)value;
	}
	return mac[0] & 1 ? -EINVAL : 0;
}

static int parse_net(struct kl_options *options, const char *text)
{
	static const char next[] = "give --net tap:IFNAME, passt:SOCKET or passt-fd:N, and ,mac=52:54:00:12:34:56";
	struct kl_net_options net = {.fd = -1, .mac = {0x52, 0x54, 0x00, 0x6b, 0x6c, (uint8_t)options->nets_count}};
	const char *name = strchr(text, ':');

	if (options->nets_count == KL_OPTIONS_NET_MAX)
		return kl_fail(EINVAL, "give fewer", "--net: more than %d network devices", KL_OPTIONS_NET_MAX);
	if (!strncmp(text, "tap:", 4))
		net.kind = KL_NET_TAP;
	else if (!strncmp(text, "passt:", 6))
		net.kind = KL_NET_PASST;
	else if (!strncmp(text, "passt-fd:", 9))
		net.kind = KL_NET_FD;
	else
		return kl_fail(EINVAL, next, "--net %s: no such kind of network", text);
	name++;

	const char *comma = strrchr(name, ',');
	size_t length = comma ? (size_t)(comma - name) : strlen(name);
	if (!length || length >= (net.kind == KL_NET_TAP ? IFNAMSIZ : sizeof(net.name)))
		return kl_fail(EINVAL, next, "--net %s: name empty or too long", text);
	memcpy(net.name, name, length);
	if (net.kind == KL_NET_FD && parse_fd(net.name, &net.fd))
		return kl_fail(EINVAL, next, "--net %s: not a file descriptor", text);
	if (comma && (strncmp(comma, ",mac=", 5) || parse_mac(comma + 5, net.mac)))
		return kl_fail(EINVAL, next, "--net %s: not a unicast MAC address", text);
	options->nets[options->nets_count++] = net;
	return 0;
}

static int check(const struct kl_options *options, int argc)
{
	if (optind < argc)
		return kl_fail(EINVAL, see_help, "too many arguments");
	if (options->action != KL_ACTION_RUN)
		return 0;
	if (!options->image)
		return kl_fail(EINVAL, see_help, "--image: missing");
	if (!options->memory_bytes)
		return kl_fail(EINVAL, see_help, "--memory: missing");
	return 0;
}

int kl_options_parse(struct kl_options *options, int argc, char **argv)
{
	static const struct option table[] = {{"image", required_argument, NULL, 'i'},
		{"memory", required_argument, NULL, 'm'}, {"cmdline", required_argument, NULL, 'a'},
		{"control", required_argument, NULL, 'c'}, {"net", required_argument, NULL, 'n'},
		{"parent", required_argument, NULL, 'P'}, {"log-fd", required_argument, NULL, 'l'},
		{"no-sandbox", no_argument, NULL, 's'}, {"probe", no_argument, NULL, 'p'},
		{"version", no_argument, NULL, 'v'}, {"help", no_argument, NULL, 'h'}, {0}};
	int error = 0;

	*options = (struct kl_options){.cmdline = "", .log_fd = 2, .sandbox = true};
	opterr = 0;
	for (;;) {
		int at = optind, letter = getopt_long(argc, argv, ":", table, NULL);
		if (letter < 0)
			return check(options, argc);
		switch (letter) {
		case 'i': options->image = optarg; break;
		case 'a': options->cmdline = optarg; break;
		case 'c': options->control = optarg; break;
		case 's': options->sandbox = false; break;
		case 'p': options->action = KL_ACTION_PROBE; break;
		case 'v': options->action = KL_ACTION_VERSION; break;
		case 'h': options->action = KL_ACTION_HELP; break;
		case 'n': error = parse_net(options, optarg); break;
		case 'P':
			if (parse_pid(optarg, &options->parent))
				error = kl_fail(EINVAL, "give a process number", "--parent %s: not one", optarg);
			break;
		case 'm':
			if (parse_bytes(optarg, &options->memory_bytes) || !options->memory_bytes)
				error = kl_fail(EINVAL, "give a number such as 64M", "--memory %s: not a size", optarg);
			break;
		case 'l':
			if (parse_fd(optarg, &options->log_fd) || fcntl(options->log_fd, F_GETFD) < 0)
				error = kl_fail(
					EINVAL, "give an open file descriptor", "--log-fd %s: not open", optarg);
			break;
		case ':': return kl_fail(EINVAL, see_help, "%s: needs a value", argv[at]);
		default: return kl_fail(EINVAL, see_help, "%s: no such option", argv[at]);
		}
		if (error)
			return error;
	}
}
