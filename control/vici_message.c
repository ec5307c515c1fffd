/* SPDX-License-Identifier: BSD-3-Clause */
#include "vici_message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

/* -- writing -- */

void vici_message_free(struct vici_message *message)
{
	if (message->bytes != NULL)
		sodium_memzero(message->bytes, message->room);
	free(message->bytes);
	memset(message, 0, sizeof(*message));
}

/* Not realloc(), which would leave what was there unwiped. */
static bool reserve(struct vici_message *message, size_t more)
{
	size_t room = message->room == 0 ? 512 : message->room;
	uint8_t *bigger;

	while (room < message->size + more)
		room *= 2;
	if (room == message->room)
		return true;
	bigger = malloc(room);
	if (bigger == NULL) {
		message->failed = true;
		return false;
	}
	if (message->size > 0) {
		memcpy(bigger, message->bytes, message->size);
		sodium_memzero(message->bytes, message->room);
	}
	free(message->bytes);
	message->bytes = bigger;
	message->room = room;
	return true;
}

void vici_bytes(struct vici_message *message, const void *bytes, size_t size)
{
	if (message->failed || !reserve(message, size))
		return;
	if (size > 0)
		memcpy(message->bytes + message->size, bytes, size);
	message->size += size;
}

static void head_put(struct vici_message *message, enum vici_kind kind, const char *name)
{
	size_t length = name == NULL ? 0 : strlen(name);
	uint8_t head[2] = { (uint8_t)kind, (uint8_t)length };

	if (length > 255) {
		message->failed = true;
		return;
	}
	vici_bytes(message, head, name == NULL ? 1 : 2);
	vici_bytes(message, name, length);
}

static void value_put(struct vici_message *message, const void *value, size_t size)
{
	uint8_t length[2] = { (uint8_t)(size >> 8), (uint8_t)size };

	if (size > UINT16_MAX) {
		message->failed = true;
		return;
	}
	vici_bytes(message, length, sizeof(length));
	vici_bytes(message, value, size);
}

void vici_section(struct vici_message *message, const char *name)
{
	head_put(message, VICI_SECTION, name);
}

void vici_section_end(struct vici_message *message)
{
	head_put(message, VICI_SECTION_END, NULL);
}

void vici_list(struct vici_message *message, const char *name)
{
	head_put(message, VICI_LIST, name);
}

void vici_list_end(struct vici_message *message)
{
	head_put(message, VICI_LIST_END, NULL);
}

void vici_value(struct vici_message *message, const char *name, const void *value, size_t size)
{
	head_put(message, VICI_VALUE, name);
	value_put(message, value, size);
}

void vici_item(struct vici_message *message, const void *value, size_t size)
{
	head_put(message, VICI_ITEM, NULL);
	value_put(message, value, size);
}

void vici_text(struct vici_message *message, const char *name, const char *text)
{
	vici_value(message, name, text, strlen(text));
}

static void blob_item(struct vici_message *message, const json_t *item)
{
	size_t length = json_string_length(item), size;
	uint8_t *bytes = malloc(length + 1);

	if (bytes == NULL || sodium_base642bin(bytes, length, json_string_value(item), length, NULL,
					       &size, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
		message->failed = true;
	else
		vici_item(message, bytes, size);
	free(bytes);
}

static bool is_blobs(const char *name, const char *blobs)
{
	return blobs != NULL && (strcmp(name, blobs) == 0 ||
				 (strncmp(name, "ca", 2) == 0 && strcmp(name + 2, blobs) == 0));
}

static void list_put(struct vici_message *message, const char *name, const json_t *list,
		     const char *blobs)
{
	json_t *item;
	size_t i;

	vici_list(message, name);
	json_array_foreach (list, i, item) {
		if (is_blobs(name, blobs))
			blob_item(message, item);
		else
			vici_item(message, json_string_value(item), json_string_length(item));
	}
	vici_list_end(message);
}

void vici_members(struct vici_message *message, const json_t *object, const char *blobs)
{
	const char *name;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)object, name, value) {
		if (json_is_object(value)) {
			vici_section(message, name);
			vici_members(message, value, blobs);
			vici_section_end(message);
		} else if (json_is_array(value)) {
			list_put(message, name, value, blobs);
		} else {
			vici_value(message, name, json_string_value(value),
				   json_string_length(value));
		}
	}
}

