/* SPDX-License-Identifier: MIT */
/* ctest: labels=onethread timeout=120 */
/*
 * One schedule for each rule of the synchronized groups (docs/CLUSTER.md): with the rule the
 * promises hold, and without it one of them is broken. So each rule is needed, and this
 * program shows for what. The schedules are the shortest ones that a search over all
 * schedules of a small model has found; seeds alone (sync_sim_test.c) would miss the
 * rare ones.
 *
 * The nodes are whole ones in one thread (sim/sync_world.h). A schedule holds loads, blocks
 * single streams, and lets a node learn late, so that its steps come in this order.
 */
#include "sim/sync_faults.h"
#include "store/rules.h"
#include "sync/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The rules that are off. */
struct off {
    unsigned world; /* enum cw_rule */
    unsigned store; /* enum km_store_rule */
    unsigned sync;  /* enum km_sync_rule */
};

struct trial {
    struct sc_run run;
    unsigned next_op;
};

/* -- the parts of a schedule ----------------------------------------------------- */

static struct cw *world(struct trial *t)
{
    return &t->run.cc.cw;
}

static void pass(struct trial *t, unsigned ms)
{
    cw_run(world(t), ms * CW_MS);
}

static struct cw_node *at(struct trial *t, unsigned place)
{
    struct cw_node *node = cc_running_at(&t->run.cc, place);
    assert_non_null(node);
    return node;
}

/* Starts so many nodes, and waits until they are members of one view. */
static void begin_with(struct trial *t, unsigned nodes, const struct off *off,
                       int64_t slow_clock_ms, const struct sw_plan *plan)
{
    sc_begin(&t->run, 1, off->world, plan);
    t->next_op = 0;
    t->run.cc.cw.says = getenv("KAMA_SAYS") != NULL;
    world(t)->net.delay_spread = 0;
    km_store_broken = off->store;
    km_sync_broken = off->sync;
    for (unsigned place = 0; place < nodes; place++) {
        struct cw_node *node = cw_start(world(t), place);
        node->net->clock_skew_ms = place == 2 ? -slow_clock_ms : 0;
    }
    pass(t, 5000);
    assert_true(cf_is_calm(&t->run.cc));
    CW_SAY(world(t), "-- begin");
}

static void begin(struct trial *t, unsigned nodes, const struct off *off,
                  int64_t slow_clock_ms)
{
    const struct sw_plan plan = {.has_loader = true, .group_bytes = 256u << 10};
    begin_with(t, nodes, off, slow_clock_ms, &plan);
}

static unsigned owner_place(struct trial *t, unsigned key)
{
    struct km_peers_routing routing;
    km_peers_routing(at(t, 1)->peers, cf_take_routing, &routing);
    size_t owner = km_placement_owner(
        routing.placement, km_owner_slot(km_owner_seed(CW_GROUP), cw_key(key)));
    const char *address = km_placement_address(routing.placement, owner);
    return (unsigned)(address[7] - '1');
}

/* Returns the first key from `key` on that the node at a place owns. */
static unsigned key_from(struct trial *t, unsigned place, unsigned key)
{
    while (key < CW_KEYS && owner_place(t, key) != place) {
        key++;
    }
    assert_true(key < CW_KEYS);
    return key;
}

static unsigned key_of(struct trial *t, unsigned place)
{
    return key_from(t, place, 0);
}

static struct cc_op *get(struct trial *t, struct cw_node *node, unsigned key)
{
    struct cc_op *op = &t->run.cc.ops[t->next_op++];
    CW_SAY(world(t), "get k%u at %u", key, node->place);
    cc_get(op, node, key, 0);
    return op;
}

/* Gets a key, and waits for the answer. */
static uint64_t read_now(struct trial *t, struct cw_node *node, unsigned key)
{
    struct cc_op *op = get(t, node, key);
    pass(t, 400);
    assert_false(op->busy);
    return op->value;
}

static void write_database(struct trial *t, unsigned key)
{
    world(t)->db[key] = ++t->run.cc.newest[key];
    CW_SAY(world(t), "the database has k%u=%u", key,
           (unsigned)world(t)->db[key]);
}

static void never_done(struct km_mutate_op *op, kama_status status,
                       const char *sentence)
{
    (void)op;
    (void)sentence;
    fail_msg("a mutation was put off, and has ended with %d", (int)status);
}

