/* SPDX-License-Identifier: MIT */
/*
 * Deadlines of callers, on a clock that the loader moves: no load starts after
 * its callers' deadlines, a loader on its caller's thread is told no more time
 * than the caller has, and the waiters do not fail because the leader was late.
 */
#include "group/group_fixture.h"

#include "base/container.h"
#include "group/group_internal.h"
#include "store/fake_clock.h"

/* A loader that moves the clock and fails, as it is told, and counts its calls. */
struct origin {
    struct fake_clock clock;
    struct gate gate;
    atomic_uint calls;
    _Atomic int64_t told_ms; /* by the last call */
    _Atomic uint64_t takes_ms;
    _Atomic int status; /* of calls that take time */
};

static kama_status load(void *arg, const kama_load *req, kama_sink *out)
{
    struct origin *o = arg;
    uint64_t takes_ms = atomic_load(&o->takes_ms);
    kama_status st = KAMA_OK;
    atomic_store(&o->told_ms, req->deadline_ms);
    atomic_fetch_add(&o->calls, 1);
    gate_pass(&o->gate);
    if (takes_ms > 0) {
        fake_clock_add_ms(&o->clock, takes_ms);
        st = (kama_status)atomic_load(&o->status);
    }
    return st == KAMA_OK ? kama_sink_set(out, req->key, NULL) : st;
}

struct timed {
    struct fixture *f;
    struct origin origin;
};

static struct timed *timed_new(void)
{
    struct timed *t = test_calloc(1, sizeof *t);
    t->f = fixture_new();
    fake_clock_init(&t->origin.clock);
    gate_init(&t->origin.gate);
    t->f->options.loader_timeout_ms = 5000;
    t->f->options.loader = load;
    t->f->options.loader_arg = &t->origin;
    t->f->options.loader_free = NULL;
    return t;
}

static struct timed *timed_open(struct timed *t)
{
    const struct km_group_env env = {.clock = &t->origin.clock.clock};
    assert_int_equal(km_group_new(&t->f->options, &env, &t->f->group), KAMA_OK);
    return t;
}

static void timed_free(struct timed *t)
{
    atomic_store(&t->f->script.frees, 1);
    fixture_free(t->f);
    test_free(t);
}

/* 40 keys take 50 ms each, and the deadline is 100 ms: there are two loads and 38
 * timeouts, and the key that is in memory is answered all the same. */
static void test_mget_starts_no_load_after_its_deadline(void **state)
{
    enum { KEYS = 40 };
    struct timed *t = timed_open(timed_new());
    kama_bytes keys[KEYS + 1];
    char names[KEYS][16];
    kama_item items[KEYS + 1];
    kama_ctx ctx;
    (void)state;
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(names[i], sizeof names[i], "k%d", i);
        keys[i] = kama_bytes_str(names[i]);
    }
    keys[KEYS] = KAMA_STR("here");
    assert_int_equal(kama_set(t->f->group, keys[KEYS], KAMA_STR("v"), NULL),
                     KAMA_OK);
    atomic_store(&t->origin.takes_ms, 50);
    kama_ctx_init(&ctx);
    ctx.deadline_ms = 100;
    assert_int_equal(kama_mget(t->f->group, keys, KEYS + 1, &ctx, items),
                     KAMA_OK);
    assert_int_equal(atomic_load(&t->origin.calls), 2);
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(items[i].status, i < 2 ? KAMA_OK : KAMA_ERR_TIMEOUT);
    }
    assert_int_equal(items[KEYS].status, KAMA_OK);
    kama_items_unref(items, KEYS + 1);
    assert_int_equal(stats(t->f).gets, KEYS + 1);
    timed_free(t);
}

/* A loader on its caller's thread is told the smaller of the loader's and the
 * caller's time, and in an mget the time that is left. On a pool it is told the
 * time of the load. */
