/* SPDX-License-Identifier: MIT */
/*
 * Groups whose strategies differ between nodes:
 *
 *     same           nothing is said
 *     named          each side says once which group, which node and both strategies
 *     Drops          no value of the group travels, and nothing old is shown
 *     ends           a new life with the same strategy ends it, and so does leaving
 *     added          a group that is added to a running node is compared at once, and stays
 *                    so if an older list arrives behind the newer one
 *     earlier        a node that sends no digests is not compared
 *     many           the digests of all groups fit into a Hello
 *     hostile        lists that are malformed, unknown or too long
 *     memory         without memory nothing is lost but time
 */
#include "sync_world.h"

#include "base/hash.h"
#include "sync/strategies.h"

/* Returns a world in which node 0 has that strategy for group 1, as it has just told. */
static struct world *world_with(unsigned count, const char *strategy)
{
    struct world *w = world_new(1, count);
    w->nodes[0].strategies[1] = strategy;
    km_sync_regrouped(w->nodes[0].sync);
    return w;
}

static bool differ(struct node *n, struct node *other, unsigned g)
{
    return km_sync_strategies_differ(member_of(n, other), n->numbers[g]);
}

/* Nodes with the same strategies have nothing to say. */
static void test_same(void **state)
{
    (void)state;
    struct world *w = world_with(3, "broadcast");
    world_run(w, KM_NS_PER_S);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(w->nodes[i].lines, 0);
    }
    assert_false(differ(&w->nodes[0], &w->nodes[1], 1));
    world_free(w);
}

/* Each side has one line for each other node that has another strategy, within a moment,
 * and none when the streams are cut and begin anew. */
static void test_named(void **state)
{
    (void)state;
    struct world *w = world_with(3, "shard:2");
    world_run(w, 100 * KM_NS_PER_MS);
    assert_int_equal(w->nodes[0].lines, 2);
    assert_int_equal(w->nodes[1].lines, 1);
    assert_int_equal(w->nodes[2].lines, 1);
    assert_string_equal(
        w->nodes[1].last_line,
        "group g1 has sync=broadcast here and sync=shard:2 on n0:1; until both "
        "have the same one, they tell each other only that its keys have "
        "changed");
    cut(w, 0, 1);
    world_run(w, 3 * KM_NS_PER_S);
    assert_int_equal(w->nodes[0].lines, 2);
    assert_int_equal(w->nodes[1].lines, 1);
    assert_true(differ(&w->nodes[0], &w->nodes[1], 1));
    assert_true(differ(&w->nodes[1], &w->nodes[0], 1));
    assert_false(differ(&w->nodes[1], &w->nodes[2], 1));
    assert_false(differ(&w->nodes[1], &w->nodes[0], 0));
    world_free(w);
}

/* With `owner` or `local`, the line says that values can be old. */
static void test_named_as_deaf(void **state)
{
    (void)state;
    struct world *w = world_with(2, "local");
    world_run(w, 100 * KM_NS_PER_MS);
    assert_string_equal(
        w->nodes[1].last_line,
        "group g1 has sync=broadcast here and sync=local on n0:1; until both "
        "have the same one, neither hears of the changes of the other, and its "
        "values can be old");
    assert_non_null(strstr(w->nodes[0].last_line, "its values can be old"));
    world_free(w);
}

/* A set of the group is a Drop between the two, and a set of another group or between
 * others is not. */
static void test_drops(void **state)
{
    (void)state;
    struct world *w = world_with(3, "owner");
    struct node *n = w->nodes;
    world_run(w, 100 * KM_NS_PER_MS);
    for (unsigned i = 0; i < 3; i++) {
        set_in(&n[i], 1, 1 + i, 50, KAMA_TTL_FOREVER);
        set_in(&n[i], 0, 1 + i, 50, KAMA_TTL_FOREVER);
    }
    world_run(w, 100 * KM_NS_PER_MS);
    assert_int_equal(shown_in(&n[1], 1, 1), 0);
    assert_int_equal(shown_in(&n[2], 1, 1), 0);
    assert_int_equal(shown_in(&n[0], 1, 2), 0);
    assert_int_not_equal(shown_in(&n[2], 1, 2), 0);
    assert_int_not_equal(shown_in(&n[1], 0, 1), 0);
    /* The Drop of a later value removes an earlier one, however large the later one is. */
    set_in(&n[0], 1, 2, 200000, KAMA_TTL_FOREVER);
    world_run(w, 100 * KM_NS_PER_MS);
    assert_int_equal(shown_in(&n[1], 1, 2), 0);
    assert_int_equal(shown_in(&n[2], 1, 2), 0);
    assert_true(is_converged(w, OR_NOTHING));
    world_free(w);
}

static void restart(struct node *n, const char *strategy)
{
    node_close(n);
    n->strategies[1] = strategy;
    node_open(n);
    register_node(n, 0);
    learn_all(n->world);
}

/* A node that is started again with the strategy of the others, or leaves, ends it, which
 * is said once. */
