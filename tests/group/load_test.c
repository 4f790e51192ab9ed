/* SPDX-License-Identifier: MIT */
/*
 * Loads and the callers that wait for them, on real threads: stampedes, deadlines,
 * mutations that overtake a load, results that come later, slots, and the end of
 * the group during all of that. The groups have no pool, so that the first caller
 * of a key loads it.
 */
#include "group/group_fixture.h"

enum { CROWD = 300 };

/* 300 callers of one cold key start one load, and get one answer. */
static void test_stampede(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    static struct caller callers[CROWD];
    (void)state;
    gate_close(&f->script.gate);
    for (int i = 0; i < CROWD; i++) {
        caller_start(&callers[i], f->group, "hot", 0);
    }
    AWAIT(stats(f).loads_coalesced == CROWD - 1);
    gate_open(&f->script.gate);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(caller_join(&callers[i]), KAMA_OK);
        assert_string_equal(callers[i].text, "value of hot");
    }
    assert_int_equal(atomic_load(&f->script.calls), 1);
    kama_group_stats s = stats(f);
    assert_int_equal(s.loads, 1);
    assert_int_equal(s.gets, CROWD);
    assert_int_equal(s.misses, CROWD);
    assert_int_equal(s.pinned_bytes, 0);
    fixture_free(f);
}

/* Every caller gets the error and its sentence, and nothing is remembered. */
static void test_stampede_fails(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct caller callers[8];
    (void)state;
    gate_close(&f->script.gate);
    atomic_store(&f->script.status, KAMA_ERR_OVERLOADED);
    f->script.sentence = "no connection is free";
    for (int i = 0; i < 8; i++) {
        caller_start(&callers[i], f->group, "k", 0);
    }
    AWAIT(stats(f).loads_coalesced == 7);
    gate_open(&f->script.gate);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(caller_join(&callers[i]), KAMA_ERR_OVERLOADED);
        assert_string_equal(callers[i].sentence, "no connection is free");
    }
    atomic_store(&f->script.status, KAMA_OK);
    assert_int_equal(get_text(f->group, "k", NULL, "value of k"), KAMA_OK);
    fixture_free(f);
}

/* Different keys load at the same time. */
static void test_keys_in_parallel(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct caller a, b;
    (void)state;
    gate_close(&f->script.gate);
    caller_start(&a, f->group, "a", 0);
    caller_start(&b, f->group, "b", 0);
    gate_await(&f->script.gate, 2);
    assert_int_equal(stats(f).loads_running, 2);
    gate_open(&f->script.gate);
    assert_int_equal(caller_join(&a), KAMA_OK);
    assert_int_equal(caller_join(&b), KAMA_OK);
    fixture_free(f);
}

/* A waiter whose deadline has passed leaves, and the load goes on for the others.
 */
static void test_waiter_deadline(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct caller leader, hasty, patient;
    (void)state;
    gate_close(&f->script.gate);
    caller_start(&leader, f->group, "k", 0);
    gate_await(&f->script.gate, 1);
    caller_start(&patient, f->group, "k", 60000);
    AWAIT(stats(f).loads_coalesced == 1);
    caller_start(&hasty, f->group, "k", 20);
    assert_int_equal(caller_join(&hasty), KAMA_ERR_TIMEOUT);
    assert_true(hasty.took_ms >= 20);
    fixture_check(f);
    gate_open(&f->script.gate);
    assert_int_equal(caller_join(&leader), KAMA_OK);
    assert_int_equal(caller_join(&patient), KAMA_OK);
    assert_int_equal(atomic_load(&f->script.calls), 1);
    fixture_free(f);
}

/* If a loader hangs past its deadline, the waiters get a typed error, the next
 * caller starts a load of its own, and the late result is dropped. */
