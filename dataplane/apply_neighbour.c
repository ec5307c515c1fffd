/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Permanent neighbours. They are kept here as well, per attachment, because an attachment that
 * changes forgets all its neighbours, and because undoing wants to know what there was.
 */
#include "apply_internal.h"

#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "log.h"
#include "neighbour.h"
#include "route_table.h"
#include "tables.h"
#include "underlay.h"
#include "vrf.h"

#define LIST_FIRST 4u

static struct abi_neighbour *list_find(struct permanents *list, enum ip_family family,
				       struct ip_addr addr)
{
	struct abi_address wanted = address_make(family, addr, 0);

	for (uint32_t i = 0; list != NULL && i < list->n; i++)
		if (memcmp(&list->v[i].address, &wanted, sizeof(wanted)) == 0)
			return &list->v[i];
	return NULL;
}

const struct abi_neighbour *permanent_find(const struct permanents *list, enum ip_family family,
					   struct ip_addr addr)
{
	return list_find((struct permanents *)(uintptr_t)list, family, addr);
}

static struct permanents *list_make(uint32_t max)
{
	struct permanents *list = malloc(sizeof(*list) + max * sizeof(list->v[0]));

	if (list != NULL) {
		list->n = 0;
		list->max = max;
	}
	return list;
}

static bool list_reserve(struct permanents **list)
{
	struct permanents *grown;

	if (*list != NULL && (*list)->n < (*list)->max)
		return true;
	grown = list_make(*list != NULL ? (*list)->max * 2 : LIST_FIRST);
	if (grown == NULL)
		return false;
	if (*list != NULL) {
		memcpy(grown->v, (*list)->v, (*list)->n * sizeof(grown->v[0]));
		grown->n = (*list)->n;
	}
	free(*list);
	*list = grown;
	return true;
}

/* On the underlay any address may be behind the link; a tenant's are in its networks. */
static bool allowed(const struct abi_attachment *attachment, const struct abi_address *address)
{
	return attachment->tenant == 0 ||
	       attachment_onlink(attachment, address_family(address), address_ip(address));
}

struct permanents *permanents_filter(const struct permanents *from,
				     const struct abi_attachment *record)
{
	struct permanents *list = list_make(from != NULL ? from->max : LIST_FIRST);

	if (list == NULL)
		return NULL;
	for (uint32_t i = 0; from != NULL && i < from->n; i++)
		if (allowed(record, &from->v[i].address))
			list->v[list->n++] = from->v[i];
	return list;
}

static int permanent_write(struct apply *a, const struct abi_neighbour *n)
{
	return neighbour_set_permanent(a->gw->neighbours, n->attachment,
				       address_family(&n->address), address_ip(&n->address),
				       n->mac);
}

void permanents_restore(struct apply *a, const struct permanents *list)
{
	for (uint32_t i = 0; list != NULL && i < list->n; i++)
		if (permanent_write(a, &list->v[i]) != 0)
			log_error("attachment %u: neighbour %s can't be put back",
				  list->v[i].attachment, address_text(&list->v[i].address).s);
}

static struct abi_attachment *attachment_find(struct gateway *gw, uint32_t id,
					      struct answer *answer)
{
	if (gw->attachment[id].record.id == 0) {
		refuse(answer, -ENOENT, "there is no attachment %u", id);
		return NULL;
	}
	return &gw->attachment[id].record;
}

uint32_t permanent_owner(const struct apply *a, uint32_t tenant, enum ip_family family,
			 struct ip_addr addr)
{
	const struct gateway *gw = a->gw;
	uint32_t id = gw->tenant[tenant].first_attachment;

	while (id != 0 && permanent_find(a->permanent[id], family, addr) == NULL)
		id = gw->attachment[id].next;
	return id;
}

/*
 * One address is at one place of a VRF. Only on the underlay could it be at two, for there any
 * address may be behind any link; link-local ones are each link's own.
 */
