/* SPDX-License-Identifier: MIT */
/* Invalidations: nothing of before is found or kept afterwards, no hit is taken for a
 * miss, and what waits for the end goes on. */
#include "store/store_epoch.h"

#include "base/sync.h"
#include "store/store_fixture.h"
#include "store/store_hit.h"
#include "store/store_internal.h"

#define MIB (1u << 20)
#define KEYS 1000u

static void fill_up(struct fixture *f)
{
    char buf[32];
    for (unsigned k = 0; k < KEYS; k++) {
        assert_int_equal(put(f, number_key(buf, k), KAMA_STR("value")),
                         KAMA_OK);
    }
}

static unsigned found(struct fixture *f)
{
    char buf[32];
    unsigned n = 0;
    for (unsigned k = 0; k < KEYS; k++) {
        n += has(f, number_key(buf, k));
    }
    return n;
}

/* Every entry is gone at once, in shards that were not touched since, too, and what is
 * stored afterwards is there. */
static void invalidates(const struct km_policy_ops *policy)
{
    struct fixture *f = fixture_new(8 * MIB, policy);
    for (unsigned i = 0; i < 3; i++) {
        fill_up(f);
        assert_int_equal(found(f), KEYS);
        km_store_invalidate(f->store, 0);
        assert_int_equal(found(f), 0);
        km_store_check(f->store);
    }
    fill_up(f);
    assert_int_equal(found(f), KEYS);
    fixture_free(f, 0);
}

static void test_everything_is_gone(void **state)
{
    (void)state;
    invalidates(&km_policy_s3fifo);
    invalidates(&km_policy_lru);
}

/* A hit without the lock finds an entry before, and afterwards it does not say that there
 * is none: only the lock tells. With an own allocator hits always take the lock. */
static void test_hits_take_the_lock(void **state)
{
    struct km_store *store;
    const struct km_store_options options = {.mem = km_mem_default(),
                                             .clock = km_clock_system(),
                                             .policy = &km_policy_s3fifo,
                                             .max_bytes = 8 * MIB,
                                             .seed = 42};
    const struct km_item_spec spec = {.key = KAMA_STR("k"),
                                      .value = KAMA_STR("v")};
    char out[8];
    size_t len;
    kama_value *value;
    (void)state;
    assert_int_equal(km_store_new(&options, &store), KAMA_OK);
    uint64_t hash = km_store_hash(store, spec.key);
    kama_value *item = km_store_item_new(store, &spec);
    assert_int_equal(km_store_put(store, 0, hash, item), KAMA_OK);
    value = km_store_hit_item(store, hash, spec.key);
    assert_non_null(value);
    kama_value_unref(value);
    km_store_invalidate_begin(store);
    assert_null(km_store_hit_item(store, hash, spec.key));
    km_store_invalidate_end(store, 0);
    assert_null(km_store_hit_item(store, hash, spec.key));
    assert_int_equal(
        km_store_copy(store, hash, spec.key, out, sizeof out, &len),
        KAMA_WOULD_LOAD);
    assert_int_equal(km_store_get(store, hash, spec.key, &value),
                     KAMA_WOULD_LOAD);
    km_store_free(store);
}

/* A fill that began before says so at once, although its shard was not touched, and it is
 * not kept; one that begins afterwards is. */
static void test_fills_are_overtaken(void **state)
{
    struct fixture *f = fixture_new(8 * MIB, &km_policy_s3fifo);
    const struct km_item_spec spec = {.key = KAMA_STR("k"),
                                      .value = KAMA_STR("v")};
    uint64_t hash = km_store_hash(f->store, spec.key);
    kama_value *found = NULL;
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct km_fill fill = {.adoption = 0};
        assert_false(km_fill_overtaken(&fill));
        assert_int_equal(
            km_store_fill_begin(f->store, &fill, hash, spec.key, &found),
            KAMA_WOULD_LOAD);
        assert_false(km_fill_overtaken(&fill));
        if (i == 0) {
            km_store_invalidate(f->store, 0);
        }
        assert_int_equal(km_fill_overtaken(&fill), i == 0);
        kama_value *item = km_store_item_new(f->store, &spec);
        assert_int_equal(km_store_fill_commit(f->store, &fill, item), i == 1);
        kama_value_unref(item);
    }
    fixture_free(f, 0);
}

/* Every floor is at least the clock of the invalidation, and a fill that begins knows
 * it. */
static void test_floors_are_raised(void **state)
{
    struct fixture *f = fixture_synced(8 * MIB, &km_policy_s3fifo);
    kama_value *found = NULL;
    struct km_fill fill = {.adoption = 0};
    kama_bytes key = KAMA_STR("k");
    (void)state;
    km_store_invalidate(f->store, 70);
    km_store_invalidate(f->store, 60);
    for (uint64_t i = 0; i < 1024; i++) {
        assert_int_equal(km_floors_get(f->store->floors, i << 54), 70);
    }
    assert_int_equal(km_store_fill_begin(f->store, &fill,
                                         km_store_hash(f->store, key), key,
                                         &found),
                     KAMA_WOULD_LOAD);
    assert_int_equal(fill.floor, 70);
    km_store_fill_cancel(f->store, &fill);
    fixture_free(f, 0);
}

/* -- waiting --------------------------------------------------------------- */

struct waiter {
    struct fixture *f;
    atomic_bool has_begun;
    atomic_bool has_ended;
    bool found;
};

static void *look_up(void *arg)
{
    struct waiter *w = arg;
    kama_value *value = NULL;
    kama_bytes key = KAMA_STR("key-1");
    atomic_store(&w->has_begun, true);
    w->found = get(w->f, key, &value) == KAMA_OK;
    kama_value_unref(value);
    atomic_store(&w->has_ended, true);
    return NULL;
}

/* A look during an invalidation waits for its end, and finds nothing of before. */
static void test_looks_wait_for_the_end(void **state)
{
    struct waiter w = {.f = fixture_new(8 * MIB, &km_policy_s3fifo),
                       .found = true};
    pthread_t thread;
    (void)state;
    fill_up(w.f);
    km_store_invalidate_begin(w.f->store);
    assert_true(km_thread_start(&thread, "look", look_up, &w));
    while (!atomic_load(&w.has_begun)) {
    }
    for (unsigned i = 0; i < 1000; i++) {
        assert_false(atomic_load(&w.has_ended));
    }
    km_store_invalidate_end(w.f->store, 0);
    km_thread_join(thread);
    assert_false(w.found);
    fixture_free(w.f, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_is_gone),
        cmocka_unit_test(test_hits_take_the_lock),
        cmocka_unit_test(test_fills_are_overtaken),
        cmocka_unit_test(test_floors_are_raised),
        cmocka_unit_test(test_looks_wait_for_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
