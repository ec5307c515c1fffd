/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_parse.h"

#include <stdlib.h>
#include <string.h>

#include "address.h"

#define SERVICE_CODE_MAX 64

const char *const config_id_only[] = { "id", NULL };
static const char *const services[] = {
	"wan", "remote-access", "ztna", "document-exchange", "managed-database", NULL
};

uint32_t config_parse_id(struct config_reader *reader, const json_t *json)
{
	if (!reader->stored)
		return 0;
	return (uint32_t)field_integer(reader, json, "id", 1, UINT32_MAX - 1, 0);
}

/* -- routes and neighbours -- */

bool config_parse_route(struct config_context *context, const json_t *json, bool underlay,
			struct route *route)
{
	static const char *const names[] = { "prefix", "tunnel", "via", "blackhole", NULL };
	static const char *const underlay_names[] = { "prefix", "via", "blackhole", NULL };
	struct config_reader *reader = context->reader;
	bool tunnel, via, blackhole;

	memset(route, 0, sizeof(*route));
	if (!fields_check(reader, json, underlay ? underlay_names : names, NULL))
		return false;
	field_prefix(reader, json, "prefix", &route->prefix);
	tunnel = !underlay && json_object_get(json, "tunnel") != NULL;
	via = json_object_get(json, "via") != NULL;
	blackhole = field_bool(reader, json, "blackhole", false);
	if (tunnel + via + blackhole != 1) {
		reader_error(reader, "a route has exactly one of %svia and blackhole: true",
			     underlay ? "" : "tunnel, ");
		return false;
	}
	if (tunnel) {
		route->kind = ABI_ROUTE_TUNNEL;
		return field_name(reader, json, "tunnel", route->tunnel);
	}
	if (blackhole) {
		route->kind = ABI_ROUTE_BLACKHOLE;
		return true;
	}
	route->kind = ABI_ROUTE_GATEWAY;
	if (!field_address(reader, json, "via", &route->via))
		return false;
	if (route->prefix.family == 0 || route->via.family == route->prefix.family)
		return true;
	reader_error_of(reader, "via", "must be of the prefix's family, IPv%u",
			route->prefix.family);
	return false;
}

static void routes_parse(struct config_context *context, const json_t *json, bool underlay,
			 struct route **routes, size_t *n_routes)
{
	struct config_reader *reader = context->reader;
	json_t *list = field_array(reader, json, "routes");
	size_t mark, inner, i;
	json_t *element;

	if (list == NULL)
		return;
	*routes = calloc(json_array_size(list), sizeof(**routes));
	if (*routes == NULL) {
		reader->failed = true;
		return;
	}
	mark = reader_enter(reader, "routes");
	json_array_foreach (list, i, element) {
		inner = reader_enter_index(reader, i);
		config_parse_route(context, element, underlay, &(*routes)[i]);
		reader_leave(reader, inner);
	}
	*n_routes = json_array_size(list);
	reader_leave(reader, mark);
}

static void neighbours_parse(struct config_reader *reader, const json_t *json,
			     struct attachment *attachment)
{
	static const char *const names[] = { "address", "mac", NULL };
	json_t *list = field_array(reader, json, "neighbours");
	size_t mark, inner, i;
	json_t *element;

	if (list == NULL)
		return;
	attachment->neighbours = calloc(json_array_size(list), sizeof(struct neighbour));
	if (attachment->neighbours == NULL) {
		reader->failed = true;
		return;
	}
	mark = reader_enter(reader, "neighbours");
	json_array_foreach (list, i, element) {
		inner = reader_enter_index(reader, i);
		if (fields_check(reader, element, names, NULL)) {
			field_address(reader, element, "address",
				      &attachment->neighbours[i].address);
			field_mac(reader, element, "mac", attachment->neighbours[i].mac);
		}
		reader_leave(reader, inner);
	}
	attachment->n_neighbours = json_array_size(list);
	reader_leave(reader, mark);
}

