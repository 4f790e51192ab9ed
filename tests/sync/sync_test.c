/* SPDX-License-Identifier: MIT */
/* ctest: labels=onethread */
/*
 * The streams of mutations between nodes, each rule in a schedule of its own:
 *
 *     travels         what one node changes is on the others a moment later
 *     kinds           a clear, a value that is gone, an expiry of another version
 *     cut             connections break again and again: nothing is applied twice
 *     blocked         a silent connection is left, and the stream goes on
 *     heartbeats      W of an idle node; a heartbeat says no more than was sent
 *     acks            acknowledgements that come together are one
 *     ring            a ring that is too short is a Gap, of the groups that have lost
 *     younger node    an old ring is not told to it
 *     large values    chunks, with other messages in between; too many are Drops
 *     back-pressure   a slow node costs a bounded queue
 *     unsynced        a node that does not acknowledge is told of once
 *     groups          a group that is not here counts as applied
 *     strategies      a node that is sent no values forgets its older ones
 *     sizes           bytes of a mutation on the wire
 *     bytes           both sides count the same bytes
 */
#include "sync_world.h"

/* -- R2 -------------------------------------------------------------------------------------- */

/* A set, a delete and a new time to live are on the other nodes a moment later. */
static void test_travels(void **state)
{
    (void)state;
    struct world *w = world_new(1, 3);
    set(&w->nodes[0], 1);
    set(&w->nodes[1], 2);
    set_in(&w->nodes[2], 1, 3, 10, KAMA_TTL_FOREVER);
    world_run(w, 10 * KM_NS_PER_MS);
    check_all_equal(w);
    assert_int_equal(shown(&w->nodes[2], 1), 1);
    del(&w->nodes[2], 1);
    touch_in(&w->nodes[0], 0, 2, 5000);
    world_run(w, 10 * KM_NS_PER_MS);
    check_all_equal(w);
    assert_int_equal(shown(&w->nodes[0], 1), 0);
    assert_int_equal(shown(&w->nodes[1], 2), 2);
    world_run(w, 5 * KM_NS_PER_S);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(shown(&w->nodes[i], 2), 0);
        assert_int_equal(w->nodes[i].lines, 0);
    }
    world_free(w);
}

/* A clear travels; a value that was replaced before it was sent is a Drop. */
static void test_kinds(void **state)
{
    (void)state;
    struct world *w = world_new(1, 2);
    for (unsigned k = 0; k < 10; k++) {
        set_in(&w->nodes[0], k % 2, k, 50, KAMA_TTL_FOREVER);
    }
    world_run(w, 10 * KM_NS_PER_MS);
    clear(&w->nodes[1], 0);
    world_run(w, 10 * KM_NS_PER_MS);
    check_all_equal(w);
    assert_int_equal(shown_in(&w->nodes[0], 0, 4), 0);
    assert_int_not_equal(shown_in(&w->nodes[1], 1, 5), 0);
    set(&w->nodes[0], 1);
    set(&w->nodes[0], 1); /* the first value is gone when it is sent */
    touch_in(&w->nodes[0], 1, 5, 60000);
    touch_in(&w->nodes[0], 1, 5, 90000);
    world_run(w, 10 * KM_NS_PER_MS);
    check_all_equal(w);
    assert_int_equal(info_of_member(&w->nodes[1], &w->nodes[0]).received, 14);
    world_free(w);
}

/* The key was evicted at the origin, and the mutation still removes what is older. */
static void test_value_is_gone(void **state)
{
    (void)state;
    struct world *w = world_new(1, 2);
    set(&w->nodes[0], 1);
    world_run(w, 10 * KM_NS_PER_MS);
    set(&w->nodes[0], 1);
    km_sync_log_invalidate(w->nodes[0].log, 0, 0); /* as an eviction */
    world_run(w, 10 * KM_NS_PER_MS);
    assert_int_equal(shown(&w->nodes[1], 1), 0);
    assert_int_equal(info_of_member(&w->nodes[1], &w->nodes[0]).received, 2);
    world_free(w);
}

/* Connections break fifty times while all nodes write: each mutation is applied once by
 * each other node. */
