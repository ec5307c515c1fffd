/* SPDX-License-Identifier: BSD-3-Clause */
/* Sessions out of the store, and what becomes of them when the desired state changes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon.h"
#include "log.h"
#include "session_batch.h"
#include "store.h"

/* -- loading -- */

static struct session *session_place_in(struct sessions *sessions, const struct session_sa *sa,
					const struct session_owner *owner, uint32_t tunnel_id)
{
	bool client = owner->access != NULL;
	struct session *session =
		client ? sessions_find(sessions, sa->instance, sa->if_id, sa->reqid)
		       : sessions_find(sessions, 0, sa->if_id, 0);

	if (session != NULL)
		return session;
	return session_create(sessions, owner, client ? sa->instance : 0, sa->if_id,
			      client ? sa->reqid : 0, client ? tunnel_id : sa->if_id);
}

static int networks_restore(struct session *session, const struct session_sa *sa)
{
	struct abi_address *networks = NULL;
	size_t n = 0;

	if (!session_is_client(session))
		return 0;
	if (session_networks_make(sa, &networks, &n) != NULL)
		return -EBADMSG;
	return session_networks_set(session, networks, n);
}

static int sa_load(struct sessions *sessions, const struct store_session *row, const json_t *json)
{
	json_int_t tunnel_id = json_integer_value(json_object_get(json, "tunnel_id"));
	struct session_sa *sa = calloc(1, sizeof(*sa));
	const struct session_owner *owner;
	struct session *session;
	int ret = sa == NULL ? -ENOMEM : 0;

	if (ret == 0 && (session_sa_parse(json, true, sa) != NULL || tunnel_id < 1 ||
			 tunnel_id >= UINT32_MAX || row->sealed_size != sa_sealed_size(&sa->sa)))
		ret = -EBADMSG;
	if (ret < 0)
		goto fail;
	sa->instance = row->instance;
	sa->serial = row->serial;
	if (sa_is_orphan(sessions, sa))
		sa->goes = session_clock() + SESSION_ORPHAN_S;
	memcpy(sa->sa.digest, row->digest, sizeof(sa->sa.digest));
	memcpy(sa->sa.sealed, row->sealed, row->sealed_size);
	owner = sessions_owner(sessions, sa->if_id);
	if (owner == NULL || sessions_sa_by_id(sessions, sa->sa.id) != NULL) {
		ret = -EBADMSG;
		goto fail;
	}
	session = session_place_in(sessions, sa, owner, (uint32_t)tunnel_id);
	ret = session == NULL ? -ENOMEM : networks_restore(session, sa);
	if (ret == 0)
		ret = session_sa_add(sessions, session, sa, session_ike_id_parse(json));
	if (ret < 0)
		goto fail;
	if (sa->serial > sessions->serial)
		sessions->serial = sa->serial;
	return 0;
fail:
	session_sa_free(sa);
	return ret;
}

/* What can't be used is not kept either: it holds a key. */
struct loading {
	struct sessions *sessions;
	struct store_session *bad;
	size_t n_bad;
};

static int bad_note(struct loading *loading, const struct store_session *row)
{
	struct store_session *bigger =
		reallocarray(loading->bad, loading->n_bad + 1, sizeof(*bigger));

	log_error("sa %llu that was negotiated is damaged or nobody's: removed",
		  (unsigned long long)row->handle);
	if (bigger == NULL)
		return -ENOMEM;
	loading->bad = bigger;
	bigger[loading->n_bad++] = *row;
	return 0;
}

static int row_load(void *context, const struct store_session *row)
{
	struct loading *loading = context;
	json_t *json = row->document == NULL ? NULL : json_loads(row->document, 0, NULL);
	int ret = json == NULL ? -EBADMSG : sa_load(loading->sessions, row, json);

	json_decref(json);
	return ret == -EBADMSG ? bad_note(loading, row) : ret;
}

/* Should this fail, the next start tries again. */
static void bad_remove(const struct loading *loading)
{
	struct store *store = loading->sessions->daemon->store;
	int ret = loading->n_bad == 0 ? -ENOENT : store_begin(store);

	if (ret == -ENOENT)
		return;
	for (size_t i = 0; i < loading->n_bad && ret == 0; i++)
		ret = store_session_delete(store, loading->bad[i].instance, loading->bad[i].handle,
					   loading->bad[i].digest, time(NULL));
	if (ret == 0)
		ret = store_commit(store);
	if (ret < 0)
		store_abort(store);
}

static int sas_load(struct sessions *sessions)
{
	struct loading loading = { .sessions = sessions };
	int ret = store_session_list(sessions->daemon->store, row_load, &loading);

	if (ret == 0)
		bad_remove(&loading);
	free(loading.bad);
	return ret;
}

int sessions_load(struct sessions *sessions)
{
	struct daemon *daemon = sessions->daemon;
	int ret = sessions_owners_set(sessions, daemon->desired);

	if (ret == 0)
		ret = store_get_number(daemon->store, "ike-instance", 0, &sessions->instance);
	if (ret == 0)
		ret = sas_load(sessions);
	if (ret == 0)
		ret = session_ikes_load(sessions);
	if (ret == 0)
		ret = session_lockouts_load(sessions);
	if (ret < 0)
		return ret;
	daemon->effective = sessions_effective(sessions, daemon->desired);
	return daemon->effective == NULL ? -ENOMEM
					 : ids_mark(&daemon->changes.ids, daemon->effective);
}

void sessions_reload(struct sessions *sessions)
{
	struct model *before = sessions->daemon->effective;

	sessions_clear(sessions);
	session_failures_clear(sessions);
	session_lockouts_clear(sessions);
	sessions->serial = 0;
	sessions->daemon->effective = NULL;
	if (sessions_load(sessions) < 0) {
		log_error("sessions can't be read: %s", store_error(sessions->daemon->store));
		abort(); /* the store has them; a restart finds them there */
	}
	model_destroy(before);
}

/* -- another desired state -- */

/* Has its tunnel or remote access become another one, or gone? */
static bool session_is_homeless(const struct sessions *sessions, const struct session *session)
{
	const struct session_owner *owner = sessions_owner(sessions, session->if_id);

	if (owner == NULL || owner->tenant->id != session->tenant->id ||
	    session_is_client(session) != (owner->access != NULL))
		return true;
	if (strcmp(session->owner,
		   owner->access != NULL ? owner->access->name : owner->tunnel->name) != 0)
		return true;
	return session_is_client(session) && tenant_tunnel(owner->tenant, session->name) != NULL;
}

int sessions_follow(struct sessions *sessions, const struct model *desired,
		    struct model **effective)
{
	struct session *session, *next;
	int ret = sessions_owners_set(sessions, desired);

	for (session = TAILQ_FIRST(&sessions->list); ret == 0 && session != NULL; session = next) {
		next = TAILQ_NEXT(session, link);
		if (!session_is_homeless(sessions, session))
			continue;
		session_close_ikes(sessions, session);
		ret = session_drop(sessions, session);
	}
	if (ret < 0)
		return ret;
	*effective = sessions_effective(sessions, desired);
	return *effective == NULL ? -ENOMEM : 0;
}
