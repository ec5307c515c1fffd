/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kaido-dataplane: sets up what the options say, starts the workers, runs the main lcore's loop, and
 * takes everything down again in reverse.
 */
#include <errno.h>
#include <signal.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_random.h>
#include <rte_ring.h>

#include "control_loop.h"
#include "deadline.h"
#include "early.h"
#include "eal.h"
#include "esp_udp_socket.h"
#include "event.h"
#include "gateway.h"
#include "host_mirror.h"
#include "log.h"
#include "neighbour.h"
#include "options.h"
#include "path_mtu_socket.h"
#include "privileges.h"
#include "reassembly.h"
#include "reclaim.h"
#include "rx_share.h"
#include "southbound.h"
#include "trace.h"
#include "tunnel_timer.h"
#include "underlay.h"
#include "worker.h"
#include "xdp/steer_clear.h"
#include "xdp/steer_stats.h"

#define RING_SIZE          4096 /* packets between workers and the main lcore, each way */
#define MBUF_CACHE         256
#define EARLY_LOOKS        4000000 /* packets that wait are looked at, a second, at most */
#define REASSEMBLY_BUFFERS 8       /* one in so many of the pool's may be held, by all workers */

struct tx_lock {
	uint32_t lock;
} __attribute__((aligned(64)));

struct process {
	struct options options;
	struct gateway gw;
	struct port port[PORTS_MAX];
	struct worker *worker[WORKERS_MAX];
	struct rx_shares *shares;                       /* NULL: no queue is polled by others */
	struct tx_lock tx_lock[PORTS_MAX][WORKERS_MAX]; /* one per queue that several send on */
	struct rte_ring *to_main;
	struct southbound *southbound;
	uint8_t go;
	uint8_t stop;
	int icmp[2];    /* by family */
	int esp_udp[2]; /* by family */
	int signals;
	uint32_t fragment_id;
};

static int process_memory(struct process *p)
{
	const struct options *o = &p->options;
	struct gateway *gw = &p->gw;

	/* A descriptor travels with an mbuf between threads. */
	gw->pool = rte_pktmbuf_pool_create("packets", o->mbufs, MBUF_CACHE,
					   RTE_ALIGN(sizeof(struct packet), RTE_MBUF_PRIV_ALIGN),
					   (uint16_t)(o->mbuf_size + RTE_PKTMBUF_HEADROOM),
					   (int)rte_socket_id());
	/* RTS: a worker that loses its core in the middle of putting must not hold up the others. */
	p->to_main = rte_ring_create("to_main", RING_SIZE, (int)rte_socket_id(),
				     RING_F_MP_RTS_ENQ | RING_F_SC_DEQ);
	if (gw->pool == NULL || p->to_main == NULL) {
		log_error("no memory for %u packet buffers: reserve hugepages, raise --memory or "
			  "lower --mbufs",
			  o->mbufs);
		return -ENOMEM;
	}
	gw->tenant = calloc(o->size.max_tenants, sizeof(*gw->tenant));
	gw->attachment = calloc(o->size.max_attachments, sizeof(*gw->attachment));
	gw->tunnel = calloc(o->size.max_tunnels, sizeof(*gw->tunnel));
	gw->sa = calloc(o->size.max_sas, sizeof(*gw->sa));
	gw->life = calloc(o->size.max_sas, sizeof(*gw->life));
	if (gw->tenant == NULL || gw->attachment == NULL || gw->tunnel == NULL || gw->sa == NULL ||
	    gw->life == NULL)
		return -ENOMEM;
	gw->deadlines = deadlines_create(o->size.max_sas);
	if (gw->deadlines == NULL)
		return -ENOMEM;
	gw->size = o->size;
	return 0;
}

