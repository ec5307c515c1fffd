/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The records of an open transaction, staged until it is committed. They hold keys: they lie in
 * locked memory that is wiped when the transaction ends.
 */
#ifndef KAIDO_TRANSACTION_H
#define KAIDO_TRANSACTION_H

#include <stddef.h>
#include <stdint.h>

#include "abi/message.h"

#define TRANSACTION_BYTES_MAX ((size_t)64 << 20)

struct apply;
struct transaction;

/* What to answer: error, index of the record and sentence. */
struct verdict {
	int error;
	uint32_t index;
	char text[ABI_TEXT_LEN];
};

/* NULL: no memory. */
struct transaction *transaction_begin(uint64_t generation);
/* Wipes and frees. NULL is allowed. */
void transaction_end(struct transaction *t);

/*
 * Checks and keeps `count` records of one type, `size` bytes each. What is refused poisons the
 * transaction; from then on nothing is kept. Returns the error of this call; *verdict is filled in
 * with it.
 */
int transaction_stage(struct transaction *t, const struct apply *a, uint16_t type,
		      const void *records, size_t size, uint32_t count, struct verdict *verdict);
/* A message that could not be read might have been a part of it. The first reason stays. */
void transaction_poison(struct transaction *t, const struct verdict *verdict);
int transaction_poisoned(const struct transaction *t);

/* Applies everything or nothing. On success *generation is the transaction's. */
void transaction_commit(struct transaction *t, struct apply *a, uint64_t *generation,
			struct verdict *verdict);

#endif /* KAIDO_TRANSACTION_H */
