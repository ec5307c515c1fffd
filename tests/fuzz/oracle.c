/* SPDX-License-Identifier: BSD-3-Clause */
#include "oracle.h"

#include <string.h>

#include "fuzz.h"
#include "ip_header.h"
#include "packet_fix.h"

#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_ESP 50
#define ESP_HEAD  16 /* SPI, sequence number, IV */
#define UDP_ESP   4500
#define MTU       1500

static const uint8_t mac_lan[6] = { 2, 0, 0, 0, 1, 0 }, mac_wan[6] = { 2, 0, 0, 0, 1, 1 };
static const uint8_t own_v4[4] = { 192, 0, 2, 1 }, peer_v4[4] = { 192, 0, 2, 2 };
static const uint8_t own_v6[16] = { 0x20, 1, 0xd, 0xb8, [15] = 1 };
static const uint8_t peer_v6[16] = { 0x20, 1, 0xd, 0xb8, [15] = 2 };

void oracle_begin(struct oracle *o)
{
	o->packets = 0;
	o->fragments = 0;
	o->lost = false;
	o->matched = 0;
	o->own = 0;
	o->wholes = 0;
	for (uint32_t t = 1; t < ORACLE_TUNNELS; t++) {
		o->tunnel[t].last_sent = 0;
		o->tunnel[t].packets = 0;
		o->tunnel[t].bytes = 0;
		memset(o->tunnel[t].sent, 0, sizeof(o->tunnel[t].sent));
	}
}

/* ---- packets that may come out ---- */

static uint8_t packet_class(const uint8_t *l3)
{
	return l3[0] >> 4 == 4 ? l3[1] : (uint8_t)(load_be16(l3) >> 4);
}

/* By its own account; 0: it isn't one. */
static uint32_t packet_length(const uint8_t *l3, uint32_t avail)
{
	uint32_t len = 0;

	if (avail >= IPV4_HEADER_MIN && l3[0] >> 4 == 4)
		len = load_be16(l3 + 2);
	else if (avail >= IPV6_HEADER_LEN && l3[0] >> 4 == 6)
		len = IPV6_HEADER_LEN + load_be16(l3 + 4);
	return len <= avail ? len : 0;
}

/*
 * DSCP and congestion mark that an inner packet leaves a tunnel with: RFC 6040 section 4.2, figure 4,
 * and RFC 2983.
 */
static void class_leave(const struct oracle_tunnel *tunnel, uint8_t *inner, uint8_t outer)
{
	static const uint8_t leaves[4][4] = {
		/* outer: Not-ECT, ECT(1), ECT(0), CE; a Not-ECT inner one under CE is dropped */
		[0] = { 0, 0, 0, 0 },
		[1] = { 1, 1, 1, 3 },
		[2] = { 2, 1, 2, 3 },
		[3] = { 3, 3, 3, 3 },
	};
	uint8_t class = packet_class(inner), dscp = class;

	if (tunnel->policy.flags & ABI_TUNNEL_DSCP_IN)
		dscp = outer;
	class = (uint8_t)((dscp & 0xfc) | leaves[class & 3][outer & 3]);
	if (inner[0] >> 4 == 4)
		inner[1] = class;
	else
		store_be16(inner, (uint16_t)((load_be16(inner) & 0xf00f) | class << 4));
}

/* By RFC 7126 sections 4.3 and 4.4, and RFC 5095: such a packet ends here. */
static bool source_routed(const uint8_t *l3, uint32_t len)
{
	uint32_t at = l3[0] >> 4 == 4 ? IPV4_HEADER_MIN : IPV6_HEADER_LEN, end = (l3[0] & 15u) * 4;
	uint8_t next = l3[6];

	if (l3[0] >> 4 == 4) {
		while (at < end && at < len && l3[at] != 0) {
			if (l3[at] == 131 || l3[at] == 137)
				return true;
			if (l3[at] != 1 && (at + 1 >= end || l3[at + 1] < 2))
				return false;
			at += l3[at] == 1 ? 1 : l3[at + 1];
		}
		return false;
	}
	while ((next == 0 || next == 43 || next == 44 || next == 60) && at + 8 <= len) {
		bool piece = next == 44;

		if (next == 43 && l3[at + 2] == 0 && l3[at + 3] != 0)
			return true;
		if (piece && (load_be16(l3 + at + 2) & 0xfff8) != 0)
			return false;
		next = l3[at];
		at += piece ? 8u : (l3[at + 1] + 1u) * 8;
	}
	return false;
}

