/* SPDX-License-Identifier: BSD-3-Clause */
#include "yaml_config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <yaml.h>

#include "yaml_scalar.h"

#define FLOW_MEMBERS_MAX 8 /* an object of scalars of at most so many stands in one line */

static bool emit_value(yaml_emitter_t *emitter, const char *key, const json_t *value);

static yaml_char_t *bytes(const char *text)
{
	return (yaml_char_t *)(uintptr_t)text; /* libyaml copies and does not write to it */
}

static bool emit_scalar(yaml_emitter_t *emitter, const char *text, size_t len,
			yaml_scalar_style_t style)
{
	yaml_event_t event;

	return yaml_scalar_event_initialize(&event, NULL, NULL, bytes(text), (int)len, 1, 1,
					    style) &&
	       yaml_emitter_emit(emitter, &event);
}

/* Text that would be read as something else stands in quotes. */
static bool emit_text(yaml_emitter_t *emitter, const char *text, size_t len)
{
	json_t *read = yaml_scalar_value(text, len);
	bool plain = json_is_string(read) && strcmp(text, "<<") != 0;

	json_decref(read);
	if (strchr(text, '\n') != NULL) /* certificates */
		return emit_scalar(emitter, text, len, YAML_LITERAL_SCALAR_STYLE);
	return emit_scalar(emitter, text, len,
			   plain ? YAML_ANY_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

static bool emit_number(yaml_emitter_t *emitter, const char *key, json_int_t number)
{
	bool hexadecimal = key != NULL && strcmp(key, "spi") == 0 && number >= 0;
	char text[32];

	snprintf(text, sizeof(text), hexadecimal ? "0x%llx" : "%lld", (long long)number);
	return emit_scalar(emitter, text, strlen(text), YAML_PLAIN_SCALAR_STYLE);
}

static bool is_one_line(const json_t *value)
{
	return !json_is_string(value) || strchr(json_string_value(value), '\n') == NULL;
}

static bool is_scalar(const json_t *value)
{
	return !json_is_array(value) && !json_is_object(value);
}

static bool emit_array(yaml_emitter_t *emitter, const json_t *value)
{
	bool flow = json_array_size(value) == 0 || is_scalar(json_array_get(value, 0));
	yaml_event_t event;
	size_t i;

	if (!yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
						  flow ? YAML_FLOW_SEQUENCE_STYLE
						       : YAML_BLOCK_SEQUENCE_STYLE) ||
	    !yaml_emitter_emit(emitter, &event))
		return false;
	for (i = 0; i < json_array_size(value); i++)
		if (!emit_value(emitter, NULL, json_array_get(value, i)))
			return false;
	return yaml_sequence_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

/* Objects without a name of their own (SAs, routes, neighbours) are rows of a list. */
static bool is_row(const json_t *value)
{
	void *iter = json_object_iter((json_t *)(uintptr_t)value);

	if (json_object_get(value, "name") != NULL || json_object_size(value) > FLOW_MEMBERS_MAX)
		return false;
	for (; iter != NULL; iter = json_object_iter_next((json_t *)(uintptr_t)value, iter))
		if (!is_scalar(json_object_iter_value(iter)) ||
		    !is_one_line(json_object_iter_value(iter)))
			return false;
	return true;
}

static bool emit_object(yaml_emitter_t *emitter, const json_t *value)
{
	json_t *object = (json_t *)(uintptr_t)value; /* iterating changes nothing */
	yaml_event_t event;
	const char *key;
	json_t *member;

	if (!yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
						 is_row(value) ? YAML_FLOW_MAPPING_STYLE
							       : YAML_BLOCK_MAPPING_STYLE) ||
	    !yaml_emitter_emit(emitter, &event))
		return false;
	json_object_foreach (object, key, member)
		if (!emit_text(emitter, key, strlen(key)) || !emit_value(emitter, key, member))
			return false;
	return yaml_mapping_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

static bool emit_value(yaml_emitter_t *emitter, const char *key, const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return emit_object(emitter, value);
	case JSON_ARRAY:
		return emit_array(emitter, value);
	case JSON_STRING:
		return emit_text(emitter, json_string_value(value), json_string_length(value));
	case JSON_INTEGER:
		return emit_number(emitter, key, json_integer_value(value));
	case JSON_TRUE:
	case JSON_FALSE:
		return emit_scalar(emitter, json_is_true(value) ? "true" : "false",
				   json_is_true(value) ? 4 : 5, YAML_PLAIN_SCALAR_STYLE);
	default:
		return emit_scalar(emitter, "~", 1, YAML_PLAIN_SCALAR_STYLE);
	}
}

int yaml_write(FILE *out, const json_t *value)
{
	yaml_emitter_t emitter;
	yaml_event_t event;
	bool ok;

	if (!yaml_emitter_initialize(&emitter))
		return -ENOMEM;
	yaml_emitter_set_output_file(&emitter, out);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, 120);
	ok = yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) &&
	     yaml_emitter_emit(&emitter, &event) &&
	     yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) &&
	     yaml_emitter_emit(&emitter, &event) && emit_value(&emitter, NULL, value) &&
	     yaml_document_end_event_initialize(&event, 1) && yaml_emitter_emit(&emitter, &event) &&
	     yaml_stream_end_event_initialize(&event) && yaml_emitter_emit(&emitter, &event) &&
	     yaml_emitter_flush(&emitter);
	yaml_emitter_delete(&emitter);
	return ok ? 0 : -EIO;
}
