/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "plan_order.h"
#include "vault.h"

/* The order of a transaction. Within a phase: the order of compiling. */
enum phase {
	PHASE_ROUTE_DELETE,
	PHASE_SA_DELETE_FIRST, /* whose id or SPI is set again */
	PHASE_NEIGHBOUR_DELETE,
	PHASE_TUNNEL_DELETE_FIRST, /* which goes to another tenant */
	PHASE_ATTACHMENT_DELETE,
	PHASE_TENANT_DELETE_FIRST,
	PHASE_TENANT_SET,
	PHASE_ATTACHMENT_SET,
	PHASE_NEIGHBOUR_SET,
	PHASE_TUNNEL_SET,
	PHASE_SELECTORS_SET, /* before there is anything that sends or receives */
	PHASE_SA_AGAIN,
	PHASE_SA_SET,
	PHASE_ROUTE_SET,
	PHASE_SA_DELETE,
	PHASE_TUNNEL_DELETE,
	PHASE_TENANT_DELETE,
};

uint32_t *plan_object_id(struct plan_object *object)
{
	switch (object->kind) {
	case PLAN_TENANT:
		return &object->as.tenant.id;
	case PLAN_ATTACHMENT:
		return &object->as.attachment.id;
	case PLAN_TUNNEL:
		return &object->as.tunnel.id;
	default:
		return &object->as.sa.id;
	}
}

size_t plan_record_size(enum plan_kind kind)
{
	static const size_t sizes[] = {
		[PLAN_TENANT] = sizeof(struct abi_tenant),
		[PLAN_ATTACHMENT] = sizeof(struct abi_attachment),
		[PLAN_NEIGHBOUR] = sizeof(struct abi_neighbour),
		[PLAN_TUNNEL] = sizeof(struct abi_tunnel),
		[PLAN_SA] = sizeof(struct abi_sa),
		[PLAN_ROUTE] = sizeof(struct abi_route),
	};

	return sizes[kind];
}

