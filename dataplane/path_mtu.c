/* SPDX-License-Identifier: BSD-3-Clause */
#include "path_mtu.h"

#include <errno.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <rte_common.h>

#include "abi/message.h"
#include "event.h"
#include "gateway.h"
#include "ip_header.h"
#include "log.h"
#include "rate.h"
#include "underlay.h"

#define PROTO_ICMP   1
#define PROTO_ICMPV6 58

#define FRAGMENT_MASK 0x3fff /* more fragments, or an offset */

#define AGE_MS       600000     /* RFC 1191 section 6.3, RFC 8201 section 4 */
#define RECENT       (1u << 20) /* numbers back that a quote may be: 100 ms of 10 million a second */
#define EACH_MS      1000       /* per tunnel, one in so long on average */
#define BURST        8          /* and so many at once: a path may narrow step by step */
#define SEARCH_MS    100        /* the same for looking through all tunnels */
#define SEARCH_BURST 16
#define REPORT_MS    60000 /* of what was not believed */

/*
 * IPv4: below what every host must take whole (RFC 1122 section 3.3.3) there is no link worth a
 * tunnel, but there is an attack (RFC 5927 section 7). IPv6: RFC 8201 section 4.
 */
static const uint16_t least[2] = { [IP_V4] = 576, [IP_V6] = 1280 };

struct path_mtu {
	uint64_t now;    /* ms */
	uint64_t due;    /* when something learnt may be too old */
	uint64_t search; /* as of when searches are within their rate again */
	uint64_t report; /* not before */
	uint64_t refused[PATH_MTU_VERDICT_COUNT]; /* since the last report */
	uint32_t mask;
	uint32_t bucket[]; /* heads of the lists over object_sa.same_spi, by a hash of the SPI */
};

const char *path_mtu_text(enum path_mtu_verdict verdict)
{
	static const char *const text[PATH_MTU_VERDICT_COUNT] = {
#define PATH_MTU_TEXT(name, what) [PATH_MTU_##name] = what,
		PATH_MTU_VERDICTS(PATH_MTU_TEXT)
#undef PATH_MTU_TEXT
	};

	return text[verdict];
}

/* ---- the outbound SAs by SPI: peers choose them, so several may have the same ---- */

int path_mtu_create(struct gateway *gw)
{
	uint32_t buckets = rte_align32pow2(gw->size.max_sas);
	struct path_mtu *pm = calloc(1, sizeof(*pm) + buckets * sizeof(pm->bucket[0]));

	if (pm == NULL)
		return -ENOMEM;
	pm->mask = buckets - 1;
	pm->due = UINT64_MAX;
	gw->path_mtu = pm;
	return 0;
}

void path_mtu_destroy(struct gateway *gw)
{
	free(gw->path_mtu);
	gw->path_mtu = NULL;
}

static uint32_t *spi_bucket(struct path_mtu *pm, uint32_t spi)
{
	return &pm->bucket[(spi * 0x9e3779b1u >> 7) & pm->mask];
}

void path_mtu_sa_added(struct gateway *gw, uint32_t sa)
{
	uint32_t *bucket = spi_bucket(gw->path_mtu, gw->sa[sa].spi);

	gw->sa[sa].same_spi = *bucket;
	*bucket = sa;
}

void path_mtu_sa_removed(struct gateway *gw, uint32_t sa)
{
	uint32_t *link = spi_bucket(gw->path_mtu, gw->sa[sa].spi);

	while (*link != sa)
		link = &gw->sa[*link].same_spi;
	*link = gw->sa[sa].same_spi;
}

/* ---- what a quote is about ---- */

static bool is_at(const struct abi_address *a, enum ip_family family, struct ip_addr addr)
{
	return a->family == (family == IP_V4 ? ABI_IPV4 : ABI_IPV6) &&
	       ip_equal(ip_load(family, a->addr), addr);
}

static bool is_of_tunnel(const struct object_tunnel *o, const struct path_mtu_quote *q)
{
	const struct abi_tunnel *t = &o->record;

	return t->id != 0 && q->udp == ((t->flags & ABI_TUNNEL_UDP) != 0) &&
	       is_at(&o->peer.remote, q->family, q->destination) &&
	       is_at(&t->local, q->family, q->source) &&
	       (!q->udp ||
		(t->local_port == q->source_port && o->peer.port == q->destination_port));
}

