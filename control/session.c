/* SPDX-License-Identifier: BSD-3-Clause */
/* The set of sessions: what comes into it and goes. */
#include "session_index.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "address.h"
#include "claims.h"

bool session_is_orphan(const struct sessions *sessions, const struct session *session)
{
	const struct session_sa *sa;

	TAILQ_FOREACH (sa, &session->sas, link) {
		if (!sa_is_orphan(sessions, sa))
			return false;
	}
	return true;
}

struct session_sa *session_sender(const struct session *session)
{
	struct session_sa *sa;

	TAILQ_FOREACH_REVERSE(sa, &session->sas, session_sas, link)
	{
		if (sa->sa.direction == ABI_SA_OUT)
			return sa;
	}
	return TAILQ_LAST(&session->sas, session_sas);
}

/* -- tenants -- */

static struct session_tenant *tenant_get(struct sessions *sessions, const struct tenant *tenant)
{
	void **slot = session_slot(&sessions->by_tenant, &sessions->n_by_tenant, tenant->id);
	struct session_tenant *made;

	if (slot == NULL || *slot != NULL)
		return slot == NULL ? NULL : *slot;
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		return NULL;
	made->id = tenant->id;
	STAILQ_INIT(&made->changes);
	snprintf(made->name, sizeof(made->name), "%s", tenant->name);
	*slot = made;
	return made;
}

static void tenant_drop(struct sessions *sessions, struct session_tenant *tenant)
{
	if (tenant->n_sessions > 0)
		return;
	sessions->by_tenant[tenant->id] = NULL;
	session_changes_forget(tenant);
	free(tenant->free);
	tenant_release(tenant->made);
	tenant_release(tenant->made_of);
	free(tenant);
}

/* -- sessions -- */

void session_name(char name[ABI_NAME_LEN], const char *owner, uint32_t tunnel_id)
{
	snprintf(name, ABI_NAME_LEN, "%.20s-%u", owner, tunnel_id);
}

uint64_t session_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec + 1;
}

struct session *session_create(struct sessions *sessions, const struct session_owner *owner,
			       uint64_t instance, uint32_t if_id, uint32_t reqid,
			       uint32_t tunnel_id)
{
	void **slot = session_slot(&sessions->by_tunnel, &sessions->n_by_tunnel, tunnel_id);
	struct session_tenant *tenant = tenant_get(sessions, owner->tenant);
	struct session *session = calloc(1, sizeof(*session));

	if (slot == NULL || tenant == NULL || session == NULL ||
	    session_place_take(tenant, &session->place) < 0)
		goto fail;
	session->instance = instance;
	session->if_id = if_id;
	session->reqid = reqid;
	session->tunnel_id = tunnel_id;
	session->tenant = tenant;
	TAILQ_INIT(&session->sas);
	snprintf(session->owner, sizeof(session->owner), "%s",
		 owner->tunnel != NULL ? owner->tunnel->name : owner->access->name);
	if (reqid == 0)
		memcpy(session->name, session->owner, sizeof(session->name));
	else
		session_name(session->name, session->owner, tunnel_id);
	if (session_tree_put(&sessions->by_key, session, session_key_order) < 0)
		goto fail_place;
	if (session_is_client(session) &&
	    session_tree_put(&tenant->clients, session, session_name_order) < 0) {
		tdelete(session, &sessions->by_key, session_key_order);
		goto fail_place;
	}
	*slot = session;
	TAILQ_INSERT_TAIL(&sessions->list, session, link);
	sessions->n_sessions++;
	tenant->n_sessions++;
	tenant->n_clients += session_is_client(session);
	return session;
fail_place:
	session_place_free(tenant, session->place);
fail:
	free(session);
	if (tenant != NULL)
		tenant_drop(sessions, tenant);
	return NULL;
}

static void networks_release(struct session *session)
{
	struct session_tenant *tenant = session->tenant;

	for (size_t i = 0; i < session->n_networks; i++) {
		struct session_prefix like = { .prefix = session->networks[i] };
		struct session_prefix *found =
			session_tree_find(&tenant->prefixes, &like, session_prefix_order);

		if (found == NULL || found->session != session)
			continue;
		tdelete(&like, &tenant->prefixes, session_prefix_order);
		free(found);
	}
	free(session->networks);
	session->networks = NULL;
	session->n_networks = 0;
}

/* A prefix goes to another one. */
static void network_lose(struct session *session, const struct abi_address *prefix)
{
	size_t kept = 0;

	for (size_t i = 0; i < session->n_networks; i++) {
		if (prefix_compare(&session->networks[i], prefix) != 0)
			session->networks[kept++] = session->networks[i];
	}
	session->n_networks = kept;
	session_touch(session);
}

static int prefix_hold(struct session *session, const struct abi_address *prefix)
{
	struct session_prefix *item = calloc(1, sizeof(*item)), *found;

	if (item == NULL)
		return -ENOMEM;
	item->prefix = *prefix;
	item->session = session;
	found = session_tree_find(&session->tenant->prefixes, item, session_prefix_order);
	if (found == NULL &&
	    session_tree_put(&session->tenant->prefixes, item, session_prefix_order) == 0)
		return 0;
	free(item);
	if (found == NULL)
		return -ENOMEM;
	if (found->session != session)
		network_lose(found->session, prefix);
	found->session = session;
	return 0;
}

