/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KAIDO_CONTROL_YAML_SCALAR_H
#define KAIDO_CONTROL_YAML_SCALAR_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

/* What a plain scalar means (yaml_config.h). NULL: out of memory, or a number beyond 64 bits. */
json_t *yaml_scalar_value(const char *text, size_t len);

/* Whether a member of this name is text whatever it looks like. */
bool yaml_member_is_text(const char *key);

#endif /* KAIDO_CONTROL_YAML_SCALAR_H */
