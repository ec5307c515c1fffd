/* SPDX-License-Identifier: BSD-3-Clause */
#include "change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "audit.h"
#include "daemon.h"
#include "log.h"
#include "store.h"

/* Until a dataplane has told its own; ids start small anyway. */
static const uint32_t default_capacity[ID_KINDS] = { 1u << 14, 1u << 15, 1u << 16, 1u << 18 };
static const char *const id_names[ID_KINDS] = { "last-tenant", "last-attachment", "last-tunnel",
						"last-sa" };

static void change_free(struct change *change)
{
	config_destroy(change->config);
	model_destroy(change->now);
	model_destroy(change->next);
	json_decref(change->changes);
	reader_close(&change->reader);
	free(change);
}

static const struct rpc_caller *caller_of(const struct change *change)
{
	return change->request == NULL ? NULL : rpc_request_caller(change->request);
}

static const char *method_of(const struct change *change)
{
	return change->request == NULL ? "rollback" : rpc_request_method(change->request);
}

/* The end of every change. */
static void change_end(struct change *change)
{
	struct changes *changes = &change->daemon->changes;

	if (changes->current == change)
		changes->current = NULL;
	change_free(change);
	event_active(changes->runner, EV_TIMEOUT, 0);
}

/* An attempt is in the work log as well; where that can't be written, its answer says enough. */
static void failure_record(struct change *change, const char *text)
{
	char result[320];

	if (change->request == NULL || change->dry_run || change->recorded)
		return;
	snprintf(result, sizeof(result), "not done: %.300s", text);
	if (audit_write(change->daemon->store, caller_of(change), method_of(change),
			change->summary, result) < 0)
		log_warning("work log: %s", store_error(change->daemon->store));
}

__attribute__((format(printf, 4, 5))) static void change_fail(struct change *change, int code,
							      json_t *data, const char *format, ...)
{
	char text[640];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	failure_record(change, text);
	if (change->request != NULL) {
		rpc_fail(change->request, code, data, "%s", text);
	} else {
		json_decref(data);
		log_error("rollback: %s", text);
	}
	change_end(change);
}

static void change_reply(struct change *change, bool applied)
{
	struct daemon *daemon = change->daemon;

	if (change->request != NULL)
		rpc_reply(change->request,
			  json_pack("{s:I, s:O, s:b}", "generation",
				    (json_int_t)daemon->desired->generation, "changes",
				    change->changes, "applied", applied));
	change_end(change);
}

static void store_fail_reply(struct change *change)
{
	change_fail(change, RPC_READ_ONLY, NULL,
		    "the state can't be written, nothing was changed: %s; make room or make it "
		    "writable, and try again",
		    store_error(change->daemon->store));
}

/* -- checking -- */

/* Pointers into the assembled config become pointers into what the caller sent. */
static void pointers_translate(struct change *change)
{
	size_t length = strlen(change->focus), i;
	json_t *error;

	if (change->whole_config)
		return;
	json_array_foreach (change->reader.errors, i, error) {
		const char *pointer = json_string_value(json_object_get(error, "pointer"));
		char text[1024];

		if (pointer == NULL)
			continue;
		if (length > 0 && strncmp(pointer, change->focus, length) == 0 &&
		    (pointer[length] == '/' || pointer[length] == '\0'))
			snprintf(text, sizeof(text), "%s%s", change->focus_name, pointer + length);
		else if (strncmp(pointer, change->focus_name, strlen(change->focus_name)) == 0)
			continue;
		else
			text[0] = '\0'; /* elsewhere: the message names it */
		json_object_set_new(error, "pointer", json_string(text));
	}
}

static bool change_check(struct change *change)
{
	struct config *config = change->config;
	struct config_reader *reader = &change->reader;

	for (size_t i = 0; i < config->n_tenants; i++) {
		size_t mark = reader_enter(reader, "tenants");

		reader_enter_index(reader, i);
		config_check_tenant(reader, config->tenants[i]);
		reader_leave(reader, mark);
	}
	config_check_model(reader, config, change->next);
	if (reader->n_errors == 0 && !reader->failed)
		return true;
	pointers_translate(change);
	if (reader->failed)
		change_fail(change, RPC_INTERNAL, NULL, "out of memory: try again later");
	else
		change_fail(change, RPC_INVALID_PARAMS,
			    json_pack("{s:O}", "errors", reader->errors),
			    "%zu %s in the configuration, nothing was changed", reader->n_errors,
			    reader->n_errors == 1 ? "mistake" : "mistakes");
	return false;
}

