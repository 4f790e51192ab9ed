/* SPDX-License-Identifier: MIT */
/* Space-Saving: its bounds on zipfian streams and on those that are made to break
 * it, against exact counts; stored keys; every allocation failed. */
#include "base/space_saving.h"

#include "base/hash.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { KEYS = 20000, COUNTERS = 256 };

/* A sketch beside exact sums. */
struct fixture {
    struct km_mem_probe probe;
    struct km_space_saving *s;
    double *exact; /* of key i */
    double total;
    uint64_t random;
};

static struct fixture *fixture_new(unsigned counters)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    km_mem_probe_init(&f->probe);
    f->exact = test_calloc(KEYS, sizeof *f->exact);
    f->random = 88172645463325252u;
    assert_int_equal(km_space_saving_new(&f->probe.allocator, counters, &f->s),
                     KAMA_OK);
    return f;
}

static void fixture_free(struct fixture *f)
{
    km_space_saving_check(f->s);
    km_space_saving_free(f->s);
    assert_int_equal(atomic_load(&f->probe.live_blocks), 0);
    test_free(f->exact);
    test_free(f);
}

static uint64_t next_random(struct fixture *f)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return f->random;
}

static double uniform(struct fixture *f)
{
    return (double)(next_random(f) >> 11) / (double)(1ull << 53);
}

static void add_text(struct km_space_saving *s, const char *text, double weight)
{
    kama_bytes key = kama_bytes_str(text);
    km_space_saving_add(s, km_hash(key, 7), key, weight);
}

static void add(struct fixture *f, unsigned number, double weight)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%u", number);
    add_text(f->s, text, weight);
    f->exact[number] += weight;
    f->total += weight;
}

static void scale(struct fixture *f, double factor)
{
    km_space_saving_scale(f->s, factor);
    f->total *= factor;
    for (unsigned i = 0; i < KEYS; i++) {
        f->exact[i] *= factor;
    }
}

static double difference(double a, double b)
{
    return a > b ? a - b : b - a;
}

/* Asserts every promise of the header: of each key that has a counter, and of each
 * key that must have one. */
static void check_bounds(struct fixture *f)
{
    static struct km_space_saving_entry top[COUNTERS];
    static bool found[KEYS];
    unsigned counters = km_space_saving_counters(f->s);
    double bound = f->total / counters;
    double slack = f->total * 1e-9;
    km_space_saving_check(f->s);
    assert_true(difference(km_space_saving_total(f->s), f->total) <= slack);
    size_t n = km_space_saving_top(f->s, top, counters);
    memset(found, 0, sizeof found);
    for (size_t i = 0; i < n; i++) {
        char text[32] = "";
        memcpy(text, top[i].key.data, top[i].key.len);
        unsigned number = (unsigned)strtoul(text, NULL, 10);
        double exact = f->exact[number];
        found[number] = true;
        assert_true(top[i].count >= exact - slack);
        assert_true(top[i].count - top[i].error <= exact + slack);
        assert_true(top[i].error <= bound + slack);
        if (i > 0) {
            assert_true(top[i].count - top[i].error <=
                        top[i - 1].count - top[i - 1].error);
        }
    }
    for (unsigned i = 0; i < KEYS; i++) {
        assert_true(found[i] || f->exact[i] <= bound + slack);
    }
}

/* A zipfian stream, in which the i-th key comes as often as 1 / i^exponent says; 0
 * is uniform. The weights are 1 to 1 + weight_max. */
static void run_zipf(unsigned exponent, double weight_max)
{
    struct fixture *f = fixture_new(COUNTERS);
    double *sums = test_calloc(KEYS, sizeof *sums);
    for (unsigned i = 0; i < KEYS; i++) {
        double share = 1;
        for (unsigned e = 0; e < exponent; e++) {
            share /= i + 1;
        }
        sums[i] = (i > 0 ? sums[i - 1] : 0) + share;
    }
    for (unsigned n = 0; n < 100000; n++) {
        double at = uniform(f) * sums[KEYS - 1];
        unsigned low = 0;
        for (unsigned step = 1u << 14; step > 0; step /= 2) {
            low += low + step < KEYS && sums[low + step - 1] < at ? step : 0;
        }
        add(f, low, 1 + (double)(unsigned)(uniform(f) * weight_max));
        if (n % 10000 == 0) {
            check_bounds(f);
        }
        if (n % 30000 == 29999) {
            scale(f, 0.5);
        }
    }
    check_bounds(f);
    test_free(sums);
    fixture_free(f);
}

