/* SPDX-License-Identifier: BSD-3-Clause */
/* `show events`: what happened, as far as kaidod keeps it; `events`: what happens from now on. */
#include "kaidoctl.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rpc_client.h"
#include "table.h"

#define INTERRUPT_MS   200 /* between looks for Ctrl-C */
#define COUNT_DEFAULT  50
#define COUNT_MOST     10000
#define FOLLOW_SECONDS 1

struct events {
	char tenant[32]; /* empty: all */
	char tunnel[32];
	long count; /* 0: as many as there are by default, or come */
	double since;
	bool follow;
};

/* "90s", "10m", "1h", "7d": so long ago. */
static bool since_parse(const char *text, double *since)
{
	static const struct {
		char unit;
		double seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	char *end;
	double number = strtod(text, &end);

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (end == text || end[0] != units[i].unit || end[1] != '\0' || !(number >= 0))
			continue;
		*since = (double)time(NULL) - number * units[i].seconds;
		if (*since < 0)
			*since = 0;
		return true;
	}
	return false;
}

static bool count_parse(const char *text, long *count)
{
	char *end;

	*count = strtol(text, &end, 10);
	return end != text && *end == '\0' && *count >= 1 && *count <= COUNT_MOST;
}

static int options_parse(struct events *events, const char *command, int argc, char **argv)
{
	static const struct option names[] = {
		{ "count", required_argument, NULL, 'n' },
		{ "since", required_argument, NULL, 's' },
		{ "follow", no_argument, NULL, 'f' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	optind = 0;
	while ((option = getopt_long(argc, argv, "n:s:f", names, NULL)) != -1) {
		if (option == 'n' && !count_parse(optarg, &events->count))
			return command_usage(command, "a number is 1 .. 10000, not", optarg);
		if (option == 's' && !since_parse(optarg, &events->since))
			return command_usage(command, "--since takes 90s, 10m, 1h or 7d, not",
					     optarg);
		if (option == 'f')
			events->follow = true;
		if (option == '?')
			return command_usage(command, "an option it does not have", NULL);
	}
	if (optind < argc && !ctl_split_name(argv[optind++], events->tenant, events->tunnel))
		return command_usage(command, "this is no name that it takes:", argv[optind - 1]);
	if (optind < argc)
		return command_usage(command, "too many words from here:", argv[optind]);
	return CTL_OK;
}

static int event_print(const struct ctl *ctl, const json_t *event)
{
	char at[32], kind[32], tenant[40], text[640];

	if (ctl->json) {
		json_dumpf(event, stdout, JSON_COMPACT);
		printf("\n");
	} else {
		table_value(at, sizeof(at), json_object_get(event, "time"), TABLE_TIME);
		table_value(kind, sizeof(kind), json_object_get(event, "kind"), TABLE_TEXT);
		table_value(tenant, sizeof(tenant), json_object_get(event, "tenant"), TABLE_TEXT);
		table_value(text, sizeof(text), json_object_get(event, "text"), TABLE_TEXT);
		printf("%s  %-13s  %-12s  %s\n", at, kind, tenant, text);
	}
	return fflush(stdout) != 0 ? CTL_FAILED : CTL_OK;
}

/* -- what happened -- */

static int list_call(struct ctl *ctl, const struct events *events, json_int_t after,
		     json_t **result)
{
	json_int_t limit = after > 0           ? COUNT_MOST
			   : events->count > 0 ? events->count
					       : COUNT_DEFAULT;
	json_t *params = json_pack("{s:I, s:I, s:f}", "limit", limit, "after", after, "since",
				   events->since);

	if (events->tenant[0] != '\0')
		json_object_set_new(params, "tenant", json_string(events->tenant));
	if (events->tunnel[0] != '\0')
		json_object_set_new(params, "tunnel", json_string(events->tunnel));
	return ctl_call(ctl, "event.list", params, result);
}

/* Prints a list; *last becomes the id of the last one. */
static int list_print(const struct ctl *ctl, const json_t *result, json_int_t *last)
{
	json_t *list = json_object_get(result, "events"), *event;
	int rc = CTL_OK;
	size_t i;

	json_array_foreach (list, i, event) {
		*last = json_integer_value(json_object_get(event, "id"));
		if (rc == CTL_OK)
			rc = event_print(ctl, event);
	}
	return rc;
}

static int events_follow(struct ctl *ctl, const struct events *events, json_int_t last)
{
	int rc = CTL_OK;
	json_t *result;

	ctl_interrupt_hold();
	while (rc == CTL_OK && ctl_wait(FOLLOW_SECONDS)) {
		/* Ids begin with 1: where there was none yet, all are new. */
		rc = list_call(ctl, events, last > 0 ? last : 0, &result);
		if (rc != CTL_OK)
			break;
		rc = list_print(ctl, result, &last);
		json_decref(result);
	}
	ctl_interrupt_release();
	return rc;
}

int events_show(struct ctl *ctl, int argc, char **argv)
{
	struct events events = { 0 };
	json_int_t last = 0;
	json_t *result;
	int rc = options_parse(&events, "show", argc, argv);

	if (rc == CTL_OK)
		rc = list_call(ctl, &events, 0, &result);
	if (rc != CTL_OK)
		return rc;
	if (ctl->json && !events.follow)
		rc = ctl_print_json(result);
	else
		rc = list_print(ctl, result, &last);
	if (last == 0 && !ctl->json && !events.follow)
		printf("No events.\n");
	json_decref(result);
	return rc == CTL_OK && events.follow ? events_follow(ctl, &events, last) : rc;
}

/* -- what happens -- */

int command_events(struct ctl *ctl, int argc, char **argv)
{
	struct events events = { 0 };
	struct rpc_failure failure;
	json_t *result, *event;
	long n = 0;
	int rc = options_parse(&events, "events", argc, argv);

	if (rc == CTL_OK && (events.tenant[0] != '\0' || events.follow || events.since > 0))
		rc = command_usage("events", "it takes only --count; see: kaidoctl show events",
				   NULL);
	if (rc == CTL_OK)
		rc = ctl_call(ctl, "event.subscribe", NULL, &result);
	if (rc != CTL_OK)
		return rc;
	json_decref(result);
	ctl_interrupt_hold();
	while (rc == CTL_OK && (events.count == 0 || n < events.count) && ctl_wait(0)) {
		event = rpc_client_event(ctl->client, INTERRUPT_MS, &failure);
		if (event != NULL) {
			rc = event_print(ctl, event);
			n++;
		} else if (failure.code != RPC_FAILURE_TIMEOUT) {
			rc = ctl_failure_report(&failure);
		}
		json_decref(event);
	}
	ctl_interrupt_release();
	/* Events would come between the answers of the commands that follow in a shell. */
	rpc_client_close(ctl->client);
	ctl->client = NULL;
	return rc;
}