static void test_ends(void **state)
{
    (void)state;
    struct world *w = world_with(2, "shard:2");
    struct node *n = w->nodes;
    world_run(w, KM_NS_PER_S);
    restart(&n[0], "broadcast");
    world_run(w, 3 * KM_NS_PER_S);
    assert_int_equal(n[0].lines, 1);
    assert_string_equal(
        n[1].last_line,
        "n0:1 is gone, where group g1 had another strategy than here");
    assert_false(differ(&n[1], &n[0], 1));
    set_in(&n[1], 1, 5, 50, KAMA_TTL_FOREVER);
    world_run(w, 100 * KM_NS_PER_MS);
    assert_int_not_equal(shown_in(&n[0], 1, 5), 0);
    /* Without a new life, as after a change of the other side's groups. */
    n[1].strategies[1] = "invalidate";
    km_sync_regrouped(n[1].sync);
    world_run(w, 100 * KM_NS_PER_MS);
    assert_true(differ(&n[0], &n[1], 1));
    n[1].strategies[1] = NULL;
    km_sync_regrouped(n[1].sync);
    world_run(w, 100 * KM_NS_PER_MS);
    assert_false(differ(&n[0], &n[1], 1));
    assert_string_equal(
        n[0].last_line,
        "group g1 has the same strategy here and on n1:1 again");
    world_free(w);
}

/* A group that is added to a node that runs is compared at once, and the streams go on
 * where they were. */
static void test_added(void **state)
{
    (void)state;
    struct world *w = world_new(1, 2);
    struct node *n = w->nodes;
    n[1].hidden = 2;
    km_sync_regrouped(n[1].sync);
    n[0].strategies[1] = "shard:2";
    km_sync_regrouped(n[0].sync);
    set(&n[0], 1);
    world_run(w, 100 * KM_NS_PER_MS);
    assert_int_equal(n[0].lines + n[1].lines, 0);
    n[1].hidden = 0;
    km_sync_regrouped(n[1].sync);
    world_run(w, 100 * KM_NS_PER_MS);
    assert_int_equal(n[0].lines, 1);
    assert_int_equal(n[1].lines, 1);
    set(&n[0], 2);
    world_run(w, 100 * KM_NS_PER_MS);
    assert_int_not_equal(shown(&n[1], 1), 0);
    assert_int_not_equal(shown(&n[1], 2), 0);
    assert_int_equal(info_of_member(&n[1], &n[0]).duplicates, 0);
    assert_int_equal(info_of_member(&n[1], &n[0]).gaps_received, 0);
    world_free(w);
}

/* A Welcome that a node has sent before a group was added may arrive behind the Hello that it
 * has sent since: two streams are in no order. */
static void test_added_behind_a_welcome(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed < 200; seed++) {
        struct world *w = world_new(seed, 2);
        struct node *n = w->nodes;
        w->spread = 5 * KM_NS_PER_MS;
        n[1].hidden = 2;
        km_sync_regrouped(n[1].sync);
        n[0].strategies[1] = "shard:2";
        km_sync_regrouped(n[0].sync);
        world_run(w, 100 * KM_NS_PER_MS);
        km_sync_regrouped(n[0].sync);
        world_run(w, seed % 20 * w->spread / 20);
        n[1].hidden = 0;
        km_sync_regrouped(n[1].sync);
        world_run(w, KM_NS_PER_S);
        assert_true(differ(&n[0], &n[1], 1));
        assert_true(differ(&n[1], &n[0], 1));
        assert_int_equal(n[0].lines, 1);
        world_free(w);
    }
}

/* A node of an earlier version sends no digests, and has told nothing. */
static void test_earlier(void **state)
{
    (void)state;
    struct world *w = world_new(1, 2);
    struct km_sync_member *member = member_of(&w->nodes[0], &w->nodes[1]);
    w->nodes[0].strategies[0] = "owner";
    assert_int_equal(
        km_sync_strategies_learn(member, (struct km_pb_list){.count = 0}),
        KAMA_OK);
    assert_int_equal(w->nodes[0].lines, 0);
    assert_false(differ(&w->nodes[0], &w->nodes[1], 0));
    world_free(w);
}

/* -- messages ------------------------------------------------------------------ */

static char many_names[KM_GROUPS_MAX][16];
static char long_text[2000];

static bool many_strategies(void *owner, uint32_t i,
                            struct km_sync_strategy *ret)
{
    (void)owner;
    *ret = (struct km_sync_strategy){.group = many_names[i % KM_GROUPS_MAX],
                                     .text = long_text};
    return i < KM_GROUPS_MAX;
}

/* The largest Hello is no larger than a frame: it has all digests, and as many texts as
 * there is room for. */
