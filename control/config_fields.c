/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_fields.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "address.h"

int reader_open(struct config_reader *reader)
{
	memset(reader, 0, sizeof(*reader));
	reader->errors = json_array();
	return reader->errors == NULL ? -ENOMEM : 0;
}

void reader_close(struct config_reader *reader)
{
	json_decref(reader->errors);
	reader->errors = NULL;
}

size_t reader_enter(struct config_reader *reader, const char *member)
{
	size_t mark = strlen(reader->pointer);
	size_t at = mark;

	if (at + 2 < sizeof(reader->pointer))
		reader->pointer[at++] = '/';
	for (; *member != '\0' && at + 3 < sizeof(reader->pointer); member++) {
		if (*member == '~' || *member == '/') {
			reader->pointer[at++] = '~';
			reader->pointer[at++] = *member == '~' ? '0' : '1';
		} else {
			reader->pointer[at++] = *member;
		}
	}
	reader->pointer[at] = '\0';
	return mark;
}

size_t reader_enter_index(struct config_reader *reader, size_t index)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%zu", index);
	return reader_enter(reader, digits);
}

void reader_leave(struct config_reader *reader, size_t mark)
{
	reader->pointer[mark] = '\0';
}

__attribute__((format(printf, 2, 0))) static void error_add(struct config_reader *reader,
							    const char *format, va_list arguments)
{
	char text[768];
	json_t *error;

	if (reader->n_errors++ >= CONFIG_ERRORS_MAX)
		return;
	vsnprintf(text, sizeof(text), format, arguments);
	error = json_object();
	if (error == NULL ||
	    json_object_set_new(error, "pointer", json_string(reader->pointer)) < 0 ||
	    json_object_set_new(error, "message", json_string(text)) < 0 ||
	    json_array_append(reader->errors, error) < 0)
		reader->failed = true;
	json_decref(error);
}

void reader_error(struct config_reader *reader, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	error_add(reader, format, arguments);
	va_end(arguments);
}

void reader_error_of(struct config_reader *reader, const char *member, const char *format, ...)
{
	size_t mark = reader_enter(reader, member);
	va_list arguments;

	va_start(arguments, format);
	error_add(reader, format, arguments);
	va_end(arguments);
	reader_leave(reader, mark);
}

static bool name_in(const char *name, const char *const *names)
{
	for (; names != NULL && *names != NULL; names++) {
		if (strcmp(name, *names) == 0)
			return true;
	}
	return false;
}

const char *text_shown(const char *text, char shown[64])
{
	size_t i;

	for (i = 0; text[i] != '\0' && i < 60; i++)
		shown[i] = text[i] < 0x20 || text[i] >= 0x7f ? '?' : text[i];
	shown[i] = '\0';
	return shown;
}

bool fields_check(struct config_reader *reader, const json_t *object, const char *const *names,
		  const char *const *also)
{
	char allowed[640], shown[64];
	size_t used = 0;
	const char *key;
	json_t *value;

	if (!json_is_object(object)) {
		reader_error(reader, "must be an object (name: value ...)");
		return false;
	}
	json_object_foreach ((json_t *)(uintptr_t)object, key, value) {
		if (name_in(key, names) || (reader->stored && name_in(key, also)))
			continue;
		used = 0;
		for (const char *const *name = names; *name != NULL && used < sizeof(allowed);
		     name++)
			used += (size_t)snprintf(allowed + used, sizeof(allowed) - used, "%s%s",
						 used == 0 ? "" : ", ", *name);
		reader_error_of(reader, key, "'%s' is not known here; known are: %s",
				text_shown(key, shown), allowed);
	}
	return true;
}

json_t *field_array(struct config_reader *reader, const json_t *object, const char *member)
{
	json_t *value = json_object_get(object, member);

	if (value == NULL || json_is_null(value))
		return NULL;
	if (!json_is_array(value)) {
		reader_error_of(reader, member, "must be a list");
		return NULL;
	}
	return json_array_size(value) == 0 ? NULL : value;
}

