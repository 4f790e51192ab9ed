/* SPDX-License-Identifier: MIT */
/*
 * Hits that take no lock: a store with memory of its own and the clock of the
 * system. What one thread sees after its own changes is tested here, and what many
 * see in store_threads_test.c.
 */
#include "store/store_fixture.h"
#include "store/store_hit.h"

#define MIB (1u << 20)

static struct km_store *store_new(uint64_t max_bytes)
{
    struct km_store *store;
    const struct km_store_options options = {.mem = km_mem_default(),
                                             .clock = km_clock_system(),
                                             .policy = &km_policy_s3fifo_plus,
                                             .max_bytes = max_bytes,
                                             .seed = 42,
                                             .etag_key = 24};
    assert_int_equal(km_store_new(&options, &store), KAMA_OK);
    return store;
}

/* Puts keys whose values are the keys. */
static void fill(struct km_store *store, unsigned count)
{
    char buf[32];
    for (unsigned i = 0; i < count; i++) {
        kama_bytes key = number_key(buf, i);
        const struct km_item_spec spec = {.key = key, .value = key};
        kama_value *item = km_store_item_new(store, &spec);
        assert_non_null(item);
        assert_int_equal(
            km_store_put(store, 0, km_store_hash(store, key), item), KAMA_OK);
    }
}

static bool is_hit(struct km_store *store, unsigned n)
{
    char buf[32];
    char value[32];
    size_t len;
    kama_bytes key = number_key(buf, n);
    return km_store_hit(store, km_store_hash(store, key), key, value,
                        sizeof value, &len) &&
           len == key.len && memcmp(value, key.data, len) == 0;
}

static void test_hits_take_no_lock(void **state)
{
    struct km_store *store = store_new(MIB);
    (void)state;
    fill(store, 500);
    for (unsigned i = 0; i < 500; i++) {
        assert_true(is_hit(store, i));
        assert_false(is_hit(store, 500 + i));
    }
    km_store_free(store);
}

/* The lines and the records from before a clear are still in memory. */
static void test_nothing_is_hit_after_a_clear(void **state)
{
    struct km_store *store = store_new(MIB);
    (void)state;
    fill(store, 500);
    km_store_clear(store);
    for (unsigned i = 0; i < 500; i++) {
        assert_false(is_hit(store, i));
    }
    km_store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hits_take_no_lock),
        cmocka_unit_test(test_nothing_is_hit_after_a_clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
