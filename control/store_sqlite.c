/* SPDX-License-Identifier: BSD-3-Clause */
#include "store_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "log.h"

/*
 * 2: lives and events, and tunnels and SAs may have members that version 1 does not know.
 * 3: tunnels may have IKE, and tenants remote access; what IKE negotiates.
 */
#define SCHEMA_VERSION 3

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS number (name TEXT PRIMARY KEY, value INTEGER NOT NULL)"
	" WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS master (digest BLOB NOT NULL);"
	"CREATE TABLE IF NOT EXISTS underlay (name TEXT PRIMARY KEY, document TEXT NOT NULL)"
	" WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS tenant (name TEXT PRIMARY KEY, document TEXT NOT NULL)"
	" WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS tunnel (tenant TEXT, name TEXT, document TEXT NOT NULL,"
	" PRIMARY KEY (tenant, name)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS remote_access (tenant TEXT, name TEXT, document TEXT NOT NULL,"
	" PRIMARY KEY (tenant, name)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS lease (digest BLOB PRIMARY KEY, granted INTEGER NOT NULL)"
	" WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS life (digest BLOB PRIMARY KEY, born INTEGER NOT NULL,"
	" state INTEGER NOT NULL, boot INTEGER NOT NULL, before_packets INTEGER NOT NULL,"
	" before_bytes INTEGER NOT NULL, before_seconds INTEGER NOT NULL, packets INTEGER NOT NULL,"
	" bytes INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" time INTEGER NOT NULL, tenant TEXT NOT NULL, tunnel TEXT NOT NULL,"
	" document TEXT NOT NULL);"
	"CREATE INDEX IF NOT EXISTS event_of ON event (tenant, id);"
	"CREATE TABLE IF NOT EXISTS session (instance INTEGER, handle INTEGER,"
	" serial INTEGER NOT NULL, document TEXT NOT NULL, digest BLOB NOT NULL,"
	" sealed BLOB NOT NULL, PRIMARY KEY (instance, handle)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS ike (instance INTEGER, id INTEGER, document TEXT NOT NULL,"
	" PRIMARY KEY (instance, id)) WITHOUT ROWID;"
	/* keys of SAs that were negotiated and are deleted */
	"CREATE TABLE IF NOT EXISTS spent (digest BLOB PRIMARY KEY, time INTEGER NOT NULL)"
	" WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS spent_at ON spent (time);"
	"CREATE TABLE IF NOT EXISTS lockout (name TEXT PRIMARY KEY, document TEXT NOT NULL)"
	" WITHOUT ROWID;"
	/* document NULL: it was not there */
	"CREATE TABLE IF NOT EXISTS before (kind TEXT, name TEXT, document TEXT,"
	" PRIMARY KEY (kind, name)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS audit (id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" time INTEGER NOT NULL, uid INTEGER NOT NULL, user TEXT NOT NULL, role TEXT NOT NULL,"
	" method TEXT NOT NULL, summary TEXT NOT NULL, result TEXT NOT NULL, hash BLOB NOT NULL);";

