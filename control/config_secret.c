/* SPDX-License-Identifier: BSD-3-Clause */
/* Pre-shared keys, passwords and private keys: sealed as soon as they are read, and never shown. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "config_parse.h"

#define ENCODED_MAX SECRET_TEXT_MAX /* bytes; what it stands for is no longer than the text */

const struct secret_kind config_password_kind = { 1, 256, true, false };

static int seal(struct config_context *context, const struct secret_place *place,
		const uint8_t *plain, size_t size, struct secret *secret)
{
	uint8_t identity[SECRET_IDENTITY_MAX];
	size_t length =
		secret_identity(place->tenant, place->name, place->what, place->user, identity);

	secret->sealed = malloc(size + VAULT_OVERHEAD);
	if (secret->sealed == NULL) {
		context->reader->failed = true;
		return -1;
	}
	secret->size = size;
	vault_digest(context->vault, VAULT_KEY_DIGEST, plain, size, secret->digest);
	vault_seal(context->vault, identity, length, plain, size, secret->sealed);
	return 0;
}

static void secret_copy(struct config_context *context, const struct secret *known,
			struct secret *secret)
{
	secret->sealed = malloc(known->size + VAULT_OVERHEAD);
	if (secret->sealed == NULL) {
		context->reader->failed = true;
		return;
	}
	secret->size = known->size;
	memcpy(secret->digest, known->digest, sizeof(secret->digest));
	memcpy(secret->sealed, known->sealed, known->size + VAULT_OVERHEAD);
}

static void stored_read(struct config_reader *reader, const json_t *json, const char *member,
			struct secret *secret)
{
	const json_t *object = json_object_get(json, member);
	size_t length = json_string_length(json_object_get(object, "sealed"));
	size_t mark;

	if (object == NULL)
		return;
	mark = reader_enter(reader, member);
	secret->sealed = malloc(length / 2 + 1);
	if (secret->sealed == NULL)
		reader->failed = true;
	else if (length / 2 <= VAULT_OVERHEAD ||
		 field_hex(reader, object, "sealed", secret->sealed, length / 2) !=
			 (int)(length / 2) ||
		 field_hex(reader, object, "digest", secret->digest, sizeof(secret->digest)) !=
			 (int)sizeof(secret->digest))
		reader_error(reader, "the stored secret is damaged");
	else
		secret->size = length / 2 - VAULT_OVERHEAD;
	reader_leave(reader, mark);
}

/* 0x and hexadecimal digits, or 0s and base64, as in strongSwan's files; else the text itself. */
static size_t bytes_read(const char *text, uint8_t *bytes, size_t room)
{
	const char *end = NULL;
	size_t size = 0;
	int bad = 0;

	if (strncmp(text, "0x", 2) == 0)
		bad = sodium_hex2bin(bytes, room, text + 2, strlen(text + 2), NULL, &size, &end);
	else if (strncmp(text, "0s", 2) == 0)
		bad = sodium_base642bin(bytes, room, text + 2, strlen(text + 2), "\r\n ", &size,
					&end, sodium_base64_VARIANT_ORIGINAL);
	else if (strlen(text) <= room)
		memcpy(bytes, text, size = strlen(text));
	return bad != 0 || (end != NULL && *end != '\0') ? 0 : size;
}

static bool text_is_usable(struct config_reader *reader, const char *member, const char *text,
			   const struct secret_kind *kind)
{
	size_t length = strlen(text);

	for (size_t i = 0; i < length && kind->one_line; i++) {
		if ((unsigned char)text[i] >= 0x20 && (unsigned char)text[i] < 0x7f)
			continue;
		reader_error_of(reader, member,
				"must be one line of printable ASCII characters: others are "
				"encoded differently by different clients");
		return false;
	}
	if (length >= kind->least && length <= kind->most)
		return true;
	reader_error_of(reader, member, "has %zu characters: give %zu to %zu", length, kind->least,
			kind->most);
	return false;
}

/* A pre-shared key that may be written in hexadecimal or base64. */
static void encoded_seal(struct config_context *context, const char *member, const char *text,
			 const struct secret_place *place, struct secret *secret)
{
	uint8_t bytes[ENCODED_MAX];
	size_t size = bytes_read(text, bytes, sizeof(bytes));

	if (size > 0)
		seal(context, place, bytes, size, secret);
	else
		reader_error_of(context->reader, member,
				"begins with 0x or 0s, but hexadecimal digits or base64 don't "
				"follow");
	sodium_memzero(bytes, sizeof(bytes));
}

void config_parse_secret(struct config_context *context, const json_t *json, const char *member,
			 const struct secret_kind *kind, const struct secret_place *place,
			 const struct secret *known, struct secret *secret)
{
	struct config_reader *reader = context->reader;
	const char *text;

	if (reader->stored) {
		stored_read(reader, json, member, secret);
		return;
	}
	text = field_string(reader, json, member, false);
	if (text == NULL)
		return;
	if (strcmp(text, "set") == 0) {
		if (known != NULL && secret_is_set(known))
			secret_copy(context, known, secret);
		else
			reader_error_of(reader, member,
					"'set' keeps what is there, but there is none yet: give "
					"%s-file",
					member);
		return;
	}
	if (!text_is_usable(reader, member, text, kind))
		return;
	if (kind->encoded)
		encoded_seal(context, member, text, place, secret);
	else
		seal(context, place, (const uint8_t *)text, strlen(text), secret);
}

static void hex_set(json_t *object, const char *member, const uint8_t *bytes, size_t size)
{
	char *text = malloc(2 * size + 1);

	if (text != NULL)
		json_object_set_new(object, member,
				    json_string(sodium_bin2hex(text, 2 * size + 1, bytes, size)));
	free(text);
}

void config_render_secret(json_t *object, const char *member, const struct secret *secret,
			  enum config_form form)
{
	json_t *stored;

	if (!secret_is_set(secret))
		return;
	if (form == CONFIG_SHOWN) {
		json_object_set_new(object, member, json_string("set"));
	} else if (form == CONFIG_COMPARED) {
		hex_set(object, member, secret->digest, sizeof(secret->digest));
	} else {
		stored = json_object();
		hex_set(stored, "digest", secret->digest, sizeof(secret->digest));
		hex_set(stored, "sealed", secret->sealed, secret->size + VAULT_OVERHEAD);
		json_object_set_new(object, member, stored);
	}
}
