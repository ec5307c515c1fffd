/* SPDX-License-Identifier: BSD-3-Clause */
/* What single operations do, in memory and within a transaction of the store. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon.h"
#include "session_batch.h"
#include "store.h"

/* -- what is gone -- */

static void gone_note(struct sessions *sessions, const struct session_gone *gone)
{
	struct session_batch *batch = &sessions->batch;
	struct session_gone *bigger = reallocarray(batch->gone, batch->n_gone + 1, sizeof(*bigger));

	if (bigger == NULL)
		return; /* the id is found free by the next change of the configuration */
	batch->gone = bigger;
	bigger[batch->n_gone++] = *gone;
}

/* A client's last counts, before its tunnel's id may become another's. */
static void client_settle(struct sessions *sessions, const struct session_gone *gone)
{
	struct daemon *daemon = sessions->daemon;
	struct session_ike *ike = sessions_ike(sessions, gone->instance, gone->ike);
	const struct totals_tunnel *row =
		totals_take(&daemon->totals, daemon->reconcile.map, gone->tenant, gone->id);

	if (ike != NULL) {
		ike->carried.in += totals_inner_bytes(row).in;
		ike->carried.out += totals_inner_bytes(row).out;
	}
	totals_forget(&daemon->totals, gone->id);
}

/* Nothing in the dataplane uses them any more. */
void sessions_gone_settle(struct sessions *sessions)
{
	struct session_batch *batch = &sessions->batch;

	for (size_t i = 0; i < batch->n_gone; i++) {
		if (batch->gone[i].kind == ID_TUNNEL)
			client_settle(sessions, &batch->gone[i]);
		ids_free(&sessions->daemon->changes.ids, batch->gone[i].kind, batch->gone[i].id);
	}
	batch->n_gone = 0;
}

/* -- carrying out, within a transaction -- */

int session_sa_store(struct sessions *sessions, const struct session_sa *sa)
{
	struct store_session row = {
		.instance = sa->instance,
		.handle = sa->handle,
		.serial = sa->serial,
		.sealed = sa->sa.sealed,
		.sealed_size = sa_sealed_size(&sa->sa),
	};
	json_t *json = session_sa_render(sa);
	char *document = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
	int ret = -ENOMEM;

	if (document != NULL) {
		memcpy(row.digest, sa->sa.digest, sizeof(row.digest));
		row.document = document;
		ret = store_session_set(sessions->daemon->store, &row);
	}
	free(document);
	json_decref(json);
	return ret;
}

int session_sa_drop(struct sessions *sessions, struct session_sa *sa)
{
	struct session *session = sa->session;
	struct session_gone gone = { .kind = ID_SA, .id = sa->sa.id };
	int ret = store_session_delete(sessions->daemon->store, sa->instance, sa->handle,
				       sa->sa.digest, time(NULL));

	if (ret < 0)
		return ret;
	gone_note(sessions, &gone);
	gone = (struct session_gone){ .kind = ID_TUNNEL,
				      .id = session->tunnel_id,
				      .tenant = session->tenant->id,
				      .instance = sa->instance,
				      .ike = sa->ike->id };
	session_sa_remove(sessions, sa);
	if (!TAILQ_EMPTY(&session->sas))
		return 0;
	if (session_is_client(session))
		gone_note(sessions, &gone);
	session_destroy(sessions, session);
	return 0;
}

int session_drop(struct sessions *sessions, struct session *session)
{
	int ret = 0;

	if (TAILQ_EMPTY(&session->sas)) { /* none was ever set */
		if (session_is_client(session))
			ids_free(&sessions->daemon->changes.ids, ID_TUNNEL, session->tunnel_id);
		session_destroy(sessions, session);
		return 0;
	}
	/* The last SA takes the session with it. */
	for (struct session_sa *sa = TAILQ_FIRST(&session->sas), *next; ret == 0 && sa != NULL;
	     sa = next) {
		next = TAILQ_NEXT(sa, link);
		ret = session_sa_drop(sessions, sa);
	}
	return ret;
}

static int update_apply(struct sessions *sessions, struct session_op *op)
{
	json_t *params = rpc_request_params(op->request);
	struct session_sa *sa = sessions_sa(sessions, op->instance, op->handle);
	struct session_place place;
	const char *wrong = session_place_parse(params, &place);

	if (sa == NULL)
		session_op_fail(op, RPC_NOT_FOUND, "there is no sa %llu of this instance",
				(unsigned long long)op->handle);
	else if (wrong != NULL)
		session_op_fail(op, RPC_INVALID_PARAMS, "%s", wrong);
	if (op->code != 0 || memcmp(&sa->place, &place, sizeof(place)) == 0)
		return 0;
	op->before = sa->place;
	op->placed = true;
	sa->place = place;
	session_touch(sa->session);
	return session_sa_store(sessions, sa);
}

