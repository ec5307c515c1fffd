/* SPDX-License-Identifier: BSD-3-Clause */
/* Remote access of tenants: the list, and methods that change an entry or one user of it. */
#include "rpc_methods.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "rpc_build.h"

/* -- the list -- */

static size_t clients_count(const struct sessions *sessions, uint32_t access)
{
	const struct session *session;
	size_t n = 0;

	TAILQ_FOREACH (session, &sessions->list, link)
		n += session_is_client(session) && session->if_id == access;
	return n;
}

/* As configured, but for what is long: certificates, and the users one by one. */
static json_t *access_render(const struct daemon *daemon, const struct tenant *tenant,
			     const struct remote_access *access)
{
	static const char *const long_members[] = { "certificate", "key", "ca", "crl", NULL };
	json_t *json = config_render_remote_access(access, CONFIG_SHOWN);

	for (const char *const *member = long_members; *member != NULL; member++)
		json_object_del(json, *member);
	json_object_set_new(json, "tenant", json_string(tenant->name));
	json_object_set_new(json, "id", json_integer(access->id));
	json_object_set_new(json, "users", json_integer((json_int_t)access->n_users));
	json_object_set_new(json, "clients",
			    json_integer((json_int_t)clients_count(&daemon->sessions, access->id)));
	return json;
}

void rpc_remote_access_list(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", NULL };
	const struct daemon *daemon = context;
	const struct tenant *only;
	json_t *list;

	if (!rpc_params_check(request, known) ||
	    !rpc_params_tenant(request, daemon->desired, &only))
		return;
	list = json_array();
	for (size_t i = 0; i < daemon->desired->n_tenants; i++) {
		const struct tenant *tenant = daemon->desired->tenants[i];

		for (size_t k = 0; k < tenant->n_remote_access; k++) {
			if (only == NULL || only == tenant)
				json_array_append_new(
					list,
					access_render(daemon, tenant, tenant->remote_access[k]));
		}
	}
	rpc_reply(request, json_pack("{s:o}", "remote_access", list));
}

/* -- changes -- */

static size_t access_position(const struct tenant *tenant, const char *name)
{
	size_t i = 0;

	while (i < tenant->n_remote_access && strcmp(tenant->remote_access[i]->name, name) != 0)
		i++;
	return i;
}

static void access_remove(struct tenant *tenant, size_t position)
{
	remote_access_release(tenant->remote_access[position]);
	tenant->n_remote_access--;
	memmove(tenant->remote_access + position, tenant->remote_access + position + 1,
		(tenant->n_remote_access - position) * sizeof(*tenant->remote_access));
}

/* Behind the others, so that it is the one which is told of a conflict. Takes it. */
static int access_put(struct change *change, struct tenant *tenant, struct remote_access *access)
{
	struct remote_access **bigger;
	size_t i = access_position(tenant, access->name);

	if (i < tenant->n_remote_access)
		access_remove(tenant, i);
	i = tenant->n_remote_access;
	build_focus_set(change, "remote-access", i, "remote-access");
	bigger = reallocarray(tenant->remote_access, i + 1, sizeof(*bigger));
	if (bigger == NULL) {
		remote_access_release(access);
		return build_out_of_memory(change);
	}
	tenant->remote_access = bigger;
	bigger[tenant->n_remote_access++] = access;
	return 0;
}

static int access_set_build(struct change *change, json_t *params)
{
	struct tenant *tenant = build_tenant_edit(change);
	json_t *object = tenant == NULL ? NULL : build_object_need(change, "remote-access");
	struct remote_access *access;
	size_t mark;

	if (object == NULL)
		return -1;
	mark = reader_enter(&change->reader, "remote-access");
	access = config_parse_remote_access(&change->context, tenant->name, object);
	reader_leave(&change->reader, mark);
	if (access == NULL)
		return build_out_of_memory(change);
	snprintf(change->summary, sizeof(change->summary), "remote access %s of tenant %s",
		 access->name, tenant->name);
	return access_put(change, tenant, access);
}

void rpc_remote_access_set(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", "remote-access", NULL };

	if (rpc_params_check(request, known))
		change_submit(context, request, access_set_build);
}

