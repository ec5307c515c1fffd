/* SPDX-License-Identifier: BSD-3-Clause */
/* What charon's plugin is told: counters, ends of lifetimes, peers that moved, packets without an SA. */
#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "address.h"
#include "counters_map.h"
#include "daemon.h"
#include "ike_config.h"
#include "ike_secrets.h"
#include "log.h"
#include "session_batch.h"
#include "store.h"

#define USAGE_S    2
#define USAGE_MOST 2048 /* SAs in one message */
#define SWEEP_S    2
#define ASK_S      60   /* between questions for SAs of workers ... */
#define ASK_MOST   64   /* ... of which so many have their own */
#define SPENT_MOST 2000 /* keys that are forgotten at a time: more than can be deleted meanwhile */

/* Is it of the charon that is connected? */
static bool is_of_plugin(const struct sessions *sessions, uint64_t instance)
{
	return sessions->plugin.connection != NULL && instance == sessions->instance;
}

void session_expire(struct sessions *sessions, const struct session_sa *sa, bool hard)
{
	if (is_of_plugin(sessions, sa->instance))
		rpc_listener_tell(
			&sessions->plugin, "ike.expire",
			json_pack("{s:I, s:b}", "sa", (json_int_t)sa->handle, "hard", hard), true);
}

void session_ike_close(struct sessions *sessions, struct session_ike *ike, const char *reason)
{
	ike->closing = reason;
	ike->closed = session_ike_bytes(sessions, ike);
	if (is_of_plugin(sessions, ike->instance))
		rpc_listener_tell(&sessions->plugin, "ike.close",
				  json_pack("{s:I}", "id", (json_int_t)ike->id), true);
}

void session_close_ikes(struct sessions *sessions, const struct session *session)
{
	const struct session_ike *last = NULL;
	const struct session_sa *sa;

	TAILQ_FOREACH (sa, &session->sas, link) {
		if (sa->ike != last)
			session_ike_close(sessions, sa->ike, "removed from the configuration");
		last = sa->ike;
	}
}

void sessions_tell_secrets(struct sessions *sessions)
{
	struct daemon *daemon = sessions->daemon;
	json_t *secrets;

	sessions->secrets_owed = false;
	if (sessions->plugin.connection == NULL)
		return;
	secrets = ike_secrets_render(daemon->desired, daemon->vault);
	if (secrets == NULL) {
		log_error("secrets can't be told to strongSwan: out of memory");
		return;
	}
	rpc_listener_tell(&sessions->plugin, "ike.secrets",
			  json_pack("{s:o, s:o}", "secrets", secrets, "locked",
				    sessions_locked_render(sessions)),
			  true);
	ike_config_plugin(daemon->ike_config, sessions->version);
}

/* -- counters -- */

static uint64_t grown(uint64_t now, uint64_t before)
{
	return now >= before ? now - before : now;
}

/* Takes in the counters of an SA; has it carried anything since? */
static bool use_take(const struct counters_map *map, struct session_sa *sa, uint64_t now)
{
	struct session_use *use = &sa->use;
	uint64_t counted[2] = { 0 }; /* packets and bytes, as in counters_sa */
	bool more;

	if (use->boot != map->header.boot) {
		use->boot = map->header.boot;
		use->raw[0] = use->raw[1] = 0;
	}
	counters_sum(map, &map->header.sa, sa->sa.id, counted, 2);
	more = counted[0] != use->raw[0];
	for (unsigned int i = 0; i < 2; i++) {
		use->total[i] += grown(counted[i], use->raw[i]);
		use->raw[i] = counted[i];
	}
	if (more || use->changed == 0)
		use->changed = now;
	return more;
}

/* What is told at a time: SAs and the list of them. */
struct usage {
	json_t *list;
	struct session_sa *sas[USAGE_MOST];
	bool full; /* the plugin has enough to read: the rest is told with the next ones */
};

static void usage_tell(struct sessions *sessions, struct usage *usage)
{
	size_t n = json_array_size(usage->list);

	if (n == 0)
		return;
	usage->full = !rpc_listener_tell(&sessions->plugin, "ike.usage",
					 json_pack("{s:o}", "sas", usage->list), false);
	for (size_t i = 0; i < n && !usage->full; i++)
		usage->sas[i]->use.told = usage->sas[i]->use.total[0];
	usage->list = json_array();
}