static void test_the_loader_is_told_its_callers_time(void **state)
{
    struct timed *t = timed_open(timed_new());
    kama_bytes keys[2] = {KAMA_STR("c"), KAMA_STR("d")};
    kama_item items[2];
    kama_ctx ctx;
    (void)state;
    kama_ctx_init(&ctx);
    assert_int_equal(get_text(t->f->group, "a", &ctx, "a"), KAMA_OK);
    assert_int_equal(atomic_load(&t->origin.told_ms), 5000);
    ctx.deadline_ms = 100;
    assert_int_equal(get_text(t->f->group, "b", &ctx, "b"), KAMA_OK);
    assert_int_equal(atomic_load(&t->origin.told_ms), 100);
    atomic_store(&t->origin.takes_ms, 30);
    assert_int_equal(kama_mget(t->f->group, keys, 2, &ctx, items), KAMA_OK);
    kama_items_unref(items, 2);
    assert_int_equal(atomic_load(&t->origin.told_ms), 70);
    ctx.deadline_ms = 9000;
    assert_int_equal(get_text(t->f->group, "e", &ctx, "e"), KAMA_OK);
    assert_int_equal(atomic_load(&t->origin.told_ms), 5000);
    struct km_pool *pool;
    assert_int_equal(km_group_need_pool(t->f->group, &pool), KAMA_OK);
    ctx.deadline_ms = 2000;
    assert_int_equal(get_text(t->f->group, "f", &ctx, "f"), KAMA_OK);
    assert_int_equal(atomic_load(&t->origin.told_ms), 5000);
    timed_free(t);
}

/* Runs a leader that has 100 ms and a waiter that has 4 s. The leader's loader
 * returns status after takes_ms. */
static void race(struct timed *t, kama_status status, uint64_t takes_ms,
                 struct caller *leader, struct caller *waiter)
{
    atomic_store(&t->origin.status, (int)status);
    atomic_store(&t->origin.takes_ms, takes_ms);
    gate_close(&t->origin.gate);
    caller_start(leader, t->f->group, "k", 100);
    gate_await(&t->origin.gate, 1);
    caller_start(waiter, t->f->group, "k", 4000);
    AWAIT(stats(t->f).loads_coalesced == 1);
    fixture_check(t->f);
    atomic_store(&t->origin.takes_ms, 0); /* of the waiter's own load */
    gate_open(&t->origin.gate);
    (void)caller_join(leader);
    (void)caller_join(waiter);
    fixture_check(t->f);
}

static void test_a_waiter_with_more_time_loads_anew(void **state)
{
    static const kama_status ends[] = {KAMA_ERR_TIMEOUT, KAMA_ERR_IO};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct timed *t = timed_open(timed_new());
        struct caller leader, waiter;
        race(t, ends[i], 100, &leader, &waiter);
        assert_int_equal(leader.status,
                         i == 0 ? KAMA_ERR_TIMEOUT : KAMA_ERR_LOADER);
        assert_int_equal(waiter.status, KAMA_OK);
        assert_string_equal(waiter.text, "k");
        assert_int_equal(atomic_load(&t->origin.calls), 2);
        assert_int_equal(atomic_load(&t->origin.told_ms), 3900);
        kama_group_stats s = stats(t->f);
        assert_int_equal(s.gets, 2);
        assert_int_equal(s.loads_coalesced, 1);
        assert_int_equal(s.loads_failed, 1);
        timed_free(t);
    }
}

/* A waiter that tries again may find a value in memory. Its get was counted as a
 * miss before, and is not counted a second time. */
static kama_status load_and_set(void *arg, const kama_load *req, kama_sink *out)
{
    struct timed *t = arg;
    (void)out;
    gate_pass(&t->origin.gate);
    fake_clock_add_ms(&t->origin.clock, 100);
    assert_int_equal(kama_set(t->f->group, req->key, KAMA_STR("set"), NULL),
                     KAMA_OK);
    return KAMA_ERR_TIMEOUT;
}