static void test_cut(void **state)
{
    (void)state;
    struct world *w = world_new(7, 3);
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < 40; i++) {
            struct node *n = &w->nodes[sim_between(&w->sim, 0, 2)];
            unsigned k = (unsigned)sim_between(&w->sim, 0, KEYS - 1);
            if (sim_chance(&w->sim, 700)) {
                set(n, k);
            } else {
                del(n, k);
            }
            world_run(w, sim_between(&w->sim, 0, KM_NS_PER_MS));
        }
        cut(w, round % 3, (round + 1) % 3);
    }
    world_run(w, 3 * KM_NS_PER_S);
    check_all_equal(w);
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned j = 0; j < 3; j++) {
            struct km_sync_log_state log;
            struct km_sync_member_info info;
            if (i == j) {
                continue;
            }
            info = info_of_member(&w->nodes[i], &w->nodes[j]);
            km_sync_log_get(w->nodes[j].log, &log);
            assert_int_equal(info.received, log.seq);
            assert_int_equal(info.applied, log.seq);
            assert_int_equal(info.duplicates, 0);
            assert_int_equal(info.gaps_received, 0);
            assert_int_equal(info.queue, 0);
        }
    }
    world_free(w);
}

/* One direction carries nothing for ten seconds. Both sides notice, and afterwards the
 * stream goes on where it has stopped. */
static void test_blocked(void **state)
{
    (void)state;
    struct world *w = world_new(3, 2);
    for (unsigned direction = 0; direction < 2; direction++) {
        block(w, direction, 1 - direction, true);
        for (unsigned i = 0; i < 100; i++) {
            set(&w->nodes[0], i % KEYS);
            set(&w->nodes[1], (i + 7) % KEYS);
            world_run(w, 100 * KM_NS_PER_MS);
        }
        block(w, direction, 1 - direction, false);
        world_run(w, 3 * KM_NS_PER_S);
        check_all_equal(w);
    }
    assert_int_equal(info_of_member(&w->nodes[0], &w->nodes[1]).duplicates, 0);
    assert_int_equal(info_of_member(&w->nodes[1], &w->nodes[0]).duplicates, 0);
    world_free(w);
}

/* W of an idle node follows its clock, and stable follows W. */
static void test_heartbeats(void **state)
{
    (void)state;
    struct world *w = world_new(3, 3);
    struct node *n = w->nodes;
    set(&n[0], 1);
    world_run(w, 2 * KM_NS_PER_S);
    struct km_sync_need need = {.id = n[1].id,
                                .clock = w->best[0][1].version.hlc};
    assert_true(km_sync_has(n[2].origins, &need)); /* node 1 has made nothing */
    need.id = n[0].id;
    assert_true(km_sync_has(n[2].origins, &need));
    need.clock = UINT64_MAX;
    assert_false(km_sync_has(n[2].origins, &need));
    assert_int_equal(member_of(&n[2], &n[1])->origin->stable_view,
                     n[2].sync->adopted->id);
    assert_true(member_of(&n[2], &n[1])->origin->stable >=
                w->best[0][1].version.hlc);
    /* So the needs of a fill are empty. */
    assert_true(km_sync_origins_stable(n[2].origins) >=
                w->best[0][1].version.hlc);
    world_free(w);
}

/* While records wait unsent, W at the other node does not run ahead of them. */
static void test_heartbeat_while_waiting(void **state)
{
    (void)state;
    for (unsigned broken = 0; broken < 2; broken++) {
        struct world *w = world_new(3, 2);
        struct node *n = w->nodes;
        set(&n[0], 1);
        world_run(w, 10 * KM_NS_PER_MS);
        km_sync_broken = broken != 0 ? KM_SYNC_R2_HEARTBEAT : 0;
        set(&n[0], 2);
        cut(w, 0, 1);
        n[0].slow = true; /* the Hello passes, and records do not */
        world_run(w, 800 * KM_NS_PER_MS);
        const struct km_sync_need need = {.id = n[0].id,
                                          .clock = w->best[0][2].version.hlc};
        assert_int_equal(shown(&n[1], 2), 0);
        assert_int_equal(km_sync_has(n[1].origins, &need), broken != 0);
        world_free(w);
    }
}

/* A thousand mutations within a second are acknowledged at most a hundred times. */
static void test_acks(void **state)
{
    (void)state;
    struct world *w = world_new(3, 2);
    uint64_t before = w->replies;
    for (unsigned i = 0; i < 1000; i++) {
        set(&w->nodes[0], i % KEYS);
        world_run(w, KM_NS_PER_MS);
    }
    world_run(w, 20 * KM_NS_PER_MS);
    assert_in_range(w->replies - before, 50, 102);
    assert_int_equal(info_of_member(&w->nodes[0], &w->nodes[1]).queue, 0);
    before = w->replies;
    world_run(w, 10 * KM_NS_PER_S);
    assert_int_equal(w->replies, before); /* heartbeats are not answered */
    world_free(w);
}

