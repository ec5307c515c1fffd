/* SPDX-License-Identifier: BSD-3-Clause */
/* Configuration out of files and out of words of the command line. */
#include "kaidoctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "key_file.h"
#include "yaml_config.h"
#include "yaml_scalar.h"

#define TEXT_MAX (64u << 20)

struct key_context {
	const char *file;
	const struct yaml_config *config;
};

static void text_free(char *text, size_t len)
{
	if (text != NULL)
		explicit_bzero(text, len);
	free(text);
}

/* All of a file. NULL: errno. */
static char *text_read(const char *file, size_t *len)
{
	FILE *in = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	size_t room = 65536, n;
	char *text, *grown;

	if (in == NULL)
		return NULL;
	setvbuf(in, NULL, _IONBF, 0); /* no second copy of keys */
	*len = 0;
	text = malloc(room);
	while (text != NULL && (n = fread(text + *len, 1, room - *len, in)) > 0) {
		*len += n;
		if (*len < room)
			continue;
		grown = room >= TEXT_MAX ? NULL : malloc(room * 2);
		if (grown != NULL)
			memcpy(grown, text, *len);
		else
			errno = EFBIG;
		text_free(text, *len);
		text = grown;
		room *= 2;
	}
	if (text != NULL && ferror(in)) {
		text_free(text, *len);
		text = NULL;
	}
	if (in != stdin)
		fclose(in);
	return text;
}

static void key_report(void *context, const char *pointer, int fatal, const char *text)
{
	const struct key_context *key = context;
	unsigned int line, column;

	yaml_config_locate(key->config, pointer, &line, &column);
	fprintf(stderr, "%s:%u: %s%s\n", key->file, line, fatal ? "" : "warning: ", text);
}

static void mistakes_report(const char *file, const struct yaml_mistakes *mistakes)
{
	size_t i;

	for (i = 0; i < mistakes->n; i++)
		fprintf(stderr, "%s:%u:%u: %s\n", file, mistakes->mistake[i].line,
			mistakes->mistake[i].column, mistakes->mistake[i].text);
}

struct yaml_config *config_read(const char *file)
{
	const char *shown = strcmp(file, "-") == 0 ? "stdin" : file;
	const char *slash = strrchr(file, '/');
	struct yaml_mistakes *mistakes = calloc(1, sizeof(*mistakes));
	struct yaml_config *config = NULL;
	struct key_context context;
	size_t len = 0, failed;
	char *text, *base;
	int rc;

	text = text_read(file, &len);
	if (text == NULL || mistakes == NULL) {
		fprintf(stderr, "kaidoctl: %s: %s\n", shown, strerror(errno));
		goto out;
	}
	rc = yaml_config_parse(text, len, &config, mistakes);
	if (rc < 0) {
		mistakes_report(shown, mistakes);
		if (mistakes->n == 0)
			fprintf(stderr, "kaidoctl: %s: %s\n", shown, strerror(-rc));
		config = NULL;
		goto out;
	}
	base = slash == NULL ? strdup(".") : strndup(file, (size_t)(slash - file) + 1);
	context = (struct key_context){ shown, config };
	failed = base == NULL
			 ? 1
			 : key_file_resolve(yaml_config_json(config), base, key_report, &context);
	free(base);
	if (failed > 0) {
		fprintf(stderr, "%zu key file%s can't be used; nothing was changed.\n", failed,
			failed == 1 ? "" : "s");
		yaml_config_free(config);
		config = NULL;
	}
out:
	text_free(text, len);
	free(mistakes);
	return config;
}

static bool member_is_list(const char *name)
{
	static const char *const lists[] = { "addresses", "networks",  "local-networks", "pool",
					     "dns",       "proposals", "esp-proposals",  "groups" };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (strcmp(name, lists[i]) == 0)
			return true;
	return false;
}

