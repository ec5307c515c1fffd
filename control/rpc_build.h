/* SPDX-License-Identifier: BSD-3-Clause */
/* What the builders of changes share: reading params, editing a copy of a tenant. Those that return
 * -1 or NULL have failed the request. */
#ifndef KAIDO_CONTROL_RPC_BUILD_H
#define KAIDO_CONTROL_RPC_BUILD_H

#include "change.h"

__attribute__((format(printf, 3, 4))) int build_fail(struct change *change, int code,
						     const char *format, ...);
int build_out_of_memory(struct change *change);
const char *build_name_need(struct change *change, const char *member);
json_t *build_object_need(struct change *change, const char *member);
/* The config shall hold this one tenant; takes it. */
int build_config_one_tenant(struct change *change, struct tenant *tenant);
/* A copy of the tenant that the params name, as the config's only one. */
struct tenant *build_tenant_edit(struct change *change);
/* The caller's object is /tenants/0/<list>/<index> in the config and /<name> in the params. */
void build_focus_set(struct change *change, const char *list, size_t index, const char *name);

#endif /* KAIDO_CONTROL_RPC_BUILD_H */
