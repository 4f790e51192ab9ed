/* SPDX-License-Identifier: MIT */
/*
 * Threads that read, write, touch, fill, scan, hide and clear the same few keys in
 * a store that is too small for them and changes its bound, and hold values for a
 * while. A value always
 * belongs to its key and is whole, and the sanitizers find the other faults.
 */
#include "helpers/draw.h"
#include "helpers/require.h"
#include "store/stamped.h"
#include "store/store_fixture.h"
#include "store/store_hide.h"
#include "store/store_scan.h"
#include "store/store_touch.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    THREADS = 8,
    STEPS = 10000,
    KEYS = 2000,
    PARTS = 5, /* of the keys, one of which is hidden at a time */
    NO_PART = PARTS,
    VALUE_BYTES_MAX = 8192, /* copies of all threads fill less than a half */
    VIEWS = 8,
    VIEW_BYTES_MAX = 1024 /* so that views do not fill the store */
};

/* A value that is held, and the number of its key. */
struct view {
    kama_value *value;
    unsigned k;
};

/* The state that all threads share. */
struct shared {
    struct km_store *store;
    uint64_t max_bytes; /* the smallest bound */
    struct km_slot_map *lost;
    _Atomic uint64_t adoption;
    _Atomic unsigned lost_part; /* of the keys; no thread begins to change one
                                 * of them */
};

struct worker {
    pthread_t thread;
    struct shared *shared;
    unsigned number;
    uint64_t random;
    uint64_t adoption; /* by which the thread acts */
    struct view views[VIEWS];
    uint64_t cursor; /* of the sweep of the first thread */
    bool sweeping;
};

/* Returns the stamp of the values of key k that have len bytes. */
static uint64_t stamp_of(unsigned k, size_t len)
{
    return (uint64_t)k * (VALUE_BYTES_MAX + 1) + len;
}

static void check_bytes(const void *bytes, size_t len, unsigned k)
{
    REQUIRE(len > 0 && len <= VALUE_BYTES_MAX);
    REQUIRE(stamped_is(bytes, len, stamp_of(k, len)));
}

static void check_value(const kama_value *value, unsigned k)
{
    kama_bytes b = kama_value_bytes(value);
    check_bytes(b.data, b.len, k);
}

/* Holds a small value for a while, and gives back the one that was held. */
static void hold(struct worker *w, kama_value *value, unsigned k)
{
    struct view *v = &w->views[draw(&w->random, VIEWS)];
    check_value(value, k);
    if (kama_value_bytes(value).len > VIEW_BYTES_MAX) {
        kama_value_unref(value);
        return;
    }
    if (v->value != NULL) {
        check_value(v->value, v->k);
        kama_value_unref(v->value);
    }
    *v = (struct view){value, k};
}

static void release_all(struct worker *w)
{
    for (unsigned i = 0; i < VIEWS; i++) {
        if (w->views[i].value != NULL) {
            check_value(w->views[i].value, w->views[i].k);
            kama_value_unref(w->views[i].value);
            w->views[i].value = NULL;
        }
    }
}

/* Returns a time to live: none, or a millisecond. */
static km_ns draw_expiry(struct worker *w)
{
    return draw(&w->random, 2) == 0
               ? 0
               : km_clock_mono(km_clock_system()) + KM_NS_PER_MS;
}

/* Makes an item of key k with at most max bytes. */
static kama_value *item_new(struct worker *w, unsigned k, kama_bytes key,
                            unsigned max)
{
    char value[VALUE_BYTES_MAX];
    size_t len = 1 + draw(&w->random, max);
    stamped_fill(value, len, stamp_of(k, len));
    struct km_item_spec spec = {.key = key,
                                .value = KAMA_BYTES(value, len),
                                .expires_at = draw_expiry(w)};
    kama_value *item = km_store_item_new(w->shared->store, &spec);
    REQUIRE(item != NULL);
    return item;
}

static void do_get(struct worker *w, unsigned k, kama_bytes key)
{
    kama_value *value;
    char out[VALUE_BYTES_MAX];
    size_t len = 0;
    uint64_t hash = km_store_hash(w->shared->store, key);
    if (draw(&w->random, 2) == 0) {
        if (km_store_get(w->shared->store, hash, key, &value) == KAMA_OK) {
            hold(w, value, k);
        }
    } else if (km_store_copy(w->shared->store, hash, key, out, sizeof out,
                             &len) == KAMA_OK) {
        check_bytes(out, len, k);
    }
}

