/* SPDX-License-Identifier: BSD-3-Clause */
/* Events: of kaidod itself, and of the dataplane with names in the place of ids. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "address.h"
#include "daemon.h"
#include "log.h"
#include "rpc_server.h"

/* To the system log, to the journal and to subscribers. Takes the event. */
void daemon_event_tell(struct daemon *daemon, json_t *event)
{
	if (event == NULL)
		return;
	log_info("%s: %s", json_string_value(json_object_get(event, "kind")),
		 json_string_value(json_object_get(event, "text")));
	journal_add(&daemon->journal, event);
	if (daemon->rpc == NULL)
		json_decref(event);
	else
		rpc_server_notify(daemon->rpc, event);
}

void daemon_event(struct daemon *daemon, const char *kind, const char *text, const char *tenant,
		  const char *tunnel)
{
	struct timespec now;
	json_t *event;

	clock_gettime(CLOCK_REALTIME, &now);
	event = json_pack("{s:s, s:f, s:s, s:I}", "kind", kind, "time",
			  (double)now.tv_sec + (double)now.tv_nsec / 1e9, "text", text,
			  "generation", (json_int_t)daemon->desired->generation);
	if (tenant != NULL)
		json_object_set_new(event, "tenant", json_string(tenant));
	if (tunnel != NULL)
		json_object_set_new(event, "tunnel", json_string(tunnel));
	daemon_event_tell(daemon, event);
}

/* -- of the dataplane -- */

/* What an event is about, as far as it still is there. */
struct subject {
	const struct tenant *tenant;
	const struct tunnel *tunnel;
	const struct sa *sa; /* NULL: of none, or it is gone */
	bool negotiated;     /* its SAs are of IKE */
	const char *owner;   /* the tunnel, of a client its remote access */
	char of[160];        /* tunnel 'b' of tenant 'a' */
	char sa_of[224];     /* outbound SA 0x2001 of tunnel ... */
};

static void subject_search(const struct model *model, const struct abi_event *event,
			   struct subject *subject)
{
	for (size_t i = 0; i < model->n_tenants; i++) {
		if (model->tenants[i]->id == event->tenant)
			subject->tenant = model->tenants[i];
	}
	for (size_t i = 0; subject->tenant != NULL && i < subject->tenant->n_tunnels; i++) {
		if (subject->tenant->tunnels[i]->id == event->tunnel)
			subject->tunnel = subject->tenant->tunnels[i];
	}
}

static bool subject_find(const struct daemon *daemon, const struct abi_event *event,
			 struct subject *subject)
{
	const struct session *session = sessions_by_tunnel(&daemon->sessions, event->tunnel);
	const char *way = "";

	memset(subject, 0, sizeof(*subject));
	if (session == NULL) {
		subject_search(daemon->effective, event, subject);
	} else if (session->tenant->id == event->tenant) { /* of which there may be thousands */
		subject->tenant = model_tenant(daemon->effective, session->tenant->name);
		subject->tunnel = session->made;
	}
	if (subject->tunnel == NULL)
		return false;
	subject->negotiated = session != NULL;
	subject->owner = session == NULL ? subject->tunnel->name : session->owner;
	for (size_t i = 0; i < subject->tunnel->n_sas; i++) {
		if (subject->tunnel->sas[i].id == event->sa)
			subject->sa = &subject->tunnel->sas[i];
	}
	if (subject->sa != NULL)
		way = subject->sa->direction == ABI_SA_IN ? "inbound " : "outbound ";
	snprintf(subject->of, sizeof(subject->of), "tunnel '%s' of tenant '%s'",
		 subject->tunnel->name, subject->tenant->name);
	snprintf(subject->sa_of, sizeof(subject->sa_of), "%sSA 0x%x of %s", way, ntohl(event->spi),
		 subject->of);
	return true;
}