static void test_overdue_load(void **state)
{
    struct fixture *f = fixture_new();
    struct caller leader, waiter;
    (void)state;
    f->options.loader_timeout_ms = 500;
    fixture_open(f);
    gate_close(&f->script.gate);
    caller_start(&leader, f->group, "k", 60000);
    gate_await(&f->script.gate, 1);
    caller_start(&waiter, f->group, "k", 60000);
    assert_int_equal(caller_join(&waiter), KAMA_ERR_TIMEOUT);
    fixture_check(f);
    assert_true(waiter.took_ms < 15000);
    assert_int_equal(stats(f).loads_failed, 1);
    caller_start(&waiter, f->group, "k", 60000);
    gate_await(&f->script.gate, 2); /* its own load */
    fixture_check(f);
    f->script.value = "late";
    f->script.value_len = 4;
    gate_open(&f->script.gate);
    assert_int_equal(caller_join(&leader), KAMA_ERR_TIMEOUT);
    (void)caller_join(&waiter); /* in time, or not: the machine decides */
    kama_value *value;
    if (waiter.status != KAMA_OK) {
        assert_int_equal(kama_try_get(f->group, KAMA_STR("k"), &value),
                         KAMA_WOULD_LOAD);
    }
    fixture_free(f);
}

/* A late result is dropped even if no other caller has ended the load before. */
static void test_late_and_alone(void **state)
{
    struct fixture *f = fixture_new();
    struct caller leader;
    kama_value *value;
    (void)state;
    f->options.loader_timeout_ms = 10;
    fixture_open(f);
    gate_close(&f->script.gate);
    caller_start(&leader, f->group, "k", 60000);
    gate_await(&f->script.gate, 1);
    int64_t from = now_ms();
    AWAIT(now_ms() > from + 15);
    gate_open(&f->script.gate);
    assert_int_equal(caller_join(&leader), KAMA_ERR_TIMEOUT);
    assert_int_equal(kama_try_get(f->group, KAMA_STR("k"), &value),
                     KAMA_WOULD_LOAD);
    fixture_free(f);
}

static void mutate_del(kama_group *group)
{
    assert_int_equal(kama_del(group, KAMA_STR("k"), NULL), KAMA_MISS);
}

static void mutate_set(kama_group *group)
{
    assert_int_equal(kama_set(group, KAMA_STR("k"), KAMA_STR("set"), NULL),
                     KAMA_OK);
}

static void mutate_clear(kama_group *group)
{
    assert_int_equal(kama_group_clear(group), KAMA_OK);
}

/* A mutation during a load wins: the callers that already wait get the loaded
 * value, it is not kept, and a caller that comes after the mutation never sees
 * it. */
static void test_mutation_overtakes(void **state)
{
    void (*const mutations[])(kama_group *) = {mutate_del, mutate_set,
                                               mutate_clear};
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct fixture *f = fixture_open(fixture_new());
        struct caller leader, waiter, after;
        bool was_set = mutations[i] == mutate_set;
        gate_close(&f->script.gate);
        f->script.value = "old";
        f->script.value_len = 3;
        caller_start(&leader, f->group, "k", 0);
        gate_await(&f->script.gate, 1);
        caller_start(&waiter, f->group, "k", 0);
        AWAIT(stats(f).loads_coalesced == 1);
        mutations[i](f->group);
        fixture_check(f);
        caller_start(&after, f->group, "k", 0);
        if (was_set) {
            assert_int_equal(caller_join(&after), KAMA_OK);
            assert_string_equal(after.text, "set");
        } else {
            gate_await(&f->script.gate, 2); /* a load of its own */
        }
        gate_open(&f->script.gate);
        assert_int_equal(caller_join(&leader), KAMA_OK);
        assert_string_equal(leader.text, "old");
        assert_int_equal(caller_join(&waiter), KAMA_OK);
        assert_string_equal(waiter.text, "old");
        if (!was_set) {
            assert_int_equal(caller_join(&after), KAMA_OK);
        }
        assert_int_equal(atomic_load(&f->script.calls), was_set ? 1 : 2);
        assert_int_equal(stats(f).loads_overtaken, 1);
        assert_int_equal(get_text(f->group, "k", NULL, was_set ? "set" : "old"),
                         KAMA_OK);
        fixture_free(f);
    }
}

