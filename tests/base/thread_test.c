/* SPDX-License-Identifier: MIT */
/* Frames: a thread knows all that it works for, and other threads do not. */
#include "base/thread.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_nested(void **state)
{
    struct km_thread_frame outer;
    struct km_thread_frame inner;
    int pool = 0;
    int group = 0;
    (void)state;
    assert_false(km_thread_is_inside(&pool));
    km_thread_enter(&outer, &pool);
    km_thread_enter(&inner, &group);
    assert_true(km_thread_is_inside(&pool));
    assert_true(km_thread_is_inside(&group));
    km_thread_leave(&inner);
    assert_true(km_thread_is_inside(&pool));
    assert_false(km_thread_is_inside(&group));
    km_thread_leave(&outer);
    assert_false(km_thread_is_inside(&pool));
}

static void *ask(void *arg)
{
    return km_thread_is_inside(arg) ? arg : NULL;
}

static void test_other_thread(void **state)
{
    struct km_thread_frame frame = {NULL, NULL};
    pthread_t thread;
    void *answer;
    (void)state;
    km_thread_enter(&frame, &frame);
    assert_int_equal(pthread_create(&thread, NULL, ask, &frame), 0);
    (void)pthread_join(thread, &answer);
    assert_null(answer);
    km_thread_leave(&frame);
}

static void test_cell(void **state)
{
    (void)state;
    assert_true(km_thread_cell() < KM_THREAD_CELLS);
    assert_int_equal(km_thread_cell(), km_thread_cell());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nested),
        cmocka_unit_test(test_other_thread),
        cmocka_unit_test(test_cell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
