/* SPDX-License-Identifier: MIT */
/*
 * The turn of a view: for whom a node waits until it is settled, and which slots
 * it has gained meanwhile. Members are A to F, and this node is A.
 */
#include "peers/turn.h"

#include "helpers/failmalloc.h"

#include <string.h>

/* -- members and views ----------------------------------------------------- */

/* A view of this file: its id is chosen, and its members are letters. */
struct small_view {
    struct km_view view;
    struct km_member members[8];
};

static struct km_member_id id_of(char letter)
{
    struct km_member_id id = {{0}};
    id.bytes[0] = (uint8_t)letter;
    return id;
}

static const struct km_view *view_of(struct small_view *v, uint64_t id,
                                     const char *letters)
{
    memset(v, 0, sizeof *v);
    v->view.id = id;
    v->view.count = strlen(letters);
    v->view.members = v->members;
    for (size_t i = 0; letters[i] != '\0'; i++) {
        v->members[i].id = id_of(letters[i]);
        v->members[i].state = KM_MEMBER_ACTIVE;
    }
    return &v->view;
}

static struct km_turn *turn_new(void)
{
    struct km_turn *turn;
    assert_int_equal(km_turn_new(km_mem_default(), &turn), KAMA_OK);
    return turn;
}

static void adopt_as(struct km_turn *turn, char self, uint64_t view_id,
                     const char *letters)
{
    struct small_view v;
    struct km_member_id id = id_of(self);
    assert_int_equal(
        km_turn_adopt(turn, view_of(&v, view_id, letters), &id, NULL), KAMA_OK);
    km_turn_check(turn);
}

static void adopt(struct km_turn *turn, uint64_t view_id, const char *letters)
{
    adopt_as(turn, 'A', view_id, letters);
}

/* Adopts a view in which this node has gained one slot. */
static void adopt_gaining(struct km_turn *turn, uint64_t view_id,
                          const char *letters, uint32_t slot)
{
    static struct km_slot_map gained;
    struct small_view v;
    struct km_member_id id = id_of('A');
    memset(&gained, 0, sizeof gained);
    km_slot_map_add(&gained, slot);
    assert_int_equal(
        km_turn_adopt(turn, view_of(&v, view_id, letters), &id, &gained),
        KAMA_OK);
    km_turn_check(turn);
}

static void hear(struct km_turn *turn, char letter, uint64_t view_id)
{
    struct km_member_id id = id_of(letter);
    km_turn_heard(turn, &id, view_id, KM_STANDING_MEMBER);
    km_turn_check(turn);
}

static void hear_behind(struct km_turn *turn, char letter)
{
    struct km_member_id id = id_of(letter);
    km_turn_heard(turn, &id, 0, KM_STANDING_BEHIND);
    km_turn_check(turn);
}

static void lose(struct km_turn *turn, char letter)
{
    struct km_member_id id = id_of(letter);
    km_turn_silent(turn, &id);
    km_turn_check(turn);
}

/* -- for whom it waits ----------------------------------------------------- */

static void test_waits_for_nobody_alone(void **state)
{
    (void)state;
    struct km_turn *turn = turn_new();
    assert_true(km_turn_settled(turn));
    adopt(turn, 1, "A");
    assert_true(km_turn_settled(turn));
    assert_null(km_turn_gained(turn));
    km_turn_free(turn);
    km_turn_free(NULL);
}

static void test_settled_when_each_member_has_announced_the_view(void **state)
{
    (void)state;
    struct km_turn *turn = turn_new();
    adopt(turn, 1, "ABC");
    assert_int_equal(km_turn_waiting(turn), 2);
    hear(turn, 'B', 1);
    assert_false(km_turn_settled(turn));
    hear(turn, 'C', 7); /* another view */
    assert_false(km_turn_settled(turn));
    hear(turn, 'F', 1); /* no member */
    assert_false(km_turn_settled(turn));
    hear(turn, 'C', 1);
    assert_true(km_turn_settled(turn));
    km_turn_free(turn);
}

