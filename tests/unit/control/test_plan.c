/* SPDX-License-Identifier: BSD-3-Clause */
/* In what order the dataplane is told. */
#include "control_bed.h"

#include <string.h>

#include "address.h"
#include "config.h"
#include "plan.h"

/* A tenant from its JSON, with ids given in the order of reading. */
static struct tenant *tenant_read(struct bed *bed, const char *text, uint32_t first_sa)
{
	struct model none = { 0 };
	struct config_reader reader;
	struct config_context context = { .vault = bed->vault,
					  .current = &none,
					  .reader = &reader };
	json_t *json = json_loads(text, 0, NULL);
	struct tenant *tenant;

	assert_non_null(json);
	assert_int_equal(reader_open(&reader), 0);
	tenant = config_parse_tenant(&context, json);
	assert_int_equal(reader.n_errors, 0);
	config_check_tenant(&reader, tenant);
	assert_int_equal(reader.n_errors, 0);
	config_sort_tenant(tenant);
	tenant->id = 1;
	for (size_t i = 0; i < tenant->n_attachments; i++)
		tenant->attachments[i]->id = (uint32_t)i + 1;
	for (size_t i = 0; i < tenant->n_tunnels; i++) {
		tenant->tunnels[i]->id = (uint32_t)i + 1;
		for (size_t k = 0; k < tenant->tunnels[i]->n_sas; k++)
			tenant->tunnels[i]->sas[k].id = first_sa++;
	}
	reader_close(&reader);
	json_decref(json);
	return tenant;
}

static struct plan *plan_between(struct bed *bed, const struct tenant *now,
				 const struct tenant *next)
{
	struct plan_set have = { 0 }, want = { 0 };
	struct plan *plan;

	if (now != NULL)
		plan_set_tenant(&have, bed->vault, now);
	if (next != NULL)
		plan_set_tenant(&want, bed->vault, next);
	plan = plan_create(bed->vault, &have, &want);
	assert_non_null(plan);
	return plan;
}

