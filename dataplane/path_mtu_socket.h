/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the kernel shares the underlay's device, ICMP is the kernel's: raw sockets show a copy of the
 * messages about sizes. They see every device of the network namespace; what is believed of a message
 * (path_mtu.h) does not depend on where it came in.
 */
#ifndef KAIDO_PATH_MTU_SOCKET_H
#define KAIDO_PATH_MTU_SOCKET_H

#include "ip.h"

struct gateway;

/* Needs CAP_NET_RAW, later calls don't. A descriptor to poll for reading, or negative errno, logged. */
int path_mtu_socket_open(enum ip_family family);
/* Takes what is there, within bounds. */
void path_mtu_socket_read(struct gateway *gw, enum ip_family family, int fd);

#endif /* KAIDO_PATH_MTU_SOCKET_H */
