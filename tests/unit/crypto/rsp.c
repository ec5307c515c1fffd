/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "rsp.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex_read(const char *text, struct rsp_field *field)
{
	field->len = 0;
	for (; text[0] != '\0'; text += 2) {
		int high = hex_digit(text[0]);
		int low = high < 0 ? -1 : hex_digit(text[1]);

		if (low < 0 || field->len == RSP_FIELD_MAX)
			return false;
		field->bytes[field->len++] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static struct rsp_field *field_named(struct rsp_vector *vector, const char *name)
{
	const struct {
		const char *name;
		struct rsp_field *field;
	} fields[] = {
		{ "Key", &vector->key },       { "IV", &vector->iv },
		{ "AAD", &vector->aad },       { "PT", &vector->plaintext },
		{ "CT", &vector->ciphertext }, { "Tag", &vector->tag },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (strcmp(fields[i].name, name) == 0)
			return fields[i].field;
	}
	return NULL;
}

/* Takes one line "Name = value" or "FAIL" into the vector. */
static bool line_read(char *line, struct rsp_vector *vector)
{
	char *equals = strstr(line, " =");
	struct rsp_field *field;

	if (strcmp(line, "FAIL") == 0) {
		vector->fail = true;
		return true;
	}
	if (equals == NULL)
		return false;
	*equals = '\0';
	equals += 2;
	while (*equals == ' ')
		equals++;
	field = field_named(vector, line);
	return field != NULL && hex_read(equals, field);
}

int rsp_read(const char *path, void (*use)(const struct rsp_vector *vector, void *arg), void *arg)
{
	struct rsp_vector vector = { 0 };
	char line[4 * RSP_FIELD_MAX];
	uint32_t number = 0;
	int count = 0;
	FILE *file;

	file = fopen(path, "r");
	if (file == NULL)
		return -errno;
	while (fgets(line, sizeof(line), file) != NULL) {
		number++;
		line[strcspn(line, "\r\n")] = '\0';
		if (line[0] == '\0' || line[0] == '#' || line[0] == '[')
			continue;
		if (strncmp(line, "Count =", 7) == 0) {
			if (count++ > 0)
				use(&vector, arg);
			memset(&vector, 0, sizeof(vector));
			vector.line = number;
		} else if (!line_read(line, &vector)) {
			fprintf(stderr, "%s:%u: not understood\n", path, number);
			fclose(file);
			return -EBADMSG;
		}
	}
	if (count > 0)
		use(&vector, arg);
	fclose(file);
	return count;
}