/* Sets or deletes a key at a node; its value is the one of the database. */
static void mutate(struct trial *t, struct cw_node *node,
                   enum km_mutation_kind kind, unsigned key)
{
    char text[24];
    struct km_mutate_op op = {.done = never_done};
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    (void)snprintf(text, sizeof text, "%llu",
                   (unsigned long long)world(t)->db[key]);
    struct km_mutate_order order = {.kind = kind,
                                    .from = KM_MUTATE_FOR_CALLER,
                                    .patience = KM_MUTATE_PARKS,
                                    .key = cw_key(key),
                                    .value = KAMA_STR(text),
                                    .ctx = &ctx};
    CW_SAY(world(t), "%s k%u at %u", kind == KM_MUTATION_SET ? "set" : "delete",
           key, node->place);
    assert_true(km_mutate_op_start(node->group, &op, &order) >= KAMA_OK);
    cc_acknowledge(&t->run.cc, node, key, world(t)->db[key]);
    pass(t, 2);
}

static void set(struct trial *t, struct cw_node *node, unsigned key)
{
    mutate(t, node, KM_MUTATION_SET, key);
}

static void del(struct trial *t, struct cw_node *node, unsigned key)
{
    mutate(t, node, KM_MUTATION_DELETE, key);
}

/* The stream of one node to another is held, and goes on. */
static void hold_stream(struct trial *t, const struct cw_node *from,
                        const struct cw_node *to)
{
    t->run.sw.streams.blocked[from->net->index][to->net->index] = true;
}

static void let_stream(struct trial *t, const struct cw_node *from,
                       const struct cw_node *to)
{
    t->run.sw.streams.blocked[from->net->index][to->net->index] = false;
}

/* The process is killed, and its lease ends at once. */
static void crash(struct trial *t, struct cw_node *node)
{
    int64_t lease = km_membership_lease_id(node->membership);
    cw_kill(node);
    sim_registry_revoke(&world(t)->registry, lease);
}

/* A node that learns late does not reach the registry. */
static void learn_late(struct cw_node *node)
{
    sim_client_cut(&node->client);
}

static void learn(struct trial *t, struct cw_node *node)
{
    cf_mend_registry(node);
    pass(t, 800);
}

/* Mends everything, and returns whether the promises were kept. */
static bool is_kept(struct trial *t)
{
    CW_SAY(world(t), "-- end");
    memset(t->run.sw.streams.blocked, 0, sizeof t->run.sw.streams.blocked);
    world(t)->net.answers_late = 0;
    cw_release_loads(world(t));
    cf_mend(&t->run.cc);
    for (unsigned i = 0; i < 30 && !cf_is_calm(&t->run.cc); i++) {
        pass(t, 1000);
    }
    pass(t, 3000);
    cp_expect_one_view(&t->run.cc);
    sc_expect_agreement(&t->run);
    bool kept = t->run.cc.why[0] == '\0';
    if (!kept) {
        print_message("%s\n", t->run.cc.why);
    }
    sc_end(&t->run);
    return kept;
}

/* -- schedules --------------------------------------------------------------------- */

typedef bool (*schedule)(struct trial *t, const struct off *off);

/* With all rules the schedule keeps the promises, and without these it does not. */
static void assert_needed(schedule run, struct off off)
{
    static struct trial t;
    const struct off nothing = {0, 0, 0};
    assert_true(run(&t, &nothing));
    assert_false(run(&t, &off));
    km_store_broken = 0;
    km_sync_broken = 0;
}

/* R1: the version of a mutation is in the log, and reaches the other node, before it acts
 * here. */
static bool one_step(struct trial *t, const struct off *off)
{
    begin(t, 2, off, 0);
    unsigned key = key_of(t, 0);
    (void)read_now(t, at(t, 0), key);
    write_database(t, key);
    if (off->world == 0) {
        del(t, at(t, 0), key);
        (void)read_now(t, at(t, 1), key);
        return is_kept(t);
    }
    const struct km_asking asking = {.kind = KM_APPLY_DELETE,
                                     .key = cw_key(key)};
    struct km_group_record record = {.kind = KM_APPLY_DELETE,
                                     .key = cw_key(key)};
    record.version =
        sw_originate(at(t, 0), at(t, 0)->group->sync_number, &asking, NULL);
    pass(t, 100);
    (void)read_now(t, at(t, 1), key);
    (void)km_group_apply(at(t, 0)->group, &record);
    return is_kept(t);
}

