/* SPDX-License-Identifier: BSD-3-Clause */
/* Vault, store and leases, as far as they can be held one by one. */
#include "control_bed.h"

#include <errno.h>
#include <string.h>

#include "lease.h"
#include "model.h"

static void vault_opens_only_what_it_sealed(void **state)
{
	struct bed *bed = *state;
	static const char identity[] = "acme/one/2/1001", other[] = "acme/one/1/1001";
	uint8_t plain[36], sealed[36 + VAULT_OVERHEAD], opened[36];

	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i * 7);
	vault_seal(bed->vault, identity, sizeof(identity), plain, sizeof(plain), sealed);
	assert_int_equal(vault_unseal(bed->vault, identity, sizeof(identity), sealed,
				      sizeof(sealed), opened),
			 0);
	assert_memory_equal(plain, opened, sizeof(plain));
	assert_int_equal(
		vault_unseal(bed->vault, other, sizeof(other), sealed, sizeof(sealed), opened),
		-EBADMSG);
	for (size_t bit = 0; bit < 8 * sizeof(sealed); bit++) {
		sealed[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_int_equal(vault_unseal(bed->vault, identity, sizeof(identity), sealed,
					      sizeof(sealed), opened),
				 -EBADMSG);
		sealed[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	assert_int_equal(vault_unseal(bed->vault, identity, sizeof(identity), sealed,
				      VAULT_OVERHEAD - 1, opened),
			 -EBADMSG);
}

static void digests_differ_by_purpose(void **state)
{
	struct bed *bed = *state;
	uint8_t digest[VAULT_PURPOSES][VAULT_DIGEST_LEN], again[VAULT_DIGEST_LEN];

	for (unsigned int i = 0; i < VAULT_PURPOSES; i++) {
		vault_digest(bed->vault, i, "text", 4, digest[i]);
		for (unsigned int k = 0; k < i; k++)
			assert_memory_not_equal(digest[i], digest[k], VAULT_DIGEST_LEN);
	}
	bed_close(bed);
	bed_open(bed);
	vault_digest(bed->vault, VAULT_KEY_DIGEST, "text", 4, again);
	assert_memory_equal(again, digest[VAULT_KEY_DIGEST], VAULT_DIGEST_LEN);
}

static void what_is_aborted_is_not_there(void **state)
{
	struct bed *bed = *state;
	uint64_t number;

	assert_int_equal(store_begin(bed->store), 0);
	assert_int_equal(store_set_number(bed->store, "kept", 5), 0);
	assert_int_equal(store_commit(bed->store), 0);
	assert_int_equal(store_begin(bed->store), 0);
	assert_int_equal(store_set_number(bed->store, "kept", 6), 0);
	store_abort(bed->store);
	bed_close(bed);
	bed_open(bed);
	assert_int_equal(store_get_number(bed->store, "kept", 1, &number), 0);
	assert_int_equal(number, 5);
	assert_int_equal(store_get_number(bed->store, "never", 1, &number), 0);
	assert_int_equal(number, 1);
}

/* -- leases -- */

static struct sa sa_make(uint32_t id, uint8_t key, bool esn)
{
	struct sa sa = { .id = id, .direction = ABI_SA_OUT, .esn = esn, .spi = 0x1000 + id };

	memset(sa.digest, key, sizeof(sa.digest));
	return sa;
}

static int install(struct bed *bed, struct leases *leases, const struct sa *sa,
		   struct abi_sa *record)
{
	int ret = store_begin(bed->store);

	memset(record, 0, sizeof(*record));
	if (ret == 0)
		ret = lease_install(leases, sa, record);
	if (ret == 0)
		ret = store_commit(bed->store);
	else
		store_abort(bed->store);
	return ret;
}

static void a_lease_never_falls(void **state)
{
	struct bed *bed = *state;
	uint8_t digest[VAULT_DIGEST_LEN] = { 9 };
	uint64_t limit;

	assert_int_equal(store_begin(bed->store), 0);
	assert_int_equal(store_lease_raise(bed->store, digest, 1000), 0);
	assert_int_equal(store_lease_raise(bed->store, digest, 10), 0);
	assert_int_equal(store_commit(bed->store), 0);
	assert_int_equal(store_lease_get(bed->store, digest, &limit), 0);
	assert_int_equal(limit, 1000);
}

static void numbers_go_on_over_restarts(void **state)
{
	struct bed *bed = *state;
	struct sa sa = sa_make(3, 1, true), same_key = sa_make(77, 1, true);
	uint64_t next = 1;
	struct leases leases;
	struct abi_sa record;

	for (unsigned int i = 0; i < 20; i++) {
		leases_open(&leases, bed->store);
		assert_int_equal(install(bed, &leases, i % 2 ? &sa : &same_key, &record), 0);
		assert_true(record.sequence >= next);
		assert_true(record.sequence_limit > record.sequence);
		next = record.sequence_limit;
		leases_close(&leases);
		bed_close(bed);
		bed_open(bed);
	}
}

static void without_esn_they_end(void **state)
{
	struct bed *bed = *state;
	struct sa sa = sa_make(3, 1, false);
	unsigned int installs = 0;
	struct leases leases;
	struct abi_sa record;
	uint64_t next = 1;
	int ret;

	leases_open(&leases, bed->store);
	while ((ret = install(bed, &leases, &sa, &record)) == 0) {
		assert_true(record.sequence >= next);
		assert_true(record.sequence_limit <= 1ull << 32);
		next = record.sequence_limit;
		installs++;
	}
	assert_int_equal(ret, -EDQUOT);
	assert_int_equal(next, 1ull << 32);
	assert_int_equal(installs, 256);
	leases_close(&leases);
}

/* A lease that is not recorded must not be granted. */
static void no_grant_without_a_record(void **state)
{
	struct bed *bed = *state;
	struct sa sa = sa_make(3, 1, true);
	struct leases leases;
	struct abi_sa record;
	uint64_t limit;

	leases_open(&leases, bed->store);
	assert_int_equal(store_begin(bed->store), 0);
	assert_int_equal(lease_install(&leases, &sa, &record), 0);
	store_abort(bed->store);
	lease_forget(&leases, sa.id);
	assert_int_equal(store_lease_get(bed->store, sa.digest, &limit), 0);
	assert_int_equal(limit, 0);
	assert_null(lease_find(&leases, sa.id));
	leases_close(&leases);
}

static void adopting_more_than_recorded_raises_the_record(void **state)
{
	struct bed *bed = *state;
	struct sa sa = sa_make(3, 1, true);
	struct abi_sa record = { .sequence = 5000, .sequence_limit = 90000 };
	struct leases leases;
	uint64_t limit;

	leases_open(&leases, bed->store);
	assert_int_equal(store_begin(bed->store), 0);
	assert_int_equal(lease_adopt(&leases, &sa, &record), 0);
	assert_int_equal(store_commit(bed->store), 0);
	assert_int_equal(store_lease_get(bed->store, sa.digest, &limit), 0);
	assert_int_equal(limit, 90000);
	assert_int_equal(lease_find(&leases, 3)->limit, 90000);
	leases_close(&leases);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(vault_opens_only_what_it_sealed),
		TEST(digests_differ_by_purpose),
		TEST(what_is_aborted_is_not_there),
		TEST(a_lease_never_falls),
		TEST(numbers_go_on_over_restarts),
		TEST(without_esn_they_end),
		TEST(no_grant_without_a_record),
		TEST(adopting_more_than_recorded_raises_the_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
