/* SPDX-License-Identifier: MIT */
/* All that many threads record in stripes is counted, with and without memory. */
#include "base/stripes.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define THREADS 6
#define RECORDS 2000u

static void *record(void *arg)
{
    for (unsigned i = 0; i < RECORDS; i++) {
        km_stripes_record(arg, i);
    }
    return NULL;
}

static uint64_t record_with(const kama_allocator *mem)
{
    struct km_stripes stripes;
    struct km_histogram sum;
    pthread_t threads[THREADS];
    km_stripes_init(&stripes, mem);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, record, &stripes),
                         0);
    }
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    km_stripes_read(&stripes, &sum);
    assert_int_equal(km_histogram_sum_ns(&sum),
                     (uint64_t)THREADS * RECORDS * (RECORDS - 1) / 2);
    uint64_t count = km_histogram_count(&sum);
    km_stripes_fini(&stripes);
    return count;
}

static void test_all_is_counted(void **state)
{
    (void)state;
    assert_int_equal(record_with(km_mem_default()), THREADS * RECORDS);
}

static void *no_memory(void *arg, size_t size)
{
    (void)arg;
    (void)size;
    return NULL;
}

static void free_nothing(void *arg, void *p)
{
    (void)arg;
    assert_null(p);
}

static void test_without_memory(void **state)
{
    kama_allocator mem = *km_mem_default();
    (void)state;
    mem.alloc = no_memory;
    mem.release = free_nothing;
    assert_int_equal(record_with(&mem), THREADS * RECORDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_counted),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
