/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IPv6 flow labels of outer headers (RFC 6437, RFC 6438): 20 bits that are the same for all packets of
 * a flow, so that routers on the way which spread by them keep its order.
 */
#ifndef KAIDO_FLOW_LABEL_H
#define KAIDO_FLOW_LABEL_H

#include <stdint.h>

#include "ip.h"

#define FLOW_LABEL_MASK 0xfffffu

/*
 * Of an inner flow: addresses, protocol, ports where there are any, the inner flow label. Whoever sees
 * the outer header must not be able to try inner addresses out, so the hash has a key. `spi` makes
 * the same flow look different in different tunnels. Never 0.
 */
uint32_t flow_label_of(const uint64_t key[2], uint32_t spi, const uint8_t *inner, uint32_t length,
		       enum ip_family family);

/* SipHash-2-4 (Aumasson and Bernstein, 2012) of `n` words of 8 bytes, least significant byte first. */
uint64_t siphash(const uint64_t key[2], const uint64_t *words, uint32_t n);

#endif /* KAIDO_FLOW_LABEL_H */
