/* SPDX-License-Identifier: MIT */
/* ctest: labels=onethread timeout=240 */
/*
 * The rules of the turn of a view, by seed: random schedules of a small cluster
 * keep the promise (tests/sim/turn_world.h), and each rule is needed, because
 * without it some schedule breaks the promise.
 *
 *     KAMA_SEED=N     the first seed; with KAMA_SEEDS=1 its steps are printed
 *     KAMA_SEEDS=N    how many schedules run with all rules
 */
#include "sim/turn_world.h"

#define STEPS 60u
#define LOADS 8u
#define WRITES 4u
#define SEEDS 20000u
/* A broken rule is found out within so many schedules. */
#define SEEDS_BROKEN 400000u

static struct km_placement *placements[WORLD_SUBSETS];

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

/* -- random schedules ------------------------------------------------------ */

struct schedule {
    struct world world;
    uint64_t random;
    unsigned loads; /* that may still begin */
    unsigned writes;
};

static unsigned draw(struct schedule *s, unsigned below)
{
    uint64_t x = s->random += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (unsigned)((x ^ (x >> 31)) >> 32) % below;
}

static unsigned count_bits(unsigned set)
{
    return (unsigned)__builtin_popcount(set);
}

/* A node whose process has ended, or that knows that it was removed, registers
 * and is a member at once. */
static void join(struct schedule *s, unsigned n)
{
    struct world *w = &s->world;
    if (w->nodes[n].is_alive && w->nodes[n].floor != WORLD_VIEWS) {
        return; /* it does not know yet that it was removed */
    }
    if (!w->nodes[n].is_alive) {
        world_start(w, n);
    }
    struct world_view *view = world_begin_view(w);
    world_register(w, n);
    world_add_member(w, view, n);
    WORLD_SAY(w, "join %u\n", n);
    world_publish(w, view);
    world_notice(w, n);
}

/* A member goes: without goodbye, with the end of its process, or it says that
 * it leaves. A member that has said so ends. At least one active member stays. */
static void leave(struct schedule *s, size_t i)
{
    struct world *w = &s->world;
    unsigned n = world_last(w)->nodes[i];
    unsigned kind = draw(s, 4);
    bool is_leaving = world_last(w)->members[i].state == KM_MEMBER_LEAVING;
    bool is_end = kind == 1 || is_leaving;
    if (count_bits(world_last(w)->active & ~(1u << n)) == 0 ||
        (is_end && world_has_removed(w))) {
        return;
    }
    struct world_view *view = world_begin_view(w);
    if (kind == 0 && !is_leaving) {
        view->members[i].state = KM_MEMBER_LEAVING;
        WORLD_SAY(w, "leaving %u\n", n);
        world_publish(w, view);
        return;
    }
    world_drop_member(view, i);
    if (is_end) {
        world_stop(w, n);
    }
    WORLD_SAY(w, "removed %u%s\n", n, w->nodes[n].is_alive ? "" : ", ended");
    world_publish(w, view);
}

static void change_members(struct schedule *s)
{
    struct world *w = &s->world;
    const struct world_view *last = world_last(w);
    unsigned n = draw(s, WORLD_NODES);
    if (w->view_count == WORLD_VIEWS) {
        return;
    }
    for (size_t i = 0; i < last->view.count; i++) {
        if (last->nodes[i] == n) {
            leave(s, i);
            return;
        }
    }
    join(s, n);
}

/* Adopts a later view that has the node: the next one, or one further on. */
static void adopt_some(struct schedule *s, unsigned n)
{
    struct world *w = &s->world;
    unsigned view = w->nodes[n].floor;
    if (!w->nodes[n].is_alive) {
        return;
    }
    while (view < w->view_count && draw(s, 6) == 0) {
        view++;
    }
    if (view < w->view_count && world_is_in(w, view, n)) {
        world_adopt(w, n, view);
    }
}

static void step(struct schedule *s)
{
    struct world *w = &s->world;
    unsigned kind = draw(s, 17);
    unsigned n = draw(s, WORLD_NODES), k = draw(s, WORLD_KEYS);
    if (kind < 1) {
        change_members(s);
    } else if (kind < 4) {
        adopt_some(s, n);
    } else if (kind < 5) {
        if (world_is_removed(w, n)) {
            world_tell_gone(w, n);
        }
    } else if (kind < 9) {
        world_hear(w, n, draw(s, WORLD_NODES));
    } else if (kind < 10) {
        world_miss(w, n, draw(s, w->id_count));
    } else if (kind < 12 && s->loads > 0) {
        s->loads -= world_owns(w, n, k);
        world_begin_load(w, n, k);
    } else if (kind < 13) {
        world_end_load(w, n, k);
    } else if (kind < 14 && s->writes > 0) {
        uint64_t before = w->database[k];
        world_write(w, n, k, draw(s, 4) == 0);
        s->writes -= w->database[k] != before;
    } else if (kind < 15 && draw(s, 4) == 0) {
        world_fall_behind(w, n);
    } else if (w->mutation_count > 0) {
        (void)world_deliver(w, draw(s, w->mutation_count), n);
    }
}