const char *field_string(struct config_reader *reader, const json_t *object, const char *member,
			 bool required)
{
	const json_t *value = json_object_get(object, member);

	if (value == NULL || json_is_null(value)) {
		if (required)
			reader_error_of(reader, member, "is missing: give %s", member);
		return NULL;
	}
	if (!json_is_string(value)) {
		reader_error_of(reader, member, "must be text; put it in quotes");
		return NULL;
	}
	if (strlen(json_string_value(value)) == json_string_length(value))
		return json_string_value(value);
	reader_error_of(reader, member, "must not contain a zero byte");
	return NULL;
}

bool field_name(struct config_reader *reader, const json_t *object, const char *member,
		char name[ABI_NAME_LEN])
{
	const char *text = field_string(reader, object, member, true);
	char shown[64];
	size_t length;

	name[0] = '\0';
	if (text == NULL)
		return false;
	length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
	if (length == 0 || text[length] != '\0' || text[0] == '-' || length >= ABI_NAME_LEN) {
		reader_error_of(
			reader, member,
			"'%s' is not a name: use 1 to 31 of a-z, 0-9 and '-', not '-' first",
			text_shown(text, shown));
		return false;
	}
	memcpy(name, text, length + 1);
	return true;
}

bool field_word(struct config_reader *reader, const json_t *object, const char *member,
		bool required, char *word, size_t size)
{
	const char *text = field_string(reader, object, member, required);
	size_t length;

	word[0] = '\0';
	if (text == NULL)
		return false;
	length = strlen(text);
	for (size_t i = 0; i < length; i++) {
		if (text[i] > 0x20 && text[i] < 0x7f && text[i] != '/')
			continue;
		reader_error_of(reader, member, "must be printable, without blanks and '/'");
		return false;
	}
	if (length == 0 || length >= size) {
		reader_error_of(reader, member, "must have 1 to %zu characters", size - 1);
		return false;
	}
	memcpy(word, text, length + 1);
	return true;
}

bool field_text(struct config_reader *reader, const json_t *object, const char *member,
		size_t max_characters, char **out)
{
	const char *text = field_string(reader, object, member, false);
	size_t characters = 0;

	*out = NULL;
	if (text == NULL || *text == '\0')
		return true;
	for (const char *c = text; *c != '\0'; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f) {
			reader_error_of(reader, member,
					"must be one line without control characters");
			return false;
		}
		characters += (*c & 0xc0) != 0x80;
	}
	if (characters > max_characters) {
		reader_error_of(reader, member, "has %zu characters; at most %zu are allowed",
				characters, max_characters);
		return false;
	}
	*out = strdup(text);
	if (*out == NULL)
		reader->failed = true;
	return *out != NULL;
}

bool value_integer(const json_t *value, int64_t *number)
{
	const char *text = json_string_value(value);
	char *end;

	if (json_is_integer(value)) {
		*number = json_integer_value(value);
		return true;
	}
	if (text == NULL || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*number = strtoll(text, &end, strncmp(text, "0x", 2) == 0 ? 16 : 10);
	return *end == '\0' && errno == 0;
}

int64_t field_integer(struct config_reader *reader, const json_t *object, const char *member,
		      int64_t least, int64_t most, int64_t absent)
{
	const json_t *value = json_object_get(object, member);
	int64_t number;

	if (value == NULL || json_is_null(value))
		return absent;
	if (value_integer(value, &number) && number >= least && number <= most)
		return number;
	reader_error_of(reader, member, "must be a whole number from %lld to %lld",
			(long long)least, (long long)most);
	return absent;
}

bool field_bool(struct config_reader *reader, const json_t *object, const char *member, bool absent)
{
	const json_t *value = json_object_get(object, member);

	if (value == NULL || json_is_null(value))
		return absent;
	if (!json_is_boolean(value))
		reader_error_of(reader, member, "must be true or false");
	return json_is_true(value);
}

int field_choice(struct config_reader *reader, const json_t *object, const char *member,
		 const char *const *choices, int absent)
{
	const char *text = field_string(reader, object, member, false);
	char list[256] = "", shown[64];
	size_t used = 0;

	if (text == NULL)
		return json_object_get(object, member) == NULL ? absent : -1;
	for (int i = 0; choices[i] != NULL; i++) {
		if (strcmp(text, choices[i]) == 0)
			return i;
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
					 i == 0 ? "" : ", ", choices[i]);
	}
	reader_error_of(reader, member, "'%s' is not one of: %s", text_shown(text, shown), list);
	return -1;
}