static json_t *event_make(const struct abi_event *event, const struct subject *subject,
			  const char *kind)
{
	json_t *json =
		json_pack("{s:s, s:f, s:s, s:s}", "kind", kind, "time", (double)event->time / 1e9,
			  "tenant", subject->tenant->name, "tunnel", subject->owner);

	if (strcmp(subject->owner, subject->tunnel->name) != 0)
		json_object_set_new(json, "client", json_string(subject->tunnel->name));
	if (event->sa == 0)
		return json;
	json_object_set_new(json, "spi", json_integer(ntohl(event->spi)));
	if (subject->sa != NULL)
		json_object_set_new(
			json, "direction",
			json_string(subject->sa->direction == ABI_SA_IN ? "in" : "out"));
	return json;
}

__attribute__((format(printf, 2, 3))) static void text_set(json_t *event, const char *format, ...)
{
	va_list arguments;
	char text[512];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	json_object_set_new(event, "text", json_string(text));
}

/* "192.0.2.1", or "192.0.2.1 port 4500". */
static const char *place_format(const struct abi_address *address, uint16_t port, char text[96])
{
	char plain[ADDRESS_TEXT_LEN];

	if (address->family == 0)
		snprintf(text, 96, "an unknown address");
	else if (port == 0)
		snprintf(text, 96, "%s", address_format(address, plain));
	else
		snprintf(text, 96, "%s port %u", address_format(address, plain), port);
	return text;
}

static void place_set(json_t *event, const char *name, const struct abi_address *address,
		      uint16_t port)
{
	char text[ADDRESS_TEXT_LEN], member[32];

	if (address->family == 0)
		return;
	json_object_set_new(event, name, json_string(address_format(address, text)));
	snprintf(member, sizeof(member), "%s_port", name);
	if (port != 0)
		json_object_set_new(event, member, json_integer(port));
}

static json_t *limit_event(const struct abi_event *event, const struct subject *subject, bool hard)
{
	static const char *const limits[] = { "?", "bytes", "packets", "seconds" };
	const char *limit = limits[event->value <= ABI_LIMIT_SECONDS ? event->value : 0];
	const char *advice = subject->negotiated ? "IKE did not bring another one in time"
						 : "give the tunnel a new SA with a new key";
	json_t *json = event_make(event, subject, hard ? "sa-hard" : "sa-soft");

	json_object_set_new(json, "limit", json_string(limit));
	text_set(json, "%s is beyond its %s lifetime (%s)%s: %s", subject->sa_of,
		 hard ? "hard" : "soft", limit, hard ? " and carries nothing any more" : "",
		 advice);
	return json;
}

static json_t *sequence_event(const struct abi_event *event, const struct subject *subject)
{
	json_t *json = event_make(event, subject, "sa-sequence");

	json_object_set_new(json, "sequence", json_integer((json_int_t)event->value));
	text_set(json,
		 "%s has sent its last sequence number: give the tunnel a new SA with a new "
		 "key",
		 subject->sa_of);
	return json;
}

static json_t *icv_event(const struct abi_event *event, const struct subject *subject)
{
	json_t *json = event_make(event, subject, "icv-failed");
	char text[96];

	json_object_set_new(json, "count", json_integer(event->count));
	json_object_set_new(json, "sequence", json_integer((json_int_t)event->value));
	place_set(json, "source", &event->address, event->port);
	text_set(json, "%u %s to %s %s not authentic, the last from %s with sequence number %llu",
		 event->count, event->count == 1 ? "packet" : "packets", subject->sa_of,
		 event->count == 1 ? "was" : "were",
		 place_format(&event->address, event->port, text),
		 (unsigned long long)event->value);
	return json;
}

static json_t *path_mtu_event(const struct abi_event *event, const struct subject *subject)
{
	json_t *json = event_make(event, subject, "path-mtu");

	json_object_set_new(json, "path_mtu", json_integer((json_int_t)event->value));
	if (event->value != 0)
		text_set(json, "the path of %s takes %llu bytes", subject->of,
			 (unsigned long long)event->value);
	else
		text_set(json, "what was learnt of the path MTU of %s is old and forgotten",
			 subject->of);
	return json;
}

