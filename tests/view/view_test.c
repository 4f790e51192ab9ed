/* SPDX-License-Identifier: MIT */
/* Views: order, ids that every version computes alike, and finding. */
#include "view/view.h"

#include "helpers/failmalloc.h"

#include "base/bytes.h"

#include <stdio.h>
#include <string.h>

static const char *const zone_labels[] = {"zone-a", "ssd"};

static struct km_member make_member(const char *address, uint8_t id,
                                    enum km_member_state state, uint32_t weight)
{
    struct km_member m = {.address = address,
                          .admin = "",
                          .version = "0.2.0",
                          .state = state,
                          .weight = weight,
                          .labels = zone_labels,
                          .label_count = 2};
    memset(m.id.bytes, id, sizeof m.id.bytes);
    return m;
}

static struct km_view *make_view(const struct km_member *members, size_t count)
{
    struct km_view *view;
    assert_int_equal(km_view_new(km_mem_default(), members, count, &view),
                     KAMA_OK);
    km_view_check(view);
    return view;
}

static uint64_t id_of(const struct km_member *members, size_t count)
{
    struct km_view *view = make_view(members, count);
    uint64_t id = view->id;
    km_view_unref(view);
    return id;
}

/* The values were computed by the reference implementation of XXH3 from the
 * bytes that the header describes. Nodes of different versions must agree on
 * them, so they never change. */
static void test_the_id_of_a_view_is_the_same_in_every_version(void **state)
{
    (void)state;
    const struct km_member members[] = {
        make_member("10.0.0.1:8001", 0x01, KM_MEMBER_ACTIVE, 1),
        make_member("10.0.0.2:8001", 0x02, KM_MEMBER_JOINING, 2),
        make_member("[2001:db8::1]:8001", 0xff, KM_MEMBER_LEAVING, 16),
        make_member("cache.example:65535", 0x80, KM_MEMBER_ACTIVE, 3),
    };
    static const uint64_t golden[] = {
        0,
        0x56a3a0fc31f49f66ULL,
        0xcff3422d1e06233bULL,
        0xb0a2d2a35d0da28aULL,
        0xcd7e4de3614e381dULL,
    };
    for (size_t count = 0; count <= 4; count++) {
        assert_int_equal(id_of(members, count), golden[count]);
    }
}