int session_networks_set(struct session *session, struct abi_address *networks, size_t n)
{
	networks_release(session);
	session->networks = networks;
	session->n_networks = n;
	session_touch(session);
	for (size_t i = 0; i < n; i++) {
		if (prefix_hold(session, &networks[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

void session_destroy(struct sessions *sessions, struct session *session)
{
	struct session_tenant *tenant = session->tenant;

	networks_release(session);
	session_change_end(session);
	session_place_free(tenant, session->place);
	tdelete(session, &sessions->by_key, session_key_order);
	if (session_is_client(session))
		tdelete(session, &tenant->clients, session_name_order);
	sessions->by_tunnel[session->tunnel_id] = NULL;
	TAILQ_REMOVE(&sessions->list, session, link);
	sessions->n_sessions--;
	tenant->n_sessions--;
	tenant->n_clients -= session_is_client(session);
	tunnel_release(session->made_of);
	remote_access_release(session->made_of_access);
	free(session);
	tenant_drop(sessions, tenant);
}

/* -- IKE SAs -- */

struct session_ike *sessions_ike_get(struct sessions *sessions, uint64_t instance, uint64_t id)
{
	struct session_ike *ike = sessions_ike(sessions, instance, id);

	if (ike != NULL)
		return ike;
	ike = calloc(1, sizeof(*ike));
	if (ike == NULL)
		return NULL;
	ike->instance = instance;
	ike->id = id;
	LIST_INIT(&ike->sas);
	if (session_tree_put(&sessions->ikes_by_id, ike, session_ike_order) < 0) {
		free(ike);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&sessions->ikes, ike, link);
	return ike;
}

void session_ike_take(struct session_ike *ike, struct session_sa *sa)
{
	if (sa->ike != NULL)
		LIST_REMOVE(sa, ike_link);
	sa->ike = ike;
	LIST_INSERT_HEAD(&ike->sas, sa, ike_link);
}

void session_ike_drop(struct sessions *sessions, struct session_ike *ike)
{
	if (ike->told != NULL || !LIST_EMPTY(&ike->sas))
		return;
	tdelete(ike, &sessions->ikes_by_id, session_ike_order);
	TAILQ_REMOVE(&sessions->ikes, ike, link);
	free(ike);
}

/* -- SAs -- */

void session_sa_free(struct session_sa *sa)
{
	if (sa != NULL)
		free(sa->ts);
	free(sa);
}

int session_sa_add(struct sessions *sessions, struct session *session, struct session_sa *sa,
		   uint64_t ike_id)
{
	void **slot = session_slot(&sessions->by_sa, &sessions->n_by_sa, sa->sa.id);
	struct session_ike *ike = sessions_ike_get(sessions, sa->instance, ike_id);

	if (slot == NULL || ike == NULL ||
	    session_tree_put(&sessions->by_handle, sa, session_handle_order) < 0)
		return -ENOMEM;
	if (session_tree_put(&sessions->by_digest, sa, session_digest_order) < 0)
		goto fail_digest;
	if (sa->sa.direction == ABI_SA_IN &&
	    session_tree_put(&sessions->by_spi, sa, session_spi_order) < 0)
		goto fail_spi;
	*slot = sa;
	sa->session = session;
	session_ike_take(ike, sa);
	TAILQ_INSERT_TAIL(&session->sas, sa, link);
	sessions->n_sas++;
	session_touch(session);
	return 0;
fail_spi:
	tdelete(sa, &sessions->by_digest, session_digest_order);
fail_digest:
	tdelete(sa, &sessions->by_handle, session_handle_order);
	return -ENOMEM;
}

void session_sa_remove(struct sessions *sessions, struct session_sa *sa)
{
	tdelete(sa, &sessions->by_handle, session_handle_order);
	tdelete(sa, &sessions->by_digest, session_digest_order);
	if (sa->sa.direction == ABI_SA_IN)
		tdelete(sa, &sessions->by_spi, session_spi_order);
	sessions->by_sa[sa->sa.id] = NULL;
	TAILQ_REMOVE(&sa->session->sas, sa, link);
	sessions->n_sas--;
	session_touch(sa->session);
	LIST_REMOVE(sa, ike_link);
	session_ike_drop(sessions, sa->ike);
	session_sa_free(sa);
}

/* -- all -- */

void sessions_init(struct sessions *sessions, struct daemon *daemon)
{
	memset(sessions, 0, sizeof(*sessions));
	sessions->daemon = daemon;
	TAILQ_INIT(&sessions->list);
	TAILQ_INIT(&sessions->ikes);
	TAILQ_INIT(&sessions->lockouts);
	TAILQ_INIT(&sessions->floods);
	STAILQ_INIT(&sessions->batch.queue);
	STAILQ_INIT(&sessions->batch.current);
}

void sessions_clear(struct sessions *sessions)
{
	struct session_ike *ike;
	struct session *session;
	struct session_sa *sa;

	while ((session = TAILQ_FIRST(&sessions->list)) != NULL) {
		while ((sa = TAILQ_FIRST(&session->sas)) != NULL)
			session_sa_remove(sessions, sa);
		session_destroy(sessions, session);
	}
	while ((ike = TAILQ_FIRST(&sessions->ikes)) != NULL) {
		json_decref(ike->told);
		ike->told = NULL;
		session_ike_drop(sessions, ike);
	}
}

void sessions_close(struct sessions *sessions)
{
	sessions_clear(sessions);
	free(sessions->by_tunnel);
	free(sessions->by_sa);
	free(sessions->by_tenant);
	free(sessions->owners);
	claims_destroy(sessions->spis);
}
