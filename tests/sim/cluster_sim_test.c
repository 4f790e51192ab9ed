/* SPDX-License-Identifier: MIT */
/* ctest: labels=onethread timeout=120 */
/*
 * Clusters of whole nodes by seed: clients (sim/cluster_clients.h) read and write
 * through any node of a cluster (sim/cluster_world.h) in which things break
 * (sim/cluster_faults.h). At the end everything is mended, and then
 *
 *     all nodes route by one view, in which exactly they are, and are settled;
 *     each get through each node has what the database has;
 *     keys that nobody has are loaded once in the whole cluster;
 *     no call is without an answer;
 *     a node has no more blocks of memory than a node that does nothing.
 *
 * While only processes come and go, and while nothing is broken, each get is held
 * against the writes that were acknowledged before it began.
 *
 * That a rule is needed is found out within a bounded number of seeds, for the
 * rules that can be broken from outside:
 *
 *     unsettled slots      loads are kept, and mutations not kept waiting
 *     hiding               lost slots are hidden, and their loads overtaken
 *     rule 6               no mutations without a lease and any member
 *
 * For the others turn_schedule_test.c has the schedules, and turn_sim_test.c finds
 * most of them by seed. Some can be broken here too (KAMA_BROKEN: turning, "gone",
 * to act although the node is behind), but these random schedules do not find that
 * within 60 seeds. The rest is inside km_turn (members of older views are waited
 * for, a new node does not count "behind"), or cannot be broken alone (overtaking
 * goes with hiding in km_group_adopt).
 *
 *     KAMA_SEED=N     the first seed; with KAMA_SEEDS=1 its steps are printed
 *     KAMA_SEEDS=N    how many seeds run with all rules
 *     KAMA_FAULTS=N   the kinds of faults (enum cf_kind)
 *     KAMA_BROKEN=N   the rules that are broken (enum cw_rule)
 *     KAMA_FORGETFUL  processes end also while somebody was removed unawares
 */
#include "sim/cluster_faults.h"
#include "sim/cluster_promise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SEEDS 4u
/* A broken rule is found out within so many seeds. */
#define SEEDS_BROKEN 400u
#define FAULT_SPAN (15 * KM_NS_PER_S)
/* A node is alone for longer than its lease. */
#define ALONE_SPAN (30 * KM_NS_PER_S)
#define MEND_SPAN (40 * KM_NS_PER_S)
/* The blocks of a node that does nothing, which are about 50. */
#define BLOCKS_MAX 100

/* Sums over the seeds, for people. */
static struct {
    unsigned long long ops[CC_KINDS];
    unsigned long long faults[CF_KINDS];
    unsigned long long failed_gets, late_gets;
    long long blocks; /* the most that a node has had at the end */
} totals;

/* -- what holds at the end ---------------------------------------------------- */

static void expect_little_memory(struct cc_run *r)
{
    for (unsigned i = 0; i < r->cw.node_count; i++) {
        const struct cw_node *node = &r->cw.nodes[i];
        long long blocks = atomic_load(&node->mem.live_blocks);
        if (node->phase != CW_RUNS) {
            continue;
        }
        totals.blocks = blocks > totals.blocks ? blocks : totals.blocks;
        if (blocks > BLOCKS_MAX) {
            cc_violate(r, "node %u has %lld blocks of memory", node->place,
                       blocks);
        }
    }
}

static void expect_promise(struct cc_run *r)
{
    cp_expect_one_view(r);
    cp_expect_answers(r);
    if (r->why[0] != '\0') {
        return;
    }
    cp_read_all(r, "at the end");
    for (unsigned key = 0; key < CW_KEYS; key++) {
        cc_write(&r->ops[key], CC_DELETE, key);
    }
    cw_run(&r->cw, KM_NS_PER_S);
    cp_expect_answers(r);
    unsigned before = r->cw.loads;
    cp_read_all(r, "after the last writes");
    if (r->cw.loads - before != CW_KEYS) {
        cc_violate(r, "%u keys were loaded %u times", CW_KEYS,
                   r->cw.loads - before);
    }
    expect_little_memory(r);
}

/* -- a run -------------------------------------------------------------------- */

struct part {
    km_ns span;
    unsigned writes;          /* of a thousand clients */
    struct cf_faults *faults; /* NULL: none */
};

static void live(struct cc_run *r, struct part part)
{
    struct sim_world *w = &r->cw.world;
    km_ns until = w->now + part.span;
    while (w->now < until) {
        cw_run(&r->cw, sim_between(w, 5, 60) * CW_MS);
        cc_step(r, r->late != NULL ? 3 * part.writes : part.writes);
        if (part.faults != NULL && sim_chance(w, 100)) {
            cf_step(r, part.faults);
        }
    }
}

/* How a run has ended. */
enum outcome { KEPT, VIOLATED, STALE };

static void run_begin(struct cc_run *r, uint64_t seed, unsigned broken)
{
    memset(r, 0, sizeof *r);
    cw_init(&r->cw, seed, broken);
    r->cw.load_max = sim_between(&r->cw.world, 5, 300) * CW_MS;
    for (unsigned i = 0; i < CC_OPS; i++) {
        r->ops[i].run = r;
    }
    for (unsigned place = 0; place < 3; place++) {
        (void)cw_start(&r->cw, place);
    }
}

static void run_count(const struct cc_run *r, const struct cf_faults *f)
{
    for (unsigned i = 0; i < CC_KINDS; i++) {
        totals.ops[i] += r->counts[i];
    }
    for (unsigned i = 0; i < CF_KINDS; i++) {
        totals.faults[i] += f->counts[i];
    }
    totals.late_gets += r->late_gets;
    totals.failed_gets += r->failed_gets;
}

