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

/* -- events -- */

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
		/* What it says would be taken for the charon's that was there before. */
		if (op->kind == SESSION_OPEN && rpc_request_is_of(op->request, &sessions->plugin))
			rpc_listener_release(&sessions->plugin);
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
	if (op->kind == SESSION_SYNC) {
		sessions_tell_ended(sessions);
		sessions_dismiss(sessions);
	}
}

static void batch_end(struct sessions *sessions)
{
	struct session_batch *batch = &sessions->batch;
	struct session_op *op;

	sessions_gone_settle(sessions);
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
	change_ids_mark(sessions->daemon); /* what was given out for it is nobody's */
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
			ret = session_op_apply(sessions, op);
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
