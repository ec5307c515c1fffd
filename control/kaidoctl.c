/* SPDX-License-Identifier: BSD-3-Clause */
#include "kaidoctl.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "key_file.h"
#include "rpc_client.h"

#define SOCKET_DEFAULT "/run/kaido/kaidod.sock"

static void usage(FILE *out)
{
	const struct command *command;

	fprintf(out,
		"Usage: kaidoctl [--json] [--socket PATH] COMMAND ...\n"
		"The operator's command line of a kaido gateway. Without a command: a shell.\n\n");
	for (command = ctl_commands; command->name != NULL; command++)
		if (command->summary != NULL)
			fprintf(out, "  %-11s %s\n", command->name, command->summary);
	fprintf(out,
		"\n"
		"  --json         print results as kaidod gave them\n"
		"  --socket PATH  of kaidod (" SOCKET_DEFAULT ", or KAIDO_SOCKET)\n"
		"  --help         of this, or of the command before it\n"
		"  --version\n\n"
		"Exits with 0 when it was done, 1 when it was refused or failed, 2 when it was\n"
		"not asked properly, 3 when kaidod can't be reached.\n");
}

int ctl_globals_take(struct ctl *ctl, int *argc, char **argv)
{
	int i, n = 0;

	for (i = 0; i < *argc; i++) {
		/* Words that are being completed are nobody's options. */
		if (n == 1 && strcmp(argv[0], "complete") == 0) {
			for (; i < *argc; i++)
				argv[n++] = argv[i];
		} else if (strcmp(argv[i], "--json") == 0) {
			ctl->json = true;
		} else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			ctl->help = true;
		} else if (strcmp(argv[i], "--version") == 0) {
			ctl->version = true;
		} else if (strncmp(argv[i], "--socket=", 9) == 0) {
			ctl->socket = argv[i] + 9;
		} else if (strcmp(argv[i], "--socket") != 0) {
			argv[n++] = argv[i];
		} else if (i + 1 < *argc) {
			ctl->socket = argv[++i];
		} else {
			fprintf(stderr, "kaidoctl: --socket takes a path\n");
			return CTL_USAGE;
		}
	}
	argv[n] = NULL;
	*argc = n;
	return CTL_OK;
}

int ctl_run(struct ctl *ctl, int argc, char **argv)
{
	char *help[] = { NULL, argv[0], NULL };

	if (ctl->version) {
		printf("kaidoctl %s\n", KAIDO_VERSION);
		return CTL_OK;
	}
	if (ctl->help)
		return command_help(ctl, argc > 0 ? 2 : 1, help);
	return argc > 0 ? command_run(ctl, argc, argv) : CTL_OK;
}

int main(int argc, char **argv)
{
	const char *from_environment = getenv("KAIDO_SOCKET");
	const struct rlimit none = { 0, 0 };
	struct ctl ctl = { .socket = from_environment != NULL ? from_environment : SOCKET_DEFAULT };
	int rc;

	setlocale(LC_ALL, "");
	setlocale(LC_NUMERIC, "C");
	setrlimit(RLIMIT_CORE, &none); /* key files pass through this memory */
	key_file_wipe_json();
	argc--;
	argv++;
	rc = ctl_globals_take(&ctl, &argc, argv);
	if (rc == CTL_OK && argc == 0 && !ctl.help && !ctl.version)
		rc = shell_run(&ctl);
	else if (rc == CTL_OK)
		rc = ctl_run(&ctl, argc, argv);
	rpc_client_close(ctl.client);
	if (fflush(stdout) != 0 && rc == CTL_OK) {
		perror("kaidoctl: standard output");
		rc = CTL_FAILED;
	}
	return rc;
}

int command_help(struct ctl *ctl, int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		usage(stdout);
		return CTL_OK;
	}
	command = command_find(argv[1]);
	if (command == NULL) {
		fprintf(stderr, "kaidoctl: there is no command '%s'; see kaidoctl --help\n",
			argv[1]);
		return CTL_USAGE;
	}
	printf("%s", command->help);
	return CTL_OK;
}
