/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <event2/event.h>
#include <sodium.h>
#if HAVE_LIBSYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "audit.h"
#include "graph.h"
#include "history.h"
#include "ike_config.h"
#include "log.h"
#include "rpc_methods.h"
#include "rpc_server.h"
#include "session_batch.h"
#include "store.h"
#include "vault.h"

#define CALLERS_MOST 512 /* connections of kaidoctl and others */
#define CHARONS_MOST 16  /* of charon's plugin: one, and those that it gave up */

/* What jansson holds of a request may be a key: wiped when it is freed. */
static void json_free_wiping(void *p)
{
	if (p != NULL)
		sodium_memzero(p, malloc_usable_size(p));
	free(p);
}

static void signal_arrived(evutil_socket_t number, short what, void *context)
{
	struct daemon *daemon = context;

	log_info("signal %d: stopping; the dataplane goes on", (int)number);
	event_base_loopbreak(daemon->base);
}

static void call_refused(void *context, const struct rpc_caller *caller, const char *method)
{
	struct daemon *daemon = context;

	/* A log that can't be written must not turn the refusal into something else. */
	if (audit_write(daemon->store, caller, method, "", "refused for the role") < 0)
		log_warning("audit log: %s", store_error(daemon->store));
}

static void totals_record(struct daemon *daemon)
{
	int ret = totals_save(&daemon->totals);

	if (ret < 0 && !daemon->totals_trouble)
		log_error("totals can't be saved: %s", strerror(-ret));
	daemon->totals_trouble = ret < 0;
}

static void lives_record(struct daemon *daemon)
{
	int ret;

	/* A row of counters may be that of another SA while one is being set. */
	if (daemon->reconcile.busy)
		return;
	ret = lives_save(&daemon->reconcile.lives, daemon->reconcile.map);
	if (ret < 0 && !daemon->lives_trouble)
		log_error("what SAs have carried can't be saved: %s", store_error(daemon->store));
	daemon->lives_trouble = ret < 0;
}

/* -- hooks of reconcile -- */

static const struct model *desired_get(void *context)
{
	const struct daemon *daemon = context;

	return daemon->effective;
}

static const struct model *configured_get(void *context)
{
	const struct daemon *daemon = context;

	return daemon->desired;
}

static bool object_refused(void *context, const struct plan_object *object, const char *text)
{
	struct daemon *daemon = context;

	return sessions_refused(&daemon->sessions, object, text);
}

static bool sa_ended(void *context, uint32_t sa, bool hard)
{
	struct daemon *daemon = context;

	return sessions_ended(&daemon->sessions, sa, hard);
}

static void dataplane_arrived(void *context)
{
	struct daemon *daemon = context;
	const struct abi_hello_reply *hello = &daemon->reconcile.hello;
	uint32_t *capacity = daemon->changes.ids.capacity;

	capacity[ID_TENANT] = hello->max_tenants;
	capacity[ID_ATTACHMENT] = hello->max_attachments;
	capacity[ID_TUNNEL] = hello->max_tunnels;
	capacity[ID_SA] = hello->max_sas;
}

/* Nobody will be able to read these again: to the disk at once. */
static void counters_final(void *context, const struct counters_map *map)
{
	struct daemon *daemon = context;

	if (totals_update(&daemon->totals, map, daemon->effective) == 0)
		totals_record(daemon);
}

static void reconcile_event(void *context, const char *kind, const char *text, const char *tenant,
			    const char *tunnel)
{
	daemon_event(context, kind, text, tenant, tunnel);
}

static void reconcile_happened(void *context, const struct abi_event *event)
{
	daemon_happened(context, event);
}

static void reconcile_read(void *context, uint64_t boot, uint64_t number)
{
	struct daemon *daemon = context;

	journal_read_to(&daemon->journal, boot, number);
}

static uint64_t reconcile_read_last(void *context, uint64_t boot)
{
	struct daemon *daemon = context;
	uint64_t last = journal_read(&daemon->journal, boot);

	daemon->boot_is_whole = last == 0;
	return last;
}

