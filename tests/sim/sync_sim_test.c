/* SPDX-License-Identifier: MIT */
/* ctest: labels=onethread timeout=240 */
/*
 * Clusters of synchronized groups by seed: clients (sim/sync_clients.h) read and write
 * through any node of a cluster (sim/sync_world.h) in which things break
 * (sim/sync_faults.h). Whole nodes run in one thread, with the real group, store,
 * placement, membership and streams. A seed decides how the nodes are (strategy, loader,
 * clocks, size of the ring, long values) and what breaks. Throughout a run, and when everything
 * was mended, it is checked that
 *
 *     no node reads older than its own writes;
 *     no get is stale when 5 s have passed since all was mended;
 *     what all have acknowledged shows on all, and what one has is not undone when its
 *     node dies;
 *     all nodes have one explicit value of each key or none, and nothing is undone;
 *     each node answers each key with what the database has;
 *     keys that nobody has are loaded once in the whole cluster, and then kept by all
 *     whose strategy says so, and by nobody else;
 *     the memory of a node, the ring and the queues are bounded.
 *
 *     KAMA_SEED=N     the first seed; with KAMA_SEEDS=1 its steps are printed
 *     KAMA_SEEDS=N    how many seeds run
 *     KAMA_SKIP=1,5   the numbers of faults that do not happen
 *     KAMA_STORE_RULES=N    the rules that are off (store/rules.h), as bits
 *     KAMA_SYNC_RULES=N  those of src/sync (sync/rules.h)
 *     KAMA_BROKEN=N   the rules that are broken (enum cw_rule)
 *
 * A seed that violates something is run again and again with fewer faults, and what is left
 * is printed with the variables that repeat it. `./dev sim` runs many seeds.
 */
#include "sim/sync_faults.h"
#include "store/rules.h"
#include "sync/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SEEDS 300u
/* The blocks of memory of a node that does nothing, which are about 80. */
#define BLOCKS_MAX 200

static struct {
    unsigned long long ops[CC_KINDS];
    unsigned long long faults[SF_KINDS];
    unsigned long long failed_gets, mutations, invalidations, messages;
    unsigned long long clears_elsewhere;
    unsigned long long acknowledged, unsynced;
    long long blocks;
    size_t waiting;
} totals;

/* What a seed has chosen. */
struct choice {
    struct sw_plan plan;
    unsigned kinds; /* of faults */
    unsigned nodes;
    km_ns load_max, delay_spread, fault_span;
    size_t value_bytes;
    bool touches;
    bool sets;
    bool is_narrow;  /* there are two keys only */
    bool is_quiet;   /* nothing is written when all was mended */
    unsigned writes; /* of a thousand clients, while things break */
    unsigned deaths; /* of a thousand acknowledgements meanwhile */
};

/* The places 1 and 3 have the label. */
static const char *const strategies[] = {
    "invalidate", "shard:1",  "shard:2",
    "shard:3",    "peers:eu", "peers:10.0.0.1:8001+10.0.0.4:8001"};

