/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration file: YAML to JSON and back, then the checks of kaidod. What passes them is
 * shown as a file again, and that must pass too and say the same.
 */
#include <errno.h>

#include "config.h"
#include "fuzz.h"
#include "scratch.h"
#include "vault.h"
#include "yaml_config.h"
#include "yaml_scalar.h"

static struct vault *vault;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct scratch scratch;

	scratch_make(&scratch);
	FUZZ_CHECK(vault_open(scratch.master_key, &vault) == 0);
	return 0;
}

static struct yaml_config *yaml_parse(const char *text, size_t size)
{
	static struct yaml_mistakes mistakes;
	struct yaml_config *config = NULL;
	int err = yaml_config_parse(text, size, &config, &mistakes);

	FUZZ_CHECK(err == 0 || err == -EINVAL);
	FUZZ_CHECK((err == 0) == (config != NULL));
	FUZZ_CHECK((err != 0) == (mistakes.n > 0));
	for (size_t i = 0; i < mistakes.n; i++)
		FUZZ_CHECK(mistakes.mistake[i].line >= 1 && mistakes.mistake[i].text[0] != '\0');
	return config;
}

/* A member that is text by its meaning can't be written as a number, by way of an alias for one. */
static bool is_writable(const json_t *value)
{
	const json_t *item;
	const char *key;
	size_t i;

	json_array_foreach (value, i, item)
		if (!is_writable(item))
			return false;
	json_object_foreach ((json_t *)(uintptr_t)value, key, item)
		if (!is_writable(item) || (yaml_member_is_text(key) && !json_is_string(item)))
			return false;
	return true;
}

/* Written as YAML and read again. */
static struct yaml_config *yaml_again(const json_t *json)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	struct yaml_config *config;

	FUZZ_CHECK(file != NULL && yaml_write(file, json) == 0);
	fclose(file);
	config = yaml_parse(text, size);
	FUZZ_CHECK(config != NULL);
	free(text);
	return config;
}

static void mistakes_locate(const struct yaml_config *yaml, const json_t *errors)
{
	const json_t *error;
	size_t i;

	json_array_foreach (errors, i, error) {
		const char *pointer = json_string_value(json_object_get(error, "pointer"));
		const char *message = json_string_value(json_object_get(error, "message"));
		unsigned int line = 0, column = 0;

		FUZZ_CHECK(pointer != NULL && message != NULL && message[0] != '\0');
		yaml_config_locate(yaml, pointer, &line, &column);
		FUZZ_CHECK(line >= 1 && column >= 1);
	}
}

/* As kaidod does it for a whole file. NULL: there are mistakes. */
static struct model *model_make(const struct yaml_config *yaml, const struct model *current)
{
	struct config_reader reader = { 0 };
	struct config_context context = { .vault = vault, .current = current, .reader = &reader };
	struct model *next = model_create();
	struct config *config;

	FUZZ_CHECK(reader_open(&reader) == 0 && next != NULL);
	config = config_parse(&context, yaml_config_json(yaml));
	FUZZ_CHECK(config != NULL && !reader.failed);
	for (size_t i = 0; i < config->n_tenants; i++) {
		size_t mark = reader_enter(&reader, "tenants");

		reader_enter_index(&reader, i);
		config_check_tenant(&reader, config->tenants[i]);
		reader_leave(&reader, mark);
		if (config->tenants[i]->name[0] != '\0')
			FUZZ_CHECK(model_put_tenant(next, tenant_hold(config->tenants[i])) == 0);
	}
	for (size_t i = 0; i < config->n_underlay; i++)
		if (config->underlay[i]->name[0] != '\0')
			FUZZ_CHECK(model_put_underlay(next, attachment_hold(config->underlay[i])) ==
				   0);
	config_check_model(&reader, config, next);
	mistakes_locate(yaml, reader.errors);
	FUZZ_CHECK((reader.n_errors == 0) == (json_array_size(reader.errors) == 0));
	for (size_t i = 0; i < config->n_tenants; i++)
		config_sort_tenant(config->tenants[i]);
	config_destroy(config);
	if (reader.n_errors != 0) {
		model_destroy(next);
		next = NULL;
	}
	reader_close(&reader);
	return next;
}

static void model_again(const struct model *model)
{
	json_t *shown = config_render(model, NULL), *shown_again;
	struct yaml_config *yaml = yaml_again(shown);
	struct model *next = model_make(yaml, model);

	FUZZ_CHECK(next != NULL);
	shown_again = config_render(next, NULL);
	FUZZ_CHECK(json_equal(shown, shown_again));
	model_destroy(next);
	yaml_config_free(yaml);
	json_decref(shown);
	json_decref(shown_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yaml_config *yaml = yaml_parse((const char *)data, size), *again;
	struct model *nothing, *model;

	if (yaml == NULL)
		return 0;
	if (is_writable(yaml_config_json(yaml))) {
		again = yaml_again(yaml_config_json(yaml));
		FUZZ_CHECK(json_equal(yaml_config_json(yaml), yaml_config_json(again)));
		yaml_config_free(again);
	}
	nothing = model_create();
	model = model_make(yaml, nothing);
	if (model != NULL)
		model_again(model);
	model_destroy(model);
	model_destroy(nothing);
	yaml_config_free(yaml);
	return 0;
}
