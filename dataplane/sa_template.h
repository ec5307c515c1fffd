/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The outer headers of an outbound SA, laid out once: IPv4 or IPv6, UDP (RFC 3948) where the tunnel
 * wants it, ESP and IV (RFC 4303, 4106). What differs from packet to packet is zero in it: lengths,
 * sequence number, IV, and the IPv4 checksum.
 */
#ifndef KAIDO_SA_TEMPLATE_H
#define KAIDO_SA_TEMPLATE_H

#include <stdint.h>

#include "ip.h"

struct abi_tunnel;
struct sa_out;

/*
 * Fills in header[n] and what goes with it in outer[n], but for adjacency and inner_mtu, from the tunnel
 * and sa->spi; nothing else of `sa` changes. No worker may be reading it.
 *
 * The checksum is the folded sum of the IPv4 header's 16-bit words as they are loaded from memory,
 * without a swap. Whoever sends adds rte_cpu_to_be_16(total length) and, for a TOS, tos << 8 (it is
 * the second byte of its word), folds, and stores the complement as it is.
 */
void sa_template_build(struct sa_out *sa, uint8_t n, const struct abi_tunnel *tunnel);

/* Where a template's packets go. */
struct ip_addr sa_template_remote(const struct sa_out *sa, uint8_t n, enum ip_family *family);

#endif /* KAIDO_SA_TEMPLATE_H */
