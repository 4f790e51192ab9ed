/* SPDX-License-Identifier: MIT */
/*
 * Streams and views: who joins, and how members leave.
 *
 *     held            a Hello that is faster than the registry
 *     stranger        a Hello of a node that is no member
 *     announce        the noticed view is told to all
 *     goodbye         R11: a member that has said all leaves nothing behind
 *     goodbye, late   its last records arrive behind the notice that it has left
 *     behind          R11: who lacks a leaver's mutations drops what may be stale
 *     unclean         a member that is gone without a word
 *     view gate       R4: a set of an older view that comes late
 *     unseen          R10: a life that went by unseen
 *     new id          R12: the next life of a node, with seq 0 and with seq 1
 *     life is over    R12: the log has begun the next life already
 *     woke            R15: all streams say Hello anew
 *     never adopted   a member of a noticed view only
 */
#include "sync_world.h"

static void notice_only(struct node *n)
{
    struct km_view *view = world_view(n->world);
    km_sync_notice(n->sync, view);
    km_view_unref(view);
}

/* -- joining ----------------------------------------------------------------------------------- */

/* Node 2 knows all others, and they hear of it half a second later: its streams wait for
 * that, and are not begun again. */
static void test_held(void **state)
{
    (void)state;
    struct world *w = world_new(3, 2);
    struct node *n = node_add(w);
    register_node(n, 0);
    learn(n);
    world_run(w, 500 * KM_NS_PER_MS);
    assert_false(info_of_member(n, &w->nodes[0]).up);
    learn_all(w);
    world_run(w, 10 * KM_NS_PER_MS);
    assert_true(info_of_member(n, &w->nodes[0]).up);
    set(n, 1);
    world_run(w, 10 * KM_NS_PER_MS);
    check_all_equal(w);
    world_free(w);
}

/* The others do not hear of it in time; then it begins anew until they do. */
static void test_stranger(void **state)
{
    (void)state;
    struct world *w = world_new(3, 2);
    struct node *n = node_add(w);
    register_node(n, 0);
    learn(n);
    world_run(w, 5 * KM_NS_PER_S);
    set(n, 1);
    assert_int_equal(shown(&w->nodes[0], 1), 0);
    assert_null(km_sync_member_find(w->nodes[0].sync, &n->id));
    learn_all(w);
    world_run(w, 3 * KM_NS_PER_S);
    assert_true(is_converged(w, OR_NOTHING));
    assert_true(info_of_member(n, &w->nodes[0]).up);
    set(n, 2);
    world_run(w, 10 * KM_NS_PER_MS);
    assert_int_not_equal(shown(&w->nodes[0], 2), 0);
    world_free(w);
}

static void test_announce(void **state)
{
    (void)state;
    struct world *w = world_new(3, 3);
    struct node *n = w->nodes;
    assert_int_equal(member_of(&n[1], &n[0])->announced,
                     n[0].sync->noticed->id);
    record_of(&n[2])->state = KM_MEMBER_LEAVING;
    notice_only(&n[0]);
    world_run(w, 10 * KM_NS_PER_MS);
    uint64_t id = n[0].sync->noticed->id;
    assert_int_not_equal(id, n[1].sync->noticed->id);
    assert_int_equal(member_of(&n[1], &n[0])->announced, id);
    cut(w, 0, 1);
    member_of(&n[1], &n[0])->announced = 0;
    world_run(w, KM_NS_PER_S);
    assert_int_equal(member_of(&n[1], &n[0])->announced, id);
    world_free(w);
}

/* -- leaving ------------------------------------------------------------------------------------ */

static void say_goodbye(struct node *n)
{
    km_sync_say_goodbye(n->sync, n->world->sim.now + 5 * KM_NS_PER_S);
}

/* A node is told to stop: everything that it has changed is on the others, and nobody
 * drops anything. */
static void test_goodbye(void **state)
{
    (void)state;
    struct world *w = world_new(3, 3);
    struct node *n = w->nodes;
    for (unsigned i = 0; i < 3000; i++) {
        set_in(&n[1], 0, i % KEYS, 500, KAMA_TTL_FOREVER);
    }
    set_in(&n[1], 1, 3, 5000000, KAMA_TTL_FOREVER);
    say_goodbye(&n[1]);
    assert_int_equal(n[1].goodbyes, 0);
    world_run(w, KM_NS_PER_S);
    assert_int_equal(n[1].goodbyes, 1);
    check_all_equal(w);
    unregister_node(&n[1]);
    node_close(&n[1]);
    learn_all(w);
    world_run(w, KM_NS_PER_S);
    assert_int_equal(n[0].invalidations, 0);
    assert_int_equal(n[2].invalidations, 0);
    check_all_equal(w);
    world_free(w);
}

