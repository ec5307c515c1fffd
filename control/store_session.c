/* SPDX-License-Identifier: BSD-3-Clause */
/* What IKE negotiated, in rows: documents, with sealed keys beside them. And who failed to log in. */
#include <string.h>

#include "store_sqlite.h"

static sqlite3_stmt *pair_prepare(struct store *store, enum store_statement which, uint64_t first,
				  uint64_t second)
{
	sqlite3_stmt *statement = store_prepare(store, which);

	sqlite3_bind_int64(statement, 1, (sqlite3_int64)first);
	sqlite3_bind_int64(statement, 2, (sqlite3_int64)second);
	return statement;
}

int store_session_set(struct store *store, const struct store_session *session)
{
	sqlite3_stmt *statement =
		pair_prepare(store, STORE_SESSION_SET, session->instance, session->handle);

	sqlite3_bind_int64(statement, 3, (sqlite3_int64)session->serial);
	sqlite3_bind_text(statement, 4, session->document, -1, SQLITE_STATIC);
	sqlite3_bind_blob(statement, 5, session->digest, sizeof(session->digest), SQLITE_STATIC);
	sqlite3_bind_blob(statement, 6, session->sealed, (int)session->sealed_size, SQLITE_STATIC);
	return store_run(store, statement);
}

int store_session_delete(struct store *store, uint64_t instance, uint64_t handle,
			 const uint8_t digest[VAULT_DIGEST_LEN], int64_t now)
{
	int ret = store_run(store, pair_prepare(store, STORE_SESSION_DELETE, instance, handle));
	sqlite3_stmt *statement;

	if (ret < 0)
		return ret;
	statement = store_prepare(store, STORE_SPENT_ADD);
	sqlite3_bind_blob(statement, 1, digest, VAULT_DIGEST_LEN, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 2, now);
	return store_run(store, statement);
}

int store_session_list(struct store *store,
		       int (*each)(void *context, const struct store_session *session),
		       void *context)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_SESSION_LIST);
	int ret;

	while ((ret = store_step(store, statement)) == 1) {
		struct store_session session = {
			.instance = (uint64_t)sqlite3_column_int64(statement, 0),
			.handle = (uint64_t)sqlite3_column_int64(statement, 1),
			.serial = (uint64_t)sqlite3_column_int64(statement, 2),
			.document = (const char *)sqlite3_column_text(statement, 3),
			.sealed = sqlite3_column_blob(statement, 5),
			.sealed_size = (size_t)sqlite3_column_bytes(statement, 5),
		};

		if (sqlite3_column_bytes(statement, 4) == VAULT_DIGEST_LEN)
			memcpy(session.digest, sqlite3_column_blob(statement, 4), VAULT_DIGEST_LEN);
		ret = each(context, &session);
		if (ret != 0) {
			sqlite3_reset(statement);
			return ret;
		}
	}
	return ret;
}

int store_ike_set(struct store *store, uint64_t instance, uint64_t id, const char *document)
{
	sqlite3_stmt *statement = pair_prepare(store, STORE_IKE_SET, instance, id);

	sqlite3_bind_text(statement, 3, document, -1, SQLITE_STATIC);
	return store_run(store, statement);
}

int store_ike_delete(struct store *store, uint64_t instance, uint64_t id)
{
	return store_run(store, pair_prepare(store, STORE_IKE_DELETE, instance, id));
}

int store_ike_list(struct store *store,
		   int (*each)(void *context, uint64_t instance, uint64_t id, const char *document),
		   void *context)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_IKE_LIST);
	int ret;

	while ((ret = store_step(store, statement)) == 1) {
		ret = each(context, (uint64_t)sqlite3_column_int64(statement, 0),
			   (uint64_t)sqlite3_column_int64(statement, 1),
			   (const char *)sqlite3_column_text(statement, 2));
		if (ret != 0) {
			sqlite3_reset(statement);
			return ret;
		}
	}
	return ret;
}

int store_key_is_spent(struct store *store, const uint8_t digest[VAULT_DIGEST_LEN])
{
	sqlite3_stmt *statement = store_prepare(store, STORE_SPENT_GET);
	int ret;

	sqlite3_bind_blob(statement, 1, digest, VAULT_DIGEST_LEN, SQLITE_STATIC);
	ret = store_step(store, statement);
	if (ret == 1)
		sqlite3_reset(statement);
	return ret;
}

int store_spent_prune(struct store *store, int64_t before, unsigned int most)
{
	static const enum store_statement steps[] = { STORE_SPENT_LEASES, STORE_SPENT_LIVES,
						      STORE_SPENT_PRUNE };
	int ret = 0;

	for (unsigned int i = 0; i < sizeof(steps) / sizeof(steps[0]) && ret == 0; i++)
		ret = store_run(store,
				pair_prepare(store, steps[i], (uint64_t)before, (uint64_t)most));
	return ret;
}

/* -- failed logins -- */

int store_lockout_set(struct store *store, const char *name, const char *document)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_LOCKOUT_SET);

	sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, document, -1, SQLITE_STATIC);
	return store_run(store, statement);
}

int store_lockout_delete(struct store *store, const char *name)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_LOCKOUT_DELETE);

	sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
	return store_run(store, statement);
}

int store_lockout_list(struct store *store,
		       void (*each)(void *context, const char *name, const char *document),
		       void *context)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_LOCKOUT_LIST);
	int ret;

	while ((ret = store_step(store, statement)) == 1)
		each(context, (const char *)sqlite3_column_text(statement, 0),
		     (const char *)sqlite3_column_text(statement, 1));
	return ret;
}