static const char *const sql[STORE_STATEMENTS] = {
	[STORE_BEGIN] = "BEGIN IMMEDIATE",
	[STORE_COMMIT] = "COMMIT",
	[STORE_ROLLBACK] = "ROLLBACK",
	[STORE_NUMBER_GET] = "SELECT value FROM number WHERE name = ?1",
	[STORE_NUMBER_SET] = "INSERT OR REPLACE INTO number VALUES (?1, ?2)",
	[STORE_TENANT_SET] = "INSERT OR REPLACE INTO tenant VALUES (?1, ?2)",
	[STORE_TENANT_DELETE] = "DELETE FROM tenant WHERE name = ?1",
	[STORE_TENANT_LIST] = "SELECT name, document FROM tenant ORDER BY name",
	[STORE_TUNNEL_SET] = "INSERT OR REPLACE INTO tunnel VALUES (?1, ?2, ?3)",
	[STORE_TUNNEL_DELETE] = "DELETE FROM tunnel WHERE tenant = ?1 AND name = ?2",
	[STORE_TUNNEL_DELETE_ALL] = "DELETE FROM tunnel WHERE tenant = ?1",
	[STORE_TUNNEL_LIST] = "SELECT document FROM tunnel WHERE tenant = ?1 ORDER BY name",
	[STORE_ACCESS_SET] = "INSERT OR REPLACE INTO remote_access VALUES (?1, ?2, ?3)",
	[STORE_ACCESS_DELETE] = "DELETE FROM remote_access WHERE tenant = ?1 AND name = ?2",
	[STORE_ACCESS_DELETE_ALL] = "DELETE FROM remote_access WHERE tenant = ?1",
	[STORE_ACCESS_LIST] = "SELECT document FROM remote_access WHERE tenant = ?1 ORDER BY name",
	[STORE_UNDERLAY_SET] = "INSERT OR REPLACE INTO underlay VALUES (?1, ?2)",
	[STORE_UNDERLAY_DELETE] = "DELETE FROM underlay WHERE name = ?1",
	[STORE_UNDERLAY_LIST] = "SELECT name, document FROM underlay ORDER BY name",
	[STORE_LEASE_GET] = "SELECT granted FROM lease WHERE digest = ?1",
	[STORE_LEASE_RAISE] = ("INSERT INTO lease VALUES (?1, ?2) ON CONFLICT (digest) DO UPDATE"
			       " SET granted = excluded.granted WHERE excluded.granted > granted"),
	[STORE_LIFE_GET] = "SELECT born, state, boot, before_packets, before_bytes,"
			   " before_seconds, packets, bytes FROM life WHERE digest = ?1",
	[STORE_LIFE_SET] =
		"INSERT OR REPLACE INTO life VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[STORE_BEFORE_SET] = "INSERT OR REPLACE INTO before VALUES (?1, ?2, ?3)",
	[STORE_BEFORE_LIST] = "SELECT kind, name, document FROM before",
	[STORE_BEFORE_CLEAR] = "DELETE FROM before",
	[STORE_EVENT_ADD] =
		"INSERT INTO event (time, tenant, tunnel, document) VALUES (?1, ?2, ?3, ?4)",
	[STORE_EVENT_LAST] =
		"SELECT id, document FROM event WHERE time >= ?1 ORDER BY id DESC LIMIT ?2",
	[STORE_EVENT_LAST_OF] =
		"SELECT id, document FROM event WHERE tenant = ?4 AND time >= ?1 AND"
		" (?5 IS NULL OR tunnel = ?5) ORDER BY id DESC LIMIT ?2",
	[STORE_EVENT_AFTER] = "SELECT id, document FROM event WHERE id > ?3 AND time >= ?1"
			      " ORDER BY id LIMIT ?2",
	[STORE_EVENT_AFTER_OF] =
		"SELECT id, document FROM event WHERE tenant = ?4 AND id > ?3 AND time >= ?1 AND"
		" (?5 IS NULL OR tunnel = ?5) ORDER BY id LIMIT ?2",
	[STORE_EVENT_TRIM] = "DELETE FROM event WHERE tenant = ?1 AND id <= (SELECT id FROM event"
			     " WHERE tenant = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
	/* Ids grow with time: it is enough to look at the lowest. */
	[STORE_EVENT_PRUNE_OLD] =
		"DELETE FROM event WHERE id <= (SELECT max(id) FROM"
		" (SELECT id, time FROM event ORDER BY id LIMIT ?2) WHERE time < ?1)",
	[STORE_EVENT_PRUNE_MANY] = "DELETE FROM event WHERE id <="
				   " (SELECT id FROM event ORDER BY id DESC LIMIT 1 OFFSET ?1)",
	[STORE_EVENT_ERASE] = "DELETE FROM event WHERE tenant = ?1 AND (?2 IS NULL OR tunnel = ?2)",
	[STORE_EVENT_OWNERS] = "SELECT DISTINCT tenant, tunnel FROM event",
	[STORE_SESSION_SET] = "INSERT OR REPLACE INTO session VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[STORE_SESSION_DELETE] = "DELETE FROM session WHERE instance = ?1 AND handle = ?2",
	[STORE_SESSION_LIST] = "SELECT instance, handle, serial, document, digest, sealed"
			       " FROM session ORDER BY serial",
	[STORE_IKE_SET] = "INSERT OR REPLACE INTO ike VALUES (?1, ?2, ?3)",
	[STORE_IKE_DELETE] = "DELETE FROM ike WHERE instance = ?1 AND id = ?2",
	[STORE_IKE_LIST] = "SELECT instance, id, document FROM ike",
	[STORE_SPENT_ADD] = "INSERT OR REPLACE INTO spent VALUES (?1, ?2)",
	[STORE_SPENT_GET] = "SELECT 1 FROM spent WHERE digest = ?1",
	[STORE_SPENT_LEASES] = "DELETE FROM lease WHERE digest IN"
			       " (SELECT digest FROM spent WHERE time < ?1 ORDER BY time LIMIT ?2)",
	[STORE_SPENT_LIVES] = "DELETE FROM life WHERE digest IN"
			      " (SELECT digest FROM spent WHERE time < ?1 ORDER BY time LIMIT ?2)",
	[STORE_SPENT_PRUNE] = "DELETE FROM spent WHERE digest IN"
			      " (SELECT digest FROM spent WHERE time < ?1 ORDER BY time LIMIT ?2)",
	[STORE_LOCKOUT_SET] = "INSERT OR REPLACE INTO lockout VALUES (?1, ?2)",
	[STORE_LOCKOUT_DELETE] = "DELETE FROM lockout WHERE name = ?1",
	[STORE_LOCKOUT_LIST] = "SELECT name, document FROM lockout",
	[STORE_AUDIT_LAST] = "SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1",
	[STORE_AUDIT_ADD] = "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[STORE_AUDIT_LIST] = "SELECT * FROM audit ORDER BY id DESC LIMIT ?1",
	[STORE_AUDIT_ALL] = "SELECT * FROM audit ORDER BY id",
};

