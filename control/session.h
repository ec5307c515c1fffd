/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What IKE negotiated: SAs, each named by a handle of the charon that set it (its instance), grouped into
 * sessions. A session is laid over the configured tunnel whose id is its if_id, or is one client of
 * remote access and makes a tunnel of its own. The desired state knows nothing of them; what the
 * dataplane shall have is both together, the effective model (session_model.c).
 *
 * All is in the store as well (store_session.c), and read again at start. What the set holds is changed
 * by batches only (session_batch.c), and when the desired state changes.
 */
#ifndef KAIDO_CONTROL_SESSION_H
#define KAIDO_CONTROL_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <jansson.h>

#include "ids.h"
#include "model.h"
#include "rpc_server.h"
#include "totals.h"

struct claims;
struct daemon;
struct event;
struct session_flood;
struct session_lockout;

#define SESSION_TS_MOST       32   /* traffic selectors a side of an SA */
#define SESSION_NETWORKS_MOST 64   /* prefixes that a client's selectors may take */
#define SESSION_SAS_MOST      256  /* of a tunnel or client, within one IKE SA */
#define SESSION_ORPHAN_S      3600 /* SAs of a charon that ended stay so long ... */
#define SESSION_REPLACED_S    5    /* ... and so long beside those that replace them */
#define SESSION_SPENT_S       3600 /* a key that was deleted is refused so long */

/* Where an SA's packets go and come from. */
struct session_place {
	struct abi_address local;
	struct abi_address remote;
	bool udp;
	uint16_t local_port; /* 0 without udp */
	uint16_t remote_port;
};

/* A traffic selector, one side of it (RFC 7296 section 3.13.1). Ports as in abi_selector. */
struct session_ts {
	uint8_t family;
	uint8_t protocol; /* 0: any */
	uint16_t from_port;
	uint16_t to_port;
	uint8_t from[16]; /* network byte order, as in abi_address */
	uint8_t to[16];
};

/* What an SA has carried, as far as this kaidod knows. */
struct session_use {
	uint64_t boot;   /* of the counters that raw was taken from */
	uint64_t raw[2]; /* packets, bytes */
	uint64_t total[2];
	uint64_t told;    /* packets, to the plugin */
	uint64_t changed; /* seconds of the monotonic clock */
};

struct session_sa {
	TAILQ_ENTRY(session_sa) link; /* of its session: in the order in which they were set */
	LIST_ENTRY(session_sa) ike_link;
	struct session *session;
	uint64_t instance;
	uint64_t handle;
	uint64_t serial; /* the order, in the store */
	struct session_ike *ike;
	uint32_t if_id;
	uint32_t reqid;
	int32_t cpu;   /* RFC 9611; -1: of any */
	uint64_t goes; /* monotonic seconds when it is removed; 0: not by time */
	struct sa sa;
	struct session_place place;
	struct session_ts *ts; /* the gateway's side first */
	uint16_t n_local;
	uint16_t n_remote;
	struct session_use use;
};

struct session {
	TAILQ_ENTRY(session) link;
	uint64_t instance; /* 0: of a configured tunnel, whoever negotiates for it */
	uint32_t if_id;
	uint32_t reqid;     /* 0: as above */
	uint32_t tunnel_id; /* if_id, or an id of its own */
	struct session_tenant *tenant;
	char owner[ABI_NAME_LEN]; /* the configured tunnel or remote access */
	char name[ABI_NAME_LEN];  /* of its tunnel */
	TAILQ_HEAD(session_sas, session_sa) sas;
	uint64_t asked; /* monotonic seconds: for SAs of each worker's own; 0: never */
	struct abi_address *networks; /* that a client holds in its tenant */
	size_t n_networks;
	struct tunnel *made;    /* in the effective model; NULL: to be made anew */
	struct tunnel *made_of; /* the configured tunnel, or the remote access */
	struct remote_access *made_of_access;
	uint32_t place;                /* of `made` in its tenant's tunnel_share */
	struct session_change *change; /* NULL: none since its tenant was made */
};

