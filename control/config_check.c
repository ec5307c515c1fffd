/* SPDX-License-Identifier: BSD-3-Clause */
/* What can't be seen in one object alone: names twice, prefixes in each other's way, keys shared. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "address.h"
#include "config_check.h"

/* -- within a tenant -- */

static int name_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted copies find a name twice without comparing each with each; the message names the object. */
static void names_check(struct config_reader *reader, const char *member, const char **names,
			size_t n)
{
	qsort(names, n, sizeof(*names), name_order);
	for (size_t i = 1; i < n; i++) {
		if (names[i][0] != '\0' && strcmp(names[i - 1], names[i]) == 0)
			reader_error_of(reader, member, "two have the name '%s': rename one",
					names[i]);
	}
}

static void tenant_names_check(struct config_reader *reader, const struct tenant *tenant)
{
	size_t most = tenant->n_attachments > tenant->n_tunnels ? tenant->n_attachments
								: tenant->n_tunnels;
	const char **names = calloc(most + 1, sizeof(*names));

	if (names == NULL) {
		reader->failed = true;
		return;
	}
	for (size_t i = 0; i < tenant->n_attachments; i++)
		names[i] = tenant->attachments[i]->name;
	names_check(reader, "attachments", names, tenant->n_attachments);
	for (size_t i = 0; i < tenant->n_tunnels; i++)
		names[i] = tenant->tunnels[i]->name;
	names_check(reader, "tunnels", names, tenant->n_tunnels);
	free(names);
}

static void neighbours_check(struct config_reader *reader, const struct attachment *attachment)
{
	size_t mark = reader_enter(reader, "neighbours");

	for (size_t i = 0; i < attachment->n_neighbours; i++) {
		const struct abi_address *address = &attachment->neighbours[i].address;
		size_t inner = reader_enter_index(reader, i);
		bool on_link = address->family == 0, own = false, twice = false;

		for (uint32_t k = 0; k < attachment->n_addresses; k++) {
			on_link |= address_in(address, &attachment->address[k]);
			own |= address_equal(address, &attachment->address[k]);
		}
		for (size_t k = 0; k < i && address->family != 0; k++)
			twice |= address_equal(address, &attachment->neighbours[k].address);
		if (!on_link)
			reader_error_of(reader, "address",
					"is not on the link of any address of '%s'",
					attachment->name);
		else if (own)
			reader_error_of(reader, "address", "is the gateway's own address");
		else if (twice)
			reader_error_of(reader, "address", "stands twice: remove one");
		reader_leave(reader, inner);
	}
	reader_leave(reader, mark);
}

/* On-link prefixes of `later` against those of `earlier`, which may be the same attachment. */
static void links_check(struct config_reader *reader, const struct attachment *earlier,
			const struct attachment *later)
{
	char a[ADDRESS_TEXT_LEN], b[ADDRESS_TEXT_LEN];

	for (uint32_t i = 0; i < later->n_addresses; i++) {
		uint32_t end = earlier == later ? i : earlier->n_addresses;

		for (uint32_t k = 0; k < end; k++) {
			size_t mark;

			if (later->address[i].family == 0 ||
			    !prefix_overlaps(&later->address[i], &earlier->address[k]))
				continue;
			mark = reader_enter(reader, "addresses");
			reader_enter_index(reader, i);
			reader_error(reader,
				     "%s overlaps %s of '%s': give each link a network of "
				     "its own",
				     prefix_format(&later->address[i], a),
				     prefix_format(&earlier->address[k], b), earlier->name);
			reader_leave(reader, mark);
		}
	}
}

static void attachments_check(struct config_reader *reader, const struct tenant *tenant)
{
	size_t mark = reader_enter(reader, "attachments");

	for (size_t i = 0; i < tenant->n_attachments; i++) {
		size_t inner = reader_enter_index(reader, i);

		for (size_t k = 0; k <= i; k++)
			links_check(reader, tenant->attachments[k], tenant->attachments[i]);
		neighbours_check(reader, tenant->attachments[i]);
		reader_leave(reader, inner);
	}
	reader_leave(reader, mark);
}

