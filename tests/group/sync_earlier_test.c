/* SPDX-License-Identifier: MIT */
/* Rule R9: an owner that has a key since a moment ago asks the owner before, which may
 * have the value in memory, before it calls the loader. Node b has owned all keys; node a
 * owns them now. */
#include "fake_sync.h"
#include "store/store_hide.h"

static struct fake_log logs[FAKE_NODES];

#define A (&c->nodes[0])
#define B (&c->nodes[1])
#define C (&c->nodes[2])

static kama_status get(struct fake_node *node, const char *text)
{
    return get_text(node->group, "k", NULL, text);
}

static unsigned loads(const struct fake_node *node)
{
    return atomic_load(&node->script.calls);
}

static unsigned peeks(const struct fake_node *node)
{
    return atomic_load(&node->peeks);
}

static bool is_kept(struct fake_node *node)
{
    kama_ctx ctx;
    kama_value *value = NULL;
    kama_ctx_init(&ctx);
    ctx.flags = KAMA_NO_LOAD | KAMA_LOCAL_ONLY;
    kama_status st = kama_get(node->group, KAMA_STR("k"), &ctx, &value);
    kama_value_unref(value);
    return st != KAMA_WOULD_LOAD;
}

static void evict(struct fake_node *node)
{
    kama_bytes key = KAMA_STR("k");
    assert_int_equal(km_store_del(node->group->store, UINT64_MAX,
                                  km_store_hash(node->group->store, key), key),
                     KAMA_OK);
}

/* Lets node a own all keys, which node b has owned until now. */
static void turn(struct fake_cluster *c)
{
    atomic_store(&A->earlier, B);
    fake_own(A, KM_OWNER_HERE, NULL);
    fake_own(B, KM_OWNER_PEER, A);
    fake_own(C, KM_OWNER_PEER, A);
}

/* Opens the cluster when node b has loaded the key. */
static struct fake_cluster *open_turned(void)
{
    struct fake_cluster *c = fake_synced_open(logs);
    assert_int_equal(get(B, "value of k"), KAMA_OK);
    turn(c);
    return c;
}

static void close_with_loads(struct fake_cluster *c, unsigned a, unsigned b)
{
    assert_int_equal(loads(A), a);
    assert_int_equal(loads(B), b);
    assert_int_equal(loads(C), 0);
    fake_close(c);
}

/* -- what the owner before has ------------------------------------------------ */

static void test_its_value_is_kept(void **state)
{
    struct fake_cluster *c = open_turned();
    (void)state;
    assert_int_equal(get(A, "value of k"), KAMA_OK);
    assert_true(is_kept(A));
    assert_int_equal(get(A, "value of k"), KAMA_OK);
    assert_int_equal(peeks(A), 1);
    assert_int_equal(fake_stats(A).fills_kept, 1);
    assert_int_equal(fake_stats(A).peer_hits, 1);
    assert_int_equal(get(C, "value of k"), KAMA_OK);
    assert_int_equal(peeks(C), 0); /* it asks the owner */
    close_with_loads(c, 0, 1);
}

/* Also as long as other nodes have the older view. */
static void test_before_the_node_is_settled(void **state)
{
    struct fake_cluster *c = open_turned();
    (void)state;
    fake_own(A, KM_OWNER_HERE_UNSETTLED, NULL);
    assert_int_equal(get(A, "value of k"), KAMA_OK);
    assert_true(is_kept(A));
    close_with_loads(c, 0, 1);
}

/* A value that was set comes with its version, which is that of the second mutation of
 * its node. */
static void test_a_value_that_was_set(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            kama_set(B->group, KAMA_STR("k"), KAMA_STR("set"), NULL), KAMA_OK);
    }
    assert_int_equal(fake_deliver(&logs[1], &logs[0]), 2);
    evict(A);
    turn(c);
    assert_int_equal(get(A, "set"), KAMA_OK);
    assert_true(is_kept(A));
    assert_int_equal(kama_del(C->group, KAMA_STR("k"), NULL), KAMA_MISS);
    assert_int_equal(fake_deliver(&logs[2], &logs[0]), 1);
    assert_true(is_kept(A)); /* the delete is older */
    close_with_loads(c, 0, 0);
}

static void test_it_knows_that_there_is_none(void **state)
{
    struct fake_cluster *c = fake_new();
    kama_group_options options;
    (void)state;
    fake_options(c, &options);
    options.negative_ttl_ms = 60000;
    fake_synced_open_with(c, logs, options);
    atomic_store(&B->script.status, KAMA_MISS);
    assert_int_equal(get(B, ""), KAMA_MISS);
    turn(c);
    assert_int_equal(get(A, ""), KAMA_MISS);
    assert_int_equal(get(A, ""), KAMA_MISS);
    assert_int_equal(peeks(A), 1);
    close_with_loads(c, 0, 1);
}

