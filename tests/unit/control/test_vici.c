/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages of vici: written and read back, cut at every byte, and with every byte changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vici_message.h"

/* The example of strongSwan's README of vici, in its bytes. */
static const uint8_t example[] = {
	3,   4,   'k', 'e', 'y', '1', 0,   6,   'v', 'a', 'l', 'u', 'e', '1', 1,   8,
	's', 'e', 'c', 't', 'i', 'o', 'n', '1', 1,   11,  's', 'u', 'b', '-', 's', 'e',
	'c', 't', 'i', 'o', 'n', 3,   4,   'k', 'e', 'y', '2', 0,   6,   'v', 'a', 'l',
	'u', 'e', '2', 2,   4,   5,   'l', 'i', 's', 't', '1', 5,   0,   5,   'i', 't',
	'e', 'm', '1', 5,   0,   5,   'i', 't', 'e', 'm', '2', 6,   2,
};

static void example_is_written(void **state)
{
	struct vici_message message = { 0 };
	json_t *object = json_pack("{s:s, s:{s:{s:s}, s:[s, s]}}", "key1", "value1", "section1",
				   "sub-section", "key2", "value2", "list1", "item1", "item2");

	vici_members(&message, object, NULL);
	assert_false(message.failed);
	assert_int_equal(message.size, sizeof(example));
	assert_memory_equal(message.bytes, example, sizeof(example));
	vici_message_free(&message);
	json_decref(object);
}

static void certificates_are_sent_as_bytes(void **state)
{
	static const uint8_t wanted[] = { 4,   7, 'c', 'a', 'c',  'e', 'r', 't',
					  's', 5, 0,   2,   0xff, 0,   6 };
	json_t *object = json_pack("{s:[s]}", "cacerts", "/wA=");
	struct vici_message message = { 0 };

	vici_members(&message, object, "certs");
	assert_false(message.failed);
	assert_int_equal(message.size, sizeof(wanted));
	assert_memory_equal(message.bytes, wanted, sizeof(wanted));
	vici_message_free(&message);
	json_decref(object);

	object = json_pack("{s:[s]}", "certs", "no base64!");
	vici_members(&message, object, "certs");
	assert_true(message.failed);
	vici_message_free(&message);
	json_decref(object);
}

static void too_long_is_refused(void **state)
{
	struct vici_message message = { 0 };
	char name[258];
	uint8_t *value = calloc(1, 65536);

	assert_non_null(value);
	vici_value(&message, "fits", value, 65535);
	assert_false(message.failed);
	vici_value(&message, "not", value, 65536);
	assert_true(message.failed);
	vici_message_free(&message);
	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	vici_text(&message, name, "fits");
	assert_false(message.failed);
	name[255] = 'n';
	name[256] = '\0';
	vici_text(&message, name, "not");
	assert_true(message.failed);
	vici_message_free(&message);
	free(value);
}

static void example_is_read(void **state)
{
	static const struct {
		enum vici_kind kind;
		const char *name;
		const char *value;
	} wanted[] = {
		{ VICI_VALUE, "key1", "value1" },    { VICI_SECTION, "section1", "" },
		{ VICI_SECTION, "sub-section", "" }, { VICI_VALUE, "key2", "value2" },
		{ VICI_SECTION_END, "", "" },        { VICI_LIST, "list1", "" },
		{ VICI_ITEM, "", "item1" },          { VICI_ITEM, "", "item2" },
		{ VICI_LIST_END, "", "" },           { VICI_SECTION_END, "", "" },
	};
	struct vici_element element;
	struct vici_reader reader;

	vici_read(&reader, example, sizeof(example));
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		assert_int_equal(vici_next(&reader, &element), 1);
		assert_int_equal(element.kind, wanted[i].kind);
		assert_string_equal(element.name, wanted[i].name);
		assert_int_equal(element.size, strlen(wanted[i].value));
		assert_memory_equal(element.value == NULL ? (const uint8_t *)"" : element.value,
				    wanted[i].value, element.size);
	}
	assert_int_equal(vici_next(&reader, &element), 0);
}

static void values_are_found(void **state)
{
	static const uint8_t message[] = {
		1, 1, 's', 3, 1, 'a', 0, 2, 'n', 'o', 2, 3, 1, 'a', 0, 3, 'y', 0x1b, 's',
	};
	char text[3];

	assert_true(vici_find(message, sizeof(message), "a", text, sizeof(text)));
	assert_string_equal(text, "y?"); /* cut, and nothing that a terminal would obey */
	assert_false(vici_find(message, sizeof(message), "s", text, sizeof(text)));
	assert_false(vici_find(message, 0, "a", text, sizeof(text)));
}

/* From memory of just that size, so that a sanitizer sees one byte too far. */
static bool is_whole(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size == 0 ? 1 : size);
	char text[16];
	bool whole;

	assert_non_null(copy);
	if (size > 0)
		memcpy(copy, bytes, size);
	whole = vici_is_whole(copy, size);
	vici_find(copy, size, "key1", text, sizeof(text));
	free(copy);
	return whole;
}

static void cut_messages_are_refused(void **state)
{
	/* An end behind the first value, before the section, is one. */
	for (size_t size = 1; size < sizeof(example); size++)
		assert_int_equal(is_whole(example, size), size == 14);
	assert_true(is_whole(example, 0));
	assert_true(is_whole(example, sizeof(example)));
}

static void changed_messages_do_no_harm(void **state)
{
	uint8_t bytes[sizeof(example)];
	unsigned int whole = 0;

	for (size_t at = 0; at < sizeof(example); at++) {
		for (unsigned int value = 0; value < 256; value++) {
			memcpy(bytes, example, sizeof(bytes));
			bytes[at] = (uint8_t)value;
			whole += is_whole(bytes, sizeof(bytes));
		}
	}
	/* Letters may be others; most changes of types and lengths break it. */
	assert_in_range(whole, 1, sizeof(example) * 256 - 1);
}

static void hostile_messages_are_refused(void **state)
{
	static const struct {
		uint8_t bytes[12];
		size_t size;
	} messages[] = {
		{ { 0 }, 1 }, /* no such kind */
		{ { 7 }, 1 },
		{ { 2 }, 1 }, /* an end of nothing */
		{ { 6 }, 1 },
		{ { 5, 0, 0 }, 3 },                       /* an item outside of a list */
		{ { 4, 1, 'l', 3, 1, 'k', 0, 0, 6 }, 9 }, /* a value within a list */
		{ { 4, 1, 'l', 4, 1, 'm', 6, 6 }, 8 },    /* a list within a list */
		{ { 4, 1, 'l', 2 }, 4 },                  /* the end of a section within one */
		{ { 3, 1, 'k', 0xff, 0xff, 'v' }, 6 },    /* longer than all of it */
		{ { 3, 255, 'k' }, 3 },
		{ { 3, 2, 'k', 0, 0, 0 }, 6 }, /* a zero byte in a name */
	};
	uint8_t deep[3 * 40];

	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		assert_false(is_whole(messages[i].bytes, messages[i].size));
	for (size_t i = 0; i < 40; i++)
		memcpy(deep + 3 * i, "\1\1s", 3);
	assert_false(is_whole(deep, sizeof(deep)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(example_is_written),
		cmocka_unit_test(certificates_are_sent_as_bytes),
		cmocka_unit_test(too_long_is_refused),
		cmocka_unit_test(example_is_read),
		cmocka_unit_test(values_are_found),
		cmocka_unit_test(cut_messages_are_refused),
		cmocka_unit_test(changed_messages_do_no_harm),
		cmocka_unit_test(hostile_messages_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
