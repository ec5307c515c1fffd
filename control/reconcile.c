/* SPDX-License-Identifier: BSD-3-Clause */
#include "reconcile_steps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "counters_map.h"
#include "dataplane_client.h"
#include "log.h"
#include "store.h"

/* One transaction under way: what it needs stays alive until the answer. */
struct push {
	struct reconcile *reconcile;
	struct plan *plan;
	struct model *now; /* NULL: all was looked at */
	struct model *next;
	reconcile_done done;
	void *context;
};

void reconcile_event(struct reconcile *reconcile, const char *kind, const char *tenant,
		     const char *tunnel, const char *text)
{
	reconcile->hooks.event(reconcile->hooks.context, kind, text, tenant, tunnel);
}

static bool is_held(const struct reconcile *reconcile, uint32_t tenant)
{
	for (size_t i = 0; i < reconcile->n_held; i++) {
		if (reconcile->held[i] == tenant)
			return true;
	}
	return false;
}

static void hold(struct reconcile *reconcile, uint32_t tenant)
{
	uint32_t *bigger =
		reallocarray(reconcile->held, reconcile->n_held + 1, sizeof(*reconcile->held));

	if (bigger == NULL)
		return;
	reconcile->held = bigger;
	bigger[reconcile->n_held++] = tenant;
}

bool reconcile_converged(const struct reconcile *reconcile)
{
	const struct model *desired = reconcile->hooks.desired(reconcile->hooks.context);

	return reconcile->connected && !reconcile->busy && reconcile->installed != NULL &&
	       reconcile->n_held == 0 && !reconcile->unsent &&
	       reconcile->installed->generation == desired->generation;
}

void reconcile_retry_in(struct reconcile *reconcile, unsigned int seconds)
{
	struct timeval delay = { .tv_sec = seconds };

	event_add(reconcile->retry, &delay);
}

void reconcile_work_ends(struct reconcile *reconcile)
{
	reconcile->busy = false;
	if (reconcile->again && reconcile->connected) {
		reconcile_dump(reconcile);
		return;
	}
	reconcile->hooks.idle(reconcile->hooks.context);
}

/* -- transactions -- */

static void push_free(struct push *push)
{
	plan_destroy(push->plan);
	model_destroy(push->now);
	model_destroy(push->next);
	free(push);
}

/* Only where it is what IKE negotiated can the one object go, and the others stay. */
static bool culprit_drop(struct reconcile *reconcile, const struct push *push, int error,
			 uint32_t index, const char *text)
{
	/* A change of what operators want is refused as a whole. */
	bool may = push->now == NULL || push->now->generation == push->next->generation;

	return may && error != -EBUSY && error != -ECANCELED && index < push->plan->n &&
	       reconcile->hooks.refused(reconcile->hooks.context, push->plan->steps[index].object,
					text);
}

/* Which tenant made the dataplane refuse? UINT32_MAX: can't be told. */
static uint32_t culprit_find(const struct plan *plan, uint32_t index, const char **name)
{
	const struct plan_object *object;

	*name = NULL;
	if (index >= plan->n)
		return UINT32_MAX;
	object = plan->steps[index].object;
	*name = object->tenant_name;
	return object->tenant;
}

static void all_refused(struct reconcile *reconcile, const struct plan *plan, int error,
			uint32_t index, const char *text)
{
	const char *name;
	uint32_t tenant = culprit_find(plan, index, &name);
	char line[320];

	if (error == -EBUSY || error == -ECANCELED || tenant == UINT32_MAX ||
	    is_held(reconcile, tenant)) {
		snprintf(line, sizeof(line), "the dataplane refused the desired state: %s", text);
		reconcile_event(reconcile, "refused", NULL, NULL, line);
		reconcile_retry_in(reconcile, error == -EBUSY ? 1 : RECONCILE_RETRY_S);
		return;
	}
	hold(reconcile, tenant);
	snprintf(line, sizeof(line), "%s%s is held back, the dataplane refused it: %s",
		 tenant == 0 ? "the underlay" : "tenant ", tenant == 0 || name == NULL ? "" : name,
		 text);
	reconcile_event(reconcile, "refused", tenant == 0 ? NULL : name, NULL, line);
	snprintf(reconcile->refusal, sizeof(reconcile->refusal), "%s", text);
	reconcile_retry_in(reconcile, RECONCILE_RETRY_S);
	reconcile->again = true;
}

static void installed_set(struct reconcile *reconcile, const struct model *model)
{
	model_destroy(reconcile->installed);
	reconcile->installed = model_copy(model);
}

