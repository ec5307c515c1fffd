/* SPDX-License-Identifier: BSD-3-Clause */
/* Events that are kept: once, in bounds, and no longer than their tenant. */
#include "control_bed.h"

#include <string.h>
#include <time.h>

#include "journal.h"
#include "model.h"

static void add(struct journal *journal, const char *tenant, const char *tunnel, double time,
		int number)
{
	json_t *event = json_pack("{s:s, s:f, s:i}", "kind", "test", "time", time, "n", number);

	if (tenant != NULL)
		json_object_set_new(event, "tenant", json_string(tenant));
	if (tunnel != NULL)
		json_object_set_new(event, "tunnel", json_string(tunnel));
	journal_add(journal, event);
	json_decref(event);
}

struct found {
	unsigned int n;
	int64_t ids[64];
	char last[256];
};

static void found_add(void *context, const struct store_event *event)
{
	struct found *found = context;

	assert_in_range(found->n, 0, 63);
	found->ids[found->n++] = event->id;
	snprintf(found->last, sizeof(found->last), "%s", event->document);
}

static struct found find(struct bed *bed, const char *tenant, const char *tunnel, int64_t after)
{
	const struct store_event_filter filter = {
		.tenant = tenant, .tunnel = tunnel, .after = after, .limit = 60
	};
	struct found found = { 0 };

	assert_int_equal(store_event_list(bed->store, &filter, found_add, &found), 0);
	return found;
}

static void each_is_found_by_whose_it_is(void **state)
{
	struct bed *bed = *state;
	struct journal journal;
	struct found found;

	assert_int_equal(journal_open(&journal, bed->store, 90, 100), 0);
	add(&journal, NULL, NULL, (double)time(NULL), 1);
	add(&journal, "acme", "one", (double)time(NULL), 2);
	add(&journal, "acme", "two", (double)time(NULL), 3);
	add(&journal, "bolt", "one", (double)time(NULL), 4);
	assert_int_equal(journal_flush(&journal), 0);
	assert_int_equal(find(bed, NULL, NULL, 0).n, 4);
	assert_int_equal(find(bed, "acme", NULL, 0).n, 2);
	assert_int_equal(find(bed, "acme", "one", 0).n, 1);
	assert_int_equal(find(bed, "bolt", "two", 0).n, 0);
	found = find(bed, "acme", NULL, 0); /* newest first */
	assert_true(found.ids[0] > found.ids[1]);
	assert_non_null(strstr(found.last, "\"n\":2"));
	found = find(bed, "acme", NULL, found.ids[1]); /* oldest first */
	assert_int_equal(found.n, 1);
	assert_non_null(strstr(found.last, "\"n\":3"));
	assert_int_equal(find(bed, NULL, NULL, 2).n, 2);
	journal_close(&journal);
}

/* A tenant that makes much noise pushes out nobody else's. */
static void each_tenant_has_its_rows(void **state)
{
	struct bed *bed = *state;
	struct journal journal;
	struct found found;

	assert_int_equal(journal_open(&journal, bed->store, 90, 10), 0);
	add(&journal, "quiet", "one", (double)time(NULL), 1);
	for (int i = 0; i < 200; i++) {
		add(&journal, "noisy", "one", (double)time(NULL), i);
		if (i % 7 == 0)
			assert_int_equal(journal_flush(&journal), 0);
	}
	assert_int_equal(journal_flush(&journal), 0);
	found = find(bed, "noisy", NULL, 0);
	assert_int_equal(found.n, 10);
	assert_non_null(strstr(found.last, "\"n\":190"));
	assert_int_equal(find(bed, "quiet", NULL, 0).n, 1);
	journal_close(&journal);
}

static void what_is_old_goes(void **state)
{
	struct bed *bed = *state;
	double now = (double)time(NULL);
	struct journal journal;

	assert_int_equal(journal_open(&journal, bed->store, 2, 100), 0);
	add(&journal, "acme", "one", now - 3 * 86400, 1);
	add(&journal, "acme", "one", now - 86400, 2);
	add(&journal, "acme", "one", now, 3);
	assert_int_equal(journal_flush(&journal), 0);
	assert_int_equal(find(bed, "acme", NULL, 0).n, 2);
	journal_close(&journal);
}

