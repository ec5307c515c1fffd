/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of vici, charon's control interface (strongSwan, src/libcharon/plugins/vici/README.md): a
 * tree of sections with values and lists. Names have at most 255 bytes, values at most 65,535.
 */
#ifndef KAIDO_CONTROL_VICI_MESSAGE_H
#define KAIDO_CONTROL_VICI_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define VICI_MESSAGE_MAX 524288 /* bytes, of a packet without its length */
#define VICI_DEPTH_MAX   16

/* -- writing -- */

struct vici_message {
	uint8_t *bytes;
	size_t size;
	size_t room;
	bool failed; /* out of memory, or something was too long */
};

void vici_section(struct vici_message *message, const char *name);
void vici_section_end(struct vici_message *message);
void vici_list(struct vici_message *message, const char *name);
void vici_list_end(struct vici_message *message);
void vici_value(struct vici_message *message, const char *name, const void *value, size_t size);
void vici_item(struct vici_message *message, const void *value, size_t size);
void vici_text(struct vici_message *message, const char *name, const char *text);
/* Bytes as they are: of the packet around a message. */
void vici_bytes(struct vici_message *message, const void *bytes, size_t size);
/*
 * The members of an object: objects become sections, arrays lists, and text values. In lists named
 * `blobs` (NULL: none) and in those named "ca<blobs>" the text is base64 and is sent as bytes.
 */
void vici_members(struct vici_message *message, const json_t *object, const char *blobs);
/* Wiped: some hold keys. */
void vici_message_free(struct vici_message *message);

/* -- reading -- */

enum vici_kind {
	VICI_SECTION = 1,
	VICI_SECTION_END,
	VICI_VALUE,
	VICI_LIST,
	VICI_ITEM,
	VICI_LIST_END,
};

struct vici_element {
	enum vici_kind kind;
	char name[256]; /* "" where the kind has none */
	const uint8_t *value;
	size_t size;
};

struct vici_reader {
	const uint8_t *at;
	const uint8_t *end;
	unsigned int depth; /* sections that are open */
	bool in_list;
};

void vici_read(struct vici_reader *reader, const void *bytes, size_t size);
/* 1: an element, 0: the end, -EBADMSG: what is no message; then it must not be read on. */
int vici_next(struct vici_reader *reader, struct vici_element *element);
/*
 * The value of that name outside of all sections, as text that is cut to `size`, with '?' for what is
 * not printable ASCII. False: there is none, or this is no message.
 */
bool vici_find(const void *bytes, size_t size, const char *name, char *text, size_t room);
/* Is it a message from beginning to end? */
bool vici_is_whole(const void *bytes, size_t size);

#endif /* KAIDO_CONTROL_VICI_MESSAGE_H */