/* A copy, or none where there are too many. */
static void packet_expect(struct oracle *o, uint32_t tenant, const uint8_t *l3, uint32_t avail)
{
	struct oracle_packet *p = &o->packet[o->packets];

	if (o->packets == ORACLE_PACKETS)
		return;
	p->len = packet_length(l3, avail);
	if (p->len == 0 || p->len > sizeof(p->bytes) || source_routed(l3, p->len))
		return;
	p->tenant = tenant;
	p->used = p->cut = false;
	memset(p->sent, 0, sizeof(p->sent));
	memcpy(p->bytes, l3, p->len);
	o->packets++;
}

/* ---- what forwarding may change ---- */

/* The MSS of a SYN may be lowered; its checksum then follows. Takes both over into `before`. */
static void mss_adopt(uint8_t *before, const uint8_t *l3, uint32_t len)
{
	bool v4 = l3[0] >> 4 == 4;
	uint32_t at = v4 ? (l3[0] & 0xfu) * 4 : IPV6_HEADER_LEN, end;
	const uint8_t *tcp = l3 + at;

	if ((v4 ? l3[9] : l3[6]) != PROTO_TCP || len < at + 20 || !(tcp[13] & 2) ||
	    (v4 && (load_be16(l3 + 6) & 0x1fff) != 0))
		return;
	end = (tcp[12] >> 4) * 4u;
	if (len < at + end)
		return;
	for (uint32_t i = 20; i + 4 <= end;) {
		if (tcp[i] == 2 && tcp[i + 1] == 4) {
			if (load_be16(tcp + i + 2) >= load_be16(before + at + i + 2))
				return;
			memcpy(before + at + i + 2, tcp + i + 2, 2);
			/* The sum over all, checksum included, stays. */
			memcpy(before + at + 16, tcp + 16, 2);
			return;
		}
		if (tcp[i] == 0 || (tcp[i] != 1 && tcp[i + 1] < 2))
			return;
		i += tcp[i] == 1 ? 1 : tcp[i + 1];
	}
}

/* The one's complement sum from the transport header on; 0 and 0xffff are the same. */
static uint16_t payload_sum(const uint8_t *l3, uint32_t len)
{
	uint32_t at = l3[0] >> 4 == 4 ? (l3[0] & 0xfu) * 4 : IPV6_HEADER_LEN;

	return checksum_fold(checksum_sum(l3 + at, len - at, 0)) % 0xffff;
}

/* The same bytes, one hop later. */
static bool packet_is_forwarded(const struct oracle_packet *p, const uint8_t *l3, uint32_t len)
{
	uint8_t before[ORACLE_PACKET_MAX];

	if (p->used || p->len != len || p->cut)
		return false;
	memcpy(before, p->bytes, len);
	if (l3[0] >> 4 == 4) {
		before[8]--;
		memcpy(before + 10, l3 + 10, 2);
	} else {
		before[7]--;
	}
	mss_adopt(before, l3, len);
	return memcmp(before, l3, len) == 0 && payload_sum(p->bytes, len) == payload_sum(l3, len);
}

/* RFC 791: a piece behind the first may lack options; the rest of the header is the packet's. */
static bool header_is_pieces(const struct oracle_packet *p, const uint8_t *l3, uint32_t header_len)
{
	for (uint32_t i = IPV4_HEADER_MIN; i < header_len; i++)
		if (l3[i] != p->bytes[i] && l3[i] != 1)
			return false;
	return l3[0] == p->bytes[0] && l3[1] == p->bytes[1] && l3[8] == p->bytes[8] - 1 &&
	       l3[9] == p->bytes[9] && memcmp(l3 + 4, p->bytes + 4, 2) == 0 &&
	       memcmp(l3 + 12, p->bytes + 12, 8) == 0;
}

