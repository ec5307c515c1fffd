/* SPDX-License-Identifier: BSD-3-Clause */
#include "yaml_config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct yaml_config *parse(const char *text)
{
	struct yaml_mistakes mistakes;
	struct yaml_config *config = NULL;

	if (yaml_config_parse(text, strlen(text), &config, &mistakes) != 0)
		fail_msg("line %u: %s", mistakes.mistake[0].line, mistakes.mistake[0].text);
	return config;
}

static void refused(const char *text, unsigned int line, const char *word)
{
	struct yaml_mistakes mistakes;
	struct yaml_config *config = NULL;

	assert_int_equal(yaml_config_parse(text, strlen(text), &config, &mistakes), -EINVAL);
	assert_null(config);
	assert_true(mistakes.n >= 1);
	assert_int_equal(mistakes.mistake[0].line, line);
	if (strstr(mistakes.mistake[0].text, word) == NULL)
		fail_msg("'%s' is not in '%s'", word, mistakes.mistake[0].text);
}

static void becomes(const char *text, const char *json)
{
	struct yaml_config *config = parse(text);
	json_t *expected = json_loads(json, JSON_DECODE_ANY, NULL);

	assert_non_null(expected);
	if (!json_equal(yaml_config_json(config), expected))
		fail_msg("%s became %s", text,
			 json_dumps(yaml_config_json(config), JSON_ENCODE_ANY));
	json_decref(expected);
	yaml_config_free(config);
}

static void scalars_have_their_types(void **state)
{
	becomes("spi: 0x1001", "{\"spi\": 4097}");
	becomes("vlan: 101", "{\"vlan\": 101}");
	becomes("x: -5", "{\"x\": -5}");
	becomes("esn: true", "{\"esn\": true}");
	becomes("esn: false", "{\"esn\": false}");
	becomes("esn: yes", "{\"esn\": \"yes\"}");
	becomes("x: 0755", "{\"x\": \"0755\"}");
	becomes("x: 1.5", "{\"x\": \"1.5\"}");
	becomes("x: 10.0.0.1/24", "{\"x\": \"10.0.0.1/24\"}");
	becomes("x: fd00:1::1/64", "{\"x\": \"fd00:1::1/64\"}");
	becomes("x: 12:30:45", "{\"x\": \"12:30:45\"}");
	becomes("x:", "{\"x\": null}");
	becomes("x: ~", "{\"x\": null}");
	becomes("x: '5'", "{\"x\": \"5\"}");
	becomes("x: \"true\"", "{\"x\": \"true\"}");
	becomes("x: 9223372036854775807", "{\"x\": 9223372036854775807}");
	refused("a: 1\nx: 9223372036854775808", 2, "64 bits");
	refused("x: \"a\\0b\"", 1, "zero byte");
}

/* Digits alone are a key, a salt or a name there. */
static void text_members_stay_text(void **state)
{
	becomes("salt: 12345678", "{\"salt\": \"12345678\"}");
	becomes("key: 00112233445566778899001122334455",
		"{\"key\": \"00112233445566778899001122334455\"}");
	becomes("name: 12", "{\"name\": \"12\"}");
	becomes("label: true", "{\"label\": \"true\"}");
	becomes("label:", "{\"label\": null}");
}

static void flow_and_block_mean_the_same(void **state)
{
	becomes("a: [1, {b: x}]\n", "{\"a\": [1, {\"b\": \"x\"}]}");
	becomes("a:\n- 1\n- b: x\n", "{\"a\": [1, {\"b\": \"x\"}]}");
	becomes("# nothing but\n{}\n", "{}");
}

static void places_are_found(void **state)
{
	static const struct {
		const char *pointer;
		unsigned int line;
		unsigned int column;
	} cases[] = {
		{ "", 1, 1 },
		{ "/version", 1, 1 },
		{ "/tenants", 2, 1 },
		{ "/tenants/0/name", 3, 5 },
		{ "/tenants/1", 5, 5 },
		{ "/tenants/1/sas/0/spi", 7, 10 },
		{ "/tenants/1/sas/1/key", 8, 20 },
		{ "/tenants/1/sas/1/salt", 8, 20 },
		{ "/tenants/1/sas/7/spi", 6, 5 },
		{ "/tenants/1/no/such", 5, 5 },
		{ "/tenants/x", 2, 1 },
		{ "/a~1b/c~0d", 10, 3 },
		{ "not a pointer", 1, 1 },
	};
	struct yaml_config *config = parse("version: 1\n"
					   "tenants:\n"
					   "  - name: acme\n"
					   "    sas: []\n"
					   "  - name: other\n"
					   "    sas:\n"
					   "      - {spi: 1}\n"
					   "      - {spi: 0x2, key-file: x}\n"
					   "a/b:\n"
					   "  c~d: 1\n");
	unsigned int line, column;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		yaml_config_locate(config, cases[i].pointer, &line, &column);
		if (line != cases[i].line || column != cases[i].column)
			fail_msg("'%s' at %u:%u, not %u:%u", cases[i].pointer, line, column,
				 cases[i].line, cases[i].column);
	}
	yaml_config_free(config);
}