static int access_delete_build(struct change *change, json_t *params)
{
	struct tenant *tenant = build_tenant_edit(change);
	const char *name = tenant == NULL ? NULL : build_name_need(change, "name");
	size_t i;

	if (name == NULL)
		return -1;
	i = access_position(tenant, name);
	if (i == tenant->n_remote_access)
		return build_fail(change, RPC_NOT_FOUND, "tenant '%s' has no remote access '%.64s'",
				  tenant->name, name);
	access_remove(tenant, i);
	snprintf(change->summary, sizeof(change->summary), "remote access %.31s of tenant %s", name,
		 tenant->name);
	return 0;
}

void rpc_remote_access_delete(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", "name", NULL };

	if (rpc_params_check(request, known))
		change_submit(context, request, access_delete_build);
}

/* -- users -- */

/* The entry that the params name, as a document that may be applied again: secrets as "set". */
static json_t *access_document(struct change *change, const struct tenant *tenant)
{
	const char *name = build_name_need(change, "remote-access");
	const struct remote_access *access;

	if (name == NULL)
		return NULL;
	access = tenant_remote_access(tenant, name);
	if (access != NULL)
		return config_render_remote_access(access, CONFIG_SHOWN);
	build_fail(change, RPC_NOT_FOUND, "tenant '%s' has no remote access '%.64s'", tenant->name,
		   name);
	return NULL;
}

/* The users of a document without that one. */
static json_t *users_without(json_t *document, const char *name, bool *found)
{
	const json_t *users = json_object_get(document, "users");
	json_t *kept = json_array(), *user;
	size_t i;

	*found = false;
	json_array_foreach (users, i, user) {
		const char *its = json_string_value(json_object_get(user, "name"));

		if (its != NULL && strcmp(its, name) == 0)
			*found = true;
		else
			json_array_append(kept, user);
	}
	json_object_set_new(document, "users", kept);
	return kept;
}

/* Takes the document, in which the last of `n` users is the caller's own. */
static int document_put(struct change *change, struct tenant *tenant, json_t *document,
			const char *user, size_t n)
{
	struct remote_access *access =
		config_parse_remote_access(&change->context, tenant->name, document);
	size_t i, length;
	json_t *error;
	char own[32];
	int ret;

	json_decref(document);
	if (access == NULL)
		return build_out_of_memory(change);
	snprintf(change->summary, sizeof(change->summary),
		 "user %.80s of remote access %s of tenant %s", user, access->name, tenant->name);
	/* The parser stood at the entry: what it says of the caller's user is about `/user`. */
	length = (size_t)snprintf(own, sizeof(own), "/users/%zu", n - 1);
	json_array_foreach (change->reader.errors, i, error) {
		const char *pointer = json_string_value(json_object_get(error, "pointer"));

		if (n > 0 && pointer != NULL && strncmp(pointer, own, length) == 0)
			json_object_set_new(error, "pointer",
					    json_sprintf("/user%s", pointer + length));
	}
	ret = access_put(change, tenant, access);
	snprintf(change->focus, sizeof(change->focus), "/tenants/0/remote-access/%zu%s",
		 tenant->n_remote_access - 1, own);
	snprintf(change->focus_name, sizeof(change->focus_name), "/user");
	return ret;
}

static int user_set_build(struct change *change, json_t *params)
{
	struct tenant *tenant = build_tenant_edit(change);
	json_t *user = tenant == NULL ? NULL : build_object_need(change, "user");
	json_t *document = user == NULL ? NULL : access_document(change, tenant), *users;
	const char *name = json_string_value(json_object_get(user, "name"));
	bool found;

	if (document == NULL)
		return -1;
	users = users_without(document, name == NULL ? "" : name, &found);
	json_array_append(users, user);
	return document_put(change, tenant, document, name == NULL ? "?" : name,
			    json_array_size(users));
}

void rpc_user_set(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", "remote-access", "user", NULL };

	if (rpc_params_check(request, known))
		change_submit(context, request, user_set_build);
}

static int user_delete_build(struct change *change, json_t *params)
{
	struct tenant *tenant = build_tenant_edit(change);
	const char *name = tenant == NULL ? NULL : build_name_need(change, "name");
	json_t *document = name == NULL ? NULL : access_document(change, tenant);
	bool found;

	if (document == NULL)
		return -1;
	users_without(document, name, &found);
	if (found)
		return document_put(change, tenant, document, name, 0);
	json_decref(document);
	return build_fail(change, RPC_NOT_FOUND, "there is no user '%.64s'", name);
}

void rpc_user_delete(void *context, struct rpc_request *request)
{
	static const char *const known[] = { "tenant", "remote-access", "name", NULL };

	if (rpc_params_check(request, known))
		change_submit(context, request, user_delete_build);
}