/* No more loads run at a time than loader_concurrency; the others are queued. */
static void test_concurrency_cap(void **state)
{
    struct fixture *f = fixture_new();
    static const char *const keys[] = {"a", "b", "c", "d", "e", "f"};
    struct caller callers[6];
    (void)state;
    f->options.loader_concurrency = 2;
    fixture_open(f);
    gate_close(&f->script.gate);
    for (int i = 0; i < 6; i++) {
        caller_start(&callers[i], f->group, keys[i], 0);
    }
    gate_await(&f->script.gate, 2);
    AWAIT(stats(f).misses == 6);
    fixture_check(f);
    assert_int_equal(atomic_load(&f->script.calls), 2);
    assert_int_equal(stats(f).loads_running, 2);
    gate_open(&f->script.gate);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(caller_join(&callers[i]), KAMA_OK);
    }
    assert_int_equal(atomic_load(&f->script.calls), 6);
    fixture_free(f);
}

/* A caller that waits for a slot leaves when its deadline has passed, and a caller
 * that waits for its load stays and loads the key itself. */
static void test_deadline_in_the_queue(void **state)
{
    struct fixture *f = fixture_new();
    struct caller busy, hasty, patient;
    (void)state;
    f->options.loader_concurrency = 1;
    f->options.loader_timeout_ms = 60000;
    fixture_open(f);
    gate_close(&f->script.gate);
    caller_start(&busy, f->group, "busy", 0);
    gate_await(&f->script.gate, 1);
    caller_start(&hasty, f->group, "k", 300);
    AWAIT(stats(f).misses == 2);
    caller_start(&patient, f->group, "k", 60000);
    assert_int_equal(caller_join(&hasty), KAMA_ERR_TIMEOUT);
    fixture_check(f);
    gate_open(&f->script.gate);
    assert_int_equal(caller_join(&busy), KAMA_OK);
    assert_int_equal(caller_join(&patient), KAMA_OK);
    assert_string_equal(patient.text, "value of k");
    assert_int_equal(stats(f).gets, 3);
    fixture_free(f);
}

/* The time of the loader runs in the queue, too. */
static void test_queue_deadline(void **state)
{
    struct fixture *f = fixture_new();
    struct caller busy, queued;
    (void)state;
    f->options.loader_concurrency = 1;
    f->options.loader_timeout_ms = 60;
    fixture_open(f);
    gate_close(&f->script.gate);
    caller_start(&busy, f->group, "busy", 60000);
    gate_await(&f->script.gate, 1);
    caller_start(&queued, f->group, "k", 60000);
    assert_int_equal(caller_join(&queued), KAMA_ERR_TIMEOUT);
    fixture_check(f);
    assert_int_equal(atomic_load(&f->script.calls), 1);
    gate_open(&f->script.gate);
    (void)caller_join(&busy);
    fixture_free(f);
}

/* The leader and the other callers of a deferred load wait, and then all get its
 * value. */
static void test_deferred(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct caller callers[3];
    (void)state;
    f->script.defer = true;
    for (int i = 0; i < 3; i++) {
        caller_start(&callers[i], f->group, "k", 0);
    }
    AWAIT(stats(f).loads_coalesced == 2);
    AWAIT(atomic_load(&f->script.deferred) != NULL);
    fixture_check(f);
    kama_sink_options options;
    kama_sink_options_init(&options);
    options.version = 7;
    kama_load_finish(atomic_load(&f->script.deferred), KAMA_OK,
                     KAMA_STR("later"), &options);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(caller_join(&callers[i]), KAMA_OK);
        assert_string_equal(callers[i].text, "later");
    }
    assert_int_equal(atomic_load(&f->script.calls), 1);
    assert_int_equal(stats(f).pinned_bytes, 0);
    fixture_free(f);
}

/* A key that the origin cannot have is an error of the caller, also in a deferred
 * answer, and options that the group refuses are an error of the loader. */
static void test_deferred_invalid(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct caller caller;
    kama_sink_options options;
    (void)state;
    f->script.defer = true;
    kama_sink_options_init(&options);
    options.ttl_ms = -2;
    caller_start(&caller, f->group, "k", 0);
    AWAIT(atomic_load(&f->script.deferred) != NULL);
    kama_load_finish(atomic_exchange(&f->script.deferred, NULL),
                     KAMA_ERR_INVALID, KAMA_STR(""), NULL);
    assert_int_equal(caller_join(&caller), KAMA_ERR_INVALID);
    caller_start(&caller, f->group, "k", 0);
    AWAIT(atomic_load(&f->script.deferred) != NULL);
    kama_load_finish(atomic_load(&f->script.deferred), KAMA_OK, KAMA_STR("v"),
                     &options);
    assert_int_equal(caller_join(&caller), KAMA_ERR_LOADER);
    fixture_free(f);
}

