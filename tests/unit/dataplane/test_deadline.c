/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "deadline.h"

#define IDS   200u
#define STEPS 200000u

static uint32_t pick(uint64_t *seed, uint32_t n)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((*seed >> 33) % n);
}

/* Against an array that is looked through. */
static void as_an_array_would(void **state)
{
	struct deadlines *d = deadlines_create(IDS);
	uint64_t at[IDS] = { 0 }, seed = 5, now = 0; /* 0: none */
	uint32_t n = 0, due = 0, id;

	assert_non_null(d);
	for (uint32_t step = 0; step < STEPS; step++) {
		uint32_t i = pick(&seed, IDS);

		switch (pick(&seed, 4)) {
		case 0:
		case 1:
			n += at[i] == 0;
			at[i] = now + 1 + pick(&seed, 500);
			deadline_set(d, i, at[i]);
			break;
		case 2:
			n -= at[i] != 0;
			at[i] = 0;
			deadline_clear(d, i);
			break;
		default:
			now += pick(&seed, 8);
			for (uint64_t last = 0; deadline_due(d, now, &id); n--, due++) {
				assert_true(at[id] != 0 && at[id] <= now && at[id] >= last);
				last = at[id];
				at[id] = 0;
			}
			for (uint32_t k = 0; k < IDS; k++)
				assert_true(at[k] == 0 || at[k] > now);
		}
		assert_int_equal(deadline_count(d), n);
	}
	assert_true(due > STEPS / 100);
	deadlines_destroy(d);
}

static void empty(void **state)
{
	struct deadlines *d = deadlines_create(1);
	uint32_t id = 9;

	assert_non_null(d);
	assert_false(deadline_due(d, UINT64_MAX, &id));
	deadline_clear(d, 0);
	deadline_set(d, 0, 0);
	assert_true(deadline_due(d, 0, &id));
	assert_int_equal(id, 0);
	assert_false(deadline_due(d, UINT64_MAX, &id));
	deadlines_destroy(d);
	deadlines_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_an_array_would),
		cmocka_unit_test(empty),
	};

	return cmocka_run_group_tests_name("deadline", tests, NULL, NULL);
}
