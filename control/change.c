/* SPDX-License-Identifier: BSD-3-Clause */
#include "change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "audit.h"
#include "change_steps.h"
#include "daemon.h"
#include "log.h"
#include "session_batch.h"
#include "store.h"

/* Until a dataplane has told its own; ids start small anyway. */
static const uint32_t default_capacity[ID_KINDS] = { 1u << 14, 1u << 15, 1u << 16, 1u << 18 };
const char *const change_id_names[ID_KINDS] = { "last-tenant", "last-attachment", "last-tunnel",
						"last-sa" };

void change_free(struct change *change)
{
	config_destroy(change->config);
	model_destroy(change->now);
	model_destroy(change->next);
	model_destroy(change->effective);
	json_decref(change->changes);
	reader_close(&change->reader);
	free(change);
}

const struct rpc_caller *change_caller(const struct change *change)
{
	return change->request == NULL ? NULL : rpc_request_caller(change->request);
}

const char *change_method(const struct change *change)
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
	if (audit_write(change->daemon->store, change_caller(change), change_method(change),
			change->summary, result) < 0)
		log_warning("work log: %s", store_error(change->daemon->store));
}

void change_fail(struct change *change, int code, json_t *data, const char *format, ...)
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

void change_reply(struct change *change, bool applied)
{
	struct daemon *daemon = change->daemon;

	if (change->request != NULL)
		rpc_reply(change->request,
			  json_pack("{s:I, s:O, s:b}", "generation",
				    (json_int_t)daemon->desired->generation, "changes",
				    change->changes, "applied", applied));
	change_end(change);
}

void change_fail_unwritable(struct change *change)
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

/* The same SA stands in the present model: nothing is brought back by it. */
static bool sa_is_known(const struct model *now, const char *tenant, const char *tunnel,
			const struct sa *sa)
{
	const struct tenant *t = model_tenant(now, tenant);
	const struct tunnel *u = t == NULL ? NULL : tenant_tunnel(t, tunnel);
	const struct sa *known = u == NULL ? NULL : tunnel_sa(u, sa->direction, sa->spi);

	return known != NULL && memcmp(known->digest, sa->digest, sizeof(sa->digest)) == 0;
}

/* An SA that is beyond its hard lifetime must not come back either. */
static bool keys_have_time(struct change *change)
{
	const struct model *next = change->next;

	for (size_t i = 0; i < next->n_tenants; i++) {
		const struct tenant *tenant = next->tenants[i];

		if (model_tenant(change->now, tenant->name) == tenant)
			continue;
		for (size_t k = 0; k < tenant->n_tunnels; k++) {
			const struct tunnel *tunnel = tenant->tunnels[k];

			for (size_t n = 0; n < tunnel->n_sas; n++) {
				const struct sa *sa = &tunnel->sas[n];

				if (sa_is_known(change->now, tenant->name, tunnel->name, sa) ||
				    !life_is_over(change->daemon->store, sa))
					continue;
				change_fail(change, RPC_CONFLICT, NULL,
					    "the key of SA 0x%x of tunnel '%s' of tenant '%s' is "
					    "beyond its hard lifetime: make a new key",
					    sa->spi, tunnel->name, tenant->name);
				return false;
			}
		}
	}
	return true;
}

/* What IKE negotiated has its inbound SPIs and keys already. */
static bool sas_are_free(struct change *change)
{
	const struct sessions *sessions = &change->daemon->sessions;
	const struct model *next = change->next;

	for (size_t i = 0; i < next->n_tenants && sessions->n_sas > 0; i++) {
		const struct tenant *tenant = next->tenants[i];

		if (model_tenant(change->now, tenant->name) == tenant)
			continue;
		for (size_t k = 0; k < tenant->n_tunnels; k++) {
			for (size_t n = 0; n < tenant->tunnels[k]->n_sas; n++) {
				const struct sa *sa = &tenant->tunnels[k]->sas[n];

				if ((sa->direction != ABI_SA_IN ||
				     sessions_sa_by_spi(sessions, sa->spi) == NULL) &&
				    sessions_sa_by_digest(sessions, sa->digest) == NULL)
					continue;
				change_fail(
					change, RPC_CONFLICT, NULL,
					"SPI 0x%x of tunnel '%s' of tenant '%s', or its key, is in "
					"use by an SA that IKE negotiated: take another",
					sa->spi, tenant->tunnels[k]->name, tenant->name);
				return false;
			}
		}
	}
	return true;
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
	change_ids_mark(daemon);
	change->changes = merge_model(change->now, change->next, &daemon->changes.ids, &ret);
	if (change->changes == NULL) {
		change_fail(change, RPC_CONFLICT, NULL, "%s",
			    ret == -ENOSPC ? "the gateway is full: remove what is not needed, or "
					     "start the dataplane with larger tables"
					   : "out of memory: try again later");
		return;
	}
	if (change->dry_run || !change_differs(change->now, change->next)) {
		change_reply(change, !change->dry_run && reconcile_converged(&daemon->reconcile));
		return;
	}
	if (sas_are_free(change) && keys_have_numbers(change) && keys_have_time(change))
		change_store(change);
}

/* -- the queue -- */

static bool change_begin(struct changes *changes)
{
	struct change *change = STAILQ_FIRST(&changes->queue);

	if (change == NULL)
		return false;
	STAILQ_REMOVE_HEAD(&changes->queue, link);
	if (change->rollback)
		change_store(change);
	else
		change_run(change);
	return true;
}

/* Changes and what IKE negotiates go by turns, so that neither waits for an end of the other. */
void changes_run(struct daemon *daemon)
{
	struct changes *changes = &daemon->changes;

	if (daemon->reconcile.busy)
		return;
	if (changes->current != NULL) {
		if (changes->current->waits)
			change_waited(changes->current);
		return;
	}
	if (daemon->sessions.batch.busy) {
		sessions_waited(&daemon->sessions);
		return;
	}
	changes->turn = !changes->turn;
	if (changes->turn) {
		if (!change_begin(changes))
			sessions_run(&daemon->sessions);
	} else if (!sessions_run(&daemon->sessions)) {
		change_begin(changes);
	}
}

bool changes_pending(const struct daemon *daemon)
{
	const struct changes *changes = &daemon->changes;

	return changes->confirming || changes->current != NULL || !STAILQ_EMPTY(&changes->queue);
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

int changes_open(struct daemon *daemon)
{
	struct changes *changes = &daemon->changes;
	uint64_t last;
	int ret;

	STAILQ_INIT(&changes->queue);
	changes->confirm = evtimer_new(daemon->base, change_confirm_missed, daemon);
	changes->runner = event_new(daemon->base, -1, 0, runner, daemon);
	if (changes->confirm == NULL || changes->runner == NULL)
		return -ENOMEM;
	for (unsigned int kind = 0; kind < ID_KINDS; kind++) {
		changes->ids.capacity[kind] = default_capacity[kind];
		ret = store_get_number(daemon->store, change_id_names[kind], 0, &last);
		if (ret < 0)
			return ret;
		changes->ids.last[kind] = (uint32_t)last;
	}
	return change_back_restore(daemon);
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
	ids_close(&changes->ids);
}