/* A deferred load may be finished before the loader has returned. */
static void test_deferred_finished_early(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct caller caller;
    (void)state;
    f->script.defer = true;
    gate_close(&f->script.gate);
    caller_start(&caller, f->group, "k", 0);
    gate_await(&f->script.gate, 1);
    kama_load_finish(atomic_load(&f->script.deferred), KAMA_OK,
                     KAMA_STR("early"), NULL);
    assert_int_equal(get_text(f->group, "k", NULL, "early"), KAMA_OK);
    fixture_check(f);
    gate_open(&f->script.gate);
    assert_int_equal(caller_join(&caller), KAMA_OK);
    assert_string_equal(caller.text, "early");
    fixture_free(f);
}

/* A deferred load gives its slot back when its deadline has passed. If it is
 * finished after that, only its memory is freed. */
static void test_deferred_overdue(void **state)
{
    struct fixture *f = fixture_new();
    struct caller caller;
    kama_value *value;
    (void)state;
    f->options.loader_timeout_ms = 30;
    f->options.loader_concurrency = 1;
    fixture_open(f);
    f->script.defer = true;
    caller_start(&caller, f->group, "k", 60000);
    assert_int_equal(caller_join(&caller), KAMA_ERR_TIMEOUT);
    kama_deferred *late = atomic_load(&f->script.deferred);
    caller_start(&caller, f->group, "other", 60000); /* has the slot */
    AWAIT(atomic_load(&f->script.calls) == 2);
    fixture_check(f);
    assert_int_equal(caller_join(&caller), KAMA_ERR_TIMEOUT);
    kama_load_finish(late, KAMA_OK, KAMA_STR("late"), NULL);
    assert_int_equal(kama_try_get(f->group, KAMA_STR("k"), &value),
                     KAMA_WOULD_LOAD);
    kama_load_finish(atomic_load(&f->script.deferred), KAMA_ERR_IO,
                     KAMA_STR(""), NULL);
    fixture_free(f);
}

/* An overdue load without a caller does not keep its slot from others. */
static void test_deferred_abandoned(void **state)
{
    struct fixture *f = fixture_new();
    struct caller caller;
    (void)state;
    f->options.loader_timeout_ms = 200;
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
    AWAIT(now_ms() > from + 210);
    fixture_check(f);
    f->script.defer = false;
    assert_int_equal(get_text(f->group, "other", NULL, "value of other"),
                     KAMA_OK);
    kama_load_finish(late, KAMA_OK, KAMA_STR("late"), NULL);
    assert_int_equal(stats(f).loads_failed, 1);
    fixture_free(f);
}

/* A deferred load may outlive its group. When it is finished, its memory is freed,
 * and the loader is freed last. */
static void test_deferred_outlives_group(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct caller caller;
    (void)state;
    f->script.defer = true;
    caller_start(&caller, f->group, "k", 0);
    AWAIT(atomic_load(&f->script.deferred) != NULL);
    gate_await(&f->script.gate, 1);
    kama_group_free(f->group);
    assert_int_equal(caller_join(&caller), KAMA_ERR_CANCELLED);
    assert_int_equal(atomic_load(&f->script.frees), 0);
    kama_load_finish(atomic_load(&f->script.deferred), KAMA_OK, KAMA_STR("x"),
                     NULL);
    fixture_done(f);
}

static void *free_group(void *arg)
{
    kama_group_free(arg);
    return NULL;
}

