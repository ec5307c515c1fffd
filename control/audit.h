/* SPDX-License-Identifier: BSD-3-Clause */
/* Who did what, when, and what came of it. The entries are chained by store_audit.c. */
#ifndef KAIDO_CONTROL_AUDIT_H
#define KAIDO_CONTROL_AUDIT_H

#include "rpc_server.h"

struct store;

/* Within a transaction of the store. `caller` NULL: kaidod itself. Never hand a secret to it. */
int audit_add(struct store *store, const struct rpc_caller *caller, const char *method,
	      const char *summary, const char *result);
/* In a transaction of its own. */
int audit_write(struct store *store, const struct rpc_caller *caller, const char *method,
		const char *summary, const char *result);

#endif /* KAIDO_CONTROL_AUDIT_H */
