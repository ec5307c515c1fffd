/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#define COLUMNS_MAX 16
#define CELL_LEN    512

json_t *table_member(const json_t *object, const char *path)
{
	char name[64];
	size_t len;

	while (object != NULL && *path != '\0') {
		len = strcspn(path, ".");
		snprintf(name, sizeof(name), "%.*s", (int)len, path);
		object = json_object_get(object, name);
		path += len + (path[len] == '.');
	}
	return (json_t *)(uintptr_t)object;
}

void table_tame(char *text)
{
	unsigned char *c = (unsigned char *)text;

	for (; *c != '\0'; c++) {
		if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0) /* C1 in UTF-8 */
			*c++ = '?';
		else if (*c >= ' ' && *c != 0x7f)
			continue;
		*c = '?';
	}
}

void table_number(char *text, size_t len, double number)
{
	static const char units[] = " kMGTPE";
	size_t unit = 0;

	if (number < 100000 && number > -100000) {
		snprintf(text, len, "%.0f", number);
		return;
	}
	while ((number >= 1000 || number <= -1000) && unit < sizeof(units) - 2) {
		number /= 1000;
		unit++;
	}
	snprintf(text, len,
		 number < 10    ? "%.2f%c"
		 : number < 100 ? "%.1f%c"
				: "%.0f%c",
		 number, units[unit]);
}

static void bytes_format(char *text, size_t len, double number)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	size_t unit = 0;

	while (number >= 1000 && unit < sizeof(units) / sizeof(units[0]) - 1) {
		number /= 1000;
		unit++;
	}
	snprintf(text, len,
		 unit == 0      ? "%.0f %s"
		 : number < 100 ? "%.1f %s"
				: "%.0f %s",
		 number, units[unit]);
}

static void time_format(char *text, size_t len, double number)
{
	time_t seconds = (time_t)number;
	struct tm tm;

	if (localtime_r(&seconds, &tm) == NULL ||
	    strftime(text, len, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(text, len, "-");
}

static void list_format(char *text, size_t len, const json_t *list)
{
	size_t used = 0, i;
	char item[256];

	snprintf(text, len, "-");
	for (i = 0; i < json_array_size(list) && used + 1 < len; i++) {
		table_value(item, sizeof(item), json_array_get(list, i), TABLE_TEXT);
		used += (size_t)snprintf(text + used, len - used, "%s%s", i > 0 ? "," : "", item);
	}
}

static void number_format(char *text, size_t len, const json_t *value, enum table_format format)
{
	double number = json_number_value(value);

	switch (format) {
	case TABLE_COUNT:
		table_number(text, len, number);
		break;
	case TABLE_BYTES:
		bytes_format(text, len, number);
		break;
	case TABLE_TENTH:
		snprintf(text, len, "%.1f", number);
		break;
	case TABLE_TIME:
		time_format(text, len, number);
		break;
	case TABLE_HEX:
		snprintf(text, len, "0x%llx", (unsigned long long)json_integer_value(value));
		break;
	default:
		if (json_is_integer(value))
			snprintf(text, len, "%lld", (long long)json_integer_value(value));
		else
			snprintf(text, len, "%.3f", number);
	}
}

void table_value(char *text, size_t len, const json_t *value, enum table_format format)
{
	if (json_is_string(value))
		snprintf(text, len, "%s", json_string_value(value));
	else if (json_is_boolean(value))
		snprintf(text, len, "%s", json_is_true(value) ? "yes" : "no");
	else if (json_is_number(value))
		number_format(text, len, value, format);
	else if (json_is_array(value) && format == TABLE_COUNT)
		snprintf(text, len, "%zu", json_array_size(value));
	else if (json_is_array(value))
		list_format(text, len, value);
	else
		snprintf(text, len, "-");
	table_tame(text);
	if (text[0] == '\0')
		snprintf(text, len, "-");
}

/* Columns that it takes on a screen. */
static int text_width(const char *text)
{
	wchar_t wide[CELL_LEN];
	size_t n = mbstowcs(wide, text, CELL_LEN);
	int width;

	width = n == (size_t)-1 || n >= CELL_LEN ? -1 : wcswidth(wide, n);
	return width < 0 ? (int)strlen(text) : width;
}

static void cell_write(FILE *out, const char *text, int width, bool right, bool last)
{
	int pad = width - text_width(text);

	if (pad < 0 || (last && !right))
		pad = 0;
	fprintf(out, "%*s%s%*s%s", right ? pad : 0, "", text, right ? 0 : pad, "",
		last ? "\n" : "  ");
}

void table_write(FILE *out, const struct table_column *columns, const json_t *rows)
{
	int width[COLUMNS_MAX];
	size_t n = 0, i, row;
	char text[CELL_LEN];
	json_t *object;

	for (; columns[n].title != NULL && n < COLUMNS_MAX; n++)
		width[n] = text_width(columns[n].title);
	json_array_foreach (rows, row, object)
		for (i = 0; i < n; i++) {
			table_value(text, sizeof(text), table_member(object, columns[i].path),
				    columns[i].format);
			if (text_width(text) > width[i])
				width[i] = text_width(text);
		}
	for (i = 0; i < n; i++)
		cell_write(out, columns[i].title, width[i],
			   columns[i].format != TABLE_TEXT && columns[i].format != TABLE_TIME,
			   i + 1 == n);
	json_array_foreach (rows, row, object)
		for (i = 0; i < n; i++) {
			table_value(text, sizeof(text), table_member(object, columns[i].path),
				    columns[i].format);
			cell_write(out, text, width[i],
				   columns[i].format != TABLE_TEXT &&
					   columns[i].format != TABLE_TIME,
				   i + 1 == n);
		}
}
