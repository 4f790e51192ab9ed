/* SPDX-License-Identifier: MIT */
/* Gets of a synchronized group: what a node fetches is kept, unless a mutation may have
 * overtaken it on its way (R7, R8). Node b owns all keys. */
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

static kama_status set(struct fake_node *node, const char *value)
{
    return kama_set(node->group, KAMA_STR("k"), kama_bytes_str(value), NULL);
}

static kama_status del(struct fake_node *node)
{
    return kama_del(node->group, KAMA_STR("k"), NULL);
}

static unsigned loads(const struct fake_node *node)
{
    return atomic_load(&node->script.calls);
}

/* The node has the value in memory: a get asks nobody. */
static void assert_kept(struct fake_node *node, const char *text)
{
    unsigned fills = atomic_load(&node->fills);
    unsigned calls = loads(node);
    assert_int_equal(get(node, text), KAMA_OK);
    assert_int_equal(atomic_load(&node->fills), fills);
    assert_int_equal(loads(node), calls);
}

static void assert_not_kept(struct fake_node *node)
{
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    ctx.flags = KAMA_NO_LOAD | KAMA_LOCAL_ONLY;
    assert_int_equal(get_text(node->group, "k", &ctx, ""), KAMA_WOULD_LOAD);
}

static uint64_t etag(struct fake_node *node)
{
    kama_value *value;
    assert_int_equal(kama_get(node->group, KAMA_STR("k"), NULL, &value),
                     KAMA_OK);
    uint64_t found = kama_value_etag(value);
    kama_value_unref(value);
    return found;
}

/* Makes the entry leave, as an eviction would. */
static void evict(struct fake_node *node)
{
    kama_bytes key = KAMA_STR("k");
    assert_int_equal(km_store_del(node->group->store, UINT64_MAX,
                                  km_store_hash(node->group->store, key), key),
                     KAMA_OK);
}

/* -- what is kept ------------------------------------------------------------ */

static void test_fills_are_kept(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    assert_int_equal(get(A, "value of k"), KAMA_OK);
    assert_kept(A, "value of k");
    assert_int_equal(get(C, "value of k"), KAMA_OK);
    assert_kept(C, "value of k");
    assert_int_equal(loads(B), 1);
    assert_int_equal(loads(A) + loads(C), 0);
    assert_int_equal(fake_stats(A).fills_kept, 1);
    assert_int_equal(fake_stats(A).fills_not_kept, 0);
    assert_int_equal(fake_stats(A).peer_hits, 1);
    assert_int_equal(etag(A), etag(B));
    assert_int_equal(etag(A), etag(C));
    fake_close(c);
}

/* A copy of a value that was set has its version: it yields to a newer one, in the order
 * in which they were made. */
static void test_copies_of_set_values(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    assert_int_equal(set(B, "v1"), KAMA_OK);
    assert_int_equal(fake_deliver(&logs[1], &logs[0]), 1);
    evict(A);
    assert_int_equal(get(A, "v1"), KAMA_OK);
    assert_kept(A, "v1");
    assert_int_equal(etag(A), etag(B));
    assert_int_equal(set(C, "late and older"), KAMA_OK);
    assert_int_equal(set(B, "v2"), KAMA_OK);
    assert_int_equal(fake_deliver(&logs[1], &logs[0]), 1);
    assert_int_equal(fake_deliver(&logs[2], &logs[0]), 1);
    assert_kept(A, "v2");
    assert_int_equal(loads(B), 0);
    fake_close(c);
}

/* R8: an explicit value that is ahead of its origin's stream is served and not kept. */
static void test_values_ahead_of_their_stream(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    (void)pthread_mutex_lock(&logs[1].lock);
    logs[1].hlc = 100;
    (void)pthread_mutex_unlock(&logs[1].lock);
    assert_int_equal(set(B, "v1"), KAMA_OK);
    assert_int_equal(get(A, "v1"), KAMA_OK);
    assert_not_kept(A);
    assert_int_equal(fake_stats(A).fills_not_kept, 1);
    /* Whoever has seen it sets a newer one. */
    assert_int_equal(set(A, "v2"), KAMA_OK);
    (void)fake_deliver(&logs[1], &logs[0]);
    (void)fake_deliver(&logs[0], &logs[1]);
    assert_kept(A, "v2");
    assert_kept(B, "v2");
    fake_close(c);
}

