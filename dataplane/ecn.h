/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Congestion marks across a tunnel (RFC 6040): the normal mode at the ingress (the outer header gets
 * the inner mark) and the one behaviour that it has for the egress.
 */
#ifndef KAIDO_ECN_H
#define KAIDO_ECN_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>

#include "ip_header.h"

enum ecn { ECN_NOT_ECT = 0, ECN_ECT1 = 1, ECN_ECT0 = 2, ECN_CE = 3 };

#define ECN_MASK 3

/* What the inner packet leaves with (RFC 6040 section 4.2, figure 4); -1: it has to be dropped. */
static inline int ecn_combine(uint8_t outer, uint8_t inner)
{
	if (outer == ECN_CE)
		return inner == ECN_NOT_ECT ? -1 : ECN_CE;
	if (outer == ECN_ECT1 && inner == ECN_ECT0)
		return ECN_ECT1;
	return inner;
}

/* Changes the mark of an IP header, and the checksum with it. */
static inline void ecn_set(uint8_t *l3, enum ip_family family, uint8_t mark)
{
	uint16_t before = load16(l3), after;
	uint32_t sum;

	if (family == IP_V6) {
		l3[1] = (uint8_t)((l3[1] & ~(ECN_MASK << 4)) | mark << 4);
		return;
	}
	l3[1] = (uint8_t)((l3[1] & ~ECN_MASK) | mark);
	after = load16(l3);
	/* RFC 1624, equation 3; words as they are loaded. */
	sum = (uint16_t)~load16(l3 + 10) + (uint16_t)~before + (uint32_t)after;
	store16(l3 + 10, (uint16_t)~checksum_fold(sum));
}

/* The outer mark to the inner header. False: congestion was met by one who doesn't know of it. */
static inline bool ecn_decapsulate(uint8_t *inner, enum ip_family family, uint8_t outer_class)
{
	uint8_t outer = outer_class & ECN_MASK, mark = ip_traffic_class(inner, family) & ECN_MASK;
	int combined = ecn_combine(outer, mark);

	if (combined < 0)
		return false;
	if (unlikely(combined != mark))
		ecn_set(inner, family, (uint8_t)combined);
	return true;
}

#endif /* KAIDO_ECN_H */
