/* SPDX-License-Identifier: BSD-3-Clause */
/* ike.sa.set: an SA that charon has negotiated, checked and put into its session. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "address.h"
#include "claims.h"
#include "daemon.h"
#include "session_batch.h"
#include "store.h"
#include "vault.h"

/* What is being set, on its way into the set. */
struct setting {
	struct sessions *sessions;
	struct session_op *op;
	const struct session_owner *owner;
	struct session_sa *sa;
	uint64_t ike; /* unique id of its IKE SA */
	uint8_t secret[MODEL_KEY_MAX];
	struct abi_address *networks; /* a client's */
	size_t n_networks;
};

/* -- the key -- */

static bool key_read(struct setting *setting, const json_t *params)
{
	const char *text = json_string_value(json_object_get(params, "key"));
	const struct vault *vault = setting->sessions->daemon->vault;
	struct sa *sa = &setting->sa->sa;
	size_t size = 0;

	if (text == NULL ||
	    sodium_hex2bin(setting->secret, sizeof(setting->secret), text, strlen(text), NULL,
			   &size, NULL) != 0 ||
	    (size != 20 && size != 28 && size != 36)) {
		session_op_fail(setting->op, RPC_INVALID_PARAMS,
				"key is an AES-GCM key of 16, 24 or 32 bytes and its salt of 4, in "
				"hexadecimal");
		return false;
	}
	sa->key_len = (uint8_t)(size - 4);
	vault_digest(vault, VAULT_KEY_DIGEST, setting->secret, size, sa->digest);
	return true;
}

static void key_seal(const struct setting *setting, const struct session *session)
{
	struct sa *sa = &setting->sa->sa;
	uint8_t identity[MODEL_IDENTITY_MAX];
	size_t size = sa_identity(session->tenant->name, session->name, sa, identity);

	vault_seal(setting->sessions->daemon->vault, identity, size, setting->secret,
		   (size_t)sa->key_len + 4, sa->sealed);
}

/* One key twice would be one nonce twice; an inbound SPI names one SA. */
static bool key_is_free(const struct setting *setting)
{
	const struct sessions *sessions = setting->sessions;
	const struct sa *sa = &setting->sa->sa;

	if (sessions_sa_by_digest(sessions, sa->digest) != NULL) {
		session_op_fail(setting->op, RPC_CONFLICT,
				"this key and salt are in use by another SA");
		return false;
	}
	if (store_key_is_spent(sessions->daemon->store, sa->digest) != 0) {
		session_op_fail(setting->op, RPC_CONFLICT,
				"this key was deleted already: negotiate a new one");
		return false;
	}
	if (sa->direction == ABI_SA_IN &&
	    (sessions_sa_by_spi(sessions, sa->spi) != NULL ||
	     claims_find(sessions->spis, CLAIM_SPI, &sa->spi, sizeof(sa->spi)) != NULL)) {
		session_op_fail(setting->op, RPC_CONFLICT,
				"inbound SPI 0x%x belongs to another SA: allocate another",
				sa->spi);
		return false;
	}
	return true;
}

/* A peer may negotiate as many as it likes; the table is everybody's. */
static bool peer_has_room(const struct setting *setting)
{
	const struct session_ike *ike =
		sessions_ike(setting->sessions, setting->sa->instance, setting->ike);
	const struct session_sa *sa;
	unsigned int n = 0;

	if (ike == NULL)
		return true;
	LIST_FOREACH (sa, &ike->sas, ike_link)
		n += sa->if_id == setting->sa->if_id;
	if (n < SESSION_SAS_MOST)
		return true;
	session_op_fail(setting->op, RPC_CONFLICT,
			"this peer has %u SAs of one connection already: delete some", n);
	return false;
}

/* -- a client's networks -- */

static bool pool_has(const struct remote_access *access, const struct abi_address *network)
{
	for (size_t i = 0; i < access->n_pools; i++) {
		if (access->pools[i].family == network->family &&
		    access->pools[i].prefix_len <= network->prefix_len &&
		    address_in(network, &access->pools[i]))
			return true;
	}
	return false;
}

/* Does the tenant's configuration have it? NULL: no. */
static const char *configured_holder(const struct tenant *tenant, const struct abi_address *network)
{
	for (size_t i = 0; i < tenant->n_tunnels; i++) {
		for (size_t k = 0; k < tenant->tunnels[i]->n_networks; k++) {
			if (prefix_compare(&tenant->tunnels[i]->networks[k], network) == 0)
				return tenant->tunnels[i]->name;
		}
	}
	for (size_t i = 0; i < tenant->n_routes; i++) {
		if (prefix_compare(&tenant->routes[i].prefix, network) == 0)
			return "routes";
	}
	for (size_t i = 0; i < tenant->n_attachments; i++) {
		const struct attachment *link = tenant->attachments[i];

		for (uint32_t k = 0; k < link->n_addresses; k++) {
			if (address_equal(&link->address[k], network))
				return link->name;
		}
	}
	return NULL;
}

