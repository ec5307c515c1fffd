/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include <string.h>
#include <stdio.h>

#include <sodium.h>

#include "address.h"

/* What is zero or NULL is absent in the file, and here. */
static void text_set(json_t *object, const char *member, const char *text)
{
	if (text != NULL && text[0] != '\0')
		json_object_set_new(object, member, json_string(text));
}

static void number_set(json_t *object, const char *member, json_int_t number)
{
	if (number != 0)
		json_object_set_new(object, member, json_integer(number));
}

/* Limits that are 0 are absent; so is a part without any. */
static void limits_set(json_t *object, const char *member, const struct abi_lifetime *limits)
{
	json_t *part = json_object();

	number_set(part, "bytes", (json_int_t)limits->bytes);
	number_set(part, "packets", (json_int_t)limits->packets);
	number_set(part, "seconds", (json_int_t)limits->seconds);
	if (json_object_size(part) > 0)
		json_object_set(object, member, part);
	json_decref(part);
}

json_t *config_render_lifetime(const struct lifetime *lifetime)
{
	json_t *object = json_object();

	limits_set(object, "soft", &lifetime->soft);
	limits_set(object, "hard", &lifetime->hard);
	return object;
}

static void hex_set(json_t *object, const char *member, const uint8_t *bytes, size_t size)
{
	char text[2 * MODEL_SEALED_MAX + 1];

	json_object_set_new(object, member,
			    json_string(sodium_bin2hex(text, sizeof(text), bytes, size)));
}

static void address_set(json_t *object, const char *member, const struct abi_address *address)
{
	char text[ADDRESS_TEXT_LEN];

	text_set(object, member, address_format(address, text));
}

static void prefix_append(json_t *array, const struct abi_address *prefix)
{
	char text[ADDRESS_TEXT_LEN];

	json_array_append_new(array, json_string(prefix_format(prefix, text)));
}

/* Empty lists are left out. */
static void list_set(json_t *object, const char *member, json_t *list)
{
	if (json_array_size(list) > 0)
		json_object_set_new(object, member, list);
	else
		json_decref(list);
}

json_t *config_render_route(const struct route *route)
{
	json_t *object = json_object();
	char text[ADDRESS_TEXT_LEN];

	text_set(object, "prefix", prefix_format(&route->prefix, text));
	if (route->kind == ABI_ROUTE_TUNNEL)
		text_set(object, "tunnel", route->tunnel);
	else if (route->kind == ABI_ROUTE_GATEWAY)
		address_set(object, "via", &route->via);
	else
		json_object_set_new(object, "blackhole", json_true());
	return object;
}

static json_t *routes_render(const struct route *routes, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, config_render_route(&routes[i]));
	return list;
}

static json_t *neighbour_render(const struct neighbour *neighbour)
{
	const uint8_t *mac = neighbour->mac;
	json_t *object = json_object();
	char text[18];

	address_set(object, "address", &neighbour->address);
	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
	text_set(object, "mac", text);
	return object;
}

json_t *config_render_attachment(const struct attachment *attachment, enum config_form form)
{
	json_t *object = json_object(), *list = json_array();

	if (form == CONFIG_STORED)
		number_set(object, "id", attachment->id);
	text_set(object, "name", attachment->name);
	text_set(object, "port", attachment->port);
	number_set(object, "vlan", attachment->vlan);
	number_set(object, "mtu", attachment->mtu);
	text_set(object, "netdev", attachment->netdev);
	for (uint32_t i = 0; i < attachment->n_addresses; i++)
		prefix_append(list, &attachment->address[i]);
	list_set(object, "addresses", list);
	list = json_array();
	for (size_t i = 0; i < attachment->n_neighbours; i++)
		json_array_append_new(list, neighbour_render(&attachment->neighbours[i]));
	list_set(object, "neighbours", list);
	list_set(object, "routes", routes_render(attachment->routes, attachment->n_routes));
	return object;
}

json_t *config_render_sa(const struct sa *sa, enum config_form form)
{
	char fingerprint[CONFIG_FINGERPRINT_LEN];
	json_t *object = json_object();

	text_set(object, "direction", sa->direction == ABI_SA_IN ? "in" : "out");
	number_set(object, "spi", sa->spi);
	json_object_set_new(object, "esn", json_boolean(sa->esn));
	if (sa->direction == ABI_SA_IN)
		json_object_set_new(object, "window", json_integer(sa->window));
	if (sa->own_lifetime)
		json_object_set_new(object, "lifetime", config_render_lifetime(&sa->lifetime));
	if (form == CONFIG_STORED) {
		number_set(object, "id", sa->id);
		number_set(object, "key-bits", sa->key_len * 8);
		hex_set(object, "digest", sa->digest, sizeof(sa->digest));
		hex_set(object, "sealed", sa->sealed, sa_sealed_size(sa));
	} else {
		text_set(object, "key", "set");
	}
	if (form == CONFIG_COMPARED) {
		text_set(object, "fingerprint", config_fingerprint(sa, fingerprint));
	}
	return object;
}