static void expect(const struct plan *plan, const uint16_t *types, size_t n)
{
	assert_int_equal(plan->n, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(plan->steps[i].type, types[i]);
}
#define EXPECT(plan, ...) \
	expect(plan, (const uint16_t[]){ __VA_ARGS__ }, sizeof((uint16_t[]){ __VA_ARGS__ }) / 2)

#define KEY(n)  "\"key\":\"000102030405060708090a0b0c0d0e" n "\",\"salt\":\"01020304\""
#define IN(n)   "{\"direction\":\"in\",\"spi\":\"0x1" n "00\"," KEY(n) "}"
#define OUT(n)  "{\"direction\":\"out\",\"spi\":\"0x2" n "00\"," KEY(n) "}"
#define TUNNEL  "\"local\":\"192.0.2.1\",\"remote\":\"192.0.2.2\""
#define LINK(v) "{\"name\":\"dc\",\"port\":\"lan\",\"vlan\":" v ",\"addresses\":[\"10.0.0.1/24\"]}"

static void all_at_once_and_back(void **state)
{
	struct bed *bed = *state;
	struct tenant *tenant = tenant_read(
		bed,
		"{\"name\":\"a\",\"attachments\":[" LINK(
			"1") "],\"tunnels\":[{\"name\":\"t\"," TUNNEL
			     ",\"networks\":[\"10.1.0.0/16\"],\"sas\":[" IN("11") "," OUT(
				     "12") "]}],"
					   "\"routes\":[{\"prefix\":\"10.2.0.0/16\",\"via\":\"10.0.0.9\"}]}",
		1);
	struct plan *plan = plan_between(bed, NULL, tenant);

	EXPECT(plan, ABI_TENANT_SET, ABI_ATTACHMENT_SET, ABI_TUNNEL_SET, ABI_SA_SET, ABI_SA_SET,
	       ABI_ROUTE_SET, ABI_ROUTE_SET);
	plan_destroy(plan);
	plan = plan_between(bed, tenant, tenant);
	assert_int_equal(plan->n, 0);
	plan_destroy(plan);
	plan = plan_between(bed, tenant, NULL);
	EXPECT(plan, ABI_ROUTE_DELETE, ABI_ROUTE_DELETE, ABI_ATTACHMENT_DELETE, ABI_SA_DELETE,
	       ABI_SA_DELETE, ABI_TUNNEL_DELETE, ABI_TENANT_DELETE);
	plan_destroy(plan);
	tenant_release(tenant);
}

static struct tenant *with_sas(struct bed *bed, const char *sas, uint32_t first)
{
	char text[2048];

	snprintf(text, sizeof(text),
		 "{\"name\":\"a\",\"tunnels\":[{\"name\":\"t\"," TUNNEL ",\"sas\":[%s]}]}", sas);
	return tenant_read(bed, text, first);
}

static void a_new_sa_is_there_before_the_old_one_goes(void **state)
{
	struct bed *bed = *state;
	struct tenant *now = with_sas(bed, IN("11") "," OUT("12"), 1);
	struct tenant *next = with_sas(bed, IN("13") "," OUT("14"), 3);
	struct plan *plan = plan_between(bed, now, next);

	EXPECT(plan, ABI_SA_SET, ABI_SA_SET, ABI_SA_DELETE, ABI_SA_DELETE);
	plan_destroy(plan);
	tenant_release(now);
	tenant_release(next);
}

static void an_spi_is_free_before_it_is_taken(void **state)
{
	struct bed *bed = *state;
	struct tenant *now = with_sas(bed, IN("11"), 1);
	struct tenant *next =
		with_sas(bed, "{\"direction\":\"in\",\"spi\":\"0x11100\"," KEY("55") "}", 2);
	struct plan *plan = plan_between(bed, now, next);

	EXPECT(plan, ABI_SA_DELETE, ABI_SA_SET);
	plan_destroy(plan);
	tenant_release(now);
	tenant_release(next);
}

/* The one that is set last sends: the last of the list. */
static void the_last_outbound_sa_is_set_last(void **state)
{
	struct bed *bed = *state;
	struct tenant *now = with_sas(bed, OUT("12"), 1);
	struct tenant *next = with_sas(bed, OUT("13") "," OUT("12"), 5);
	struct plan *plan;

	next->tunnels[0]->sas[1].id = 1; /* kept, though one is set before it */
	plan = plan_between(bed, now, next);
	EXPECT(plan, ABI_SA_DELETE, ABI_SA_SET, ABI_SA_SET);
	assert_int_equal(plan->steps[1].object->as.sa.id, 5);
	assert_int_equal(plan->steps[2].object->as.sa.id, 1);
	plan_destroy(plan);
	tenant_release(now);
	tenant_release(next);
}

static struct tenant *with_tunnel(struct bed *bed, const char *members)
{
	char text[2048];

	snprintf(text, sizeof(text),
		 "{\"name\":\"a\",\"tunnels\":[{\"name\":\"t\",%s,\"sas\":[" IN("11") "," OUT(
			 "12") "]}]}",
		 members);
	return tenant_read(bed, text, 1);
}

/* Another end, port or policy: one TUNNEL_SET, and no SA is touched. */
static void a_tunnel_that_changes_keeps_its_sas(void **state)
{
	static const char *const others[] = {
		"\"local\":\"192.0.2.1\",\"remote\":\"192.0.2.3\"",
		"\"local\":\"192.0.2.9\",\"remote\":\"192.0.2.2\"",
		TUNNEL ",\"encapsulation\":\"udp\"",
		TUNNEL ",\"encapsulation\":\"udp\",\"keepalive\":20",
		TUNNEL ",\"dscp\":10",
		TUNNEL ",\"df\":\"clear\"",
		TUNNEL ",\"ttl\":9",
		TUNNEL ",\"flow-label\":\"inner\"",
		TUNNEL ",\"mss-clamp\":false",
		TUNNEL ",\"mss-clamp\":1000",
		TUNNEL ",\"pad-to\":100",
		TUNNEL ",\"dummy-ms\":100",
		TUNNEL ",\"follow\":true",
		TUNNEL ",\"dscp-in\":\"copy\"",
		TUNNEL ",\"mtu\":1400",
	};
	struct bed *bed = *state;
	struct tenant *now = with_tunnel(bed, TUNNEL);

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct tenant *next = with_tunnel(bed, others[i]);
		struct plan *plan = plan_between(bed, now, next);

		EXPECT(plan, ABI_TUNNEL_SET);
		plan_destroy(plan);
		tenant_release(next);
	}
	tenant_release(now);
}

