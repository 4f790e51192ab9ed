/* SPDX-License-Identifier: MIT */
/*
 * The observer of a group hears of each step of each get, and of the loads that
 * have failed for their callers.
 */
#include "group/group_fixture.h"

#include "base/container.h"
#include "group/observer.h"

#include <string.h>

enum { EVENTS_MAX = 64 };

/* The events that the observer has heard of, each as "NAME: MESSAGE", without the
 * group and the key. */
struct record {
    pthread_mutex_t lock;
    unsigned count;
    char steps[EVENTS_MAX][128];
    char failures[EVENTS_MAX][128];
    unsigned failure_count;
    kama_status last_failure;
};

static void write_step(char *to, const struct km_group_event *event)
{
    static const char group[] = "group test: ";
    assert_string_equal(event->group, "test");
    assert_int_equal(strncmp(event->message, group, strlen(group)), 0);
    const char *text = event->message + strlen(group);
    const char *end = strstr(text, " after "); /* times are not compared */
    if (end == NULL) {
        end = strstr(text, " and has ");
    }
    if (end == NULL) {
        end = strstr(text, " (key");
    }
    assert_non_null(end);
    (void)snprintf(to, 128, "%s: %.*s", event->name, (int)(end - text), text);
}

static void on_trace(void *arg, const struct km_group_event *event)
{
    struct record *r = arg;
    (void)pthread_mutex_lock(&r->lock);
    assert_true(r->count < EVENTS_MAX);
    write_step(r->steps[r->count++], event);
    (void)pthread_mutex_unlock(&r->lock);
}

static void on_failed(void *arg, const struct km_group_event *event)
{
    struct record *r = arg;
    (void)pthread_mutex_lock(&r->lock);
    assert_true(r->failure_count < EVENTS_MAX);
    assert_string_equal(event->name, "load_failed");
    write_step(r->failures[r->failure_count++], event);
    r->last_failure = event->status;
    (void)pthread_mutex_unlock(&r->lock);
}

static unsigned count(struct record *r)
{
    (void)pthread_mutex_lock(&r->lock);
    unsigned n = r->count;
    (void)pthread_mutex_unlock(&r->lock);
    return n;
}

static unsigned failures(struct record *r)
{
    (void)pthread_mutex_lock(&r->lock);
    unsigned n = r->failure_count;
    (void)pthread_mutex_unlock(&r->lock);
    return n;
}

/* A group on a pool, as a node makes it, and the record of its events. */
struct observed {
    struct fixture *f;
    struct km_pool *pool;
    struct record record;
    struct km_group_observer observer;
};

static struct observed *observed_new(void)
{
    struct observed *o = test_calloc(1, sizeof *o);
    o->f = fixture_new();
    (void)pthread_mutex_init(&o->record.lock, NULL);
    o->observer = (struct km_group_observer){on_failed, on_trace, &o->record};
    assert_int_equal(km_pool_new(NULL, km_clock_system(), "test", 2, &o->pool),
                     KAMA_OK);
    return o;
}

static struct observed *observed_open(struct observed *o)
{
    const struct km_group_env env = {.pool = o->pool, .observer = &o->observer};
    assert_int_equal(km_group_new(&o->f->options, &env, &o->f->group), KAMA_OK);
    return o;
}

static void observed_free(struct observed *o)
{
    km_group_free(o->f->group);
    km_pool_free(o->pool);
    fixture_done(o->f);
    test_free(o);
}

static void expect_steps(struct observed *o, const char *const *steps)
{
    unsigned n = 0;
    while (steps[n] != NULL) {
        n++;
    }
    AWAIT(count(&o->record) >= n);
    assert_int_equal(count(&o->record), n);
    for (unsigned i = 0; i < n; i++) {
        assert_string_equal(o->record.steps[i], steps[i]);
    }
    o->record.count = 0;
}

