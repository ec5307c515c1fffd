/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files behind store.h share. Nobody else includes this. */
#ifndef KAIDO_CONTROL_STORE_SQLITE_H
#define KAIDO_CONTROL_STORE_SQLITE_H

#include <limits.h>
#include <stdbool.h>

#include <sqlite3.h>

#include "store.h"

enum store_statement {
	STORE_BEGIN,
	STORE_COMMIT,
	STORE_ROLLBACK,
	STORE_NUMBER_GET,
	STORE_NUMBER_SET,
	STORE_TENANT_SET,
	STORE_TENANT_DELETE,
	STORE_TENANT_LIST,
	STORE_TUNNEL_SET,
	STORE_TUNNEL_DELETE,
	STORE_TUNNEL_DELETE_ALL,
	STORE_TUNNEL_LIST,
	STORE_ACCESS_SET,
	STORE_ACCESS_DELETE,
	STORE_ACCESS_DELETE_ALL,
	STORE_ACCESS_LIST,
	STORE_UNDERLAY_SET,
	STORE_UNDERLAY_DELETE,
	STORE_UNDERLAY_LIST,
	STORE_LEASE_GET,
	STORE_LEASE_RAISE,
	STORE_LIFE_GET,
	STORE_LIFE_SET,
	STORE_BEFORE_SET,
	STORE_BEFORE_LIST,
	STORE_BEFORE_CLEAR,
	STORE_EVENT_ADD,
	STORE_EVENT_LAST,
	STORE_EVENT_LAST_OF,
	STORE_EVENT_AFTER,
	STORE_EVENT_AFTER_OF,
	STORE_EVENT_TRIM,
	STORE_EVENT_PRUNE_OLD,
	STORE_EVENT_PRUNE_MANY,
	STORE_EVENT_ERASE,
	STORE_EVENT_OWNERS,
	STORE_SESSION_SET,
	STORE_SESSION_DELETE,
	STORE_SESSION_LIST,
	STORE_IKE_SET,
	STORE_IKE_DELETE,
	STORE_IKE_LIST,
	STORE_SPENT_ADD,
	STORE_SPENT_GET,
	STORE_SPENT_LEASES,
	STORE_SPENT_LIVES,
	STORE_SPENT_PRUNE,
	STORE_LOCKOUT_SET,
	STORE_LOCKOUT_DELETE,
	STORE_LOCKOUT_LIST,
	STORE_AUDIT_LAST,
	STORE_AUDIT_ADD,
	STORE_AUDIT_LIST,
	STORE_AUDIT_ALL,
	STORE_STATEMENTS,
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *statements[STORE_STATEMENTS];
	const struct vault *vault;
	char path[PATH_MAX];
	char error[512];
	int lock; /* descriptor of the lock file */
	bool writable;
	char line[640];  /* to be logged with the commit */
	int64_t changes; /* rows written before the open transaction */
};

/* A statement, reset and without bindings; NULL with store->error set. */
sqlite3_stmt *store_prepare(struct store *store, enum store_statement which);
/* Runs one that returns no row, and resets it. */
int store_run(struct store *store, sqlite3_stmt *statement);
/* The next row: 1, 0 at the end (reset then), negative errno. */
int store_step(struct store *store, sqlite3_stmt *statement);
/* Notes the error and makes it a negative errno. */
int store_fail(struct store *store, int code);

#endif /* KAIDO_CONTROL_STORE_SQLITE_H */
