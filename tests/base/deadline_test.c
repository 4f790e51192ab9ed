/* SPDX-License-Identifier: MIT */
/* The deadline thread: its state is consistent after every step, whatever the
 * order in which timers are armed, moved, disarmed and fired. */
#include "base/deadline.h"

#include "base/container.h"
#include "base/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TIMERS 50
#define WAIT_NS (20 * KM_NS_PER_S)

struct counted_timer {
    struct km_timer timer;
    atomic_int fired;
    struct km_deadlines *d;
};

static km_ns now(void)
{
    return km_clock_mono(km_clock_system());
}

/* Checks the deadlines while this timer fires. */
static void fire(struct km_timer *timer)
{
    struct counted_timer *self =
        KM_CONTAINER_OF(timer, struct counted_timer, timer);
    (void)km_deadlines_check(self->d);
    assert_true(km_thread_is_inside(self->d));
    atomic_fetch_add(&self->fired, 1);
}

static void init(struct km_deadlines *d, struct counted_timer *timers)
{
    assert_true(km_deadlines_init(d, km_clock_system(), "deadlines", d));
    d->idle_ns = KM_NS_PER_MS;
    memset(timers, 0, TIMERS * sizeof *timers);
    for (int i = 0; i < TIMERS; i++) {
        timers[i].timer.fire = fire;
        timers[i].d = d;
    }
}

/* Timers are armed far away, armed for at once, and disarmed at random. */
static void test_check_after_each_step(void **state)
{
    (void)state;
    static struct counted_timer timers[TIMERS];
    struct km_deadlines d;
    unsigned seed = 7;
    init(&d, timers);
    assert_int_equal(km_deadlines_check(&d), 0);
    for (int step = 0; step < 5000; step++) {
        struct km_timer *timer = &timers[rand_r(&seed) % TIMERS].timer;
        switch (rand_r(&seed) % 3) {
        case 0:
            km_deadlines_disarm(&d, timer);
            break;
        case 1:
            assert_int_equal(km_deadlines_arm(&d, timer, 1), KAMA_OK);
            break;
        default:
            assert_int_equal(
                km_deadlines_arm(&d, timer, now() + 3600 * KM_NS_PER_S),
                KAMA_OK);
        }
        assert_true(km_deadlines_check(&d) <= TIMERS);
    }
    for (int i = 0; i < TIMERS; i++) {
        km_deadlines_disarm(&d, &timers[i].timer);
    }
    assert_int_equal(km_deadlines_check(&d), 0);
    km_deadlines_stop(&d);
    assert_int_equal(km_deadlines_check(&d), 0);
    km_deadlines_fini(&d);
}

/* After a stop, timers stay armed and never fire, and arming another one is
 * refused. */
static void test_stop_keeps_timers(void **state)
{
    (void)state;
    static struct counted_timer timers[TIMERS];
    struct km_deadlines d;
    init(&d, timers);
    for (int i = 0; i < TIMERS; i++) {
        assert_int_equal(
            km_deadlines_arm(&d, &timers[i].timer, now() + WAIT_NS), KAMA_OK);
        assert_int_equal(km_deadlines_check(&d), i + 1);
    }
    assert_int_equal(km_deadlines_threads(&d), 1);
    km_deadlines_stop(&d);
    assert_int_equal(km_deadlines_threads(&d), 0);
    assert_int_equal(km_deadlines_check(&d), TIMERS);
    assert_int_equal(km_deadlines_arm(&d, &timers[0].timer, 1),
                     KAMA_ERR_CLOSED);
    km_deadlines_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_after_each_step),
        cmocka_unit_test(test_stop_keeps_timers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
