/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Among the apply files: the journal, the reuse of ids, and what each kind of object brings.
 *
 * Undoing. Every record that changes something leaves one `struct undo`. Rolling back runs them in
 * reverse, so each finds the tables exactly as it left them. All of it happens in one call on the
 * main lcore: between a change and its undoing nothing else writes to the tables but the callbacks
 * of reclaim.
 *
 * Ids. An entry that has been taken out of the tables may still be read by a worker until a grace
 * period has passed; only then may its id (and with it the entry's memory and its counters) serve
 * another object. Each id therefore carries a ticket of its last removal, and reclaim tells up to
 * which ticket the grace periods are over. Taking an id early waits for them.
 */
#ifndef KAIDO_APPLY_INTERNAL_H
#define KAIDO_APPLY_INTERNAL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/message.h"
#include "apply.h"
#include "gateway.h"
#include "ip.h"
#include "sa.h"
#include "stats.h"

struct aead_key;
struct replay;
struct selectors;

#define KINDS (STATS_SA + 1) /* objects with an id, enum stats_kind */

/* Where the sentence for the operator goes. */
struct answer {
	char *text;
	size_t size;
};
/* Writes the sentence and returns `error`. */
int refuse(struct answer *answer, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The neighbours of one attachment that the control plane set, by which they can be set again. */
struct permanents {
	uint32_t n;
	uint32_t max;
	struct abi_neighbour v[];
};

struct attachment_undo {
	struct abi_attachment record;
	struct permanents *permanents;
	bool flushed; /* its neighbours were forgotten: set `permanents` again */
};

struct sa_kept {
	union sa sa;
	struct lifetime lifetime;
};

enum undo_did { DID_ADD, DID_CHANGE, DID_REMOVE };

struct undo {
	const struct apply_type *type;
	uint32_t id;
	uint8_t did;    /* enum undo_did */
	uint64_t *rows; /* counters of the object that had this id before in this transaction */
	struct sa_kept *slot;              /* and its entries of the tables of SAs */
	const struct selectors *selectors; /* that its tunnel had: to put back, or to free */
	union {
		struct abi_tenant tenant; /* records: as they were before */
		struct {
			struct abi_tunnel tunnel;
			struct tunnel_peer peer;
		};
		struct attachment_undo *attachment;
		struct {
			struct abi_sa record; /* without key and salt */
			struct aead_key *key; /* DID_REMOVE: kept until the commit */
			struct replay *replay;
			struct icv_state icv; /* DID_REMOVE */
			uint64_t since;       /* as is object_sa.since; DID_REMOVE, DID_CHANGE */
			uint32_t newer;       /* DID_REMOVE: the next newer one, 0: none */
			uint32_t adjacency;   /* DID_REMOVE: the reference that it holds */
		} sa;
		struct {
			struct abi_route record; /* DID_ADD: the new one */
			uint32_t learnt;         /* DID_ADD: value of the neighbour's host route */
		} route;
		struct abi_neighbour neighbour;
	};
};

struct apply_type {
	size_t size; /* of the record; 0: there is no such type */
	int (*check)(const struct gateway *gw, const void *record, struct answer *answer);
	int (*apply)(struct apply *a, const void *record, struct undo *undo, struct answer *answer);
	void (*undo)(struct apply *a, struct undo *undo);
	void (*commit)(struct apply *a, struct undo *undo); /* NULL: nothing was kept */
	void (*settle)(struct apply *a, struct undo *undo); /* after the last undo, before commit */
};

struct apply {
	struct gateway *gw;
	struct undo *journal;
	uint32_t entries;
	uint32_t capacity;
	uint32_t buried;         /* entries below hold no deleted SA that may still be sending */
	uint64_t *ticket[KINDS]; /* by id */
	uint64_t issued;         /* last ticket */
	uint64_t begun;          /* last ticket before this transaction */
	uint64_t passed;         /* tickets up to this one are through their grace period */
	struct permanents **permanent; /* [max_attachments], NULL: none */
	uint32_t *added;               /* [max_sas] number of the transaction that added it */
	uint32_t transaction;          /* number of the present one */
};

/*
 * A new object takes an id: waits where a worker may still use its former entry, keeps what undoing
 * will need of it in `undo`, and zeroes its counters. -ENOMEM.
 */
int id_take(struct apply *a, enum stats_kind kind, uint32_t id, struct undo *undo);
/* Its taking is undone, after the object has left the tables. */
void id_give_back(struct apply *a, enum stats_kind kind, uint32_t id, struct undo *undo);
/* An object has left the tables. */
void id_release(struct apply *a, enum stats_kind kind, uint32_t id);

/* apply_check.c: what can be said of a record without knowing any other. */
int check_id(const struct gateway *gw, const void *record, struct answer *answer);
int check_tenant(const struct gateway *gw, const void *record, struct answer *answer);
int check_attachment(const struct gateway *gw, const void *record, struct answer *answer);
int check_tunnel(const struct gateway *gw, const void *record, struct answer *answer);
int check_sa(const struct gateway *gw, const void *record, struct answer *answer);
int check_lease(const struct gateway *gw, const void *record, struct answer *answer);
int check_route(const struct gateway *gw, const void *record, struct answer *answer);
int check_route_delete(const struct gateway *gw, const void *record, struct answer *answer);
int check_neighbour(const struct gateway *gw, const void *record, struct answer *answer);
int check_neighbour_delete(const struct gateway *gw, const void *record, struct answer *answer);

/* apply_tenant.c */
int tenant_set(struct apply *a, const void *record, struct undo *undo, struct answer *answer);
int tenant_delete(struct apply *a, const void *record, struct undo *undo, struct answer *answer);
void tenant_undo(struct apply *a, struct undo *undo);
/* The tenant, or NULL with the answer written; 0 (the underlay) is always there. */
struct object_tenant *tenant_find(struct gateway *gw, uint32_t id, struct answer *answer);

/* apply_attachment.c */
int attachment_set(struct apply *a, const void *record, struct undo *undo, struct answer *answer);
int attachment_delete(struct apply *a, const void *record, struct undo *undo,
		      struct answer *answer);
void attachment_undo(struct apply *a, struct undo *undo);
void attachment_commit(struct apply *a, struct undo *undo);

/* attachment_route.c: the routes that an attachment's own addresses make. */
int attachment_routes_check(struct apply *a, const struct abi_attachment *record, uint16_t port,
			    struct answer *answer);
/* From those of one record to those of another; NULL: none. -ENOSPC leaves some of both. */
int attachment_routes_switch(struct apply *a, const struct abi_attachment *from,
			     const struct abi_attachment *to);
/* Inside one of the prefixes, and not one of the gateway's own addresses. */
bool attachment_onlink(const struct abi_attachment *record, enum ip_family family,
		       struct ip_addr addr);
/* Index of a port by its name, or -ENOENT. */
int port_find(const struct gateway *gw, const char *name);

/* apply_tunnel.c */
int tunnel_set(struct apply *a, const void *record, struct undo *undo, struct answer *answer);
int tunnel_delete(struct apply *a, const void *record, struct undo *undo, struct answer *answer);
void tunnel_undo(struct apply *a, struct undo *undo);
void tunnel_commit(struct apply *a, struct undo *undo);
/* What an SA is told of its tunnel, but for the outer headers: single stores, also while it is in use. */
void tunnel_policy(const struct object_tunnel *o, union sa *slot, uint8_t direction);
/* Lets the newest outbound SA send that isn't of the open transaction. */
void tunnel_publish(struct apply *a, uint32_t id);

/* apply_selectors.c */
int check_selectors(const struct gateway *gw, const void *record, struct answer *answer);
int selectors_set(struct apply *a, const void *record, struct undo *undo, struct answer *answer);
void selectors_undo(struct apply *a, struct undo *undo);
void selectors_commit(struct apply *a, struct undo *undo);
/* Tunnel undo->id goes: its selectors are kept with the undo, for the two above. */
void selectors_take(struct apply *a, struct undo *undo);
void selectors_destroy_all(struct apply *a);

/* apply_sa.c */
int sa_set(struct apply *a, const void *record, struct undo *undo, struct answer *answer);
int sa_delete(struct apply *a, const void *record, struct undo *undo, struct answer *answer);
int sa_lease(struct apply *a, const void *record, struct undo *undo, struct answer *answer);
void sa_undo(struct apply *a, struct undo *undo);
void sa_commit(struct apply *a, struct undo *undo);
/* The transaction is over, one way or the other: the right SA sends. */
void sa_settle(struct apply *a, struct undo *undo);
/* Deleted SAs of the open transaction send no longer, and hold no adjacency. */
void sa_bury(struct apply *a);
void sa_destroy_all(struct apply *a);

/* apply_route.c */
int route_set_record(struct apply *a, const void *record, struct undo *undo, struct answer *answer);
int route_delete_record(struct apply *a, const void *record, struct undo *undo,
			struct answer *answer);
void route_undo(struct apply *a, struct undo *undo);
/* As route_set() and route_delete(); when the pool is full, waits for what is about to be freed. */
int vrf_set(struct apply *a, uint32_t tenant, enum ip_family family, struct ip_addr prefix,
	    uint8_t len, uint32_t value);
int vrf_delete(struct apply *a, uint32_t tenant, enum ip_family family, struct ip_addr prefix,
	       uint8_t len);

/* apply_neighbour.c */
int neighbour_set(struct apply *a, const void *record, struct undo *undo, struct answer *answer);
int neighbour_delete(struct apply *a, const void *record, struct undo *undo, struct answer *answer);
void neighbour_undo(struct apply *a, struct undo *undo);
/* Sets those of an attachment again, for example after neighbour_flush(). */
void permanents_restore(struct apply *a, const struct permanents *list);
/* Those of `from` that may stay with an attachment changed to `record`. NULL: no memory. */
struct permanents *permanents_filter(const struct permanents *from,
				     const struct abi_attachment *record);
/* The attachment of a tenant that has this permanent neighbour, 0: none. */
uint32_t permanent_owner(const struct apply *a, uint32_t tenant, enum ip_family family,
			 struct ip_addr addr);
const struct abi_neighbour *permanent_find(const struct permanents *list, enum ip_family family,
					   struct ip_addr addr);

#endif /* KAIDO_APPLY_INTERNAL_H */
