/* SPDX-License-Identifier: BSD-3-Clause */
/* What the dataplane refuses of sessions: that alone is taken back, and who asked for it is told. */
#include <stdio.h>
#include <string.h>

#include "daemon.h"
#include "plan.h"
#include "session_batch.h"
#include "store.h"

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

/* Who is just setting it; NULL: it was there before. */
static struct session_op *setting_of(const struct sessions *sessions, const struct session_sa *sa)
{
	struct session_op *op;

	STAILQ_FOREACH (op, &sessions->batch.current, link) {
		if (op->kind == SESSION_SA_SET && op->instance == sa->instance &&
		    op->handle == sa->handle)
			return op;
	}
	return NULL;
}

static bool any_is_new(const struct sessions *sessions, const struct session *session)
{
	const struct session_sa *sa;

	TAILQ_FOREACH (sa, &session->sas, link) {
		if (setting_of(sessions, sa) != NULL)
			return true;
	}
	return false;
}

/* Tells who asked for it; an SA that was there before is charon's no more. */
static void refusal_tell(struct sessions *sessions, const struct session_sa *sa, const char *text)
{
	struct session_op *op = setting_of(sessions, sa);

	if (op == NULL)
		session_expire(sessions, sa, true);
	else
		session_op_fail(op, RPC_DATAPLANE_REFUSED, "the dataplane refused this SA: %s",
				text);
}

/* It was to go elsewhere, maybe more than once; `first` knows where it was before all of that. */
static void update_undo(struct session_op *first, struct session_sa *sa, const char *text)
{
	sa->place = first->before;
	for (struct session_op *op = first; op != NULL; op = STAILQ_NEXT(op, link)) {
		if (!op->placed || op->instance != first->instance || op->handle != first->handle)
			continue;
		op->placed = false;
		session_op_fail(op, RPC_DATAPLANE_REFUSED, "the dataplane refused this: %s", text);
	}
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
		update_undo(op, sa, text);
		*undone = true;
		session_touch(session);
		ret = session_sa_store(sessions, sa);
	}
	return ret;
}

/* A tunnel that was taken until now is refused for what is new of it, and goes on as it was. */
static int refused_drop(struct sessions *sessions, struct session *session,
			const struct plan_object *object, const char *text)
{
	struct session_sa *only = NULL, *sa, *next;
	bool some = any_is_new(sessions, session), undone = false;
	int ret = 0;

	if (object->kind == PLAN_SA)
		only = sessions_sa_by_id(sessions, object->as.sa.id);
	else
		ret = updates_undo(sessions, session, text, &undone);
	for (sa = TAILQ_FIRST(&session->sas); ret == 0 && !undone && sa != NULL; sa = next) {
		next = TAILQ_NEXT(sa, link);
		if (only != NULL ? only != sa : some && setting_of(sessions, sa) == NULL)
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