/* -- R17 ------------------------------------------------------------------------------------- */

/* A node that is sent no values loses its older ones, large or small, and the value does
 * not travel to it. */
static void test_values_for_some(void **state)
{
    (void)state;
    for (unsigned broken = 0; broken < 2; broken++) {
        struct world *w = world_new(3, 3);
        struct node *n = w->nodes;
        set(&n[0], 1);
        set_in(&n[0], 0, 2, 200u << 10, KAMA_TTL_FOREVER);
        world_run(w, 50 * KM_NS_PER_MS);
        check_all_equal(w);
        km_sync_broken = broken != 0 ? KM_SYNC_R17_DROP : 0;
        n[0].drops_to = 1u << 2;
        set(&n[0], 1);
        set_in(&n[0], 0, 2, 200u << 10, KAMA_TTL_FOREVER);
        world_run(w, 50 * KM_NS_PER_MS);
        for (unsigned k = 1; k <= 2; k++) {
            assert_int_equal(shown(&n[1], k), shown(&n[0], k));
            assert_int_equal(shown(&n[2], k), broken != 0 ? k : 0);
        }
        assert_int_equal(info_of_member(&n[2], &n[0]).received, 4);
        assert_int_equal(info_of_member(&n[2], &n[0]).gaps_received, 0);
        n[0].drops_to = 0;
        set(&n[0], 1);
        world_run(w, 50 * KM_NS_PER_MS);
        assert_int_equal(shown(&n[2], 1), shown(&n[0], 1));
        world_free(w);
    }
}

/* -- R3 ---------------------------------------------------------------------------------------- */

/* Node 1 is cut off while the ring of node 0 overflows. When it is back, it drops the group
 * that has lost mutations, and keeps the other one. */
static void test_ring(void **state)
{
    (void)state;
    for (unsigned broken = 0; broken < 2; broken++) {
        struct world *w = world_new_with(3, 2, 4096);
        struct node *n = w->nodes;
        set_in(&n[0], 1, 5, 50, KAMA_TTL_FOREVER);
        set_in(&n[0], 0, 1, 50, KAMA_TTL_FOREVER);
        set_in(&n[0], 0, 2, 50, KAMA_TTL_FOREVER);
        world_run(w, 10 * KM_NS_PER_MS);
        km_sync_broken = broken != 0 ? KM_SYNC_R3_GAP | KM_SYNC_R2_ORDER : 0;
        block(w, 0, 1, true);
        del(&n[0], 1);
        for (unsigned i = 0; i < 100; i++) {
            set_in(&n[0], 0, 10 + i % 20, 50, KAMA_TTL_FOREVER);
        }
        world_run(w, 3 * KM_NS_PER_S);
        block(w, 0, 1, false);
        world_run(w, 3 * KM_NS_PER_S);
        assert_int_equal(is_converged(w, OR_NOTHING), broken == 0);
        if (broken == 0) {
            assert_int_equal(shown_in(&n[1], 0, 2), 0);
            assert_int_not_equal(shown_in(&n[1], 1, 5), 0);
            assert_int_not_equal(shown_in(&n[1], 0, 29), 0);
            struct km_sync_member_info info = info_of_member(&n[1], &n[0]);
            assert_int_equal(info.gaps_received, 1);
            assert_int_equal(info.duplicates, 0);
            assert_in_range(info_of_member(&n[0], &n[1]).gaps_sent, 1, 2);
            assert_int_equal(info_of_member(&n[0], &n[1]).queue, 0);
        }
        world_free(w);
    }
}

/* A record of the ring is a minute old: the Gap does not wait for other records. */
static void test_aged(void **state)
{
    (void)state;
    struct world *w = world_new(3, 2);
    struct node *n = w->nodes;
    set(&n[0], 1);
    world_run(w, 10 * KM_NS_PER_MS);
    block(w, 0, 1, true);
    block(w, 1, 0, true);
    del(&n[0], 1);
    world_run(w, 70 * KM_NS_PER_S);
    assert_int_not_equal(shown(&n[1], 1), 0);
    block(w, 0, 1, false);
    block(w, 1, 0, false);
    world_run(w, 3 * KM_NS_PER_S);
    assert_int_equal(shown(&n[1], 1), 0);
    assert_int_equal(info_of_member(&n[1], &n[0]).gaps_received, 1);
    world_free(w);
}

