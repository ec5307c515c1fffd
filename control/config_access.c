/* SPDX-License-Identifier: BSD-3-Clause */
/* `remote-access` of a tenant: clients that come by IKE, from anywhere. */
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "config_parse.h"

#define GROUPS_MAX    16
#define DNS_MAX       8
#define FAILURES_MOST 1000
#define LOCKOUT_MOST  86400 /* s */

const char *const config_access_auths[] = { [IKE_PSK] = "psk",
					    [IKE_CERTIFICATE] = "certificate",
					    [IKE_EAP_MSCHAPV2] = "eap-mschapv2",
					    [IKE_EAP_TLS] = "eap-tls",
					    [IKE_AUTHS] = NULL };

static const struct secret_kind psk_kind = { 8, SECRET_TEXT_MAX, true, true };

static const char *const names[] = { "name",
				     "label",
				     "local",
				     "local-id",
				     "auth",
				     "certificate",
				     "key",
				     "ca",
				     "crl",
				     "pool",
				     "dns",
				     "networks",
				     "users",
				     "lockout",
				     "multiple-logins",
				     "mtu",
				     "dscp",
				     "dscp-in",
				     "df",
				     "ttl",
				     "flow-label",
				     "mss-clamp",
				     "pad-to",
				     "dummy-ms",
				     "keepalive",
				     "follow",
				     "lifetime",
				     "proposals",
				     "esp-proposals",
				     "rekey",
				     "dpd",
				     "mobike",
				     "encapsulation",
				     NULL };

/* -- of a tenant -- */

void config_parse_lockout(struct config_reader *reader, const json_t *json, struct lockout *lockout)
{
	static const char *const its[] = { "failures", "seconds", NULL };
	const json_t *object = json_object_get(json, "lockout");
	size_t mark;

	lockout->failures = LOCKOUT_FAILURES_DEFAULT;
	lockout->seconds = LOCKOUT_SECONDS_DEFAULT;
	if (object == NULL || json_is_null(object))
		return;
	mark = reader_enter(reader, "lockout");
	if (fields_check(reader, object, its, NULL)) {
		lockout->failures = (uint32_t)field_integer(
			reader, object, "failures", 0, FAILURES_MOST, LOCKOUT_FAILURES_DEFAULT);
		lockout->seconds = (uint32_t)field_integer(reader, object, "seconds", 1,
							   LOCKOUT_MOST, LOCKOUT_SECONDS_DEFAULT);
	}
	reader_leave(reader, mark);
}

/* -- users -- */

static void groups_parse(struct config_reader *reader, const json_t *json, struct user *user)
{
	json_t *list = field_array(reader, json, "groups"), *element;
	size_t mark, inner, i;

	if (list == NULL)
		return;
	mark = reader_enter(reader, "groups");
	if (json_array_size(list) > GROUPS_MAX) {
		reader_error(reader, "has %zu; at most %d are allowed", json_array_size(list),
			     GROUPS_MAX);
		goto out;
	}
	user->groups = calloc(json_array_size(list), sizeof(char *));
	if (user->groups == NULL) {
		reader->failed = true;
		goto out;
	}
	json_array_foreach (list, i, element) {
		const char *text = json_string_value(element);
		size_t length =
			text == NULL ? 0 : strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

		inner = reader_enter_index(reader, i);
		if (length == 0 || text[length] != '\0' || length >= ABI_NAME_LEN)
			reader_error(reader, "is no name of a group: use 1 to 31 of a-z, 0-9 and "
					     "'-'");
		else if ((user->groups[user->n_groups] = strdup(text)) == NULL)
			reader->failed = true;
		else
			user->n_groups++;
		reader_leave(reader, inner);
	}
out:
	reader_leave(reader, mark);
}