static void usage_add(struct sessions *sessions, struct usage *usage, struct session_sa *sa,
		      uint64_t now)
{
	if (usage->full || !is_of_plugin(sessions, sa->instance) ||
	    sa->use.told == sa->use.total[0])
		return;
	usage->sas[json_array_size(usage->list)] = sa;
	json_array_append_new(usage->list,
			      json_pack("[I, I, I, I]", (json_int_t)sa->handle,
					(json_int_t)sa->use.total[0], (json_int_t)sa->use.total[1],
					(json_int_t)(now - sa->use.changed)));
	if (json_array_size(usage->list) == USAGE_MOST)
		usage_tell(sessions, usage);
}

static void usage_due(evutil_socket_t fd, short what, void *context)
{
	struct sessions *sessions = context;
	const struct reconcile *reconcile = &sessions->daemon->reconcile;
	struct usage usage = { .list = json_array() };
	uint64_t now = session_clock();
	struct session *session;
	struct session_sa *sa;

	/* While SAs are being set a row may be another SA's. */
	if (reconcile->map != NULL && !reconcile->busy && reconcile->connected) {
		TAILQ_FOREACH (session, &sessions->list, link) {
			TAILQ_FOREACH (sa, &session->sas, link) {
				use_take(reconcile->map, sa, now);
				usage_add(sessions, &usage, sa, now);
			}
		}
		usage_tell(sessions, &usage);
	}
	json_decref(usage.list);
}

/* -- what the dataplane tells -- */

static const char *address_or_empty(const struct abi_address *address, char text[ADDRESS_TEXT_LEN])
{
	if (address->family == 0)
		text[0] = '\0';
	else
		address_format(address, text);
	return text;
}

static void mapping_tell(struct sessions *sessions, const struct abi_event *event)
{
	const struct session *session = sessions_by_tunnel(sessions, event->tunnel);
	const struct session_sa *sa = session == NULL ? NULL : session_sender(session);
	char text[ADDRESS_TEXT_LEN];

	/* charon has told that itself, or the dataplane followed before and back again. */
	if (sa == NULL || !is_of_plugin(sessions, sa->instance) ||
	    (address_equal(&sa->place.remote, &event->address) &&
	     sa->place.remote_port == event->port))
		return;
	rpc_listener_tell(&sessions->plugin, "ike.mapping",
			  json_pack("{s:I, s:s, s:i}", "sa", (json_int_t)sa->handle, "remote",
				    address_or_empty(&event->address, text), "remote_port",
				    event->port),
			  true);
}

static void acquire_tell(struct sessions *sessions, const struct abi_event *event)
{
	char source[ADDRESS_TEXT_LEN], destination[ADDRESS_TEXT_LEN];

	rpc_listener_tell(&sessions->plugin, "ike.acquire",
			  json_pack("{s:I, s:i, s:s, s:s, s:i, s:i}", "if_id",
				    (json_int_t)event->tunnel, "protocol", event->protocol,
				    "source", address_or_empty(&event->address, source),
				    "destination", address_or_empty(&event->to, destination),
				    "source_port", event->port, "destination_port", event->to_port),
			  false);
}

bool sessions_ended(struct sessions *sessions, uint32_t sa_id, bool hard)
{
	const struct session_sa *sa = sessions_sa_by_id(sessions, sa_id);

	if (sa == NULL)
		return false;
	session_expire(sessions, sa, hard);
	if (hard && sa_is_orphan(sessions, sa))
		session_submit_remove(sessions, sa);
	return true;
}

bool sessions_happened(struct sessions *sessions, const struct abi_event *event)
{
	switch (event->kind) {
	case ABI_EVENT_SA_SOFT:
	case ABI_EVENT_SA_SEQUENCE:
		return sessions_ended(sessions, event->sa, false);
	case ABI_EVENT_SA_HARD:
		sessions_ended(sessions, event->sa, true);
		return false;
	case ABI_EVENT_PEER_MOVED:
		mapping_tell(sessions, event);
		return false;
	case ABI_EVENT_ACQUIRE:
		acquire_tell(sessions, event);
		return true;
	default:
		return false;
	}
}