/* Trace "R3 Gap to a younger node": set.0 del.1 crash.1 start.1 con.0.1 dlv. Node 1 has
 * deleted the value of node 0 in the life before, and its next life must not be told of
 * the set. */
static void test_younger_node(void **state)
{
    (void)state;
    for (unsigned broken = 0; broken < 2; broken++) {
        struct world *w = world_new(3, 2);
        struct node *n = w->nodes;
        n[1].skew_ms = 100;
        block(w, 0, 1, true);
        block(w, 1, 0, true);
        set(&n[0], 1);
        set(&n[0], 2);
        del(&n[1], 1);
        node_close(&n[1]);
        block(w, 0, 1, false);
        block(w, 1, 0, false);
        km_sync_broken =
            broken != 0 ? KM_SYNC_R3_FIRST_GAP | KM_SYNC_R11_BEHIND : 0;
        node_open(&n[1]);
        register_node(&n[1], 0);
        learn_all(w);
        world_run(w, 3 * KM_NS_PER_S);
        assert_int_equal(shown(&n[1], 1) != 0, broken != 0);
        if (broken == 0) {
            assert_int_equal(shown(&n[1], 2), 0);
            assert_int_equal(info_of_member(&n[1], &n[0]).gaps_received, 1);
            set(&n[0], 3);
            world_run(w, 10 * KM_NS_PER_MS);
            assert_int_not_equal(shown(&n[1], 3), 0);
        }
        world_free(w);
    }
}

/* A node that joins while the others have made nothing yet gets no Gap, and neither do they
 * when it is the new one that has made nothing. */
static void test_no_gap_at_the_beginning(void **state)
{
    (void)state;
    struct world *w = world_new(3, 2);
    struct node *n = node_add(w);
    set(&w->nodes[0], 1);
    world_run(w, 10 * KM_NS_PER_MS);
    register_node(n, 0);
    learn_all(w);
    world_run(w, 100 * KM_NS_PER_MS);
    set(n, 2);
    set(&w->nodes[1], 3);
    world_run(w, 100 * KM_NS_PER_MS);
    assert_int_equal(info_of_member(n, &w->nodes[0]).gaps_received, 1);
    assert_int_equal(info_of_member(n, &w->nodes[1]).gaps_received, 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(info_of_member(&w->nodes[i], n).gaps_received, 0);
        assert_int_not_equal(shown(&w->nodes[i], 1), 0);
        assert_int_not_equal(shown(&w->nodes[i], 2), 0);
    }
    assert_int_not_equal(shown(n, 3), 0);
    world_free(w);
}

/* -- large values ---------------------------------------------------------------------------------- */

/* A large value is sent in chunks, and later mutations follow it. */
static void test_large(void **state)
{
    (void)state;
    static const size_t sizes[] = {60000, 65000, 65536, 1000000, 16000000};
    struct world *w = world_new(3, 3);
    for (unsigned i = 0; i < 5; i++) {
        set_in(&w->nodes[0], 0, i, sizes[i], KAMA_TTL_FOREVER);
        set(&w->nodes[0], 20 + i);
    }
    world_run(w, 5 * KM_NS_PER_S);
    check_all_equal(w);
    assert_true(w->queued_max <=
                KM_SYNC_QUEUED_BYTES + KM_SYNC_FRAME_BYTES + 512);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(w->nodes[i].sync->large_bytes, 0);
    }
    world_free(w);
}

/* A connection breaks in the middle of a large value. */
static void test_large_is_cut(void **state)
{
    (void)state;
    struct world *w = world_new(3, 2);
    for (unsigned round = 0; round < 10; round++) {
        set_in(&w->nodes[0], 0, 1, 8000000, KAMA_TTL_FOREVER);
        world_run(w, 6 * KM_NS_PER_MS + round * KM_NS_PER_MS / 3);
        cut(w, 0, 1);
        assert_int_equal(w->nodes[1].sync->large_bytes, 0);
        assert_int_equal(w->nodes[0].sync->large_bytes, 0);
    }
    world_run(w, 2 * KM_NS_PER_S);
    check_all_equal(w);
    assert_int_equal(info_of_member(&w->nodes[1], &w->nodes[0]).duplicates, 0);
    world_free(w);
}

