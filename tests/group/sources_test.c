/* SPDX-License-Identifier: MIT */
/*
 * Each get is counted once by the source of its answer: memory, a load of this
 * node, the owner of the key, or nobody. The sum over the sources is the number of
 * gets, and a get that has asked the owner is either a hit or an error of it.
 */
#include "fake_owner.h"

#define A (&c->nodes[0])
#define B (&c->nodes[1])

/* The counts of the sources. */
struct sources {
    uint64_t local, negative, loaded, peer, absent, failed;
};

/* Asserts the sources of the gets of a group, and that their sum is the number of
 * gets. */
static void expect(const kama_group_stats *s, struct sources want)
{
    assert_int_equal(s->hits, want.local);
    assert_int_equal(s->negative_hits, want.negative);
    assert_int_equal(s->gets_loaded, want.loaded);
    assert_int_equal(s->peer_hits, want.peer);
    assert_int_equal(s->gets_absent, want.absent);
    assert_int_equal(s->gets_failed, want.failed);
    assert_int_equal(s->gets, want.local + want.negative + want.loaded +
                                  want.peer + want.absent + want.failed);
    assert_int_equal(s->peer_gets, s->peer_hits + s->peer_errors);
    assert_int_equal(s->loads,
                     s->loads_found + s->loads_missed + s->loads_failed);
    assert_int_equal(s->bytes,
                     s->value_bytes + s->pinned_bytes + s->overhead_bytes);
}

static void expect_group(struct fixture *f, struct sources want)
{
    kama_group_stats s = stats(f);
    expect(&s, want);
}

static void expect_node(struct fake_node *node, struct sources want)
{
    kama_group_stats s = fake_stats(node);
    expect(&s, want);
}

/* A value, a miss and an error of the loader end their gets alike. */
static void test_own_load(void **state)
{
    struct fixture *f = fixture_new();
    (void)state;
    f->options.negative_ttl_ms = 60000;
    fixture_open(f);
    assert_int_equal(get_text(f->group, "k", NULL, "value of k"), KAMA_OK);
    assert_int_equal(get_text(f->group, "k", NULL, "value of k"), KAMA_OK);
    atomic_store(&f->script.status, KAMA_MISS);
    assert_int_equal(get_text(f->group, "no", NULL, ""), KAMA_MISS);
    assert_int_equal(get_text(f->group, "no", NULL, ""), KAMA_MISS);
    atomic_store(&f->script.status, KAMA_ERR_LOADER);
    assert_int_equal(get_text(f->group, "bad", NULL, ""), KAMA_ERR_LOADER);
    expect_group(f, (struct sources){.local = 1, .negative = 1, .loaded = 3});
    fixture_free(f);
}

/* A get that must not load is answered by nobody's value. */
static void test_absent(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    kama_value *value = NULL;
    kama_ctx ctx;
    (void)state;
    kama_ctx_init(&ctx);
    ctx.flags = KAMA_NO_LOAD;
    assert_int_equal(get_text(f->group, "k", &ctx, ""), KAMA_WOULD_LOAD);
    assert_int_equal(kama_try_get(f->group, KAMA_STR("k"), &value),
                     KAMA_WOULD_LOAD);
    expect_group(f, (struct sources){.absent = 2});
    fixture_free(f);
}

/* A caller that waits for another one's load, and whose time is over first, has
 * failed; the load goes on and answers the other one. */
static void test_failed(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct caller leader, late;
    (void)state;
    gate_close(&f->script.gate);
    caller_start(&leader, f->group, "k", 0);
    gate_await(&f->script.gate, 1);
    caller_start(&late, f->group, "k", 1);
    assert_int_equal(caller_join(&late), KAMA_ERR_TIMEOUT);
    gate_open(&f->script.gate);
    assert_int_equal(caller_join(&leader), KAMA_OK);
    expect_group(f, (struct sources){.loaded = 1, .failed = 1});
    fixture_free(f);
}

