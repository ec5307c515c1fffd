/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is sent into a tunnel that has nothing to send. Neither is traffic of the tunnel's, nor is it
 * sent where the tunnel has no outbound SA or the underlay no way.
 *
 * Owner and only caller: the main lcore.
 */
#ifndef KAIDO_TUNNEL_IDLE_H
#define KAIDO_TUNNEL_IDLE_H

#include <stdint.h>

struct gateway;

/* A NAT keepalive, RFC 3948 section 2.3, from and to where its ESP goes; the underlay's packet. */
void keepalive_send(struct gateway *gw, uint32_t tunnel);
/* A dummy packet, RFC 4303 section 2.6, to be sealed by a worker; the tenant's, originated here. */
void dummy_send(struct gateway *gw, uint32_t tunnel);

#endif /* KAIDO_TUNNEL_IDLE_H */