int store_fail(struct store *store, int code)
{
	snprintf(store->error, sizeof(store->error), "%.200s: %s", store->path,
		 sqlite3_errmsg(store->db));
	switch (code & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		return -EROFS;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_BUSY:
		return -EBUSY;
	default:
		return -EIO;
	}
}

sqlite3_stmt *store_prepare(struct store *store, enum store_statement which)
{
	sqlite3_stmt **statement = &store->statements[which];
	int code;

	if (*statement != NULL) {
		sqlite3_reset(*statement);
		sqlite3_clear_bindings(*statement);
		return *statement;
	}
	code = sqlite3_prepare_v3(store->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, statement,
				  NULL);
	if (code != SQLITE_OK)
		store_fail(store, code);
	return *statement;
}

int store_step(struct store *store, sqlite3_stmt *statement)
{
	int code, ret;

	if (statement == NULL)
		return -EIO;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		return 1;
	ret = code == SQLITE_DONE ? 0 : store_fail(store, code);
	sqlite3_reset(statement);
	return ret;
}

int store_run(struct store *store, sqlite3_stmt *statement)
{
	int ret = store_step(store, statement);

	if (ret == 1)
		sqlite3_reset(statement);
	return ret < 0 ? ret : 0;
}

int store_begin(struct store *store)
{
	int ret = store_run(store, store_prepare(store, STORE_BEGIN));

	if (ret < 0)
		store->writable = false;
	store->changes = sqlite3_total_changes64(store->db);
	return ret;
}

