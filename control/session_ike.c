/* SPDX-License-Identifier: BSD-3-Clause */
/* IKE SAs as the plugin tells of them, and what operators hear of that. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon.h"
#include "log.h"
#include "session_batch.h"
#include "store.h"

const char *session_ike_text(const struct session_ike *ike, const char *member)
{
	return json_string_value(json_object_get(ike->told, member));
}

const char *session_ike_who(const struct session_ike *ike)
{
	const char *user = session_ike_text(ike, "user");

	return user != NULL ? user : session_ike_text(ike, "remote_id");
}

static struct totals_bytes tunnel_bytes(struct sessions *sessions, const struct session *session)
{
	struct daemon *daemon = sessions->daemon;

	return totals_inner_bytes(totals_take(&daemon->totals, daemon->reconcile.map,
					      session->tenant->id, session->tunnel_id));
}

static uint64_t beyond(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

struct totals_bytes session_ike_bytes(struct sessions *sessions, const struct session_ike *ike)
{
	struct totals_bytes bytes = ike->carried;
	const struct session *seen = NULL;
	const struct session_sa *sa;

	LIST_FOREACH (sa, &ike->sas, ike_link) {
		if (sa->session == seen) /* those of one session stand together */
			continue;
		seen = sa->session;
		bytes.in += tunnel_bytes(sessions, seen).in;
		bytes.out += tunnel_bytes(sessions, seen).out;
	}
	bytes.in = beyond(bytes.in, ike->before.in);
	bytes.out = beyond(bytes.out, ike->before.out);
	if (bytes.in < ike->closed.in)
		bytes.in = ike->closed.in;
	if (bytes.out < ike->closed.out)
		bytes.out = ike->closed.out;
	return bytes;
}

/* A user with a secret of his own, who has none any more. */
static bool is_dismissed(const struct model *desired, const struct session_ike *ike)
{
	const struct tenant *tenant = model_tenant(desired, ike->tenant);
	const struct remote_access *access =
		tenant == NULL ? NULL : tenant_remote_access(tenant, ike->owner);
	const char *who = session_ike_who(ike);

	if (access == NULL || who == NULL ||
	    (access->ike->auth != IKE_EAP_MSCHAPV2 && access->ike->auth != IKE_PSK))
		return false;
	return remote_access_user(access, who) == NULL;
}

void sessions_dismiss(struct sessions *sessions)
{
	struct session_ike *ike;

	TAILQ_FOREACH (ike, &sessions->ikes, link) {
		if (is_dismissed(sessions->daemon->desired, ike))
			session_ike_close(sessions, ike, "user removed");
	}
}

/* -- as events -- */

/* "user 'alice' of 'laptops' of tenant 'acme' at 192.0.2.7" */
static void ike_describe(const struct session_ike *ike, char *text, size_t size)
{
	const char *user = session_ike_text(ike, "user"), *who = session_ike_who(ike);
	const char *remote = session_ike_text(ike, "remote");

	snprintf(text, size, "%s '%.100s' of '%s' of tenant '%s' at %.50s",
		 user != NULL ? "user" : "peer", who == NULL ? "?" : who,
		 ike->owner[0] == '\0' ? "?" : ike->owner,
		 ike->tenant[0] == '\0' ? "?" : ike->tenant, remote == NULL ? "?" : remote);
}

static void member_copy(json_t *event, const struct session_ike *ike, const char *member)
{
	json_t *value = json_object_get(ike->told, member);

	if (value != NULL)
		json_object_set(event, member, value);
}

json_t *session_event_make(struct sessions *sessions, const char *kind, const char *tenant,
			   const char *owner)
{
	struct timespec now;
	json_t *event;

	clock_gettime(CLOCK_REALTIME, &now);
	event = json_pack("{s:s, s:f, s:I}", "kind", kind, "time",
			  (double)now.tv_sec + (double)now.tv_nsec / 1e9, "generation",
			  (json_int_t)sessions->daemon->desired->generation);
	if (tenant != NULL && tenant[0] != '\0')
		json_object_set_new(event, "tenant", json_string(tenant));
	if (tenant != NULL && tenant[0] != '\0' && owner[0] != '\0')
		json_object_set_new(event, "tunnel", json_string(owner));
	return event;
}

static json_t *event_make(struct sessions *sessions, const struct session_ike *ike,
			  const char *kind)
{
	static const char *const members[] = { "user",      "local_id", "remote_id",
					       "local",     "remote",   "remote_port",
					       "addresses", "nat",      "initiator" };
	json_t *event = session_event_make(sessions, kind, ike->tenant, ike->owner);

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		member_copy(event, ike, members[i]);
	json_object_set_new(event, "ike", json_integer((json_int_t)ike->id));
	return event;
}

