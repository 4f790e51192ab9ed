/* SPDX-License-Identifier: MIT */
/*
 * What a node says about a key: each thing that a get would do, and that saying it
 * changes nothing. Each test gets the key afterwards where that is possible, so
 * that the words are compared with the deed.
 */
#include "fake_sync.h"

#include "group/explain.h"

#define A (&c->nodes[0])
#define B (&c->nodes[1])
#define K KAMA_STR("k")

static struct km_explain explain(kama_group *group, kama_bytes key)
{
    struct km_explain e;
    kama_group_stats before;
    kama_group_stats after;
    kama_group_stats_get(group, &before);
    assert_int_equal(km_group_explain(group, key, &e), KAMA_OK);
    kama_group_stats_get(group, &after);
    assert_memory_equal(&before, &after, sizeof before);
    return e;
}

static void expect(kama_group *group, enum km_explain_get get)
{
    assert_int_equal(explain(group, K).get, get);
}

/* -- a group alone --------------------------------------------------------- */

/* A value is a hit, with its size, its version and its time. */
static void test_hit(void **state)
{
    struct fixture *f = fixture_new();
    (void)state;
    f->script.value = "five!";
    f->script.value_len = 5;
    f->script.version = 7;
    f->script.ttl_ms = 60000;
    (void)fixture_open(f);
    expect(f->group, KM_EXPLAIN_LOAD);
    assert_int_equal(get_text(f->group, "k", NULL, "five!"), KAMA_OK);
    struct km_explain e = explain(f->group, K);
    assert_int_equal(e.get, KM_EXPLAIN_HIT);
    assert_int_equal(e.presence, KM_STORE_VALUE);
    assert_int_equal(e.value_bytes, 5);
    assert_int_equal(e.version, 7);
    assert_in_range(e.ttl_ms, 1, 60000);
    assert_string_equal(e.reason, "");
    assert_false(e.loading);
    assert_int_equal(atomic_load(&f->script.calls), 1);
    fixture_free(f);
}

/* A key that is known not to exist is negative; one that is no key is an error. */
static void test_negative_and_no_key(void **state)
{
    struct fixture *f = fixture_new();
    struct km_explain e;
    (void)state;
    f->options.negative_ttl_ms = 60000;
    atomic_store(&f->script.status, KAMA_MISS);
    (void)fixture_open(f);
    assert_int_equal(get_text(f->group, "k", NULL, ""), KAMA_MISS);
    e = explain(f->group, K);
    assert_int_equal(e.get, KM_EXPLAIN_NEGATIVE);
    assert_int_equal(e.presence, KM_STORE_NEGATIVE);
    assert_in_range(e.ttl_ms, 1, 60000);
    assert_int_equal(km_group_explain(f->group, kama_bytes_make("", 0), &e),
                     KAMA_ERR_INVALID);
    fixture_free(f);
}

/* Loads the key until its entry has expired: one that is kept too late for that is gone. */
static bool has_expired(struct fixture *f)
{
    enum km_store_presence presence = explain(f->group, K).presence;
    if (presence == KM_STORE_ABSENT) {
        assert_int_equal(get_text(f->group, "k", NULL, "value of k"), KAMA_OK);
    }
    return presence == KM_STORE_EXPIRED;
}

/* An entry that has expired is told as such and is not taken out: the counters are
 * compared in explain(). */
static void test_expired(void **state)
{
    struct fixture *f = fixture_new();
    (void)state;
    f->script.ttl_ms = 1;
    (void)fixture_open(f);
    AWAIT(has_expired(f));
    struct km_explain e = explain(f->group, K);
    assert_int_equal(e.presence, KM_STORE_EXPIRED);
    assert_int_equal(e.why, KM_MISS_EXPIRED);
    assert_int_equal(e.get, KM_EXPLAIN_LOAD);
    assert_int_equal(e.value_bytes, 0);
    fixture_free(f);
}

/* Without a loader an absent key is a miss. */
static void test_miss(void **state)
{
    kama_group_options options;
    kama_group *group;
    (void)state;
    kama_group_options_init(&options);
    options.name = "plain";
    assert_int_equal(kama_group_new(&options, &group), KAMA_OK);
    expect(group, KM_EXPLAIN_MISS);
    assert_int_equal(get_text(group, "k", NULL, ""), KAMA_MISS);
    kama_group_free(group);
}

/* A load that runs is joined, and its waiters are counted. A delete makes it too
 * old for the next get. */
