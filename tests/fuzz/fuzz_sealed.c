/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stands behind the tag check: the input's bytes are the decrypted payload (inner packet,
 * padding, pad length, next header), sealed as the peer would. An input: one byte of options, then
 * payloads, each a byte of control, one that picks the sequence number (low half) and the outer
 * DSCP and ECN (high half), a length of two bytes (little-endian) and so many bytes.
 */
#include "fuzz.h"
#include "ip_header.h"
#include "packet_fix.h"
#include "soft_gateway.h"

#define CONTROL_TUNNEL  0x07
#define CONTROL_RUN     0x08 /* the burst ends here */
#define CONTROL_TRAILER 0x10 /* padding, pad length and next header are added, and right */
#define CONTROL_INNER   0x20 /* lengths, source network and checksums are made right */
#define CONTROL_AT_END  0x40
#define CONTROL_AGAIN   0x80 /* the sequence number of the one before */

#define PAYLOAD_MAX     1900
#define ESP_TRAILER_LEN 2 /* pad length, next header */
#define STEP_LARGE      (1u << 30)

static struct soft_gateway *gateway;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	gateway = soft_gateway_create();
	return 0;
}

static void inner_fix(uint8_t *inner, uint32_t len, uint32_t tunnel)
{
	uint8_t net = tunnel == 5 ? 1 : (uint8_t)tunnel;

	packet_fix_lengths(inner, len);
	if (len >= IPV6_HEADER_LEN && inner[0] >> 4 == 6) {
		inner[8] = 0xfd;
		inner[9] = net;
	} else if (len >= IPV4_HEADER_MIN && inner[0] >> 4 == 4) {
		inner[12] = 10;
		inner[13] = net;
	}
	packet_fix_checksums(inner, len);
}

/* RFC 4303 section 2.4. Returns the new length. */
static uint32_t trailer_add(uint8_t *payload, uint32_t len)
{
	uint8_t next_header = len != 0 && payload[0] >> 4 == 6 ? 41 : 4, pad = -(len + 2) & 3;

	for (uint8_t i = 1; i <= pad; i++)
		payload[len++] = i;
	payload[len++] = pad;
	payload[len++] = next_header;
	return len;
}

static void payload_run(struct fuzz_input *in, uint64_t sequence[ORACLE_TUNNELS])
{
	static const uint32_t step[] = { 1,  2,    31,   32,   63,      64,
					 65, 1023, 1024, 4096, 1 << 20, STEP_LARGE };
	uint8_t payload[SOFT_FRAME_MAX], frame[SOFT_FRAME_MAX + 128];
	uint8_t control = fuzz_u8(in), jump = fuzz_u8(in);
	uint32_t tunnel = (control & CONTROL_TUNNEL) % 5 + 1;
	size_t want = fuzz_u16(in) % PAYLOAD_MAX, got;
	const uint8_t *bytes = fuzz_bytes(in, want, &got);
	uint32_t len = (uint32_t)got, sealed;

	memcpy(payload, bytes, len);
	if (control & CONTROL_INNER)
		inner_fix(payload, len, tunnel);
	if (control & CONTROL_TRAILER)
		len = trailer_add(payload, len);
	if (!(control & CONTROL_AGAIN)) {
		uint32_t by = step[(jump & 0xf) % (sizeof(step) / sizeof(step[0]))];

		/* No peer gets so far with nothing heard of it that its high half is in doubt. */
		if (by == STEP_LARGE && len < ESP_TRAILER_LEN)
			by = 1; /* too short to be heard */
		else if (by == STEP_LARGE)
			soft_gateway_run(gateway);
		sequence[tunnel] += by;
	}
	/* Without ESN no peer goes on behind 2^32 - 1. */
	if (!gateway->oracle.tunnel[tunnel].esn && sequence[tunnel] > UINT32_MAX)
		sequence[tunnel] = UINT32_MAX;
	sealed = oracle_seal(&gateway->oracle, tunnel, sequence[tunnel], jump >> 4, payload, len,
			     frame);
	soft_gateway_frame(gateway, SOFT_WAN, frame, sealed,
			   control & CONTROL_AT_END ? SOFT_AT_END : 0);
	if (control & CONTROL_RUN)
		soft_gateway_run(gateway);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	uint64_t sequence[ORACLE_TUNNELS] = { 0 };

	soft_gateway_begin(gateway, fuzz_u8(&in));
	while (in.left != 0)
		payload_run(&in, sequence);
	soft_gateway_end(gateway);
	/* All were sealed by the right key: only what a later number overtook can fail. */
	FUZZ_CHECK(soft_gateway_drops(gateway, DROP_icv_failed) == 0);
	FUZZ_CHECK(soft_gateway_drops(gateway, DROP_spi_unknown) == 0);
	return 0;
}
