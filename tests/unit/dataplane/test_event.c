/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply.h"
#include "event.h"
#include "event_notes.h"
#include "gateway_fixture.h"
#include "worker.h"

#define NOTES 1023 /* that a ring holds */

/* A gateway with SA 1 (in) and 2 (out) of tunnel 5, and one worker that is a ring only. */
struct house {
	struct fixture *f;
	struct gateway *gw;
	struct apply *apply;
	struct worker *worker[1];
};

static struct abi_event events[ABI_EVENTS_KEPT + 1];

static void house_apply(struct house *h, uint16_t type, const void *record)
{
	char text[ABI_TEXT_LEN] = "";

	if (apply_record(h->apply, type, record, text, sizeof(text)) != 0)
		fail_msg("%s", text);
}

static void house_open(struct house *h)
{
	struct abi_tenant tenant = make_tenant(3);
	struct abi_tunnel tunnel = make_tunnel(5, 3, "192.0.2.1", "192.0.2.9");
	struct abi_sa in = make_sa_in(1, 5, 0x1001), out = make_sa_out(2, 5, 0x2002);

	h->f = fixture_create(NULL, 1);
	h->gw = &h->f->gw;
	assert_int_equal(apply_create(h->gw, &h->apply), 0);
	house_apply(h, ABI_TENANT_SET, &tenant);
	house_apply(h, ABI_TUNNEL_SET, &tunnel);
	house_apply(h, ABI_SA_SET, &in);
	house_apply(h, ABI_SA_SET, &out);
	apply_commit(h->apply);
	h->worker[0] = aligned_alloc(64, sizeof(struct worker));
	assert_non_null(h->worker[0]);
	memset(h->worker[0], 0, sizeof(struct worker));
	h->worker[0]->events = event_ring_create();
	assert_non_null(h->worker[0]->events);
	h->gw->worker = h->worker;
	h->gw->workers = 1;
}

static void house_close(struct house *h)
{
	event_ring_destroy(h->worker[0]->events);
	free(h->worker[0]);
	apply_destroy(h->apply);
	fixture_destroy(h->f);
}

static struct event_note note_in(const struct house *h, uint64_t value)
{
	return (struct event_note){
		.kind = ABI_EVENT_ESN_RECOVERED,
		.sa = 1,
		.generation = h->gw->tables->sa[1].in.generation,
		.value = value,
	};
}

static void reading_takes_nothing_out(void **state)
{
	struct event_log *log;

	assert_int_equal(event_log_create(&log), 0);
	assert_int_equal(event_read(log, 0, events, 10), 0);
	for (uint32_t i = 1; i <= 5; i++)
		event_raise(log, &(struct abi_event){ .kind = ABI_EVENT_PATH_MTU, .value = i });
	for (uint32_t again = 0; again < 2; again++) {
		assert_int_equal(event_read(log, 0, events, 10), 5);
		for (uint32_t i = 0; i < 5; i++) {
			assert_int_equal(events[i].number, i + 1);
			assert_int_equal(events[i].value, i + 1);
			assert_true(events[i].time > 1600000000000000000ull);
		}
	}
	assert_int_equal(event_read(log, 3, events, 10), 2);
	assert_int_equal(events[0].number, 4);
	assert_int_equal(event_read(log, 1, events, 2), 2); /* the oldest of them */
	assert_int_equal(events[0].number, 2);
	assert_int_equal(event_read(log, 5, events, 10), 0);
	assert_int_equal(event_read(log, UINT64_MAX, events, 10), 0);
	event_log_destroy(log);
}

static void the_newest_are_kept(void **state)
{
	const uint32_t all = 2 * ABI_EVENTS_KEPT + 7;
	struct event_log *log;

	assert_int_equal(event_log_create(&log), 0);
	for (uint32_t i = 1; i <= all; i++)
		event_raise(log, &(struct abi_event){ .kind = ABI_EVENT_PATH_MTU, .value = i });
	assert_int_equal(event_read(log, 0, events, ABI_EVENTS_KEPT + 1), ABI_EVENTS_KEPT);
	for (uint32_t i = 0; i < ABI_EVENTS_KEPT; i++) {
		assert_int_equal(events[i].number, all - ABI_EVENTS_KEPT + 1 + i);
		assert_int_equal(events[i].value, events[i].number);
	}
	event_skip(log, 4);
	event_raise(log, &(struct abi_event){ .kind = ABI_EVENT_PATH_MTU });
	assert_int_equal(event_read(log, all, events, 10), 1);
	assert_int_equal(events[0].number, all + 5); /* the gap shows that some are missing */
	event_log_destroy(log);
}