static void up_tell(struct sessions *sessions, const struct session_ike *ike)
{
	json_t *event = event_make(sessions, ike, "ike-up");
	char who[320];

	ike_describe(ike, who, sizeof(who));
	json_object_set_new(event, "text", json_sprintf("%s is connected", who));
	session_event(sessions, event);
}

static void down_tell(struct sessions *sessions, const struct session_ike *ike, const char *reason)
{
	json_t *event = event_make(sessions, ike, "ike-down");
	struct totals_bytes bytes = session_ike_bytes(sessions, ike);
	int64_t seconds = time(NULL) - ike->since;
	char who[320];

	if (seconds < 0)
		seconds = 0;
	ike_describe(ike, who, sizeof(who));
	json_object_set_new(event, "reason", json_string(reason));
	json_object_set_new(event, "seconds", json_integer((json_int_t)seconds));
	json_object_set_new(event, "bytes", json_integer((json_int_t)(bytes.in + bytes.out)));
	json_object_set_new(event, "bytes_in", json_integer((json_int_t)bytes.in));
	json_object_set_new(event, "bytes_out", json_integer((json_int_t)bytes.out));
	json_object_set_new(event, "text",
			    json_sprintf("%s is gone (%s) after %lld s, %llu bytes in and %llu out",
					 who, reason, (long long)seconds,
					 (unsigned long long)bytes.in,
					 (unsigned long long)bytes.out));
	session_event(sessions, event);
}

/* -- the store -- */

int session_ike_store(struct sessions *sessions, const struct session_ike *ike)
{
	json_t *json =
		json_pack("{s:s, s:s, s:O, s:I, s:[I, I], s:[I, I]}", "tenant", ike->tenant,
			  "owner", ike->owner, "told", ike->told, "since", (json_int_t)ike->since,
			  "carried", (json_int_t)ike->carried.in, (json_int_t)ike->carried.out,
			  "before", (json_int_t)ike->before.in, (json_int_t)ike->before.out);
	char *document = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
	int ret = document == NULL ? -ENOMEM
				   : store_ike_set(sessions->daemon->store, ike->instance, ike->id,
						   document);

	free(document);
	json_decref(json);
	return ret;
}

static struct totals_bytes bytes_get(const json_t *json, const char *member)
{
	const json_t *pair = json_object_get(json, member);

	return (struct totals_bytes){
		.in = (uint64_t)json_integer_value(json_array_get(pair, 0)),
		.out = (uint64_t)json_integer_value(json_array_get(pair, 1)),
	};
}

static int ike_load(void *context, uint64_t instance, uint64_t id, const char *document)
{
	json_t *json = document == NULL ? NULL : json_loads(document, 0, NULL);
	json_t *told = json_object_get(json, "told");
	const char *tenant = json_string_value(json_object_get(json, "tenant"));
	const char *owner = json_string_value(json_object_get(json, "owner"));
	struct session_ike *ike;
	int ret = 0;

	if (json_is_object(told) && tenant != NULL && owner != NULL) {
		ike = sessions_ike_get(context, instance, id);
		ret = ike == NULL ? -ENOMEM : 0;
	}
	if (ret == 0 && json_is_object(told) && tenant != NULL && owner != NULL) {
		ike->told = json_incref(told);
		snprintf(ike->tenant, sizeof(ike->tenant), "%s", tenant);
		snprintf(ike->owner, sizeof(ike->owner), "%s", owner);
		ike->since = json_integer_value(json_object_get(json, "since"));
		ike->carried = bytes_get(json, "carried");
		ike->before = bytes_get(json, "before");
	}
	json_decref(json);
	return ret;
}

int session_ikes_load(struct sessions *sessions)
{
	return store_ike_list(sessions->daemon->store, ike_load, sessions);
}

/* -- what the plugin tells -- */

/* Whose it is follows from the name of charon's connection, which kaidod wrote. A client is a user, of whom the
 * plugin tells apart only what differs from the identity of IKE. */
