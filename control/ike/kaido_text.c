/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <stdio.h>

#include "kaido_text.h"

json_t *json_text(const char *text)
{
	json_t *json = text ? json_string(text) : NULL;

	return json ? json : json_string("?");
}

/* Of 4 or 16 bytes. */
static json_t *json_address(chunk_t address)
{
	char text[INET6_ADDRSTRLEN];

	if (!inet_ntop(address.len == 4 ? AF_INET : AF_INET6, address.ptr, text, sizeof(text)))
		return json_text(NULL);
	return json_string(text);
}

json_t *json_host(host_t *host)
{
	return host ? json_address(host->get_address(host)) : json_text(NULL);
}

/* No format attribute: a compiler does not know strongSwan's conversions. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
char *text_of(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	return text;
}
#pragma GCC diagnostic pop

json_t *json_id(identification_t *id)
{
	char *text = text_of("%Y", id);
	json_t *json = json_text(text);

	free(text);
	return json;
}

static json_t *json_selector(traffic_selector_t *ts)
{
	return json_pack(
		"{s:o, s:o, s:i, s:i, s:i}", "from", json_address(ts->get_from_address(ts)), "to",
		json_address(ts->get_to_address(ts)), "protocol", (int)ts->get_protocol(ts),
		"from_port", (int)ts->get_from_port(ts), "to_port", (int)ts->get_to_port(ts));
}

json_t *json_selectors(linked_list_t *list)
{
	json_t *array = json_array();
	enumerator_t *enumerator;
	traffic_selector_t *ts;

	enumerator = list->create_enumerator(list);
	while (enumerator->enumerate(enumerator, &ts)) {
		switch (ts->get_type(ts)) {
		case TS_IPV4_ADDR_RANGE:
		case TS_IPV6_ADDR_RANGE:
			json_array_append_new(array, json_selector(ts));
			break;
		default:
			break;
		}
	}
	enumerator->destroy(enumerator);
	return array;
}