/* One of the others cannot be reached: the goodbye ends nevertheless, and that one drops
 * what may be stale (trace "R11 behind final_seq"). */
static void test_behind(void **state)
{
    (void)state;
    for (unsigned broken = 0; broken < 2; broken++) {
        struct world *w = world_new(3, 3);
        struct node *n = w->nodes;
        set(&n[0], 1);
        set(&n[0], 2);
        world_run(w, 10 * KM_NS_PER_MS);
        block(w, 1, 0, true);
        del(&n[1], 1);
        world_run(w, 2 * KM_NS_PER_S);
        say_goodbye(&n[1]);
        world_run(w, 2 * KM_NS_PER_S);
        assert_int_equal(n[1].goodbyes, 1);
        km_sync_broken = broken != 0 ? KM_SYNC_R11_BEHIND : 0;
        unregister_node(&n[1]);
        node_close(&n[1]);
        learn_all(w);
        world_run(w, KM_NS_PER_S);
        assert_int_equal(is_converged(w, OR_NOTHING), broken == 0);
        assert_int_equal(n[0].invalidations, broken == 0);
        assert_int_equal(n[2].invalidations, 0);
        assert_int_not_equal(shown(&n[2], 2), 0);
        world_free(w);
    }
}

/* The goodbye of the stream is missing, and the record of the member says its final seq. */
static void test_goodbye_of_record(void **state)
{
    (void)state;
    for (unsigned lacks = 0; lacks < 2; lacks++) {
        struct world *w = world_new(3, 2);
        struct node *n = w->nodes;
        struct km_sync_log_state log;
        set(&n[1], 1);
        world_run(w, 10 * KM_NS_PER_MS);
        if (lacks != 0) {
            block(w, 1, 0, true);
            set(&n[1], 2);
            world_run(w, 10 * KM_NS_PER_MS);
        }
        km_sync_log_get(n[1].log, &log);
        struct km_member *record = record_of(&n[1]);
        record->state = KM_MEMBER_LEAVING;
        record->final_seq = log.seq;
        record->clock = log.hlc + 1000;
        learn_all(w);
        unregister_node(&n[1]);
        node_close(&n[1]);
        learn_all(w);
        assert_int_equal(n[0].invalidations, lacks);
        km_sync_log_get(n[0].log, &log);
        assert_true(log.hlc >= 1000);
        world_run(w, KM_NS_PER_S);
        world_free(w);
    }
}

/* The registry is faster than the stream: the last records of a leaver are applied as long
 * as the adopted view has it. */
static void test_late_records(void **state)
{
    (void)state;
    struct world *w = world_new(3, 2);
    struct node *n = w->nodes;
    w->spread = 50 * KM_NS_PER_MS;
    for (unsigned i = 0; i < 20; i++) {
        set(&n[1], i);
    }
    say_goodbye(&n[1]);
    unregister_node(&n[1]);
    notice_only(&n[0]);
    world_run(w, KM_NS_PER_S);
    assert_int_equal(n[1].goodbyes, 1);
    learn(&n[0]);
    assert_int_equal(n[0].invalidations, 0);
    check_all_equal(w);
    world_free(w);
}

static void test_unclean(void **state)
{
    (void)state;
    struct world *w = world_new(3, 3);
    struct node *n = w->nodes;
    set(&n[0], 1);
    world_run(w, 10 * KM_NS_PER_MS);
    node_close(&n[1]);
    unregister_node(&n[1]);
    learn_all(w);
    for (unsigned i = 0; i < 3; i += 2) {
        assert_int_equal(n[i].invalidations, 1);
        assert_int_equal(shown(&n[i], 1), 0);
    }
    set(&n[0], 2);
    world_run(w, 2 * KM_NS_PER_S);
    assert_int_not_equal(shown(&n[2], 2), 0);
    world_free(w);
}

/* A node that was still joining has changed nothing. */
static void test_joining_is_gone(void **state)
{
    (void)state;
    struct world *w = world_new(3, 2);
    struct node *n = node_add(w);
    register_node(n, 0);
    record_of(n)->state = KM_MEMBER_JOINING;
    learn_all(w);
    world_run(w, 100 * KM_NS_PER_MS);
    node_close(n);
    unregister_node(n);
    learn_all(w);
    assert_int_equal(w->nodes[0].invalidations, 0);
    world_run(w, KM_NS_PER_S);
    world_free(w);
}

/* Trace "R4 view gate": set.0 del.1 crash.1 exp.1 learn.0 learn.2 dlv.0.2. Node 1 deletes
 * what node 0 has set, node 0 hears of it, node 1 dies. Node 2 has heard of neither. */