static void policy_set(json_t *object, const struct tunnel_policy *policy)
{
	static const char *const df[] = { "", "set", "clear" };
	static const char *const labels[] = { "", "inner", "zero" };

	if (policy->dscp != ABI_DSCP_COPY)
		json_object_set_new(object, "dscp",
				    json_integer((json_int_t)(policy->dscp & ~ABI_DSCP_SET)));
	if ((policy->flags & ABI_TUNNEL_DSCP_IN) != 0)
		text_set(object, "dscp-in", "copy");
	text_set(object, "df", df[policy->df]);
	number_set(object, "ttl", policy->ttl);
	text_set(object, "flow-label", labels[policy->flow_label]);
	if ((policy->flags & ABI_TUNNEL_MSS_OFF) != 0)
		json_object_set_new(object, "mss-clamp", json_false());
	else
		number_set(object, "mss-clamp", policy->mss);
	number_set(object, "pad-to", policy->pad_to);
	number_set(object, "dummy-ms", policy->dummy_ms);
	number_set(object, "keepalive", policy->keepalive);
	if ((policy->flags & ABI_TUNNEL_FOLLOW) != 0)
		json_object_set_new(object, "follow", json_true());
}

json_t *config_render_tunnel(const struct tunnel *tunnel, enum config_form form)
{
	json_t *object = json_object(), *list = json_array();

	if (form == CONFIG_STORED)
		number_set(object, "id", tunnel->id);
	text_set(object, "name", tunnel->name);
	text_set(object, "label", tunnel->label);
	address_set(object, "local", &tunnel->local);
	address_set(object, "remote", &tunnel->remote);
	text_set(object, "encapsulation", tunnel->udp ? "udp" : "esp");
	number_set(object, "local-port", tunnel->local_port);
	number_set(object, "remote-port", tunnel->remote_port);
	number_set(object, "mtu", tunnel->mtu);
	policy_set(object, &tunnel->policy);
	if (!lifetime_is_none(&tunnel->lifetime))
		json_object_set_new(object, "lifetime", config_render_lifetime(&tunnel->lifetime));
	for (size_t i = 0; i < tunnel->n_networks; i++)
		prefix_append(list, &tunnel->networks[i]);
	list_set(object, "networks", list);
	/* An empty list means something here: nothing passes. */
	if ((tunnel->policy.flags & ABI_TUNNEL_SELECTORS) != 0)
		json_object_set_new(object, "selectors", config_render_selectors(tunnel));
	list = json_array();
	for (size_t i = 0; i < tunnel->n_sas; i++)
		json_array_append_new(list, config_render_sa(&tunnel->sas[i], form));
	list_set(object, "sas", list);
	return object;
}

json_t *config_render_tenant(const struct tenant *tenant, enum config_form form, bool tunnels)
{
	json_t *object = json_object(), *list = json_array();

	if (form == CONFIG_STORED)
		number_set(object, "id", tenant->id);
	text_set(object, "name", tenant->name);
	text_set(object, "label", tenant->label);
	text_set(object, "service", tenant->service);
	text_set(object, "service-code", tenant->service_code);
	for (size_t i = 0; i < tenant->n_attachments; i++)
		json_array_append_new(list, config_render_attachment(tenant->attachments[i], form));
	list_set(object, "attachments", list);
	list = json_array();
	for (size_t i = 0; i < tenant->n_tunnels && tunnels; i++)
		json_array_append_new(list, config_render_tunnel(tenant->tunnels[i], form));
	list_set(object, "tunnels", list);
	list_set(object, "routes", routes_render(tenant->routes, tenant->n_routes));
	return object;
}

json_t *config_render(const struct model *model, const struct tenant *only)
{
	json_t *object = json_object(), *list = json_array();

	json_object_set_new(object, "version", json_integer(1));
	for (size_t i = 0; i < model->n_underlay && only == NULL; i++)
		json_array_append_new(list,
				      config_render_attachment(model->underlay[i], CONFIG_SHOWN));
	list_set(object, "underlay", list);
	list = json_array();
	if (only != NULL)
		json_array_append_new(list, config_render_tenant(only, CONFIG_SHOWN, true));
	for (size_t i = 0; i < model->n_tenants && only == NULL; i++)
		json_array_append_new(list,
				      config_render_tenant(model->tenants[i], CONFIG_SHOWN, true));
	json_object_set_new(object, "tenants", list);
	return object;
}