static void selectors_go_with_their_tunnel(void **state)
{
	static const char one[] = TUNNEL ",\"selectors\":[{\"local\":\"10.0.0.0/8\"}]";
	static const char two[] = TUNNEL ",\"selectors\":[{\"local\":\"10.0.0.0/9\"}]";
	struct bed *bed = *state;
	struct tenant *none = with_tunnel(bed, TUNNEL), *first = with_tunnel(bed, one);
	struct tenant *second = with_tunnel(bed, two);
	struct tenant *empty = with_tunnel(bed, TUNNEL ",\"selectors\":[]");
	const struct tenant *const steps[][2] = { { none, first },   { first, second },
						  { second, empty }, { empty, first },
						  { first, none },   { none, empty } };
	struct abi_selectors record;
	struct plan *plan = plan_between(bed, NULL, first);
	uint8_t buffer[4096];
	uint16_t type;
	uint32_t count;

	/* Before an SA can send or receive anything. */
	EXPECT(plan, ABI_TENANT_SET, ABI_TUNNEL_SET, ABI_SELECTORS_SET, ABI_SA_SET, ABI_SA_SET);
	for (unsigned int i = 0; i < 2; i++)
		assert_true(plan_fill(plan, buffer, sizeof(buffer), &type, &count) > 0);
	assert_int_equal(plan_fill(plan, &record, sizeof(record), &type, &count), sizeof(record));
	assert_int_equal(type, ABI_SELECTORS_SET);
	assert_int_equal(record.tunnel, 1);
	assert_int_equal(record.count, 1);
	assert_int_equal(record.selector[0].family, ABI_IPV4);
	plan_destroy(plan);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		plan = plan_between(bed, steps[i][0], steps[i][1]);
		EXPECT(plan, ABI_TUNNEL_SET, ABI_SELECTORS_SET);
		plan_destroy(plan);
	}
	tenant_release(none);
	tenant_release(first);
	tenant_release(second);
	tenant_release(empty);
}

#define LIFE(seconds) ",\"lifetime\":{\"hard\":{\"seconds\":" seconds "}}"

static void another_lifetime_is_no_other_sa(void **state)
{
	struct bed *bed = *state;
	struct tenant *none = with_tunnel(bed, TUNNEL);
	struct tenant *hour = with_tunnel(bed, TUNNEL LIFE("3600"));
	struct tenant *day = with_tunnel(bed, TUNNEL LIFE("86400"));
	const struct tenant *const steps[][2] = { { none, hour }, { hour, day }, { day, none } };
	struct plan *plan;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		plan = plan_between(bed, steps[i][0], steps[i][1]);
		EXPECT(plan, ABI_SA_SET, ABI_SA_SET);
		assert_true(plan->steps[0].object->again && plan->steps[1].object->again);
		plan_destroy(plan);
	}
	plan = plan_between(bed, hour, hour);
	assert_int_equal(plan->n, 0);
	plan_destroy(plan);
	tenant_release(none);
	tenant_release(hour);
	tenant_release(day);
}

/* What a dump tells is what was left at some time: it is set anew where there is a limit. */
static void after_a_dump_lifetimes_are_told_again(void **state)
{
	struct bed *bed = *state;
	struct tenant *tenant = with_tunnel(bed, TUNNEL LIFE("3600"));
	struct plan_set have = { 0 }, want = { 0 }, told = { 0 };
	struct plan *plan;

	plan_set_tenant(&told, bed->vault, tenant);
	for (size_t i = 0; i < told.n; i++) {
		static const enum abi_dump_kind kinds[] = { [PLAN_TENANT] = ABI_DUMP_TENANT,
							    [PLAN_TUNNEL] = ABI_DUMP_TUNNEL,
							    [PLAN_SA] = ABI_DUMP_SA };

		plan_set_dump(&have, kinds[told.objects[i].kind], &told.objects[i].as, 1);
	}
	plan_set_sort(&have);
	plan_set_owners(&have);
	plan_set_tenant(&want, bed->vault, tenant);
	plan = plan_create(bed->vault, &have, &want);
	EXPECT(plan, ABI_SA_SET, ABI_SA_SET);
	assert_true(plan->steps[0].object->again && plan->steps[1].object->again);
	plan_destroy(plan);
	plan_set_free(&told);
	tenant_release(tenant);
}

/* One that is set before the sender makes the sender a new one, though it could have stayed. */
static void a_sender_that_is_kept_is_set_last_all_the_same(void **state)
{
	struct bed *bed = *state;
	struct tenant *now = with_sas(bed, OUT("12"), 1);
	struct tenant *next = with_sas(bed, OUT("13") "," OUT("12"), 5);
	struct plan *plan;

	next->tunnels[0]->sas[1].id = 1;
	next->tunnels[0]->lifetime.hard.bytes = 1000;
	plan = plan_between(bed, now, next);
	EXPECT(plan, ABI_SA_DELETE, ABI_SA_SET, ABI_SA_SET);
	assert_int_equal(plan->steps[2].object->as.sa.id, 1);
	assert_false(plan->steps[2].object->again);
	plan_destroy(plan);
	tenant_release(now);
	tenant_release(next);
}