static void test_r1_version_and_effect_are_one_step(void **state)
{
    (void)state;
    assert_needed(one_step, (struct off){.world = CW_SPLIT});
}

/* R3: the ring of node 0 is older than node 1, which has begun anew. */
static bool old_ring(struct trial *t, const struct off *off)
{
    begin(t, 2, off, 0);
    unsigned key = key_of(t, 0);
    write_database(t, key);
    set(t, at(t, 0), key);
    pass(t, 100);
    hold_stream(t, at(t, 1), at(t, 0));
    write_database(t, key);
    del(t, at(t, 1), key);
    cw_kill(at(t, 1));
    at(t, 0)->net->busy = 500 * CW_MS; /* between noticing and adopting */
    (void)cw_start(world(t), 1);
    pass(t, 2000);
    return is_kept(t);
}

static void test_r3_a_younger_node_gets_a_gap(void **state)
{
    (void)state;
    assert_needed(old_ring, (struct off){.sync = KM_SYNC_R3_FIRST_GAP});
}

/* R4: a get that begins after a mutation does not join a load from before. */
static bool joined_load(struct trial *t, const struct off *off)
{
    begin(t, 2, off, 0);
    unsigned key = key_of(t, 0);
    world(t)->holds_loads = true;
    (void)get(t, at(t, 0), key);
    pass(t, 10);
    write_database(t, key);
    del(t, at(t, 0), key);
    (void)get(t, at(t, 0), key);
    pass(t, 10);
    return is_kept(t);
}

static void test_r4_flights_are_detached(void **state)
{
    (void)state;
    assert_needed(joined_load, (struct off){.store = KM_STORE_R4_DETACH});
}

/* R4, R8: the owner has not heard of a delete at the node that asks it. */
static bool deaf_owner(struct trial *t, const struct off *off)
{
    begin(t, 2, off, 0);
    unsigned key = key_of(t, 0);
    (void)read_now(t, at(t, 0), key);
    hold_stream(t, at(t, 1), at(t, 0));
    write_database(t, key);
    del(t, at(t, 1), key);
    (void)read_now(t, at(t, 1), key);
    return is_kept(t);
}

static void test_r4_a_delete_raises_the_floor(void **state)
{
    (void)state;
    assert_needed(deaf_owner, (struct off){.store = KM_STORE_R4_FLOOR});
}

static void test_r8_a_fill_waits_for_what_it_needs(void **state)
{
    (void)state;
    assert_needed(deaf_owner, (struct off){.world = CW_NO_NEEDS});
}

/* R4: the clock of node 2 is slow, so that a Set that was deleted by a node that has died
 * is above its floors when it has invalidated. */
static bool late_set(struct trial *t, const struct off *off)
{
    begin(t, 3, off, 5000);
    unsigned key = key_of(t, 0);
    hold_stream(t, at(t, 0), at(t, 2));
    hold_stream(t, at(t, 1), at(t, 2));
    write_database(t, key);
    set(t, at(t, 0), key);
    pass(t, 50);
    hold_stream(t, at(t, 1), at(t, 0));
    write_database(t, key);
    del(t, at(t, 1), key);
    crash(t, at(t, 1));
    pass(t, 600);
    let_stream(t, at(t, 0), at(t, 2));
    pass(t, 3000);
    return is_kept(t);
}

static void test_r4_old_sets_are_dropped_after_an_invalidation(void **state)
{
    (void)state;
    assert_needed(late_set, (struct off){.sync = KM_SYNC_R4_VIEW_GATE});
}

/* R5: two sets, and the node with the newer one has evicted it. */
static bool evicted(struct trial *t, const struct off *off)
{
    begin(t, 2, off, 0);
    unsigned key = key_of(t, 0);
    hold_stream(t, at(t, 0), at(t, 1));
    hold_stream(t, at(t, 1), at(t, 0));
    write_database(t, key);
    set(t, at(t, 0), key);
    pass(t, 10);
    write_database(t, key);
    set(t, at(t, 1), key);
    sw_evict(at(t, 1), key);
    let_stream(t, at(t, 0), at(t, 1));
    pass(t, 100);
    return is_kept(t);
}

