/* SPDX-License-Identifier: BSD-3-Clause */
#include "session_batch.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "daemon.h"
#include "log.h"
#include "store.h"

#define BATCH_MOST 2048 /* operations in one transaction */

/* -- the queue -- */

static void op_free(struct session_op *op)
{
	json_decref(op->result);
	free(op);
}

void session_op_fail(struct session_op *op, int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(op->error, sizeof(op->error), format, arguments);
	va_end(arguments);
	op->code = code;
}

static void op_queue(struct sessions *sessions, struct session_op *op)
{
	STAILQ_INSERT_TAIL(&sessions->batch.queue, op, link);
	event_active(sessions->daemon->changes.runner, EV_TIMEOUT, 0);
}

void session_submit(struct sessions *sessions, enum session_op_kind kind,
		    struct rpc_request *request)
{
	struct session_op *op = calloc(1, sizeof(*op));

	if (op == NULL) {
		rpc_fail(request, RPC_INTERNAL, NULL, "out of memory: try again later");
		return;
	}
	op->kind = kind;
	op->request = request;
	op->instance = sessions->instance;
	op->handle =
		(uint64_t)json_integer_value(json_object_get(rpc_request_params(request), "sa"));
	rpc_request_detach(request);
	op_queue(sessions, op);
}

void session_submit_remove(struct sessions *sessions, const struct session_sa *sa)
{
	struct session_op *op = calloc(1, sizeof(*op));

	if (op == NULL)
		return; /* it is looked at again */
	op->kind = SESSION_REMOVE;
	op->instance = sa->instance;
	op->handle = sa->handle;
	op_queue(sessions, op);
}

void sessions_batch_clear(struct sessions *sessions)
{
	struct session_batch *batch = &sessions->batch;
	struct session_op *op;

	STAILQ_CONCAT(&batch->current, &batch->queue);
	while ((op = STAILQ_FIRST(&batch->current)) != NULL) {
		STAILQ_REMOVE_HEAD(&batch->current, link);
		op_free(op);
	}
	free(batch->gone);
	batch->gone = NULL;
	batch->n_gone = 0;
	json_decref(batch->events);
	batch->events = NULL;
}

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

	if (ike != NULL && row != NULL)
		ike->carried += totals_inner_bytes(row);
	totals_forget(&daemon->totals, gone->id);
}

/* Nothing in the dataplane uses them any more. */
static void gone_settle(struct sessions *sessions)
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
	uint64_t *handles = calloc(n + 1, sizeof(*handles));
	json_t *unknown = json_array();
	struct session *session, *next_session;
	int ret = handles == NULL || unknown == NULL ? -ENOMEM : 0;

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

static int op_apply(struct sessions *sessions, struct session_op *op)
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

void session_event(struct sessions *sessions, json_t *event)
{
	if (sessions->batch.events == NULL)
		sessions->batch.events = json_array();
	json_array_append_new(sessions->batch.events, event);
}

static void events_tell(struct sessions *sessions, bool told)
{
	json_t *events = sessions->batch.events, *event;
	size_t i;

	sessions->batch.events = NULL;
	json_array_foreach (events, i, event) {
		if (told)
			daemon_event_tell(sessions->daemon, json_incref(event));
	}
	json_decref(events);
}

/* -- answering -- */

/* Is it in the dataplane? */
static bool sa_is_installed(const struct sessions *sessions, const struct session_sa *sa)
{
	const struct reconcile *reconcile = &sessions->daemon->reconcile;
	const struct life *life = life_find(&reconcile->lives, sa->sa.id);

	return !sessions->batch.away && reconcile->connected && reconcile->installed != NULL &&
	       life != NULL && life->live;
}

static void op_answer(struct sessions *sessions, struct session_op *op)
{
	const struct session_sa *sa;

	if (op->request == NULL)
		return;
	if (op->code != 0) {
		rpc_fail(op->request, op->code, NULL, "%s", op->error);
		return;
	}
	if (op->kind == SESSION_SA_SET) {
		sa = sessions_sa(sessions, op->instance, op->handle);
		rpc_reply(op->request, json_pack("{s:b}", "installed",
						 sa != NULL && sa_is_installed(sessions, sa)));
		return;
	}
	rpc_reply(op->request, op->result != NULL ? json_incref(op->result) : json_object());
	if (op->kind == SESSION_OPEN)
		sessions->secrets_owed = true;
	if (op->kind == SESSION_SYNC)
		sessions_tell_ended(sessions);
}

