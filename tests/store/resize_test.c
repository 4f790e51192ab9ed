/* SPDX-License-Identifier: MIT */
/*
 * A new bound of a store: a smaller one is kept to in bounded steps, a larger one
 * at once; threads that store values meanwhile are not refused, and several
 * threads may resize.
 */
#include "store/resident.h"
#include "store/store_fixture.h"
#include "store/store_internal.h"

#include <pthread.h>

#define MIB (1u << 20)

/* Makes steps until none is left, and returns how many there were. */
static unsigned resize(struct fixture *f, uint64_t max_bytes)
{
    unsigned steps = 1;
    km_store_resize(f->store, max_bytes);
    while (km_store_resize_step(f->store)) {
        steps++;
    }
    return steps;
}

/* Puts values of that length under the keys 0 to count - 1. */
static void fill(struct fixture *f, unsigned count, size_t value_bytes)
{
    static const char value[4096];
    char key[32];
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(
            put(f, number_key(key, i), KAMA_BYTES(value, value_bytes)),
            KAMA_OK);
    }
}

/* A smaller bound evicts, and no step evicts much more than its share. */
static void test_down(void **state)
{
    struct fixture *f = fixture_new(16 * MIB, &km_policy_s3fifo);
    (void)state;
    fill(f, 10000, 1000);
    uint64_t before = stats(f).used_bytes;
    km_store_resize(f->store, 4 * MIB);
    assert_int_equal(stats(f).max_bytes, 4 * MIB);
    assert_int_equal(stats(f).used_bytes, before);
    uint64_t used = before;
    while (km_store_resize_step(f->store)) {
        uint64_t now = stats(f).used_bytes;
        assert_true(used - now <= 256 * 1024 + 32 * 1100);
        used = now;
        km_store_check(f->store);
    }
    assert_true(stats(f).used_bytes <= 4 * MIB);
    assert_true(stats(f).used_bytes >= 3 * MIB);
    fill(f, 10000, 1000);
    assert_true(stats(f).used_bytes <= 4 * MIB);
    fixture_free(f, 0);
}

/* A larger bound is in force after one step, and more is kept. */
static void test_up(void **state)
{
    struct fixture *f = fixture_new(2 * MIB, &km_policy_lru);
    (void)state;
    fill(f, 10000, 1000);
    uint64_t few = stats(f).entries;
    assert_true(few < 2000);
    assert_int_equal(resize(f, 16 * MIB), 1);
    fill(f, 10000, 1000);
    assert_int_equal(stats(f).entries, 10000);
    fixture_free(f, 0);
}

/* The index and the ghosts of many small entries may need most of a small bound,
 * or more. They are given back then, and the store goes on working. */
static void test_far_down(void **state)
{
    struct fixture *f = fixture_new(16 * MIB, &km_policy_s3fifo);
    static const char large[MIB / 8];
    char key[32];
    (void)state;
    fill(f, 600000, 8);
    assert_true(stats(f).evictions > 0);
    for (uint64_t max_bytes = 4 * MIB; max_bytes >= MIB / 4; max_bytes /= 2) {
        (void)resize(f, max_bytes);
        assert_true(stats(f).used_bytes <= max_bytes);
        assert_int_equal(put(f, number_key(key, 1), KAMA_BYTES(large, MIB / 8)),
                         KAMA_OK);
        assert_true(has(f, number_key(key, 1)));
    }
    fixture_free(f, 0);
}

/* When a bound sinks below what an empty store of that shape needs, no put waits for
 * memory that nobody will give back. */
static void test_no_put_waits_for_what_nobody_holds(void **state)
{
    struct fixture *f = fixture_own(64 * MIB, &km_policy_s3fifo_plus);
    char key[32];
    (void)state;
    fill(f, 20000, 4000);
    (void)resize(f, 64 << 10);
    km_ns begin = km_clock_mono(km_clock_system());
    for (unsigned i = 0; i < 100; i++) {
        static const char value[10000];
        assert_int_equal(
            put(f, number_key(key, i), KAMA_BYTES(value, sizeof value)),
            KAMA_OK);
    }
    assert_true(km_clock_mono(km_clock_system()) - begin < 5 * KM_NS_PER_S);
    fixture_free(f, 0);
}

/* Free pages that stay resident are a part of the present bound. */
static void test_free_pages_sink_with_the_bound(void **state)
{
    struct fixture *f = fixture_own(64 * MIB, &km_policy_s3fifo);
    (void)state;
    fill(f, 200000, 500);
    (void)resize(f, MIB);
    fill(f, 1000, 500);
    assert_true(stats(f).used_bytes <= MIB);
    assert_true(stats(f).entries > 0);
    fixture_free(f, 0);
}

