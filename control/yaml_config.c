/* SPDX-License-Identifier: BSD-3-Clause */
#include "yaml_config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "yaml_places.h"
#include "yaml_scalar.h"

#define ANCHORS_MAX 1024

struct yaml_config {
	json_t *json;
	struct yaml_places places;
};

struct anchor {
	char *name;
	json_t *value;
	size_t values; /* in it, written out */
};

struct reader {
	yaml_parser_t parser;
	struct yaml_config *config;
	struct yaml_mistakes *mistakes;
	struct anchor anchors[ANCHORS_MAX];
	size_t n_anchors;
	size_t values;
	unsigned int depth;
};

static int value_read(struct reader *reader, yaml_event_t *event, char *key,
		      const yaml_mark_t *key_mark, json_t **value);

__attribute__((format(printf, 3, 4))) static void
mistake_add(struct yaml_mistakes *mistakes, yaml_mark_t mark, const char *format, ...)
{
	struct yaml_mistake *mistake;
	va_list ap;

	if (mistakes->n >= YAML_MISTAKES_MAX)
		return;
	mistake = &mistakes->mistake[mistakes->n++];
	mistake->line = (unsigned int)mark.line + 1;
	mistake->column = (unsigned int)mark.column + 1;
	va_start(ap, format);
	vsnprintf(mistake->text, sizeof(mistake->text), format, ap);
	va_end(ap);
}

/* -EINVAL, with the parser's own complaint as a mistake. */
static int event_next(struct reader *reader, yaml_event_t *event)
{
	const yaml_parser_t *parser = &reader->parser;

	if (yaml_parser_parse(&reader->parser, event))
		return 0;
	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (parser->error == YAML_READER_ERROR)
		mistake_add(reader->mistakes, parser->mark, "%s (this is not UTF-8 text)",
			    parser->problem);
	else
		mistake_add(reader->mistakes, parser->problem_mark, "not YAML: %s%s%s",
			    parser->problem, parser->context != NULL ? ", " : "",
			    parser->context != NULL ? parser->context : "");
	return -EINVAL;
}

static bool values_add(struct reader *reader, size_t n, const yaml_mark_t *mark)
{
	if (reader->values + n <= YAML_VALUES_MAX) {
		reader->values += n;
		return true;
	}
	mistake_add(reader->mistakes, *mark,
		    "more than %d values, with aliases written out; split the file",
		    YAML_VALUES_MAX);
	return false;
}

static int anchor_keep(struct reader *reader, const yaml_event_t *event, const char *name,
		       json_t *value, size_t values)
{
	size_t i;

	if (name == NULL)
		return 0;
	for (i = 0; i < reader->n_anchors; i++)
		if (strcmp(reader->anchors[i].name, name) == 0)
			break;
	if (i == ANCHORS_MAX) {
		mistake_add(reader->mistakes, event->start_mark, "more than %d anchors",
			    ANCHORS_MAX);
		return -EINVAL;
	}
	if (i == reader->n_anchors) {
		reader->anchors[i].name = strdup(name);
		if (reader->anchors[i].name == NULL)
			return -ENOMEM;
		reader->n_anchors++;
	} else {
		json_decref(reader->anchors[i].value);
	}
	reader->anchors[i].value = json_incref(value);
	reader->anchors[i].values = values;
	return 0;
}

static int alias_read(struct reader *reader, const yaml_event_t *event, json_t **value)
{
	const char *name = (const char *)event->data.alias.anchor;
	size_t i;

	for (i = 0; i < reader->n_anchors; i++)
		if (strcmp(reader->anchors[i].name, name) == 0)
			break;
	if (i == reader->n_anchors) {
		mistake_add(reader->mistakes, event->start_mark,
			    "there is no anchor '&%s' before this", name);
		return -EINVAL;
	}
	if (!values_add(reader, reader->anchors[i].values, &event->start_mark))
		return -EINVAL;
	*value = json_incref(reader->anchors[i].value);
	return 0;
}

