/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What to tell the dataplane: two sets of its objects, what it has and what it shall have, become
 * the shortest list of changes, in an order that it can carry out step by step.
 *
 * New SAs are set before old ones are deleted, so that a rekey loses no packet; what holds a key
 * that somebody else wants (SPI, port and VLAN) is deleted first. A tunnel that changes keeps its
 * SAs, and an SA whose lifetime changes keeps its numbers and window: it is set again as it is.
 */
#ifndef KAIDO_CONTROL_PLAN_H
#define KAIDO_CONTROL_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"
#include "model.h"

struct vault;

enum plan_kind { PLAN_TENANT, PLAN_ATTACHMENT, PLAN_NEIGHBOUR, PLAN_TUNNEL, PLAN_SA, PLAN_ROUTE };

/* One object of the dataplane. */
struct plan_object {
	enum plan_kind kind;
	uint32_t order;      /* of compiling: SAs of a tunnel in the file's order */
	uint32_t tenant;     /* whom it belongs to, 0: the underlay; UINT32_MAX: not known */
	bool touched;        /* while a plan is made: set or deleted by it */
	bool again;          /* an SA that is there and is set for its lifetime only */
	const struct sa *sa; /* of an SA that is wanted; with names, to open its key */
	const struct tunnel *tunnel;
	const char *tenant_name; /* of what is wanted; "" for the underlay */
	union {
		struct abi_tenant tenant;
		struct abi_attachment attachment;
		struct abi_neighbour neighbour;
		struct abi_tunnel tunnel;
		struct abi_sa sa; /* key and salt always zero; lifetimes as configured */
		struct abi_route route;
	} as;
};

struct plan_set {
	struct plan_object *objects; /* by kind and key once sorted */
	size_t n;
	size_t size;
	bool failed; /* out of memory */
};

void plan_set_free(struct plan_set *set);
/* What a tenant, and an underlay entry, make of the dataplane. Borrows from the model. */
void plan_set_tenant(struct plan_set *set, const struct vault *vault, const struct tenant *tenant);
/* One tunnel of it alone. */
void plan_set_tunnel(struct plan_set *set, const struct vault *vault, const struct tenant *tenant,
		     const struct tunnel *tunnel);
void plan_set_underlay(struct plan_set *set, const struct vault *vault,
		       const struct attachment *underlay);
/* Records of a dump. Neighbours that were learnt are left out. */
void plan_set_dump(struct plan_set *set, enum abi_dump_kind kind, const void *records,
		   uint32_t count);
/* After the last one was added. */
void plan_set_sort(struct plan_set *set);
/* Finds whom the tunnels' SAs and the attachments' neighbours of a dump belong to. */
void plan_set_owners(struct plan_set *set);
/* Leaves out all that belongs to that tenant. */
void plan_set_without(struct plan_set *set, uint32_t tenant);
struct plan_object *plan_set_find(const struct plan_set *set, enum plan_kind kind, uint32_t id);

struct plan_step {
	uint16_t type; /* enum abi_type */
	uint16_t phase;
	struct plan_object *object;
};

struct plan {
	struct plan_set have;
	struct plan_set want;
	struct plan_step *steps;
	size_t n;
	size_t size;
	size_t next; /* to be sent */
	const struct vault *vault;
	bool failed;
};

/* Both sets are taken (and emptied); they need not be sorted. NULL: out of memory. */
struct plan *plan_create(const struct vault *vault, struct plan_set *have, struct plan_set *want);
void plan_destroy(struct plan *plan);

/* As `fill` of a dataplane_transaction. Puts keys into SA_SET records. */
long plan_fill(struct plan *plan, void *records, size_t room, uint16_t *type, uint32_t *count);

#endif /* KAIDO_CONTROL_PLAN_H */