static void reconcile_idle(void *context)
{
	changes_run(context);
}

/* -- sampling -- */

static void history_row_fill(struct history_row *row, const char *tenant, const char *tunnel,
			     const uint64_t total[TOTALS_TUNNEL])
{
	static_assert((int)HISTORY_SERIES == TOTALS_TUNNEL, "the same series in the same order");

	memset(row, 0, sizeof(*row));
	snprintf(row->tenant, sizeof(row->tenant), "%s", tenant);
	snprintf(row->tunnel, sizeof(row->tunnel), "%s", tunnel);
	memcpy(row->total, total, sizeof(row->total));
}

static void history_take(struct daemon *daemon)
{
	const struct model *model = daemon->desired;
	size_t most = model->n_tenants, n = 0;
	struct history_row *rows;

	for (size_t i = 0; i < model->n_tenants; i++)
		most += model->tenants[i]->n_tunnels;
	rows = calloc(most + 1, sizeof(*rows));
	if (rows == NULL)
		return;
	for (size_t i = 0; i < model->n_tenants; i++) {
		const struct tenant *tenant = model->tenants[i];
		const struct totals_tenant *sum = totals_tenant(&daemon->totals, tenant->id);

		if (sum == NULL)
			continue;
		history_row_fill(&rows[n++], tenant->name, "", sum->carried);
		for (size_t k = 0; k < tenant->n_tunnels; k++) {
			const struct tunnel *tunnel = tenant->tunnels[k];
			const struct totals_tunnel *row =
				totals_tunnel(&daemon->totals, tunnel->id);

			if (row != NULL)
				history_row_fill(&rows[n++], tenant->name, tunnel->name,
						 row->total);
		}
	}
	history_sample(daemon->history, time(NULL), rows, n);
	free(rows);
}

static void sample_due(evutil_socket_t fd, short what, void *context)
{
	struct daemon *daemon = context;

	if (totals_update(&daemon->totals, daemon->reconcile.map, daemon->effective) == 0)
		totals_record(daemon);
	lives_record(daemon);
	if (daemon->history != NULL)
		history_take(daemon);
}

static void second_passed(evutil_socket_t fd, short what, void *context)
{
	struct daemon *daemon = context;

	if (worker_load_look(&daemon->workers, daemon->reconcile.map) < 0)
		log_warning("no memory to tell how busy the workers are");
	journal_flush(&daemon->journal);
}

/* -- opening -- */

static int rpc_listen(struct daemon *daemon, struct rpc_server_options *options,
		      struct rpc_server **server)
{
	int ret;

	options->methods = rpc_methods;
	options->context = daemon;
	options->refused = call_refused;
	ret = rpc_server_create(daemon->base, options, server);
	if (ret == -EADDRINUSE)
		log_error("%s: another kaidod answers here", options->path);
	else if (ret < 0)
		log_error("%s: can't listen: %s", options->path, strerror(-ret));
	return ret;
}

static int rpc_open(struct daemon *daemon)
{
	const char *socket = daemon->options.socket, *slash = strrchr(socket, '/');
	char beside[PATH_MAX];
	struct rpc_server_options callers = {
		.path = socket,
		.own_role = RPC_ROLE_OPERATOR,
		.operator_group = daemon->options.operator_group,
		.auditor_group = daemon->options.auditor_group,
		.most = CALLERS_MOST,
	};
	struct rpc_server_options charon = {
		.path = daemon->options.ike_socket,
		.own_role = RPC_ROLE_IKE,
		.ike_group = daemon->options.ike_group,
		.most = CHARONS_MOST,
	};
	int ret;

	if (charon.path == NULL) {
		snprintf(beside, sizeof(beside), "%.*sike.sock",
			 slash == NULL ? 0 : (int)(slash - socket) + 1, socket);
		charon.path = beside;
	}
	ret = rpc_listen(daemon, &callers, &daemon->rpc);
	return ret < 0 ? ret : rpc_listen(daemon, &charon, &daemon->rpc_ike);
}