static void test_zipf(void **state)
{
    (void)state;
    run_zipf(0, 0);
    run_zipf(1, 0);
    run_zipf(2, 0);
    run_zipf(1, 1024);
}

/* As many new keys as it takes to push everything out come between those of the
 * hot key, and the hot key stays. */
static void test_flood_of_new_keys(void **state)
{
    struct fixture *f = fixture_new(COUNTERS);
    (void)state;
    for (unsigned n = 0; n < 200000; n++) {
        add(f, n % 200 == 0 ? 0 : 1 + n % (KEYS - 1), 1);
    }
    check_bounds(f);
    struct km_space_saving_entry top;
    assert_int_equal(km_space_saving_top(f->s, &top, 1), 1);
    assert_memory_equal(top.key.data, "0", 1);
    fixture_free(f);
}

/* One key more than there are counters, in turn: each one pushes out the one that
 * comes next, which is the worst that can happen to the counts. */
static void test_rotation(void **state)
{
    struct fixture *f = fixture_new(COUNTERS);
    (void)state;
    for (unsigned n = 0; n < 100 * (COUNTERS + 1); n++) {
        add(f, n % (COUNTERS + 1), 1);
    }
    check_bounds(f);
    fixture_free(f);
}

/* A key that was hot and comes no more is overtaken when its count has been
 * halved a few times. */
static void test_old_fame_fades(void **state)
{
    struct fixture *f = fixture_new(COUNTERS);
    struct km_space_saving_entry top;
    (void)state;
    add(f, 1, 1000);
    for (unsigned i = 0; i < 8; i++) {
        scale(f, 0.5);
        add(f, 2, 10);
        check_bounds(f);
    }
    assert_int_equal(km_space_saving_top(f->s, &top, 1), 1);
    assert_memory_equal(top.key.data, "2", 1);
    scale(f, 0);
    assert_int_equal(km_space_saving_top(f->s, &top, 1), 0);
    check_bounds(f);
    add(f, 3, 1);
    check_bounds(f);
    fixture_free(f);
}

/* Adds FEW long keys with the weights 1 to FEW, the smallest one first or last. */
enum { LONG = 4096, FEW = 64 };
enum order { SMALLEST_FIRST, SMALLEST_LAST };

static void run_long_keys(enum order order)
{
    struct fixture *f = fixture_new(FEW);
    struct km_space_saving_entry top[FEW];
    static char text[LONG + 1];
    for (unsigned n = 0; n < FEW; n++) {
        memset(text, 'a' + (int)n % 26, LONG);
        text[0] = (char)('0' + n);
        add_text(f->s, text, order == SMALLEST_FIRST ? n + 1 : FEW - n);
        km_space_saving_check(f->s);
    }
    size_t n = km_space_saving_top(f->s, top, FEW);
    assert_int_equal(n, FEW * KM_SPACE_SAVING_KEY_BYTES / LONG);
    assert_true(top[0].count == FEW);
    assert_int_equal(top[0].key.len, LONG);
    fixture_free(f);
}

/* The memory of long keys is bounded, and the hottest ones keep theirs. */
static void test_long_keys(void **state)
{
    (void)state;
    run_long_keys(SMALLEST_FIRST);
    run_long_keys(SMALLEST_LAST);
}

