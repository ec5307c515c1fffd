/* SPDX-License-Identifier: BSD-3-Clause */
#include "apply_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reclaim.h"
#include "tables.h"

#define JOURNAL_FIRST 64u
#define RECLAIM_EVERY 32u /* records */

static const struct apply_type types[] = {
	[ABI_TENANT_SET] = { .size = sizeof(struct abi_tenant), .check = check_tenant, .apply = tenant_set, .undo = tenant_undo, },
	[ABI_TENANT_DELETE] = { .size = sizeof(struct abi_id), .check = check_id, .apply = tenant_delete, .undo = tenant_undo, },
	[ABI_ATTACHMENT_SET] = { .size = sizeof(struct abi_attachment), .check = check_attachment, .apply = attachment_set, .undo = attachment_undo, .commit = attachment_commit, },
	[ABI_ATTACHMENT_DELETE] = { .size = sizeof(struct abi_id), .check = check_id, .apply = attachment_delete, .undo = attachment_undo, .commit = attachment_commit, },
	[ABI_TUNNEL_SET] = { .size = sizeof(struct abi_tunnel), .check = check_tunnel, .apply = tunnel_set, .undo = tunnel_undo, },
	[ABI_TUNNEL_DELETE] = { .size = sizeof(struct abi_id), .check = check_id, .apply = tunnel_delete, .undo = tunnel_undo, .commit = tunnel_commit, },
	[ABI_SA_SET] = { .size = sizeof(struct abi_sa), .check = check_sa, .apply = sa_set, .undo = sa_undo, .settle = sa_settle, },
	[ABI_SA_DELETE] = { .size = sizeof(struct abi_id), .check = check_id, .apply = sa_delete, .undo = sa_undo, .commit = sa_commit, .settle = sa_settle, },
	[ABI_SA_LEASE] = { .size = sizeof(struct abi_sa_lease), .check = check_lease, .apply = sa_lease, .undo = sa_undo, },
	[ABI_ROUTE_SET] = { .size = sizeof(struct abi_route), .check = check_route, .apply = route_set_record, .undo = route_undo, },
	[ABI_ROUTE_DELETE] = { .size = sizeof(struct abi_route), .check = check_route_delete, .apply = route_delete_record, .undo = route_undo, },
	[ABI_NEIGHBOUR_SET] = { .size = sizeof(struct abi_neighbour), .check = check_neighbour, .apply = neighbour_set, .undo = neighbour_undo, },
	[ABI_NEIGHBOUR_DELETE] = { .size = sizeof(struct abi_neighbour), .check = check_neighbour_delete, .apply = neighbour_delete, .undo = neighbour_undo, },
	[ABI_SELECTORS_SET] = { .size = sizeof(struct abi_selectors), .check = check_selectors, .apply = selectors_set, .undo = selectors_undo, .commit = selectors_commit, },
};

static const struct apply_type *type_find(uint16_t type)
{
	if (type >= sizeof(types) / sizeof(types[0]) || types[type].size == 0)
		return NULL;
	return &types[type];
}

int refuse(struct answer *answer, int error, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (answer->size > 0)
		vsnprintf(answer->text, answer->size, fmt, args);
	va_end(args);
	return error;
}

/* Runs after a grace period, in the order of the tickets. */
static void ticket_pass(void *owner, uint64_t ticket, uint64_t unused)
{
	struct apply *a = owner;

	a->passed = ticket;
}

void id_release(struct apply *a, enum stats_kind kind, uint32_t id)
{
	uint64_t ticket = ++a->issued;

	a->ticket[kind][id] = ticket;
	reclaim_defer(a->gw->tables->reclaim, ticket_pass, a, ticket, 0);
}

int id_take(struct apply *a, enum stats_kind kind, uint32_t id, struct undo *undo)
{
	struct gateway *gw = a->gw;
	bool again = a->ticket[kind][id] > a->begun;

	if (again && kind == STATS_SA)
		sa_bury(a);
	if (a->ticket[kind][id] > a->passed)
		reclaim_wait(gw->tables->reclaim);
	if (again) {
		undo->rows = stats_keep(gw->stats, kind, id);
		if (undo->rows == NULL)
			return -ENOMEM;
		if (kind == STATS_SA) {
			undo->slot = malloc(sizeof(*undo->slot));
			if (undo->slot == NULL) {
				free(undo->rows);
				return -ENOMEM;
			}
			undo->slot->sa = gw->tables->sa[id];
			undo->slot->lifetime = gw->tables->lifetime[id];
		}
	}
	switch (kind) {
	case STATS_TENANT:
		stats_reset_tenant(gw->stats, id);
		break;
	case STATS_ATTACHMENT:
		stats_reset_attachment(gw->stats, id);
		break;
	case STATS_TUNNEL:
		stats_reset_tunnel(gw->stats, id);
		break;
	case STATS_SA:
		stats_reset_sa(gw->stats, id);
		break;
	}
	return 0;
}

void id_give_back(struct apply *a, enum stats_kind kind, uint32_t id, struct undo *undo)
{
	id_release(a, kind, id);
	if (undo->rows == NULL)
		return;
	reclaim_wait(a->gw->tables->reclaim);
	stats_put_back(a->gw->stats, kind, id, undo->rows);
	if (undo->slot != NULL) {
		a->gw->tables->sa[id] = undo->slot->sa;
		a->gw->tables->lifetime[id] = undo->slot->lifetime;
	}
}

