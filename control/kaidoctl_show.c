/* SPDX-License-Identifier: BSD-3-Clause */
/* `show`: each topic is a method, the list in its result, and its columns. */
#include "kaidoctl.h"
#include "kaidoctl_columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"
#include "yaml_config.h"

#define AUDIT_LIMIT 50

struct topic {
	const char *name;
	const char *method;
	const char *list; /* member of the result */
	const struct table_column *columns;
	const char *empty; /* said when there is none */
	/* In the place of the columns; may be NULL. */
	int (*print)(const struct topic *topic, const json_t *result);
	bool of_tunnel; /* takes TENANT/TUNNEL */
};

static void line_print(const char *title, const json_t *result, const char *path,
		       enum table_format format)
{
	char text[256];

	table_value(text, sizeof(text), table_member(result, path), format);
	printf("%-22s %s\n", title, text);
}

static int status_print(const struct topic *topic, const json_t *result)
{
	line_print("kaidod", result, "version", TABLE_TEXT);
	line_print("generation", result, "generation", TABLE_PLAIN);
	line_print("dataplane connected", result, "dataplane.connected", TABLE_TEXT);
	line_print("dataplane version", result, "dataplane.version", TABLE_TEXT);
	line_print("dataplane generation", result, "dataplane.generation", TABLE_PLAIN);
	line_print("converged", result, "dataplane.converged", TABLE_TEXT);
	if (table_member(result, "dataplane.held_back") != NULL)
		line_print("tenants held back", result, "dataplane.held_back", TABLE_PLAIN);
	line_print("workers", result, "dataplane.workers", TABLE_COUNT);
	line_print("ports", result, "dataplane.ports", TABLE_COUNT);
	line_print("tenants", result, "tenants", TABLE_PLAIN);
	line_print("tunnels", result, "tunnels", TABLE_PLAIN);
	line_print("SAs", result, "sas", TABLE_PLAIN);
	line_print("store", result, "store.path", TABLE_TEXT);
	line_print("store writable", result, "store.writable", TABLE_TEXT);
	line_print("clock synchronised", result, "clock.synchronised", TABLE_TEXT);
	line_print("leases extended", result, "leases.extended", TABLE_TEXT);
	if (json_integer_value(table_member(result, "charon.wanted")) > 0) {
		line_print("strongSwan answers", result, "charon.connected", TABLE_TEXT);
		line_print("with kaido's plugin", result, "charon.plugin", TABLE_TEXT);
		if (!json_is_true(table_member(result, "charon.plugin")))
			line_print("which has to call", result, "charon.socket", TABLE_TEXT);
		line_print("has its connections", result, "charon.settled", TABLE_TEXT);
	}
	if (json_integer_value(table_member(result, "charon.refused")) > 0)
		line_print("refused by strongSwan", result, "charon.refused", TABLE_PLAIN);
	if (table_member(result, "leases.seconds_left") != NULL)
		line_print("shortest lease (s)", result, "leases.seconds_left", TABLE_COUNT);
	if (json_integer_value(table_member(result, "leases.ending")) > 0)
		line_print("SAs that want a rekey", result, "leases.ending", TABLE_PLAIN);
	if (json_object_get(result, "confirm_within") != NULL)
		line_print("undone in (seconds)", result, "confirm_within", TABLE_PLAIN);
	return CTL_OK;
}

static int config_print(const struct topic *topic, const json_t *result)
{
	int rc = yaml_write(stdout, json_object_get(result, "config"));

	if (rc < 0)
		fprintf(stderr, "kaidoctl: the configuration can't be written: %s\n",
			strerror(-rc));
	return rc < 0 ? CTL_FAILED : CTL_OK;
}

/* Sum of the drops by reason, as a member that a column can name. */
static void dropped_sum(json_t *tenants)
{
	json_t *tenant, *drops, *packets;
	const char *reason;
	json_int_t sum;
	size_t i;

	json_array_foreach (tenants, i, tenant) {
		sum = 0;
		drops = json_object_get(tenant, "drops");
		json_object_foreach (drops, reason, packets)
			sum += json_integer_value(packets);
		json_object_set_new(tenant, "dropped", json_integer(sum));
	}
}

static int counters_print(const struct topic *topic, const json_t *result)
{
	json_t *tenants = json_object_get(result, "tenants");
	json_t *tunnels = json_object_get(result, "tunnels");

	dropped_sum(tenants);
	if (json_array_size(tenants) > 0)
		table_write(stdout, show_tenant_counter_columns, tenants);
	if (json_array_size(tenants) > 0 && json_array_size(tunnels) > 0)
		printf("\n");
	if (json_array_size(tunnels) > 0)
		table_write(stdout, show_tunnel_counter_columns, tunnels);
	return CTL_OK;
}