static void test_r5_eviction_raises_the_floor(void **state)
{
    (void)state;
    assert_needed(evicted, (struct off){.store = KM_STORE_R5_FLOOR});
}

/* R6: node 1 invalidates what it has set itself. The store raises its floors for each
 * explicit entry that it forgets then (R5), so that both rules have to be off. */
static bool own_set(struct trial *t, const struct off *off)
{
    begin(t, 2, off, 0);
    unsigned key = key_of(t, 0);
    learn_late(at(t, 1));
    write_database(t, key);
    cw_kill(at(t, 0));
    struct cw_node *younger = cw_start(world(t), 0);
    for (unsigned i = 0; i < 200 && !younger->is_active; i++) {
        pass(t, 20);
    }
    assert_true(younger->is_active);
    hold_stream(t, at(t, 1), younger);
    set(t, younger, key);
    pass(t, 10);
    write_database(t, key);
    set(t, at(t, 1), key);
    learn(t, at(t, 1));
    (void)read_now(t, at(t, 1), key);
    return is_kept(t);
}

static void test_r6_floors_rise_to_the_own_clock(void **state)
{
    (void)state;
    assert_needed(own_set, (struct off){.store = KM_STORE_R5_FLOOR,
                                        .sync = KM_SYNC_R6_OWN_CLOCK});
}

/* R7: a load that has read before a delete ends behind it. */
static bool late_load(struct trial *t, const struct off *off)
{
    begin(t, 2, off, 0);
    unsigned key = key_of(t, 0);
    world(t)->holds_loads = true;
    (void)get(t, at(t, 0), key);
    pass(t, 10);
    write_database(t, key);
    del(t, at(t, 0), key);
    cw_release_loads(world(t));
    pass(t, 100);
    return is_kept(t);
}

static void test_r7_a_load_that_was_overtaken_is_not_kept(void **state)
{
    (void)state;
    assert_needed(late_load, (struct off){.store = KM_STORE_TOKEN});
}

/* R8: the answer of the owner comes behind its delete. */
static bool late_answer(struct trial *t, const struct off *off)
{
    begin(t, 2, off, 0);
    unsigned key = key_of(t, 0);
    (void)read_now(t, at(t, 0), key);
    world(t)->net.answers_late = 200 * CW_MS;
    (void)get(t, at(t, 1), key);
    pass(t, 10);
    write_database(t, key);
    del(t, at(t, 0), key);
    pass(t, 400);
    return is_kept(t);
}

static void test_r8_an_answer_that_was_overtaken_is_not_kept(void **state)
{
    (void)state;
    assert_needed(late_answer, (struct off){.store = KM_STORE_TOKEN});
}

/* R8: the owner hears of the delete while it has the question. */
static bool checked_late(struct trial *t, const struct off *off)
{
    begin(t, 2, off, 0);
    unsigned key = key_of(t, 0);
    (void)read_now(t, at(t, 0), key);
    hold_stream(t, at(t, 1), at(t, 0));
    write_database(t, key);
    del(t, at(t, 1), key);
    (void)get(t, at(t, 1), key);
    pass(t, 5);
    let_stream(t, at(t, 1), at(t, 0));
    pass(t, 300);
    return is_kept(t);
}

static void test_r8_the_entry_is_read_behind_the_check(void **state)
{
    (void)state;
    assert_needed(checked_late, (struct off){.world = CW_READ_FIRST});
}

/* R8: the owner has not learned that a node has left, and has only its set. */
static bool old_view(struct trial *t, const struct off *off)
{
    begin(t, 3, off, 0);
    unsigned key = key_of(t, 1);
    hold_stream(t, at(t, 0), at(t, 2));
    write_database(t, key);
    set(t, at(t, 0), key);
    pass(t, 100);
    hold_stream(t, at(t, 0), at(t, 1));
    write_database(t, key);
    del(t, at(t, 0), key);
    learn_late(at(t, 1));
    crash(t, at(t, 0));
    pass(t, 300);
    (void)read_now(t, at(t, 2), key);
    return is_kept(t);
}

static void test_r8_a_fill_waits_for_the_view(void **state)
{
    (void)state;
    assert_needed(old_view, (struct off){.world = CW_ANY_VIEW});
}

