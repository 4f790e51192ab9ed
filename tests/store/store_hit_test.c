/* SPDX-License-Identifier: MIT */
/*
 * Hits that take no lock: a store with memory of its own. What one thread sees after its
 * own changes is tested here, and what many see in store_threads_test.c.
 */
#include "base/bytes.h"
#include "store/store_fixture.h"
#include "store/store_hit.h"
#include "store/store_internal.h"

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

/* A hit counts a use after it has found out that the line was good. The line may be
 * free by then, and its page must not be used for records, which that would spoil. */
static void test_lines_never_become_records(void **state)
{
    enum { RUNS = 5000 };
    static void *runs[RUNS];
    struct fixture *f = fixture_own(16 * MIB, &km_policy_s3fifo_plus);
    struct km_shard *shard = &f->store->shards[0];
    (void)state;
    fill(f, 100000);
    uint32_t last = shard->index.line_chunks - 1;
    const void *chunk = km_chunks_get(&shard->index.lines, last);
    km_store_clear(f->store);
    for (unsigned i = 0; i < 200; i++) {
        (void)stats(f);
    }
    assert_int_equal(shard->index.line_chunks, 0);
    for (unsigned i = 0; i < RUNS; i++) {
        runs[i] = km_pages_alloc(&f->store->account->pages, KM_PAGE_BYTES);
        assert_non_null(runs[i]);
        assert_ptr_not_equal(runs[i], chunk);
    }
    for (unsigned i = 0; i < RUNS; i++) {
        km_pages_free(&f->store->account->pages, runs[i], KM_PAGE_BYTES);
    }
    fixture_free(f, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hits_take_no_lock),
        cmocka_unit_test(test_nothing_is_hit_after_a_clear),
        cmocka_unit_test(test_lines_never_become_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