/* Changes are refused when another thread has begun an adoption meanwhile, or if
 * their condition is not fulfilled. */
static void expect_done(kama_status st)
{
    REQUIRE(st == KAMA_OK || st == KAMA_MISS || st == KAMA_ERR_TRY_AGAIN);
}

static void do_put(struct worker *w, unsigned k, kama_bytes key)
{
    uint64_t hash = km_store_hash(w->shared->store, key);
    kama_value *item = item_new(w, k, key, VALUE_BYTES_MAX);
    if (draw(&w->random, 4) > 0) {
        expect_done(km_store_put(w->shared->store, w->adoption, hash, item));
        return;
    }
    const struct km_put_condition condition = {.kind = draw(&w->random, 2) == 0
                                                           ? KM_PUT_IF_ABSENT
                                                           : KM_PUT_IF_PRESENT};
    kama_status st =
        km_store_put_if(w->shared->store, w->adoption, hash, item, &condition);
    if (st != KAMA_ERR_EXISTS) {
        expect_done(st);
    }
}

static void do_del(struct worker *w, kama_bytes key)
{
    expect_done(km_store_del(w->shared->store, w->adoption,
                             km_store_hash(w->shared->store, key), key));
}

static void do_fill(struct worker *w, unsigned k, kama_bytes key)
{
    struct km_store *store = w->shared->store;
    struct km_fill fill = {.adoption = w->adoption};
    kama_value *value = NULL;
    uint64_t hash = km_store_hash(store, key);
    kama_status st = km_store_fill_begin(store, &fill, hash, key, &value);
    if (st == KAMA_OK) {
        hold(w, value, k);
        return;
    }
    if (st == KAMA_ERR_TRY_AGAIN) {
        return;
    }
    REQUIRE(st == KAMA_WOULD_LOAD);
    value = item_new(w, k, key, 100);
    if (draw(&w->random, 8) > 0) {
        (void)km_store_fill_commit(store, &fill, value);
    } else {
        km_store_fill_cancel(store, &fill);
    }
    kama_value_unref(value);
}

/* Touches a key, and looks at it in the other ways. */
static void do_touch(struct worker *w, kama_bytes key)
{
    struct km_store *store = w->shared->store;
    uint64_t hash = km_store_hash(store, key);
    struct km_store_look look;
    km_ns at;
    expect_done(km_store_touch(store, w->adoption, hash, key, draw_expiry(w)));
    expect_done(km_store_peek(store, w->adoption, hash, key, &at));
    km_store_look(store, hash, key, &look);
    REQUIRE(look.value_bytes <= VALUE_BYTES_MAX);
    if (draw(&w->random, 8) == 0) {
        km_store_overtake(store, hash, key);
    }
}

static unsigned key_number(const kama_value *item)
{
    kama_bytes key = km_item_key_bytes(item);
    char text[32] = "";
    memcpy(text, key.data, key.len);
    return (unsigned)strtoul(text + strlen("key-"), NULL, 10);
}

static void do_scan(struct worker *w)
{
    kama_value *items[8];
    uint64_t cursor = w->random;
    size_t n = km_store_scan(w->shared->store, &cursor, items, 8);
    for (size_t i = 0; i < n; i++) {
        check_value(items[i], key_number(items[i]));
        kama_value_unref(items[i]);
    }
}

/* Hides the slots of a part of the keys. As on a node, the threads are told first
 * that these keys belong to another one. */
static void hide_part(struct worker *w, unsigned part)
{
    struct shared *shared = w->shared;
    char buf[32];
    memset(shared->lost, 0, sizeof *shared->lost);
    for (unsigned k = part; k < KEYS; k += PARTS) {
        km_slot_map_add(shared->lost, km_slot_of(0, number_key(buf, k)));
    }
    uint64_t adoption = atomic_load(&shared->adoption) + 1;
    atomic_store(&shared->lost_part, part);
    km_store_hide(shared->store, adoption, shared->lost);
    atomic_store(&shared->adoption, adoption);
    w->cursor = 0;
    w->sweeping = true;
}

