/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include <collections/hashtable.h>
#include <credentials/credential_set.h>
#include <threading/rwlock.h>

#include "kaido_creds.h"

/* A secret of two identities, or a pair that is locked out (without one). */
struct pair {
	shared_key_type_t type;
	identification_t *local, *remote;
	shared_key_t *key;
};

struct kaido_creds {
	credential_set_t public;
	rwlock_t *lock;
	hashtable_t *secrets;
	hashtable_t *locked;
};

/* Names of hosts and mail are equal without regard to case, names of X.500 by rules of their own. */
static u_int id_hash(identification_t *id, u_int inc)
{
	chunk_t text = id->get_encoding(id);
	u_int hash = chunk_hash_inc(chunk_from_thing(inc), (u_int)id->get_type(id));
	size_t i;

	if (id->get_type(id) == ID_DER_ASN1_DN)
		return hash;
	for (i = 0; i < text.len; i++)
		hash = (hash ^ (u_int)tolower(text.ptr[i])) * 16777619;
	return hash;
}

static u_int pair_hash(const void *key)
{
	const struct pair *pair = key;

	return id_hash(pair->remote, id_hash(pair->local, pair->type));
}

static bool pair_equals(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	return x->type == y->type && x->local->equals(x->local, y->local) &&
	       x->remote->equals(x->remote, y->remote);
}

static void pair_free(struct pair *pair)
{
	if (!pair)
		return;
	DESTROY_IF(pair->local);
	DESTROY_IF(pair->remote);
	DESTROY_IF(pair->key); /* which wipes it */
	free(pair);
}

static hashtable_t *pairs_create(void)
{
	return hashtable_create(pair_hash, pair_equals, 64);
}

static void pairs_destroy(hashtable_t *pairs)
{
	enumerator_t *enumerator = pairs->create_enumerator(pairs);
	struct pair *pair;

	while (enumerator->enumerate(enumerator, NULL, &pair))
		pair_free(pair);
	enumerator->destroy(enumerator);
	pairs->destroy(pairs);
}

/* --- what kaidod gives ----------------------------------------------------------------------- */

static bool type_of(const char *kind, shared_key_type_t *type)
{
	if (streq(kind, "psk"))
		*type = SHARED_IKE;
	else if (streq(kind, "eap"))
		*type = SHARED_EAP;
	else
		return false;
	return true;
}

/* NULL: not hexadecimal. */
static shared_key_t *key_of(shared_key_type_t type, const char *hex)
{
	size_t length = strlen(hex);

	if (length % 2 || strspn(hex, "0123456789abcdefABCDEF") != length)
		return NULL;
	return shared_key_create(type, chunk_from_hex(chunk_create((u_char *)hex, length), NULL));
}

/* Of an entry of "secrets", or of "locked", which has no kind. */
static struct pair *pair_of(json_t *entry, bool secret)
{
	const char *local, *remote, *kind, *hex;
	struct pair *pair = calloc(1, sizeof(*pair));

	if (!pair || json_unpack(entry, "{s:s, s:s}", "local", &local, "remote", &remote))
		goto fail;
	pair->local = identification_create_from_string((char *)local);
	pair->remote = identification_create_from_string((char *)remote);
	if (!secret)
		return pair;
	if (json_unpack(entry, "{s:s, s:s}", "kind", &kind, "secret", &hex) ||
	    !type_of(kind, &pair->type))
		goto fail;
	pair->key = key_of(pair->type, hex);
	if (!pair->key)
		goto fail;
	return pair;

fail:
	pair_free(pair);
	return NULL;
}

static hashtable_t *pairs_of(json_t *array, bool secrets)
{
	hashtable_t *pairs;
	struct pair *pair;
	json_t *entry;
	size_t i;

	if (!json_is_array(array))
		return NULL;
	pairs = pairs_create();
	json_array_foreach (array, i, entry) {
		pair = pair_of(entry, secrets);
		if (!pair) {
			pairs_destroy(pairs);
			return NULL;
		}
		pair_free(pairs->put(pairs, pair, pair));
	}
	return pairs;
}