static void push_done(void *context, int error, uint32_t index, const char *text)
{
	struct push *push = context;
	struct reconcile *reconcile = push->reconcile;
	bool all = push->now == NULL;
	char line[160];

	if (error == 0) {
		reconcile_leases_follow(reconcile, push->plan);
		if (all) {
			leases_sweep(&reconcile->leases);
			lives_sweep(&reconcile->lives);
		}
		installed_set(reconcile, push->next);
		if (all) {
			snprintf(line, sizeof(line), "generation %llu is in the dataplane (%zu %s)",
				 (unsigned long long)push->next->generation, push->plan->n,
				 push->plan->n == 1 ? "step" : "steps");
			reconcile_event(reconcile,
					reconcile->n_held == 0 && !reconcile->unsent ? "converged"
										     : "partial",
					NULL, NULL, line);
		}
	} else if (error != -ENOTCONN) {
		reconcile_leases_take_back(reconcile, push->plan);
		if (culprit_drop(reconcile, push, error, index, text))
			reconcile->again = true;
		else if (all)
			all_refused(reconcile, push->plan, error, index, text);
		else
			reconcile->again = true; /* leases of what stays are found again */
	}
	if (push->done != NULL)
		push->done(push->context, error, text);
	push_free(push);
	reconcile_work_ends(reconcile);
}

static long push_fill(void *context, void *records, size_t room, uint16_t *type, uint32_t *count)
{
	struct push *push = context;

	return plan_fill(push->plan, records, room, type, count);
}

/* Takes the plan. */
int reconcile_push(struct reconcile *reconcile, struct plan *plan, const struct model *now,
		   const struct model *next, reconcile_done done, void *context)
{
	struct push *push = calloc(1, sizeof(*push));
	struct dataplane_transaction transaction = {
		/* 0 is the dataplane's word for empty; we may have to make it so. */
		.generation = next->generation == 0 ? 1 : next->generation,
		.fill = push_fill,
		.done = push_done,
	};
	int ret = -ENOMEM;

	if (push == NULL) {
		plan_destroy(plan);
		return -ENOMEM;
	}
	push->reconcile = reconcile;
	push->plan = plan;
	push->now = now == NULL ? NULL : model_copy(now);
	push->next = model_copy(next);
	push->done = done;
	push->context = context;
	transaction.context = push;
	if (push->next == NULL || (now != NULL && push->now == NULL))
		goto fail;
	reconcile->busy = true;
	if (plan->n == 0 &&
	    (next->generation == 0 || (now != NULL && now->generation == next->generation))) {
		push_done(push, 0, 0, "");
		return 0;
	}
	ret = dataplane_commit(reconcile->client, &transaction);
	if (ret == 0)
		return 0;
	reconcile->busy = false;
fail:
	reconcile_leases_take_back(reconcile, plan);
	push_free(push);
	return ret;
}

/* -- plans -- */

static bool sa_is_there(const struct reconcile *reconcile, const struct abi_sa *sa)
{
	const struct lease *lease = lease_find(&reconcile->leases, sa->id);
	const struct life *life = life_find(&reconcile->lives, sa->id);

	return life != NULL && life->live &&
	       (sa->direction == ABI_SA_IN || (lease != NULL && lease->live));
}

/* SAs whose numbers or life were used up were never sent: the dataplane doesn't have them. */
static void spent_leave(const struct reconcile *reconcile, struct plan_set *have)
{
	size_t kept = 0;

	for (size_t i = 0; i < have->n; i++) {
		const struct plan_object *object = &have->objects[i];

		if (object->kind == PLAN_SA && !sa_is_there(reconcile, &object->as.sa))
			continue;
		have->objects[kept++] = *object;
	}
	have->n = kept;
}

/* A tunnel that is the same in both tenants, or is placed by both or by none, leaves their routes alone. */
static bool routes_lead_alike(const struct tenant *now, const struct tenant *next)
{
	for (size_t i = 0; i < next->n_routes; i++) {
		const struct tunnel *a, *b;

		if (next->routes[i].kind != ABI_ROUTE_TUNNEL)
			continue;
		a = tenant_tunnel(now, next->routes[i].tunnel);
		b = tenant_tunnel(next, next->routes[i].tunnel);
		if (a != b && (a == NULL || b == NULL || a->id != b->id ||
			       (a->remote.family == 0) != (b->remote.family == 0)))
			return false;
	}
	return true;
}

/* Addresses that no client has lead nowhere. */
static bool pools_are_alike(const struct tenant *now, const struct tenant *next)
{
	if (now->n_remote_access != next->n_remote_access)
		return false;
	for (size_t i = 0; i < now->n_remote_access; i++) {
		const struct remote_access *a = now->remote_access[i], *b = next->remote_access[i];

		if (a->n_pools != b->n_pools ||
		    (a->n_pools > 0 &&
		     memcmp(a->pools, b->pools, a->n_pools * sizeof(*a->pools)) != 0))
			return false;
	}
	return true;
}

