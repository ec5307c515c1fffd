/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods that ask the dataplane: ports, neighbours, the packet trace. */
#include "rpc_methods.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "address.h"
#include "audit.h"
#include "daemon.h"
#include "dataplane_client.h"
#include "rpc_render.h"
#include "store.h"

/* A question under way: the answer is gathered in `list`. */
struct question {
	struct daemon *daemon;
	struct rpc_request *request;
	const char *member; /* of the result */
	json_t *list;
	uint32_t tenant; /* UINT32_MAX: all */
};

static struct question *question_create(struct daemon *daemon, struct rpc_request *request,
					const char *member)
{
	struct question *question = calloc(1, sizeof(*question));

	if (question == NULL) {
		rpc_fail(request, RPC_INTERNAL, NULL, "out of memory: try again later");
		return NULL;
	}
	question->daemon = daemon;
	question->request = request;
	question->member = member;
	question->list = json_array();
	question->tenant = UINT32_MAX;
	return question;
}

static void question_end(struct question *question, int error, const char *text)
{
	if (error == -ENOTCONN)
		rpc_fail(question->request, RPC_DATAPLANE_AWAY, NULL,
			 "the dataplane is away: start kaido-dataplane");
	else if (error != 0)
		rpc_fail(question->request, RPC_DATAPLANE_REFUSED, NULL,
			 "the dataplane refused this: %s", text);
	else if (question->member == NULL)
		rpc_reply(question->request, json_object());
	else
		rpc_reply(question->request, json_pack("{s:O}", question->member, question->list));
	json_decref(question->list);
	free(question);
}

static void question_done(void *context, int error, const char *text)
{
	question_end(context, error, text);
}

/* A fixed field that the other side has not terminated is cut, not believed. */
static json_t *field_text_render(const char *field, size_t size)
{
	return json_stringn_nocheck(field, strnlen(field, size));
}

static json_t *mac_render(const uint8_t mac[6])
{
	return json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
			    mac[5]);
}

/* -- ports -- */

static json_t *steered_render(const struct abi_port *port)
{
	static const char *const classes[ABI_PORT_CLASSES] = {
		"esp", "esp-in-udp", "esp-fragment", "keepalive", "no-socket", "ike",
		"arp", "nd",         "icmp",         "fragment",  "malformed", "other",
	};
	json_t *json = json_object();

	for (unsigned int i = 0; i < ABI_PORT_CLASSES && port->xdp != 0; i++)
		json_object_set_new(json, classes[i], json_integer((json_int_t)port->steered[i]));
	return json;
}

static void ports_take(void *context, const void *records, uint32_t count)
{
	struct question *question = context;
	struct abi_port port;

	for (uint32_t i = 0; i < count; i++) {
		memcpy(&port, (const struct abi_port *)records + i, sizeof(port));
		json_array_append_new(
			question->list,
			json_pack("{s:o, s:o, s:o, s:o, s:b, s:I, s:i, s:i, s:i, s:b, s:o, s:o}",
				  "name", field_text_render(port.name, sizeof(port.name)), "driver",
				  field_text_render(port.driver, sizeof(port.driver)), "device",
				  field_text_render(port.device, sizeof(port.device)), "mac",
				  mac_render(port.mac), "link", port.link != 0, "speed",
				  (json_int_t)port.speed, "mtu", (int)port.mtu, "rx_queues",
				  (int)port.rx_queues, "tx_queues", (int)port.tx_queues, "xdp",
				  port.xdp != 0, "steered", steered_render(&port), "counters",
				  rpc_render_port(question->daemon->reconcile.map, port.index)));
	}
}

void rpc_port_list(void *context, struct rpc_request *request)
{
	static const char *const known[] = { NULL };
	struct daemon *daemon = context;
	struct question *question;
	int ret;

	if (!rpc_params_check(request, known))
		return;
	question = question_create(daemon, request, "ports");
	if (question == NULL)
		return;
	ret = dataplane_dump(daemon->reconcile.client, ABI_DUMP_PORT, UINT32_MAX, ports_take,
			     question_done, question);
	if (ret < 0)
		question_end(question, ret, strerror(-ret));
}

/* -- neighbours -- */