static void test_view_gate(void **state)
{
    (void)state;
    for (unsigned broken = 0; broken < 2; broken++) {
        struct world *w = world_new(3, 3);
        struct node *n = w->nodes;
        n[2].skew_ms = -1000;
        block(w, 0, 2, true);
        block(w, 1, 2, true);
        set(&n[0], 1);
        world_run(w, 10 * KM_NS_PER_MS);
        del(&n[1], 1);
        world_run(w, 10 * KM_NS_PER_MS);
        assert_int_equal(shown(&n[0], 1), 0);
        km_sync_broken = broken != 0 ? KM_SYNC_R4_VIEW_GATE : 0;
        node_close(&n[1]);
        unregister_node(&n[1]);
        learn_all(w);
        block(w, 0, 2, false);
        world_run(w, 3 * KM_NS_PER_S);
        assert_int_equal(is_converged(w, OR_NOTHING), broken == 0);
        set(&n[0], 2);
        world_run(w, 100 * KM_NS_PER_MS);
        assert_int_not_equal(shown(&n[2], 2), 0);
        world_free(w);
    }
}

/* What was seen of the registry says that a member has come and gone. */
static void test_unseen(void **state)
{
    (void)state;
    struct world *w = world_new(3, 2);
    set(&w->nodes[0], 1);
    world_run(w, 10 * KM_NS_PER_MS);
    km_sync_forget(w->nodes[1].sync);
    assert_int_equal(shown(&w->nodes[1], 1), 0);
    world_run(w, KM_NS_PER_S);
    set(&w->nodes[0], 1);
    world_run(w, 10 * KM_NS_PER_MS);
    assert_int_not_equal(shown(&w->nodes[1], 1), 0);
    world_free(w);
}

/* -- R12 ------------------------------------------------------------------------------------------- */

/* Registers the next life of a node, whose record says how the one before has ended. */
static void reregister(struct node *n, bool originated)
{
    struct km_sync_log_state log;
    struct km_member_goodbye prev = {.id = n->id, .originated = originated};
    km_sync_log_get(n->log, &log);
    prev.final_seq = log.seq;
    prev.clock = log.hlc;
    register_node(n, originated ? 1 : 0);
    record_of(n)->prev = prev;
}

/* The lease is lost and the node registers again: nobody drops anything, and its streams go
 * on in its next life. */
static void test_new_id(void **state)
{
    (void)state;
    for (unsigned originated = 0; originated < 2; originated++) {
        struct world *w = world_new(3, 3);
        struct node *n = w->nodes;
        for (unsigned k = 0; k < 9; k++) {
            set(&n[k % 3], k);
        }
        world_run(w, 10 * KM_NS_PER_MS);
        reregister(&n[1], originated != 0);
        set(&n[1], 10); /* before the others know */
        learn_all(w);
        world_run(w, 2 * KM_NS_PER_S);
        set(&n[1], 11);
        world_run(w, 100 * KM_NS_PER_MS);
        check_all_equal(w);
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(n[i].invalidations, 0);
        }
        assert_int_equal(info_of_member(&n[0], &n[1]).gaps_received, 0);
        assert_int_equal(info_of_member(&n[1], &n[0]).gaps_received, 0);
        world_free(w);
    }
}

/* Trace "R12 seq 1". Node 1 was given up by node 0 and does not know it. What it deletes
 * meanwhile is told to nobody, and its next life begins with a Gap. */
static void test_given_up(void **state)
{
    (void)state;
    for (unsigned broken = 0; broken < 2; broken++) {
        struct world *w = world_new(3, 2);
        struct node *n = w->nodes;
        set(&n[1], 3);
        world_run(w, 10 * KM_NS_PER_MS);
        struct km_member record = *record_of(&n[1]);
        unregister_node(&n[1]);
        learn(&n[0]);
        assert_int_equal(n[0].invalidations, 1);
        set(&n[0],
            1); /* node 1 does not apply that: it has the lock of old records */
        world_run(w, 10 * KM_NS_PER_MS);
        del(&n[1], 1);
        w->members[w->member_count++] = record;
        km_sync_broken = broken != 0 ? KM_SYNC_R12_FIRST : 0;
        reregister(&n[1], true);
        learn_all(w);
        world_run(w, 3 * KM_NS_PER_S);
        assert_int_equal(is_converged(w, OR_NOTHING), broken == 0);
        if (broken == 0) {
            assert_int_equal(info_of_member(&n[0], &n[1]).gaps_received, 1);
        }
        world_free(w);
    }
}

/* The life of the log ends a moment before the machine is told: the streams of the life
 * before say nothing about what they have not sent of it, and nothing of the next one. */