static void test_a_waiter_that_finds_a_value_is_counted_once(void **state)
{
    struct timed *t = timed_new();
    struct caller leader, waiter;
    (void)state;
    t->f->options.loader = load_and_set;
    t->f->options.loader_arg = t;
    timed_open(t);
    race(t, KAMA_OK, 0, &leader, &waiter);
    assert_int_equal(leader.status, KAMA_ERR_TIMEOUT);
    assert_int_equal(waiter.status, KAMA_OK);
    assert_string_equal(waiter.text, "set");
    kama_group_stats s = stats(t->f);
    assert_int_equal(s.gets, 2);
    assert_int_equal(s.misses, 2);
    timed_free(t);
}

/* A failure within the leader's time is everybody's, and so is a late value. */
static void test_a_waiter_shares_what_was_in_time(void **state)
{
    struct timed *t = timed_open(timed_new());
    struct caller leader, waiter;
    (void)state;
    race(t, KAMA_ERR_TIMEOUT, 99, &leader, &waiter);
    assert_int_equal(leader.status, KAMA_ERR_TIMEOUT);
    assert_int_equal(waiter.status, KAMA_ERR_TIMEOUT);
    assert_int_equal(atomic_load(&t->origin.calls), 1);
    timed_free(t);
    t = timed_open(timed_new());
    race(t, KAMA_OK, 200, &leader, &waiter);
    assert_int_equal(leader.status, KAMA_OK);
    assert_int_equal(waiter.status, KAMA_OK);
    assert_int_equal(atomic_load(&t->origin.calls), 1);
    assert_int_equal(stats(t->f).entries, 1);
    timed_free(t);
}

/* A waiter without time left does not load. */
static void test_a_waiter_without_time_does_not_load(void **state)
{
    struct timed *t = timed_open(timed_new());
    struct caller leader, waiter;
    (void)state;
    race(t, KAMA_ERR_TIMEOUT, 4100, &leader, &waiter);
    assert_int_equal(leader.status, KAMA_ERR_TIMEOUT);
    assert_int_equal(waiter.status, KAMA_ERR_TIMEOUT);
    assert_int_equal(atomic_load(&t->origin.calls), 1);
    timed_free(t);
}

/* An asynchronous get that was parked on a caller's load loads anew, too. */
struct answer {
    atomic_uint count;
    _Atomic int status;
};

static void take(void *arg, kama_status status, kama_value *value)
{
    struct answer *a = arg;
    atomic_store(&a->status, (int)status);
    kama_value_unref(value);
    atomic_fetch_add(&a->count, 1);
}

static void test_an_async_waiter_loads_anew(void **state)
{
    struct timed *t = timed_open(timed_new());
    struct caller leader;
    struct answer answer = {0};
    (void)state;
    atomic_store(&t->origin.status, KAMA_ERR_TIMEOUT);
    atomic_store(&t->origin.takes_ms, 100);
    gate_close(&t->origin.gate);
    caller_start(&leader, t->f->group, "k", 100);
    gate_await(&t->origin.gate, 1);
    assert_int_equal(
        kama_get_async(t->f->group, KAMA_STR("k"), NULL, take, &answer),
        KAMA_OK);
    fixture_check(t->f);
    atomic_store(&t->origin.takes_ms, 0);
    gate_open(&t->origin.gate);
    assert_int_equal(caller_join(&leader), KAMA_ERR_TIMEOUT);
    AWAIT(atomic_load(&answer.count) == 1);
    assert_int_equal(atomic_load(&answer.status), KAMA_OK);
    assert_int_equal(atomic_load(&t->origin.calls), 2);
    assert_int_equal(stats(t->f).gets, 2);
    timed_free(t);
}

static unsigned queued_loads(kama_group *group)
{
    return atomic_load(&group->slots.queued);
}

