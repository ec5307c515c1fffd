/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The outer headers of an outbound SA, laid out once: IPv4 or IPv6, UDP (RFC 3948) where the tunnel
 * wants it, ESP and IV (RFC 4303, 4106). What differs from packet to packet is zero in it: lengths,
 * sequence number, IV, and the IPv4 checksum.
 */
#ifndef KAIDO_SA_TEMPLATE_H
#define KAIDO_SA_TEMPLATE_H

struct abi_tunnel;
struct sa_out;

/*
 * Fills in header, header_len, checksum, and SA_UDP and SA_OUTER_V6 of flags, from the tunnel and
 * sa->spi; nothing else of `sa` changes. No worker may be reading it.
 *
 * sa->checksum is the plain sum of the IPv4 header's 16-bit words as they are loaded from memory,
 * without a swap. Whoever sends adds rte_cpu_to_be_16(total length) and, for a TOS, tos << 8 (it is
 * the second byte of its word), folds, and stores the complement as it is.
 */
void sa_template_build(struct sa_out *sa, const struct abi_tunnel *tunnel);

#endif /* KAIDO_SA_TEMPLATE_H */
