/* SPDX-License-Identifier: BSD-3-Clause */
/* The desired state in rows: one document a tenant, a tunnel, a remote access and an underlay entry. */
#include "store_sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "log.h"

/* -- reading -- */

static const char *column(sqlite3_stmt *statement, int number)
{
	return (const char *)sqlite3_column_text(statement, number);
}

static int damaged(struct store *store, const struct config_reader *reader, const char *what,
		   const char *name)
{
	const json_t *first = json_array_get(reader->errors, 0);
	const char *message = json_string_value(json_object_get(first, "message"));

	snprintf(store->error, sizeof(store->error), "%.200s: %s '%.40s' is damaged: %.200s",
		 store->path, what, name, message == NULL ? "not JSON" : message);
	log_error("%s", store->error);
	return reader->failed ? -ENOMEM : -EBADMSG;
}

static int tunnels_load(struct store *store, struct config_context *context, struct tenant *tenant)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_TUNNEL_LIST);
	struct tunnel **bigger;
	json_t *json;
	int ret;

	sqlite3_bind_text(statement, 1, tenant->name, -1, SQLITE_STATIC);
	while ((ret = store_step(store, statement)) == 1) {
		if ((tenant->n_tunnels & (tenant->n_tunnels - 1)) == 0) {
			bigger = reallocarray(tenant->tunnels, 2 * tenant->n_tunnels + 1,
					      sizeof(struct tunnel *));
			if (bigger == NULL) {
				ret = -ENOMEM;
				break;
			}
			tenant->tunnels = bigger;
		}
		json = json_loads(column(statement, 0), 0, NULL);
		tenant->tunnels[tenant->n_tunnels] =
			config_parse_tunnel(context, tenant->name, json);
		json_decref(json);
		if (tenant->tunnels[tenant->n_tunnels] != NULL)
			tenant->n_tunnels++;
		if (context->reader->n_errors > 0 || context->reader->failed) {
			ret = damaged(store, context->reader, "a tunnel of tenant", tenant->name);
			break;
		}
	}
	sqlite3_reset(statement);
	return ret;
}

static int access_load(struct store *store, struct config_context *context, struct tenant *tenant)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_ACCESS_LIST);
	struct remote_access **bigger, *access;
	json_t *json;
	int ret;

	sqlite3_bind_text(statement, 1, tenant->name, -1, SQLITE_STATIC);
	while ((ret = store_step(store, statement)) == 1) {
		bigger = reallocarray(tenant->remote_access, tenant->n_remote_access + 1,
				      sizeof(struct remote_access *));
		if (bigger == NULL) {
			ret = -ENOMEM;
			break;
		}
		tenant->remote_access = bigger;
		json = json_loads(column(statement, 0), 0, NULL);
		access = config_parse_remote_access(context, tenant->name, json);
		json_decref(json);
		if (access != NULL)
			bigger[tenant->n_remote_access++] = access;
		if (context->reader->n_errors > 0 || context->reader->failed) {
			ret = damaged(store, context->reader, "a remote access of tenant",
				      tenant->name);
			break;
		}
	}
	sqlite3_reset(statement);
	return ret;
}

static int tenants_load(struct store *store, struct config_context *context, struct model *model)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_TENANT_LIST);
	struct tenant *tenant;
	json_t *json;
	int ret;

	while ((ret = store_step(store, statement)) == 1) {
		json = json_loads(column(statement, 1), 0, NULL);
		tenant = config_parse_tenant(context, json);
		json_decref(json);
		if (tenant == NULL || context->reader->n_errors > 0 || context->reader->failed) {
			tenant_release(tenant);
			ret = damaged(store, context->reader, "tenant", column(statement, 0));
			break;
		}
		ret = tunnels_load(store, context, tenant);
		if (ret == 0)
			ret = access_load(store, context, tenant);
		if (ret < 0) {
			tenant_release(tenant);
			break;
		}
		ret = model_put_tenant(model, tenant);
		if (ret < 0)
			break;
	}
	sqlite3_reset(statement);
	return ret;
}

static int underlay_load(struct store *store, struct config_context *context, struct model *model)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_UNDERLAY_LIST);
	struct attachment *underlay;
	json_t *json;
	int ret;

	while ((ret = store_step(store, statement)) == 1) {
		json = json_loads(column(statement, 1), 0, NULL);
		underlay = config_parse_attachment(context, json, true);
		json_decref(json);
		if (underlay == NULL || context->reader->n_errors > 0 || context->reader->failed) {
			attachment_release(underlay);
			ret = damaged(store, context->reader, "underlay", column(statement, 0));
			break;
		}
		ret = model_put_underlay(model, underlay);
		if (ret < 0)
			break;
	}
	sqlite3_reset(statement);
	return ret;
}

