/* SPDX-License-Identifier: MIT */
/*
 * Acknowledgements of mutations (R1, R10):
 *
 *     alone           everything is acknowledged at once
 *     one and all     by the first other member, and by the last one
 *     at once         a member answers without the pause in which it collects answers
 *     late            the members that have not acknowledged it are listed
 *     order           waits that are handed over late and out of order
 *     gap             a Gap acknowledges a mutation when the member has it
 *     whose acks      R10: a member that the noticed view lacks does not count
 *     gone            a member leaves the noticed view: the rest is enough
 *     joins           a member joins, and is waited for
 *     new life        R12: no member confirms a mutation of the life before
 *     next life       a mutation of a life that the machine does not know yet
 *     closed          all waits end
 *     states          what is shown of a member that falls behind, and comes back
 *     lost gap        a Gap that is lost has told the member nothing
 *     memory          a wait that ends late without memory is not acknowledged
 */
#include "sync_world.h"

#define PATIENCE (2 * KM_NS_PER_S)

static void notice_only(struct node *n)
{
    struct km_view *view = world_view(n->world);
    km_sync_notice(n->sync, view);
    km_view_unref(view);
}

static void test_alone(void **state)
{
    (void)state;
    struct world *w = world_new(1, 1);
    struct waiter one;
    struct waiter all;
    set(&w->nodes[0], 1);
    assert_false(km_sync_has_witnesses(w->nodes[0].sync));
    await_ack(&w->nodes[0], &one, KM_SYNC_ACK_ONE, PATIENCE);
    expect_ended(&one, 0);
    await_ack(&w->nodes[0], &all, KM_SYNC_ACK_ALL, PATIENCE);
    expect_ended(&all, 0);
    world_free(w);
}

/* Node 2 is cut off: one other member is enough for `one`, and not for `all`. */
static void test_one_and_all(void **state)
{
    (void)state;
    struct world *w = world_new(1, 3);
    struct node *n = w->nodes;
    struct waiter one;
    struct waiter all;
    assert_true(km_sync_has_witnesses(n[0].sync));
    block(w, 0, 2, true);
    set(&n[0], 1);
    await_ack(&n[0], &one, KM_SYNC_ACK_ONE, PATIENCE);
    await_ack(&n[0], &all, KM_SYNC_ACK_ALL, PATIENCE);
    assert_int_equal(one.ended, 0);
    world_run(w, 20 * KM_NS_PER_MS);
    expect_ended(&one, 0);
    assert_int_not_equal(shown(&n[1], 1), 0);
    assert_int_equal(all.ended, 0);
    block(w, 0, 2, false);
    world_run(w, 30 * KM_NS_PER_MS);
    expect_ended(&all, 0);
    assert_int_not_equal(shown(&n[2], 1), 0);
    world_free(w);
}

/* Group 1 has sync_ack=all, and group 0 has not. */
static void test_at_once(void **state)
{
    (void)state;
    struct world *w = world_new(1, 2);
    struct node *n = w->nodes;
    struct waiter waiter;
    for (unsigned g = 0; g < GROUPS; g++) {
        set_in(&n[0], g, 1, 10, KAMA_TTL_FOREVER);
        await_ack(&n[0], &waiter, KM_SYNC_ACK_ALL, PATIENCE);
        world_run(w, 9 * KM_NS_PER_MS);
        assert_int_equal(waiter.ended, g);
        world_run(w, 20 * KM_NS_PER_MS);
        expect_ended(&waiter, 0);
    }
    world_free(w);
}

static void test_late(void **state)
{
    (void)state;
    struct world *w = world_new(1, 3);
    struct node *n = w->nodes;
    struct waiter all;
    struct waiter one;
    struct waiter soon;
    block(w, 0, 2, true);
    set(&n[0], 1);
    await_ack(&n[0], &all, KM_SYNC_ACK_ALL, PATIENCE);
    world_run(w, PATIENCE - 1);
    assert_int_equal(all.ended, 0);
    world_run(w, 2);
    assert_string_equal(km_unsynced_at(all.unsynced, 0), n[2].address);
    expect_ended(&all, 1);
    block(w, 0, 1, true);
    set(&n[0], 1);
    await_ack(&n[0], &one, KM_SYNC_ACK_ONE, PATIENCE);
    await_ack(&n[0], &soon, KM_SYNC_ACK_ALL, 1);
    world_run(w, KM_NS_PER_MS);
    expect_ended(&soon, 2);
    world_run(w, PATIENCE);
    expect_ended(&one, 2);
    world_free(w);
}