static struct choice choose(uint64_t seed)
{
    struct sim_world dice = {.random = seed * UINT64_C(0xd6e8feb86659fd93)};
    struct choice c = {.kinds = 0};
    (void)sim_random(&dice);
    c.plan.has_loader = sim_chance(&dice, 800);
    c.plan.ring_bytes =
        sim_chance(&dice, 500) ? 0 : (size_t)sim_between(&dice, 256, 2048);
    c.plan.skew_ms = sim_chance(&dice, 400) ? 2000 : 0;
    c.plan.small_bytes = sim_chance(&dice, 250) ? 300 : 0;
    c.plan.mail = sim_chance(&dice, 500) ? 0 : sim_between(&dice, 1, 3) * CW_MS;
    c.value_bytes = sim_chance(&dice, 500)   ? 0
                    : sim_chance(&dice, 850) ? 2000
                                             : 150000;
    c.plan.group_bytes = c.value_bytes > 2000 ? 8u << 20 : 256u << 10;
    c.kinds = (unsigned)sim_between(&dice, 1, (1u << SF_KINDS) - 1);
    c.nodes = (unsigned)sim_between(&dice, 2, 4);
    c.load_max = sim_between(&dice, 5, 300) * CW_MS;
    c.delay_spread = (sim_chance(&dice, 700) ? 5 : 100) * CW_MS;
    c.fault_span = sim_between(&dice, 4, 12) * KM_NS_PER_S;
    c.touches = sim_chance(&dice, 300);
    c.sets = sim_chance(&dice, 500);
    c.is_narrow = sim_chance(&dice, 400);
    c.is_quiet = sim_chance(&dice, 500);
    c.writes = sim_chance(&dice, 500) ? 150 : 400;
    if (sim_chance(&dice, 600)) {
        c.plan.strategy = strategies[sim_between(
            &dice, 0, sizeof strategies / sizeof strategies[0] - 1)];
        c.nodes = (unsigned)sim_between(&dice, 2, CW_PLACES);
    }
    c.plan.ack = (enum km_sync_ack)sim_between(&dice, 0, 2);
    c.deaths = sim_chance(&dice, 500) ? 20 : 0;
    return c;
}

/* -- a run -------------------------------------------------------------------- */

/* Clients come for a while. writes: of a thousand of them, those that write. */
static void live(struct sc_run *r, km_ns span, unsigned writes)
{
    struct sim_world *w = &r->cc.cw.world;
    km_ns until = w->now + span;
    while (w->now < until && r->cc.why[0] == '\0') {
        cw_run(&r->cc.cw, sim_between(w, 5, 60) * CW_MS);
        cc_step(&r->cc, writes);
    }
}

static void live_with_faults(struct sc_run *r, struct sf_faults *f,
                             uint64_t seed, const struct choice *c)
{
    struct sim_world *w = &r->cc.cw.world;
    km_ns until = w->now + c->fault_span;
    r->deaths = (c->kinds & SF_PROCESSES) != 0 ? c->deaths : 0;
    while (w->now < until && r->cc.why[0] == '\0') {
        live(r, sim_between(w, 100, 400) * CW_MS, c->writes);
        sf_step(r, f, seed);
    }
    r->deaths = 0;
}

/* If nothing is dropped, the nodes may differ in what only a dead node knew. */
static void expect_idle_agreement(struct sc_run *r, bool nodes_have_ended)
{
    cw_run(&r->cc.cw, 2 * KM_NS_PER_S);
    if (r->cc.why[0] == '\0' && (sw_drops(&r->sw.plan) || !nodes_have_ended)) {
        sc_expect_agreement(r);
    }
}

/* Runs until no process stands still. */
static void wake_up(struct sc_run *r)
{
    for (unsigned i = 0; i < r->cc.cw.node_count; i++) {
        while (cw_is_still(&r->cc.cw.nodes[i]) && r->cc.why[0] == '\0') {
            live(r, 500 * CW_MS, 100);
        }
    }
    r->cc.late_set = 0;
}

/* Runs until all nodes are members of one view, at most a minute. */
static void become_calm(struct sc_run *r)
{
    for (unsigned i = 0; i < 60 && !cf_is_calm(&r->cc); i++) {
        live(r, KM_NS_PER_S, 0);
    }
    cp_expect_one_view(&r->cc);
}

/* Returns whether every node keeps what it has fetched. */
static bool keeps_all(const struct sc_run *r)
{
    const char *strategy = r->sw.plan.strategy;
    return strategy == NULL || strncmp(strategy, "shard:", 6) != 0;
}