static json_t *esn_event(const struct abi_event *event, const struct subject *subject)
{
	json_t *json = event_make(event, subject, "esn-recovered");

	json_object_set_new(json, "sequence", json_integer((json_int_t)event->value));
	text_set(json, "%s found the peer's sequence numbers again at %llu, behind a gap",
		 subject->sa_of, (unsigned long long)event->value);
	return json;
}

/* -- peers that move -- */

static struct daemon_place *place_of(struct daemon *daemon, uint32_t tunnel)
{
	uint32_t size = tunnel + tunnel / 2 + 64;
	struct daemon_place *bigger;

	if (tunnel < daemon->n_places)
		return &daemon->places[tunnel];
	bigger = reallocarray(daemon->places, size, sizeof(*bigger));
	if (bigger == NULL)
		return NULL;
	memset(bigger + daemon->n_places, 0, (size - daemon->n_places) * sizeof(*bigger));
	daemon->places = bigger;
	daemon->n_places = size;
	return &bigger[tunnel];
}

static json_t *moved_event(struct daemon *daemon, const struct abi_event *event,
			   const struct subject *subject)
{
	struct daemon_place *place = place_of(daemon, subject->tunnel->id);
	json_t *json = event_make(event, subject, "peer-moved");
	struct daemon_place before = { 0 };
	char from[96], to[96];

	place_set(json, "to", &event->address, event->port);
	place_format(&event->address, event->port, to);
	if (daemon->boot_is_whole) {
		before.address = subject->tunnel->remote;
		before.port = subject->tunnel->remote_port;
	}
	/* It was where it moved to last, unless it was put elsewhere by a change since. */
	if (place != NULL && place->boot == daemon->reconcile.hello.boot &&
	    address_equal(&place->configured, &subject->tunnel->remote))
		before = *place;
	if (before.address.family != 0) {
		place_set(json, "from", &before.address, before.port);
		text_set(json, "the peer of %s moved from %s to %s", subject->of,
			 place_format(&before.address, before.port, from), to);
	} else {
		text_set(json, "the peer of %s, configured at %s, moved to %s", subject->of,
			 place_format(&subject->tunnel->remote, subject->tunnel->remote_port, from),
			 to);
	}
	if (place != NULL)
		*place = (struct daemon_place){ .boot = daemon->reconcile.hello.boot,
						.configured = subject->tunnel->remote,
						.address = event->address,
						.port = event->port };
	return json;
}

void daemon_happened(struct daemon *daemon, const struct abi_event *event)
{
	struct subject subject;
	json_t *json;

	/* What is gone has no name any more, and its events went with it. */
	if (sessions_happened(&daemon->sessions, event) || !subject_find(daemon, event, &subject))
		return;
	switch (event->kind) {
	case ABI_EVENT_SA_SOFT:
	case ABI_EVENT_SA_HARD:
		json = limit_event(event, &subject, event->kind == ABI_EVENT_SA_HARD);
		break;
	case ABI_EVENT_SA_SEQUENCE:
		json = sequence_event(event, &subject);
		break;
	case ABI_EVENT_ICV_FAILED:
		json = icv_event(event, &subject);
		break;
	case ABI_EVENT_PEER_MOVED:
		json = moved_event(daemon, event, &subject);
		break;
	case ABI_EVENT_PATH_MTU:
		json = path_mtu_event(event, &subject);
		break;
	case ABI_EVENT_ESN_RECOVERED:
		json = esn_event(event, &subject);
		break;
	case ABI_EVENT_ACQUIRE: /* once a second while somebody sends: not for the journal */
	default:
		return;
	}
	daemon_event_tell(daemon, json);
}
