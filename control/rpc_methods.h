/* SPDX-License-Identifier: BSD-3-Clause */
/* Every method of docs/rpc.md: name, role, handler. The handlers' context is the daemon. */
#ifndef KAIDO_CONTROL_RPC_METHODS_H
#define KAIDO_CONTROL_RPC_METHODS_H

#include <stdbool.h>

#include "rpc_server.h"

struct daemon;
struct model;
struct tenant;
struct tunnel;

extern const struct rpc_method rpc_methods[];

/*
 * Params that name a tenant and a tunnel, both optional. False: the request has been failed, for
 * one of them isn't there, or a name in params that is not in `known` (ends with NULL).
 */
bool rpc_params_check(struct rpc_request *request, const char *const *known);
bool rpc_params_tenant(struct rpc_request *request, const struct model *model,
		       const struct tenant **tenant);
bool rpc_params_tunnel(struct rpc_request *request, const struct tenant *tenant,
		       const struct tunnel **tunnel);

/* rpc_config.c */
void rpc_config_apply(void *context, struct rpc_request *request);
void rpc_config_confirm(void *context, struct rpc_request *request);
void rpc_config_get(void *context, struct rpc_request *request);
void rpc_tenant_set(void *context, struct rpc_request *request);
void rpc_tenant_delete(void *context, struct rpc_request *request);
void rpc_underlay_set(void *context, struct rpc_request *request);
void rpc_underlay_delete(void *context, struct rpc_request *request);
/* rpc_objects.c */
void rpc_attachment_set(void *context, struct rpc_request *request);
void rpc_attachment_delete(void *context, struct rpc_request *request);
void rpc_tunnel_set(void *context, struct rpc_request *request);
void rpc_tunnel_delete(void *context, struct rpc_request *request);
void rpc_remote_access_list(void *context, struct rpc_request *request);
void rpc_remote_access_set(void *context, struct rpc_request *request);
void rpc_remote_access_delete(void *context, struct rpc_request *request);
void rpc_user_set(void *context, struct rpc_request *request);
void rpc_user_delete(void *context, struct rpc_request *request);
void rpc_route_set(void *context, struct rpc_request *request);
void rpc_route_delete(void *context, struct rpc_request *request);
void rpc_sa_add(void *context, struct rpc_request *request);
void rpc_sa_delete(void *context, struct rpc_request *request);
/* rpc_lists.c */
void rpc_tenant_list(void *context, struct rpc_request *request);
void rpc_sa_list(void *context, struct rpc_request *request);
void rpc_attachment_list(void *context, struct rpc_request *request);
void rpc_route_list(void *context, struct rpc_request *request);
void rpc_audit_list(void *context, struct rpc_request *request);
void rpc_audit_verify(void *context, struct rpc_request *request);
/* rpc_tunnels.c */
void rpc_tunnel_list(void *context, struct rpc_request *request);
/* rpc_events.c */
void rpc_event_list(void *context, struct rpc_request *request);
void rpc_event_subscribe(void *context, struct rpc_request *request);
/* rpc_counters.c */
void rpc_counters_get(void *context, struct rpc_request *request);
void rpc_drop_list(void *context, struct rpc_request *request);
void rpc_worker_list(void *context, struct rpc_request *request);
/* rpc_dataplane.c */
void rpc_port_list(void *context, struct rpc_request *request);
void rpc_neighbour_list(void *context, struct rpc_request *request);
void rpc_trace_start(void *context, struct rpc_request *request);
void rpc_trace_stop(void *context, struct rpc_request *request);
void rpc_trace_read(void *context, struct rpc_request *request);
/* rpc_ike.c */
void rpc_ike_open(void *context, struct rpc_request *request);
void rpc_ike_sa_set(void *context, struct rpc_request *request);
void rpc_ike_sa_update(void *context, struct rpc_request *request);
void rpc_ike_sa_delete(void *context, struct rpc_request *request);
void rpc_ike_sync(void *context, struct rpc_request *request);
void rpc_ike_event(void *context, struct rpc_request *request);
/* rpc_ike_list.c */
void rpc_ike_list(void *context, struct rpc_request *request);
void rpc_ike_disconnect(void *context, struct rpc_request *request);
/* rpc_graph.c */
void rpc_graph_render(void *context, struct rpc_request *request);

#endif /* KAIDO_CONTROL_RPC_METHODS_H */