static void test_join_a_load(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct caller callers[2];
    (void)state;
    gate_close(&f->script.gate);
    caller_start(&callers[0], f->group, "k", 0);
    gate_await(&f->script.gate, 1);
    caller_start(&callers[1], f->group, "k", 0);
    AWAIT(stats(f).loads_coalesced == 1);
    struct km_explain e = explain(f->group, K);
    assert_int_equal(e.get, KM_EXPLAIN_JOIN);
    assert_true(e.loading);
    assert_int_equal(e.waiters, 2);
    assert_int_equal(kama_del(f->group, K, NULL), KAMA_MISS);
    e = explain(f->group, K);
    assert_int_equal(e.get, KM_EXPLAIN_LOAD);
    assert_true(e.loading);
    assert_non_null(strstr(e.reason, "too old"));
    assert_int_equal(explain(f->group, KAMA_STR("other")).get, KM_EXPLAIN_LOAD);
    gate_open(&f->script.gate);
    assert_int_equal(caller_join(&callers[0]), KAMA_OK);
    assert_int_equal(caller_join(&callers[1]), KAMA_OK);
    fixture_free(f);
}

/* Keys are bytes: a NUL in them does not end them. */
static void test_binary_keys(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    (void)state;
    assert_int_equal(
        kama_set(f->group, KAMA_BYTES("a\0b", 3), KAMA_STR("v"), NULL),
        KAMA_OK);
    assert_int_equal(explain(f->group, KAMA_BYTES("a\0b", 3)).get,
                     KM_EXPLAIN_HIT);
    assert_int_equal(explain(f->group, KAMA_BYTES("a\0c", 3)).get,
                     KM_EXPLAIN_LOAD);
    fixture_free(f);
}

/* -- a cluster ------------------------------------------------------------- */

/* A node that does not own the key asks the owner, which is named. */
static void test_fill_from_the_owner(void **state)
{
    struct fake_cluster *c = fake_open();
    (void)state;
    struct km_explain e = explain(A->group, K);
    assert_int_equal(e.get, KM_EXPLAIN_FILL);
    assert_string_equal(e.peer, B->name);
    assert_int_equal(explain(B->group, K).get, KM_EXPLAIN_LOAD);
    assert_int_equal(get_text(A->group, "k", NULL, "value of k"), KAMA_OK);
    assert_int_equal(explain(A->group, K).get, KM_EXPLAIN_FILL);
    assert_int_equal(explain(B->group, K).get, KM_EXPLAIN_HIT);
    fake_close(c);
}

/* An owner that does not answer is not asked: this node loads, or refuses. */
static void test_silent_owner(void **state)
{
    struct fake_cluster *c = fake_open();
    (void)state;
    atomic_store(&B->outcome, KM_OWNER_UNREACHABLE);
    struct km_explain e = explain(A->group, K);
    assert_int_equal(e.get, KM_EXPLAIN_LOAD);
    assert_non_null(strstr(e.reason, "does not answer"));
    fake_close(c);
}

/* Without a loader on this node, it refuses with the status that a get has. */
static void test_silent_owner_without_a_loader(void **state)
{
    struct fake_cluster *c = fake_new();
    kama_group_options options;
    (void)state;
    fake_options(c, &options);
    options.loader = NULL;
    fake_open_with(c, &options);
    atomic_store(&B->outcome, KM_OWNER_UNREACHABLE);
    struct km_explain e = explain(A->group, K);
    assert_int_equal(e.get, KM_EXPLAIN_REFUSE);
    assert_int_equal(e.get_status, get_text(A->group, "k", NULL, ""));
    assert_int_equal(explain(B->group, K).get, KM_EXPLAIN_MISS);
    fake_own(A, KM_OWNER_NOBODY, NULL);
    e = explain(A->group, K);
    assert_int_equal(e.get, KM_EXPLAIN_REFUSE);
    assert_int_equal(e.get_status, get_text(A->group, "k", NULL, ""));
    assert_true(strlen(e.reason) > 0);
    fake_close(c);
}

/* An unsettled owner, and a node that does not know the owner, load and say that
 * nothing is kept, or why. */
static void test_loads_that_are_not_kept(void **state)
{
    struct fake_cluster *c = fake_open();
    (void)state;
    fake_own(A, KM_OWNER_HERE_UNSETTLED, NULL);
    struct km_explain e = explain(A->group, K);
    assert_int_equal(e.get, KM_EXPLAIN_LOAD);
    assert_non_null(strstr(e.reason, "not kept"));
    assert_int_equal(get_text(A->group, "k", NULL, "value of k"), KAMA_OK);
    assert_int_equal(explain(A->group, K).presence, KM_STORE_ABSENT);
    fake_own(A, KM_OWNER_NOBODY, NULL);
    e = explain(A->group, K);
    assert_int_equal(e.get, KM_EXPLAIN_LOAD);
    assert_true(strlen(e.reason) > 0);
    fake_close(c);
}

/* -- a synchronized group -------------------------------------------------- */

/* A value that was set says so, with the same stamp on the node where it was set and
 * on one to which it has come. */
