/* SPDX-License-Identifier: BSD-3-Clause */
/* How what is said of IKE fits together: within a tenant, and over all of them. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "address.h"
#include "config_check.h"
#include "ike_secrets.h"

/* -- within a tenant -- */

/* `laptops-12` belongs to a client of remote access `laptops`, cut to 20 characters. */
static bool is_clients_name(const char *name, const struct remote_access *access)
{
	size_t length = strnlen(access->name, REMOTE_ACCESS_STEM);
	const char *rest = name + length;

	return access->name[0] != '\0' && strncmp(name, access->name, length) == 0 &&
	       rest[0] == '-' && rest[1] != '\0' &&
	       strspn(rest + 1, "0123456789") == strlen(rest + 1);
}

static void names_check(struct config_reader *reader, const struct tenant *tenant,
			const struct remote_access *access, size_t index)
{
	size_t stem = strnlen(access->name, REMOTE_ACCESS_STEM);

	for (size_t i = 0; i < index && access->name[0] != '\0'; i++) {
		const char *other = tenant->remote_access[i]->name;

		if (strcmp(other, access->name) == 0)
			reader_error_of(reader, "name", "two have the name '%s': rename one",
					access->name);
		else if (stem == REMOTE_ACCESS_STEM && strncmp(other, access->name, stem) == 0)
			reader_error_of(reader, "name",
					"begins with the same %d characters as '%s', and so would "
					"its clients: rename one",
					REMOTE_ACCESS_STEM, other);
	}
	for (size_t i = 0; i < tenant->n_tunnels; i++) {
		const char *other = tenant->tunnels[i]->name;

		if (strcmp(other, access->name) == 0 && other[0] != '\0')
			reader_error_of(reader, "name",
					"a tunnel of this tenant has the name '%s': rename one",
					other);
		else if (is_clients_name(other, access))
			reader_error_of(reader, "name",
					"tunnel '%s' has a name as the clients of '%s' get: rename "
					"one",
					other, access->name);
	}
}

static bool pool_takes(const struct abi_address *pool, const struct abi_address *prefix)
{
	return pool->family != 0 && prefix->family == pool->family &&
	       prefix->prefix_len > pool->prefix_len && prefix_overlaps(pool, prefix);
}

static void pool_check(struct config_reader *reader, const struct tenant *tenant,
		       const struct abi_address *pool, size_t own)
{
	for (size_t i = 0; i < tenant->n_attachments; i++) {
		for (uint32_t k = 0; k < tenant->attachments[i]->n_addresses; k++) {
			if (pool->family != 0 &&
			    prefix_overlaps(pool, &tenant->attachments[i]->address[k]))
				reader_error(reader,
					     "overlaps the link of attachment '%s': stations there "
					     "would look for clients on the link, take other "
					     "addresses",
					     tenant->attachments[i]->name);
		}
	}
	for (size_t i = 0; i < own; i++) {
		const struct remote_access *other = tenant->remote_access[i];

		for (size_t k = 0; k < other->n_pools; k++) {
			if (pool->family != 0 && prefix_overlaps(pool, &other->pools[k]))
				reader_error(reader,
					     "overlaps the pool of '%s': two clients could "
					     "get one address",
					     other->name);
		}
	}
	for (size_t i = 0; i < tenant->n_tunnels; i++) {
		for (size_t k = 0; k < tenant->tunnels[i]->n_networks; k++) {
			if (pool_takes(pool, &tenant->tunnels[i]->networks[k]))
				reader_error(reader,
					     "holds a network of tunnel '%s', whose addresses "
					     "clients could get: take other ones",
					     tenant->tunnels[i]->name);
		}
	}
	for (size_t i = 0; i < tenant->n_routes; i++) {
		if (pool_takes(pool, &tenant->routes[i].prefix))
			reader_error(reader, "holds the prefix of a route of this tenant, whose "
					     "addresses clients could get: take other ones");
	}
}

static void access_check(struct config_reader *reader, const struct tenant *tenant, size_t index)
{
	const struct remote_access *access = tenant->remote_access[index];
	size_t mark, inner;

	names_check(reader, tenant, access, index);
	mark = reader_enter(reader, "pool");
	for (size_t i = 0; i < access->n_pools; i++) {
		inner = reader_enter_index(reader, i);
		pool_check(reader, tenant, &access->pools[i], index);
		reader_leave(reader, inner);
	}
	reader_leave(reader, mark);
}

static const struct tunnel *tunnel_named(const struct tenant *tenant, const char *name)
{
	for (size_t i = 0; i < tenant->n_tunnels; i++) { /* not sorted yet */
		if (strcmp(tenant->tunnels[i]->name, name) == 0)
			return tenant->tunnels[i];
	}
	return NULL;
}

