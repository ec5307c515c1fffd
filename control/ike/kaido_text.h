/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses, identities and selectors of strongSwan as text and JSON. */
#ifndef KAIDO_TEXT_H
#define KAIDO_TEXT_H

#include <jansson.h>

#include <library.h>
#include <networking/host.h>
#include <selectors/traffic_selector.h>
#include <utils/identification.h>

/* Never NULL; "?" where the text is none. */
json_t *json_text(const char *text);
json_t *json_host(host_t *host);
json_t *json_id(identification_t *id);
/* A list of traffic_selector_t; those that are not of addresses are left out. */
json_t *json_selectors(linked_list_t *list);

/* asprintf() with strongSwan's own conversions (%H a host, %Y an identity, %R a selector). */
char *text_of(const char *format, ...);

#endif
