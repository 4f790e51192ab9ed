/* SPDX-License-Identifier: MIT */
/*
 * kamacache/flight.h as an application uses it: leaders and waiters, leaders that
 * fail or call again from inside, deadlines, counted results, and the figures of
 * a flight. The key is a struct, and the results are a number and a pointer. The
 * last part tests the engine itself, whose waiters are data.
 */
#include "flight/flight_check.h"
#include "group/group_fixture.h"

#include <kamacache/flight.h>

struct place {
    int x, y;
};

static uint64_t place_hash(struct place p)
{
    return (uint64_t)(unsigned)p.x * 0x9e3779b97f4a7c15u + (unsigned)p.y;
}

static int place_equal(struct place a, struct place b)
{
    return a.x == b.x && a.y == b.y;
}

KAMA_FLIGHT_DEFINE(sum_flight, struct place, long, place_hash, place_equal)

/* A result that counts its references. */
struct counted {
    atomic_int refs;
};

static void counted_ref(struct counted *c)
{
    atomic_fetch_add(&c->refs, 1);
}

static void counted_unref(struct counted *c)
{
    atomic_fetch_sub(&c->refs, 1);
}

KAMA_FLIGHT_DEFINE_REF(counted_flight, struct place, struct counted *,
                       place_hash, place_equal, counted_ref, counted_unref)

struct work {
    struct gate gate;
    atomic_uint calls;
    kama_status status;
    struct sum_flight *flight;
    kama_status inner;
    struct counted *counted;
};

static kama_status add(void *arg, struct place p, long *ret_sum)
{
    struct work *w = arg;
    atomic_fetch_add(&w->calls, 1);
    gate_pass(&w->gate);
    *ret_sum = (long)p.x + p.y;
    return w->status;
}

static void work_init(struct work *w)
{
    memset(w, 0, sizeof *w);
    gate_init(&w->gate);
}

struct visitor {
    pthread_t thread;
    struct sum_flight *flight;
    struct work *work;
    struct place place;
    int64_t timeout_ms;
    kama_status status;
    long sum;
    int shared;
};

static void *visit(void *arg)
{
    struct visitor *v = arg;
    v->status = sum_flight_do(v->flight, v->place, add, v->work, v->timeout_ms,
                              &v->sum, &v->shared);
    return NULL;
}

static void visitor_start(struct visitor *v, struct sum_flight *flight,
                          struct work *w, int x, int64_t timeout_ms)
{
    *v = (struct visitor){.flight = flight,
                          .work = w,
                          .place = {x, 1},
                          .timeout_ms = timeout_ms,
                          .sum = -1,
                          .shared = -1};
    assert_int_equal(pthread_create(&v->thread, NULL, visit, v), 0);
}

/* A single caller runs its function each time, because no result is remembered,
 * and its result is not shared. */
static void test_alone(void **state)
{
    struct sum_flight flight;
    struct work w;
    long sum = 0;
    int shared = -1;
    (void)state;
    work_init(&w);
    assert_int_equal(sum_flight_init(&flight), KAMA_OK);
    for (unsigned i = 1; i < 3; i++) {
        assert_int_equal(sum_flight_do(&flight, (struct place){2, 3}, add, &w,
                                       0, &sum, &shared),
                         KAMA_OK);
        assert_int_equal(sum, 5);
        assert_int_equal(shared, 0);
        assert_int_equal(atomic_load(&w.calls), i);
    }
    assert_int_equal(
        sum_flight_do(&flight, (struct place){2, 3}, add, &w, 0, NULL, NULL),
        KAMA_OK);
    sum_flight_fini(&flight);
    assert_null(flight.engine);
}

/* One caller leads, one leaves at its timeout, and the others share the result.
 * Another key is worked on at the same time. */
