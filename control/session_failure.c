/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Logins that failed: as events, of which a flood makes few, and counted by user, who is locked out after so
 * many. Counts are in the store, so that a restart forgives nothing. Only names of configured users are
 * counted: what anybody makes up takes no memory.
 */
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "daemon.h"
#include "ike_config.h"
#include "ike_secrets.h"
#include "session_batch.h"
#include "store.h"

#define FLOOD_S      60   /* equal failures of one source make one event in that time */
#define FLOOD_MOST   1024 /* sources that are told apart */
#define NAME_MAX_LEN (2 * ABI_NAME_LEN + IKE_ID_MAX)

/* One user's failures. */
struct session_lockout {
	TAILQ_ENTRY(session_lockout) link;
	char name[NAME_MAX_LEN]; /* <tenant>/<remote access>/<user> */
	uint32_t failures;
	int64_t last;  /* seconds since the epoch */
	int64_t until; /* 0: not locked out */
};

/* Equal failures of one source. */
struct session_flood {
	TAILQ_ENTRY(session_flood) link;
	char key[160]; /* reason, source and tenant */
	json_t *event; /* the last one, to be told with how many there were; NULL: no more came */
	uint64_t count;
	uint64_t since; /* monotonic seconds */
};

/* -- locked out -- */

/* Identities are matched without regard to case; so is who fails. */
static const struct user *user_find(const struct remote_access *access, const char *name)
{
	for (size_t i = 0; name != NULL && i < access->n_users; i++) {
		if (strcasecmp(access->users[i].name, name) == 0)
			return &access->users[i];
	}
	return NULL;
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

static void lockout_name(char name[NAME_MAX_LEN], const struct ike_owner *owner,
			 const struct user *user)
{
	snprintf(name, NAME_MAX_LEN, "%s/%s/%s", owner->tenant->name, owner->access->name,
		 user->name);
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

int session_failures_load(struct sessions *sessions)
{
	return store_lockout_list(sessions->daemon->store, lockout_load, sessions);
}

static void locked_tell(struct sessions *sessions, const struct ike_owner *owner,
			const struct session_lockout *lockout, const struct user *user)
{
	json_t *event = session_event_make(sessions, "ike-locked", owner->tenant->name,
					   owner->access->name);

	json_object_set_new(event, "user", json_string(user->name));
	json_object_set_new(event, "failures", json_integer(lockout->failures));
	json_object_set_new(event, "seconds", json_integer(owner->access->lockout_seconds));
	json_object_set_new(
		event, "text",
		json_sprintf("user '%s' of '%s' of tenant '%s' is locked out for %u s after %u "
			     "failed logins",
			     user->name, owner->access->name, owner->tenant->name,
			     owner->access->lockout_seconds, lockout->failures));
	session_event(sessions, event);
	sessions->secrets_owed = true;
}

static int failure_count(struct sessions *sessions, const struct ike_owner *owner,
			 const struct user *user)
{
	char name[NAME_MAX_LEN];
	struct session_lockout *lockout;
	int64_t now = time(NULL);

	if (owner->access->lockout_failures == 0)
		return 0;
	lockout_name(name, owner, user);
	lockout = lockout_get(sessions, name);
	if (lockout == NULL)
		return -ENOMEM;
	if (lockout->until > now)
		return 0;
	if (now - lockout->last > owner->access->lockout_seconds)
		lockout->failures = 0;
	lockout->last = now;
	lockout->until = 0;
	lockout->failures++;
	if (lockout->failures >= owner->access->lockout_failures) {
		lockout->until = now + owner->access->lockout_seconds;
		locked_tell(sessions, owner, lockout, user);
	}
	return lockout_store(sessions, lockout);
}

int session_failures_forgive(struct sessions *sessions, const struct session_ike *ike)
{
	const struct tenant *tenant = model_tenant(sessions->daemon->desired, ike->tenant);
	struct ike_owner owner = { .tenant = tenant };
	struct session_lockout *lockout = NULL;
	const struct user *user = NULL;
	char name[NAME_MAX_LEN];

	if (tenant != NULL)
		owner.access = tenant_remote_access(tenant, ike->owner);
	if (owner.access != NULL && !TAILQ_EMPTY(&sessions->lockouts))
		user = user_find(owner.access, session_ike_who(ike));
	if (user != NULL) {
		lockout_name(name, &owner, user);
		lockout = lockout_find(sessions, name);
	}
	return lockout == NULL ? 0 : lockout_remove(sessions, lockout);
}

/* `name` in its three parts; NULL: the user is not configured any more. */
static const struct user *lockout_user(const struct sessions *sessions,
				       const struct session_lockout *lockout,
				       struct ike_owner *owner)
{
	const char *first = strchr(lockout->name, '/');
	const char *second = first == NULL ? NULL : strchr(first + 1, '/');
	char tenant[ABI_NAME_LEN], access[ABI_NAME_LEN];

	if (second == NULL || first - lockout->name >= ABI_NAME_LEN ||
	    second - first > ABI_NAME_LEN)
		return NULL;
	snprintf(tenant, sizeof(tenant), "%.*s", (int)(first - lockout->name), lockout->name);
	snprintf(access, sizeof(access), "%.*s", (int)(second - first - 1), first + 1);
	owner->tenant = model_tenant(sessions->daemon->desired, tenant);
	owner->access = owner->tenant == NULL ? NULL : tenant_remote_access(owner->tenant, access);
	return owner->access == NULL ? NULL : remote_access_user(owner->access, second + 1);
}

json_t *sessions_locked_render(const struct sessions *sessions)
{
	const struct session_lockout *lockout;
	json_t *list = json_array();
	int64_t now = time(NULL);

	TAILQ_FOREACH (lockout, &sessions->lockouts, link) {
		struct ike_owner owner;
		char text[ADDRESS_TEXT_LEN];
		const struct user *user = lockout_user(sessions, lockout, &owner);

		if (lockout->until <= now || user == NULL)
			continue;
		json_array_append_new(
			list, json_pack("{s:s, s:s}", "local",
					ike_local_id(owner.access->ike, &owner.access->local, text),
					"remote", user->name));
	}
	return list;
}

/* -- events -- */

static json_t *failure_event(struct sessions *sessions, const json_t *params,
			     const struct ike_owner *owner)
{
	static const char *const members[] = { "reason",   "remote",    "remote_port",
					       "local_id", "remote_id", "user" };
	const struct tunnel *tunnel = owner->tunnel;
	json_t *event = session_event_make(sessions, "ike-failed",
					   owner->tenant == NULL ? NULL : owner->tenant->name,
					   owner->access != NULL ? owner->access->name
					   : tunnel != NULL      ? tunnel->name
								 : "");
	const char *text = json_string_value(json_object_get(params, "text"));
	const char *remote = json_string_value(json_object_get(params, "remote"));
	json_t *who = json_object_get(params, "remote_id");
	const char *user;
	char whose[120] = "";

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		json_t *value = json_object_get(params, members[i]);

		if (value != NULL)
			json_object_set(event, members[i], value);
	}
	if (owner->access != NULL && json_object_get(event, "user") == NULL && who != NULL)
		json_object_set(event, "user", who);
	user = json_string_value(json_object_get(event, "user"));
	if (user != NULL || tunnel != NULL)
		snprintf(whose, sizeof(whose), " of '%.100s'", user != NULL ? user : tunnel->name);
	json_object_set_new(event, "text",
			    json_sprintf("IKE%s with %.60s failed: %.300s", whose,
					 remote == NULL ? "an unknown peer" : remote,
					 text == NULL ? "for a reason that was not told" : text));
	return event;
}

static struct session_flood *flood_find(const struct sessions *sessions, const char *key)
{
	struct session_flood *flood;

	TAILQ_FOREACH (flood, &sessions->floods, link) {
		if (strcmp(flood->key, key) == 0)
			return flood;
	}
	return NULL;
}

/* The first one is told at once; those that follow within the time are told together. Takes it. */
static int event_or_count(struct sessions *sessions, const char *key, json_t *event)
{
	struct session_flood *flood = flood_find(sessions, key);

	if (flood == NULL && sessions->n_floods >= FLOOD_MOST) {
		key = "of many";
		flood = flood_find(sessions, key);
	}
	if (flood != NULL) {
		json_decref(flood->event);
		flood->event = event;
		flood->count++;
		return 0;
	}
	flood = calloc(1, sizeof(*flood));
	if (flood == NULL) {
		json_decref(event);
		return -ENOMEM;
	}
	snprintf(flood->key, sizeof(flood->key), "%s", key);
	flood->since = session_clock();
	TAILQ_INSERT_TAIL(&sessions->floods, flood, link);
	sessions->n_floods++;
	session_event(sessions, event);
	return 0;
}

int session_failure_apply(struct sessions *sessions, const json_t *params)
{
	const char *name = json_string_value(json_object_get(params, "name"));
	const char *reason = json_string_value(json_object_get(params, "reason"));
	const char *remote = json_string_value(json_object_get(params, "remote"));
	const char *who = json_string_value(json_object_get(params, "user"));
	struct ike_owner owner = { 0 };
	const struct user *user = NULL;
	char key[160];
	int ret;

	if (reason == NULL)
		return -EINVAL;
	if (name == NULL || !model_ike_named(sessions->daemon->desired, name, &owner))
		memset(&owner, 0, sizeof(owner));
	if (who == NULL)
		who = json_string_value(json_object_get(params, "remote_id"));
	if (owner.tunnel != NULL && strcmp(reason, "timeout") != 0)
		ike_config_failed(sessions->daemon->ike_config, owner.tenant->name,
				  owner.tunnel->name);
	if (owner.access != NULL && strcmp(reason, "authentication") == 0)
		user = user_find(owner.access, who);
	snprintf(key, sizeof(key), "%.40s %.60s %s", reason, remote == NULL ? "?" : remote,
		 owner.tenant == NULL ? "" : owner.tenant->name);
	ret = event_or_count(sessions, key, failure_event(sessions, params, &owner));
	return ret == 0 && user != NULL ? failure_count(sessions, &owner, user) : ret;
}

/* -- by time -- */

static void flood_end(struct sessions *sessions, struct session_flood *flood, bool tell)
{
	if (flood->event != NULL && tell) {
		const char *text = json_string_value(json_object_get(flood->event, "text"));

		json_object_set_new(flood->event, "count", json_integer((json_int_t)flood->count));
		json_object_set_new(flood->event, "text",
				    json_sprintf("%llu more in %d s, the last one: %s",
						 (unsigned long long)flood->count, FLOOD_S, text));
		daemon_event_tell(sessions->daemon, flood->event);
		flood->event = NULL;
	}
	json_decref(flood->event);
	TAILQ_REMOVE(&sessions->floods, flood, link);
	sessions->n_floods--;
	free(flood);
}

/* Who may try again, and whose failures are old. */
static void lockouts_sweep(struct sessions *sessions)
{
	struct store *store = sessions->daemon->store;
	struct session_lockout *lockout, *next;
	int64_t now = time(NULL);
	int ret = 0;

	for (lockout = TAILQ_FIRST(&sessions->lockouts); ret == 0 && lockout != NULL;
	     lockout = next) {
		struct ike_owner owner;
		const struct user *user = lockout_user(sessions, lockout, &owner);

		next = TAILQ_NEXT(lockout, link);
		if (user != NULL &&
		    (lockout->until > now || now - lockout->last <= owner.access->lockout_seconds))
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
}

void session_failures_sweep(struct sessions *sessions)
{
	struct session_flood *flood, *next;
	uint64_t now = session_clock();

	for (flood = TAILQ_FIRST(&sessions->floods); flood != NULL; flood = next) {
		next = TAILQ_NEXT(flood, link);
		if (now - flood->since >= FLOOD_S)
			flood_end(sessions, flood, true);
	}
	lockouts_sweep(sessions);
}

void session_failures_clear(struct sessions *sessions)
{
	struct session_lockout *lockout;

	while (!TAILQ_EMPTY(&sessions->floods))
		flood_end(sessions, TAILQ_FIRST(&sessions->floods), false);
	while ((lockout = TAILQ_FIRST(&sessions->lockouts)) != NULL) {
		TAILQ_REMOVE(&sessions->lockouts, lockout, link);
		free(lockout);
	}
}