/* Loads of this node are kept, whoever owns the key. */
static void test_local_loads_are_kept(void **state)
{
    static const struct {
        enum km_owner_place place;
        enum km_owner_outcome outcome;
    } cases[] = {{KM_OWNER_PEER, KM_OWNER_NOT_OWNER},
                 {KM_OWNER_PEER, KM_OWNER_BEHIND},
                 {KM_OWNER_PEER, KM_OWNER_UNREACHABLE},
                 {KM_OWNER_PEER, KM_OWNER_LOST},
                 {KM_OWNER_HERE_UNSETTLED, KM_OWNER_ANSWERED},
                 {KM_OWNER_NOBODY, KM_OWNER_ANSWERED}};
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fake_cluster *c = fake_synced_open(logs);
        bool is_peer = cases[i].place == KM_OWNER_PEER;
        atomic_store(&B->outcome, cases[i].outcome);
        fake_own(A, cases[i].place, is_peer ? B : NULL);
        assert_int_equal(get(A, "value of k"), KAMA_OK);
        assert_kept(A, "value of k");
        assert_int_equal(loads(A), 1);
        assert_int_equal(loads(B), 0);
        fake_close(c);
    }
}

static void test_local_only(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    kama_ctx ctx;
    (void)state;
    kama_ctx_init(&ctx);
    ctx.flags = KAMA_LOCAL_ONLY;
    assert_int_equal(get_text(A->group, "k", &ctx, "value of k"), KAMA_OK);
    assert_kept(A, "value of k");
    assert_int_equal(loads(A), 1);
    fake_close(c);
}

static void test_no_store(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    B->script.flags = KAMA_NO_STORE;
    assert_int_equal(get(A, "value of k"), KAMA_OK);
    assert_not_kept(A);
    assert_int_equal(get(A, "value of k"), KAMA_OK);
    assert_int_equal(loads(B), 2);
    fake_close(c);
}

/* "Does not exist" is kept for as long as the owner remembers it. */
static void test_absence(void **state)
{
    struct fake_cluster *c = fake_new();
    kama_group_options options;
    (void)state;
    fake_options(c, &options);
    options.negative_ttl_ms = 60000;
    fake_synced_open_with(c, logs, options);
    B->group->config.negative_ttl_ms = 20000;
    atomic_store(&B->script.status, KAMA_MISS);
    assert_int_equal(get(A, ""), KAMA_MISS); /* from the owner's load */
    assert_int_equal(get(A, ""), KAMA_MISS);
    assert_int_equal(get(C, ""), KAMA_MISS); /* from the owner's memory */
    assert_int_equal(get(C, ""), KAMA_MISS);
    assert_int_equal(loads(B), 1);
    assert_int_equal(atomic_load(&A->fills), 1);
    assert_int_equal(atomic_load(&C->fills), 1);
    assert_in_range(km_group_absent_ttl(A->group, KAMA_STR("k")), 1, 20001);
    assert_in_range(km_group_absent_ttl(C->group, KAMA_STR("k")), 1, 20001);
    assert_int_equal(set(C, "v"), KAMA_OK);
    assert_int_equal(fake_deliver(&logs[2], &logs[0]), 1);
    assert_kept(A, "v");
    fake_close(c);
}

static void test_absence_is_not_kept_without_a_time(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    atomic_store(&B->script.status, KAMA_MISS);
    assert_int_equal(get(A, ""), KAMA_MISS);
    assert_int_equal(get(A, ""), KAMA_MISS);
    assert_int_equal(loads(B), 2);
    fake_close(c);
}

