/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Southbound messages: what kaidod (the client) and kaido-dataplane (the server) say to each other
 * over a Unix SOCK_SEQPACKET socket.
 *
 * One packet is one message: a header, then `count` records of the one shape that the type names,
 * nothing behind them. Host byte order, but for what stands in a packet (addresses, SPI, salt, MAC):
 * network byte order. Every reserved byte and unused tail of an address is zero, or the message is
 * refused with -EINVAL. Lengths and counts are checked before anything is read.
 *
 * Flow: the client sends HELLO first and the server answers HELLO_REPLY, or REPLY with -EPROTO on
 * another version (and closes). After that:
 *
 *   BEGIN                    opens a transaction          -> REPLY
 *   *_SET, *_DELETE, LEASE   staged; nothing is changed   -> REPLY only when the message is refused
 *   COMMIT                   applies all, in order        -> REPLY
 *   ABORT                    forgets what was staged      -> REPLY
 *   DUMP                     DUMP_RECORDS ..., DUMP_END with the objects of one kind
 *   COUNTERS                 COUNTERS_REPLY with a memfd (SCM_RIGHTS); layout in counters.h
 *   TRACE_START / _STOP      REPLY;  TRACE_READ -> TRACE_RECORDS (at most one message)
 *   EVENT_READ               EVENTS: what has happened by itself (at most one message)
 *
 * All or nothing: when a record can't be applied, COMMIT undoes those before it and answers with
 * the error, the index of the record within the transaction and a sentence. A refused staged
 * message poisons its transaction: COMMIT then fails with that error too. One transaction may be
 * open per client; closing the socket aborts it. A SET of an object that is there replaces it.
 *
 * Errors in REPLY: negative errno. -EINVAL a field is out of range; -ENOENT what is referred to is
 * missing; -EEXIST a key (SPI, port and VLAN) belongs to another object; -EBUSY the object is still
 * referred to, or another client's transaction is open; -ENOSPC a table is full; -EPROTO unknown
 * type, bad size or order; -EPERM the peer's credentials are not those of the dataplane's owner.
 *
 * Keys go one way: no message carries one back. Each object has a `cookie` chosen by the client
 * (a digest of what it wants) that dumps return, so that a client can tell what differs. Routes have
 * none: they are what they say, and are compared by content.
 */
#ifndef KAIDO_ABI_MESSAGE_H
#define KAIDO_ABI_MESSAGE_H

#include <assert.h>
#include <stdint.h>

#define ABI_MAGIC       0x4b41494fu /* "KAIO" */
#define ABI_VERSION     3
#define ABI_MESSAGE_MAX 65536 /* bytes in one message, header included */
#define ABI_NAME_LEN    32    /* zero-terminated */
#define ABI_TEXT_LEN    160
#define ABI_IFNAME_LEN  16

enum abi_type {
	ABI_HELLO = 1,       /* abi_hello */
	ABI_HELLO_REPLY = 2, /* abi_hello_reply */
	ABI_REPLY = 3,       /* abi_reply */
	ABI_BEGIN = 4,       /* no record; header.generation is the transaction's new generation */
	ABI_COMMIT = 5,
	ABI_ABORT = 6,
	ABI_DUMP = 7,         /* abi_dump */
	ABI_DUMP_RECORDS = 8, /* records of the kind asked for */
	ABI_DUMP_END = 9,
	ABI_COUNTERS = 10,
	ABI_COUNTERS_REPLY = 11, /* abi_counters_reply, with the descriptor */
	ABI_TRACE_START = 12,    /* abi_trace_start */
	ABI_TRACE_STOP = 13,
	ABI_TRACE_READ = 14,
	ABI_TRACE_RECORDS = 15, /* abi_trace_record; takes them out of the ring */
	ABI_EVENT_READ = 16,    /* abi_event_read */
	ABI_EVENTS = 17,        /* abi_event, oldest first; none: nothing new */