/* A member that goes on to the next view does not act on an older one. */
static void test_announcement_holds_when_the_member_goes_on(void **state)
{
    (void)state;
    struct km_turn *turn = turn_new();
    adopt(turn, 1, "ABC");
    hear(turn, 'B', 1);
    hear(turn, 'B', 2);
    hear(turn, 'C', 1);
    assert_true(km_turn_settled(turn));
    km_turn_free(turn);
}

/* B was faster, and announced the view before this node has adopted it. */
static void test_announcement_before_the_adoption_counts(void **state)
{
    (void)state;
    struct km_turn *turn = turn_new();
    adopt(turn, 1, "AB");
    hear(turn, 'B', 1);
    hear(turn, 'B', 2);
    adopt(turn, 2, "ABC");
    assert_int_equal(km_turn_waiting(turn), 1);
    hear(turn, 'C', 2);
    assert_true(km_turn_settled(turn));
    km_turn_free(turn);
}

static void test_behind_counts_as_announced(void **state)
{
    (void)state;
    struct km_turn *turn = turn_new();
    adopt(turn, 1, "AB");
    hear(turn, 'B', 1);
    adopt(turn, 2, "AB");
    hear_behind(turn, 'B');
    assert_true(km_turn_settled(turn));
    adopt(turn, 3, "ABC"); /* and B is still behind */
    assert_int_equal(km_turn_waiting(turn), 1);
    km_turn_free(turn);
}

/* B does not know who was removed, and this node does not either. */
static void test_behind_does_not_count_for_a_new_node(void **state)
{
    (void)state;
    struct km_turn *turn = turn_new();
    adopt(turn, 1, "AB");
    hear_behind(turn, 'B');
    assert_false(km_turn_settled(turn));
    hear(turn, 'B', 1);
    assert_true(km_turn_settled(turn));
    adopt_as(turn, 'E', 2, "BE"); /* it has registered again */
    hear_behind(turn, 'B');
    assert_false(km_turn_settled(turn));
    lose(turn, 'B');
    assert_true(km_turn_settled(turn));
    km_turn_free(turn);
}

/* B was removed, but may still act on the view before. */
static void test_waits_for_members_that_were_removed(void **state)
{
    (void)state;
    struct km_turn *turn = turn_new();
    adopt(turn, 1, "ABC");
    hear(turn, 'B', 1);
    hear(turn, 'C', 1);
    adopt(turn, 2, "AC");
    hear(turn, 'C', 2);
    assert_false(km_turn_settled(turn));
    hear_behind(turn, 'B');
    assert_true(km_turn_settled(turn));
    adopt(turn, 3, "A"); /* B has no part in the views since then */
    assert_int_equal(km_turn_waiting(turn), 1);
    km_turn_free(turn);
}

/* The last two views have only A and C, and B may still act on the first one. */
static void test_waits_for_members_of_all_views_since_settled(void **state)
{
    (void)state;
    struct km_turn *turn = turn_new();
    adopt(turn, 1, "ABC");
    hear(turn, 'B', 1);
    hear(turn, 'C', 1);
    adopt(turn, 2, "AC");
    adopt(turn, 3, "ACD");
    adopt(turn, 4, "AC");
    hear(turn, 'C', 4);
    hear(turn, 'D', 4);
    assert_false(km_turn_settled(turn));
    hear_behind(turn, 'B');
    assert_true(km_turn_settled(turn));
    km_turn_free(turn);
}

/* C is new, and does not know that B waits for a member that was removed. */
static void test_turning_does_not_count_as_announced(void **state)
{
    (void)state;
    struct km_turn *turn = turn_new();
    struct km_member_id b = id_of('B');
    adopt(turn, 3, "ABC");
    hear(turn, 'C', 3);
    km_turn_heard(turn, &b, 3, KM_STANDING_TURNING);
    assert_false(km_turn_settled(turn));
    hear(turn, 'B', 3);
    assert_true(km_turn_settled(turn));
    km_turn_free(turn);
}

