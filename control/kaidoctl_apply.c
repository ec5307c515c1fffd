/* SPDX-License-Identifier: BSD-3-Clause */
#include "kaidoctl.h"

#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "table.h"
#include "yaml_config.h"

#define CONFIRM_MAX 86400 /* seconds */

struct apply {
	const char *file;
	bool dry_run;
	bool prune;
	bool yes;
	long confirm_within; /* seconds; 0: for good */
};

struct tally {
	size_t added;
	size_t changed;
	size_t deleted;
};

static char change_sign(const json_t *change, struct tally *tally)
{
	const char *op = json_string_value(json_object_get(change, "op"));

	if (op != NULL && strcmp(op, "add") == 0) {
		tally->added++;
		return '+';
	}
	if (op != NULL && strcmp(op, "delete") == 0) {
		tally->deleted++;
		return '-';
	}
	tally->changed++;
	return '~';
}

static void change_print(char sign, const json_t *change)
{
	const char *kind = json_string_value(json_object_get(change, "kind"));
	const char *tenant = json_string_value(json_object_get(change, "tenant"));
	const char *name = json_string_value(json_object_get(change, "name"));
	char detail[512];

	table_value(detail, sizeof(detail), json_object_get(change, "detail"), TABLE_TEXT);
	printf("%c %s ", sign, kind != NULL ? kind : "?");
	if (tenant != NULL && (kind == NULL || strcmp(kind, "tenant") != 0))
		printf("%s/", tenant);
	printf("%s", name != NULL ? name : "?");
	if (strcmp(detail, "-") != 0)
		printf(": %s", detail);
	printf("\n");
}

void changes_print(const json_t *changes, bool done)
{
	struct tally tally = { 0 };
	json_t *change;
	size_t i;

	json_array_foreach (changes, i, change)
		change_print(change_sign(change, &tally), change);
	if (i == 0)
		printf("Nothing to change.\n");
	else
		printf(done ? "%zu added, %zu changed, %zu deleted.\n"
			    : "%zu to add, %zu to change, %zu to delete.\n",
		       tally.added, tally.changed, tally.deleted);
}

static int options_parse(struct apply *apply, int argc, char **argv)
{
	static const struct option names[] = {
		{ "dry-run", no_argument, NULL, 'n' },
		{ "prune", no_argument, NULL, 'p' },
		{ "yes", no_argument, NULL, 'y' },
		{ "confirm-within", required_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	char *end;
	int option;

	optind = 0;
	while ((option = getopt_long(argc, argv, "ny", names, NULL)) != -1) {
		switch (option) {
		case 'n':
			apply->dry_run = true;
			break;
		case 'p':
			apply->prune = true;
			break;
		case 'y':
			apply->yes = true;
			break;
		case 'c':
			apply->confirm_within = strtol(optarg, &end, 10);
			if (*end != '\0' || apply->confirm_within < 1 ||
			    apply->confirm_within > CONFIRM_MAX)
				return command_usage("apply",
						     "--confirm-within takes 1 .. 86400 seconds,",
						     "not that");
			break;
		default:
			return command_usage("apply", "an option it does not have", NULL);
		}
	}
	if (argc - optind != 1)
		return command_usage("apply", "give one FILE", NULL);
	apply->file = argv[optind];
	return CTL_OK;
}

static int apply_call(struct ctl *ctl, const struct apply *apply, const struct yaml_config *config,
		      bool dry_run, const json_t *generation, json_t **result)
{
	const struct ctl_source source = {
		.file = strcmp(apply->file, "-") == 0 ? "stdin" : apply->file,
		.at = "",
		.config = config,
	};
	json_t *params = json_pack("{s:O, s:b, s:b}", "config", yaml_config_json(config), "prune",
				   apply->prune, "dry_run", dry_run);

	if (apply->confirm_within > 0 && !dry_run)
		json_object_set_new(params, "confirm_within", json_integer(apply->confirm_within));
	if (generation != NULL)
		json_object_set_new(params, "if_generation",
				    json_copy((json_t *)(uintptr_t)generation));
	return ctl_call_from(ctl, "config.apply", params, result, &source);
}

static void applied_print(const struct apply *apply, const json_t *result)
{
	printf("Applied as generation %lld.\n",
	       (long long)json_integer_value(json_object_get(result, "generation")));
	if (apply->confirm_within > 0)
		printf("It is undone in %ld seconds unless you run: kaidoctl confirm\n",
		       apply->confirm_within);
}

/*
 * Shows what would change and asks. CTL_OK: go on with *generation, the state that this was seen
 * against and the caller's; *done: there is nothing to do.
 */
static int preview(struct ctl *ctl, const struct apply *apply, const struct yaml_config *config,
		   bool *done, json_t **generation)
{
	json_t *result, *changes;
	int rc;

	rc = apply_call(ctl, apply, config, true, NULL, &result);
	if (rc != CTL_OK)
		return rc;
	changes = json_object_get(result, "changes");
	*done = apply->dry_run || json_array_size(changes) == 0;
	if (apply->dry_run && ctl->json)
		rc = ctl_print_json(result);
	else
		changes_print(changes, false);
	fflush(stdout);
	*generation = json_incref(json_object_get(result, "generation"));
	json_decref(result);
	if (!*done && !ctl_ask("Change it?")) {
		fprintf(stderr, "Nothing was changed.\n");
		rc = CTL_FAILED;
	}
	return rc;
}

int command_apply(struct ctl *ctl, int argc, char **argv)
{
	struct apply apply = { 0 };
	struct yaml_config *config;
	json_t *result = NULL, *generation = NULL;
	bool done = false, ask;
	int rc;

	rc = options_parse(&apply, argc, argv);
	if (rc != CTL_OK)
		return rc;
	config = config_read(apply.file);
	if (config == NULL)
		return CTL_FAILED;
	ask = !apply.yes && !ctl->json && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
	if (apply.dry_run || ask)
		rc = preview(ctl, &apply, config, &done, &generation);
	if (rc != CTL_OK || done)
		goto out;
	rc = apply_call(ctl, &apply, config, false, generation, &result);
	if (rc != CTL_OK)
		goto out;
	if (ctl->json) {
		rc = ctl_print_json(result);
	} else {
		if (!ask)
			changes_print(json_object_get(result, "changes"), true);
		if (json_array_size(json_object_get(result, "changes")) > 0)
			applied_print(&apply, result);
	}
	json_decref(result);
out:
	json_decref(generation);
	yaml_config_free(config);
	return rc;
}

int command_confirm(struct ctl *ctl, int argc, char **argv)
{
	json_t *result;
	int rc;

	if (argc != 1)
		return command_usage("confirm", "takes no arguments", NULL);
	rc = ctl_call(ctl, "config.confirm", NULL, &result);
	if (rc != CTL_OK)
		return rc;
	if (ctl->json)
		rc = ctl_print_json(result);
	else
		printf("Generation %lld stays.\n",
		       (long long)json_integer_value(json_object_get(result, "generation")));
	json_decref(result);
	return rc;
}
