/* SPDX-License-Identifier: BSD-3-Clause */
/* What kaidod found wrong (error.data.errors), in the order of the lines of the file. */
#include "kaidoctl.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"
#include "yaml_config.h"

struct mistake {
	unsigned int line; /* 0: of no file */
	size_t index;      /* as kaidod gave it */
	const char *pointer;
	const char *message;
};

/* Without a file the pointer itself is the place. */
static void mistake_read(struct mistake *mistake, size_t index, const json_t *error,
			 const struct ctl_source *source)
{
	const char *pointer = json_string_value(json_object_get(error, "pointer"));
	const char *message = json_string_value(json_object_get(error, "message"));
	unsigned int line = 0, column;

	if (pointer == NULL)
		pointer = "";
	if (source != NULL) {
		if (strncmp(pointer, source->at, strlen(source->at)) == 0)
			pointer += strlen(source->at);
		yaml_config_locate(source->config, pointer, &line, &column);
	}
	*mistake =
		(struct mistake){ line, index, pointer, message != NULL ? message : "is refused" };
}

static int mistake_compare(const void *a, const void *b)
{
	const struct mistake *one = a, *other = b;

	if (one->line != other->line)
		return one->line < other->line ? -1 : 1;
	return one->index < other->index ? -1 : one->index > other->index;
}

/* The member that a pointer ends in, such as "spi" or "networks/1"; "" of a whole object. */
static const char *member_name(const char *pointer)
{
	const char *end = pointer + strlen(pointer), *start = end;

	while (start > pointer && strspn(start, "0123456789/") == (size_t)(end - start))
		for (start--; start > pointer && start[-1] != '/'; start--)
			;
	/* An element of a list of objects is found by its line. */
	return strchr(start, '/') != NULL && strncmp(start, "networks", 8) != 0 &&
			       strncmp(start, "addresses", 9) != 0
		       ? ""
		       : start;
}

static void mistake_print(const struct mistake *mistake, const struct ctl_source *source)
{
	const char *where = source != NULL ? member_name(mistake->pointer) : mistake->pointer;
	size_t room = strlen(where) + strlen(mistake->message) + 3;
	char *text = malloc(room);

	if (text == NULL)
		return;
	snprintf(text, room, "%s%s%s", where, where[0] != '\0' ? ": " : "", mistake->message);
	table_tame(text);
	if (source != NULL)
		fprintf(stderr, "%s:%u: ", source->file, mistake->line);
	fprintf(stderr, "%s\n", text);
	free(text);
}

size_t mistakes_print(const json_t *errors, const struct ctl_source *source)
{
	size_t n = json_array_size(errors), i;
	struct mistake *mistakes = calloc(n + 1, sizeof(*mistakes));

	if (mistakes == NULL)
		return 0;
	for (i = 0; i < n; i++)
		mistake_read(&mistakes[i], i, json_array_get(errors, i), source);
	qsort(mistakes, n, sizeof(*mistakes), mistake_compare);
	for (i = 0; i < n; i++)
		mistake_print(&mistakes[i], source);
	free(mistakes);
	return n;
}