static void peer_check(struct config_reader *reader, const struct tenant *tenant,
		       const struct tunnel *tunnel)
{
	const struct tunnel *peer = tunnel_named(tenant, tunnel->ike->peer);
	char local[ADDRESS_TEXT_LEN], remote[ADDRESS_TEXT_LEN];
	size_t mark;

	if (tunnel->ike->peer[0] == '\0')
		return;
	mark = reader_enter(reader, "ike");
	if (peer == NULL || peer == tunnel || peer->ike == NULL)
		reader_error_of(reader, "peer",
				"this tenant has no other tunnel '%s' with ike: add it or name "
				"another",
				tunnel->ike->peer);
	else if (peer->ike->peer[0] != '\0')
		reader_error_of(reader, "peer",
				"'%s' has itself no IKE SA of its own: name '%s', which carries it",
				peer->name, peer->ike->peer);
	else if (!address_equal(&peer->local, &tunnel->local) ||
		 !address_equal(&peer->remote, &tunnel->remote))
		reader_error_of(reader, "peer",
				"'%s' has other ends: give this tunnel its local (%s) and remote "
				"(%s), too",
				peer->name, address_format(&peer->local, local),
				peer->remote.family == 0 ? "any"
							 : address_format(&peer->remote, remote));
	reader_leave(reader, mark);
}

void check_tenant_ike(struct config_reader *reader, const struct tenant *tenant)
{
	size_t mark = reader_enter(reader, "tunnels"), inner;

	for (size_t i = 0; i < tenant->n_tunnels; i++) {
		const struct tunnel *tunnel = tenant->tunnels[i];

		if (tunnel->ike == NULL)
			continue;
		inner = reader_enter_index(reader, i);
		if (tunnel->n_sas > 0)
			reader_error_of(reader, "sas",
					"a tunnel with ike gets its keys from IKE: remove sas, or "
					"remove ike");
		peer_check(reader, tenant, tunnel);
		reader_leave(reader, inner);
	}
	reader_leave(reader, mark);
	mark = reader_enter(reader, "remote-access");
	for (size_t i = 0; i < tenant->n_remote_access; i++) {
		inner = reader_enter_index(reader, i);
		access_check(reader, tenant, i);
		reader_leave(reader, inner);
	}
	reader_leave(reader, mark);
}

/* -- over all tenants -- */

/* Names are compared without regard to case, as charon does. */
static size_t key_append(char *key, size_t used, const char *text)
{
	for (; *text != '\0' && used + 1 < 2 * IKE_ID_MAX + 2 * ADDRESS_TEXT_LEN; text++)
		key[used++] = (char)tolower((unsigned char)*text);
	key[used++] = '\0';
	return used;
}

static void pair_claim(struct check *check, const char *method, const char *local,
		       const char *remote, const char *member, const struct claim_holder *holder)
{
	char key[2 * IKE_ID_MAX + 2 * ADDRESS_TEXT_LEN + 2];
	const struct claim_holder *other;
	size_t size;

	if (local == NULL || remote == NULL)
		return;
	size = key_append(key, 0, method);
	size = key_append(key, size, local);
	size = key_append(key, size, remote);
	other = check_take(check, CLAIM_IDENTITY, key, size, holder);
	if (other == NULL || check->reader == NULL)
		return;
	if (other->name == holder->name)
		reader_error_of(check->reader, member, "two have the name '%.80s': rename one",
				remote);
	else
		reader_error_of(check->reader, member,
				"'%.80s' towards '%.80s' is already known as that of %s '%s' of "
				"tenant '%s': who a peer is has to follow from its identity, give "
				"one of them another, or another local-id",
				remote, local, other->what, other->name, other->tenant);
}

/*
 * Of a peer that logs in. Once it is locked out, nobody of that name gets in there, whatever the way: so who
 * proves in another one that he is it must not be somebody else.
 */
static void user_claim(struct check *check, const char *local, const char *remote, const char *user,
		       const struct claim_holder *holder)
{
	pair_claim(check, "eap", local, user, "user", holder);
	if (user != NULL && remote != NULL && strcasecmp(user, remote) != 0)
		pair_claim(check, "ike", local, user, "user", holder);
}

static void tunnel_claim(struct check *check, const struct tenant *tenant,
			 const struct tunnel *tunnel)
{
	const struct claim_holder holder = { .what = "tunnel",
					     .name = tunnel->name,
					     .tenant = tenant->name };
	const struct ike *ike = tunnel->ike;
	char text[2][ADDRESS_TEXT_LEN];
	const char *local, *remote;
	size_t mark = 0;

	if (ike == NULL || ike->peer[0] != '\0' || tunnel->local.family == 0)
		return;
	local = ike_local_id(ike, &tunnel->local, text[0]);
	remote = ike_remote_id(ike, &tunnel->remote, text[1]);
	if (check->reader != NULL)
		mark = reader_enter(check->reader, "ike");
	pair_claim(check, "ike", local, remote, "remote-id", &holder);
	if (ike_is_eap_client(ike)) /* its password is for this peer */
		pair_claim(check, "eap", ike->user, remote, "user", &holder);
	else if (ike_is_eap(ike))
		user_claim(check, local, remote, ike->user, &holder);
	if (check->reader != NULL)
		reader_leave(check->reader, mark);
}