/* -- mutations that go by -------------------------------------------------- */

/* R7: the load of the owner is held while the key is deleted there. The answer is not
 * current, so that neither node keeps it. */
static void test_a_load_is_overtaken_at_the_owner(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    struct caller caller;
    (void)state;
    gate_close(&B->script.gate);
    caller_start(&caller, A->group, "k", 0);
    gate_await(&B->script.gate, 1);
    assert_int_equal(del(B), KAMA_MISS);
    gate_open(&B->script.gate);
    assert_int_equal(caller_join(&caller), KAMA_OK);
    assert_not_kept(A);
    assert_not_kept(B);
    assert_int_equal(fake_stats(A).fills_not_kept, 1);
    fake_close(c);
}

/* R8, the requester's token: the answer of the owner is on its way back while a delete
 * is applied here. It is for the caller that has waited, and for nobody else. */
static void overtake_a_fill(struct fake_cluster *c,
                            void (*mutate)(struct fake_cluster *c))
{
    struct caller first;
    struct caller second;
    gate_close(&B->way_back);
    caller_start(&first, A->group, "k", 0);
    gate_await(&B->way_back, 1);
    mutate(c);
    caller_start(&second, A->group, "k", 0);
    gate_await(&B->way_back, 2); /* it has not joined the first */
    gate_open(&B->way_back);
    assert_int_equal(caller_join(&first), KAMA_OK);
    assert_int_equal(caller_join(&second), KAMA_OK);
    assert_string_equal(first.text, "value of k");
    assert_string_equal(second.text, "value of k");
    assert_int_equal(loads(B), 2);
    assert_int_equal(fake_stats(A).fills_not_kept, 1);
    assert_int_equal(fake_stats(A).fills_kept, 1);
}

static void delete_at_a(struct fake_cluster *c)
{
    assert_int_equal(del(A), KAMA_MISS);
    assert_int_equal(fake_deliver(&logs[0], &logs[1]), 1);
}

static void delete_at_c(struct fake_cluster *c)
{
    assert_int_equal(del(C), KAMA_MISS);
    assert_int_equal(fake_deliver(&logs[2], &logs[1]), 1);
    assert_int_equal(fake_deliver(&logs[2], &logs[0]), 1);
}

static void clear_at_a(struct fake_cluster *c)
{
    assert_int_equal(kama_group_clear(A->group), KAMA_OK);
    assert_int_equal(fake_deliver(&logs[0], &logs[1]), 1);
}

static void test_a_fill_is_overtaken(void **state)
{
    void (*const mutations[])(struct fake_cluster *) = {
        delete_at_a, delete_at_c, clear_at_a};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct fake_cluster *c = fake_synced_open(logs);
        overtake_a_fill(c, mutations[i]);
        fake_close(c);
    }
}

/* R8, needs: the owner does not know of the delete yet, and has the old value in memory.
 * It does not answer before it knows; if that takes too long, this node loads. */
static void test_the_owner_is_behind(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    B->script.value = "old";
    B->script.value_len = 3;
    assert_int_equal(get(B, "old"), KAMA_OK);
    assert_int_equal(del(A), KAMA_MISS);
    atomic_store(&B->fence_wait_ms, 5);
    assert_int_equal(get(A, "value of k"), KAMA_OK);
    assert_kept(A, "value of k");
    assert_int_equal(loads(A), 1);
    assert_int_equal(loads(B), 1);
    assert_int_equal(fake_stats(A).peer_errors, 1);
    fake_close(c);
}

/* R8: b has carried the delete out for a node that is leaving, and c, which owns the key by
 * now, has not heard of it. */