static int scalar_read(struct reader *reader, const yaml_event_t *event, const char *key,
		       json_t **value)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;

	if (event->data.scalar.tag != NULL) {
		mistake_add(reader->mistakes, event->start_mark,
			    "tags (!...) have no meaning here; write the value alone");
		return -EINVAL;
	}
	if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE ||
	    (key != NULL && len > 0 && yaml_member_is_text(key)))
		*value = strlen(text) == len ? json_stringn(text, len) : NULL;
	else
		*value = yaml_scalar_value(text, len);
	if (*value != NULL)
		return 0;
	mistake_add(reader->mistakes, event->start_mark,
		    "a number beyond 64 bits, or text with a zero byte");
	return -EINVAL;
}

static int sequence_read(struct reader *reader, json_t **value)
{
	yaml_event_t event;
	json_t *item;
	bool end = false;
	int rc = 0;

	*value = json_array();
	if (*value == NULL)
		return -ENOMEM;
	while (rc == 0 && !end) {
		rc = event_next(reader, &event);
		if (rc < 0)
			break;
		end = event.type == YAML_SEQUENCE_END_EVENT;
		if (!end) {
			rc = value_read(reader, &event, NULL, NULL, &item);
			if (rc == 0 && json_array_append_new(*value, item) < 0)
				rc = -ENOMEM;
		}
		yaml_event_delete(&event);
	}
	return rc;
}

/* `event` is the key's. 1: refused, with a mistake, and the file is read on; *key the caller's. */
static int key_read(struct reader *reader, const yaml_event_t *event, const json_t *object,
		    size_t parent, char **key)
{
	const struct yaml_places *places = &reader->config->places;
	const char *text;

	if (event->type != YAML_SCALAR_EVENT || event->data.scalar.tag != NULL) {
		mistake_add(reader->mistakes, event->start_mark, "a key has to be a plain word");
		return -EINVAL;
	}
	text = (const char *)event->data.scalar.value;
	*key = strdup(text);
	if (*key == NULL)
		return -ENOMEM;
	if (strcmp(text, "<<") == 0 || strlen(text) != event->data.scalar.length) {
		mistake_add(reader->mistakes, event->start_mark,
			    "merge keys (<<) are not supported; write the members out");
		return 1;
	}
	if (json_object_get(object, text) != NULL) {
		mistake_add(reader->mistakes, event->start_mark,
			    "'%s' is given twice, first in line %u", text,
			    places->place[yaml_places_member(places, parent, text)].line);
		return 1;
	}
	return 0;
}

static int member_read(struct reader *reader, const yaml_event_t *event, json_t *object,
		       size_t parent)
{
	yaml_event_t next;
	json_t *item = NULL;
	char *key = NULL, *name;
	int rc, refused;

	refused = key_read(reader, event, object, parent, &key);
	if (refused < 0)
		return refused;
	rc = event_next(reader, &next);
	if (rc < 0)
		goto free_key;
	name = strdup(key);
	rc = name == NULL ? -ENOMEM : value_read(reader, &next, name, &event->start_mark, &item);
	yaml_event_delete(&next);
	if (rc == 0 && !refused && json_object_set_new(object, key, item) < 0)
		rc = -ENOMEM;
	else if (rc == 0 && refused)
		json_decref(item);
free_key:
	free(key);
	return rc;
}

static int mapping_read(struct reader *reader, size_t parent, json_t **value)
{
	yaml_event_t event;
	bool end = false;
	int rc = 0;

	*value = json_object();
	if (*value == NULL)
		return -ENOMEM;
	while (rc == 0 && !end) {
		rc = event_next(reader, &event);
		if (rc < 0)
			break;
		end = event.type == YAML_MAPPING_END_EVENT;
		if (!end)
			rc = member_read(reader, &event, *value, parent);
		yaml_event_delete(&event);
	}
	return rc;
}

static int collection_read(struct reader *reader, const yaml_event_t *event, size_t place,
			   json_t **value)
{
	bool mapping = event->type == YAML_MAPPING_START_EVENT;
	const yaml_char_t *tag =
		mapping ? event->data.mapping_start.tag : event->data.sequence_start.tag;
	int rc;

	if (tag != NULL || reader->depth >= YAML_DEPTH_MAX) {
		mistake_add(reader->mistakes, event->start_mark,
			    tag != NULL ? "tags (!...) have no meaning here" : "nested too deeply");
		return -EINVAL;
	}
	reader->depth++;
	rc = mapping ? mapping_read(reader, place, value) : sequence_read(reader, value);
	reader->depth--;
	return rc;
}