/* Which attachment has the id? *tenant is NULL for the underlay. */
static const struct attachment *attachment_find(const struct model *model, uint32_t id,
						const struct tenant **tenant)
{
	*tenant = NULL;
	for (size_t i = 0; i < model->n_underlay; i++) {
		if (model->underlay[i]->id == id)
			return model->underlay[i];
	}
	for (size_t i = 0; i < model->n_tenants; i++) {
		for (size_t k = 0; k < model->tenants[i]->n_attachments; k++) {
			if (model->tenants[i]->attachments[k]->id != id)
				continue;
			*tenant = model->tenants[i];
			return model->tenants[i]->attachments[k];
		}
	}
	return NULL;
}

static void neighbours_take(void *context, const void *records, uint32_t count)
{
	static const char *const states[] = { "incomplete", "reachable", "stale", "permanent" };
	struct question *question = context;
	char text[ADDRESS_TEXT_LEN];

	for (uint32_t i = 0; i < count; i++) {
		const struct attachment *attachment;
		struct abi_neighbour neighbour;
		const struct tenant *tenant;
		json_t *json;

		memcpy(&neighbour, (const struct abi_neighbour *)records + i, sizeof(neighbour));
		attachment =
			attachment_find(question->daemon->desired, neighbour.attachment, &tenant);
		if (attachment == NULL || neighbour.state > ABI_NEIGHBOUR_PERMANENT ||
		    (question->tenant != UINT32_MAX &&
		     (tenant == NULL || tenant->id != question->tenant)))
			continue;
		json = json_pack("{s:s, s:s, s:o, s:s}", "attachment", attachment->name, "address",
				 address_format(&neighbour.address, text), "mac",
				 mac_render(neighbour.mac), "state", states[neighbour.state]);
		if (tenant != NULL)
			json_object_set_new(json, "tenant", json_string(tenant->name));
		json_array_append_new(question->list, json);
	}
}

void rpc_neighbour_list(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", NULL };
	struct daemon *daemon = context;
	const struct tenant *tenant;
	struct question *question;
	int ret;

	if (!rpc_params_check(request, known) ||
	    !rpc_params_tenant(request, daemon->desired, &tenant))
		return;
	question = question_create(daemon, request, "neighbours");
	if (question == NULL)
		return;
	if (tenant != NULL)
		question->tenant = tenant->id;
	ret = dataplane_dump(daemon->reconcile.client, ABI_DUMP_NEIGHBOUR, question->tenant,
			     neighbours_take, question_done, question);
	if (ret < 0)
		question_end(question, ret, strerror(-ret));
}

/* -- trace -- */

static json_t *record_render(const struct question *question, const struct abi_trace_record *record)
{
	static const char *const walks[] = { "none", "outbound", "inbound", "local", "punt" };
	const struct reconcile *reconcile = &question->daemon->reconcile;
	const struct model *model = question->daemon->desired;
	char hex[2 * ABI_TRACE_HEADERS + 1], buffer[24];
	size_t captured =
		record->captured > ABI_TRACE_HEADERS ? ABI_TRACE_HEADERS : record->captured;
	json_t *json =
		json_pack("{s:f, s:s, s:i, s:i, s:s}", "time", (double)record->time / 1e9, "walk",
			  record->walk <= ABI_TRACE_PUNT ? walks[record->walk] : "none", "worker",
			  (int)record->worker, "length", (int)record->length, "headers",
			  sodium_bin2hex(hex, sizeof(hex), record->headers, captured));

	for (size_t i = 0; i < model->n_tenants; i++) {
		const struct tenant *tenant = model->tenants[i];

		if (tenant->id != record->tenant)
			continue;
		json_object_set_new(json, "tenant", json_string(tenant->name));
		for (size_t k = 0; k < tenant->n_tunnels; k++) {
			if (tenant->tunnels[k]->id == record->tunnel)
				json_object_set_new(json, "tunnel",
						    json_string(tenant->tunnels[k]->name));
		}
	}
	if (record->reason != 0)
		json_object_set_new(
			json, "reason",
			json_string(rpc_reason_name(reconcile, record->reason, buffer)));
	for (size_t i = 0; i < reconcile->n_ports; i++) {
		const struct abi_port *port = &reconcile->ports[i];

		if (port->index == record->rx_port)
			json_object_set_new(json, "rx_port",
					    field_text_render(port->name, sizeof(port->name)));
		if (port->index == record->tx_port)
			json_object_set_new(json, "tx_port",
					    field_text_render(port->name, sizeof(port->name)));
	}
	if (record->spi != 0)
		json_object_set_new(json, "spi", json_integer(ntohl(record->spi)));
	if (record->sequence != 0)
		json_object_set_new(json, "sequence", json_integer((json_int_t)record->sequence));
	return json;
}