/* A piece of it that has not been seen: no byte is sent twice. The reserved flag may be lost. */
static bool packet_is_cut(struct oracle_packet *p, const uint8_t *l3, uint32_t len)
{
	uint32_t header_len = (l3[0] & 0xfu) * 4, place = load_be16(l3 + 6), first, from;
	uint32_t whole = load_be16(p->bytes + 6);
	uint8_t piece[ORACLE_PACKET_MAX];
	bool last;

	if (p->used || l3[0] >> 4 != 4 || p->bytes[0] != l3[0] || p->len <= len ||
	    (whole & 0x4000) || (place & 0x1fff) < (whole & 0x1fff))
		return false;
	from = ((place & 0x1fff) - (whole & 0x1fff)) * 8;
	last = header_len + from + (len - header_len) == p->len;
	if (header_len + from + (len - header_len) > p->len ||
	    !header_is_pieces(p, l3, header_len) ||
	    (place & 0x6000) != (last ? whole & 0x2000 : 0x2000) ||
	    (!last && (len - header_len) % 8 != 0))
		return false;
	memcpy(piece, p->bytes, header_len);
	memcpy(piece + header_len, p->bytes + header_len + from, len - header_len);
	memcpy(piece + 6, l3 + 6, 2);
	mss_adopt(piece, l3, len);
	if (memcmp(piece + header_len, l3 + header_len, len - header_len) != 0)
		return false;
	first = from / 8;
	for (uint32_t i = first; i < first + (len - header_len + 7) / 8; i++) {
		if (p->sent[i / 64] >> i % 64 & 1)
			return false;
		p->sent[i / 64] |= 1ull << i % 64;
	}
	p->cut = true;
	return true;
}

/* One of those of the tenant that came in, whole or a piece of it; not expected a second time. */
static bool packet_match(struct oracle *o, uint32_t tenant, const uint8_t *l3, uint32_t len)
{
	struct oracle_packet *p = o->packet, *end = o->packet + o->packets;

	while (p < end && (p->tenant != tenant || !packet_is_forwarded(p, l3, len)))
		p++;
	if (p < end) {
		p->used = true;
	} else {
		/* Only then: what is whole may look like a piece of another. */
		p = o->packet;
		while (p < end && (p->tenant != tenant || !packet_is_cut(p, l3, len)))
			p++;
	}
	if (p == end)
		return false;
	if (l3[0] >> 4 == 4)
		FUZZ_CHECK(checksum_fold(ipv4_checksum_sum(l3, (l3[0] & 0xfu) * 4)) == 0xffff);
	o->matched++;
	return true;
}

/* From one of the gateway's own addresses: echo replies, ICMP errors, ND. */
static bool packet_is_own(const uint8_t *l3, const uint8_t *v4, const uint8_t *v6,
			  const uint8_t mac[6])
{
	const uint8_t link_local[16] = { 0xfe, 0x80, [8] = mac[0] ^ 2, mac[1], mac[2],
					 0xff, 0xfe, mac[3],           mac[4], mac[5] };

	if (l3[0] >> 4 == 4)
		return memcmp(l3 + 12, v4, 4) == 0;
	return memcmp(l3 + 8, v6, 16) == 0 || memcmp(l3 + 8, link_local, 16) == 0;
}

static void packet_print(const uint8_t *l3, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		fprintf(stderr, "%02x%s", l3[i], i + 1 == len ? "\n" : i % 4 == 3 ? " " : "");
}

