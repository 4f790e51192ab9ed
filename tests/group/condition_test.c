/* SPDX-License-Identifier: MIT */
/*
 * Sets with a condition in a group that owns all its keys: what each condition
 * answers, that a refusal changes nothing, and that threads lose no step. Some keys
 * here are absent because they have expired, or because the loader has said that
 * they do not exist.
 */
#include "group/condition_kit.h"

enum { THREADS = 8, STEPS = 1000 };

/* Each condition with and without a value, and the sentences. */
static void test_answers(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    kama_group *g = f->group;
    uint64_t etag = 77;
    (void)state;
    assert_int_equal(set_if(g, "v0", KAMA_SET_IF_PRESENT, 0, &etag), KAMA_MISS);
    assert_int_equal(set_if(g, "v0", KAMA_SET_IF_MATCH, 5, &etag),
                     KAMA_ERR_TRY_AGAIN);
    expect_sentence("nothing was changed: the key has no value");
    assert_true(etag == 77);
    assert_int_equal(stats(f).sets, 0);
    assert_int_equal(set_if(g, "v1", KAMA_SET_IF_ABSENT, 0, &etag), KAMA_OK);
    assert_true(etag == etag_of(g));
    assert_int_equal(set_if(g, "v2", KAMA_SET_IF_ABSENT, 0, NULL),
                     KAMA_ERR_EXISTS);
    expect_sentence("nothing was changed: the key has a value");
    assert_int_equal(set_if(g, "v3", KAMA_SET_IF_MATCH, etag + 1, NULL),
                     KAMA_ERR_TRY_AGAIN);
    expect_sentence("the value has another etag; read the key again");
    assert_int_equal(get_text(g, "k", NULL, "v1"), KAMA_OK);
    assert_int_equal(set_if(g, "v3", KAMA_SET_IF_MATCH, etag, &etag), KAMA_OK);
    assert_true(etag == etag_of(g));
    assert_int_equal(set_if(g, "v4", KAMA_SET_IF_PRESENT, 0, &etag), KAMA_OK);
    assert_int_equal(get_text(g, "k", NULL, "v4"), KAMA_OK);
    assert_int_equal(set_if(g, "v5", KAMA_SET_ALWAYS, 0, &etag), KAMA_OK);
    assert_true(etag == etag_of(g));
    assert_int_equal(stats(f).sets, 4);
    assert_int_equal(atomic_load(&f->script.calls), 0);
    fixture_free(f);
}

/* Conditions that make no sense are refused, and name the member. */
static void test_bad_options(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    (void)state;
    assert_int_equal(set_if(f->group, "v", (kama_condition)4, 0, NULL),
                     KAMA_ERR_UNSUPPORTED);
    expect_sentence("condition: 4");
    assert_int_equal(set_if(f->group, "v", KAMA_SET_IF_MATCH, 0, NULL),
                     KAMA_ERR_INVALID);
    expect_sentence("if_etag");
    for (unsigned c = KAMA_SET_ALWAYS; c <= KAMA_SET_IF_PRESENT; c++) {
        assert_int_equal(set_if(f->group, "v", (kama_condition)c, 1, NULL),
                         KAMA_ERR_INVALID);
        expect_sentence("KAMA_SET_IF_MATCH");
    }
    assert_int_equal(stats(f).sets, 0);
    fixture_free(f);
}

/* Options of a program that was built before there were conditions. */
static void test_older_options(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    kama_set_options set;
    (void)state;
    memset(&set, 0xff, sizeof set);
    kama_set_options_init_sized(&set, offsetof(kama_set_options, condition));
    assert_int_equal(kama_set(f->group, K, KAMA_STR("v"), &set), KAMA_OK);
    fixture_free(f);
}

/* A key that the loader knows not to exist is absent, and so is an expired one. */
static void test_absent(void **state)
{
    struct fixture *f = fixture_new();
    kama_set_options set;
    kama_value *value;
    (void)state;
    f->options.negative_ttl_ms = 60000;
    fixture_open(f);
    atomic_store(&f->script.status, KAMA_MISS);
    assert_int_equal(get_text(f->group, "k", NULL, ""), KAMA_MISS);
    assert_int_equal(set_if(f->group, "v", KAMA_SET_IF_PRESENT, 0, NULL),
                     KAMA_MISS);
    assert_int_equal(kama_try_get(f->group, K, &value), KAMA_MISS);
    kama_set_options_init(&set);
    set.condition = KAMA_SET_IF_ABSENT;
    set.ttl_ms = 1;
    assert_int_equal(kama_set(f->group, K, KAMA_STR("v"), &set), KAMA_OK);
    AWAIT(set_if(f->group, "w", KAMA_SET_IF_ABSENT, 0, NULL) == KAMA_OK);
    assert_int_equal(get_text(f->group, "k", NULL, "w"), KAMA_OK);
    assert_int_equal(atomic_load(&f->script.calls), 1);
    fixture_free(f);
}

/* The version that a loader gives is the etag of what it has loaded. */
static void test_version_is_the_etag(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    (void)state;
    f->script.version = 12;
    assert_true(etag_of(f->group) == 12);
    assert_int_equal(set_if(f->group, "v", KAMA_SET_IF_MATCH, 11, NULL),
                     KAMA_ERR_TRY_AGAIN);
    assert_int_equal(set_if(f->group, "v", KAMA_SET_IF_MATCH, 12, NULL),
                     KAMA_OK);
    assert_true(etag_of(f->group) != 12);
    fixture_free(f);
}