/* Values that are referenced cannot be evicted. The steps end all the same, puts go on,
 * and the bound is kept to when the values are given back. */
static void test_pinned(void **state)
{
    enum { HELD = 2000 };
    struct fixture *f = fixture_new(16 * MIB, &km_policy_s3fifo);
    static kama_value *held[HELD];
    char key[32];
    (void)state;
    fill(f, HELD, 4000);
    for (unsigned i = 0; i < HELD; i++) {
        assert_int_equal(get(f, number_key(key, i), &held[i]), KAMA_OK);
    }
    (void)resize(f, MIB);
    assert_int_equal(stats(f).entries, 0);
    assert_true(stats(f).used_bytes > 7 * MIB);
    assert_int_equal(put(f, KAMA_STR("other"), KAMA_STR("v")), KAMA_OK);
    assert_true(has(f, KAMA_STR("other")) || stats(f).pinned_bytes > MIB);
    for (unsigned i = 0; i < HELD; i++) {
        kama_value_unref(held[i]);
    }
    assert_int_equal(put(f, KAMA_STR("k"), KAMA_STR("v")), KAMA_OK);
    assert_true(stats(f).used_bytes <= MIB);
    fixture_free(f, 0);
}

/* Puts values of 100 bytes and of 30,000 in turn, until the store is full. */
static void fill_both(struct fixture *f)
{
    static const char value[30000];
    char key[32];
    for (unsigned i = 0; i < 100000; i++) {
        assert_int_equal(put(f, number_key(key, i),
                             KAMA_BYTES(value, i % 32 == 0 ? 30000 : 100)),
                         KAMA_OK);
    }
}

/* With pages of the system, what is resident follows the bound, of which only a small
 * part may be warm, and entries have the rest. */
static void test_resident(void **state)
{
    struct fixture *f = fixture_own(64 * MIB, &km_policy_s3fifo_plus);
    size_t empty = resident();
    (void)state;
    fill_both(f);
    assert_true(stats(f).evictions > 0);
    assert_true(resident() > empty + 55 * MIB);
    (void)resize(f, 4 * MIB);
    assert_true(stats(f).used_bytes <= 4 * MIB);
    assert_true(stats(f).payload_bytes > MIB);
    assert_true(f->store->account->pages.warm * KM_PAGE_BYTES <= MIB / 16);
    assert_true(f->store->account->blocks.warm * KM_PAGE_BYTES <= MIB / 16);
    assert_true(resident_at_most(empty + 8 * MIB));
    (void)resize(f, 64 * MIB);
    fill_both(f);
    assert_true(resident_at_most(empty + 64 * MIB / 20 * 21 + 8 * MIB));
    fixture_free(f, 0);
}

struct worker {
    pthread_t thread;
    struct fixture *f;
    unsigned number;
    unsigned refused;
};

static void *put_all(void *arg)
{
    struct worker *w = arg;
    static const char value[1000];
    char key[32];
    for (unsigned i = 0; i < 4000; i++) {
        w->refused += put(w->f, number_key(key, w->number * 4000 + i),
                          KAMA_BYTES(value, sizeof value)) != KAMA_OK;
    }
    return NULL;
}

static void *resize_all(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; i < 20; i++) {
        (void)resize(w->f, (1 + (i + w->number) % 5) * MIB);
    }
    return NULL;
}

/* While two threads store, two others resize, each to bounds of its own. In the
 * end the bound that was wanted last is in force. */
static void test_threads(void **state)
{
    struct fixture *f = fixture_new(4 * MIB, &km_policy_s3fifo);
    struct worker workers[4];
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        workers[i] = (struct worker){.f = f, .number = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL,
                                        i < 2 ? put_all : resize_all,
                                        &workers[i]),
                         0);
    }
    for (unsigned i = 0; i < 4; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].refused, 0);
    }
    assert_false(km_store_resize_step(f->store));
    assert_true(stats(f).used_bytes <= stats(f).max_bytes);
    fixture_free(f, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_down),
        cmocka_unit_test(test_up),
        cmocka_unit_test(test_far_down),
        cmocka_unit_test(test_pinned),
        cmocka_unit_test(test_resident),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_no_put_waits_for_what_nobody_holds),
        cmocka_unit_test(test_free_pages_sink_with_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