/* What leaves to a tenant, or into a tunnel of its: forwarded, or the gateway's own. */
static void packet_out(struct oracle *o, uint32_t tenant, const uint8_t *l3, uint32_t len)
{
	static const uint8_t v4[4] = { 10, 0, 0, 1 }, v6[16] = { 0xfd, [15] = 1 };

	if (packet_match(o, tenant, l3, len) || o->lost)
		return;
	if (!packet_is_own(l3, v4, v6, mac_lan)) {
		fprintf(stderr, "tenant %u: nothing that came explains what went out:\n", tenant);
		packet_print(l3, len);
		fprintf(stderr, "what came:\n");
		for (uint32_t i = 0; i < o->packets; i++)
			packet_print(o->packet[i].bytes, o->packet[i].len);
		abort();
	}
	o->own++;
}

/* ---- ESP ---- */

static uint32_t tunnel_find(const struct oracle *o, uint32_t spi, bool out)
{
	for (uint32_t t = 1; t < ORACLE_TUNNELS; t++)
		if (spi == (out ? o->tunnel[t].spi_out : o->tunnel[t].spi_in))
			return t;
	return 0;
}

/* What may stand before ESP: options, routing, the header of a fragment that is whole (RFC 6946). */
static uint32_t extension_length(const uint8_t *header, uint8_t protocol)
{
	if (protocol == 44)
		return (load_be16(header + 2) & 0xfff9) == 0 ? 8 : 0;
	return protocol == 0 || protocol == 43 || protocol == 60 ? (header[1] + 1u) * 8 : 0;
}

/* Where ESP begins behind the outer IP header, and whether it is in UDP; 0: this is something else. */
static uint32_t esp_find(const uint8_t *l3, uint32_t len, bool *udp)
{
	uint32_t at = l3[0] >> 4 == 4 ? (l3[0] & 0xfu) * 4 : IPV6_HEADER_LEN;
	uint8_t protocol = l3[0] >> 4 == 4 ? l3[9] : l3[6];

	while (l3[0] >> 4 == 6 && len >= at + 8 && extension_length(l3 + at, protocol) != 0) {
		uint32_t size = extension_length(l3 + at, protocol);

		protocol = l3[at];
		at += size;
	}
	*udp = protocol == PROTO_UDP && len >= at + 12 && load_be16(l3 + at + 2) == UDP_ESP &&
	       load32(l3 + at + 8) != 0;
	if (*udp)
		at += 8;
	else if (protocol != PROTO_ESP)
		return 0;
	return len >= at + ESP_HEAD + 2 + AEAD_TAG_LEN ? at : 0;
}

static void esp_aad(struct aead_op *op, bool esn, const uint8_t *esp, uint64_t sequence)
{
	memcpy(op->aad, esp, 4);
	op->aad_len = esn ? 12 : 8;
	if (esn)
		store32(op->aad + 4, __builtin_bswap32((uint32_t)(sequence >> 32)));
	memcpy(op->aad + op->aad_len - 4, esp + 4, 4);
}

/* Opens a copy of what stands at `esp`; false: it is not authentic. */
static bool esp_open(const struct oracle *o, const struct aead_key *key, bool esn,
		     const uint8_t *esp, uint32_t len, uint64_t *sequence, uint8_t *plain)
{
	struct aead_op op = { .key = key, .len = len - ESP_HEAD - AEAD_TAG_LEN };
	uint64_t iv = __builtin_bswap64(load64(esp + 8));

	*sequence = __builtin_bswap32(load32(esp + 4));
	if ((uint32_t)iv == *sequence)
		*sequence = iv;
	memcpy(plain, esp + ESP_HEAD, len - ESP_HEAD);
	op.data = plain;
	op.tag = plain + op.len;
	memcpy(&op.iv, esp + 8, 8);
	esp_aad(&op, esn, esp, *sequence);
	return aead_decrypt(o->aead, &op, 1) == 0;
}

/* The same was expected already of what came in just now. */
static bool packet_is_expected(const struct oracle *o, uint32_t since, uint32_t tenant,
			       const uint8_t *l3, uint32_t avail)
{
	uint32_t len = packet_length(l3, avail);

	for (uint32_t i = since; i < o->packets; i++)
		if (o->packet[i].tenant == tenant && o->packet[i].len == len &&
		    memcmp(o->packet[i].bytes, l3, len) == 0)
			return true;
	return false;
}

