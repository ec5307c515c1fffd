/* SPDX-License-Identifier: BSD-3-Clause */
#include "merge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "merge_steps.h"

uint32_t merge_id_take(struct merge *merge, enum id_kind kind)
{
	uint32_t id = ids_take(merge->ids, kind);

	if (id == 0)
		merge->error = -ENOSPC;
	return id;
}

/* -- the list of changes -- */

static void detail_add(char *text, size_t size, const char *before, const char *member,
		       const char *behind)
{
	size_t used = strlen(text);

	snprintf(text + used, size - used, "%s%s%s%s%s", used == 0 ? "" : ", ", before,
		 before[0] == '\0' ? "" : " ", member, behind);
}

/* "mtu, networks, ike psk": the members in which two objects differ. */
static void detail_make(const json_t *now, const json_t *next, const char *before, char *text,
			size_t size)
{
	json_t *a = (json_t *)(uintptr_t)now, *b = (json_t *)(uintptr_t)next, *value, *old;
	const char *key;

	json_object_foreach (b, key, value) {
		old = json_object_get(a, key);
		if (json_equal(value, old))
			continue;
		if (strcmp(key, "ike") == 0 && old != NULL)
			detail_make(old, value, key, text, size);
		else
			detail_add(text, size, before, key, "");
	}
	json_object_foreach (a, key, value) {
		if (json_object_get(b, key) == NULL)
			detail_add(text, size, before, key, " removed");
	}
}

void merge_change(struct merge *merge, const char *op, const char *kind, const char *name,
		  const char *detail)
{
	json_t *change = json_object();

	json_object_set_new(change, "op", json_string(op));
	json_object_set_new(change, "kind", json_string(kind));
	if (merge->tenant != NULL && strcmp(kind, "tenant") != 0)
		json_object_set_new(change, "tenant", json_string(merge->tenant));
	json_object_set_new(change, "name", json_string(name));
	if (detail != NULL && detail[0] != '\0')
		json_object_set_new(change, "detail", json_string(detail));
	if (change == NULL || json_array_append_new(merge->changes, change) < 0)
		merge->error = -ENOMEM;
}

bool merge_compare(struct merge *merge, const char *kind, const char *name, json_t *now,
		   json_t *next)
{
	bool equal = now != NULL && next != NULL && json_equal(now, next);
	char detail[256];

	if (!equal) {
		detail[0] = '\0';
		detail_make(now, next, "", detail, sizeof(detail));
		merge_change(merge, "change", kind, name, detail);
	}
	json_decref(now);
	json_decref(next);
	return equal;
}

/* -- SAs -- */

static bool sa_same(const struct sa *a, const struct sa *b)
{
	return a->direction == b->direction && a->spi == b->spi && a->esn == b->esn &&
	       a->window == b->window && memcmp(a->digest, b->digest, sizeof(a->digest)) == 0;
}

static bool sa_lives_alike(const struct sa *a, const struct sa *b)
{
	return a->own_lifetime == b->own_lifetime && lifetime_equal(&a->lifetime, &b->lifetime);
}

static const struct sa *sa_find(const struct tunnel *tunnel, const struct sa *wanted)
{
	for (size_t i = 0; tunnel != NULL && i < tunnel->n_sas; i++) {
		if (sa_same(&tunnel->sas[i], wanted))
			return &tunnel->sas[i];
	}
	return NULL;
}

/*
 * The dataplane sends by the outbound SA that was set last. So where the last one of the list is
 * an old one, and one before it is new or stood behind it, it has to be set anew: another id.
 */
static bool sender_moves(const struct tunnel *now, const struct tunnel *next, size_t sender)
{
	const struct sa *old = sa_find(now, &next->sas[sender]);

	for (size_t i = 0; old != NULL && i < sender; i++) {
		const struct sa *before = sa_find(now, &next->sas[i]);

		if (next->sas[i].direction == ABI_SA_OUT && (before == NULL || before > old))
			return true;
	}
	return false;
}

