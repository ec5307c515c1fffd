/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the files that write objects. What is zero, NULL or empty is absent in the file, and here. */
#ifndef KAIDO_CONTROL_CONFIG_RENDER_H
#define KAIDO_CONTROL_CONFIG_RENDER_H

#include "config.h"

void render_text(json_t *object, const char *member, const char *text);
void render_number(json_t *object, const char *member, json_int_t number);
void render_address(json_t *object, const char *member, const struct abi_address *address);
void render_prefixes(json_t *object, const char *member, const struct abi_address *prefixes,
		     size_t n);
/* Takes the list. */
void render_list(json_t *object, const char *member, json_t *list);
/* `follow`: what is so where it is absent. */
void render_policy(json_t *object, const struct tunnel_policy *policy, bool follow);

#endif /* KAIDO_CONTROL_CONFIG_RENDER_H */