void check_prefix_claim(struct config_reader *reader, struct claims *claims,
			const struct abi_address *prefix, const struct claim_holder *holder)
{
	const struct claim_holder *other;
	char text[ADDRESS_TEXT_LEN];

	if (prefix->family == 0)
		return;
	other = claims_take(claims, CLAIM_PREFIX, prefix, sizeof(*prefix), holder);
	if (other == NULL)
		return;
	if (other->what == holder->what && other->name == holder->name)
		reader_error(reader, "%s stands twice: remove one", prefix_format(prefix, text));
	else
		reader_error(reader,
			     "%s already belongs to the %s%s%s%s of this tenant: remove one",
			     prefix_format(prefix, text), other->what,
			     other->name[0] == '\0' ? "" : " '", other->name,
			     other->name[0] == '\0' ? "" : "'");
}

static void prefixes_claim(struct config_reader *reader, struct claims *claims, const char *member,
			   const struct abi_address *prefixes, size_t n,
			   const struct claim_holder *holder)
{
	size_t mark = reader_enter(reader, member);

	for (size_t i = 0; i < n; i++) {
		size_t inner = reader_enter_index(reader, i);

		check_prefix_claim(reader, claims, &prefixes[i], holder);
		reader_leave(reader, inner);
	}
	reader_leave(reader, mark);
}

static void tunnel_check(struct config_reader *reader, struct claims *claims,
			 const struct tunnel *tunnel)
{
	struct claim_holder holder = { .what = "tunnel", .name = tunnel->name };
	size_t mark;

	prefixes_claim(reader, claims, "networks", tunnel->networks, tunnel->n_networks, &holder);
	mark = reader_enter(reader, "sas");
	for (size_t i = 0; i < tunnel->n_sas; i++) {
		const struct sa *sa = &tunnel->sas[i];

		if (sa->spi != 0 && tunnel_sa(tunnel, sa->direction, sa->spi) != sa) {
			size_t inner = reader_enter_index(reader, i);

			reader_error_of(reader, "spi",
					"0x%x stands twice in this direction of the tunnel: a new "
					"key takes a new SPI",
					sa->spi);
			reader_leave(reader, inner);
		}
	}
	reader_leave(reader, mark);
}

static void access_check(struct config_reader *reader, struct claims *claims,
			 const struct remote_access *access)
{
	struct claim_holder holder = { .what = "remote access", .name = access->name };

	prefixes_claim(reader, claims, "pool", access->pools, access->n_pools, &holder);
}

static void route_check(struct config_reader *reader, struct claims *claims,
			const struct tenant *tenant, const struct route *route)
{
	struct claim_holder holder = { .what = "routes", .name = "" };
	const struct attachment *link;
	char text[ADDRESS_TEXT_LEN];

	check_prefix_claim(reader, claims, &route->prefix, &holder);
	if (route->kind == ABI_ROUTE_TUNNEL && route->tunnel[0] != '\0' &&
	    claims_find(claims, CLAIM_NAME, route->tunnel, strlen(route->tunnel)) == NULL)
		reader_error_of(reader, "tunnel",
				"this tenant has no tunnel '%s': add it or name "
				"another",
				route->tunnel);
	if (route->kind != ABI_ROUTE_GATEWAY || route->via.family == 0)
		return;
	link = tenant_on_link(tenant, &route->via);
	if (link == NULL) {
		reader_error_of(reader, "via",
				"%s is not on the link of any attachment of this tenant",
				address_format(&route->via, text));
		return;
	}
	for (uint32_t i = 0; i < link->n_addresses; i++) {
		if (address_equal(&route->via, &link->address[i]))
			reader_error_of(reader, "via", "%s is the gateway itself",
					address_format(&route->via, text));
	}
}

