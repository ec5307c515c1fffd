/* SPDX-License-Identifier: BSD-3-Clause */
/* From the peer of a Unix socket to a role. */
#ifndef KAIDO_CONTROL_RPC_CREDENTIALS_H
#define KAIDO_CONTROL_RPC_CREDENTIALS_H

#include "rpc_server.h"

#define RPC_NO_GROUP ((gid_t)-1)

struct rpc_groups {
	enum rpc_role own_role; /* of root and of this process's user */
	gid_t operator_gid;     /* or RPC_NO_GROUP */
	gid_t auditor_gid;
	gid_t ike_gid;
};

/* -ENOENT: there is no such group. */
int rpc_groups_find(const struct rpc_server_options *options, struct rpc_groups *groups);
/* Who is at the other end; RPC_ROLE_NONE where that can't be told. */
void rpc_credentials_read(int fd, const struct rpc_groups *groups, struct rpc_caller *caller);
/* The role of a user by uid and primary group, with the groups that the user database names. */
enum rpc_role rpc_role_of(uid_t uid, gid_t gid, const char *user, const struct rpc_groups *groups);

#endif /* KAIDO_CONTROL_RPC_CREDENTIALS_H */
