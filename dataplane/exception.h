/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The exception interface: a tap per underlay port, through which the host stack gets what belongs
 * to it (IKE, ARP, ICMP, BGP) and answers. For ports that the host can't see by itself.
 *
 * Owner and only caller: the main lcore.
 */
#ifndef KAIDO_EXCEPTION_H
#define KAIDO_EXCEPTION_H

#include <stdint.h>

struct gateway;
struct rte_mbuf;

/* A punted frame to the host; takes the mbuf. */
void exception_punt(struct gateway *gw, struct rte_mbuf *mbuf);
/* The host's frames to the wire. Returns how many. */
uint32_t exception_poll(struct gateway *gw);

#endif /* KAIDO_EXCEPTION_H */