/* Every node has read every key: those that may keep it have it, and no other one. */
static void expect_holders(struct sc_run *r)
{
    for (unsigned i = 0; i < r->cc.cw.node_count; i++) {
        const struct cw_node *node = &r->cc.cw.nodes[i];
        for (unsigned key = 0; node->phase == CW_RUNS && key < CW_KEYS; key++) {
            bool may = km_group_keeps_fills(node->group, cw_key(key));
            if (sw_look(node, key).is_there != may) {
                cc_violate(&r->cc, "node %u %s k%u, which it %s", node->place,
                           may ? "lacks" : "has", key,
                           may ? "may keep" : "does not hold");
            }
        }
    }
}

static void expect_once(struct sc_run *r)
{
    for (unsigned key = 0; key < CW_KEYS; key++) {
        cc_write(&r->cc.ops[key], CC_DELETE, key);
    }
    cw_run(&r->cc.cw, 2 * KM_NS_PER_S);
    cp_expect_answers(&r->cc);
    unsigned loads = r->cc.cw.loads;
    cp_read_all(&r->cc, "after the last writes");
    if (r->cc.cw.loads - loads != CW_KEYS) {
        cc_violate(&r->cc, "%u keys were loaded %u times", CW_KEYS,
                   r->cc.cw.loads - loads);
    }
    unsigned calls = r->cc.cw.net.calls;
    cp_read_all(&r->cc, "what was kept");
    if (r->cc.cw.net.calls != calls && keeps_all(r)) {
        cc_violate(&r->cc, "%u values were not kept",
                   r->cc.cw.net.calls - calls);
    }
    expect_holders(r);
}

struct visit {
    struct sc_run *run;
    const struct cw_node *node;
};

/* When all is idle, the streams stand, everything was acknowledged, and nothing was sent
 * twice. */
static void expect_level(void *arg, const struct km_sync_member_info *info)
{
    const struct visit *visit = arg;
    if (info->state != KM_SYNC_PEER_IN_SYNC || info->queue != 0 ||
        info->unsynced || info->duplicates != 0) {
        cc_violate(
            &visit->run->cc,
            "the stream of node %u to %s is %s, %llu mutations wait, and "
            "%llu came twice",
            visit->node->place, info->address,
            km_sync_peer_state_name(info->state),
            (unsigned long long)info->queue,
            (unsigned long long)info->duplicates);
    }
}

static void expect_bounds(struct sc_run *r, const struct choice *c)
{
    size_t most = KM_SYNC_QUEUED_BYTES + 2 * KM_SYNC_FRAME_BYTES;
    (void)c;
    for (unsigned i = 0; i < r->cc.cw.node_count; i++) {
        const struct cw_node *node = &r->cc.cw.nodes[i];
        long long blocks = atomic_load(&node->mem.live_blocks);
        if (node->phase == CW_RUNS) {
            struct visit visit = {r, node};
            km_sync_check(sw_node_of(node)->sync);
            km_sync_visit(sw_node_of(node)->sync, expect_level, &visit);
            totals.blocks = blocks > totals.blocks ? blocks : totals.blocks;
        }
        if (node->phase == CW_RUNS && blocks > BLOCKS_MAX) {
            cc_violate(&r->cc, "node %u has %lld blocks of memory", node->place,
                       blocks);
        }
    }
    if (r->sw.streams.most_waiting > most) {
        cc_violate(&r->cc, "%zu bytes have waited in a stream",
                   r->sw.streams.most_waiting);
    }
}

/* If nothing is dropped, the nodes agree after the next write. */
static void write_each_key(struct sc_run *r)
{
    for (unsigned key = 0; key < CW_KEYS; key++) {
        cc_write(&r->cc.ops[key], key % 2 == 0 ? CC_SET : CC_DELETE, key);
    }
    cw_run(&r->cc.cw, 6 * KM_NS_PER_S);
}

