/* SPDX-License-Identifier: MIT */
/*
 * Threads that apply mutations of several nodes to the same few keys, while others read
 * them with and without the lock, load them, evict them for want of room, and invalidate
 * everything. Whatever happens:
 *
 *     no value is read that is older than a mutation whose apply had returned before
 *     no thread reads an older value of a key than it has read before
 *     no floor sinks, and after an invalidation none is below its clock
 *     in the end an explicit value has the largest version of all mutations of its key
 *
 * Each mutation has a number in the order of the versions, and every value says which
 * one it is from. A database has the newest number of each key, and loads read it.
 */
#include "store/apply.h"

#include "base/sync.h"
#include "helpers/draw.h"
#include "helpers/require.h"
#include "store/stamped.h"
#include "store/store_epoch.h"
#include "store/store_fixture.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    THREADS = 8,
    STEPS = 8000,
    KEYS = 2000,
    HOT_KEYS = 64, /* half of the steps go to these */
    VALUE_BYTES_MAX = 8000,
    ORIGINS = 16 /* one for each thread, and OWN */
};

#define OWN 15u /* the origin of mutations that begin here */
/* A value begins with a number and this bit, or with the place of its number in `given`,
 * because a set that begins here has its value before its version. */
#define IS_NUMBER (UINT64_C(1) << 63)

/* The state that all threads share. */
struct shared {
    struct km_store *store;
    unsigned calm; /* steps from one invalidation to the next, about */
    struct km_mutex
        log; /* versions of mutations that begin here, invalidations */
    _Atomic uint64_t hlc;
    _Atomic uint64_t given[THREADS * STEPS];
    _Atomic uint64_t database[KEYS];     /* numbers */
    _Atomic uint64_t acknowledged[KEYS]; /* likewise */
    _Atomic uint64_t largest[KEYS];      /* number * 2 + whether it is a set */
};

struct worker {
    pthread_t thread;
    struct shared *shared;
    unsigned number;
    unsigned steps;
    uint64_t random;
    uint64_t clock; /* of the last mutation of the node for which it acts */
    uint64_t seen[KEYS];
    uint64_t floors[KEYS];
    uint64_t reads; /* that have found a value */
    uint64_t kept;  /* fills */
};

/* A mutation that begins here. */
struct asked {
    struct worker *worker;
    unsigned k;
    bool is_set;
    uint64_t number; /* that it was given; 0: none yet */
};

static void raise(_Atomic uint64_t *at, uint64_t n)
{
    uint64_t before = atomic_load(at);
    while (before < n && !atomic_compare_exchange_weak(at, &before, n)) {
    }
}

static uint64_t number_of(struct km_version v)
{
    return v.hlc * ORIGINS + v.origin;
}

/* -- values ---------------------------------------------------------------- */

/* Makes an item whose value begins with `word`. One of four expires soon. */
static kama_value *item_new(struct worker *w, kama_bytes key, uint64_t word)
{
    char value[VALUE_BYTES_MAX];
    size_t len = 8 + draw(&w->random,
                          draw(&w->random, 2) == 0 ? VALUE_BYTES_MAX - 8 : 200);
    memcpy(value, &word, 8);
    stamped_fill(value + 8, len - 8, word);
    const struct km_item_spec spec = {
        .key = key,
        .value = KAMA_BYTES(value, len),
        .expires_at = draw(&w->random, 4) == 0
                          ? km_clock_mono(km_clock_system()) + KM_NS_PER_MS
                          : 0};
    kama_value *item = km_store_item_new(w->shared->store, &spec);
    REQUIRE(item != NULL);
    return item;
}

/* Returns the number of a value that was read whole. */
static uint64_t number_in(const struct worker *w, kama_bytes value)
{
    uint64_t word;
    REQUIRE(value.len >= 8);
    memcpy(&word, value.data, 8);
    REQUIRE(stamped_is((const char *)value.data + 8, value.len - 8, word));
    return (word & IS_NUMBER) != 0 ? word & ~IS_NUMBER
                                   : atomic_load(&w->shared->given[word]);
}

/* Checks a value that was read after `acknowledged` was. */
static uint64_t check_value(struct worker *w, unsigned k, kama_bytes value,
                            uint64_t acknowledged)
{
    uint64_t number = number_in(w, value);
    REQUIRE(number >= acknowledged);
    REQUIRE(number >= w->seen[k]);
    w->seen[k] = number;
    w->reads++;
    return number;
}

static void check_floor(struct worker *w, unsigned k, uint64_t hash)
{
    uint64_t at = km_store_floor(w->shared->store, hash);
    REQUIRE(at >= w->floors[k]);
    w->floors[k] = at;
}