/* Takes `key`. On success *value is the caller's. */
static int value_read(struct reader *reader, yaml_event_t *event, char *key,
		      const yaml_mark_t *key_mark, json_t **value)
{
	const yaml_char_t *anchor = NULL;
	size_t before = reader->values;
	ssize_t place;
	int rc;

	*value = NULL;
	if (key_mark == NULL)
		key_mark = &event->start_mark;
	place = yaml_places_add(&reader->config->places, key_mark->line + 1, key_mark->column + 1,
				key);
	if (place < 0)
		return (int)place;
	if (!values_add(reader, 1, &event->start_mark))
		return -EINVAL;
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		anchor = event->data.scalar.anchor;
		rc = scalar_read(reader, event, key, value);
		break;
	case YAML_ALIAS_EVENT:
		rc = alias_read(reader, event, value);
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = event->data.sequence_start.anchor;
		rc = collection_read(reader, event, (size_t)place, value);
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = event->data.mapping_start.anchor;
		rc = collection_read(reader, event, (size_t)place, value);
		break;
	default:
		rc = -EINVAL;
	}
	yaml_places_close(&reader->config->places, (size_t)place);
	if (rc == 0)
		rc = anchor_keep(reader, event, (const char *)anchor, *value,
				 reader->values - before);
	if (rc < 0) {
		json_decref(*value);
		*value = NULL;
	}
	return rc;
}

/* One document, and nothing behind it. */
static int stream_read(struct reader *reader)
{
	yaml_event_t event;
	bool end = false, seen = false;
	int rc = 0;

	while (rc == 0 && !end) {
		rc = event_next(reader, &event);
		if (rc < 0)
			break;
		if (event.type == YAML_DOCUMENT_START_EVENT && seen) {
			mistake_add(reader->mistakes, event.start_mark,
				    "a second document; put everything into one");
			rc = -EINVAL;
		} else if (event.type == YAML_SCALAR_EVENT || event.type == YAML_ALIAS_EVENT ||
			   event.type == YAML_SEQUENCE_START_EVENT ||
			   event.type == YAML_MAPPING_START_EVENT) {
			seen = true;
			rc = value_read(reader, &event, NULL, NULL, &reader->config->json);
		} else if (event.type == YAML_STREAM_END_EVENT) {
			end = true;
			if (!seen)
				mistake_add(reader->mistakes, event.start_mark,
					    "there is nothing in it");
		}
		yaml_event_delete(&event);
	}
	return rc;
}

int yaml_config_parse(const char *text, size_t len, struct yaml_config **config,
		      struct yaml_mistakes *mistakes)
{
	struct reader *reader = calloc(1, sizeof(*reader));
	size_t i;
	int rc = -ENOMEM;

	mistakes->n = 0;
	if (reader == NULL)
		return -ENOMEM;
	reader->mistakes = mistakes;
	reader->config = calloc(1, sizeof(*reader->config));
	if (reader->config == NULL || !yaml_parser_initialize(&reader->parser))
		goto free_config;
	yaml_parser_set_input_string(&reader->parser, (const unsigned char *)text, len);
	rc = stream_read(reader);
	if (rc == 0 && mistakes->n > 0)
		rc = -EINVAL;
	for (i = 0; i < reader->n_anchors; i++) {
		free(reader->anchors[i].name);
		json_decref(reader->anchors[i].value);
	}
	yaml_parser_delete(&reader->parser);
free_config:
	if (rc < 0)
		yaml_config_free(reader->config);
	else
		*config = reader->config;
	free(reader);
	return rc;
}

void yaml_config_free(struct yaml_config *config)
{
	if (config == NULL)
		return;
	yaml_places_free(&config->places);
	json_decref(config->json);
	free(config);
}

json_t *yaml_config_json(const struct yaml_config *config)
{
	return config->json;
}

void yaml_config_locate(const struct yaml_config *config, const char *pointer, unsigned int *line,
			unsigned int *column)
{
	const struct yaml_place *place = yaml_places_find(&config->places, pointer);

	*line = place != NULL ? place->line : 1;
	*column = place != NULL ? place->column : 1;
}
