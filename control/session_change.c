/* SPDX-License-Identifier: BSD-3-Clause */
/* Which sessions of a tenant have changed since it was made for the effective model, so that the others are let alone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "session_index.h"

void session_changes_forget(struct session_tenant *tenant)
{
	struct session_change *change;

	while ((change = STAILQ_FIRST(&tenant->changes)) != NULL) {
		STAILQ_REMOVE_HEAD(&tenant->changes, link);
		if (change->session != NULL)
			change->session->change = NULL;
		free(change);
	}
	tenant->n_changes = 0;
}

/* Without memory the tenant is made anew from all of its sessions. */
void session_touch(struct session *session)
{
	struct session_tenant *tenant = session->tenant;
	struct session_change *change;

	tunnel_release(session->made);
	session->made = NULL;
	if (session->change != NULL || tenant->made == NULL)
		return;
	change = calloc(1, sizeof(*change));
	if (change == NULL) {
		session_changes_forget(tenant);
		tenant_release(tenant->made);
		tenant->made = NULL;
		return;
	}
	change->session = session;
	change->place = session->place;
	memcpy(change->name, session->name, sizeof(change->name));
	session->change = change;
	STAILQ_INSERT_TAIL(&tenant->changes, change, link);
	tenant->n_changes++;
}

void session_change_end(struct session *session)
{
	session_touch(session);
	if (session->change != NULL)
		session->change->session = NULL;
	session->change = NULL;
}

/* There is always room for all places among those that are free. */
int session_place_take(struct session_tenant *tenant, uint32_t *place)
{
	uint32_t room = tenant->n_places * 2 + 16, *bigger;

	if (tenant->n_free > 0) {
		*place = tenant->free[--tenant->n_free];
		return 0;
	}
	if (tenant->n_places == tenant->free_room) {
		bigger = reallocarray(tenant->free, room, sizeof(*bigger));
		if (bigger == NULL)
			return -ENOMEM;
		tenant->free = bigger;
		tenant->free_room = room;
	}
	*place = tenant->n_places++;
	return 0;
}

void session_place_free(struct session_tenant *tenant, uint32_t place)
{
	tenant->free[tenant->n_free++] = place;
}