	ABI_TENANT_SET = 32, /* abi_tenant */
	ABI_TENANT_DELETE =
		33, /* abi_id; its attachments, tunnels and routes must be gone: -EBUSY */
	ABI_ATTACHMENT_SET = 34,    /* abi_attachment */
	ABI_ATTACHMENT_DELETE = 35, /* abi_id; drops the neighbours learnt on it */
	ABI_TUNNEL_SET = 36,        /* abi_tunnel */
	ABI_TUNNEL_DELETE = 37,     /* abi_id; its SAs must be gone: -EBUSY */
	ABI_SA_SET = 38,            /* abi_sa */
	ABI_SA_DELETE = 39,         /* abi_id */
	ABI_SA_LEASE = 40,          /* abi_sa_lease */
	ABI_ROUTE_SET = 41,         /* abi_route */
	ABI_ROUTE_DELETE = 42,      /* abi_route; tenant, family, prefix and length count */
	ABI_NEIGHBOUR_SET = 43,     /* abi_neighbour: a permanent one */
	ABI_NEIGHBOUR_DELETE = 44,  /* abi_neighbour; attachment, family and address count */
	ABI_SELECTORS_SET = 45,     /* abi_selectors: all that a tunnel has from now on */
};

struct abi_header {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	uint32_t length;     /* bytes of the whole message */
	uint32_t count;      /* records */
	uint64_t request;    /* chosen by the client, returned in the answer */
	uint64_t generation; /* BEGIN: the new one; answers: the last one committed */
};
static_assert(sizeof(struct abi_header) == 32, "abi_header is 32 bytes");

struct abi_hello {
	char client[ABI_NAME_LEN];
};
static_assert(sizeof(struct abi_hello) == 32, "abi_hello is 32 bytes");

struct abi_hello_reply {
	char version[ABI_NAME_LEN]; /* of the program */
	uint64_t boot;              /* random, differs at each start of the dataplane */
	uint64_t generation;        /* last one committed, 0 when empty */
	uint32_t max_tenants;       /* ids 1 .. max_tenants - 1 may be used; 0 is the underlay */
	uint32_t max_attachments;   /* ids 1 .. max_attachments - 1 */
	uint32_t max_tunnels;       /* ids 1 .. max_tunnels - 1 */
	uint32_t max_sas;           /* ids 1 .. max_sas - 1 */
	uint32_t ports;
	uint32_t workers;
	uint64_t reserved;
};
static_assert(sizeof(struct abi_hello_reply) == 80, "abi_hello_reply is 80 bytes");

struct abi_reply {
	int32_t error;           /* 0 or negative errno */
	uint32_t index;          /* record within the transaction, counted from 0 */
	char text[ABI_TEXT_LEN]; /* a sentence for the operator; never holds a key */
};
static_assert(sizeof(struct abi_reply) == 168, "abi_reply is 168 bytes");

struct abi_id {
	uint32_t id;
	uint32_t reserved;
};
static_assert(sizeof(struct abi_id) == 8, "abi_id is 8 bytes");

enum abi_family { ABI_IPV4 = 4, ABI_IPV6 = 6 };

struct abi_address {
	uint8_t family;     /* enum abi_family, or 0: none (all else is zero then) */
	uint8_t prefix_len; /* 0 where only an address is meant */
	uint8_t reserved[6];
	uint8_t addr[16]; /* network byte order; IPv4 in the first four, the rest zero */
};
static_assert(sizeof(struct abi_address) == 24, "abi_address is 24 bytes");

struct abi_tenant {
	uint32_t id; /* not 0 */
	uint32_t reserved;
	uint64_t cookie;
};
static_assert(sizeof(struct abi_tenant) == 16, "abi_tenant is 16 bytes");

#define ABI_ATTACHMENT_ADDRESSES 4

/*
 * A (port, VLAN) pair and whom it belongs to. With tenant 0 it is an underlay attachment. Then
 * `netdev` names the host's network device whose addresses, routes and neighbours are mirrored; it
 * is empty where addresses, routes and neighbours are given by these messages instead.
 */
struct abi_attachment {
	uint32_t id; /* not 0 */
	uint32_t tenant;
	char port[ABI_NAME_LEN];     /* the port's name in the dataplane's configuration */
	char netdev[ABI_IFNAME_LEN]; /* underlay only */
	uint16_t vlan;               /* 0: untagged; 1 .. 4094 */
	uint16_t mtu;                /* bytes of an IP packet; 0: what the port has */
	uint32_t reserved;
	uint64_t cookie;
	struct abi_address address[ABI_ATTACHMENT_ADDRESSES]; /* the gateway's own, with prefix_len:
							       * each makes an on-link route */
};
static_assert(sizeof(struct abi_attachment) == 168, "abi_attachment is 168 bytes");

