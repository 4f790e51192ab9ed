/* SPDX-License-Identifier: MIT */
/*
 * The bound of a store that many threads fill: no put is refused because
 * others run at the same time, and when all have returned, everything in use
 * fits.
 */
#include "store/index.h"
#include "store/store_fixture.h"

#include <pthread.h>

#define THREADS 8
#define ROUNDS 400

struct putter {
    pthread_t thread;
    struct fixture *f;
    unsigned number;
    size_t value_bytes;
    const char *value;
    unsigned refused;
};

static void *put_all(void *arg)
{
    struct putter *p = arg;
    char key[32];
    for (unsigned i = 0; i < ROUNDS; i++) {
        kama_bytes name = number_key(key, p->number * ROUNDS + i % 3);
        p->refused +=
            put(p->f, name, KAMA_BYTES(p->value, p->value_bytes)) != KAMA_OK;
    }
    return NULL;
}

/* Threads put the largest values that are permitted, more at a time than
 * fit. */
static void run_large(uint64_t max_bytes, const struct km_policy_ops *policy)
{
    struct fixture *f = fixture_new(max_bytes, policy);
    struct putter putters[THREADS];
    char *value = test_calloc(1, max_bytes / 4);
    for (unsigned i = 0; i < THREADS; i++) {
        putters[i] = (struct putter){
            .f = f, .number = i, .value_bytes = max_bytes / 4, .value = value};
        assert_int_equal(
            pthread_create(&putters[i].thread, NULL, put_all, &putters[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pthread_join(putters[i].thread, NULL);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(putters[i].refused, 0);
    }
    assert_true(stats(f).used_bytes <= max_bytes);
    km_store_check(f->store);
    test_free(value);
    fixture_free(f, 0);
}

static void test_large_values_at_once(void **state)
{
    (void)state;
    run_large(64u << 10, &km_policy_s3fifo);
    run_large(64u << 10, &km_policy_lru);
    run_large(4u << 20, &km_policy_s3fifo);
}

/* A key whose hash would give the tag of a free slot is found and removed. */
static void test_tag_of_a_free_slot(void **state)
{
    struct fixture *f = fixture_new(1u << 20, &km_policy_s3fifo);
    char key[32];
    unsigned n = 0;
    (void)state;
    assert_int_equal(put(f, KAMA_STR("other"), KAMA_STR("v")), KAMA_OK);
    while ((km_store_hash(f->store, number_key(key, n)) >> 40 & 0xff) != 0) {
        n++;
    }
    assert_int_not_equal(
        km_index_tag(km_store_hash(f->store, number_key(key, n))), 0);
    assert_false(has(f, number_key(key, n)));
    assert_int_equal(put(f, number_key(key, n), KAMA_STR("v")), KAMA_OK);
    assert_true(has(f, number_key(key, n)));
    assert_true(del(f, number_key(key, n)));
    assert_false(has(f, number_key(key, n)));
    fixture_free(f, 0);
}

/* -- the work of one call --------------------------------------------------------- */

#define MIB (1u << 20)
#define DEBT_MAX (8u * MIB)
/* A put makes room three times, each time in at most 256 steps and those of a lock. */
#define STEPS_PER_PUT (3u * (256u + 64u))

/* Puts entries that are asked for three times each, until the store is full. Returns
 * how many. */
static unsigned fill_hot(struct fixture *f)
{
    static const char value[100];
    char key[32];
    unsigned count = 0;
    for (; count % 1024 != 0 || stats(f).evictions == 0; count++) {
        assert_int_equal(
            put(f, number_key(key, count), KAMA_BYTES(value, sizeof value)),
            KAMA_OK);
    }
    for (unsigned i = 0; i < 3 * count; i++) {
        (void)has(f, number_key(key, i % count));
    }
    return count;
}

/* A large value among small ones that are used often is a debt, which later calls pay. No
 * call does more than its share. */
static void test_large_among_hot(void **state)
{
    static const char value[MIB];
    struct fixture *f = fixture_new(128 * MIB, &km_policy_s3fifo_plus);
    char key[32];
    unsigned next = fill_hot(f);
    uint64_t max = stats(f).max_bytes;
    (void)state;
    uint64_t before = stats(f).evictions;
    assert_int_equal(put(f, KAMA_STR("large"), KAMA_BYTES(value, MIB)),
                     KAMA_OK);
    assert_true(stats(f).evictions - before <= STEPS_PER_PUT);
    assert_true(stats(f).used_bytes > max);
    unsigned puts = 0;
    for (; stats(f).used_bytes > max; puts++) {
        before = stats(f).evictions;
        assert_int_equal(
            put(f, number_key(key, next++), KAMA_BYTES(value, 100)), KAMA_OK);
        assert_true(stats(f).evictions - before <= STEPS_PER_PUT);
        assert_true(puts < 200);
    }
    fixture_free(f, 0);
}

/* With many large values in turn, the debt of all calls stays bounded. */
static void test_debt_is_bounded(void **state)
{
    static const char value[MIB];
    struct fixture *f = fixture_new(128 * MIB, &km_policy_s3fifo_plus);
    char key[32];
    unsigned next = fill_hot(f);
    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        assert_int_equal(
            put(f, number_key(key, next + i), KAMA_BYTES(value, MIB)), KAMA_OK);
        assert_true(stats(f).used_bytes <= stats(f).max_bytes + DEBT_MAX);
    }
    fixture_free(f, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_values_at_once),
        cmocka_unit_test(test_tag_of_a_free_slot),
        cmocka_unit_test(test_large_among_hot),
        cmocka_unit_test(test_debt_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
