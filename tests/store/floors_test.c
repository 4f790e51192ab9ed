/* SPDX-License-Identifier: MIT */
/* Floors: how many there are, that each lies in one shard and never sinks, and that every
 * way in which an explicit entry is forgotten raises one. */
#include "store/floors.h"

#include "store/store_fixture.h"
#include "store/store_hide.h"
#include "store/store_internal.h"

#define MIB (UINT64_C(1) << 20)

/* -- alone ----------------------------------------------------------------- */

static struct km_account *account_new(void)
{
    struct km_account *account =
        km_account_new(km_mem_default(), km_clock_system(), MIB, 1);
    assert_non_null(account);
    return account;
}

/* There is one slot for each 8 KiB, within limits, and they are charged. */
static void test_number_of_slots(void **state)
{
    static const struct {
        uint64_t max_bytes;
        unsigned bits;
    } rows[] = {{64u << 10, 10},  {8 * MIB, 10},    {16 * MIB - 1, 10},
                {16 * MIB, 11},   {64 * MIB, 13},   {512 * MIB, 16},
                {2048 * MIB, 18}, {UINT64_MAX, 18}, {100 * MIB, 13}};
    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct km_account *account = account_new();
        struct km_floors *floors = km_floors_new(account, rows[i].max_bytes);
        assert_non_null(floors);
        assert_int_equal(floors->bits, rows[i].bits);
        assert_true(km_account_used(account) > UINT64_C(8) << rows[i].bits);
        km_floors_free(floors);
        assert_int_equal(km_account_used(account), 1);
        km_account_discharge(account, 1);
    }
}

/* A floor rises and never sinks, alone or with all others. */
static void test_floors_rise(void **state)
{
    struct km_account *account = account_new();
    struct km_floors *floors = km_floors_new(account, MIB);
    const uint64_t here = UINT64_C(5) << 54;
    const uint64_t there = UINT64_C(6) << 54;
    (void)state;
    assert_non_null(floors);
    assert_int_equal(km_floors_get(floors, here), 0);
    km_floors_raise(floors, here, 10);
    km_floors_raise(floors, here, 9);
    assert_int_equal(km_floors_get(floors, here), 10);
    assert_int_equal(km_floors_get(floors, here + 1), 10);
    assert_int_equal(km_floors_get(floors, there), 0);
    km_floors_raise_all(floors, 7);
    assert_int_equal(km_floors_get(floors, here), 10);
    assert_int_equal(km_floors_get(floors, there), 7);
    km_floors_raise_all(floors, 20);
    km_floors_raise_all(floors, 19);
    assert_int_equal(km_floors_get(floors, here), 20);
    assert_int_equal(km_floors_get(floors, UINT64_MAX), 20);
    km_floors_free(floors);
    km_account_discharge(account, 1);
}

/* -- in a store ------------------------------------------------------------ */

static struct fixture *synced(uint64_t max_bytes)
{
    return fixture_synced(max_bytes, &km_policy_s3fifo);
}

static uint64_t floor_of(struct fixture *f, kama_bytes key)
{
    return km_floors_get(f->store->floors, km_store_hash(f->store, key));
}

/* Puts an explicit entry. */
static void put_explicit(struct fixture *f, kama_bytes key, size_t len,
                         struct km_item_spec spec)
{
    static const char bytes[1000];
    spec.key = key;
    spec.value = KAMA_BYTES(bytes, len);
    kama_value *item = km_store_item_new(f->store, &spec);
    assert_non_null(item);
    assert_int_equal(
        km_store_put(f->store, 0, km_store_hash(f->store, key), item), KAMA_OK);
}

static void put_stamped(struct fixture *f, const char *key, size_t len,
                        uint64_t hlc)
{
    put_explicit(f, kama_bytes_str(key), len,
                 (struct km_item_spec){.stamp = {hlc, 1}});
}

/* A store that did not ask for floors has none, and needs no byte more. */
static void test_only_where_they_are_asked_for(void **state)
{
    struct fixture *local = fixture_new(8 * MIB, &km_policy_s3fifo);
    struct fixture *f = synced(8 * MIB);
    (void)state;
    assert_null(local->store->floors);
    assert_true(stats(f).used_bytes >= stats(local).used_bytes + 8192);
    fixture_free(local, 0);
    fixture_free(f, 0);
}

/* The keys of one slot are in one shard, whatever the size of the store is. */
static void test_a_slot_lies_in_one_shard(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct fixture *f = synced(i == 0 ? 64u << 10 : 64 * MIB);
        unsigned bits = f->store->floors->bits;
        for (uint64_t slot = 0; slot < UINT64_C(1) << bits; slot++) {
            uint64_t first = slot << (64 - bits);
            uint64_t last = first | (UINT64_MAX >> bits);
            assert_ptr_equal(km_store_shard(f->store, first),
                             km_store_shard(f->store, last));
        }
        fixture_free(f, 0);
    }
}