void oracle_underlay_in(struct oracle *o, const uint8_t *l3, uint32_t len, uint32_t since)
{
	uint8_t plain[ORACLE_PACKET_MAX];
	uint64_t sequence;
	uint32_t at, t, inner_len;
	bool udp;

	at = esp_find(l3, len, &udp);
	if (at == 0)
		return;
	t = tunnel_find(o, __builtin_bswap32(load32(l3 + at)), false);
	if (t == 0 ||
	    !esp_open(o, o->tunnel[t].in, o->tunnel[t].esn, l3 + at, len - at, &sequence, plain))
		return;
	inner_len = len - at - ESP_HEAD - AEAD_TAG_LEN;
	if (o->tunnel[t].selectors && !oracle_selects(plain, inner_len, false))
		return;
	class_leave(&o->tunnel[t], plain, packet_class(l3));
	if (!packet_is_expected(o, since, o->tunnel[t].tenant, plain, inner_len))
		packet_expect(o, o->tunnel[t].tenant, plain, inner_len);
}

void oracle_wan_in(struct oracle *o, const uint8_t *frame, uint32_t len)
{
	uint16_t vlan, ethertype;
	uint32_t l3, total;

	if (!frame_parse(frame, len, &vlan, &ethertype, &l3))
		return;
	total = packet_length(frame + l3, len - l3);
	if (total != 0 && !oracle_fragment_in(o, frame + l3, total))
		oracle_underlay_in(o, frame + l3, total, o->packets);
}

/* RFC 3948: without a checksum over IPv4; IPv6 always has one (RFC 8200 section 8.1). */
static void udp_check(const uint8_t *l3, uint32_t len, uint32_t at)
{
	uint32_t udp_len = len - at + 8;
	uint64_t sum =
		checksum_sum(l3 + 8, 32, __builtin_bswap32(udp_len)) + ((uint64_t)PROTO_UDP << 24);

	FUZZ_CHECK(load_be16(l3 + at - 4) == udp_len);
	if (l3[0] >> 4 == 4)
		FUZZ_CHECK(load16(l3 + at - 2) == 0);
	else
		FUZZ_CHECK(load16(l3 + at - 2) != 0 &&
			   checksum_fold(checksum_sum(l3 + at - 8, udp_len, sum)) == 0xffff);
}

/* DSCP as the tunnel wants it, the congestion mark as it is (RFC 6040 section 4.1), DF, TTL, label. */
static void policy_check(struct oracle_tunnel *tunnel, const uint8_t *l3, const uint8_t *plain,
			 uint64_t sequence, bool cut)
{
	const struct abi_tunnel *policy = &tunnel->policy;
	uint8_t class = packet_class(plain), ttl = policy->ttl != 0 ? policy->ttl : 64;
	bool inner_df = plain[0] >> 4 == 6 || (plain[6] & 0x40);

	if (policy->dscp & ABI_DSCP_SET)
		class = (uint8_t)((policy->dscp & 63) << 2 | (class & 3));
	FUZZ_CHECK(packet_class(l3) == class);
	FUZZ_CHECK(l3[tunnel->v6 ? 7 : 8] == ttl);
	if (tunnel->v6) {
		uint32_t label = __builtin_bswap32(load32(l3)) & 0xfffff;

		FUZZ_CHECK((label == 0) == (policy->flow_label == ABI_FLOW_LABEL_ZERO));
		FUZZ_CHECK(policy->flow_label != ABI_FLOW_LABEL_SA || !tunnel->seen ||
			   label == tunnel->label);
		tunnel->label = label;
		tunnel->seen = true;
	} else if (!cut) {
		uint16_t id = (uint16_t)(load_be16(l3 + 4) ^ sequence);

		FUZZ_CHECK((load_be16(l3 + 6) == 0x4000) ==
			   (policy->df == ABI_DF_SET || (policy->df == ABI_DF_COPY && inner_df)));
		FUZZ_CHECK(!tunnel->seen || id == tunnel->id);
		tunnel->id = id;
		tunnel->seen = true;
	}
}

