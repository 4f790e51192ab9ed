/* SPDX-License-Identifier: MIT */
/*
 * Strategies in a synchronized group: where a mutation begins, which nodes keep its value,
 * and which keep what they fetch (R17). Node b owns all keys.
 */
#include "fake_sync.h"
#include "store/store_hide.h"

static struct fake_log logs[FAKE_NODES];

#define A (&c->nodes[0])
#define B (&c->nodes[1])
#define C (&c->nodes[2])

static struct fake_cluster *open_with(const char *strategy)
{
    struct fake_cluster *c = fake_new();
    kama_group_options options;
    fake_options(c, &options);
    options.sync = strategy;
    fake_synced_open_with(c, logs, options);
    return c;
}

static kama_status set(struct fake_node *node, const char *value)
{
    return kama_set(node->group, KAMA_STR("k"), kama_bytes_str(value), NULL);
}

static void assert_memory(struct fake_node *node, const char *text)
{
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    ctx.flags = KAMA_NO_LOAD | KAMA_LOCAL_ONLY;
    kama_status st = get_text(node->group, "k", &ctx, text != NULL ? text : "");
    assert_int_equal(st == KAMA_OK, text != NULL);
}

static void deliver_all(void)
{
    for (unsigned i = 0; i < FAKE_NODES; i++) {
        for (unsigned j = 0; j < FAKE_NODES; j++) {
            if (i != j) {
                (void)fake_deliver(&logs[i], &logs[j]);
            }
        }
    }
}

/* A node that does not hold the key lets the owner set it, and the others only hear of
 * that. */
static void test_a_set_begins_at_a_holder(void **state)
{
    struct fake_cluster *c = open_with("shard:2");
    (void)state;
    atomic_store(&logs[2].holds, true);
    assert_int_equal(set(A, "v1"), KAMA_OK);
    assert_int_equal(logs[0].count, 0);
    assert_int_equal(logs[1].count, 1);
    assert_int_equal(atomic_load(&A->mutations), 1);
    assert_memory(A, NULL);
    deliver_all();
    assert_memory(A, NULL);
    assert_memory(B, "v1");
    assert_memory(C, "v1");
    assert_int_equal(set(C, "v2"), KAMA_OK); /* it holds the key, too */
    assert_int_equal(logs[2].count, 1);
    deliver_all();
    assert_memory(A, NULL);
    assert_memory(B, "v2");
    assert_memory(C, "v2");
    fake_close(c);
}

/* Its own set is what a node reads next, although it keeps no copy, and an older copy does
 * not come back. */
static void test_a_writer_without_a_copy_reads_its_set(void **state)
{
    struct fake_cluster *c = open_with("shard:1");
    (void)state;
    atomic_store(&logs[0].holds, true);
    assert_int_equal(set(A, "v1"), KAMA_OK);
    assert_memory(A, "v1");
    deliver_all();
    atomic_store(&logs[0].holds, false); /* the view has changed */
    assert_memory(A, "v1");
    assert_int_equal(set(A, "v2"), KAMA_OK);
    assert_memory(A, NULL);
    assert_int_equal(get_text(A->group, "k", NULL, "v2"), KAMA_OK);
    deliver_all();
    assert_int_equal(get_text(A->group, "k", NULL, "v2"), KAMA_OK);
    assert_memory(A, NULL);
    fake_close(c);
}

/* A touch begins where a set does; a delete begins everywhere. */
static void test_touches_and_deletes(void **state)
{
    struct fake_cluster *c = open_with("shard:1");
    (void)state;
    assert_int_equal(set(B, "v1"), KAMA_OK);
    deliver_all();
    assert_int_equal(kama_touch(A->group, KAMA_STR("k"), 60000, NULL), KAMA_OK);
    assert_int_equal(logs[0].count, 0);
    assert_int_equal(logs[1].count, 2);
    assert_int_equal(logs[1].records[1].kind, KM_APPLY_EXPIRE);
    deliver_all();
    assert_int_equal(kama_del(A->group, KAMA_STR("k"), NULL), KAMA_MISS);
    assert_int_equal(logs[0].count, 1);
    assert_memory(B, "v1");
    deliver_all();
    assert_memory(B, NULL);
    fake_close(c);
}

/* With `invalidate` the writer and the owner have the value. The touch of a writer goes to
 * the owner, and the writer's copy hears of it. */
static void test_invalidate_keeps_the_writers_copy(void **state)
{
    struct fake_cluster *c = open_with("invalidate");
    (void)state;
    assert_int_equal(set(C, "v0"), KAMA_OK);
    deliver_all();
    assert_int_equal(set(A, "v1"), KAMA_OK);
    assert_int_equal(logs[0].count, 1);
    assert_memory(A, "v1");
    deliver_all();
    assert_memory(A, "v1");
    assert_memory(B, "v1");
    assert_memory(C, NULL);
    assert_int_equal(kama_touch(A->group, KAMA_STR("k"), 60000, NULL), KAMA_OK);
    assert_int_equal(logs[1].count, 1);
    deliver_all();
    assert_int_equal(get_text(C->group, "k", NULL, "v1"), KAMA_OK);
    assert_memory(C, "v1"); /* fills are kept by all */
    fake_close(c);
}

/* With `peers` a member that is not named lets the owner begin, and keeps what it
 * fetches until it hears of a change. */