static int events_open(struct daemon *daemon)
{
	struct timeval interval = { .tv_sec = daemon->options.sample_interval };
	struct timeval second = { .tv_sec = 1 };

	daemon->sigterm = evsignal_new(daemon->base, SIGTERM, signal_arrived, daemon);
	daemon->sigint = evsignal_new(daemon->base, SIGINT, signal_arrived, daemon);
	daemon->sample = event_new(daemon->base, -1, EV_PERSIST, sample_due, daemon);
	daemon->second = event_new(daemon->base, -1, EV_PERSIST, second_passed, daemon);
	if (daemon->sigterm == NULL || daemon->sigint == NULL || daemon->sample == NULL ||
	    daemon->second == NULL || event_add(daemon->second, &second) < 0 ||
	    event_add(daemon->sigterm, NULL) < 0 || event_add(daemon->sigint, NULL) < 0 ||
	    event_add(daemon->sample, &interval) < 0)
		return -ENOMEM;
	return 0;
}

/*
 * Without history and graphs the gateway runs all the same. The program that draws is started while
 * programs may be started; the thread that writes, once there is nothing left that it could inherit.
 */
static void graphs_start(struct daemon *daemon)
{
	char path[PATH_MAX];
	int ret;

	snprintf(path, sizeof(path), "%s/history", daemon->options.state);
	ret = mkdir(path, 0750) < 0 && errno != EEXIST
		      ? -errno
		      : graph_service_start(NULL, path, &daemon->graphs);
	if (ret < 0)
		log_error("kaido-graph can't be started, there are no graphs: %s", strerror(-ret));
}

static void history_start(struct daemon *daemon)
{
	char path[PATH_MAX];
	int ret;

	snprintf(path, sizeof(path), "%s/history", daemon->options.state);
	ret = history_open(path, daemon->options.sample_interval, &daemon->history);
	if (ret < 0)
		log_error("%s: no history is kept: %s", path, strerror(-ret));
	/* A kaidod that ended between a change and its erasing; where there is a way back, later. */
	daemon->erase_owed = true;
	if (!changes_pending(daemon))
		daemon_erase(daemon);
}

static int state_open(struct daemon *daemon)
{
	int ret = vault_open(daemon->options.master_key, &daemon->vault);

	if (ret == 0)
		ret = store_open(daemon->options.state, daemon->vault, &daemon->store);
	if (ret == 0)
		ret = store_load(daemon->store, daemon->vault, &daemon->desired);
	if (ret == 0)
		ret = journal_open(&daemon->journal, daemon->store, daemon->options.event_days,
				   daemon->options.event_rows);
	if (ret == 0)
		ret = totals_open(&daemon->totals, daemon->options.state);
	return ret;
}

static int reconcile_start(struct daemon *daemon)
{
	daemon->reconcile.base = daemon->base;
	daemon->reconcile.store = daemon->store;
	daemon->reconcile.vault = daemon->vault;
	daemon->reconcile.hooks = (struct reconcile_hooks){
		.context = daemon,
		.desired = desired_get,
		.up = dataplane_arrived,
		.final = counters_final,
		.event = reconcile_event,
		.happened = reconcile_happened,
		.read = reconcile_read,
		.read_last = reconcile_read_last,
		.idle = reconcile_idle,
		.refused = object_refused,
		.ended = sa_ended,
	};
	return reconcile_open(&daemon->reconcile, daemon->options.dataplane);
}

/* SAs of a charon that ended are no reason not to begin. */
static bool tunnel_is_up(void *context, uint32_t tunnel)
{
	const struct daemon *daemon = context;
	const struct session *session = sessions_by_tunnel(&daemon->sessions, tunnel);

	return session != NULL && !TAILQ_EMPTY(&session->sas) &&
	       !session_is_orphan(&daemon->sessions, session);
}

