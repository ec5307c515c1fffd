/* SPDX-License-Identifier: BSD-3-Clause */
/* A change that is right: onto the disk, into the dataplane, and back where that says no. */
#include "change_steps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "audit.h"
#include "daemon.h"
#include "ike_config.h"
#include "log.h"
#include "session_batch.h"
#include "store.h"

bool change_differs(const struct model *a, const struct model *b)
{
	if (a->n_tenants != b->n_tenants || a->n_underlay != b->n_underlay)
		return true;
	for (size_t i = 0; i < a->n_tenants; i++) {
		if (a->tenants[i] != b->tenants[i])
			return true;
	}
	for (size_t i = 0; i < a->n_underlay; i++) {
		if (a->underlay[i] != b->underlay[i])
			return true;
	}
	return false;
}

void change_ids_mark(struct daemon *daemon)
{
	if (!daemon->changes.confirming) /* what the way back has must not go to another */
		ids_clear(&daemon->changes.ids);
	ids_mark(&daemon->changes.ids, daemon->effective);
}

int change_ids_record(struct daemon *daemon)
{
	int ret = 0;

	for (unsigned int kind = 0; kind < ID_KINDS && ret == 0; kind++)
		ret = store_set_number(daemon->store, change_id_names[kind],
				       daemon->changes.ids.last[kind]);
	return ret;
}

/* All that must be on the disk before anything is sent, in one transaction. */
static int change_record(struct change *change, struct plan **plan)
{
	struct daemon *daemon = change->daemon;
	struct store *store = daemon->store;
	bool provisional = daemon->reconcile.connected || change->confirm_within > 0;
	uint64_t deadline = 0;
	int ret = store_begin(store);

	*plan = NULL;
	if (change->confirm_within > 0)
		deadline = (uint64_t)time(NULL) + change->confirm_within;
	if (ret == 0)
		ret = store_write_model(store, change->now, change->next);
	if (ret == 0)
		ret = change_ids_record(daemon);
	if (ret == 0)
		ret = store_forget_before(store);
	if (ret == 0 && !change->rollback && provisional)
		ret = store_save_before(store, change->now, change->next, deadline);
	if (ret == 0)
		ret = sessions_follow(&daemon->sessions, change->next, &change->effective);
	if (ret == 0)
		ret = reconcile_prepare(&daemon->reconcile, daemon->effective, change->effective,
					plan);
	if (ret == 0)
		ret = audit_add(store, change_caller(change), change_method(change),
				change->summary, change->rollback ? "rolled back" : "stored");
	if (ret == 0)
		ret = store_commit(store);
	if (ret == 0) {
		change->recorded = true;
		return 0;
	}
	store_abort(store);
	sessions_reload(&daemon->sessions);
	if (*plan != NULL) /* leases that it took in memory are found again in the dataplane */
		reconcile_all(&daemon->reconcile);
	plan_destroy(*plan);
	*plan = NULL;
	return ret;
}

static bool tenant_has_ike(const struct tenant *tenant)
{
	for (size_t i = 0; i < tenant->n_tunnels; i++) {
		if (tenant->tunnels[i]->ike != NULL)
			return true;
	}
	return tenant->n_remote_access > 0;
}

/* May `a` hold secrets of IKE that `b` does not? */
static bool secrets_differ(const struct model *a, const struct model *b)
{
	for (size_t i = 0; i < a->n_tenants; i++) {
		if (model_tenant(b, a->tenants[i]->name) != a->tenants[i] &&
		    tenant_has_ike(a->tenants[i]))
			return true;
	}
	return false;
}

/* Takes `effective`. */
static void desired_set(struct daemon *daemon, const struct model *model, struct model *effective)
{
	bool secrets =
		secrets_differ(daemon->desired, model) || secrets_differ(model, daemon->desired);
	struct model *copy = model_copy(model);

	if (copy == NULL || effective == NULL) {
		log_error("out of memory"); /* the store has it; a restart finds it there */
		abort();
	}
	model_destroy(daemon->desired);
	daemon->desired = copy;
	model_destroy(daemon->effective);
	daemon->effective = effective;
	session_lockouts_sweep(&daemon->sessions); /* a user may be back with the next change */
	if (secrets) {
		sessions_tell_secrets(&daemon->sessions);
		sessions_dismiss(&daemon->sessions);
	}
	ike_config_changed(daemon->ike_config);
}

/* The way back is given up. Should this fail, the next change or start takes care of it. */
static bool before_forget(struct store *store)
{
	if (store_begin(store) < 0)
		return false;
	if (store_forget_before(store) == 0 && store_commit(store) == 0)
		return true;
	store_abort(store);
	return false;
}