/* A session that has changed, by what is left of it when it is gone. */
struct session_change {
	STAILQ_ENTRY(session_change) link;
	struct session *session; /* NULL: it is gone */
	uint32_t place;
	char name[ABI_NAME_LEN];
};

/* Those of one tenant. */
struct session_tenant {
	uint32_t id;
	char name[ABI_NAME_LEN];
	void *clients;  /* tree of session, by name of tunnel */
	void *prefixes; /* tree of session_prefix */
	size_t n_sessions;
	size_t n_clients;
	struct tenant *made; /* in the effective model, but for `changes`; NULL: to be made anew */
	struct tenant *made_of;
	STAILQ_HEAD(session_changes, session_change) changes; /* in their order */
	size_t n_changes;
	uint32_t *free; /* places; has room for n_places */
	uint32_t n_free;
	uint32_t free_room;
	uint32_t n_places; /* ever taken */
};

/* An IKE SA: there while its SAs are, or the plugin has told of it and not of its end. */
struct session_ike {
	TAILQ_ENTRY(session_ike) link;
	LIST_HEAD(, session_sa) sas;
	uint64_t instance;
	uint64_t id;
	char tenant[ABI_NAME_LEN];   /* "": not known, as is the next */
	char owner[ABI_NAME_LEN];    /* the configured tunnel or remote access */
	json_t *told;                /* as ike.event has it; NULL: not told of, or over */
	int64_t since;               /* seconds since the epoch */
	struct totals_bytes carried; /* of its clients' tunnels that are gone */
	struct totals_bytes before;  /* of its configured tunnel when it came */
	bool over;                   /* its end was told */
	const char *closing;         /* why kaidod has asked charon to end it; NULL: it has not */
	struct totals_bytes closed;  /* what it had carried then: its tunnel may be gone since */
};

/* Whose an if_id is, in the desired state. */
struct session_owner {
	struct tenant *tenant; /* NULL: nobody's */
	struct tunnel *tunnel; /* one of the two */
	struct remote_access *access;
};

struct session_op;

/* Session operations that wait, and those under way. */
struct session_batch {
	STAILQ_HEAD(session_ops, session_op) queue;
	struct session_ops current;
	bool busy;                 /* current waits for the dataplane */
	bool waits;                /* for all to be looked at */
	bool away;                 /* the dataplane went meanwhile */
	json_t *events;            /* to be told when it is on the disk; NULL: none */
	struct session_gone *gone; /* ids to be given back, once nothing uses them */
	size_t n_gone;
};

struct sessions {
	struct daemon *daemon;
	uint64_t instance; /* of the charon that opened last; 0: none */
	uint64_t serial;   /* of the last SA */
	void *by_handle;   /* trees of tsearch(), of session_sa */
	void *by_digest;
	void *by_spi; /* inbound */
	void *by_key; /* of session */
	void *ikes_by_id;
	TAILQ_HEAD(session_list, session) list;
	TAILQ_HEAD(session_ikes, session_ike) ikes;
	struct session **by_tunnel; /* by id of tunnel */
	uint32_t n_by_tunnel;
	struct session_sa **by_sa; /* by id of SA */
	uint32_t n_by_sa;
	struct session_tenant **by_tenant; /* by id of tenant */
	uint32_t n_by_tenant;
	struct session_owner *owners; /* by if_id */
	uint32_t n_owners;
	struct claims *spis; /* inbound SPIs of the desired state */
	size_t n_sas;
	size_t n_sessions;
	struct session_batch batch;
	struct rpc_listener plugin;
	struct event *usage; /* every 2 s */
	struct event *sweep; /* what is done by time */
	uint64_t opened;     /* monotonic seconds */
	TAILQ_HEAD(, session_lockout) lockouts;
	bool lockouts_old; /* the desired state has changed: who is locked out may be gone */
	TAILQ_HEAD(, session_flood) floods;
	unsigned int n_floods;
	bool secrets_owed; /* the plugin has not been told of the last change of them */
	char version[64];  /* that the plugin told */
};