/* -- attachments and underlay -- */

static void own_address_parse(struct config_reader *reader, const json_t *element,
			      struct abi_address *address)
{
	const char *text = json_string_value(element);

	if (text == NULL || prefix_parse(text, address) < 0)
		reader_error(reader, "must be the gateway's address with its prefix length, such "
				     "as 10.0.0.1/24");
	else if (!address_is_host(address))
		reader_error(reader, "%s is not an address that a host can have", text);
	else if (address_is_edge(address))
		reader_error(reader, "%s is the network's first or last address; take another",
			     text);
	else if (address->prefix_len == 0)
		reader_error(reader, "a prefix length of 0 makes the whole world on-link");
	else
		return;
	memset(address, 0, sizeof(*address));
}

static void addresses_parse(struct config_reader *reader, const json_t *json,
			    struct attachment *attachment)
{
	json_t *list = field_array(reader, json, "addresses");
	size_t mark, inner, i;
	json_t *element;

	if (list == NULL)
		return;
	mark = reader_enter(reader, "addresses");
	json_array_foreach (list, i, element) {
		if (i == ABI_ATTACHMENT_ADDRESSES) {
			reader_error(reader, "has %zu addresses; at most %d are allowed",
				     json_array_size(list), ABI_ATTACHMENT_ADDRESSES);
			break;
		}
		inner = reader_enter_index(reader, i);
		own_address_parse(reader, element, &attachment->address[i]);
		reader_leave(reader, inner);
		attachment->n_addresses = (uint32_t)i + 1;
	}
	reader_leave(reader, mark);
}

static void underlay_source_check(struct config_reader *reader, const struct attachment *attachment)
{
	if (attachment->netdev[0] == '\0' && attachment->n_addresses == 0)
		reader_error(reader, "needs netdev (mirrored from the host), or addresses");
	if (attachment->netdev[0] != '\0' &&
	    (attachment->n_addresses > 0 || attachment->n_neighbours > 0 ||
	     attachment->n_routes > 0))
		reader_error_of(reader, "netdev",
				"a mirrored entry takes addresses, neighbours and routes from the "
				"host: remove them here, or remove netdev");
}

struct attachment *config_parse_attachment(struct config_context *context, const json_t *json,
					   bool underlay)
{
	static const char *const names[] = { "name",      "port",       "vlan", "mtu",
					     "addresses", "neighbours", NULL };
	static const char *const underlay_names[] = { "name",       "port",   "vlan",
						      "mtu",        "netdev", "addresses",
						      "neighbours", "routes", NULL };
	struct attachment *attachment = calloc(1, sizeof(*attachment));
	struct config_reader *reader = context->reader;

	if (attachment == NULL) {
		reader->failed = true;
		return NULL;
	}
	attachment->references = 1;
	if (!fields_check(reader, json, underlay ? underlay_names : names, config_id_only))
		return attachment;
	attachment->id = config_parse_id(reader, json);
	field_name(reader, json, "name", attachment->name);
	field_word(reader, json, "port", true, attachment->port, sizeof(attachment->port));
	attachment->vlan = (uint16_t)field_integer(reader, json, "vlan", 0, 4094, 0);
	attachment->mtu = (uint16_t)field_integer(reader, json, "mtu", MTU_LEAST, MTU_MOST, 0);
	addresses_parse(reader, json, attachment);
	neighbours_parse(reader, json, attachment);
	if (underlay) {
		field_word(reader, json, "netdev", false, attachment->netdev,
			   sizeof(attachment->netdev));
		routes_parse(context, json, true, &attachment->routes, &attachment->n_routes);
		underlay_source_check(reader, attachment);
	}
	for (uint32_t i = 0; i < attachment->n_addresses; i++) {
		if (attachment->address[i].family == ABI_IPV6 && attachment->mtu != 0 &&
		    attachment->mtu < MTU_LEAST_IPV6)
			reader_error_of(reader, "mtu", "IPv6 needs at least %d", MTU_LEAST_IPV6);
	}
	return attachment;
}

