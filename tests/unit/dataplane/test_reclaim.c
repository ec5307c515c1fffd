/* SPDX-License-Identifier: BSD-3-Clause */
/* Deferred freeing: nothing too early, everything once, in order. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include <rte_rcu_qsbr.h>

#include "reclaim.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED 0
#endif

struct seen {
	struct reclaim *reclaim;
	uint64_t calls;
	uint64_t again; /* how often note_and_defer() is to defer another */
};

/* Calls are numbered: a is the number, b its double. */
static void note(void *owner, uint64_t a, uint64_t b)
{
	struct seen *s = owner;

	assert_int_equal(a, s->calls);
	assert_int_equal(b, 2 * a);
	s->calls++;
}

static void note_and_defer(void *owner, uint64_t a, uint64_t b)
{
	struct seen *s = owner;

	s->calls++;
	if (s->again != 0) {
		s->again--;
		reclaim_defer(s->reclaim, note_and_defer, s, 0, 0);
	}
}

static void test_without_readers(void **state)
{
	struct reclaim *r = reclaim_create(2);
	struct seen s = { .reclaim = r };

	assert_non_null(r);
	assert_int_equal(reclaim_poll(r), 0);
	for (uint64_t i = 0; i < 1000; i++)
		reclaim_defer(r, note, &s, i, 2 * i);
	assert_int_equal(reclaim_poll(r), 0);
	assert_int_equal(s.calls, 1000);
	reclaim_destroy(r);
	assert_null(reclaim_create(0));
	reclaim_destroy(NULL);
}

static void test_waits_for_each_reader(void **state)
{
	enum { MANY = 10000 };
	struct reclaim *r = reclaim_create(3);
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(r);
	struct seen s = { .reclaim = r };

	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(rte_rcu_qsbr_thread_register(qsbr, i), 0);
		rte_rcu_qsbr_thread_online(qsbr, i);
	}
	for (uint64_t i = 0; i < MANY; i++)
		reclaim_defer(r, note, &s, i, 2 * i);
	assert_int_equal(reclaim_poll(r), MANY);
	rte_rcu_qsbr_quiescent(qsbr, 0);
	rte_rcu_qsbr_quiescent(qsbr, 2);
	assert_int_equal(reclaim_poll(r), MANY);
	reclaim_defer(r, note, &s, MANY, 2 * MANY);
	rte_rcu_qsbr_quiescent(qsbr, 1);
	assert_int_equal(reclaim_poll(r), 1); /* the last came after two of them had reported */
	assert_int_equal(s.calls, MANY);
	rte_rcu_qsbr_thread_offline(qsbr, 0);
	rte_rcu_qsbr_quiescent(qsbr, 2);
	assert_int_equal(reclaim_poll(r), 0);
	assert_int_equal(s.calls, MANY + 1);
	for (unsigned int i = 0; i < 3; i++) {
		rte_rcu_qsbr_thread_offline(qsbr, i);
		rte_rcu_qsbr_thread_unregister(qsbr, i);
	}
	reclaim_destroy(r);
}

static void test_defer_from_callback(void **state)
{
	struct reclaim *r = reclaim_create(1);
	struct seen s = { .reclaim = r, .again = 2000 };

	reclaim_defer(r, note_and_defer, &s, 0, 0);
	reclaim_wait(r);
	assert_int_equal(s.calls, 2001);
	s.again = 3;
	reclaim_defer(r, note_and_defer, &s, 0, 0);
	reclaim_destroy(r);
	assert_int_equal(s.calls, 2005);
}

/* Readers follow a pointer whose target is poisoned on its way out. */
enum { READERS = 2, SWAPS = 200000, ALIVE = 0x600d };

struct target {
	uint64_t state[8];
};

struct shared {
	struct reclaim *reclaim;
	struct target *current; /* atomic */
	bool stop;
	uint64_t freed;
};

struct reader {
	struct shared *shared;
	uint64_t rounds;
	uint64_t wrong;
	unsigned int id;
};

static void poison(void *owner, uint64_t target, uint64_t unused)
{
	struct shared *s = owner;
	struct target *t = (struct target *)(uintptr_t)target;

	for (int i = 0; i < 8; i++)
		t->state[i] = 0xdead;
	free(t);
	s->freed++;
}

static struct target *target_create(void)
{
	struct target *t = malloc(sizeof(*t));