static int process_tables(struct process *p)
{
	const struct options *o = &p->options;
	struct gateway *gw = &p->gw;
	int err;

	if (getrandom(&gw->boot, sizeof(gw->boot), 0) != sizeof(gw->boot))
		return -EIO;
	/* A transaction that replaces all SAs holds the old keys until it is over. */
	err = aead_engine_create(o->aead, o->isa, 2 * o->size.max_sas, &gw->aead);
	if (err != 0) {
		log_error("no AES-GCM: %s",
			  err == -EBADMSG ? "the known-answer test failed; do not use this machine"
			  : err == -ENOTSUP
				  ? "this machine or build lacks what --aead or --isa ask for"
				  : strerror(-err));
		return err;
	}
	log_info("AES-GCM by %s; a key takes %zu bytes with AES-128, %zu with AES-256",
		 aead_engine_name(gw->aead), aead_engine_key_size(gw->aead, 16),
		 aead_engine_key_size(gw->aead, 32));
	err = tables_create(&o->size, gw->aead, o->workers, &gw->tables);
	if (err == 0)
		err = stats_create(&o->size, 1 + o->workers, gw->boot, &gw->stats);
	if (err == 0)
		err = neighbours_create(gw, &gw->neighbours);
	if (err == 0)
		err = trace_create(&gw->trace);
	if (err == 0)
		err = path_mtu_create(gw);
	if (err == 0)
		err = event_log_create(&gw->events);
	if (err == 0)
		err = tunnel_timer_create(gw);
	if (err != 0) {
		log_error("no memory for the tables: %s; lower the --max-* options",
			  strerror(-err));
		return err;
	}
	stats_set_tsc_hz(gw->stats, rte_get_tsc_hz());
	gw->own = stats_writer(gw->stats, 0);
	return 0;
}

static enum exception port_exception(const struct option_port *p)
{
	if (p->tap[0] != '\0')
		return EXCEPTION_TAP;
	if (strncmp(p->device, "net_af_", 7) == 0)
		return EXCEPTION_SHARED;
	return EXCEPTION_NONE;
}

/* `like`: the port that this one is the exception tap of; NULL: none. */
static int process_port(struct process *p, const struct option_port *option,
			const struct port *like)
{
	struct gateway *gw = &p->gw;
	struct port *port = &gw->port[gw->ports];
	bool tap = like != NULL;
	struct port_options how = {
		.queues = tap ? 1 : (uint16_t)p->options.workers,
		.mtu = tap ? like->mtu : p->options.mtu,
		.rx_ring = p->options.ring,
		.tx_ring = p->options.ring,
		.promiscuous = p->options.promiscuous,
	};
	char name[ABI_NAME_LEN], device[64];
	int err;

	snprintf(name, sizeof(name), tap ? "%.26s-host" : "%s", option->name);
	snprintf(device, sizeof(device), tap ? "net_tap_%s" : "%s",
		 tap ? option->name : option->device);
	err = port_open(port, name, device, &how, gw->pool);
	if (err != 0)
		return err;
	port->index = (uint16_t)gw->ports++;
	err = tables_add_port(gw->tables, port->index, port->mac);
	if (err != 0)
		return err;
	gw->tables->port[port->index].exception = tap ? EXCEPTION_NONE : port_exception(option);
	if (!tap && strncmp(option->device, "net_af_xdp", 10) == 0 &&
	    steer_open(option->iface, &port->steer) != 0 &&
	    strstr(option->args, "xdp_prog=") == NULL) /* which may be one without */
		log_warn("port %s: the steering program's counters can't be read", name);
	return 0;
}

static int process_ports(struct process *p)
{
	struct gateway *gw = &p->gw;

	gw->port = p->port;
	for (uint32_t i = 0; i < p->options.ports; i++) {
		int err = process_port(p, &p->options.port[i], NULL);

		if (err != 0)
			return err;
	}
	for (uint32_t i = 0; i < p->options.ports; i++) {
		struct rte_ether_addr mac;
		int err;

		if (p->options.port[i].tap[0] == '\0')
			continue;
		if (gw->ports == PORTS_MAX)
			return -ENOSPC;
		err = process_port(p, &p->options.port[i], &gw->port[i]);
		if (err != 0)
			return err;
		/* The host stack speaks with the port's own MAC address. */
		memcpy(mac.addr_bytes, gw->port[i].mac, sizeof(gw->port[i].mac));
		rte_eth_dev_default_mac_addr_set(gw->port[gw->ports - 1].dpdk_id, &mac);
		gw->port[i].exception = (int32_t)gw->ports - 1;
	}
	return 0;
}

/* Queue q of a port belongs to worker q modulo workers; each worker can send on every port. */
static void worker_queues(struct process *p, struct worker *w)
{
	for (uint32_t i = 0; i < p->options.ports; i++) {
		const struct port *port = &p->gw.port[i];
		uint16_t tx_queue = (uint16_t)(w->id % port->tx_queues);
		bool alone = p->shares == NULL && port->tx_queues >= p->options.workers;

		for (uint16_t q = 0; q < port->rx_queues; q++) {
			/* Ports with fewer queues than workers are spread over the workers. */
			if ((q + (port->rx_queues < p->options.workers ? i : 0)) %
				    p->options.workers !=
			    w->id)
				continue;
			w->rx[w->rx_n++] = (struct worker_rx){
				.dpdk_id = port->dpdk_id,
				.queue = q,
				.port = (uint8_t)i,
			};
		}
		w->tx[i] = (struct worker_tx){
			.dpdk_id = port->dpdk_id,
			.queue = tx_queue,
			.lock = alone ? NULL : &p->tx_lock[i][tx_queue].lock,
			.segments = port->tx_segments,
		};
	}
}