static void check_item(struct worker *w, unsigned k, kama_value *value,
                       uint64_t acknowledged)
{
    uint64_t number = check_value(w, k, kama_value_bytes(value), acknowledged);
    struct km_version stamp = km_item_stamp(value);
    REQUIRE(!km_version_is_set(stamp) || number_of(stamp) == number);
    kama_value_unref(value);
}

static void do_read(struct worker *w, unsigned k, kama_bytes key)
{
    struct km_store *store = w->shared->store;
    uint64_t hash = km_store_hash(store, key);
    uint64_t acknowledged = atomic_load(&w->shared->acknowledged[k]);
    check_floor(w, k, hash);
    if (draw(&w->random, 2) == 0) {
        kama_value *value;
        kama_status st = km_store_get(store, hash, key, &value);
        REQUIRE(st == KAMA_OK || st == KAMA_WOULD_LOAD);
        if (st == KAMA_OK) {
            check_item(w, k, value, acknowledged);
        }
        return;
    }
    char out[VALUE_BYTES_MAX];
    size_t len = 0;
    if (km_store_copy(store, hash, key, out, sizeof out, &len) == KAMA_OK) {
        (void)check_value(w, k, KAMA_BYTES(out, len), acknowledged);
    }
}

/* -- mutations ------------------------------------------------------------- */

/* The database has the mutation before the store. */
static void note_begun(struct shared *shared, unsigned k, uint64_t number,
                       bool is_set)
{
    raise(&shared->database[k], number);
    raise(&shared->largest[k], number * 2 + is_set);
}

/* Returns the version of the next mutation of the node for which the worker acts, which
 * may be behind the clock of this node. */
static struct km_version foreign_version(struct worker *w)
{
    uint64_t hlc = atomic_load(&w->shared->hlc) + 2;
    uint64_t back = draw(&w->random, 100);
    uint64_t next = hlc > back ? hlc - back : 1;
    w->clock = next > w->clock ? next : w->clock + 1;
    return (struct km_version){.hlc = w->clock, .origin = w->number};
}

static void do_foreign(struct worker *w, unsigned k, kama_bytes key,
                       enum km_operation_kind kind)
{
    struct km_stamp stamp = {.version = foreign_version(w)};
    uint64_t number = number_of(stamp.version);
    struct km_operation op = {
        .kind = kind, .hash = km_store_hash(w->shared->store, key), .key = key};
    if (kind == KM_APPLY_SET) {
        op.item = item_new(w, key, number | IS_NUMBER);
    }
    note_begun(w->shared, k, number, kind == KM_APPLY_SET);
    raise(&w->shared->hlc, stamp.version.hlc); /* before the epoch is read */
    kama_status st = km_store_apply(w->shared->store, &op, &stamp);
    REQUIRE(st == KAMA_OK || st == KAMA_MISS);
    raise(&w->shared->acknowledged[k], number);
}

static struct km_version next_version(void *arg, const struct km_asking *asking)
{
    struct asked *asked = arg;
    struct worker *w = asked->worker;
    struct shared *shared = w->shared;
    REQUIRE(asked->number == 0);
    (void)asking;
    km_mutex_lock(&shared->log);
    struct km_version v = {.hlc = atomic_fetch_add(&shared->hlc, 1) + 1,
                           .origin = OWN};
    asked->number = number_of(v);
    atomic_store(&shared->given[w->number * STEPS + w->steps], asked->number);
    note_begun(shared, asked->k, asked->number, asked->is_set);
    km_mutex_unlock(&shared->log);
    return v;
}

static void do_own(struct worker *w, unsigned k, kama_bytes key,
                   enum km_operation_kind kind)
{
    struct asked asked = {.worker = w, .k = k, .is_set = kind == KM_APPLY_SET};
    const struct km_stamp stamp = {.ask = next_version, .arg = &asked};
    const struct km_put_condition absent = {.kind = KM_PUT_IF_ABSENT};
    struct km_operation op = {
        .kind = kind, .hash = km_store_hash(w->shared->store, key), .key = key};
    if (kind == KM_APPLY_SET) {
        op.item = item_new(w, key, (uint64_t)w->number * STEPS + w->steps);
        op.condition = draw(&w->random, 2) == 0 ? NULL : &absent;
    }
    kama_status st = km_store_apply(w->shared->store, &op, &stamp);
    REQUIRE(st == KAMA_OK || st == KAMA_MISS || st == KAMA_ERR_EXISTS);
    REQUIRE((asked.number == 0) == (st == KAMA_ERR_EXISTS));
    raise(&w->shared->acknowledged[k], asked.number);
}

/* -- the rest -------------------------------------------------------------- */

