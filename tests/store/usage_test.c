/* SPDX-License-Identifier: MIT */
/* What the memory of a store is used for. The uses sum up to the used bytes after
 * each step, with the store's own pages and with an allocator. */
#include "store/store_fixture.h"

#define MIB (1u << 20)
#define LARGE 100000u

static char large[LARGE];

/* Makes a fixture whose store has the default allocator, and so pages of its own. */
static struct fixture *paged_new(uint64_t max_bytes)
{
    struct fixture *f = fixture_new(max_bytes, &km_policy_s3fifo_plus);
    struct km_store_options options = {.mem = km_mem_default(),
                                       .clock = &f->clock.clock,
                                       .policy = &km_policy_s3fifo_plus,
                                       .max_bytes = max_bytes,
                                       .seed = 42};
    km_store_free(f->store);
    assert_int_equal(km_store_new(&options, &f->store), KAMA_OK);
    return f;
}

static struct fixture *open_nth(unsigned n, uint64_t max_bytes)
{
    return n == 0 ? fixture_new(max_bytes, &km_policy_s3fifo_plus)
                  : paged_new(max_bytes);
}

/* Returns the uses, whose sum is right. */
static struct km_usage usage(struct fixture *f)
{
    struct km_store_stats s = stats(f);
    assert_int_equal(km_usage_sum(&s.usage), s.used_bytes);
    assert_int_equal(s.usage.held, s.pinned_bytes);
    return s.usage;
}

/* An empty store is its own structures and nothing else. */
static void test_empty(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 2; n++) {
        struct fixture *f = open_nth(n, MIB);
        assert_int_equal(usage(f).fixed, stats(f).used_bytes);
        fixture_free(f, 0);
    }
}

/* A record that leaves becomes a hole, and its whole segment becomes free. */
static void test_records(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 2; n++) {
        struct fixture *f = open_nth(n, MIB);
        assert_int_equal(put(f, KAMA_STR("a"), KAMA_STR("value")), KAMA_OK);
        uint64_t one = usage(f).live;
        assert_true(one >= 6 && one <= 24);
        assert_true(usage(f).free > 0 && usage(f).index > 0);
        assert_int_equal(usage(f).holes, 0);
        assert_int_equal(put(f, KAMA_STR("b"), KAMA_STR("value")), KAMA_OK);
        assert_int_equal(usage(f).live, 2 * one);
        assert_true(del(f, KAMA_STR("a")));
        assert_int_equal(usage(f).live, one);
        assert_int_equal(usage(f).holes, one);
        assert_true(usage(f).ghosts > 0);
        assert_true(del(f, KAMA_STR("b")));
        assert_int_equal(usage(f).live, 0);
        assert_int_equal(usage(f).holes, 0);
        fixture_free(f, 0);
    }
}

/* A large value is a block, which counts as held as long as a caller holds it. */
static void test_blocks(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 2; n++) {
        struct fixture *f = open_nth(n, MIB);
        kama_value *first;
        kama_value *second;
        assert_int_equal(put(f, KAMA_STR("k"), KAMA_BYTES(large, sizeof large)),
                         KAMA_OK);
        uint64_t block = usage(f).blocks;
        assert_true(block >= LARGE && block < LARGE + 8192);
        assert_int_equal(usage(f).held, 0);
        assert_int_equal(get(f, KAMA_STR("k"), &first), KAMA_OK);
        assert_int_equal(get(f, KAMA_STR("k"), &second), KAMA_OK);
        assert_int_equal(usage(f).blocks, 0);
        assert_true(usage(f).held > block);
        kama_value_unref(first);
        assert_int_equal(usage(f).blocks, 0);
        assert_true(del(f, KAMA_STR("k")));
        assert_true(usage(f).held > block);
        kama_value_unref(second);
        assert_int_equal(usage(f).held, 0);
        assert_int_equal(usage(f).blocks, 0);
        fixture_free(f, 0);
    }
}

/* Through evictions and a clear, and while values are held, each byte has a use. */
static void test_full(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 2; n++) {
        struct fixture *f = open_nth(n, 4 * MIB);
        kama_value *held[8] = {NULL};
        char buf[16];
        for (unsigned i = 0; i < 60000; i++) {
            size_t len = i % 1000 == 0 ? LARGE : i % 97;
            kama_bytes key = number_key(buf, i);
            assert_int_equal(put(f, key, KAMA_BYTES(large, len)), KAMA_OK);
            if (i % 500 == 0) {
                kama_value_unref(held[i / 500 % 8]);
                assert_int_equal(get(f, key, &held[i / 500 % 8]), KAMA_OK);
                (void)usage(f);
            }
        }
        assert_true(stats(f).evictions > 0);
        assert_true(usage(f).ghosts > 0);
        km_store_clear(f->store);
        assert_int_equal(usage(f).live, 0);
        assert_int_equal(usage(f).holes, 0);
        assert_int_equal(usage(f).ghosts, 0);
        assert_true(usage(f).free > MIB / 4);
        for (unsigned i = 0; i < 8; i++) {
            kama_value_unref(held[i]);
        }
        fixture_free(f, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