static void test_order(void **state)
{
    (void)state;
    struct world *w = world_new(1, 3);
    struct node *n = w->nodes;
    struct waiter first;
    struct waiter second;
    struct waiter third;
    struct waiter past;
    set(&n[0], 1);
    await_ack(&n[0], &third, KM_SYNC_ACK_ALL, PATIENCE);
    set(&n[0], 2);
    await_ack(&n[0], &second, KM_SYNC_ACK_ALL, PATIENCE);
    set(&n[0], 3);
    first = (struct waiter){.wait = second.wait};
    first.wait.seq = 1;
    km_sync_await(n[0].sync, &first.wait);
    assert_ptr_equal(second.wait.node.prev, &first.wait.node);
    km_sync_check(n[0].sync);
    world_run(w, 30 * KM_NS_PER_MS);
    expect_ended(&first, 0);
    expect_ended(&second, 0);
    expect_ended(&third, 0);
    await_ack(&n[0], &past, KM_SYNC_ACK_ALL, PATIENCE);
    expect_ended(&past, 0);
    world_free(w);
}

/* The ring is too short for node 1, which is told a Gap. Until it has the Gap it shows what
 * the mutations have removed. */
static void run_gap(unsigned broken, unsigned expected)
{
    struct world *w = world_new_with(1, 2, 4096);
    struct node *n = w->nodes;
    struct waiter all;
    km_sync_broken = broken;
    set(&n[0], 1);
    world_run(w, 30 * KM_NS_PER_MS);
    cut(w, 0, 1);
    del(&n[0], 1);
    await_ack(&n[0], &all, KM_SYNC_ACK_ALL, 10 * PATIENCE);
    for (unsigned i = 0; i < 200; i++) {
        set(&n[0], 2 + i % 20);
    }
    while (info_of_member(&n[0], &n[1]).gaps_sent == 0) {
        world_run(w, KM_NS_PER_MS / 20);
    }
    km_sync_acks_look(n[0].sync);
    assert_int_not_equal(shown(&n[1], 1), 0);
    assert_int_equal(all.ended, expected);
    world_run(w, 100 * KM_NS_PER_MS);
    expect_ended(&all, 0);
    assert_int_equal(shown(&n[1], 1), 0);
    world_free(w);
}

static void test_gap(void **state)
{
    (void)state;
    run_gap(0, 0);
    run_gap(KM_SYNC_R1_GAP_ACK, 1);
}

/* Node 1 has applied the mutation, and then is given up before its caller waits. Node 2
 * has nothing, and is the only one that counts. */
static void run_whose_acks(unsigned broken, unsigned expected)
{
    struct world *w = world_new(1, 3);
    struct node *n = w->nodes;
    struct waiter one;
    km_sync_broken = broken;
    block(w, 0, 2, true);
    set(&n[0], 1);
    world_run(w, 30 * KM_NS_PER_MS);
    unregister_node(&n[1]);
    notice_only(&n[0]);
    await_ack(&n[0], &one, KM_SYNC_ACK_ONE, PATIENCE);
    assert_int_equal(one.ended, expected);
    assert_int_equal(shown(&n[2], 1), 0);
    world_run(w, PATIENCE + 1);
    expect_ended(&one, expected ? 0 : 1);
    world_free(w);
}

static void test_whose_acks(void **state)
{
    (void)state;
    run_whose_acks(0, 0);
    run_whose_acks(KM_SYNC_R10_WHOSE_ACKS, 1);
}

static void test_gone(void **state)
{
    (void)state;
    struct world *w = world_new(1, 3);
    struct node *n = w->nodes;
    struct waiter all;
    struct waiter alone;
    block(w, 0, 2, true);
    set(&n[0], 1);
    await_ack(&n[0], &all, KM_SYNC_ACK_ALL, PATIENCE);
    world_run(w, 100 * KM_NS_PER_MS);
    assert_int_equal(all.ended, 0);
    unregister_node(&n[2]);
    notice_only(&n[0]);
    expect_ended(&all, 0);
    block(w, 0, 1, true);
    set(&n[0], 2);
    await_ack(&n[0], &alone, KM_SYNC_ACK_ONE, PATIENCE);
    unregister_node(&n[1]);
    notice_only(&n[0]);
    expect_ended(&alone, 0);
    world_free(w);
}

