/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Leases of sequence numbers: the reason why no nonce is ever used twice.
 *
 * An outbound SA's sequence numbers are its IVs. The dataplane may send numbers below a limit; the
 * limit is on the disk before it is granted. Whoever starts anew under the same key starts at the
 * limit on the disk, so numbers are skipped and never repeated. The record is kept by a digest of
 * key and salt and outlives the SA: a key that is deleted and comes back resumes above it.
 *
 * Where the dataplane died while this kaidod had its counters mapped, the highest number used is
 * read from there, and only LEASE_MARGIN numbers are skipped: as many as its workers may at most
 * have taken and not yet counted.
 */
#ifndef KAIDO_CONTROL_LEASE_H
#define KAIDO_CONTROL_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"
#include "model.h"

#define LEASE_FIRST     (1ull << 24) /* numbers; and least, without ESN */
#define LEASE_FIRST_ESN (1ull << 26)
#define LEASE_MOST      (1ull << 28)
#define LEASE_MOST_ESN \
	(1ull << 30) /* a larger jump would mislead a peer's guess of the high half */
#define LEASE_MARGIN    (1ull << 20)
#define LEASE_END       (1ull << 32) /* without ESN */
#define LEASE_END_ESN   (1ull << 62)
#define LEASE_HOUR_S    3600
#define LEASE_RESERVE_S 10

struct counters_map;
struct store;

/* An outbound SA in the dataplane. */
struct lease {
	uint32_t id;
	uint8_t digest[VAULT_DIGEST_LEN];
	bool esn;
	bool live;       /* in the dataplane that is connected */
	bool told;       /* that it needs a rekey */
	uint64_t boot;   /* of the dataplane that has or had it */
	uint64_t start;  /* the first number it may send */
	uint64_t limit;  /* granted up to, without; on the disk */
	uint64_t size;   /* of the last lease */
	uint64_t resume; /* not live: where to go on; 0: at the limit on the disk */
	uint64_t seen;   /* next number at the last look */
	double rate;     /* numbers a second */
};

struct leases {
	struct lease **by_id; /* NULL where there is none */
	uint32_t size;
	uint64_t boot; /* of the dataplane that is connected */
	struct store *store;
};

void leases_open(struct leases *leases, struct store *store);
void leases_close(struct leases *leases);

/*
 * Sets `sequence` and `sequence_limit` of a record that is to be sent. Within a transaction of the
 * store, which must have been committed before the record is sent. -EDQUOT: the key has no number
 * left, a rekey is needed.
 */
int lease_install(struct leases *leases, const struct sa *sa, struct abi_sa *record);
/* The dataplane has this SA already, as its dump says. Within a transaction of the store. */
int lease_adopt(struct leases *leases, const struct sa *sa, const struct abi_sa *record);
/* For a record of an SA that the dataplane has and keeps: the numbers that it has already. */
void lease_repeat(const struct leases *leases, struct abi_sa *record);
void lease_forget(struct leases *leases, uint32_t id);
const struct lease *lease_find(const struct leases *leases, uint32_t id);
/* Next number that will be sent. */
uint64_t lease_next(const struct lease *lease, const struct counters_map *map);

/* The connection was lost: nothing is live. */
void leases_lost(struct leases *leases);
/* The dataplane that was lost is dead: its counters in `map` are final. */
void leases_settle(struct leases *leases, const struct counters_map *map);
/* Forgets what did not come to live again. */
void leases_sweep(struct leases *leases);

#define LEASES_LONG 1e9 /* seconds: nobody sends */

struct leases_health {
	uint32_t live;   /* outbound SAs in the dataplane */
	uint32_t ending; /* of those, can't be extended any more: they want a rekey */
	double seconds;  /* that the shortest lease lasts at its present rate */
};
void leases_look(const struct leases *leases, const struct counters_map *map,
		 struct leases_health *health);

/*
 * Looks at each live SA, `seconds` after the last look, and extends leases that run short, on the
 * disk. *grants: what to send (allocated; 0 when there is nothing). `used_up` is called once for
 * an SA that can't be extended. Errors: of the store; then nothing is granted.
 */
int leases_poll(struct leases *leases, const struct counters_map *map, double seconds,
		struct abi_sa_lease **grants, size_t *n,
		void (*used_up)(void *context, const struct lease *lease), void *context);

#endif /* KAIDO_CONTROL_LEASE_H */