bool kaido_creds_replace(struct kaido_creds *creds, json_t *params)
{
	hashtable_t *secrets = pairs_of(json_object_get(params, "secrets"), true);
	hashtable_t *locked = pairs_of(json_object_get(params, "locked"), false);
	hashtable_t *old_secrets, *old_locked;

	if (!secrets || !locked) {
		if (secrets)
			pairs_destroy(secrets);
		if (locked)
			pairs_destroy(locked);
		return false;
	}
	creds->lock->write_lock(creds->lock);
	old_secrets = creds->secrets;
	old_locked = creds->locked;
	creds->secrets = secrets;
	creds->locked = locked;
	creds->lock->unlock(creds->lock);
	pairs_destroy(old_secrets);
	pairs_destroy(old_locked);
	return true;
}

/* --- what charon asks ------------------------------------------------------------------------ */

/* Enumerates one key at most. */
struct answer {
	enumerator_t public;
	shared_key_t *key; /* NULL: it was enumerated */
	shared_key_t *given;
};

static bool answer_venumerate(enumerator_t *public, va_list args)
{
	struct answer *answer = (struct answer *)public;
	id_match_t *match_local, *match_remote;
	shared_key_t **key;

	VA_ARGS_VGET(args, key, match_local, match_remote);
	if (!answer->key)
		return FALSE;
	*key = answer->given = answer->key;
	answer->key = NULL;
	if (match_local)
		*match_local = ID_MATCH_PERFECT;
	if (match_remote)
		*match_remote = ID_MATCH_PERFECT;
	return TRUE;
}

static void answer_destroy(enumerator_t *public)
{
	struct answer *answer = (struct answer *)public;

	DESTROY_IF(answer->key);
	DESTROY_IF(answer->given);
	free(answer);
}

static enumerator_t *answer_create(shared_key_t *key)
{
	struct answer *answer = calloc(1, sizeof(*answer));

	if (!answer) {
		key->destroy(key);
		return NULL;
	}
	answer->public.enumerate = enumerator_enumerate_default;
	answer->public.venumerate = answer_venumerate;
	answer->public.destroy = answer_destroy;
	answer->key = key;
	return &answer->public;
}

identification_t *kaido_user_of(ike_sa_t *ike_sa)
{
	auth_cfg_t *auth = ike_sa->get_auth_cfg(ike_sa, FALSE);
	identification_t *user = auth ? auth->get(auth, AUTH_RULE_EAP_IDENTITY) : NULL;

	return user && user->get_type(user) != ID_ANY ? user : ike_sa->get_other_eap_id(ike_sa);
}

/*
 * EAP-MSCHAPv2 has a name of its own beside the EAP identity. Whoever logs in as one and proves to be another
 * would have its failures counted for the first one.
 */
static bool is_other_user(identification_t *remote)
{
	ike_sa_t *ike_sa = charon->bus->get_sa(charon->bus);
	auth_cfg_t *auth = ike_sa ? ike_sa->get_auth_cfg(ike_sa, FALSE) : NULL;
	identification_t *user = auth ? auth->get(auth, AUTH_RULE_EAP_IDENTITY) : NULL;

	return user && user->get_type(user) != ID_ANY && !user->equals(user, remote);
}

/*
 * The gateway logs in itself, and the peer has not proven who it is: by a certificate, which charon has looked
 * at. charon also answers one that offers to do so by EAP alone (RFC 5998), and would give what a password can
 * be guessed from to anybody.
 */
static bool is_unproven(void)
{
	ike_sa_t *ike_sa = charon->bus->get_sa(charon->bus);
	enumerator_t *enumerator;
	auth_cfg_t *auth;
	bool proven = false;

	if (!ike_sa || !ike_sa->has_condition(ike_sa, COND_ORIGINAL_INITIATOR))
		return false;
	enumerator = ike_sa->create_auth_cfg_enumerator(ike_sa, FALSE);
	while (enumerator->enumerate(enumerator, &auth))
		proven |= auth->get(auth, AUTH_RULE_SUBJECT_CERT) != NULL;
	enumerator->destroy(enumerator);
	return !proven;
}

static struct pair *pair_find(hashtable_t *pairs, shared_key_type_t type, identification_t *local,
			      identification_t *remote)
{
	struct pair key = { .type = type, .local = local, .remote = remote };

	return pairs->get(pairs, &key);
}