static void test_shared(void **state)
{
    enum { CROWD = 50 };
    struct sum_flight flight;
    struct work w;
    struct visitor leader, hasty, other;
    static struct visitor crowd[CROWD];
    (void)state;
    work_init(&w);
    gate_close(&w.gate);
    assert_int_equal(sum_flight_init(&flight), KAMA_OK);
    visitor_start(&leader, &flight, &w, 7, 0);
    gate_await(&w.gate, 1);
    visitor_start(&hasty, &flight, &w, 7, 10);
    for (int i = 0; i < CROWD; i++) {
        visitor_start(&crowd[i], &flight, &w, 7, 0);
    }
    visitor_start(&other, &flight, &w, 8, 0);
    gate_await(&w.gate, 2);
    (void)pthread_join(hasty.thread, NULL);
    assert_int_equal(hasty.status, KAMA_ERR_TIMEOUT);
    assert_int_equal(hasty.sum, -1);
    gate_open(&w.gate);
    (void)pthread_join(leader.thread, NULL);
    (void)pthread_join(other.thread, NULL);
    assert_int_equal(leader.sum, 8);
    assert_int_equal(other.sum, 9);
    for (int i = 0; i < CROWD; i++) {
        (void)pthread_join(crowd[i].thread, NULL);
        assert_int_equal(crowd[i].status, KAMA_OK);
        assert_int_equal(crowd[i].sum, 8);
    }
    sum_flight_fini(&flight);
}

/* Every caller gets the leader's error, and no result is written. */
static void test_failing_leader(void **state)
{
    struct sum_flight flight;
    struct work w;
    struct visitor leader, follower;
    (void)state;
    work_init(&w);
    gate_close(&w.gate);
    w.status = KAMA_ERR_IO;
    assert_int_equal(sum_flight_init(&flight), KAMA_OK);
    visitor_start(&leader, &flight, &w, 1, 0);
    gate_await(&w.gate, 1);
    visitor_start(&follower, &flight, &w, 1, 0);
    gate_open(&w.gate);
    (void)pthread_join(leader.thread, NULL);
    (void)pthread_join(follower.thread, NULL);
    assert_int_equal(leader.status, KAMA_ERR_IO);
    assert_int_equal(follower.status, KAMA_ERR_IO);
    assert_int_equal(leader.sum, -1);
    assert_int_equal(follower.sum, -1);
    sum_flight_fini(&flight);
}

static kama_status call_again(void *arg, struct place p, long *ret_sum)
{
    struct work *w = arg;
    w->inner = sum_flight_do(w->flight, p, add, w, 0, ret_sum, NULL);
    p.x++;
    return sum_flight_do(w->flight, p, add, w, 0, ret_sum, NULL);
}

/* A function that asks for its own key gets a typed error, and may ask for another
 * key. */
static void test_reentrance(void **state)
{
    struct sum_flight flight;
    struct work w;
    long sum = 0;
    (void)state;
    work_init(&w);
    assert_int_equal(sum_flight_init(&flight), KAMA_OK);
    w.flight = &flight;
    assert_int_equal(sum_flight_do(&flight, (struct place){1, 1}, call_again,
                                   &w, 0, &sum, NULL),
                     KAMA_OK);
    assert_int_equal(w.inner, KAMA_ERR_REENTRANT);
    char sentence[256];
    kama_last_error(sentence, sizeof sentence);
    assert_string_equal(sentence, "flight: called for a key from inside the "
                                  "function that works on it");
    assert_int_equal(sum, 3);
    sum_flight_fini(&flight);
}

static kama_status count_up(void *arg, struct place p, struct counted **ret)
{
    struct work *w = arg;
    (void)p;
    gate_pass(&w->gate);
    atomic_store(&w->counted->refs, 1);
    *ret = w->counted;
    return KAMA_OK;
}

struct taker {
    pthread_t thread;
    struct counted_flight *flight;
    struct work *work;
    bool wants;
    struct counted *got;
};

static void *take(void *arg)
{
    struct taker *t = arg;
    kama_status st =
        counted_flight_do(t->flight, (struct place){1, 1}, count_up, t->work, 0,
                          t->wants ? &t->got : NULL, NULL);
    assert_int_equal(st, KAMA_OK);
    return NULL;
}

/* Each caller that takes the result gets one reference, and a caller that does not
 * want the result gets none. */
