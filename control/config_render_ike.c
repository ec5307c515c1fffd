/* SPDX-License-Identifier: BSD-3-Clause */
/* `ike` of tunnels and remote access, as JSON. */
#include <string.h>

#include "address.h"
#include "config_render.h"

void config_render_ike(json_t *object, const struct ike *ike, enum config_form form)
{
	render_text(object, "local-id", ike->local_id);
	render_text(object, "remote-id", ike->remote_id);
	config_render_secret(object, "psk", &ike->psk, form);
	render_text(object, "user", ike->user);
	config_render_secret(object, "password", &ike->password, form);
	render_text(object, "certificate", ike->certificate);
	config_render_secret(object, "key", &ike->key, form);
	render_text(object, "ca", ike->ca);
	render_text(object, "crl", ike->crl);
	render_list(object, "proposals", config_render_proposals(ike->proposals));
	render_list(object, "esp-proposals", config_render_proposals(ike->esp_proposals));
	if (ike->rekey != IKE_REKEY_DEFAULT)
		render_number(object, "rekey", ike->rekey);
	if (ike->dpd != IKE_DPD_DEFAULT)
		json_object_set_new(object, "dpd", json_integer(ike->dpd));
	if (!ike->mobike)
		json_object_set_new(object, "mobike", json_false());
	if (ike->udp)
		render_text(object, "encapsulation", "udp");
}

json_t *config_render_tunnel_ike(const struct ike *ike, enum config_form form)
{
	static const char *const starts[] = {
		[IKE_RESPOND] = "", [IKE_START] = "start", [IKE_TRAP] = "trap"
	};
	json_t *object = json_object();

	render_text(object, "start", starts[ike->start]);
	render_text(object, "peer", ike->peer);
	if (ike->per_cpu)
		json_object_set_new(object, "per-cpu", json_true());
	if (ike_is_eap(ike))
		render_text(object, "eap", ike->auth == IKE_EAP_TLS ? "tls" : "mschapv2");
	if (ike->peer[0] == '\0')
		config_render_ike(object, ike, form);
	else
		render_list(object, "esp-proposals", config_render_proposals(ike->esp_proposals));
	return object;
}

static json_t *user_render(const struct user *user, enum config_form form)
{
	json_t *object = json_object(), *groups = json_array();

	render_text(object, "name", user->name);
	config_render_secret(object, "password", &user->password, form);
	for (size_t i = 0; i < user->n_groups; i++)
		json_array_append_new(groups, json_string(user->groups[i]));
	render_list(object, "groups", groups);
	return object;
}

json_t *config_render_remote_access(const struct remote_access *access, enum config_form form)
{
	json_t *object = json_object(), *list = json_array();
	char text[ADDRESS_TEXT_LEN];

	if (form == CONFIG_STORED)
		render_number(object, "id", access->id);
	render_text(object, "name", access->name);
	render_text(object, "label", access->label);
	render_address(object, "local", &access->local);
	render_text(object, "auth", config_access_auths[access->ike->auth]);
	config_render_ike(object, access->ike, form);
	render_prefixes(object, "pool", access->pools, access->n_pools);
	for (size_t i = 0; i < access->n_dns; i++)
		json_array_append_new(list, json_string(address_format(&access->dns[i], text)));
	render_list(object, "dns", list);
	render_prefixes(object, "networks", access->networks, access->n_networks);
	render_number(object, "mtu", access->mtu);
	render_policy(object, &access->policy, true);
	if (!lifetime_is_none(&access->lifetime))
		json_object_set_new(object, "lifetime", config_render_lifetime(&access->lifetime));
	if (access->multiple_logins)
		json_object_set_new(object, "multiple-logins", json_true());
	list = json_array();
	for (size_t i = 0; i < access->n_users; i++)
		json_array_append_new(list, user_render(&access->users[i], form));
	render_list(object, "users", list);
	return object;
}