/* -- tenants and files -- */

#define LIST_PARSE(reader, json, member, array, count, element, expression) \
	do {                                                                \
		json_t *list_ = field_array(reader, json, member);          \
		size_t mark_, inner_, i_;                                   \
		json_t *element;                                            \
		if (list_ == NULL)                                          \
			break;                                              \
		(array) = calloc(json_array_size(list_), sizeof(*(array))); \
		if ((array) == NULL) {                                      \
			(reader)->failed = true;                            \
			break;                                              \
		}                                                           \
		mark_ = reader_enter(reader, member);                       \
		json_array_foreach (list_, i_, element) {                   \
			inner_ = reader_enter_index(reader, i_);            \
			(array)[count] = (expression);                      \
			(count) += (array)[count] != NULL;                  \
			reader_leave(reader, inner_);                       \
		}                                                           \
		reader_leave(reader, mark_);                                \
	} while (0)

struct tenant *config_parse_tenant(struct config_context *context, const json_t *json)
{
	static const char *const names[] = { "name",    "label",       "service", "service-code",
					     "lockout", "attachments", "tunnels", "remote-access",
					     "routes",  NULL };
	struct tenant *tenant = calloc(1, sizeof(*tenant));
	struct config_reader *reader = context->reader;
	int service;

	if (tenant == NULL) {
		reader->failed = true;
		return NULL;
	}
	tenant->references = 1;
	if (!fields_check(reader, json, names, config_id_only))
		return tenant;
	tenant->id = config_parse_id(reader, json);
	field_name(reader, json, "name", tenant->name);
	field_text(reader, json, "label", LABEL_MAX, &tenant->label);
	field_text(reader, json, "service-code", SERVICE_CODE_MAX, &tenant->service_code);
	service = field_choice(reader, json, "service", services, -1);
	if (service >= 0) {
		tenant->service = strdup(services[service]);
		reader->failed |= tenant->service == NULL;
	}
	config_parse_lockout(reader, json, &tenant->lockout);
	LIST_PARSE(reader, json, "attachments", tenant->attachments, tenant->n_attachments, element,
		   config_parse_attachment(context, element, false));
	LIST_PARSE(reader, json, "tunnels", tenant->tunnels, tenant->n_tunnels, element,
		   config_parse_tunnel(context, tenant->name, element));
	LIST_PARSE(reader, json, "remote-access", tenant->remote_access, tenant->n_remote_access,
		   element, config_parse_remote_access(context, tenant->name, element));
	routes_parse(context, json, false, &tenant->routes, &tenant->n_routes);
	return tenant;
}

struct config *config_parse(struct config_context *context, const json_t *json)
{
	static const char *const names[] = { "version", "underlay", "tenants", NULL };
	struct config_reader *reader = context->reader;
	struct config *config = calloc(1, sizeof(*config));

	if (config == NULL) {
		reader->failed = true;
		return NULL;
	}
	if (!fields_check(reader, json, names, NULL))
		return config;
	if (json_object_get(json, "version") == NULL)
		reader_error_of(reader, "version", "is missing: write version: 1");
	else
		field_integer(reader, json, "version", 1, 1, 1);
	LIST_PARSE(reader, json, "underlay", config->underlay, config->n_underlay, element,
		   config_parse_attachment(context, element, true));
	LIST_PARSE(reader, json, "tenants", config->tenants, config->n_tenants, element,
		   config_parse_tenant(context, element));
	return config;
}

void config_destroy(struct config *config)
{
	if (config == NULL)
		return;
	for (size_t i = 0; i < config->n_tenants; i++)
		tenant_release(config->tenants[i]);
	for (size_t i = 0; i < config->n_underlay; i++)
		attachment_release(config->underlay[i]);
	free(config->tenants);
	free(config->underlay);
	free(config);
}