static void mistakes_have_lines(void **state)
{
	refused("a: 1\nb: 2\na: 3\n", 3, "first in line 1");
	refused("a:\n  b: 1\n  c: 2\n  b: 3\n", 4, "first in line 2");
	refused("a: [1, 2\nb: 3\n", 2, "not YAML");
	refused("a: 1\n\tb: 2\n", 2, "not YAML");
	refused("a: 1\n<<: {b: 2}\n", 2, "merge keys");
	refused("a: !!python/object:os.system x\n", 1, "tags");
	refused("a: !!str 5\n", 1, "tags");
	refused("a: 1\n---\nb: 2\n", 2, "second document");
	refused("", 1, "nothing");
	refused("# only a comment\n", 2, "nothing");
	refused("{[a]: 1}", 1, "plain word");
	refused("a: *b\n", 1, "anchor");
	refused("a: &a [*a]\n", 1, "anchor");
	refused("a: \"\xff\"\n", 1, "UTF-8");
}

static void all_double_keys_are_reported(void **state)
{
	const char text[] = "a: 1\na: 2\nb: 1\nb: 2\n";
	struct yaml_mistakes mistakes;
	struct yaml_config *config = NULL;

	assert_int_equal(yaml_config_parse(text, strlen(text), &config, &mistakes), -EINVAL);
	assert_int_equal(mistakes.n, 2);
	assert_int_equal(mistakes.mistake[0].line, 2);
	assert_int_equal(mistakes.mistake[1].line, 4);
}

static void aliases_are_bounded(void **state)
{
	char text[2048] = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n", *p = text + strlen(text);
	int i, j;

	becomes("a: &x {b: 1}\nc: *x\n", "{\"a\": {\"b\": 1}, \"c\": {\"b\": 1}}");
	becomes("a: &x 1\nb: &x 2\nc: *x\n", "{\"a\": 1, \"b\": 2, \"c\": 2}");
	for (i = 1; i < 12; i++) {
		p += snprintf(p, (size_t)(text + sizeof(text) - p), "a%d: &a%d [", i, i);
		for (j = 0; j < 10; j++)
			p += snprintf(p, (size_t)(text + sizeof(text) - p), "%s*a%d",
				      j > 0 ? "," : "", i - 1);
		p += snprintf(p, (size_t)(text + sizeof(text) - p), "]\n");
	}
	refused(text, 7, "aliases");
}

static void depth_is_bounded(void **state)
{
	char text[4096];

	memset(text, '[', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	refused(text, 1, "deeply");
}

/* Cut short or with bytes changed: an answer, never a crash (the sanitizers watch). */
static void mangled_text_is_survived(void **state)
{
	const char good[] =
		"version: 1\ntenants:\n  - {name: acme, label: \"A: b\", x: &y [1, 2]}\n"
		"  - name: b\n    sas: *y\n    z: |\n      text\n";
	struct yaml_mistakes mistakes;
	struct yaml_config *config;
	char text[sizeof(good)];
	size_t i;
	int bit;

	for (i = 0; i < sizeof(good); i++) {
		config = NULL;
		if (yaml_config_parse(good, i, &config, &mistakes) == 0)
			yaml_config_free(config);
		for (bit = 0; bit < 8; bit++) {
			memcpy(text, good, sizeof(good));
			text[i] = (char)(text[i] ^ (1 << bit));
			config = NULL;
			if (yaml_config_parse(text, sizeof(good) - 1, &config, &mistakes) == 0)
				yaml_config_free(config);
			else
				assert_null(config);
		}
	}
}

static void written_yaml_reads_back(void **state)
{
	const char json[] =
		"{\"version\": 1, \"tenants\": [{\"name\": \"12\", \"label\": \"a: b # c\","
		"\"x\": \"true\", \"y\": \"0x10\", \"z\": \"\", \"n\": null, \"t\": true,"
		"\"u\": \"\\u672d\\u5e4c \\n \\u0007\", \"networks\": [\"10.0.0.0/8\"],"
		"\"sas\": [{\"direction\": \"in\", \"spi\": 4097, \"esn\": false}],"
		"\"e\": [], \"o\": {}}]}";
	json_t *value = json_loads(json, 0, NULL);
	struct yaml_config *config;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(value);
	assert_int_equal(yaml_write(out, value), 0);
	fclose(out);
	config = parse(text);
	if (!json_equal(yaml_config_json(config), value))
		fail_msg("%s", text);
	assert_non_null(strstr(text, "spi: 0x1001"));
	yaml_config_free(config);
	json_decref(value);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars_have_their_types),
		cmocka_unit_test(text_members_stay_text),
		cmocka_unit_test(flow_and_block_mean_the_same),
		cmocka_unit_test(places_are_found),
		cmocka_unit_test(mistakes_have_lines),
		cmocka_unit_test(all_double_keys_are_reported),
		cmocka_unit_test(aliases_are_bounded),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(mangled_text_is_survived),
		cmocka_unit_test(written_yaml_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