/* On the command line, where nobody wants to quote, all but these are text. */
static bool member_is_typed(const char *name)
{
	static const char *const typed[] = {
		"vlan",      "mtu",       "local-port",     "remote-port", "spi",       "window",
		"esn",       "blackhole", "dscp",           "ttl",         "mss-clamp", "pad-to",
		"keepalive", "dummy-ms",  "follow",         "rekey",       "dpd",       "mobike",
		"failures",  "seconds",   "multiple-logins"
	};
	size_t i;

	for (i = 0; i < sizeof(typed) / sizeof(typed[0]); i++)
		if (strcmp(name, typed[i]) == 0)
			return true;
	return false;
}

/* VALUE,VALUE as a list of text. */
static json_t *list_parse(const char *text)
{
	json_t *list = json_array();
	size_t len;

	for (; *text != '\0'; text += len + (text[len] == ',')) {
		len = strcspn(text, ",");
		json_array_append_new(list, json_stringn(text, len));
	}
	return list;
}

/* A list or mapping in YAML's flow style. NULL: it is none, and that was said. */
static json_t *flow_parse(const char *word, const char *text)
{
	struct yaml_mistakes *mistakes = calloc(1, sizeof(*mistakes));
	struct yaml_config *config;
	json_t *value = NULL;

	if (mistakes == NULL)
		return NULL;
	if (yaml_config_parse(text, strlen(text), &config, mistakes) == 0) {
		value = json_incref(yaml_config_json(config));
		yaml_config_free(config);
	} else {
		mistakes_report(word, mistakes);
	}
	free(mistakes);
	return value;
}

/* `ike.dpd`: the object that has the member, made where it isn't there; *name becomes its own. */
static json_t *member_owner(json_t *object, char **name)
{
	char *dot = strchr(*name, '.');
	json_t *inner;

	if (dot == NULL)
		return object;
	*dot = '\0';
	inner = json_object_get(object, *name);
	if (!json_is_object(inner)) {
		inner = json_object();
		json_object_set_new(object, *name, inner);
	}
	*name = dot + 1;
	return inner;
}

static bool member_is_secret(const char *name)
{
	static const char *const secrets[] = { "key", "salt", "sas", "psk", "password", "users" };

	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		if (strcmp(name, secrets[i]) == 0)
			return true;
	return false;
}

/* What comes from a file takes the place of what is there. */
static void file_make_room(json_t *object, const char *name)
{
	size_t length = strlen(name);
	char other[64];

	if (length <= 5 || strcmp(name + length - 5, "-file") != 0)
		return;
	snprintf(other, sizeof(other), "%.*s", (int)length - 5, name);
	json_object_del(object, other);
}

static json_t *member_value(const char *name, const char *text)
{
	if (*text == '[' || *text == '{')
		return flow_parse(name, text);
	if (member_is_list(name))
		return list_parse(text);
	if (member_is_typed(name))
		return yaml_scalar_value(text, strlen(text));
	return json_string(text);
}

bool member_assign(json_t *object, const char *word)
{
	const char *equals = strchr(word, '=');
	char path[64], *name = path;
	json_t *value;

	if (equals == NULL || equals == word || (size_t)(equals - word) >= sizeof(path)) {
		fprintf(stderr, "kaidoctl: '%.*s': give MEMBER=VALUE\n", 60, word);
		return false;
	}
	snprintf(path, sizeof(path), "%.*s", (int)(equals - word), word);
	object = member_owner(object, &name);
	if (member_is_secret(name)) {
		fprintf(stderr,
			"kaidoctl: '%s' is not taken from the command line, where others can read "
			"it; use key-file=FILE, psk-file=FILE or password-file=FILE, or -f FILE\n",
			name);
		return false;
	}
	if (equals[1] == '\0') {
		json_object_del(object, name);
		return true;
	}
	file_make_room(object, name);
	value = member_value(name, equals + 1);
	if (value == NULL || json_object_set_new(object, name, value) < 0) {
		fprintf(stderr, "kaidoctl: the value of '%s' can't be used\n", name);
		return false;
	}
	return true;
}
