/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Congestion marks across a tunnel (RFC 6040): the normal mode at the ingress (the outer header gets
 * the inner mark) and the one behaviour that it has for the egress, whatever becomes of the DSCP.
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

/* Changes DSCP and mark of an IP header, and the checksum with it. */
static inline void class_set(uint8_t *l3, enum ip_family family, uint8_t class)
{
	uint16_t before = load16(l3), after;
	uint32_t sum;

	if (family == IP_V6) {
		store_be16(l3, (uint16_t)((load_be16(l3) & 0xf00f) | class << 4));
		return;
	}
	l3[1] = class;
	after = load16(l3);
	/* RFC 1624, equation 3; words as they are loaded. */
	sum = (uint16_t)~load16(l3 + 10) + (uint16_t)~before + (uint32_t)after;
	store16(l3 + 10, (uint16_t)~checksum_fold(sum));
}

/*
 * The outer mark to the inner header, and the outer DSCP if the tunnel wants that (RFC 2983 section
 * 3.2); else the inner one is preserved. False: congestion was met by one who doesn't know of it.
 */
static inline bool ecn_decapsulate(uint8_t *inner, enum ip_family family, uint8_t outer_class,
				   bool dscp_in)
{
	uint8_t before = ip_traffic_class(inner, family), after;
	int mark = ecn_combine(outer_class & ECN_MASK, before & ECN_MASK);

	if (mark < 0)
		return false;
	after = (uint8_t)(((dscp_in ? outer_class : before) & ~ECN_MASK) | mark);
	if (unlikely(after != before))
		class_set(inner, family, after);
	return true;
}

#endif /* KAIDO_ECN_H */