static int delete_apply(struct sessions *sessions, const struct session_op *op)
{
	struct session_sa *sa = sessions_sa(sessions, op->instance, op->handle);

	return sa == NULL ? 0 : session_sa_drop(sessions, sa);
}

static int number_order(const void *first, const void *second)
{
	const uint64_t *a = first, *b = second;

	return (*a > *b) - (*a < *b);
}

/* The charon that calls has these and no others. */
static int sync_apply(struct sessions *sessions, struct session_op *op)
{
	const json_t *list = json_object_get(rpc_request_params(op->request), "sas"), *element;
	size_t n = json_array_size(list), i;
	struct session *session, *next_session;
	uint64_t *handles;
	json_t *unknown;
	int ret;

	if (!json_is_array(list)) {
		session_op_fail(op, RPC_INVALID_PARAMS, "sas is not a list of handles");
		return 0;
	}
	handles = calloc(n + 1, sizeof(*handles));
	unknown = json_array();
	ret = handles == NULL || unknown == NULL ? -ENOMEM : 0;
	json_array_foreach (list, i, element) {
		if (ret < 0)
			break;
		handles[i] = (uint64_t)json_integer_value(element);
		if (sessions_sa(sessions, op->instance, handles[i]) == NULL)
			json_array_append(unknown, (json_t *)(uintptr_t)element);
	}
	if (ret == 0)
		qsort(handles, n, sizeof(*handles), number_order);
	for (session = TAILQ_FIRST(&sessions->list); ret == 0 && session != NULL;
	     session = next_session) {
		struct session_sa *sa, *next;

		next_session = TAILQ_NEXT(session, link);
		for (sa = TAILQ_FIRST(&session->sas); ret == 0 && sa != NULL; sa = next) {
			next = TAILQ_NEXT(sa, link);
			if (sa->instance == op->instance &&
			    bsearch(&sa->handle, handles, n, sizeof(*handles), number_order) ==
				    NULL)
				ret = session_sa_drop(sessions, sa);
		}
	}
	free(handles);
	op->result = json_pack("{s:o}", "unknown", unknown);
	return ret;
}

/* [spi], inbound, that the plugin must not allocate. */
static json_t *spis_render(struct sessions *sessions)
{
	const struct model *effective = sessions->daemon->effective;
	json_t *list = json_array();

	for (size_t i = 0; i < effective->n_tenants; i++) {
		for (size_t k = 0; k < effective->tenants[i]->n_tunnels; k++) {
			const struct tunnel *tunnel = effective->tenants[i]->tunnels[k];

			for (size_t n = 0; n < tunnel->n_sas; n++) {
				const struct sa *sa = &tunnel->sas[n];
				const struct session_sa *own = sessions_sa_by_id(sessions, sa->id);

				if (sa->direction == ABI_SA_IN &&
				    (own == NULL || sa_is_orphan(sessions, own)))
					json_array_append_new(list, json_integer(sa->spi));
			}
		}
	}
	return list;
}

/* What a former charon left behind has some time to be replaced. */
static int open_apply(struct sessions *sessions, struct session_op *op)
{
	uint64_t end = session_clock() + SESSION_ORPHAN_S;
	struct session_ike *ike, *next;
	struct session *session;
	struct session_sa *sa;
	int ret = store_set_number(sessions->daemon->store, "ike-instance", sessions->instance);

	op->result = json_pack("{s:i, s:o}", "protocol", 1, "spis", spis_render(sessions));
	TAILQ_FOREACH (session, &sessions->list, link) {
		TAILQ_FOREACH (sa, &session->sas, link) {
			if (sa_is_orphan(sessions, sa) && sa->goes == 0)
				sa->goes = end;
		}
	}
	for (ike = TAILQ_FIRST(&sessions->ikes); ret == 0 && ike != NULL; ike = next) {
		next = TAILQ_NEXT(ike, link);
		if (ike->instance != sessions->instance && ike->told != NULL)
			ret = session_ike_end(sessions, ike, "charon was restarted");
	}
	return ret;
}

int session_op_apply(struct sessions *sessions, struct session_op *op)
{
	/* Since it was asked for, another charon may have opened. */
	if (op->request != NULL && op->instance != sessions->instance) {
		session_op_fail(op, RPC_CONFLICT, "another charon has opened since: call ike.open");
		return 0;
	}
	switch (op->kind) {
	case SESSION_OPEN:
		return open_apply(sessions, op);
	case SESSION_SA_SET:
		return session_set_apply(sessions, op);
	case SESSION_SA_UPDATE:
		return update_apply(sessions, op);
	case SESSION_SYNC:
		return sync_apply(sessions, op);
	case SESSION_IKE_EVENT:
		return session_ike_apply(sessions, op);
	case SESSION_SA_DELETE:
	case SESSION_REMOVE:
		return delete_apply(sessions, op);
	}
	return 0;
}