static void test_counted_results(void **state)
{
    struct counted_flight flight;
    struct counted counted;
    struct work w;
    struct taker takers[4] = {
        {.wants = true}, {.wants = true}, {.wants = true}, {.wants = false}};
    (void)state;
    work_init(&w);
    gate_close(&w.gate);
    w.counted = &counted;
    assert_int_equal(counted_flight_init(&flight), KAMA_OK);
    for (int i = 0; i < 4; i++) {
        takers[i].flight = &flight;
        takers[i].work = &w;
        assert_int_equal(
            pthread_create(&takers[i].thread, NULL, take, &takers[i]), 0);
        gate_await(&w.gate, 1);
    }
    gate_open(&w.gate);
    int held = 0;
    for (int i = 0; i < 4; i++) {
        (void)pthread_join(takers[i].thread, NULL);
        held += takers[i].got != NULL;
    }
    assert_int_equal(held, 3);
    /* A taker that came after the first flight made a second result. */
    assert_true(atomic_load(&counted.refs) <= 3);
    counted_flight_fini(&flight);
}

/* Many threads ask for few keys. The sanitizers find the errors. */
static void *roam(void *arg)
{
    struct visitor *v = arg;
    for (int i = 0; i < 3000; i++) {
        struct place p = {i % 5, 1};
        long sum = 0;
        kama_status st =
            sum_flight_do(v->flight, p, add, v->work, i % 7 == 0, &sum, NULL);
        assert_true(st == KAMA_OK || st == KAMA_ERR_TIMEOUT);
        assert_true(st != KAMA_OK || sum == p.x + 1);
    }
    return NULL;
}

static void test_mix(void **state)
{
    struct sum_flight flight;
    struct work w;
    struct visitor visitors[6];
    (void)state;
    work_init(&w);
    assert_int_equal(sum_flight_init(&flight), KAMA_OK);
    for (int i = 0; i < 6; i++) {
        visitors[i].flight = &flight;
        visitors[i].work = &w;
        assert_int_equal(
            pthread_create(&visitors[i].thread, NULL, roam, &visitors[i]), 0);
    }
    for (int i = 0; i < 6; i++) {
        (void)pthread_join(visitors[i].thread, NULL);
    }
    kama_flight_stats stats;
    sum_flight_stats(&flight, &stats);
    assert_int_equal(stats.calls, 6 * 3000);
    assert_int_equal(stats.led, atomic_load(&w.calls));
    assert_int_equal(stats.running + stats.waiting + stats.refused, 0);
    sum_flight_fini(&flight);
}

/* -- the figures of a flight ---------------------------------------------- */

static void await_waiting(struct sum_flight *flight, uint64_t waiting)
{
    kama_flight_stats stats;
    do {
        (void)sched_yield();
        sum_flight_stats(flight, &stats);
    } while (stats.waiting != waiting);
}

/* A call is counted once as one that led, waited or was refused; callers that work
 * and wait are seen while they do. */
static void test_stats(void **state)
{
    enum { CROWD = 8 };
    struct sum_flight flight;
    struct work w;
    struct visitor leader, hasty, crowd[CROWD];
    kama_flight_stats s;
    long sum;
    (void)state;
    work_init(&w);
    gate_close(&w.gate);
    assert_int_equal(sum_flight_init(&flight), KAMA_OK);
    sum_flight_stats(&flight, &s);
    assert_int_equal(s.struct_size, sizeof s);
    assert_int_equal(s.calls + s.led + s.coalesced + s.refused + s.failed +
                         s.timed_out + s.running + s.waiting,
                     0);
    visitor_start(&leader, &flight, &w, 7, 0);
    gate_await(&w.gate, 1);
    for (int i = 0; i < CROWD; i++) {
        visitor_start(&crowd[i], &flight, &w, 7, 0);
    }
    await_waiting(&flight, CROWD);
    visitor_start(&hasty, &flight, &w, 7, 10);
    (void)pthread_join(hasty.thread, NULL);
    sum_flight_stats(&flight, &s);
    assert_int_equal(s.running, 1);
    assert_int_equal(s.waiting, CROWD);
    assert_int_equal(s.timed_out, 1);
    assert_int_equal(s.calls, CROWD + 2);
    gate_open(&w.gate);
    (void)pthread_join(leader.thread, NULL);
    for (int i = 0; i < CROWD; i++) {
        (void)pthread_join(crowd[i].thread, NULL);
        assert_int_equal(crowd[i].shared, 1);
    }
    w.flight = &flight;
    assert_int_equal(sum_flight_do(&flight, (struct place){1, 1}, call_again,
                                   &w, 0, &sum, NULL),
                     KAMA_OK);
    sum_flight_stats(&flight, &s);
    assert_int_equal(s.led, 3);
    assert_int_equal(s.coalesced, CROWD + 1);
    assert_int_equal(s.refused, 1); /* the call from inside, for its own key */
    assert_int_equal(s.calls, CROWD + 5);
    assert_int_equal(s.failed + s.running + s.waiting, 0);
    sum_flight_fini(&flight);
}

