/* SPDX-License-Identifier: MIT */
/* The clocks of the machine, and sums of times that saturate. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <time.h>
#include <cmocka.h>

/* mono never goes back, and coarse is not far behind it. */
static void test_mono_and_coarse(void **state)
{
    (void)state;
    const struct km_clock *clock = km_clock_system();
    km_ns last = km_clock_mono(clock);
    assert_true(last > 0);
    for (int i = 0; i < 1000; i++) {
        km_ns coarse = km_clock_coarse(clock);
        km_ns now = km_clock_mono(clock);
        assert_true(now >= last);
        assert_true(coarse <= now);
        last = now;
    }
}

/* boot never goes back, and is not behind mono, which stands still while the
 * machine is suspended. */
static void test_boot(void **state)
{
    (void)state;
    km_ns mono = km_clock_mono(km_clock_system());
    km_ns last = km_clock_boot();
    assert_true(last + KM_NS_PER_MS >= mono);
    for (int i = 0; i < 1000; i++) {
        km_ns now = km_clock_boot();
        assert_true(now >= last);
        last = now;
    }
}

/* Both wall clocks agree with time(). */
static void test_wall(void **state)
{
    (void)state;
    time_t before = time(NULL);
    uint64_t ms = km_clock_system()->wall_ms(NULL);
    uint64_t us = km_clock_wall_us();
    time_t after = time(NULL);
    assert_in_range(ms / 1000, (uint64_t)before, (uint64_t)after + 1);
    assert_in_range(us / 1000000, (uint64_t)before, (uint64_t)after + 1);
}

/* A negative span counts as 0, and a time that is too late becomes
 * KM_NS_NEVER. */
static void test_after_ms(void **state)
{
    (void)state;
    assert_int_equal(km_ns_after_ms(5, 2), 5 + 2 * KM_NS_PER_MS);
    assert_int_equal(km_ns_after_ms(5, 0), 5);
    assert_int_equal(km_ns_after_ms(5, -1), 5);
    assert_int_equal(km_ns_after_ms(5, INT64_MIN), 5);
    assert_true(km_ns_after_ms(5, INT64_MAX) == KM_NS_NEVER);
    assert_true(km_ns_after_ms(KM_NS_NEVER - 5, 1) == KM_NS_NEVER);
    assert_true(km_ns_after_ms(KM_NS_NEVER, 1) == KM_NS_NEVER);
    int64_t most = (int64_t)(UINT64_MAX / KM_NS_PER_MS);
    assert_true(km_ns_after_ms(0, most) < KM_NS_NEVER);
    assert_true(km_ns_after_ms(0, most + 1) == KM_NS_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mono_and_coarse),
        cmocka_unit_test(test_boot),
        cmocka_unit_test(test_wall),
        cmocka_unit_test(test_after_ms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