/*
 * May the newer client have what the older one holds? A pool gives an address to one identity, so within
 * one remote access this is a client that came again, unless both are known and differ.
 */
static bool holder_yields(const struct setting *setting, const struct session *holder)
{
	const struct session_ike *ike =
		sessions_ike(setting->sessions, setting->sa->instance, setting->ike);
	const char *older, *newer;

	if (session_is_orphan(setting->sessions, holder))
		return true;
	if (holder->if_id != setting->sa->if_id)
		return false;
	older = session_ike_who(session_sender(holder)->ike);
	newer = ike == NULL ? NULL : session_ike_who(ike);
	return older == NULL || newer == NULL || strcmp(older, newer) == 0;
}

static bool network_is_free(const struct setting *setting, const struct session *own,
			    const struct abi_address *network)
{
	const struct sessions *sessions = setting->sessions;
	const struct session_tenant *tenant = NULL;
	const struct session *holder;
	const char *configured = configured_holder(setting->owner->tenant, network);
	char text[ADDRESS_TEXT_LEN];

	prefix_format(network, text);
	if (!pool_has(setting->owner->access, network)) {
		session_op_fail(setting->op, RPC_CONFLICT,
				"%s is not of the pool of remote access '%s' of tenant '%s'", text,
				setting->owner->access->name, setting->owner->tenant->name);
		return false;
	}
	if (configured != NULL) {
		session_op_fail(setting->op, RPC_CONFLICT,
				"%s belongs to '%s' of tenant '%s': take it out of the pool", text,
				configured, setting->owner->tenant->name);
		return false;
	}
	if (setting->owner->tenant->id < sessions->n_by_tenant)
		tenant = sessions->by_tenant[setting->owner->tenant->id];
	holder = tenant == NULL ? NULL : sessions_by_prefix(tenant, network);
	if (holder == NULL || holder == own || holder_yields(setting, holder))
		return true;
	session_op_fail(setting->op, RPC_CONFLICT,
			"%s belongs to client '%s' of tenant '%s' already: pools of one tenant "
			"must not overlap",
			text, holder->name, setting->owner->tenant->name);
	return false;
}

static bool networks_read(struct setting *setting, const struct session *own)
{
	const char *wrong =
		session_networks_make(setting->sa, &setting->networks, &setting->n_networks);

	if (wrong != NULL) {
		session_op_fail(setting->op, RPC_INVALID_PARAMS, "%s", wrong);
		return false;
	}
	for (size_t i = 0; i < setting->n_networks; i++) {
		if (!network_is_free(setting, own, &setting->networks[i]))
			return false;
	}
	return true;
}

/* Orphans go at once, since their client is back. */
static int holders_end(const struct setting *setting, const struct session *own)
{
	struct sessions *sessions = setting->sessions;
	struct session *holder;
	int ret = 0;

	for (size_t i = 0; i < setting->n_networks && ret == 0; i++) {
		holder = sessions_by_prefix(own->tenant, &setting->networks[i]);
		if (holder != NULL && holder != own && session_is_orphan(sessions, holder))
			ret = session_drop(sessions, holder);
	}
	return ret;
}

/* -- the session -- */

static struct session *session_find(const struct setting *setting)
{
	const struct session_sa *sa = setting->sa;

	if (setting->owner->tunnel != NULL)
		return sessions_find(setting->sessions, 0, sa->if_id, 0);
	return sessions_find(setting->sessions, sa->instance, sa->if_id, sa->reqid);
}

static uint32_t tunnel_id_take(const struct setting *setting)
{
	struct daemon *daemon = setting->sessions->daemon;
	char name[ABI_NAME_LEN];
	uint32_t id;

	do {
		id = ids_take(&daemon->changes.ids, ID_TUNNEL);
		session_name(name, setting->owner->access->name, id);
	} while (id != 0 && tenant_tunnel(setting->owner->tenant, name) != NULL);
	if (id != 0) /* what another one carried under this id before */
		totals_forget(&daemon->totals, id);
	return id;
}

static struct session *session_make(const struct setting *setting)
{
	const struct session_sa *sa = setting->sa;
	struct session *session;
	uint32_t id;

	if (setting->owner->tunnel != NULL)
		return session_create(setting->sessions, setting->owner, 0, sa->if_id, 0,
				      sa->if_id);
	id = tunnel_id_take(setting);
	session = id == 0 ? NULL
			  : session_create(setting->sessions, setting->owner, sa->instance,
					   sa->if_id, sa->reqid, id);
	if (session == NULL && id != 0)
		ids_free(&setting->sessions->daemon->changes.ids, ID_TUNNEL, id);
	return session;
}

