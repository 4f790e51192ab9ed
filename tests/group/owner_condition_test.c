/* SPDX-License-Identifier: MIT */
/*
 * Sets with a condition in a group of a cluster: the owner checks it, an etag that
 * one node has told holds at all others, and nothing is sent twice that may have
 * been carried out.
 */
#include "condition_kit.h"
#include "fake_owner.h"

#define A (&c->nodes[0])
#define B (&c->nodes[1])
#define C (&c->nodes[2])

enum { THREADS = 6, STEPS = 60 };

/* All nodes ask the same owner, so that they see each other's values. */
static void test_the_owner_checks(void **state)
{
    struct fake_cluster *c = fake_open();
    (void)state;
    assert_int_equal(set_if(A->group, "v", KAMA_SET_IF_PRESENT, 0, NULL),
                     KAMA_MISS);
    assert_int_equal(set_if(A->group, "a", KAMA_SET_IF_ABSENT, 0, NULL),
                     KAMA_OK);
    assert_int_equal(set_if(C->group, "c", KAMA_SET_IF_ABSENT, 0, NULL),
                     KAMA_ERR_EXISTS);
    expect_sentence("the key has a value");
    assert_int_equal(set_if(B->group, "b", KAMA_SET_IF_ABSENT, 0, NULL),
                     KAMA_ERR_EXISTS);
    assert_int_equal(get_text(C->group, "k", NULL, "a"), KAMA_OK);
    assert_int_equal(set_if(C->group, "c", KAMA_SET_IF_PRESENT, 0, NULL),
                     KAMA_OK);
    assert_int_equal(get_text(A->group, "k", NULL, "c"), KAMA_OK);
    assert_int_equal(fake_stats(A).sets, 1);
    assert_int_equal(fake_stats(B).sets, 0);
    assert_int_equal(fake_stats(C).sets, 1);
    assert_int_equal(fake_stats(A).mutations_forwarded, 2);
    assert_int_equal(atomic_load(&A->mutations), 2);
    fake_close(c);
}

/* Every node tells the etag that the owner compares with, of a value that was read
 * and of one that was stored, with and without a version. */
static void test_etags_hold_everywhere(void **state)
{
    struct fake_cluster *c = fake_open();
    uint64_t etag = 0;
    (void)state;
    assert_true(etag_of(A->group) == etag_of(B->group)); /* loaded */
    assert_true(etag_of(C->group) == etag_of(B->group));
    assert_int_equal(
        set_if(A->group, "v1", KAMA_SET_IF_MATCH, etag_of(C->group), &etag),
        KAMA_OK);
    assert_true(etag == etag_of(B->group) && etag == etag_of(C->group));
    assert_int_equal(set_if(B->group, "v2", KAMA_SET_IF_MATCH, etag, &etag),
                     KAMA_OK);
    assert_true(etag == etag_of(A->group));
    assert_int_equal(set_if(C->group, "v3", KAMA_SET_IF_MATCH, etag, NULL),
                     KAMA_OK);
    assert_int_equal(set_if(A->group, "v4", KAMA_SET_IF_MATCH, etag, NULL),
                     KAMA_ERR_TRY_AGAIN);
    expect_sentence("the value has another etag");
    assert_int_equal(get_text(A->group, "k", NULL, "v3"), KAMA_OK);
    assert_int_equal(kama_del(A->group, K, NULL), KAMA_OK);
    B->script.version = 9;
    assert_true(etag_of(A->group) == 9 && etag_of(B->group) == 9);
    fake_close(c);
}

/* A refusal of the condition is an answer. It is sent once, although its status can
 * also mean that the view changes; and the loads of the owner go on. */
static void test_refusals_are_answers(void **state)
{
    struct fake_cluster *c = fake_open();
    struct caller caller;
    (void)state;
    gate_close(&B->script.gate);
    caller_start(&caller, B->group, "k", 0);
    gate_await(&B->script.gate, 1);
    assert_int_equal(set_if(A->group, "v", KAMA_SET_IF_MATCH, 5, NULL),
                     KAMA_ERR_TRY_AGAIN);
    expect_sentence("the key has no value");
    assert_int_equal(atomic_load(&A->mutations), 1);
    gate_open(&B->script.gate);
    assert_int_equal(caller_join(&caller), KAMA_OK);
    assert_int_equal(fake_stats(B).loads_overtaken, 0);
    assert_int_equal(kama_exists(B->group, K, NULL), KAMA_OK);
    fake_close(c);
}

/* An answer that was lost is not asked for again: the value of the set itself could
 * refuse the second one. The sentence says what to do. */
static void test_lost_answer(void **state)
{
    struct fake_cluster *c = fake_open();
    (void)state;
    atomic_store(&B->outcome, KM_OWNER_LOST);
    assert_int_equal(set_if(A->group, "v", KAMA_SET_IF_ABSENT, 0, NULL),
                     KAMA_ERR_PEER);
    expect_sentence("may have been applied");
    expect_sentence("read the key before you repeat the change");
    assert_int_equal(atomic_load(&A->mutations), 1);
    atomic_store(&B->outcome, KM_OWNER_UNREACHABLE);
    assert_int_equal(set_if(A->group, "v", KAMA_SET_IF_ABSENT, 0, NULL),
                     KAMA_ERR_PEER);
    expect_sentence("nothing was changed");
    fake_close(c);
}

/* A set that waits until the node is settled is checked afterwards. */
static void test_unsettled(void **state)
{
    struct fake_cluster *c = fake_open();
    kama_ctx ctx;
    kama_set_options set;
    (void)state;
    kama_ctx_init(&ctx);
    ctx.deadline_ms = 30;
    kama_set_options_init(&set);
    set.condition = KAMA_SET_IF_ABSENT;
    set.ctx = &ctx;
    fake_own(A, KM_OWNER_HERE_UNSETTLED, NULL);
    assert_int_equal(kama_set(A->group, K, KAMA_STR("v"), &set),
                     KAMA_ERR_TRY_AGAIN);
    expect_sentence("have not adopted the new view");
    assert_int_equal(kama_exists(B->group, K, NULL), KAMA_MISS);
    fake_own(A, KM_OWNER_HERE, NULL);
    assert_int_equal(kama_set(A->group, K, KAMA_STR("v"), &set), KAMA_OK);
    fake_close(c);
}

/* -- threads ----------------------------------------------------------------- */

struct worker {
    pthread_t thread;
    kama_group *group;
};

static void *count(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; i < STEPS; i++) {
        add_one(w->group);
    }
    return NULL;
}

/* Threads of all nodes add 1 to a counter, and no step is lost. */
static void test_counter(void **state)
{
    struct fake_cluster *c = fake_open();
    struct worker workers[THREADS];
    uint64_t etag;
    (void)state;
    assert_int_equal(set_if(A->group, "0", KAMA_SET_IF_ABSENT, 0, NULL),
                     KAMA_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.group = c->nodes[i % FAKE_NODES].group};
        assert_int_equal(
            pthread_create(&workers[i].thread, NULL, count, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    }
    assert_int_equal(read_counter(A->group, &etag), THREADS * STEPS);
    fake_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_owner_checks),
        cmocka_unit_test(test_etags_hold_everywhere),
        cmocka_unit_test(test_refusals_are_answers),
        cmocka_unit_test(test_lost_answer),
        cmocka_unit_test(test_unsettled),
        cmocka_unit_test(test_counter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
