/* SPDX-License-Identifier: BSD-3-Clause */
/* Traffic selectors through apply: set, replaced, undone, gone with their tunnel. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "apply_calls.h"
#include "gateway_fixture.h"
#include "reclaim.h"
#include "selector.h"

#define IN  11 /* ids of tunnel 1's SAs */
#define OUT 12

/* `n` of them, TCP to ports from `port` on. */
static struct abi_selectors make_selectors(uint32_t tunnel, uint32_t n, uint16_t port)
{
	struct abi_selectors r = { .tunnel = tunnel, .count = n };

	for (uint32_t i = 0; i < n; i++) {
		struct abi_selector *s = &r.selector[i];

		s->family = i % 2 == 0 ? ABI_IPV4 : ABI_IPV6;
		s->protocol = 6;
		memset(s->local_last, 0xff, i % 2 == 0 ? 4 : 16);
		memset(s->remote_last, 0xff, i % 2 == 0 ? 4 : 16);
		s->local_port_last = UINT16_MAX;
		s->remote_port_first = s->remote_port_last = (uint16_t)(port + i);
	}
	return r;
}

static struct abi_tunnel tunnel_with(uint32_t flags)
{
	struct abi_tunnel r = make_tunnel(1, 1, "192.0.2.1", "198.51.100.7");

	r.flags = flags;
	return r;
}

static struct apply *world(struct fixture *f, uint32_t flags)
{
	struct apply *a;

	assert_int_equal(apply_create(&f->gw, &a), 0);
	SET(a, TENANT, make_tenant(1));
	SET(a, TUNNEL, tunnel_with(flags));
	SET(a, SA, make_sa_in(IN, 1, 0x1001));
	SET(a, SA, make_sa_out(OUT, 1, 0x2001));
	apply_commit(a);
	return a;
}

static void end(struct fixture *f, struct apply *a)
{
	apply_destroy(a);
	fixture_destroy(f);
}

/* Do both SAs of tunnel 1 ask for selectors? */
static bool heeded(const struct fixture *f)
{
	const struct tables *t = f->gw.tables;
	bool in = t->sa[IN].in.flags & SA_SELECTORS, out = t->sa[OUT].out.flags & SA_SELECTORS;

	assert_int_equal(in, out);
	return in;
}

static void set_replaced_and_taken_away(void **state)
{
	struct fixture *f = fixture_create(NULL, 1);
	struct apply *a = world(f, 0);
	const struct selectors *const *now = &f->gw.tables->selectors[1];
	struct abi_selectors back;

	assert_null(*now);
	SET(a, SELECTORS, make_selectors(1, ABI_SELECTORS_MAX, 80));
	apply_commit(a);
	assert_int_equal((*now)->n, ABI_SELECTORS_MAX);
	SET(a, SELECTORS, make_selectors(1, 2, 443));
	apply_commit(a);
	selectors_record(&f->gw, 1, &back);
	assert_int_equal(back.count, 2);
	assert_int_equal(back.selector[1].remote_port_first, 444);
	SET(a, SELECTORS, make_selectors(1, 0, 0));
	apply_commit(a);
	assert_null(*now);
	/* What is left at the end is freed with the gateway. */
	SET(a, SELECTORS, make_selectors(1, 3, 1));
	apply_commit(a);
	end(f, a);
}

static void flag_reaches_all_sas(void **state)
{
	struct fixture *f = fixture_create(NULL, 1);
	struct apply *a = world(f, 0);
	uint32_t sends = f->gw.tables->tunnel[1].sa_out;

	assert_false(heeded(f));
	SET(a, TUNNEL, tunnel_with(ABI_TUNNEL_SELECTORS));
	/* At once, and the tunnel does not stop for it. */
	assert_true(heeded(f));
	assert_int_equal(f->gw.tables->tunnel[1].sa_out, sends);
	apply_rollback(a);
	assert_false(heeded(f));
	SET(a, TUNNEL, tunnel_with(ABI_TUNNEL_SELECTORS));
	SET(a, SA, make_sa_in(21, 1, 0x1002));
	SET(a, SA, make_sa_out(22, 1, 0x2002));
	apply_commit(a);
	assert_true(heeded(f));
	assert_true(f->gw.tables->sa[21].in.flags & SA_SELECTORS);
	assert_true(f->gw.tables->sa[22].out.flags & SA_SELECTORS);
	/* Kept when its headers are made anew. */
	{
		struct abi_tunnel moved = tunnel_with(ABI_TUNNEL_SELECTORS);

		moved.remote = make_address("198.51.100.8");
		SET(a, TUNNEL, moved);
	}
	apply_commit(a);
	reclaim_wait(f->gw.tables->reclaim);
	assert_true(heeded(f));
	SET(a, TUNNEL, tunnel_with(0));
	apply_commit(a);
	reclaim_wait(f->gw.tables->reclaim);
	assert_false(heeded(f));
	assert_false(f->gw.tables->sa[22].out.flags & SA_SELECTORS);
	end(f, a);
}

static void undone_in_any_order(void **state)
{
	struct fixture *f = fixture_create(NULL, 1);
	struct apply *a = world(f, ABI_TUNNEL_SELECTORS);
	const struct selectors *before;
	struct digest then, now;

	SET(a, SELECTORS, make_selectors(1, 5, 80));
	apply_commit(a);
	before = f->gw.tables->selectors[1];
	then = digest_take(&f->gw);

	SET(a, SELECTORS, make_selectors(1, 2, 443));
	SET(a, SELECTORS, make_selectors(1, 0, 0));
	SET(a, SELECTORS, make_selectors(1, 16, 1));
	assert_int_equal(remove_id(a, ABI_SA_DELETE, IN), 0);
	assert_int_equal(remove_id(a, ABI_SA_DELETE, OUT), 0);
	assert_int_equal(remove_id(a, ABI_TUNNEL_DELETE, 1), 0);
	assert_null(f->gw.tables->selectors[1]);
	/* Another tunnel takes the id, with selectors of its own. */
	SET(a, TUNNEL, tunnel_with(0));
	SET(a, SELECTORS, make_selectors(1, 1, 99));
	apply_rollback(a);
	assert_ptr_equal(f->gw.tables->selectors[1], before);
	now = digest_take(&f->gw);
	assert_digest_equal(&then, &now);
	digest_free(&then);
	digest_free(&now);
	end(f, a);
}

static void gone_with_the_tunnel(void **state)
{
	struct fixture *f = fixture_create(NULL, 1);
	struct apply *a = world(f, ABI_TUNNEL_SELECTORS);
	struct abi_selectors none = make_selectors(2, 1, 1);

	assert_int_equal(try(a, ABI_SELECTORS_SET, &none), -ENOENT);
	apply_rollback(a);
	SET(a, SELECTORS, make_selectors(1, 5, 80));
	apply_commit(a);
	assert_int_equal(remove_id(a, ABI_SA_DELETE, IN), 0);
	assert_int_equal(remove_id(a, ABI_SA_DELETE, OUT), 0);
	assert_int_equal(remove_id(a, ABI_TUNNEL_DELETE, 1), 0);
	apply_commit(a);
	assert_null(f->gw.tables->selectors[1]);
	SET(a, TUNNEL, tunnel_with(0));
	apply_commit(a);
	assert_null(f->gw.tables->selectors[1]);
	end(f, a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_replaced_and_taken_away),
		cmocka_unit_test(flag_reaches_all_sas),
		cmocka_unit_test(undone_in_any_order),
		cmocka_unit_test(gone_with_the_tunnel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
