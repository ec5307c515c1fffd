/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fragments of ESP on the underlay. Packets are sealed as the peer would and cut as the input says. An
 * input: one byte of options, then pieces of five bytes: control, identification, size (in units of 8
 * bytes, less one), which of the pieces of that size, and the piece's congestion mark and damage.
 */
#include "fuzz.h"
#include "ip_header.h"
#include "packet_fix.h"
#include "soft_gateway.h"

#define CONTROL_TUNNEL 0x07
#define CONTROL_RUN    0x08 /* the burst ends here */
#define CONTROL_NEW    0x10 /* of a new packet; else of the tunnel's last one */
#define CONTROL_ODD    0x20 /* a byte longer than it should be */
#define CONTROL_LAST   0x40 /* says the opposite of whether more follows */
#define CONTROL_AT_END 0x80

#define FLAGS_DAMAGE 0x0f /* a byte of the piece is changed, if not 0 */

#define INNER_LEN 700
#define WHOLE_MAX 1024

static struct soft_gateway *gateway;

/* The last packet of each tunnel. */
struct whole {
	uint8_t frame[WHOLE_MAX];
	uint32_t len;
	uint64_t sequence;
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	gateway = soft_gateway_create();
	return 0;
}

static void whole_new(struct whole *w, uint32_t tunnel)
{
	uint8_t payload[INNER_LEN + 2] = {
		0x45,     [8] = 64, 17,      [12] = 10, tunnel == 5 ? 1 : (uint8_t)tunnel,
		[15] = 5, 10,       [19] = 9
	};

	for (uint32_t i = IPV4_HEADER_MIN; i < INNER_LEN; i++)
		payload[i] = (uint8_t)(i * 7 + w->sequence * 11);
	packet_fix_lengths(payload, INNER_LEN - 2);
	packet_fix_checksums(payload, INNER_LEN - 2);
	payload[INNER_LEN - 2] = 1;
	payload[INNER_LEN - 1] = 2;
	payload[INNER_LEN] = 2;
	payload[INNER_LEN + 1] = 4;
	w->sequence++;
	w->len = oracle_seal(&gateway->oracle, tunnel, w->sequence, 2, payload, sizeof(payload),
			     w->frame);
	FUZZ_CHECK(w->len <= sizeof(w->frame));
}

/* Bytes `from` .. `from + size` of what stands behind the IP header. Returns the frame's length. */
static uint32_t piece_write(const struct whole *w, uint8_t *frame, uint32_t from, uint32_t size,
			    uint8_t id, bool more, uint8_t mark)
{
	bool v6 = w->frame[14] >> 4 == 6;
	uint32_t l2l3 = 14 + (v6 ? IPV6_HEADER_LEN : IPV4_HEADER_MIN), head = l2l3 + (v6 ? 8 : 0);
	uint8_t *l3 = frame + 14, *extension = l3 + IPV6_HEADER_LEN;

	memcpy(frame, w->frame, l2l3);
	memcpy(frame + head, w->frame + l2l3 + from, size);
	if (v6) {
		extension[0] = l3[6];
		extension[1] = 0;
		store_be16(extension + 2, (uint16_t)(from | more));
		store32(extension + 4, id);
		l3[6] = 44;
		l3[1] = (uint8_t)((l3[1] & 0xcf) | mark << 4);
	} else {
		store_be16(l3 + 4, id);
		store_be16(l3 + 6, (uint16_t)(from / 8 | (more ? 0x2000 : 0)));
		l3[1] = (uint8_t)((l3[1] & 0xfc) | mark);
	}
	packet_fix_lengths(l3, head - 14 + size);
	packet_fix_checksums(l3, head - 14 + size);
	return head + size;
}

static void piece_run(struct fuzz_input *in, struct whole whole[ORACLE_TUNNELS])
{
	uint8_t control = fuzz_u8(in), id = fuzz_u8(in), unit = fuzz_u8(in), number = fuzz_u8(in);
	uint8_t flags = fuzz_u8(in), frame[WHOLE_MAX + 64];
	uint32_t tunnel = (control & CONTROL_TUNNEL) % 5 + 1, payload, size, from, len;
	struct whole *w = &whole[tunnel];
	bool more;

	if ((control & CONTROL_NEW) || w->len == 0)
		whole_new(w, tunnel);
	payload = w->len - 14 - (w->frame[14] >> 4 == 6 ? IPV6_HEADER_LEN : IPV4_HEADER_MIN);
	size = 8 * (unit + 1u);
	from = size * number;
	if (from >= payload)
		from = payload / 8 * 8;
	size = size > payload - from ? payload - from : size;
	more = from + size < payload;
	if ((control & CONTROL_ODD) && more)
		size++;
	len = piece_write(w, frame, from, size, id, more != !!(control & CONTROL_LAST),
			  (uint8_t)((flags >> 4) + 2) & 3);
	if ((flags & FLAGS_DAMAGE) && size != 0)
		frame[len - 1 - size * (flags & FLAGS_DAMAGE) / 16] ^= 0x20;
	soft_gateway_frame(gateway, SOFT_WAN, frame, len,
			   control & CONTROL_AT_END ? SOFT_AT_END : 0);
	if (control & CONTROL_RUN)
		soft_gateway_run(gateway);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct whole whole[ORACLE_TUNNELS];
	struct fuzz_input in = { data, size };

	memset(whole, 0, sizeof(whole));
	soft_gateway_begin(gateway, fuzz_u8(&in));
	while (in.left != 0)
		piece_run(&in, whole);
	soft_gateway_end(gateway);
	return 0;
}