static int charon_start(struct daemon *daemon)
{
	const struct ike_config_hooks hooks = {
		.context = daemon,
		.desired = configured_get,
		.is_up = tunnel_is_up,
		.event = reconcile_event,
	};

	if (daemon->options.vici == NULL)
		return 0;
	return ike_config_open(daemon->base, daemon->options.vici, daemon->options.state,
			       daemon->vault, &hooks, &daemon->ike_config);
}

int daemon_create(const struct daemon_options *options, struct daemon **out)
{
	struct daemon *daemon = calloc(1, sizeof(*daemon));
	int ret = -ENOMEM;

	if (daemon == NULL)
		return -ENOMEM;
	daemon->options = *options;
	STAILQ_INIT(&daemon->changes.queue);
	sessions_init(&daemon->sessions, daemon);
	signal(SIGPIPE, SIG_IGN);
	json_set_alloc_funcs(malloc, json_free_wiping);
	ret = state_open(daemon);
	if (ret < 0)
		goto fail;
	graphs_start(daemon); /* before there is anything that a child could inherit */
	daemon->base = event_base_new();
	ret = daemon->base == NULL ? -ENOMEM : events_open(daemon);
	if (ret == 0)
		ret = changes_open(daemon);
	if (ret == 0)
		ret = sessions_load(&daemon->sessions);
	if (ret == 0)
		ret = sessions_timers_open(&daemon->sessions);
	if (ret == 0)
		ret = reconcile_start(daemon);
	if (ret == 0)
		ret = charon_start(daemon);
	if (ret == 0)
		ret = rpc_open(daemon);
	if (ret < 0)
		goto fail;
	*out = daemon;
	return 0;
fail:
	log_error("not started: %s", strerror(-ret));
	daemon_destroy(daemon);
	return ret;
}

int daemon_run(struct daemon *daemon)
{
	history_start(daemon);
	log_info("version %s, generation %llu, listening on %s", KAIDO_VERSION,
		 (unsigned long long)daemon->desired->generation, daemon->options.socket);
#if HAVE_LIBSYSTEMD
	sd_notify(0, "READY=1");
#endif
	return event_base_dispatch(daemon->base);
}

void daemon_destroy(struct daemon *daemon)
{
	if (daemon == NULL)
		return;
	if (daemon->store != NULL && daemon->effective != NULL &&
	    totals_update(&daemon->totals, daemon->reconcile.map, daemon->effective) == 0 &&
	    daemon->totals.path != NULL)
		totals_save(&daemon->totals);
	if (daemon->store != NULL)
		lives_record(daemon);
	sessions_timers_close(&daemon->sessions);
	ike_config_close(daemon->ike_config);
	daemon->ike_config = NULL;
	rpc_server_destroy(daemon->rpc_ike);
	daemon->rpc_ike = NULL;
	rpc_server_destroy(daemon->rpc);
	daemon->rpc = NULL;
	sessions_batch_clear(&daemon->sessions);
	changes_close(daemon);
	reconcile_close(&daemon->reconcile);
	graph_service_stop(daemon->graphs);
	history_close(daemon->history);
	if (daemon->sample != NULL)
		event_free(daemon->sample);
	if (daemon->second != NULL)
		event_free(daemon->second);
	if (daemon->sigterm != NULL)
		event_free(daemon->sigterm);
	if (daemon->sigint != NULL)
		event_free(daemon->sigint);
	totals_close(&daemon->totals);
	worker_load_close(&daemon->workers);
	if (daemon->journal.store != NULL)
		journal_flush(&daemon->journal);
	journal_close(&daemon->journal);
	free(daemon->places);
	sessions_close(&daemon->sessions);
	session_failures_clear(&daemon->sessions);
	model_destroy(daemon->effective);
	model_destroy(daemon->desired);
	store_close(daemon->store);
	vault_close(daemon->vault);
	if (daemon->base != NULL)
		event_base_free(daemon->base);
	free(daemon);
}