static void test_many(void **state)
{
    (void)state;
    struct world *w = world_new(1, 2);
    struct node *n = w->nodes;
    struct km_sync_events many = world_events;
    struct km_msg_sync_request request;
    struct km_msg_sync_hello hello = {.proto_min = 1};
    memset(long_text, 'a', sizeof long_text - 1);
    for (unsigned i = 0; i < KM_GROUPS_MAX; i++) {
        (void)snprintf(many_names[i], sizeof many_names[i], "group-%u", i);
    }
    many.strategy = many_strategies;
    n[0].sync->events = &many;
    km_buf_reset(&n[0].sync->head, KM_SYNC_FRAME_BYTES);
    assert_int_equal(km_sync_strategies_put(n[0].sync, KM_SYNC_FIELD_HELLO,
                                            &km_msg_sync_hello_pb, &hello),
                     KAMA_OK);
    assert_true(n[0].sync->head.len <= KM_SYNC_FRAME_BYTES);
    assert_int_equal(km_pb_decode(&km_msg_sync_request_pb,
                                  km_buf_bytes(&n[0].sync->head), &request),
                     KAMA_OK);
    assert_int_equal(km_pb_decode(&km_msg_sync_hello_pb, request.hello, &hello),
                     KAMA_OK);
    assert_int_equal(hello.strategies.count, KM_GROUPS_MAX);
    assert_int_equal(
        km_sync_strategies_learn(member_of(&n[0], &n[1]), hello.strategies),
        KAMA_OK);
    assert_int_equal(n[0].lines, 0);
    n[0].sync->events = &world_events;
    world_free(w);
}

/* Has a member learn a list of one element, which is repeated. */
static kama_status learn_element(struct node *n, struct node *other,
                                 kama_bytes element, unsigned times)
{
    struct km_buf hello;
    struct km_msg_sync_hello message;
    km_buf_init(&hello, km_mem_default(), SIZE_MAX);
    for (unsigned i = 0; i < times; i++) {
        assert_int_equal(
            km_pb_append_bytes(&hello, KM_SYNC_FIELD_STRATEGIES, element),
            KAMA_OK);
    }
    assert_int_equal(
        km_pb_decode(&km_msg_sync_hello_pb, km_buf_bytes(&hello), &message),
        KAMA_OK);
    kama_status st =
        km_sync_strategies_learn(member_of(n, other), message.strategies);
    km_buf_fini(&hello);
    return st;
}

static struct km_buf element_of(const char *group, kama_bytes text)
{
    const struct km_msg_sync_strategy strategy = {
        .group = km_hash(kama_bytes_str(group), 0), .digest = 7, .text = text};
    struct km_buf element;
    km_buf_init(&element, km_mem_default(), SIZE_MAX);
    assert_int_equal(
        km_pb_append(&element, &km_msg_sync_strategy_pb, &strategy), KAMA_OK);
    return element;
}

/* A malformed list is refused and changes nothing; groups that are not here, and the same
 * one again, mean nothing; a text that must not be shown is escaped. */
static void test_hostile(void **state)
{
    (void)state;
    struct world *w = world_new(1, 2);
    struct node *n = w->nodes;
    struct km_buf unknown = element_of("nowhere", KM_LIT("owner"));
    struct km_buf bad = element_of("g1", KM_LIT("a\nb\x1b[1m"));
    struct km_buf bare = element_of("g1", KM_LIT(""));
    assert_int_equal(learn_element(&n[0], &n[1], KM_LIT("\x09"), 1),
                     KAMA_ERR_MALFORMED);
    assert_int_equal(learn_element(&n[0], &n[1], km_buf_bytes(&unknown), 2000),
                     KAMA_OK);
    assert_int_equal(n[0].lines, 0);
    assert_int_equal(learn_element(&n[0], &n[1], km_buf_bytes(&bad), 2000),
                     KAMA_OK);
    assert_int_equal(n[0].lines, 1);
    assert_null(strchr(n[0].last_line, '\n'));
    assert_null(strchr(n[0].last_line, '\x1b'));
    assert_int_equal(learn_element(&n[0], &n[1], KM_LIT("\x09"), 1),
                     KAMA_ERR_MALFORMED);
    assert_int_equal(learn_element(&n[0], &n[1], km_buf_bytes(&unknown), 1999),
                     KAMA_OK); /* an older list */
    assert_true(differ(&n[0], &n[1], 1));
    assert_int_equal(learn_element(&n[1], &n[0], km_buf_bytes(&bare), 2),
                     KAMA_OK);
    assert_non_null(strstr(n[1].last_line, "sync=unknown on n0:1"));
    km_buf_fini(&unknown);
    km_buf_fini(&bad);
    km_buf_fini(&bare);
    world_free(w);
}

/* A stream for whose comparison there is no memory begins anew, until there is some. */
static void test_memory(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth < 40; nth++) {
        struct world *w = world_with(2, "shard:2");
        struct node *n = w->nodes;
        atomic_store(&n[1].probe.allocs, 0);
        atomic_store(&n[1].probe.fail_at, (long long)nth);
        set_in(&n[0], 1, 1, 50, KAMA_TTL_FOREVER);
        world_run(w, 5 * KM_NS_PER_S);
        assert_true(differ(&n[0], &n[1], 1));
        assert_true(differ(&n[1], &n[0], 1));
        assert_int_equal(shown_in(&n[1], 1, 1), 0);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_named),
        cmocka_unit_test(test_named_as_deaf),
        cmocka_unit_test(test_drops),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_added),
        cmocka_unit_test(test_earlier),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_added_behind_a_welcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
