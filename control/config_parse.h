/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the files that read objects: config_parse.c, config_parse_*.c, config_selector.c. */
#ifndef KAIDO_CONTROL_CONFIG_PARSE_H
#define KAIDO_CONTROL_CONFIG_PARSE_H

#include "config.h"

#define LABEL_MAX      128
#define MTU_LEAST      576
#define MTU_LEAST_IPV6 1280
#define MTU_MOST       9216

extern const char *const config_id_only[]; /* what a stored object has besides */

uint32_t config_parse_id(struct config_reader *reader, const json_t *json);
void config_parse_policy(struct config_reader *reader, const json_t *json, struct tunnel *tunnel);
void config_parse_selectors(struct config_reader *reader, const json_t *json,
			    struct tunnel *tunnel);
/* The member `lifetime`. Returns whether it is there. */
bool config_parse_lifetime(struct config_reader *reader, const json_t *json,
			   struct lifetime *lifetime);

#endif /* KAIDO_CONTROL_CONFIG_PARSE_H */
