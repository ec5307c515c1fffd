/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a trace asks for is in three words: `session` (0: off), `filter`, and how many are `left`. A
 * worker reads the session first and marks its record with it; a record of a session that is over
 * is thrown away when it is read, so that a filter never sees what it didn't ask for.
 */
#include "trace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "sa.h"

#define TRACE_RECORDS_MAX 65536u
#define TENANT_ALL        UINT32_MAX
#define EXTENSIONS_MAX    8

struct trace {
	struct rte_ring *ring; /* of whole records */
	size_t ring_size;
	uint64_t filter; /* tenant, and one in how many */
	uint32_t session;
	uint32_t sessions; /* main lcore: the last one given */
	uint32_t seen __attribute__((aligned(64)));
	int32_t left;
};

int trace_create(struct trace **out)
{
	struct trace *t = aligned_alloc(64, sizeof(*t));
	ssize_t size =
		rte_ring_get_memsize_elem(sizeof(struct abi_trace_record), 2 * TRACE_RECORDS_MAX);

	if (t == NULL)
		return -ENOMEM;
	*t = (struct trace){ .ring_size = (size_t)size };
	/* Taken page by page as a trace fills it. */
	t->ring = mmap(NULL, t->ring_size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (t->ring == MAP_FAILED) {
		free(t);
		return -ENOMEM;
	}
	/* RTS: a worker that loses its core while it writes doesn't make the others wait. */
	if (rte_ring_init(t->ring, "trace", TRACE_RECORDS_MAX,
			  RING_F_MP_RTS_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ) != 0) {
		trace_destroy(t);
		return -ENOMEM;
	}
	*out = t;
	return 0;
}

void trace_destroy(struct trace *t)
{
	if (t == NULL)
		return;
	munmap(t->ring, t->ring_size);
	free(t);
}

/* Throws away what nobody came to read. */
static void ring_drain(struct trace *t)
{
	struct abi_trace_record record;

	while (rte_ring_sc_dequeue_elem(t->ring, &record, sizeof(record)) == 0)
		;
}

int trace_start(struct trace *t, const struct abi_trace_start *how)
{
	if (how->packets == 0 || how->packets > TRACE_RECORDS_MAX || how->every == 0 ||
	    how->reserved != 0)
		return -EINVAL;
	trace_stop(t);
	ring_drain(t);
	if (++t->sessions == 0)
		t->sessions = 1;
	__atomic_store_n(&t->filter, (uint64_t)how->tenant << 32 | how->every, __ATOMIC_RELAXED);
	__atomic_store_n(&t->seen, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&t->left, (int32_t)how->packets, __ATOMIC_RELAXED);
	__atomic_store_n(&t->session, t->sessions, __ATOMIC_RELEASE);
	return 0;
}

void trace_stop(struct trace *t)
{
	__atomic_store_n(&t->session, 0, __ATOMIC_RELEASE);
}

bool trace_active(const struct trace *t)
{
	return __atomic_load_n(&t->session, __ATOMIC_RELAXED) != 0;
}

static void session_write(struct abi_trace_record *record, uint32_t session)
{
	memcpy(record->reserved, &session, sizeof(session));
}

static uint32_t session_read(const struct abi_trace_record *record)
{
	uint32_t session;

	memcpy(&session, record->reserved, sizeof(session));
	return session;
}

uint32_t trace_read(struct trace *t, struct abi_trace_record *records, uint32_t max)
{
	uint32_t n = 0;

	while (n < max && rte_ring_sc_dequeue_elem(t->ring, &records[n], sizeof(records[n])) == 0) {
		if (session_read(&records[n]) != t->sessions)
			continue;
		session_write(&records[n], 0);
		n++;
	}
	return n;
}

/* Bytes of a transport header that are no payload; 0 where that isn't known. */
static uint32_t l4_length(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return 20;
	case IPPROTO_UDP:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
	case IPPROTO_ESP: /* SPI and sequence number */
		return 8;
	default:
		return 0;
	}
}