	assert_non_null(t);
	for (int i = 0; i < 8; i++)
		t->state[i] = ALIVE;
	return t;
}

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(r->shared->reclaim);

	rte_rcu_qsbr_thread_online(qsbr, r->id);
	while (!__atomic_load_n(&r->shared->stop, __ATOMIC_RELAXED)) {
		for (int n = 0; n < 16; n++) {
			struct target *t = __atomic_load_n(&r->shared->current, __ATOMIC_ACQUIRE);

			for (int i = 0; i < 8; i++)
				r->wrong += t->state[i] != ALIVE;
		}
		__atomic_add_fetch(&r->rounds, 1, __ATOMIC_RELAXED);
		rte_rcu_qsbr_quiescent(qsbr, r->id);
	}
	rte_rcu_qsbr_thread_offline(qsbr, r->id);
	return NULL;
}

static void test_two_readers(void **state)
{
	struct shared s = { .reclaim = reclaim_create(READERS) };
	struct reader readers[READERS];
	pthread_t threads[READERS];

	s.current = target_create();
	for (unsigned int i = 0; i < READERS; i++) {
		readers[i] = (struct reader){ .shared = &s, .id = i };
		assert_int_equal(rte_rcu_qsbr_thread_register(reclaim_qsbr(s.reclaim), i), 0);
		assert_int_equal(pthread_create(&threads[i], NULL, reader_main, &readers[i]), 0);
	}
	for (unsigned int i = 0; i < READERS; i++) {
		while (__atomic_load_n(&readers[i].rounds, __ATOMIC_RELAXED) == 0)
			sched_yield();
	}
	for (uint32_t n = 0; n < SWAPS; n++) {
		struct target *old = s.current;

		__atomic_store_n(&s.current, target_create(), __ATOMIC_RELEASE);
		reclaim_defer(s.reclaim, poison, &s, (uintptr_t)old, 0);
		if (n % 8 == 0)
			reclaim_poll(s.reclaim);
		if (n % 50000 == 0) {
			reclaim_wait(s.reclaim);
			assert_int_equal(s.freed, n + 1);
		}
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < READERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(readers[i].wrong, 0);
	}
	reclaim_destroy(s.reclaim);
	assert_int_equal(s.freed, SWAPS);
	free(s.current);
}

struct late {
	struct rte_rcu_qsbr *qsbr;
	uint64_t token; /* reports from when a grace period is asked for after this one */
	bool stop;
};

static void *late_main(void *arg)
{
	struct late *l = arg;

	while (!__atomic_load_n(&l->stop, __ATOMIC_RELAXED)) {
		if (__atomic_load_n(&l->qsbr->token, __ATOMIC_RELAXED) > l->token)
			rte_rcu_qsbr_quiescent(l->qsbr, 0);
		usleep(100);
	}
	return NULL;
}

static uint64_t address_space(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* With no memory for the queue it waits for the readers instead, and keeps the order. */
static void test_no_memory(void **state)
{
	enum { MANY = 1 << 20 }; /* fills the queue to where it would have to double */
	struct reclaim *r = reclaim_create(1);
	struct seen s = { .reclaim = r };
	struct late late = { .qsbr = reclaim_qsbr(r) };
	struct rlimit limit, small;
	pthread_t thread;

	if (SANITIZED) { /* they take address space of their own */
		reclaim_destroy(r);
		skip();
	}
	assert_int_equal(rte_rcu_qsbr_thread_register(late.qsbr, 0), 0);
	rte_rcu_qsbr_thread_online(late.qsbr, 0);
	for (uint64_t i = 0; i < MANY; i++)
		reclaim_defer(r, note, &s, i, 2 * i);
	assert_int_equal(reclaim_poll(r), MANY);
	late.token = late.qsbr->token;
	assert_int_equal(pthread_create(&thread, NULL, late_main, &late), 0);
	assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
	small = limit;
	small.rlim_cur = address_space() + (1 << 20);
	assert_int_equal(setrlimit(RLIMIT_AS, &small), 0);
	reclaim_defer(r, note, &s, MANY, 2ull * MANY);
	assert_int_equal(s.calls, MANY + 1); /* at once, behind all that waited */
	for (uint64_t i = MANY + 1; i < MANY + 1000; i++)
		reclaim_defer(r, note, &s, i, 2 * i);
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	__atomic_store_n(&late.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	rte_rcu_qsbr_thread_offline(late.qsbr, 0);
	reclaim_destroy(r);
	assert_int_equal(s.calls, MANY + 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_readers),
		cmocka_unit_test(test_waits_for_each_reader),
		cmocka_unit_test(test_defer_from_callback),
		cmocka_unit_test(test_two_readers),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
