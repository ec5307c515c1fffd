/* SPDX-License-Identifier: BSD-3-Clause */
/* A session as a tunnel: what was negotiated, laid over what is configured. */
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "session.h"

#define ANY_PORT_FIRST 0
#define ANY_PORT_LAST  65535

/* -- ranges -- */

static bool ts_is_whole(const struct session_ts *ts)
{
	static const uint8_t zero[16];
	unsigned int n = ts->family == ABI_IPV4 ? 4 : 16;

	if (memcmp(ts->from, zero, n) != 0)
		return false;
	for (unsigned int i = 0; i < n; i++) {
		if (ts->to[i] != 0xff)
			return false;
	}
	return true;
}

static bool ts_is_any_port(const struct session_ts *ts)
{
	return ts->protocol == 0 && ts->from_port == ANY_PORT_FIRST && ts->to_port == ANY_PORT_LAST;
}

/* The last address of a prefix. */
static void prefix_last(const struct abi_address *prefix, uint8_t last[16])
{
	memcpy(last, prefix->addr, 16);
	for (unsigned int bit = prefix->prefix_len; bit < address_bits(prefix); bit++)
		last[bit / 8] |= (uint8_t)(0x80u >> (bit % 8));
}

/* Adds one to an address of n bytes; false: it was the last. */
static bool address_next(uint8_t *address, unsigned int n)
{
	while (n-- > 0) {
		if (++address[n] != 0)
			return true;
	}
	return false;
}

/* The largest prefix that begins at `from` and does not end behind `to`. */
static void prefix_fit(const struct session_ts *ts, const uint8_t from[16],
		       struct abi_address *prefix)
{
	unsigned int bits = ts->family == ABI_IPV4 ? 32 : 128;
	uint8_t last[16];

	memset(prefix, 0, sizeof(*prefix));
	prefix->family = ts->family;
	memcpy(prefix->addr, from, sizeof(prefix->addr));
	for (prefix->prefix_len = 0; prefix->prefix_len < bits; prefix->prefix_len++) {
		prefix_last(prefix, last);
		if (prefix_is_masked(prefix) && memcmp(last, ts->to, bits / 8) <= 0)
			return;
	}
}

/* Appends what a range consists of, but what is there already. -1: too many. */
static int range_split(const struct session_ts *ts, struct abi_address *list, size_t *n)
{
	unsigned int bytes = ts->family == ABI_IPV4 ? 4 : 16;
	struct abi_address prefix;
	uint8_t at[16];
	bool there;

	memcpy(at, ts->from, sizeof(at));
	do {
		prefix_fit(ts, at, &prefix);
		there = false;
		for (size_t i = 0; i < *n; i++)
			there |= prefix_compare(&list[i], &prefix) == 0;
		if (!there && *n == SESSION_NETWORKS_MOST)
			return -1;
		if (!there)
			list[(*n)++] = prefix;
		prefix_last(&prefix, at);
	} while (memcmp(at, ts->to, bytes) < 0 && address_next(at, bytes));
	return 0;
}

const char *session_networks_make(const struct session_sa *sa, struct abi_address **networks,
				  size_t *n)
{
	struct abi_address list[SESSION_NETWORKS_MOST];
	size_t count = 0;

	for (size_t i = 0; i < sa->n_remote; i++) {
		if (range_split(&sa->ts[sa->n_local + i], list, &count) < 0)
			return "the remote traffic selectors take more than 64 prefixes: negotiate "
			       "prefixes in the place of ranges";
	}
	*networks = calloc(count + 1, sizeof(**networks));
	if (*networks == NULL)
		return "out of memory: try again later";
	memcpy(*networks, list, count * sizeof(*list));
	*n = count;
	return NULL;
}

/* -- selectors -- */

/* What passes by a pair of them; false: nothing does, they exclude each other. */
static bool pair_make(const struct session_ts *local, const struct session_ts *remote,
		      struct abi_selector *selector)
{
	if (local->family != remote->family ||
	    (local->protocol != 0 && remote->protocol != 0 && local->protocol != remote->protocol))
		return false;
	memset(selector, 0, sizeof(*selector));
	selector->family = local->family;
	selector->protocol = local->protocol != 0 ? local->protocol : remote->protocol;
	selector->local_port_first = local->from_port;
	selector->local_port_last = local->to_port;
	selector->remote_port_first = remote->from_port;
	selector->remote_port_last = remote->to_port;
	memcpy(selector->local_first, local->from, sizeof(selector->local_first));
	memcpy(selector->local_last, local->to, sizeof(selector->local_last));
	memcpy(selector->remote_first, remote->from, sizeof(selector->remote_first));
	memcpy(selector->remote_last, remote->to, sizeof(selector->remote_last));
	return true;
}

/* Appends the pairs of an SA's selectors, but those that are there. -1: too many. */
static int pairs_add(const struct session_sa *sa, struct abi_selector *list, size_t *n)
{
	struct abi_selector pair;
	bool there;

	for (size_t i = 0; i < sa->n_local; i++) {
		for (size_t k = 0; k < sa->n_remote; k++) {
			if (!pair_make(&sa->ts[i], &sa->ts[sa->n_local + k], &pair))
				continue;
			there = false;
			for (size_t m = 0; m < *n; m++)
				there |= memcmp(&list[m], &pair, sizeof(pair)) == 0;
			if (there)
				continue;
			if (*n == ABI_SELECTORS_MAX)
				return -1;
			list[(*n)++] = pair;
		}
	}
	return 0;
}