static void prefixes_check(struct config_reader *reader, const struct tenant *tenant)
{
	struct claims *claims = claims_create();
	size_t mark, inner;

	if (claims == NULL) {
		reader->failed = true;
		return;
	}
	for (size_t i = 0; i < tenant->n_attachments; i++) {
		const struct attachment *attachment = tenant->attachments[i];
		struct claim_holder holder = { .what = "attachment", .name = attachment->name };

		for (uint32_t k = 0; k < attachment->n_addresses; k++) {
			struct abi_address prefix = attachment->address[k], own = prefix;

			if (prefix.family == 0)
				continue;
			prefix_mask(&prefix); /* overlaps were told of before */
			own.prefix_len = own.family == ABI_IPV6 ? 128 : 32;
			claims_take(claims, CLAIM_PREFIX, &prefix, sizeof(prefix), &holder);
			claims_take(claims, CLAIM_PREFIX, &own, sizeof(own), &holder);
		}
	}
	mark = reader_enter(reader, "tunnels");
	for (size_t i = 0; i < tenant->n_tunnels; i++) {
		const char *name = tenant->tunnels[i]->name;
		struct claim_holder holder = { .what = "tunnel", .name = name };

		inner = reader_enter_index(reader, i);
		tunnel_check(reader, claims, tenant->tunnels[i]);
		claims_take(claims, CLAIM_NAME, name, strlen(name), &holder);
		reader_leave(reader, inner);
	}
	reader_leave(reader, mark);
	mark = reader_enter(reader, "remote-access");
	for (size_t i = 0; i < tenant->n_remote_access; i++) {
		inner = reader_enter_index(reader, i);
		access_check(reader, claims, tenant->remote_access[i]);
		reader_leave(reader, inner);
	}
	reader_leave(reader, mark);
	mark = reader_enter(reader, "routes");
	for (size_t i = 0; i < tenant->n_routes; i++) {
		inner = reader_enter_index(reader, i);
		route_check(reader, claims, tenant, &tenant->routes[i]);
		reader_leave(reader, inner);
	}
	reader_leave(reader, mark);
	reader->failed |= claims_failed(claims);
	claims_destroy(claims);
}

void config_check_tenant(struct config_reader *reader, const struct tenant *tenant)
{
	tenant_names_check(reader, tenant);
	attachments_check(reader, tenant);
	prefixes_check(reader, tenant);
	check_tenant_ike(reader, tenant);
}

static int tunnel_order(const void *a, const void *b)
{
	const struct tunnel *const *first = a, *const *second = b;

	return strcmp((*first)->name, (*second)->name);
}

static int attachment_order(const void *a, const void *b)
{
	const struct attachment *const *first = a, *const *second = b;

	return strcmp((*first)->name, (*second)->name);
}

static int access_order(const void *a, const void *b)
{
	const struct remote_access *const *first = a, *const *second = b;

	return strcmp((*first)->name, (*second)->name);
}

static int user_order(const void *a, const void *b)
{
	const struct user *first = a, *second = b;

	/* One with a mistake has none. */
	return strcasecmp(first->name == NULL ? "" : first->name,
			  second->name == NULL ? "" : second->name);
}

void config_sort_tenant(struct tenant *tenant)
{
	if (tenant->n_attachments > 1)
		qsort(tenant->attachments, tenant->n_attachments, sizeof(struct attachment *),
		      attachment_order);
	if (tenant->n_tunnels > 1)
		qsort(tenant->tunnels, tenant->n_tunnels, sizeof(struct tunnel *), tunnel_order);
	if (tenant->n_remote_access > 1)
		qsort(tenant->remote_access, tenant->n_remote_access,
		      sizeof(struct remote_access *), access_order);
	for (size_t i = 0; i < tenant->n_remote_access; i++) {
		struct remote_access *access = tenant->remote_access[i];

		if (access->n_users > 1)
			qsort(access->users, access->n_users, sizeof(struct user), user_order);
	}
}