static void sas_merge(struct merge *merge, const struct tunnel *now, struct tunnel *next)
{
	size_t sender = next->n_sas;
	char name[2 * ABI_NAME_LEN + 24];

	for (size_t i = 0; i < next->n_sas; i++) {
		if (next->sas[i].direction == ABI_SA_OUT)
			sender = i;
	}
	for (size_t i = 0; i < next->n_sas; i++) {
		struct sa *sa = &next->sas[i];
		const struct sa *old = sa_find(now, sa);

		snprintf(name, sizeof(name), "%s %s 0x%08x", next->name,
			 sa->direction == ABI_SA_IN ? "in" : "out", sa->spi);
		if (old != NULL && i == sender && sender_moves(now, next, i)) {
			sa->id = merge_id_take(merge, ID_SA);
			merge_change(merge, "change", "sa", name, "sends now");
		} else if (old != NULL) {
			sa->id = old->id;
			memcpy(sa->sealed, old->sealed, sizeof(sa->sealed));
			if (!sa_lives_alike(sa, old))
				merge_change(merge, "change", "sa", name, "lifetime");
		} else {
			sa->id = merge_id_take(merge, ID_SA);
			merge_change(merge, "add", "sa", name, NULL);
		}
	}
	for (size_t i = 0; now != NULL && i < now->n_sas; i++) {
		if (sa_find(next, &now->sas[i]) != NULL)
			continue;
		snprintf(name, sizeof(name), "%s %s 0x%08x", now->name,
			 now->sas[i].direction == ABI_SA_IN ? "in" : "out", now->sas[i].spi);
		merge_change(merge, "delete", "sa", name, NULL);
	}
}

/* -- tunnels, attachments, routes -- */

static json_t *tunnel_without_sas(const struct tunnel *tunnel)
{
	json_t *json = config_render_tunnel(tunnel, CONFIG_COMPARED);

	json_object_del(json, "sas");
	return json;
}

static bool sas_equal(const struct tunnel *a, const struct tunnel *b)
{
	if (a->n_sas != b->n_sas)
		return false;
	for (size_t i = 0; i < a->n_sas; i++) {
		if (!sa_same(&a->sas[i], &b->sas[i]) || !sa_lives_alike(&a->sas[i], &b->sas[i]))
			return false;
	}
	return true;
}

/* *next becomes `now` where they are the same. Returns whether they are. */
static bool tunnel_merge(struct merge *merge, struct tunnel *now, struct tunnel **next)
{
	bool equal;

	if (now == *next)
		return true;
	if (now == NULL) {
		(*next)->id = merge_id_take(merge, ID_TUNNEL);
		merge_change(merge, "add", "tunnel", (*next)->name, NULL);
		sas_merge(merge, NULL, *next);
		return false;
	}
	equal = merge_compare(merge, "tunnel", now->name, tunnel_without_sas(now),
			      tunnel_without_sas(*next));
	if (equal && sas_equal(now, *next)) {
		tunnel_release(*next);
		*next = tunnel_hold(now);
		return true;
	}
	(*next)->id = now->id;
	sas_merge(merge, now, *next);
	return false;
}

static bool attachment_merge(struct merge *merge, struct attachment *now, struct attachment **next)
{
	const char *kind = merge->tenant == NULL ? "underlay" : "attachment";

	if (now == *next)
		return true;
	if (now == NULL) {
		(*next)->id = merge_id_take(merge, ID_ATTACHMENT);
		merge_change(merge, "add", kind, (*next)->name, NULL);
		return false;
	}
	if (merge_compare(merge, kind, now->name, config_render_attachment(now, CONFIG_COMPARED),
			  config_render_attachment(*next, CONFIG_COMPARED))) {
		attachment_release(*next);
		*next = attachment_hold(now);
		return true;
	}
	/* Elsewhere it is another one: two may change places in one step. */
	if (strcmp(now->port, (*next)->port) == 0 && now->vlan == (*next)->vlan)
		(*next)->id = now->id;
	else
		(*next)->id = merge_id_take(merge, ID_ATTACHMENT);
	return false;
}

static int route_order(const void *a, const void *b)
{
	const struct route *const *first = a, *const *second = b;

	return prefix_compare(&(*first)->prefix, &(*second)->prefix);
}

static const struct route **routes_sorted(const struct route *routes, size_t n)
{
	const struct route **sorted = calloc(n + 1, sizeof(*sorted));

	for (size_t i = 0; sorted != NULL && i < n; i++)
		sorted[i] = &routes[i];
	if (sorted != NULL)
		qsort(sorted, n, sizeof(*sorted), route_order);
	return sorted;
}

static bool routes_merge(struct merge *merge, const struct tenant *now, const struct tenant *next)
{
	size_t n_now = now == NULL ? 0 : now->n_routes, i = 0, k = 0;
	const struct route **old = routes_sorted(now == NULL ? NULL : now->routes, n_now);
	const struct route **new = routes_sorted(next->routes, next->n_routes);
	char text[ADDRESS_TEXT_LEN];
	bool equal = true;

	if (old == NULL || new == NULL)
		merge->error = -ENOMEM;
	while (merge->error == 0 && (i < n_now || k < next->n_routes)) {
		int order = i == n_now            ? 1
			    : k == next->n_routes ? -1
						  : route_order(&old[i], &new[k]);

		if (order < 0) {
			merge_change(merge, "delete", "route", prefix_format(&old[i]->prefix, text),
				     NULL);
			equal = false;
		} else if (order > 0) {
			merge_change(merge, "add", "route", prefix_format(&new[k]->prefix, text),
				     NULL);
			equal = false;
		} else {
			equal &= merge_compare(merge, "route", prefix_format(&old[i]->prefix, text),
					       config_render_route(old[i]),
					       config_render_route(new[k]));
		}
		i += order <= 0;
		k += order >= 0;
	}
	free(old);
	free(new);
	return equal;
}

