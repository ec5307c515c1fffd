/* SPDX-License-Identifier: BSD-3-Clause */
/* Anti-replay windows against a record of every number and a count one by one. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "random.h"
#include "replay.h"

#define RECORD 65536u

static const uint32_t windows[] = { 0, 1, 2, 32, 63, 64, 65, 100, 128, 192, 193, 1024, 4095, 4096 };
#define WINDOWS (sizeof(windows) / sizeof(windows[0]))

struct record {
	uint64_t seen[RECORD]; /* by number modulo RECORD: the number */
	uint64_t top;
	uint64_t lost;
	uint32_t window;
};

static bool record_has(const struct record *o, uint64_t seq)
{
	return o->seen[seq % RECORD] == seq;
}

static enum replay_verdict record_check(const struct record *o, uint64_t seq)
{
	if (seq == 0)
		return REPLAY_ZERO;
	if (o->window == 0)
		return REPLAY_NEW;
	if (seq + o->window <= o->top)
		return REPLAY_LATE;
	return seq <= o->top && record_has(o, seq) ? REPLAY_SEEN : REPLAY_NEW;
}

static void record_mark(struct record *o, uint64_t seq)
{
	if (seq > o->top) {
		for (uint64_t n = o->top + 1; n <= seq && o->top != 0 && o->window != 0; n++) {
			uint64_t leaves = n - o->window;

			o->lost += n > o->window && !record_has(o, leaves);
		}
		o->top = seq;
	}
	o->seen[seq % RECORD] = seq;
}

/* Appendix A2.2 as it is printed, in 32-bit arithmetic. */
static uint64_t guess_printed(uint64_t top, uint32_t window, uint32_t low)
{
	uint32_t tl = (uint32_t)top, th = (uint32_t)(top >> 32);
	bool inside = low >= (uint32_t)(tl - window + 1);
	uint32_t high;

	if (tl >= window - 1)
		high = inside ? th : th + 1;
	else
		high = inside && th != 0 ? th - 1 : th;
	return (uint64_t)high << 32 | low;
}

static struct replay *replay_create(uint32_t window)
{
	size_t size = replay_size(window);
	struct replay *r = aligned_alloc(64, (size + 63) & ~(size_t)63);

	assert_non_null(r);
	replay_init(r, window);
	return r;
}

/* Mostly close to the top, at times a jump, a number long gone, or 0. */
static uint64_t next_number(uint64_t *seed, uint64_t top, uint32_t window)
{
	uint32_t kind = random_below(seed, 100);
	uint64_t back;

	if (kind < 55)
		return top + 1;
	if (kind < 65)
		return top + 1 + random_below(seed, 10);
	if (kind == 99 && random_below(seed, 50) == 0)
		return 0;
	if (kind == 98 && random_below(seed, 50) == 0)
		return top + random_below(seed, 20000);
	if (kind == 97)
		return top + random_below(seed, 2 * window + 2);
	if (kind > 90)
		back = random_below(seed, 2 * window + 200);
	else
		back = random_below(seed, window + 1);
	return back < top ? top - back : 1;
}

static void run(uint32_t window, uint64_t first, bool esn, uint32_t steps)
{
	struct replay *r = replay_create(window);
	struct record *o = calloc(1, sizeof(*o));
	uint64_t seed = window + first, seq, guess;

	assert_non_null(o);
	o->window = window;
	for (uint32_t i = 0; i < steps; i++) {
		enum replay_verdict expected;

		seq = i == 0 ? first : next_number(&seed, o->top, window);
		if (!esn && seq > UINT32_MAX)
			break;
		expected = record_check(o, seq);
		/* Of a number that is left of the window, the low half means another one. */
		guess = replay_guess(r, (uint32_t)seq);
		if (esn && seq != 0 && expected != REPLAY_LATE)
			assert_int_equal(guess, seq);
		if (window != 0)
			assert_int_equal(guess, guess_printed(o->top, window, (uint32_t)seq));
		assert_int_equal(replay_check(r, seq), expected);
		assert_int_equal(replay_check(r, seq), expected);
		assert_int_equal(replay_commit(r, seq), expected);
		if (expected == REPLAY_NEW)
			record_mark(o, seq);
		assert_int_equal(r->top, o->top);
		assert_int_equal(r->lost, o->lost);
		if (window != 0)
			assert_int_not_equal(replay_check(r, seq), REPLAY_NEW);
	}
	assert_true(window == 0 || o->lost != 0);
	free(o);
	free(r);
}

static void test_against_record(void **state)
{
	for (uint32_t i = 0; i < WINDOWS; i++) {
		run(windows[i], 1, false, 300000);
		run(windows[i], 5000, false, 100000);
		run(windows[i], UINT32_MAX - 60000, false, 100000);
	}
}

/* From below a multiple of 2^32 to above it. The first packet's high half is known to be 0. */
static void test_esn(void **state)
{
	for (uint32_t i = 0; i < WINDOWS; i++) {
		run(windows[i], 1, true, 100000);
		run(windows[i], UINT32_MAX - 20000, true, 300000);
	}
}

