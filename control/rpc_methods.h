/* SPDX-License-Identifier: BSD-3-Clause */
/* Every method of docs/rpc.md: name, role, handler. The handlers' context is the daemon. */
#ifndef KAIDO_CONTROL_RPC_METHODS_H
#define KAIDO_CONTROL_RPC_METHODS_H

#include "rpc_server.h"

extern const struct rpc_method rpc_methods[];

#endif /* KAIDO_CONTROL_RPC_METHODS_H */