static int number_order(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

int plan_object_order(const void *first, const void *second)
{
	const struct plan_object *a = first, *b = second;
	int order = number_order(a->kind, b->kind);

	if (order != 0)
		return order;
	if (a->kind == PLAN_NEIGHBOUR) {
		order = number_order(a->as.neighbour.attachment, b->as.neighbour.attachment);
		return order != 0
			       ? order
			       : prefix_compare(&a->as.neighbour.address, &b->as.neighbour.address);
	}
	if (a->kind == PLAN_ROUTE) {
		order = number_order(a->as.route.tenant, b->as.route.tenant);
		return order != 0 ? order
				  : prefix_compare(&a->as.route.prefix, &b->as.route.prefix);
	}
	return number_order(plan_id_of(a), plan_id_of(b));
}

/*
 * A dump tells what was set, which is what was left then of what was configured: whether that is
 * what it should be is known where leases are granted.
 */
static bool lifetimes_same(const struct plan_object *a, const struct plan_object *b)
{
	const struct lifetime first = { a->as.sa.soft, a->as.sa.hard };
	const struct lifetime second = { b->as.sa.soft, b->as.sa.hard };

	if (lifetime_is_none(&first) && lifetime_is_none(&second))
		return true;
	return a->sa != NULL && b->sa != NULL && lifetime_equal(&first, &second);
}

static bool objects_same(const struct plan_object *a, const struct plan_object *b)
{
	switch (a->kind) {
	case PLAN_TENANT:
		return a->as.tenant.cookie == b->as.tenant.cookie;
	case PLAN_ATTACHMENT:
		return a->as.attachment.cookie == b->as.attachment.cookie;
	case PLAN_NEIGHBOUR:
		return memcmp(a->as.neighbour.mac, b->as.neighbour.mac, 6) == 0;
	case PLAN_TUNNEL:
		return a->as.tunnel.cookie == b->as.tunnel.cookie;
	case PLAN_SA:
		return a->as.sa.cookie == b->as.sa.cookie && lifetimes_same(a, b);
	case PLAN_ROUTE:
		return a->as.route.kind == b->as.route.kind &&
		       a->as.route.target == b->as.route.target &&
		       address_equal(&a->as.route.via, &b->as.route.via);
	}
	return false;
}

/* May a SET replace the one by the other, or has it to be deleted first? */
static bool replaceable(const struct plan_object *have, const struct plan_object *want)
{
	switch (have->kind) {
	case PLAN_ATTACHMENT:
		return have->as.attachment.tenant == want->as.attachment.tenant &&
		       have->as.attachment.vlan == want->as.attachment.vlan &&
		       strncmp(have->as.attachment.port, want->as.attachment.port, ABI_NAME_LEN) ==
			       0;
	case PLAN_TUNNEL:
		return have->as.tunnel.tenant == want->as.tunnel.tenant;
	case PLAN_SA:
		return false;
	default:
		return true;
	}
}

static void step_add(struct plan *plan, uint16_t type, enum phase phase, struct plan_object *object)
{
	if (plan->n == plan->size) {
		size_t size = plan->size == 0 ? 64 : 2 * plan->size;
		struct plan_step *bigger = reallocarray(plan->steps, size, sizeof(*bigger));

		if (bigger == NULL) {
			plan->failed = true;
			return;
		}
		plan->steps = bigger;
		plan->size = size;
	}
	plan->steps[plan->n++] =
		(struct plan_step){ .type = type, .phase = (uint16_t)phase, .object = object };
	object->touched = true;
}

static void set_add(struct plan *plan, struct plan_object *object)
{
	static const struct {
		uint16_t type;
		enum phase phase;
	} sets[] = {
		[PLAN_TENANT] = { ABI_TENANT_SET, PHASE_TENANT_SET },
		[PLAN_ATTACHMENT] = { ABI_ATTACHMENT_SET, PHASE_ATTACHMENT_SET },
		[PLAN_NEIGHBOUR] = { ABI_NEIGHBOUR_SET, PHASE_NEIGHBOUR_SET },
		[PLAN_TUNNEL] = { ABI_TUNNEL_SET, PHASE_TUNNEL_SET },
		[PLAN_SA] = { ABI_SA_SET, PHASE_SA_SET },
		[PLAN_ROUTE] = { ABI_ROUTE_SET, PHASE_ROUTE_SET },
	};

	step_add(plan, sets[object->kind].type, sets[object->kind].phase, object);
}

/* `first`: before anything is set. */
static void delete_add(struct plan *plan, struct plan_object *object, bool first)
{
	switch (object->kind) {
	case PLAN_TENANT:
		step_add(plan, ABI_TENANT_DELETE,
			 first ? PHASE_TENANT_DELETE_FIRST : PHASE_TENANT_DELETE, object);
		break;
	case PLAN_ATTACHMENT:
		step_add(plan, ABI_ATTACHMENT_DELETE, PHASE_ATTACHMENT_DELETE, object);
		break;
	case PLAN_NEIGHBOUR:
		step_add(plan, ABI_NEIGHBOUR_DELETE, PHASE_NEIGHBOUR_DELETE, object);
		break;
	case PLAN_TUNNEL:
		step_add(plan, ABI_TUNNEL_DELETE,
			 first ? PHASE_TUNNEL_DELETE_FIRST : PHASE_TUNNEL_DELETE, object);
		break;
	case PLAN_SA:
		step_add(plan, ABI_SA_DELETE, first ? PHASE_SA_DELETE_FIRST : PHASE_SA_DELETE,
			 object);
		break;
	case PLAN_ROUTE:
		step_add(plan, ABI_ROUTE_DELETE, PHASE_ROUTE_DELETE, object);
		break;
	}
}

/* With a tunnel go its selectors, which its cookie covers too. `have`: what it replaces, or NULL. */
static void selectors_add(struct plan *plan, const struct plan_object *have,
			  struct plan_object *want)
{
	uint32_t flags = want->as.tunnel.flags | (have == NULL ? 0 : have->as.tunnel.flags);

	if ((flags & ABI_TUNNEL_SELECTORS) != 0)
		step_add(plan, ABI_SELECTORS_SET, PHASE_SELECTORS_SET, want);
}

/* Walks two sorted sets side by side; either argument of `pair` may be NULL. */
static void sets_walk(struct plan *plan, void (*pair)(struct plan *plan, struct plan_object *have,
						      struct plan_object *want))
{
	size_t i = 0, k = 0;

	while (i < plan->have.n || k < plan->want.n) {
		struct plan_object *have = i < plan->have.n ? &plan->have.objects[i] : NULL;
		struct plan_object *want = k < plan->want.n ? &plan->want.objects[k] : NULL;
		int order = have == NULL ? 1 : want == NULL ? -1 : plan_object_order(have, want);

		pair(plan, order <= 0 ? have : NULL, order >= 0 ? want : NULL);
		i += order <= 0;
		k += order >= 0;
	}
}

/* All but what depends on the fate of others. */
static void pair_plan(struct plan *plan, struct plan_object *have, struct plan_object *want)
{
	if (have != NULL && want != NULL && objects_same(have, want))
		return;
	if (want == NULL) {
		if (have->kind != PLAN_SA) /* sas_delete() */
			delete_add(plan, have, false);
		return;
	}
	if (have != NULL && have->kind == PLAN_SA && have->as.sa.cookie == want->as.sa.cookie) {
		want->again = have->touched = true;
		step_add(plan, ABI_SA_SET, PHASE_SA_AGAIN, want);
		return;
	}
	if (have != NULL && !replaceable(have, want))
		delete_add(plan, have, true);
	set_add(plan, want);
	if (want->kind == PLAN_TUNNEL)
		selectors_add(plan, have, want);
}

static int spi_order(const void *a, const void *b)
{
	const uint32_t *first = a, *second = b;

	return number_order(*first, *second);
}

/* SAs that go: before the others where one of those has the same inbound SPI. */
static void sas_delete(struct plan *plan)
{
	uint32_t *spis = calloc(plan->n + 1, sizeof(*spis));
	size_t n = 0;

	if (spis == NULL) {
		plan->failed = true;
		return;
	}
	for (size_t i = 0; i < plan->n; i++) {
		if (plan->steps[i].type == ABI_SA_SET && !plan->steps[i].object->again)
			spis[n++] = plan->steps[i].object->as.sa.spi;
	}
	qsort(spis, n, sizeof(*spis), spi_order);
	for (size_t i = 0; i < plan->have.n; i++) {
		struct plan_object *object = &plan->have.objects[i];
		bool again;

		if (object->kind != PLAN_SA || object->touched ||
		    plan_set_find(&plan->want, PLAN_SA, object->as.sa.id) != NULL)
			continue;
		again = object->as.sa.direction == ABI_SA_IN && n > 0 &&
			bsearch(&object->as.sa.spi, spis, n, sizeof(*spis), spi_order) != NULL;
		delete_add(plan, object, again);
	}
	free(spis);
}

/* An SA that is there after all has to be set as a new one. */
static void again_turn(struct plan *plan, struct plan_object *object)
{
	for (size_t i = 0; i < plan->n; i++) {
		if (plan->steps[i].object == object)
			plan->steps[i].phase = PHASE_SA_SET;
	}
	object->again = false;
}

/*
 * The SA that was set last sends. Where one is set that stands before the last of the list, the
 * last one is taken out and set again behind it.
 */
static void senders_follow(struct plan *plan)
{
	size_t n = plan->n;

	for (size_t i = 0; i < n; i++) {
		const struct plan_object *object = plan->steps[i].object;
		struct plan_object *sender, *have;
		const struct sa *last = NULL;

		if (plan->steps[i].type != ABI_SA_SET || object->again ||
		    object->as.sa.direction != ABI_SA_OUT)
			continue;
		for (size_t k = 0; k < object->tunnel->n_sas; k++) {
			if (object->tunnel->sas[k].direction == ABI_SA_OUT)
				last = &object->tunnel->sas[k];
		}
		sender = last == NULL ? NULL : plan_set_find(&plan->want, PLAN_SA, last->id);
		if (sender == NULL || (sender->touched && !sender->again))
			continue;
		have = plan_set_find(&plan->have, PLAN_SA, last->id);
		if (have != NULL)
			delete_add(plan, have, true);
		if (sender->again)
			again_turn(plan, sender);
		else
			set_add(plan, sender);
	}
}

/* Is the attachment of this route's next hop deleted? (Tunnels are deleted last.) */
static bool target_goes(const struct plan *plan, const struct abi_route *route)
{
	const struct plan_object *target = NULL;

	if (route->kind == ABI_ROUTE_GATEWAY)
		target = plan_set_find(&plan->have, PLAN_ATTACHMENT, route->target);
	return target != NULL && target->touched;
}

/* A route over what is deleted must be gone before, also where it comes back another way. */
static void route_pair_plan(struct plan *plan, struct plan_object *have, struct plan_object *want)
{
	if (have == NULL || want == NULL || have->kind != PLAN_ROUTE || have->touched ||
	    !target_goes(plan, &have->as.route))
		return;
	delete_add(plan, have, true);
	if (!want->touched)
		set_add(plan, want);
}

/* A neighbour goes with its attachment: where that comes back, so must the neighbour. */
static void neighbour_pair_plan(struct plan *plan, struct plan_object *have,
				struct plan_object *want)
{
	const struct plan_object *link;

	if (have == NULL || want == NULL || have->kind != PLAN_NEIGHBOUR || have->touched)
		return;
	link = plan_set_find(&plan->have, PLAN_ATTACHMENT, have->as.neighbour.attachment);
	if (link == NULL || !link->touched)
		return;
	delete_add(plan, have, true);
	if (!want->touched)
		set_add(plan, want);
}

/*
 * Does an id stand for something of another tenant than we know? Then this dataplane was filled
 * from another state, and it is emptied first.
 */
static bool sets_are_strange(const struct plan *plan)
{
	for (size_t i = 0; i < plan->have.n; i++) {
		const struct plan_object *have = &plan->have.objects[i];
		const struct plan_object *want;

		if (have->kind != PLAN_TENANT && have->kind != PLAN_TUNNEL)
			continue;
		want = plan_set_find(&plan->want, have->kind, plan_id_of(have));
		if (want != NULL && (have->tenant != want->tenant ||
				     (have->kind == PLAN_TENANT && !objects_same(have, want))))
			return true;
	}
	return false;
}

static int step_order(const void *first, const void *second)
{
	const struct plan_step *a = first, *b = second;
	int order = number_order(a->phase, b->phase);

	return order != 0 ? order : number_order(a->object->order, b->object->order);
}

static void steps_make(struct plan *plan)
{
	if (sets_are_strange(plan)) {
		for (size_t i = 0; i < plan->have.n; i++)
			delete_add(plan, &plan->have.objects[i], true);
		for (size_t i = 0; i < plan->want.n; i++) {
			set_add(plan, &plan->want.objects[i]);
			if (plan->want.objects[i].kind == PLAN_TUNNEL)
				selectors_add(plan, NULL, &plan->want.objects[i]);
		}
	} else {
		sets_walk(plan, pair_plan);
		senders_follow(plan);
		sas_delete(plan);
		sets_walk(plan, route_pair_plan);
		sets_walk(plan, neighbour_pair_plan);
	}
	if (plan->n > 1)
		qsort(plan->steps, plan->n, sizeof(*plan->steps), step_order);
}

struct plan *plan_create(const struct vault *vault, struct plan_set *have, struct plan_set *want)
{
	struct plan *plan = calloc(1, sizeof(*plan));

	if (plan == NULL) {
		plan_set_free(have);
		plan_set_free(want);
		return NULL;
	}
	plan->vault = vault;
	plan->have = *have;
	plan->want = *want;
	memset(have, 0, sizeof(*have));
	memset(want, 0, sizeof(*want));
	plan_set_sort(&plan->have);
	plan_set_sort(&plan->want);
	steps_make(plan);
	if (!plan->failed && !plan->have.failed && !plan->want.failed)
		return plan;
	plan_destroy(plan);
	return NULL;
}

void plan_destroy(struct plan *plan)
{
	if (plan == NULL)
		return;
	plan_set_free(&plan->have);
	plan_set_free(&plan->want);
	free(plan->steps);
	free(plan);
}
