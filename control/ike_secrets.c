/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_secrets.h"

#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "log.h"

/* One at a time, in memory that is locked and wiped. */
struct opened {
	uint8_t plain[SECRET_TEXT_MAX];
	char hex[2 * SECRET_TEXT_MAX + 1];
};

/* What all of them have in common while they are gathered. */
struct gathering {
	const struct vault *vault;
	const char *tenant;
	const char *name; /* of the tunnel or remote access */
	struct opened *opened;
	json_t *list;
	bool failed;
};

/* `user`: NULL, or whose name it has to begin with. */
static const char *id_or_address(const char *id, const char *user,
				 const struct abi_address *address, char *text)
{
	if (id != NULL || user != NULL)
		return id != NULL ? id : user;
	return address->family == 0 ? NULL : address_format(address, text);
}

const char *ike_local_id(const struct ike *ike, const struct abi_address *local,
			 char text[ADDRESS_TEXT_LEN])
{
	return id_or_address(ike->local_id, ike_is_eap_client(ike) ? ike->user : NULL, local, text);
}

const char *ike_remote_id(const struct ike *ike, const struct abi_address *remote,
			  char text[ADDRESS_TEXT_LEN])
{
	return id_or_address(ike->remote_id, ike_is_eap_client(ike) ? NULL : ike->user, remote,
			     text);
}

static int unseal(const struct vault *vault, const char *tenant, const char *name, const char *what,
		  const char *user, const struct secret *secret, uint8_t *plain)
{
	uint8_t identity[SECRET_IDENTITY_MAX];
	size_t size = secret_identity(tenant, name, what, user, identity);
	int ret = vault_unseal(vault, identity, size, secret->sealed, secret->size + VAULT_OVERHEAD,
			       plain);

	if (ret < 0)
		log_error("the %s of '%s' of tenant '%s' can't be opened: give it anew", what, name,
			  tenant);
	return ret;
}

int secret_open(const struct vault *vault, const char *tenant, const char *name, const char *what,
		const char *user, const struct secret *secret, uint8_t **plain)
{
	int ret;

	*plain = sodium_malloc(secret->size + 1);
	if (*plain == NULL)
		return -ENOMEM;
	ret = unseal(vault, tenant, name, what, user, secret, *plain);
	(*plain)[secret->size] = '\0';
	if (ret == 0)
		return 0;
	sodium_free(*plain);
	*plain = NULL;
	return ret;
}

static void secret_add(struct gathering *gathering, const char *kind, const char *what,
		       const char *user, const struct secret *secret, const char *local,
		       const char *remote)
{
	struct opened *opened = gathering->opened;

	if (!secret_is_set(secret) || local == NULL || remote == NULL ||
	    secret->size > sizeof(opened->plain) ||
	    unseal(gathering->vault, gathering->tenant, gathering->name, what, user, secret,
		   opened->plain) < 0)
		return;
	sodium_bin2hex(opened->hex, sizeof(opened->hex), opened->plain, secret->size);
	if (json_array_append_new(gathering->list,
				  json_pack("{s:s, s:s, s:s, s:s}", "kind", kind, "local", local,
					    "remote", remote, "secret", opened->hex)) < 0)
		gathering->failed = true;
}

static void access_gather(struct gathering *gathering, const struct remote_access *access)
{
	const char *kind = access->ike->auth == IKE_PSK ? "psk" : "eap";
	char text[ADDRESS_TEXT_LEN];
	const char *local = ike_local_id(access->ike, &access->local, text);

	gathering->name = access->name;
	for (size_t i = 0; i < access->n_users; i++)
		secret_add(gathering, kind, "password", access->users[i].name,
			   &access->users[i].password, local, access->users[i].name);
}

static void tunnel_gather(struct gathering *gathering, const struct tunnel *tunnel)
{
	char text[2][ADDRESS_TEXT_LEN];
	const struct ike *ike = tunnel->ike;
	const char *local, *remote;
	bool client;

	if (ike == NULL || ike->peer[0] != '\0')
		return;
	client = ike_is_eap_client(ike);
	local = ike_local_id(ike, &tunnel->local, text[0]);
	remote = ike_remote_id(ike, &tunnel->remote, text[1]);
	gathering->name = tunnel->name;
	secret_add(gathering, "psk", "psk", "", &ike->psk, local, remote);
	secret_add(gathering, "eap", "password", ike->user, &ike->password,
		   client ? ike->user : local, client ? remote : ike->user);
}

json_t *ike_secrets_render(const struct model *model, const struct vault *vault)
{
	struct gathering gathering = { .vault = vault, .list = json_array() };

	gathering.opened = sodium_malloc(sizeof(*gathering.opened));
	gathering.failed = gathering.opened == NULL || gathering.list == NULL;
	for (size_t i = 0; i < model->n_tenants && !gathering.failed; i++) {
		const struct tenant *tenant = model->tenants[i];

		gathering.tenant = tenant->name;
		for (size_t k = 0; k < tenant->n_tunnels; k++)
			tunnel_gather(&gathering, tenant->tunnels[k]);
		for (size_t k = 0; k < tenant->n_remote_access; k++)
			access_gather(&gathering, tenant->remote_access[k]);
	}
	sodium_free(gathering.opened);
	if (!gathering.failed)
		return gathering.list;
	json_decref(gathering.list);
	return NULL;
}
