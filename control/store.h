/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one door to the desired state and to what must outlive kaidod with it: leases of sequence
 * numbers, what a rollback needs, and the audit log. store_sqlite.c stands behind it.
 *
 * Writing happens between store_begin() and store_commit(); when commit has returned 0 the change
 * is on the disk. Any error: nothing of the transaction is kept, call store_abort(). Errors are
 * negative errno: -ENOSPC, -EROFS, -EIO, -ENOMEM, -EBADMSG (damaged).
 */
#ifndef KAIDO_CONTROL_STORE_H
#define KAIDO_CONTROL_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "model.h"

struct store;
struct vault;

/* Opens or makes the state in a directory. Says what is wrong on standard error. -EBUSY: another
 * kaidod has it; -EKEYREJECTED: it was written under another master key. */
int store_open(const char *directory, const struct vault *vault, struct store **store);
void store_close(struct store *store); /* NULL is allowed */
const char *store_path(const struct store *store);
/* Did the last write succeed? */
bool store_writable(const struct store *store);
/* The last error in words, for the operator. */
const char *store_error(const struct store *store);

int store_load(struct store *store, struct vault *vault, struct model **model);

int store_begin(struct store *store);
int store_commit(struct store *store);
void store_abort(struct store *store);
/* A line for the system log, once the open transaction is on the disk; one a transaction. */
void store_log_when_committed(struct store *store, const char *line);

/* Makes the state that of `next`, where it differs from `now`, generation and all. */
int store_write_model(struct store *store, const struct model *now, const struct model *next);

/* Small numbers by name: the last ids given out, for one. `absent` where there is none. */
int store_get_number(struct store *store, const char *name, uint64_t absent, uint64_t *number);
int store_set_number(struct store *store, const char *name, uint64_t number);

/*
 * Up to which sequence number (without) numbers were ever granted under a key and salt, by their
 * digest; 0: none. These outlive the SA, so that a key that comes back resumes above.
 */
int store_lease_get(struct store *store, const uint8_t digest[VAULT_DIGEST_LEN], uint64_t *limit);
/* Never lowers it. */
int store_lease_raise(struct store *store, const uint8_t digest[VAULT_DIGEST_LEN], uint64_t limit);

struct store_use {
	uint64_t packets;
	uint64_t bytes;
	uint64_t seconds;
};

/* How far the life of a key has come. */
struct store_life {
	int64_t born;            /* seconds since the epoch */
	uint32_t state;          /* enum abi_sa_state, as far as known */
	uint64_t boot;           /* of the dataplane that had it last ... */
	struct store_use before; /* ... and what it had used up when that one was given it */
	struct store_use used;   /* in all, when it was written; `seconds` follow from `born` */
};
/* By the digest of key and salt, as above. 1: there, 0: not. */
int store_life_get(struct store *store, const uint8_t digest[VAULT_DIGEST_LEN],
		   struct store_life *life);
int store_life_set(struct store *store, const uint8_t digest[VAULT_DIGEST_LEN],
		   const struct store_life *life);

/*
 * The way back: how tenants and underlay entries were before a change that is not final yet.
 * `deadline`: when it is taken back unless confirmed, seconds since the epoch; 0: at once, the
 * dataplane's answer was still awaited.
 */
int store_save_before(struct store *store, const struct model *now, const struct model *next,
		      uint64_t deadline);
/* 1: there is a way back, and *before is `now` with it taken; 0: there is none. */
int store_load_before(struct store *store, struct vault *vault, const struct model *now,
		      struct model **before, uint64_t *deadline);
int store_forget_before(struct store *store);

/* Something that happened. */
struct store_event {
	int64_t id;
	int64_t time;       /* ns since the epoch */
	const char *tenant; /* "": of none */
	const char *tunnel;
	const char *document; /* all of it, JSON */
};
struct store_event_filter {
	const char *tenant; /* NULL: of all, and of none */
	const char *tunnel; /* NULL: any */
	int64_t since;      /* ns since the epoch */
	int64_t after; /* not 0: those with a higher id, oldest first; 0: the last, newest first */
	unsigned int limit;
};
int store_event_add(struct store *store, const struct store_event *event);
/* Sets `id` and `document` only. */
int store_event_list(struct store *store, const struct store_event_filter *filter,
		     void (*each)(void *context, const struct store_event *event), void *context);
/* Leaves the last `rows` of that tenant. */
int store_event_trim(struct store *store, const char *tenant, unsigned int rows);
/* Takes away some of those from before that time (ns), and all but the last `rows`. */
int store_event_prune(struct store *store, int64_t before, unsigned int rows);
/* Of a tenant, or of one tunnel of it. */
int store_event_erase(struct store *store, const char *tenant, const char *tunnel);
/* Whose events there are; nothing may be written meanwhile. */
int store_event_owners(struct store *store,
		       void (*each)(void *context, const char *tenant, const char *tunnel),
		       void *context);

/*
 * What IKE negotiated: an SA by the charon that set it (its instance) and its handle, an IKE SA by its
 * unique id. Documents are JSON; `serial` says in which order SAs were set.
 */
struct store_session {
	uint64_t instance;
	uint64_t handle;
	uint64_t serial;
	const char *document;
	uint8_t digest[VAULT_DIGEST_LEN]; /* of key and salt */
	const uint8_t *sealed;
	size_t sealed_size;
};
int store_session_set(struct store *store, const struct store_session *session);
/* Its key goes with it, and is remembered as spent at that time (seconds). */
int store_session_delete(struct store *store, uint64_t instance, uint64_t handle,
			 const uint8_t digest[VAULT_DIGEST_LEN], int64_t now);
/* In the order of `serial`; what `each` returns other than 0 ends it. */
int store_session_list(struct store *store,
		       int (*each)(void *context, const struct store_session *session),
		       void *context);
int store_ike_set(struct store *store, uint64_t instance, uint64_t id, const char *document);
int store_ike_delete(struct store *store, uint64_t instance, uint64_t id);
int store_ike_list(struct store *store,
		   int (*each)(void *context, uint64_t instance, uint64_t id, const char *document),
		   void *context);
/* Was this key deleted a short time ago? 1 or 0. */
int store_key_is_spent(struct store *store, const uint8_t digest[VAULT_DIGEST_LEN]);
/* Forgets keys that were deleted before that time, with their leases and lives: `most` of them. */
int store_spent_prune(struct store *store, int64_t before, unsigned int most);

/* Failed logins: a document under a name. */
int store_lockout_set(struct store *store, const char *name, const char *document);
int store_lockout_delete(struct store *store, const char *name);
int store_lockout_list(struct store *store,
		       void (*each)(void *context, const char *name, const char *document),
		       void *context);

struct audit_entry {
	int64_t id;
	int64_t time; /* ns since the epoch */
	uint32_t uid;
	const char *user;
	const char *role;
	const char *method;
	const char *summary;
	const char *result;
	uint8_t hash[VAULT_DIGEST_LEN]; /* over this entry and the hash before */
};
/* Chains and adds an entry; sets its id and hash. */
int store_audit_append(struct store *store, struct audit_entry *entry);
/* The last `limit` entries, newest first. */
int store_audit_list(struct store *store, unsigned int limit,
		     void (*each)(void *context, const struct audit_entry *entry), void *context);
/* 0: the chain holds; 1: it is broken at entry *broken. */
int store_audit_verify(struct store *store, int64_t *broken, uint64_t *entries);

#endif /* KAIDO_CONTROL_STORE_H */