static void batch_end(struct sessions *sessions)
{
	struct session_batch *batch = &sessions->batch;
	struct session_op *op;

	gone_settle(sessions);
	while ((op = STAILQ_FIRST(&batch->current)) != NULL) {
		STAILQ_REMOVE_HEAD(&batch->current, link);
		op_answer(sessions, op);
		op_free(op);
	}
	batch->busy = batch->waits = batch->away = false;
	if (sessions->secrets_owed)
		sessions_tell_secrets(sessions);
	event_active(sessions->daemon->changes.runner, EV_TIMEOUT, 0);
}

/* Nothing of it is on the disk: all is again as it was. */
static void batch_fail(struct sessions *sessions)
{
	struct session_op *op;

	sessions->batch.n_gone = 0;
	events_tell(sessions, false);
	sessions_reload(sessions);
	STAILQ_FOREACH (op, &sessions->batch.current, link)
		session_op_fail(op, RPC_READ_ONLY,
				"the state can't be written, nothing was changed: %s",
				store_error(sessions->daemon->store));
	batch_end(sessions);
}

/* -- storing and sending -- */

static void batch_sent(void *context, int error, const char *text)
{
	struct sessions *sessions = context;

	sessions->batch.away = error == -ENOTCONN;
	if (error == 0 || error == -ENOTCONN)
		batch_end(sessions);
	else /* all is looked at now, without what was refused */
		sessions->batch.waits = true;
}

static void batch_send(struct sessions *sessions, struct plan *plan, const struct model *before)
{
	struct daemon *daemon = sessions->daemon;
	int ret;

	if (!daemon->reconcile.connected) {
		plan_destroy(plan);
		batch_end(sessions);
		return;
	}
	sessions->batch.busy = true;
	if (plan == NULL) {
		sessions->batch.waits = true;
		reconcile_all(&daemon->reconcile);
		return;
	}
	ret = reconcile_send(&daemon->reconcile, plan, before, daemon->effective, batch_sent,
			     sessions);
	if (ret < 0) {
		sessions->batch.waits = true;
		reconcile_all(&daemon->reconcile);
	}
}

static int batch_record(struct sessions *sessions, struct model **effective, struct plan **plan)
{
	struct daemon *daemon = sessions->daemon;
	uint32_t last[ID_KINDS];
	struct session_op *op;
	int ret = store_begin(daemon->store);

	memcpy(last, daemon->changes.ids.last, sizeof(last));
	STAILQ_FOREACH (op, &sessions->batch.current, link) {
		if (ret == 0)
			ret = op_apply(sessions, op);
	}
	if (ret == 0 && memcmp(last, daemon->changes.ids.last, sizeof(last)) != 0)
		ret = change_ids_record(daemon);
	if (ret == 0) {
		*effective = sessions_effective(sessions, daemon->desired);
		ret = *effective == NULL ? -ENOMEM : 0;
	}
	if (ret == 0)
		ret = reconcile_prepare(&daemon->reconcile, daemon->effective, *effective, plan);
	if (ret == 0)
		ret = store_commit(daemon->store);
	if (ret == 0)
		return 0;
	log_error("sessions can't be recorded: %s", store_error(daemon->store));
	store_abort(daemon->store);
	if (*plan != NULL)
		reconcile_all(&daemon->reconcile);
	plan_destroy(*plan);
	model_destroy(*effective);
	return ret;
}

static void batch_run(struct sessions *sessions)
{
	struct daemon *daemon = sessions->daemon;
	struct model *before = daemon->effective, *effective = NULL;
	struct plan *plan = NULL;

	if (batch_record(sessions, &effective, &plan) < 0) {
		batch_fail(sessions);
		return;
	}
	daemon->effective = effective;
	events_tell(sessions, true);
	batch_send(sessions, plan, before);
	model_destroy(before);
}

