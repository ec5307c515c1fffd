/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes packets pass the first checks, so that a fuzzer gets to what stands behind them. */
#ifndef KAIDO_FUZZ_PACKET_FIX_H
#define KAIDO_FUZZ_PACKET_FIX_H

#include <stdbool.h>
#include <stdint.h>

/* The EtherType and where the packet begins behind one optional VLAN tag; false: too short. */
bool frame_parse(const uint8_t *frame, uint32_t len, uint16_t *vlan, uint16_t *ethertype,
		 uint32_t *l3);

/* Header lengths that fit `len` bytes from l3 on; the version's nibble says which family. */
void packet_fix_lengths(uint8_t *l3, uint32_t len);
/* The IPv4 header's checksum, and that of ICMP or ICMPv6 behind the header. */
void packet_fix_checksums(uint8_t *l3, uint32_t len);

#endif /* KAIDO_FUZZ_PACKET_FIX_H */
