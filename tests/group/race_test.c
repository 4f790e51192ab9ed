/* SPDX-License-Identifier: MIT */
/*
 * Orders of events that threads reach rarely, which the tests bring about by hand:
 * loads that end before they were started, slots of loads without a caller, and
 * pools without a thread.
 */
#include "group/group_fixture.h"
#include "group/load/run.h"
#include "helpers/asleep.h"

#include <kamacache/flight.h>

/* -- a load ends between join and start --------------------------------- */

static void wake_nobody(struct km_flight_waiter *waiter,
                        struct km_flight_call *call)
{
    (void)call;
    waiter->call = NULL;
}

/* Makes a load of "k" that op leads, and parks op on it. */
static struct km_load *lead(struct fixture *f, struct km_get_op *op,
                            enum km_load_place place)
{
    struct km_load_key key = {.key = KAMA_STR("k"),
                              .now = km_group_now(f->group)};
    uint64_t hash = km_store_hash(f->group->store, key.key);
    struct km_load *load =
        km_load_new(f->group, &key, hash, place, KM_LOAD_FIRST);
    kama_status st = KAMA_OK;
    assert_non_null(load);
    memset(op, 0, sizeof *op);
    op->group = f->group;
    op->kind = KM_GET_BLOCKED;
    op->waiter.wake = wake_nobody;
    assert_int_equal(km_flight_join(&f->group->flight, hash, &key, &op->waiter,
                                    &load->call, &st),
                     KM_FLIGHT_LEADS);
    km_load_ref(load);
    fixture_check(f);
    return load;
}

static void test_ended_before_it_runs_here(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct km_get_op op;
    (void)state;
    struct km_load *load = lead(f, &op, KM_LOAD_ON_CALLER);
    km_load_fail(load, KAMA_ERR_TIMEOUT, "");
    fixture_check(f);
    km_load_start_here(load, KM_NS_NEVER, km_group_now(f->group));
    assert_int_equal(load->result.status, KAMA_ERR_TIMEOUT);
    assert_true(km_flight_next_deadline(&f->group->flight) == KM_NS_NEVER);
    km_load_unref(load);
    assert_int_equal(atomic_load(&f->script.calls), 0);
    assert_int_equal(km_slots_free(&f->group->slots),
                     km_group_loads_max(f->group));
    fixture_free(f);
}

static void test_ended_before_the_pool_has_it(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct km_get_op op;
    struct km_pool *pool;
    (void)state;
    assert_int_equal(km_group_need_pool(f->group, &pool), KAMA_OK);
    struct km_load *load = lead(f, &op, KM_LOAD_ON_POOL);
    km_load_fail(load, KAMA_ERR_TIMEOUT, "");
    fixture_check(f);
    (void)!km_load_start_on_pool(load, pool);
    AWAIT(atomic_load(&load->refs) == 1); /* neither runner nor timer */
    assert_true(km_flight_next_deadline(&f->group->flight) == KM_NS_NEVER);
    km_load_unref(load);
    assert_int_equal(atomic_load(&f->script.calls), 0);
    fixture_free(f);
}

/* -- slots ---------------------------------------------------------------- */

/* A load without a caller keeps its slot until its deadline has passed. Then a
 * caller that waits for a slot gets it: the caller has as much time as the load
 * without a caller, but began half a second later. */
static void test_slot_of_an_abandoned_load(void **state)
{
    struct fixture *f = fixture_new();
    struct caller caller;
    (void)state;
    f->options.loader_timeout_ms = 800;
    f->options.loader_concurrency = 1;
    fixture_open(f);
    f->script.defer = true;
    kama_deferred *late;
    do { /* on a slow machine the caller is late before the loader is called */
        caller_start(&caller, f->group, "k", 5);
        assert_int_equal(caller_join(&caller), KAMA_ERR_TIMEOUT);
        late = atomic_load(&f->script.deferred);
    } while (late == NULL);
    int64_t from = now_ms();
    AWAIT(now_ms() > from + 500);
    fixture_check(f);
    f->script.defer = false;
    assert_int_equal(get_text(f->group, "other", NULL, "value of other"),
                     KAMA_OK);
    kama_load_finish(late, KAMA_OK, KAMA_STR("late"), NULL);
    fixture_free(f);
}

/* The same holds if the caller looked for a slot while the loader of the other
 * load was about to be called: that load is deferred later, and its caller has
 * left. */
static void test_slot_of_a_load_that_was_about_to_run(void **state)
{
    struct fixture *f = fixture_new();
    struct km_get_op op;
    struct caller caller;
    enum km_slot_place place;
    (void)state;
    f->options.loader_timeout_ms = 1000;
    f->options.loader_concurrency = 1;
    fixture_open(f);
    struct km_load *load = lead(f, &op, KM_LOAD_ON_CALLER);
    assert_int_equal(km_load_take_slot(load, &place), KAMA_OK);
    assert_int_equal(place, KM_SLOT_TAKEN);
    int64_t from = now_ms();
    AWAIT(now_ms() > from + 600);
    caller_start(&caller, f->group, "other", 0);
    AWAIT(stats(f).misses == 1);
    assert_true(other_threads_await_sleep());
    fixture_check(f);
    assert_true(km_load_begin(load));
    km_load_returned(load);
    assert_int_equal(caller_join(&caller), KAMA_OK);
    assert_int_equal(load->result.status, KAMA_ERR_TIMEOUT);
    km_load_unref(load); /* the reference of the test, and the runner's */
    km_load_unref(load);
    fixture_check(f);
    fixture_free(f);
}