static void user_parse(struct config_context *context, const char *tenant,
		       const struct remote_access *access, const struct remote_access *known,
		       const json_t *json, struct user *user)
{
	static const char *const its[] = { "name", "password", "groups", NULL };
	struct config_reader *reader = context->reader;
	struct secret_place place = { tenant, access->name, "password", NULL };
	bool secret = access->ike->auth == IKE_PSK || access->ike->auth == IKE_EAP_MSCHAPV2;
	const struct user *before;
	char shown[64];

	if (config_files_refuse(reader, json) || !fields_check(reader, json, its, NULL) ||
	    !field_text(reader, json, "name", IKE_ID_MAX - 1, &user->name))
		return;
	if (user->name == NULL || !config_user_is_valid(user->name)) {
		reader_error_of(reader, "name",
				"'%s' is no name of a user: give one such as alice, "
				"alice@acme.example or ACME\\alice%s",
				text_shown(user->name == NULL ? "" : user->name, shown),
				secret ? "" : ", or the subject of a certificate");
		return;
	}
	groups_parse(reader, json, user);
	place.user = user->name;
	before = known == NULL ? NULL : remote_access_user(known, user->name);
	if (before != NULL && strcmp(before->name, user->name) != 0)
		before = NULL; /* the secret is bound to the name as it was written */
	config_parse_secret(context, json, "password",
			    access->ike->auth == IKE_PSK ? &psk_kind : &config_password_kind,
			    &place, before == NULL ? NULL : &before->password, &user->password);
	if (reader->stored)
		return;
	if (secret && json_object_get(json, "password") == NULL)
		reader_error_of(reader, "password", "is missing: give password-file");
	if (!secret && secret_is_set(&user->password))
		reader_error_of(reader, "password",
				"is not asked for where certificates are: remove it");
}

static void users_parse(struct config_context *context, const char *tenant, const json_t *json,
			const struct remote_access *known, struct remote_access *access)
{
	struct config_reader *reader = context->reader;
	json_t *list = field_array(reader, json, "users"), *element;
	size_t mark, inner, i;

	if (list == NULL) /* nobody yet, or whoever the CA vouches for */
		return;
	access->users = calloc(json_array_size(list), sizeof(struct user));
	if (access->users == NULL) {
		reader->failed = true;
		return;
	}
	access->n_users = json_array_size(list);
	mark = reader_enter(reader, "users");
	json_array_foreach (list, i, element) {
		inner = reader_enter_index(reader, i);
		user_parse(context, tenant, access, known, element, &access->users[i]);
		reader_leave(reader, inner);
	}
	reader_leave(reader, mark);
}

/* -- addresses -- */

static void dns_parse(struct config_reader *reader, const json_t *json,
		      struct remote_access *access)
{
	json_t *list = field_array(reader, json, "dns"), *element;
	size_t mark, inner, i;

	if (list == NULL)
		return;
	mark = reader_enter(reader, "dns");
	if (json_array_size(list) > DNS_MAX)
		reader_error(reader, "has %zu; at most %d are allowed", json_array_size(list),
			     DNS_MAX);
	access->dns = calloc(json_array_size(list), sizeof(struct abi_address));
	reader->failed |= access->dns == NULL;
	json_array_foreach (list, i, element) {
		const char *text = json_string_value(element);

		if (access->dns == NULL)
			break;
		inner = reader_enter_index(reader, i);
		if (text == NULL || address_parse(text, &access->dns[i]) < 0 ||
		    !address_is_host(&access->dns[i]))
			reader_error(reader, "must be the address of a name server");
		else
			access->n_dns++;
		reader_leave(reader, inner);
	}
	reader_leave(reader, mark);
}

static void pools_parse(struct config_reader *reader, const json_t *json,
			struct remote_access *access)
{
	const json_t *pool = json_object_get(json, "pool");
	size_t mark;

	config_parse_prefixes(reader, json, "pool", &access->pools, &access->n_pools);
	if (pool == NULL || (json_is_array(pool) && json_array_size(pool) == 0))
		reader_error_of(reader, "pool",
				"is missing: give prefixes of which clients get their addresses, "
				"such as [10.9.0.0/16]");
	mark = reader_enter(reader, "pool");
	for (size_t i = 0; i < access->n_pools; i++) {
		const struct abi_address *prefix = &access->pools[i];
		size_t inner = reader_enter_index(reader, i);

		if (prefix->family != 0 &&
		    (prefix->prefix_len < 8 || prefix->prefix_len > address_bits(prefix) - 2))
			reader_error(reader, "must be from /8 to /%u", address_bits(prefix) - 2u);
		for (size_t k = 0; k < i && prefix->family != 0; k++) {
			if (prefix_overlaps(prefix, &access->pools[k]))
				reader_error(reader, "overlaps another one of them");
		}
		reader_leave(reader, inner);
	}
	reader_leave(reader, mark);
}

