/* SPDX-License-Identifier: BSD-3-Clause */
#include "reconcile.h"

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

static void dump_start(struct reconcile *reconcile);

static void event_raise(struct reconcile *reconcile, const char *kind, const char *tenant,
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
	       reconcile->n_held == 0 && reconcile->installed->generation == desired->generation;
}

static void retry_in(struct reconcile *reconcile, unsigned int seconds)
{
	struct timeval delay = { .tv_sec = seconds };

	event_add(reconcile->retry, &delay);
}

static void work_ends(struct reconcile *reconcile)
{
	reconcile->busy = false;
	if (reconcile->again && reconcile->connected) {
		dump_start(reconcile);
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

/* What the plan would have installed is not there. */
static void leases_take_back(struct reconcile *reconcile, const struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		if (plan->steps[i].type == ABI_SA_SET)
			lease_forget(&reconcile->leases, plan->steps[i].object->as.sa.id);
	}
}

static void leases_follow(struct reconcile *reconcile, const struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		uint32_t id = plan->steps[i].object->as.sa.id;

		if (plan->steps[i].type == ABI_SA_DELETE &&
		    plan_set_find(&plan->want, PLAN_SA, id) == NULL)
			lease_forget(&reconcile->leases, id);
	}
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
		event_raise(reconcile, "refused", NULL, NULL, line);
		retry_in(reconcile, error == -EBUSY ? 1 : RECONCILE_RETRY_S);
		return;
	}
	hold(reconcile, tenant);
	snprintf(line, sizeof(line), "%s%s is held back, the dataplane refused it: %s",
		 tenant == 0 ? "the underlay" : "tenant ", tenant == 0 || name == NULL ? "" : name,
		 text);
	event_raise(reconcile, "refused", tenant == 0 ? NULL : name, NULL, line);
	snprintf(reconcile->refusal, sizeof(reconcile->refusal), "%s", text);
	retry_in(reconcile, RECONCILE_RETRY_S);
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
		leases_follow(reconcile, push->plan);
		if (all)
			leases_sweep(&reconcile->leases);
		installed_set(reconcile, push->next);
		if (all) {
			snprintf(line, sizeof(line), "generation %llu is in the dataplane (%zu %s)",
				 (unsigned long long)push->next->generation, push->plan->n,
				 push->plan->n == 1 ? "step" : "steps");
			event_raise(reconcile, reconcile->n_held == 0 ? "converged" : "partial",
				    NULL, NULL, line);
		}
	} else if (error != -ENOTCONN) {
		leases_take_back(reconcile, push->plan);
		if (all)
			all_refused(reconcile, push->plan, error, index, text);
		else
			reconcile->again = true; /* leases of what stays are found again */
	}
	if (push->done != NULL)
		push->done(push->context, error, text);
	push_free(push);
	work_ends(reconcile);
}

static long push_fill(void *context, void *records, size_t room, uint16_t *type, uint32_t *count)
{
	struct push *push = context;

	return plan_fill(push->plan, records, room, type, count);
}

/* Takes the plan. */
static int push_start(struct reconcile *reconcile, struct plan *plan, const struct model *now,
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
	if (next->generation == 0 && plan->n == 0) {
		push_done(push, 0, 0, "");
		return 0;
	}
	ret = dataplane_commit(reconcile->client, &transaction);
	if (ret == 0)
		return 0;
	reconcile->busy = false;
fail:
	leases_take_back(reconcile, plan);
	push_free(push);
	return ret;
}

/* -- plans -- */

static void used_up(void *context, const struct lease *lease)
{
	struct reconcile *reconcile = context;
	const struct model *desired = reconcile->hooks.desired(reconcile->hooks.context);
	const char *tenant = NULL, *tunnel = NULL;
	char line[256];

	for (size_t i = 0; i < desired->n_tenants; i++) {
		for (size_t k = 0; k < desired->tenants[i]->n_tunnels; k++) {
			const struct tunnel *t = desired->tenants[i]->tunnels[k];

			for (size_t n = 0; n < t->n_sas; n++) {
				if (t->sas[n].id != lease->id)
					continue;
				tenant = desired->tenants[i]->name;
				tunnel = t->name;
			}
		}
	}
	snprintf(
		line, sizeof(line),
		"an outbound SA of tunnel '%s' of tenant '%s' nears its last sequence number: give "
		"it a new SA with a new key",
		tunnel == NULL ? "?" : tunnel, tenant == NULL ? "?" : tenant);
	event_raise(reconcile, "rekey", tenant, tunnel, line);
}