/* -- a pool that gets no thread ------------------------------------------ */

struct inbox {
    pthread_t caller;
    atomic_uint answers;
    atomic_uint on_caller;
};

static void take_items(void *arg, kama_status status, const kama_item *items,
                       size_t n)
{
    struct inbox *box = arg;
    assert_int_equal(status, KAMA_OK);
    for (size_t i = 0; i < n; i++) {
        kama_value_unref(items[i].value);
    }
    atomic_fetch_add(&box->answers, 1);
    atomic_fetch_add(&box->on_caller,
                     pthread_equal(pthread_self(), box->caller) != 0);
}

/* The callback never runs inside the call: an error comes back instead. */
static void test_mget_async_without_memory(void **state)
{
    kama_bytes keys[2] = {KAMA_STR("a"), KAMA_STR("b")};
    kama_status st = KAMA_ERR_NO_MEMORY;
    (void)state;
    for (long long fail = 1; st != KAMA_OK; fail++) {
        struct fixture *f = fixture_open(fixture_new());
        struct inbox box = {.caller = pthread_self()};
        assert_true(fail < 100);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(kama_set(f->group, keys[i], KAMA_STR("v"), NULL),
                             KAMA_OK);
        }
        atomic_store(&f->probe.allocs, 0);
        atomic_store(&f->probe.sticky, true);
        atomic_store(&f->probe.fail_at, fail);
        st = kama_mget_async(f->group, keys, 2, NULL, take_items, &box);
        atomic_store(&f->probe.fail_at, 0);
        assert_int_equal(atomic_load(&box.on_caller), 0);
        AWAIT(atomic_load(&box.answers) == (st == KAMA_OK));
        assert_int_equal(stats(f).pinned_bytes, 0);
        fixture_free(f);
    }
}

/* -- whose group it is ------------------------------------------------------ */

/* kama_group_free leaves the group of a node alone. */
static void test_free_of_a_nodes_group(void **state)
{
    struct fixture *f = fixture_new();
    struct km_group_env env = {0};
    (void)state;
    assert_int_equal(km_pool_new(&f->probe.allocator, km_clock_system(), "test",
                                 2, &env.pool),
                     KAMA_OK);
    assert_int_equal(km_group_new(&f->options, &env, &f->group), KAMA_OK);
    kama_group_free(f->group);
    assert_int_equal(atomic_load(&f->script.frees), 0);
    assert_int_equal(get_text(f->group, "k", NULL, "value of k"), KAMA_OK);
    km_group_free(f->group);
    km_pool_free(env.pool);
    fixture_done(f);
}

/* -- the longest timeouts -------------------------------------------------- */

static uint64_t int_hash(int key)
{
    return (uint64_t)key;
}

static int int_equal(int a, int b)
{
    return a == b;
}

KAMA_FLIGHT_DEFINE(int_flight, int, int, int_hash, int_equal)

static kama_status work(void *arg, int key, int *ret_result)
{
    gate_pass(arg);
    *ret_result = key + 1;
    return KAMA_OK;
}

struct worker {
    pthread_t thread;
    struct int_flight *flight;
    struct gate *gate;
    int64_t timeout_ms;
    kama_status status;
    atomic_bool left;
};

static void *do_work(void *arg)
{
    struct worker *w = arg;
    int result = 0;
    w->status = int_flight_do(w->flight, 1, work, w->gate, w->timeout_ms,
                              &result, NULL);
    atomic_store(&w->left, true);
    return NULL;
}

/* A timeout of 584 years has not passed after a moment. */
static void test_longest_timeout(void **state)
{
    struct int_flight flight;
    struct gate gate;
    (void)state;
    gate_init(&gate);
    gate_close(&gate);
    assert_int_equal(int_flight_init(&flight), KAMA_OK);
    struct worker leader = {.flight = &flight, .gate = &gate};
    struct worker waiter = {.flight = &flight,
                            .gate = &gate,
                            .timeout_ms = (int64_t)(UINT64_MAX / KM_NS_PER_MS)};
    assert_int_equal(pthread_create(&leader.thread, NULL, do_work, &leader), 0);
    gate_await(&gate, 1);
    assert_int_equal(pthread_create(&waiter.thread, NULL, do_work, &waiter), 0);
    int64_t from = now_ms();
    AWAIT(now_ms() > from + 30);
    assert_false(atomic_load(&waiter.left));
    gate_open(&gate);
    (void)pthread_join(leader.thread, NULL);
    (void)pthread_join(waiter.thread, NULL);
    assert_int_equal(waiter.status, KAMA_OK);
    int_flight_fini(&flight);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ended_before_it_runs_here),
        cmocka_unit_test(test_ended_before_the_pool_has_it),
        cmocka_unit_test(test_slot_of_an_abandoned_load),
        cmocka_unit_test(test_slot_of_a_load_that_was_about_to_run),
        cmocka_unit_test(test_mget_async_without_memory),
        cmocka_unit_test(test_free_of_a_nodes_group),
        cmocka_unit_test(test_longest_timeout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
