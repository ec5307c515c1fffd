/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A mirror of what the kernel knows of the underlay: addresses, routes and neighbours of chosen
 * network devices, by rtnetlink. The kernel stays the owner; the mirror tells its caller of every
 * change, and asks the kernel to resolve the neighbours that the caller lacks (docs/underlay.md).
 *
 * Mirrored: addresses of global scope that passed duplicate address detection; unicast routes of the
 * main table (without type of service, source prefix or encapsulation) over a watched device that is
 * up, except link-local and multicast prefixes; neighbours with a 6-byte link-layer address. Of a
 * multipath route the first usable next hop on a watched device is taken. Of several routes to one
 * prefix the one of the lowest metric is shown.
 *
 * Threads: the main lcore alone; nothing blocks. Callbacks run inside host_mirror_process() and
 * host_mirror_unwatch(); of this interface they may call host_mirror_resolve() only.
 *
 * Rights: none but for host_mirror_resolve(), which needs CAP_NET_ADMIN, held when the mirror is
 * created and when it is called.
 */
#ifndef KAIDO_HOST_MIRROR_H
#define KAIDO_HOST_MIRROR_H

#include <stdbool.h>
#include <stdint.h>

#include "ip.h"

struct host_mirror;

struct host_mirror_route {
	struct ip_addr prefix;
	struct ip_addr gateway; /* zero without one: the destination itself is on the link */
	uint32_t metric;
	uint8_t family; /* enum ip_family, of the prefix */
	uint8_t len;
	uint8_t gateway_family; /* an IPv4 route may have an IPv6 gateway, RFC 5549 */
	bool has_gateway;
};

/*
 * `device` is the caller's number from host_mirror_watch(). Every member must be set. A thing is
 * told once when it appears, again when it changes (a neighbour also when it is asked for again), and
 * once when it goes.
 */
struct host_mirror_events {
	/* `up`: administratively up with a carrier. Told before anything else of the device. */
	void (*link)(void *ctx, uint32_t device, const uint8_t mac[6], uint32_t mtu, bool up);
	void (*address)(void *ctx, uint32_t device, enum ip_family family, struct ip_addr addr,
			uint8_t prefix_len, bool present);
	/*
	 * present: this is the route to the prefix now, in place of what was told before, maybe on
	 * another device. Not present: no route to the prefix is left; `device` is the last one's.
	 */
	void (*route)(void *ctx, uint32_t device, const struct host_mirror_route *route,
		      bool present);
	/* mac NULL: gone, or resolution failed. It may be told of an address never told before. */
	void (*neighbour)(void *ctx, uint32_t device, enum ip_family family, struct ip_addr addr,
			  const uint8_t mac[6]);
};

/* What an operator may want to know. */
struct host_mirror_stats {
	uint64_t overruns;    /* the kernel's queue to us was full: everything was read again */
	uint64_t dumps;       /* tables read from the kernel */
	uint64_t interrupted; /* of these, changed meanwhile and read again */
	uint64_t requests;    /* resolutions asked for */
	uint64_t malformed;   /* messages that were not understood */
};

/* `events` and `ctx` are kept, not copied. Uses the network namespace of the calling thread. */
int host_mirror_create(const struct host_mirror_events *events, void *ctx, struct host_mirror **m);
/* Without callbacks. NULL is allowed. */
void host_mirror_destroy(struct host_mirror *m);

/*
 * Mirrors a device from now on, whether it is there or appears later, and again when it comes back
 * under that name. What is there is told by the next calls of host_mirror_process().
 * -EINVAL: not a device name; -EEXIST: the name or the number is watched already; -ENOMEM.
 */
int host_mirror_watch(struct host_mirror *m, const char *netdev, uint32_t device);
/* Tells that everything of the device is gone, and forgets it. -ENOENT. */
int host_mirror_unwatch(struct host_mirror *m, uint32_t device);

/* To poll for reading. */
int host_mirror_fd(const struct host_mirror *m);
/*
 * Does a bounded part of the work. Call it when the descriptor is readable, and at least every
 * 100 ms. 1: call again, work is left; 0: nothing to do now; negative errno: -ENOMEM (everything is
 * read again by later calls) or an error of the socket.
 */
int host_mirror_process(struct host_mirror *m);
/* Everything that was asked of the kernel has been told. */
bool host_mirror_synced(const struct host_mirror *m);

/*
 * Asks the kernel for the link-layer address of a neighbour, which comes by the event: its address,
 * or NULL when nobody answers. One that is known is told again. From then on the mirror has the kernel check the neighbour again
 * whenever it goes stale, so that a change of its address is noticed. To be called for packets that
 * can't be sent; asks no more often than once a second per address.
 * 0: under way; -ENODEV: not watched or not there; -ENETDOWN; -EPERM: no CAP_NET_ADMIN; -ENOMEM; or
 * what the kernel said.
 */
int host_mirror_resolve(struct host_mirror *m, uint32_t device, enum ip_family family,
			struct ip_addr addr);

void host_mirror_stats(const struct host_mirror *m, struct host_mirror_stats *stats);

#endif /* KAIDO_HOST_MIRROR_H */
