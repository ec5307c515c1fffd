/* SPDX-License-Identifier: BSD-3-Clause */
/* Leases and lives of what is sent, and the leases' extension while it runs. */
#include "reconcile_steps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "counters_map.h"
#include "dataplane_client.h"
#include "store.h"

/* What the plan would have installed is not there. */
void reconcile_leases_take_back(struct reconcile *reconcile, const struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		uint32_t id = plan->steps[i].object->as.sa.id;

		if (plan->steps[i].type != ABI_SA_SET || plan->steps[i].object->again)
			continue;
		lease_forget(&reconcile->leases, id);
		life_forget(&reconcile->lives, id);
	}
}

void reconcile_leases_follow(struct reconcile *reconcile, const struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		uint32_t id = plan->steps[i].object->as.sa.id;

		if (plan->steps[i].type != ABI_SA_DELETE ||
		    plan_set_find(&plan->want, PLAN_SA, id) != NULL)
			continue;
		lease_forget(&reconcile->leases, id);
		life_forget(&reconcile->lives, id);
	}
}

/* -- granting -- */

static void used_up(void *context, const struct lease *lease)
{
	struct reconcile *reconcile = context;
	const struct model *desired = reconcile->hooks.desired(reconcile->hooks.context);
	const char *tenant = NULL, *tunnel = NULL;
	char line[256];

	if (reconcile->hooks.ended(reconcile->hooks.context, lease->id, false))
		return;
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
	reconcile_event(reconcile, "rekey", tenant, tunnel, line);
}

static int sa_grant(struct reconcile *reconcile, const struct plan *plan,
		    struct plan_object *object)
{
	struct lease spent = { .id = object->as.sa.id };
	int ret = reconcile_life_grant(reconcile, plan, object, true);

	if (ret < 0)
		return ret;
	if (object->again)
		lease_repeat(&reconcile->leases, &object->as.sa);
	if (object->again || object->as.sa.direction != ABI_SA_OUT)
		return 0;
	ret = lease_install(&reconcile->leases, object->sa, &object->as.sa);
	if (ret == -EDQUOT) {
		life_forget(&reconcile->lives, object->as.sa.id);
		used_up(reconcile, &spent);
	}
	return ret;
}

int reconcile_leases_grant(struct reconcile *reconcile, struct plan *plan)
{
	size_t kept = 0;

	for (size_t i = 0; i < plan->n; i++) {
		const struct plan_step *step = &plan->steps[i];
		int ret = 0;

		if (step->type == ABI_SA_SET)
			ret = sa_grant(reconcile, plan, step->object);
		if (ret == -EDQUOT || ret == -ETIME || ret == -EALREADY)
			continue;
		if (ret < 0)
			return ret;
		plan->steps[kept++] = plan->steps[i];
	}
	plan->n = kept;
	return 0;
}

int reconcile_leases_adopt(struct reconcile *reconcile, const struct plan *plan)
{
	for (size_t i = 0; i < plan->want.n; i++) {
		const struct plan_object *want = &plan->want.objects[i];
		const struct plan_object *have;
		int ret;

		if (want->kind != PLAN_SA || (want->touched && !want->again))
			continue;
		have = plan_set_find(&plan->have, PLAN_SA, want->as.sa.id);
		if (have == NULL)
			continue;
		ret = life_adopt(&reconcile->lives, want->sa, sa_lifetime(want->tunnel, want->sa),
				 &have->as.sa);
		if (ret == 0 && want->as.sa.direction == ABI_SA_OUT)
			ret = lease_adopt(&reconcile->leases, want->sa, &have->as.sa);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* -- extending -- */

uint64_t reconcile_clock_ns(void)
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

void reconcile_second_passed(int fd, short what, void *context)
{
	struct reconcile *reconcile = context;
	struct abi_sa_lease *records;
	uint64_t now = reconcile_clock_ns();
	double seconds = (double)(now - reconcile->polled) / 1e9;
	size_t n;
	int ret;

	reconcile->polled = now;
	if (!reconcile->connected || reconcile->map == NULL || reconcile->busy)
		return;
	ret = leases_poll(&reconcile->leases, reconcile->map, seconds, &records, &n, used_up,
			  reconcile);
	if (ret < 0 && !reconcile->lease_trouble)
		reconcile_event(
			reconcile, "lease", NULL, NULL,
			"leases can't be extended, the state can't be written: tunnels stop "
			"when their leases are used up");
	if (ret == 0 && reconcile->lease_trouble)
		reconcile_event(reconcile, "lease", NULL, NULL, "leases can be extended again");
	reconcile->lease_trouble = ret < 0;
	if (ret == 0 && n > 0)
		grants_send(reconcile, records, n);
}
