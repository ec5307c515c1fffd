/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of the model that is about IKE: how peers are known, remote access, and secrets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "model.h"

static void secret_free(struct secret *secret)
{
	free(secret->sealed);
	secret->sealed = NULL;
}

struct ike *ike_hold(struct ike *ike)
{
	ike->references++;
	return ike;
}

void ike_release(struct ike *ike)
{
	if (ike == NULL || --ike->references > 0)
		return;
	secret_free(&ike->psk);
	secret_free(&ike->key);
	secret_free(&ike->password);
	free(ike->user);
	free(ike->local_id);
	free(ike->remote_id);
	free(ike->certificate);
	free(ike->ca);
	free(ike->crl);
	free(ike->proposals);
	free(ike->esp_proposals);
	free(ike);
}

struct remote_access *remote_access_hold(struct remote_access *access)
{
	access->references++;
	return access;
}

static void user_free(struct user *user)
{
	for (size_t i = 0; i < user->n_groups; i++)
		free(user->groups[i]);
	free(user->groups);
	free(user->name);
	secret_free(&user->password);
}

void remote_access_release(struct remote_access *access)
{
	if (access == NULL || --access->references > 0)
		return;
	for (size_t i = 0; i < access->n_users; i++)
		user_free(&access->users[i]);
	free(access->users);
	free(access->label);
	free(access->networks);
	free(access->pools);
	free(access->dns);
	ike_release(access->ike);
	free(access);
}

struct remote_access *tenant_remote_access(const struct tenant *tenant, const char *name)
{
	for (size_t i = 0; i < tenant->n_remote_access; i++) {
		if (strcmp(tenant->remote_access[i]->name, name) == 0)
			return tenant->remote_access[i];
	}
	return NULL;
}

const struct user *remote_access_user(const struct remote_access *access, const char *name)
{
	size_t low = 0, high = access->n_users;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcasecmp(access->users[middle].name, name);

		if (order == 0)
			return &access->users[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static bool tenant_ike_owner(const struct tenant *tenant, uint32_t if_id, struct ike_owner *owner)
{
	for (size_t i = 0; i < tenant->n_tunnels; i++) {
		if (tenant->tunnels[i]->id != if_id || tenant->tunnels[i]->ike == NULL)
			continue;
		*owner = (struct ike_owner){ .tenant = tenant, .tunnel = tenant->tunnels[i] };
		return true;
	}
	for (size_t i = 0; i < tenant->n_remote_access; i++) {
		if (tenant->remote_access[i]->id != if_id)
			continue;
		*owner = (struct ike_owner){ .tenant = tenant, .access = tenant->remote_access[i] };
		return true;
	}
	return false;
}

bool model_ike_owner(const struct model *model, uint32_t if_id, struct ike_owner *owner)
{
	bool found = false;

	for (size_t i = 0; if_id != 0 && i < model->n_tenants && !found; i++)
		found = tenant_ike_owner(model->tenants[i], if_id, owner);
	return found;
}

const char *model_ike_name(const char *tenant, const char *name, char text[IKE_NAME_LEN])
{
	snprintf(text, IKE_NAME_LEN, IKE_NAME_PREFIX "%s.%s", tenant, name);
	return text;
}

bool model_ike_split(const char *text, char tenant[ABI_NAME_LEN], char name[ABI_NAME_LEN])
{
	const char *rest = text + strlen(IKE_NAME_PREFIX);
	size_t length;

	tenant[0] = name[0] = '\0';
	if (strncmp(text, IKE_NAME_PREFIX, strlen(IKE_NAME_PREFIX)) != 0)
		return false;
	length = strcspn(rest, ".");
	snprintf(tenant, ABI_NAME_LEN, "%.*s", (int)length, rest);
	rest += length + (rest[length] == '.');
	snprintf(name, ABI_NAME_LEN, "%.*s", (int)strcspn(rest, "."), rest);
	return tenant[0] != '\0' && name[0] != '\0';
}

bool model_ike_named(const struct model *model, const char *connection, struct ike_owner *owner)
{
	char tenant[ABI_NAME_LEN], name[ABI_NAME_LEN], whole[IKE_NAME_LEN];

	memset(owner, 0, sizeof(*owner));
	if (!model_ike_split(connection, tenant, name) ||
	    strcmp(model_ike_name(tenant, name, whole), connection) != 0)
		return false;
	owner->tenant = model_tenant(model, tenant);
	if (owner->tenant == NULL)
		return false;
	owner->access = tenant_remote_access(owner->tenant, name);
	if (owner->access != NULL)
		return true;
	owner->tunnel = tenant_tunnel(owner->tenant, name);
	return owner->tunnel != NULL && owner->tunnel->ike != NULL;
}

size_t secret_identity(const char *tenant, const char *name, const char *what, const char *user,
		       uint8_t identity[SECRET_IDENTITY_MAX])
{
	int size = snprintf((char *)identity, SECRET_IDENTITY_MAX, "%s/%s/%s/%s", tenant, name,
			    what, user);

	return (size_t)size;
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
	return secret_is_set(a) == secret_is_set(b) &&
	       (!secret_is_set(a) || memcmp(a->digest, b->digest, sizeof(a->digest)) == 0);
}