/* A slot that becomes free too late starts no load. */
static void test_a_slot_that_comes_too_late(void **state)
{
    struct timed *t = timed_new();
    struct caller busy, queued;
    (void)state;
    t->f->options.loader_concurrency = 1;
    timed_open(t);
    gate_close(&t->origin.gate);
    atomic_store(&t->origin.takes_ms, 1000);
    caller_start(&busy, t->f->group, "busy", 0);
    gate_await(&t->origin.gate, 1);
    caller_start(&queued, t->f->group, "k", 1000);
    AWAIT(queued_loads(t->f->group) == 1);
    fixture_check(t->f);
    gate_open(&t->origin.gate);
    assert_int_equal(caller_join(&busy), KAMA_OK);
    assert_int_equal(caller_join(&queued), KAMA_ERR_TIMEOUT);
    assert_int_equal(atomic_load(&t->origin.calls), 1);
    timed_free(t);
}

/* On a pool, a load that waits for a slot is not begun if its callers have left,
 * because their deadlines have passed or they were cancelled. A load that still
 * has a caller is begun. */
struct parked {
    struct km_get_op op;
    atomic_uint dones;
    _Atomic int status;
};

static void on_parked(struct km_get_op *op, kama_status status,
                      kama_value *value, const char *sentence)
{
    struct parked *p = KM_CONTAINER_OF(op, struct parked, op);
    (void)sentence;
    atomic_store(&p->status, (int)status);
    kama_value_unref(value);
    atomic_fetch_add(&p->dones, 1);
}

static void park(struct timed *t, struct parked *p, const char *key,
                 int64_t deadline_ms)
{
    kama_ctx ctx;
    kama_value *value;
    kama_ctx_init(&ctx);
    ctx.deadline_ms = deadline_ms;
    memset(p, 0, sizeof *p);
    p->op.done = on_parked;
    assert_int_equal(
        km_get_op_start(t->f->group, &p->op, kama_bytes_str(key), &ctx, &value),
        KAMA_DEFERRED);
}

static void test_the_pool_begins_no_load_that_nobody_waits_for(void **state)
{
    struct timed *t = timed_new();
    struct parked busy, hasty, gone, patient;
    struct km_pool *pool;
    (void)state;
    t->f->options.loader_concurrency = 1;
    timed_open(t);
    assert_int_equal(km_group_need_pool(t->f->group, &pool), KAMA_OK);
    gate_close(&t->origin.gate);
    atomic_store(&t->origin.takes_ms, 1000);
    park(t, &busy, "busy", 0);
    gate_await(&t->origin.gate, 1);
    atomic_store(&t->origin.takes_ms, 0);
    park(t, &hasty, "hasty", 1000);
    park(t, &gone, "gone", 0);
    park(t, &patient, "patient", 1001);
    fixture_check(t->f);
    assert_true(km_get_op_cancel(&gone.op));
    fixture_check(t->f);
    gate_open(&t->origin.gate);
    AWAIT(atomic_load(&patient.dones) == 1);
    assert_int_equal(atomic_load(&patient.status), KAMA_OK);
    AWAIT(atomic_load(&hasty.dones) == 1);
    assert_int_equal(atomic_load(&hasty.status), KAMA_ERR_TIMEOUT);
    assert_int_equal(atomic_load(&t->origin.calls), 2);
    assert_int_equal(atomic_load(&gone.dones), 0);
    timed_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mget_starts_no_load_after_its_deadline),
        cmocka_unit_test(test_the_loader_is_told_its_callers_time),
        cmocka_unit_test(test_a_waiter_with_more_time_loads_anew),
        cmocka_unit_test(test_a_waiter_that_finds_a_value_is_counted_once),
        cmocka_unit_test(test_a_waiter_shares_what_was_in_time),
        cmocka_unit_test(test_a_waiter_without_time_does_not_load),
        cmocka_unit_test(test_an_async_waiter_loads_anew),
        cmocka_unit_test(test_a_slot_that_comes_too_late),
        cmocka_unit_test(test_the_pool_begins_no_load_that_nobody_waits_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