/* Freeing a group cancels the callers that wait, and waits for the loaders. */
static void test_free_cancels_waiters(void **state)
{
    struct fixture *f = fixture_new();
    struct caller leader, waiters[4], queued;
    pthread_t freer;
    (void)state;
    f->options.loader_concurrency = 1;
    fixture_open(f);
    gate_close(&f->script.gate);
    caller_start(&leader, f->group, "k", 0);
    gate_await(&f->script.gate, 1);
    for (int i = 0; i < 4; i++) {
        caller_start(&waiters[i], f->group, "k", 60000);
    }
    caller_start(&queued, f->group, "queued", 60000);
    AWAIT(stats(f).misses == 6);
    fixture_check(f);
    assert_int_equal(pthread_create(&freer, NULL, free_group, f->group), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(caller_join(&waiters[i]), KAMA_ERR_CANCELLED);
    }
    assert_int_equal(caller_join(&queued), KAMA_ERR_CANCELLED);
    gate_open(&f->script.gate);
    assert_int_equal(caller_join(&leader), KAMA_ERR_CANCELLED);
    (void)pthread_join(freer, NULL);
    fixture_done(f);
}

/* Many threads get, set, delete, clear, scan and load few keys at the same time.
 * The sanitizers and the check at the end find the errors. */
struct mixer {
    pthread_t thread;
    struct fixture *f;
    uint64_t seed;
};

static int count_entry(void *arg, const kama_entry *entry)
{
    (void)entry;
    (*(unsigned *)arg)++;
    return 0;
}

static void mix_once(kama_group *group, const char *key, unsigned what)
{
    char buf[64];
    size_t len;
    kama_value *value;
    unsigned seen = 0;
    uint64_t cursor = 0;
    if (what < 30) {
        if (kama_get(group, kama_bytes_str(key), NULL, &value) == KAMA_OK) {
            kama_value_unref(value);
        }
    } else if (what < 70) {
        (void)!kama_get_copy(group, kama_bytes_str(key), NULL, buf, sizeof buf,
                             &len);
    } else if (what < 85) {
        assert_int_equal(
            kama_set(group, kama_bytes_str(key), KAMA_STR("set"), NULL),
            KAMA_OK);
    } else if (what < 97) {
        (void)!kama_del(group, kama_bytes_str(key), NULL);
    } else if (what < 98) {
        assert_int_equal(kama_group_clear(group), KAMA_OK);
    } else {
        assert_int_equal(
            kama_scan(group, &cursor, KAMA_STR("*"), count_entry, &seen),
            KAMA_OK);
    }
}

static void *mix(void *arg)
{
    struct mixer *m = arg;
    uint64_t r = m->seed;
    for (unsigned i = 0; i < 4000; i++) {
        char key[16];
        r = r * 6364136223846793005u + 1442695040888963407u;
        (void)snprintf(key, sizeof key, "k%u", (unsigned)(r >> 60));
        mix_once(m->f->group, key, (unsigned)(r >> 33) % 100);
    }
    return NULL;
}

static void test_mix(void **state)
{
    struct fixture *f = fixture_new();
    struct mixer mixers[8];
    (void)state;
    f->options.ttl_ms = 5;
    f->options.negative_ttl_ms = 5;
    f->options.loader_concurrency = 2;
    fixture_open(f);
    for (int i = 0; i < 8; i++) {
        mixers[i].f = f;
        mixers[i].seed = (uint64_t)i + 1;
        assert_int_equal(
            pthread_create(&mixers[i].thread, NULL, mix, &mixers[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        (void)pthread_join(mixers[i].thread, NULL);
    }
    assert_int_equal(stats(f).loads_running, 0);
    assert_int_equal(stats(f).pinned_bytes, 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stampede),
        cmocka_unit_test(test_stampede_fails),
        cmocka_unit_test(test_keys_in_parallel),
        cmocka_unit_test(test_waiter_deadline),
        cmocka_unit_test(test_overdue_load),
        cmocka_unit_test(test_late_and_alone),
        cmocka_unit_test(test_mutation_overtakes),
        cmocka_unit_test(test_concurrency_cap),
        cmocka_unit_test(test_deadline_in_the_queue),
        cmocka_unit_test(test_queue_deadline),
        cmocka_unit_test(test_deferred),
        cmocka_unit_test(test_deferred_invalid),
        cmocka_unit_test(test_deferred_finished_early),
        cmocka_unit_test(test_deferred_overdue),
        cmocka_unit_test(test_deferred_abandoned),
        cmocka_unit_test(test_deferred_outlives_group),
        cmocka_unit_test(test_free_cancels_waiters),
        cmocka_unit_test(test_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
