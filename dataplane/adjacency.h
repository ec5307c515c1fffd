/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What to put before a packet to bring it to a neighbour, and where to send it. Routes point at
 * adjacencies by index; the neighbour's control state is in neighbour.c.
 *
 * dataplane: ro; control: wo. `destination` and `state` change while in use, by single stores: the
 * destination MAC is written before the state says that it is there.
 */
#ifndef KAIDO_ADJACENCY_H
#define KAIDO_ADJACENCY_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

enum adjacency_state {
	ADJACENCY_FREE = 0,
	ADJACENCY_INCOMPLETE, /* the MAC is not known: packets go to the main lcore to wait */
	ADJACENCY_COMPLETE,
	ADJACENCY_FAILED, /* no answer lately */
};

struct adjacency {
	union {
		uint64_t destination; /* first 8 bytes of the header, in one store */
		uint8_t header[24];   /* Ethernet, 802.1Q where tagged; the EtherType comes last */
	};
	uint8_t header_len; /* 14 or 18 */
	uint8_t state;
	uint16_t port;       /* index */
	uint16_t mtu;        /* of an IP packet */
	uint16_t generation; /* counts the neighbours that had this index */
	uint32_t attachment;
	uint32_t tenant;
	uint8_t pad[24];
};
static_assert(sizeof(struct adjacency) == 64, "an adjacency is one cache line");

/* An Ethernet header without its EtherType, to be written before many packets. */
struct adjacency_header {
	uint64_t first;  /* the destination, and two bytes of the source */
	uint32_t second; /* the rest of it */
	uint32_t tag;    /* 802.1Q, where len is 18 */
	uint32_t len;    /* 14 or 18 */
};

static inline struct adjacency_header adjacency_header(const struct adjacency *a)
{
	struct adjacency_header header = {
		.first = __atomic_load_n(&a->destination, __ATOMIC_RELAXED),
		.len = a->header_len,
	};

	memcpy(&header.second, a->header + 8, 4);
	memcpy(&header.tag, a->header + 12, 4);
	return header;
}

/* Writes it so that it ends at `l3`. */
static inline void adjacency_write(const struct adjacency_header *header, uint8_t *l3,
				   uint16_t ethertype_be)
{
	uint8_t *eth = l3 - header->len;

	memcpy(eth, &header->first, 8);
	memcpy(eth + 8, &header->second, 4);
	if (header->len == 18)
		memcpy(eth + 12, &header->tag, 4);
	memcpy(l3 - 2, &ethertype_be, 2);
}

#endif /* KAIDO_ADJACENCY_H */
