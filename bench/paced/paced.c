/* SPDX-License-Identifier: BSD-3-Clause */
#include "paced.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>

/* One port of the process: this library is loaded for it. */
static struct {
	struct paced *shared;
	uint16_t port;
	eth_rx_burst_t driver; /* takes what there is */
	uint64_t rate;         /* of this turn: what was set before it began */
	uint64_t start;        /* TSC, of this turn */
	uint64_t due;          /* in this turn */
	uint64_t gone;         /* of these, taken or missed */
} paced;

static void turn_begin(struct paced *shared, uint64_t turn)
{
	paced.rate = __atomic_load_n(&shared->rate, __ATOMIC_RELAXED);
	paced.start = rte_rdtsc();
	paced.due = paced.gone = 0;
	shared->backlog = 0;
	__atomic_store_n(&shared->seen, turn, __ATOMIC_RELEASE);
}

static uint16_t rx_take(void *queue, struct rte_mbuf **mbufs, uint16_t n)
{
	n = paced.driver(queue, mbufs, n);
	paced.gone += n;
	paced.shared->taken += n;
	return n;
}

static uint16_t paced_rx(void *queue, struct rte_mbuf **mbufs, uint16_t n)
{
	struct paced *shared = paced.shared;
	uint64_t turn = __atomic_load_n(&shared->turn, __ATOMIC_ACQUIRE);
	uint64_t now, due, waiting;

	if (unlikely(turn != shared->seen))
		turn_begin(shared, turn);
	if (paced.rate == 0) {
		n = rx_take(queue, mbufs, n);
		shared->offered += n;
		return n;
	}
	/* Neither the order in which a core reads its TSC nor a change of cores turns the clock back. */
	now = RTE_MAX(rte_rdtsc(), paced.start);
	due = (uint64_t)(((unsigned __int128)(now - paced.start) * paced.rate) >> 32);
	due = RTE_MAX(due, paced.due);
	shared->offered += due - paced.due;
	paced.due = due;
	waiting = due - paced.gone;
	if (waiting > shared->backlog)
		shared->backlog = waiting;
	if (unlikely(waiting > shared->depth)) {
		shared->missed += waiting - shared->depth;
		paced.gone += waiting - shared->depth;
		waiting = shared->depth;
	}
	return waiting == 0 ? 0 : rx_take(queue, mbufs, (uint16_t)RTE_MIN(waiting, n));
}

static struct paced *shared_map(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *base = MAP_FAILED;

	if (fd >= 0) {
		base = mmap(NULL, sizeof(struct paced), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	if (base == MAP_FAILED) {
		fprintf(stderr, "KAIDO_PACED: %s can't be mapped\n", path);
		exit(1);
	}
	return base;
}

/* In the place of DPDK's: once the driver's functions are known, ours stands before them. */
int rte_eth_dev_start(uint16_t port)
{
	int (*start)(uint16_t) = (int (*)(uint16_t))dlsym(RTLD_NEXT, "rte_eth_dev_start");
	const char *path = getenv("KAIDO_PACED");
	int error = start(port);

	if (error != 0 || path == NULL || paced.shared != NULL)
		return error;
	paced.shared = shared_map(path);
	paced.port = port;
	paced.driver = rte_eth_fp_ops[port].rx_pkt_burst;
	turn_begin(paced.shared, paced.shared->turn);
	rte_eth_fp_ops[port].rx_pkt_burst = paced_rx;
	return 0;
}

int rte_eth_stats_get(uint16_t port, struct rte_eth_stats *stats)
{
	int (*get)(uint16_t, struct rte_eth_stats *) =
		(int (*)(uint16_t, struct rte_eth_stats *))dlsym(RTLD_NEXT, "rte_eth_stats_get");
	int error = get(port, stats);

	if (error == 0 && paced.shared != NULL && port == paced.port)
		stats->imissed += paced.shared->missed;
	return error;
}