/* What ended while nobody was there to be told. */
void sessions_tell_ended(struct sessions *sessions)
{
	const struct reconcile *reconcile = &sessions->daemon->reconcile;
	struct session *session;
	struct session_sa *sa;

	TAILQ_FOREACH (session, &sessions->list, link) {
		TAILQ_FOREACH (sa, &session->sas, link) {
			const struct life *life = life_find(&reconcile->lives, sa->sa.id);

			sa->use.told = 0;
			if (life != NULL && life->record.state != ABI_SA_LIVE)
				session_expire(sessions, sa, life->record.state == ABI_SA_HARD);
		}
	}
}

/* -- what is done by time -- */

static void spent_forget(struct sessions *sessions)
{
	struct store *store = sessions->daemon->store;
	int ret = store_begin(store);

	if (ret == 0)
		ret = store_spent_prune(store, time(NULL) - SESSION_SPENT_S, SPENT_MOST);
	if (ret == 0)
		ret = store_commit(store);
	if (ret < 0)
		store_abort(store);
}

/* Is it the gateway that began the IKE SA? The other side asks for as many SAs as it has use for. */
static bool has_begun(const struct session_ike *ike)
{
	return json_is_true(json_object_get(ike->told, "initiator"));
}

/*
 * Beside SAs that are for all there are to be those of each worker's own (RFC 9611). What the peer
 * would not have is asked for again later, and meanwhile goes by those for all.
 */
static void workers_ask(struct sessions *sessions, struct session *session, uint64_t now)
{
	const struct session_owner *owner = sessions_owner(sessions, session->if_id);
	uint32_t workers = sessions->daemon->reconcile.hello.workers;
	uint64_t there = 0; /* bits */
	bool common = false;
	struct session_sa *sa;

	if (owner == NULL || owner->tunnel == NULL || !owner->tunnel->ike->per_cpu || workers < 2 ||
	    (session->asked != 0 && now - session->asked < ASK_S))
		return;
	TAILQ_FOREACH (sa, &session->sas, link) {
		if (sa->sa.direction != ABI_SA_OUT || !is_of_plugin(sessions, sa->instance))
			continue;
		common |= sa->cpu < 0 && has_begun(sa->ike);
		if (sa->cpu >= 0 && sa->cpu % workers < ASK_MOST)
			there |= 1ull << sa->cpu % workers;
	}
	for (uint32_t cpu = 0; common && cpu < workers && cpu < ASK_MOST; cpu++) {
		if ((there & 1ull << cpu) != 0)
			continue;
		session->asked = now;
		rpc_listener_tell(&sessions->plugin, "ike.acquire",
				  json_pack("{s:I, s:I}", "if_id", (json_int_t)session->if_id,
					    "cpu", (json_int_t)cpu),
				  true);
	}
}

static void sweep_due(evutil_socket_t fd, short what, void *context)
{
	struct sessions *sessions = context;
	uint64_t now = session_clock();
	struct session *session;
	struct session_sa *sa;

	TAILQ_FOREACH (session, &sessions->list, link) {
		TAILQ_FOREACH (sa, &session->sas, link) {
			if (sa->goes != 0 && sa->goes <= now)
				session_submit_remove(sessions, sa);
		}
		workers_ask(sessions, session, now);
	}
	session_failures_sweep(sessions);
	session_lockouts_sweep(sessions);
	if (sessions->secrets_owed)
		sessions_tell_secrets(sessions);
	/* Who comes back after an outage may still name keys of before it. */
	if (now - sessions->opened > SESSION_SPENT_S / 6)
		spent_forget(sessions);
}

int sessions_timers_open(struct sessions *sessions)
{
	struct event_base *base = sessions->daemon->base;
	struct timeval usage = { .tv_sec = USAGE_S }, sweep = { .tv_sec = SWEEP_S };

	sessions->opened = session_clock();
	sessions->usage = event_new(base, -1, EV_PERSIST, usage_due, sessions);
	sessions->sweep = event_new(base, -1, EV_PERSIST, sweep_due, sessions);
	if (sessions->usage == NULL || sessions->sweep == NULL ||
	    event_add(sessions->usage, &usage) < 0 || event_add(sessions->sweep, &sweep) < 0)
		return -1;
	return 0;
}

void sessions_timers_close(struct sessions *sessions)
{
	if (sessions->usage != NULL)
		event_free(sessions->usage);
	if (sessions->sweep != NULL)
		event_free(sessions->sweep);
	rpc_listener_release(&sessions->plugin);
}
