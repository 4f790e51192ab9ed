/* SPDX-License-Identifier: MIT */
/*
 * For each rule of the turn of a view, the schedule that breaks the promise
 * without it. Each runs twice: with the rule broken the owner ends with an old
 * value, and with all rules it does not.
 *
 * The steps are those of tests/sim/turn_world.h. Views are named by their active
 * nodes: 0x5 has the nodes 0 and 2. Members that are not active are leaving.
 */
#include "sim/turn_world.h"

static struct km_placement *placements[WORLD_SUBSETS];

/* Chooses key 0 so that these nodes own it in the views of these active sets. */
static void choose_key(struct world *w, const unsigned *sets,
                       const unsigned *owners, unsigned count)
{
    for (uint64_t number = 0; number < 1000000; number++) {
        unsigned i = 0;
        world_set_key(w, 0, number);
        while (i < count && world_owner_among(placements, sets[i],
                                              w->slots[0]) == owners[i]) {
            i++;
        }
        if (i == count) {
            return;
        }
    }
    fail_msg("no key has these owners");
}

/* Publishes a view of the last members, of which these are active. */
static void publish(struct world *w, unsigned active)
{
    struct world_view *view = world_begin_view(w);
    for (size_t i = 0; i < view->view.count; i++) {
        view->members[i].state =
            active >> view->nodes[i] & 1 ? KM_MEMBER_ACTIVE : KM_MEMBER_LEAVING;
    }
    world_publish(w, view);
}

/* Publishes a view without one member, whose process lives on. */
static void remove_member(struct world *w, unsigned n)
{
    struct world_view *view = world_begin_view(w);
    world_drop_member(view, (size_t)world_find(view, &w->nodes[n].id));
    world_publish(w, view);
}

/* Starts a node, and publishes a view that has it too. */
static void join(struct world *w, unsigned n)
{
    world_start(w, n);
    struct world_view *view = world_begin_view(w);
    world_register(w, n);
    world_add_member(w, view, n);
    world_publish(w, view);
    world_notice(w, n);
}

/* Begins with the nodes 0 to count - 1 as settled members of view 0. The key 1 is
 * not used. */
static struct world *begin(unsigned broken, unsigned count, unsigned active)
{
    struct world *w = test_malloc(sizeof *w);
    world_init(w, placements, broken);
    world_set_key(w, 1, 0);
    struct world_view *view = world_begin_view(w);
    for (unsigned n = 0; n < count; n++) {
        world_start(w, n);
        world_register(w, n);
        world_add_member(w, view, n);
        if (!(active >> n & 1)) {
            view->members[n].state = KM_MEMBER_LEAVING;
        }
    }
    world_publish(w, view);
    world_quiesce(w);
    return w;
}

/* Lets everything end. Returns whether the promise was kept. */
static bool end(struct world *w)
{
    world_quiesce(w);
    bool is_kept = world_keeps_promise(w);
    world_fini(w);
    test_free(w);
    return is_kept;
}

/* -- the schedules --------------------------------------------------------- */

/* Node 1 keeps an old value before node 0, the owner so far, has adopted the view
 * and acknowledges the Delete. */
static bool late_owner(unsigned broken)
{
    struct world *w = begin(broken, 3, 0x5);
    choose_key(w, (unsigned[]){0x5, 0x7}, (unsigned[]){0, 1}, 2);
    publish(w, 0x7);
    world_adopt(w, 1, 1);
    world_begin_load(w, 1, 0);
    world_write(w, 0, 0, false);
    world_end_load(w, 1, 0);
    world_adopt(w, 2, 1);
    (void)world_deliver(w, 0, 0);
    world_adopt(w, 0, 1);
    return end(w);
}

/* The load of node 1 begins before, and ends after node 0 has acknowledged the
 * Delete and node 1 is settled. */
static bool settled_meanwhile(unsigned broken)
{
    struct world *w = begin(broken, 3, 0x5);
    choose_key(w, (unsigned[]){0x5, 0x7}, (unsigned[]){0, 1}, 2);
    publish(w, 0x7);
    world_adopt(w, 1, 1);
    world_begin_load(w, 1, 0);
    world_write(w, 0, 0, false);
    world_adopt(w, 2, 1);
    world_hear(w, 1, 2);
    (void)world_deliver(w, 0, 0);
    world_adopt(w, 0, 1);
    world_hear(w, 1, 0);
    world_end_load(w, 1, 0);
    return end(w);
}

/* Node 0 loses the slot and gets it back while its load runs; in between, node 1
 * is the owner and acknowledges the Delete. */
static bool slot_comes_back(unsigned broken)
{
    struct world *w = begin(broken, 3, 0x5);
    choose_key(w, (unsigned[]){0x5, 0x7}, (unsigned[]){0, 1}, 2);
    publish(w, 0x7);
    publish(w, 0x1);
    world_begin_load(w, 0, 0);
    world_adopt(w, 0, 1);
    world_adopt(w, 1, 1);
    world_adopt(w, 2, 1);
    world_hear(w, 1, 0);
    world_hear(w, 1, 2);
    world_write(w, 1, 0, false);
    (void)world_deliver(w, 0, 1);
    world_adopt(w, 0, 2);
    world_end_load(w, 0, 0);
    return end(w);
}