static void expect_promise(struct sc_run *r, const struct choice *c)
{
    cp_expect_one_view(&r->cc);
    cp_expect_answers(&r->cc);
    if (r->cc.why[0] == '\0' && !sw_drops(&c->plan)) {
        write_each_key(r);
    }
    if (r->cc.why[0] == '\0') {
        sc_expect_agreement(r);
    }
    if (r->cc.why[0] == '\0' && c->plan.has_loader) {
        if (r->is_ordered) {
            cp_read_all(&r->cc, "at the end");
        }
        expect_once(r);
        sc_expect_agreement(r);
    }
    if (r->cc.why[0] == '\0') {
        expect_bounds(r, c);
    }
}

static void begin(struct sc_run *r, uint64_t seed, unsigned broken,
                  const struct choice *c, bool says)
{
    sc_begin(r, seed, broken, &c->plan);
    r->cc.cw.says = says;
    r->cc.cw.load_max = c->load_max;
    r->cc.cw.net.delay_spread = c->delay_spread;
    r->cc.value_bytes = c->value_bytes;
    r->cc.never_touches = !c->touches;
    r->cc.sets = c->sets;
    if (c->is_narrow) {
        r->cc.first_key = SC_DELETED_KEYS - 1;
        r->cc.key_count = 2;
    }
    r->is_ordered = r->is_ordered && !c->touches;
    for (unsigned place = 0; place < c->nodes; place++) {
        (void)cw_start(&r->cc.cw, place);
    }
}

static void count(const struct sc_run *r, const struct sf_faults *f)
{
    for (unsigned i = 0; i < CC_KINDS; i++) {
        totals.ops[i] += r->cc.counts[i];
    }
    for (unsigned i = 0; i < SF_KINDS; i++) {
        totals.faults[i] += f->counts[i];
    }
    totals.failed_gets += r->cc.failed_gets;
    totals.clears_elsewhere += r->cc.clears_elsewhere;
    totals.mutations += r->sw.mutation_count;
    totals.invalidations += r->sw.invalidations;
    totals.acknowledged += r->sw.acknowledged;
    totals.unsynced += r->sw.unsynced;
    totals.messages += r->sw.streams.messages;
    totals.waiting = r->sw.streams.most_waiting > totals.waiting
                         ? r->sw.streams.most_waiting
                         : totals.waiting;
}

/* Runs a seed. Writes into f what has happened, and into ret_why what was violated. */
static bool run(uint64_t seed, unsigned broken, struct sf_faults *f, bool says,
                char ret_why[256])
{
    static struct sc_run r;
    struct choice c = choose(seed);
    unsigned slow = SF_PROCESSES | SF_REGISTRY | SF_PAUSES | SF_LATE;
    f->kinds = c.kinds;
    f->count = 0;
    memset(f->counts, 0, sizeof f->counts);
    begin(&r, seed, broken, &c, says);
    cw_run(&r.cc.cw, 3 * KM_NS_PER_S);
    r.is_well = true;
    live(&r, 2 * KM_NS_PER_S, 200);
    r.is_well = false;
    live_with_faults(&r, f, seed, &c);
    sf_mend(&r);
    wake_up(&r);
    live(&r, 5 * KM_NS_PER_S, c.is_quiet ? 0 : 100);
    if ((c.kinds & slow) != 0) {
        become_calm(&r);
    }
    sc_repeat_lost(&r);
    if (c.is_quiet) {
        expect_idle_agreement(&r, (c.kinds & SF_PROCESSES) != 0);
    }
    live(&r, KM_NS_PER_S, 0);
    r.is_well = true;
    live(&r, 2 * KM_NS_PER_S, 200);
    cw_run(&r.cc.cw, 7 * KM_NS_PER_S);
    if (r.cc.why[0] == '\0') {
        expect_promise(&r, &c);
    }
    count(&r, f);
    memcpy(ret_why, r.cc.why, sizeof r.cc.why);
    sc_end(&r);
    return ret_why[0] == '\0';
}

/* -- seeds --------------------------------------------------------------------- */

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void read_skips(struct sf_faults *f)
{
    const char *text = getenv("KAMA_SKIP");
    while (text != NULL && *text != '\0') {
        char *end;
        unsigned long number = strtoul(text, &end, 10);
        if (end == text) {
            break;
        }
        if (number < SF_FAULTS) {
            f->skipped[number] = true;
        }
        text = *end == ',' ? end + 1 : end;
    }
}