static void owner_find(struct sessions *sessions, struct session_ike *ike)
{
	const char *name = session_ike_text(ike, "name"), *who = session_ike_who(ike);
	struct ike_owner owner;

	if (name == NULL || !model_ike_named(sessions->daemon->desired, name, &owner))
		return;
	if (owner.access != NULL && who != NULL && session_ike_text(ike, "user") == NULL)
		json_object_set_new(ike->told, "user", json_string(who));
	snprintf(ike->tenant, sizeof(ike->tenant), "%s", owner.tenant->name);
	snprintf(ike->owner, sizeof(ike->owner), "%s",
		 owner.access != NULL ? owner.access->name : owner.tunnel->name);
	if (owner.tunnel != NULL && ike->since == 0)
		ike->before = totals_inner_bytes(totals_take(&sessions->daemon->totals,
							     sessions->daemon->reconcile.map,
							     owner.tenant->id, owner.tunnel->id));
}

/* A rekeyed one goes on under another id, with its SAs and what it has carried. */
static int rekeyed_take(struct sessions *sessions, struct session_ike *ike, uint64_t old_id)
{
	struct session_ike *old = sessions_ike(sessions, ike->instance, old_id);
	struct session_sa *sa;
	int ret;

	if (old == NULL || old == ike)
		return 0;
	ike->since = old->since;
	ike->carried.in += old->carried.in;
	ike->carried.out += old->carried.out;
	ike->before = old->before;
	ike->closing = old->closing;
	ike->closed = old->closed;
	ret = store_ike_delete(sessions->daemon->store, old->instance, old->id);
	while (ret == 0 && (sa = LIST_FIRST(&old->sas)) != NULL) {
		session_ike_take(ike, sa);
		ret = session_sa_store(sessions, sa);
	}
	json_decref(old->told);
	old->told = NULL;
	session_ike_drop(sessions, old);
	return ret;
}

static int ike_tell(struct sessions *sessions, const json_t *params, bool established)
{
	json_t *told = json_object_get(params, "ike");
	json_int_t id = json_integer_value(json_object_get(told, "id"));
	json_int_t old_id = json_integer_value(json_object_get(params, "old_id"));
	json_int_t since = json_integer_value(json_object_get(told, "since"));
	struct session_ike *ike;
	bool news;
	int ret = 0;

	if (!json_is_object(told) || id <= 0)
		return -EINVAL;
	ike = sessions_ike_get(sessions, sessions->instance, (uint64_t)id);
	if (ike == NULL)
		return -ENOMEM;
	news = ike->told == NULL;
	json_decref(ike->told);
	ike->told = json_deep_copy(told);
	if (ike->told == NULL)
		return -ENOMEM;
	if (old_id > 0)
		ret = rekeyed_take(sessions, ike, (uint64_t)old_id);
	if (ret < 0)
		return ret;
	owner_find(sessions, ike);
	if (ike->since == 0)
		ike->since = since > 0 ? since : time(NULL);
	if (established && news) {
		up_tell(sessions, ike);
		ret = session_lockout_forgive(sessions, ike);
	}
	return ret < 0 ? ret : session_ike_store(sessions, ike);
}

int session_ike_end(struct sessions *sessions, struct session_ike *ike, const char *reason)
{
	int ret = store_ike_delete(sessions->daemon->store, ike->instance, ike->id);

	if (ret < 0)
		return ret;
	down_tell(sessions, ike, ike->closing != NULL ? ike->closing : reason);
	json_decref(ike->told);
	ike->told = NULL;
	ike->over = true;
	session_ike_drop(sessions, ike);
	return 0;
}

static int closed_apply(struct sessions *sessions, const json_t *params)
{
	json_int_t id = json_integer_value(json_object_get(params, "id"));
	const char *reason = json_string_value(json_object_get(params, "reason"));
	struct session_ike *ike = sessions_ike(sessions, sessions->instance, (uint64_t)id);

	if (ike == NULL || ike->told == NULL)
		return 0;
	return session_ike_end(sessions, ike, reason == NULL ? "closed" : reason);
}

int session_ike_apply(struct sessions *sessions, struct session_op *op)
{
	const json_t *params = rpc_request_params(op->request);
	const char *kind = json_string_value(json_object_get(params, "kind"));
	int ret = -EINVAL;

	if (kind != NULL && (strcmp(kind, "established") == 0 || strcmp(kind, "updated") == 0))
		ret = ike_tell(sessions, params, strcmp(kind, "established") == 0);
	else if (kind != NULL && strcmp(kind, "closed") == 0)
		ret = closed_apply(sessions, params);
	else if (kind != NULL && strcmp(kind, "failed") == 0)
		ret = session_failure_apply(sessions, params);
	if (ret != -EINVAL)
		return ret;
	session_op_fail(op, RPC_INVALID_PARAMS,
			"kind is established or updated with an ike that has an id, closed, or "
			"failed");
	return 0;
}
