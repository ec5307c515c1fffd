/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_render.h"

#include <string.h>
#include <stdio.h>

#include <sodium.h>

#include "address.h"

void render_text(json_t *object, const char *member, const char *text)
{
	if (text != NULL && text[0] != '\0')
		json_object_set_new(object, member, json_string(text));
}

void render_number(json_t *object, const char *member, json_int_t number)
{
	if (number != 0)
		json_object_set_new(object, member, json_integer(number));
}

/* Limits that are 0 are absent; so is a part without any. */
static void limits_set(json_t *object, const char *member, const struct abi_lifetime *limits)
{
	json_t *part = json_object();

	render_number(part, "bytes", (json_int_t)limits->bytes);
	render_number(part, "packets", (json_int_t)limits->packets);
	render_number(part, "seconds", (json_int_t)limits->seconds);
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

void render_address(json_t *object, const char *member, const struct abi_address *address)
{
	char text[ADDRESS_TEXT_LEN];

	render_text(object, member, address_format(address, text));
}

static void prefix_append(json_t *array, const struct abi_address *prefix)
{
	char text[ADDRESS_TEXT_LEN];

	json_array_append_new(array, json_string(prefix_format(prefix, text)));
}

void render_list(json_t *object, const char *member, json_t *list)
{
	if (json_array_size(list) > 0)
		json_object_set_new(object, member, list);
	else
		json_decref(list);
}

void render_prefixes(json_t *object, const char *member, const struct abi_address *prefixes,
		     size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		prefix_append(list, &prefixes[i]);
	render_list(object, member, list);
}

json_t *config_render_route(const struct route *route)
{
	json_t *object = json_object();
	char text[ADDRESS_TEXT_LEN];

	render_text(object, "prefix", prefix_format(&route->prefix, text));
	if (route->kind == ABI_ROUTE_TUNNEL)
		render_text(object, "tunnel", route->tunnel);
	else if (route->kind == ABI_ROUTE_GATEWAY)
		render_address(object, "via", &route->via);
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

	render_address(object, "address", &neighbour->address);
	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
	render_text(object, "mac", text);
	return object;
}

json_t *config_render_attachment(const struct attachment *attachment, enum config_form form)
{
	json_t *object = json_object(), *list = json_array();

	if (form == CONFIG_STORED)
		render_number(object, "id", attachment->id);
	render_text(object, "name", attachment->name);
	render_text(object, "port", attachment->port);
	render_number(object, "vlan", attachment->vlan);
	render_number(object, "mtu", attachment->mtu);
	render_text(object, "netdev", attachment->netdev);
	for (uint32_t i = 0; i < attachment->n_addresses; i++)
		prefix_append(list, &attachment->address[i]);
	render_list(object, "addresses", list);
	list = json_array();
	for (size_t i = 0; i < attachment->n_neighbours; i++)
		json_array_append_new(list, neighbour_render(&attachment->neighbours[i]));
	render_list(object, "neighbours", list);
	render_list(object, "routes", routes_render(attachment->routes, attachment->n_routes));
	return object;
}

json_t *config_render_sa(const struct sa *sa, enum config_form form)
{
	char fingerprint[CONFIG_FINGERPRINT_LEN];
	json_t *object = json_object();

	render_text(object, "direction", sa->direction == ABI_SA_IN ? "in" : "out");
	render_number(object, "spi", sa->spi);
	json_object_set_new(object, "esn", json_boolean(sa->esn));
	if (sa->direction == ABI_SA_IN)
		json_object_set_new(object, "window", json_integer(sa->window));
	if (sa->own_lifetime)
		json_object_set_new(object, "lifetime", config_render_lifetime(&sa->lifetime));
	if (form == CONFIG_STORED) {
		render_number(object, "id", sa->id);
		render_number(object, "key-bits", sa->key_len * 8);
		hex_set(object, "digest", sa->digest, sizeof(sa->digest));
		hex_set(object, "sealed", sa->sealed, sa_sealed_size(sa));
	} else {
		render_text(object, "key", "set");
	}
	if (form == CONFIG_COMPARED) {
		render_text(object, "fingerprint", config_fingerprint(sa, fingerprint));
	}
	return object;
}

void render_policy(json_t *object, const struct tunnel_policy *policy, bool follow)
{
	static const char *const df[] = { "", "set", "clear" };
	static const char *const labels[] = { "", "inner", "zero" };

	if (policy->dscp != ABI_DSCP_COPY)
		json_object_set_new(object, "dscp",
				    json_integer((json_int_t)(policy->dscp & ~ABI_DSCP_SET)));
	if ((policy->flags & ABI_TUNNEL_DSCP_IN) != 0)
		render_text(object, "dscp-in", "copy");
	render_text(object, "df", df[policy->df]);
	render_number(object, "ttl", policy->ttl);
	render_text(object, "flow-label", labels[policy->flow_label]);
	if ((policy->flags & ABI_TUNNEL_MSS_OFF) != 0)
		json_object_set_new(object, "mss-clamp", json_false());
	else
		render_number(object, "mss-clamp", policy->mss);
	render_number(object, "pad-to", policy->pad_to);
	render_number(object, "dummy-ms", policy->dummy_ms);
	render_number(object, "keepalive", policy->keepalive);
	if (((policy->flags & ABI_TUNNEL_FOLLOW) != 0) != follow)
		json_object_set_new(object, "follow", json_boolean(!follow));
}

json_t *config_render_tunnel(const struct tunnel *tunnel, enum config_form form)
{
	bool any = tunnel->ike != NULL && tunnel->remote.family == 0;
	json_t *object = json_object(), *list = json_array();

	if (form == CONFIG_STORED)
		render_number(object, "id", tunnel->id);
	render_text(object, "name", tunnel->name);
	render_text(object, "label", tunnel->label);
	render_address(object, "local", &tunnel->local);
	if (!any)
		render_address(object, "remote", &tunnel->remote);
	if (tunnel->ike == NULL)
		render_text(object, "encapsulation", tunnel->udp ? "udp" : "esp");
	render_number(object, "local-port", tunnel->local_port);
	render_number(object, "remote-port", tunnel->remote_port);
	render_number(object, "mtu", tunnel->mtu);
	render_policy(object, &tunnel->policy, any);
	if (!lifetime_is_none(&tunnel->lifetime))
		json_object_set_new(object, "lifetime", config_render_lifetime(&tunnel->lifetime));
	render_prefixes(object, "networks", tunnel->networks, tunnel->n_networks);
	render_prefixes(object, "local-networks", tunnel->local_networks, tunnel->n_local_networks);
	/* An empty list means something here: nothing passes. */
	if ((tunnel->policy.flags & ABI_TUNNEL_SELECTORS) != 0)
		json_object_set_new(object, "selectors", config_render_selectors(tunnel));
	if (tunnel->ike != NULL)
		json_object_set_new(object, "ike", config_render_tunnel_ike(tunnel->ike, form));
	for (size_t i = 0; i < tunnel->n_sas; i++)
		json_array_append_new(list, config_render_sa(&tunnel->sas[i], form));
	render_list(object, "sas", list);
	return object;
}

json_t *config_render_tenant(const struct tenant *tenant, enum config_form form, bool tunnels)
{
	json_t *object = json_object(), *list = json_array();

	if (form == CONFIG_STORED)
		render_number(object, "id", tenant->id);
	render_text(object, "name", tenant->name);
	render_text(object, "label", tenant->label);
	render_text(object, "service", tenant->service);
	render_text(object, "service-code", tenant->service_code);
	if (tenant->lockout.failures != LOCKOUT_FAILURES_DEFAULT ||
	    tenant->lockout.seconds != LOCKOUT_SECONDS_DEFAULT)
		json_object_set_new(object, "lockout",
				    json_pack("{s:i, s:i}", "failures",
					      (int)tenant->lockout.failures, "seconds",
					      (int)tenant->lockout.seconds));
	for (size_t i = 0; i < tenant->n_attachments; i++)
		json_array_append_new(list, config_render_attachment(tenant->attachments[i], form));
	render_list(object, "attachments", list);
	list = json_array();
	for (size_t i = 0; i < tenant->n_tunnels && tunnels; i++)
		json_array_append_new(list, config_render_tunnel(tenant->tunnels[i], form));
	render_list(object, "tunnels", list);
	list = json_array();
	for (size_t i = 0; i < tenant->n_remote_access && tunnels; i++)
		json_array_append_new(list,
				      config_render_remote_access(tenant->remote_access[i], form));
	render_list(object, "remote-access", list);
	render_list(object, "routes", routes_render(tenant->routes, tenant->n_routes));
	return object;
}

json_t *config_render(const struct model *model, const struct tenant *only)
{
	json_t *object = json_object(), *list = json_array();

	json_object_set_new(object, "version", json_integer(1));
	for (size_t i = 0; i < model->n_underlay && only == NULL; i++)
		json_array_append_new(list,
				      config_render_attachment(model->underlay[i], CONFIG_SHOWN));
	render_list(object, "underlay", list);
	list = json_array();
	if (only != NULL)
		json_array_append_new(list, config_render_tenant(only, CONFIG_SHOWN, true));
	for (size_t i = 0; i < model->n_tenants && only == NULL; i++)
		json_array_append_new(list,
				      config_render_tenant(model->tenants[i], CONFIG_SHOWN, true));
	json_object_set_new(object, "tenants", list);
	return object;
}
