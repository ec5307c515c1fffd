/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keeps the dataplane what the desired state says.
 *
 * After each connect the dataplane is asked what it has, and the difference is sent as one
 * transaction. After that a change is sent as its own difference. A tenant that the dataplane
 * refuses (a port that is gone, say) is held back with an event, so that the others run; it is
 * tried again with each connect, each change of it, and every RECONCILE_RETRY_S.
 */
#ifndef KAIDO_CONTROL_RECONCILE_H
#define KAIDO_CONTROL_RECONCILE_H

#include <stdbool.h>
#include <stdint.h>

#include "lease.h"
#include "life.h"
#include "message.h"
#include "model.h"
#include "plan.h"

#define RECONCILE_RETRY_S 30

struct counters_map;
struct dataplane_client;
struct event_base;
struct store;
struct vault;

struct reconcile_hooks {
	void *context;
	/* What the dataplane shall have, as it is now; borrowed. */
	const struct model *(*desired)(void *context);
	/* A dataplane has come; its capacities are in reconcile->hello. */
	void (*up)(void *context);
	/* `map` shows the last that a dead or lost dataplane counted. */
	void (*final)(void *context, const struct counters_map *map);
	void (*event)(void *context, const char *kind, const char *text, const char *tenant,
		      const char *tunnel);
	/* The dataplane tells of something; and that all up to this number were told. */
	void (*happened)(void *context, const struct abi_event *event);
	void (*read)(void *context, uint64_t boot, uint64_t number);
	/* The last one of that boot that was told, 0: none. */
	uint64_t (*read_last)(void *context, uint64_t boot);
	/* Nothing is under way: a change may be sent. */
	void (*idle)(void *context);
	/*
	 * This made the dataplane refuse. Returns whether it is wanted no more, so that the rest may be tried
	 * again.
	 */
	bool (*refused)(void *context, const struct plan_object *object, const char *text);
	/*
	 * An SA has come to the end of its numbers or its soft (`hard`: hard) lifetime. Returns whether
	 * somebody cares for it, so that operators need not.
	 */
	bool (*ended)(void *context, uint32_t sa, bool hard);
};

/* error: 0, -ENOTCONN (unknown, it will be seen at the next connect), or what refused it. */
typedef void (*reconcile_done)(void *context, int error, const char *text);

struct reconcile {
	struct event_base *base;
	struct dataplane_client *client;
	struct store *store;
	const struct vault *vault;
	struct reconcile_hooks hooks;
	struct leases leases;
	struct lives lives;
	struct counters_map *map;     /* NULL: none */
	struct abi_hello_reply hello; /* of the last connect */
	bool connected;
	bool busy;               /* a dump or a transaction is under way */
	bool again;              /* look at all anew when it is done */
	bool unsent;             /* outbound SAs are missing: their leases can't be recorded */
	struct model *installed; /* what the dataplane is known to have; NULL: not known */
	uint64_t events_read;    /* number of the last one */
	bool events_asked;
	bool events_refused; /* by this dataplane */
	uint32_t *held;      /* ids of tenants that were refused; 0: the underlay */
	size_t n_held;
	char refusal[ABI_TEXT_LEN]; /* of the last one that was held back */
	struct plan_set have;       /* while it is dumped */
	struct abi_port *ports;
	size_t n_ports;
	struct abi_reason *reasons;
	size_t n_reasons;
	struct event *second;   /* leases */
	struct event *happened; /* the dataplane's events */
	struct event *retry;
	uint64_t polled; /* ns, when leases were last looked at */
	bool lease_trouble;
};

int reconcile_open(struct reconcile *reconcile, const char *path);
void reconcile_close(struct reconcile *reconcile);

/* Is the dataplane all that the desired state says? */
bool reconcile_converged(const struct reconcile *reconcile);

/*
 * A change from `now` to `next` as a plan, leases included: call it within the transaction of the
 * store that writes `next`. *plan is NULL where all has to be looked at (reconcile_all()).
 */
int reconcile_prepare(struct reconcile *reconcile, const struct model *now,
		      const struct model *next, struct plan **plan);
/* Takes the plan. `done` is called once, later. */
int reconcile_send(struct reconcile *reconcile, struct plan *plan, const struct model *now,
		   const struct model *next, reconcile_done done, void *context);
/* Was that tenant (0: the underlay) refused when all was looked at? */
bool reconcile_holds(const struct reconcile *reconcile, uint32_t tenant);
/* Looks at everything, also at what was held back; idle() tells of the end. */
void reconcile_all(struct reconcile *reconcile);

#endif /* KAIDO_CONTROL_RECONCILE_H */