/* A set that is refused lets the load of its key go on, and its value is kept. One
 * that is carried out overtakes the load. */
static void test_running_load(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct caller caller;
    (void)state;
    gate_close(&f->script.gate);
    caller_start(&caller, f->group, "k", 0);
    gate_await(&f->script.gate, 1);
    assert_int_equal(set_if(f->group, "v", KAMA_SET_IF_PRESENT, 0, NULL),
                     KAMA_MISS);
    assert_int_equal(set_if(f->group, "v", KAMA_SET_IF_MATCH, 3, NULL),
                     KAMA_ERR_TRY_AGAIN);
    gate_open(&f->script.gate);
    assert_int_equal(caller_join(&caller), KAMA_OK);
    assert_int_equal(stats(f).loads_overtaken, 0);
    assert_int_equal(get_text(f->group, "k", NULL, "value of k"), KAMA_OK);
    assert_int_equal(kama_del(f->group, K, NULL), KAMA_OK);
    gate_close(&f->script.gate);
    caller_start(&caller, f->group, "k", 0);
    gate_await(&f->script.gate, 2);
    assert_int_equal(set_if(f->group, "v", KAMA_SET_IF_ABSENT, 0, NULL),
                     KAMA_OK);
    gate_open(&f->script.gate);
    assert_int_equal(caller_join(&caller), KAMA_OK);
    assert_string_equal(caller.text, "value of k");
    assert_int_equal(stats(f).loads_overtaken, 1);
    assert_int_equal(get_text(f->group, "k", NULL, "v"), KAMA_OK);
    fixture_free(f);
}

/* -- asynchronous calls ------------------------------------------------------ */

struct answer {
    _Atomic int status;
    atomic_bool came;
};

static void on_answer(void *arg, kama_status status)
{
    struct answer *answer = arg;
    atomic_store(&answer->status, status);
    atomic_store(&answer->came, true);
}

/* The etag is there when the callback runs; a refusal is an answer. */
static void test_async(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    uint64_t etag = 0;
    kama_set_options set;
    (void)state;
    kama_set_options_init(&set);
    set.condition = KAMA_SET_IF_ABSENT;
    set.ret_etag = &etag;
    for (unsigned i = 0; i < 2; i++) {
        struct answer answer = {0};
        assert_int_equal(kama_set_async(f->group, K, KAMA_STR("v"), &set,
                                        on_answer, &answer),
                         KAMA_OK);
        AWAIT(atomic_load(&answer.came));
        assert_int_equal(atomic_load(&answer.status),
                         i == 0 ? KAMA_OK : KAMA_ERR_EXISTS);
        assert_true(etag == etag_of(f->group));
    }
    fixture_free(f);
}

/* -- threads ----------------------------------------------------------------- */

struct worker {
    pthread_t thread;
    kama_group *group;
    unsigned wins;
};

static void *count(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; i < STEPS; i++) {
        add_one(w->group);
    }
    return NULL;
}

static void run_workers(kama_group *group, void *(*run)(void *arg),
                        struct worker workers[THREADS])
{
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.group = group};
        assert_int_equal(
            pthread_create(&workers[i].thread, NULL, run, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    }
}

/* Eight threads add 1 to a counter a thousand times each, and no step is lost. */
static void test_counter(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct worker workers[THREADS];
    uint64_t etag;
    (void)state;
    assert_int_equal(set_if(f->group, "0", KAMA_SET_IF_ABSENT, 0, NULL),
                     KAMA_OK);
    run_workers(f->group, count, workers);
    assert_int_equal(read_counter(f->group, &etag), THREADS * STEPS);
    fixture_free(f);
}

/* Every round has one winner. The others wait until it has removed the key. */
static void *take_turns(void *arg)
{
    struct worker *w = arg;
    while (w->wins < STEPS / 10) {
        kama_status st = set_if(w->group, "mine", KAMA_SET_IF_ABSENT, 0, NULL);
        assert_true(st == KAMA_OK || st == KAMA_ERR_EXISTS);
        if (st == KAMA_OK) {
            w->wins++;
            assert_int_equal(kama_del(w->group, K, NULL), KAMA_OK);
        }
    }
    return NULL;
}

/* A thread that has set an absent key has it alone until it removes the key: the
 * delete of each winner finds a value. */
static void test_turns(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct worker workers[THREADS];
    (void)state;
    run_workers(f->group, take_turns, workers);
    assert_int_equal(stats(f).sets, THREADS * (STEPS / 10));
    fixture_free(f);
}

static void *set_once(void *arg)
{
    struct worker *w = arg;
    w->wins = set_if(w->group, "mine", KAMA_SET_IF_ABSENT, 0, NULL) == KAMA_OK;
    return NULL;
}

/* Of eight threads that set one absent key, exactly one succeeds. */
static void test_one_wins(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct worker workers[THREADS];
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        unsigned wins = 0;
        run_workers(f->group, set_once, workers);
        for (unsigned i = 0; i < THREADS; i++) {
            wins += workers[i].wins;
        }
        assert_int_equal(wins, 1);
        assert_int_equal(kama_del(f->group, K, NULL), KAMA_OK);
    }
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_older_options),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_version_is_the_etag),
        cmocka_unit_test(test_running_load),
        cmocka_unit_test(test_async),
        cmocka_unit_test(test_counter),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_one_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