int store_load(struct store *store, struct vault *vault, struct model **out)
{
	struct config_reader reader;
	struct config_context context = { .vault = vault, .reader = &reader };
	struct model *model = model_create();
	int ret = -ENOMEM;

	if (model == NULL)
		return -ENOMEM;
	if (reader_open(&reader) < 0)
		goto fail;
	reader.stored = true;
	context.current = model;
	ret = store_get_number(store, "generation", 0, &model->generation);
	if (ret == 0)
		ret = underlay_load(store, &context, model);
	if (ret == 0)
		ret = tenants_load(store, &context, model);
	reader_close(&reader);
	if (ret < 0)
		goto fail;
	*out = model;
	return 0;
fail:
	model_destroy(model);
	return ret;
}

/* -- writing -- */

/* Takes `json`. A NULL document is written as NULL. */
static int document_write(struct store *store, enum store_statement which, const char *first,
			  const char *second, json_t *json)
{
	sqlite3_stmt *statement = store_prepare(store, which);
	char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
	int n = 1, ret;

	if (json != NULL && text == NULL) {
		json_decref(json);
		return -ENOMEM;
	}
	json_decref(json);
	sqlite3_bind_text(statement, n++, first, -1, SQLITE_STATIC);
	if (second != NULL)
		sqlite3_bind_text(statement, n++, second, -1, SQLITE_STATIC);
	if (text != NULL)
		sqlite3_bind_text(statement, n, text, -1, SQLITE_STATIC);
	ret = store_run(store, statement);
	free(text);
	return ret;
}

static int row_delete(struct store *store, enum store_statement which, const char *first,
		      const char *second)
{
	sqlite3_stmt *statement = store_prepare(store, which);

	sqlite3_bind_text(statement, 1, first, -1, SQLITE_STATIC);
	if (second != NULL)
		sqlite3_bind_text(statement, 2, second, -1, SQLITE_STATIC);
	return store_run(store, statement);
}

/* Both lists are by name: one walk finds what came, went or changed. */
static int tunnels_write(struct store *store, const struct tenant *now, const struct tenant *next)
{
	size_t n_now = now == NULL ? 0 : now->n_tunnels, i = 0, k = 0;
	int ret = 0;

	while (ret == 0 && (i < n_now || k < next->n_tunnels)) {
		int order = i == n_now ? 1
			    : k == next->n_tunnels
				    ? -1
				    : strcmp(now->tunnels[i]->name, next->tunnels[k]->name);

		if (order < 0) {
			ret = row_delete(store, STORE_TUNNEL_DELETE, next->name,
					 now->tunnels[i++]->name);
			continue;
		}
		if (order > 0 || now->tunnels[i] != next->tunnels[k])
			ret = document_write(store, STORE_TUNNEL_SET, next->name,
					     next->tunnels[k]->name,
					     config_render_tunnel(next->tunnels[k], CONFIG_STORED));
		i += order == 0;
		k++;
	}
	return ret;
}

static int access_write(struct store *store, const struct tenant *now, const struct tenant *next)
{
	int ret = 0;

	for (size_t i = 0; now != NULL && i < now->n_remote_access && ret == 0; i++) {
		const char *name = now->remote_access[i]->name;

		if (tenant_remote_access(next, name) == NULL)
			ret = row_delete(store, STORE_ACCESS_DELETE, next->name, name);
	}
	for (size_t i = 0; i < next->n_remote_access && ret == 0; i++) {
		struct remote_access *access = next->remote_access[i];

		if (now == NULL || tenant_remote_access(now, access->name) != access)
			ret = document_write(store, STORE_ACCESS_SET, next->name, access->name,
					     config_render_remote_access(access, CONFIG_STORED));
	}
	return ret;
}

static int tenant_write(struct store *store, const struct tenant *now, const struct tenant *next)
{
	int ret = document_write(store, STORE_TENANT_SET, next->name, NULL,
				 config_render_tenant(next, CONFIG_STORED, false));

	if (ret == 0)
		ret = tunnels_write(store, now, next);
	return ret < 0 ? ret : access_write(store, now, next);
}

static int tenant_remove(struct store *store, const char *name)
{
	int ret = row_delete(store, STORE_TUNNEL_DELETE_ALL, name, NULL);

	if (ret == 0)
		ret = row_delete(store, STORE_ACCESS_DELETE_ALL, name, NULL);
	return ret < 0 ? ret : row_delete(store, STORE_TENANT_DELETE, name, NULL);
}