/* Keys with the same hash have counters of their own. */
static void test_equal_hashes(void **state)
{
    struct fixture *f = fixture_new(2);
    struct km_space_saving_entry top[2];
    (void)state;
    km_space_saving_add(f->s, 5, KAMA_STR("a"), 1);
    km_space_saving_add(f->s, 5, KAMA_STR("b"), 1);
    km_space_saving_add(f->s, 5, KAMA_STR("b"), 1);
    km_space_saving_add(f->s, 5, KAMA_STR(""), 4);
    assert_int_equal(km_space_saving_top(f->s, top, 2), 2);
    assert_int_equal(top[0].key.len, 0);
    assert_true(top[0].count == 5 && top[0].error == 1);
    assert_memory_equal(top[1].key.data, "b", 1);
    assert_true(top[1].count == 2 && top[1].error == 0);
    fixture_free(f);
}

/* The variance of a key that stands for w others each time is w * (w - 1) for each
 * time; looking at every key leaves none. */
static void test_variance(void **state)
{
    struct fixture *f = fixture_new(4);
    struct km_space_saving_entry top[2];
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        add_text(f->s, "a", 8);
        add_text(f->s, "b", 1);
    }
    assert_int_equal(km_space_saving_top(f->s, top, 2), 2);
    assert_true(top[0].variance == 10 * 8 * 7 && top[1].variance == 0);
    km_space_saving_scale(f->s, 0.5);
    (void)km_space_saving_top(f->s, top, 1);
    assert_true(top[0].variance == 10 * 8 * 7 / 4.0);
    fixture_free(f);
}

/* Makes the next allocation fail. */
static void fail_next(struct fixture *f)
{
    atomic_store(&f->probe.fail_at, atomic_load(&f->probe.allocs) + 1);
}

/* Without memory, no sketch is made; a key that cannot be stored is counted, and
 * shown when it has come again. */
static void test_no_memory(void **state)
{
    struct fixture *f = fixture_new(4);
    struct km_space_saving_entry top[4];
    struct km_space_saving *none = NULL;
    (void)state;
    fail_next(f);
    assert_int_equal(km_space_saving_new(&f->probe.allocator, 4, &none),
                     KAMA_ERR_NO_MEMORY);
    assert_null(none);
    fail_next(f);
    add_text(f->s, "a", 1);
    assert_int_equal(km_space_saving_top(f->s, top, 4), 0);
    km_space_saving_check(f->s);
    add_text(f->s, "a", 1);
    assert_int_equal(km_space_saving_top(f->s, top, 4), 1);
    assert_true(top[0].count == 2);
    fixture_free(f);
}

static size_t live_bytes;

/* What malloc really takes: the block and the header before it. */
static void *counting_alloc(void *ctx, size_t size)
{
    void *p = malloc(size);
    (void)ctx;
    live_bytes += p != NULL ? malloc_usable_size(p) + 8 : 0;
    return p;
}

static void *counting_resize(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    (void)ptr;
    (void)size;
    fail();
    return NULL;
}

static void counting_release(void *ctx, void *ptr)
{
    (void)ctx;
    live_bytes -= ptr != NULL ? malloc_usable_size(ptr) + 8 : 0;
    free(ptr);
}

/* A sketch takes no more memory than it says, with keys of any length. */
static void test_bytes(void **state)
{
    static const size_t lens[] = {1, 8, 24, 25, 64, 65, 1000};
    const kama_allocator mem = {.alloc = counting_alloc,
                                .resize = counting_resize,
                                .release = counting_release};
    static char bytes[1000];
    (void)state;
    for (unsigned n = 0; n < sizeof lens / sizeof lens[0]; n++) {
        struct km_space_saving *s;
        size_t most = 0;
        assert_int_equal(km_space_saving_new(&mem, COUNTERS, &s), KAMA_OK);
        for (uint64_t i = 0; i < 10 * COUNTERS; i++) {
            km_space_saving_add(s, i, kama_bytes_make(bytes, lens[n]), 1);
            most = live_bytes > most ? live_bytes : most;
        }
        assert_true(most <= km_space_saving_bytes_max(COUNTERS));
        km_space_saving_free(s);
        assert_int_equal(live_bytes, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zipf),
        cmocka_unit_test(test_flood_of_new_keys),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_old_fame_fades),
        cmocka_unit_test(test_long_keys),
        cmocka_unit_test(test_equal_hashes),
        cmocka_unit_test(test_variance),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