/* -- session.c: the set -- */

void sessions_init(struct sessions *sessions, struct daemon *daemon);
void sessions_clear(struct sessions *sessions);
void sessions_close(struct sessions *sessions);

struct session_sa *sessions_sa(const struct sessions *sessions, uint64_t instance, uint64_t handle);
struct session_sa *sessions_sa_by_id(const struct sessions *sessions, uint32_t id);
struct session_sa *sessions_sa_by_digest(const struct sessions *sessions,
					 const uint8_t digest[VAULT_DIGEST_LEN]);
struct session_sa *sessions_sa_by_spi(const struct sessions *sessions, uint32_t spi);
struct session *sessions_find(const struct sessions *sessions, uint64_t instance, uint32_t if_id,
			      uint32_t reqid);
struct session *sessions_by_tunnel(const struct sessions *sessions, uint32_t tunnel_id);
/* Who holds that prefix in a tenant; NULL: no session. */
struct session *sessions_by_prefix(const struct session_tenant *tenant,
				   const struct abi_address *prefix);
/*
 * A session without SAs; `reqid` 0: of the configured tunnel. NULL: no memory. One without SAs is taken away
 * by session_destroy().
 */
struct session *session_create(struct sessions *sessions, const struct session_owner *owner,
			       uint64_t instance, uint32_t if_id, uint32_t reqid,
			       uint32_t tunnel_id);
void session_destroy(struct sessions *sessions, struct session *session);
/* Takes the SA; -ENOMEM: it is still the caller's. */
int session_sa_add(struct sessions *sessions, struct session *session, struct session_sa *sa,
		   uint64_t ike);
/* Frees it. The session stays, without SAs maybe. */
void session_sa_remove(struct sessions *sessions, struct session_sa *sa);
void session_sa_free(struct session_sa *sa);
/* The prefixes that it holds from now on, taken; who held one loses it. */
int session_networks_set(struct session *session, struct abi_address *networks, size_t n);
/* What a client's tunnel is called. */
void session_name(char name[ABI_NAME_LEN], const char *owner, uint32_t tunnel_id);
uint64_t session_clock(void); /* monotonic seconds, never 0 */

static inline bool session_is_client(const struct session *session)
{
	return session->reqid != 0;
}
static inline bool sa_is_orphan(const struct sessions *sessions, const struct session_sa *sa)
{
	return sa->instance != sessions->instance;
}
/* All its SAs are of a charon that ended. */
bool session_is_orphan(const struct sessions *sessions, const struct session *session);
/* The one whose place counts and, if it is outbound, that sends. NULL: none. */
struct session_sa *session_sender(const struct session *session);

struct session_ike *sessions_ike(const struct sessions *sessions, uint64_t instance, uint64_t id);
/* Makes it where it is not there. NULL: no memory. */
struct session_ike *sessions_ike_get(struct sessions *sessions, uint64_t instance, uint64_t id);
/* The SA is that IKE SA's from now on. */
void session_ike_take(struct session_ike *ike, struct session_sa *sa);
/* Frees it where nothing is left of it. */
void session_ike_drop(struct sessions *sessions, struct session_ike *ike);

/* -- session_change.c: what has changed -- */

/* Its tunnel has to be made anew. */
void session_touch(struct session *session);
/* The tenant was made with all changes. */
void session_changes_forget(struct session_tenant *tenant);

/* -- session_ike.c: IKE SAs -- */