/* Equal keys of one mget have the source of the key that is loaded. */
static void test_twins(void **state)
{
    struct fake_cluster *c = fake_open();
    const kama_bytes keys[] = {KAMA_STR("k"), KAMA_STR("k"), KAMA_STR("k")};
    kama_item items[3];
    (void)state;
    assert_int_equal(kama_mget(A->group, keys, 3, NULL, items), KAMA_OK);
    kama_items_unref(items, 3);
    expect_node(A, (struct sources){.peer = 3});
    assert_int_equal(kama_mget(B->group, keys, 3, NULL, items), KAMA_OK);
    kama_items_unref(items, 3);
    expect_node(B, (struct sources){.local = 3, .loaded = 1});
    fake_close(c);
}

/* Without a pool, an mget loads its keys in turn. */
static void test_twins_in_turn(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    const kama_bytes keys[] = {KAMA_STR("bad"), KAMA_STR("bad")};
    kama_item items[2];
    (void)state;
    atomic_store(&f->script.status, KAMA_ERR_LOADER);
    assert_int_equal(kama_mget(f->group, keys, 2, NULL, items), KAMA_OK);
    expect_group(f, (struct sources){.loaded = 2});
    fixture_free(f);
}

/* Whatever the owner says is its answer, also that its loader has failed. */
static void test_owner_answers(void **state)
{
    static const int statuses[] = {KAMA_OK, KAMA_MISS, KAMA_ERR_LOADER};
    struct fake_cluster *c = fake_open();
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        const char *key = i == 0 ? "a" : i == 1 ? "b" : "c";
        atomic_store(&B->script.status, statuses[i]);
        assert_int_equal(get_text(A->group, key, NULL, "value of a"),
                         statuses[i]);
    }
    expect_node(A, (struct sources){.peer = 3});
    assert_int_equal(fake_stats(A).peer_errors, 0);
    expect_node(B, (struct sources){.loaded = 3});
    assert_int_equal(fake_stats(B).fills_served, 3);
    fake_close(c);
}

/* A caller that joins the load of this node, after the owner could not answer, has
 * not asked the owner. */
static void test_owner_cannot_answer(void **state)
{
    struct fake_cluster *c = fake_open();
    struct caller leader, waiter;
    (void)state;
    atomic_store(&B->outcome, KM_OWNER_UNREACHABLE);
    gate_close(&A->script.gate);
    caller_start(&leader, A->group, "k", 0);
    gate_await(&A->script.gate, 1);
    caller_start(&waiter, A->group, "k", 0);
    AWAIT(fake_stats(A).loads_coalesced == 1);
    gate_open(&A->script.gate);
    assert_int_equal(caller_join(&leader), KAMA_OK);
    assert_int_equal(caller_join(&waiter), KAMA_OK);
    expect_node(A, (struct sources){.loaded = 2});
    assert_int_equal(fake_stats(A).peer_gets, 1);
    assert_int_equal(fake_stats(A).peer_errors, 1);
    fake_close(c);
}

/* A caller whose time is over before the owner has answered has failed. */
static void test_owner_is_late(void **state)
{
    struct fake_cluster *c = fake_open();
    struct caller late;
    (void)state;
    gate_close(&B->script.gate);
    caller_start(&late, A->group, "k", 20);
    assert_int_equal(caller_join(&late), KAMA_ERR_TIMEOUT);
    gate_open(&B->script.gate);
    AWAIT(fake_stats(A).peer_errors == 1);
    expect_node(A, (struct sources){.failed = 1});
    fake_close(c);
}

/* A get that has left its load, because its caller has cancelled it, has failed. */
static void test_cancelled(void **state)
{
    struct fake_cluster *c = fake_open();
    struct km_get_op op = {.done = fake_on_get};
    kama_value *value = NULL;
    (void)state;
    gate_close(&B->script.gate);
    assert_int_equal(
        km_get_op_start(A->group, &op, KAMA_STR("k"), NULL, &value),
        KAMA_DEFERRED);
    assert_true(km_get_op_cancel(&op));
    gate_open(&B->script.gate);
    expect_node(A, (struct sources){.failed = 1});
    assert_int_equal(fake_stats(A).peer_errors, 1);
    fake_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_load),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_failed),
        cmocka_unit_test(test_twins),
        cmocka_unit_test(test_twins_in_turn),
        cmocka_unit_test(test_owner_answers),
        cmocka_unit_test(test_owner_cannot_answer),
        cmocka_unit_test(test_owner_is_late),
        cmocka_unit_test(test_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