/* Where UDP may hold ESP (RFC 3948): the local port of each tunnel with ABI_TUNNEL_UDP. */
#define ABI_UDP_PORT 4500

enum abi_tunnel_flags {
	ABI_TUNNEL_UDP = 1u << 0,    /* ESP in UDP, RFC 3948 */
	ABI_TUNNEL_FOLLOW = 1u << 1, /* an authenticated packet, newer than all before, from another
					 * outer address or port moves `remote` and `remote_port` */
	ABI_TUNNEL_SELECTORS = 1u << 2, /* only what its selectors name may pass; without any
					 * selectors nothing may */
	ABI_TUNNEL_MSS_OFF = 1u << 3,   /* the MSS of TCP SYNs is left alone */
	ABI_TUNNEL_DSCP_IN = 1u << 4,   /* the outer DSCP replaces the inner one on the way in (RFC
					 * 2983's uniform model); else the inner one is preserved */
	ABI_TUNNEL_ACQUIRE = 1u << 5,   /* a packet for it while it has no outbound SA is dropped as
					 * ever, and told of: ABI_EVENT_ACQUIRE */
};

#define ABI_DSCP_COPY 0     /* the outer DSCP is the inner one */
#define ABI_DSCP_SET  0x80u /* or-ed with the DSCP, 0 .. 63 */

/* The outer DF bit; RFC 4301 section 8.1. What is inside an IPv6 packet counts as set. */
enum abi_df { ABI_DF_COPY = 0, ABI_DF_SET = 1, ABI_DF_CLEAR = 2 };

/* The outer IPv6 flow label; RFC 6437, RFC 6438. */
enum abi_flow_label {
	ABI_FLOW_LABEL_SA = 0,    /* one per outbound SA */
	ABI_FLOW_LABEL_INNER = 1, /* one per inner flow, for paths that spread by it */
	ABI_FLOW_LABEL_ZERO = 2,
};

struct abi_tunnel {
	uint32_t id; /* not 0 */
	uint32_t tenant;
	struct abi_address local;  /* outer source; an address of the underlay */
	struct abi_address remote; /* outer destination, same family */
	uint32_t flags;
	uint16_t local_port;  /* with ABI_TUNNEL_UDP: ABI_UDP_PORT; host byte order, else 0 */
	uint16_t remote_port; /* any, for a peer behind a NAT */
	uint16_t mtu;         /* largest outer packet; 0: that of the underlay's attachment */
	uint16_t mss;         /* most that a SYN may promise; 0: what the MTU allows */
	uint16_t pad_to;      /* TFC: shorter inner packets are padded to so many bytes; 0: none */
	uint16_t keepalive;   /* UDP: seconds without a packet until a NAT keepalive; 0: none */
	uint16_t dummy_ms;    /* TFC: milliseconds without a packet until a dummy; 0: none */
	uint8_t dscp;         /* ABI_DSCP_COPY, or ABI_DSCP_SET with a value */
	uint8_t df;           /* enum abi_df */
	uint8_t flow_label;   /* enum abi_flow_label */
	uint8_t ttl;          /* of the outer header; 0: 64 */
	uint8_t reserved[2];
	uint64_t cookie;
};
static_assert(sizeof(struct abi_tunnel) == 88, "abi_tunnel is 88 bytes");

/*
 * A traffic selector, RFC 4301 section 4.4.1, as IKE negotiates them (RFC 7296 section 3.13.1).
 * Local is the tenant's side, remote the peer's. Ranges hold both ends. With protocol 1 and 58 a port is ICMP
 * type * 256 + code (with 135 the mobility header's type * 256), the local range for what the tenant
 * sends and the remote one for what the peer sends. Ports 0 .. 65535: any, pieces of fragmented
 * packets that show no ports included; 65535 .. 0: only such pieces (OPAQUE). Others want a protocol
 * that has ports.
 */