static int place_check(struct apply *a, const struct abi_neighbour *r, struct answer *answer)
{
	const struct tables *t = a->gw->tables;
	uint32_t tenant = a->gw->attachment[r->attachment].record.tenant;
	enum ip_family family = address_family(&r->address);
	struct ip_addr addr = address_ip(&r->address);
	uint32_t other, value;

	if (address_link_local_v6(&r->address))
		return 0;
	other = permanent_owner(a, tenant, family, addr);
	if (other != 0 && other != r->attachment)
		return refuse(answer, -EEXIST, "neighbour %s is on attachment %u already",
			      address_text(&r->address).s, other);
	value = route_get(t->routes, &t->vrf[tenant], family, addr, ip_bits(family));
	if (route_kind(value) == ROUTE_KIND_LOCAL)
		return refuse(answer, -EEXIST, "%s is an address of attachment %u itself",
			      address_text(&r->address).s, route_index(value));
	return 0;
}

static void underlay_note(struct apply *a, uint32_t attachment)
{
	if (a->gw->attachment[attachment].record.tenant == 0)
		underlay_changed(a->gw);
}

int neighbour_set(struct apply *a, const void *record, struct undo *undo, struct answer *answer)
{
	const struct abi_neighbour *r = record;
	const struct abi_attachment *attachment = attachment_find(a->gw, r->attachment, answer);
	struct permanents **list = &a->permanent[r->attachment];
	struct abi_neighbour *known;
	int error;

	if (attachment == NULL)
		return -ENOENT;
	if (!allowed(attachment, &r->address))
		return refuse(answer, -EINVAL, "neighbour %s is not in a network of attachment %u",
			      address_text(&r->address).s, r->attachment);
	error = place_check(a, r, answer);
	if (error != 0)
		return error;
	if (!list_reserve(list))
		return refuse(answer, -ENOMEM, "no memory for neighbour %s",
			      address_text(&r->address).s);
	error = permanent_write(a, r);
	if (error != 0)
		return refuse(answer, error, "neighbour %s: the table of neighbours is full",
			      address_text(&r->address).s);
	known = list_find(*list, address_family(&r->address), address_ip(&r->address));
	undo->did = known != NULL ? DID_CHANGE : DID_ADD;
	undo->neighbour = known != NULL ? *known : *r;
	if (known == NULL)
		known = &(*list)->v[(*list)->n++];
	*known = *r;
	underlay_note(a, r->attachment);
	return 0;
}

static void neighbour_remove(struct apply *a, const struct abi_neighbour *r)
{
	struct permanents *list = a->permanent[r->attachment];
	struct abi_neighbour *known =
		list_find(list, address_family(&r->address), address_ip(&r->address));

	neighbour_delete_permanent(a->gw->neighbours, r->attachment, address_family(&r->address),
				   address_ip(&r->address));
	*known = list->v[--list->n];
	underlay_note(a, r->attachment);
}

int neighbour_delete(struct apply *a, const void *record, struct undo *undo, struct answer *answer)
{
	const struct abi_neighbour *r = record;
	const struct abi_neighbour *known;

	if (attachment_find(a->gw, r->attachment, answer) == NULL)
		return -ENOENT;
	known = permanent_find(a->permanent[r->attachment], address_family(&r->address),
			       address_ip(&r->address));
	if (known == NULL)
		return refuse(answer, -ENOENT, "attachment %u has no permanent neighbour %s",
			      r->attachment, address_text(&r->address).s);
	undo->did = DID_REMOVE;
	undo->neighbour = *known;
	neighbour_remove(a, &undo->neighbour);
	return 0;
}

void neighbour_undo(struct apply *a, struct undo *undo)
{
	const struct abi_neighbour *r = &undo->neighbour;
	struct permanents *list = a->permanent[r->attachment];
	struct abi_neighbour *known;

	if (undo->did == DID_ADD) {
		neighbour_remove(a, r);
		return;
	}
	/* The list has had room for it. */
	known = list_find(list, address_family(&r->address), address_ip(&r->address));
	if (known == NULL)
		known = &list->v[list->n++];
	*known = *r;
	if (permanent_write(a, r) != 0)
		log_error("attachment %u: neighbour %s can't be put back", r->attachment,
			  address_text(&r->address).s);
	underlay_note(a, r->attachment);
}
