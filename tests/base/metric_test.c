/* SPDX-License-Identifier: MIT */
/* Counters of many threads, gauges that fall, and the limits of a table. */
#include "base/metric.h"

#include "base/thread.h"

#include "base/limits.h"
#include "helpers/failmalloc.h"

#include <pthread.h>
#include <stdio.h>

static struct km_metric rows[KM_METRIC_ROWS_MAX];

/* With one row and with the most rows, each row counts on its own. */
static void test_every_row(void **state)
{
    (void)state;
    for (size_t count = 1; count <= KM_METRIC_ROWS_MAX; count++) {
        struct km_metric_set *set;
        assert_int_equal(km_metric_set_new(NULL, rows, count, &set), KAMA_OK);
        for (unsigned row = 0; row < count; row++) {
            km_metric_add(set, row, row + 1);
        }
        for (unsigned row = 0; row < count; row++) {
            assert_int_equal(km_metric_read(set, row), row + 1);
        }
        km_metric_set_free(set);
    }
    km_metric_set_free(NULL);
}

/* Blocks of counters begin on cache lines. */
static void test_alignment(void **state)
{
    (void)state;
    struct km_metric_set *set;
    assert_int_equal(km_metric_set_new(NULL, rows, 3, &set), KAMA_OK);
    assert_int_equal((uintptr_t)km_metric_cell(set) % 64, 0);
    assert_ptr_equal(km_metric_cell(set), km_metric_cell(set));
    km_metric_set_free(set);
}

static void *count_up(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        km_metric_add(arg, 0, 1);
        km_metric_add(arg, 1, 3);
    }
    return NULL;
}

static void *count_down(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        km_metric_sub(arg, 1, 3);
    }
    return NULL;
}

/* There are more threads than cells. A gauge that some threads raise and others
 * lower is zero at the end. */
static void test_threads(void **state)
{
    (void)state;
    enum { UP = KM_THREAD_CELLS + 4, ALL = 2 * UP };
    struct km_metric_set *set;
    pthread_t threads[ALL];
    assert_int_equal(km_metric_set_new(NULL, rows, 2, &set), KAMA_OK);
    for (int i = 0; i < ALL; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL,
                                        i < UP ? count_up : count_down, set),
                         0);
    }
    for (int i = 0; i < ALL; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(km_metric_read(set, 0), UP * 10000);
    assert_int_equal(km_metric_read(set, 1), 0);
    km_metric_set_free(set);
}

/* A reader may see the end of something whose beginning it has missed. */
static void test_a_gauge_is_never_read_as_less_than_nothing(void **state)
{
    static const struct km_metric gauge = {"g", KM_METRIC_GAUGE, "", "A."};
    struct km_metric_set *set;
    (void)state;
    assert_int_equal(km_metric_set_new(NULL, &gauge, 1, &set), KAMA_OK);
    km_metric_sub(set, 0, 1);
    assert_int_equal(km_metric_read(set, 0), 0);
    km_metric_add(set, 0, 3);
    assert_int_equal(km_metric_read(set, 0), 2);
    km_metric_set_free(set);
}

static kama_status make_set(const kama_allocator *mem, void *arg)
{
    struct km_metric_set *set = arg;
    kama_status status = km_metric_set_new(mem, rows, 5, &set);
    if (status != KAMA_OK) {
        assert_null(set);
        return status;
    }
    km_metric_set_free(set);
    return KAMA_OK;
}

/* Without memory there is an error, and the result is not written. */
static void test_no_memory(void **state)
{
    (void)state;
    assert_int_equal(km_test_fail_each(make_set, NULL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_a_gauge_is_never_read_as_less_than_nothing),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