/* 0: none. */
static uint32_t sa_by_spi(struct gateway *gw, const struct path_mtu_quote *q)
{
	uint32_t id = *spi_bucket(gw->path_mtu, q->spi);

	while (id != 0 &&
	       (gw->sa[id].spi != q->spi || !is_of_tunnel(&gw->tunnel[gw->sa[id].tunnel], q)))
		id = gw->sa[id].same_spi;
	return id;
}

/*
 * UDP of which the quote ends before the SPI: the ends alone, if they are one tunnel's only. This is
 * the weakest evidence and the longest look, so it has a rate of its own.
 */
static enum path_mtu_verdict sa_by_ends(struct gateway *gw, const struct path_mtu_quote *q,
					uint32_t *sa)
{
	uint32_t found = 0;

	if (!rate_allows(&gw->path_mtu->search, gw->path_mtu->now, SEARCH_MS, SEARCH_BURST))
		return PATH_MTU_TOO_MANY;
	for (uint32_t id = 1; id < gw->size.max_tunnels; id++) {
		if (!is_of_tunnel(&gw->tunnel[id], q))
			continue;
		if (found != 0)
			return PATH_MTU_AMBIGUOUS;
		found = id;
	}
	*sa = gw->tunnel[found].newest_out;
	return *sa != 0 ? PATH_MTU_LEARNT : PATH_MTU_NO_TUNNEL;
}

/* Was it sent, and not long ago? The quote has the low half of the number. */
static bool sent_lately(const struct gateway *gw, uint32_t id, uint32_t sequence)
{
	const struct sa_out *sa = &gw->tables->sa[id].out;
	uint64_t next = __atomic_load_n(&sa->sequence, __ATOMIC_RELAXED);
	uint32_t back;

	/* Numbers behind the lease are taken now and then, and never sent. */
	next = RTE_MIN(next, sa->sequence_limit);
	back = (uint32_t)next - sequence;
	return back >= 1 && back <= RECENT && back <= next - gw->sa[id].sequence;
}

/* ---- what follows ---- */

/*
 * A router that doesn't tell: the next of the usual MTUs below the size of what did not fit (RFC 1191
 * section 7.1).
 */
static uint32_t plateau_below(uint32_t length)
{
	static const uint16_t plateau[] = { 32000, 17914, 8166, 4352, 2002, 1492, 1006, 576 };

	for (size_t i = 0; i < RTE_DIM(plateau); i++)
		if (plateau[i] < length)
			return plateau[i];
	return 0;
}

static void tunnel_resolve(struct gateway *gw, uint32_t tunnel)
{
	for (uint32_t sa = gw->tunnel[tunnel].newest_out; sa != 0; sa = gw->sa[sa].next)
		underlay_resolve_sa(gw, sa);
}

/* 0: what was learnt is forgotten. */
static void path_event(struct gateway *gw, uint32_t tunnel, uint32_t mtu)
{
	struct abi_event event = event_of_tunnel(gw, tunnel, ABI_EVENT_PATH_MTU);

	event.value = mtu;
	event_raise(gw->events, &event);
}

static enum path_mtu_verdict path_learn(struct gateway *gw, const struct path_mtu_quote *q,
					uint32_t sa)
{
	const struct sa_out *out = &gw->tables->sa[sa].out;
	uint32_t id = gw->sa[sa].tunnel, now_mtu = out->outer[out->active].outer_mtu;
	uint32_t mtu = q->mtu != 0 || q->family == IP_V6
			       ? q->mtu
			       : plateau_below(RTE_MIN(q->length, now_mtu));
	struct tunnel_path *path = &gw->tunnel[id].path;
	struct path_mtu *pm = gw->path_mtu;

	if (mtu < least[q->family] || mtu >= q->length)
		return PATH_MTU_BOUNDS;
	if (mtu >= now_mtu)
		return PATH_MTU_NOT_BELOW;
	if (!rate_allows(&path->ready, pm->now, EACH_MS, BURST))
		return PATH_MTU_TOO_MANY;
	path->mtu = (uint16_t)mtu;
	path->until = pm->now + AGE_MS;
	pm->due = RTE_MIN(pm->due, path->until);
	tunnel_resolve(gw, id);
	path_event(gw, id, mtu);
	log_info("tunnel %u: a router says that the path takes %u bytes, not %u; inner packets "
		 "of %u fit%s",
		 id, mtu, now_mtu, out->outer[out->active].inner_mtu,
		 q->has_spi ? "" : " (it quoted too little to show an SPI)");
	return PATH_MTU_LEARNT;
}