static void test_stamp_of_a_set(void **state)
{
    static struct fake_log logs[FAKE_NODES];
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    assert_int_equal(kama_set(A->group, K, KAMA_STR("v"), NULL), KAMA_OK);
    (void)fake_deliver(&logs[0], &logs[1]);
    for (unsigned i = 0; i < 2; i++) {
        struct km_explain e = explain(c->nodes[i].group, K);
        assert_int_equal(e.get, KM_EXPLAIN_HIT);
        assert_int_equal(e.kind, KM_EXPLAIN_EXPLICIT);
        assert_int_equal(e.stamp.hlc, 1);
        assert_int_equal(e.stamp.origin, 1);
    }
    fake_close(c);
}

/* A value that was loaded has no stamp, and a group that is not synchronized does not
 * know how its values came. */
static void test_kind_without_a_stamp(void **state)
{
    static struct fake_log logs[FAKE_NODES];
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    assert_int_equal(explain(B->group, K).kind, KM_EXPLAIN_UNKNOWN);
    assert_int_equal(get_text(B->group, "k", NULL, "value of k"), KAMA_OK);
    struct km_explain e = explain(B->group, K);
    assert_int_equal(e.kind, KM_EXPLAIN_FILLED);
    assert_false(km_version_is_set(e.stamp));
    fake_close(c);
    c = fake_open();
    assert_int_equal(kama_set(B->group, K, KAMA_STR("v"), NULL), KAMA_OK);
    assert_int_equal(explain(B->group, K).kind, KM_EXPLAIN_UNKNOWN);
    fake_close(c);
}

/* Opens three nodes without a loader, of which b owns all keys. */
static struct fake_cluster *open_without_loader(struct fake_log *logs)
{
    struct fake_cluster *c = fake_new();
    kama_group_options options;
    fake_options(c, &options);
    options.loader = NULL;
    fake_synced_open_with(c, logs, options);
    return c;
}

/* An owner asks another node first that may have the key, and so does a node without a
 * loader whose owner is silent. */
static void test_fill_from_another_node(void **state)
{
    static struct fake_log logs[FAKE_NODES];
    struct fake_cluster *c = open_without_loader(logs);
    (void)state;
    assert_int_equal(explain(B->group, K).get, KM_EXPLAIN_MISS);
    atomic_store(&B->next, &c->nodes[2]);
    struct km_explain e = explain(B->group, K);
    assert_int_equal(e.get, KM_EXPLAIN_FILL);
    assert_string_equal(e.peer, c->nodes[2].name);
    assert_non_null(strstr(e.reason, "it may have the key"));
    atomic_store(&A->next, &c->nodes[2]);
    assert_string_equal(explain(A->group, K).peer, B->name);
    atomic_store(&B->outcome, KM_OWNER_UNREACHABLE);
    e = explain(A->group, K);
    assert_int_equal(e.get, KM_EXPLAIN_FILL);
    assert_string_equal(e.peer, c->nodes[2].name);
    assert_non_null(strstr(e.reason, "does not answer"));
    atomic_store(&A->next, NULL);
    assert_int_equal(explain(A->group, K).get, KM_EXPLAIN_REFUSE);
    fake_close(c);
}

/* What is loaded here is kept, whoever owns the key, so that nothing says the
 * opposite. */
static void test_loads_that_are_kept(void **state)
{
    static struct fake_log logs[FAKE_NODES];
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    fake_own(A, KM_OWNER_HERE_UNSETTLED, NULL);
    struct km_explain e = explain(A->group, K);
    assert_int_equal(e.get, KM_EXPLAIN_LOAD);
    assert_string_equal(e.reason, "");
    fake_close(c);
    c = fake_synced_open(logs);
    atomic_store(&B->outcome, KM_OWNER_UNREACHABLE);
    e = explain(A->group, K);
    assert_int_equal(e.get, KM_EXPLAIN_LOAD);
    assert_non_null(strstr(e.reason, "does not answer"));
    assert_null(strstr(e.reason, "not kept"));
    fake_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hit),
        cmocka_unit_test(test_negative_and_no_key),
        cmocka_unit_test(test_expired),
        cmocka_unit_test(test_miss),
        cmocka_unit_test(test_join_a_load),
        cmocka_unit_test(test_binary_keys),
        cmocka_unit_test(test_fill_from_the_owner),
        cmocka_unit_test(test_silent_owner),
        cmocka_unit_test(test_silent_owner_without_a_loader),
        cmocka_unit_test(test_loads_that_are_not_kept),
        cmocka_unit_test(test_stamp_of_a_set),
        cmocka_unit_test(test_kind_without_a_stamp),
        cmocka_unit_test(test_fill_from_another_node),
        cmocka_unit_test(test_loads_that_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