/* An error of the function is a failure of the flight, and "no such key" is
 * none. */
static void test_stats_of_failures(void **state)
{
    struct sum_flight flight;
    struct work w;
    kama_flight_stats s;
    (void)state;
    work_init(&w);
    assert_int_equal(sum_flight_init(&flight), KAMA_OK);
    for (int i = 0; i < 3; i++) {
        w.status = i == 0 ? KAMA_MISS : KAMA_ERR_IO;
        assert_int_equal(sum_flight_do(&flight, (struct place){i, 1}, add, &w,
                                       0, NULL, NULL),
                         w.status);
    }
    sum_flight_stats(&flight, &s);
    assert_int_equal(s.led, 3);
    assert_int_equal(s.failed, 2);
    assert_int_equal(s.calls, 3);
    sum_flight_fini(&flight);
}

/* The figures stop at the end of an older program's struct, and a newer one finds
 * zeros in what this library does not know. */
static void test_stats_of_other_ages(void **state)
{
    struct sum_flight flight;
    struct work w;
    const size_t old_size = offsetof(kama_flight_stats, coalesced);
    union {
        kama_flight_stats stats;
        unsigned char bytes[sizeof(kama_flight_stats) + 16];
    } place;
    (void)state;
    work_init(&w);
    assert_int_equal(sum_flight_init(&flight), KAMA_OK);
    assert_int_equal(
        sum_flight_do(&flight, (struct place){1, 1}, add, &w, 0, NULL, NULL),
        KAMA_OK);
    memset(&place, 0x5a, sizeof place);
    kama_flight_engine_stats(flight.engine, &place.stats, old_size);
    assert_int_equal(place.stats.struct_size, old_size);
    assert_int_equal(place.stats.led, 1);
    for (size_t i = old_size; i < sizeof place; i++) {
        assert_int_equal(place.bytes[i], 0x5a);
    }
    kama_flight_engine_stats(flight.engine, &place.stats, sizeof place);
    for (size_t i = sizeof place.stats; i < sizeof place; i++) {
        assert_int_equal(place.bytes[i], 0);
    }
    sum_flight_fini(&flight);
}

/* -- the engine: waiters as data ------------------------------------------
 *
 * The flights are static, because they are aligned to 64 bytes, and gcc's
 * AddressSanitizer does not align the stack so when it looks for uses after
 * return. */

static bool same_key(const struct km_flight_call *call, const void *key)
{
    (void)call;
    (void)key;
    return true;
}

static const struct km_flight_ops plain_ops = {.equal = same_key};

static void wake_nobody(struct km_flight_waiter *waiter,
                        struct km_flight_call *call)
{
    (void)call;
    waiter->call_deadline = 99;
}

/* The limit of waiters can be reached, and one more waiter is refused. */
static void test_waiters_max(void **state)
{
    static struct km_flight flight;
    struct km_flight_call call = {.hash = 1};
    struct km_flight_woken woken;
    kama_status st = KAMA_OK;
    struct km_flight_waiter *waiters =
        test_calloc(KM_FLIGHT_WAITERS_MAX + 1, sizeof *waiters);
    (void)state;
    assert_int_equal(km_flight_init(&flight, &plain_ops), KAMA_OK);
    assert_int_equal(km_flight_join(&flight, 1, "", NULL, NULL, &st),
                     KM_FLIGHT_NOBODY);
    assert_int_equal(km_flight_join(&flight, 1, "", NULL, &call, &st),
                     KM_FLIGHT_LEADS);
    assert_int_equal(km_flight_join(&flight, 1, "", NULL, NULL, &st),
                     KM_FLIGHT_ANSWER);
    assert_int_equal(st, KAMA_ERR_WOULD_DEADLOCK);
    for (unsigned i = 0; i <= KM_FLIGHT_WAITERS_MAX; i++) {
        waiters[i].wake = wake_nobody;
        assert_int_equal(km_flight_join(&flight, 1, "", &waiters[i], NULL, &st),
                         i < KM_FLIGHT_WAITERS_MAX ? KM_FLIGHT_PARKED
                                                   : KM_FLIGHT_ANSWER);
    }
    assert_int_equal(st, KAMA_ERR_BUSY);
    assert_true(km_flight_leave(&flight, &waiters[3]));
    assert_false(km_flight_leave(&flight, &waiters[3]));
    km_flight_check(&flight);
    assert_false(km_flight_ended(&call));
    assert_true(km_flight_end(&flight, &call, NULL, NULL, &woken));
    assert_false(km_flight_end(&flight, &call, NULL, NULL, &woken));
    assert_true(km_flight_ended(&call));
    km_flight_check(&flight);
    km_flight_wake(&flight, &call, &woken);
    assert_int_equal(waiters[0].call_deadline, 99);
    assert_int_equal(waiters[3].call_deadline, 0);
    assert_int_equal(waiters[KM_FLIGHT_WAITERS_MAX - 1].call_deadline, 99);
    km_flight_fini(&flight);
    test_free(waiters);
}

