/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes of the desired state, one at a time, whoever asks: check, compare, store, send, answer.
 *
 * A change is on the disk before it is sent, together with the way back and with its line in the
 * audit log. What the dataplane refuses is taken back in the store as well. A kaidod that dies in
 * between finds the way back at its next start.
 */
#ifndef KAIDO_CONTROL_CHANGE_H
#define KAIDO_CONTROL_CHANGE_H

#include <stdbool.h>
#include <sys/queue.h>

#include <jansson.h>

#include "config.h"
#include "merge.h"
#include "rpc_server.h"

struct daemon;
struct event;

/* What is asked for. A builder fills it from the request's params. */
struct change {
	STAILQ_ENTRY(change) link;
	struct daemon *daemon;
	struct rpc_request *request; /* NULL: kaidod's own (a rollback) */
	int (*build)(struct change *change, json_t *params);

	struct config_reader reader;
	struct config_context context;
	struct config *config;   /* tenants and underlay entries to be put in place */
	const char *gone_tenant; /* to be removed; of the params */
	const char *gone_underlay;
	bool prune; /* remove all that the config does not name */
	bool dry_run;
	unsigned int confirm_within; /* seconds; 0: final at once */
	char focus[96];              /* where in the config the caller's own object stands ... */
	char focus_name[16];         /* ... and its pointer in the params */
	bool whole_config;           /* pointers are into the config itself */
	char summary[200];           /* for the audit log */

	struct model *now;
	struct model *next;
	struct model *effective; /* what the dataplane shall have with it */
	json_t *changes;
	bool rollback;
	bool recorded; /* in the audit log */
	bool waits;    /* for reconcile to become idle */
};

struct changes {
	STAILQ_HEAD(, change) queue;
	struct change *current; /* waits for the dataplane */
	struct ids ids;
	struct event *confirm; /* takes an unconfirmed apply back */
	struct event *runner;
	bool turn; /* of changes; else of what IKE negotiates */
	bool confirming;
	uint64_t deadline; /* seconds since the epoch */
};

/* Restores ids, and takes back what was not final when kaidod ended. */
int changes_open(struct daemon *daemon);
void changes_close(struct daemon *daemon);

/*
 * Answers the request when it is done. `build` returns 0, or fails the request with rpc_fail() and
 * returns -1; mistakes of the config it leaves in the reader.
 */
void change_submit(struct daemon *daemon, struct rpc_request *request,
		   int (*build)(struct change *change, json_t *params));
/* Starts the next one where nothing is under way. */
void changes_run(struct daemon *daemon);
/* Is a change under way, or waits for its turn or its confirmation? */
bool changes_pending(const struct daemon *daemon);
/* 0; -ENOENT: nothing waits; or an error of the store. */
int changes_confirm(struct daemon *daemon, const struct rpc_caller *caller);

/* Notes anew what ids are in use: those that were given out in vain are free again. */
void change_ids_mark(struct daemon *daemon);
/* The last ids given out, into the store; within a transaction. */
int change_ids_record(struct daemon *daemon);

#endif /* KAIDO_CONTROL_CHANGE_H */