static void test_the_next_owner_is_behind(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    fake_own(C, KM_OWNER_HERE, NULL);
    C->script.value = "old";
    C->script.value_len = 3;
    assert_int_equal(get(C, "old"), KAMA_OK);
    atomic_store(&logs[0].role, KM_SYNC_LEAVING);
    assert_int_equal(del(A), KAMA_MISS);
    assert_int_equal(logs[1].count, 1);
    fake_own(A, KM_OWNER_PEER, C);
    atomic_store(&C->fence_wait_ms, 5);
    assert_int_equal(get(A, "value of k"), KAMA_OK);
    assert_kept(A, "value of k");
    fake_close(c);
}

/* Opens a cluster without a loader. Node c ranks next to b, which owns the key. */
static struct fake_cluster *open_without_loader(void)
{
    struct fake_cluster *c = fake_new();
    kama_group_options options;
    fake_options(c, &options);
    options.loader = NULL;
    options.loader_free = NULL;
    fake_synced_open_with(c, logs, options);
    atomic_store(&A->next, C);
    return c;
}

/* R8: without a loader the node that ranks next is asked when the owner does not answer,
 * once, for what it has in memory. */
static void test_the_next_node_has_it(void **state)
{
    static const enum km_owner_outcome outcomes[] = {
        KM_OWNER_NOT_OWNER, KM_OWNER_BEHIND, KM_OWNER_UNREACHABLE,
        KM_OWNER_LOST};
    (void)state;
    for (unsigned i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        struct fake_cluster *c = open_without_loader();
        assert_int_equal(set(C, "v"), KAMA_OK);
        atomic_store(&B->outcome, outcomes[i]);
        assert_int_equal(get(A, "v"), KAMA_OK);
        assert_int_equal(atomic_load(&A->fills), 2);
        assert_int_equal(atomic_load(&A->peeks), 1);
        assert_int_equal(fake_stats(A).peer_gets, 1);
        assert_int_equal(fake_stats(A).peer_hits, 1);
        assert_not_kept(A); /* the stream of c has not brought it yet */
        (void)fake_deliver(&logs[2], &logs[0]);
        assert_kept(A, "v");
        fake_close(c);
    }
}

/* If that node has nothing or does not answer, the error is about the owner. */
static void test_the_next_node_has_nothing(void **state)
{
    char text[256];
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct fake_cluster *c = open_without_loader();
        atomic_store(&B->outcome, KM_OWNER_UNREACHABLE);
        atomic_store(&C->outcome, i == 1 ? KM_OWNER_LOST : KM_OWNER_ANSWERED);
        atomic_store(&A->next, i == 2 ? B : C);
        assert_int_equal(get(A, ""), KAMA_ERR_PEER);
        kama_last_error(text, sizeof text);
        assert_non_null(strstr(text, "try again: this node has no loader, and "
                                     "node b: cannot connect (key \"k\")"));
        assert_int_equal(atomic_load(&A->peeks), i == 2 ? 0 : 1);
        assert_int_equal(fake_stats(A).peer_errors, 1);
        fake_close(c);
    }
}

static kama_status set_if(struct fake_node *node, const char *value,
                          kama_condition condition)
{
    kama_set_options options;
    kama_set_options_init(&options);
    options.condition = condition;
    return kama_set(node->group, KAMA_STR("k"), kama_bytes_str(value),
                    &options);
}

/* An owner that does not have the key looks at the node that ranks next before it says
 * that a condition is not fulfilled. */
static void test_a_condition_is_about_what_others_have(void **state)
{
    struct fake_cluster *c = open_without_loader();
    (void)state;
    atomic_store(&B->next, C);
    assert_int_equal(set(C, "v"), KAMA_OK);
    (void)fake_deliver(&logs[2], &logs[0]);
    (void)fake_deliver(&logs[2], &logs[1]);
    evict(B);
    assert_int_equal(set_if(A, "w", KAMA_SET_IF_ABSENT), KAMA_ERR_EXISTS);
    assert_kept(A, "v");
    assert_kept(B, "v");
    evict(B);
    assert_int_equal(set_if(A, "w", KAMA_SET_IF_PRESENT), KAMA_OK);
    assert_kept(B, "w");
    assert_int_equal(del(B), KAMA_OK);
    (void)fake_deliver(&logs[1], &logs[2]);
    unsigned peeks = atomic_load(&B->peeks);
    assert_int_equal(set_if(B, "x", KAMA_SET_IF_PRESENT), KAMA_MISS);
    assert_int_equal(atomic_load(&B->peeks), peeks + 1);
    assert_int_equal(set_if(B, "x", KAMA_SET_IF_ABSENT), KAMA_OK);
    fake_close(c);
}

