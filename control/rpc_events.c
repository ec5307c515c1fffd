/* SPDX-License-Identifier: BSD-3-Clause */
/* What happened, as far as it is kept, and what happens from now on. */
#include "rpc_methods.h"

#include "daemon.h"
#include "store.h"

#define EVENTS_DEFAULT 100
#define EVENTS_MOST    10000

static void event_append(void *context, const struct store_event *event)
{
	json_t *json = json_loads(event->document, 0, NULL);

	if (!json_is_object(json)) {
		json_decref(json);
		return;
	}
	json_object_set_new(json, "id", json_integer((json_int_t)event->id));
	json_array_append_new(context, json);
}

/* `since` in seconds, `after` an id. */
static bool filter_read(struct rpc_request *request, struct store_event_filter *filter)
{
	json_t *params = rpc_request_params(request);
	json_t *since = json_object_get(params, "since"), *after = json_object_get(params, "after");
	json_t *limit = json_object_get(params, "limit");
	json_int_t most = limit == NULL ? EVENTS_DEFAULT : json_integer_value(limit);

	if (since != NULL && !(json_is_number(since) && json_number_value(since) >= 0 &&
			       json_number_value(since) < 9e9)) {
		rpc_fail(request, RPC_INVALID_PARAMS, NULL, "since is a time: seconds since 1970");
		return false;
	}
	if (after != NULL && (!json_is_integer(after) || json_integer_value(after) < 0)) {
		rpc_fail(request, RPC_INVALID_PARAMS, NULL, "after is the id of an event");
		return false;
	}
	if (most < 1 || most > EVENTS_MOST) {
		rpc_fail(request, RPC_INVALID_PARAMS, NULL, "limit is 1 .. %d", EVENTS_MOST);
		return false;
	}
	filter->since = (int64_t)(json_number_value(since) * 1e9);
	filter->after = json_integer_value(after);
	filter->limit = (unsigned int)most;
	return true;
}

/* What happens to clients stands under the name of their remote access. */
static bool tunnel_read(struct rpc_request *request, const struct tenant *tenant, const char **name)
{
	const char *given =
		json_string_value(json_object_get(rpc_request_params(request), "tunnel"));
	const struct tunnel *tunnel;
	bool good;

	if (tenant != NULL && given != NULL && tenant_remote_access(tenant, given) != NULL) {
		*name = given;
		return true;
	}
	good = rpc_params_tunnel(request, tenant, &tunnel);
	*name = tunnel == NULL ? NULL : tunnel->name;
	return good;
}

/* Newest first becomes oldest first. */
static void list_turn(json_t *list)
{
	for (size_t i = 1; i < json_array_size(list); i++) {
		json_t *last = json_incref(json_array_get(list, json_array_size(list) - 1));

		json_array_remove(list, json_array_size(list) - 1);
		json_array_insert_new(list, i - 1, last);
	}
}

void rpc_event_list(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", "tunnel", "since", "after", "limit", NULL };
	struct store_event_filter filter = { 0 };
	struct daemon *daemon = context;
	const struct tenant *tenant;
	json_t *list;

	if (!rpc_params_check(request, known) ||
	    !rpc_params_tenant(request, daemon->desired, &tenant) ||
	    !tunnel_read(request, tenant, &filter.tunnel) || !filter_read(request, &filter))
		return;
	filter.tenant = tenant == NULL ? NULL : tenant->name;
	journal_flush(&daemon->journal); /* what just happened is in it, if it can be written */
	list = json_array();
	if (store_event_list(daemon->store, &filter, event_append, list) < 0) {
		json_decref(list);
		rpc_fail(request, RPC_INTERNAL, NULL, "events can't be read: %s",
			 store_error(daemon->store));
		return;
	}
	if (filter.after == 0)
		list_turn(list);
	rpc_reply(request, json_pack("{s:o}", "events", list));
}

void rpc_event_subscribe(void *context, struct rpc_request *request)
{
	rpc_request_subscribe(request);
	rpc_reply(request, json_object());
}