/* -- the whole -- */

static void auth_check(struct config_reader *reader, const json_t *json, const struct ike *ike)
{
	bool own = json_object_get(json, "certificate") != NULL;
	bool clients = ike->auth == IKE_CERTIFICATE || ike->auth == IKE_EAP_TLS;

	if (ike->auth == IKE_PSK && own)
		reader_error_of(reader, "certificate",
				"is not used with auth: psk; remove it, or choose eap-mschapv2, "
				"eap-tls or certificate");
	if (ike->auth != IKE_PSK && !own)
		reader_error_of(reader, "certificate",
				"is missing: the gateway proves by certificate-file and key-file "
				"who it is");
	if (clients && json_object_get(json, "ca") == NULL)
		reader_error_of(reader, "ca",
				"is missing: give the CA that vouches for the clients' "
				"certificates");
	if (!clients && ike->ca != NULL)
		reader_error_of(reader, "ca", "is for clients with certificates: remove it");
	if (ike->auth != IKE_PSK && json_object_get(json, "local-id") == NULL)
		reader_error_of(reader, "local-id",
				"is missing: give the name by which clients know the gateway, a "
				"subjectAltName of its certificate");
}

static const struct remote_access *known_find(struct config_context *context, const char *tenant,
					      const char *name)
{
	const struct tenant *t =
		context->current == NULL ? NULL : model_tenant(context->current, tenant);

	return t == NULL ? NULL : tenant_remote_access(t, name);
}

static void members_parse(struct config_context *context, const char *tenant, const json_t *json,
			  struct remote_access *access)
{
	struct config_reader *reader = context->reader;
	const struct remote_access *known;
	int auth;

	access->id = config_parse_id(reader, json);
	field_name(reader, json, "name", access->name);
	field_text(reader, json, "label", LABEL_MAX, &access->label);
	field_address(reader, json, "local", &access->local);
	access->mtu = (uint16_t)field_integer(reader, json, "mtu", MTU_LEAST, MTU_MOST, 0);
	if (access->mtu != 0 && access->mtu < MTU_LEAST_IPV6 && access->local.family == ABI_IPV6)
		reader_error_of(reader, "mtu", "IPv6 needs at least %d", MTU_LEAST_IPV6);
	config_parse_policy(reader, json, true, true, &access->policy);
	config_parse_lifetime(reader, json, &access->lifetime);
	auth = field_choice(reader, json, "auth", config_access_auths, -1);
	if (json_object_get(json, "auth") == NULL)
		reader_error_of(reader, "auth",
				"is missing: eap-mschapv2, eap-tls, certificate or psk");
	access->ike->auth = auth < 0 ? IKE_EAP_MSCHAPV2 : (enum ike_auth)auth;
	known = known_find(context, tenant, access->name);
	config_parse_ike_common(context, tenant, access->name, json,
				known == NULL ? NULL : known->ike, access->ike);
	if (!reader->stored && auth >= 0)
		auth_check(reader, json, access->ike);
	config_parse_prefixes(reader, json, "networks", &access->networks, &access->n_networks);
	pools_parse(reader, json, access);
	dns_parse(reader, json, access);
	users_parse(context, tenant, json, known, access);
	if (!reader->stored && json_object_get(json, "lockout") != NULL)
		reader_error_of(
			reader, "lockout",
			"is one for all entries, since a user's failures at any of them count: "
			"give it to the tenant (kaidoctl set tenant %s lockout.failures=N)",
			tenant);
	access->multiple_logins = field_bool(reader, json, "multiple-logins", false);
}

struct remote_access *config_parse_remote_access(struct config_context *context, const char *tenant,
						 const json_t *json)
{
	struct remote_access *access = calloc(1, sizeof(*access));
	struct ike *ike = calloc(1, sizeof(*ike));

	if (access == NULL || ike == NULL) {
		context->reader->failed = true;
		free(access);
		free(ike);
		return NULL;
	}
	access->references = 1;
	access->ike = ike;
	ike->references = 1;
	if (!config_legacy_method(context->reader, json) &&
	    !config_files_refuse(context->reader, json) &&
	    fields_check(context->reader, json, names, config_id_only))
		members_parse(context, tenant, json, access);
	return access;
}
