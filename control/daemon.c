/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "log.h"
#include "rpc_methods.h"
#include "rpc_server.h"

static void signal_arrived(evutil_socket_t number, short what, void *context)
{
	struct daemon *daemon = context;

	log_info("signal %d: stopping; the dataplane goes on", (int)number);
	event_base_loopbreak(daemon->base);
}

static int rpc_open(struct daemon *daemon)
{
	struct rpc_server_options options = {
		.path = daemon->options.socket,
		.operator_group = daemon->options.operator_group,
		.auditor_group = daemon->options.auditor_group,
		.methods = rpc_methods,
		.context = daemon,
	};
	int ret = rpc_server_create(daemon->base, &options, &daemon->rpc);

	if (ret == -EADDRINUSE)
		log_error("%s: another kaidod answers here", options.path);
	else if (ret < 0)
		log_error("%s: can't listen: %s", options.path, strerror(-ret));
	return ret;
}

int daemon_create(const struct daemon_options *options, struct daemon **out)
{
	struct daemon *daemon = calloc(1, sizeof(*daemon));
	int ret = -ENOMEM;

	if (daemon == NULL)
		return -ENOMEM;
	daemon->options = *options;
	signal(SIGPIPE, SIG_IGN);
	daemon->base = event_base_new();
	if (daemon->base == NULL)
		goto fail;
	daemon->sigterm = evsignal_new(daemon->base, SIGTERM, signal_arrived, daemon);
	daemon->sigint = evsignal_new(daemon->base, SIGINT, signal_arrived, daemon);
	if (daemon->sigterm == NULL || daemon->sigint == NULL ||
	    event_add(daemon->sigterm, NULL) < 0 || event_add(daemon->sigint, NULL) < 0)
		goto fail;
	ret = rpc_open(daemon);
	if (ret < 0)
		goto fail;
	*out = daemon;
	return 0;
fail:
	daemon_destroy(daemon);
	return ret;
}

int daemon_run(struct daemon *daemon)
{
	log_info("version %s, listening on %s", KAIDO_VERSION, daemon->options.socket);
	return event_base_dispatch(daemon->base);
}

void daemon_destroy(struct daemon *daemon)
{
	if (daemon == NULL)
		return;
	rpc_server_destroy(daemon->rpc);
	if (daemon->sigterm != NULL)
		event_free(daemon->sigterm);
	if (daemon->sigint != NULL)
		event_free(daemon->sigint);
	if (daemon->base != NULL)
		event_base_free(daemon->base);
	free(daemon);
}