/* In all, the newest are kept. */
static void all_together_have_a_bound(void **state)
{
	struct bed *bed = *state;
	struct journal journal;

	assert_int_equal(journal_open(&journal, bed->store, 90, 100), 0);
	for (int i = 0; i < 50; i++)
		add(&journal, i % 2 ? "acme" : "bolt", "one", (double)time(NULL), i);
	assert_int_equal(journal_flush(&journal), 0);
	assert_int_equal(store_begin(bed->store), 0);
	assert_int_equal(store_event_prune(bed->store, 0, 20), 0);
	assert_int_equal(store_commit(bed->store), 0);
	assert_int_equal(find(bed, NULL, NULL, 0).n, 20);
	assert_int_equal(find(bed, "acme", NULL, 0).n, 10);
	journal_close(&journal);
}

/* How far was read is on the disk with what was read. */
static void reading_goes_on_where_it_ended(void **state)
{
	struct bed *bed = *state;
	struct journal journal;

	assert_int_equal(journal_open(&journal, bed->store, 90, 100), 0);
	assert_int_equal(journal_read(&journal, 77), 0);
	add(&journal, "acme", "one", (double)time(NULL), 1);
	journal_read_to(&journal, 77, 5);
	assert_int_equal(journal_flush(&journal), 0);
	add(&journal, "acme", "one", (double)time(NULL), 2);
	journal_read_to(&journal, 77, 6);
	journal_close(&journal); /* kaidod dies before the second is written */
	bed_close(bed);
	bed_open(bed);
	assert_int_equal(journal_open(&journal, bed->store, 90, 100), 0);
	assert_int_equal(journal_read(&journal, 77), 5);
	assert_int_equal(journal_read(&journal, 78), 0); /* another dataplane */
	assert_int_equal(find(bed, "acme", NULL, 0).n, 1);
	journal_close(&journal);
}

static void what_waits_has_a_bound(void **state)
{
	struct bed *bed = *state;
	struct journal journal;

	assert_int_equal(journal_open(&journal, bed->store, 90, 20), 0);
	for (int i = 0; i < JOURNAL_WAITING + 5; i++)
		add(&journal, "acme", "one", (double)time(NULL), i);
	assert_int_equal(journal.n_waiting, JOURNAL_WAITING);
	assert_int_equal(journal.lost, 5);
	assert_int_equal(journal_flush(&journal), 0);
	assert_int_equal(find(bed, "acme", NULL, 0).n, 20);
	journal_close(&journal);
}

static struct tenant *tenant_with(const char *name, const char *tunnel)
{
	struct tenant *tenant = calloc(1, sizeof(*tenant));

	assert_non_null(tenant);
	tenant->references = 1;
	snprintf(tenant->name, sizeof(tenant->name), "%s", name);
	tenant->tunnels = calloc(1, sizeof(*tenant->tunnels));
	assert_non_null(tenant->tunnels);
	tenant->tunnels[0] = calloc(1, sizeof(struct tunnel));
	assert_non_null(tenant->tunnels[0]);
	tenant->tunnels[0]->references = 1;
	snprintf(tenant->tunnels[0]->name, ABI_NAME_LEN, "%s", tunnel);
	tenant->n_tunnels = 1;
	return tenant;
}

static void they_go_with_their_tenant_and_tunnel(void **state)
{
	struct bed *bed = *state;
	struct model *model = model_create();
	struct journal journal;

	assert_non_null(model);
	assert_int_equal(model_put_tenant(model, tenant_with("acme", "one")), 0);
	assert_int_equal(journal_open(&journal, bed->store, 90, 100), 0);
	add(&journal, NULL, NULL, (double)time(NULL), 0);
	add(&journal, "acme", NULL, (double)time(NULL), 1);
	add(&journal, "acme", "one", (double)time(NULL), 2);
	add(&journal, "acme", "two", (double)time(NULL), 3);
	add(&journal, "bolt", "one", (double)time(NULL), 4);
	add(&journal, "bolt", NULL, (double)time(NULL), 5);
	assert_int_equal(journal_erase(&journal, model), 0);
	assert_int_equal(find(bed, NULL, NULL, 0).n, 3);
	assert_int_equal(find(bed, "acme", NULL, 0).n, 2);
	assert_int_equal(find(bed, "acme", "two", 0).n, 0);
	assert_int_equal(find(bed, "bolt", NULL, 0).n, 0);
	model_destroy(model);
	journal_close(&journal);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_is_found_by_whose_it_is),
		TEST(each_tenant_has_its_rows),
		TEST(what_is_old_goes),
		TEST(all_together_have_a_bound),
		TEST(reading_goes_on_where_it_ended),
		TEST(what_waits_has_a_bound),
		TEST(they_go_with_their_tenant_and_tunnel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
