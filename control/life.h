/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lifetimes of SAs over restarts of either process.
 *
 * When an SA was first installed, what it has carried and whether it has ended are kept on the disk
 * by the digest of its key and salt, as leases are (lease.h), and outlive the SA: what has ended
 * stays dead, also under another id or in another tunnel. The dataplane is given what is left.
 *
 * The dataplane counts packets and bytes from when it was given the SA, seconds from when it was last
 * told a lifetime; what was used up before that is taken from each limit. Seconds are exact, as far as the host's clock is. Packets and
 * bytes are saved with every sample where there is a limit on them, and when a dataplane is lost:
 * only if both processes die are those since the last sample forgotten.
 */
#ifndef KAIDO_CONTROL_LIFE_H
#define KAIDO_CONTROL_LIFE_H

#include <stdbool.h>
#include <stdint.h>

#include "model.h"
#include "store.h"

struct counters_map;

/* An SA that the dataplane has or had. */
struct life {
	uint32_t id;
	uint8_t digest[VAULT_DIGEST_LEN];
	bool live;    /* in the dataplane that is connected */
	bool limited; /* by packets or bytes */
	bool unsaved; /* its use has grown since it was written */
	struct store_life record;
};

struct lives {
	struct life **by_id; /* NULL where there is none */
	uint32_t size;
	uint64_t boot; /* of the dataplane that is connected */
	struct store *store;
};

void lives_open(struct lives *lives, struct store *store);
void lives_close(struct lives *lives);

/*
 * Sets the lifetimes of a record that is to be sent to what is left. -ETIME: nothing is, it must
 * not be sent. `became`: the state that was found out by this, else ABI_SA_LIVE. Within a transaction
 * of the store, unless `writable` is false.
 */
int life_install(struct lives *lives, const struct sa *sa, const struct lifetime *lifetime,
		 bool writable, struct abi_sa *record, enum abi_sa_state *became);
/* The dataplane has this SA already, as its dump says. Within a transaction of the store. */
int life_adopt(struct lives *lives, const struct sa *sa, const struct lifetime *lifetime,
	       const struct abi_sa *record);
/*
 * For a record of an SA that is there and may have another lifetime. -ETIME: it has ended; -EALREADY:
 * the dataplane has been told this, as its dump says (`told`, or NULL). Within a transaction of the
 * store, unless `writable` is false.
 */
int life_repeat(struct lives *lives, const struct lifetime *lifetime, const struct abi_sa *told,
		bool writable, struct abi_sa *record);
void life_forget(struct lives *lives, uint32_t id);
const struct life *life_find(const struct lives *lives, uint32_t id);

/* The dataplane says that an SA's life has come so far. Within a transaction of the store. */
int life_mark(struct lives *lives, uint32_t id, enum abi_sa_state state);

/* The connection was lost: nothing is live. */
void lives_lost(struct lives *lives);
/* Forgets what did not come to live again. */
void lives_sweep(struct lives *lives);
/* Takes in the counters, and saves what has a limit on them: a transaction of its own. */
int lives_save(struct lives *lives, const struct counters_map *map);

/* As it stands now; 0: nothing is known of it. Else 1, or an error of the store. */
int life_look(const struct lives *lives, const struct counters_map *map, const struct sa *sa,
	      struct store_life *look);
/* Has this key ended? */
bool life_is_over(struct store *store, const struct sa *sa);

#endif /* KAIDO_CONTROL_LIFE_H */