/* -- reading -- */

void vici_read(struct vici_reader *reader, const void *bytes, size_t size)
{
	memset(reader, 0, sizeof(*reader));
	reader->at = size == 0 ? (const uint8_t *)"" : bytes;
	reader->end = reader->at + size;
}

static size_t left(const struct vici_reader *reader)
{
	return (size_t)(reader->end - reader->at);
}

static bool name_read(struct vici_reader *reader, struct vici_element *element)
{
	size_t length;

	if (left(reader) < 1)
		return false;
	length = *reader->at++;
	if (left(reader) < length || memchr(reader->at, '\0', length) != NULL)
		return false;
	memcpy(element->name, reader->at, length);
	element->name[length] = '\0';
	reader->at += length;
	return true;
}

static bool value_read(struct vici_reader *reader, struct vici_element *element)
{
	if (left(reader) < 2)
		return false;
	element->size = (size_t)reader->at[0] << 8 | reader->at[1];
	reader->at += 2;
	if (left(reader) < element->size)
		return false;
	element->value = reader->at;
	reader->at += element->size;
	return true;
}

/* What may stand where: items in lists and nothing else there, ends only of what is open. */
static bool place_check(struct vici_reader *reader, enum vici_kind kind)
{
	if (reader->in_list)
		return kind == VICI_ITEM || kind == VICI_LIST_END;
	switch (kind) {
	case VICI_SECTION:
		return reader->depth < VICI_DEPTH_MAX;
	case VICI_SECTION_END:
		return reader->depth > 0;
	case VICI_VALUE:
	case VICI_LIST:
		return true;
	default:
		return false;
	}
}

int vici_next(struct vici_reader *reader, struct vici_element *element)
{
	bool good;

	memset(element, 0, sizeof(*element));
	if (left(reader) == 0)
		return reader->depth == 0 && !reader->in_list ? 0 : -EBADMSG;
	element->kind = (enum vici_kind) * reader->at++;
	if (!place_check(reader, element->kind))
		return -EBADMSG;
	switch (element->kind) {
	case VICI_SECTION:
		good = name_read(reader, element);
		reader->depth++;
		break;
	case VICI_SECTION_END:
		good = true;
		reader->depth--;
		break;
	case VICI_VALUE:
		good = name_read(reader, element) && value_read(reader, element);
		break;
	case VICI_LIST:
		good = name_read(reader, element);
		reader->in_list = true;
		break;
	case VICI_ITEM:
		good = value_read(reader, element);
		break;
	default: /* VICI_LIST_END */
		good = true;
		reader->in_list = false;
	}
	return good ? 1 : -EBADMSG;
}

bool vici_is_whole(const void *bytes, size_t size)
{
	struct vici_element element;
	struct vici_reader reader;
	int ret;

	vici_read(&reader, bytes, size);
	while ((ret = vici_next(&reader, &element)) == 1)
		;
	return ret == 0;
}

bool vici_find(const void *bytes, size_t size, const char *name, char *text, size_t room)
{
	struct vici_element element;
	struct vici_reader reader;
	size_t i;

	vici_read(&reader, bytes, size);
	while (vici_next(&reader, &element) == 1) {
		if (element.kind != VICI_VALUE || reader.depth > 0 ||
		    strcmp(element.name, name) != 0)
			continue;
		for (i = 0; i < element.size && i + 1 < room; i++)
			text[i] = element.value[i] < 0x20 || element.value[i] >= 0x7f
					  ? '?'
					  : (char)element.value[i];
		text[i] = '\0';
		return true;
	}
	return false;
}
