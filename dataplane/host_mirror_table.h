/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hash table of mirrored things by (family, prefix, length); several entries may have one key, and
 * stand in the order in which they were added. It never grows while it is changed, so that it may be
 * walked by who changes it: mirror_table_grow() is called in between.
 */
#ifndef KAIDO_HOST_MIRROR_TABLE_H
#define KAIDO_HOST_MIRROR_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "ip.h"

struct mirror_watch;

struct mirror_key {
	struct ip_addr addr;
	enum ip_family family;
	uint8_t len;
};

struct mirror_entry {
	struct mirror_entry *next; /* of the bucket */
	struct mirror_watch *watch;
	struct mirror_key key;
	uint32_t generation; /* of the dump that it was last seen in, or after */

	/* A route. */
	uint32_t metric;
	uint64_t order; /* of two of the same metric the kernel uses the lower one */
	struct ip_addr gateway;
	uint8_t gateway_family;
	bool has_gateway;
	bool ambiguous; /* multipath, or one of several of this metric: ask again when one goes */
	bool shown;     /* this is the one that the caller was told of */

	/* A neighbour. */
	uint8_t mac[6];
	bool usable;    /* the caller was told of mac */
	bool permanent; /* never asked for */
	bool wanted;    /* to be kept fresh */
	bool tell_again;
	int64_t asked; /* monotonic ms */
};

struct mirror_table {
	struct mirror_entry **bucket;
	uint32_t buckets; /* a power of two */
	uint32_t count;
	uint64_t seed;
};

int mirror_table_init(struct mirror_table *t);
void mirror_table_free(struct mirror_table *t);
/* Makes room where the table is crowded; without memory it stays as it is. True: it has grown. */
bool mirror_table_grow(struct mirror_table *t);

struct mirror_entry *mirror_table_first(const struct mirror_table *t, const struct mirror_key *key);
/* The next one with the same key. */
struct mirror_entry *mirror_entry_next(const struct mirror_entry *e);
/* The last one with its key, zero otherwise. NULL: no memory. */
struct mirror_entry *mirror_table_add(struct mirror_table *t, const struct mirror_key *key);
/* Frees the entry. */
void mirror_table_remove(struct mirror_table *t, struct mirror_entry *e);

#endif /* KAIDO_HOST_MIRROR_TABLE_H */
