/* SPDX-License-Identifier: BSD-3-Clause */
#include "soft_gateway.h"

#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "address.h"
#include "apply.h"
#include "early.h"
#include "event.h"
#include "event_notes.h"
#include "fuzz.h"
#include "log.h"
#include "neighbour.h"
#include "packet_fix.h"
#include "reassembly.h"
#include "reclaim.h"
#include "replay.h"
#include "segments.h"
#include "trace.h"
#include "underlay.h"
#include "vrf.h"

#define POOL_MBUFS 1023
#define RING_SIZE  256
#define TUNNELS    ORACLE_TUNNELS
#define SELECTIVE  4 /* the tunnel that has traffic selectors */
#define MORTAL     2 /* the tunnel whose SAs have lifetimes */
#define ID_IN(t)   (10 * (t) + 1)
#define ID_OUT(t)  (10 * (t) + 2)

/* What is logged is formatted, and not written: a fuzzer would drown in it. */
void log_line(enum log_level level, const char *fmt, ...)
{
	char line[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
}

/* ---- ports ---- */

/* The worker leaves its loop at the first poll that finds nothing anywhere. */
static uint16_t soft_rx(void *queue, struct rte_mbuf **mbufs, uint16_t n)
{
	struct soft_port *port = queue;
	struct soft_gateway *g = port->gateway;
	uint16_t got = port->queued < n ? port->queued : n;

	memcpy(mbufs, port->queue, got * sizeof(*mbufs));
	port->queued = 0;
	if (g->port[SOFT_LAN].queued == 0 && g->port[SOFT_WAN].queued == 0 &&
	    rte_ring_empty(g->worker->inbox))
		g->stop = 1;
	return got;
}

static void frame_sent(struct soft_gateway *g, uint32_t port, struct rte_mbuf *m)
{
	uint32_t len = m->pkt_len, at = 0;
	const char *reason;
	uint8_t *frame;

	FUZZ_CHECK(rte_mbuf_check(m, 1, &reason) == 0);
	FUZZ_CHECK(m->nb_segs == 1 || g->worker->tx[port].segments);
	/* Of its own size, so that what reads behind it is seen. */
	frame = malloc(len);
	FUZZ_CHECK(frame != NULL);
	for (struct rte_mbuf *s = m; s != NULL; s = s->next) {
		FUZZ_CHECK(s->data_len != 0);
		memcpy(frame + at, rte_pktmbuf_mtod(s, const void *), s->data_len);
		at += s->data_len;
		/* Who reads on, reads something else. */
		memset(rte_pktmbuf_mtod(s, void *), 0xdd, s->data_len);
	}
	rte_pktmbuf_free(m);
	if (port == SOFT_LAN)
		oracle_lan_out(&g->oracle, frame, len);
	else
		oracle_wan_out(&g->oracle, frame, len);
	free(frame);
}

static uint16_t soft_tx(void *queue, struct rte_mbuf **mbufs, uint16_t n)
{
	struct soft_port *port = queue;
	uint16_t take = port->tx_room < n ? (uint16_t)port->tx_room : n;

	for (uint16_t i = 0; i < take; i++)
		frame_sent(port->gateway, port->index, mbufs[i]);
	return take;
}

/* DPDK's ports 0 and 1, as far as a burst of packets needs one. */
static void ports_create(struct soft_gateway *g)
{
	static void *data[2][1], *callbacks[1];
	struct worker *w = g->worker;

	for (uint16_t i = 0; i < 2; i++) {
		struct rte_eth_fp_ops *ops = &rte_eth_fp_ops[i];

		g->port[i].gateway = g;
		g->port[i].index = i;
		data[i][0] = &g->port[i];
		ops->rx_pkt_burst = soft_rx;
		ops->tx_pkt_burst = soft_tx;
		ops->rxq.data = ops->txq.data = data[i];
		ops->rxq.clbk = ops->txq.clbk = callbacks;
		w->rx[w->rx_n++] = (struct worker_rx){ .dpdk_id = i, .port = (uint8_t)i };
		w->tx[i] = (struct worker_tx){ .dpdk_id = i };
	}
}

/* ---- the gateway ---- */

static void eal_init(void)
{
	static char name[] = "fuzz", huge[] = "--no-huge", pci[] = "--no-pci",
		    shconf[] = "--no-shconf", lcore[] = "--lcores=0@0", memory[] = "-m",
		    size[] = "64", telemetry[] = "--no-telemetry", level[] = "--log-level=4";
	static char *argv[] = {
		name, huge, pci, shconf, lcore, memory, size, telemetry, level, NULL
	};
	cpu_set_t cpus;

	/* EAL binds the thread to a core, but here nothing asks for that. */
	FUZZ_CHECK(sched_getaffinity(0, sizeof(cpus), &cpus) == 0);
	FUZZ_CHECK(rte_eal_init(9, argv) >= 0);
	FUZZ_CHECK(sched_setaffinity(0, sizeof(cpus), &cpus) == 0);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
/* Before each buffer and behind it: what runs over its end is seen. */
static void buffer_fence(struct rte_mempool *pool, void *unused, void *object, unsigned int i)
{
	ASAN_POISON_MEMORY_REGION((uint8_t *)object - pool->header_size, pool->header_size);
	ASAN_POISON_MEMORY_REGION((uint8_t *)object + pool->elt_size, pool->trailer_size);
}
#define HAVE_FENCES
#endif
#endif

static void worker_create(struct soft_gateway *g)
{
	struct gateway *gw = &g->f->gw;
	struct worker *w = aligned_alloc(64, sizeof(*w));

	g->pool = rte_pktmbuf_pool_create("fuzz", POOL_MBUFS, 0, sizeof(struct packet),
					  SOFT_FRAME_MAX + RTE_PKTMBUF_HEADROOM, 0);
	g->to_main = rte_ring_create("to_main", RING_SIZE, 0, 0);
	FUZZ_CHECK(w != NULL && g->pool != NULL && g->to_main != NULL);
#ifdef HAVE_FENCES
	rte_mempool_obj_iter(g->pool, buffer_fence, NULL);
#endif
	memset(w, 0, sizeof(*w));
	g->worker = g->workers[0] = w;
	w->inbox = rte_ring_create("inbox", RING_SIZE, 0, 0);
	FUZZ_CHECK(w->inbox != NULL);
	w->tables = gw->tables;
	w->stats = stats_writer(gw->stats, 1);
	w->trace = gw->trace;
	w->to_main = g->to_main;
	w->error_refill = calloc(gw->size.max_tenants, sizeof(*w->error_refill));
	FUZZ_CHECK(w->error_refill != NULL);
	FUZZ_CHECK(reassembly_create(1ull << 60, POOL_MBUFS / 2, 0, &w->reassembly) == 0);
	FUZZ_CHECK(early_create(POOL_MBUFS / 64, 1ull << 60, 0, 0, &w->early) == 0);
	w->fragment_id = &g->fragment_id;
	w->events = event_ring_create();
	FUZZ_CHECK(w->events != NULL);
	w->tsc_hz = 1000; /* a token for an ICMP error with every tick */
	w->go = &g->go;
	w->stop = &g->stop;
	w->sample_every = 1;
	g->go = 1;
	gw->pool = g->pool;
	gw->worker = g->workers;
	gw->workers = 1;
	ports_create(g);
}

static void record_apply(struct soft_gateway *g, uint16_t type, const void *record)
{
	char text[ABI_TEXT_LEN] = "";

	if (apply_record(g->apply, type, record, text, sizeof(text)) == 0)
		return;
	fprintf(stderr, "the gateway can't be set up: %s\n", text);
	abort();
}

#define SET(g, what, record)                                    \
	do {                                                    \
		typeof(record) set_record = (record);           \
		record_apply(g, ABI_##what##_SET, &set_record); \
	} while (0)

static struct aead_key *oracle_key(struct oracle *o, const struct abi_sa *sa)
{
	struct aead_key *key;

	FUZZ_CHECK(aead_key_create(o->aead, sa->key, sa->key_len, sa->salt, &key) == 0);
	return key;
}

/* Each tunnel makes its outer headers in another way. */
static void policy_set(struct abi_tunnel *tunnel)
{
	switch (tunnel->id) {
	case 2:
		tunnel->dscp = ABI_DSCP_SET | 46;
		tunnel->df = ABI_DF_CLEAR;
		tunnel->ttl = 17;
		tunnel->mss = 1000;
		tunnel->pad_to = 300;
		break;
	case 3:
		tunnel->flags |= ABI_TUNNEL_DSCP_IN | ABI_TUNNEL_MSS_OFF;
		tunnel->flow_label = ABI_FLOW_LABEL_INNER;
		break;
	case 4:
		tunnel->dscp = ABI_DSCP_SET;
		tunnel->flow_label = ABI_FLOW_LABEL_ZERO;
		tunnel->ttl = 255;
		tunnel->pad_to = 129;
		break;
	case 5:
		tunnel->flags |= ABI_TUNNEL_DSCP_IN;
		tunnel->df = ABI_DF_SET;
		break;
	}
}

static void tunnel_create(struct soft_gateway *g, uint32_t t, uint32_t tenant, uint8_t key_len,
			  uint32_t window)
{
	bool v6 = t == 3 || t == 4, udp = t == 2 || t == 4, esn = t == 2 || t == 3 || t == 5;
	struct abi_tunnel tunnel = v6 ? make_tunnel(t, tenant, "2001:db8::1", "2001:db8::2")
				      : make_tunnel(t, tenant, "192.0.2.1", "192.0.2.2");
	struct abi_sa in = make_sa_in(ID_IN(t), t, 0x1000 + t);
	struct abi_sa out = make_sa_out(ID_OUT(t), t, 0x2000 + t);
	struct abi_selectors selectors = { .tunnel = t };
	uint32_t net = t == 5 ? 1 : t;
	char prefix[32];

	if (udp) {
		tunnel.flags = ABI_TUNNEL_UDP;
		tunnel.local_port = tunnel.remote_port = 4500;
	}
	if (t == SELECTIVE) {
		tunnel.flags |= ABI_TUNNEL_SELECTORS;
		selectors = oracle_selectors(t);
	}
	policy_set(&tunnel);
	in.flags = out.flags = esn ? ABI_SA_ESN : 0;
	memset(in.key, (int)(0x40 + t), key_len);
	memset(out.key, (int)(0x80 + t), key_len);
	in.key_len = out.key_len = key_len;
	in.window = window;
	if (t == MORTAL) {
		in.soft = out.soft = (struct abi_lifetime){ .packets = 5, .bytes = 3000 };
		in.hard = out.hard = (struct abi_lifetime){ .packets = ORACLE_LIFETIME_PACKETS,
							    .bytes = ORACLE_LIFETIME_BYTES };
	}
	SET(g, TUNNEL, tunnel);
	SET(g, SELECTORS, selectors);
	g->selectors[t] = g->f->gw.tables->selectors[t];
	SET(g, SA, in);
	SET(g, SA, out);
	g->replay[t] = g->f->gw.tables->sa[ID_IN(t)].in.replay;
	snprintf(prefix, sizeof(prefix), "10.%u.0.0/16", net);
	SET(g, ROUTE, make_route_tunnel(tenant, prefix, t));
	snprintf(prefix, sizeof(prefix), "fd%02x::/16", net);
	SET(g, ROUTE, make_route_tunnel(tenant, prefix, t));
	g->oracle.tunnel[t] = (struct oracle_tunnel){
		.in = oracle_key(&g->oracle, &in),
		.out = oracle_key(&g->oracle, &out),
		.spi_in = 0x1000 + t,
		.spi_out = 0x2000 + t,
		.tenant = tenant,
		.esn = esn,
		.udp = udp,
		.v6 = v6,
		.selectors = t == SELECTIVE,
		.mortal = t == MORTAL,
		.policy = tunnel,
	};
}

static void neighbours_set(struct soft_gateway *g)
{
	static const struct {
		uint32_t attachment;
		const char *address;
		uint8_t mac;
	} permanent[] = {
		{ 1, "192.0.2.2", 0xfe }, { 1, "2001:db8::2", 0xfe }, { 11, "10.0.0.9", 9 },
		{ 11, "fd00::9", 9 },     { 12, "10.0.0.9", 10 },     { 12, "fd00::9", 10 },
	};

	for (size_t i = 0; i < sizeof(permanent) / sizeof(permanent[0]); i++) {
		struct abi_neighbour r = make_neighbour(permanent[i].attachment,
							permanent[i].address, permanent[i].mac);

		FUZZ_CHECK(neighbour_set_permanent(g->f->gw.neighbours, r.attachment,
						   address_family(&r.address),
						   address_ip(&r.address), r.mac) == 0);
	}
}

static void world_create(struct soft_gateway *g)
{
	SET(g, ATTACHMENT, make_attachment(1, 0, "wan", 0, "192.0.2.1/24", "2001:db8::1/64"));
	for (uint32_t tenant = 1; tenant <= 2; tenant++) {
		uint32_t id = 10 + tenant;

		SET(g, TENANT, make_tenant(tenant));
		SET(g, ATTACHMENT,
		    make_attachment(id, tenant, "lan", tenant == 1 ? 0 : 102, "10.0.0.1/16",
				    "fd00::1/64"));
		SET(g, ROUTE, make_route_gateway(tenant, "172.16.0.0/12", id, "10.0.0.9"));
		SET(g, ROUTE, make_route_gateway(tenant, "172.32.0.0/12", id, "10.0.0.254"));
		SET(g, ROUTE, make_route_gateway(tenant, "2001::/16", id, "fd00::fe"));
		SET(g, ROUTE, make_route_blackhole(tenant, "192.168.0.0/16"));
	}
	neighbours_set(g);
	tunnel_create(g, 1, 1, 16, 64);
	tunnel_create(g, 2, 1, 24, 1024);
	tunnel_create(g, 3, 1, 32, 0);
	tunnel_create(g, 4, 1, 16, 32);
	tunnel_create(g, 5, 2, 32, 4096);
	apply_commit(g->apply);
	underlay_poll(&g->f->gw);
	reclaim_wait(g->f->gw.tables->reclaim);
}

struct soft_gateway *soft_gateway_create(void)
{
	struct soft_gateway *g = calloc(1, sizeof(*g));

	FUZZ_CHECK(g != NULL);
	/* What the fixture asserts ends the program here. */
	FUZZ_CHECK(setenv("CMOCKA_TEST_ABORT", "1", 1) == 0);
	eal_init();
	g->f = fixture_create(NULL, 1);
	FUZZ_CHECK(aead_engine_create(AEAD_KIND_OPENSSL, AEAD_ISA_AUTO, 2 * TUNNELS,
				      &g->oracle.aead) == 0);
	FUZZ_CHECK(apply_create(&g->f->gw, &g->apply) == 0);
	worker_create(g);
	world_create(g);
	return g;
}

/* ---- an input ---- */

static void counters_reset(const struct stats_writer *s)
{
	memset(s->port, 0, 2 * sizeof(*s->port));
	memset(s->port_drops, 0, 2 * sizeof(*s->port_drops));
	memset(s->tenant, 0, SOFT_TENANTS * sizeof(*s->tenant));
	memset(s->tenant_drops, 0, SOFT_TENANTS * sizeof(*s->tenant_drops));
	memset(s->tunnel, 0, TUNNELS * sizeof(*s->tunnel));
	memset(s->attachment, 0, 16 * sizeof(*s->attachment));
	memset(s->sa, 0, 64 * sizeof(*s->sa));
}

/* What an input taught of the tunnels' paths is gone before the next. */
static void paths_reset(struct soft_gateway *g)
{
	struct gateway *gw = &g->f->gw;

	for (uint32_t t = 1; t < TUNNELS; t++) {
		path_mtu_forget(gw, t);
		underlay_resolve_sa(gw, ID_OUT(t));
	}
	path_mtu_tick(gw, g->path_now += 3600000);
}

/* Its SAs are as new. */
static void mortal_reset(struct soft_gateway *g)
{
	static const uint32_t ids[] = { ID_IN(MORTAL), ID_OUT(MORTAL) };
	struct tables *t = g->f->gw.tables;

	for (size_t i = 0; i < 2; i++) {
		t->lifetime[ids[i]].packets = t->lifetime[ids[i]].bytes = 0;
		g->f->gw.sa[ids[i]].state = ABI_SA_LIVE;
	}
	t->sa[ID_IN(MORTAL)].in.flags &= (uint8_t)~SA_EXPIRED;
	t->sa[ID_OUT(MORTAL)].out.flags &= (uint8_t)~SA_EXPIRED;
}

/* What the worker carried and dropped, against what the main lcore says of its SAs. */
static void mortal_check(const struct soft_gateway *g)
{
	const struct gateway *gw = &g->f->gw;
	const struct counters_sa *in = &g->worker->stats.sa[ID_IN(MORTAL)];
	const struct counters_sa *out = &g->worker->stats.sa[ID_OUT(MORTAL)];
	uint8_t state_in = gw->sa[ID_IN(MORTAL)].state;
	uint8_t state_out = gw->sa[ID_OUT(MORTAL)].state;

	FUZZ_CHECK(in->packets <= ORACLE_LIFETIME_PACKETS && in->bytes <= ORACLE_LIFETIME_BYTES);
	FUZZ_CHECK(out->packets <= ORACLE_LIFETIME_PACKETS && out->bytes <= ORACLE_LIFETIME_BYTES);
	FUZZ_CHECK(soft_gateway_drops(g, DROP_sa_expired) == 0 || state_in == ABI_SA_HARD ||
		   state_out == ABI_SA_HARD);
	FUZZ_CHECK(in->packets < ORACLE_LIFETIME_PACKETS || state_in == ABI_SA_HARD);
	FUZZ_CHECK(out->packets < ORACLE_LIFETIME_PACKETS || state_out == ABI_SA_HARD);
}

void soft_gateway_begin(struct soft_gateway *g, uint8_t options)
{
	static const uint32_t room[4] = { BURST_MAX, BURST_MAX, 3, 0 };
	static const struct abi_trace_start all = { .tenant = UINT32_MAX,
						    .packets = 65536,
						    .every = 1 };
	struct gateway *gw = &g->f->gw;
	struct tables *tables = gw->tables;

	for (uint32_t t = 1; t < TUNNELS; t++) {
		replay_init(g->replay[t], g->replay[t]->window);
		tables->sa[ID_OUT(t)].out.sequence = 1;
	}
	tables->port[SOFT_WAN].exception = (uint8_t)(SOFT_EXCEPTION(options) % 3);
	for (uint32_t i = 0; i < 2; i++) {
		g->port[i].tx_room = room[options >> SOFT_TX_SHIFT & 3];
		g->worker->tx[i].segments = options & SOFT_TX_SEGMENTS;
	}
	g->cut = SOFT_CUT(options);
	if (options & SOFT_TRACE)
		FUZZ_CHECK(trace_start(gw->trace, &all) == 0);
	paths_reset(g);
	mortal_reset(g);
	counters_reset(&gw->own);
	counters_reset(&g->worker->stats);
	oracle_begin(&g->oracle);
	g->disturbed = false;
	g->frames = 0;
}

/* How many bytes of the frame go into the next buffer. */
static uint32_t frame_cut(enum soft_cut cut, uint32_t done, uint32_t len)
{
	static const uint32_t headers[] = { 15, 0, 22, 9, 13, 31, 200 };
	uint32_t left = len - done;

	if (cut == SOFT_HALVES)
		return done == 0 ? len - len / 2 : left;
	if (cut == SOFT_END) /* in the tag, in the trailer */
		return left > 19 ? left - 19 : left > 7 ? left - 7 : left;
	for (uint32_t i = 0, at = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		at += headers[i];
		if (at > done)
			return RTE_MIN(at - done, left);
	}
	return left;
}

/* The rest of a frame, of which `done` bytes are in m, into buffers of its own. */
static void frame_chain(struct soft_gateway *g, struct rte_mbuf *m, const uint8_t *frame,
			uint32_t done, uint32_t len, enum soft_cut cut)
{
	while (done < len) {
		uint32_t n = frame_cut(cut, done, len);
		struct rte_mbuf *next = rte_pktmbuf_alloc(g->pool);

		FUZZ_CHECK(next != NULL);
		if (done & 1) /* no room behind it */
			next->data_off = (uint16_t)(next->buf_len - n);
		memcpy(rte_pktmbuf_append(next, (uint16_t)n), frame + done, n);
		FUZZ_CHECK(rte_pktmbuf_chain(m, next) == 0);
		done += n;
	}
}

/* As a device delivers it. */
static struct rte_mbuf *frame_mbuf(struct soft_gateway *g, const uint8_t *frame, uint32_t len,
				   uint32_t how)
{
	enum soft_cut cut = how & SOFT_SEGMENTS ? SOFT_HALVES : g->cut;
	struct rte_mbuf *m = rte_pktmbuf_alloc(g->pool);
	uint16_t vlan, ethertype;
	uint32_t l3, first;

	FUZZ_CHECK(m != NULL && len <= SOFT_FRAME_MAX);
	if ((how & SOFT_STRIPPED) && frame_parse(frame, len, &vlan, &ethertype, &l3) && l3 == 18) {
		m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
		m->vlan_tci = vlan;
		if (how & SOFT_AT_END)
			m->data_off = (uint16_t)(m->buf_len - (len - 4));
		memcpy(rte_pktmbuf_append(m, 12), frame, 12);
		memcpy(rte_pktmbuf_append(m, (uint16_t)(len - 16)), frame + 16, len - 16);
		return m;
	}
	first = cut == SOFT_WHOLE ? len : frame_cut(cut, 0, len);
	if (how & SOFT_AT_END)
		m->data_off = (uint16_t)(m->buf_len - first);
	memcpy(rte_pktmbuf_append(m, (uint16_t)first), frame, first);
	frame_chain(g, m, frame, first, len, cut);
	return m;
}

void soft_gateway_frame(struct soft_gateway *g, uint32_t port, const uint8_t *frame, uint32_t len,
			uint32_t how)
{
	struct soft_port *p = &g->port[port];

	if (p->queued == BURST_MAX || g->frames == ORACLE_PACKETS || len == 0)
		return;
	g->frames++;
	p->queue[p->queued++] = frame_mbuf(g, frame, len, how);
	if (port == SOFT_LAN)
		oracle_lan_in(&g->oracle, frame, len);
	else
		oracle_wan_in(&g->oracle, frame, len);
}

/* The main lcore's part; there is no exception interface to punt to. */
static bool main_run(struct soft_gateway *g)
{
	struct gateway *gw = &g->f->gw;
	bool any = false;
	uint32_t there;
	void *m;

	while (rte_ring_dequeue(g->to_main, &m) == 0) {
		any = true;
		switch (mbuf_packet(m)->route) {
		case HANDOFF_NEIGHBOUR:
			neighbour_receive(gw->neighbours, m);
			break;
		case HANDOFF_PUNT:
		case HANDOFF_PATH_MTU:
			there = packet_gather(mbuf_packet(m));
			path_mtu_packet(gw, mbuf_packet(m)->l3, there);
			rte_pktmbuf_free(m);
			break;
		default:
			neighbour_wait(gw->neighbours, m);
		}
	}
	g->disturbed |= any;
	event_notes_drain(gw);
	underlay_poll(gw);
	reclaim_poll(gw->tables->reclaim);
	return any;
}

void soft_gateway_run(struct soft_gateway *g)
{
	do {
		g->stop = 0;
		FUZZ_CHECK(worker_run(g->worker) == 0);
	} while (main_run(g) || !rte_ring_empty(g->worker->inbox));
}

void soft_gateway_tick(struct soft_gateway *g, uint32_t ms)
{
	g->now += ms;
	g->f->gw.now_ms = g->now;
	g->disturbed = true;
	neighbour_tick(g->f->gw.neighbours, g->now);
	neighbour_tick(g->f->gw.neighbours, g->now); /* the first ends where the table does */
	soft_gateway_run(g);
}

uint64_t soft_gateway_drops(const struct soft_gateway *g, enum drop_reason reason)
{
	uint64_t n = 0;

	for (uint32_t t = 0; t < SOFT_TENANTS; t++)
		n += g->worker->stats.tenant_drops[t].reason[reason] +
		     g->f->gw.own.tenant_drops[t].reason[reason];
	return n;
}

/* in + fragments = out + local + drops, tenant by tenant; and every frame belongs to somebody. */
static void counters_check(const struct soft_gateway *g)
{
	const struct stats_writer *writer[2] = { &g->worker->stats, &g->f->gw.own };
	uint64_t in = 0, rx = 0;

	for (uint32_t t = 0; t < SOFT_TENANTS; t++) {
		uint64_t came = 0, pieces = 0, ended = 0;

		for (uint32_t k = 0; k < 2; k++) {
			const struct counters_tenant *row = &writer[k]->tenant[t];

			came += row->in_packets;
			pieces += row->fragments;
			ended += row->out_packets + row->local_packets;
			for (uint32_t r = 0; r < COUNTERS_REASONS; r++)
				ended += writer[k]->tenant_drops[t].reason[r];
		}
		FUZZ_CHECK(came + pieces == ended);
		in += came;
	}
	for (uint32_t port = 0; port < 2; port++) {
		rx += writer[0]->port[port].rx_packets;
		for (uint32_t r = 0; r < COUNTERS_REASONS; r++)
			in += writer[0]->port_drops[port].reason[r];
	}
	/* What was put together came in a second time. */
	FUZZ_CHECK(rx == g->frames && in == g->frames + writer[0]->tenant[0].reassembled);
}

static void trace_check(struct soft_gateway *g)
{
	static struct abi_trace_record records[64];
	uint32_t n;

	trace_stop(g->f->gw.trace);
	while ((n = trace_read(g->f->gw.trace, records, 64)) != 0)
		for (uint32_t i = 0; i < n; i++)
			FUZZ_CHECK(records[i].captured <= ABI_TRACE_HEADERS &&
				   records[i].reason < DROP_COUNT);
}

void soft_gateway_end(struct soft_gateway *g)
{
	static const uint32_t attachments[] = { 1, 11, 12 };
	struct gateway *gw = &g->f->gw;

	soft_gateway_run(g);
	if (g->disturbed) {
		for (size_t i = 0; i < 3; i++)
			neighbour_flush(gw->neighbours, attachments[i]);
		soft_gateway_run(g);
		neighbours_set(g);
		underlay_poll(gw);
		reclaim_wait(gw->tables->reclaim);
		soft_gateway_run(g);
	}
	reassembly_expire(g->worker, UINT64_MAX);
	FUZZ_CHECK(reassembly_held(g->worker->reassembly) == 0);
	early_end(g->worker);
	FUZZ_CHECK(g->worker->early_held == 0);
	trace_check(g);
	counters_check(g);
	mortal_check(g);
	FUZZ_CHECK(rte_mempool_avail_count(g->pool) == POOL_MBUFS);
}
