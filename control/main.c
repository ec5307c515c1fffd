/* SPDX-License-Identifier: BSD-3-Clause */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "log.h"
#include "privileges.h"

static void usage(FILE *out)
{
	fprintf(out,
		"Usage: kaidod [OPTION]...\n"
		"The control plane of a kaido gateway.\n\n"
		"  --state DIR             desired state and history (/var/lib/kaido)\n"
		"  --socket PATH           where kaidoctl calls (/run/kaido/kaidod.sock)\n"
		"  --ike-socket PATH       where charon's plugin calls (ike.sock beside --socket)\n"
		"  --dataplane PATH        kaido-dataplane's socket (/run/kaido/dataplane.sock)\n"
		"  --vici PATH|none        strongSwan's control socket (/run/charon.vici)\n"
		"  --master-key FILE       32 bytes that encrypt the keys at rest; made at the\n"
		"                          first start (/etc/kaido/master.key)\n"
		"  --operator-group GROUP  its members may change everything\n"
		"  --auditor-group GROUP   its members may call what only reads\n"
		"  --ike-group GROUP       a charon that runs as one of its members may call\n"
		"  --sample-interval SEC   of counters into totals and history (10)\n"
		"  --event-days DAYS       how long events are kept (90)\n"
		"  --event-rows N          and at most so many of each tenant (5000)\n"
		"  --version, --help\n");
}

static int interval_parse(const char *text, unsigned int *seconds)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || value < 1 || value > 300 || 300 % value != 0) {
		log_error("--sample-interval takes a divisor of 300 seconds, not '%s'", text);
		return -1;
	}
	*seconds = (unsigned int)value;
	return 0;
}

static int bound_parse(const char *option, const char *text, long most, unsigned int *bound)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || value < 1 || value > most) {
		log_error("%s takes 1 .. %ld, not '%s'", option, most, text);
		return -1;
	}
	*bound = (unsigned int)value;
	return 0;
}

/* 0: run; 1: done; -1: a mistake. */
static int options_parse(int argc, char **argv, struct daemon_options *options)
{
	static const struct option names[] = {
		{ "state", required_argument, NULL, 's' },
		{ "socket", required_argument, NULL, 'r' },
		{ "ike-socket", required_argument, NULL, 'I' },
		{ "dataplane", required_argument, NULL, 'd' },
		{ "vici", required_argument, NULL, 'V' },
		{ "master-key", required_argument, NULL, 'k' },
		{ "operator-group", required_argument, NULL, 'o' },
		{ "auditor-group", required_argument, NULL, 'a' },
		{ "ike-group", required_argument, NULL, 'g' },
		{ "sample-interval", required_argument, NULL, 'i' },
		{ "event-days", required_argument, NULL, 'D' },
		{ "event-rows", required_argument, NULL, 'R' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (option) {
		case 's':
			options->state = optarg;
			break;
		case 'r':
			options->socket = optarg;
			break;
		case 'I':
			options->ike_socket = optarg;
			break;
		case 'd':
			options->dataplane = optarg;
			break;
		case 'V':
			options->vici = strcmp(optarg, "none") == 0 ? NULL : optarg;
			break;
		case 'k':
			options->master_key = optarg;
			break;
		case 'o':
			options->operator_group = optarg;
			break;
		case 'a':
			options->auditor_group = optarg;
			break;
		case 'g':
			options->ike_group = optarg;
			break;
		case 'i':
			if (interval_parse(optarg, &options->sample_interval) < 0)
				return -1;
			break;
		case 'D':
			if (bound_parse("--event-days", optarg, 3650, &options->event_days) < 0)
				return -1;
			break;
		case 'R':
			if (bound_parse("--event-rows", optarg, JOURNAL_ALL, &options->event_rows) <
			    0)
				return -1;
			break;
		case 'v':
			printf("kaidod %s\n", KAIDO_VERSION);
			return 1;
		case 'h':
			usage(stdout);
			return 1;
		default:
			usage(stderr);
			return -1;
		}
	}
	if (optind == argc)
		return 0;
	log_error("'%s' is not an option; see kaidod --help", argv[optind]);
	return -1;
}

int main(int argc, char **argv)
{
	struct daemon_options options = {
		.state = "/var/lib/kaido",
		.socket = "/run/kaido/kaidod.sock",
		.dataplane = "/run/kaido/dataplane.sock",
		.vici = "/run/charon.vici",
		.master_key = "/etc/kaido/master.key",
		.sample_interval = 10,
		.event_days = JOURNAL_DAYS,
		.event_rows = JOURNAL_ROWS,
	};
	struct daemon *daemon;
	int ret = options_parse(argc, argv, &options);

	if (ret != 0)
		return ret < 0 ? 2 : EXIT_SUCCESS;
	if (privileges_harden() < 0 || daemon_create(&options, &daemon) < 0)
		return EXIT_FAILURE;
	ret = privileges_drop();
	if (ret == 0)
		ret = daemon_run(daemon);
	daemon_destroy(daemon);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