/* R8: the same, and the owner has learned it, but its streams have not, because the news
 * is on its way from loop to loop. So it has not dropped yet what the node has set. */
static bool half_a_view(struct trial *t, const struct off *off)
{
    begin(t, 3, off, 0);
    unsigned key = key_of(t, 1);
    hold_stream(t, at(t, 0), at(t, 2));
    write_database(t, key);
    set(t, at(t, 0), key);
    pass(t, 100);
    hold_stream(t, at(t, 0), at(t, 1));
    write_database(t, key);
    del(t, at(t, 0), key);
    sw_node_of(at(t, 1))->mail = 40 * CW_MS;
    crash(t, at(t, 0));
    pass(t, 20);
    for (unsigned i = 0; i < 20; i++) {
        (void)get(t, at(t, 2), key);
        pass(t, 10);
    }
    pass(t, 300);
    return is_kept(t);
}

static void test_r8_a_fill_waits_until_the_streams_have_the_view(void **state)
{
    (void)state;
    assert_needed(half_a_view, (struct off){.world = CW_PEERS_VIEW});
}

/* R10: a life goes by between two views of node 1. */
static bool unseen_life(struct trial *t, const struct off *off)
{
    begin(t, 2, off, 0);
    unsigned key = key_of(t, 0);
    crash(t, at(t, 0));
    pass(t, 1000);
    learn_late(at(t, 1));
    struct cw_node *younger = cw_start(world(t), 0);
    for (unsigned i = 0; i < 200 && !younger->is_active; i++) {
        pass(t, 20);
    }
    assert_true(younger->is_active);
    world(t)->holds_loads = true;
    (void)get(t, at(t, 1), key);
    pass(t, 10);
    write_database(t, key);
    del(t, younger, key);
    crash(t, younger);
    learn(t, at(t, 1));
    return is_kept(t);
}

static void test_r10_registrations_are_counted(void **state)
{
    (void)state;
    assert_needed(unseen_life, (struct off){.world = CW_NO_JOINS});
}

/* R11: a node that stops could not send its last delete. */
static bool unheard_goodbye(struct trial *t, const struct off *off)
{
    begin(t, 2, off, 0);
    unsigned key = key_of(t, 0);
    world(t)->holds_loads = true;
    (void)get(t, at(t, 0), key);
    pass(t, 10);
    hold_stream(t, at(t, 1), at(t, 0));
    write_database(t, key);
    del(t, at(t, 1), key);
    cw_release_loads(world(t));
    pass(t, 50);
    cw_stop(at(t, 1));
    pass(t, 6000);
    return is_kept(t);
}

static void test_r11_a_goodbye_counts_only_at_its_end(void **state)
{
    (void)state;
    assert_needed(unheard_goodbye, (struct off){.sync = KM_SYNC_R11_BEHIND});
}

/* R12: node 0 was given up, deletes a key, and registers again. */
static bool given_up(struct trial *t, const struct off *off)
{
    begin(t, 2, off, 0);
    unsigned key = key_of(t, 0);
    int64_t lease = km_membership_lease_id(at(t, 0)->membership);
    learn_late(at(t, 0));
    sim_registry_revoke(&world(t)->registry, lease);
    pass(t, 1000);
    world(t)->holds_loads = true;
    (void)get(t, at(t, 1), key);
    pass(t, 10);
    write_database(t, key);
    del(t, at(t, 0), key);
    cf_mend_registry(at(t, 0));
    pass(t, 500);
    cw_release_loads(world(t));
    pass(t, 5000);
    return is_kept(t);
}

/* Either of the two tells the others: the Gap of a new life, and its seq 1. */
static void test_r12_a_new_life_tells_of_what_was_not_told(void **state)
{
    (void)state;
    assert_needed(given_up, (struct off){.world = CW_NO_SEQ_1,
                                         .sync = KM_SYNC_R12_FIRST});
}

/* A node dies with a delete that nobody has heard of. */
static bool died(struct trial *t, const struct off *off)
{
    begin(t, 2, off, 0);
    unsigned key = key_of(t, 0);
    (void)read_now(t, at(t, 0), key);
    hold_stream(t, at(t, 1), at(t, 0));
    write_database(t, key);
    del(t, at(t, 1), key);
    crash(t, at(t, 1));
    pass(t, 1000);
    return is_kept(t);
}