/* -- tenants -- */

static bool text_equal(const char *a, const char *b)
{
	return strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

static bool head_merge(struct merge *merge, const struct tenant *now, struct tenant *next)
{
	bool label, service, code, lockout;
	char detail[64];

	if (now == NULL) {
		next->id = merge_id_take(merge, ID_TENANT);
		merge_change(merge, "add", "tenant", next->name, NULL);
		return false;
	}
	next->id = now->id;
	label = !text_equal(now->label, next->label);
	service = !text_equal(now->service, next->service);
	code = !text_equal(now->service_code, next->service_code);
	lockout = now->lockout.failures != next->lockout.failures ||
		  now->lockout.seconds != next->lockout.seconds;
	if (!label && !service && !code && !lockout)
		return true;
	snprintf(detail, sizeof(detail), "%s%s%s%s", label ? ", label" : "",
		 service ? ", service" : "", code ? ", service-code" : "",
		 lockout ? ", lockout" : "");
	merge_change(merge, "change", "tenant", next->name, detail + 2);
	return false;
}

static bool tunnels_merge(struct merge *merge, const struct tenant *now, struct tenant *next)
{
	size_t n_now = now == NULL ? 0 : now->n_tunnels, i = 0, k = 0;
	bool equal = true;

	while (i < n_now || k < next->n_tunnels) {
		int order = i == n_now ? 1
			    : k == next->n_tunnels
				    ? -1
				    : strcmp(now->tunnels[i]->name, next->tunnels[k]->name);

		if (order < 0) {
			merge_change(merge, "delete", "tunnel", now->tunnels[i++]->name, NULL);
			equal = false;
			continue;
		}
		equal &=
			tunnel_merge(merge, order == 0 ? now->tunnels[i] : NULL, &next->tunnels[k]);
		i += order == 0;
		k++;
	}
	return equal;
}

/* Returns whether nothing differs. */
static bool tenant_merge(struct merge *merge, const struct tenant *now, struct tenant *next)
{
	bool equal = head_merge(merge, now, next);

	for (size_t i = 0; now != NULL && i < now->n_attachments; i++) {
		if (tenant_attachment(next, now->attachments[i]->name) != NULL)
			continue;
		merge_change(merge, "delete", "attachment", now->attachments[i]->name, NULL);
		equal = false;
	}
	for (size_t i = 0; i < next->n_attachments; i++) {
		const char *name = next->attachments[i]->name;

		equal &= attachment_merge(merge, now == NULL ? NULL : tenant_attachment(now, name),
					  &next->attachments[i]);
	}
	equal &= tunnels_merge(merge, now, next);
	equal &= merge_remote_access(merge, now, next);
	equal &= routes_merge(merge, now, next);
	return equal;
}

static void underlay_merge(struct merge *merge, const struct model *now, struct model *next)
{
	for (size_t i = 0; i < now->n_underlay; i++) {
		if (model_underlay(next, now->underlay[i]->name) == NULL)
			merge_change(merge, "delete", "underlay", now->underlay[i]->name, NULL);
	}
	for (size_t i = 0; i < next->n_underlay; i++)
		attachment_merge(merge, model_underlay(now, next->underlay[i]->name),
				 &next->underlay[i]);
}

json_t *merge_model(const struct model *now, struct model *next, struct ids *ids, int *error)
{
	struct merge merge = { .ids = ids, .changes = json_array() };

	if (merge.changes == NULL || ids_mark(ids, now) < 0) {
		merge.error = -ENOMEM;
		goto out;
	}
	underlay_merge(&merge, now, next);
	for (size_t i = 0; i < now->n_tenants; i++) {
		merge.tenant = now->tenants[i]->name;
		if (model_tenant(next, merge.tenant) == NULL)
			merge_change(&merge, "delete", "tenant", merge.tenant, NULL);
	}
	for (size_t i = 0; i < next->n_tenants; i++) {
		struct tenant *old = model_tenant(now, next->tenants[i]->name);

		if (old == next->tenants[i])
			continue;
		merge.tenant = next->tenants[i]->name;
		if (tenant_merge(&merge, old, next->tenants[i])) {
			tenant_release(next->tenants[i]);
			next->tenants[i] = tenant_hold(old);
		}
	}
out:
	*error = merge.error;
	if (merge.error == 0)
		return merge.changes;
	json_decref(merge.changes);
	return NULL;
}