/* Leases for what is to be set; an SA without any number left is left out. */
static int leases_grant(struct reconcile *reconcile, struct plan *plan)
{
	size_t kept = 0;
	int ret;

	for (size_t i = 0; i < plan->n; i++) {
		struct plan_step *step = &plan->steps[i];

		if (step->type == ABI_SA_SET && step->object->as.sa.direction == ABI_SA_OUT) {
			ret = lease_install(&reconcile->leases, step->object->sa,
					    &step->object->as.sa);
			if (ret == -EDQUOT) {
				struct lease spent = { .id = step->object->as.sa.id };

				used_up(reconcile, &spent);
				continue;
			}
			if (ret < 0)
				return ret;
		}
		plan->steps[kept++] = *step;
	}
	plan->n = kept;
	return 0;
}

/* Outbound SAs that the dataplane has and keeps: their leases go on. */
static int leases_adopt(struct reconcile *reconcile, const struct plan *plan)
{
	for (size_t i = 0; i < plan->want.n; i++) {
		const struct plan_object *want = &plan->want.objects[i];
		const struct plan_object *have;
		int ret;

		if (want->kind != PLAN_SA || want->as.sa.direction != ABI_SA_OUT || want->touched)
			continue;
		have = plan_set_find(&plan->have, PLAN_SA, want->as.sa.id);
		if (have == NULL)
			continue;
		ret = lease_adopt(&reconcile->leases, want->sa, &have->as.sa);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Outbound SAs whose numbers were used up were never sent: the dataplane doesn't have them. */
static void spent_leave(const struct reconcile *reconcile, struct plan_set *have)
{
	size_t kept = 0;

	for (size_t i = 0; i < have->n; i++) {
		const struct plan_object *object = &have->objects[i];

		if (object->kind == PLAN_SA && object->as.sa.direction == ABI_SA_OUT) {
			const struct lease *lease =
				lease_find(&reconcile->leases, object->as.sa.id);

			if (lease == NULL || !lease->live)
				continue;
		}
		have->objects[kept++] = *object;
	}
	have->n = kept;
}

int reconcile_prepare(struct reconcile *reconcile, const struct model *now,
		      const struct model *next, struct plan **out)
{
	struct plan_set have = { 0 }, want = { 0 };
	struct plan *plan;
	int ret;

	*out = NULL;
	if (!reconcile->connected || reconcile->installed == NULL || reconcile->n_held > 0 ||
	    reconcile->installed->generation != now->generation)
		return 0;
	for (size_t i = 0; i < now->n_underlay; i++) {
		if (model_underlay(next, now->underlay[i]->name) != now->underlay[i])
			plan_set_underlay(&have, reconcile->vault, now->underlay[i]);
	}
	for (size_t i = 0; i < next->n_underlay; i++) {
		if (model_underlay(now, next->underlay[i]->name) != next->underlay[i])
			plan_set_underlay(&want, reconcile->vault, next->underlay[i]);
	}
	for (size_t i = 0; i < now->n_tenants; i++) {
		if (model_tenant(next, now->tenants[i]->name) != now->tenants[i])
			plan_set_tenant(&have, reconcile->vault, now->tenants[i]);
	}
	for (size_t i = 0; i < next->n_tenants; i++) {
		if (model_tenant(now, next->tenants[i]->name) != next->tenants[i])
			plan_set_tenant(&want, reconcile->vault, next->tenants[i]);
	}
	spent_leave(reconcile, &have);
	plan = plan_create(reconcile->vault, &have, &want);
	if (plan == NULL)
		return -ENOMEM;
	ret = leases_grant(reconcile, plan);
	if (ret < 0) {
		leases_take_back(reconcile, plan);
		plan_destroy(plan);
		return ret;
	}
	*out = plan;
	return 0;
}

int reconcile_send(struct reconcile *reconcile, struct plan *plan, const struct model *now,
		   const struct model *next, reconcile_done done, void *context)
{
	return push_start(reconcile, plan, now, next, done, context);
}

/* -- looking at everything -- */

static struct plan *plan_all(struct reconcile *reconcile, const struct model *desired)
{
	struct plan_set want = { 0 };

	for (size_t i = 0; i < desired->n_underlay; i++)
		plan_set_underlay(&want, reconcile->vault, desired->underlay[i]);
	for (size_t i = 0; i < desired->n_tenants; i++)
		plan_set_tenant(&want, reconcile->vault, desired->tenants[i]);
	plan_set_sort(&reconcile->have);
	plan_set_owners(&reconcile->have);
	for (size_t i = 0; i < reconcile->n_held; i++) {
		plan_set_without(&want, reconcile->held[i]);
		plan_set_without(&reconcile->have, reconcile->held[i]);
	}
	return plan_create(reconcile->vault, &reconcile->have, &want);
}

static int plan_record(struct reconcile *reconcile, struct plan *plan)
{
	int ret = store_begin(reconcile->store);

	if (ret == 0)
		ret = leases_adopt(reconcile, plan);
	if (ret == 0)
		ret = leases_grant(reconcile, plan);
	if (ret == 0)
		ret = store_commit(reconcile->store);
	if (ret == 0)
		return 0;
	store_abort(reconcile->store);
	leases_take_back(reconcile, plan);
	return ret;
}

static void dump_ends(struct reconcile *reconcile)
{
	const struct model *desired = reconcile->hooks.desired(reconcile->hooks.context);
	struct plan *plan = plan_all(reconcile, desired);
	char line[320];
	int ret;

	if (plan == NULL) {
		ret = -ENOMEM;
		goto fail;
	}
	ret = plan_record(reconcile, plan);
	if (ret < 0) {
		snprintf(line, sizeof(line),
			 "leases can't be recorded, so nothing is installed: %s",
			 store_error(reconcile->store));
		event_raise(reconcile, "lease", NULL, NULL, line);
		plan_destroy(plan);
		goto fail;
	}
	if (push_start(reconcile, plan, NULL, desired, NULL, NULL) == 0)
		return;
fail:
	retry_in(reconcile, 5);
	work_ends(reconcile);
}

static void dump_take(void *context, enum abi_dump_kind kind, const void *records, uint32_t count)
{
	struct reconcile *reconcile = context;

	plan_set_dump(&reconcile->have, kind, records, count);
}

#define DUMP_TAKE(name, kind)                                                \
	static void name(void *context, const void *records, uint32_t count) \
	{                                                                    \
		dump_take(context, kind, records, count);                    \
	}
DUMP_TAKE(tenants_take, ABI_DUMP_TENANT)
DUMP_TAKE(attachments_take, ABI_DUMP_ATTACHMENT)
DUMP_TAKE(tunnels_take, ABI_DUMP_TUNNEL)
DUMP_TAKE(sas_take, ABI_DUMP_SA)
DUMP_TAKE(routes_take, ABI_DUMP_ROUTE)
DUMP_TAKE(neighbours_take, ABI_DUMP_NEIGHBOUR)

static void *records_append(void *all, size_t *n, const void *records, uint32_t count, size_t size)
{
	uint8_t *bigger = reallocarray(all, *n + count, size);

	if (bigger == NULL || count == 0)
		return bigger == NULL ? all : bigger;
	memcpy(bigger + *n * size, records, count * size);
	*n += count;
	return bigger;
}

static void ports_take(void *context, const void *records, uint32_t count)
{
	struct reconcile *reconcile = context;

	reconcile->ports = records_append(reconcile->ports, &reconcile->n_ports, records, count,
					  sizeof(struct abi_port));
}

static void reasons_take(void *context, const void *records, uint32_t count)
{
	struct reconcile *reconcile = context;

	reconcile->reasons = records_append(reconcile->reasons, &reconcile->n_reasons, records,
					    count, sizeof(struct abi_reason));
}

static void part_done(void *context, int error, const char *text)
{
	if (error != 0 && error != -ENOTCONN)
		log_warning("the dataplane can't be dumped: %s", text);
}

static void last_done(void *context, int error, const char *text)
{
	struct reconcile *reconcile = context;

	part_done(context, error, text);
	if (error == 0 && !reconcile->have.failed) {
		dump_ends(reconcile);
		return;
	}
	if (error != -ENOTCONN)
		retry_in(reconcile, 5);
	work_ends(reconcile);
}

static void dump_start(struct reconcile *reconcile)
{
	static const struct {
		enum abi_dump_kind kind;
		void (*take)(void *context, const void *records, uint32_t count);
	} parts[] = {
		{ ABI_DUMP_PORT, ports_take },
		{ ABI_DUMP_REASON, reasons_take },
		{ ABI_DUMP_TENANT, tenants_take },
		{ ABI_DUMP_ATTACHMENT, attachments_take },
		{ ABI_DUMP_NEIGHBOUR, neighbours_take },
		{ ABI_DUMP_TUNNEL, tunnels_take },
		{ ABI_DUMP_SA, sas_take },
		{ ABI_DUMP_ROUTE, routes_take },
	};
	const size_t n = sizeof(parts) / sizeof(parts[0]);

	reconcile->busy = true;
	reconcile->again = false;
	plan_set_free(&reconcile->have);
	reconcile->n_ports = reconcile->n_reasons = 0;
	for (size_t i = 0; i < n; i++) {
		int ret =
			dataplane_dump(reconcile->client, parts[i].kind, UINT32_MAX, parts[i].take,
				       i == n - 1 ? last_done : part_done, reconcile);

		if (ret == 0)
			continue;
		reconcile->busy = false;
		retry_in(reconcile, 5);
		return;
	}
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
		dump_start(reconcile);
}

static void retry_arrived(evutil_socket_t fd, short what, void *context)
{
	struct reconcile *reconcile = context;

	reconcile_all(reconcile);
}

/* -- leases -- */

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct grants {
	struct reconcile *reconcile;
	struct abi_sa_lease *records;
	size_t n;
	size_t next;
};

static long grants_fill(void *context, void *records, size_t room, uint16_t *type, uint32_t *count)
{
	struct grants *grants = context;
	size_t n = room / sizeof(*grants->records);

	if (n > grants->n - grants->next)
		n = grants->n - grants->next;
	memcpy(records, grants->records + grants->next, n * sizeof(*grants->records));
	grants->next += n;
	*type = ABI_SA_LEASE;
	*count = (uint32_t)n;
	return (long)(n * sizeof(*grants->records));
}

static void grants_done(void *context, int error, uint32_t index, const char *text)
{
	struct grants *grants = context;

	/* An SA may have gone meanwhile, which makes the others wait: look what there is. */
	if (error != 0 && error != -ENOTCONN)
		reconcile_all(grants->reconcile);
	free(grants->records);
	free(grants);
}

static void grants_send(struct reconcile *reconcile, struct abi_sa_lease *records, size_t n)
{
	struct grants *grants = calloc(1, sizeof(*grants));
	struct dataplane_transaction transaction = {
		.generation = reconcile->installed == NULL ? 0 : reconcile->installed->generation,
		.fill = grants_fill,
		.done = grants_done,
		.context = grants,
	};

	if (grants != NULL) {
		grants->reconcile = reconcile;
		grants->records = records;
		grants->n = n;
		if (dataplane_commit(reconcile->client, &transaction) == 0)
			return;
	}
	free(records);
	free(grants);
}

static void second_passed(evutil_socket_t fd, short what, void *context)
{
	struct reconcile *reconcile = context;
	struct abi_sa_lease *records;
	uint64_t now = clock_ns();
	double seconds = (double)(now - reconcile->polled) / 1e9;
	size_t n;
	int ret;

	reconcile->polled = now;
	if (!reconcile->connected || reconcile->map == NULL || reconcile->busy)
		return;
	ret = leases_poll(&reconcile->leases, reconcile->map, seconds, &records, &n, used_up,
			  reconcile);
	if (ret < 0 && !reconcile->lease_trouble)
		event_raise(reconcile, "lease", NULL, NULL,
			    "leases can't be extended, the state can't be written: tunnels stop "
			    "when their leases are used up");
	if (ret == 0 && reconcile->lease_trouble)
		event_raise(reconcile, "lease", NULL, NULL, "leases can be extended again");
	reconcile->lease_trouble = ret < 0;
	if (ret == 0 && n > 0)
		grants_send(reconcile, records, n);
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
		if (previous_gone)
			leases_settle(&reconcile->leases, reconcile->map);
		counters_map_close(reconcile->map);
		reconcile->map = NULL;
	}
	reconcile->hello = *hello;
	reconcile->leases.boot = hello->boot;
	reconcile->connected = true;
	reconcile->n_held = 0;
	snprintf(line, sizeof(line), "kaido-dataplane %s is there, at generation %llu",
		 hello->version, (unsigned long long)hello->generation);
	event_raise(reconcile, "connected", NULL, NULL, line);
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
	event_del(reconcile->retry);
	snprintf(line, sizeof(line), "the dataplane is away: %s", why);
	event_raise(reconcile, "lost", NULL, NULL, line);
}

int reconcile_open(struct reconcile *reconcile, const char *path)
{
	struct dataplane_events events = { .up = dataplane_up,
					   .down = dataplane_down,
					   .context = reconcile };
	struct timeval second = { .tv_sec = 1 };

	leases_open(&reconcile->leases, reconcile->store);
	reconcile->polled = clock_ns();
	reconcile->second = event_new(reconcile->base, -1, EV_PERSIST, second_passed, reconcile);
	reconcile->retry = evtimer_new(reconcile->base, retry_arrived, reconcile);
	if (reconcile->second == NULL || reconcile->retry == NULL ||
	    event_add(reconcile->second, &second) < 0)
		return -ENOMEM;
	return dataplane_client_create(reconcile->base, path, &events, &reconcile->client);
}

void reconcile_close(struct reconcile *reconcile)
{
	dataplane_client_destroy(reconcile->client);
	if (reconcile->second != NULL)
		event_free(reconcile->second);
	if (reconcile->retry != NULL)
		event_free(reconcile->retry);
	leases_close(&reconcile->leases);
	counters_map_close(reconcile->map);
	model_destroy(reconcile->installed);
	plan_set_free(&reconcile->have);
	free(reconcile->held);
	free(reconcile->ports);
	free(reconcile->reasons);
}