#define EXPECT_STEPS(o, ...)                                                   \
    expect_steps(o, (const char *const[]){__VA_ARGS__, NULL})

/* Whichever call asks: the same steps. */
static void test_each_step_of_a_get(void **state)
{
    struct observed *o = observed_new();
    kama_value *value;
    kama_bytes key = KAMA_STR("b");
    kama_item item;
    char buf[32];
    size_t len;
    (void)state;
    o->f->options.negative_ttl_ms = 60000;
    observed_open(o);
    assert_int_equal(get_text(o->f->group, "a", NULL, "value of a"), KAMA_OK);
    EXPECT_STEPS(
        o, "get: not in memory: starts a load", "load: the loader is called",
        "load: the load ended with KAMA_OK", "get: answered with KAMA_OK");
    assert_int_equal(get_text(o->f->group, "a", NULL, "value of a"), KAMA_OK);
    EXPECT_STEPS(o, "get: answered from memory");
    assert_int_equal(
        kama_get_copy(o->f->group, KAMA_STR("a"), NULL, buf, sizeof buf, &len),
        KAMA_OK);
    EXPECT_STEPS(o, "get: answered from memory");
    assert_int_equal(kama_try_get(o->f->group, KAMA_STR("z"), &value),
                     KAMA_WOULD_LOAD);
    EXPECT_STEPS(o, "get: not in memory, and not loaded");
    atomic_store(&o->f->script.status, KAMA_MISS);
    assert_int_equal(kama_mget(o->f->group, &key, 1, NULL, &item), KAMA_OK);
    EXPECT_STEPS(
        o, "get: not in memory: starts a load", "load: the loader is called",
        "load: the load ended with KAMA_MISS", "get: answered with KAMA_MISS");
    assert_int_equal(get_text(o->f->group, "b", NULL, ""), KAMA_MISS);
    EXPECT_STEPS(o, "get: answered from memory: there is no such key");
    assert_int_equal(failures(&o->record), 0);
    observed_free(o);
}

/* The steps of a caller that waits for the load of another, and of a load whose
 * value is not kept. */
static void test_who_waits_for_whom(void **state)
{
    struct observed *o = observed_open(observed_new());
    struct caller leader, waiter;
    (void)state;
    gate_close(&o->f->script.gate);
    caller_start(&leader, o->f->group, "k", 0);
    gate_await(&o->f->script.gate, 1);
    EXPECT_STEPS(o, "get: not in memory: starts a load",
                 "load: the loader is called");
    caller_start(&waiter, o->f->group, "k", 300);
    assert_int_equal(caller_join(&waiter), KAMA_ERR_TIMEOUT);
    EXPECT_STEPS(o, "get: not in memory: waits for the load that is running",
                 "get: answered with KAMA_ERR_TIMEOUT");
    assert_int_equal(kama_del(o->f->group, KAMA_STR("k"), NULL), KAMA_MISS);
    gate_open(&o->f->script.gate);
    assert_int_equal(caller_join(&leader), KAMA_OK);
    EXPECT_STEPS(o, "load: the load ended with KAMA_OK",
                 "get: answered with KAMA_OK");
    observed_free(o);
}

static void expect_failure(struct observed *o, kama_status status,
                           const char *text)
{
    AWAIT(failures(&o->record) == 1);
    assert_int_equal(o->record.last_failure, status);
    assert_string_equal(o->record.failures[0], text);
    o->record.failure_count = 0;
}

/* The loader's own sentence, one of ours, and a loader that hangs; when it
 * returns at last, that is told too. */
