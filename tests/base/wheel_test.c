/* SPDX-License-Identifier: MIT */
/* The timing wheel against a plain array of times. */
#include "base/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TICK (UINT64_C(1) << KM_WHEEL_TICK_LOG2)
#define TIMERS 200

struct model {
    struct km_wheel wheel;
    struct km_timer timers[TIMERS];
    km_ns want[TIMERS]; /* 0: not armed */
    km_ns now;
    unsigned seed;
};

static uint64_t random_bits(struct model *m, unsigned bits)
{
    uint64_t high = (uint64_t)rand_r(&m->seed);
    uint64_t mid = (uint64_t)rand_r(&m->seed);
    uint64_t low = (uint64_t)rand_r(&m->seed);
    return (high << 42 ^ mid << 21 ^ low) >> (64 - bits);
}

static void arm(struct model *m, size_t i, km_ns at)
{
    km_wheel_remove(&m->timers[i]);
    km_wheel_add(&m->wheel, &m->timers[i], at);
    m->want[i] = at > 0 ? at : 1;
}

/* Pops all that is due: never early, and none that is over a tick late is
 * left; km_wheel_next is not after any that is left. */
static void turn_to(struct model *m, km_ns now)
{
    struct km_timer *timer;
    m->now = now;
    while ((timer = km_wheel_pop(&m->wheel, now)) != NULL) {
        size_t i = (size_t)(timer - m->timers);
        assert_int_equal(timer->at, 0);
        assert_true(m->want[i] != 0 && m->want[i] <= now);
        m->want[i] = 0;
    }
    km_ns next = km_wheel_next(&m->wheel);
    for (size_t i = 0; i < TIMERS; i++) {
        assert_int_equal(m->timers[i].at, m->want[i]);
        if (m->want[i] != 0) {
            assert_true(m->want[i] > now || now - m->want[i] < TICK);
            assert_true(next == KM_NS_NEVER || next < m->want[i] ||
                        next - m->want[i] < TICK);
            assert_true(next > now);
            assert_true(next != KM_NS_NEVER || m->want[i] > UINT64_MAX - TICK);
        }
    }
}

/* Random arming, moving, removing and turning, by spans of all sizes. */
static void test_model(void **state)
{
    (void)state;
    static struct model m;
    m.seed = (unsigned)km_clock_mono(km_clock_system());
    print_message("seed %u\n", m.seed);
    for (int round = 0; round < 20; round++) {
        memset(m.timers, 0, sizeof m.timers);
        memset(m.want, 0, sizeof m.want);
        m.now = random_bits(&m, 45);
        km_wheel_init(&m.wheel, m.now);
        for (int step = 0; step < 500; step++) {
            size_t i = (size_t)rand_r(&m.seed) % TIMERS;
            unsigned bits = 1 + (unsigned)rand_r(&m.seed) % 50;
            int what = rand_r(&m.seed) % 4;
            if (what == 0) {
                turn_to(&m, m.now + random_bits(&m, bits));
            } else if (what == 1) {
                km_wheel_remove(&m.timers[i]);
                m.want[i] = 0;
            } else {
                arm(&m, i, m.now + random_bits(&m, bits));
            }
        }
    }
}

/* Times at the edge: 0, the past, now, one tick, the last one there is. */
static void test_edges(void **state)
{
    (void)state;
    static struct model m;
    km_wheel_init(&m.wheel, 5 * TICK);
    assert_true(km_wheel_next(&m.wheel) == KM_NS_NEVER);
    assert_null(km_wheel_pop(&m.wheel, 5 * TICK));
    arm(&m, 0, 0);
    arm(&m, 1, 4 * TICK);
    arm(&m, 2, 5 * TICK);
    arm(&m, 3, 5 * TICK + 1);
    arm(&m, 4, 6 * TICK);
    arm(&m, 5, UINT64_MAX);
    assert_true(km_wheel_next(&m.wheel) <= 5 * TICK);
    turn_to(&m, 5 * TICK);
    assert_int_equal(m.want[2], 0);
    assert_int_not_equal(m.want[3], 0);
    turn_to(&m, 6 * TICK);
    assert_int_equal(m.want[3], 0);
    assert_int_equal(m.want[4], 0);
    turn_to(&m, UINT64_MAX - 2 * TICK);
    assert_true(m.want[5] == UINT64_MAX);
    km_wheel_remove(&m.timers[5]);
    km_wheel_remove(&m.timers[5]);
    assert_true(km_wheel_next(&m.wheel) == KM_NS_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