/* With SAs in both directions a new charon replaces what the one before left behind. */
static void orphans_replace(const struct sessions *sessions, const struct session *session)
{
	uint64_t soon = session_clock() + SESSION_REPLACED_S;
	bool in = false, out = false;
	struct session_sa *sa;

	TAILQ_FOREACH (sa, &session->sas, link) {
		in |= !sa_is_orphan(sessions, sa) && sa->sa.direction == ABI_SA_IN;
		out |= !sa_is_orphan(sessions, sa) && sa->sa.direction == ABI_SA_OUT;
	}
	TAILQ_FOREACH (sa, &session->sas, link) {
		if (in && out && sa_is_orphan(sessions, sa) && (sa->goes == 0 || sa->goes > soon))
			sa->goes = soon;
	}
}

/* All was checked. Takes the SA. */
static int setting_carry_out(struct setting *setting, struct session *session)
{
	struct sessions *sessions = setting->sessions;
	struct ids *ids = &sessions->daemon->changes.ids;
	struct session_sa *sa = setting->sa;
	int ret = 0;

	if (session == NULL)
		session = session_make(setting);
	sa->sa.id = session == NULL ? 0 : ids_take(ids, ID_SA);
	if (sa->sa.id == 0) {
		session_op_fail(setting->op, RPC_CONFLICT,
				"the gateway is full: remove what is not needed, or start the "
				"dataplane with larger tables");
		if (session != NULL && TAILQ_EMPTY(&session->sas))
			return session_drop(sessions, session);
		return 0;
	}
	if (session_is_client(session))
		ret = holders_end(setting, session);
	if (ret == 0 && session_is_client(session)) {
		ret = session_networks_set(session, setting->networks, setting->n_networks);
		setting->networks = NULL;
	}
	key_seal(setting, session);
	sa->serial = ++sessions->serial;
	if (ret == 0)
		ret = session_sa_add(sessions, session, sa, setting->ike);
	if (ret < 0)
		return ret;
	setting->sa = NULL;
	orphans_replace(sessions, session);
	return session_sa_store(sessions, sa);
}

/* Once more, as after a reconnect of the plugin: 1, and there is nothing to do. */
static bool is_repeated(const struct setting *setting)
{
	const struct session_sa *there =
		sessions_sa(setting->sessions, setting->sa->instance, setting->sa->handle);

	if (there == NULL)
		return false;
	if (memcmp(there->sa.digest, setting->sa->sa.digest, VAULT_DIGEST_LEN) != 0 ||
	    there->sa.spi != setting->sa->sa.spi || there->if_id != setting->sa->if_id ||
	    there->sa.direction != setting->sa->sa.direction)
		session_op_fail(setting->op, RPC_CONFLICT,
				"sa %llu names another SA: take another number",
				(unsigned long long)there->handle);
	return true;
}

/*
 * An if_id may be another tunnel's since charon was told of it. Then the connection that it is used in is
 * gone, or another tenant's.
 */
static bool connection_is_ours(const struct setting *setting, const json_t *params)
{
	const json_t *name = json_object_get(json_object_get(params, "ike"), "name");
	const struct model *desired = setting->sessions->daemon->desired;
	struct ike_owner owner;

	if (name == NULL ||
	    (json_is_string(name) && model_ike_named(desired, json_string_value(name), &owner) &&
	     owner.tenant == setting->owner->tenant))
		return true;
	session_op_fail(setting->op, RPC_CONFLICT,
			"if_id %u belongs to tenant '%s', which has no connection of that name: "
			"end the IKE SA, its connection has changed",
			setting->sa->if_id, setting->owner->tenant->name);
	return false;
}

static int setting_run(struct setting *setting, const json_t *params)
{
	struct session_sa *sa = setting->sa;
	const char *wrong = session_sa_parse(params, false, sa);
	struct session *session;

	setting->ike = session_ike_id_parse(params);
	if (wrong == NULL)
		wrong = session_selectors_check(sa);
	if (wrong != NULL) {
		session_op_fail(setting->op, RPC_INVALID_PARAMS, "%s", wrong);
		return 0;
	}
	if (!key_read(setting, params) || is_repeated(setting))
		return 0;
	setting->owner = sessions_owner(setting->sessions, sa->if_id);
	if (setting->owner == NULL) {
		session_op_fail(setting->op, RPC_NOT_FOUND,
				"if_id %u names no tunnel or remote access with ike: only "
				"connections that kaidod writes can be used",
				sa->if_id);
		return 0;
	}
	session = session_find(setting);
	if (!connection_is_ours(setting, params) || !peer_has_room(setting) ||
	    !key_is_free(setting) ||
	    (setting->owner->access != NULL && !networks_read(setting, session)))
		return 0;
	return setting_carry_out(setting, session);
}

int session_set_apply(struct sessions *sessions, struct session_op *op)
{
	struct setting setting = { .sessions = sessions, .op = op };
	int ret = -ENOMEM;

	setting.sa = calloc(1, sizeof(*setting.sa));
	if (setting.sa != NULL) {
		setting.sa->instance = op->instance;
		ret = setting_run(&setting, rpc_request_params(op->request));
	}
	session_sa_free(setting.sa);
	free(setting.networks);
	sodium_memzero(setting.secret, sizeof(setting.secret));
	return ret;
}
