/* SPDX-License-Identifier: BSD-3-Clause */
/* What the main lcore does while the workers forward: everything that isn't per packet. */
#ifndef KAIDO_CONTROL_LOOP_H
#define KAIDO_CONTROL_LOOP_H

#include <stdint.h>

struct gateway;
struct rte_ring;
struct southbound;

struct control_loop {
	struct gateway *gw;
	struct southbound *southbound;
	struct rte_ring *from_workers;
	uint8_t *go;    /* set at the first commit where packets are held until then */
	int icmp[2];    /* by family: path_mtu_socket_open(); -1: none */
	int esp_udp[2]; /* by family: esp_udp_socket_open(); -1: none */
	int signals;    /* signalfd: SIGINT and SIGTERM end the loop */
};

/* Returns when told to stop: 0, or negative errno. */
int control_loop_run(struct control_loop *loop);

#endif /* KAIDO_CONTROL_LOOP_H */
