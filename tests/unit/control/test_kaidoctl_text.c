/* SPDX-License-Identifier: BSD-3-Clause */
/* What kaidoctl prints: tables, numbers, packets. */
#include "packet_text.h"
#include "table.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void number_is(double number, const char *expected)
{
	char text[32];

	table_number(text, sizeof(text), number);
	assert_string_equal(text, expected);
}

static void numbers_are_short(void **state)
{
	number_is(0, "0");
	number_is(99999, "99999");
	number_is(100000, "100k");
	number_is(1234567, "1.23M");
	number_is(12345678, "12.3M");
	number_is(123456789012.0, "123G");
	number_is(18446744073709551615.0, "18.4E");
}

static void values_are_tame(void **state)
{
	json_t *evil = json_string("a\x1b[2J\nb\xc2\x9b"), *list, *none = json_null();
	char text[64];

	table_value(text, sizeof(text), evil, TABLE_TEXT);
	assert_string_equal(text, "a?[2J?b??");
	list = json_pack("[s,s]", "10.0.0.0/8", "fd00::/8");
	table_value(text, sizeof(text), list, TABLE_TEXT);
	assert_string_equal(text, "10.0.0.0/8,fd00::/8");
	table_value(text, sizeof(text), list, TABLE_COUNT);
	assert_string_equal(text, "2");
	table_value(text, 8, list, TABLE_TEXT);
	assert_string_equal(text, "10.0.0.");
	table_value(text, sizeof(text), none, TABLE_TEXT);
	assert_string_equal(text, "-");
	table_value(text, sizeof(text), NULL, TABLE_COUNT);
	assert_string_equal(text, "-");
	json_decref(evil);
	json_decref(list);
}

static void columns_are_aligned(void **state)
{
	static const struct table_column columns[] = { { "NAME", "name", TABLE_TEXT },
						       { "N", "counters.n", TABLE_COUNT },
						       { "LABEL", "label", TABLE_TEXT },
						       { NULL, NULL, 0 } };
	json_t *rows = json_pack("[{s:s,s:{s:i},s:s},{s:s}]", "name", "札幌", "counters", "n",
				 123456, "label", "x", "name", "tokyo-1");
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	setlocale(LC_CTYPE, "C.UTF-8");
	table_write(out, columns, rows);
	fclose(out);
	assert_string_equal(text, "NAME        N  LABEL\n"
				  "札幌     123k  x\n"
				  "tokyo-1     -  -\n");
	json_decref(rows);
	free(text);
}

static void packets_are_read(void **state)
{
	static const uint8_t tcp[] = { 0x45, 0, 0, 60, 0,  1, 0x40, 0, 64,   6,    0, 0,
				       10,   0, 0, 1,  10, 1, 0,    2, 0x1f, 0x90, 0, 80,
				       0,    0, 0, 1,  0,  0, 0,    0, 0xa0, 0x02 };
	static const uint8_t esp[] = { 0x45, 0, 0,   100, 0,   1, 0, 0, 64,   50, 0, 0, 192, 0,
				       2,    1, 198, 51,  100, 7, 0, 0, 0x10, 1,  0, 0, 0,   9 };
	static const uint8_t later[] = {
		0x45, 0, 0,   100, 0,   1, 0, 185, 64,   17, 0, 0, 192, 0,
		2,    1, 198, 51,  100, 7, 0, 0,   0x10, 1,  0, 0, 0,   9
	};
	uint8_t six[48] = { 0x60, 0, 0, 0, 0, 8, 58, 64 };
	char text[256];
	size_t i;

	packet_text(text, sizeof(text), tcp, sizeof(tcp));
	assert_string_equal(text, "10.0.0.1 > 10.1.0.2 ttl 64 length 60 TCP 8080 > 80 SYN seq 1");
	packet_text(text, sizeof(text), esp, sizeof(esp));
	assert_string_equal(text,
			    "192.0.2.1 > 198.51.100.7 ttl 64 length 100 ESP spi 0x1001 seq 9");
	packet_text(text, sizeof(text), later, sizeof(later));
	assert_non_null(strstr(text, "fragment at 1480"));
	six[40] = 128;
	packet_text(text, sizeof(text), six, sizeof(six));
	assert_string_equal(text, ":: > :: ttl 64 length 48 ICMPv6 type 128 code 0");
	/* Any length, any first byte: the sanitizers watch. */
	for (i = 0; i < 256 * 48; i++) {
		uint8_t *cut = malloc(i % 48 + 1);

		memcpy(cut, six, i % 48);
		cut[0] = (uint8_t)(i / 48);
		packet_text(text, sizeof(text), cut, i % 48);
		free(cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_short),
		cmocka_unit_test(values_are_tame),
		cmocka_unit_test(columns_are_aligned),
		cmocka_unit_test(packets_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