/* Zeros behind the inner packet, as many as the tunnel wants. Returns the packet's own length. */
static uint32_t padding_check(const struct oracle_tunnel *tunnel, const uint8_t *plain,
			      uint32_t inner_len)
{
	uint32_t len = packet_length(plain, inner_len);

	FUZZ_CHECK(len != 0);
	FUZZ_CHECK(inner_len == (len < tunnel->policy.pad_to ? tunnel->policy.pad_to : len));
	for (uint32_t i = len; i < inner_len; i++)
		FUZZ_CHECK(plain[i] == 0);
	return len;
}

/* RFC 4303: what a receiver would check, and what a sender of ours promises. */
static void esp_check(struct oracle *o, const uint8_t *l3, uint32_t len, uint32_t at, bool udp,
		      bool cut)
{
	uint32_t t = tunnel_find(o, __builtin_bswap32(load32(l3 + at)), true), inner_len, pad;
	struct oracle_tunnel *tunnel = &o->tunnel[t];
	uint8_t plain[ORACLE_PACKET_MAX];
	uint64_t sequence;

	FUZZ_CHECK(t != 0);
	FUZZ_CHECK(udp == tunnel->udp && (l3[0] >> 4 == 6) == tunnel->v6);
	FUZZ_CHECK(len <= MTU && (len - at) % 4 == 0);
	if (tunnel->v6)
		FUZZ_CHECK(memcmp(l3 + 8, own_v6, 16) == 0 && memcmp(l3 + 24, peer_v6, 16) == 0);
	else
		FUZZ_CHECK(memcmp(l3 + 12, own_v4, 4) == 0 && memcmp(l3 + 16, peer_v4, 4) == 0 &&
			   checksum_fold(ipv4_checksum_sum(l3, IPV4_HEADER_MIN)) == 0xffff);
	if (udp)
		udp_check(l3, len, at);
	FUZZ_CHECK(esp_open(o, tunnel->out, tunnel->esn, l3 + at, len - at, &sequence, plain));
	FUZZ_CHECK(cut || sequence > tunnel->last_sent);
	FUZZ_CHECK(load64(l3 + at + 8) == __builtin_bswap64(sequence));
	if (!cut)
		tunnel->last_sent = sequence;
	FUZZ_CHECK(sequence < ORACLE_SEQUENCES &&
		   !(tunnel->sent[sequence / 64] >> sequence % 64 & 1));
	tunnel->sent[sequence / 64] |= 1ull << sequence % 64;

	inner_len = len - at - ESP_HEAD - AEAD_TAG_LEN;
	pad = plain[inner_len - 2];
	FUZZ_CHECK(plain[inner_len - 1] == (plain[0] >> 4 == 4 ? 4 : 41));
	FUZZ_CHECK(pad + 2 < inner_len);
	inner_len -= pad + 2;
	for (uint32_t i = 0; i < pad; i++)
		FUZZ_CHECK(plain[inner_len + i] == i + 1);
	inner_len = padding_check(tunnel, plain, inner_len);
	FUZZ_CHECK(!tunnel->selectors || oracle_selects(plain, inner_len, true));
	tunnel->packets++;
	tunnel->bytes += inner_len;
	FUZZ_CHECK(!tunnel->mortal || (tunnel->packets <= ORACLE_LIFETIME_PACKETS &&
				       tunnel->bytes <= ORACLE_LIFETIME_BYTES));
	policy_check(tunnel, l3, plain, sequence, cut);
	packet_out(o, tunnel->tenant, plain, inner_len);
}