bool sessions_run(struct sessions *sessions)
{
	struct session_batch *batch = &sessions->batch;
	struct session_op *op;

	if (STAILQ_EMPTY(&batch->queue))
		return false;
	for (unsigned int n = 0; n < BATCH_MOST && (op = STAILQ_FIRST(&batch->queue)) != NULL;
	     n++) {
		STAILQ_REMOVE_HEAD(&batch->queue, link);
		STAILQ_INSERT_TAIL(&batch->current, op, link);
	}
	batch_run(sessions);
	return batch->busy;
}

void sessions_waited(struct sessions *sessions)
{
	if (sessions->batch.busy && sessions->batch.waits)
		batch_end(sessions);
}

/* -- what the dataplane refuses -- */

static struct session *session_of(const struct sessions *sessions, const struct plan_object *object)
{
	switch (object->kind) {
	case PLAN_TUNNEL:
		return sessions_by_tunnel(sessions, object->as.tunnel.id);
	case PLAN_SA:
		return sessions_by_tunnel(sessions, object->as.sa.tunnel);
	case PLAN_ROUTE:
		return object->as.route.kind == ABI_ROUTE_TUNNEL
			       ? sessions_by_tunnel(sessions, object->as.route.target)
			       : NULL;
	default:
		return NULL;
	}
}

/* Tells who asked for it; an SA that was there before is charon's no more. */
static void refusal_tell(struct sessions *sessions, const struct session_sa *sa, const char *text)
{
	struct session_op *op;

	STAILQ_FOREACH (op, &sessions->batch.current, link) {
		if (op->kind != SESSION_SA_SET || op->instance != sa->instance ||
		    op->handle != sa->handle)
			continue;
		session_op_fail(op, RPC_DATAPLANE_REFUSED, "the dataplane refused this SA: %s",
				text);
		return;
	}
	session_expire(sessions, sa, true);
}

/* An SA that would not go elsewhere stays where it was. */
static int updates_undo(struct sessions *sessions, struct session *session, const char *text,
			bool *undone)
{
	struct session_op *op;
	int ret = 0;

	STAILQ_FOREACH (op, &sessions->batch.current, link) {
		struct session_sa *sa = sessions_sa(sessions, op->instance, op->handle);

		if (!op->placed || ret < 0 || sa == NULL || sa->session != session)
			continue;
		sa->place = op->before;
		op->placed = false;
		*undone = true;
		session_op_fail(op, RPC_DATAPLANE_REFUSED, "the dataplane refused this: %s", text);
		session_touch(session);
		ret = session_sa_store(sessions, sa);
	}
	return ret;
}

static int refused_drop(struct sessions *sessions, struct session *session,
			const struct plan_object *object, const char *text)
{
	struct session_sa *only = NULL, *sa, *next;
	bool undone = false;
	int ret = 0;

	if (object->kind == PLAN_SA)
		only = sessions_sa_by_id(sessions, object->as.sa.id);
	else
		ret = updates_undo(sessions, session, text, &undone);
	for (sa = TAILQ_FIRST(&session->sas); ret == 0 && !undone && sa != NULL; sa = next) {
		next = TAILQ_NEXT(sa, link);
		if (only != NULL && only != sa)
			continue;
		refusal_tell(sessions, sa, text);
		ret = session_sa_drop(sessions, sa);
	}
	return ret;
}

bool sessions_refused(struct sessions *sessions, const struct plan_object *object, const char *text)
{
	struct daemon *daemon = sessions->daemon;
	struct session *session = session_of(sessions, object);
	struct model *effective = NULL;
	char line[320];
	int ret;

	if (session == NULL)
		return false;
	snprintf(line, sizeof(line), "the dataplane refused '%s' of tenant '%s': %s", session->name,
		 session->tenant->name, text);
	daemon_event(daemon, "refused", line, session->tenant->name, session->owner);
	ret = store_begin(daemon->store);
	if (ret == 0)
		ret = refused_drop(sessions, session, object, text);
	if (ret == 0)
		effective = sessions_effective(sessions, daemon->desired);
	if (ret == 0 && effective != NULL)
		ret = store_commit(daemon->store);
	if (ret < 0 || effective == NULL) {
		store_abort(daemon->store);
		model_destroy(effective);
		sessions_reload(sessions);
		return false;
	}
	model_destroy(daemon->effective);
	daemon->effective = effective;
	return true;
}