static void a_note_becomes_an_event(void **state)
{
	static const uint8_t v4[28] = { 0x45, [12] = 192, 0, 2, 9, [20] = 0x30, 0x39 };
	static const uint8_t v6[40] = { 0x60, [8] = 0x20, 1, [23] = 7 };
	struct house h;
	struct event_note note;

	house_open(&h);
	note = note_in(&h, 77);
	note.count = 9;
	event_note_source(&note, v4, IP_V4, v4 + 20);
	event_note_push(h.worker[0]->events, &note);
	note = note_in(&h, 78);
	event_note_source(&note, v6, IP_V6, NULL);
	event_note_push(h.worker[0]->events, &note);
	event_notes_drain(h.gw);
	assert_int_equal(event_read(h.gw->events, 0, events, 10), 2);
	assert_int_equal(events[0].kind, ABI_EVENT_ESN_RECOVERED);
	assert_int_equal(events[0].tenant, 3);
	assert_int_equal(events[0].tunnel, 5);
	assert_int_equal(events[0].sa, 1);
	assert_int_equal(events[0].spi, htonl(0x1001));
	assert_int_equal(events[0].value, 77);
	assert_int_equal(events[0].count, 9);
	assert_int_equal(events[0].port, 12345);
	assert_int_equal(events[0].address.family, ABI_IPV4);
	assert_memory_equal(events[0].address.addr, v4 + 12, 4);
	assert_int_equal(events[1].address.family, ABI_IPV6);
	assert_memory_equal(events[1].address.addr, v6 + 8, 16);
	assert_int_equal(events[1].port, 0);
	event_notes_drain(h.gw);
	assert_int_equal(event_read(h.gw->events, 2, events, 10), 0);
	house_close(&h);
}

static void a_new_sa_is_not_blamed(void **state)
{
	struct abi_id id = { .id = 1 };
	struct abi_sa out = make_sa_out(1, 5, 0x3003), in = make_sa_in(1, 5, 0x1001);
	struct event_note note;
	struct house h;

	house_open(&h);
	note = note_in(&h, 1);
	/* Deleted; then its id is that of an SA of the other direction, then of one just like it. */
	house_apply(&h, ABI_SA_DELETE, &id);
	apply_commit(h.apply);
	event_note_push(h.worker[0]->events, &note);
	event_notes_drain(h.gw);
	house_apply(&h, ABI_SA_SET, &out);
	apply_commit(h.apply);
	event_note_push(h.worker[0]->events, &note);
	event_notes_drain(h.gw);
	house_apply(&h, ABI_SA_DELETE, &id);
	house_apply(&h, ABI_SA_SET, &in);
	apply_commit(h.apply);
	event_note_push(h.worker[0]->events, &note);
	event_notes_drain(h.gw);
	assert_int_equal(event_read(h.gw->events, 0, events, 10), 0);

	note = note_in(&h, 2);
	event_note_push(h.worker[0]->events, &note);
	/* A change that is undone leaves it the SA that it was. */
	house_apply(&h, ABI_SA_DELETE, &id);
	house_apply(&h, ABI_SA_SET, &out);
	apply_rollback(h.apply);
	event_notes_drain(h.gw);
	assert_int_equal(event_read(h.gw->events, 0, events, 10), 1);
	assert_int_equal(events[0].value, 2);
	house_close(&h);
}

static void a_full_ring_loses_and_says_so(void **state)
{
	struct event_note note;
	struct house h;

	house_open(&h);
	for (uint32_t i = 1; i <= NOTES + 10; i++) {
		note = note_in(&h, i);
		event_note_push(h.worker[0]->events, &note);
	}
	for (uint32_t i = 0; i <= NOTES; i++)
		event_notes_drain(h.gw);
	assert_int_equal(event_read(h.gw->events, 0, events, ABI_EVENTS_KEPT), NOTES);
	assert_int_equal(events[0].value, 1);
	assert_int_equal(events[NOTES - 1].value, NOTES);
	/* The first drain told of the loss, wherever in the order: later numbers are higher by it. */
	assert_int_equal(events[NOTES - 1].number, NOTES + 10);
	note = note_in(&h, 5000);
	event_note_push(h.worker[0]->events, &note);
	event_notes_drain(h.gw);
	assert_int_equal(event_read(h.gw->events, NOTES + 10, events, 10), 1);
	assert_int_equal(events[0].number, NOTES + 11);
	event_note_push(NULL, &note); /* a worker without a ring */
	house_close(&h);
}