static void do_fill(struct worker *w, unsigned k, kama_bytes key)
{
    struct km_store *store = w->shared->store;
    struct km_fill fill = {.adoption = 0};
    kama_value *value = NULL;
    uint64_t hash = km_store_hash(store, key);
    uint64_t acknowledged = atomic_load(&w->shared->acknowledged[k]);
    kama_status st = km_store_fill_begin(store, &fill, hash, key, &value);
    if (st == KAMA_OK) {
        check_item(w, k, value, acknowledged);
        return;
    }
    REQUIRE(st == KAMA_WOULD_LOAD);
    REQUIRE(fill.floor <= km_store_floor(store, hash));
    value = item_new(w, key, atomic_load(&w->shared->database[k]) | IS_NUMBER);
    w->kept += km_store_fill_commit(store, &fill, value);
    kama_value_unref(value);
}

/* The clock cannot move by a mutation that begins here, but one of another node may raise
 * it; so it is read when the epoch is odd. */
static void do_invalidate(struct worker *w)
{
    struct shared *shared = w->shared;
    char buf[32];
    km_mutex_lock(&shared->log);
    km_store_invalidate_begin(shared->store);
    uint64_t hlc = atomic_load(&shared->hlc);
    km_store_invalidate_end(shared->store, hlc);
    km_mutex_unlock(&shared->log);
    kama_bytes key = number_key(buf, draw(&w->random, KEYS));
    REQUIRE(km_store_floor(shared->store, km_store_hash(shared->store, key)) >=
            hlc);
}

static void step(struct worker *w)
{
    char buf[32];
    unsigned k = draw(&w->random, draw(&w->random, 2) == 0 ? HOT_KEYS : KEYS);
    unsigned what = draw(&w->random, 1000);
    kama_bytes key = number_key(buf, k);
    if (draw(&w->random, w->shared->calm) == 0) {
        if (draw(&w->random, 8) == 0) {
            km_store_clear(w->shared->store);
        } else {
            do_invalidate(w);
        }
    } else if (what < 450) {
        do_read(w, k, key);
    } else if (what < 650) {
        do_foreign(w, k, key, KM_APPLY_SET);
    } else if (what < 750) {
        do_own(w, k, key, KM_APPLY_SET);
    } else if (what < 820) {
        do_foreign(w, k, key, what % 2 == 0 ? KM_APPLY_DELETE : KM_APPLY_DROP);
    } else if (what < 860) {
        do_own(w, k, key, KM_APPLY_DELETE);
    } else {
        do_fill(w, k, key);
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    for (w->steps = 0; w->steps < STEPS; w->steps++) {
        step(w);
    }
    return NULL;
}

/* An explicit value that is left has the version of the largest mutation of its key. */
static void check_end(struct shared *shared)
{
    char buf[32];
    for (unsigned k = 0; k < KEYS; k++) {
        kama_bytes key = number_key(buf, k);
        kama_value *value = NULL;
        if (km_store_get(shared->store, km_store_hash(shared->store, key), key,
                         &value) != KAMA_OK) {
            continue;
        }
        struct km_version stamp = km_item_stamp(value);
        if (km_version_is_set(stamp)) {
            assert_int_equal(number_of(stamp) * 2 + 1,
                             atomic_load(&shared->largest[k]));
        }
        kama_value_unref(value);
    }
}

/* Runs all threads on one store. */
static void run(uint64_t max_bytes, unsigned calm,
                const struct km_policy_ops *policy)
{
    struct shared *shared = test_calloc(1, sizeof *shared);
    struct worker *workers = test_calloc(THREADS, sizeof *workers);
    const struct km_store_options options = {.mem = km_mem_default(),
                                             .clock = km_clock_system(),
                                             .policy = policy,
                                             .max_bytes = max_bytes,
                                             .seed = 42,
                                             .keeps_floors = true};
    struct km_store_stats end;
    uint64_t reads = 0;
    uint64_t kept = 0;
    shared->calm = calm;
    assert_true(km_mutex_init(&shared->log, KM_RANK_WAITER));
    assert_int_equal(km_store_new(&options, &shared->store), KAMA_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].shared = shared;
        workers[i].number = i;
        workers[i].random = i + 1;
        assert_int_equal(
            pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        reads += workers[i].reads;
        kept += workers[i].kept;
    }
    km_store_check(shared->store);
    check_end(shared);
    km_store_stats_get(shared->store, &end);
    assert_true(end.evictions > 0);
    assert_true(reads > 0 && kept > 0);
    km_store_free(shared->store);
    km_mutex_fini(&shared->log);
    test_free(workers);
    test_free(shared);
}

static void test_one_shard(void **state)
{
    (void)state;
    run(256u << 10, 400, &km_policy_s3fifo);
    run(256u << 10, 400, &km_policy_lru);
}

static void test_many_shards(void **state)
{
    (void)state;
    run(2u << 20, 4000, &km_policy_s3fifo_plus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_shard),
        cmocka_unit_test(test_many_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
