/* SPDX-License-Identifier: BSD-3-Clause */
#include "audit.h"

#include <stdio.h>
#include <time.h>

#include <sodium.h>

#include "store.h"

int audit_add(struct store *store, const struct rpc_caller *caller, const char *method,
	      const char *summary, const char *result)
{
	struct audit_entry entry = {
		.uid = caller == NULL ? 0 : caller->uid,
		.user = caller == NULL ? "kaidod" : caller->user,
		.role = caller == NULL ? "system" : rpc_role_name(caller->role),
		.method = method,
		.summary = summary,
		.result = result,
	};
	struct timespec now;
	char line[640], hash[17];
	int ret;

	clock_gettime(CLOCK_REALTIME, &now);
	entry.time = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	ret = store_audit_append(store, &entry);
	if (ret < 0)
		return ret;
	/* The system log gets the end of the chain: cutting the database short shows against it. */
	snprintf(line, sizeof(line), "audit %lld %s %s: %s: %s [%s]", (long long)entry.id,
		 entry.user, method, summary, result,
		 sodium_bin2hex(hash, sizeof(hash), entry.hash, 8));
	store_log_when_committed(store, line);
	return 0;
}

int audit_write(struct store *store, const struct rpc_caller *caller, const char *method,
		const char *summary, const char *result)
{
	int ret = store_begin(store);

	if (ret == 0)
		ret = audit_add(store, caller, method, summary, result);
	if (ret == 0)
		ret = store_commit(store);
	if (ret < 0)
		store_abort(store);
	return ret;
}