uint32_t oracle_seal(struct oracle *o, uint32_t tunnel, uint64_t sequence, uint8_t class,
		     const uint8_t *payload, uint32_t len, uint8_t *frame)
{
	const struct oracle_tunnel *t = &o->tunnel[tunnel];
	uint32_t head = (t->v6 ? IPV6_HEADER_LEN : IPV4_HEADER_MIN) + (t->udp ? 8 : 0);
	uint32_t total = head + ESP_HEAD + len + AEAD_TAG_LEN;
	uint8_t *l3 = frame + 14, *esp = l3 + head;
	struct aead_op op = { .key = t->in, .data = esp + ESP_HEAD, .len = len };

	memset(frame, 0, 14 + head);
	memcpy(frame, mac_wan, 6);
	memcpy(frame + 6, "\x02\0\0\0\x09\xfe", 6);
	store_be16(frame + 12, t->v6 ? 0x86dd : 0x0800);
	l3[0] = t->v6 ? 0x60 : 0x45;
	if (t->v6) {
		store_be16(l3, (uint16_t)(0x6000 | class << 4));
		l3[6] = t->udp ? PROTO_UDP : PROTO_ESP;
		l3[7] = 64;
		memcpy(l3 + 8, peer_v6, 16);
		memcpy(l3 + 24, own_v6, 16);
	} else {
		l3[1] = class;
		l3[8] = 64;
		l3[9] = t->udp ? PROTO_UDP : PROTO_ESP;
		memcpy(l3 + 12, peer_v4, 4);
		memcpy(l3 + 16, own_v4, 4);
	}
	packet_fix_lengths(l3, total);
	packet_fix_checksums(l3, total);
	if (t->udp) {
		store_be16(esp - 8, UDP_ESP);
		store_be16(esp - 6, UDP_ESP);
		store_be16(esp - 4, (uint16_t)(total - head + 8));
	}
	store32(esp, __builtin_bswap32(t->spi_in));
	store32(esp + 4, __builtin_bswap32((uint32_t)sequence));
	store64(esp + 8, __builtin_bswap64(sequence));
	memcpy(esp + ESP_HEAD, payload, len);
	op.tag = op.data + len;
	memcpy(&op.iv, esp + 8, 8);
	esp_aad(&op, t->esn, esp, sequence);
	FUZZ_CHECK(aead_encrypt(o->aead, &op, 1) == 0);
	return 14 + total;
}

/* ---- frames ---- */

void oracle_lan_in(struct oracle *o, const uint8_t *frame, uint32_t len)
{
	uint16_t vlan, ethertype;
	uint32_t l3;

	if (frame_parse(frame, len, &vlan, &ethertype, &l3) && (vlan == 0 || vlan == 102))
		packet_expect(o, vlan == 0 ? 1 : 2, frame + l3, len - l3);
}

/* The packet in a frame that was sent; NULL: ARP. */
static const uint8_t *frame_out(const uint8_t *frame, uint32_t len, const uint8_t mac[6],
				uint16_t *vlan, uint32_t *length)
{
	uint16_t ethertype;
	uint32_t l3;

	FUZZ_CHECK(frame_parse(frame, len, vlan, &ethertype, &l3));
	FUZZ_CHECK(memcmp(frame + 6, mac, 6) == 0);
	if (ethertype == 0x0806)
		return NULL;
	FUZZ_CHECK(ethertype == 0x0800 || ethertype == 0x86dd);
	*length = packet_length(frame + l3, len - l3);
	FUZZ_CHECK(*length != 0 && frame[l3] >> 4 == (ethertype == 0x0800 ? 4 : 6));
	FUZZ_CHECK(*length == len - l3 && *length <= MTU);
	return frame + l3;
}

void oracle_lan_out(struct oracle *o, const uint8_t *frame, uint32_t len)
{
	uint32_t length;
	uint16_t vlan;
	const uint8_t *l3 = frame_out(frame, len, mac_lan, &vlan, &length);

	FUZZ_CHECK(vlan == 0 || vlan == 102);
	if (l3 != NULL)
		packet_out(o, vlan == 0 ? 1 : 2, l3, length);
}

/* ---- ESP in pieces ---- */

struct piece {
	uint32_t header_len; /* before what the piece carries */
	uint32_t from;       /* in the packet's payload */
	uint32_t size;
	uint32_t id;
	bool v6;
	bool last;
};

