/* SPDX-License-Identifier: BSD-3-Clause */
/* How something is found among the sessions: trees of tsearch(), and arrays by id. */
#include "session_index.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"

/* -- trees -- */

int session_tree_put(void **root, void *item, session_order order)
{
	return tsearch(item, root, order) == NULL ? -ENOMEM : 0;
}

void *session_tree_find(void *const *root, const void *like, session_order order)
{
	void *const *node = tfind(like, root, order);

	return node == NULL ? NULL : *node;
}

static int number_order(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

int session_handle_order(const void *first, const void *second)
{
	const struct session_sa *a = first, *b = second;
	int order = number_order(a->instance, b->instance);

	return order != 0 ? order : number_order(a->handle, b->handle);
}

int session_digest_order(const void *first, const void *second)
{
	const struct session_sa *a = first, *b = second;

	return memcmp(a->sa.digest, b->sa.digest, sizeof(a->sa.digest));
}

int session_spi_order(const void *first, const void *second)
{
	const struct session_sa *a = first, *b = second;

	return number_order(a->sa.spi, b->sa.spi);
}

int session_key_order(const void *first, const void *second)
{
	const struct session *a = first, *b = second;
	int order = number_order(a->instance, b->instance);

	if (order == 0)
		order = number_order(a->if_id, b->if_id);
	return order != 0 ? order : number_order(a->reqid, b->reqid);
}

int session_name_order(const void *first, const void *second)
{
	const struct session *a = first, *b = second;

	return strcmp(a->name, b->name);
}

int session_prefix_order(const void *first, const void *second)
{
	const struct session_prefix *a = first, *b = second;

	return prefix_compare(&a->prefix, &b->prefix);
}

/* -- arrays by id -- */

/* Where the pointer of that id stands; NULL: no memory. */
void **session_slot(void *array, uint32_t *size, uint32_t id)
{
	void ***pointers = array;
	uint32_t more = id + id / 2 + 64;
	void **bigger;

	if (id >= *size) {
		bigger = reallocarray(*pointers, more, sizeof(void *));
		if (bigger == NULL)
			return NULL;
		memset(bigger + *size, 0, (more - *size) * sizeof(void *));
		*pointers = bigger;
		*size = more;
	}
	return &(*pointers)[id];
}

/* -- finding -- */

struct session_sa *sessions_sa(const struct sessions *sessions, uint64_t instance, uint64_t handle)
{
	struct session_sa like = { .instance = instance, .handle = handle };

	return session_tree_find(&sessions->by_handle, &like, session_handle_order);
}

struct session_sa *sessions_sa_by_id(const struct sessions *sessions, uint32_t id)
{
	return id < sessions->n_by_sa ? sessions->by_sa[id] : NULL;
}

struct session_sa *sessions_sa_by_digest(const struct sessions *sessions,
					 const uint8_t digest[VAULT_DIGEST_LEN])
{
	struct session_sa like;

	memcpy(like.sa.digest, digest, sizeof(like.sa.digest));
	return session_tree_find(&sessions->by_digest, &like, session_digest_order);
}

struct session_sa *sessions_sa_by_spi(const struct sessions *sessions, uint32_t spi)
{
	struct session_sa like = { .sa.spi = spi };

	return session_tree_find(&sessions->by_spi, &like, session_spi_order);
}

struct session *sessions_find(const struct sessions *sessions, uint64_t instance, uint32_t if_id,
			      uint32_t reqid)
{
	struct session like = { .instance = instance, .if_id = if_id, .reqid = reqid };

	return session_tree_find(&sessions->by_key, &like, session_key_order);
}

struct session *sessions_by_tunnel(const struct sessions *sessions, uint32_t tunnel_id)
{
	return tunnel_id < sessions->n_by_tunnel ? sessions->by_tunnel[tunnel_id] : NULL;
}

struct session *sessions_by_prefix(const struct session_tenant *tenant,
				   const struct abi_address *prefix)
{
	struct session_prefix like = { .prefix = *prefix };
	struct session_prefix *found =
		session_tree_find(&tenant->prefixes, &like, session_prefix_order);

	return found == NULL ? NULL : found->session;
}

int session_ike_order(const void *first, const void *second)
{
	const struct session_ike *a = first, *b = second;
	int order = number_order(a->instance, b->instance);

	return order != 0 ? order : number_order(a->id, b->id);
}

struct session_ike *sessions_ike(const struct sessions *sessions, uint64_t instance, uint64_t id)
{
	struct session_ike like = { .instance = instance, .id = id };

	return session_tree_find(&sessions->ikes_by_id, &like, session_ike_order);
}