/* Are two states of a tenant the same, but for tunnels? */
static bool tenants_differ_by_tunnels(const struct tenant *now, const struct tenant *next)
{
	static_assert(sizeof(struct route) == 2 * sizeof(struct abi_address) + ABI_NAME_LEN +
						      sizeof(enum abi_route_kind),
		      "there are no gaps to compare");

	if (now->id != next->id || now->n_attachments != next->n_attachments ||
	    now->n_routes != next->n_routes)
		return false;
	for (size_t i = 0; i < now->n_attachments; i++) {
		if (now->attachments[i] != next->attachments[i])
			return false;
	}
	/* Their pools are routes. */
	if (now->n_remote_access != next->n_remote_access)
		return false;
	for (size_t i = 0; i < now->n_remote_access; i++) {
		if (now->remote_access[i] != next->remote_access[i])
			return false;
	}
	return (now->n_routes == 0 ||
		memcmp(now->routes, next->routes, now->n_routes * sizeof(*now->routes)) == 0) &&
	       routes_lead_alike(now, next) && pools_are_alike(now, next);
}

/* Tunnels never change, so one that is in both is looked at no further. */
static void tunnels_compare(const struct reconcile *reconcile, const struct tenant *now,
			    const struct tenant *next, struct plan_set *have, struct plan_set *want)
{
	size_t i = 0, k = 0;

	while (i < now->n_tunnels || k < next->n_tunnels) {
		const struct tunnel *a = i < now->n_tunnels ? now->tunnels[i] : NULL;
		const struct tunnel *b = k < next->n_tunnels ? next->tunnels[k] : NULL;
		int order = a == b ? 0 : a == NULL ? 1 : b == NULL ? -1 : strcmp(a->name, b->name);

		if (order <= 0 && a != b)
			plan_set_tunnel(have, reconcile->vault, now, a);
		if (order >= 0 && a != b)
			plan_set_tunnel(want, reconcile->vault, next, b);
		i += order <= 0;
		k += order >= 0;
	}
}

/* Either tenant may be NULL. What is held back is neither there nor to be told. */
static void tenant_compare(const struct reconcile *reconcile, const struct tenant *now,
			   const struct tenant *next, struct plan_set *have, struct plan_set *want)
{
	if (now == next || is_held(reconcile, now == NULL ? next->id : now->id))
		return;
	if (now != NULL && next != NULL && tenants_differ_by_tunnels(now, next)) {
		tunnels_compare(reconcile, now, next, have, want);
		return;
	}
	if (now != NULL)
		plan_set_tenant(have, reconcile->vault, now);
	if (next != NULL)
		plan_set_tenant(want, reconcile->vault, next);
}

static void models_compare(const struct reconcile *reconcile, const struct model *now,
			   const struct model *next, struct plan_set *have, struct plan_set *want)
{
	size_t i = 0, k = 0;

	for (size_t n = 0; n < now->n_underlay; n++) {
		if (model_underlay(next, now->underlay[n]->name) != now->underlay[n])
			plan_set_underlay(have, reconcile->vault, now->underlay[n]);
	}
	for (size_t n = 0; n < next->n_underlay; n++) {
		if (model_underlay(now, next->underlay[n]->name) != next->underlay[n])
			plan_set_underlay(want, reconcile->vault, next->underlay[n]);
	}
	while (i < now->n_tenants || k < next->n_tenants) {
		const struct tenant *a = i < now->n_tenants ? now->tenants[i] : NULL;
		const struct tenant *b = k < next->n_tenants ? next->tenants[k] : NULL;
		int order = a == b ? 0 : a == NULL ? 1 : b == NULL ? -1 : strcmp(a->name, b->name);

		tenant_compare(reconcile, order <= 0 ? a : NULL, order >= 0 ? b : NULL, have, want);
		i += order <= 0;
		k += order >= 0;
	}
}

int reconcile_prepare(struct reconcile *reconcile, const struct model *now,
		      const struct model *next, struct plan **out)
{
	struct plan_set have = { 0 }, want = { 0 };
	struct plan *plan;
	int ret;

	*out = NULL;
	/* What is held back is tried again with each change of what operators want. */
	if (!reconcile->connected || reconcile->installed == NULL || reconcile->unsent ||
	    reconcile->installed->generation != now->generation ||
	    (reconcile->n_held > 0 && now->generation != next->generation))
		return 0;
	models_compare(reconcile, now, next, &have, &want);
	spent_leave(reconcile, &have);
	plan = plan_create(reconcile->vault, &have, &want);
	if (plan == NULL)
		return -ENOMEM;
	ret = reconcile_leases_grant(reconcile, plan);
	if (ret < 0) {
		reconcile_leases_take_back(reconcile, plan);
		plan_destroy(plan);
		return ret;
	}
	*out = plan;
	return 0;
}

int reconcile_send(struct reconcile *reconcile, struct plan *plan, const struct model *now,
		   const struct model *next, reconcile_done done, void *context)
{
	return reconcile_push(reconcile, plan, now, next, done, context);
}

