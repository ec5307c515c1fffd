/* SPDX-License-Identifier: BSD-3-Clause */
/* The effective model: the desired state with the sessions laid over it. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "claims.h"
#include "session.h"

/* -- whose ids are -- */

static void owner_note(struct sessions *sessions, uint32_t id, const struct session_owner *owner)
{
	if (id < sessions->n_owners)
		sessions->owners[id] = *owner;
}

static uint32_t largest_id(const struct model *model)
{
	uint32_t id = 0;

	for (size_t i = 0; i < model->n_tenants; i++) {
		const struct tenant *tenant = model->tenants[i];

		for (size_t k = 0; k < tenant->n_tunnels; k++) {
			if (tenant->tunnels[k]->id > id)
				id = tenant->tunnels[k]->id;
		}
		for (size_t k = 0; k < tenant->n_remote_access; k++) {
			if (tenant->remote_access[k]->id > id)
				id = tenant->remote_access[k]->id;
		}
	}
	return id;
}

static void tenant_note(struct sessions *sessions, struct tenant *tenant)
{
	for (size_t i = 0; i < tenant->n_tunnels; i++) {
		struct tunnel *tunnel = tenant->tunnels[i];
		const struct session_owner owner = { .tenant = tenant, .tunnel = tunnel };
		const struct claim_holder holder = { .name = tunnel->name, .tenant = tenant->name };

		if (tunnel->ike != NULL)
			owner_note(sessions, tunnel->id, &owner);
		for (size_t k = 0; k < tunnel->n_sas; k++) {
			if (tunnel->sas[k].direction == ABI_SA_IN)
				claims_take(sessions->spis, CLAIM_SPI, &tunnel->sas[k].spi,
					    sizeof(tunnel->sas[k].spi), &holder);
		}
	}
	for (size_t i = 0; i < tenant->n_remote_access; i++) {
		const struct session_owner owner = { .tenant = tenant,
						     .access = tenant->remote_access[i] };

		owner_note(sessions, owner.access->id, &owner);
	}
}

int sessions_owners_set(struct sessions *sessions, const struct model *desired)
{
	uint32_t n = largest_id(desired) + 1;
	struct session_owner *owners = calloc(n, sizeof(*owners));
	struct claims *spis = claims_create();

	if (owners == NULL || spis == NULL) {
		free(owners);
		claims_destroy(spis);
		return -ENOMEM;
	}
	free(sessions->owners);
	claims_destroy(sessions->spis);
	sessions->owners = owners;
	sessions->n_owners = n;
	sessions->spis = spis;
	for (size_t i = 0; i < desired->n_tenants; i++)
		tenant_note(sessions, desired->tenants[i]);
	return claims_failed(spis) ? -ENOMEM : 0;
}

const struct session_owner *sessions_owner(const struct sessions *sessions, uint32_t if_id)
{
	if (if_id == 0 || if_id >= sessions->n_owners || sessions->owners[if_id].tenant == NULL)
		return NULL;
	return &sessions->owners[if_id];
}

/* -- tenants -- */

/* A tenant's clients in the order of their names. */
struct walk {
	struct session **clients;
	size_t n;
};

static void client_visit(const void *node, VISIT visit, void *closure)
{
	struct walk *walk = closure;

	if (visit == postorder || visit == leaf)
		walk->clients[walk->n++] = *(struct session *const *)node;
}

static struct tunnel *site_tunnel(struct sessions *sessions, struct tunnel *tunnel)
{
	struct session *session =
		tunnel->ike == NULL ? NULL : sessions_by_tunnel(sessions, tunnel->id);

	if (session == NULL)
		return tunnel_hold(tunnel);
	return session_tunnel(session, sessions_owner(sessions, session->if_id));
}

/* Takes the tunnel, and the place of what stood there. */
static int tunnel_put(struct tenant *tenant, struct tunnel *tunnel)
{
	if (tunnel == NULL)
		return -ENOMEM;
	tenant->tunnels[tenant->n_tunnels++] = tunnel;
	return 0;
}

/* Configured tunnels and clients, both by name already. */
static int tunnels_lay(struct sessions *sessions, const struct tenant *base,
		       const struct walk *walk, struct tenant *made)
{
	size_t i = 0, k = 0;
	int ret = 0;

	while (ret == 0 && (i < base->n_tunnels || k < walk->n)) {
		int order = i == base->n_tunnels ? 1
			    : k == walk->n       ? -1
					   : strcmp(base->tunnels[i]->name, walk->clients[k]->name);

		if (order <= 0) {
			ret = tunnel_put(made, site_tunnel(sessions, base->tunnels[i++]));
			k += order == 0; /* never: sessions_follow() */
			continue;
		}
		ret = tunnel_put(made,
				 session_tunnel(walk->clients[k],
						sessions_owner(sessions, walk->clients[k]->if_id)));
		k++;
	}
	return ret;
}

/* A reference is the caller's; NULL: no memory. */
static struct tenant *tenant_effective(struct sessions *sessions, struct tenant *base)
{
	struct session_tenant *own =
		base->id < sessions->n_by_tenant ? sessions->by_tenant[base->id] : NULL;
	struct walk walk = { 0 };
	struct tunnel **tunnels;
	struct tenant *made;
	int ret = -ENOMEM;

	if (own == NULL)
		return tenant_hold(base);
	if (own->made != NULL && own->made_of == base)
		return tenant_hold(own->made);
	walk.clients = calloc(own->n_clients + 1, sizeof(struct session *));
	tunnels = calloc(base->n_tunnels + own->n_clients + 1, sizeof(struct tunnel *));
	made = tenant_copy(base);
	if (walk.clients != NULL && tunnels != NULL && made != NULL) {
		for (size_t i = 0; i < made->n_tunnels; i++)
			tunnel_release(made->tunnels[i]);
		free(made->tunnels);
		made->tunnels = tunnels;
		made->n_tunnels = 0;
		tunnels = NULL;
		twalk_r(own->clients, client_visit, &walk);
		ret = tunnels_lay(sessions, base, &walk, made);
	}
	free(walk.clients);
	free(tunnels);
	if (ret < 0) {
		tenant_release(made);
		return NULL;
	}
	tenant_release(own->made);
	tenant_release(own->made_of);
	own->made = tenant_hold(made);
	own->made_of = tenant_hold(base);
	return made;
}

struct model *sessions_effective(struct sessions *sessions, const struct model *desired)
{
	struct model *effective = model_copy(desired);

	for (size_t i = 0; effective != NULL && i < effective->n_tenants; i++) {
		struct tenant *made = tenant_effective(sessions, desired->tenants[i]);

		if (made == NULL) {
			model_destroy(effective);
			return NULL;
		}
		tenant_release(effective->tenants[i]);
		effective->tenants[i] = made;
	}
	return effective;
}
