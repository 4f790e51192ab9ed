/* SPDX-License-Identifier: MIT */
/*
 * Slots: at most loader_concurrency loaders run at a time, even if their callers
 * have left, and loads_running counts the loaders that run.
 */
#include "group/group_fixture.h"
#include "group/group_internal.h"
#include "group/load/load.h"

enum { LIMIT = 2, OTHERS = 10, LOADER_MS = 300 };

/* Makes LIMIT loaders hang at the gate. Their callers have time enough, so that
 * the loaders are called on a slow machine, too. */
static struct fixture *hung_new(struct caller leaders[LIMIT])
{
    static const char *const keys[LIMIT] = {"hung 0", "hung 1"};
    struct fixture *f = fixture_new();
    f->options.loader_concurrency = LIMIT;
    f->options.loader_timeout_ms = LOADER_MS;
    f->options.async_threads = LIMIT;
    fixture_open(f);
    gate_close(&f->script.gate);
    for (int i = 0; i < LIMIT; i++) {
        caller_start(&leaders[i], f->group, keys[i], 60000);
    }
    gate_await(&f->script.gate, LIMIT);
    fixture_check(f);
    return f;
}

/* Starts other callers, which wait for a slot until their load's deadline has
 * passed. No loader is called meanwhile. */
static void crowd_times_out(struct fixture *f)
{
    struct caller others[OTHERS];
    char keys[OTHERS][24];
    int64_t from = now_ms();
    AWAIT(now_ms() > from + LOADER_MS + 10); /* the loaders are overdue */
    for (int i = 0; i < OTHERS; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "other %d", i);
        caller_start(&others[i], f->group, keys[i], 0);
    }
    for (int i = 0; i < OTHERS; i++) {
        assert_int_equal(caller_join(&others[i]), KAMA_ERR_TIMEOUT);
    }
    fixture_check(f);
    assert_int_equal(atomic_load(&f->script.calls), LIMIT);
    assert_int_equal(stats(f).loads_running, LIMIT);
}

/* Lets the loaders return, after which the slots are free again. */
static void let_go(struct fixture *f)
{
    gate_open(&f->script.gate);
    AWAIT(stats(f).loads_running == 0);
    fixture_check(f);
    assert_int_equal(get_text(f->group, "k", NULL, "value of k"), KAMA_OK);
}

static void test_a_hung_loader_keeps_its_slot(void **state)
{
    struct caller leaders[LIMIT];
    struct fixture *f = hung_new(leaders);
    (void)state;
    crowd_times_out(f);
    let_go(f);
    for (int i = 0; i < LIMIT; i++) {
        assert_int_equal(caller_join(&leaders[i]), KAMA_ERR_TIMEOUT);
    }
    fixture_free(f);
}

/* Does the same with loads that run on the group's pool. There even the callers
 * that lead the loads have left. */
static void start_pool(struct fixture *f)
{
    struct km_pool *pool;
    assert_int_equal(km_group_need_pool(f->group, &pool), KAMA_OK);
}

static void test_a_hung_loader_on_the_pool_keeps_its_slot(void **state)
{
    struct caller leaders[LIMIT];
    struct fixture *f = fixture_new();
    (void)state;
    f->options.loader_concurrency = LIMIT;
    f->options.loader_timeout_ms = LOADER_MS;
    f->options.async_threads = LIMIT;
    fixture_open(f);
    start_pool(f);
    gate_close(&f->script.gate);
    caller_start(&leaders[0], f->group, "hung 0", 60000);
    caller_start(&leaders[1], f->group, "hung 1", 60000);
    gate_await(&f->script.gate, LIMIT);
    for (int i = 0; i < LIMIT; i++) {
        assert_int_equal(caller_join(&leaders[i]), KAMA_ERR_TIMEOUT);
    }
    crowd_times_out(f);
    let_go(f);
    fixture_free(f);
}