static void count_ref(struct km_flight_call *call)
{
    call->wanted_until++; /* any member will do */
}

/* A parked leader can be taken out once, if it was not woken before. */
static void test_leader_leaves(void **state)
{
    static struct km_flight flight;
    struct km_flight_call call = {.hash = 1, .leader = KM_FLIGHT_LEADER_PARKS};
    struct km_flight_waiter leader = {.wake = wake_nobody};
    struct km_flight_waiter follower = {.wake = wake_nobody};
    struct km_flight_woken woken;
    kama_status st = KAMA_OK;
    (void)state;
    assert_int_equal(km_flight_init(&flight, &plain_ops), KAMA_OK);
    assert_int_equal(km_flight_join(&flight, 1, "", &leader, &call, &st),
                     KM_FLIGHT_LEADS);
    assert_int_equal(km_flight_join(&flight, 1, "", &follower, NULL, &st),
                     KM_FLIGHT_PARKED);
    km_flight_check(&flight);
    assert_ptr_equal(km_flight_leave_leader(&flight, &call), &leader);
    assert_null(km_flight_leave_leader(&flight, &call));
    assert_false(km_flight_leave(&flight, &leader));
    km_flight_check(&flight);
    assert_true(km_flight_end(&flight, &call, NULL, NULL, &woken));
    km_flight_wake(&flight, &call, &woken);
    assert_int_equal(leader.call_deadline, 0);
    assert_int_equal(follower.call_deadline, 99);
    km_flight_fini(&flight);
}

/* The oldest call is found when it is late, unless it has ended. */
static void test_oldest(void **state)
{
    static const struct km_flight_ops ops = {.equal = same_key,
                                             .ref = count_ref};
    static struct km_flight flight;
    struct km_flight_call call = {.hash = 1, .deadline = 50};
    struct km_flight_woken woken;
    unsigned shard = km_flight_shard_of(1);
    kama_status st = KAMA_OK;
    (void)state;
    assert_int_equal(km_flight_init(&flight, &ops), KAMA_OK);
    assert_true(km_flight_next_deadline(&flight) == KM_NS_NEVER);
    assert_int_equal(km_flight_join(&flight, 1, "", NULL, &call, &st),
                     KM_FLIGHT_LEADS);
    km_flight_check(&flight);
    assert_int_equal(km_flight_next_deadline(&flight), 50);
    assert_null(km_flight_oldest(&flight, shard, 49));
    assert_ptr_equal(km_flight_oldest(&flight, shard, 50), &call);
    assert_true(km_flight_end(&flight, &call, NULL, NULL, &woken));
    km_flight_check(&flight);
    assert_null(km_flight_oldest(&flight, shard, 50));
    assert_true(km_flight_next_deadline(&flight) == KM_NS_NEVER);
    km_flight_fini(&flight);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leader_leaves),
        cmocka_unit_test(test_oldest),
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_failing_leader),
        cmocka_unit_test(test_reentrance),
        cmocka_unit_test(test_counted_results),
        cmocka_unit_test(test_mix),
        cmocka_unit_test(test_stats),
        cmocka_unit_test(test_stats_of_failures),
        cmocka_unit_test(test_stats_of_other_ages),
        cmocka_unit_test(test_waiters_max),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
