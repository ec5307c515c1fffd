/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * YAML of a configuration to JSON, keeping where each value stood, so that a mistake that kaidod
 * finds (a JSON pointer) is reported with the line of the file.
 *
 * Plain scalars are whole numbers (decimal, 0x), true, false, and null (~ or nothing); everything
 * else is text, as is every quoted scalar, and the members that are text by their meaning (key,
 * salt, psk, password, name, label, ...) whatever they look like. Refused: a key given twice, tags, merge
 * keys, a second document, more than YAML_DEPTH_MAX levels, and more than YAML_VALUES_MAX values
 * once aliases are written out.
 */
#ifndef KAIDO_CONTROL_YAML_CONFIG_H
#define KAIDO_CONTROL_YAML_CONFIG_H

#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

#define YAML_DEPTH_MAX    32
#define YAML_VALUES_MAX   8000000
#define YAML_MISTAKES_MAX 100 /* that are kept */

struct yaml_mistake {
	unsigned int line; /* from 1 */
	unsigned int column;
	char text[240];
};

struct yaml_mistakes {
	size_t n;
	struct yaml_mistake mistake[YAML_MISTAKES_MAX];
};

struct yaml_config;

/* -EINVAL: `mistakes` holds what was wrong, in order; -ENOMEM. */
int yaml_config_parse(const char *text, size_t len, struct yaml_config **config,
		      struct yaml_mistakes *mistakes);
void yaml_config_free(struct yaml_config *config);

/* The value; borrowed, and the caller may change it: places are kept apart. */
json_t *yaml_config_json(const struct yaml_config *config);

/*
 * Where the value that a JSON pointer (RFC 6901) names stood, or the innermost one around it. A
 * member stands where its key stands. What came from a file stands where that is named.
 */
void yaml_config_locate(const struct yaml_config *config, const char *pointer, unsigned int *line,
			unsigned int *column);

/*
 * Writes JSON as YAML that yaml_config_parse() reads back as the same, but for members that are
 * text by their meaning and hold something else. -EIO, -ENOMEM.
 */
int yaml_write(FILE *out, const json_t *value);

#endif /* KAIDO_CONTROL_YAML_CONFIG_H */