/* Node 0 was removed by the first of two quick changes, and acknowledges the
 * Delete by the view before both. */
static bool two_quick_changes(unsigned broken)
{
    struct world *w = begin(broken, 3, 0x7);
    choose_key(w, (unsigned[]){0x7, 0x6, 0x2}, (unsigned[]){0, 2, 1}, 3);
    remove_member(w, 0);
    publish(w, 0x2);
    world_adopt(w, 1, 1);
    world_adopt(w, 1, 2);
    world_adopt(w, 2, 1);
    world_adopt(w, 2, 2);
    world_hear(w, 1, 2);
    world_begin_load(w, 1, 0);
    world_write(w, 0, 0, false);
    world_end_load(w, 1, 0);
    (void)world_deliver(w, 0, 0);
    world_tell_gone(w, 0);
    return end(w);
}

/* Node 0 says that it is behind, and acknowledges the Delete nevertheless. */
static bool gone_and_acting(unsigned broken)
{
    struct world *w = begin(broken, 2, 0x3);
    choose_key(w, (unsigned[]){0x3}, (unsigned[]){0}, 1);
    remove_member(w, 0);
    world_adopt(w, 1, 1);
    world_tell_gone(w, 0);
    world_hear(w, 1, 0);
    world_begin_load(w, 1, 0);
    world_write(w, 0, 0, false);
    world_end_load(w, 1, 0);
    if (w->mutation_count > 0) {
        (void)world_deliver(w, 0, 0);
    }
    return end(w);
}

/* Node 2 is new, and node 1 has not told it that node 0, which was removed before,
 * still acts. */
static bool removed_before_the_join(unsigned broken)
{
    struct world *w = begin(broken, 2, 0x3);
    choose_key(w, (unsigned[]){0x3, 0x6}, (unsigned[]){0, 2}, 2);
    remove_member(w, 0);
    join(w, 2);
    world_adopt(w, 1, 2);
    world_adopt(w, 2, 2);
    world_hear(w, 2, 1);
    world_begin_load(w, 2, 0);
    world_write(w, 0, 0, false);
    world_end_load(w, 2, 0);
    (void)world_deliver(w, 0, 0);
    world_tell_gone(w, 0);
    return end(w);
}

/* The same, but node 1 falls behind instead of adopting the view, and knows
 * itself not that node 0 was removed. */
static bool behind_before_the_join(unsigned broken)
{
    struct world *w = begin(broken, 2, 0x3);
    choose_key(w, (unsigned[]){0x3, 0x6}, (unsigned[]){0, 2}, 2);
    remove_member(w, 0);
    join(w, 2);
    world_fall_behind(w, 1);
    world_adopt(w, 2, 2);
    world_hear(w, 2, 1);
    world_begin_load(w, 2, 0);
    world_write(w, 0, 0, false);
    world_end_load(w, 2, 0);
    (void)world_deliver(w, 0, 0);
    world_tell_gone(w, 0);
    return end(w);
}

/* -- the tests ------------------------------------------------------------- */

static void test_nodes_must_settle(void **state)
{
    (void)state;
    assert_false(late_owner(WORLD_NO_SETTLED));
    assert_true(late_owner(WORLD_KEEP_ALL));
}

static void test_settled_is_judged_when_a_load_begins(void **state)
{
    (void)state;
    assert_false(settled_meanwhile(WORLD_SETTLED_AT_END));
    assert_true(settled_meanwhile(WORLD_KEEP_ALL));
}

static void test_loads_of_lost_slots_must_be_overtaken(void **state)
{
    (void)state;
    assert_false(slot_comes_back(WORLD_NO_OVERTAKING));
    assert_true(slot_comes_back(WORLD_KEEP_ALL));
}

static void test_members_of_older_views_must_be_waited_for(void **state)
{
    (void)state;
    assert_false(two_quick_changes(WORLD_LAST_TWO_VIEWS));
    assert_true(two_quick_changes(WORLD_KEEP_ALL));
}

static void test_gone_must_be_obeyed(void **state)
{
    (void)state;
    assert_false(gone_and_acting(WORLD_IGNORE_GONE));
    assert_true(gone_and_acting(WORLD_KEEP_ALL));
}

static void test_new_members_must_wait_for_those_who_wait(void **state)
{
    (void)state;
    assert_false(removed_before_the_join(WORLD_NO_TURNING));
    assert_true(removed_before_the_join(WORLD_KEEP_ALL));
}

static void test_new_members_must_wait_for_those_behind(void **state)
{
    (void)state;
    assert_true(behind_before_the_join(WORLD_KEEP_ALL));
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
        cmocka_unit_test(test_nodes_must_settle),
        cmocka_unit_test(test_settled_is_judged_when_a_load_begins),
        cmocka_unit_test(test_loads_of_lost_slots_must_be_overtaken),
        cmocka_unit_test(test_members_of_older_views_must_be_waited_for),
        cmocka_unit_test(test_gone_must_be_obeyed),
        cmocka_unit_test(test_new_members_must_wait_for_those_who_wait),
        cmocka_unit_test(test_new_members_must_wait_for_those_behind),
    };
    return cmocka_run_group_tests(tests, make_placements, drop_placements);
}
