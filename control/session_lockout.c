/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Logins that failed, counted by user of a tenant: after so many he is locked out, wherever the tenant knows
 * him. Counts are in the store, so that a restart forgives nothing. Only names of configured users are
 * counted: what anybody makes up takes no memory.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "daemon.h"
#include "ike_secrets.h"
#include "session_batch.h"
#include "store.h"

#define NAME_MAX_LEN (ABI_NAME_LEN + IKE_ID_MAX)

/* One user's failures. */
struct session_lockout {
	TAILQ_ENTRY(session_lockout) link;
	char name[NAME_MAX_LEN]; /* <tenant>/<user>, in small letters */
	uint32_t failures;
	int64_t last;  /* seconds since the epoch */
	int64_t until; /* 0: not locked out */
};

/* Whose failures are counted: `who` said so, or the site that logs in; NULL: nobody who is configured. */
static const char *user_name(const struct ike_owner *owner, const char *who)
{
	const struct user *user;

	if (owner->tunnel != NULL) {
		const struct ike *ike = owner->tunnel->ike;

		return ike_is_eap(ike) && !ike_is_eap_client(ike) ? ike->user : NULL;
	}
	user = owner->access == NULL || who == NULL ? NULL : remote_access_user(owner->access, who);
	return user == NULL ? NULL : user->name;
}

static struct session_lockout *lockout_find(const struct sessions *sessions, const char *name)
{
	struct session_lockout *lockout;

	TAILQ_FOREACH (lockout, &sessions->lockouts, link) {
		if (strcmp(lockout->name, name) == 0)
			return lockout;
	}
	return NULL;
}

/* One of a tenant, wherever it logs in; and in whatever case, as identities are matched. */
static void lockout_name(char name[NAME_MAX_LEN], const struct tenant *tenant, const char *user)
{
	snprintf(name, NAME_MAX_LEN, "%s/%s", tenant->name, user);
	for (char *at = name; *at != '\0'; at++)
		*at = (char)tolower((unsigned char)*at);
}

static struct session_lockout *lockout_get(struct sessions *sessions, const char *name)
{
	struct session_lockout *lockout = lockout_find(sessions, name);

	if (lockout != NULL)
		return lockout;
	lockout = calloc(1, sizeof(*lockout));
	if (lockout == NULL)
		return NULL;
	snprintf(lockout->name, sizeof(lockout->name), "%s", name);
	TAILQ_INSERT_TAIL(&sessions->lockouts, lockout, link);
	return lockout;
}

static int lockout_store(struct sessions *sessions, const struct session_lockout *lockout)
{
	json_t *json =
		json_pack("{s:I, s:I, s:I}", "failures", (json_int_t)lockout->failures, "last",
			  (json_int_t)lockout->last, "until", (json_int_t)lockout->until);
	char *document = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
	int ret = document == NULL
			  ? -ENOMEM
			  : store_lockout_set(sessions->daemon->store, lockout->name, document);

	free(document);
	json_decref(json);
	return ret;
}

static int lockout_remove(struct sessions *sessions, struct session_lockout *lockout)
{
	int ret = store_lockout_delete(sessions->daemon->store, lockout->name);

	TAILQ_REMOVE(&sessions->lockouts, lockout, link);
	free(lockout);
	return ret;
}

static void lockout_load(void *context, const char *name, const char *document)
{
	json_t *json = document == NULL ? NULL : json_loads(document, 0, NULL);
	struct session_lockout *lockout =
		json == NULL || name == NULL ? NULL : lockout_get(context, name);

	if (lockout != NULL) {
		lockout->failures = (uint32_t)json_integer_value(json_object_get(json, "failures"));
		lockout->last = json_integer_value(json_object_get(json, "last"));
		lockout->until = json_integer_value(json_object_get(json, "until"));
	}
	json_decref(json);
}

int session_lockouts_load(struct sessions *sessions)
{
	return store_lockout_list(sessions->daemon->store, lockout_load, sessions);
}

/* Where the last one of its failures was. */
static const char *owner_name(const struct ike_owner *owner)
{
	return owner->access != NULL   ? owner->access->name
	       : owner->tunnel != NULL ? owner->tunnel->name
				       : "";
}

static void locked_tell(struct sessions *sessions, const struct ike_owner *owner,
			const struct session_lockout *lockout, const char *user)
{
	const struct tenant *tenant = owner->tenant;
	json_t *event = session_event_make(sessions, "ike-locked", tenant->name, owner_name(owner));

	json_object_set_new(event, "user", json_string(user));
	json_object_set_new(event, "failures", json_integer(lockout->failures));
	json_object_set_new(event, "seconds", json_integer(tenant->lockout.seconds));
	json_object_set_new(
		event, "text",
		json_sprintf("user '%s' of tenant '%s' is locked out for %u s after %u failed "
			     "logins, the last one at '%s'",
			     user, tenant->name, tenant->lockout.seconds, lockout->failures,
			     owner_name(owner)));
	session_event(sessions, event);
	sessions->secrets_owed = true;
}

int session_lockout_count(struct sessions *sessions, const struct ike_owner *owner, const char *who)
{
	const char *user = user_name(owner, who);
	const struct lockout *limit = &owner->tenant->lockout;
	char name[NAME_MAX_LEN];
	struct session_lockout *lockout;
	int64_t now = time(NULL);

	if (user == NULL || limit->failures == 0)
		return 0;
	lockout_name(name, owner->tenant, user);
	lockout = lockout_get(sessions, name);
	if (lockout == NULL)
		return -ENOMEM;
	if (lockout->until > now)
		return 0;
	if (now - lockout->last > limit->seconds)
		lockout->failures = 0;
	lockout->last = now;
	lockout->until = 0;
	lockout->failures++;
	if (lockout->failures >= limit->failures) {
		lockout->until = now + limit->seconds;
		locked_tell(sessions, owner, lockout, user);
	}
	return lockout_store(sessions, lockout);
}

