/* SPDX-License-Identifier: BSD-3-Clause */
/* Traffic selectors (RFC 4301 section 4.4.1): what of a tenant's traffic a tunnel may carry. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "config_parse.h"

#define PORT_MOST 65535

static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {
	{ "any", 0 },
	{ "tcp", IPPROTO_TCP },
	{ "udp", IPPROTO_UDP },
	{ "icmp", IPPROTO_ICMP },
	{ "icmpv6", IPPROTO_ICMPV6 },
};

struct ports {
	uint16_t first;
	uint16_t last;
};
static const struct ports any_port = { 0, PORT_MOST };
static const struct ports opaque = { PORT_MOST, 0 };

static bool is_absent(const json_t *json, const char *member)
{
	const json_t *value = json_object_get(json, member);

	return value == NULL || json_is_null(value);
}

static bool protocol_has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_DCCP ||
	       protocol == IPPROTO_SCTP || protocol == IPPROTO_UDPLITE;
}

static bool protocol_is_icmp(uint8_t protocol)
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

/* All bits behind the first `bits` of an address. */
static void last_of(struct abi_address *address, uint8_t bits)
{
	for (unsigned int i = bits; i < address_bits(address); i++)
		address->addr[i / 8] |= (uint8_t)(0x80u >> (i % 8));
	address->prefix_len = 0;
}

/* -- addresses -- */

static bool range_mistake(struct config_reader *reader, const char *member, const char *text)
{
	char shown[64];

	reader_error_of(reader, member,
			"'%s' is not an address, a prefix such as 10.1.0.0/24 or a range such as "
			"10.1.0.5-10.1.0.9",
			text_shown(text, shown));
	return false;
}

/* first-last */
static bool range_split(struct config_reader *reader, const char *member, const char *text,
			struct abi_address *first, struct abi_address *last)
{
	const char *dash = strchr(text, '-');
	char lower[ADDRESS_TEXT_LEN];

	if ((size_t)(dash - text) >= sizeof(lower))
		return range_mistake(reader, member, text);
	memcpy(lower, text, (size_t)(dash - text));
	lower[dash - text] = '\0';
	if (address_parse(lower, first) < 0 || address_parse(dash + 1, last) < 0 ||
	    first->family != last->family)
		return range_mistake(reader, member, text);
	if (memcmp(first->addr, last->addr, sizeof(first->addr)) <= 0)
		return true;
	reader_error_of(reader, member, "ends before it begins: give the lower address first");
	return false;
}

/* Of a member that is there. */
static bool range_parse(struct config_reader *reader, const json_t *json, const char *member,
			struct abi_address *first, struct abi_address *last)
{
	const json_t *value = json_object_get(json, member);
	const char *text = json_string_value(value);
	size_t mark;
	bool good;

	if (text == NULL)
		return range_mistake(reader, member, "");
	if (strchr(text, '-') != NULL)
		return range_split(reader, member, text, first, last);
	if (strchr(text, '/') == NULL) {
		if (address_parse(text, first) < 0)
			return range_mistake(reader, member, text);
		*last = *first;
		return true;
	}
	mark = reader_enter(reader, member);
	good = value_prefix(reader, value, first);
	reader_leave(reader, mark);
	*last = *first;
	last_of(last, first->prefix_len);
	return good;
}

static void whole_family(uint8_t family, struct abi_address *first, struct abi_address *last)
{
	memset(first, 0, sizeof(*first));
	first->family = family;
	*last = *first;
	last_of(last, 0);
}

/* An end that is absent is any address of the other one's family. */
static void ends_parse(struct config_reader *reader, const json_t *json,
		       struct abi_selector *selector)
{
	bool has_local = !is_absent(json, "local"), has_remote = !is_absent(json, "remote");
	struct abi_address local[2] = { 0 }, remote[2] = { 0 };

	if (!has_local && !has_remote) {
		reader_error(reader, "needs local or remote, which say its family; for all of it "
				     "write local: 0.0.0.0/0 or \"::/0\"");
		return;
	}
	if ((has_local && !range_parse(reader, json, "local", &local[0], &local[1])) ||
	    (has_remote && !range_parse(reader, json, "remote", &remote[0], &remote[1])))
		return;
	if (!has_local)
		whole_family(remote[0].family, &local[0], &local[1]);
	if (!has_remote)
		whole_family(local[0].family, &remote[0], &remote[1]);
	if (local[0].family != remote[0].family) {
		reader_error_of(reader, "remote",
				"must be of the same family as local, IPv%u: write a selector for "
				"each family",
				local[0].family);
		return;
	}
	selector->family = local[0].family;
	memcpy(selector->local_first, local[0].addr, sizeof(selector->local_first));
	memcpy(selector->local_last, local[1].addr, sizeof(selector->local_last));
	memcpy(selector->remote_first, remote[0].addr, sizeof(selector->remote_first));
	memcpy(selector->remote_last, remote[1].addr, sizeof(selector->remote_last));
}

