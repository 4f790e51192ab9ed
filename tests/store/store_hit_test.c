/* SPDX-License-Identifier: MIT */
/*
 * Hits that take no lock: a store with memory of its own. What one thread sees after its
 * own changes is tested here, and what many see in store_threads_test.c.
 */
#include "base/bytes.h"
#include "store/store_fixture.h"
#include "store/store_hit.h"

#define MIB (1u << 20)

/* Puts keys whose values are the keys. */
static void fill(struct fixture *f, unsigned count)
{
    char buf[32];
    for (unsigned i = 0; i < count; i++) {
        kama_bytes key = number_key(buf, i);
        assert_int_equal(put(f, key, key), KAMA_OK);
    }
}

static bool is_hit(struct fixture *f, unsigned n)
{
    char buf[32];
    kama_bytes key = number_key(buf, n);
    kama_value *item =
        km_store_hit_item(f->store, km_store_hash(f->store, key), key);
    bool hit = item != NULL && km_bytes_eq(kama_value_bytes(item), key);
    kama_value_unref(item);
    return hit;
}

static void test_hits_take_no_lock(void **state)
{
    struct fixture *f = fixture_own(MIB, &km_policy_s3fifo_plus);
    (void)state;
    fill(f, 500);
    for (unsigned i = 0; i < 500; i++) {
        assert_true(is_hit(f, i));
        assert_false(is_hit(f, 500 + i));
    }
    fixture_free(f, 0);
}

/* The lines and the records from before a clear are still in memory. */
static void test_nothing_is_hit_after_a_clear(void **state)
{
    struct fixture *f = fixture_own(MIB, &km_policy_s3fifo_plus);
    (void)state;
    fill(f, 500);
    km_store_clear(f->store);
    for (unsigned i = 0; i < 500; i++) {
        assert_false(is_hit(f, i));
    }
    fixture_free(f, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hits_take_no_lock),
        cmocka_unit_test(test_nothing_is_hit_after_a_clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