static void trace_done(void *context, int error, const char *text,
		       const struct abi_trace_record *records, uint32_t count)
{
	struct question *question = context;
	struct abi_trace_record record;

	for (uint32_t i = 0; i < count; i++) {
		memcpy(&record, records + i, sizeof(record));
		json_array_append_new(question->list, record_render(question, &record));
	}
	question_end(question, error, text);
}

/*
 * The audit log has it before it happens; without that it doesn't happen. Who follows a trace reads
 * each second: that stands there once a trace and connection.
 */
static bool trace_audit(struct daemon *daemon, struct rpc_request *request, enum abi_type type,
			const char *summary)
{
	if (type == ABI_TRACE_READ && !rpc_request_mark(request, daemon->traces + 1))
		return true;
	if (audit_write(daemon->store, rpc_request_caller(request), rpc_request_method(request),
			summary, "asked") == 0) {
		daemon->traces += type == ABI_TRACE_START;
		return true;
	}
	rpc_request_mark(request, 0);
	rpc_fail(request, RPC_READ_ONLY, NULL,
		 "the audit log can't be written, so nothing was done: %s",
		 store_error(daemon->store));
	return false;
}

static void trace_ask(struct daemon *daemon, struct rpc_request *request, enum abi_type type,
		      const struct abi_trace_start *start, const char *summary)
{
	struct question *question;
	int ret;

	if (!daemon->reconcile.connected) {
		rpc_fail(request, RPC_DATAPLANE_AWAY, NULL,
			 "the dataplane is away: start kaido-dataplane");
		return;
	}
	if (!trace_audit(daemon, request, type, summary))
		return;
	question = question_create(daemon, request, type == ABI_TRACE_READ ? "records" : NULL);
	if (question == NULL)
		return;
	ret = dataplane_trace(daemon->reconcile.client, type, start, trace_done, question);
	if (ret < 0)
		question_end(question, ret, strerror(-ret));
}

static bool number_param(struct rpc_request *request, const char *member, json_int_t absent,
			 json_int_t most, uint32_t *number)
{
	const json_t *value = json_object_get(rpc_request_params(request), member);
	json_int_t given = value == NULL ? absent : json_integer_value(value);

	*number = (uint32_t)given;
	if (given >= 1 && given <= most)
		return true;
	rpc_fail(request, RPC_INVALID_PARAMS, NULL, "%s is 1 .. %lld", member, (long long)most);
	return false;
}

void rpc_trace_start(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", "packets", "every", NULL };
	struct abi_trace_start start = { .tenant = UINT32_MAX };
	struct daemon *daemon = context;
	const struct tenant *tenant;
	char summary[128];

	if (!rpc_params_check(request, known) ||
	    !rpc_params_tenant(request, daemon->desired, &tenant) ||
	    !number_param(request, "packets", 256, 65536, &start.packets) ||
	    !number_param(request, "every", 1, UINT32_MAX, &start.every))
		return;
	if (tenant != NULL)
		start.tenant = tenant->id;
	snprintf(summary, sizeof(summary), "%u packets, one in %u, of %s%s", start.packets,
		 start.every, tenant == NULL ? "all" : "tenant ",
		 tenant == NULL ? "" : tenant->name);
	trace_ask(daemon, request, ABI_TRACE_START, &start, summary);
}

void rpc_trace_stop(void *context, struct rpc_request *request)
{
	static const char *const known[] = { NULL };

	if (rpc_params_check(request, known))
		trace_ask(context, request, ABI_TRACE_STOP, NULL, "");
}

void rpc_trace_read(void *context, struct rpc_request *request)
{
	static const char *const known[] = { NULL };

	if (rpc_params_check(request, known))
		trace_ask(context, request, ABI_TRACE_READ, NULL, "");
}