/* The first thread hides, and sweeps in one call at a time. */
static void do_hide(struct worker *w)
{
    if (w->number != 0) {
        return;
    }
    if (!w->sweeping) {
        hide_part(w, draw(&w->random, PARTS));
        return;
    }
    w->sweeping = km_store_sweep(w->shared->store, &w->cursor);
    if (!w->sweeping) {
        atomic_store(&w->shared->lost_part, NO_PART);
    }
}

/* Two threads move the bound up and down. */
static void do_resize(struct worker *w)
{
    if (w->number / 2 != 1) {
        return;
    }
    km_store_resize(w->shared->store,
                    w->shared->max_bytes * (1 + draw(&w->random, 3)));
    while (km_store_resize_step(w->shared->store)) {
    }
}

static void do_rare(struct worker *w, unsigned what)
{
    struct km_store_stats figures;
    if (what < 10) {
        do_scan(w);
    } else if (what < 20) {
        do_hide(w);
    } else if (what < 24) {
        km_store_stats_get(w->shared->store, &figures);
        REQUIRE(figures.used_bytes > 0);
    } else if (what < 26) {
        do_resize(w);
    } else if (what < 28) {
        release_all(w);
    } else if (what == 28 && draw(&w->random, 8) == 0) {
        km_store_clear(w->shared->store);
    }
}

static void step(struct worker *w, unsigned k, unsigned what)
{
    char buf[32];
    kama_bytes key = number_key(buf, k);
    if (what < 500) {
        do_get(w, k, key);
    } else if (what < 700) {
        do_put(w, k, key);
    } else if (what < 750) {
        do_touch(w, key);
    } else if (what < 880) {
        do_fill(w, k, key);
    } else if (what < 970) {
        do_del(w, key);
    } else {
        do_rare(w, what - 970);
    }
}

/* Reads the adoption before it asks whose key it is, so that a change which was
 * decided before a hide is refused after it. */
static void *work(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; i < STEPS; i++) {
        unsigned k = draw(&w->random, KEYS);
        w->adoption = atomic_load(&w->shared->adoption);
        if (k % PARTS == atomic_load(&w->shared->lost_part)) {
            k = (k + 1) % KEYS;
        }
        step(w, k, draw(&w->random, 1000));
    }
    release_all(w);
    while (w->sweeping) {
        do_hide(w);
    }
    return NULL;
}

/* Runs all threads on one store. */
static void run(uint64_t max_bytes, const struct km_policy_ops *policy,
                const kama_allocator *mem)
{
    struct shared shared = {.max_bytes = max_bytes,
                            .lost = test_calloc(1, sizeof *shared.lost)};
    struct worker workers[THREADS] = {{0}};
    atomic_store(&shared.lost_part, NO_PART);
    struct km_store_options options = {.mem = mem,
                                       .clock = km_clock_system(),
                                       .policy = policy,
                                       .max_bytes = max_bytes,
                                       .seed = 42};
    struct km_store_stats end;
    assert_int_equal(km_store_new(&options, &shared.store), KAMA_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].shared = &shared;
        workers[i].number = i;
        workers[i].random = i + 1;
        assert_int_equal(
            pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pthread_join(workers[i].thread, NULL);
    }
    km_store_resize(shared.store, max_bytes);
    while (km_store_resize_step(shared.store)) {
    }
    km_store_check(shared.store);
    km_store_stats_get(shared.store, &end);
    assert_int_equal(end.pinned_bytes, 0);
    assert_true(end.hits > 0);
    assert_true(end.used_bytes <= max_bytes + 65536);
    km_store_free(shared.store);
    test_free(shared.lost);
}

/* As run, with an allocator of the application, and all blocks come back. */
static void run_counted(uint64_t max_bytes, const struct km_policy_ops *policy)
{
    struct km_mem_probe probe;
    km_mem_probe_init(&probe);
    run(max_bytes, policy, &probe.allocator);
    assert_int_equal(atomic_load(&probe.live_blocks), 0);
}

static void test_one_shard(void **state)
{
    (void)state;
    run(512u << 10, &km_policy_s3fifo, km_mem_default());
    run(512u << 10, &km_policy_lru, km_mem_default());
    run_counted(512u << 10, &km_policy_s3fifo);
}

static void test_many_shards(void **state)
{
    (void)state;
    run(2u << 20, &km_policy_s3fifo, km_mem_default());
    run_counted(2u << 20, &km_policy_lru);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_shard),
        cmocka_unit_test(test_many_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