static int ports_print(const struct topic *topic, const json_t *result)
{
	json_t *ports = json_object_get(result, "ports"), *port, *packets;
	const char *class;
	char text[32];
	size_t i;

	table_write(stdout, show_port_columns, ports);
	json_array_foreach (ports, i, port) {
		if (!json_is_true(json_object_get(port, "xdp")))
			continue;
		printf("%s is steered by XDP:", json_string_value(json_object_get(port, "name")));
		json_object_foreach (json_object_get(port, "steered"), class, packets) {
			table_number(text, sizeof(text), json_number_value(packets));
			printf(" %s %s", class, text);
		}
		printf("\n");
	}
	return CTL_OK;
}

static int workers_print(const struct topic *topic, const json_t *result)
{
	const json_t *workers = json_object_get(result, "workers");
	char text[32];

	table_value(text, sizeof(text), table_member(json_array_get(workers, 0), "recent.seconds"),
		    TABLE_TENTH);
	printf("In the last %s seconds:\n", text);
	table_write(stdout, show_worker_columns, workers);
	printf("\nCycles per packet, by stage:\n");
	table_write(stdout, show_worker_stage_columns, workers);
	printf("\nBursts by packets, in %%:\n");
	table_write(stdout, show_worker_burst_columns, workers);
	return CTL_OK;
}

static int ike_topic_print(const struct topic *topic, const json_t *result)
{
	return ike_print(result);
}

static const struct topic topics[] = {
	{ "status", "system.status", NULL, NULL, NULL, status_print, false },
	{ "tenants", "tenant.list", "tenants", show_tenant_columns, "No tenants.", NULL, false },
	{ "tenant", "config.get", NULL, NULL, NULL, NULL, false },
	{ "tunnels", "tunnel.list", "tunnels", show_tunnel_columns, "No tunnels.", NULL, true },
	{ "remote-access", "remote-access.list", "remote_access", show_remote_access_columns,
	  "No remote access.", NULL, false },
	{ "sas", "sa.list", "sas", show_sa_columns, "No SAs.", NULL, true },
	{ "ike", "ike.list", NULL, NULL, NULL, ike_topic_print, false },
	{ "attachments", "attachment.list", "attachments", show_attachment_columns,
	  "No attachments.", NULL, false },
	{ "routes", "route.list", "routes", show_route_columns, "No routes.", NULL, false },
	{ "neighbours", "neighbour.list", "neighbours", show_neighbour_columns, "No neighbours.",
	  NULL, false },
	{ "ports", "port.list", "ports", show_port_columns, "No ports.", ports_print, false },
	{ "workers", "worker.list", "workers", show_worker_columns, "No workers.", workers_print,
	  false },
	{ "counters", "counters.get", NULL, NULL, NULL, counters_print, true },
	{ "drops", "drop.list", "reasons", show_drop_columns, "Nothing was dropped.", NULL, false },
	{ "events", "event.list", NULL, NULL, NULL, NULL, true },
	{ "config", "config.get", NULL, NULL, NULL, config_print, false },
	{ "audit", "audit.list", "entries", show_audit_columns, "No entries.", NULL, false },
	{ NULL, NULL, NULL, NULL, NULL, NULL, false },
};

const char *show_topic(size_t index)
{
	return index < sizeof(topics) / sizeof(topics[0]) ? topics[index].name : NULL;
}

static int topic_print(const struct ctl *ctl, const struct topic *topic, json_t *result)
{
	json_t *list = topic->list != NULL ? json_object_get(result, topic->list) : NULL;

	if (ctl->json)
		return ctl_print_json(result);
	if (topic->list != NULL && json_array_size(list) == 0) {
		printf("%s\n", topic->empty);
		return CTL_OK;
	}
	if (topic->print != NULL)
		return topic->print(topic, result);
	table_write(stdout, topic->columns, list);
	return CTL_OK;
}

static int tunnel_show(struct ctl *ctl, const json_t *result, const char *of);