static void test_turning_while_a_removed_member_is_waited_for(void **state)
{
    (void)state;
    struct km_turn *turn = turn_new();
    adopt(turn, 1, "ABC");
    hear(turn, 'B', 1);
    hear(turn, 'C', 1);
    assert_int_equal(km_turn_standing(turn, KM_STANDING_MEMBER),
                     KM_STANDING_MEMBER);
    adopt(turn, 2, "AC");
    assert_int_equal(km_turn_standing(turn, KM_STANDING_MEMBER),
                     KM_STANDING_TURNING);
    assert_int_equal(km_turn_standing(turn, KM_STANDING_BEHIND),
                     KM_STANDING_TURNING);
    hear_behind(turn, 'B');
    assert_false(km_turn_settled(turn)); /* C is missing */
    assert_int_equal(km_turn_standing(turn, KM_STANDING_BEHIND),
                     KM_STANDING_BEHIND);
    km_turn_free(turn);
}

static void pass(struct km_turn *turn, uint64_t view_id, const char *letters)
{
    struct small_view v;
    assert_int_equal(km_turn_pass(turn, view_of(&v, view_id, letters)),
                     KAMA_OK);
    km_turn_check(turn);
}

/* A view that was passed over changes nothing before the next adoption; from
 * then on its members are waited for. */
static void test_members_of_a_passed_view_are_waited_for(void **state)
{
    (void)state;
    struct km_turn *turn = turn_new();
    struct km_member_id c = id_of('C');
    pass(turn, 1, "AB");
    assert_true(km_turn_settled(turn));
    adopt(turn, 2, "AB");
    hear(turn, 'B', 2);
    assert_true(km_turn_settled(turn));
    pass(turn, 3, "ABC");
    assert_true(km_turn_settled(turn));
    assert_true(km_turn_waits_for(turn, &c));
    adopt(turn, 4, "AB");
    hear(turn, 'B', 4);
    assert_false(km_turn_settled(turn));
    assert_int_equal(km_turn_standing(turn, KM_STANDING_MEMBER),
                     KM_STANDING_TURNING);
    hear_behind(turn, 'C');
    assert_true(km_turn_settled(turn));
    assert_false(km_turn_waits_for(turn, &c));
    km_turn_free(turn);
}

/* Who was removed and has been told is forgotten, also if the node registers
 * again before it is settled: nobody says Hello to it any more. */
static void test_a_told_member_is_forgotten_with_the_next_view(void **state)
{
    (void)state;
    struct km_turn *turn = turn_new();
    adopt_as(turn, 'A', 1, "ABC");
    hear(turn, 'B', 1);
    hear(turn, 'C', 1);
    adopt_as(turn, 'A', 2, "AB");
    hear_behind(turn, 'C');
    assert_int_equal(km_turn_waiting(turn), 1);
    adopt_as(turn, 'D', 3, "BD");
    hear(turn, 'B', 3);
    assert_true(km_turn_settled(turn));
    km_turn_free(turn);
}

/* -- silence --------------------------------------------------------------- */

static void test_silent_member_is_not_waited_for(void **state)
{
    (void)state;
    struct km_turn *turn = turn_new();
    adopt(turn, 1, "ABC");
    lose(turn, 'B');
    lose(turn, 'F'); /* no member */
    hear(turn, 'C', 1);
    assert_true(km_turn_settled(turn));
    adopt(turn, 2, "ABC"); /* B is still silent */
    hear(turn, 'C', 2);
    assert_true(km_turn_settled(turn));
    km_turn_free(turn);
}

/* Silence that began after the announcement counts in the next view. */
static void test_silence_outlives_the_view(void **state)
{
    (void)state;
    struct km_turn *turn = turn_new();
    adopt(turn, 1, "AB");
    hear(turn, 'B', 1);
    lose(turn, 'B');
    adopt(turn, 2, "A");
    assert_true(km_turn_settled(turn));
    km_turn_free(turn);
}

static void test_silent_member_that_is_heard_again_is_waited_for(void **state)
{
    (void)state;
    struct km_turn *turn = turn_new();
    adopt(turn, 1, "AB");
    hear(turn, 'B', 1);
    adopt_gaining(turn, 2, "A", 5);
    lose(turn, 'B');
    assert_true(km_turn_settled(turn));
    assert_null(km_turn_gained(turn));
    hear(turn, 'B', 1); /* and still acts on the first view */
    assert_false(km_turn_settled(turn));
    assert_true(km_slot_map_has(km_turn_gained(turn), 5));
    hear_behind(turn, 'B');
    assert_true(km_turn_settled(turn));
    km_turn_free(turn);
}