/* Starts two or three members that know each other. */
static void begin(struct schedule *s, uint64_t seed, unsigned broken)
{
    struct world *w = &s->world;
    memset(s, 0, sizeof *s);
    s->random = seed * 0xd6e8feb86659fd93u;
    s->loads = LOADS;
    s->writes = WRITES;
    world_init(w, placements, broken);
    for (unsigned k = 0; k < WORLD_KEYS; k++) {
        world_set_key(w, k, draw(s, 1000000));
    }
    struct world_view *view = world_begin_view(w);
    unsigned count = 2 + draw(s, 2);
    for (unsigned n = 0; n < count; n++) {
        world_start(w, n);
        world_register(w, n);
        world_add_member(w, view, n);
    }
    world_publish(w, view);
    world_quiesce(w);
}

/* Runs one schedule. Returns whether it has kept the promise. */
static bool run(uint64_t seed, unsigned broken, bool is_loud)
{
    struct schedule *s = test_malloc(sizeof *s);
    begin(s, seed, broken);
    s->world.is_loud = is_loud;
    for (unsigned i = 0; i < STEPS; i++) {
        step(s);
    }
    world_quiesce(&s->world);
    bool is_kept = world_keeps_promise(&s->world);
    world_fini(&s->world);
    test_free(s);
    return is_kept;
}

/* Returns how many schedules it took to find one that breaks the promise, or 0
 * if none of them does. */
static uint64_t find_violation(unsigned broken, uint64_t seeds)
{
    uint64_t first = number_of("KAMA_SEED", 1);
    for (uint64_t i = 0; i < seeds; i++) {
        if (!run(first + i, broken, false)) {
            return i + 1;
        }
    }
    return 0;
}

static void test_promise_holds_with_all_rules(void **state)
{
    uint64_t seeds = number_of("KAMA_SEEDS", SEEDS);
    uint64_t first = number_of("KAMA_SEED", 1);
    (void)state;
    if (seeds == 1) {
        assert_true(run(first, WORLD_KEEP_ALL, true));
        return;
    }
    uint64_t found = find_violation(WORLD_KEEP_ALL, seeds);
    if (found != 0) {
        (void)run(first + found - 1, WORLD_KEEP_ALL, true);
        fail_msg("KAMA_SEED=%llu breaks the promise",
                 (unsigned long long)(first + found - 1));
    }
}

/* Asserts that a rule is needed. */
static void assert_needed(unsigned rule)
{
    uint64_t found = find_violation(rule, SEEDS_BROKEN);
    print_message("found by schedule %llu\n", (unsigned long long)found);
    assert_true(found != 0);
}

static void test_nodes_must_settle(void **state)
{
    (void)state;
    assert_needed(WORLD_NO_SETTLED);
}

static void test_settled_is_judged_when_a_load_begins(void **state)
{
    (void)state;
    assert_needed(WORLD_SETTLED_AT_END);
}

static void test_loads_of_lost_slots_must_be_overtaken(void **state)
{
    (void)state;
    assert_needed(WORLD_NO_OVERTAKING);
}

static void test_members_of_older_views_must_be_waited_for(void **state)
{
    (void)state;
    assert_needed(WORLD_LAST_TWO_VIEWS);
}

static void test_gone_must_be_obeyed(void **state)
{
    (void)state;
    assert_needed(WORLD_IGNORE_GONE);
}

static int make_placements(void **state)
{
    (void)state;
    world_placements_new(placements);
    return 0;
}

static int drop_placements(void **state)
{
    (void)state;
    world_placements_free(placements);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_promise_holds_with_all_rules),
        cmocka_unit_test(test_nodes_must_settle),
        cmocka_unit_test(test_settled_is_judged_when_a_load_begins),
        cmocka_unit_test(test_loads_of_lost_slots_must_be_overtaken),
        cmocka_unit_test(test_members_of_older_views_must_be_waited_for),
        cmocka_unit_test(test_gone_must_be_obeyed),
    };
    return cmocka_run_group_tests(tests, make_placements, drop_placements);
}