/* Method and parameters of a topic, of a tenant or tunnel where one is named. */
static int topic_show(struct ctl *ctl, const char *name, const char *of)
{
	const struct topic *topic = topics;
	char tenant[32], tunnel[32] = "";
	json_t *params = json_object(), *result;
	bool detail;
	int rc;

	while (strcmp(topic->name, name) != 0)
		topic++;
	if (of != NULL) {
		if (!ctl_split_name(of, tenant, tunnel) ||
		    (tunnel[0] != '\0' && !topic->of_tunnel)) {
			json_decref(params);
			return command_usage("show", "this is no name that it takes:", of);
		}
		json_object_set_new(params, "tenant", json_string(tenant));
		if (tunnel[0] != '\0')
			json_object_set_new(params, "tunnel", json_string(tunnel));
	}
	detail = tunnel[0] != '\0' && strcmp(name, "tunnels") == 0;
	if (strcmp(name, "tunnels") == 0)
		json_object_set_new(params, "state", json_true());
	rc = ctl_call(ctl, topic->method, params, &result);
	if (rc != CTL_OK)
		return rc;
	if (detail && !ctl->json)
		rc = tunnel_show(ctl, result, of);
	else
		rc = topic_print(ctl, topic, result);
	json_decref(result);
	return rc;
}

/* All of one tunnel, and its SAs. */
static int tunnel_show(struct ctl *ctl, const json_t *result, const char *of)
{
	int rc = tunnel_detail_print(json_array_get(json_object_get(result, "tunnels"), 0));

	printf("\n");
	return rc == CTL_OK ? topic_show(ctl, "sas", of) : rc;
}

/* One tenant: what it is, and the lists of what belongs to it. */
static int tenant_show(struct ctl *ctl, const char *name)
{
	static const char *const parts[] = { "attachments", "tunnels",  "sas",
					     "routes",      "counters", "drops" };
	size_t i;
	int rc = CTL_OK;

	if (name == NULL)
		return command_usage("show", "name the tenant:", "show tenant TENANT");
	if (ctl->json)
		return topic_show(ctl, "tenant", name);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]) && rc == CTL_OK; i++) {
		printf("%s%s\n", i > 0 ? "\n" : "", parts[i]);
		rc = topic_show(ctl, parts[i], name);
	}
	return rc;
}

static int audit_show(struct ctl *ctl, const char *count)
{
	json_t *result;
	char *end = NULL;
	long limit = count != NULL ? strtol(count, &end, 10) : AUDIT_LIMIT;
	size_t i;
	int rc;

	if (limit < 1 || (end != NULL && *end != '\0'))
		return command_usage("audit", "N is a number of entries, not", count);
	rc = ctl_call(ctl, "audit.list", json_pack("{s:I}", "limit", (json_int_t)limit), &result);
	if (rc != CTL_OK)
		return rc;
	for (i = 0; strcmp(topics[i].name, "audit") != 0; i++)
		;
	rc = topic_print(ctl, &topics[i], result);
	json_decref(result);
	return rc;
}

int command_show(struct ctl *ctl, int argc, char **argv)
{
	const char *of = argc > 2 ? argv[2] : NULL;
	size_t i;

	if (argc < 2)
		return command_usage("show", "name a TOPIC", NULL);
	if (strcmp(argv[1], "events") == 0)
		return events_show(ctl, argc - 1, argv + 1);
	if (argc > 3)
		return command_usage("show", "too many words from here:", argv[3]);
	if (strcmp(argv[1], "tenant") == 0)
		return tenant_show(ctl, of);
	if (strcmp(argv[1], "audit") == 0)
		return audit_show(ctl, of);
	for (i = 0; topics[i].name != NULL; i++)
		if (strcmp(topics[i].name, argv[1]) == 0)
			return topic_show(ctl, argv[1], of);
	return command_usage("show", "there is no topic", argv[1]);
}

int command_drops(struct ctl *ctl, int argc, char **argv)
{
	if (argc > 2)
		return command_usage("drops", "too many words from here:", argv[2]);
	return topic_show(ctl, "drops", argc > 1 ? argv[1] : NULL);
}

/* Each entry of the log is chained to the one before by a keyed digest. */
static int audit_verify(struct ctl *ctl)
{
	json_t *result;
	bool whole;
	int rc;

	rc = ctl_call(ctl, "audit.verify", NULL, &result);
	if (rc != CTL_OK)
		return rc;
	whole = json_is_true(json_object_get(result, "whole"));
	if (ctl->json)
		ctl_print_json(result);
	else
		printf("The work log is %s, %lld entries.\n", whole ? "whole" : "NOT whole",
		       (long long)json_integer_value(json_object_get(result, "entries")));
	json_decref(result);
	return whole ? CTL_OK : CTL_FAILED;
}

int command_audit(struct ctl *ctl, int argc, char **argv)
{
	if (argc > 2)
		return command_usage("audit", "too many words from here:", argv[2]);
	if (argc == 2 && strcmp(argv[1], "verify") == 0)
		return audit_verify(ctl);
	return audit_show(ctl, argc > 1 ? argv[1] : NULL);
}
