/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What has been mirrored and told, and what a message of the kernel changes in it. Knows no sockets:
 * what it needs the kernel to say again it marks in `dirty`.
 */
#ifndef KAIDO_HOST_MIRROR_STATE_H
#define KAIDO_HOST_MIRROR_STATE_H

#include "host_mirror.h"
#include "host_mirror_message.h"
#include "host_mirror_table.h"

/* What the kernel dumps, in the order in which it is asked. */
enum mirror_kind {
	MIRROR_LINK,
	MIRROR_ADDRESS,
	MIRROR_ROUTE,
	MIRROR_NEIGHBOUR,
	MIRROR_KINDS,
};

#define MIRROR_ALL ((1u << MIRROR_KINDS) - 1)

struct mirror_watch {
	struct mirror_watch *next;
	char name[IFNAMSIZ];
	uint32_t device;
	uint32_t ifindex; /* 0: it isn't there */
	uint32_t mtu;
	uint32_t generation;
	uint8_t mac[6];
	bool up;
};

struct mirror_state {
	const struct host_mirror_events *events;
	void *ctx;
	struct mirror_watch *watches;
	struct mirror_table table[MIRROR_KINDS]; /* that of MIRROR_LINK is unused */
	uint32_t generation[MIRROR_KINDS];       /* counts the dumps */
	uint64_t order;                          /* counts routes, see mirror_entry.order */
	uint32_t dirty;                          /* bits by mirror_kind: to be dumped again */
	/*
	 * The kernel removes and revives some IPv4 routes without a word, just after it told of the
	 * link or address that is to blame. Set then; the owner has routes dumped now and again
	 * a moment later.
	 */
	bool silent;
	bool tell_again; /* some neighbour has that mark */
};

int mirror_state_init(struct mirror_state *s, const struct host_mirror_events *events, void *ctx);
void mirror_state_free(struct mirror_state *s);

int mirror_watch_add(struct mirror_state *s, const char *name, uint32_t device);
int mirror_watch_remove(struct mirror_state *s, uint32_t device);
struct mirror_watch *mirror_watch_of(const struct mirror_state *s, uint32_t device);

struct mirror_watch *mirror_watch_by_index(const struct mirror_state *s, uint32_t ifindex);

/* `dump`: the message is part of a dump, not an event. -ENOMEM, else 0. */
int mirror_state_link(struct mirror_state *s, const struct mirror_link *link);
int mirror_state_address(struct mirror_state *s, const struct mirror_address *address);
int mirror_state_route(struct mirror_state *s, const struct mirror_route *route, bool dump);
/* Takes one away and tells of the next one. */
void mirror_route_remove(struct mirror_state *s, struct mirror_entry *e);
/* *again: a neighbour that is wanted went stale: have it checked. */
int mirror_state_neighbour(struct mirror_state *s, const struct mirror_neighbour *neighbour,
			   struct mirror_entry **again);

/* A resolution is asked for: the neighbour's entry, made where there is none. NULL: no memory. */
struct mirror_entry *mirror_state_want(struct mirror_state *s, struct mirror_watch *watch,
				       enum ip_family family, struct ip_addr addr);

/* Tells of the neighbours that were asked for though they were told of before. */
void mirror_state_tell_again(struct mirror_state *s);

/*
 * After a whole dump: what it did not have is gone. Does up to `buckets` of the table from *bucket
 * on; true when the end is reached.
 */
bool mirror_state_sweep(struct mirror_state *s, enum mirror_kind kind, uint32_t *bucket,
			uint32_t buckets);

#endif /* KAIDO_HOST_MIRROR_STATE_H */