/* What is pinned and half received is bounded: beyond that a value is dropped, and the
 * older one is gone everywhere. Streams that send one value share it. */
static void test_large_are_many(void **state)
{
    (void)state;
    struct world *w = world_new(3, 6);
    for (unsigned i = 0; i < 6; i++) {
        for (unsigned k = 0; k < 2; k++) {
            set_in(&w->nodes[i], 0, i * 2 + k, 15000000, KAMA_TTL_FOREVER);
        }
    }
    world_run(w, 5 * KM_NS_PER_S);
    assert_true(is_converged(w, OR_NOTHING));
    unsigned there = 0;
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(w->nodes[i].sync->large_bytes, 0);
        there += shown(&w->nodes[i], 1) != 0;
        there += shown(&w->nodes[i], 11) != 0;
    }
    assert_true(there >= 2);
    world_free(w);
}

/* A large value takes longer than a peer may be silent. */
static void test_large_is_slow(void **state)
{
    (void)state;
    struct world *w = world_new(3, 2);
    w->spread = 60 * KM_NS_PER_MS;
    set_in(&w->nodes[0], 0, 1, 16000000, KAMA_TTL_FOREVER);
    world_run(w, KM_NS_PER_S);
    uint64_t frames = w->frames;
    world_run(w, 120 * KM_NS_PER_S);
    check_all_equal(w);
    assert_true(w->frames > frames);
    assert_int_equal(info_of_member(&w->nodes[0], &w->nodes[1]).sent, 1);
    world_free(w);
}

/* -- back-pressure ------------------------------------------------------------------------------------ */

/* The network of node 0 takes nothing for a while. */
static void test_back_pressure(void **state)
{
    (void)state;
    struct world *w = world_new(3, 2);
    w->nodes[0].slow = true;
    for (unsigned i = 0; i < 2000; i++) {
        set_in(&w->nodes[0], 0, i % KEYS, 2000, KAMA_TTL_FOREVER);
    }
    world_run(w, KM_NS_PER_S);
    assert_int_equal(shown(&w->nodes[1], 1), 0);
    w->nodes[0].slow = false;
    struct wire *wire = wire_of(&w->nodes[0], &w->nodes[1]);
    km_sync_out_writable(wire->out);
    world_run(w, KM_NS_PER_S);
    check_all_equal(w);
    assert_true(w->queued_max <=
                KM_SYNC_QUEUED_BYTES + KM_SYNC_FRAME_BYTES + 512);
    world_free(w);
}

/* A node that is stopped for 15 s while others write: it is told of once as unsynced, once
 * as in sync again. */
static void test_unsynced(void **state)
{
    (void)state;
    struct world *w = world_new(3, 2);
    struct node *n = w->nodes;
    block(w, 0, 1, true);
    block(w, 1, 0, true);
    for (unsigned i = 0; i < 150; i++) {
        set(&n[0], i % KEYS);
        world_run(w, 100 * KM_NS_PER_MS);
        struct km_sync_member_info info = info_of_member(&n[0], &n[1]);
        assert_int_equal(info.unsynced, i > 20 ? 1 : info.unsynced);
        assert_int_equal(info.queue, i + 1);
        assert_in_range(info.lag, (i + 1) * 100 * KM_NS_PER_MS,
                        (i + 2) * 100 * KM_NS_PER_MS);
    }
    assert_int_equal(n[0].lines, 1);
    assert_non_null(strstr(n[0].last_line, "has not acknowledged"));
    block(w, 0, 1, false);
    block(w, 1, 0, false);
    world_run(w, 3 * KM_NS_PER_S);
    assert_int_equal(n[0].lines, 2);
    assert_non_null(strstr(n[0].last_line, "has all mutations again"));
    assert_false(info_of_member(&n[0], &n[1]).unsynced);
    assert_int_equal(info_of_member(&n[0], &n[1]).lag, 0);
    check_all_equal(w);
    world_free(w);
}

/* -- groups -------------------------------------------------------------------------------------------- */

/* A record of a group that node 1 does not have counts as applied. The group is added, and
 * invalidated; then older sets that come late are barred. */
