/* SPDX-License-Identifier: BSD-3-Clause */
/* A peer goes on behind a gap: RFC 4303 appendix A3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>

#include "esn_recovery.h"
#include "peer_bed.h"
#include "replay.h"

#define BURST 16u

static struct replay *replay_of(struct peer_bed *p)
{
	return p->bed->tables->sa[PEER_IN].in.replay;
}

static uint64_t tries(const struct peer_bed *p)
{
	return p->bed->worker->esn.tries;
}

/* Bursts from `next` on until one passes whole; returns how many packets went by, at most `most`. */
static uint32_t sends_until_through(struct peer_bed *p, uint64_t *next, uint32_t most)
{
	uint32_t sent = 0;

	while (sent < most) {
		uint32_t passed = peer_sends(p, *next, BURST, 80);

		*next += BURST;
		sent += BURST;
		if (passed == BURST)
			return sent;
	}
	return most;
}

static void behind_a_gap(void **state)
{
	static const uint32_t windows[] = { 0, 32, 64, 1024, 4096 };

	for (uint32_t w = 0; w < 5; w++) {
		for (uint64_t high = 1; high <= ESN_TRIES + 1; high++) {
			struct peer_bed *p = peer_bed_create(SA_ESN, windows[w]);
			uint64_t next = (high << 32) + 1000, first = next;

			assert_int_equal(peer_sends(p, 1, 64, 80), 64);
			/* Two bursts fail; of the third one packet is tried and found. */
			assert_int_equal(peer_sends(p, next, BURST, 80), 0);
			assert_int_equal(peer_sends(p, next + BURST, BURST, 80), 0);
			assert_int_equal(replay_of(p)->top, 64);
			assert_int_equal(tries(p), 0);
			next += 2 * BURST;
			if (high <= ESN_TRIES) {
				assert_int_equal(peer_sends(p, next, BURST, 80), 1);
				assert_int_equal(tries(p), high);
				assert_int_equal(replay_of(p)->top, next);
				next += BURST;
				assert_int_equal(sends_until_through(p, &next, 100), BURST);
				peer_events(p, 1);
				assert_int_equal(p->event[1].kind, ABI_EVENT_ESN_RECOVERED);
				assert_int_equal(p->event[1].sa, PEER_IN);
				assert_int_equal(p->event[1].value, first + 2 * BURST);
				assert_int_equal(p->event[1].address.family, ABI_IPV4);
				/* What came before the gap is history. */
				if (windows[w] != 0)
					assert_int_equal(peer_sends(p, 1, 64, 80), 0);
			} else { /* too far: it is given up, at a bounded cost */
				assert_int_equal(sends_until_through(p, &next, 3200), 3200);
				assert_true(tries(p) <= ESN_TRIES * (3232 / ESN_FAILURES));
				assert_int_equal(replay_of(p)->top, 64);
			}
			peer_bed_destroy(p);
		}
	}
}

/* Gaps that the window bridges by itself try nothing. */
static void below_the_window_nothing_is_tried(void **state)
{
	static const uint64_t gaps[] = { 1ull << 31, (1ull << 32) - 5000, (1ull << 32) - 128 };

	for (uint32_t i = 0; i < 3; i++) {
		struct peer_bed *p = peer_bed_create(SA_ESN, 64);

		assert_int_equal(peer_sends(p, 1, 64, 80), 64);
		assert_int_equal(peer_sends(p, 64 + gaps[i], 64, 80), 64);
		assert_int_equal(tries(p), 0);
		assert_int_equal(peer_events(p, 1), 0);
		peer_bed_destroy(p);
	}
}

static void forged_packets_cost_a_bounded_number_of_tries(void **state)
{
	struct peer_bed *p = peer_bed_create(SA_ESN, 64);
	uint64_t next = 1;

	/* Authentic ones between them: nothing is tried at all. */
	for (uint32_t i = 0; i < 200; i++) {
		assert_int_equal(peer_forges(p, next + 1000, ESN_FAILURES - 1, 80), 0);
		assert_int_equal(peer_sends(p, next++, 1, 80), 1);
	}
	assert_int_equal(tries(p), 0);
	/* Forged ones alone. */
	for (uint32_t i = 0; i < 200; i++)
		assert_int_equal(peer_forges(p, next + 1000, 64, 80), 0);
	assert_true(tries(p) > 0);
	assert_true(tries(p) <= 200 * 64 / ESN_FAILURES * ESN_TRIES);
	/* At most one packet of a burst. */
	assert_true(tries(p) <= 200 * ESN_TRIES);
	/* They left nothing behind. */
	assert_int_equal(replay_of(p)->top, next - 1);
	assert_int_equal(peer_sends(p, next, 64, 80), 64);
	assert_int_equal(replay_of(p)->failed, 0);
	peer_bed_destroy(p);
}

static void without_esn_nothing_is_tried(void **state)
{
	struct peer_bed *p = peer_bed_create(0, 64);

	for (uint32_t i = 0; i < 20; i++)
		assert_int_equal(peer_forges(p, 100, 64, 80), 0);
	assert_int_equal(tries(p), 0);
	assert_int_equal(replay_of(p)->failed, 0);
	peer_bed_destroy(p);
}