/* -- protocols and ports -- */

static void protocol_parse(struct config_reader *reader, const json_t *json,
			   struct abi_selector *selector)
{
	const json_t *value = json_object_get(json, "protocol");
	const char *text = json_string_value(value);
	int64_t number;

	if (is_absent(json, "protocol"))
		return;
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		if (text == NULL || strcmp(text, protocols[i].name) != 0)
			continue;
		selector->protocol = protocols[i].number;
		return;
	}
	if (value_integer(value, &number) && number >= 1 && number <= 255)
		selector->protocol = (uint8_t)number;
	else
		reader_error_of(reader, "protocol",
				"must be any, tcp, udp, icmp, icmpv6, or a number from 1 to 255");
}

/* "443", "1000-2000". */
static bool ports_read(const json_t *value, struct ports *ports)
{
	const char *text = json_string_value(value);
	unsigned long first, last;
	int64_t number;
	char *end;

	if (value_integer(value, &number)) {
		*ports = (struct ports){ (uint16_t)number, (uint16_t)number };
		return number >= 0 && number <= PORT_MOST;
	}
	if (text == NULL || *text < '0' || *text > '9')
		return false;
	first = strtoul(text, &end, 10);
	if (*end != '-' || end[1] < '0' || end[1] > '9')
		return false;
	last = strtoul(end + 1, &end, 10);
	*ports = (struct ports){ (uint16_t)first, (uint16_t)last };
	return *end == '\0' && first <= last && last <= PORT_MOST;
}

static struct ports ports_parse(struct config_reader *reader, const json_t *json,
				const char *member, uint8_t protocol)
{
	const json_t *value = json_object_get(json, member);
	const char *text = json_string_value(value);
	struct ports ports;

	if (is_absent(json, member) || (text != NULL && strcmp(text, "any") == 0))
		return any_port;
	if (!protocol_has_ports(protocol)) {
		reader_error_of(reader, member, "ports need protocol: tcp or udp%s",
				protocol_is_icmp(protocol) ? "; ICMP has icmp: TYPE or TYPE/CODE"
							   : "");
		return any_port;
	}
	if (text != NULL && strcmp(text, "opaque") == 0)
		return opaque;
	if (ports_read(value, &ports))
		return ports;
	reader_error_of(reader, member,
			"must be a port, a range such as 1000-2000 (0 to %d), any, or opaque (only "
			"pieces of fragments that show no ports)",
			PORT_MOST);
	return any_port;
}

/* 8, "3/4" */
static bool icmp_read(const json_t *value, struct ports *ports)
{
	const char *text = json_string_value(value);
	unsigned long type, code;
	int64_t number;
	char *end;

	if (value_integer(value, &number)) {
		*ports = (struct ports){ (uint16_t)(number << 8), (uint16_t)(number << 8 | 0xff) };
		return number >= 0 && number <= 255;
	}
	if (text == NULL || *text < '0' || *text > '9')
		return false;
	type = strtoul(text, &end, 10);
	if (*end != '/' || end[1] < '0' || end[1] > '9')
		return false;
	code = strtoul(end + 1, &end, 10);
	ports->first = ports->last = (uint16_t)(type << 8 | code);
	return *end == '\0' && type <= 255 && code <= 255;
}

static struct ports icmp_parse(struct config_reader *reader, const json_t *json, uint8_t protocol)
{
	const json_t *value = json_object_get(json, "icmp");
	struct ports ports;

	if (!protocol_is_icmp(protocol))
		reader_error_of(reader, "icmp", "needs protocol: icmp or icmpv6");
	else if (icmp_read(value, &ports))
		return ports;
	else
		reader_error_of(reader, "icmp",
				"must be a type from 0 to 255, or type and code such as 3/4");
	return any_port;
}

static void family_check(struct config_reader *reader, const struct abi_selector *selector)
{
	if (selector->family == ABI_IPV6 && selector->protocol == IPPROTO_ICMP)
		reader_error_of(reader, "protocol", "icmp is IPv4's: IPv6 has icmpv6");
	if (selector->family == ABI_IPV4 && selector->protocol == IPPROTO_ICMPV6)
		reader_error_of(reader, "protocol", "icmpv6 is IPv6's: IPv4 has icmp");
}

static void selector_parse(struct config_reader *reader, const json_t *json,
			   struct abi_selector *selector)
{
	static const char *const names[] = { "local",        "remote", "protocol", "local-ports",
					     "remote-ports", "icmp",   NULL };
	struct ports local, remote;

	if (!fields_check(reader, json, names, NULL))
		return;
	ends_parse(reader, json, selector);
	protocol_parse(reader, json, selector);
	family_check(reader, selector);
	local = ports_parse(reader, json, "local-ports", selector->protocol);
	remote = ports_parse(reader, json, "remote-ports", selector->protocol);
	if (!is_absent(json, "icmp"))
		local = remote = icmp_parse(reader, json, selector->protocol);
	selector->local_port_first = local.first;
	selector->local_port_last = local.last;
	selector->remote_port_first = remote.first;
	selector->remote_port_last = remote.last;
}