struct abi_selector {
	uint8_t family;            /* enum abi_family */
	uint8_t protocol;          /* 0: any */
	uint16_t local_port_first; /* host byte order */
	uint16_t local_port_last;
	uint16_t remote_port_first;
	uint16_t remote_port_last;
	uint8_t reserved[6];
	uint8_t local_first[16]; /* network byte order, as in abi_address */
	uint8_t local_last[16];
	uint8_t remote_first[16];
	uint8_t remote_last[16];
};
static_assert(sizeof(struct abi_selector) == 80, "abi_selector is 80 bytes");

#define ABI_SELECTORS_MAX 16

/* Replaces those of a tunnel, in one step. Packets of the tunnel pass that match any of them. */
struct abi_selectors {
	uint32_t tunnel;
	uint32_t count;                                  /* 0: takes all away */
	struct abi_selector selector[ABI_SELECTORS_MAX]; /* those behind `count` are zero */
};
static_assert(sizeof(struct abi_selectors) == 1288, "abi_selectors is 1288 bytes");

/* In a dump only: where a tunnel stands now. */
struct abi_tunnel_state {
	uint32_t id;
	uint16_t path_mtu;  /* learnt from ICMP; 0: none was */
	uint16_t inner_mtu; /* largest inner packet that fits now; 0: the underlay has no way */
	struct abi_address remote; /* the present one: differs where the peer has moved */
	uint16_t remote_port;
	uint16_t reserved[3];
	uint64_t moves; /* times that the peer has moved */
};
static_assert(sizeof(struct abi_tunnel_state) == 48, "abi_tunnel_state is 48 bytes");

enum abi_sa_direction { ABI_SA_IN = 1, ABI_SA_OUT = 2 };

enum abi_sa_flags {
	ABI_SA_ESN = 1u << 0, /* 64-bit sequence numbers, RFC 4303 section 2.2.1 */
};

/*
 * How long an SA may serve, RFC 4301 section 4.4.2.1; 0: no limit. Only authenticated packets count.
 * Seconds count from the last SET on, packets and (inner) bytes from the first.
 */
struct abi_lifetime {
	uint64_t bytes;
	uint64_t packets;
	uint64_t seconds;
};
static_assert(sizeof(struct abi_lifetime) == 24, "abi_lifetime is 24 bytes");

/* Where an SA stands; in a dump only. */
enum abi_sa_state {
	ABI_SA_LIVE = 0,
	ABI_SA_SOFT = 1, /* beyond its soft lifetime: it wants a successor */
	ABI_SA_HARD = 2, /* beyond its hard lifetime: it carries nothing any more */
};

/*
 * One SA. A tunnel may have several inbound SAs at once; its newest outbound SA (the one set last)
 * is the one that sends, also when its hard lifetime is over. An SA's key can't be changed: a SET of a
 * live id with another cookie is refused with -EEXIST; take a new id. A SET of the same may raise the
 * lease and change the lifetimes: what it has carried so far counts, and beyond a hard one it stays.
 *
 * An outbound SA sends sequence numbers, which are also its IVs, from `sequence` up to and without
 * `sequence_limit` (a lease). The client records a lease durably before it grants it and never
 * grants a number twice under one key, so that a restart of either process can't repeat a nonce.
 */
struct abi_sa {
	uint32_t id; /* not 0 */
	uint32_t tunnel;
	uint32_t spi; /* network byte order; inbound: unique in the gateway, not below 256 */
	uint8_t direction;
	uint8_t flags;
	uint8_t key_len; /* 16, 24, 32 */
	uint8_t state;   /* enum abi_sa_state; 0 in a SET */
	uint16_t window; /* inbound: anti-replay window in packets, 0 (off) .. 4096 */
	uint16_t cpu; /* outbound: n: only worker n - 1 (modulo workers) sends with it; 0: all do */
	uint8_t salt[4];
	uint8_t key[32];         /* zero in a dump, as is the salt */
	uint64_t sequence;       /* outbound: the first to send, not 0; in a dump: the next one */
	uint64_t sequence_limit; /* outbound; without ESN at most 2^32 */
	uint64_t cookie;
	struct abi_lifetime soft; /* an event when it ends */
	struct abi_lifetime hard; /* an event, and the SA carries nothing more */
};
static_assert(sizeof(struct abi_sa) == 128, "abi_sa is 128 bytes");