int store_write_model(struct store *store, const struct model *now, const struct model *next)
{
	int ret = store_set_number(store, "generation", next->generation);

	for (size_t i = 0; i < now->n_underlay && ret == 0; i++) {
		if (model_underlay(next, now->underlay[i]->name) == NULL)
			ret = row_delete(store, STORE_UNDERLAY_DELETE, now->underlay[i]->name,
					 NULL);
	}
	for (size_t i = 0; i < next->n_underlay && ret == 0; i++) {
		struct attachment *underlay = next->underlay[i];

		if (model_underlay(now, underlay->name) != underlay)
			ret = document_write(store, STORE_UNDERLAY_SET, underlay->name, NULL,
					     config_render_attachment(underlay, CONFIG_STORED));
	}
	for (size_t i = 0; i < now->n_tenants && ret == 0; i++) {
		if (model_tenant(next, now->tenants[i]->name) == NULL)
			ret = tenant_remove(store, now->tenants[i]->name);
	}
	for (size_t i = 0; i < next->n_tenants && ret == 0; i++) {
		const struct tenant *old = model_tenant(now, next->tenants[i]->name);

		if (old != next->tenants[i])
			ret = tenant_write(store, old, next->tenants[i]);
	}
	return ret;
}

/* -- the way back -- */

static int tenant_save(struct store *store, const char *name, const struct tenant *tenant)
{
	return document_write(store, STORE_BEFORE_SET, "tenant", name,
			      tenant == NULL ? NULL
					     : config_render_tenant(tenant, CONFIG_STORED, true));
}

static int underlay_save(struct store *store, const char *name, const struct attachment *underlay)
{
	return document_write(store, STORE_BEFORE_SET, "underlay", name,
			      underlay == NULL ? NULL
					       : config_render_attachment(underlay, CONFIG_STORED));
}

int store_save_before(struct store *store, const struct model *now, const struct model *next,
		      uint64_t deadline)
{
	int ret = store_set_number(store, "before-deadline", deadline);

	for (size_t i = 0; i < next->n_underlay && ret == 0; i++) {
		const char *name = next->underlay[i]->name;

		if (model_underlay(now, name) != next->underlay[i])
			ret = underlay_save(store, name, model_underlay(now, name));
	}
	for (size_t i = 0; i < now->n_underlay && ret == 0; i++) {
		if (model_underlay(next, now->underlay[i]->name) == NULL)
			ret = underlay_save(store, now->underlay[i]->name, now->underlay[i]);
	}
	for (size_t i = 0; i < next->n_tenants && ret == 0; i++) {
		const char *name = next->tenants[i]->name;

		if (model_tenant(now, name) != next->tenants[i])
			ret = tenant_save(store, name, model_tenant(now, name));
	}
	for (size_t i = 0; i < now->n_tenants && ret == 0; i++) {
		if (model_tenant(next, now->tenants[i]->name) == NULL)
			ret = tenant_save(store, now->tenants[i]->name, now->tenants[i]);
	}
	return ret;
}

static int before_apply(struct config_context *context, struct model *before, const char *kind,
			const char *name, const char *document)
{
	json_t *json = document == NULL ? NULL : json_loads(document, 0, NULL);
	struct attachment *underlay;
	struct tenant *tenant;
	int ret = 0;

	if (strcmp(kind, "underlay") == 0 && document == NULL) {
		model_remove_underlay(before, name);
	} else if (strcmp(kind, "underlay") == 0) {
		underlay = config_parse_attachment(context, json, true);
		ret = underlay == NULL ? -ENOMEM : model_put_underlay(before, underlay);
	} else if (document == NULL) {
		model_remove_tenant(before, name);
	} else {
		tenant = config_parse_tenant(context, json);
		ret = tenant == NULL ? -ENOMEM : model_put_tenant(before, tenant);
	}
	json_decref(json);
	return ret;
}

int store_load_before(struct store *store, struct vault *vault, const struct model *now,
		      struct model **out, uint64_t *deadline)
{
	sqlite3_stmt *statement = store_prepare(store, STORE_BEFORE_LIST);
	struct config_reader reader;
	struct config_context context = { .vault = vault, .current = now, .reader = &reader };
	struct model *before = model_copy(now);
	int rows = 0, ret = -ENOMEM;

	if (before == NULL || reader_open(&reader) < 0)
		goto fail;
	reader.stored = true;
	while ((ret = store_step(store, statement)) == 1) {
		rows++;
		ret = before_apply(&context, before, column(statement, 0), column(statement, 1),
				   column(statement, 2));
		if (ret == 0 && (reader.n_errors > 0 || reader.failed))
			ret = damaged(store, &reader, "saved", column(statement, 1));
		if (ret < 0)
			break;
	}
	sqlite3_reset(statement);
	reader_close(&reader);
	if (ret == 0)
		ret = store_get_number(store, "before-deadline", 0, deadline);
	if (ret < 0 || rows == 0)
		goto fail;
	*out = before;
	return 1;
fail:
	model_destroy(before);
	return ret < 0 ? ret : 0;
}

int store_forget_before(struct store *store)
{
	return store_run(store, store_prepare(store, STORE_BEFORE_CLEAR));
}
