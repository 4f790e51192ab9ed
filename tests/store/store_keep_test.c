/* SPDX-License-Identifier: MIT */
/*
 * Housekeeping by a thread of its own: what was cleared or has expired comes back
 * without any other call, also if it lies among entries that live longer, and a store
 * with nothing to do is left alone.
 */
#include "store/store_fixture.h"
#include "store/store_internal.h"
#include "store/store_keep.h"

#include <pthread.h>

#define MIB (1u << 20)
#define COUNT 60000u

static uint64_t used(const struct fixture *f)
{
    return km_account_used(f->store->account);
}

/* Puts COUNT entries, of which every second one expires after ttl_ms, and the others
 * after other_ms; 0 is never. */
static void fill(struct fixture *f, uint64_t ttl_ms, uint64_t other_ms)
{
    static const char value[200];
    km_ns now = atomic_load(&f->clock.now);
    char key[32];
    for (unsigned i = 0; i < COUNT; i++) {
        uint64_t ms = i % 2 == 0 ? ttl_ms : other_ms;
        km_ns at = ms == 0 ? 0 : now + ms * KM_NS_PER_MS;
        assert_int_equal(
            put_expiring(f, number_key(key, i), KAMA_BYTES(value, 200), at),
            KAMA_OK);
    }
}

/* Returns how many entries the shards have, without the housekeeping of
 * km_store_stats_get. */
static uint64_t entries(const struct fixture *f)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < f->store->shard_count; i++) {
        sum += f->store->shards[i].index.entry_count;
    }
    return sum;
}

/* The clock stands still, so that the work is done in one call. */
static bool keep_now(struct fixture *f)
{
    return km_store_keep(f->store, atomic_load(&f->clock.now) + 1);
}

static void keep(struct fixture *f)
{
    assert_false(keep_now(f));
    km_store_check(f->store);
}

static void test_expired(void **state)
{
    struct fixture *f = fixture_new(64 * MIB, &km_policy_s3fifo_plus);
    (void)state;
    fill(f, 1000, 1000);
    uint64_t full = used(f);
    keep(f);
    assert_int_equal(entries(f), COUNT);
    fake_clock_add_ms(&f->clock, 1020);
    keep(f);
    assert_int_equal(entries(f), 0);
    assert_true(used(f) < full / 10);
    assert_int_equal(stats(f).expirations, COUNT);
    fixture_free(f, 0);
}

/* Entries that have expired leave within seconds, although their neighbours live for an
 * hour, or for ever. The holes are closed. */
static void run_neighbours(uint64_t other_ms)
{
    struct fixture *f = fixture_new(64 * MIB, &km_policy_s3fifo_plus);
    fill(f, 1000, other_ms);
    uint64_t full = used(f);
    fake_clock_add_ms(&f->clock, 3020);
    keep(f);
    assert_int_equal(entries(f), COUNT / 2);
    assert_true(used(f) < full / 5 * 4);
    assert_int_equal(stats(f).entries, COUNT / 2);
    fixture_free(f, 0);
}

static void test_expired_among_others(void **state)
{
    (void)state;
    run_neighbours(0);
    run_neighbours(3600 * 1000);
}

static void test_cleared(void **state)
{
    struct fixture *f = fixture_new(64 * MIB, &km_policy_s3fifo_plus);
    (void)state;
    fill(f, 0, 0);
    uint64_t full = used(f);
    km_store_clear(f->store);
    keep(f);
    assert_true(used(f) < full / 10);
    fixture_free(f, 0);
}

/* A step ends at its time, and the next one goes on. */
static void test_in_parts(void **state)
{
    struct fixture *f = fixture_new(64 * MIB, &km_policy_s3fifo_plus);
    (void)state;
    fill(f, 1000, 1000);
    fake_clock_add_ms(&f->clock, 1020);
    f->clock.step = 100000;
    assert_true(
        km_store_keep(f->store, atomic_load(&f->clock.now) + KM_NS_PER_MS));
    assert_true(entries(f) < COUNT && entries(f) > COUNT / 2);
    f->clock.step = 0;
    keep(f);
    assert_int_equal(entries(f), 0);
    fixture_free(f, 0);
}

/* Nothing is locked, and no exact clock is read, before something can have
 * expired. */
static void test_idle(void **state)
{
    struct fixture *f = fixture_new(64 * MIB, &km_policy_s3fifo_plus);
    (void)state;
    fill(f, 3600 * 1000, 0);
    keep(f);
    unsigned reads = atomic_load(&f->clock.reads);
    fake_clock_add_ms(&f->clock, 3000 * 1000);
    assert_false(keep_now(f));
    assert_int_equal(atomic_load(&f->clock.reads), reads);
    assert_true(*f->store->keep_at > atomic_load(&f->clock.now));
    fixture_free(f, 0);
}

/* -- threads --------------------------------------------------------------------- */

struct worker {
    pthread_t thread;
    struct fixture *f;
    unsigned number;
};

/* Sets entries that expire soon, deletes some, and clears now and then. */
static void *work(void *arg)
{
    struct worker *w = arg;
    char key[32];
    for (unsigned i = 0; i < 20000; i++) {
        unsigned n = w->number * 20000 + i;
        km_ns at = atomic_load(&w->f->clock.now) + (1 + n % 3) * KM_NS_PER_MS;
        assert_int_equal(
            put_expiring(w->f, number_key(key, n), KAMA_BYTES(key, 16), at),
            KAMA_OK);
        (void)del(w->f, number_key(key, n / 2));
        if (i % 4096 == 0) {
            km_store_clear(w->f->store);
        }
    }
    return NULL;
}

/* While others store, one thread keeps house, and misses nothing: in the end all
 * entries have left. */
static void test_threads(void **state)
{
    struct fixture *f = fixture_new(16 * MIB, &km_policy_s3fifo_plus);
    struct worker workers[2];
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        workers[i] = (struct worker){.f = f, .number = i};
        assert_int_equal(
            pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < 2000; i++) {
        fake_clock_add_ms(&f->clock, i % 2);
        (void)keep_now(f);
    }
    for (unsigned i = 0; i < 2; i++) {
        (void)pthread_join(workers[i].thread, NULL);
    }
    fake_clock_add_ms(&f->clock, 3000);
    keep(f);
    assert_int_equal(entries(f), 0);
    fixture_free(f, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expired),
        cmocka_unit_test(test_expired_among_others),
        cmocka_unit_test(test_cleared),
        cmocka_unit_test(test_in_parts),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