/* -- what it has not ---------------------------------------------------------- */

/* It loads nothing, and the owner does. */
static void test_it_has_nothing(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    turn(c);
    assert_int_equal(get(A, "value of k"), KAMA_OK);
    assert_true(is_kept(A));
    assert_int_equal(peeks(A), 1);
    assert_int_equal(fake_stats(A).peer_hits, 0);
    assert_int_equal(fake_stats(A).peer_errors, 0);
    close_with_loads(c, 1, 0);
}

/* Whatever else happens to the question, the owner loads. */
static void test_it_does_not_answer(void **state)
{
    static const enum km_owner_outcome outcomes[] = {
        KM_OWNER_NOT_OWNER, KM_OWNER_BEHIND, KM_OWNER_UNREACHABLE,
        KM_OWNER_LOST};
    (void)state;
    for (unsigned i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        struct fake_cluster *c = open_turned();
        atomic_store(&B->outcome, outcomes[i]);
        assert_int_equal(get(A, "value of k"), KAMA_OK);
        assert_true(is_kept(A));
        close_with_loads(c, 1, 1);
    }
}

static struct fake_cluster *open_without_loader(void)
{
    struct fake_cluster *c = fake_new();
    kama_group_options options;
    fake_options(c, &options);
    options.loader = NULL;
    options.loader_free = NULL;
    fake_synced_open_with(c, logs, options);
    return c;
}

/* Without a loader the key is a miss of its owner, and not an error of a peer. */
static void test_without_a_loader(void **state)
{
    struct fake_cluster *c = open_without_loader();
    (void)state;
    turn(c);
    assert_int_equal(get(A, ""), KAMA_MISS);
    assert_int_equal(get(C, ""), KAMA_MISS);
    assert_int_equal(peeks(A), 2); /* one of them is for node c */
    assert_int_equal(km_metric_read(A->group->metrics, KM_GROUP_GETS_ABSENT),
                     2);
    atomic_store(&B->outcome, KM_OWNER_UNREACHABLE);
    assert_int_equal(get(A, ""), KAMA_MISS);
    atomic_store(&B->outcome, KM_OWNER_ANSWERED);
    assert_int_equal(kama_set(B->group, KAMA_STR("k"), KAMA_STR("set"), NULL),
                     KAMA_OK);
    assert_int_equal(get(A, "set"),
                     KAMA_OK); /* before the stream has brought it */
    fake_close(c);
}

/* Without a loader the owner always asks, also if it has owned the key for long: the node
 * that ranks next. It does so for the get of another node, too. */
static void test_the_next_node_has_it(void **state)
{
    struct fake_cluster *c = open_without_loader();
    (void)state;
    atomic_store(&B->next, C);
    assert_int_equal(kama_set(C->group, KAMA_STR("k"), KAMA_STR("set"), NULL),
                     KAMA_OK);
    assert_int_equal(get(B, "set"), KAMA_OK);
    assert_false(is_kept(B)); /* the stream of c has not brought it yet */
    assert_int_equal(fake_deliver(&logs[2], &logs[1]), 1);
    assert_true(is_kept(B));
    evict(B);
    assert_int_equal(get(A, "set"), KAMA_OK);
    assert_true(is_kept(B));
    assert_int_equal(peeks(B), 2);
    assert_int_equal(peeks(A), 0);
    assert_int_equal(fake_stats(B).peer_hits, 2);
    fake_close(c);
}

/* One node is asked and no other: the owner before, if there is one. */
static void test_the_next_node_has_nothing(void **state)
{
    struct fake_cluster *c = open_without_loader();
    kama_ctx ctx;
    (void)state;
    atomic_store(&B->next, C);
    assert_int_equal(get(B, ""), KAMA_MISS);
    assert_int_equal(peeks(B), 1);
    atomic_store(&C->outcome, KM_OWNER_LOST);
    assert_int_equal(get(B, ""), KAMA_MISS);
    assert_int_equal(peeks(B), 2);
    atomic_store(&C->outcome, KM_OWNER_ANSWERED);
    assert_int_equal(kama_set(C->group, KAMA_STR("k"), KAMA_STR("set"), NULL),
                     KAMA_OK);
    atomic_store(&B->earlier, A);
    assert_int_equal(get(B, ""), KAMA_MISS);
    assert_int_equal(peeks(B), 3);
    atomic_store(&B->earlier, NULL);
    kama_ctx_init(&ctx);
    ctx.flags = KAMA_LOCAL_ONLY;
    assert_int_equal(get_text(B->group, "k", &ctx, ""), KAMA_MISS);
    assert_int_equal(peeks(B), 3);
    fake_close(c);
}

/* An owner with a loader loads. */
static void test_a_loader_is_asked_first(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    atomic_store(&B->next, C);
    assert_int_equal(get(B, "value of k"), KAMA_OK);
    assert_int_equal(peeks(B), 0);
    close_with_loads(c, 0, 1);
}