/* False: it is whole. */
static bool piece_read(const uint8_t *l3, uint32_t len, struct piece *piece)
{
	uint16_t place;

	if (l3[0] >> 4 == 4) {
		place = load_be16(l3 + 6);
		if ((place & 0x3fff) == 0)
			return false;
		FUZZ_CHECK(l3[0] == 0x45 && !(place & 0xc000));
		*piece = (struct piece){ IPV4_HEADER_MIN,
					 (place & 0x1fff) * 8u,
					 len - IPV4_HEADER_MIN,
					 load16(l3 + 4),
					 false,
					 !(place & 0x2000) };
	} else {
		if (l3[6] != 44)
			return false;
		FUZZ_CHECK(len > IPV6_HEADER_LEN + 8 && l3[41] == 0);
		place = load_be16(l3 + 42);
		*piece = (struct piece){ IPV6_HEADER_LEN + 8,
					 place & 0xfff8u,
					 len - IPV6_HEADER_LEN - 8,
					 load32(l3 + 44),
					 true,
					 !(place & 1) };
	}
	FUZZ_CHECK(piece->last || piece->size % 8 == 0);
	return true;
}

/* The packet, once nothing is missing; it then looks as if it had never been cut. */
static const struct oracle_whole *whole_add(struct oracle *o, const uint8_t *l3,
					    const struct piece *piece)
{
	uint32_t head = piece->v6 ? IPV6_HEADER_LEN : IPV4_HEADER_MIN;
	struct oracle_whole *w = o->whole, *end = o->whole + o->wholes;

	while (w < end && (w->id != piece->id || w->v6 != piece->v6))
		w++;
	if (w == end) {
		FUZZ_CHECK(o->wholes++ < ORACLE_WHOLES);
		*w = (struct oracle_whole){ .id = piece->id, .v6 = piece->v6 };
		memcpy(w->bytes, l3, head);
	}
	FUZZ_CHECK(head + piece->from + piece->size <= ORACLE_PACKET_MAX);
	for (uint32_t i = piece->from / 8; i < (piece->from + piece->size + 7) / 8; i++) {
		FUZZ_CHECK(!(w->there[i / 64] >> i % 64 & 1));
		w->there[i / 64] |= 1ull << i % 64;
	}
	/* But for length, place and checksum, all headers are the same. */
	FUZZ_CHECK(memcmp(w->bytes + 12, l3 + 12, head - 12) == 0 && w->bytes[1] == l3[1]);
	memcpy(w->bytes + head + piece->from, l3 + piece->header_len, piece->size);
	w->got += piece->size;
	if (piece->last)
		w->len = head + piece->from + piece->size;
	if (w->len != head + w->got)
		return NULL;
	if (piece->v6)
		w->bytes[6] = l3[IPV6_HEADER_LEN];
	else
		store16(w->bytes + 6, 0);
	packet_fix_lengths(w->bytes, w->len);
	if (!piece->v6)
		packet_fix_checksums(w->bytes, w->len);
	return w;
}

void oracle_wan_out(struct oracle *o, const uint8_t *frame, uint32_t len)
{
	uint32_t length, at;
	uint16_t vlan;
	const uint8_t *l3 = frame_out(frame, len, mac_wan, &vlan, &length);
	const struct oracle_whole *whole = NULL;
	struct piece piece;
	bool udp;

	FUZZ_CHECK(vlan == 0);
	if (l3 == NULL)
		return;
	if (piece_read(l3, length, &piece)) {
		FUZZ_CHECK(packet_is_own(l3, own_v4, own_v6, mac_wan));
		whole = whole_add(o, l3, &piece);
		if (whole == NULL)
			return;
		l3 = whole->bytes;
		length = whole->len;
	}
	at = esp_find(l3, length, &udp);
	if (at != 0)
		esp_check(o, l3, length, at, udp, whole != NULL);
	else /* a reply to a large echo request is cut, too */
		FUZZ_CHECK(packet_is_own(l3, own_v4, own_v6, mac_wan));
}
