/* SPDX-License-Identifier: MIT */
/*
 * The housekeeping of shards: a call does a bounded part of what is to be done, and an
 * eviction takes no more than it needs.
 */
#include "store/store_fixture.h"
#include "store/store_internal.h"

#define KIB 1024u
#define MIB (1024u * KIB)

static const char bytes[MIB];

static void put_many(struct fixture *f, unsigned first, unsigned count,
                     size_t value_bytes, km_ns expires_at)
{
    char key[32];
    for (unsigned i = first; i < first + count; i++) {
        assert_int_equal(put_expiring(f, number_key(key, i),
                                      KAMA_BYTES(bytes, value_bytes),
                                      expires_at),
                         KAMA_OK);
    }
}

/* Blocks that leave are free only when the lock is released. They are counted
 * before, so that no more entries leave than must. */
static void test_large_values_fill_the_store(void **state)
{
    struct fixture *f = fixture_own(64 * MIB, &km_policy_s3fifo_plus);
    (void)state;
    put_many(f, 0, 200, MIB - 64, 0);
    for (unsigned i = 200; i < 400; i++) {
        put_many(f, i, 1, MIB - 64, 0);
        assert_true(stats(f).payload_bytes >= 58 * MIB);
    }
    fixture_free(f, 0);
}

/* The large values that a clear has left are freed by and by. */
static void test_a_call_frees_few_cleared_values(void **state)
{
    struct fixture *f = fixture_own(64 * MIB, &km_policy_s3fifo_plus);
    (void)state;
    put_many(f, 0, 2000, 20000, 0);
    uint64_t used = stats(f).used_bytes;
    km_store_clear(f->store);
    unsigned calls = 0;
    for (; used > 8 * MIB; calls++) {
        put_many(f, calls, 1, 10, 0);
        uint64_t now = km_account_used(f->store->account);
        assert_true(now + MIB >= used);
        assert_true(calls < 2000);
        used = now;
    }
    fixture_free(f, 0);
}

/* Expired entries leave by and by, too. */
static void test_a_call_takes_few_expired_entries_out(void **state)
{
    struct fixture *f = fixture_own(MIB, &km_policy_s3fifo_plus);
    (void)state;
    put_many(f, 0, 5000, 8, f->clock.now + KM_NS_PER_S);
    fake_clock_add_ms(&f->clock, 2000);
    uint64_t before = stats(f).expirations;
    for (unsigned i = 0; stats(f).entries > i; i++) {
        put_many(f, 10000 + i, 1, 8, 0);
        uint64_t now = stats(f).expirations;
        assert_true(now - before <= 600);
        assert_true(i < 1000);
        before = now;
    }
    assert_int_equal(before, 5000);
    fixture_free(f, 0);
}

/* Refs have room for 32 GiB of records in a shard. A smaller number of segments stands
 * for that here. */
static void test_a_full_log_evicts(void **state)
{
    struct fixture *f = fixture_own(64 * MIB, &km_policy_s3fifo_plus);
    (void)state;
    for (unsigned i = 0; i < f->store->shard_count; i++) {
        f->store->shards[i].log.offset_bits = 28;
    }
    put_many(f, 0, 100000, 20, 0);
    put_many(f, 200000, 30000, 2000, 0);
    put_many(f, 300000, 100000, 20, 0);
    assert_true(stats(f).evictions > 0);
    assert_true(stats(f).payload_bytes > 10 * MIB);
    fixture_free(f, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_values_fill_the_store),
        cmocka_unit_test(test_a_call_frees_few_cleared_values),
        cmocka_unit_test(test_a_call_takes_few_expired_entries_out),
        cmocka_unit_test(test_a_full_log_evicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
