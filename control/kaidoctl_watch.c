/* SPDX-License-Identifier: BSD-3-Clause */
/* `watch`: rates from two readings of the totals. */
#include "kaidoctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "table.h"

struct watch {
	const char *tenant; /* NULL: all tenants */
	long count;         /* 0: without end */
	double interval;    /* seconds */
};

static const struct table_column tenant_columns[] = {
	{ "TENANT", "name", TABLE_TEXT },    { "IN BIT/S", "in_bits", TABLE_COUNT },
	{ "IN PPS", "in", TABLE_COUNT },     { "OUT BIT/S", "out_bits", TABLE_COUNT },
	{ "OUT PPS", "out", TABLE_COUNT },   { "DROPS/S", "drops", TABLE_COUNT },
	{ "DROPPED", "total", TABLE_COUNT }, { NULL, NULL, 0 },
};

static const struct table_column tunnel_columns[] = {
	{ "TUNNEL", "name", TABLE_TEXT },    { "IN BIT/S", "in_bits", TABLE_COUNT },
	{ "IN PPS", "in", TABLE_COUNT },     { "OUT BIT/S", "out_bits", TABLE_COUNT },
	{ "OUT PPS", "out", TABLE_COUNT },   { "DROPS/S", "drops", TABLE_COUNT },
	{ "DROPPED", "total", TABLE_COUNT }, { NULL, NULL, 0 },
};

static double member_number(const json_t *row, const char *name)
{
	return json_number_value(json_object_get(row, name));
}

static double dropped(const json_t *row)
{
	json_t *drops = json_object_get(row, "drops"), *packets;
	const char *reason;
	double sum;

	if (!json_is_object(drops)) /* of a tunnel */
		return member_number(row, "in_drops") + member_number(row, "out_drops");
	sum = 0;
	json_object_foreach (drops, reason, packets)
		sum += json_number_value(packets);
	return sum;
}

/* A total that fell belongs to an object that was made anew: no rate. */
static double rate(double now, double before, double seconds)
{
	return now >= before && seconds > 0 ? (now - before) / seconds : 0;
}

static json_t *row_find(const json_t *rows, size_t hint, const char *name)
{
	json_t *row = json_array_get(rows, hint);
	const char *its = json_string_value(json_object_get(row, "name"));
	size_t i;

	if (its != NULL && strcmp(its, name) == 0)
		return row;
	json_array_foreach (rows, i, row) {
		its = json_string_value(json_object_get(row, "name"));
		if (its != NULL && strcmp(its, name) == 0)
			return row;
	}
	return NULL;
}

static json_t *row_rates(const json_t *row, const json_t *before, bool tunnel, double seconds)
{
	const char *in_bytes = tunnel ? "in_inner_bytes" : "in_bytes";
	const char *out_bytes = tunnel ? "out_inner_bytes" : "out_bytes";

	return json_pack("{s:O, s:f, s:f, s:f, s:f, s:f, s:f}", "name",
			 json_object_get(row, "name"), "in_bits",
			 rate(8 * member_number(row, in_bytes), 8 * member_number(before, in_bytes),
			      seconds),
			 "in",
			 rate(member_number(row, "in_packets"), member_number(before, "in_packets"),
			      seconds),
			 "out_bits",
			 rate(8 * member_number(row, out_bytes),
			      8 * member_number(before, out_bytes), seconds),
			 "out",
			 rate(member_number(row, "out_packets"),
			      member_number(before, "out_packets"), seconds),
			 "drops", rate(dropped(row), dropped(before), seconds), "total",
			 dropped(row));
}

/* What lies between two results of counters.get, as rows for the table. */
static json_t *rates(const json_t *now, const json_t *before, bool tunnels)
{
	const char *list = tunnels ? "tunnels" : "tenants", *name;
	double seconds = member_number(now, "time") - member_number(before, "time");
	const json_t *rows = json_object_get(before, list);
	json_t *out = json_array(), *row, *old;
	size_t i;

	json_array_foreach (json_object_get(now, list), i, row) {
		name = json_string_value(json_object_get(row, "name"));
		old = name != NULL ? row_find(rows, i, name) : NULL;
		if (old != NULL)
			json_array_append_new(out, row_rates(row, old, tunnels, seconds));
	}
	return out;
}

static int watch_print(const struct ctl *ctl, const struct watch *watch, const json_t *now,
		       const json_t *before)
{
	json_t *rows = rates(now, before, watch->tenant != NULL);
	bool screen = isatty(STDOUT_FILENO) && !ctl->json;
	time_t at = (time_t)member_number(now, "time");
	char text[32];
	struct tm tm;

	if (ctl->json) {
		json_dumpf(rows, stdout, JSON_COMPACT);
		printf("\n");
	} else {
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", localtime_r(&at, &tm));
		printf("%s%s%s%s\n", screen ? "\033[H\033[J" : "", text,
		       watch->tenant != NULL ? "  tenant " : "",
		       watch->tenant != NULL ? watch->tenant : "");
		table_write(stdout, watch->tenant != NULL ? tunnel_columns : tenant_columns, rows);
		if (!screen)
			printf("\n");
	}
	json_decref(rows);
	return fflush(stdout) != 0 ? CTL_FAILED : CTL_OK;
}

static int counters_get(struct ctl *ctl, const struct watch *watch, json_t **result)
{
	json_t *params = json_object();

	if (watch->tenant != NULL)
		json_object_set_new(params, "tenant", json_string(watch->tenant));
	return ctl_call(ctl, "counters.get", params, result);
}

static bool number_parse(const char *text, double least, double *number)
{
	char *end;

	*number = strtod(text, &end);
	return end != text && *end == '\0' && *number >= least && *number <= 1e9;
}

static int watch_options(struct watch *watch, int argc, char **argv)
{
	static const struct option names[] = {
		{ "count", required_argument, NULL, 'n' },
		{ "interval", required_argument, NULL, 'i' },
		{ NULL, 0, NULL, 0 },
	};
	char name[32], rest[32];
	double count = 0;
	int option;

	optind = 0;
	while ((option = getopt_long(argc, argv, "n:i:", names, NULL)) != -1) {
		if (option == '?')
			return command_usage(argv[0], "an option it does not have", NULL);
		if (!number_parse(optarg, option == 'n' ? 1 : 0.1,
				  option == 'n' ? &count : &watch->interval))
			return command_usage(argv[0], "this is no number that it takes:", optarg);
	}
	watch->count = (long)count;
	if (optind < argc)
		watch->tenant = argv[optind++];
	if (optind < argc)
		return command_usage(argv[0], "too many words from here:", argv[optind]);
	if (watch->tenant != NULL &&
	    (!ctl_split_name(watch->tenant, name, rest) || rest[0] != '\0'))
		return command_usage(argv[0], "this is no name of a tenant:", watch->tenant);
	return CTL_OK;
}

int command_watch(struct ctl *ctl, int argc, char **argv)
{
	struct watch watch = { .interval = 1 };
	json_t *before = NULL, *now = NULL;
	long n = 0;
	int rc;

	rc = watch_options(&watch, argc, argv);
	if (rc == CTL_OK)
		rc = counters_get(ctl, &watch, &before);
	ctl_interrupt_hold();
	while (rc == CTL_OK && (watch.count == 0 || n++ < watch.count) &&
	       ctl_wait(watch.interval)) {
		rc = counters_get(ctl, &watch, &now);
		if (rc != CTL_OK)
			break;
		rc = watch_print(ctl, &watch, now, before);
		json_decref(before);
		before = now;
	}
	ctl_interrupt_release();
	json_decref(before);
	return rc;
}