static enum outcome run(uint64_t seed, unsigned broken, unsigned kinds,
                        bool says)
{
    static struct cc_run r;
    struct cf_faults faults = {.kinds = kinds,
                               .forgetful = getenv("KAMA_FORGETFUL") != NULL};
    run_begin(&r, seed, broken);
    r.cw.says = says;
    r.quiet = true;
    live(&r, (struct part){KM_NS_PER_S, 0, NULL});
    r.strict = true;
    live(&r, (struct part){2 * KM_NS_PER_S, 100, NULL});
    cc_end_quiet(&r);
    r.strict = getenv("KAMA_STRICT") != NULL || kinds == CF_PROCESSES;
    live(&r, (struct part){(kinds & CF_ALONE) != 0 ? ALONE_SPAN : FAULT_SPAN,
                           100, &faults});
    r.strict = false;
    cf_mend(&r);
    live(&r, (struct part){5 * KM_NS_PER_S, 0, NULL});
    cw_run(&r.cw, MEND_SPAN);
    expect_promise(&r);
    run_count(&r, &faults);
    cw_fini(&r.cw);
    if (r.why[0] != '\0' && broken == CW_KEEP_ALL) {
        printf("seed %llu: %s\n", (unsigned long long)seed, r.why);
    }
    return r.stale ? STALE : r.why[0] != '\0' ? VIOLATED : KEPT;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void say_totals(void)
{
    printf("gets %llu (failed %llu, late %llu), deletes %llu, sets %llu, "
           "touches %llu, clears %llu\n",
           totals.ops[CC_GET], totals.failed_gets, totals.late_gets,
           totals.ops[CC_DELETE], totals.ops[CC_SET], totals.ops[CC_TOUCH],
           totals.ops[CC_CLEAR]);
    printf("faults: registry %llu, network %llu, processes %llu, pauses %llu, "
           "late %llu, alone %llu; most blocks %lld\n",
           totals.faults[0], totals.faults[1], totals.faults[2],
           totals.faults[3], totals.faults[4], totals.faults[5], totals.blocks);
}

static void run_seeds(unsigned kinds)
{
    uint64_t seeds = number_of("KAMA_SEEDS", SEEDS);
    uint64_t first = number_of("KAMA_SEED", 1);
    unsigned violated = 0;
    memset(&totals, 0, sizeof totals);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        violated += run(seed, (unsigned)number_of("KAMA_BROKEN", CW_KEEP_ALL),
                        kinds, seeds == 1) != KEPT;
    }
    say_totals();
    assert_int_equal(violated, 0);
}

static void test_processes_come_and_go(void **state)
{
    (void)state;
    run_seeds(CF_PROCESSES);
}

static void test_the_registry_has_faults(void **state)
{
    (void)state;
    run_seeds(CF_PROCESSES | CF_REGISTRY);
}

static void test_the_network_has_faults(void **state)
{
    (void)state;
    run_seeds(CF_PROCESSES | CF_NETWORK);
}

static void test_processes_stand_still(void **state)
{
    (void)state;
    run_seeds(CF_PROCESSES | CF_PAUSES);
}

static void test_one_node_learns_late(void **state)
{
    (void)state;
    run_seeds(CF_LATE);
}

static void test_one_node_is_alone(void **state)
{
    (void)state;
    run_seeds(CF_ALONE);
}

/* The kinds of faults that a person asks for. */
static void test_faults_of_the_environment(void **state)
{
    (void)state;
    if (getenv("KAMA_FAULTS") != NULL) {
        run_seeds((unsigned)number_of("KAMA_FAULTS", 0));
    }
}

/* Asserts that a rule is needed: without it a seed breaks the promise. */
static void assert_needed(unsigned rule, unsigned kinds)
{
    for (uint64_t seed = 1; seed <= SEEDS_BROKEN; seed++) {
        if (run(seed, rule, kinds, false) == STALE) {
            print_message("found by seed %llu\n", (unsigned long long)seed);
            return;
        }
    }
    fail_msg("%u seeds keep the promise without the rule %u", SEEDS_BROKEN,
             rule);
}

static void test_unsettled_slots_are_needed(void **state)
{
    (void)state;
    assert_needed(CW_NO_UNSETTLED, CF_LATE);
}

static void test_hiding_lost_slots_is_needed(void **state)
{
    (void)state;
    assert_needed(CW_NO_HIDING, CF_PROCESSES);
}

static void test_rule_6_is_needed(void **state)
{
    (void)state;
    assert_needed(CW_NO_RULE_6, CF_ALONE);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_processes_come_and_go),
        cmocka_unit_test(test_the_registry_has_faults),
        cmocka_unit_test(test_the_network_has_faults),
        cmocka_unit_test(test_processes_stand_still),
        cmocka_unit_test(test_one_node_learns_late),
        cmocka_unit_test(test_one_node_is_alone),
        cmocka_unit_test(test_unsettled_slots_are_needed),
        cmocka_unit_test(test_hiding_lost_slots_is_needed),
        cmocka_unit_test(test_rule_6_is_needed),
    };
    const struct CMUnitTest chosen[] = {
        cmocka_unit_test(test_faults_of_the_environment),
    };
    return getenv("KAMA_FAULTS") != NULL
               ? cmocka_run_group_tests(chosen, NULL, NULL)
               : cmocka_run_group_tests(all, NULL, NULL);
}
