/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Published AES-GCM vectors on every engine, encrypt and decrypt.
 *
 * ESP's nonce has 96 bits, its tag 128 and its AAD 64 or 96. NIST's vectors have other lengths as
 * well, so there are three ways in, and the count of each is printed:
 *   door     aead_encrypt() and aead_decrypt(): IV 96, tag 128, AAD as long as fits into an
 *            operation (0 to 160 bits of NIST's; the engines pass any length on)
 *   kernel   IV 96, any AAD and tag: the very kernels that the door calls, with the key that
 *            aead_key_create() expanded
 *            (our own kernels know no others: the door is all they have, the rest is skipped)
 *   any IV   IV of 8 or 1024 bits, outside what ESP can use: IPsec-MB's calls for that, which share
 *            the GHASH and counter code with the kernels
 * A tag shorter than 128 bits is the first bytes of the whole one (SP 800-38D section 7.1).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines.h"
#include "rsp.h"
#include "test.h"

#define CAVP_FOLDER  "/usr/lib/python3/dist-packages/cryptography_vectors/ciphers/AES/GCM/"
#define CAVP_VECTORS 7875 /* in each file */

struct counts {
	uint32_t skipped;
	uint32_t door;
	uint32_t kernel;
	uint32_t any_iv;
	uint32_t encrypted;
	uint32_t decrypted;
	uint32_t refused;
};

struct run {
	struct test_engine engines[TEST_ENGINES_MAX];
	struct counts counts[TEST_ENGINES_MAX];
	size_t n;
	const char *file;
};

/* One message on its way through an engine, in place. */
struct message {
	uint8_t data[RSP_FIELD_MAX];
	uint8_t tag[AEAD_TAG_LEN]; /* encrypt: out, whole. decrypt: in, as long as the vector's */
};

typedef bool (*message_fn)(const struct test_engine *engine, const struct aead_key *key,
			   const struct rsp_vector *vector, struct message *message, bool encrypt);

static bool by_door(const struct test_engine *engine, const struct aead_key *key,
		    const struct rsp_vector *vector, struct message *message, bool encrypt)
{
	struct aead_op op = {
		.key = key,
		.data = message->data,
		.tag = message->tag,
		.len = vector->plaintext.len,
		.aad_len = (uint8_t)vector->aad.len,
	};
	uint32_t failed;

	memcpy(&op.iv, vector->iv.bytes + AEAD_SALT_LEN, AEAD_IV_LEN);
	memcpy((uint8_t *)&op + offsetof(struct aead_op, aad), vector->aad.bytes, vector->aad.len);
	failed = encrypt ? aead_encrypt(engine->engine, &op, 1)
			 : aead_decrypt(engine->engine, &op, 1);
	assert_int_equal(failed, op.status != AEAD_OK);
	return failed == 0;
}

static bool openssl_any(const struct test_engine *engine, const struct aead_key *key,
			const struct rsp_vector *vector, struct message *message, bool encrypt)
{
	const struct openssl_state *state = engine->engine->state;
	const struct openssl_key *bytes = (const void *)key;
	struct openssl_message in = {
		.cipher = state->ciphers[bytes->variant],
		.key = bytes->bytes,
		.iv = vector->iv.bytes,
		.iv_len = (int)vector->iv.len,
		.aad = vector->aad.bytes,
		.aad_len = (int)vector->aad.len,
		.data = message->data,
		.len = (int)vector->plaintext.len,
		.tag = message->tag,
		.tag_len = encrypt ? AEAD_TAG_LEN : (int)vector->tag.len,
	};
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	enum aead_status status;

	assert_non_null(ctx);
	status = encrypt ? openssl_encrypt(ctx, &in) : openssl_decrypt(ctx, &in);
	EVP_CIPHER_CTX_free(ctx);
	assert_int_not_equal(status, AEAD_FAILED);
	return status == AEAD_OK;
}

/* Hands the whole tag out (encrypt), or compares as much of it as the vector has (decrypt). */
static bool tag_settle(const uint8_t *computed, const struct rsp_vector *vector,
		       struct message *message, bool encrypt)
{
	if (!encrypt)
		return memcmp(computed, message->tag, vector->tag.len) == 0;
	memcpy(message->tag, computed, AEAD_TAG_LEN);
	return true;
}

static bool by_kernel(const struct test_engine *engine, const struct aead_key *key,
		      const struct rsp_vector *vector, struct message *message, bool encrypt)
{
	const struct ipsec_mb_kernels *kernels = engine->engine->state;
	const struct ipsec_mb_key *expanded = (const void *)key;
	struct gcm_context_data context;
	uint8_t tag[AEAD_TAG_LEN];
	aes_gcm_enc_dec_t kernel;

	if (engine->mgr == NULL)
		return openssl_any(engine, key, vector, message, encrypt);
	kernel =
		encrypt ? kernels->encrypt[expanded->variant] : kernels->decrypt[expanded->variant];
	kernel(&expanded->schedule, &context, message->data, message->data, vector->plaintext.len,
	       vector->iv.bytes, vector->aad.bytes, vector->aad.len, tag, sizeof(tag));
	return tag_settle(tag, vector, message, encrypt);
}

static bool by_any_iv(const struct test_engine *engine, const struct aead_key *key,
		      const struct rsp_vector *vector, struct message *message, bool encrypt)
{
	const struct ipsec_mb_key *expanded = (const void *)key;
	const struct gcm_key_data *schedule = &expanded->schedule;
	const IMB_MGR *m = engine->mgr;
	struct gcm_context_data context;
	uint8_t tag[AEAD_TAG_LEN];

	if (m == NULL)
		return openssl_any(engine, key, vector, message, encrypt);

	const struct {
		aes_gcm_init_var_iv_t init;
		aes_gcm_enc_dec_update_t update[2];
		aes_gcm_enc_dec_finalize_t finalize[2];
	} calls[AEAD_VARIANTS] = {
		{ m->gcm128_init_var_iv,
		  { m->gcm128_dec_update, m->gcm128_enc_update },
		  { m->gcm128_dec_finalize, m->gcm128_enc_finalize } },
		{ m->gcm192_init_var_iv,
		  { m->gcm192_dec_update, m->gcm192_enc_update },
		  { m->gcm192_dec_finalize, m->gcm192_enc_finalize } },
		{ m->gcm256_init_var_iv,
		  { m->gcm256_dec_update, m->gcm256_enc_update },
		  { m->gcm256_dec_finalize, m->gcm256_enc_finalize } },
	};

	calls[expanded->variant].init(schedule, &context, vector->iv.bytes, vector->iv.len,
				      vector->aad.bytes, vector->aad.len);
	calls[expanded->variant].update[encrypt](schedule, &context, message->data, message->data,
						 vector->plaintext.len);
	calls[expanded->variant].finalize[encrypt](schedule, &context, tag, sizeof(tag));
	return tag_settle(tag, vector, message, encrypt);
}

static void vector_fail(const struct run *run, const struct test_engine *engine,
			const struct rsp_vector *vector, const char *what)
{
	fail_msg("%s:%u on %s: %s", run->file, vector->line, aead_engine_name(engine->engine),
		 what);
}

static void vector_try(struct run *run, size_t i, const struct aead_key *key,
		       const struct rsp_vector *vector, message_fn transform)
{
	const struct test_engine *engine = &run->engines[i];
	uint32_t len = vector->plaintext.len;
	struct message message = { 0 };
	bool accepted;

	memcpy(message.data, vector->ciphertext.bytes, len);
	memcpy(message.tag, vector->tag.bytes, vector->tag.len);
	accepted = transform(engine, key, vector, &message, false);
	if (accepted == vector->fail)
		vector_fail(run, engine, vector, accepted ? "forgery accepted" : "refused");
	if (vector->fail) {
		run->counts[i].refused++;
		return;
	}
	if (memcmp(message.data, vector->plaintext.bytes, len) != 0)
		vector_fail(run, engine, vector, "wrong plaintext");
	run->counts[i].decrypted++;

	memset(message.tag, 0, sizeof(message.tag));
	transform(engine, key, vector, &message, true);
	if (memcmp(message.data, vector->ciphertext.bytes, len) != 0)
		vector_fail(run, engine, vector, "wrong ciphertext");
	if (memcmp(message.tag, vector->tag.bytes, vector->tag.len) != 0)
		vector_fail(run, engine, vector, "wrong tag");
	run->counts[i].encrypted++;
}

static bool fits_the_door(const struct rsp_vector *vector)
{
	return vector->iv.len == AEAD_SALT_LEN + AEAD_IV_LEN && vector->tag.len == AEAD_TAG_LEN &&
	       vector->aad.len <= offsetof(struct aead_op, chain) - offsetof(struct aead_op, aad);
}

static void vector_use(const struct rsp_vector *in, void *arg)
{
	struct rsp_vector vector = *in;
	struct run *run = arg;

	assert_in_range(vector.tag.len, 1, AEAD_TAG_LEN);
	if (vector.fail) /* CAVP gives no plaintext then */
		vector.plaintext.len = vector.ciphertext.len;
	assert_int_equal(vector.plaintext.len, vector.ciphertext.len);

	for (size_t i = 0; i < run->n; i++) {
		struct aead_engine *engine = run->engines[i].engine;
		struct aead_key *key;

		assert_int_equal(aead_key_create(engine, vector.key.bytes, vector.key.len,
						 vector.iv.bytes, &key),
				 0);
		if (run->engines[i].kind == AEAD_KIND_VAES && !fits_the_door(&vector)) {
			run->counts[i].skipped++;
		} else if (vector.iv.len != AEAD_SALT_LEN + AEAD_IV_LEN) {
			vector_try(run, i, key, &vector, by_any_iv);
			run->counts[i].any_iv++;
		} else {
			if (run->engines[i].kind != AEAD_KIND_VAES) {
				vector_try(run, i, key, &vector, by_kernel);
				run->counts[i].kernel++;
			}
			if (fits_the_door(&vector)) {
				vector_try(run, i, key, &vector, by_door);
				run->counts[i].door++;
			}
		}
		aead_key_destroy(engine, key);
	}
}

static void file_run(struct run *run, const char *path, int vectors)
{
	int ret;

	run->file = strrchr(path, '/') + 1;
	memset(run->counts, 0, sizeof(run->counts));
	ret = rsp_read(path, vector_use, run);
	if (ret == -ENOENT)
		fail_msg("%s is missing: install python3-cryptography-vectors", path);
	assert_int_equal(ret, vectors);
	for (size_t i = 0; i < run->n; i++) {
		const struct counts *c = &run->counts[i];

		printf("%s: %d vectors on %s: %u kernel, %u any IV, %u door as well; "
		       "%u encrypted, %u decrypted, %u refused\n",
		       run->file, vectors, aead_engine_name(run->engines[i].engine), c->kernel,
		       c->any_iv, c->door, c->encrypted, c->decrypted, c->refused);
		assert_int_equal(c->encrypted, c->decrypted);
		assert_int_equal(c->decrypted + c->refused, c->kernel + c->any_iv + c->door);
		if (run->engines[i].kind == AEAD_KIND_VAES) {
			assert_int_equal(c->door + c->skipped, vectors);
			assert_int_equal(c->door, run->counts[0].door);
		} else {
			assert_int_equal(c->kernel + c->any_iv, vectors);
		}
	}
}

static int run_open(void **state)
{
	struct run *run = calloc(1, sizeof(*run));

	run->n = test_engines_open(run->engines);
	*state = run;
	return 0;
}

static int run_close(void **state)
{
	struct run *run = *state;

	test_engines_close(run->engines, run->n);
	free(run);
	return 0;
}

static void nist_decrypt(void **state)
{
	file_run(*state, CAVP_FOLDER "gcmDecrypt128.rsp", CAVP_VECTORS);
	file_run(*state, CAVP_FOLDER "gcmDecrypt192.rsp", CAVP_VECTORS);
	file_run(*state, CAVP_FOLDER "gcmDecrypt256.rsp", CAVP_VECTORS);
}

static void nist_encrypt(void **state)
{
	file_run(*state, CAVP_FOLDER "gcmEncryptExtIV128.rsp", CAVP_VECTORS);
	file_run(*state, CAVP_FOLDER "gcmEncryptExtIV192.rsp", CAVP_VECTORS);
	file_run(*state, CAVP_FOLDER "gcmEncryptExtIV256.rsp", CAVP_VECTORS);
}

static void esp_draft(void **state)
{
	struct run *run = *state;

	file_run(run, ESP_VECTORS, 14);
	for (size_t i = 0; i < run->n; i++)
		assert_int_equal(run->counts[i].door, 14);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(esp_draft),
		cmocka_unit_test(nist_encrypt),
		cmocka_unit_test(nist_decrypt),
	};

	return cmocka_run_group_tests_name("crypto vectors", tests, run_open, run_close);
}