int session_lockout_forgive(struct sessions *sessions, const struct session_ike *ike)
{
	const struct tenant *tenant = model_tenant(sessions->daemon->desired, ike->tenant);
	struct ike_owner owner = { .tenant = tenant };
	struct session_lockout *lockout = NULL;
	char name[NAME_MAX_LEN];
	const char *user;

	if (tenant == NULL || TAILQ_EMPTY(&sessions->lockouts))
		return 0;
	owner.access = tenant_remote_access(tenant, ike->owner);
	if (owner.access == NULL)
		owner.tunnel = tenant_tunnel(tenant, ike->owner);
	if (owner.tunnel != NULL && owner.tunnel->ike == NULL)
		return 0;
	user = user_name(&owner, session_ike_who(ike));
	if (user != NULL) {
		lockout_name(name, tenant, user);
		lockout = lockout_find(sessions, name);
	}
	return lockout == NULL ? 0 : lockout_remove(sessions, lockout);
}

/* The tenant that the name begins with, *user is what follows; NULL: it is gone. */
static const struct tenant *lockout_tenant(const struct sessions *sessions,
					   const struct session_lockout *lockout, const char **user)
{
	const char *slash = strchr(lockout->name, '/');
	char tenant[ABI_NAME_LEN];

	if (slash == NULL || slash - lockout->name >= ABI_NAME_LEN)
		return NULL;
	snprintf(tenant, sizeof(tenant), "%.*s", (int)(slash - lockout->name), lockout->name);
	*user = slash + 1;
	return model_tenant(sessions->daemon->desired, tenant);
}

/* By which names the user is known where, as [{local, remote}], into `list`. Returns how many there are. */
static size_t pairs_add(json_t *list, const struct tenant *tenant, const char *name)
{
	char text[ADDRESS_TEXT_LEN];
	size_t n = 0;

	for (size_t i = 0; i < tenant->n_remote_access; i++) {
		const struct remote_access *access = tenant->remote_access[i];
		const struct user *user = remote_access_user(access, name);

		if (user == NULL)
			continue;
		n++;
		json_array_append_new(list,
				      json_pack("{s:s, s:s}", "local",
						ike_local_id(access->ike, &access->local, text),
						"remote", user->name));
	}
	for (size_t i = 0; i < tenant->n_tunnels; i++) {
		const struct tunnel *tunnel = tenant->tunnels[i];
		const struct ike_owner owner = { .tenant = tenant, .tunnel = tunnel };
		const char *user = tunnel->ike == NULL ? NULL : user_name(&owner, NULL);

		if (user == NULL || strcasecmp(user, name) != 0)
			continue;
		n++;
		json_array_append_new(list,
				      json_pack("{s:s, s:s}", "local",
						ike_local_id(tunnel->ike, &tunnel->local, text),
						"remote", user));
	}
	return n;
}

json_t *sessions_locked_render(const struct sessions *sessions)
{
	const struct session_lockout *lockout;
	json_t *list = json_array();
	int64_t now = time(NULL);

	TAILQ_FOREACH (lockout, &sessions->lockouts, link) {
		const char *user;
		const struct tenant *tenant = lockout_tenant(sessions, lockout, &user);

		if (lockout->until > now && tenant != NULL && tenant->lockout.failures > 0)
			pairs_add(list, tenant, user);
	}
	return list;
}

static bool is_known(const struct tenant *tenant, const char *user)
{
	json_t *pairs = json_array();
	size_t n = pairs_add(pairs, tenant, user);

	json_decref(pairs);
	return n > 0;
}

/* Is it still to be remembered? Not of who may try again, whose failures are old, or who is gone. */
static bool lockout_holds(const struct sessions *sessions, const struct session_lockout *lockout)
{
	const char *user;
	const struct tenant *tenant = lockout_tenant(sessions, lockout, &user);
	int64_t now = time(NULL);

	if (tenant == NULL || tenant->lockout.failures == 0 ||
	    (lockout->until <= now && now - lockout->last > tenant->lockout.seconds))
		return false;
	return !sessions->lockouts_old || is_known(tenant, user);
}

void session_lockouts_sweep(struct sessions *sessions)
{
	struct store *store = sessions->daemon->store;
	struct session_lockout *lockout, *next;
	int ret = 0;

	for (lockout = TAILQ_FIRST(&sessions->lockouts); ret == 0 && lockout != NULL;
	     lockout = next) {
		next = TAILQ_NEXT(lockout, link);
		if (lockout_holds(sessions, lockout))
			continue;
		sessions->secrets_owed |= lockout->until != 0;
		ret = store_begin(store);
		if (ret == 0)
			ret = lockout_remove(sessions, lockout);
		if (ret == 0)
			ret = store_commit(store);
		if (ret < 0)
			store_abort(store);
	}
	sessions->lockouts_old &= ret < 0;
}

void session_lockouts_clear(struct sessions *sessions)
{
	struct session_lockout *lockout;

	while ((lockout = TAILQ_FIRST(&sessions->lockouts)) != NULL) {
		TAILQ_REMOVE(&sessions->lockouts, lockout, link);
		free(lockout);
	}
}