int store_commit(struct store *store)
{
	int ret = store_run(store, store_prepare(store, STORE_COMMIT));

	/* One that wrote nothing proves nothing. */
	if (ret < 0)
		store->writable = false;
	else if (sqlite3_total_changes64(store->db) != store->changes)
		store->writable = true;
	if (ret == 0 && store->line[0] != '\0')
		log_info("%s", store->line);
	store->line[0] = '\0';
	return ret;
}

void store_log_when_committed(struct store *store, const char *line)
{
	snprintf(store->line, sizeof(store->line), "%s", line);
}

void store_abort(struct store *store)
{
	char error[sizeof(store->error)];

	store->writable = false;
	store->line[0] = '\0';
	if (sqlite3_get_autocommit(store->db)) /* SQLite has rolled back by itself */
		return;
	memcpy(error, store->error, sizeof(error));
	store_run(store, store_prepare(store, STORE_ROLLBACK));
	memcpy(store->error, error, sizeof(error));
}

int store_get_number(struct store *store, const char *name, uint64_t absent, uint64_t *number)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_NUMBER_GET);
	int ret;

	*number = absent;
	sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
	ret = store_step(store, statement);
	if (ret == 1) {
		*number = (uint64_t)sqlite3_column_int64(statement, 0);
		sqlite3_reset(statement);
	}
	return ret < 0 ? ret : 0;
}

int store_set_number(struct store *store, const char *name, uint64_t number)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_NUMBER_SET);

	sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 2, (sqlite3_int64)number);
	return store_run(store, statement);
}

int store_lease_get(struct store *store, const uint8_t digest[VAULT_DIGEST_LEN], uint64_t *limit)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_LEASE_GET);
	int ret;

	*limit = 0;
	sqlite3_bind_blob(statement, 1, digest, VAULT_DIGEST_LEN, SQLITE_STATIC);
	ret = store_step(store, statement);
	if (ret == 1) {
		*limit = (uint64_t)sqlite3_column_int64(statement, 0);
		sqlite3_reset(statement);
	}
	return ret < 0 ? ret : 0;
}

int store_lease_raise(struct store *store, const uint8_t digest[VAULT_DIGEST_LEN], uint64_t limit)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_LEASE_RAISE);

	sqlite3_bind_blob(statement, 1, digest, VAULT_DIGEST_LEN, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 2, (sqlite3_int64)limit);
	return store_run(store, statement);
}

/* -- opening -- */

static int directory_make(const char *directory)
{
	if (mkdir(directory, 0700) < 0 && errno != EEXIST) {
		int ret = -errno;

		log_error("%s: can't make the state directory: %s", directory, strerror(-ret));
		return ret;
	}
	return 0;
}