/* A deferred load runs until it is finished, or until its deadline has passed. */
static void test_a_deferred_load_runs_until_its_finish(void **state)
{
    struct fixture *f = fixture_new();
    struct caller caller;
    (void)state;
    f->options.loader_concurrency = 1;
    fixture_open(f);
    f->script.defer = true;
    caller_start(&caller, f->group, "k", 0);
    AWAIT(atomic_load(&f->script.deferred) != NULL);
    assert_int_equal(stats(f).loads_running, 1);
    fixture_check(f);
    kama_load_finish(atomic_load(&f->script.deferred), KAMA_OK, KAMA_STR("v"),
                     NULL);
    assert_int_equal(caller_join(&caller), KAMA_OK);
    assert_int_equal(stats(f).loads_running, 0);
    f->script.defer = false;
    assert_int_equal(get_text(f->group, "l", NULL, "value of l"), KAMA_OK);
    fixture_free(f);
}

static void test_a_deferred_load_runs_until_its_timeout(void **state)
{
    struct fixture *f = fixture_new();
    struct caller caller;
    (void)state;
    f->options.loader_concurrency = 1;
    f->options.loader_timeout_ms = 30;
    fixture_open(f);
    f->script.defer = true;
    caller_start(&caller, f->group, "k", 60000);
    assert_int_equal(caller_join(&caller), KAMA_ERR_TIMEOUT);
    AWAIT(stats(f).loads_running == 0);
    fixture_check(f);
    kama_load_finish(atomic_load(&f->script.deferred), KAMA_OK, KAMA_STR("v"),
                     NULL);
    assert_int_equal(stats(f).loads_running, 0);
    fixture_free(f);
}

/* The load ends at the moment at which its thread has taken a slot for it, but has
 * not admitted it yet: that thread gives the slot back, and nobody else does. */
static void test_a_load_that_ends_while_it_is_admitted_gives_no_slot(
    void **state)
{
    const struct km_load_key key = {.key = {"k", 1}, .now = 1};
    struct fixture *f = fixture_new();
    (void)state;
    f->options.loader_concurrency = 1;
    fixture_open(f);
    struct km_load *load =
        km_load_new(f->group, &key, km_group_hash(f->group, key.key),
                    KM_LOAD_ON_CALLER, KM_LOAD_FIRST);
    assert_non_null(load);
    load->has_slot = true;
    km_load_release(load);
    assert_int_equal(atomic_load(&load->stage), KM_LOAD_OVER);
    assert_int_equal(km_slots_free(&f->group->slots), 1);
    km_load_unref(load);
    fixture_free(f);
}

/* A loader whose load is overdue still holds the slot that its own gets share. */
static struct fixture *nesting;

static kama_status load_inner(void *arg, const kama_load *req, kama_sink *out)
{
    kama_value *value;
    (void)arg;
    if (req->key.len == 1) {
        return kama_sink_set(out, KAMA_STR("inner"), NULL);
    }
    AWAIT(stats(nesting).loads_failed == 1); /* this load has timed out */
    kama_status st = kama_get(nesting->group, KAMA_STR("i"), NULL, &value);
    if (st == KAMA_OK) {
        kama_value_unref(value);
        st = kama_sink_set(out, KAMA_STR("outer"), NULL);
    }
    return st;
}

static void test_a_loader_past_its_time_may_get_others(void **state)
{
    struct fixture *f = fixture_new();
    struct caller outer, waiter;
    (void)state;
    nesting = f;
    f->options.loader = load_inner;
    f->options.loader_concurrency = 1;
    f->options.loader_timeout_ms = 500;
    fixture_open(f);
    caller_start(&outer, f->group, "outer", 60000);
    AWAIT(stats(f).loads_running == 1);
    fixture_check(f);
    caller_start(&waiter, f->group, "outer", 60000);
    assert_int_equal(caller_join(&waiter), KAMA_ERR_TIMEOUT);
    assert_int_equal(caller_join(&outer), KAMA_ERR_TIMEOUT);
    assert_int_equal(get_text(f->group, "i", NULL, "inner"), KAMA_OK);
    assert_int_equal(stats(f).loads, 2);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hung_loader_keeps_its_slot),
        cmocka_unit_test(test_a_hung_loader_on_the_pool_keeps_its_slot),
        cmocka_unit_test(test_a_deferred_load_runs_until_its_finish),
        cmocka_unit_test(test_a_deferred_load_runs_until_its_timeout),
        cmocka_unit_test(
            test_a_load_that_ends_while_it_is_admitted_gives_no_slot),
        cmocka_unit_test(test_a_loader_past_its_time_may_get_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