/* -- the own id ------------------------------------------------------------ */

/* A node that registers again does not wait for itself under its earlier id. */
static void test_does_not_wait_for_its_earlier_id(void **state)
{
    (void)state;
    struct km_turn *turn = turn_new();
    adopt(turn, 1, "AB");
    hear(turn, 'B', 1);
    adopt_as(turn, 'E', 2, "AB"); /* the record is not replaced yet */
    hear(turn, 'B', 2);
    assert_true(km_turn_settled(turn));
    adopt_as(turn, 'E', 3, "BE");
    hear(turn, 'B', 3);
    assert_true(km_turn_settled(turn));
    km_turn_free(turn);
}

/* -- slots ----------------------------------------------------------------- */

static void test_gained_slots_add_up_until_settled(void **state)
{
    (void)state;
    struct km_turn *turn = turn_new();
    adopt_gaining(turn, 1, "AB", 0);
    adopt(turn, 2, "AB");
    adopt_gaining(turn, 3, "AB", KM_OWNER_SLOTS - 1);
    const struct km_slot_map *gained = km_turn_gained(turn);
    assert_non_null(gained);
    assert_true(km_slot_map_has(gained, 0));
    assert_true(km_slot_map_has(gained, KM_OWNER_SLOTS - 1));
    assert_false(km_slot_map_has(gained, 1));
    hear(turn, 'B', 3);
    assert_null(km_turn_gained(turn));
    adopt_gaining(turn, 4, "AB", 1);
    gained = km_turn_gained(turn);
    assert_true(km_slot_map_has(gained, 1));
    assert_false(km_slot_map_has(gained, 0));
    hear(turn, 'B', 4);
    adopt(turn, 5, "AB");
    assert_null(km_turn_gained(turn)); /* unsettled, but nothing was gained */
    km_turn_free(turn);
}

/* -- memory ---------------------------------------------------------------- */

static kama_status two_views(const kama_allocator *mem, void *arg)
{
    static struct km_slot_map gained;
    struct small_view v;
    struct km_member_id self = id_of('A'), other = id_of('B');
    struct km_turn *turn;
    kama_status status = km_turn_new(mem, &turn);
    (void)arg;
    if (status != KAMA_OK) {
        return status;
    }
    status = km_turn_adopt(turn, view_of(&v, 1, "AB"), &self, NULL);
    if (status == KAMA_OK) {
        km_turn_heard(turn, &other, 1, KM_STANDING_MEMBER);
        status = km_turn_adopt(turn, view_of(&v, 2, "ABC"), &self, &gained);
        /* What failed has changed nothing: the first view is settled. */
        assert_int_equal(km_turn_settled(turn), status != KAMA_OK);
    }
    km_turn_check(turn);
    km_turn_free(turn);
    return status;
}

static void test_adoption_without_memory_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(km_test_fail_each(two_views, NULL), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits_for_nobody_alone),
        cmocka_unit_test(test_settled_when_each_member_has_announced_the_view),
        cmocka_unit_test(test_announcement_holds_when_the_member_goes_on),
        cmocka_unit_test(test_announcement_before_the_adoption_counts),
        cmocka_unit_test(test_behind_counts_as_announced),
        cmocka_unit_test(test_behind_does_not_count_for_a_new_node),
        cmocka_unit_test(test_waits_for_members_that_were_removed),
        cmocka_unit_test(test_waits_for_members_of_all_views_since_settled),
        cmocka_unit_test(test_turning_does_not_count_as_announced),
        cmocka_unit_test(test_members_of_a_passed_view_are_waited_for),
        cmocka_unit_test(test_a_told_member_is_forgotten_with_the_next_view),
        cmocka_unit_test(test_turning_while_a_removed_member_is_waited_for),
        cmocka_unit_test(test_silent_member_is_not_waited_for),
        cmocka_unit_test(test_silence_outlives_the_view),
        cmocka_unit_test(test_silent_member_that_is_heard_again_is_waited_for),
        cmocka_unit_test(test_does_not_wait_for_its_earlier_id),
        cmocka_unit_test(test_gained_slots_add_up_until_settled),
        cmocka_unit_test(test_adoption_without_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
