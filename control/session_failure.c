/* SPDX-License-Identifier: BSD-3-Clause */
/* What failed in IKE, as events, of which a flood makes few. Logins are counted by session_lockout.c, too. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "daemon.h"
#include "ike_config.h"
#include "session_batch.h"

#define FLOOD_S    60   /* equal failures of one source make one event in that time */
#define FLOOD_MOST 1024 /* sources that are told apart */

/* Equal failures of one source. */
struct session_flood {
	TAILQ_ENTRY(session_flood) link;
	char key[160]; /* reason, source and tenant */
	json_t *event; /* the last one, to be told with how many there were; NULL: no more came */
	uint64_t count;
	uint64_t since; /* monotonic seconds */
};

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
	snprintf(key, sizeof(key), "%.40s %.60s %s", reason, remote == NULL ? "?" : remote,
		 owner.tenant == NULL ? "" : owner.tenant->name);
	ret = event_or_count(sessions, key, failure_event(sessions, params, &owner));
	if (ret == 0 && owner.tenant != NULL && strcmp(reason, "authentication") == 0)
		ret = session_lockout_count(sessions, &owner, who);
	return ret;
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

void session_failures_sweep(struct sessions *sessions)
{
	struct session_flood *flood, *next;
	uint64_t now = session_clock();

	for (flood = TAILQ_FIRST(&sessions->floods); flood != NULL; flood = next) {
		next = TAILQ_NEXT(flood, link);
		if (now - flood->since >= FLOOD_S)
			flood_end(sessions, flood, true);
	}
}

void session_failures_clear(struct sessions *sessions)
{
	while (!TAILQ_EMPTY(&sessions->floods))
		flood_end(sessions, TAILQ_FIRST(&sessions->floods), false);
}