static uint32_t ipv4_headers(const uint8_t *l3, uint32_t room)
{
	struct iphdr ip;

	if (room < sizeof(ip))
		return 0;
	memcpy(&ip, l3, sizeof(ip));
	if (ip.version != 4 || ip.ihl < 5)
		return 0;
	/* Behind the header of a later fragment is payload. */
	if (ip.frag_off & htons(IP_OFFMASK))
		return ip.ihl * 4;
	return ip.ihl * 4 + l4_length(ip.protocol);
}

static uint32_t ipv6_headers(const uint8_t *l3, uint32_t room)
{
	uint32_t at = sizeof(struct ip6_hdr);
	uint8_t next;

	if (room < at || l3[0] >> 4 != 6)
		return 0;
	next = l3[offsetof(struct ip6_hdr, ip6_nxt)];
	for (uint32_t i = 0; i < EXTENSIONS_MAX; i++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_FRAGMENT)
			return at + l4_length(next);
		if (room < at + 8)
			return at;
		if (next == IPPROTO_FRAGMENT) {
			if ((l3[at + 2] << 8 | l3[at + 3]) & 0xfff8)
				return at + 8;
			next = l3[at];
			at += 8;
		} else {
			next = l3[at];
			at += (l3[at + 1] + 1u) * 8;
		}
	}
	return at;
}

/* How many bytes from l3 on are headers, and are there. */
static uint32_t headers_length(const struct packet *p)
{
	const struct rte_mbuf *m = p->mbuf;
	const uint8_t *start = m->buf_addr;
	const uint8_t *end = rte_pktmbuf_mtod(m, const uint8_t *) + m->data_len;
	uint32_t room, headers;

	if (p->l3 == NULL || p->l3 < start || p->l3 >= end)
		return 0;
	room = (uint32_t)(end - p->l3);
	if (room > p->length)
		room = p->length;
	if (room > ABI_TRACE_HEADERS)
		room = ABI_TRACE_HEADERS;
	headers = p->family == IP_V4 ? ipv4_headers(p->l3, room) : ipv6_headers(p->l3, room);
	return headers < room ? headers : room;
}

static uint32_t packet_spi(const struct packet *p)
{
	if (p->sa == NULL)
		return 0;
	return p->walk == ABI_TRACE_OUTBOUND ? p->sa->out.spi : p->sa->in.spi;
}

/* Takes one of what is left; the one that takes the last ends the trace. */
static bool packet_wanted(struct trace *t, uint32_t tenant, uint32_t session)
{
	uint64_t filter = __atomic_load_n(&t->filter, __ATOMIC_RELAXED);
	uint32_t every = (uint32_t)filter;
	int32_t left;

	if ((uint32_t)(filter >> 32) != TENANT_ALL && (uint32_t)(filter >> 32) != tenant)
		return false;
	if (__atomic_fetch_add(&t->seen, 1, __ATOMIC_RELAXED) % every != 0)
		return false;
	left = __atomic_fetch_sub(&t->left, 1, __ATOMIC_RELAXED);
	if (left <= 1)
		__atomic_compare_exchange_n(&t->session, &session, 0, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	return left >= 1;
}

void trace_packet(struct trace *t, const struct packet *p, uint8_t worker, uint16_t tx_port)
{
	uint32_t session = __atomic_load_n(&t->session, __ATOMIC_ACQUIRE);
	struct abi_trace_record record;
	struct timespec now;

	if (session == 0 || !packet_wanted(t, p->tenant, session))
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	record = (struct abi_trace_record){
		.time = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
		.tenant = p->tenant,
		.tunnel = p->tunnel,
		.spi = packet_spi(p),
		.reason = p->reason,
		.walk = p->walk,
		.worker = worker,
		.rx_port = p->rx_port,
		.tx_port = tx_port,
		.length = p->length,
		.captured = (uint16_t)headers_length(p),
		.sequence = p->sequence,
	};
	if (record.captured != 0)
		memcpy(record.headers, p->l3, record.captured);
	session_write(&record, session);
	/* Full: nobody reads; the packet matters more than its record. */
	(void)rte_ring_enqueue_elem(t->ring, &record, sizeof(record));
}
