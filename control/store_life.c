/* SPDX-License-Identifier: BSD-3-Clause */
#include "store_sqlite.h"

int store_life_get(struct store *store, const uint8_t digest[VAULT_DIGEST_LEN],
		   struct store_life *life)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_LIFE_GET);
	int ret;

	sqlite3_bind_blob(statement, 1, digest, VAULT_DIGEST_LEN, SQLITE_STATIC);
	ret = store_step(store, statement);
	if (ret != 1)
		return ret;
	life->born = sqlite3_column_int64(statement, 0);
	life->state = (uint32_t)sqlite3_column_int64(statement, 1);
	life->boot = (uint64_t)sqlite3_column_int64(statement, 2);
	life->before.packets = (uint64_t)sqlite3_column_int64(statement, 3);
	life->before.bytes = (uint64_t)sqlite3_column_int64(statement, 4);
	life->before.seconds = (uint64_t)sqlite3_column_int64(statement, 5);
	life->used.packets = (uint64_t)sqlite3_column_int64(statement, 6);
	life->used.bytes = (uint64_t)sqlite3_column_int64(statement, 7);
	life->used.seconds = 0;
	sqlite3_reset(statement);
	return 1;
}

int store_life_set(struct store *store, const uint8_t digest[VAULT_DIGEST_LEN],
		   const struct store_life *life)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_LIFE_SET);

	sqlite3_bind_blob(statement, 1, digest, VAULT_DIGEST_LEN, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 2, life->born);
	sqlite3_bind_int64(statement, 3, life->state);
	sqlite3_bind_int64(statement, 4, (sqlite3_int64)life->boot);
	sqlite3_bind_int64(statement, 5, (sqlite3_int64)life->before.packets);
	sqlite3_bind_int64(statement, 6, (sqlite3_int64)life->before.bytes);
	sqlite3_bind_int64(statement, 7, (sqlite3_int64)life->before.seconds);
	sqlite3_bind_int64(statement, 8, (sqlite3_int64)life->used.packets);
	sqlite3_bind_int64(statement, 9, (sqlite3_int64)life->used.bytes);
	return store_run(store, statement);
}