void config_parse_selectors(struct config_reader *reader, const json_t *json, struct tunnel *tunnel)
{
	json_t *list = json_object_get(json, "selectors"), *element;
	size_t n, mark, inner, i;

	if (is_absent(json, "selectors"))
		return;
	tunnel->policy.flags |= ABI_TUNNEL_SELECTORS;
	if (!json_is_array(list)) {
		reader_error_of(reader, "selectors", "must be a list");
		return;
	}
	n = json_array_size(list);
	if (n > ABI_SELECTORS_MAX) {
		reader_error_of(reader, "selectors", "has %zu; at most %d are allowed", n,
				ABI_SELECTORS_MAX);
		return;
	}
	tunnel->selectors = calloc(n + 1, sizeof(*tunnel->selectors));
	if (tunnel->selectors == NULL) {
		reader->failed = true;
		return;
	}
	mark = reader_enter(reader, "selectors");
	json_array_foreach (list, i, element) {
		inner = reader_enter_index(reader, i);
		selector_parse(reader, element, &tunnel->selectors[i]);
		reader_leave(reader, inner);
	}
	tunnel->n_selectors = n;
	reader_leave(reader, mark);
}

/* -- writing -- */

static bool is_whole(uint8_t family, const uint8_t *first, const uint8_t *last)
{
	struct abi_address lowest, highest;

	whole_family(family, &lowest, &highest);
	return memcmp(first, lowest.addr, sizeof(lowest.addr)) == 0 &&
	       memcmp(last, highest.addr, sizeof(highest.addr)) == 0;
}

/* An address, else the prefix that it is, else a range. */
static void range_set(json_t *object, const char *member, uint8_t family, const uint8_t *first,
		      const uint8_t *last)
{
	struct abi_address lower = { .family = family }, upper = { .family = family }, end;
	char text[2 * ADDRESS_TEXT_LEN + 1], other[ADDRESS_TEXT_LEN];

	memcpy(lower.addr, first, sizeof(lower.addr));
	memcpy(upper.addr, last, sizeof(upper.addr));
	address_format(&lower, text);
	if (address_equal(&lower, &upper)) {
		json_object_set_new(object, member, json_string(text));
		return;
	}
	for (uint8_t bits = 0; bits < address_bits(&lower); bits++) {
		lower.prefix_len = bits;
		end = lower;
		last_of(&end, bits);
		if (!prefix_is_masked(&lower) || !address_equal(&end, &upper))
			continue;
		json_object_set_new(object, member, json_string(prefix_format(&lower, text)));
		return;
	}
	snprintf(text + strlen(text), sizeof(text) - strlen(text), "-%s",
		 address_format(&upper, other));
	json_object_set_new(object, member, json_string(text));
}

static void ports_set(json_t *object, const char *member, struct ports ports)
{
	json_t *value = NULL;

	if (ports.first == opaque.first && ports.last == opaque.last)
		value = json_string("opaque");
	else if (ports.first == ports.last)
		value = json_integer(ports.first);
	else if (ports.first != any_port.first || ports.last != any_port.last)
		value = json_sprintf("%u-%u", ports.first, ports.last);
	if (value != NULL)
		json_object_set_new(object, member, value);
}

static void icmp_set(json_t *object, struct ports ports)
{
	if (ports.first == ports.last)
		json_object_set_new(object, "icmp",
				    json_sprintf("%u/%u", ports.first >> 8, ports.first & 0xff));
	else if (ports.first != any_port.first || ports.last != any_port.last)
		json_object_set_new(object, "icmp", json_integer(ports.first >> 8));
}

static json_t *protocol_render(uint8_t protocol)
{
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		if (protocols[i].number == protocol)
			return json_string(protocols[i].name);
	}
	return json_integer(protocol);
}

static json_t *selector_render(const struct abi_selector *s)
{
	struct ports local = { s->local_port_first, s->local_port_last };
	struct ports remote = { s->remote_port_first, s->remote_port_last };
	bool any_remote = is_whole(s->family, s->remote_first, s->remote_last);
	json_t *object = json_object();

	if (any_remote || !is_whole(s->family, s->local_first, s->local_last))
		range_set(object, "local", s->family, s->local_first, s->local_last);
	if (!any_remote)
		range_set(object, "remote", s->family, s->remote_first, s->remote_last);
	if (s->protocol != 0)
		json_object_set_new(object, "protocol", protocol_render(s->protocol));
	if (protocol_is_icmp(s->protocol)) {
		icmp_set(object, local);
	} else {
		ports_set(object, "local-ports", local);
		ports_set(object, "remote-ports", remote);
	}
	return object;
}

json_t *config_render_selectors(const struct tunnel *tunnel)
{
	json_t *list = json_array();

	for (size_t i = 0; i < tunnel->n_selectors; i++)
		json_array_append_new(list, selector_render(&tunnel->selectors[i]));
	return list;
}
