/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP in UDP that the kernel has put together. Of a datagram in pieces whose later one comes first,
 * the steering program leaves all to the kernel, since that piece does not show what it is. A raw
 * socket shows the dataplane the whole of those that turn out to be ESP; it goes to a worker as if
 * the port had received it. What strangers can make wait is the kernel's to bound
 * (net.ipv4.ipfrag_high_thresh and its like).
 *
 * Owner and only caller: the main lcore.
 */
#ifndef KAIDO_ESP_UDP_SOCKET_H
#define KAIDO_ESP_UDP_SOCKET_H

#include <stdbool.h>

#include "ip.h"

struct gateway;
struct port;

/* Does the steering program share the port's packets out? Only of such a port the kernel's are others. */
bool port_is_steered(const struct port *port);

/* Needs CAP_NET_RAW, later calls don't. A descriptor to poll for reading, or negative errno, logged. */
int esp_udp_socket_open(enum ip_family family);
/* Takes what is there, within bounds. */
void esp_udp_socket_read(struct gateway *gw, enum ip_family family, int fd);

#endif /* KAIDO_ESP_UDP_SOCKET_H */