static enum path_mtu_verdict quote_take(struct gateway *gw, const struct path_mtu_quote *q)
{
	enum path_mtu_verdict verdict = PATH_MTU_LEARNT;
	uint32_t sa = 0;

	if (q->has_spi) {
		if (q->spi == 0) /* IKE's marker behind UDP */
			return PATH_MTU_NOT_ONE;
		sa = sa_by_spi(gw, q);
		if (sa == 0)
			return PATH_MTU_NO_TUNNEL;
	} else {
		verdict = sa_by_ends(gw, q, &sa);
		if (verdict != PATH_MTU_LEARNT)
			return verdict;
	}
	if (q->has_sequence && !sent_lately(gw, sa, q->sequence))
		return PATH_MTU_SEQUENCE;
	return path_learn(gw, q, sa);
}

enum path_mtu_verdict path_mtu_message(struct gateway *gw, enum ip_family family,
				       const uint8_t *icmp, uint32_t len)
{
	struct path_mtu_quote quote;
	enum path_mtu_verdict verdict = path_mtu_parse(family, icmp, len, &quote);

	if (verdict == PATH_MTU_LEARNT)
		verdict = quote_take(gw, &quote);
	gw->path_mtu->refused[verdict]++;
	return verdict;
}

enum path_mtu_verdict path_mtu_packet(struct gateway *gw, const uint8_t *l3, uint32_t avail)
{
	enum ip_family family = avail != 0 && l3[0] >> 4 == 6 ? IP_V6 : IP_V4;
	uint32_t offset;
	uint16_t length;

	if (ip_header_check(l3, avail, family, false, &length) != DROP_NONE)
		return PATH_MTU_NOT_ONE;
	if (family == IP_V4 ? l3[9] != PROTO_ICMP || (load_be16(l3 + 6) & FRAGMENT_MASK) != 0
			    : l3[6] != PROTO_ICMPV6)
		return PATH_MTU_NOT_ONE;
	offset = family == IP_V4 ? (l3[0] & 0xfu) * 4 : IPV6_HEADER_LEN;
	if (!icmp_checksum_is_right(l3, family, l3 + offset, length - offset))
		return PATH_MTU_MALFORMED;
	return path_mtu_message(gw, family, l3 + offset, length - offset);
}

/* ---- time ---- */

void path_mtu_forget(struct gateway *gw, uint32_t tunnel)
{
	bool known = gw->tunnel[tunnel].record.id != 0 && gw->tunnel[tunnel].path.mtu != 0;

	gw->tunnel[tunnel].path = (struct tunnel_path){ 0 };
	if (known)
		path_event(gw, tunnel, 0);
}

static void paths_age(struct gateway *gw)
{
	struct path_mtu *pm = gw->path_mtu;

	pm->due = UINT64_MAX;
	for (uint32_t id = 1; id < gw->size.max_tunnels; id++) {
		struct tunnel_path *path = &gw->tunnel[id].path;

		if (path->mtu == 0 || gw->tunnel[id].record.id == 0)
			continue;
		if (path->until > pm->now) {
			pm->due = RTE_MIN(pm->due, path->until);
			continue;
		}
		log_info("tunnel %u: its path took %u bytes; the link's MTU is tried again", id,
			 path->mtu);
		path->mtu = 0;
		tunnel_resolve(gw, id);
		path_event(gw, id, 0);
	}
}

/* Those that may mean a path that swallows packets, or somebody who forges. */
static void refused_report(struct path_mtu *pm)
{
	static const enum path_mtu_verdict bad[] = {
		PATH_MTU_NO_TUNNEL, PATH_MTU_AMBIGUOUS, PATH_MTU_SEQUENCE,
		PATH_MTU_BOUNDS,    PATH_MTU_TOO_MANY,
	};

	pm->report = pm->now + REPORT_MS;
	for (size_t i = 0; i < RTE_DIM(bad); i++) {
		uint64_t n = pm->refused[bad[i]];

		pm->refused[bad[i]] = 0;
		if (n != 0)
			log_warn("path MTU: %llu ICMP messages were not believed: %s",
				 (unsigned long long)n, path_mtu_text(bad[i]));
	}
}

void path_mtu_tick(struct gateway *gw, uint64_t now_ms)
{
	struct path_mtu *pm = gw->path_mtu;

	pm->now = now_ms;
	if (now_ms >= pm->due)
		paths_age(gw);
	if (now_ms >= pm->report)
		refused_report(pm);
}
