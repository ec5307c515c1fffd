/* SPDX-License-Identifier: BSD-3-Clause */
/* `show tunnels TENANT/TUNNEL`: all of one tunnel, also where it stands now. */
#include "kaidoctl.h"

#include <stdio.h>
#include <string.h>

#include "table.h"

static void line_write(const char *title, const char *text)
{
	printf("%-22s %s\n", title, text);
}

/* Members of an object as "name value name value"; those of objects in it behind their name. */
static void members_format(char *text, size_t size, const json_t *object)
{
	json_t *members = (json_t *)(uintptr_t)object, *value; /* iterating changes nothing */
	const char *name;
	char one[320];
	size_t used = 0;

	snprintf(text, size, "-");
	json_object_foreach (members, name, value) {
		if (json_is_object(value))
			members_format(one, sizeof(one), value);
		else
			table_value(one, sizeof(one), value, TABLE_TEXT);
		if (used < size)
			used += (size_t)snprintf(
				text + used, size - used, "%s%s %s",
				used > 0 ? (json_is_object(value) ? "; " : " ") : "", name, one);
	}
}

/* The present place of the peer, and how it came there. */
static void place_write(const json_t *tunnel)
{
	const json_t *port = table_member(tunnel, "state.remote_port");
	json_int_t moves = json_integer_value(table_member(tunnel, "state.moves"));
	char at[80], text[200];

	table_value(at, sizeof(at), table_member(tunnel, "state.remote"), TABLE_TEXT);
	snprintf(text, sizeof(text), "%s%s%.0lld", at, port != NULL ? " port " : "",
		 (long long)json_integer_value(port));
	if (moves > 0)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), ", moved %lld time%s",
			 (long long)moves, moves == 1 ? "" : "s");
	line_write("peer is at", text);
}

static void selectors_write(const json_t *tunnel)
{
	const json_t *list = json_object_get(tunnel, "selectors"), *selector;
	char text[512];
	size_t i;

	if (list == NULL)
		line_write("selectors", "none: what is routed passes");
	else if (json_array_size(list) == 0)
		line_write("selectors", "empty: nothing passes");
	json_array_foreach (list, i, selector) {
		members_format(text, sizeof(text), selector);
		table_tame(text);
		line_write(i == 0 ? "selectors" : "", text);
	}
}

int tunnel_detail_print(const json_t *tunnel)
{
	static const struct {
		const char *title;
		const char *path;
		enum table_format format;
		const char *absent; /* NULL: then there is no line */
	} lines[] = {
		{ "tenant", "tenant", TABLE_TEXT, "-" },
		{ "tunnel", "name", TABLE_TEXT, "-" },
		{ "label", "label", TABLE_TEXT, NULL },
		{ "local", "local", TABLE_TEXT, "-" },
		{ "local port", "local-port", TABLE_PLAIN, NULL },
		{ "remote", "remote", TABLE_TEXT, "-" },
		{ "remote port", "remote-port", TABLE_PLAIN, NULL },
		{ "encapsulation", "encapsulation", TABLE_TEXT, "-" },
		{ "networks", "networks", TABLE_TEXT, "-" },
		{ "local networks", "local-networks", TABLE_TEXT, NULL },
		{ "mtu", "mtu", TABLE_PLAIN, "that of the underlay" },
		{ "path MTU learnt", "state.path_mtu", TABLE_PLAIN, "-" },
		{ "largest inner packet", "state.inner_mtu", TABLE_PLAIN, "-" },
		{ "dscp", "dscp", TABLE_TEXT, "copy" },
		{ "dscp-in", "dscp-in", TABLE_TEXT, "preserve" },
		{ "df", "df", TABLE_TEXT, "copy" },
		{ "ttl", "ttl", TABLE_PLAIN, "64" },
		{ "flow-label", "flow-label", TABLE_TEXT, "sa" },
		{ "mss-clamp", "mss-clamp", TABLE_TEXT, "yes" },
		{ "pad-to", "pad-to", TABLE_PLAIN, NULL },
		{ "dummy-ms", "dummy-ms", TABLE_PLAIN, NULL },
		{ "keepalive", "keepalive", TABLE_PLAIN, NULL },
		{ "follow", "follow", TABLE_TEXT, "no" },
		{ "out", "counters.out_packets", TABLE_COUNT, "-" },
		{ "out bytes", "counters.out_inner_bytes", TABLE_BYTES, "-" },
		{ "in", "counters.in_packets", TABLE_COUNT, "-" },
		{ "in bytes", "counters.in_inner_bytes", TABLE_BYTES, "-" },
	};
	const json_t *value;
	char text[512];

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		value = table_member(tunnel, lines[i].path);
		if (value != NULL)
			table_value(text, sizeof(text), value, lines[i].format);
		if (value != NULL || lines[i].absent != NULL)
			line_write(lines[i].title, value != NULL ? text : lines[i].absent);
		if (strcmp(lines[i].path, "encapsulation") == 0)
			place_write(tunnel);
	}
	if (json_object_get(tunnel, "lifetime") != NULL) {
		members_format(text, sizeof(text), json_object_get(tunnel, "lifetime"));
		line_write("lifetime", text);
	}
	if (json_object_get(tunnel, "ike") != NULL) {
		members_format(text, sizeof(text), json_object_get(tunnel, "ike"));
		table_tame(text);
		line_write("ike", text);
	} else {
		selectors_write(tunnel);
	}
	return CTL_OK;
}