/* Idle workers look for work at all queues that any worker polls. */
static int process_shares(struct process *p)
{
	uint32_t queues = 0;

	for (uint32_t i = 0; i < p->options.ports; i++)
		queues += p->gw.port[i].rx_queues;
	if (p->options.workers > 1 && !p->options.private_queues) {
		p->shares = rx_shares_create(queues);
		if (p->shares == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int worker_reassembly(struct worker *w, const struct options *o, int socket)
{
	if (o->reassembly_s == 0)
		return 0;
	return reassembly_create(o->reassembly_s * rte_get_tsc_hz(),
				 o->mbufs / REASSEMBLY_BUFFERS / o->workers, socket,
				 &w->reassembly);
}

static int worker_early(struct worker *w, const struct options *o, int socket)
{
	uint64_t hz = rte_get_tsc_hz();

	if (o->early == 0)
		return 0;
	return early_create(o->early, o->early_ms * hz / 1000, hz / EARLY_LOOKS, socket, &w->early);
}

static int process_workers(struct process *p)
{
	struct gateway *gw = &p->gw;

	gw->worker = p->worker;
	for (uint32_t i = 0; i < p->options.workers; i++) {
		unsigned int socket = rte_lcore_to_socket_id(i + 1);
		struct worker *w = rte_zmalloc_socket("worker", sizeof(*w), 64, (int)socket);
		char name[RTE_RING_NAMESIZE];

		if (w == NULL)
			return -ENOMEM;
		p->worker[i] = w;
		gw->workers++;
		snprintf(name, sizeof(name), "inbox_%u", i);
		w->inbox = rte_ring_create(name, RING_SIZE, (int)socket,
					   RING_F_SP_ENQ | RING_F_SC_DEQ);
		w->error_refill = rte_calloc_socket("errors", p->options.size.max_tenants,
						    sizeof(*w->error_refill), 64, (int)socket);
		w->events = event_ring_create();
		if (w->inbox == NULL || w->error_refill == NULL || w->events == NULL ||
		    worker_reassembly(w, &p->options, (int)socket) != 0 ||
		    worker_early(w, &p->options, (int)socket) != 0)
			return -ENOMEM;
		w->tables = gw->tables;
		w->stats = stats_writer(gw->stats, i + 1);
		w->trace = gw->trace;
		w->to_main = p->to_main;
		w->id = i;
		w->lcore = i + 1;
		w->tsc_hz = rte_get_tsc_hz();
		w->idle_sleep_us = p->options.idle_sleep_us;
		w->sample_every = p->options.sample_all ? 1 : SAMPLE_EVERY;
		w->fragment_id = &p->fragment_id;
		w->go = &p->go;
		w->stop = &p->stop;
		worker_queues(p, w);
		w->alone = p->options.workers == 1;
		w->shares = p->shares;
		for (uint32_t k = 0; k < w->rx_n && p->shares != NULL; k++)
			rx_shares_add(p->shares, w, k);
	}
	return 0;
}

static int process_run(struct process *p)
{
	struct control_loop loop = {
		.gw = &p->gw,
		.southbound = p->southbound,
		.from_workers = p->to_main,
		.go = &p->go,
		.icmp = { p->icmp[IP_V4], p->icmp[IP_V6] },
		.esp_udp = { p->esp_udp[IP_V4], p->esp_udp[IP_V6] },
		.signals = p->signals,
	};
	int err;

	p->go = !p->options.hold;
	for (uint32_t i = 0; i < p->options.workers; i++) {
		err = rte_eal_remote_launch(worker_run, p->worker[i], i + 1);
		if (err != 0)
			goto stop;
	}
	log_info("ready: %u ports, %u workers, southbound socket %s", p->gw.ports, p->gw.workers,
		 p->options.socket);
	err = control_loop_run(&loop);
stop:
	__atomic_store_n(&p->stop, 1, __ATOMIC_RELEASE);
	rte_eal_mp_wait_lcore();
	return err;
}

static void ring_free(struct rte_ring *ring)
{
	void *m;

	while (ring != NULL && rte_ring_dequeue(ring, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(ring);
}

/* Everything may be missing: it takes down what a failed start left, too. */
static void process_end(struct process *p)
{
	struct gateway *gw = &p->gw;

	southbound_destroy(p->southbound);
	host_mirror_destroy(gw->mirror);
	for (uint32_t i = 0; i < gw->ports; i++)
		port_close(&gw->port[i]);
	for (uint32_t i = 0; i < gw->workers; i++) {
		ring_free(p->worker[i]->inbox);
		reassembly_destroy(p->worker[i]->reassembly);
		early_destroy(p->worker[i]->early);
		rte_free(p->worker[i]->error_refill);
		event_ring_destroy(p->worker[i]->events);
		rte_free(p->worker[i]);
	}
	rx_shares_destroy(p->shares);
	ring_free(p->to_main);
	if (gw->tables != NULL)
		reclaim_wait(gw->tables->reclaim);
	neighbours_destroy(gw->neighbours);
	tables_destroy(gw->tables);
	trace_destroy(gw->trace);
	path_mtu_destroy(gw);
	event_log_destroy(gw->events);
	deadlines_destroy(gw->deadlines);
	tunnel_timer_destroy(gw);
	stats_destroy(gw->stats);
	aead_engine_destroy(gw->aead);
	rte_mempool_free(gw->pool);
	free(gw->tenant);
	free(gw->attachment);
	free(gw->tunnel);
	free(gw->sa);
	free(gw->life);
	rte_eal_cleanup();
}

/* Keys must not be found in a core file, and much memory is locked. */
static void process_limits(void)
{
	const struct rlimit none = { 0, 0 }, all = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit now;

	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
	/* Without the right to raise it, as far as it goes. */
	if (setrlimit(RLIMIT_MEMLOCK, &all) != 0 && getrlimit(RLIMIT_MEMLOCK, &now) == 0) {
		now.rlim_cur = now.rlim_max;
		setrlimit(RLIMIT_MEMLOCK, &now);
	}
}

static int process_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void process_clear_xdp(const struct options *o)
{
	for (uint32_t i = 0; i < o->ports; i++) {
		int err;

		if (strncmp(o->port[i].device, "net_af_xdp", 10) != 0)
			continue;
		err = steer_clear(o->port[i].iface);
		if (err != 0)
			log_warn("port %s: %s: %s", o->port[i].name, o->port[i].iface,
				 err == -EBUSY    ? "another process has an AF_XDP socket on it"
				 : err == -EEXIST ? "an XDP program of someone else is attached"
						  : strerror(-err));
	}
}

/* Without them it goes on, and says so. */
static void process_raw_sockets(struct process *p)
{
	bool shared = false, steered = false;

	for (uint32_t i = 0; i < p->gw.ports; i++) {
		shared |= p->gw.tables->port[i].exception == EXCEPTION_SHARED;
		steered |= port_is_steered(&p->gw.port[i]);
	}
	for (int family = IP_V4; family <= IP_V6; family++) {
		if (shared)
			p->icmp[family] = path_mtu_socket_open(family);
		if (steered)
			p->esp_udp[family] = esp_udp_socket_open(family);
	}
}

static int process_start(struct process *p)
{
	int err;

	process_clear_xdp(&p->options);
	err = eal_start(&p->options);
	if (err == 0)
		err = process_memory(p);
	if (err == 0)
		err = process_tables(p);
	if (err == 0)
		err = process_ports(p);
	if (err == 0)
		err = process_shares(p);
	if (err == 0)
		err = process_workers(p);
	if (err == 0)
		err = underlay_start(&p->gw);
	if (err == 0)
		process_raw_sockets(p);
	if (err == 0)
		err = southbound_create(&p->gw, p->options.socket, &p->southbound);
	if (err == 0)
		err = privileges_drop(p->options.user);
	return err;
}

int main(int argc, char **argv)
{
	struct process *p = aligned_alloc(alignof(struct process), sizeof(*p));
	int err;

	if (p == NULL)
		return EXIT_FAILURE;
	memset(p, 0, sizeof(*p));
	p->icmp[IP_V4] = p->icmp[IP_V6] = -1;
	p->esp_udp[IP_V4] = p->esp_udp[IP_V6] = -1;
	p->fragment_id = (uint32_t)rte_rand();
	err = options_parse(argc, argv, &p->options);
	if (err != 0) {
		free(p);
		return err > 0 ? EXIT_SUCCESS : 2;
	}
	process_limits();
	p->signals = process_signals();
	err = p->signals < 0 ? p->signals : process_start(p);
	if (err == 0)
		err = process_run(p);
	if (err != 0)
		log_error("stopped: %s", strerror(-err));
	process_end(p);
	free(p);
	return err == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
