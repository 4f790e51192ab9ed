/* SPDX-License-Identifier: MIT */
/*
 * The scan returns every entry that is in the store from the first call to the
 * last, also while the index grows, shrinks and is emptied.
 */
#include "store/store_fixture.h"
#include "store/store_scan.h"

#define MIB (1u << 20)

enum { STABLE = 3000, BATCH = 16 };

static unsigned key_number(const kama_value *item)
{
    kama_bytes key = km_item_key_bytes(item);
    unsigned n = 0;
    for (size_t i = 4; i < key.len; i++) {
        n = n * 10 + (unsigned)(((const char *)key.data)[i] - '0');
    }
    return n;
}

static void put_number(struct fixture *f, unsigned n)
{
    char key[32];
    assert_int_equal(put(f, number_key(key, n), KAMA_STR("v")), KAMA_OK);
}

/* Scans the whole store and runs `between` between the calls. seen[i] counts
 * how often the stable key i was returned. */
static unsigned scan_all(struct fixture *f, unsigned *seen, size_t batch,
                         void (*between)(struct fixture *f, unsigned call))
{
    kama_value *items[BATCH];
    uint64_t cursor = 0;
    unsigned calls = 0;
    do {
        size_t n = km_store_scan(f->store, &cursor, items, batch);
        assert_true(n <= batch);
        for (size_t i = 0; i < n; i++) {
            unsigned k = key_number(items[i]);
            if (k < STABLE) {
                seen[k]++;
            }
            kama_value_unref(items[i]);
        }
        if (between != NULL) {
            between(f, calls);
        }
        assert_true(++calls < 1000000);
    } while (cursor != 0);
    return calls;
}

static void expect_seen_once(const unsigned *seen)
{
    for (unsigned i = 0; i < STABLE; i++) {
        assert_int_equal(seen[i], 1);
    }
}

/* A scan with any batch size, of one shard and of many, returns every key once.
 * The scan of an empty store ends at once. */
static void test_quiet(void **state)
{
    (void)state;
    for (unsigned large = 0; large < 2; large++) {
        struct fixture *f =
            fixture_new(large ? 64 * MIB : MIB, &km_policy_s3fifo);
        static unsigned seen[STABLE];
        assert_true(scan_all(f, seen, BATCH, NULL) <= 2);
        for (unsigned i = 0; i < STABLE; i++) {
            put_number(f, i);
        }
        for (size_t batch = 1; batch <= BATCH; batch += 5) {
            memset(seen, 0, sizeof seen);
            (void)scan_all(f, seen, batch, NULL);
            expect_seen_once(seen);
        }
        fixture_free(f, 0);
    }
}

static void grow(struct fixture *f, unsigned call)
{
    for (unsigned i = 0; i < 50; i++) {
        put_number(f, 1000000 + call * 50 + i);
    }
}

static void shrink(struct fixture *f, unsigned call)
{
    char key[32];
    for (unsigned i = 0; i < 100; i++) {
        (void)del(f, number_key(key, 1000000 + call * 100 + i));
    }
}

/* Positions do not depend on the size of the table. */
static void test_while_growing_and_shrinking(void **state)
{
    struct fixture *f = fixture_new(64 * MIB, &km_policy_s3fifo);
    static unsigned seen[STABLE];
    (void)state;
    for (unsigned i = 0; i < STABLE; i++) {
        put_number(f, i);
    }
    (void)scan_all(f, seen, BATCH, grow);
    expect_seen_once(seen);
    km_store_check(f->store);
    memset(seen, 0, sizeof seen);
    (void)scan_all(f, seen, BATCH, shrink);
    expect_seen_once(seen);
    km_store_check(f->store);
    fixture_free(f, 0);
}

static void clear(struct fixture *f, unsigned call)
{
    if (call == 10) {
        km_store_clear(f->store);
    }
}

/* A scan ends although the store was cleared meanwhile. */
static void test_cleared_under_it(void **state)
{
    struct fixture *f = fixture_new(64 * MIB, &km_policy_s3fifo);
    static unsigned seen[STABLE];
    (void)state;
    for (unsigned i = 0; i < STABLE; i++) {
        put_number(f, i);
    }
    assert_true(scan_all(f, seen, BATCH, clear) < 30);
    fixture_free(f, 0);
}

/* A scan from any number as a cursor ends. */
static void test_any_cursor(void **state)
{
    struct fixture *f = fixture_new(64 * MIB, &km_policy_s3fifo);
    kama_value *items[BATCH];
    (void)state;
    for (unsigned i = 0; i < STABLE; i++) {
        put_number(f, i);
    }
    for (uint64_t c = 1; c < 60; c++) {
        uint64_t cursor = c * 0x9e3779b97f4a7c15u;
        do {
            size_t n = km_store_scan(f->store, &cursor, items, BATCH);
            for (size_t i = 0; i < n; i++) {
                kama_value_unref(items[i]);
            }
        } while (cursor != 0);
    }
    fixture_free(f, 0);
}

/* Expired and negative entries are not returned. */
static void test_hides_expired_and_negative(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    kama_value *items[BATCH];
    uint64_t cursor = 0;
    (void)state;
    km_ns now = atomic_load(&f->clock.now);
    assert_int_equal(put_expiring(f, KAMA_STR("old"), KAMA_STR("v"), now + 1),
                     KAMA_OK);
    struct km_item_spec spec = {.key = KAMA_STR("none"), .negative = true};
    kama_value *none = km_store_item_new(f->store, &spec);
    assert_int_equal(km_store_put(f->store, 0,
                                  km_store_hash(f->store, KAMA_STR("none")),
                                  none),
                     KAMA_OK);
    fake_clock_add_ms(&f->clock, 1);
    assert_int_equal(km_store_scan(f->store, &cursor, items, BATCH), 0);
    assert_int_equal(cursor, 0);
    fixture_free(f, 0);
}

/* After a whole scan the counters have no expired entry, however many were in a
 * bucket, and no other entry was left out. */
static void test_takes_the_expired_out(void **state)
{
    enum { EXPIRING = 5000 };
    struct fixture *f = fixture_new(64 * MIB, &km_policy_s3fifo);
    static unsigned seen[STABLE];
    char key[32];
    (void)state;
    km_ns now = atomic_load(&f->clock.now);
    for (unsigned i = 0; i < EXPIRING; i++) {
        kama_bytes k = kama_bytes_make(
            key, (size_t)snprintf(key, sizeof key, "expiring %u", i));
        assert_int_equal(put_expiring(f, k, KAMA_STR("v"), now + 1), KAMA_OK);
    }
    for (unsigned i = 0; i < STABLE; i++) {
        put_number(f, i);
    }
    assert_int_equal(stats(f).entries, EXPIRING + STABLE);
    fake_clock_add_ms(&f->clock, 5);
    (void)scan_all(f, seen, BATCH, NULL);
    expect_seen_once(seen);
    assert_int_equal(stats(f).entries, STABLE);
    assert_int_equal(stats(f).expirations, EXPIRING);
    km_store_check(f->store);
    fixture_free(f, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_while_growing_and_shrinking),
        cmocka_unit_test(test_cleared_under_it),
        cmocka_unit_test(test_any_cursor),
        cmocka_unit_test(test_hides_expired_and_negative),
        cmocka_unit_test(test_takes_the_expired_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