static int lock_take(struct store *store, const char *directory)
{
	char path[PATH_MAX];
	int ret;

	snprintf(path, sizeof(path), "%s/kaidod.lock", directory);
	store->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (store->lock < 0) {
		ret = -errno;
		log_error("%s: can't be opened: %s", path, strerror(-ret));
		return ret;
	}
	if (flock(store->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	log_error("%s: another kaidod works on this state", directory);
	return -EBUSY;
}

static int statements_run(struct store *store, const char *text)
{
	int code = sqlite3_exec(store->db, text, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : store_fail(store, code);
}

static int schema_check(struct store *store)
{
	uint64_t version;
	int ret = store_begin(store);

	if (ret == 0)
		ret = statements_run(store, schema);
	if (ret == 0)
		ret = store_get_number(store, "schema", 0, &version);
	/* What was added since is made above; an older kaidod must not write beside it. */
	if (ret == 0 && version < SCHEMA_VERSION)
		ret = store_set_number(store, "schema", SCHEMA_VERSION);
	else if (ret == 0 && version > SCHEMA_VERSION) {
		snprintf(
			store->error, sizeof(store->error),
			"%.200s has schema %llu, this kaidod knows %d: start the kaidod that wrote it",
			store->path, (unsigned long long)version, SCHEMA_VERSION);
		ret = -EINVAL;
	}
	if (ret == 0)
		return store_commit(store);
	store_abort(store);
	return ret;
}

/* A state under another master key would be a state of keys that nobody can read. */
static int master_check(struct store *store)
{
	static const char text[] = "kaido state";
	uint8_t digest[VAULT_DIGEST_LEN];
	sqlite3_stmt *statement;
	int same = 1, ret;

	vault_digest(store->vault, VAULT_CHECK, text, sizeof(text), digest);
	if (sqlite3_prepare_v2(store->db, "SELECT digest FROM master", -1, &statement, NULL) !=
	    SQLITE_OK)
		return -EIO;
	ret = sqlite3_step(statement);
	if (ret == SQLITE_ROW)
		same = sqlite3_column_bytes(statement, 0) == (int)sizeof(digest) &&
		       memcmp(sqlite3_column_blob(statement, 0), digest, sizeof(digest)) == 0;
	sqlite3_finalize(statement);
	if (!same) {
		snprintf(store->error, sizeof(store->error),
			 "%.200s was written under another master key: put that one back",
			 store->path);
		return -EKEYREJECTED;
	}
	if (ret != SQLITE_DONE)
		return ret == SQLITE_ROW ? 0 : store_fail(store, ret);
	if (sqlite3_prepare_v2(store->db, "INSERT INTO master VALUES (?1)", -1, &statement, NULL) !=
	    SQLITE_OK)
		return -EIO;
	sqlite3_bind_blob(statement, 1, digest, sizeof(digest), SQLITE_STATIC);
	ret = sqlite3_step(statement);
	if (ret != SQLITE_DONE)
		store_fail(store, ret);
	sqlite3_finalize(statement);
	return ret == SQLITE_DONE ? 0 : -EIO;
}

static int database_open(struct store *store)
{
	mode_t mask = umask(0077);
	int code = sqlite3_open_v2(store->path, &store->db,
				   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
					   SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX,
				   NULL);
	int ret = code == SQLITE_OK ? 0 : store_fail(store, code);

	/* FULL: a commit is on the disk when it returns, a lease depends on that. */
	if (ret == 0)
		ret = statements_run(store, "PRAGMA locking_mode = EXCLUSIVE;"
					    "PRAGMA journal_mode = WAL;"
					    "PRAGMA synchronous = FULL;"
					    "PRAGMA secure_delete = ON;"
					    "PRAGMA trusted_schema = OFF;"
					    "PRAGMA temp_store = MEMORY;");
	if (ret == 0)
		ret = schema_check(store);
	if (ret == 0)
		ret = master_check(store);
	umask(mask);
	return ret;
}

int store_open(const char *directory, const struct vault *vault, struct store **out)
{
	struct store *store;
	int ret = directory_make(directory);

	if (ret < 0)
		return ret;
	store = calloc(1, sizeof(*store));
	if (store == NULL)
		return -ENOMEM;
	store->lock = -1;
	store->vault = vault;
	if ((size_t)snprintf(store->path, sizeof(store->path), "%s/kaido.db", directory) >=
	    sizeof(store->path)) {
		free(store);
		return -ENAMETOOLONG;
	}
	ret = lock_take(store, directory);
	if (ret < 0)
		goto fail;
	ret = database_open(store);
	if (ret < 0) {
		log_error("%s", store->error);
		goto fail;
	}
	store->writable = true;
	*out = store;
	return 0;
fail:
	store_close(store);
	return ret;
}

void store_close(struct store *store)
{
	if (store == NULL)
		return;
	for (unsigned int i = 0; i < STORE_STATEMENTS; i++)
		sqlite3_finalize(store->statements[i]);
	sqlite3_close(store->db);
	if (store->lock >= 0)
		close(store->lock);
	free(store);
}

const char *store_path(const struct store *store)
{
	return store->path;
}

bool store_writable(const struct store *store)
{
	return store->writable;
}

const char *store_error(const struct store *store)
{
	return store->error;
}
