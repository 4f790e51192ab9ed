/* SPDX-License-Identifier: MIT */
/* Gates: nobody enters a closed one, and the owner waits for the last. */
#include "base/gate.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_closed(void **state)
{
    struct km_gate gate;
    (void)state;
    assert_true(km_gate_init(&gate));
    assert_false(km_gate_is_closed(&gate));
    assert_true(km_gate_enter(&gate));
    assert_true(km_gate_enter(&gate));
    assert_int_equal(km_gate_count(&gate), 2);
    km_gate_leave(&gate);
    km_gate_close(&gate);
    assert_true(km_gate_is_closed(&gate));
    assert_false(km_gate_enter(&gate));
    assert_int_equal(km_gate_count(&gate), 1);
    km_gate_leave(&gate);
    km_gate_wait(&gate);
    km_gate_fini(&gate);
}

static void *leave(void *arg)
{
    km_gate_leave(arg);
    return NULL;
}

/* A count that one thread adds and another one takes off is none. */
static void test_left_elsewhere(void **state)
{
    struct km_gate gate;
    pthread_t threads[3];
    (void)state;
    assert_true(km_gate_init(&gate));
    for (int i = 0; i < 3; i++) {
        assert_true(km_gate_enter(&gate));
    }
    for (int i = 0; i < 3; i++) {
        if (i == 1) { /* the first one leaves before the gate is closed */
            km_gate_close(&gate);
        }
        assert_int_equal(pthread_create(&threads[i], NULL, leave, &gate), 0);
        if (i == 0) {
            (void)pthread_join(threads[0], NULL);
        }
    }
    km_gate_wait(&gate);
    assert_int_equal(km_gate_count(&gate), 0);
    (void)pthread_join(threads[1], NULL);
    (void)pthread_join(threads[2], NULL);
    km_gate_fini(&gate);
}

/* An object that a gate guards is freed when the owner's wait returns. */
struct house {
    struct km_gate gate;
    int furniture;
};

static void *visit(void *arg)
{
    struct house *house = *(struct house **)arg;
    while (km_gate_enter(&house->gate)) {
        (void)__atomic_load_n(&house->furniture, __ATOMIC_RELAXED);
        km_gate_leave(&house->gate);
    }
    return NULL;
}

static void *visit_once(void *arg)
{
    struct house *house = arg;
    (void)__atomic_load_n(&house->furniture, __ATOMIC_RELAXED);
    km_gate_leave(&house->gate);
    return NULL;
}

static void test_freed_behind_the_last(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct house *house = calloc(1, sizeof *house);
        pthread_t threads[4];
        assert_non_null(house);
        assert_true(km_gate_init(&house->gate));
        for (int i = 0; i < 4; i++) {
            assert_true(km_gate_enter(&house->gate));
            assert_int_equal(
                pthread_create(&threads[i], NULL, visit_once, house), 0);
        }
        km_gate_close(&house->gate);
        km_gate_wait(&house->gate);
        km_gate_fini(&house->gate);
        free(house);
        for (int i = 0; i < 4; i++) {
            (void)pthread_join(threads[i], NULL);
        }
    }
}

/* Threads that come and go all the time see the closing and stay out. */
static void test_closed_under_traffic(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        struct house house = {.furniture = 0};
        struct house *address = &house;
        pthread_t threads[2];
        assert_true(km_gate_init(&house.gate));
        for (int i = 0; i < 2; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, visit, &address),
                             0);
        }
        km_gate_close(&house.gate);
        km_gate_wait(&house.gate);
        for (int i = 0; i < 2; i++) {
            (void)pthread_join(threads[i], NULL);
        }
        assert_int_equal(km_gate_count(&house.gate), 0);
        km_gate_fini(&house.gate);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closed),
        cmocka_unit_test(test_left_elsewhere),
        cmocka_unit_test(test_freed_behind_the_last),
        cmocka_unit_test(test_closed_under_traffic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