static void test_an_unclean_leave_invalidates(void **state)
{
    (void)state;
    assert_needed(died, (struct off){.sync = KM_SYNC_R11_BEHIND});
}

/* R17: node 1 keeps what it has fetched, and hears of a set whose value does not go to
 * it. */
static bool unheard_set(struct trial *t, const struct off *off)
{
    const struct sw_plan plan = {.strategy = "invalidate",
                                 .has_loader = true,
                                 .group_bytes = 256u << 10};
    begin_with(t, 2, off, 0, &plan);
    unsigned key = key_of(t, 0);
    (void)read_now(t, at(t, 1), key);
    write_database(t, key);
    set(t, at(t, 0), key);
    pass(t, 100);
    return is_kept(t);
}

static void test_r17_who_gets_no_value_hears_of_it(void **state)
{
    (void)state;
    assert_needed(unheard_set, (struct off){.sync = KM_SYNC_R17_DROP});
}

/* A delete of a client that waits. Returns it. */
static struct cc_op *delete_later(struct trial *t, struct cw_node *node,
                                  unsigned key)
{
    struct cc_op *op = &t->run.cc.ops[t->next_op++];
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    op->kind = CC_DELETE;
    op->busy = true;
    op->key = key;
    op->target = world(t)->db[key];
    op->at = node;
    op->mutate = (struct km_mutate_op){.done = cc_mutate_done};
    const struct km_mutate_order order = {.kind = KM_MUTATION_DELETE,
                                          .from = KM_MUTATE_FOR_CALLER,
                                          .patience = KM_MUTATE_PARKS,
                                          .key = cw_key(key),
                                          .ctx = &ctx};
    CW_SAY(world(t), "delete k%u at %u", key, node->place);
    assert_int_equal(km_mutate_op_start(node->group, &op->mutate, &order),
                     KAMA_DEFERRED);
    return op;
}

/* R10: the only member that has acknowledged the delete of node 2 was given up meanwhile.
 * Node 2 dies, and nobody in the view has heard of it. Node 2 has noticed the view and not
 * adopted it yet, and its sync loop hears of that before it hears that a client waits. */
static bool expelled_witness(struct trial *t, const struct off *off)
{
    const struct sw_plan plan = {.has_loader = true,
                                 .group_bytes = 256u << 10,
                                 .ack = KM_SYNC_ACK_ONE,
                                 .mail = 60 * CW_MS};
    begin_with(t, 3, off, 0, &plan);
    struct cw_node *expelled = at(t, 1);
    struct cw_node *origin = at(t, 2);
    unsigned key = key_of(t, 0);
    int64_t lease = km_membership_lease_id(expelled->membership);
    (void)read_now(t, at(t, 0), key);
    hold_stream(t, origin, at(t, 0));
    learn_late(expelled);
    sw_node_of(origin)->adopts_late = KM_NS_PER_S;
    sim_registry_revoke(&world(t)->registry, lease);
    while (!sw_node_of(origin)->news.is_posted) {
        pass(t, 1);
    }
    write_database(t, key);
    struct cc_op *op = delete_later(t, origin, key);
    pass(t, 100);
    bool is_acknowledged = !op->busy;
    assert_int_equal(is_acknowledged, off->sync != 0);
    crash(t, origin);
    pass(t, 1000);
    return is_kept(t);
}

static void test_r10_whose_acknowledgements_count(void **state)
{
    (void)state;
    assert_needed(expelled_witness,
                  (struct off){.sync = KM_SYNC_R10_WHOSE_ACKS});
}

/* -- schedules of rules that no promise depends on --------------------------------- */

/* R8: the owner has not heard of deletes at the node that asks it. It waits for the first
 * of them, and not again for half a second. */
