/* SPDX-License-Identifier: BSD-3-Clause */
/* kaidod put together: what main.c makes, runs and ends, and what the RPC methods work on. */
#ifndef KAIDO_CONTROL_DAEMON_H
#define KAIDO_CONTROL_DAEMON_H

#include "change.h"
#include "journal.h"
#include "reconcile.h"
#include "session.h"
#include "totals.h"
#include "worker_load.h"

struct event;
struct event_base;
struct graph_service;
struct history;
struct ike_config;
struct rpc_server;
struct store;
struct vault;

struct daemon_options {
	const char *state;      /* directory; made (0700) where it isn't there */
	const char *socket;     /* the RPC socket */
	const char *ike_socket; /* that of charon's plugin; NULL: ike.sock beside the other one */
	const char *dataplane;  /* the dataplane's socket */
	const char *vici;       /* charon's; NULL: it is not configured */
	const char *master_key;
	const char *operator_group; /* NULL: none */
	const char *auditor_group;
	const char *ike_group;
	unsigned int sample_interval; /* seconds */
	unsigned int event_days;      /* how long events are kept */
	unsigned int event_rows;      /* and how many of a tenant */
};

/* Where the peer of a tunnel moved to last. */
struct daemon_place {
	uint64_t boot; /* of the dataplane that told it */
	struct abi_address configured;
	struct abi_address address;
	uint16_t port;
};

struct daemon {
	struct daemon_options options;
	struct event_base *base;
	struct event *sigterm;
	struct event *sigint;
	struct event *sample;
	struct event *second;
	struct vault *vault;
	struct store *store;
	struct model *desired;   /* what operators want */
	struct model *effective; /* that, with what IKE negotiated: what the dataplane shall have */
	struct sessions sessions;
	struct changes changes;
	struct reconcile reconcile;
	struct ike_config *ike_config; /* NULL: see options.vici */
	struct totals totals;
	struct worker_load workers;
	struct journal journal;
	bool boot_is_whole;          /* all events of this dataplane came to this kaidod */
	struct daemon_place *places; /* by id of tunnel */
	uint32_t n_places;
	bool totals_trouble;          /* the last saving failed */
	bool lives_trouble;           /* as above */
	bool erase_owed;              /* totals and history may be of what was deleted */
	struct history *history;      /* NULL: its folder can't be written */
	uint64_t traces;              /* started since this kaidod runs */
	struct graph_service *graphs; /* NULL: no graphs */
	struct rpc_server *rpc;
	struct rpc_server *rpc_ike; /* for charon's plugin alone */
};

/* Opens everything. Says what is wrong on standard error. Negative errno. */
int daemon_create(const struct daemon_options *options, struct daemon **daemon);
/* Until SIGTERM or SIGINT. Privileges have been dropped before. */
int daemon_run(struct daemon *daemon);
void daemon_destroy(struct daemon *daemon);

/* Tells subscribers, the journal and the system log. `tenant` and `tunnel` may be NULL. */
void daemon_event(struct daemon *daemon, const char *kind, const char *text, const char *tenant,
		  const char *tunnel);

/* As above, one that is made already; taken. */
void daemon_event_tell(struct daemon *daemon, json_t *event);
/* One that the dataplane tells of. */
void daemon_happened(struct daemon *daemon, const struct abi_event *event);

/* Does `to` lack a tenant or tunnel of `from`? */
bool daemon_loses(const struct model *from, const struct model *to);
/* Erases totals, history and events of what the desired state doesn't have, where that is owed. Not while
 * there is a way back to another state. */
void daemon_erase(struct daemon *daemon);

#endif /* KAIDO_CONTROL_DAEMON_H */
