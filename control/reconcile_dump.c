/* SPDX-License-Identifier: BSD-3-Clause */
/* Asks the dataplane for all it has, and sends what differs. */
#include "reconcile_steps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane_client.h"
#include "log.h"
#include "store.h"

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

/* Adopts and grants leases, on the disk. */
static int plan_record(struct reconcile *reconcile, struct plan *plan)
{
	int ret = store_begin(reconcile->store);

	if (ret == 0)
		ret = reconcile_leases_adopt(reconcile, plan);
	if (ret == 0)
		ret = reconcile_leases_grant(reconcile, plan);
	if (ret == 0)
		ret = store_commit(reconcile->store);
	if (ret == 0)
		return 0;
	store_abort(reconcile->store);
	reconcile_leases_take_back(reconcile, plan);
	return ret;
}

/* Without a lease an SA must not send. What receives can be installed, if it has not ended. */
static void plan_without_senders(struct reconcile *reconcile, struct plan *plan)
{
	size_t kept = 0;

	for (size_t i = 0; i < plan->n; i++) {
		struct plan_object *object = plan->steps[i].object;

		if (plan->steps[i].type == ABI_SA_SET &&
		    (object->as.sa.direction == ABI_SA_OUT ||
		     reconcile_life_grant(reconcile, plan, object, false) < 0))
			continue;
		plan->steps[kept++] = plan->steps[i];
	}
	plan->n = kept;
}

static void dump_ends(struct reconcile *reconcile)
{
	const struct model *desired = reconcile->hooks.desired(reconcile->hooks.context);
	struct plan *plan = plan_all(reconcile, desired);
	char line[640];

	reconcile->unsent = false;
	if (plan != NULL && plan_record(reconcile, plan) < 0) {
		snprintf(line, sizeof(line),
			 "leases can't be recorded, so new outbound SAs are not installed: %s",
			 store_error(reconcile->store));
		reconcile_event(reconcile, "lease", NULL, NULL, line);
		plan_without_senders(reconcile, plan);
		reconcile->unsent = true;
		reconcile_retry_in(reconcile, 5);
	}
	if (plan != NULL && reconcile_push(reconcile, plan, NULL, desired, NULL, NULL) == 0)
		return;
	reconcile_retry_in(reconcile, 5);
	reconcile_work_ends(reconcile);
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
		reconcile_retry_in(reconcile, 5);
	reconcile_work_ends(reconcile);
}

void reconcile_dump(struct reconcile *reconcile)
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
		reconcile_retry_in(reconcile, 5);
		return;
	}
}