static void test_peers(void **state)
{
    struct fake_cluster *c = open_with("peers:eu");
    (void)state;
    atomic_store(&logs[2].holds, true);
    assert_int_equal(set(A, "v1"), KAMA_OK);
    assert_int_equal(logs[1].count, 1);
    deliver_all();
    assert_memory(A, NULL);
    assert_memory(C, "v1");
    assert_int_equal(get_text(A->group, "k", NULL, "v1"), KAMA_OK);
    assert_memory(A, "v1");
    assert_int_equal(set(C, "v2"), KAMA_OK);
    deliver_all();
    assert_memory(A, NULL);
    assert_memory(B, "v2");
    fake_close(c);
}

/* What is loaded is kept by those that hold the key, also if the owner does not
 * answer. */
static void test_fills_are_kept_by_holders(void **state)
{
    struct fake_cluster *c = open_with("shard:2");
    (void)state;
    atomic_store(&logs[2].holds, true);
    assert_int_equal(get_text(A->group, "k", NULL, "value of k"), KAMA_OK);
    assert_int_equal(get_text(C->group, "k", NULL, "value of k"), KAMA_OK);
    assert_memory(A, NULL);
    assert_memory(B, "value of k");
    assert_memory(C, "value of k");
    assert_int_equal(atomic_load(&B->script.calls), 1);
    assert_int_equal(kama_del(B->group, KAMA_STR("k"), NULL), KAMA_OK);
    deliver_all();
    atomic_store(&B->outcome, KM_OWNER_UNREACHABLE);
    assert_int_equal(get_text(A->group, "k", NULL, "value of k"), KAMA_OK);
    assert_int_equal(get_text(C->group, "k", NULL, "value of k"), KAMA_OK);
    assert_int_equal(atomic_load(&A->script.calls), 1);
    assert_memory(A, NULL);
    assert_memory(C, "value of k");
    fake_close(c);
}

/* A value that another node sends is kept: the view by which this node holds the key may be
 * on its way. */
static void test_a_value_that_was_sent_is_kept(void **state)
{
    struct fake_cluster *c = open_with("shard:2");
    struct km_group_record record = {.kind = KM_APPLY_SET,
                                     .version = {.hlc = 50, .origin = 2},
                                     .key = KAMA_STR("k"),
                                     .value = KAMA_STR("v2"),
                                     .ttl_ms = KAMA_TTL_FOREVER};
    (void)state;
    atomic_store(&logs[0].holds, true);
    assert_int_equal(set(A, "v1"), KAMA_OK);
    atomic_store(&logs[0].holds, false);
    fake_merge(&logs[0], record.version);
    assert_true(km_group_apply(A->group, &record));
    assert_memory(A, "v2");
    fake_close(c);
}

/* Slots that are not held are forgotten: entries go, and no older set comes back
 * (R5). */
static void test_slots_are_forgotten(void **state)
{
    struct fake_cluster *c = open_with("shard:1");
    struct km_slot_map *slots = calloc(1, sizeof *slots);
    const struct km_forgetting forgetting = {.slots = slots};
    struct km_group_sweep sweep = {0};
    struct km_group_record record = {.kind = KM_APPLY_SET,
                                     .version = {.hlc = 1, .origin = 2},
                                     .key = KAMA_STR("k"),
                                     .value = KAMA_STR("v0"),
                                     .ttl_ms = KAMA_TTL_FOREVER};
    (void)state;
    assert_non_null(slots);
    atomic_store(&logs[0].holds, true);
    assert_int_equal(set(A, "v1"), KAMA_OK);
    assert_int_equal(set(A, "v2"), KAMA_OK);
    assert_int_equal(kama_set(A->group, KAMA_STR("other"), KAMA_STR("v"), NULL),
                     KAMA_OK);
    km_slot_map_add(slots, km_group_slot(A->group, KAMA_STR("k")));
    while (km_group_forget_slots(A->group, &forgetting, &sweep)) {
    }
    assert_memory(A, NULL);
    assert_int_equal(fake_stats(A).entries, 1);
    assert_false(km_group_apply(A->group, &record));
    assert_memory(A, NULL);
    free(slots);
    fake_close(c);
}

static void test_questions(void **state)
{
    struct fake_cluster *c = open_with("peers:eu");
    (void)state;
    assert_false(km_group_forgets(A->group));
    assert_true(km_group_keeps_fills(A->group, KAMA_STR("k")));
    assert_false(km_group_holds(A->group, KAMA_STR("k")));
    assert_true(km_group_holds(B->group, KAMA_STR("k")));
    assert_true(km_group_begins(A->group, KM_MUTATION_CLEAR, KAMA_STR("")));
    assert_true(km_group_begins(A->group, KM_MUTATION_DELETE, KAMA_STR("k")));
    assert_false(km_group_begins(A->group, KM_MUTATION_SET, KAMA_STR("k")));
    assert_string_equal(km_group_strategy(A->group)->targets, "eu");
    fake_close(c);
    c = fake_synced_open(logs);
    assert_true(km_group_holds(A->group, KAMA_STR("k")));
    assert_true(km_group_begins(A->group, KM_MUTATION_EXPIRE, KAMA_STR("k")));
    assert_false(km_group_forgets(A->group));
    fake_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_set_begins_at_a_holder),
        cmocka_unit_test(test_a_writer_without_a_copy_reads_its_set),
        cmocka_unit_test(test_touches_and_deletes),
        cmocka_unit_test(test_invalidate_keeps_the_writers_copy),
        cmocka_unit_test(test_peers),
        cmocka_unit_test(test_fills_are_kept_by_holders),
        cmocka_unit_test(test_a_value_that_was_sent_is_kept),
        cmocka_unit_test(test_slots_are_forgotten),
        cmocka_unit_test(test_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
