/* SPDX-License-Identifier: BSD-3-Clause */
/* Between session.c, session_change.c and session_index.c. */
#ifndef KAIDO_CONTROL_SESSION_INDEX_H
#define KAIDO_CONTROL_SESSION_INDEX_H

#include "session.h"

/* A prefix that a client holds. */
struct session_prefix {
	struct abi_address prefix;
	struct session *session;
};

typedef int (*session_order)(const void *a, const void *b);

/* Of session_sa, ... */
int session_handle_order(const void *first, const void *second);
int session_digest_order(const void *first, const void *second);
int session_spi_order(const void *first, const void *second);
/* ... of session, of session_prefix, of session_ike. */
int session_key_order(const void *first, const void *second);
int session_name_order(const void *first, const void *second);
int session_prefix_order(const void *first, const void *second);
int session_ike_order(const void *first, const void *second);

/* -ENOMEM. What is equal must not be there yet. */
int session_tree_put(void **root, void *item, session_order order);
void *session_tree_find(void *const *root, const void *like, session_order order); /* or NULL */
/* Where the pointer of that id stands in an array of pointers that grows; NULL: no memory. */
void **session_slot(void *array, uint32_t *size, uint32_t id);

/* It is about to go. */
void session_change_end(struct session *session);
/* A place in its tenant's tunnel_share; -ENOMEM. */
int session_place_take(struct session_tenant *tenant, uint32_t *place);
void session_place_free(struct session_tenant *tenant, uint32_t place);

#endif /* KAIDO_CONTROL_SESSION_INDEX_H */
