/* SPDX-License-Identifier: BSD-3-Clause */
/* Records through apply_record(), as tests of it write them. Include it behind cmocka.h. */
#ifndef KAIDO_TEST_APPLY_CALLS_H
#define KAIDO_TEST_APPLY_CALLS_H

#include <stdint.h>

#include "abi/message.h"
#include "apply.h"

static inline int try(struct apply *a, uint16_t type, const void *record)
{
	char text[ABI_TEXT_LEN] = "";
	int error = apply_record(a, type, record, text, sizeof(text));

	/* Every refusal comes with a sentence. */
	if (error != 0)
		assert_int_not_equal(text[0], '\0');
	return error;
}

static inline int remove_id(struct apply *a, uint16_t type, uint32_t id)
{
	struct abi_id record = { .id = id };

	return try(a, type, &record);
}

#define SET(a, what, record)                                                \
	do {                                                                \
		typeof(record) set_record = (record);                       \
		assert_int_equal(try(a, ABI_##what##_SET, &set_record), 0); \
	} while (0)

#endif /* KAIDO_TEST_APPLY_CALLS_H */