/* R5: each way in which an explicit entry is forgotten raises its floor to its clock. A
 * value that was filled raises nothing. */
static void test_delete_raises(void **state)
{
    struct fixture *f = synced(MIB);
    kama_bytes key = KAMA_STR("k");
    (void)state;
    assert_int_equal(put(f, key, KAMA_STR("filled")), KAMA_OK);
    assert_true(del(f, key));
    assert_int_equal(floor_of(f, key), 0);
    put_stamped(f, "k", 5, 50);
    assert_int_equal(floor_of(f, key), 0);
    assert_true(del(f, key));
    assert_int_equal(floor_of(f, key), 50);
    fixture_free(f, 0);
}

static void test_expiry_raises(void **state)
{
    struct fixture *f = synced(MIB);
    kama_bytes key = KAMA_STR("k");
    (void)state;
    put_explicit(f, key, 5,
                 (struct km_item_spec){.expires_at = f->clock.now + 1000,
                                       .stamp = {50, 1}});
    fake_clock_add_ms(&f->clock, 1);
    assert_false(has(f, key));
    assert_int_equal(floor_of(f, key), 50);
    fixture_free(f, 0);
}

/* A value without a stamp may take the place of the entry, or be stored elsewhere. */
static void test_replacement_by_a_load_raises(void **state)
{
    struct fixture *f = synced(MIB);
    (void)state;
    put_stamped(f, "a", 5, 50);
    put_explicit(f, KAMA_STR("a"), 5, (struct km_item_spec){.version = 0});
    assert_int_equal(floor_of(f, KAMA_STR("a")), 50);
    put_stamped(f, "b", 5, 60);
    put_explicit(f, KAMA_STR("b"), 900, (struct km_item_spec){.version = 0});
    assert_int_equal(floor_of(f, KAMA_STR("b")), 60);
    fixture_free(f, 0);
}

/* An heir with a stamp bars older sets itself. */
static void test_replacement_by_a_set_raises_nothing(void **state)
{
    struct fixture *f = synced(MIB);
    (void)state;
    put_stamped(f, "a", 5, 50);
    put_stamped(f, "a", 5, 51);
    put_stamped(f, "a", 500, 52);
    assert_int_equal(floor_of(f, KAMA_STR("a")), 0);
    fixture_free(f, 0);
}

static void test_hide_raises(void **state)
{
    struct fixture *f = synced(MIB);
    kama_bytes key = KAMA_STR("k");
    struct km_slot_map *lost = test_calloc(1, sizeof *lost);
    uint64_t cursor = 0;
    (void)state;
    km_slot_map_add(lost, km_slot_of(0, key));
    put_stamped(f, "k", 5, 50);
    km_store_hide(f->store, 1, lost);
    while (km_store_sweep(f->store, &cursor)) {
    }
    assert_int_equal(floor_of(f, key), 50);
    test_free(lost);
    fixture_free(f, 0);
}

static void test_clear_raises(void **state)
{
    struct fixture *f = synced(8 * MIB);
    char buf[32];
    (void)state;
    for (unsigned k = 0; k < 100; k++) {
        put_explicit(f, number_key(buf, k), 5,
                     (struct km_item_spec){.stamp = {1 + k, 1}});
    }
    km_store_clear(f->store);
    for (unsigned k = 0; k < 100; k++) {
        assert_true(floor_of(f, number_key(buf, k)) >= 1 + k);
    }
    fixture_free(f, 0);
}

/* Whatever was put and is gone is below the floor. */
static void test_eviction_raises(void **state)
{
    struct fixture *f = synced(512u << 10);
    char buf[32];
    unsigned gone = 0;
    (void)state;
    for (unsigned k = 0; k < 3000; k++) {
        put_explicit(f, number_key(buf, k), 500,
                     (struct km_item_spec){.stamp = {1 + k, 1}});
    }
    for (unsigned k = 0; k < 3000; k++) {
        if (!has(f, number_key(buf, k))) {
            gone++;
            assert_true(floor_of(f, number_key(buf, k)) >= 1 + k);
        }
    }
    assert_true(gone > 1000 && gone < 3000);
    fixture_free(f, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number_of_slots),
        cmocka_unit_test(test_floors_rise),
        cmocka_unit_test(test_only_where_they_are_asked_for),
        cmocka_unit_test(test_a_slot_lies_in_one_shard),
        cmocka_unit_test(test_delete_raises),
        cmocka_unit_test(test_expiry_raises),
        cmocka_unit_test(test_replacement_by_a_load_raises),
        cmocka_unit_test(test_replacement_by_a_set_raises_nothing),
        cmocka_unit_test(test_hide_raises),
        cmocka_unit_test(test_clear_raises),
        cmocka_unit_test(test_eviction_raises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
