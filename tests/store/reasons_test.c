/* SPDX-License-Identifier: MIT */
/* Why entries leave, and what a miss says about it afterwards. */
#include "store/store_fixture.h"

#include "store/store_hide.h"
#include "store/store_touch.h"

#define MIB (1u << 20)

/* Returns why a key is not there; it must not be there. */
static enum km_miss why(struct fixture *f, kama_bytes key)
{
    uint64_t hash = km_store_hash(f->store, key);
    kama_value *value;
    size_t len;
    struct km_found by_get = km_store_get_why(f->store, hash, key, &value);
    assert_int_equal(by_get.status, KAMA_WOULD_LOAD);
    struct km_found by_copy =
        km_store_copy_why(f->store, hash, key, NULL, 0, &len);
    assert_int_equal(by_copy.status, KAMA_WOULD_LOAD);
    assert_int_equal(by_get.why, by_copy.why);
    return by_get.why;
}

static enum km_miss why_number(struct fixture *f, unsigned n)
{
    char buf[16];
    return why(f, number_key(buf, n));
}

static void put_number(struct fixture *f, unsigned n)
{
    char buf[16];
    assert_int_equal(put(f, number_key(buf, n), KAMA_STR("value")), KAMA_OK);
}

/* Returns the sum of all entries that have left. */
static uint64_t left(struct fixture *f)
{
    struct km_store_stats s = stats(f);
    return s.evictions + s.expirations + s.deleted + s.replaced + s.cleared +
           s.moved;
}

static void test_absent(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo_plus);
    (void)state;
    assert_int_equal(why(f, KAMA_STR("k")), KM_MISS_ABSENT);
    put_number(f, 1);
    assert_int_equal(why(f, KAMA_STR("k")), KM_MISS_ABSENT);
    assert_int_equal(left(f), 0);
    fixture_free(f, 0);
}

/* A delete of a key that is not there is no departure. */
static void test_deleted(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo_plus);
    (void)state;
    assert_false(del(f, KAMA_STR("other")));
    put_number(f, 1);
    assert_true(del(f, KAMA_STR("key-1")));
    assert_false(del(f, KAMA_STR("key-1")));
    assert_int_equal(why_number(f, 1), KM_MISS_DELETED);
    assert_int_equal(why(f, KAMA_STR("other")), KM_MISS_ABSENT);
    assert_int_equal(stats(f).deleted, 1);
    assert_int_equal(left(f), 1);
    fixture_free(f, 0);
}

/* An entry expires whether a look finds it, or the housekeeping of the shard. */
static void test_expired(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo_plus);
    char buf[16];
    (void)state;
    km_ns at = atomic_load(&f->clock.now) + KM_NS_PER_S;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(put_expiring(f, number_key(buf, i), KAMA_STR("v"), at),
                         KAMA_OK);
    }
    fake_clock_add_ms(&f->clock, 2000);
    assert_int_equal(why_number(f, 0), KM_MISS_EXPIRED);
    assert_int_equal(stats(f).expirations, 10);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(why_number(f, i), KM_MISS_EXPIRED);
    }
    assert_int_equal(left(f), 10);
    fixture_free(f, 0);
}

/* Most evictions are remembered, with every policy. The first ghosts of s3fifo+ take
 * so much memory that more entries leave than it has ghosts of the main queue. */
static void test_evicted(void **state)
{
    static const struct km_policy_ops *const policies[] = {
        &km_policy_s3fifo_plus, &km_policy_s3fifo, &km_policy_lru};
    (void)state;
    for (unsigned p = 0; p < 3; p++) {
        struct fixture *f = fixture_new(MIB, policies[p]);
        char buf[16];
        unsigned count = 0;
        while (stats(f).evictions < 500) {
            put_number(f, count++);
        }
        unsigned told = 0;
        unsigned gone = 0;
        for (unsigned i = 0; i < count; i++) {
            if (!has(f, number_key(buf, i))) {
                gone++;
                told += why_number(f, i) == KM_MISS_EVICTED;
            }
        }
        assert_int_equal(gone, stats(f).evictions);
        assert_true(told * 2 >= gone);
        assert_int_equal(left(f), gone);
        assert_int_equal(why(f, KAMA_STR("other")), KM_MISS_ABSENT);
        fixture_free(f, 0);
    }
}

/* A set and a fill replace; a touch does not. */
static void test_replaced(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo_plus);
    kama_bytes key = KAMA_STR("key-1");
    uint64_t hash = km_store_hash(f->store, key);
    (void)state;
    put_number(f, 1);
    assert_int_equal(stats(f).replaced, 0);
    put_number(f, 1);
    assert_int_equal(put(f, key, KAMA_STR("a longer value")), KAMA_OK);
    assert_int_equal(stats(f).replaced, 2);
    km_ns at = atomic_load(&f->clock.now) + KM_NS_PER_S;
    assert_int_equal(km_store_touch(f->store, 0, hash, key, at), KAMA_OK);
    assert_int_equal(stats(f).replaced, 2);
    assert_int_equal(left(f), 2);
    fixture_free(f, 0);
}

/* A clear counts what was there, and forgets why other keys have left. */
static void test_cleared(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo_plus);
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        put_number(f, i);
    }
    assert_true(del(f, KAMA_STR("key-7")));
    km_store_clear(f->store);
    assert_int_equal(stats(f).cleared, 99);
    assert_int_equal(left(f), 100);
    assert_int_equal(why_number(f, 7), KM_MISS_ABSENT);
    assert_int_equal(why_number(f, 8), KM_MISS_ABSENT);
    km_store_clear(f->store);
    assert_int_equal(stats(f).cleared, 99);
    fixture_free(f, 0);
}

/* Entries of slots that have moved away are counted when they are met: by a look, or
 * by the sweep. */
static void test_moved(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo_plus);
    struct km_slot_map *lost = test_calloc(1, sizeof *lost);
    char buf[16];
    uint64_t cursor = 0;
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        put_number(f, i);
        km_slot_map_add(lost, km_slot_of(0, number_key(buf, i)));
    }
    put_number(f, 100);
    km_store_hide(f->store, 1, lost);
    assert_int_equal(stats(f).moved, 0);
    assert_int_equal(why_number(f, 0), KM_MISS_ABSENT);
    assert_int_equal(stats(f).moved, 1);
    while (km_store_sweep(f->store, &cursor)) {
    }
    assert_int_equal(stats(f).moved, 10);
    assert_int_equal(left(f), 10);
    assert_int_equal(stats(f).entries, 1);
    fixture_free(f, 0);
    test_free(lost);
}

/* A key that comes back and leaves again is told by its last departure. */
static void test_last_departure(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo_plus);
    kama_bytes key = KAMA_STR("k");
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(put(f, key, KAMA_STR("v")), KAMA_OK);
        assert_true(del(f, key));
        assert_int_equal(why(f, key), KM_MISS_DELETED);
        km_ns at = atomic_load(&f->clock.now) + KM_NS_PER_S;
        assert_int_equal(put_expiring(f, key, KAMA_STR("v"), at), KAMA_OK);
        fake_clock_add_ms(&f->clock, 2000);
        assert_int_equal(why(f, key), KM_MISS_EXPIRED);
    }
    fixture_free(f, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absent),   cmocka_unit_test(test_deleted),
        cmocka_unit_test(test_expired),  cmocka_unit_test(test_evicted),
        cmocka_unit_test(test_replaced), cmocka_unit_test(test_cleared),
        cmocka_unit_test(test_moved),    cmocka_unit_test(test_last_departure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
