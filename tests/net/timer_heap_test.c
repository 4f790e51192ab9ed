/* SPDX-License-Identifier: MIT */
/* The pairing heap of timers against an array. */
#include "net/timer_heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TIMERS 300

static uint64_t seed = 42;

static uint32_t next_random(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33);
}

/* Random pushes, removals from anywhere and pops: always the earliest. */
static void test_model(void **state)
{
    (void)state;
    static struct km_loop_timer timers[TIMERS];
    struct km_loop_timer *root = NULL;
    size_t linked = 0;
    for (int step = 0; step < 100000; step++) {
        struct km_loop_timer *timer = &timers[next_random() % TIMERS];
        if (timer->at == 0) {
            timer->at = 1 + next_random() % 1000;
            km_timer_heap_push(&root, timer);
            linked++;
        } else if (next_random() % 3 == 0) {
            km_timer_heap_remove(&root, timer);
            timer->at = 0;
            linked--;
        } else {
            struct km_loop_timer *first = root;
            for (int i = 0; i < TIMERS; i++) {
                assert_true(timers[i].at == 0 || timers[i].at >= first->at);
            }
            km_timer_heap_remove(&root, first);
            first->at = 0;
            linked--;
        }
        if (step % 64 == 0) {
            assert_int_equal(km_timer_heap_check(root), linked);
        }
    }
}

/* A million timers in order, one long list of children: no deep stack. */
static void test_long_run(void **state)
{
    (void)state;
    size_t count = 1000000;
    struct km_loop_timer *timers = calloc(count, sizeof *timers);
    struct km_loop_timer *root = NULL;
    assert_non_null(timers);
    for (size_t i = 0; i < count; i++) {
        timers[i].at = 1 + i;
        km_timer_heap_push(&root, &timers[i]);
    }
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(root, &timers[i]);
        km_timer_heap_remove(&root, root);
    }
    assert_null(root);
    free(timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_long_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