static const char *strategy_of(uint64_t seed)
{
    struct choice c = choose(seed);
    return c.plan.strategy != NULL ? c.plan.strategy : "broadcast";
}

static void print_schedule(uint64_t seed, const struct sf_faults *f,
                           const char *why)
{
    bool is_first = true;
    printf("seed %llu (%s): %s\n", (unsigned long long)seed, strategy_of(seed),
           why);
    for (unsigned i = 0; i < f->count; i++) {
        if (!f->skipped[i] && f->said[i][0] != '\0') {
            printf("  fault %u: %s\n", i, f->said[i]);
        }
    }
    printf("  again: KAMA_SEED=%llu KAMA_SEEDS=1 KAMA_SKIP=",
           (unsigned long long)seed);
    for (unsigned i = 0; i < f->count; i++) {
        if (f->skipped[i]) {
            printf("%s%u", is_first ? "" : ",", i);
            is_first = false;
        }
    }
    printf(" build/tests/sim_sync_sim\n");
}

/* Leaves out what the violation does not need: one fault after the other. */
static void shrink(uint64_t seed, unsigned broken, struct sf_faults *f,
                   char why[256])
{
    struct sf_faults smaller = *f;
    char other[256];
    for (unsigned i = f->count; i-- > 0;) {
        if (f->skipped[i]) {
            continue;
        }
        smaller.skipped[i] = true;
        if (f->said[i][0] != '\0' &&
            run(seed, broken, &smaller, false, other)) {
            smaller.skipped[i] = false;
        }
    }
    (void)run(seed, broken, &smaller, false, why);
    *f = smaller;
}

static void test_seeds_keep_the_promises(void **state)
{
    uint64_t seeds = number_of("KAMA_SEEDS", SEEDS);
    uint64_t first = number_of("KAMA_SEED", 1);
    unsigned broken = (unsigned)number_of("KAMA_BROKEN", CW_KEEP_ALL);
    unsigned violated = 0;
    (void)state;
    km_store_broken = (unsigned)number_of("KAMA_STORE_RULES", 0);
    km_sync_broken = (unsigned)number_of("KAMA_SYNC_RULES", 0);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        struct sf_faults faults = {.kinds = 0};
        char why[256];
        read_skips(&faults);
        if (!run(seed, broken, &faults, seeds == 1, why)) {
            violated++;
            if (seeds > 1 && violated <= 3) {
                shrink(seed, broken, &faults, why);
            }
            print_schedule(seed, &faults, why);
            (void)fflush(stdout);
        }
    }
    printf("%llu seeds, %u violations: gets %llu (failed %llu), mutations %llu "
           "(deletes %llu, sets %llu, touches %llu, clears %llu, %llu of them "
           "through nodes that join or leave; acknowledged %llu, unsynced "
           "%llu), messages %llu, invalidations %llu\n",
           (unsigned long long)seeds, violated, totals.ops[CC_GET],
           totals.failed_gets, totals.mutations, totals.ops[CC_DELETE],
           totals.ops[CC_SET], totals.ops[CC_TOUCH], totals.ops[CC_CLEAR],
           totals.clears_elsewhere, totals.acknowledged, totals.unsynced,
           totals.messages, totals.invalidations);
    printf("faults: streams %llu, network %llu, processes %llu, registry %llu, "
           "pauses %llu, evictions %llu, late groups %llu, conflicts %llu; at "
           "most %lld blocks and %zu bytes that wait\n",
           totals.faults[0], totals.faults[1], totals.faults[2],
           totals.faults[3], totals.faults[4], totals.faults[5],
           totals.faults[6], totals.faults[7], totals.blocks, totals.waiting);
    assert_int_equal(violated, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeds_keep_the_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