static void test_r8_what_is_lacking_is_waited_for_once(void **state)
{
    static struct trial t;
    const struct off nothing = {0, 0, 0};
    unsigned keys[3];
    (void)state;
    begin(&t, 2, &nothing, 0);
    for (unsigned i = 0; i < 3; i++) {
        keys[i] = key_from(&t, 1, i > 0 ? keys[i - 1] + 1 : 0);
    }
    hold_stream(&t, at(&t, 0), at(&t, 1));
    for (unsigned i = 0; i < 3; i++) {
        write_database(&t, keys[i]);
        del(&t, at(&t, 0), keys[i]);
    }
    unsigned before = world(&t)->fence_waits;
    struct cc_op *op = get(&t, at(&t, 0), keys[0]);
    pass(&t, 40);
    assert_true(op->busy);
    pass(&t, 300);
    assert_false(op->busy);
    assert_int_equal(op->value, world(&t)->db[keys[0]]);
    assert_int_equal(world(&t)->fence_waits, before + 1);
    assert_int_equal(read_now(&t, at(&t, 0), keys[1]), world(&t)->db[keys[1]]);
    assert_int_equal(world(&t)->fence_waits, before + 1);
    pass(&t, 600);
    (void)read_now(&t, at(&t, 0), keys[2]);
    assert_int_equal(world(&t)->fence_waits, before + 2);
    assert_true(is_kept(&t));
}

/* Starts three nodes without a loader, which all have a key of node 0. */
static unsigned begin_without_loader(struct trial *t)
{
    const struct off nothing = {0, 0, 0};
    const struct sw_plan plan = {.group_bytes = 256u << 10};
    begin_with(t, 3, &nothing, 0, &plan);
    unsigned key = key_of(t, 0);
    write_database(t, key);
    set(t, at(t, 0), key);
    pass(t, 100);
    return key;
}

/* R8: without a loader the node that ranks next answers when the owner does not. */
static void test_r8_the_next_node_answers(void **state)
{
    static struct trial t;
    (void)state;
    unsigned key = begin_without_loader(&t);
    sw_evict(at(&t, 1), key);
    cw_kill(at(&t, 0));
    struct cc_op *op = get(&t, at(&t, 1), key);
    pass(&t, 1900);
    assert_false(op->busy);
    assert_int_equal(op->status, KAMA_OK);
    assert_int_equal(op->value, world(&t)->db[key]);
    assert_true(is_kept(&t));
}

/* R9: without a loader an owner that has nothing asks the node that ranks next, also when
 * it has always been the owner. */
static void test_r9_an_owner_without_a_loader_peeks(void **state)
{
    static struct trial t;
    (void)state;
    unsigned key = begin_without_loader(&t);
    pass(&t, 70000);
    sw_evict(at(&t, 0), key);
    assert_int_equal(read_now(&t, at(&t, 0), key), world(&t)->db[key]);
    assert_true(sw_look(at(&t, 0), key).is_there);
    assert_true(is_kept(&t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_r1_version_and_effect_are_one_step),
        cmocka_unit_test(test_r3_a_younger_node_gets_a_gap),
        cmocka_unit_test(test_r4_flights_are_detached),
        cmocka_unit_test(test_r4_a_delete_raises_the_floor),
        cmocka_unit_test(test_r4_old_sets_are_dropped_after_an_invalidation),
        cmocka_unit_test(test_r5_eviction_raises_the_floor),
        cmocka_unit_test(test_r6_floors_rise_to_the_own_clock),
        cmocka_unit_test(test_r7_a_load_that_was_overtaken_is_not_kept),
        cmocka_unit_test(test_r8_an_answer_that_was_overtaken_is_not_kept),
        cmocka_unit_test(test_r8_a_fill_waits_for_what_it_needs),
        cmocka_unit_test(test_r8_the_entry_is_read_behind_the_check),
        cmocka_unit_test(test_r8_a_fill_waits_for_the_view),
        cmocka_unit_test(test_r8_a_fill_waits_until_the_streams_have_the_view),
        cmocka_unit_test(test_r10_registrations_are_counted),
        cmocka_unit_test(test_r10_whose_acknowledgements_count),
        cmocka_unit_test(test_r11_a_goodbye_counts_only_at_its_end),
        cmocka_unit_test(test_r12_a_new_life_tells_of_what_was_not_told),
        cmocka_unit_test(test_an_unclean_leave_invalidates),
        cmocka_unit_test(test_r8_what_is_lacking_is_waited_for_once),
        cmocka_unit_test(test_r8_the_next_node_answers),
        cmocka_unit_test(test_r9_an_owner_without_a_loader_peeks),
        cmocka_unit_test(test_r17_who_gets_no_value_hears_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
