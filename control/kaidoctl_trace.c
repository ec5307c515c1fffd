/* SPDX-License-Identifier: BSD-3-Clause */
#include "kaidoctl.h"

#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "packet_text.h"
#include "table.h"

#define PACKETS_DEFAULT 1000
#define FOLLOW_SECONDS  1

struct trace {
	const char *tenant;
	long packets;
	long every;
	bool follow;
};

static int options_parse(struct trace *trace, int argc, char **argv)
{
	static const struct option names[] = {
		{ "packets", required_argument, NULL, 'p' },
		{ "every", required_argument, NULL, 'e' },
		{ "follow", no_argument, NULL, 'f' },
		{ NULL, 0, NULL, 0 },
	};
	long *number;
	char *end;
	int option;

	optind = 0;
	while ((option = getopt_long(argc, argv, "f", names, NULL)) != -1) {
		if (option == '?')
			return command_usage("trace", "an option it does not have", NULL);
		if (option == 'f') {
			trace->follow = true;
			continue;
		}
		number = option == 'p' ? &trace->packets : &trace->every;
		*number = strtol(optarg, &end, 10);
		if (*end != '\0' || *number < 1 || *number > 65536)
			return command_usage("trace", "a number is 1 .. 65536, not", optarg);
	}
	if (optind < argc)
		trace->tenant = argv[optind++];
	if (optind < argc)
		return command_usage("trace", "too many words from here:", argv[optind]);
	return CTL_OK;
}

static int trace_start(struct ctl *ctl, const struct trace *trace)
{
	json_t *params = json_pack("{s:I, s:I}", "packets", (json_int_t)trace->packets, "every",
				   (json_int_t)trace->every);
	json_t *result;
	int rc;

	if (trace->tenant != NULL)
		json_object_set_new(params, "tenant", json_string(trace->tenant));
	rc = ctl_call(ctl, "trace.start", params, &result);
	if (rc != CTL_OK)
		return rc;
	if (ctl->json)
		rc = ctl_print_json(result);
	else
		printf("Recording; read with: kaidoctl trace read\n");
	json_decref(result);
	return rc;
}

static void record_print(const json_t *record)
{
	const char *hex = json_string_value(json_object_get(record, "headers"));
	char at[32], walk[24], tenant[40], reason[40], packet[256];
	double seconds = json_number_value(json_object_get(record, "time"));
	uint8_t headers[256];
	size_t len = 0;

	table_value(at, sizeof(at), json_object_get(record, "time"), TABLE_TIME);
	table_value(walk, sizeof(walk), json_object_get(record, "walk"), TABLE_TEXT);
	table_value(tenant, sizeof(tenant), json_object_get(record, "tenant"), TABLE_TEXT);
	table_value(reason, sizeof(reason), json_object_get(record, "reason"), TABLE_TEXT);
	if (hex != NULL)
		sodium_hex2bin(headers, sizeof(headers), hex, strlen(hex), NULL, &len, NULL);
	packet_text(packet, sizeof(packet), headers, len);
	printf("%s.%06d %-8s %-12s %s%-20s %s\n", at,
	       (int)((seconds - (double)(time_t)seconds) * 1e6), walk, tenant,
	       strcmp(reason, "-") == 0 ? "" : "DROP ", strcmp(reason, "-") == 0 ? "sent" : reason,
	       packet);
}

static int records_print(const struct ctl *ctl, const json_t *result)
{
	json_t *records = json_object_get(result, "records"), *record;
	size_t i;

	if (ctl->json)
		return ctl_print_json(result);
	json_array_foreach (records, i, record)
		record_print(record);
	return fflush(stdout) != 0 ? CTL_FAILED : CTL_OK;
}

/* kaidod gives what one message of the dataplane holds: more may wait. */
static int trace_read(struct ctl *ctl, const struct trace *trace)
{
	size_t n = 1, all = 0;
	json_t *result;
	int rc = CTL_OK;

	ctl_interrupt_hold();
	while (rc == CTL_OK && (n > 0 || trace->follow) && ctl_wait(n > 0 ? 0 : FOLLOW_SECONDS)) {
		rc = ctl_call(ctl, "trace.read", NULL, &result);
		if (rc != CTL_OK)
			break;
		n = json_array_size(json_object_get(result, "records"));
		if (n > 0 || (ctl->json && all == 0))
			rc = records_print(ctl, result);
		all += n;
		json_decref(result);
	}
	ctl_interrupt_release();
	if (rc == CTL_OK && all == 0 && !ctl->json)
		printf("No records. Start one with: kaidoctl trace start\n");
	return rc;
}

int command_trace(struct ctl *ctl, int argc, char **argv)
{
	struct trace trace = { .packets = PACKETS_DEFAULT, .every = 1 };
	json_t *result;
	int rc;

	if (argc < 2)
		return command_usage("trace", "give start, read or stop", NULL);
	rc = options_parse(&trace, argc - 1, argv + 1);
	if (rc != CTL_OK)
		return rc;
	if (strcmp(argv[1], "start") == 0)
		return trace_start(ctl, &trace);
	if (strcmp(argv[1], "read") == 0)
		return trace_read(ctl, &trace);
	if (strcmp(argv[1], "stop") != 0)
		return command_usage("trace", "there is no", argv[1]);
	rc = ctl_call(ctl, "trace.stop", NULL, &result);
	if (rc == CTL_OK && ctl->json)
		rc = ctl_print_json(result);
	if (rc == CTL_OK)
		json_decref(result);
	return rc;
}