static void test_unknown_group(void **state)
{
    (void)state;
    struct world *w = world_new(3, 3);
    struct node *n = w->nodes;
    n[1].hidden = 2;
    block(w, 2, 1, true);
    set_in(&n[2], 1, 1, 50, KAMA_TTL_FOREVER);
    world_run(w, 10 * KM_NS_PER_MS);
    del_in(&n[0], 1, 1);
    set(&n[0], 2);
    world_run(w, 10 * KM_NS_PER_MS);
    assert_int_equal(info_of_member(&n[1], &n[0]).received, 2);
    assert_int_not_equal(shown(&n[1], 2), 0);
    n[1].hidden = 0;
    on_invalidate(&n[1], 1);
    block(w, 2, 1, false);
    world_run(w, 3 * KM_NS_PER_S);
    assert_int_equal(info_of_member(&n[1], &n[2]).received, 1);
    assert_int_equal(shown_in(&n[1], 1, 1), 0);
    set_in(&n[0], 1, 3, 50, KAMA_TTL_FOREVER);
    world_run(w, 10 * KM_NS_PER_MS);
    check_all_equal(w);
    world_free(w);
}

/* -- sizes ----------------------------------------------------------------------------------------------- */

/* Twenty and more mutations in a frame: a Delete of a 16-byte key takes at most 35 bytes, a
 * Set of 16 and 100 bytes at most 140. */
static void test_sizes(void **state)
{
    (void)state;
    char key[17];
    char value[100] = {0};
    for (unsigned is_set = 0; is_set < 2; is_set++) {
        struct world *w = world_new(3, 2);
        struct node *n = &w->nodes[0];
        n->slow = true;
        act_as(n, 0, 0, 0);
        for (unsigned i = 0; i < 1000; i++) {
            (void)snprintf(key, sizeof key, "key-%012u", i);
            kama_bytes k = kama_bytes_make(key, 16);
            if (is_set != 0) {
                assert_int_equal(kama_set(n->groups[0], k,
                                          kama_bytes_make(value, 100), NULL),
                                 KAMA_OK);
            } else {
                assert_int_equal(kama_del(n->groups[0], k, NULL), KAMA_MISS);
            }
            if (i % 20 == 19) {
                w->sim.now += 3 * KM_NS_PER_MS;
            }
        }
        n->slow = false;
        uint64_t before = w->bytes;
        km_sync_grew(n->sync);
        world_run(w, 100 * KM_NS_PER_MS);
        assert_int_equal(info_of_member(n, &w->nodes[1]).acked, 1000);
        uint64_t bytes = w->bytes - before;
        assert_in_range(bytes, 1000, (is_set != 0 ? 136 : 31) * 1000);
        world_free(w);
    }
}

/* What one node has sent to another one is what that one has received, and all of it is
 * what the network has carried, Hello and answers included. */
static void test_bytes(void **state)
{
    (void)state;
    struct world *w = world_new(3, 2);
    struct node *n = w->nodes;
    set_in(&n[0], 0, 1, 5000, KAMA_TTL_FOREVER);
    set_in(&n[1], 0, 2, 100000, KAMA_TTL_FOREVER);
    world_run(w, 5 * KM_NS_PER_S);
    struct km_sync_member_info to = info_of_member(&n[0], &n[1]);
    struct km_sync_member_info from = info_of_member(&n[1], &n[0]);
    world_run(w, KM_NS_PER_MS); /* what has been on its way */
    assert_int_equal(info_of_member(&n[1], &n[0]).bytes_received,
                     to.bytes_sent);
    assert_int_equal(info_of_member(&n[0], &n[1]).bytes_received,
                     from.bytes_sent);
    assert_int_equal(to.bytes_sent + from.bytes_sent,
                     w->bytes + w->reply_bytes);
    assert_true(to.bytes_sent > 5000 && from.bytes_sent > 100000);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_travels),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_value_is_gone),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_blocked),
        cmocka_unit_test(test_heartbeats),
        cmocka_unit_test(test_heartbeat_while_waiting),
        cmocka_unit_test(test_acks),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_aged),
        cmocka_unit_test(test_younger_node),
        cmocka_unit_test(test_no_gap_at_the_beginning),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_large_is_cut),
        cmocka_unit_test(test_large_are_many),
        cmocka_unit_test(test_large_is_slow),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_values_for_some),
        cmocka_unit_test(test_unsynced),
        cmocka_unit_test(test_unknown_group),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
