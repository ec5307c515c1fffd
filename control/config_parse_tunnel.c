/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_parse.h"

#include <stdlib.h>
#include <string.h>

#include "address.h"

/* What other gateways call a tunnel's kind; say what to use instead. */
static bool legacy_check(struct config_reader *reader, const json_t *json, const char *member)
{
	static const char *const legacy[] = { "pptp", "mppe",     "l2tp",    "sstp", "gre",
					      "ipip", "ah",       "3des",    "des",  "cbc",
					      "null", "blowfish", "aes-cbc", NULL };
	const char *text = json_string_value(json_object_get(json, member));

	for (const char *const *kind = legacy; text != NULL && *kind != NULL; kind++) {
		if (strcasecmp(text, *kind) != 0)
			continue;
		reader_error_of(reader, member,
				"%s is not offered: tunnels are ESP with AES-GCM and nothing else, "
				"as it is or in UDP (one of: esp, udp)",
				*kind);
		return true;
	}
	return false;
}

void config_parse_prefixes(struct config_reader *reader, const json_t *json, const char *member,
			   struct abi_address **prefixes, size_t *n)
{
	json_t *list = field_array(reader, json, member);
	size_t mark, inner, i;
	json_t *element;

	if (list == NULL)
		return;
	*prefixes = calloc(json_array_size(list), sizeof(struct abi_address));
	if (*prefixes == NULL) {
		reader->failed = true;
		return;
	}
	mark = reader_enter(reader, member);
	json_array_foreach (list, i, element) {
		inner = reader_enter_index(reader, i);
		value_prefix(reader, element, &(*prefixes)[i]);
		reader_leave(reader, inner);
	}
	*n = json_array_size(list);
	reader_leave(reader, mark);
}

static void sas_parse(struct config_context *context, const char *tenant, const json_t *json,
		      struct tunnel *tunnel)
{
	struct config_reader *reader = context->reader;
	json_t *list = field_array(reader, json, "sas");
	size_t mark, inner, i;
	json_t *element;

	if (list == NULL)
		return;
	tunnel->sas = calloc(json_array_size(list), sizeof(struct sa));
	if (tunnel->sas == NULL) {
		reader->failed = true;
		return;
	}
	mark = reader_enter(reader, "sas");
	json_array_foreach (list, i, element) {
		inner = reader_enter_index(reader, i);
		config_parse_sa(context, tenant, tunnel->name, element, &tunnel->sas[i]);
		reader_leave(reader, inner);
	}
	tunnel->n_sas = json_array_size(list);
	reader_leave(reader, mark);
}

static void encapsulation_parse(struct config_reader *reader, const json_t *json,
				struct tunnel *tunnel)
{
	static const char *const choices[] = { "esp", "udp", NULL };
	static const char *const ports[] = { "local-port", "remote-port" };

	if (legacy_check(reader, json, "encapsulation"))
		return;
	tunnel->udp = field_choice(reader, json, "encapsulation", choices, 0) == 1;
	if (tunnel->udp) {
		tunnel->local_port =
			(uint16_t)field_integer(reader, json, ports[0], 1, 65535, ABI_UDP_PORT);
		tunnel->remote_port =
			(uint16_t)field_integer(reader, json, ports[1], 1, 65535, ABI_UDP_PORT);
		if (tunnel->local_port != ABI_UDP_PORT && !reader->stored)
			reader_error_of(reader, ports[0],
					"must be %d, where ESP in UDP is recognised: remove it, or "
					"set remote-port if the peer's port is another",
					ABI_UDP_PORT);
		return;
	}
	for (unsigned int i = 0; i < 2; i++) {
		if (json_object_get(json, ports[i]) != NULL)
			reader_error_of(reader, ports[i],
					"belongs to encapsulation: udp; remove it or set that");
	}
}

/* With IKE the peer may come from anywhere. */
static bool remote_is_any(const json_t *json)
{
	const json_t *remote = json_object_get(json, "remote");
	const char *text = json_string_value(remote);

	return json_object_get(json, "ike") != NULL && (remote == NULL || json_is_null(remote) ||
							(text != NULL && strcmp(text, "any") == 0));
}