/* Sets SA 1 once more, with these lifetimes. */
static void set_again(struct house *h, struct abi_lifetime soft, struct abi_lifetime hard)
{
	struct abi_sa in = make_sa_in(1, 5, 0x1001);

	in.soft = soft;
	in.hard = hard;
	house_apply(h, ABI_SA_SET, &in);
}

static enum abi_sa_state state_at(struct house *h, uint64_t now_ms)
{
	h->gw->now_ms = now_ms;
	lifetime_tick(h->gw);
	return (enum abi_sa_state)h->gw->sa[1].state;
}

static void lifetimes_are_part_of_a_transaction(void **state)
{
	const struct abi_lifetime none = { 0 }, minute = { .seconds = 60 },
				  hour = { .seconds = 3600 };
	struct abi_id id = { .id = 1 };
	struct abi_sa out = make_sa_out(1, 5, 0x3003);
	struct digest before, after;
	struct house h;

	house_open(&h);
	h.worker[0]->stats = stats_writer(h.gw->stats, 1);
	h.gw->now_ms = 1000;
	set_again(&h, minute, hour);
	apply_commit(h.apply);
	assert_int_equal(state_at(&h, 60999), ABI_SA_LIVE);
	/* Undone: another lifetime; a deletion, and another SA with that id. */
	before = digest_take(h.gw);
	set_again(&h, (struct abi_lifetime){ .packets = 1 }, (struct abi_lifetime){ .seconds = 1 });
	apply_rollback(h.apply);
	house_apply(&h, ABI_SA_DELETE, &id);
	house_apply(&h, ABI_SA_SET, &out);
	apply_rollback(h.apply);
	after = digest_take(h.gw);
	assert_digest_equal(&before, &after);
	digest_free(&before);
	digest_free(&after);
	assert_int_equal(state_at(&h, 60999), ABI_SA_LIVE);
	assert_int_equal(state_at(&h, 61000), ABI_SA_SOFT);
	/* Seconds count from the last SET. */
	set_again(&h, minute, hour);
	apply_commit(h.apply);
	assert_int_equal(state_at(&h, 120999), ABI_SA_LIVE);
	assert_int_equal(state_at(&h, 121000), ABI_SA_SOFT);
	assert_int_equal(state_at(&h, 3660999), ABI_SA_SOFT);
	assert_int_equal(state_at(&h, 3661000), ABI_SA_HARD);
	assert_true(h.gw->tables->sa[1].in.flags & SA_EXPIRED);
	/* It stays so, set again and with its deletion undone. */
	set_again(&h, none, none);
	apply_commit(h.apply);
	assert_int_equal(state_at(&h, 3661000), ABI_SA_HARD);
	house_apply(&h, ABI_SA_DELETE, &id);
	house_apply(&h, ABI_SA_SET, &out);
	apply_rollback(h.apply);
	assert_int_equal(state_at(&h, 9000000), ABI_SA_HARD);
	assert_true(h.gw->tables->sa[1].in.flags & SA_EXPIRED);
	/* Another SA with that id is not. */
	house_apply(&h, ABI_SA_DELETE, &id);
	house_apply(&h, ABI_SA_SET, &out);
	apply_commit(h.apply);
	assert_int_equal(state_at(&h, 9000000), ABI_SA_LIVE);
	assert_false(h.gw->tables->sa[1].out.flags & SA_EXPIRED);
	assert_int_equal(event_read(h.gw->events, 0, events, 10), 3);
	house_close(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading_takes_nothing_out),
		cmocka_unit_test(the_newest_are_kept),
		cmocka_unit_test(a_note_becomes_an_event),
		cmocka_unit_test(a_new_sa_is_not_blamed),
		cmocka_unit_test(a_full_ring_loses_and_says_so),
		cmocka_unit_test(lifetimes_are_part_of_a_transaction),
	};

	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