static shared_key_t *creds_find(struct kaido_creds *creds, shared_key_type_t type,
				identification_t *local, identification_t *remote)
{
	shared_key_t *key = NULL;
	struct pair *pair = NULL;

	creds->lock->read_lock(creds->lock);
	if (!pair_find(creds->locked, 0, local, remote))
		pair = pair_find(creds->secrets, type, local, remote);
	if (pair)
		key = pair->key->get_ref(pair->key);
	creds->lock->unlock(creds->lock);
	return key;
}

/*
 * Who the gateway is while a pre-shared key is looked for: a peer need not say whom it wants to talk to
 * (IDr is optional, RFC 7296 section 1.2). Then it is who the connection says.
 */
static identification_t *local_of(identification_t *local)
{
	ike_sa_t *ike_sa = charon->bus->get_sa(charon->bus);
	enumerator_t *enumerator;
	peer_cfg_t *peer = NULL;
	auth_cfg_t *auth;
	identification_t *id;

	if (local->get_type(local) == ID_ANY && ike_sa)
		peer = ike_sa->get_peer_cfg(ike_sa);
	if (!peer)
		return local;
	enumerator = peer->create_auth_cfg_enumerator(peer, TRUE);
	id = enumerator->enumerate(enumerator, &auth) ? auth->get(auth, AUTH_RULE_IDENTITY) : NULL;
	enumerator->destroy(enumerator);
	return id ? id : local;
}

static enumerator_t *creds_shared(credential_set_t *public, shared_key_type_t type,
				  identification_t *local, identification_t *remote)
{
	struct kaido_creds *creds = (struct kaido_creds *)public;
	shared_key_t *key;

	if (!local || !remote || (type != SHARED_IKE && type != SHARED_EAP))
		return NULL;
	if (type == SHARED_EAP && is_other_user(remote)) {
		DBG1(DBG_IKE, "kaido: the user '%Y' is not the one of the EAP identity; refused",
		     remote);
		return NULL;
	}
	if (type == SHARED_EAP && is_unproven()) {
		DBG1(DBG_IKE,
		     "kaido: '%Y' has not proven by certificate who it is; no password for it",
		     remote);
		return NULL;
	}
	key = creds_find(creds, type, local_of(local), remote);
	return key ? answer_create(key) : NULL;
}

bool kaido_creds_locked(struct kaido_creds *creds, ike_sa_t *ike_sa)
{
	identification_t *local = ike_sa->get_my_id(ike_sa);
	identification_t *remote = ike_sa->get_other_id(ike_sa);
	identification_t *user = kaido_user_of(ike_sa);
	bool locked;

	creds->lock->read_lock(creds->lock);
	locked = (remote && pair_find(creds->locked, 0, local, remote)) ||
		 (user && pair_find(creds->locked, 0, local, user));
	creds->lock->unlock(creds->lock);
	return locked;
}

/* Private keys and certificates are loaded over vici; there are none here. */
static enumerator_t *creds_private(credential_set_t *public, key_type_t type, identification_t *id)
{
	return NULL;
}

static enumerator_t *creds_cert(credential_set_t *public, certificate_type_t cert, key_type_t key,
				identification_t *id, bool trusted)
{
	return NULL;
}

static enumerator_t *creds_cdp(credential_set_t *public, certificate_type_t type,
			       identification_t *id)
{
	return NULL;
}

static void creds_cache(credential_set_t *public, certificate_t *cert)
{
}

struct kaido_creds *kaido_creds_create(void)
{
	struct kaido_creds *creds = calloc(1, sizeof(*creds));

	static_assert(offsetof(struct kaido_creds, public) == 0, "charon has the set's address");
	static_assert(offsetof(struct answer, public) == 0, "charon has the enumerator's address");
	if (!creds)
		return NULL;
	creds->public = (credential_set_t){
		.create_private_enumerator = creds_private,
		.create_cert_enumerator = creds_cert,
		.create_shared_enumerator = creds_shared,
		.create_cdp_enumerator = creds_cdp,
		.cache_cert = creds_cache,
	};
	creds->lock = rwlock_create(RWLOCK_TYPE_DEFAULT);
	creds->secrets = pairs_create();
	creds->locked = pairs_create();
	return creds;
}

void kaido_creds_destroy(struct kaido_creds *creds)
{
	if (!creds)
		return;
	pairs_destroy(creds->secrets);
	pairs_destroy(creds->locked);
	creds->lock->destroy(creds->lock);
	free(creds);
}

credential_set_t *kaido_creds_set(struct kaido_creds *creds)
{
	return &creds->public;
}