static void outer_parse(struct config_reader *reader, const json_t *json, struct tunnel *tunnel)
{
	bool local = field_address(reader, json, "local", &tunnel->local);
	bool remote =
		!remote_is_any(json) && field_address(reader, json, "remote", &tunnel->remote);

	if (local && remote && tunnel->local.family != tunnel->remote.family)
		reader_error_of(
			reader, "remote",
			"must be of the same family as local, IPv%u: a tunnel has one outer "
			"family",
			tunnel->local.family);
	else if (local && remote && address_equal(&tunnel->local, &tunnel->remote))
		reader_error_of(reader, "remote", "must not be the same address as local");
	if (remote && tunnel->remote.family == ABI_IPV6 && tunnel->mtu != 0 &&
	    tunnel->mtu < MTU_LEAST_IPV6)
		reader_error_of(reader, "mtu", "IPv6 needs at least %d", MTU_LEAST_IPV6);
}

/* What IKE finds out or negotiates is not configured beside it. */
static void ike_members_check(struct config_reader *reader, const json_t *json,
			      const struct tunnel *tunnel)
{
	if (tunnel->ike == NULL) {
		if (tunnel->n_local_networks > 0)
			reader_error_of(reader, "local-networks",
					"is what IKE offers the peer: add ike, or remove it (what "
					"may pass is in selectors)");
		return;
	}
	if (json_object_get(json, "encapsulation") != NULL && !reader->stored)
		reader_error_of(reader, "encapsulation",
				"is found out by IKE: remove it, or force it by encapsulation: udp "
				"in ike");
	if (json_object_get(json, "selectors") != NULL)
		reader_error_of(reader, "selectors",
				"are negotiated by IKE: remove them, and give networks (the "
				"peer's) and local-networks");
	if (tunnel->n_networks == 0)
		reader_error_of(reader, "networks",
				"is missing: give what is behind the peer, which IKE agrees on "
				"with it");
}

struct tunnel *config_parse_tunnel(struct config_context *context, const char *tenant,
				   const json_t *json)
{
	static const char *const names[] = {
		"name",       "label",       "local",      "remote",         "encapsulation",
		"local-port", "remote-port", "mtu",        "dscp",           "dscp-in",
		"df",         "ttl",         "flow-label", "mss-clamp",      "pad-to",
		"dummy-ms",   "keepalive",   "follow",     "lifetime",       "networks",
		"selectors",  "sas",         "ike",        "local-networks", NULL
	};
	struct tunnel *tunnel = calloc(1, sizeof(*tunnel));
	struct config_reader *reader = context->reader;
	bool ike;

	if (tunnel == NULL) {
		reader->failed = true;
		return NULL;
	}
	tunnel->references = 1;
	if (!config_foreign_fields(reader, json) &&
	    !fields_check(reader, json, names, config_id_only))
		return tunnel;
	tunnel->id = config_parse_id(reader, json);
	field_name(reader, json, "name", tunnel->name);
	field_text(reader, json, "label", LABEL_MAX, &tunnel->label);
	encapsulation_parse(reader, json, tunnel);
	tunnel->mtu = (uint16_t)field_integer(reader, json, "mtu", MTU_LEAST, MTU_MOST, 0);
	outer_parse(reader, json, tunnel);
	ike = json_object_get(json, "ike") != NULL;
	config_parse_policy(reader, json, tunnel->udp || ike, remote_is_any(json), &tunnel->policy);
	config_parse_lifetime(reader, json, &tunnel->lifetime);
	config_parse_prefixes(reader, json, "networks", &tunnel->networks, &tunnel->n_networks);
	config_parse_prefixes(reader, json, "local-networks", &tunnel->local_networks,
			      &tunnel->n_local_networks);
	config_parse_selectors(reader, json, tunnel);
	tunnel->ike = config_parse_ike(context, tenant, json, tunnel);
	ike_members_check(reader, json, tunnel);
	sas_parse(context, tenant, json, tunnel);
	return tunnel;
}
