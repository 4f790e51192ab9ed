/* SPDX-License-Identifier: MIT */
/* The public form of a member. The rest of it is seen by node_cluster_test.c. */
#include "node/node_member.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Each figure of the streams is in the public field of its own. */
static void test_a_member_with_streams(void **state)
{
    (void)state;
    const struct km_cluster_member member = {.address = "10.0.0.2:1",
                                             .stream = {.sync_state = "lagging",
                                                        .up = true,
                                                        .sync_lag_ns = 1,
                                                        .sync_queue = 2,
                                                        .acked = 3,
                                                        .applied = 4,
                                                        .sent = 5,
                                                        .received = 6,
                                                        .duplicates = 7,
                                                        .gaps_sent = 8,
                                                        .gaps_received = 9,
                                                        .gap_age_ms = 10,
                                                        .unsynced = true,
                                                        .quarantined = true,
                                                        .differing = 11,
                                                        .bytes_sent = 12,
                                                        .bytes_received = 13}};
    kama_member shown;
    km_node_member_show(&member, &shown);
    assert_string_equal(shown.sync_state, "lagging");
    assert_int_equal(shown.sync_up, 1);
    assert_int_equal(shown.sync_lag_ns, 1);
    assert_int_equal(shown.sync_queue, 2);
    assert_int_equal(shown.sync_acked, 3);
    assert_int_equal(shown.sync_applied, 4);
    assert_int_equal(shown.sync_sent, 5);
    assert_int_equal(shown.sync_received, 6);
    assert_int_equal(shown.sync_duplicates, 7);
    assert_int_equal(shown.sync_gaps_sent, 8);
    assert_int_equal(shown.sync_gaps_received, 9);
    assert_int_equal(shown.sync_gap_age_ms, 10);
    assert_int_equal(shown.unsynced, 1);
    assert_int_equal(shown.quarantined, 1);
    assert_int_equal(shown.sync_differing, 11);
    assert_int_equal(shown.sync_bytes_sent, 12);
    assert_int_equal(shown.sync_bytes_received, 13);
    assert_int_equal(shown.struct_size, sizeof(kama_member));
}

/* A member without streams, as the node itself is, has an empty state. */
static void test_a_member_without_streams(void **state)
{
    (void)state;
    const struct km_cluster_member member = {.address = "10.0.0.2:1"};
    kama_member shown;
    km_node_member_show(&member, &shown);
    assert_string_equal(shown.sync_state, "");
    assert_int_equal(shown.sync_queue, 0);
    assert_int_equal(shown.unsynced, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_member_with_streams),
        cmocka_unit_test(test_a_member_without_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
