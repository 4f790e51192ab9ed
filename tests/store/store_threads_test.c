/* SPDX-License-Identifier: MIT */
/*
 * Threads that read, write, touch, fill, scan and clear the same few keys in a
 * store that is too small for them. A value always belongs to its key, and the
 * sanitizers find the other faults.
 */
#include "store/store_fixture.h"
#include "store/store_scan.h"
#include "store/store_touch.h"

#include <pthread.h>

enum { THREADS = 6, STEPS = 6000, KEYS = 400 };

struct worker {
    pthread_t thread;
    struct fixture *f;
    uint64_t random;
};

static unsigned draw(struct worker *w, unsigned n)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(w->random >> 33) % n;
}

/* Asserts that every byte of the value of key k is k. */
static void check_value(kama_value *value, unsigned k)
{
    kama_bytes b = kama_value_bytes(value);
    const uint8_t *p = b.data;
    assert_true(b.len > 0);
    assert_int_equal(p[0], k & 0xff);
    assert_int_equal(p[b.len - 1], k & 0xff);
    kama_value_unref(value);
}

static void do_get(struct worker *w, unsigned k, kama_bytes key)
{
    kama_value *value;
    char out[8192];
    size_t len = 0;
    uint64_t hash = km_store_hash(w->f->store, key);
    if (draw(w, 2) == 0) {
        if (km_store_get(w->f->store, hash, key, &value) == KAMA_OK) {
            check_value(value, k);
        }
    } else if (km_store_copy(w->f->store, hash, key, out, sizeof out, &len) ==
               KAMA_OK) {
        assert_int_equal((uint8_t)out[0], k & 0xff);
        assert_int_equal((uint8_t)out[len - 1], k & 0xff);
    }
}

static void do_put(struct worker *w, unsigned k, kama_bytes key)
{
    char value[8192];
    size_t len = 1 + draw(w, sizeof value);
    memset(value, (int)(k & 0xff), len);
    assert_int_equal(
        put_expiring(w->f, key, KAMA_BYTES(value, len),
                     draw(w, 2) == 0
                         ? 0
                         : km_clock_mono(km_clock_system()) + KM_NS_PER_MS),
        KAMA_OK);
}

static void do_fill(struct worker *w, unsigned k, kama_bytes key)
{
    struct km_fill fill = {0};
    kama_value *value = NULL;
    char byte = (char)(k & 0xff);
    struct km_item_spec spec = {.key = key, .value = KAMA_BYTES(&byte, 1)};
    uint64_t hash = km_store_hash(w->f->store, key);
    kama_status st = km_store_fill_begin(w->f->store, &fill, hash, key, &value);
    if (st == KAMA_OK) {
        check_value(value, k);
        return;
    }
    assert_int_equal(st, KAMA_WOULD_LOAD);
    value = km_store_item_new(w->f->store, &spec);
    assert_non_null(value);
    km_item_pin(value);
    if (km_store_make_room(w->f->store, hash, 0)) {
        (void)km_store_fill_commit(w->f->store, &fill, value);
    } else {
        km_store_fill_cancel(w->f->store, &fill);
    }
    kama_value_unref(value);
}

static void do_touch(struct worker *w, kama_bytes key)
{
    km_ns at =
        draw(w, 2) == 0 ? 0 : km_clock_mono(km_clock_system()) + KM_NS_PER_MS;
    kama_status st = km_store_touch(w->f->store, 0,
                                    km_store_hash(w->f->store, key), key, at);
    assert_true(st == KAMA_OK || st == KAMA_MISS);
}

static void do_scan(struct worker *w)
{
    kama_value *items[32];
    uint64_t cursor = w->random;
    size_t n = km_store_scan(w->f->store, &cursor, items, 32);
    for (size_t i = 0; i < n; i++) {
        kama_value_unref(items[i]);
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    char buf[32];
    for (unsigned i = 0; i < STEPS; i++) {
        unsigned k = draw(w, KEYS);
        unsigned what = draw(w, 1000);
        kama_bytes key = number_key(buf, k);
        if (what < 500) {
            do_get(w, k, key);
        } else if (what < 700) {
            do_put(w, k, key);
        } else if (what < 750) {
            do_touch(w, key);
        } else if (what < 900) {
            do_fill(w, k, key);
        } else if (what < 990) {
            (void)del(w->f, key);
        } else if (what < 999) {
            do_scan(w);
        } else {
            km_store_clear(w->f->store);
        }
    }
    return NULL;
}

static void run(uint64_t max_bytes, const struct km_policy_ops *policy)
{
    struct fixture *f = fixture_new(max_bytes, policy);
    struct worker workers[THREADS];
    km_store_free(f->store);
    struct km_store_options options = {.mem = &f->probe.allocator,
                                       .clock = km_clock_system(),
                                       .policy = policy,
                                       .max_bytes = max_bytes,
                                       .seed = 42};
    assert_int_equal(km_store_new(&options, &f->store), KAMA_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].f = f;
        workers[i].random = i + 1;
        assert_int_equal(
            pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pthread_join(workers[i].thread, NULL);
    }
    km_store_check(f->store);
    assert_int_equal(stats(f).pinned_bytes, 0);
    assert_true(stats(f).used_bytes <= max_bytes + 65536);
    fixture_free(f, 0);
}

static void test_one_shard(void **state)
{
    (void)state;
    run(256u << 10, &km_policy_s3fifo);
    run(256u << 10, &km_policy_lru);
}

static void test_many_shards(void **state)
{
    (void)state;
    run(4u << 20, &km_policy_s3fifo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_shard),
        cmocka_unit_test(test_many_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