const char *session_selectors_check(const struct session_sa *sa)
{
	struct abi_selector list[ABI_SELECTORS_MAX];
	size_t n = 0;

	if (pairs_add(sa, list, &n) < 0)
		return "the traffic selectors make more than 16 pairs of a local and a remote one: "
		       "negotiate fewer networks, or give them to tunnels of their own";
	if (n == 0)
		return "no local traffic selector goes with a remote one: they are of different "
		       "families or protocols";
	return NULL;
}

/* Is a network among the selectors, with all its addresses and nothing beside them? */
static bool network_is_ts(const struct abi_address *network, const struct session_ts *ts, size_t n)
{
	uint8_t last[16];

	prefix_last(network, last);
	for (size_t i = 0; i < n; i++) {
		if (ts[i].family == network->family &&
		    memcmp(ts[i].from, network->addr, sizeof(last)) == 0 &&
		    memcmp(ts[i].to, last, sizeof(last)) == 0)
			return true;
	}
	return false;
}

/*
 * Do routes alone keep to what was negotiated? They do where all of the gateway's side may use it, and the
 * peer's side is the tunnel's networks: what comes out of it must be routed back into it.
 */
static bool routes_are_enough(const struct tunnel *tunnel, const struct session_sa *sa)
{
	const struct session_ts *remote = sa->ts + sa->n_local;
	uint8_t whole = 0;

	for (size_t i = 0; i < sa->n_local; i++) {
		if (!ts_is_any_port(&sa->ts[i]))
			return false;
		if (ts_is_whole(&sa->ts[i]))
			whole |= (uint8_t)(1u << sa->ts[i].family);
	}
	for (size_t i = 0; i < sa->n_remote; i++) {
		if (!ts_is_any_port(&remote[i]))
			return false;
	}
	for (size_t i = 0; i < tunnel->n_networks; i++) {
		const struct abi_address *network = &tunnel->networks[i];

		if ((whole & (1u << network->family)) == 0 ||
		    !network_is_ts(network, remote, sa->n_remote))
			return false;
	}
	return true;
}

/* Those of all SAs, since each may be in use; of the newest alone where that is more than fits. */
static int selectors_lay(struct tunnel *tunnel, const struct session *session)
{
	struct abi_selector list[ABI_SELECTORS_MAX];
	const struct session_sa *sa;
	bool enough = true;
	size_t n = 0;

	TAILQ_FOREACH (sa, &session->sas, link)
		enough &= routes_are_enough(tunnel, sa);
	if (enough)
		return 0;
	TAILQ_FOREACH (sa, &session->sas, link) {
		if (pairs_add(sa, list, &n) == 0)
			continue;
		n = 0;
		pairs_add(TAILQ_LAST(&session->sas, session_sas), list, &n);
		break;
	}
	free(tunnel->selectors);
	tunnel->n_selectors = 0;
	tunnel->policy.flags |= ABI_TUNNEL_SELECTORS;
	tunnel->selectors = calloc(n + 1, sizeof(*tunnel->selectors));
	if (tunnel->selectors == NULL)
		return -1;
	memcpy(tunnel->selectors, list, n * sizeof(*list));
	tunnel->n_selectors = n;
	return 0;
}

/* -- the tunnel -- */

static int sas_lay(struct tunnel *tunnel, const struct session *session)
{
	const struct session_sa *sa;
	size_t n = 0;

	TAILQ_FOREACH (sa, &session->sas, link)
		n++;
	free(tunnel->sas);
	tunnel->n_sas = 0;
	tunnel->sas = calloc(n + 1, sizeof(*tunnel->sas));
	if (tunnel->sas == NULL)
		return -1;
	TAILQ_FOREACH (sa, &session->sas, link)
		tunnel->sas[tunnel->n_sas++] = sa->sa;
	return 0;
}

static void place_lay(struct tunnel *tunnel, const struct session *session)
{
	const struct session_place *place = &session_sender(session)->place;

	tunnel->local = place->local;
	tunnel->remote = place->remote;
	tunnel->udp = place->udp;
	tunnel->local_port = place->local_port;
	tunnel->remote_port = place->remote_port;
	if (place->udp) /* a NAT may give the peer another port at any time */
		tunnel->policy.flags |= ABI_TUNNEL_FOLLOW;
}

/* A client's own tunnel, without SAs yet. */
static struct tunnel *client_tunnel(const struct session *session,
				    const struct remote_access *access)
{
	struct tunnel like = {
		.id = session->tunnel_id,
		.mtu = access->mtu,
		.policy = access->policy,
		.lifetime = access->lifetime,
		.networks = session->networks,
		.n_networks = session->n_networks,
	};

	memcpy(like.name, session->name, sizeof(like.name));
	return tunnel_copy(&like);
}

static void made_set(struct session *session, struct tunnel *tunnel,
		     const struct session_owner *owner)
{
	tunnel_release(session->made);
	tunnel_release(session->made_of);
	remote_access_release(session->made_of_access);
	session->made = tunnel_hold(tunnel);
	session->made_of = owner->tunnel == NULL ? NULL : tunnel_hold(owner->tunnel);
	session->made_of_access = owner->access == NULL ? NULL : remote_access_hold(owner->access);
}

struct tunnel *session_tunnel(struct session *session, const struct session_owner *owner)
{
	struct tunnel *tunnel;

	if (session->made != NULL && session->made_of == owner->tunnel &&
	    session->made_of_access == owner->access)
		return tunnel_hold(session->made);
	tunnel = owner->tunnel != NULL ? tunnel_copy(owner->tunnel)
				       : client_tunnel(session, owner->access);
	if (tunnel == NULL)
		return NULL;
	place_lay(tunnel, session);
	if (sas_lay(tunnel, session) < 0 || selectors_lay(tunnel, session) < 0) {
		tunnel_release(tunnel);
		return NULL;
	}
	made_set(session, tunnel, owner);
	return tunnel;
}
