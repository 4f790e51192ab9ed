/* SPDX-License-Identifier: MIT */
/* The histogram is compared with the sorted values. */
#include "base/histogram.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <pthread.h>
#include <cmocka.h>

#define LONGEST (UINT64_C(1) << 40)
#define VALUES 20000

static struct km_histogram histogram;

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Asserts that found lies between exact and one sixteenth above it. */
static void check_near(uint64_t found, uint64_t exact)
{
    if (found < exact || found - exact > exact / 16) {
        fail_msg("%llu for %llu", (unsigned long long)found,
                 (unsigned long long)exact);
    }
}

/* An empty histogram returns zeros. */
static void test_empty(void **state)
{
    (void)state;
    km_histogram_init(&histogram);
    assert_int_equal(km_histogram_count(&histogram), 0);
    assert_int_equal(km_histogram_quantile(&histogram, 0.5), 0);
    assert_int_equal(km_histogram_count_below(&histogram, UINT64_MAX), 0);
}

/* The borders of every power of two, 0, 2^40 and longer times are counted in
 * the right cells. */
static void test_borders(void **state)
{
    (void)state;
    for (unsigned log2 = 0; log2 < 40; log2++) {
        for (uint64_t off = 0; off < 3; off++) {
            uint64_t value = (UINT64_C(1) << log2) + off - 1;
            km_histogram_init(&histogram);
            km_histogram_record(&histogram, value);
            check_near(km_histogram_quantile(&histogram, 1), value);
            assert_int_equal(km_histogram_count_below(&histogram, value), 1);
        }
    }
    static const uint64_t longer[] = {LONGEST, LONGEST + 1, UINT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        km_histogram_init(&histogram);
        km_histogram_record(&histogram, longer[i]);
        assert_true(km_histogram_quantile(&histogram, 0) == LONGEST);
        assert_int_equal(km_histogram_count(&histogram), 1);
    }
}

/* Quantiles and counts of random values agree with the sorted array. */
static void test_against_sorted(void **state)
{
    (void)state;
    static uint64_t values[VALUES];
    unsigned seed = (unsigned)km_clock_mono(km_clock_system());
    uint64_t sum = 0;
    print_message("seed %u\n", seed);
    km_histogram_init(&histogram);
    for (size_t i = 0; i < VALUES; i++) {
        uint64_t random =
            (uint64_t)rand_r(&seed) << 16 ^ (uint64_t)rand_r(&seed);
        values[i] = random >> (7 + rand_r(&seed) % 33);
        sum += values[i];
        km_histogram_record(&histogram, values[i]);
    }
    qsort(values, VALUES, sizeof values[0], by_value);
    assert_true(km_histogram_count(&histogram) == VALUES);
    assert_true(km_histogram_sum_ns(&histogram) == sum);
    for (size_t rank = 1; rank <= VALUES; rank += 7) {
        double q = ((double)rank - 0.5) / VALUES;
        check_near(km_histogram_quantile(&histogram, q), values[rank - 1]);
        uint64_t below = km_histogram_count_below(&histogram, values[rank - 1]);
        assert_true(below >= rank);
    }
    check_near(km_histogram_quantile(&histogram, 0), values[0]);
    check_near(km_histogram_quantile(&histogram, 1), values[VALUES - 1]);
}

/* The sum of two histograms is the histogram of all their values. */
static void test_add(void **state)
{
    (void)state;
    static struct km_histogram other;
    km_histogram_init(&histogram);
    km_histogram_init(&other);
    km_histogram_record(&histogram, 10);
    km_histogram_record(&other, 1000);
    km_histogram_record(&other, UINT64_C(1) << 41);
    km_histogram_add(&histogram, &other);
    assert_int_equal(km_histogram_count(&histogram), 3);
    assert_int_equal(km_histogram_count_below(&histogram, 10), 1);
    assert_int_equal(km_histogram_count(&other), 2);
}

static void *record_many(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < 50000; i++) {
        km_histogram_record(&histogram, i);
    }
    return NULL;
}

/* No value that several threads record is lost. */
static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    km_histogram_init(&histogram);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, record_many, NULL),
                         0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(km_histogram_count(&histogram), 200000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),          cmocka_unit_test(test_borders),
        cmocka_unit_test(test_against_sorted), cmocka_unit_test(test_add),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