bool field_address(struct config_reader *reader, const json_t *object, const char *member,
		   struct abi_address *address)
{
	const char *text = field_string(reader, object, member, true);
	char shown[64];

	memset(address, 0, sizeof(*address));
	if (text == NULL)
		return false;
	if (address_parse(text, address) < 0)
		reader_error_of(reader, member, "'%s' is not an IPv4 or IPv6 address",
				text_shown(text, shown));
	else if (!address_is_host(address))
		reader_error_of(reader, member, "%s is not an address that a host can have",
				text_shown(text, shown));
	else
		return true;
	memset(address, 0, sizeof(*address));
	return false;
}

bool value_prefix(struct config_reader *reader, const json_t *value, struct abi_address *prefix)
{
	char text[ADDRESS_TEXT_LEN], shown[64];

	memset(prefix, 0, sizeof(*prefix));
	if (!json_is_string(value) || prefix_parse(json_string_value(value), prefix) < 0) {
		reader_error(reader, "'%s' is not a prefix such as 10.1.0.0/24 or fd00:1::/64",
			     json_is_string(value) ? text_shown(json_string_value(value), shown)
						   : "");
		memset(prefix, 0, sizeof(*prefix));
		return false;
	}
	if (prefix_is_masked(prefix))
		return true;
	prefix_mask(prefix);
	reader_error(reader, "'%s' has host bits set; the network is %s",
		     text_shown(json_string_value(value), shown), prefix_format(prefix, text));
	memset(prefix, 0, sizeof(*prefix));
	return false;
}

bool field_prefix(struct config_reader *reader, const json_t *object, const char *member,
		  struct abi_address *prefix)
{
	size_t mark;
	bool good;

	memset(prefix, 0, sizeof(*prefix));
	if (field_string(reader, object, member, true) == NULL)
		return false;
	mark = reader_enter(reader, member);
	good = value_prefix(reader, json_object_get(object, member), prefix);
	reader_leave(reader, mark);
	return good;
}

bool field_mac(struct config_reader *reader, const json_t *object, const char *member,
	       uint8_t mac[6])
{
	static const uint8_t zero[6];
	const char *text = field_string(reader, object, member, true);
	const char *end = NULL;
	size_t length = 0;

	memset(mac, 0, 6);
	if (text == NULL)
		return false;
	if (strlen(text) != 17 || sodium_hex2bin(mac, 6, text, 17, ":", &length, &end) != 0 ||
	    length != 6 || *end != '\0' || text[2] != ':' || text[14] != ':') {
		reader_error_of(reader, member, "is not a MAC address such as 02:00:00:00:00:09");
		return false;
	}
	if ((mac[0] & 1) == 0 && memcmp(mac, zero, 6) != 0)
		return true;
	reader_error_of(reader, member, "must be the address of one station, not a group or zero");
	return false;
}

int field_hex(struct config_reader *reader, const json_t *object, const char *member,
	      uint8_t *bytes, size_t size)
{
	const char *text = field_string(reader, object, member, false);
	const char *end = NULL;
	size_t length = 0;

	if (text == NULL)
		return json_object_get(object, member) == NULL ? 0 : -1;
	if (text[0] == '0' && text[1] == 'x')
		text += 2;
	if (sodium_hex2bin(bytes, size, text, strlen(text), NULL, &length, &end) == 0 &&
	    *end == '\0' && length > 0)
		return (int)length;
	sodium_memzero(bytes, size);
	/* The text itself is never repeated: it may be a key. */
	reader_error_of(reader, member, "must be an even number of hexadecimal digits, at most %zu",
			2 * size);
	return -1;
}