/* A node with a loader does not ask it. */
static void test_a_loader_is_used_instead(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    atomic_store(&A->next, C);
    assert_int_equal(set(C, "v"), KAMA_OK);
    atomic_store(&B->outcome, KM_OWNER_UNREACHABLE);
    assert_int_equal(get(A, "value of k"), KAMA_OK);
    assert_int_equal(atomic_load(&A->peeks), 0);
    fake_close(c);
}

/* A mutation overtakes the question like any other. */
static void test_the_next_node_is_slow(void **state)
{
    struct fake_cluster *c = open_without_loader();
    struct caller caller;
    (void)state;
    atomic_store(&B->outcome, KM_OWNER_UNREACHABLE);
    assert_int_equal(set(C, "v"), KAMA_OK);
    gate_close(&C->wire);
    caller_start(&caller, A->group, "k", 0);
    gate_await(&C->wire, 1);
    assert_int_equal(del(A), KAMA_MISS); /* overtakes the fill */
    gate_open(&C->wire);
    assert_int_equal(caller_join(&caller), KAMA_OK);
    assert_not_kept(A);
    fake_close(c);
}

static void test_the_owner_catches_up(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    struct caller caller;
    (void)state;
    B->script.value = "old";
    B->script.value_len = 3;
    assert_int_equal(get(B, "old"), KAMA_OK);
    B->script.value = NULL;
    assert_int_equal(del(A), KAMA_MISS);
    atomic_store(&B->fence_wait_ms, 20000);
    caller_start(&caller, A->group, "k", 0);
    gate_await(&B->wire, 1);
    assert_int_equal(fake_deliver(&logs[0], &logs[1]), 1);
    assert_int_equal(caller_join(&caller), KAMA_OK);
    assert_string_equal(caller.text, "value of k");
    assert_kept(A, "value of k");
    assert_int_equal(loads(A), 0);
    assert_int_equal(loads(B), 2);
    fake_close(c);
}

/* A local load that follows a refusal is overtaken like any other. */
static void test_a_local_load_is_overtaken(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    struct caller caller;
    (void)state;
    atomic_store(&B->outcome, KM_OWNER_UNREACHABLE);
    gate_close(&A->script.gate);
    caller_start(&caller, A->group, "k", 0);
    gate_await(&A->script.gate, 1);
    assert_int_equal(del(A), KAMA_MISS);
    gate_open(&A->script.gate);
    assert_int_equal(caller_join(&caller), KAMA_OK);
    assert_not_kept(A);
    fake_close(c);
}

/* Two nodes take each other for the owner. The load of node a that asks b is not joined
 * by b's request, and its answer is not kept. */
static void test_two_owners(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    struct caller first;
    struct caller second;
    (void)state;
    fake_own(B, KM_OWNER_PEER, A);
    A->script.flags = KAMA_NO_STORE;
    gate_close(&B->wire);
    caller_start(&first, A->group, "k", 0);
    gate_await(&B->wire, 1);
    caller_start(&second, B->group, "k", 0);
    assert_int_equal(caller_join(&second), KAMA_OK);
    assert_int_equal(loads(A), 1);
    gate_open(&B->wire);
    assert_int_equal(caller_join(&first), KAMA_OK);
    assert_not_kept(A);
    fake_close(c);
}

/* A node that does not own a key any more keeps what it has, and what it loads. A get that
 * has asked before the adoption asks again. */
