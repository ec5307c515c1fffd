/* SPDX-License-Identifier: BSD-3-Clause */
/* Batches of operations: which of them go together, and which alone. */
#ifndef KAIDO_VAES_BATCH_H
#define KAIDO_VAES_BATCH_H

#include "vaes_lanes.h"
#include "vaes_wide.h"

/* Blocks of the longest packets that are taken together. Measured: docs/crypto.md. */
#ifndef LANES_WORTH
#define LANES_WORTH 100
#endif
static_assert(LANES_WORTH <= LANES_BLOCKS_MAX, "their counter");

/* More than the largest frame of a kernel; clang keeps there what gcc keeps in registers. */
#ifdef __clang__
#define STACK_WIPED 4096
#else
#define STACK_WIPED 2560
#endif

/* What must not stay on the stack. */
struct batch_scratch {
	struct lanes_key lanes[LANES_SETS];
	struct wide_key wide;
	_Alignas(64) uint8_t bounce[VEC_BYTES + QUAD_BYTES];
};

/* Which operations are alike; the arrays say so for all of a batch in one comparison. */
struct batch_classes {
	_Alignas(64) uint8_t blocks[AEAD_BATCH_MAX]; /* 0: alone */
	_Alignas(64) uint8_t variant[AEAD_BATCH_MAX];
};
static_assert(AEAD_BATCH_MAX == 64, "a bit each in 64");

/* A last block that is not whole is taken with the tag behind it, so that has to stand there. */
INLINE uint8_t op_blocks(const struct aead_op *op)
{
	uint32_t blocks = (op->len + BLOCK - 1) / BLOCK;
	bool fits = op->len % BLOCK == 0 || (uintptr_t)op->tag == (uintptr_t)op->data + op->len;

	return blocks <= LANES_WORTH && op->chain == NULL && fits ? (uint8_t)blocks : 0;
}

static __attribute__((noinline)) uint32_t batch_alone(struct batch_scratch *scratch,
						      struct aead_op *op, const bool decrypt)
{
	const struct vaes_key *key = (const void *)op->key;

	if (scratch->wide.of != key)
		wide_key_load(&scratch->wide, key);
	if (__builtin_expect(op->chain != NULL, 0))
		op->status = wide_chain(op, &scratch->wide, scratch->bounce, decrypt);
	else if (decrypt)
		op->status = wide_decrypt(op, &scratch->wide);
	else {
		wide_encrypt(op, &scratch->wide);
	}
	return op->status;
}

/* What an operation needs first: keys and the ends of short data. */
INLINE void op_fetch(const struct aead_op *op)
{
	aead_key_prefetch(op->key);
	__builtin_prefetch(op->data);
	__builtin_prefetch(op->tag);
}

/* Fetches what the next operations need while those before are at work. */
INLINE void members_fetch(const struct aead_op *ops, uint64_t members)
{
	UNROLL
	for (int i = 0; i < LANES_PACKETS; i++) {
		op_fetch(&ops[members != 0 ? __builtin_ctzll(members) : 0]);
		members &= members - 1;
	}
}

/*
 * Those of a class, as many at a time as there are lanes. Where some lack the first of the set is
 * repeated: both lanes read the same, compute the same and then write the same.
 */
INLINE uint32_t batch_class(struct batch_scratch *scratch, struct aead_op *ops, uint64_t members,
			    uint32_t blocks, const bool decrypt)
{
	uint32_t failed = 0;

	while (members != 0) {
		struct aead_op *op[LANES_PACKETS];
		uint64_t rest = members;
		uint32_t differ;

		if ((members & (members - 1)) == 0)
			return failed +
			       batch_alone(scratch, &ops[__builtin_ctzll(members)], decrypt);
		UNROLL
		for (int i = 0; i < LANES_PACKETS; i++) {
			int set = i % LANES_SETS * VAES_LANES;

			op[set + i / LANES_SETS] =
				rest != 0 ? &ops[__builtin_ctzll(rest)] : op[set];
			rest &= rest - 1;
		}
		if (rest != 0)
			members_fetch(ops, rest);
		differ = lanes_transform(op, scratch->lanes, blocks, decrypt);
		if (__builtin_expect(differ != 0, 0)) {
			for (int i = 0; i < LANES_PACKETS; i++)
				op[i]->status = (differ >> 2 * i & 3) != 0;
			for (; members != rest; members &= members - 1)
				failed += ops[__builtin_ctzll(members)].status;
		}
		members = rest;
	}
	return failed;
}
static_assert(LANES_SETS <= 2, "each has a packet: one alone takes another way");
static_assert(AEAD_OK == 0 && AEAD_BAD_TAG == 1, "a status is the truth value of a difference");

/*
 * Overwrites what the kernels kept, what they left below on the stack (registers that found no room),
 * and the registers.
 */
static __attribute__((noinline)) void batch_wipe(struct batch_scratch *scratch)
{
	_Alignas(64) uint8_t stack[STACK_WIPED];

	vec_wipe(stack, sizeof(stack));
	for (int i = 0; i < LANES_SETS; i++) {
		if (scratch->lanes[i].of[0] != NULL)
			vec_wipe(&scratch->lanes[i], sizeof(scratch->lanes[i]));
	}
	if (scratch->wide.of != NULL) {
		vec_wipe(&scratch->wide, sizeof(scratch->wide));
		vec_wipe(scratch->bounce, sizeof(scratch->bounce));
	}
	vec_wipe_registers();
}

INLINE uint32_t batch_run(struct aead_op *ops, uint32_t n, const bool decrypt)
{
	struct batch_classes classes;
	struct batch_scratch scratch;
	uint64_t left = n < 64 ? (UINT64_C(1) << n) - 1 : ~UINT64_C(0);
	uint32_t failed = 0;

	for (int i = 0; i < LANES_SETS; i++)
		memset(scratch.lanes[i].of, 0, sizeof(scratch.lanes[i].of));
	scratch.wide.of = NULL;
	for (uint32_t i = 0; i < n; i++) {
		const struct vaes_key *key = (const void *)ops[i].key;

		ops[i].status = AEAD_OK;
		classes.blocks[i] = op_blocks(&ops[i]);
		classes.variant[i] = (uint8_t)key->head.variant;
	}
	while (left != 0) {
		uint32_t first = (uint32_t)__builtin_ctzll(left);
		uint64_t alike = left & bytes_equal(classes.blocks, classes.blocks[first]) &
				 bytes_equal(classes.variant, classes.variant[first]);

		if (classes.blocks[first] != 0) {
			failed += batch_class(&scratch, ops, alike, classes.blocks[first], decrypt);
		} else {
			for (uint64_t m = alike; m != 0; m &= m - 1)
				failed += batch_alone(&scratch, &ops[__builtin_ctzll(m)], decrypt);
		}
		left &= ~alike;
	}
	batch_wipe(&scratch);
	return failed;
}

#endif /* KAIDO_VAES_BATCH_H */