/* Every member of the hashed tuple changes the id; nothing else does. */
static void test_the_id_depends_on_the_registrations_that_were_counted(
    void **state)
{
    (void)state;
    const struct km_member member =
        make_member("10.0.0.1:8001", 0x01, KM_MEMBER_ACTIVE, 1);
    uint64_t ids[3];
    for (uint64_t joins = 0; joins < 3; joins++) {
        struct km_view *view;
        assert_int_equal(
            km_view_new_counted(km_mem_default(), &member, 1, joins, &view),
            KAMA_OK);
        km_view_check(view);
        ids[joins] = view->id;
        km_view_unref(view);
    }
    assert_true(ids[0] == id_of(&member, 1));
    assert_true(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
}

static void test_the_id_depends_on_address_id_state_and_weight(void **state)
{
    (void)state;
    struct km_member m = make_member("a:1", 1, KM_MEMBER_ACTIVE, 1);
    uint64_t id = id_of(&m, 1);
    m.version = "9";
    m.admin = "a:2";
    m.label_count = 0;
    assert_int_equal(id_of(&m, 1), id);
    m.address = "b:1";
    assert_int_not_equal(id_of(&m, 1), id);
    m = make_member("a:1", 2, KM_MEMBER_ACTIVE, 1);
    assert_int_not_equal(id_of(&m, 1), id);
    m = make_member("a:1", 1, KM_MEMBER_LEAVING, 1);
    assert_int_not_equal(id_of(&m, 1), id);
    m = make_member("a:1", 1, KM_MEMBER_ACTIVE, 2);
    assert_int_not_equal(id_of(&m, 1), id);
}

static void test_members_are_sorted_copies(void **state)
{
    (void)state;
    char address[] = "b:1";
    struct km_member members[] = {
        make_member(address, 2, KM_MEMBER_ACTIVE, 1),
        make_member("a:10", 3, KM_MEMBER_ACTIVE, 1),
        make_member("a:1", 1, KM_MEMBER_JOINING, 1),
    };
    struct km_view *view = make_view(members, 3);
    address[0] = 'x';
    assert_string_equal(view->members[0].address, "a:1");
    assert_string_equal(view->members[1].address, "a:10");
    assert_string_equal(view->members[2].address, "b:1");
    assert_string_equal(view->members[2].labels[1], "ssd");
    assert_string_equal(view->members[2].version, "0.2.0");
    assert_int_equal(km_view_active_count(view), 2);
    assert_ptr_equal(km_view_ref(view), view);
    km_view_unref(view);
    km_view_check(view);
    km_view_unref(view);
    km_view_unref(NULL);
    struct km_member swapped[] = {members[2], members[1]};
    assert_int_equal(id_of(swapped, 2), id_of(members + 1, 2));
}

/* A goodbye is a fact about the member, and no reason for another view. */
static void test_goodbyes_are_copied_and_are_no_part_of_the_id(void **state)
{
    (void)state;
    struct km_member m = make_member("a:1", 1, KM_MEMBER_LEAVING, 1);
    uint64_t id = id_of(&m, 1);
    m.final_seq = 2;
    m.clock = 3;
    m.prev = (struct km_member_goodbye){{{4}}, 5, 6, true};
    struct km_view *view = make_view(&m, 1);
    const struct km_member *copy = &view->members[0];
    assert_true(view->id == id);
    assert_int_equal(copy->final_seq, 2);
    assert_int_equal(copy->clock, 3);
    assert_true(km_member_id_equal(&copy->prev.id, &m.prev.id));
    assert_int_equal(copy->prev.final_seq, 5);
    assert_int_equal(copy->prev.clock, 6);
    assert_true(copy->prev.originated);
    km_view_unref(view);
}

static void test_members_are_found_by_id_and_address(void **state)
{
    (void)state;
    struct km_member members[9];
    char addresses[9][8];
    struct km_member_id id;
    for (uint8_t i = 0; i < 9; i++) {
        (void)snprintf(addresses[i], sizeof addresses[i], "n%u:1", i);
        members[i] = make_member(addresses[i], i, KM_MEMBER_ACTIVE, 1);
    }
    struct km_view *view = make_view(members, 9);
    for (uint8_t i = 0; i < 9; i++) {
        assert_ptr_equal(km_view_find_id(view, &members[i].id),
                         &view->members[i]);
        assert_ptr_equal(km_view_find_address(view, KAMA_STR(addresses[i])),
                         &view->members[i]);
    }
    memset(id.bytes, 77, sizeof id.bytes);
    assert_null(km_view_find_id(view, &id));
    assert_null(km_view_find_address(view, KM_LIT("n0:")));
    assert_null(km_view_find_address(view, KM_LIT("n9:1")));
    assert_null(km_view_find_address(view, KM_LIT("")));
    km_view_unref(view);
}

static void test_two_members_with_one_address_are_refused(void **state)
{
    (void)state;
    struct km_view *view = NULL;
    const struct km_member members[] = {
        make_member("a:1", 1, KM_MEMBER_ACTIVE, 1),
        make_member("b:1", 2, KM_MEMBER_ACTIVE, 1),
        make_member("a:1", 3, KM_MEMBER_ACTIVE, 1),
    };
    assert_int_equal(km_view_new(km_mem_default(), members, 3, &view),
                     KAMA_ERR_INVALID);
    assert_null(view);
}

static void test_ids_and_states_have_texts(void **state)
{
    (void)state;
    struct km_member_id id = {{0x01, 0x23, 0xab, 0xff}};
    struct km_member_id read;
    enum km_member_state member_state;
    char text[KM_MEMBER_ID_TEXT_BYTES];
    assert_string_equal(km_member_id_format(&id, text),
                        "0123abff000000000000000000000000");
    assert_true(
        km_member_id_parse(KM_LIT("0123ABff000000000000000000000000"), &read));
    assert_true(km_member_id_equal(&read, &id));
    assert_false(km_member_id_is_none(&id));
    assert_true(
        km_member_id_parse(KM_LIT("00000000000000000000000000000000"), &read));
    assert_true(km_member_id_is_none(&read));
    assert_false(km_member_id_parse(KM_LIT("0123"), &read));
    assert_false(
        km_member_id_parse(KM_LIT("0123abff00000000000000000000000g"), &read));
    assert_true(km_member_state_parse(KM_LIT("leaving"), &member_state));
    assert_int_equal(member_state, KM_MEMBER_LEAVING);
    assert_string_equal(km_member_state_name(KM_MEMBER_JOINING), "joining");
    assert_false(km_member_state_parse(KM_LIT("Active"), &member_state));
    assert_false(km_member_state_parse(KM_LIT(""), &member_state));
}

static kama_status copy_all(const kama_allocator *mem, void *arg)
{
    (void)arg;
    const struct km_member m = make_member("a:1", 1, KM_MEMBER_ACTIVE, 1);
    struct km_view *view;
    struct km_member *copy = km_member_new(mem, &m);
    if (copy == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    assert_string_equal(copy->labels[0], "zone-a");
    kama_status status = km_view_new(mem, copy, 1, &view);
    km_mem_free(mem, copy);
    if (status == KAMA_OK) {
        km_view_unref(view);
    }
    return status;
}

static void test_each_allocation_may_fail(void **state)
{
    (void)state;
    assert_int_equal(km_test_fail_each(copy_all, NULL), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_id_of_a_view_is_the_same_in_every_version),
        cmocka_unit_test(
            test_the_id_depends_on_the_registrations_that_were_counted),
        cmocka_unit_test(test_the_id_depends_on_address_id_state_and_weight),
        cmocka_unit_test(test_members_are_sorted_copies),
        cmocka_unit_test(test_goodbyes_are_copied_and_are_no_part_of_the_id),
        cmocka_unit_test(test_members_are_found_by_id_and_address),
        cmocka_unit_test(test_two_members_with_one_address_are_refused),
        cmocka_unit_test(test_ids_and_states_have_texts),
        cmocka_unit_test(test_each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