static void a_link_that_moves_takes_its_routes_along(void **state)
{
	struct bed *bed = *state;
	static const char text[] = "{\"name\":\"a\",\"attachments\":[" LINK(
		"%s") "],\"routes\":[{\"prefix\":\"10.2.0.0/16\",\"via\":\"10.0.0.9\"}]}";
	char one[512], two[512];
	struct tenant *now, *next;
	struct plan *plan;

	snprintf(one, sizeof(one), "%.*s1%s", (int)(strstr(text, "%s") - text), text,
		 strstr(text, "%s") + 2);
	snprintf(two, sizeof(two), "%.*s2%s", (int)(strstr(text, "%s") - text), text,
		 strstr(text, "%s") + 2);
	now = tenant_read(bed, one, 1);
	next = tenant_read(bed, two, 1);
	plan = plan_between(bed, now, next);
	EXPECT(plan, ABI_ROUTE_DELETE, ABI_ATTACHMENT_DELETE, ABI_ATTACHMENT_SET, ABI_ROUTE_SET);
	plan_destroy(plan);
	tenant_release(now);
	tenant_release(next);
}

static void records_fill_messages_and_keys_are_put_in(void **state)
{
	struct bed *bed = *state;
	struct tenant *tenant = with_sas(bed, IN("11") "," OUT("12"), 1);
	struct plan *plan = plan_between(bed, NULL, tenant);
	static const uint8_t key[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0x12 };
	static const uint8_t salt[] = { 1, 2, 3, 4 };
	struct abi_sa records[2];
	uint8_t buffer[4096];
	uint16_t type;
	uint32_t count;

	assert_int_equal(plan_fill(plan, buffer, sizeof(buffer), &type, &count),
			 sizeof(struct abi_tenant));
	assert_int_equal(plan_fill(plan, buffer, sizeof(buffer), &type, &count),
			 sizeof(struct abi_tunnel));
	assert_int_equal(plan_fill(plan, records, sizeof(records), &type, &count), sizeof(records));
	assert_int_equal(type, ABI_SA_SET);
	assert_int_equal(count, 2);
	assert_int_equal(records[1].key_len, 16);
	assert_memory_equal(records[1].key, key, sizeof(key));
	assert_memory_equal(records[1].salt, salt, sizeof(salt));
	assert_int_equal(plan_fill(plan, buffer, sizeof(buffer), &type, &count), 0);
	plan_destroy(plan);
	/* Sealed for another tenant: it doesn't open. */
	snprintf(tenant->name, sizeof(tenant->name), "b");
	plan = plan_between(bed, NULL, tenant);
	assert_true(plan_fill(plan, buffer, sizeof(buffer), &type, &count) > 0);
	assert_true(plan_fill(plan, buffer, sizeof(buffer), &type, &count) > 0);
	assert_true(plan_fill(plan, buffer, sizeof(buffer), &type, &count) < 0);
	plan_destroy(plan);
	tenant_release(tenant);
}

static void prefixes_lie_as_they_should(void **state)
{
	static const struct {
		const char *a, *b;
		int overlap;
	} cases[] = {
		{ "10.0.0.0/8", "10.255.0.0/16", 1 },  { "10.0.0.0/9", "10.128.0.0/9", 0 },
		{ "0.0.0.0/0", "255.0.0.0/8", 1 },     { "10.0.0.0/8", "::/0", 0 },
		{ "fd00::/8", "fdff:ffff::1/128", 1 }, { "fd00::/16", "fd01::/16", 0 },
		{ "10.0.0.5/32", "10.0.0.5/32", 1 },   { "10.0.0.4/31", "10.0.0.6/31", 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct abi_address a, b;

		assert_int_equal(prefix_parse(cases[i].a, &a), 0);
		assert_int_equal(prefix_parse(cases[i].b, &b), 0);
		assert_int_equal(prefix_overlaps(&a, &b), cases[i].overlap);
		assert_int_equal(prefix_overlaps(&b, &a), cases[i].overlap);
	}
	for (const char *const *bad =
		     (const char *const[]){ "10.0.0.0", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/33",
					    "::/129", "/8", "10.0.0/8", "10.0.0.0/8x",
					    "10.0.0.0/0008", NULL };
	     *bad != NULL; bad++) {
		struct abi_address prefix;

		assert_int_not_equal(prefix_parse(*bad, &prefix), 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_at_once_and_back),
		TEST(a_new_sa_is_there_before_the_old_one_goes),
		TEST(an_spi_is_free_before_it_is_taken),
		TEST(the_last_outbound_sa_is_set_last),
		TEST(a_tunnel_that_changes_keeps_its_sas),
		TEST(selectors_go_with_their_tunnel),
		TEST(another_lifetime_is_no_other_sa),
		TEST(after_a_dump_lifetimes_are_told_again),
		TEST(a_sender_that_is_kept_is_set_last_all_the_same),
		TEST(a_link_that_moves_takes_its_routes_along),
		TEST(records_fill_messages_and_keys_are_put_in),
		TEST(prefixes_lie_as_they_should),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