static int arrays_create(struct apply *a)
{
	struct gateway *gw = a->gw;
	const uint32_t max[KINDS] = { [STATS_TENANT] = gw->size.max_tenants,
				      [STATS_ATTACHMENT] = gw->size.max_attachments,
				      [STATS_TUNNEL] = gw->size.max_tunnels,
				      [STATS_SA] = gw->size.max_sas };

	for (uint32_t kind = 0; kind < KINDS; kind++) {
		a->ticket[kind] = calloc(max[kind], sizeof(*a->ticket[kind]));
		if (a->ticket[kind] == NULL)
			return -ENOMEM;
	}
	a->permanent = calloc(gw->size.max_attachments, sizeof(struct permanents *));
	a->added = calloc(gw->size.max_sas, sizeof(*a->added));
	if (a->permanent == NULL || a->added == NULL)
		return -ENOMEM;
	return 0;
}

static void arrays_destroy(struct apply *a)
{
	for (uint32_t kind = 0; kind < KINDS; kind++)
		free(a->ticket[kind]);
	for (uint32_t i = 0; a->permanent != NULL && i < a->gw->size.max_attachments; i++)
		free(a->permanent[i]);
	free(a->permanent);
	free(a->added);
}

int apply_create(struct gateway *gw, struct apply **out)
{
	struct apply *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return -ENOMEM;
	a->gw = gw;
	a->transaction = 1;
	if (arrays_create(a) != 0) {
		arrays_destroy(a);
		free(a);
		return -ENOMEM;
	}
	*out = a;
	return 0;
}

void apply_destroy(struct apply *a)
{
	if (a == NULL)
		return;
	apply_rollback(a);
	/* What waits there points to this structure. */
	reclaim_wait(a->gw->tables->reclaim);
	sa_destroy_all(a);
	selectors_destroy_all(a);
	arrays_destroy(a);
	free(a->journal);
	free(a);
}

size_t apply_record_size(uint16_t type)
{
	const struct apply_type *t = type_find(type);

	return t != NULL ? t->size : 0;
}

int apply_check(const struct apply *a, uint16_t type, const void *record, char *text, size_t size)
{
	const struct apply_type *t = type_find(type);
	struct answer answer = { text, size };

	if (t == NULL)
		return refuse(&answer, -EPROTO, "message type %u changes nothing", type);
	return t->check(a->gw, record, &answer);
}

/* Room for one more entry, zeroed, before anything is changed. */
static struct undo *journal_reserve(struct apply *a)
{
	uint32_t capacity = a->capacity != 0 ? a->capacity * 2 : JOURNAL_FIRST;
	struct undo *journal = a->journal;

	if (a->entries == a->capacity) {
		if (capacity < a->capacity)
			return NULL;
		journal = reallocarray(a->journal, capacity, sizeof(*journal));
		if (journal == NULL)
			return NULL;
		a->journal = journal;
		a->capacity = capacity;
	}
	memset(&journal[a->entries], 0, sizeof(*journal));
	return &journal[a->entries];
}

int apply_record(struct apply *a, uint16_t type, const void *record, char *text, size_t size)
{
	int error = apply_check(a, type, record, text, size);
	struct answer answer = { text, size };
	struct undo *undo;

	if (error != 0)
		return error;
	undo = journal_reserve(a);
	if (undo == NULL)
		return refuse(&answer, -ENOMEM, "no memory to record the change");
	undo->type = type_find(type);
	error = undo->type->apply(a, record, undo, &answer);
	if (error == 0)
		a->entries++;
	/* A change of routes leaves kilobytes behind: they are to be used again within a large
	 * transaction, not only after it. */
	if (a->entries % RECLAIM_EVERY == 0)
		reclaim_poll(a->gw->tables->reclaim);
	return error;
}

static void journal_settle(struct apply *a, uint32_t entries)
{
	a->transaction++;
	for (uint32_t i = 0; i < entries; i++)
		if (a->journal[i].type->settle != NULL)
			a->journal[i].type->settle(a, &a->journal[i]);
}

/* The journal's memory is given back when a large transaction is over. */
static void journal_end(struct apply *a, uint32_t entries)
{
	for (uint32_t i = 0; i < entries; i++) {
		free(a->journal[i].rows);
		free(a->journal[i].slot);
	}
	free(a->journal);
	a->journal = NULL;
	a->entries = 0;
	a->capacity = 0;
	a->buried = 0;
	a->begun = a->issued;
	reclaim_poll(a->gw->tables->reclaim);
}

void apply_commit(struct apply *a)
{
	journal_settle(a, a->entries);
	sa_bury(a);
	for (uint32_t i = 0; i < a->entries; i++)
		if (a->journal[i].type->commit != NULL)
			a->journal[i].type->commit(a, &a->journal[i]);
	journal_end(a, a->entries);
}

void apply_rollback(struct apply *a)
{
	uint32_t entries = a->entries;

	while (a->entries > 0) {
		struct undo *undo = &a->journal[--a->entries];

		undo->type->undo(a, undo);
	}
	journal_settle(a, entries);
	journal_end(a, entries);
}
