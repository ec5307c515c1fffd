/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests to kaidod. Whoever has one queues it and goes on; a thread of its own sends them in that order, connects
 * anew when kaidod was away, and sends again what was not answered. A request's line is wiped when it is
 * answered, for it may hold a key.
 *
 * The queue holds so many SAs that are not answered; one more is refused at once. What ends or moves an SA is bounded
 * by the SAs there are, and is taken beyond that; events are not, and are dropped beyond it.
 */
#ifndef KAIDO_RPC_H
#define KAIDO_RPC_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct kaido_rpc;
struct kaido_settings;

enum kaido_request {
	KAIDO_OPEN,
	KAIDO_SYNC,
	KAIDO_SET,
	KAIDO_UPDATE,
	KAIDO_DELETE,
	KAIDO_EVENT,
};

/* Its method. */
const char *kaido_request_name(enum kaido_request request);

/* Called by the thread, without locks. */
struct kaido_rpc_calls {
	/* Params of what is said first on each connection. */
	json_t *(*open)(void *context);
	json_t *(*sync)(void *context);
	/* error NULL: done, with the result; else what kaidod says. Not called for a set that somebody waited for and
	 * that was refused: who waited has its error. */
	void (*answered)(void *context, enum kaido_request request, uint64_t sa, json_t *result,
			 const char *error);
	void (*notified)(void *context, const char *method, json_t *params);
};

/* What became of a set. */
enum kaido_set {
	KAIDO_SET_QUEUED,  /* or installed: nobody waited for it, or not long enough */
	KAIDO_SET_REFUSED, /* by kaidod */
	KAIDO_SET_FULL,
};

/* The settings are the caller's, and stay. */
struct kaido_rpc *kaido_rpc_create(const struct kaido_settings *settings,
				   const struct kaido_rpc_calls *calls, void *context);
/* From a thread of charon's, once it has its final privileges, which a thread inherits. */
void kaido_rpc_start(struct kaido_rpc *rpc);
/* Waits for a moment that kaidod takes what is queued. */
void kaido_rpc_stop(struct kaido_rpc *rpc);
void kaido_rpc_destroy(struct kaido_rpc *rpc);

/*
 * params is taken. With wait, and if not too many wait already, it waits for the answer, at most wait_ms; *error
 * is then kaidod's words, to be freed, if it refuses.
 */
enum kaido_set kaido_rpc_set(struct kaido_rpc *rpc, uint64_t sa, json_t *params, bool wait,
			     char **error);
bool kaido_rpc_update(struct kaido_rpc *rpc, uint64_t sa, json_t *params);
void kaido_rpc_delete(struct kaido_rpc *rpc, uint64_t sa);
void kaido_rpc_event(struct kaido_rpc *rpc, json_t *params);
/* kaidod is told again which SAs there are, when all that is queued before is answered. */
void kaido_rpc_resync(struct kaido_rpc *rpc);

#endif
