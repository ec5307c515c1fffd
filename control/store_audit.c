/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The audit log: each entry's hash is keyed by the master key and covers the one before, so that an
 * entry that is changed, taken out or put in between shows. Cutting off the end shows against the
 * hash of the last entry that was written to the system log.
 */
#include "store_sqlite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

/* Every field with its length before it, so that no two entries have the same bytes. */
static int entry_hash(const struct store *store, const uint8_t previous[VAULT_DIGEST_LEN],
		      struct audit_entry *entry, uint8_t hash[VAULT_DIGEST_LEN])
{
	const char *texts[] = { entry->user, entry->role, entry->method, entry->summary,
				entry->result };
	size_t size = VAULT_DIGEST_LEN + 3 * sizeof(int64_t), at = 0;
	int64_t numbers[3] = { entry->id, entry->time, (int64_t)entry->uid };
	uint8_t *bytes;

	for (size_t i = 0; i < 5; i++)
		size += sizeof(uint64_t) + strlen(texts[i]);
	bytes = malloc(size);
	if (bytes == NULL)
		return -ENOMEM;
	memcpy(bytes, previous, VAULT_DIGEST_LEN);
	at = VAULT_DIGEST_LEN;
	memcpy(bytes + at, numbers, sizeof(numbers));
	at += sizeof(numbers);
	for (size_t i = 0; i < 5; i++) {
		uint64_t length = strlen(texts[i]);

		memcpy(bytes + at, &length, sizeof(length));
		memcpy(bytes + at + sizeof(length), texts[i], length);
		at += sizeof(length) + length;
	}
	vault_digest(store->vault, VAULT_AUDIT, bytes, size, hash);
	free(bytes);
	return 0;
}

int store_audit_append(struct store *store, struct audit_entry *entry)
{
	sqlite3_stmt *last = store_prepare(store, STORE_AUDIT_LAST);
	uint8_t previous[VAULT_DIGEST_LEN] = { 0 };
	sqlite3_stmt *add;
	int ret = store_step(store, last);

	entry->id = 1;
	if (ret == 1) {
		entry->id = sqlite3_column_int64(last, 0) + 1;
		if (sqlite3_column_bytes(last, 1) == (int)sizeof(previous))
			memcpy(previous, sqlite3_column_blob(last, 1), sizeof(previous));
		sqlite3_reset(last);
	}
	if (ret >= 0)
		ret = entry_hash(store, previous, entry, entry->hash);
	if (ret < 0)
		return ret;
	add = store_prepare(store, STORE_AUDIT_ADD);
	sqlite3_bind_int64(add, 1, entry->id);
	sqlite3_bind_int64(add, 2, entry->time);
	sqlite3_bind_int64(add, 3, entry->uid);
	sqlite3_bind_text(add, 4, entry->user, -1, SQLITE_STATIC);
	sqlite3_bind_text(add, 5, entry->role, -1, SQLITE_STATIC);
	sqlite3_bind_text(add, 6, entry->method, -1, SQLITE_STATIC);
	sqlite3_bind_text(add, 7, entry->summary, -1, SQLITE_STATIC);
	sqlite3_bind_text(add, 8, entry->result, -1, SQLITE_STATIC);
	sqlite3_bind_blob(add, 9, entry->hash, sizeof(entry->hash), SQLITE_STATIC);
	return store_run(store, add);
}

static const char *text_of(sqlite3_stmt *row, int column)
{
	const char *text = (const char *)sqlite3_column_text(row, column);

	return text == NULL ? "" : text;
}

static void entry_read(sqlite3_stmt *row, struct audit_entry *entry)
{
	entry->id = sqlite3_column_int64(row, 0);
	entry->time = sqlite3_column_int64(row, 1);
	entry->uid = (uint32_t)sqlite3_column_int64(row, 2);
	entry->user = text_of(row, 3);
	entry->role = text_of(row, 4);
	entry->method = text_of(row, 5);
	entry->summary = text_of(row, 6);
	entry->result = text_of(row, 7);
	memset(entry->hash, 0, sizeof(entry->hash));
	if (sqlite3_column_bytes(row, 8) == (int)sizeof(entry->hash))
		memcpy(entry->hash, sqlite3_column_blob(row, 8), sizeof(entry->hash));
}

int store_audit_list(struct store *store, unsigned int limit,
		     void (*each)(void *context, const struct audit_entry *entry), void *context)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_AUDIT_LIST);
	struct audit_entry entry;
	int ret;

	sqlite3_bind_int64(statement, 1, limit);
	while ((ret = store_step(store, statement)) == 1) {
		entry_read(statement, &entry);
		each(context, &entry);
	}
	return ret;
}

int store_audit_verify(struct store *store, int64_t *broken, uint64_t *entries)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_AUDIT_ALL);
	uint8_t previous[VAULT_DIGEST_LEN] = { 0 };
	uint8_t hash[VAULT_DIGEST_LEN];
	struct audit_entry entry;
	int ret;

	*entries = 0;
	while ((ret = store_step(store, statement)) == 1) {
		entry_read(statement, &entry);
		ret = entry_hash(store, previous, &entry, hash);
		if (ret < 0)
			break;
		if (entry.id != (int64_t)*entries + 1 ||
		    sodium_memcmp(hash, entry.hash, sizeof(hash)) != 0) {
			*broken = *entries + 1 < (uint64_t)entry.id ? (int64_t)*entries + 1
								    : entry.id;
			sqlite3_reset(statement);
			return 1;
		}
		memcpy(previous, hash, sizeof(previous));
		++*entries;
	}
	sqlite3_reset(statement);
	return ret;
}
