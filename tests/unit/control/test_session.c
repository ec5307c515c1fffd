/* SPDX-License-Identifier: BSD-3-Clause */
/* What IKE negotiated: traffic selectors as prefixes and selectors of tunnels, and the store's rows. */
#include "control_bed.h"

#include <string.h>

#include "address.h"
#include "session.h"

/* An SA with these traffic selectors, each "FROM-TO" or "FROM-TO PROTOCOL PORT", lists ending with NULL. */
static json_t *list_make(const char *const *texts)
{
	json_t *list = json_array();

	for (; *texts != NULL; texts++) {
		char from[64], to[64];
		int protocol = 0, port = -1;

		assert_true(sscanf(*texts, "%63[^-]-%63s %d %d", from, to, &protocol, &port) >= 2);
		json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:i, s:i}", "from", from,
						      "to", to, "protocol", protocol, "from_port",
						      port < 0 ? 0 : port, "to_port",
						      port < 0 ? 65535 : port));
	}
	return list;
}

static const char *sa_make(const char *const *local, const char *const *remote,
			   struct session_sa *sa)
{
	json_t *json = json_pack("{s:i, s:s, s:i, s:i, s:i, s:s, s:s, s:o, s:o}", "sa", 1,
				 "direction", "in", "spi", 4096, "if_id", 1, "reqid", 1, "local",
				 "192.0.2.1", "remote", "198.51.100.7", "local_ts",
				 list_make(local), "remote_ts", list_make(remote));
	const char *wrong;

	memset(sa, 0, sizeof(*sa));
	wrong = session_sa_parse(json, false, sa);
	json_decref(json);
	return wrong;
}

static const char *const everything[] = { "0.0.0.0-255.255.255.255", NULL };

/* The prefixes of one range, joined by spaces; "too many". */
static const char *split(const char *range, char *text, size_t size)
{
	const char *remote[] = { range, NULL };
	struct abi_address *networks;
	struct session_sa sa;
	char one[ADDRESS_TEXT_LEN];
	size_t n, used = 0;

	assert_null(sa_make(everything, remote, &sa));
	if (session_networks_make(&sa, &networks, &n) != NULL) {
		free(sa.ts);
		return "too many";
	}
	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", i == 0 ? "" : " ",
					 prefix_format(&networks[i], one));
	free(networks);
	free(sa.ts);
	return text;
}

static void ranges_become_prefixes(void **state)
{
	static const char *const cases[][2] = {
		{ "10.0.0.5-10.0.0.5", "10.0.0.5/32" },
		{ "10.0.0.0-10.0.0.255", "10.0.0.0/24" },
		{ "10.0.0.5-10.0.0.9", "10.0.0.5/32 10.0.0.6/31 10.0.0.8/31" },
		{ "0.0.0.0-255.255.255.255", "0.0.0.0/0" },
		{ "255.255.255.254-255.255.255.255", "255.255.255.254/31" },
		{ "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0" },
		{ "fd00::1-fd00::2", "fd00::1/128 fd00::2/128" },
		{ "::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "too many" },
	};
	char text[4096];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(split(cases[i][0], text, sizeof(text)), cases[i][1]);
	/* 31 + 31 of them: the most that a range of IPv4 takes. */
	assert_string_not_equal(split("0.0.0.1-255.255.255.254", text, sizeof(text)), "too many");
}

static void pairs_have_a_limit(void **state)
{
	static const char *const four[] = { "10.0.0.0-10.0.0.9", "10.0.1.0-10.0.1.9",
					    "10.0.2.0-10.0.2.9", "10.0.3.0-10.0.3.9", NULL };
	static const char *const five[] = { "10.1.0.0-10.1.0.9", "10.1.1.0-10.1.1.9",
					    "10.1.2.0-10.1.2.9", "10.1.3.0-10.1.3.9",
					    "10.1.4.0-10.1.4.9", NULL };
	static const char *const same[] = { "10.0.0.0-10.0.0.9", "10.0.0.0-10.0.0.9", NULL };
	static const char *const other[] = { "fd00::-fd00::9", NULL };
	static const char *const tcp[] = { "10.0.0.0-10.0.0.9 6 443", NULL };
	static const char *const udp[] = { "10.0.0.0-10.0.0.9 17", NULL };
	static const struct {
		const char *const *local;
		const char *const *remote;
		bool good;
	} cases[] = { { four, four, true },     { four, five, false }, { same, five, true },
		      { four, other, false },   { tcp, udp, false },   { tcp, four, true },
		      { everything, tcp, true } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct session_sa sa;

		assert_null(sa_make(cases[i].local, cases[i].remote, &sa));
		assert_int_equal(session_selectors_check(&sa) == NULL, cases[i].good);
		free(sa.ts);
	}
}

/* -- the store -- */

struct found {
	unsigned int n;
	uint64_t handles[8];
};

static int row_take(void *context, const struct store_session *row)
{
	struct found *found = context;

	assert_true(found->n < 8);
	assert_int_equal(row->sealed_size, 60);
	assert_string_equal(row->document, "{}");
	found->handles[found->n++] = row->handle;
	return 0;
}

static void rows_come_in_order_and_keys_are_remembered(void **state)
{
	static const uint8_t sealed[60] = { 1 };
	struct bed *bed = *state;
	struct store_session row = { .instance = INT64_MAX,
				     .document = "{}",
				     .sealed = sealed,
				     .sealed_size = sizeof(sealed) };
	struct found found = { 0 };
	uint64_t limit;

	assert_int_equal(store_begin(bed->store), 0);
	for (uint64_t i = 1; i <= 3; i++) {
		row.handle = 10 - i;
		row.serial = i;
		row.digest[0] = (uint8_t)i;
		assert_int_equal(store_session_set(bed->store, &row), 0);
		assert_int_equal(store_lease_raise(bed->store, row.digest, 1000), 0);
	}
	assert_int_equal(store_session_delete(bed->store, INT64_MAX, 7, row.digest, 100), 0);
	assert_int_equal(store_commit(bed->store), 0);
	bed_close(bed);
	bed_open(bed);
	assert_int_equal(store_session_list(bed->store, row_take, &found), 0);
	assert_int_equal(found.n, 2);
	assert_int_equal(found.handles[0], 9);
	assert_int_equal(found.handles[1], 8);
	assert_int_equal(store_key_is_spent(bed->store, row.digest), 1);
	assert_int_equal(store_begin(bed->store), 0);
	assert_int_equal(store_spent_prune(bed->store, 100, 10), 0); /* not before it */
	assert_int_equal(store_key_is_spent(bed->store, row.digest), 1);
	assert_int_equal(store_lease_get(bed->store, row.digest, &limit), 0);
	assert_int_equal(limit, 1000);
	assert_int_equal(store_spent_prune(bed->store, 101, 10), 0);
	assert_int_equal(store_commit(bed->store), 0);
	assert_int_equal(store_key_is_spent(bed->store, row.digest), 0);
	assert_int_equal(store_lease_get(bed->store, row.digest, &limit), 0);
	assert_int_equal(limit, 0);
	row.digest[0] = 1; /* of one that is there: its lease stays */
	assert_int_equal(store_lease_get(bed->store, row.digest, &limit), 0);
	assert_int_equal(limit, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_become_prefixes),
		cmocka_unit_test(pairs_have_a_limit),
		cmocka_unit_test_setup_teardown(rows_come_in_order_and_keys_are_remembered,
						bed_setup, bed_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
