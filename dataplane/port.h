/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports: DPDK devices by the names of the configuration. Opened once at start by the main lcore.
 */
#ifndef KAIDO_PORT_H
#define KAIDO_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/message.h"

struct rte_mempool;
struct steer;

struct port {
	char name[ABI_NAME_LEN];
	char device[64];  /* DPDK's name of it */
	uint16_t dpdk_id; /* DPDK's port id */
	uint16_t index;   /* ours: row of the counters, tables.port[] */
	uint16_t rx_queues;
	uint16_t tx_queues;
	uint16_t mtu;
	uint8_t mac[6];
	bool tx_segments;  /* it sends packets that lie in several buffers */
	int32_t exception; /* index of the port that is its exception interface; -1: none */
	uint64_t rx_offloads;
	uint64_t tx_offloads;
	struct steer *steer; /* AF_XDP: the steering program's counters; NULL: none */
};

struct port_options {
	uint16_t queues; /* wanted, in each direction: one per worker */
	uint16_t mtu;    /* 0: the device's */
	uint16_t rx_ring;
	uint16_t tx_ring;
	bool promiscuous;
};

/*
 * Configures and starts the DPDK device `device` with what it offers of the queues and offloads
 * that we can use. Logs what it got. Negative errno, with the cause logged.
 */
int port_open(struct port *port, const char *name, const char *device,
	      const struct port_options *options, struct rte_mempool *pool);
void port_close(struct port *port);
/* What it really got, for dumps. */
void port_describe(const struct port *port, struct abi_port *out);
/* Adds the device's own counters (missed, errors) to the main lcore's row. */
struct counters_port;
void port_device_counters(const struct port *port, struct counters_port *row);

#endif /* KAIDO_PORT_H */
