/* SPDX-License-Identifier: MIT */
/* Departed keys: the reason of the last departure is told, as long as it is
 * remembered, and the memory is bounded. */
#include "store/departed.h"

#include "store/store_fixture.h"

#define MIB (1u << 20)

struct kit {
    struct km_mem_probe probe;
    struct km_account *account;
    struct km_departed departed;
};

static struct kit *kit_new(uint64_t shard_bytes)
{
    struct kit *k = test_calloc(1, sizeof *k);
    km_mem_probe_init(&k->probe);
    k->account = km_account_new(&k->probe.allocator, km_clock_system(), MIB, 1);
    km_departed_init(&k->departed, k->account, shard_bytes);
    return k;
}

static void kit_free(struct kit *k)
{
    km_departed_clear(&k->departed);
    assert_int_equal(km_account_used(k->account), 1);
    km_account_discharge(k->account, 1);
    assert_int_equal(atomic_load(&k->probe.live_blocks), 0);
    test_free(k);
}

static uint64_t number(uint64_t i)
{
    return i * UINT64_C(0x9e3779b97f4a7c15);
}

/* Each of many keys is told by its own reason. */
static void test_reasons(void **state)
{
    struct kit *k = kit_new(MIB);
    (void)state;
    assert_int_equal(km_departed_why(&k->departed, 1), KM_MISS_ABSENT);
    for (uint64_t i = 0; i < 600; i++) {
        km_departed_note(&k->departed, number(i),
                         KM_MISS_EXPIRED + (enum km_miss)(i % 3));
    }
    for (uint64_t i = 0; i < 600; i++) {
        assert_int_equal(km_departed_why(&k->departed, number(i)),
                         KM_MISS_EXPIRED + (enum km_miss)(i % 3));
    }
    km_ghost_check(&k->departed.ghosts);
    kit_free(k);
}

/* A key that has left twice has the reason of the second time. */
static void test_last_reason(void **state)
{
    struct kit *k = kit_new(MIB);
    (void)state;
    km_departed_note(&k->departed, 7, KM_MISS_DELETED);
    km_departed_note(&k->departed, 7, KM_MISS_EXPIRED);
    assert_int_equal(km_departed_why(&k->departed, 7), KM_MISS_EXPIRED);
    km_departed_note(&k->departed, 7, KM_MISS_DELETED);
    assert_int_equal(km_departed_why(&k->departed, 7), KM_MISS_DELETED);
    km_departed_clear(&k->departed);
    assert_int_equal(km_departed_why(&k->departed, 7), KM_MISS_ABSENT);
    kit_free(k);
}

/* The table keeps to its bound, old departures are forgotten, and few keys are taken
 * for others. */
static void test_bounds(void **state)
{
    static const uint64_t shard_bytes[] = {1, MIB, (uint64_t)1 << 40};
    (void)state;
    for (unsigned s = 0; s < 3; s++) {
        struct kit *k = kit_new(shard_bytes[s]);
        unsigned strangers = 0;
        for (uint64_t i = 0; i < 100000; i++) {
            km_departed_note(&k->departed, number(i), KM_MISS_DELETED);
        }
        assert_true(km_account_used(k->account) <= 17 * 1024);
        assert_int_equal(km_departed_why(&k->departed, number(99999)),
                         KM_MISS_DELETED);
        for (uint64_t i = 0; i < 50000; i++) {
            strangers +=
                km_departed_why(&k->departed, number(i)) != KM_MISS_ABSENT;
        }
        assert_true(strangers < 50000 / 500);
        kit_free(k);
    }
}

/* Without memory, departures are forgotten. */
static void test_no_memory(void **state)
{
    struct kit *k = kit_new(MIB);
    (void)state;
    atomic_store(&k->probe.fail_at, 2);
    km_departed_note(&k->departed, 7, KM_MISS_DELETED);
    assert_int_equal(km_departed_why(&k->departed, 7), KM_MISS_ABSENT);
    km_departed_note(&k->departed, 7, KM_MISS_DELETED);
    assert_int_equal(km_departed_why(&k->departed, 7), KM_MISS_DELETED);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_last_reason),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
