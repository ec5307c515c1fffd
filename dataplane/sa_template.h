/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The outer headers of an outbound SA, laid out once: IPv4 or IPv6, UDP (RFC 3948) where the tunnel
 * wants it, ESP and IV (RFC 4303, 4106), with the tunnel's policies (RFC 4301 section 5.1.2). What differs
 * from packet to packet is zero in it: lengths, sequence number, IV, the IPv4 checksum, and of DSCP, ECN, DF
 * and flow label what comes from the inner header. Such bits are or-ed in, so no packet asks which policy
 * holds (esp_encap.h).
 *
 * The IPv4 id is per packet, in case one is cut on the way: the low half of the sequence number, mixed
 * with a constant of the SA that stands in the template. It comes again after 65536 packets, as it must at
 * such speed (RFC 6864 section 5.2); pieces that are put together wrong fail ESP's integrity check.
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
 * without a swap, and without the id. Whoever sends adds what is put in, as words in memory, folds, and stores
 * the complement as it is.
 */
void sa_template_build(struct sa_out *sa, uint8_t n, const struct abi_tunnel *tunnel);

/* Where a template's packets go. */
struct ip_addr sa_template_remote(const struct sa_out *sa, uint8_t n, enum ip_family *family);

#endif /* KAIDO_SA_TEMPLATE_H */
