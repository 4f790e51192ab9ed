/* SPDX-License-Identifier: MIT */
/*
 * The streams of mutations between nodes, rule by rule, each in a schedule of its own.
 */
#include "sync_world.h"

/* -- R2 ------------------------------------------------------------------------------------ */

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
    }
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_travels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
