/* SPDX-License-Identifier: BSD-3-Clause */
/* kaidod put together: what main.c makes, runs and ends, and what the RPC methods work on. */
#ifndef KAIDO_CONTROL_DAEMON_H
#define KAIDO_CONTROL_DAEMON_H

struct event;
struct event_base;
struct rpc_server;

struct daemon_options {
	const char *state;     /* directory; made (0700) where it isn't there */
	const char *socket;    /* the RPC socket */
	const char *dataplane; /* the dataplane's socket */
	const char *master_key;
	const char *operator_group; /* NULL: none */
	const char *auditor_group;
	unsigned int sample_interval; /* seconds */
};

struct daemon {
	struct daemon_options options;
	struct event_base *base;
	struct event *sigterm;
	struct event *sigint;
	struct rpc_server *rpc;
};

/* Opens everything. Says what is wrong on standard error. Negative errno. */
int daemon_create(const struct daemon_options *options, struct daemon **daemon);
/* Until SIGTERM or SIGINT. */
int daemon_run(struct daemon *daemon);
void daemon_destroy(struct daemon *daemon);

#endif /* KAIDO_CONTROL_DAEMON_H */