/* -- meanwhile ----------------------------------------------------------------- */

/* A delete is applied while the answer is on its way: it is for the caller that has
 * waited, and for nobody else. */
static void test_the_answer_is_overtaken(void **state)
{
    struct fake_cluster *c = open_turned();
    struct caller caller;
    (void)state;
    gate_close(&B->way_back);
    caller_start(&caller, A->group, "k", 0);
    gate_await(&B->way_back, 1);
    assert_int_equal(kama_del(C->group, KAMA_STR("k"), NULL), KAMA_MISS);
    assert_int_equal(fake_deliver(&logs[2], &logs[0]), 1);
    gate_open(&B->way_back);
    assert_int_equal(caller_join(&caller), KAMA_OK);
    assert_string_equal(caller.text, "value of k");
    assert_false(is_kept(A));
    assert_int_equal(fake_stats(A).fills_not_kept, 1);
    close_with_loads(c, 0, 1);
}

/* The owner before does not know of a delete that the owner knows of. */
static void test_it_is_behind(void **state)
{
    struct fake_cluster *c = open_turned();
    (void)state;
    assert_int_equal(kama_del(C->group, KAMA_STR("k"), NULL), KAMA_MISS);
    assert_int_equal(fake_deliver(&logs[2], &logs[0]), 1);
    atomic_store(&B->fence_wait_ms, 5);
    A->script.value = "new";
    A->script.value_len = 3;
    assert_int_equal(get(A, "new"), KAMA_OK);
    close_with_loads(c, 1, 1);
}

/* A question is for all that want the key, also for those of other nodes, because it
 * waits for nobody. */
static void test_others_join(void **state)
{
    struct fake_cluster *c = open_turned();
    struct caller first;
    struct caller second;
    (void)state;
    gate_close(&B->wire);
    caller_start(&first, A->group, "k", 0);
    gate_await(&B->wire, 1);
    caller_start(&second, C->group, "k", 0);
    AWAIT(fake_stats(A).loads_coalesced == 1);
    gate_open(&B->wire);
    assert_int_equal(caller_join(&first), KAMA_OK);
    assert_int_equal(caller_join(&second), KAMA_OK);
    assert_string_equal(second.text, "value of k");
    assert_true(is_kept(C));
    assert_int_equal(peeks(A), 1);
    close_with_loads(c, 0, 1);
}

/* Those who wait when the owner before has nothing get the owner's load. */
static void test_others_wait_for_the_load(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    struct caller callers[2];
    (void)state;
    turn(c);
    gate_close(&B->wire);
    caller_start(&callers[0], A->group, "k", 0);
    gate_await(&B->wire, 1);
    caller_start(&callers[1], C->group, "k", 0);
    AWAIT(fake_stats(A).loads_coalesced == 1);
    gate_open(&B->wire);
    assert_int_equal(caller_join(&callers[0]), KAMA_OK);
    assert_int_equal(caller_join(&callers[1]), KAMA_OK);
    assert_true(is_kept(C));
    close_with_loads(c, 1, 0);
}

/* -- when nobody is asked -------------------------------------------------------- */

static void test_local_only(void **state)
{
    struct fake_cluster *c = open_turned();
    kama_ctx ctx;
    (void)state;
    kama_ctx_init(&ctx);
    ctx.flags = KAMA_LOCAL_ONLY;
    assert_int_equal(get_text(A->group, "k", &ctx, "value of k"), KAMA_OK);
    assert_int_equal(peeks(A), 0);
    close_with_loads(c, 1, 1);
}

/* In a group whose values only their owner keeps, the owner before has hidden them. */
static void test_groups_of_owners(void **state)
{
    struct fake_cluster *c = fake_open();
    (void)state;
    assert_int_equal(get(B, "value of k"), KAMA_OK);
    turn(c);
    assert_int_equal(get(A, "value of k"), KAMA_OK);
    assert_int_equal(peeks(A), 0);
    close_with_loads(c, 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_its_value_is_kept),
        cmocka_unit_test(test_before_the_node_is_settled),
        cmocka_unit_test(test_a_value_that_was_set),
        cmocka_unit_test(test_it_knows_that_there_is_none),
        cmocka_unit_test(test_it_has_nothing),
        cmocka_unit_test(test_it_does_not_answer),
        cmocka_unit_test(test_without_a_loader),
        cmocka_unit_test(test_the_next_node_has_it),
        cmocka_unit_test(test_the_next_node_has_nothing),
        cmocka_unit_test(test_a_loader_is_asked_first),
        cmocka_unit_test(test_the_answer_is_overtaken),
        cmocka_unit_test(test_it_is_behind),
        cmocka_unit_test(test_others_join),
        cmocka_unit_test(test_others_wait_for_the_load),
        cmocka_unit_test(test_local_only),
        cmocka_unit_test(test_groups_of_owners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