struct abi_sa_lease {
	uint32_t id;
	uint32_t reserved;
	uint64_t sequence_limit; /* above the present one */
};
static_assert(sizeof(struct abi_sa_lease) == 16, "abi_sa_lease is 16 bytes");

enum abi_route_kind {
	ABI_ROUTE_TUNNEL = 1,    /* target: tunnel of the same tenant */
	ABI_ROUTE_GATEWAY = 2,   /* target: attachment of the same tenant; via: on-link next hop */
	ABI_ROUTE_BLACKHOLE = 3, /* drop, counted */
};

struct abi_route {
	uint32_t tenant; /* 0: the underlay, where it isn't mirrored */
	uint32_t kind;
	uint32_t target;
	uint32_t reserved;
	struct abi_address prefix; /* bits behind prefix_len are zero */
	struct abi_address via;    /* GATEWAY only */
	uint64_t reserved2;
};
static_assert(sizeof(struct abi_route) == 72, "abi_route is 72 bytes");

struct abi_neighbour {
	uint32_t attachment;
	uint8_t mac[6];
	uint8_t state; /* in a dump: enum abi_neighbour_state */
	uint8_t reserved;
	struct abi_address address;
};
static_assert(sizeof(struct abi_neighbour) == 36, "abi_neighbour is 36 bytes");

enum abi_neighbour_state {
	ABI_NEIGHBOUR_INCOMPLETE = 0,
	ABI_NEIGHBOUR_REACHABLE = 1,
	ABI_NEIGHBOUR_STALE = 2,
	ABI_NEIGHBOUR_PERMANENT = 3,
};

enum abi_dump_kind {
	ABI_DUMP_TENANT = 1,     /* abi_tenant */
	ABI_DUMP_ATTACHMENT = 2, /* abi_attachment */
	ABI_DUMP_TUNNEL = 3,     /* abi_tunnel */
	ABI_DUMP_SA = 4,         /* abi_sa, key and salt zero */
	ABI_DUMP_ROUTE = 5,      /* abi_route: those that were set; neither on-link nor mirrored */
	ABI_DUMP_NEIGHBOUR = 6,  /* abi_neighbour */
	ABI_DUMP_PORT = 7,       /* abi_port */
	ABI_DUMP_REASON = 8,     /* abi_reason: the names of the drop reasons, by number */
	ABI_DUMP_SELECTORS = 9,  /* abi_selectors, of the tunnels that have any */
	ABI_DUMP_TUNNEL_STATE = 10, /* abi_tunnel_state */
};

struct abi_dump {
	uint32_t kind;
	uint32_t tenant; /* routes and neighbours: of this tenant only; UINT32_MAX: all */
};
static_assert(sizeof(struct abi_dump) == 8, "abi_dump is 8 bytes");

#define ABI_PORT_CLASSES 12

/* What a port really got. */
struct abi_port {
	char name[ABI_NAME_LEN];
	char driver[ABI_NAME_LEN];
	char device[64];
	uint8_t mac[6];
	uint16_t index; /* row in the counters */
	uint32_t speed; /* Mbit/s, 0: unknown */
	uint16_t mtu;
	uint16_t rx_queues;
	uint16_t tx_queues;
	uint8_t link;         /* 1: up */
	uint8_t xdp;          /* 1: the steering program is attached and `steered` is filled */
	uint64_t rx_offloads; /* RTE_ETH_RX_OFFLOAD_* in force */
	uint64_t tx_offloads;
	uint64_t steered[ABI_PORT_CLASSES]; /* enum xdp_class of xdp/steer.h: packets by class */
};
static_assert(sizeof(struct abi_port) == 256 + 8, "abi_port is 264 bytes");

struct abi_reason {
	uint32_t number; /* index into a row of drops */
	uint32_t reserved;
	char name[ABI_NAME_LEN]; /* for example "icv_failed" */
	char text[88];           /* one line: what it means */
};
static_assert(sizeof(struct abi_reason) == 128, "abi_reason is 128 bytes");