static void test_joins(void **state)
{
    (void)state;
    struct world *w = world_new(1, 2);
    struct node *n = w->nodes;
    struct node *late = node_add(w);
    struct waiter all;
    block(w, 0, 2, true);
    set(&n[0], 1);
    await_ack(&n[0], &all, KM_SYNC_ACK_ALL, PATIENCE);
    register_node(late, 0);
    learn_all(w);
    world_run(w, 100 * KM_NS_PER_MS);
    assert_int_equal(all.ended, 0);
    block(w, 0, 2, false);
    world_run(w, 2 * KM_NS_PER_S);
    expect_ended(&all, 0);
    world_free(w);
}

/* The next life numbers its mutations anew, so a member may confirm the same seq. */
static void test_new_life(void **state)
{
    (void)state;
    struct world *w = world_new(1, 3);
    struct node *n = w->nodes;
    struct waiter old;
    struct waiter late;
    struct waiter fresh;
    block(w, 0, 1, true);
    block(w, 0, 2, true);
    set(&n[0], 1);
    await_ack(&n[0], &old, KM_SYNC_ACK_ONE, PATIENCE);
    late = (struct waiter){.wait = old.wait};
    register_node(&n[0], 0);
    expect_ended(&old, 2);
    km_sync_await(n[0].sync, &late.wait);
    expect_ended(&late, 2);
    learn_all(w);
    block(w, 0, 1, false);
    block(w, 0, 2, false);
    set(&n[0], 2);
    await_ack(&n[0], &fresh, KM_SYNC_ACK_ALL, PATIENCE);
    world_run(w, KM_NS_PER_S);
    expect_ended(&fresh, 0);
    world_free(w);
}

/* The log has begun a life that the machine hears of later: the seqs that members have
 * confirmed are of the life before. */
static void test_next_life(void **state)
{
    (void)state;
    struct world *w = world_new(1, 2);
    struct node *n = w->nodes;
    struct waiter old;
    struct waiter fresh;
    struct km_member_id id = {{9, 9, 9}};
    for (unsigned k = 1; k < 5; k++) {
        set(&n[0], k);
    }
    world_run(w, 30 * KM_NS_PER_MS);
    block(w, 0, 1, true);
    set(&n[0], 1);
    await_ack(&n[0], &old, KM_SYNC_ACK_ALL, PATIENCE);
    km_sync_log_begin(n[0].log, km_sync_origin_number(&id), 0);
    set(&n[0], 2);
    await_ack(&n[0], &fresh, KM_SYNC_ACK_ALL, PATIENCE);
    expect_ended(&old, 1);
    assert_int_equal(fresh.ended, 0);
    record_of(&n[0])->id = id;
    n[0].id = id;
    w->joins++;
    km_sync_set_self(n[0].sync, &id, n[0].address, 0);
    assert_int_equal(fresh.ended, 0);
    learn_all(w);
    block(w, 0, 1, false);
    world_run(w, KM_NS_PER_S);
    expect_ended(&fresh, 0);
    world_free(w);
}

static void test_closed(void **state)
{
    (void)state;
    struct world *w = world_new(1, 3);
    struct node *n = w->nodes;
    struct waiter one;
    struct waiter all;
    struct waiter late;
    set(&n[0], 1);
    await_ack(&n[0], &one, KM_SYNC_ACK_ONE, PATIENCE);
    await_ack(&n[0], &all, KM_SYNC_ACK_ALL, PATIENCE);
    km_sync_close(n[0].sync);
    expect_ended(&one, 2);
    expect_ended(&all, 2);
    await_ack(&n[0], &late, KM_SYNC_ACK_ONE, PATIENCE);
    expect_ended(&late, 2);
    world_free(w);
}

static enum km_sync_peer_state state_of(struct node *n, struct node *other)
{
    return info_of_member(n, other).state;
}

