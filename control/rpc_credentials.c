/* SPDX-License-Identifier: BSD-3-Clause */
#include "rpc_credentials.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"

static int group_find(const char *name, gid_t *gid)
{
	struct group *group;

	*gid = RPC_NO_GROUP;
	if (name == NULL)
		return 0;
	group = getgrnam(name);
	if (group == NULL) {
		log_error("there is no group '%s': create it with groupadd", name);
		return -ENOENT;
	}
	*gid = group->gr_gid;
	return 0;
}

int rpc_groups_find(const struct rpc_server_options *options, struct rpc_groups *groups)
{
	int ret = group_find(options->operator_group, &groups->operator_gid);

	groups->own_role = options->own_role;
	if (ret == 0)
		ret = group_find(options->auditor_group, &groups->auditor_gid);
	return ret < 0 ? ret : group_find(options->ike_group, &groups->ike_gid);
}

static enum rpc_role role_of_group(gid_t gid, const struct rpc_groups *groups)
{
	if (gid == RPC_NO_GROUP)
		return RPC_ROLE_NONE;
	if (gid == groups->operator_gid)
		return RPC_ROLE_OPERATOR;
	if (gid == groups->ike_gid)
		return RPC_ROLE_IKE;
	return gid == groups->auditor_gid ? RPC_ROLE_AUDITOR : RPC_ROLE_NONE;
}

enum rpc_role rpc_role_of(uid_t uid, gid_t gid, const char *user, const struct rpc_groups *groups)
{
	enum rpc_role role = role_of_group(gid, groups);
	gid_t *list = NULL;
	int count = 64;

	if (uid == 0 || uid == geteuid())
		return groups->own_role;
	if (user == NULL)
		return role;
	for (int tries = 0; tries < 2; tries++) {
		gid_t *bigger = realloc(list, (size_t)count * sizeof(*list));

		if (bigger == NULL)
			goto out;
		list = bigger;
		if (getgrouplist(user, gid, list, &count) >= 0)
			break;
		if (tries == 1)
			goto out;
	}
	for (int i = 0; i < count; i++) {
		enum rpc_role of_group = role_of_group(list[i], groups);

		if (of_group > role)
			role = of_group;
	}
out:
	free(list);
	return role;
}

void rpc_credentials_read(int fd, const struct rpc_groups *groups, struct rpc_caller *caller)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);
	struct passwd *entry;

	caller->uid = (uid_t)-1;
	caller->role = RPC_ROLE_NONE;
	snprintf(caller->user, sizeof(caller->user), "unknown");
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return;
	entry = getpwuid(peer.uid);
	caller->uid = peer.uid;
	if (entry != NULL)
		snprintf(caller->user, sizeof(caller->user), "%s", entry->pw_name);
	else
		snprintf(caller->user, sizeof(caller->user), "uid %u", peer.uid);
	caller->role = rpc_role_of(peer.uid, peer.gid, entry == NULL ? NULL : caller->user, groups);
}
