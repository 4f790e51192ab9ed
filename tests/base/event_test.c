/* SPDX-License-Identifier: MIT */
/* An event wakes the thread that waits for it, in time or not at all. */
#include "base/event.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void *set_event(void *arg)
{
    km_event_set(arg);
    return NULL;
}

/* The thread that waits ends the event as soon as it was woken, many times over
 * in the same memory. TSan and ASan watch. */
static void test_set_by_another_thread(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct km_event event;
        pthread_t thread;
        assert_true(km_event_init(&event));
        assert_int_equal(pthread_create(&thread, NULL, set_event, &event), 0);
        assert_true(km_event_wait(&event, KM_NS_NEVER));
        km_event_fini(&event);
        (void)pthread_join(thread, NULL);
    }
}

static void test_limit_of_time(void **state)
{
    struct km_event event;
    (void)state;
    assert_true(km_event_init(&event));
    assert_false(km_event_wait(&event, 0));
    assert_false(km_event_wait(&event, KM_NS_PER_MS));
    km_event_set(&event);
    assert_true(km_event_wait(&event, 0));
    km_event_clear(&event);
    assert_false(km_event_wait(&event, 0));
    km_event_fini(&event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_by_another_thread),
        cmocka_unit_test(test_limit_of_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