static void test_esn_high(void **state)
{
	for (uint32_t i = 0; i < WINDOWS; i++) {
		struct replay *r = replay_create(windows[i]);
		uint64_t seed = i;

		for (uint32_t n = 0; n < 300000; n++) {
			uint64_t top = random_next(&seed) >> 1 >> random_below(&seed, 63);
			uint64_t left = windows[i] == 0 ? 1u << 31 : windows[i] - 1;
			uint64_t seq;

			if (n % 4 == 0) /* close to where the low half wraps */
				top = (top & ~0xffffffffull) + random_below(&seed, 8192) - 4096;
			left = top > left ? top - left : 0;
			seq = left + (uint32_t)random_next(&seed);
			if (n % 4 == 1)
				seq = left + n % 3;
			if (n % 4 == 2)
				seq = left + UINT32_MAX - n % 3;
			r->top = top;
			assert_int_equal(replay_guess(r, (uint32_t)seq), seq);
			if (windows[i] != 0)
				assert_int_equal(guess_printed(top, windows[i], (uint32_t)seq),
						 seq);
		}
		free(r);
	}
}

/* Far jumps take no longer than near ones, and every number jumped over is lost. */
static void test_far_jump(void **state)
{
	for (uint32_t i = 0; i < WINDOWS; i++) {
		uint32_t window = windows[i];
		struct replay *r = replay_create(window);
		uint64_t seq = 10, sent = 0;

		/* What the first packet jumps over is not lost: its own window may be. */
		assert_int_equal(replay_commit(r, 1ull << 20), REPLAY_NEW);
		assert_int_equal(r->lost, 0);
		for (uint32_t n = 0; n < 1000; n++) {
			seq = (1ull << 20) + ((uint64_t)n + 1) * (1ull << 40);
			assert_int_equal(replay_commit(r, seq), REPLAY_NEW);
			assert_int_equal(replay_commit(r, seq - 7),
					 window == 0 || window > 7 ? REPLAY_NEW : REPLAY_LATE);
			sent += window > 7 ? 2 : 1;
		}
		/* Once all of them have left the window: what is neither sent nor before the first. */
		if (window != 0) {
			uint64_t end = seq + window, counted = seq - ((1ull << 20) - window);

			assert_int_equal(replay_commit(r, end), REPLAY_NEW);
			assert_int_equal(r->lost, counted - sent - 1);
		} else {
			assert_int_equal(r->lost, 0);
		}
		assert_int_equal(replay_commit(r, UINT64_MAX), REPLAY_NEW);
		assert_int_equal(replay_check(r, UINT64_MAX), window ? REPLAY_SEEN : REPLAY_NEW);
		free(r);
	}
}

/* An SA used from its start: all that never came is lost, and nothing else. */
static void test_lost_from_start(void **state)
{
	struct replay *r = replay_create(64);

	assert_int_equal(replay_commit(r, 5), REPLAY_NEW);
	assert_int_equal(replay_commit(r, 3), REPLAY_NEW);
	for (uint64_t seq = 6; seq <= 64; seq++)
		assert_int_equal(replay_commit(r, seq), REPLAY_NEW);
	assert_int_equal(r->lost, 0);
	for (uint64_t seq = 65; seq <= 200; seq++)
		assert_int_equal(replay_commit(r, seq), REPLAY_NEW);
	assert_int_equal(r->lost, 3); /* 1, 2, 4 */
	assert_int_equal(replay_commit(r, 4), REPLAY_LATE);
	assert_int_equal(r->lost, 3);
	free(r);
}

enum { THREADS = 2, NUMBERS = 400000, SPREAD = 64 };

struct sender {
	struct replay *r;
	uint8_t *accepted; /* by number, how often; written under the lock */
	uint64_t seed;
};

/* Offers every number once, slightly out of order. */
static void *sender_main(void *arg)
{
	struct sender *s = arg;
	uint32_t order[SPREAD];

	for (uint32_t from = 1; from < NUMBERS; from += SPREAD) {
		for (uint32_t i = 0; i < SPREAD; i++)
			order[i] = from + i;
		for (uint32_t i = SPREAD - 1; i != 0; i--) {
			uint32_t k = random_below(&s->seed, i + 1), held = order[k];

			order[k] = order[i];
			order[i] = held;
		}
		for (uint32_t i = 0; i < SPREAD; i++) {
			if (replay_check(s->r, order[i]) != REPLAY_NEW)
				continue;
			replay_lock(s->r);
			if (replay_commit(s->r, order[i]) == REPLAY_NEW)
				s->accepted[order[i]]++;
			replay_unlock(s->r);
		}
	}
	return NULL;
}

/* However the two race, a number passes once, and what passed and what was lost is all there is. */
static void test_two_workers(void **state)
{
	static const uint32_t sizes[] = { 64, 1024, 4096 };

	for (uint32_t w = 0; w < 3; w++) {
		struct sender senders[THREADS];
		pthread_t threads[THREADS];
		uint8_t *accepted = calloc(NUMBERS + SPREAD, 1);
		struct replay *r = replay_create(sizes[w]);
		uint64_t passed = 0, before;

		assert_non_null(accepted);
		for (uint32_t i = 0; i < THREADS; i++) {
			senders[i] = (struct sender){ r, accepted, i };
			assert_int_equal(
				pthread_create(&threads[i], NULL, sender_main, &senders[i]), 0);
		}
		for (uint32_t i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		for (uint32_t n = 0; n < NUMBERS + SPREAD; n++) {
			assert_true(accepted[n] <= 1);
			passed += accepted[n];
		}
		before = r->top;
		assert_int_equal(replay_commit(r, before + sizes[w]), REPLAY_NEW);
		assert_int_equal(r->lost + passed, before);
		free(accepted);
		free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_record),  cmocka_unit_test(test_esn),
		cmocka_unit_test(test_esn_high),        cmocka_unit_test(test_far_jump),
		cmocka_unit_test(test_lost_from_start), cmocka_unit_test(test_two_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
