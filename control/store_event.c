/* SPDX-License-Identifier: BSD-3-Clause */
/* What happened, in rows: the document as it is shown, with what is searched for beside it. */
#include "store_sqlite.h"

#define PRUNE_MOST 10000 /* rows that are looked at in one go */

int store_event_add(struct store *store, const struct store_event *event)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_EVENT_ADD);

	sqlite3_bind_int64(statement, 1, event->time);
	sqlite3_bind_text(statement, 2, event->tenant, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 3, event->tunnel, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 4, event->document, -1, SQLITE_STATIC);
	return store_run(store, statement);
}

static sqlite3_stmt *list_prepare(struct store *store, const struct store_event_filter *filter)
{
	enum store_statement which =
		filter->after == 0
			? (filter->tenant == NULL ? STORE_EVENT_LAST : STORE_EVENT_LAST_OF)
			: (filter->tenant == NULL ? STORE_EVENT_AFTER : STORE_EVENT_AFTER_OF);
	sqlite3_stmt *statement = store_prepare(store, which);

	sqlite3_bind_int64(statement, 1, filter->since);
	sqlite3_bind_int64(statement, 2, filter->limit);
	if (filter->after != 0)
		sqlite3_bind_int64(statement, 3, filter->after);
	if (filter->tenant == NULL)
		return statement;
	sqlite3_bind_text(statement, 4, filter->tenant, -1, SQLITE_STATIC);
	if (filter->tunnel != NULL)
		sqlite3_bind_text(statement, 5, filter->tunnel, -1, SQLITE_STATIC);
	return statement;
}

int store_event_list(struct store *store, const struct store_event_filter *filter,
		     void (*each)(void *context, const struct store_event *event), void *context)
{
	sqlite3_stmt *statement = list_prepare(store, filter);
	int ret;

	while ((ret = store_step(store, statement)) == 1) {
		struct store_event event = {
			.id = sqlite3_column_int64(statement, 0),
			.document = (const char *)sqlite3_column_text(statement, 1),
		};

		if (event.document != NULL)
			each(context, &event);
	}
	return ret;
}

int store_event_trim(struct store *store, const char *tenant, unsigned int rows)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_EVENT_TRIM);

	sqlite3_bind_text(statement, 1, tenant, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 2, rows);
	return store_run(store, statement);
}

int store_event_prune(struct store *store, int64_t before, unsigned int rows)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_EVENT_PRUNE_OLD);
	int ret;

	sqlite3_bind_int64(statement, 1, before);
	sqlite3_bind_int64(statement, 2, PRUNE_MOST);
	ret = store_run(store, statement);
	if (ret < 0)
		return ret;
	statement = store_prepare(store, STORE_EVENT_PRUNE_MANY);
	sqlite3_bind_int64(statement, 1, rows);
	return store_run(store, statement);
}

int store_event_erase(struct store *store, const char *tenant, const char *tunnel)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_EVENT_ERASE);

	sqlite3_bind_text(statement, 1, tenant, -1, SQLITE_STATIC);
	if (tunnel != NULL)
		sqlite3_bind_text(statement, 2, tunnel, -1, SQLITE_STATIC);
	return store_run(store, statement);
}

int store_event_owners(struct store *store,
		       void (*each)(void *context, const char *tenant, const char *tunnel),
		       void *context)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_EVENT_OWNERS);
	int ret;

	while ((ret = store_step(store, statement)) == 1)
		each(context, (const char *)sqlite3_column_text(statement, 0),
		     (const char *)sqlite3_column_text(statement, 1));
	return ret;
}