static void test_failures_are_told(void **state)
{
    struct observed *o = observed_new();
    (void)state;
    o->f->options.loader_timeout_ms = 500;
    observed_open(o);
    atomic_store(&o->f->script.status, KAMA_ERR_OVERLOADED);
    o->f->script.sentence = "no connection is free";
    assert_int_equal(get_text(o->f->group, "a", NULL, ""), KAMA_ERR_OVERLOADED);
    expect_failure(o, KAMA_ERR_OVERLOADED,
                   "load_failed: no connection is free");
    o->f->script.sentence = NULL;
    assert_int_equal(get_text(o->f->group, "a", NULL, ""), KAMA_ERR_OVERLOADED);
    expect_failure(o, KAMA_ERR_OVERLOADED,
                   "load_failed: the loader returned KAMA_ERR_OVERLOADED and "
                   "gave no reason");
    gate_close(&o->f->script.gate);
    assert_int_equal(get_text(o->f->group, "a", NULL, ""), KAMA_ERR_TIMEOUT);
    expect_failure(o, KAMA_ERR_TIMEOUT,
                   "load_failed: the loader did not answer within its time of "
                   "500 ms");
    unsigned before = count(&o->record);
    gate_open(&o->f->script.gate);
    AWAIT(count(&o->record) == before + 1);
    assert_string_equal(o->record.steps[before],
                        "load: the loader returned KAMA_ERR_OVERLOADED");
    observed_free(o);
}

/* Callers that leave before their load begins, and the end of the group, are no
 * failures of the origin. */
struct parked {
    struct km_get_op op;
    atomic_uint dones;
};

static void on_parked(struct km_get_op *op, kama_status status,
                      kama_value *value, const char *sentence)
{
    (void)status;
    (void)sentence;
    kama_value_unref(value);
    atomic_fetch_add(&KM_CONTAINER_OF(op, struct parked, op)->dones, 1);
}

static void park(struct observed *o, struct parked *p, const char *key)
{
    kama_value *value;
    memset(p, 0, sizeof *p);
    p->op.done = on_parked;
    assert_int_equal(
        km_get_op_start(o->f->group, &p->op, kama_bytes_str(key), NULL, &value),
        KAMA_DEFERRED);
}

static void test_what_is_no_failure(void **state)
{
    struct observed *o = observed_new();
    struct parked busy, gone, cancelled;
    (void)state;
    o->f->options.loader_concurrency = 1;
    observed_open(o);
    gate_close(&o->f->script.gate);
    park(o, &busy, "busy");
    gate_await(&o->f->script.gate, 1);
    park(o, &gone, "gone");
    assert_true(km_get_op_cancel(&gone.op));
    gate_open(&o->f->script.gate);
    AWAIT(atomic_load(&busy.dones) == 1);
    AWAIT(stats(o->f).loads_running == 0);
    o->f->script.defer = true;
    park(o, &cancelled, "cancelled");
    AWAIT(atomic_load(&o->f->script.deferred) != NULL);
    AWAIT(stats(o->f).loads_running == 1);
    km_group_free(o->f->group);
    assert_int_equal(atomic_load(&cancelled.dones), 1);
    kama_load_finish(atomic_load(&o->f->script.deferred), KAMA_OK, KAMA_STR(""),
                     NULL);
    assert_int_equal(failures(&o->record), 0);
    km_pool_free(o->pool);
    fixture_done(o->f);
    test_free(o);
}

/* Nobody follows: failures are told all the same. */
static void test_without_a_trace(void **state)
{
    struct observed *o = observed_new();
    (void)state;
    o->observer.trace = NULL;
    observed_open(o);
    assert_int_equal(get_text(o->f->group, "a", NULL, "value of a"), KAMA_OK);
    atomic_store(&o->f->script.status, KAMA_ERR_OVERLOADED);
    assert_int_equal(get_text(o->f->group, "b", NULL, ""), KAMA_ERR_OVERLOADED);
    AWAIT(failures(&o->record) == 1);
    assert_int_equal(count(&o->record), 0);
    observed_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_step_of_a_get),
        cmocka_unit_test(test_who_waits_for_whom),
        cmocka_unit_test(test_failures_are_told),
        cmocka_unit_test(test_what_is_no_failure),
        cmocka_unit_test(test_without_a_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
