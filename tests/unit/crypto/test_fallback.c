/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our own kernels, each time with another fault in them: the check at start finds it, AUTO runs
 * without them and says so, and who asks for them by name is refused.
 */
#include <errno.h>
#include <string.h>

#include "engines.h"
#include "test.h"

static struct aead_implementation genuine;

/* In one lane of a full batch, and nowhere else. */
static uint32_t encrypt_wrong_in_one_lane(const void *state, struct aead_op *ops, uint32_t n)
{
	uint32_t failed = genuine.encrypt(state, ops, n);

	if (n == AEAD_BATCH_MAX && ops[37].chain == NULL && ops[37].len > 16)
		ops[37].data[16] ^= 1;
	return failed;
}

static uint32_t encrypt_wrong_length(const void *state, struct aead_op *ops, uint32_t n)
{
	uint32_t failed = genuine.encrypt(state, ops, n);

	for (uint32_t i = 0; i < n; i++) {
		if (n > 1 && ops[i].len == 68 && ops[i].chain == NULL)
			ops[i].tag[3] ^= 4;
	}
	return failed;
}

/* A forged message makes the next one fail as well. */
static uint32_t decrypt_blames_the_neighbour(const void *state, struct aead_op *ops, uint32_t n)
{
	uint32_t failed = genuine.decrypt(state, ops, n);

	for (uint32_t i = 1; i < n; i++) {
		if (ops[i - 1].status == AEAD_BAD_TAG && ops[i].status == AEAD_OK) {
			ops[i].status = AEAD_BAD_TAG;
			return failed + 1;
		}
	}
	return failed;
}

static uint32_t decrypt_touches_the_tag(const void *state, struct aead_op *ops, uint32_t n)
{
	uint32_t failed = genuine.decrypt(state, ops, n);

	if (n > 1 && ops[n - 1].chain == NULL)
		ops[n - 1].tag[15] ^= 1;
	return failed;
}

static uint32_t decrypt_forgets_forgeries(const void *state, struct aead_op *ops, uint32_t n)
{
	uint32_t failed = genuine.decrypt(state, ops, n);

	if (n > 4 && ops[4].status != AEAD_OK) {
		ops[4].status = AEAD_OK;
		failed--;
	}
	return failed;
}

static const struct fault {
	const char *name;
	uint32_t (*encrypt)(const void *, struct aead_op *, uint32_t);
	uint32_t (*decrypt)(const void *, struct aead_op *, uint32_t);
} faults[] = {
	{ "wrong in one lane", encrypt_wrong_in_one_lane, NULL },
	{ "wrong at one length", encrypt_wrong_length, NULL },
	{ "blames the neighbour", NULL, decrypt_blames_the_neighbour },
	{ "touches the tag", NULL, decrypt_touches_the_tag },
	{ "forgets a forgery", NULL, decrypt_forgets_forgeries },
};
static const struct fault *fault; /* the one that is in place */

int __real_aead_vaes_open(struct aead_engine *engine, enum aead_isa isa);
int __wrap_aead_vaes_open(struct aead_engine *engine, enum aead_isa isa);

int __wrap_aead_vaes_open(struct aead_engine *engine, enum aead_isa isa)
{
	int ret = __real_aead_vaes_open(engine, isa);

	if (ret < 0 || fault == NULL)
		return ret;
	genuine = engine->impl;
	if (fault->encrypt != NULL)
		engine->impl.encrypt = fault->encrypt;
	if (fault->decrypt != NULL)
		engine->impl.decrypt = fault->decrypt;
	return 0;
}

static void faulty_kernels_are_not_used(void **state)
{
	struct aead_engine *engine = NULL;

	fault = NULL;
	if (aead_engine_create(AEAD_KIND_VAES, AEAD_ISA_AUTO, 1, &engine) == -ENOTSUP)
		skip();
	aead_engine_destroy(engine);

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		fault = &faults[i];
		engine = NULL;
		if (aead_engine_create(AEAD_KIND_VAES, AEAD_ISA_AUTO, 1, &engine) != -EBADMSG)
			fail_msg("not found: %s", fault->name);
		assert_null(engine);

		assert_int_equal(aead_engine_create(AEAD_KIND_AUTO, AEAD_ISA_AUTO, 1, &engine), 0);
		printf("%s: %s\n", fault->name, aead_engine_name(engine));
		assert_ptr_not_equal(engine->impl.encrypt, genuine.encrypt);
		assert_int_not_equal(strncmp(aead_engine_name(engine), "vaes", 4), 0);
		assert_non_null(strstr(aead_engine_name(engine), "failed their check"));
		aead_engine_destroy(engine);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faulty_kernels_are_not_used),
	};

	return cmocka_run_group_tests_name("crypto fallback", tests, NULL, NULL);
}
