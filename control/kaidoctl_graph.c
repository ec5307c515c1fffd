/* SPDX-License-Identifier: BSD-3-Clause */
#include "kaidoctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

struct graph {
	const char *of;
	const char *file;
	const char *period;
	const char *format;
	const char *timezone;
};

static int options_parse(struct graph *graph, int argc, char **argv)
{
	static const struct option names[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "period", required_argument, NULL, 'p' },
		{ "format", required_argument, NULL, 'f' },
		{ "timezone", required_argument, NULL, 'z' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	optind = 0;
	while ((option = getopt_long(argc, argv, "o:p:f:z:", names, NULL)) != -1) {
		switch (option) {
		case 'o':
			graph->file = optarg;
			break;
		case 'p':
			graph->period = optarg;
			break;
		case 'f':
			graph->format = optarg;
			break;
		case 'z':
			graph->timezone = optarg;
			break;
		default:
			return command_usage("graph", "an option it does not have", NULL);
		}
	}
	if (argc - optind != 1)
		return command_usage("graph", "give one TENANT or TENANT/TUNNEL", NULL);
	graph->of = argv[optind];
	return CTL_OK;
}

static const char *format_of(const struct graph *graph)
{
	const char *dot = graph->file != NULL ? strrchr(graph->file, '.') : NULL;

	if (graph->format != NULL)
		return graph->format;
	return dot != NULL && strcmp(dot, ".svg") == 0 ? "svg" : "png";
}

static json_t *request_params(const struct graph *graph)
{
	char tenant[32], tunnel[32];
	json_t *params;

	if (!ctl_split_name(graph->of, tenant, tunnel))
		return NULL;
	params = json_pack("{s:s, s:s, s:s}", "tenant", tenant, "format", format_of(graph),
			   "period", graph->period != NULL ? graph->period : "1d");
	if (tunnel[0] != '\0')
		json_object_set_new(params, "tunnel", json_string(tunnel));
	if (graph->timezone != NULL)
		json_object_set_new(params, "timezone", json_string(graph->timezone));
	return params;
}

/* Writes to a file beside and moves it: nobody sees half an image. */
static int file_write(const char *file, const uint8_t *data, size_t len)
{
	char beside[4096];
	FILE *out;
	bool ok;

	if ((size_t)snprintf(beside, sizeof(beside), "%s.part", file) >= sizeof(beside)) {
		fprintf(stderr, "kaidoctl: the name of the file is too long\n");
		return CTL_FAILED;
	}
	out = fopen(beside, "we");
	ok = out != NULL && fwrite(data, 1, len, out) == len;
	if (out != NULL)
		ok = fclose(out) == 0 && ok;
	ok = ok && rename(beside, file) == 0;
	if (!ok) {
		fprintf(stderr, "kaidoctl: %s: %s\n", file, strerror(errno));
		if (out != NULL)
			unlink(beside);
	}
	return ok ? CTL_OK : CTL_FAILED;
}

static int image_write(const struct graph *graph, const json_t *result)
{
	const json_t *text = json_object_get(result, "data");
	size_t len = json_string_length(text), n = 0;
	uint8_t *data = malloc(len + 1);
	int rc = CTL_FAILED;

	if (data == NULL || len == 0 ||
	    sodium_base642bin(data, len + 1, json_string_value(text), len, "\r\n", &n, NULL,
			      sodium_base64_VARIANT_ORIGINAL) != 0) {
		fprintf(stderr, "kaidoctl: kaidod gave no image\n");
	} else if (graph->file != NULL && strcmp(graph->file, "-") != 0) {
		rc = file_write(graph->file, data, n);
		if (rc == CTL_OK)
			printf("%s: %zu bytes\n", graph->file, n);
	} else {
		rc = fwrite(data, 1, n, stdout) == n ? CTL_OK : CTL_FAILED;
	}
	free(data);
	return rc;
}

int command_graph(struct ctl *ctl, int argc, char **argv)
{
	struct graph graph = { 0 };
	json_t *params, *result;
	int rc;

	rc = options_parse(&graph, argc, argv);
	if (rc != CTL_OK)
		return rc;
	if (graph.file == NULL && isatty(STDOUT_FILENO) && !ctl->json)
		return command_usage("graph", "an image is nothing for a terminal; give -o FILE",
				     NULL);
	params = request_params(&graph);
	if (params == NULL)
		return command_usage("graph", "this is no name:", graph.of);
	rc = ctl_call(ctl, "graph.render", params, &result);
	if (rc != CTL_OK)
		return rc;
	rc = ctl->json ? ctl_print_json(result) : image_write(&graph, result);
	json_decref(result);
	return rc;
}