/* The stream ends after 1.5 s of silence. */
static void test_states(void **state)
{
    (void)state;
    struct world *w = world_new(1, 2);
    struct node *n = w->nodes;
    assert_int_equal(state_of(&n[0], &n[1]), KM_SYNC_PEER_IN_SYNC);
    assert_string_equal(km_sync_peer_state_name(KM_SYNC_PEER_IN_SYNC),
                        "in_sync");
    block(w, 0, 1, true);
    set(&n[0], 1);
    world_run(w, 400 * KM_NS_PER_MS);
    assert_int_equal(state_of(&n[0], &n[1]), KM_SYNC_PEER_IN_SYNC);
    world_run(w, 200 * KM_NS_PER_MS);
    assert_int_equal(state_of(&n[0], &n[1]), KM_SYNC_PEER_LAGGING);
    world_run(w, 1200 * KM_NS_PER_MS);
    assert_int_equal(state_of(&n[0], &n[1]), KM_SYNC_PEER_DOWN);
    assert_int_equal(n[0].lines, 0);
    world_run(w, 3 * KM_NS_PER_S);
    assert_int_equal(state_of(&n[0], &n[1]), KM_SYNC_PEER_UNSYNCED);
    assert_true(info_of_member(&n[0], &n[1]).unsynced);
    assert_int_equal(n[0].lines, 1);
    block(w, 0, 1, false);
    world_run(w, 5 * KM_NS_PER_S);
    assert_int_equal(state_of(&n[0], &n[1]), KM_SYNC_PEER_IN_SYNC);
    assert_int_equal(n[0].lines, 2);
    node_close(&n[1]);
    world_run(w, KM_NS_PER_S);
    assert_int_equal(state_of(&n[0], &n[1]), KM_SYNC_PEER_DOWN);
    world_free(w);
}

/* The Gap is lost with its connection. Node 1 shows what it was not told, so it is not as
 * if it had acknowledged that. */
static void test_lost_gap(void **state)
{
    (void)state;
    struct world *w = world_new_with(1, 2, 4096);
    struct node *n = w->nodes;
    cut(w, 0, 1);
    for (unsigned i = 0; i < 200; i++) {
        set(&n[0], i % 20);
    }
    while (info_of_member(&n[0], &n[1]).gaps_sent == 0) {
        world_run(w, KM_NS_PER_MS / 20);
    }
    assert_int_equal(state_of(&n[0], &n[1]), KM_SYNC_PEER_GAPPED);
    assert_int_not_equal(info_of_member(&n[0], &n[1]).acked, 0);
    cut(w, 0, 1);
    assert_int_equal(info_of_member(&n[0], &n[1]).acked, 0);
    assert_int_equal(state_of(&n[0], &n[1]), KM_SYNC_PEER_UNSYNCED);
    world_run(w, KM_NS_PER_S);
    assert_int_equal(state_of(&n[0], &n[1]), KM_SYNC_PEER_IN_SYNC);
    assert_int_equal(info_of_member(&n[0], &n[1]).queue, 0);
    world_free(w);
}

static void test_memory(void **state)
{
    (void)state;
    struct world *w = world_new(1, 3);
    struct node *n = w->nodes;
    struct waiter all;
    for (unsigned i = 1; i <= 2; i++) {
        set(&n[0], i);
        await_ack(&n[0], &all, KM_SYNC_ACK_ALL, PATIENCE);
        atomic_store(&n[0].probe.fail_at, atomic_load(&n[0].probe.allocs) + i);
        km_sync_acks_end(n[0].sync);
        assert_string_equal(km_unsynced_at(all.unsynced, 0), "unknown");
        expect_ended(&all, 1);
    }
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone),      cmocka_unit_test(test_one_and_all),
        cmocka_unit_test(test_at_once),    cmocka_unit_test(test_late),
        cmocka_unit_test(test_order),      cmocka_unit_test(test_gap),
        cmocka_unit_test(test_whose_acks), cmocka_unit_test(test_gone),
        cmocka_unit_test(test_joins),      cmocka_unit_test(test_new_life),
        cmocka_unit_test(test_next_life),  cmocka_unit_test(test_closed),
        cmocka_unit_test(test_states),     cmocka_unit_test(test_lost_gap),
        cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
