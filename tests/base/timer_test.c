/* SPDX-License-Identifier: MIT */
/* The heap of timers is compared with an array of times. */
#include "base/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TIMERS 300

struct model {
    struct km_timer_heap heap;
    struct km_timer timers[TIMERS];
    km_ns want[TIMERS]; /* 0 if the timer is not armed */
    uint64_t seed;
};

static void fire(struct km_timer *timer)
{
    (void)timer;
}

static void model_init(struct model *m, uint64_t seed)
{
    memset(m, 0, sizeof *m);
    m->seed = seed;
    for (int i = 0; i < TIMERS; i++) {
        m->timers[i].fire = fire;
    }
}

static uint32_t next_random(struct model *m)
{
    m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(m->seed >> 33);
}

static km_ns earliest(const struct model *m)
{
    km_ns at = KM_NS_NEVER;
    for (int i = 0; i < TIMERS; i++) {
        at = m->want[i] != 0 && m->want[i] < at ? m->want[i] : at;
    }
    return at;
}

static void assert_model(const struct model *m)
{
    size_t armed = 0;
    for (int i = 0; i < TIMERS; i++) {
        assert_int_equal(m->timers[i].at, m->want[i]);
        armed += m->want[i] != 0;
    }
    assert_int_equal(km_timer_heap_check(&m->heap), armed);
    assert_int_equal(km_timer_heap_next(&m->heap), earliest(m));
}

/* Pops all timers that are due at now, in their order, and no others. */
static void pop_until(struct model *m, km_ns now)
{
    struct km_timer *timer;
    while ((timer = km_timer_heap_pop(&m->heap, now)) != NULL) {
        size_t i = (size_t)(timer - m->timers);
        assert_int_equal(timer->at, 0);
        assert_int_equal(m->want[i], earliest(m));
        assert_true(m->want[i] <= now);
        m->want[i] = 0;
    }
    assert_true(earliest(m) > now);
}

/* Timers are armed, moved, disarmed and popped at random. */
static void test_model(void **state)
{
    (void)state;
    static struct model m;
    model_init(&m, 42);
    km_ns now = 1;
    for (int step = 0; step < 20000; step++) {
        size_t i = next_random(&m) % TIMERS;
        uint32_t what = next_random(&m) % 8;
        if (what == 0) {
            now += next_random(&m) % 200;
            pop_until(&m, now);
        } else {
            km_timer_heap_remove(&m.heap, &m.timers[i]);
            m.want[i] = 0;
        }
        if (what > 2 && m.want[i] == 0) {
            m.want[i] = now + next_random(&m) % 1000;
            km_timer_heap_add(&m.heap, &m.timers[i], m.want[i]);
        }
        assert_model(&m);
    }
}

/* The edges of time: 0 is the earliest, and KM_NS_NEVER is due last. */
static void test_edges(void **state)
{
    (void)state;
    static struct model m;
    model_init(&m, 1);
    assert_null(km_timer_heap_pop(&m.heap, KM_NS_NEVER));
    assert_int_equal(km_timer_heap_next(&m.heap), KM_NS_NEVER);
    km_timer_heap_add(&m.heap, &m.timers[0], KM_NS_NEVER);
    km_timer_heap_add(&m.heap, &m.timers[1], 0);
    km_timer_heap_add(&m.heap, &m.timers[2], 1);
    assert_int_equal(m.timers[1].at, 1);
    assert_non_null(km_timer_heap_pop(&m.heap, 1));
    assert_non_null(km_timer_heap_pop(&m.heap, 1));
    assert_null(km_timer_heap_pop(&m.heap, KM_NS_NEVER - 1));
    assert_ptr_equal(km_timer_heap_pop(&m.heap, KM_NS_NEVER), &m.timers[0]);
    km_timer_heap_remove(&m.heap, &m.timers[0]);
    assert_int_equal(km_timer_heap_check(&m.heap), 0);
}

/* A million timers in order make one long list of children. A function that
 * recursed would exhaust the stack. */
static void test_long_run(void **state)
{
    (void)state;
    size_t count = 1000000;
    struct km_timer *timers = calloc(count, sizeof *timers);
    struct km_timer_heap heap = {NULL};
    assert_non_null(timers);
    for (size_t i = 0; i < count; i++) {
        km_timer_heap_add(&heap, &timers[i], 1 + i);
    }
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(km_timer_heap_pop(&heap, count), &timers[i]);
    }
    assert_null(km_timer_heap_pop(&heap, count));
    free(timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_long_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
