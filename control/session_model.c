/* SPDX-License-Identifier: BSD-3-Clause */
/* The effective model: the desired state with the sessions laid over it. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "claims.h"
#include "session.h"
#include "tunnel_share.h"

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
	sessions->lockouts_old = true;
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

/* The session's tunnel at its place of the share, which holds it. NULL: no memory. */
static struct tunnel *tunnel_lay(struct sessions *sessions, struct session *session,
				 struct tenant *made)
{
	struct tunnel *tunnel = session_tunnel(session, sessions_owner(sessions, session->if_id));

	if (tunnel == NULL || tunnel_share_put(made->share, session->place, tunnel) < 0)
		return NULL;
	return tunnel;
}

/* The configured one, which the base holds, unless a session is laid over it. */
static struct tunnel *site_tunnel(struct sessions *sessions, struct tunnel *tunnel,
				  struct tenant *made)
{
	struct session *session =
		tunnel->ike == NULL ? NULL : sessions_by_tunnel(sessions, tunnel->id);

	return session == NULL ? tunnel : tunnel_lay(sessions, session, made);
}

/* Configured tunnels and clients, both by name already. */
static int tunnels_lay(struct sessions *sessions, const struct tenant *base,
		       const struct walk *walk, struct tenant *made)
{
	size_t i = 0, k = 0;

	while (i < base->n_tunnels || k < walk->n) {
		int order = i == base->n_tunnels ? 1
			    : k == walk->n       ? -1
					   : strcmp(base->tunnels[i]->name, walk->clients[k]->name);
		struct tunnel *tunnel = order <= 0 ? site_tunnel(sessions, base->tunnels[i], made)
						   : tunnel_lay(sessions, walk->clients[k], made);

		if (tunnel == NULL)
			return -ENOMEM;
		made->tunnels[made->n_tunnels++] = tunnel;
		i += order <= 0;
		k += order >= 0; /* never both: sessions_follow() */
	}
	return 0;
}

/* From all of its sessions. A reference is the caller's, as below; NULL: no memory. */
static struct tenant *tenant_make(struct sessions *sessions, struct session_tenant *own,
				  struct tenant *base)
{
	struct walk walk = { .clients = calloc(own->n_clients + 1, sizeof(struct session *)) };
	struct tenant *made = tenant_derive(base, base->n_tunnels + own->n_clients,
					    tunnel_share_create(NULL, own->n_places));
	int ret = -ENOMEM;

	if (walk.clients != NULL && made != NULL) {
		twalk_r(own->clients, client_visit, &walk);
		ret = tunnels_lay(sessions, base, &walk, made);
	}
	free(walk.clients);
	if (ret == 0)
		return made;
	tenant_release(made);
	return NULL;
}

/* Puts the tunnel in the place of its namesake, or adds it; NULL: that one goes. There is room. */
static void tunnel_stand(struct tenant *made, const char *name, struct tunnel *tunnel)
{
	size_t i = tenant_tunnel_position(made, name), after = made->n_tunnels - i;
	struct tunnel **at = &made->tunnels[i];
	bool there = after > 0 && strcmp((*at)->name, name) == 0;

	if (tunnel != NULL && !there) {
		memmove(at + 1, at, after * sizeof(struct tunnel *));
		made->n_tunnels++;
	}
	if (tunnel != NULL) {
		*at = tunnel;
	} else if (there) {
		memmove(at, at + 1, (after - 1) * sizeof(struct tunnel *));
		made->n_tunnels--;
	}
}

/* In place of a session that is gone stands the configured tunnel, or nothing. */
static int change_lay(struct sessions *sessions, const struct session_change *change,
		      struct tenant *made)
{
	struct tunnel *tunnel;

	if (change->session != NULL) {
		tunnel = tunnel_lay(sessions, change->session, made);
		if (tunnel == NULL)
			return -ENOMEM;
	} else {
		tunnel = tenant_tunnel(made->base, change->name);
	}
	tunnel_stand(made, change->name, tunnel);
	return change->session != NULL ? 0 : tunnel_share_put(made->share, change->place, NULL);
}

/* As it was made last, with what has changed since. */
static struct tenant *tenant_follow(struct sessions *sessions, struct session_tenant *own)
{
	const struct tenant *last = own->made;
	struct tenant *made = tenant_derive(own->made_of, last->n_tunnels + own->n_changes,
					    tunnel_share_create(last->share, own->n_places));
	const struct session_change *change;

	if (made == NULL)
		return NULL;
	memcpy(made->tunnels, last->tunnels, last->n_tunnels * sizeof(struct tunnel *));
	made->n_tunnels = last->n_tunnels;
	STAILQ_FOREACH (change, &own->changes, link) {
		if (change_lay(sessions, change, made) < 0) {
			tenant_release(made);
			return NULL;
		}
	}
	return made;
}

static struct tenant *tenant_effective(struct sessions *sessions, struct tenant *base)
{
	struct session_tenant *own =
		base->id < sessions->n_by_tenant ? sessions->by_tenant[base->id] : NULL;
	struct tenant *made;

	if (own == NULL)
		return tenant_hold(base);
	if (own->made == NULL || own->made_of != base)
		made = tenant_make(sessions, own, base);
	else if (!STAILQ_EMPTY(&own->changes))
		made = tenant_follow(sessions, own);
	else
		return tenant_hold(own->made);
	if (made == NULL)
		return NULL;
	session_changes_forget(own);
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
