/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows of counters as JSON objects, with the names of abi/counters.h. */
#ifndef KAIDO_CONTROL_RPC_RENDER_H
#define KAIDO_CONTROL_RPC_RENDER_H

#include <jansson.h>

#include "totals.h"

struct counters_map;
struct reconcile;

/* NULL rows and maps give zeros. */
json_t *rpc_render_tunnel(const struct totals_tunnel *row);
json_t *rpc_render_tenant(const struct totals_tenant *row);
json_t *rpc_render_sa(const struct counters_map *map, uint32_t id);
json_t *rpc_render_attachment(const struct counters_map *map, uint32_t id);
json_t *rpc_render_port(const struct counters_map *map, uint32_t index);
/* The name of a drop reason, as the dataplane gave it; "reason-N" where it did not. */
const char *rpc_reason_name(const struct reconcile *reconcile, uint32_t number, char buffer[24]);
const char *rpc_reason_text(const struct reconcile *reconcile, uint32_t number);

#endif /* KAIDO_CONTROL_RPC_RENDER_H */