static void test_life_is_over(void **state)
{
    (void)state;
    struct world *w = world_new(3, 2);
    struct node *n = w->nodes;
    struct km_sync_log_state old;
    struct km_sync_need need = {.id = n[1].id};
    set(&n[1], 1);
    world_run(w, 10 * KM_NS_PER_MS);
    n[1].slow = true;
    set(&n[1], 2);
    need.clock = w->best[0][2].version.hlc;
    km_sync_log_renew(n[1].log, 77, 0, &old);
    assert_int_equal(old.seq, 2);
    n[1].slow = false;
    for (unsigned i = 0; i < 5; i++) {
        set(&n[1], 3 + i);
    }
    km_sync_grew(n[1].sync);
    world_run(w, 3 * KM_NS_PER_S);
    assert_false(km_sync_has(n[0].origins, &need));
    assert_int_equal(info_of_member(&n[0], &n[1]).applied, 1);
    say_goodbye(&n[1]);
    world_run(w, 3 * KM_NS_PER_S);
    assert_false(member_of(&n[0], &n[1])->said_goodbye);
    world_free(w);
}

/* A peer that lacks mutations of the life before invalidates, and is told of the next one. */
static void new_id_behind(bool has_no_loader)
{
    struct world *w = world_new(3, 2);
    struct node *n = w->nodes;
    w->has_no_loader = has_no_loader;
    set(&n[0], 1);
    world_run(w, 10 * KM_NS_PER_MS);
    block(w, 1, 0, true);
    del(&n[1], 1);
    world_run(w, 10 * KM_NS_PER_MS);
    reregister(&n[1], false);
    learn_all(w);
    assert_int_equal(n[0].invalidations, 1);
    block(w, 1, 0, false);
    world_run(w, 3 * KM_NS_PER_S);
    assert_true(is_converged(w, OR_NOTHING));
    set(&n[1], 4);
    world_run(w, 100 * KM_NS_PER_MS);
    assert_int_not_equal(shown(&n[0], 4), 0);
    world_free(w);
}

static void test_new_id_behind(void **state)
{
    (void)state;
    new_id_behind(false);
}

/* A group without a loader keeps what it has when a member is gone, but that member is not
 * gone, and shows what it has done. */
static void test_new_id_behind_without_loader(void **state)
{
    (void)state;
    new_id_behind(true);
}

/* -- R15 ------------------------------------------------------------------------------------------- */

static void test_woke(void **state)
{
    (void)state;
    struct world *w = world_new(3, 3);
    struct node *n = w->nodes;
    set(&n[0], 1);
    world_run(w, 10 * KM_NS_PER_MS);
    set(&n[0], 2);
    km_sync_woke(n[0].sync);
    assert_false(info_of_member(&n[0], &n[1]).up);
    world_run(w, 100 * KM_NS_PER_MS);
    assert_true(info_of_member(&n[0], &n[1]).up);
    check_all_equal(w);
    assert_int_equal(info_of_member(&n[1], &n[0]).received, 2);
    assert_int_equal(info_of_member(&n[1], &n[0]).duplicates, 0);
    world_free(w);
}

/* A member comes and goes between two adopted views. What it has changed was applied, or it
 * is gone uncleanly. */
static void test_never_adopted(void **state)
{
    (void)state;
    struct world *w = world_new(3, 2);
    struct node *n = node_add(w);
    register_node(n, 0);
    notice_only(&w->nodes[0]);
    notice_only(&w->nodes[1]);
    learn(n);
    world_run(w, 100 * KM_NS_PER_MS);
    set(n, 1);
    world_run(w, 10 * KM_NS_PER_MS);
    check_all_equal(w);
    /* Its clock is in the needs already, although the adopted view lacks it. */
    const struct km_sync_need need = {.id = n->id, .clock = 1};
    assert_true(km_sync_has(w->nodes[0].origins, &need));
    node_close(n);
    unregister_node(n);
    notice_only(&w->nodes[0]);
    assert_int_equal(w->nodes[0].invalidations, 1);
    learn_all(w);
    world_run(w, KM_NS_PER_S);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_stranger),
        cmocka_unit_test(test_announce),
        cmocka_unit_test(test_goodbye),
        cmocka_unit_test(test_behind),
        cmocka_unit_test(test_goodbye_of_record),
        cmocka_unit_test(test_late_records),
        cmocka_unit_test(test_unclean),
        cmocka_unit_test(test_joining_is_gone),
        cmocka_unit_test(test_view_gate),
        cmocka_unit_test(test_unseen),
        cmocka_unit_test(test_new_id),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_new_id_behind),
        cmocka_unit_test(test_new_id_behind_without_loader),
        cmocka_unit_test(test_life_is_over),
        cmocka_unit_test(test_woke),
        cmocka_unit_test(test_never_adopted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