struct abi_counters_reply {
	uint64_t boot;
	uint64_t size; /* bytes to map */
};
static_assert(sizeof(struct abi_counters_reply) == 16, "abi_counters_reply is 16 bytes");

struct abi_trace_start {
	uint32_t tenant;  /* UINT32_MAX: all, and packets of no tenant */
	uint32_t packets; /* stops by itself after so many, 1 .. 65536 */
	uint32_t every;   /* one in so many, at least 1 */
	uint32_t reserved;
};
static_assert(sizeof(struct abi_trace_start) == 16, "abi_trace_start is 16 bytes");

enum abi_event_kind {
	ABI_EVENT_SA_SOFT = 1,     /* value: enum abi_limit */
	ABI_EVENT_SA_HARD = 2,     /* value: enum abi_limit */
	ABI_EVENT_SA_SEQUENCE = 3, /* the last sequence number was sent; value: it */
	ABI_EVENT_ICV_FAILED = 4,  /* count: packets since the last such event of the SA; value: the
				     * last one's sequence number, address: where it came from */
	ABI_EVENT_PEER_MOVED = 5,  /* address and port: the new ones */
	ABI_EVENT_PATH_MTU = 6,    /* value: bytes; 0: the learnt one has aged and is forgotten */
	ABI_EVENT_ESN_RECOVERED = 7, /* value: the sequence number found again after a gap */
	ABI_EVENT_ACQUIRE = 8, /* a packet of the tenant's that had no SA to go by: address, port,
				* protocol, to, to_port; once a second and tunnel. Ports are 0 where the
				* packet shows none; ICMP: both as in abi_selector */
};

enum abi_limit { ABI_LIMIT_BYTES = 1, ABI_LIMIT_PACKETS = 2, ABI_LIMIT_SECONDS = 3 };

/* Something that happened by itself. The newest ABI_EVENTS_KEPT are there to be read. */
struct abi_event {
	uint64_t number; /* from 1 on, since the boot; a gap: events were lost */
	uint64_t time;   /* CLOCK_REALTIME, ns */
	uint32_t kind;   /* enum abi_event_kind */
	uint32_t tenant;
	uint32_t tunnel;
	uint32_t sa;  /* 0: none */
	uint32_t spi; /* network byte order, 0: none */
	uint32_t count;
	uint64_t value;
	struct abi_address address; /* or none */
	uint16_t port;              /* host byte order; 0: none */
	uint16_t to_port;           /* ACQUIRE, as are the next ones */
	uint8_t protocol;           /* 0: hidden behind headers that can't be walked */
	uint8_t reserved[3];
	struct abi_address to;
};
static_assert(sizeof(struct abi_event) == 104, "abi_event is 104 bytes");

#define ABI_EVENTS_KEPT 4096

struct abi_event_read {
	uint64_t after; /* those with a higher number; 0: all that are kept */
};
static_assert(sizeof(struct abi_event_read) == 8, "abi_event_read is 8 bytes");

#define ABI_TRACE_HEADERS 80

enum abi_trace_walk {
	ABI_TRACE_NONE = 0,
	ABI_TRACE_OUTBOUND = 1,
	ABI_TRACE_INBOUND = 2,
	ABI_TRACE_LOCAL = 3,
	ABI_TRACE_PUNT = 4,
};

/* What became of one packet: its headers as they stood at the end, never its payload. */
struct abi_trace_record {
	uint64_t time; /* CLOCK_REALTIME, ns */
	uint32_t tenant;
	uint32_t tunnel; /* 0: none */
	uint32_t spi;    /* network byte order, 0: none */
	uint16_t reason; /* drop reason; 0: it was sent */
	uint8_t walk;    /* enum abi_trace_walk */
	uint8_t worker;
	uint16_t rx_port; /* index; 0xffff: none */
	uint16_t tx_port;
	uint16_t length; /* bytes of the whole packet */
	uint16_t captured;
	uint64_t sequence;                  /* ESP, 0: none */
	uint8_t headers[ABI_TRACE_HEADERS]; /* L3 and L4 headers only */
	uint8_t reserved[8];
};
static_assert(sizeof(struct abi_trace_record) == 128, "abi_trace_record is 128 bytes");

#endif /* KAIDO_ABI_MESSAGE_H */