/* Which entry a client means is known by the gateway's address and name, and by its method. */
static void access_claim(struct check *check, const struct tenant *tenant,
			 const struct remote_access *access)
{
	static const char *const methods[] = { [IKE_PSK] = "ike",
					       [IKE_CERTIFICATE] = "ike",
					       [IKE_EAP_MSCHAPV2] = "eap",
					       [IKE_EAP_TLS] = "eap" };
	const struct claim_holder holder = { .what = "remote access",
					     .name = access->name,
					     .tenant = tenant->name };
	char local[ADDRESS_TEXT_LEN], address[ADDRESS_TEXT_LEN], clients[40];
	const char *method = methods[access->ike->auth];
	const char *id;
	size_t mark;

	if (access->local.family == 0)
		return;
	id = ike_local_id(access->ike, &access->local, local);
	snprintf(clients, sizeof(clients), "clients by %s",
		 access->ike->auth == IKE_PSK || access->ike->auth == IKE_CERTIFICATE
			 ? config_access_auths[access->ike->auth]
			 : "EAP");
	pair_claim(check, address_format(&access->local, address), id, clients, "local-id",
		   &holder);
	for (size_t i = 0; i < access->n_users; i++) {
		mark = check_enter(check, "users", i);
		pair_claim(check, method, id, access->users[i].name, "name", &holder);
		check_leave(check, mark);
	}
}

/*
 * Remote access takes anybody who has a secret or certificate towards its name. That of another tenant's
 * site would do, and a client could end a site's IKE SA by its identity, were the name theirs as well.
 * And a gateway that logs in by EAP-TLS finds its certificate by the user's name (`member` is "user").
 */
static void local_id_claim(struct check *check, const char *id, const char *member,
			   const struct claim_holder *holder)
{
	char key[2 * IKE_ID_MAX + 2 * ADDRESS_TEXT_LEN + 2];
	const struct claim_holder *other;
	size_t size = key_append(key, 0, "local-id");

	size = key_append(key, size, id);
	other = check_take(check, CLAIM_IDENTITY, key, size, holder);
	if (other == NULL || check->reader == NULL || strcmp(other->tenant, holder->tenant) == 0 ||
	    (strcmp(other->what, "tunnel") == 0 && strcmp(holder->what, "tunnel") == 0))
		return;
	reader_error_of(
		check->reader, member,
		"'%.80s' is that of %s '%s' of tenant '%s' too, and who comes by remote access, or "
		"which certificate the gateway logs in with, is known by it: give one of them another",
		id, other->what, other->name, other->tenant);
}

/* Those that log in by EAP-TLS, or all others. */
static void tunnels_local_ids_claim(struct check *check, const struct tenant *tenant, bool tls)
{
	char text[ADDRESS_TEXT_LEN];
	size_t mark, inner = 0;

	for (size_t i = 0; i < tenant->n_tunnels; i++) {
		const struct tunnel *tunnel = tenant->tunnels[i];
		const struct ike *ike = tunnel->ike;
		const struct claim_holder holder = { .what = tls ? "EAP-TLS tunnel" : "tunnel",
						     .name = tunnel->name,
						     .tenant = tenant->name };

		if (ike == NULL || ike->peer[0] != '\0' || tunnel->local.family == 0 ||
		    tls != (ike_is_eap_client(ike) && ike->auth == IKE_EAP_TLS) ||
		    (tls && ike->user == NULL))
			continue;
		mark = check_enter(check, "tunnels", i);
		if (check->reader != NULL)
			inner = reader_enter(check->reader, "ike");
		local_id_claim(check, tls ? ike->user : ike_local_id(ike, &tunnel->local, text),
			       tls ? "user" : "local-id", &holder);
		if (check->reader != NULL)
			reader_leave(check->reader, inner);
		check_leave(check, mark);
	}
}

/* Those that are one tenant's alone first: other tunnels of several tenants may have one. */
static void local_ids_claim(struct check *check, const struct tenant *tenant)
{
	char text[ADDRESS_TEXT_LEN];
	size_t mark;

	for (size_t i = 0; i < tenant->n_remote_access; i++) {
		const struct remote_access *access = tenant->remote_access[i];
		const struct claim_holder holder = { .what = "remote access",
						     .name = access->name,
						     .tenant = tenant->name };

		if (access->local.family == 0)
			continue;
		mark = check_enter(check, "remote-access", i);
		local_id_claim(check, ike_local_id(access->ike, &access->local, text), "local-id",
			       &holder);
		check_leave(check, mark);
	}
	tunnels_local_ids_claim(check, tenant, true);
	tunnels_local_ids_claim(check, tenant, false);
}

void check_ike_claim(struct check *check, const struct tenant *tenant)
{
	size_t mark;

	local_ids_claim(check, tenant);
	for (size_t i = 0; i < tenant->n_tunnels; i++) {
		mark = check_enter(check, "tunnels", i);
		tunnel_claim(check, tenant, tenant->tunnels[i]);
		check_leave(check, mark);
	}
	for (size_t i = 0; i < tenant->n_remote_access; i++) {
		mark = check_enter(check, "remote-access", i);
		access_claim(check, tenant, tenant->remote_access[i]);
		check_leave(check, mark);
	}
}