static void test_an_adoption_hides_nothing(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    struct caller caller;
    (void)state;
    assert_int_equal(get(B, "value of k"), KAMA_OK);
    assert_int_equal(kama_set(B->group, KAMA_STR("set"), KAMA_STR("v"), NULL),
                     KAMA_OK);
    gate_close(&B->script.gate);
    caller_start(&caller, B->group, "other", 0);
    gate_await(&B->script.gate, 2);
    fake_adopt(B, KM_OWNER_PEER, A, FAKE_LOSES_ALL);
    gate_open(&B->script.gate);
    assert_int_equal(caller_join(&caller), KAMA_OK);
    assert_kept(B, "value of k");
    assert_int_equal(get_text(B->group, "set", NULL, "v"), KAMA_OK);
    assert_int_equal(get_text(B->group, "other", NULL, "value of other"),
                     KAMA_OK);
    assert_int_equal(loads(B), 2);
    assert_int_equal(atomic_load(&B->fills), 0);
    assert_int_equal(fake_stats(B).entries_moved, 0);
    fake_close(c);
}

/* -- looks ----------------------------------------------------------------- */

static kama_status exists(struct fake_node *node)
{
    return kama_exists(node->group, KAMA_STR("k"), NULL);
}

/* A look sees what its node has done, although the owner has not heard of it, and what
 * only the owner has. */
static void test_looks(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    assert_int_equal(exists(A), KAMA_MISS);
    assert_int_equal(set(A, "v"), KAMA_OK);
    assert_int_equal(exists(A), KAMA_OK);
    assert_int_equal(exists(C), KAMA_MISS);
    assert_int_equal(fake_deliver(&logs[0], &logs[1]), 1);
    assert_int_equal(exists(C), KAMA_OK);
    atomic_store(&B->fence_wait_ms, 5);
    assert_int_equal(del(A), KAMA_OK);
    assert_int_equal(exists(A), KAMA_MISS);
    assert_int_equal(exists(C), KAMA_OK);
    assert_int_equal(fake_deliver(&logs[0], &logs[1]), 1);
    assert_int_equal(exists(C), KAMA_MISS);
    fake_own(A, KM_OWNER_NOBODY, NULL);
    assert_int_equal(exists(A), KAMA_MISS);
    fake_close(c);
}

/* A value that is longer than this node keeps any is served. */
static void test_long_values_are_not_kept(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    A->group->config.max_value_bytes = 9;
    assert_int_equal(get(A, "value of k"), KAMA_OK);
    assert_not_kept(A);
    assert_int_equal(get(C, "value of k"), KAMA_OK);
    assert_kept(C, "value of k");
    fake_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fills_are_kept),
        cmocka_unit_test(test_copies_of_set_values),
        cmocka_unit_test(test_values_ahead_of_their_stream),
        cmocka_unit_test(test_local_loads_are_kept),
        cmocka_unit_test(test_local_only),
        cmocka_unit_test(test_no_store),
        cmocka_unit_test(test_absence),
        cmocka_unit_test(test_absence_is_not_kept_without_a_time),
        cmocka_unit_test(test_a_load_is_overtaken_at_the_owner),
        cmocka_unit_test(test_a_fill_is_overtaken),
        cmocka_unit_test(test_the_owner_is_behind),
        cmocka_unit_test(test_the_next_owner_is_behind),
        cmocka_unit_test(test_the_next_node_has_it),
        cmocka_unit_test(test_the_next_node_has_nothing),
        cmocka_unit_test(test_a_condition_is_about_what_others_have),
        cmocka_unit_test(test_a_loader_is_used_instead),
        cmocka_unit_test(test_the_next_node_is_slow),
        cmocka_unit_test(test_the_owner_catches_up),
        cmocka_unit_test(test_a_local_load_is_overtaken),
        cmocka_unit_test(test_two_owners),
        cmocka_unit_test(test_an_adoption_hides_nothing),
        cmocka_unit_test(test_looks),
        cmocka_unit_test(test_long_values_are_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
