/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the steering program and its readers agree on; included by BPF code and by C.
 * docs/underlay.md says why each class goes where it goes.
 */
#ifndef KAIDO_STEER_H
#define KAIDO_STEER_H

/* Names inside the BPF object. net_af_xdp looks the first one up and puts its sockets there. */
#define STEER_MAP_SOCKETS  "xsks_map"
#define STEER_MAP_COUNTS   "steer_counts"
#define STEER_PROGRAM_NAME "kaido_steer"
#define STEER_TAKE_NAME    "kaido_take" /* that of tenants' ports: no classes, no counters */

#define STEER_QUEUES 64 /* receive queues of a port that may have a socket */

/* Each packet is counted in exactly one class. Those up to XDP_CLASS_TO_SOCKET are redirected. */
enum xdp_class {
	XDP_CLASS_ESP = 0,      /* IP protocol 50 */
	XDP_CLASS_ESP_UDP,      /* UDP 4500, the marker is an SPI (RFC 3948 section 2.1) */
	XDP_CLASS_ESP_FRAGMENT, /* of protocol 50; of UDP whose first piece was ESP */
	XDP_CLASS_KEEPALIVE,    /* UDP 4500, one byte 0xff (RFC 3948 section 2.3) */
	XDP_CLASS_TO_SOCKET = XDP_CLASS_KEEPALIVE,

	XDP_CLASS_NO_SOCKET, /* one of the above, on a queue without a socket */
	XDP_CLASS_IKE,       /* UDP 500; UDP 4500 with the non-ESP marker (RFC 3948 s. 2.2) */
	XDP_CLASS_ARP,
	XDP_CLASS_ND, /* ICMPv6 133 .. 137, RFC 4861 */
	XDP_CLASS_ICMP,
	XDP_CLASS_FRAGMENT,  /* of anything but ESP: IKE may come in fragments */
	XDP_CLASS_MALFORMED, /* cut short or inconsistent: the kernel has the say */
	XDP_CLASS_OTHER,
	XDP_CLASSES,
};

/* The one value of the counters' map, per CPU. */
struct steer_counts {
	unsigned long long packets[XDP_CLASSES];
};

#endif /* KAIDO_STEER_H */