/* The high half is the packet's until it is proven: before and after, the window is what it was. */
static void a_try_moves_nothing(void **state)
{
	struct peer_bed *p = peer_bed_create(SA_ESN, 64);

	assert_int_equal(peer_sends(p, 0x1fffffff0, 1, 80), 0); /* a gap: not yet */
	replay_of(p)->top = 0x1fffffff0;
	for (uint32_t i = 0; i < 10; i++)
		peer_forges(p, 0x200000005, 64, 80);
	assert_true(tries(p) > 0);
	assert_int_equal(replay_of(p)->top, 0x1fffffff0);
	/* Over the boundary and back behind it. */
	assert_int_equal(peer_sends(p, 0x1fffffff1, 40, 80), 40);
	assert_int_equal(peer_sends(p, 0x200000030, 1, 80), 1);
	assert_int_equal(peer_sends(p, 0x1fffffff1, 1, 80), 0);
	assert_int_equal(peer_sends(p, 0x200000020, 1, 80), 1);
	peer_bed_destroy(p);
}

/* There are no numbers behind 2^64 - 1. */
static void at_the_end_of_numbers(void **state)
{
	struct peer_bed *p = peer_bed_create(SA_ESN, 64);

	replay_of(p)->top = UINT64_MAX - (1ull << 32) - 500;
	for (uint32_t i = 0; i < 20; i++)
		peer_forges(p, UINT64_MAX - (1ull << 32) - 100, 64, 80);
	assert_true(tries(p) > 0);
	assert_true(tries(p) <= 20);
	assert_int_equal(replay_of(p)->top, UINT64_MAX - (1ull << 32) - 500);
	peer_bed_destroy(p);
}

/* One burst of packets that lie in two buffers each. */
static uint32_t peer_sends_pieces(struct peer_bed *p, uint64_t first, uint32_t n)
{
	struct rte_mbuf *in[BURST_MAX], *out[BURST_MAX];
	uint8_t frame[PEER_FRAME_MAX];

	for (uint32_t i = 0; i < n; i++) {
		uint32_t len = peer_seal(p, first + i, 1300, frame);
		uint32_t cut = i % 2 == 0 ? 700 : len - 5; /* the tag is cut, too */

		in[i] = testbed_mbuf(p->bed, frame, cut);
		assert_int_equal(
			rte_pktmbuf_chain(in[i], testbed_mbuf(p->bed, frame + cut, len - cut)), 0);
	}
	worker_walk(p->bed->worker, BED_PORT_UNDERLAY, in, n);
	n = testbed_out(p->bed, BED_PORT_TENANT, out);
	for (uint32_t i = 0; i < n; i++)
		rte_pktmbuf_free(out[i]);
	return n;
}

static void packets_in_several_buffers(void **state)
{
	for (uint32_t odd = 0; odd < 2; odd++) {
		struct peer_bed *p = peer_bed_create(SA_ESN, 64);
		uint64_t next = (2ull << 32) + 1000 + odd;

		assert_int_equal(peer_sends_pieces(p, 1, 16), 16);
		assert_int_equal(peer_sends_pieces(p, next, 32), 0);
		assert_int_equal(peer_sends_pieces(p, next + 32, 8), 1);
		assert_int_equal(tries(p), 2);
		assert_int_equal(peer_sends_pieces(p, next + 40, 16), 16);
		peer_bed_destroy(p);
	}
}

static uint64_t pick(uint64_t *seed, uint64_t n)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed % n;
}

/* A peer that loses whatever happens to be lost: it gets through, and nothing does twice. */
static void random_gaps(void **state)
{
	static const uint32_t windows[] = { 0, 32, 64, 128, 1024, 4096 };

	for (uint64_t round = 0; round < 48; round++) {
		uint32_t window = windows[round % 6];
		struct peer_bed *p = peer_bed_create(SA_ESN, window);
		uint64_t seed = 1000 + round, next = 1 + pick(&seed, 1ull << 31), before;
		uint32_t gaps = 0;

		for (uint32_t i = 0; i < 30; i++) {
			uint32_t sent = sends_until_through(p, &next, 40 * BURST);

			assert_true(sent <= 3 * ESN_FAILURES + 2 * BURST);
			gaps += sent > BURST;
			assert_int_equal(replay_of(p)->top, next - 1);
			/* The burst once more. */
			if (window >= BURST)
				assert_int_equal(peer_sends(p, next - BURST, BURST, 80), 0);
			before = next;
			switch (pick(&seed, 4)) {
			case 0:
				next += pick(&seed, 100);
				break;
			case 1:
				next += pick(&seed, 1ull << 31);
				break;
			case 2: /* the window bridges it, but for one of 0 */
				next += (1ull << 32) - 8192 - pick(&seed, 1ull << 31);
				break;
			default:
				next += (1 + pick(&seed, ESN_TRIES - 1)) << 32;
				next += pick(&seed, 1ull << 32);
			}
			assert_true(next >= before);
		}
		assert_true(gaps > 0);
		peer_bed_destroy(p);
	}
}

static int setup(void **state)
{
	testbed_eal();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(behind_a_gap),
		cmocka_unit_test(below_the_window_nothing_is_tried),
		cmocka_unit_test(forged_packets_cost_a_bounded_number_of_tries),
		cmocka_unit_test(without_esn_nothing_is_tried),
		cmocka_unit_test(a_try_moves_nothing),
		cmocka_unit_test(at_the_end_of_numbers),
		cmocka_unit_test(packets_in_several_buffers),
		cmocka_unit_test(random_gaps),
	};

	return cmocka_run_group_tests_name("esn_recovery", tests, setup, NULL);
}