static void change_final(struct change *change, bool applied)
{
	struct daemon *daemon = change->daemon;
	struct changes *changes = &daemon->changes;
	char text[128];

	if (change->confirm_within > 0) {
		struct timeval delay = { .tv_sec = change->confirm_within };

		changes->confirming = true;
		changes->deadline = (uint64_t)time(NULL) + change->confirm_within;
		event_add(changes->confirm, &delay);
	} else if (change->rollback || before_forget(daemon->store)) {
		daemon_erase(daemon);
	}
	snprintf(text, sizeof(text), "generation %llu: %zu changes%s",
		 (unsigned long long)daemon->desired->generation, json_array_size(change->changes),
		 applied ? "" : ", not in the dataplane yet");
	daemon_event(daemon, "apply", text, NULL, NULL);
	change_reply(change, applied);
}

/* The dataplane said no: the store goes back as well. */
static void change_refused(struct change *change, const char *text)
{
	struct daemon *daemon = change->daemon;
	struct store *store = daemon->store;
	struct model *back = model_copy(change->now), *effective = NULL;
	char result[320];
	int ret = back == NULL ? -ENOMEM : store_begin(store);

	snprintf(result, sizeof(result), "refused by the dataplane, taken back: %s", text);
	if (back != NULL)
		back->generation = change->next->generation + 1;
	if (ret == 0)
		ret = store_write_model(store, change->next, back);
	if (ret == 0)
		ret = store_forget_before(store);
	if (ret == 0)
		ret = audit_add(store, change_caller(change), change_method(change),
				change->summary, result);
	if (back != NULL && sessions_follow(&daemon->sessions, back, &effective) < 0)
		ret = -ENOMEM;
	if (ret == 0)
		ret = store_commit(store);
	if (ret < 0)
		store_abort(store); /* the way back is on the disk: the next start takes it */
	if (back != NULL)
		desired_set(daemon, back, effective);
	if (ret == 0) {
		daemon->erase_owed |= daemon_loses(change->next, daemon->desired);
		daemon_erase(daemon);
	}
	model_destroy(back);
	if (daemon->reconcile.installed != NULL)
		daemon->reconcile.installed->generation = daemon->desired->generation;
	daemon_event(daemon, "refused", result, NULL, NULL);
	change_fail(change, RPC_DATAPLANE_REFUSED, NULL,
		    "the dataplane refused this, nothing was changed: %s", text);
}

static void change_sent(void *context, int error, const char *text)
{
	struct change *change = context;

	if (error == 0)
		change_final(change, true);
	else if (error == -ENOTCONN)
		change_final(change, false);
	else if (change->rollback) {
		reconcile_all(&change->daemon->reconcile);
		change_final(change, false);
	} else
		change_refused(change, text);
}

/* After all was looked at: were those that this change touched held back? */
void change_waited(struct change *change)
{
	struct reconcile *reconcile = &change->daemon->reconcile;
	bool refused = false;

	change->waits = false;
	if (!reconcile->connected || reconcile->installed == NULL) {
		change_final(change, false);
		return;
	}
	for (size_t i = 0; i < change->next->n_tenants; i++) {
		const struct tenant *tenant = change->next->tenants[i];

		if (model_tenant(change->now, tenant->name) != tenant)
			refused |= reconcile_holds(reconcile, tenant->id);
	}
	for (size_t i = 0; i < change->next->n_underlay; i++) {
		const struct attachment *underlay = change->next->underlay[i];

		if (model_underlay(change->now, underlay->name) != underlay)
			refused |= reconcile_holds(reconcile, 0);
	}
	if (refused && !change->rollback) {
		change_refused(change, reconcile->refusal);
		reconcile_all(reconcile);
	} else {
		change_final(change, !refused);
	}
}

static void change_send(struct change *change, struct plan *plan, const struct model *before)
{
	struct reconcile *reconcile = &change->daemon->reconcile;
	int ret;

	if (!reconcile->connected) {
		change_final(change, false);
		return;
	}
	change->daemon->changes.current = change;
	if (plan == NULL) {
		change->waits = true;
		reconcile_all(reconcile);
		return;
	}
	ret = reconcile_send(reconcile, plan, before, change->daemon->effective, change_sent,
			     change);
	if (ret < 0) {
		reconcile_all(reconcile);
		change_final(change, false);
	}
}

void change_store(struct change *change)
{
	struct model *before;
	struct plan *plan;

	if (change->daemon->changes.confirming && !change->rollback) {
		change_fail(change, RPC_CONFLICT, NULL,
			    "an apply waits for its confirmation: call config.confirm (kaidoctl "
			    "confirm), or wait until it is taken back");
		return;
	}
	change->next->generation = change->now->generation + 1;
	if (change_record(change, &plan) < 0) {
		change_fail_unwritable(change);
		return;
	}
	change->daemon->erase_owed |= daemon_loses(change->now, change->next);
	before = model_copy(change->daemon->effective);
	desired_set(change->daemon, change->next, change->effective);
	change->effective = NULL;
	change_send(change, before == NULL ? NULL : plan, before);
	model_destroy(before);
}