/* The candidate: the present model without what goes, with what comes. */
static int candidate_make(struct change *change)
{
	struct config *config = change->config;
	int ret = 0;

	if (change->gone_tenant != NULL)
		model_remove_tenant(change->next, change->gone_tenant);
	if (change->gone_underlay != NULL)
		model_remove_underlay(change->next, change->gone_underlay);
	for (size_t i = change->next->n_tenants; change->prune && i-- > 0;)
		model_remove_tenant(change->next, change->next->tenants[i]->name);
	for (size_t i = change->next->n_underlay; change->prune && i-- > 0;)
		model_remove_underlay(change->next, change->next->underlay[i]->name);
	/* A mistaken name is empty; the check tells of it. */
	for (size_t i = 0; i < config->n_tenants && ret == 0; i++) {
		if (config->tenants[i]->name[0] != '\0')
			ret = model_put_tenant(change->next, tenant_hold(config->tenants[i]));
	}
	for (size_t i = 0; i < config->n_underlay && ret == 0; i++) {
		if (config->underlay[i]->name[0] != '\0')
			ret = model_put_underlay(change->next,
						 attachment_hold(config->underlay[i]));
	}
	return ret;
}

/* A key whose numbers are all used must not come back. */
static bool keys_have_numbers(struct change *change)
{
	const struct model *next = change->next;

	for (size_t i = 0; i < next->n_tenants; i++) {
		const struct tenant *tenant = next->tenants[i];

		if (model_tenant(change->now, tenant->name) == tenant)
			continue;
		for (size_t k = 0; k < tenant->n_tunnels; k++) {
			for (size_t n = 0; n < tenant->tunnels[k]->n_sas; n++) {
				const struct sa *sa = &tenant->tunnels[k]->sas[n];
				const struct lease *lease =
					lease_find(&change->daemon->reconcile.leases, sa->id);
				uint64_t granted;

				if (sa->direction != ABI_SA_OUT || sa->esn ||
				    (lease != NULL &&
				     memcmp(lease->digest, sa->digest, sizeof(sa->digest)) == 0) ||
				    store_lease_get(change->daemon->store, sa->digest, &granted) <
					    0 ||
				    granted < LEASE_END)
					continue;
				change_fail(change, RPC_CONFLICT, NULL,
					    "the key of outbound SA 0x%x of tunnel '%s' of tenant "
					    "'%s' has used up its sequence numbers: make a new key",
					    sa->spi, tenant->tunnels[k]->name, tenant->name);
				return false;
			}
		}
	}
	return true;
}

/* -- storing and sending -- */

static bool models_differ(const struct model *a, const struct model *b)
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