const char *session_ike_text(const struct session_ike *ike, const char *member); /* NULL: none */
/* Who the peer is: the user's name, else the remote identity. NULL: not known. */
const char *session_ike_who(const struct session_ike *ike);
/* What was carried for it. */
struct totals_bytes session_ike_bytes(struct sessions *sessions, const struct session_ike *ike);
int session_ikes_load(struct sessions *sessions);
/* Closes IKE SAs of users who are not configured any more. */
void sessions_dismiss(struct sessions *sessions);

/* An event with its time and, where known, whose it is. */
json_t *session_event_make(struct sessions *sessions, const char *kind, const char *tenant,
			   const char *owner);

/* -- session_failure.c: what failed -- */

void session_failures_clear(struct sessions *sessions);
void session_failures_sweep(struct sessions *sessions);

/* -- session_lockout.c: who failed to log in -- */

int session_lockouts_load(struct sessions *sessions);
void session_lockouts_clear(struct sessions *sessions);
void session_lockouts_sweep(struct sessions *sessions);
/* One more failure of `who`, or of the site, if it is a configured user of that owner. */
int session_lockout_count(struct sessions *sessions, const struct ike_owner *owner,
			  const char *who);
/* He has proven who he is. */
int session_lockout_forgive(struct sessions *sessions, const struct session_ike *ike);
/* [{local, remote}] */
json_t *sessions_locked_render(const struct sessions *sessions);

/* -- session_notify.c: what the plugin is told -- */

void session_expire(struct sessions *sessions, const struct session_sa *sa, bool hard);
/* Has charon end it; `reason` is constant text for operators. */
void session_ike_close(struct sessions *sessions, struct session_ike *ike, const char *reason);
/* The IKE SAs of a session that has no place any more. */
void session_close_ikes(struct sessions *sessions, const struct session *session);
/* All secrets, and who is locked out. */
void sessions_tell_secrets(struct sessions *sessions);
/* What the dataplane tells. Returns whether it concerns a session and operators need not hear of it. */
bool sessions_happened(struct sessions *sessions, const struct abi_event *event);
/* An SA has come to an end; false: it is none of a session. */
bool sessions_ended(struct sessions *sessions, uint32_t sa_id, bool hard);
/* As soon as the plugin has opened and told what it has. */
void sessions_tell_ended(struct sessions *sessions);
int sessions_timers_open(struct sessions *sessions);
void sessions_timers_close(struct sessions *sessions);

/* -- session_parse.c: as JSON -- */

/*
 * Params of ike.sa.set, or a row of the store (`stored`), into *sa, all but its key. Returns NULL, or what is
 * wrong with them. The traffic selectors are allocated also then.
 */
const char *session_sa_parse(const json_t *json, bool stored, struct session_sa *sa);
/* Of its IKE SA; 0: none is told. */
uint64_t session_ike_id_parse(const json_t *json);
json_t *session_sa_render(const struct session_sa *sa);
const char *session_place_parse(const json_t *json, struct session_place *place);

/* -- session_tunnel.c: as tunnels -- */

/* The prefixes of a client's traffic selectors; NULL or what is wrong. *networks is allocated. */
const char *session_networks_make(const struct session_sa *sa, struct abi_address **networks,
				  size_t *n);
/* Can its traffic selectors be enforced in a tunnel? NULL or what is wrong. */
const char *session_selectors_check(const struct session_sa *sa);
/* The session's tunnel in the effective model; a reference is the caller's. NULL: no memory. */
struct tunnel *session_tunnel(struct session *session, const struct session_owner *owner);

/* -- session_model.c: the effective model -- */

/* Whose each if_id and inbound SPI is from now on; borrows of `desired` until the next call. */
int sessions_owners_set(struct sessions *sessions, const struct model *desired);
const struct session_owner *sessions_owner(const struct sessions *sessions, uint32_t if_id);
/* Desired state and sessions together, sharing all that can be shared. NULL: no memory. */
struct model *sessions_effective(struct sessions *sessions, const struct model *desired);

#endif /* KAIDO_CONTROL_SESSION_H */