bool reconcile_holds(const struct reconcile *reconcile, uint32_t tenant)
{
	return is_held(reconcile, tenant);
}

void reconcile_all(struct reconcile *reconcile)
{
	reconcile->n_held = 0;
	if (reconcile->busy)
		reconcile->again = true;
	else if (reconcile->connected)
		reconcile_dump(reconcile);
}

static void retry_arrived(evutil_socket_t fd, short what, void *context)
{
	struct reconcile *reconcile = context;

	reconcile_all(reconcile);
}

/* -- connection -- */

static void counters_arrived(void *context, int error, int fd,
			     const struct abi_counters_reply *reply)
{
	struct reconcile *reconcile = context;

	if (error == 0)
		error = reply->boot == reconcile->hello.boot
				? counters_map_open(fd, reply->size, reply->boot, &reconcile->map)
				: -EPROTO;
	if (fd >= 0)
		close(fd);
	if (error != 0 && error != -ENOTCONN)
		log_error("the dataplane's counters can't be read (%s): leases can't be extended",
			  strerror(-error));
	if (reconcile->connected)
		reconcile_all(reconcile);
}

static void dataplane_up(void *context, const struct abi_hello_reply *hello, bool previous_gone)
{
	struct reconcile *reconcile = context;
	char line[160];

	if (reconcile->map != NULL) {
		reconcile->hooks.final(reconcile->hooks.context, reconcile->map);
		if (lives_save(&reconcile->lives, reconcile->map) < 0)
			log_error("what SAs have carried can't be saved: %s",
				  store_error(reconcile->store));
		if (previous_gone)
			leases_settle(&reconcile->leases, reconcile->map);
		counters_map_close(reconcile->map);
		reconcile->map = NULL;
	}
	reconcile->hello = *hello;
	reconcile->leases.boot = reconcile->lives.boot = hello->boot;
	reconcile->connected = true;
	reconcile->events_read = reconcile->hooks.read_last(reconcile->hooks.context, hello->boot);
	reconcile->events_asked = reconcile->events_refused = false;
	reconcile->n_held = 0;
	snprintf(line, sizeof(line), "kaido-dataplane %s is there, at generation %llu",
		 hello->version, (unsigned long long)hello->generation);
	reconcile_event(reconcile, "connected", NULL, NULL, line);
	reconcile->hooks.up(reconcile->hooks.context);
	if (dataplane_counters(reconcile->client, counters_arrived, reconcile) < 0)
		reconcile_all(reconcile);
}

static void dataplane_down(void *context, const char *why)
{
	struct reconcile *reconcile = context;
	char line[160];

	reconcile->connected = false;
	reconcile->again = false;
	model_destroy(reconcile->installed);
	reconcile->installed = NULL;
	leases_lost(&reconcile->leases);
	lives_lost(&reconcile->lives);
	event_del(reconcile->retry);
	snprintf(line, sizeof(line), "the dataplane is away: %s", why);
	reconcile_event(reconcile, "lost", NULL, NULL, line);
}

int reconcile_open(struct reconcile *reconcile, const char *path)
{
	struct dataplane_events events = { .up = dataplane_up,
					   .down = dataplane_down,
					   .context = reconcile };
	struct timeval second = { .tv_sec = 1 }, tenth = { .tv_usec = 100000 };

	leases_open(&reconcile->leases, reconcile->store);
	lives_open(&reconcile->lives, reconcile->store);
	reconcile->polled = reconcile_clock_ns();
	reconcile->second =
		event_new(reconcile->base, -1, EV_PERSIST, reconcile_second_passed, reconcile);
	reconcile->happened =
		event_new(reconcile->base, -1, EV_PERSIST, reconcile_events_due, reconcile);
	reconcile->retry = evtimer_new(reconcile->base, retry_arrived, reconcile);
	if (reconcile->second == NULL || reconcile->happened == NULL || reconcile->retry == NULL ||
	    event_add(reconcile->second, &second) < 0 || event_add(reconcile->happened, &tenth) < 0)
		return -ENOMEM;
	return dataplane_client_create(reconcile->base, path, &events, &reconcile->client);
}

void reconcile_close(struct reconcile *reconcile)
{
	dataplane_client_destroy(reconcile->client);
	if (reconcile->second != NULL)
		event_free(reconcile->second);
	if (reconcile->happened != NULL)
		event_free(reconcile->happened);
	if (reconcile->retry != NULL)
		event_free(reconcile->retry);
	leases_close(&reconcile->leases);
	lives_close(&reconcile->lives);
	counters_map_close(reconcile->map);
	model_destroy(reconcile->installed);
	plan_set_free(&reconcile->have);
	free(reconcile->held);
	free(reconcile->ports);
	free(reconcile->reasons);
}