static int ids_record(struct daemon *daemon)
{
	int ret = 0;

	for (unsigned int kind = 0; kind < ID_KINDS && ret == 0; kind++)
		ret = store_set_number(daemon->store, id_names[kind],
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
		ret = ids_record(daemon);
	if (ret == 0)
		ret = store_forget_before(store);
	if (ret == 0 && !change->rollback && provisional)
		ret = store_save_before(store, change->now, change->next, deadline);
	if (ret == 0)
		ret = reconcile_prepare(&daemon->reconcile, change->now, change->next, plan);
	if (ret == 0)
		ret = audit_add(store, caller_of(change), method_of(change), change->summary,
				change->rollback ? "rolled back" : "stored");
	if (ret == 0)
		ret = store_commit(store);
	if (ret == 0) {
		change->recorded = true;
		return 0;
	}
	store_abort(store);
	if (*plan != NULL) /* leases that it took in memory are found again in the dataplane */
		reconcile_all(&daemon->reconcile);
	plan_destroy(*plan);
	*plan = NULL;
	return ret;
}

static void desired_set(struct daemon *daemon, const struct model *model)
{
	struct model *copy = model_copy(model);

	if (copy == NULL) {
		log_error("out of memory"); /* the store has it; a restart finds it there */
		abort();
	}
	model_destroy(daemon->desired);
	daemon->desired = copy;
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
	} else if (!change->rollback && store_begin(daemon->store) == 0) {
		/* Should this fail, the next change or start takes care of it. */
		if (store_forget_before(daemon->store) < 0 || store_commit(daemon->store) < 0)
			store_abort(daemon->store);
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
	struct model *back = model_copy(change->now);
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
		ret = audit_add(store, caller_of(change), method_of(change), change->summary,
				result);
	if (ret == 0)
		ret = store_commit(store);
	if (ret < 0)
		store_abort(store); /* the way back is on the disk: the next start takes it */
	if (back != NULL)
		desired_set(daemon, back);
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
static void change_waited(struct change *change)
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

static void change_send(struct change *change, struct plan *plan)
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
	ret = reconcile_send(reconcile, plan, change->now, change->next, change_sent, change);
	if (ret < 0) {
		reconcile_all(reconcile);
		change_final(change, false);
	}
}

static void change_store(struct change *change)
{
	struct plan *plan;

	if (change->daemon->changes.confirming && !change->rollback) {
		change_fail(change, RPC_CONFLICT, NULL,
			    "an apply waits for its confirmation: call config.confirm (kaidoctl "
			    "confirm), or wait until it is taken back");
		return;
	}
	change->next->generation = change->now->generation + 1;
	if (change_record(change, &plan) < 0) {
		store_fail_reply(change);
		return;
	}
	desired_set(change->daemon, change->next);
	change_send(change, plan);
}

static void change_run(struct change *change)
{
	struct daemon *daemon = change->daemon;
	json_t *params = rpc_request_params(change->request);
	int ret;

	change->now = model_copy(daemon->desired);
	change->next = model_copy(daemon->desired);
	change->config = calloc(1, sizeof(*change->config));
	change->context = (struct config_context){ .vault = daemon->vault,
						   .current = change->now,
						   .reader = &change->reader };
	if (change->now == NULL || change->next == NULL || change->config == NULL ||
	    reader_open(&change->reader) < 0) {
		change_fail(change, RPC_INTERNAL, NULL, "out of memory: try again later");
		return;
	}
	if (change->build(change, params) < 0) {
		change->request = NULL; /* answered, and nothing was asked for that could be done */
		change_end(change);
		return;
	}
	if (candidate_make(change) < 0) {
		change_fail(change, RPC_INTERNAL, NULL, "out of memory: try again later");
		return;
	}
	if (!change_check(change))
		return;
	for (size_t i = 0; i < change->config->n_tenants; i++)
		config_sort_tenant(change->config->tenants[i]);
	change->changes = merge_model(change->now, change->next, &daemon->changes.ids, &ret);
	if (change->changes == NULL) {
		change_fail(change, RPC_CONFLICT, NULL, "%s",
			    ret == -ENOSPC ? "the gateway is full: remove what is not needed, or "
					     "start the dataplane with larger tables"
					   : "out of memory: try again later");
		return;
	}
	if (change->dry_run || !models_differ(change->now, change->next)) {
		change_reply(change, !change->dry_run && reconcile_converged(&daemon->reconcile));
		return;
	}
	if (keys_have_numbers(change))
		change_store(change);
}

/* -- the queue -- */

void changes_run(struct daemon *daemon)
{
	struct changes *changes = &daemon->changes;
	struct change *change = changes->current;

	if (daemon->reconcile.busy)
		return;
	if (change != NULL) {
		if (change->waits)
			change_waited(change);
		return;
	}
	change = STAILQ_FIRST(&changes->queue);
	if (change == NULL)
		return;
	STAILQ_REMOVE_HEAD(&changes->queue, link);
	if (change->rollback)
		change_store(change);
	else
		change_run(change);
}

static void runner(evutil_socket_t fd, short what, void *context)
{
	changes_run(context);
}

void change_submit(struct daemon *daemon, struct rpc_request *request,
		   int (*build)(struct change *change, json_t *params))
{
	struct change *change = calloc(1, sizeof(*change));

	if (change == NULL) {
		rpc_fail(request, RPC_INTERNAL, NULL, "out of memory: try again later");
		return;
	}
	change->daemon = daemon;
	change->request = request;
	change->build = build;
	snprintf(change->summary, sizeof(change->summary), "%s", rpc_request_method(request));
	STAILQ_INSERT_TAIL(&daemon->changes.queue, change, link);
	event_active(daemon->changes.runner, EV_TIMEOUT, 0);
}

/* -- the way back -- */

static int rollback_submit(struct daemon *daemon, const char *why)
{
	struct change *change = calloc(1, sizeof(*change));
	uint64_t deadline;
	int ret;

	if (change == NULL)
		return -ENOMEM;
	change->daemon = daemon;
	change->rollback = true;
	change->changes = json_array();
	change->now = model_copy(daemon->desired);
	snprintf(change->summary, sizeof(change->summary), "%s", why);
	ret = change->changes == NULL || change->now == NULL
		      ? -ENOMEM
		      : store_load_before(daemon->store, daemon->vault, daemon->desired,
					  &change->next, &deadline);
	if (ret <= 0) {
		change_free(change);
		return ret;
	}
	log_warning("%s", why);
	daemon_event(daemon, "rollback", why, NULL, NULL);
	STAILQ_INSERT_HEAD(&daemon->changes.queue, change, link);
	event_active(daemon->changes.runner, EV_TIMEOUT, 0);
	return 0;
}

static void confirm_missed(evutil_socket_t fd, short what, void *context)
{
	struct daemon *daemon = context;

	daemon->changes.confirming = false;
	if (rollback_submit(daemon, "an apply was not confirmed in time: taken back") < 0)
		log_error("an apply that was not confirmed can't be taken back: %s",
			  store_error(daemon->store));
}

int changes_confirm(struct daemon *daemon, const struct rpc_caller *caller)
{
	struct store *store = daemon->store;
	int ret;

	if (!daemon->changes.confirming)
		return -ENOENT;
	ret = store_begin(store);
	if (ret == 0)
		ret = store_forget_before(store);
	if (ret == 0)
		ret = audit_add(store, caller, "config.confirm", "the last apply stays", "ok");
	if (ret == 0)
		ret = store_commit(store);
	if (ret < 0) {
		store_abort(store);
		return ret;
	}
	daemon->changes.confirming = false;
	event_del(daemon->changes.confirm);
	return 0;
}

/* What the last kaidod left open: at once, or at its deadline. */
static int before_restore(struct daemon *daemon)
{
	struct changes *changes = &daemon->changes;
	uint64_t deadline = 0, now = (uint64_t)time(NULL);
	struct model *before = NULL;
	int ret = store_load_before(daemon->store, daemon->vault, daemon->desired, &before,
				    &deadline);

	model_destroy(before);
	if (ret <= 0)
		return ret;
	if (deadline > now) {
		struct timeval delay = { .tv_sec = (time_t)(deadline - now) };

		changes->confirming = true;
		changes->deadline = deadline;
		return event_add(changes->confirm, &delay) < 0 ? -ENOMEM : 0;
	}
	return rollback_submit(
		daemon, deadline == 0 ? "a change was under way when kaidod ended: taken back"
				      : "an apply was not confirmed in time: taken back");
}

int changes_open(struct daemon *daemon)
{
	struct changes *changes = &daemon->changes;
	uint64_t last;
	int ret;

	STAILQ_INIT(&changes->queue);
	changes->confirm = evtimer_new(daemon->base, confirm_missed, daemon);
	changes->runner = event_new(daemon->base, -1, 0, runner, daemon);
	if (changes->confirm == NULL || changes->runner == NULL)
		return -ENOMEM;
	for (unsigned int kind = 0; kind < ID_KINDS; kind++) {
		changes->ids.capacity[kind] = default_capacity[kind];
		ret = store_get_number(daemon->store, id_names[kind], 0, &last);
		if (ret < 0)
			return ret;
		changes->ids.last[kind] = (uint32_t)last;
	}
	return before_restore(daemon);
}

void changes_close(struct daemon *daemon)
{
	struct changes *changes = &daemon->changes;
	struct change *change;

	if (changes->runner == NULL)
		return;
	while ((change = STAILQ_FIRST(&changes->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&changes->queue, link);
		change_free(change);
	}
	if (changes->current != NULL)
		change_free(changes->current);
	event_free(changes->confirm);
	event_free(changes->runner);
}
