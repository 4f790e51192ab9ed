/* SPDX-License-Identifier: MIT */
/* ctest: timeout=120 */
/*
 * Histories of a store that several threads use at the same time: each operation
 * on few keys is written down with the times of its call and its return, and
 * afterwards the history of each key must be linearizable
 * (store/history_check.h). A store that has room may lose no value; in a small
 * one, other keys drive values out.
 *
 * The bytes of a value begin with its number, and all others depend on it, so that
 * a torn copy is seen. Values that were taken as a reference are looked at again
 * some operations later.
 *
 * That these tests find faults is shown with stores that have some: a get with a
 * cache, a torn copy, a del that takes effect later, and so on.
 *
 *     KAMA_SEED=N     the first seed
 *     KAMA_SEEDS=N    how many seeds run
 */
#include "store/history_check.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "helpers/draw.h"
#include "store/policy.h"
#include "store/stamped.h"
#include "store/store_calls.h"
#include "store/store_scan.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define KIB 1024u
#define MIB (1024u * KIB)
#define KEYS 3u
#define THREADS_MAX 8u
#define SEEDS 6u
#define SEEDS_SANITIZED 1u
/* A fault of a store is found within so many seeds. */
#define SEEDS_BROKEN 60u
/* Keys beside those whose histories are written down. */
#define OTHER_KEYS 200u
/* A value that nobody has stored. */
#define TORN UINT64_MAX

struct plan {
    const char *name;
    uint64_t max_bytes;
    size_t value_bytes;
    unsigned threads;
    unsigned steps; /* of each thread */
    enum history_loss loss;
};

struct run {
    const struct plan *plan;
    struct store_calls calls;
    struct km_store *store;
    pthread_barrier_t start;
};

struct worker {
    pthread_t thread;
    struct run *run;
    unsigned number;
    uint64_t random;
    uint64_t stamp; /* the last number that was given to a value */
    uint64_t ended; /* the time of the last response */
    struct history_op *ops[KEYS];
    size_t counts[KEYS];
    char *bytes;      /* room for a value */
    kama_value *held; /* a reference, or NULL */
    uint64_t held_stamp;
};

/* -- values ---------------------------------------------------------------- */

/* Writes a value: its number, as far as it has room, and bytes that depend on the
 * number and the length. */
static void value_fill(char *bytes, size_t len, uint64_t stamp)
{
    size_t head = len < sizeof stamp ? len : sizeof stamp;
    memcpy(bytes, &stamp, head);
    stamped_fill(bytes + head, len - head, stamp * 31 + len);
}

/* Returns the number of a value, or TORN. */
static uint64_t value_stamp(kama_bytes value)
{
    uint64_t stamp = 0;
    const char *bytes = value.data;
    size_t head = value.len < sizeof stamp ? value.len : sizeof stamp;
    if (head == 0) {
        return TORN;
    }
    memcpy(&stamp, bytes, head);
    return stamped_is(bytes + head, value.len - head, stamp * 31 + value.len)
               ? stamp
               : TORN;
}

/* Returns the number of the next value of a thread. Values of one byte have few
 * numbers, and use them again. */
static uint64_t next_stamp(struct worker *w)
{
    w->stamp++;
    return w->run->plan->value_bytes >= sizeof w->stamp
               ? w->stamp * THREADS_MAX + w->number + 1
               : (w->stamp * THREADS_MAX + w->number) % UINT8_MAX + 1;
}

/* Makes an item with the next number. Half of the values are shorter. */
static kama_value *next_item(struct worker *w, kama_bytes key,
                             uint64_t *ret_stamp)
{
    size_t len = w->run->plan->value_bytes;
    len = draw(&w->random, 2) == 0 && len > 16 ? len - len / 3 : len;
    *ret_stamp = next_stamp(w);
    value_fill(w->bytes, len, *ret_stamp);
    const struct km_item_spec spec = {.key = key,
                                      .value = kama_bytes_make(w->bytes, len)};
    kama_value *item = km_store_item_new(w->run->store, &spec);
    if (item == NULL) {
        abort();
    }
    return item;
}

/* -- operations ------------------------------------------------------------ */

static uint64_t now(void)
{
    return km_clock_mono(km_clock_system());
}

/* Writes down that an operation begins, after the end of the thread's last one
 * also by a clock that is not fine enough to tell. */
static struct history_op *invoke(struct worker *w, unsigned k,
                                 enum history_kind kind)
{
    struct history_op *op = &w->ops[k][w->counts[k]++];
    *op = (struct history_op){.kind = kind, .thread = (uint8_t)w->number};
    do {
        op->invoked = now();
    } while (op->invoked <= w->ended);
    return op;
}

static void respond(struct worker *w, struct history_op *op, bool done,
                    uint64_t value)
{
    op->responded = now();
    w->ended = op->responded;
    op->done = done;
    op->value = value;
}

static void require(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "history: %s\n", what);
        abort();
    }
}

/* Looks at the value that was held once more, and holds another one. */
static void hold(struct worker *w, kama_value *value, uint64_t stamp)
{
    if (w->held != NULL) {
        require(value_stamp(kama_value_bytes(w->held)) == w->held_stamp ||
                    w->held_stamp == TORN,
                "a value has changed while it was held");
        kama_value_unref(w->held);
    }
    w->held = value;
    w->held_stamp = stamp;
}

static void do_get(struct worker *w, unsigned k, uint64_t hash, kama_bytes key)
{
    kama_value *value = NULL;
    struct history_op *op = invoke(w, k, HISTORY_GET);
    kama_status st = w->run->calls.get(w->run->store, hash, key, &value);
    respond(w, op, st == KAMA_OK, 0);
    require(st == KAMA_OK || st == KAMA_WOULD_LOAD, "a get has failed");
    if (st == KAMA_OK) {
        op->value = value_stamp(kama_value_bytes(value));
        hold(w, value, op->value);
    }
}

static void do_copy(struct worker *w, unsigned k, uint64_t hash, kama_bytes key)
{
    size_t len = 0;
    struct history_op *op = invoke(w, k, HISTORY_GET);
    kama_status st = w->run->calls.copy(w->run->store, hash, key, w->bytes,
                                        w->run->plan->value_bytes, &len);
    respond(w, op, st == KAMA_OK, 0);
    require(st == KAMA_OK || st == KAMA_WOULD_LOAD, "a copy has failed");
    if (st == KAMA_OK) {
        op->value = value_stamp(kama_bytes_make(w->bytes, len));
    }
}

static void do_set(struct worker *w, unsigned k, uint64_t hash, kama_bytes key)
{
    uint64_t stamp;
    kama_value *item = next_item(w, key, &stamp);
    struct history_op *op = invoke(w, k, HISTORY_SET);
    kama_status st = w->run->calls.put(w->run->store, 0, hash, item);
    respond(w, op, true, stamp);
    require(st == KAMA_OK, "a put has failed");
}

/* Puts a value if there is none, or if there is one. */
static void do_put_if(struct worker *w, unsigned k, uint64_t hash,
                      kama_bytes key)
{
    uint64_t stamp;
    bool adds = draw(&w->random, 2) == 0;
    const struct km_put_condition condition = {
        .kind = adds ? KM_PUT_IF_ABSENT : KM_PUT_IF_PRESENT};
    kama_value *item = next_item(w, key, &stamp);
    struct history_op *op = invoke(w, k, adds ? HISTORY_ADD : HISTORY_REPLACE);
    kama_status st = km_store_put_if(w->run->store, 0, hash, item, &condition);
    respond(w, op, st == KAMA_OK, stamp);
    require(st == KAMA_OK || st == (adds ? KAMA_ERR_EXISTS : KAMA_MISS),
            "a put with a condition has failed");
}

static void do_del(struct worker *w, unsigned k, uint64_t hash, kama_bytes key)
{
    struct history_op *op = invoke(w, k, HISTORY_DEL);
    kama_status st = w->run->calls.del(w->run->store, 0, hash, key);
    respond(w, op, st == KAMA_OK, 0);
    require(st == KAMA_OK || st == KAMA_MISS, "a del has failed");
}

static void do_touch(struct worker *w, unsigned k, uint64_t hash,
                     kama_bytes key)
{
    struct history_op *op = invoke(w, k, HISTORY_TOUCH);
    kama_status st = w->run->calls.touch(w->run->store, 0, hash, key, 0);
    respond(w, op, st == KAMA_OK, 0);
    require(st == KAMA_OK || st == KAMA_MISS, "a touch has failed");
}

/* A load: the fill begins, the value is made meanwhile, and is kept or not. */
static void do_load(struct worker *w, unsigned k, uint64_t hash, kama_bytes key)
{
    struct km_fill fill = {0};
    kama_value *value = NULL;
    uint64_t stamp;
    struct history_op *op = invoke(w, k, HISTORY_BEGIN);
    kama_status st =
        km_store_fill_begin(w->run->store, &fill, hash, key, &value);
    respond(w, op, true, 0);
    if (st == KAMA_OK) {
        op->kind = HISTORY_GET;
        op->value = value_stamp(kama_value_bytes(value));
        hold(w, value, op->value);
        return;
    }
    require(st == KAMA_WOULD_LOAD, "a fill has failed");
    kama_value *item = next_item(w, key, &stamp);
    if (draw(&w->random, 2) == 0) {
        (void)sched_yield();
    }
    op = invoke(w, k, HISTORY_COMMIT);
    bool kept = w->run->calls.fill_commit(w->run->store, &fill, item);
    respond(w, op, kept, stamp);
    kama_value_unref(item);
}

/* A clear is in the history of every key. */
static void do_clear(struct worker *w)
{
    struct history_op *ops[KEYS];
    for (unsigned k = 0; k < KEYS; k++) {
        ops[k] = invoke(w, k, HISTORY_CLEAR);
    }
    w->run->calls.clear(w->run->store);
    for (unsigned k = 0; k < KEYS; k++) {
        respond(w, ops[k], true, 0);
    }
}

static kama_bytes key_of(char *buf, const char *kind, unsigned number)
{
    return kama_bytes_make(buf, (size_t)sprintf(buf, "%s-%u", kind, number));
}

/* Puts and deletes other keys, which drive values out of a small store. */
static void do_other(struct worker *w)
{
    char buf[32];
    uint64_t stamp;
    kama_bytes key = key_of(buf, "other", draw(&w->random, OTHER_KEYS));
    uint64_t hash = km_store_hash(w->run->store, key);
    if (draw(&w->random, 4) > 0) {
        kama_value *item = next_item(w, key, &stamp);
        require(km_store_put(w->run->store, 0, hash, item) == KAMA_OK,
                "a put of another key has failed");
    } else {
        (void)!km_store_del(w->run->store, 0, hash, key);
    }
}

static void step(struct worker *w)
{
    char buf[32];
    unsigned k = draw(&w->random, KEYS);
    unsigned what = draw(&w->random, 1000);
    kama_bytes key = key_of(buf, "key", k);
    uint64_t hash = km_store_hash(w->run->store, key);
    if (draw(&w->random, 2000) == 0) {
        do_clear(w);
    } else if (what < 200) {
        do_get(w, k, hash, key);
    } else if (what < 450) {
        do_copy(w, k, hash, key);
    } else if (what < 560) {
        do_set(w, k, hash, key);
    } else if (what < 620) {
        do_put_if(w, k, hash, key);
    } else if (what < 700) {
        do_del(w, k, hash, key);
    } else if (what < 780) {
        do_touch(w, k, hash, key);
    } else if (what < 900) {
        do_load(w, k, hash, key);
    } else {
        do_other(w);
    }
}

/* Threads have one core for a while. Yields let them meet in the middle of their
 * operations more often. */
static void *work(void *arg)
{
    struct worker *w = arg;
    (void)pthread_barrier_wait(&w->run->start);
    for (unsigned i = 0; i < w->run->plan->steps; i++) {
        step(w);
        if (draw(&w->random, 16) == 0) {
            (void)sched_yield();
        }
    }
    hold(w, NULL, 0);
    return NULL;
}

/* -- runs ------------------------------------------------------------------ */

/* The state that the faulty calls share. */
static struct {
    pthread_mutex_t lock;
    kama_value *value; /* of a key that a get found, or NULL */
    uint64_t hash;     /* of the key of the value, or of the del */
    char key[32];      /* which is to be deleted; empty if there is none */
    unsigned calls;
} faulty = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Forgets the state, before the store is freed. */
static void faulty_reset(void)
{
    if (faulty.value != NULL) {
        kama_value_unref(faulty.value);
    }
    faulty.value = NULL;
    faulty.key[0] = '\0';
    faulty.calls = 0;
}

static void *made(void *block)
{
    assert_non_null(block);
    return block;
}

/* Each step writes at most two operations of a key down. */
static void worker_start(struct worker *w, struct run *run, unsigned number,
                         uint64_t seed)
{
    w->run = run;
    w->number = number;
    w->random = seed * 0x9e3779b97f4a7c15u + number;
    w->bytes = made(malloc(run->plan->value_bytes));
    for (unsigned k = 0; k < KEYS; k++) {
        w->ops[k] = made(calloc(run->plan->steps * 2, sizeof *w->ops[k]));
    }
    assert_int_equal(pthread_create(&w->thread, NULL, work, w), 0);
}

static void worker_free(struct worker *w)
{
    for (unsigned k = 0; k < KEYS; k++) {
        free(w->ops[k]);
    }
    free(w->bytes);
}

/* Checks the history of one key, and prints the place if it is not linearizable.
 * Returns whether it is. */
static bool check_key(const struct run *run, const struct worker *workers,
                      unsigned k, bool prints)
{
    size_t n = 0;
    size_t fault = 0;
    struct history_op *ops =
        made(malloc(THREADS_MAX * run->plan->steps * 2 * sizeof *ops));
    for (unsigned t = 0; t < run->plan->threads; t++) {
        memcpy(ops + n, workers[t].ops[k], workers[t].counts[k] * sizeof *ops);
        n += workers[t].counts[k];
    }
    bool good = history_check(ops, n, run->plan->loss, &fault);
    if (!good && prints) {
        history_print(stderr, ops, n, fault);
    }
    free(ops);
    return good;
}

/* A store that has room evicts nothing, and a full one does. */
static void expect_losses(const struct run *run)
{
    struct km_store_stats stats;
    km_store_stats_get(run->store, &stats);
    assert_int_equal(stats.evictions > 0,
                     run->plan->loss == HISTORY_LOSS_PERMITTED);
}

/* Returns whether the histories of all keys are linearizable. */
static bool run_plan(const struct plan *plan, const struct store_calls *calls,
                     uint64_t seed, bool prints)
{
    struct run run = {.plan = plan, .calls = *calls};
    struct worker workers[THREADS_MAX] = {{0}};
    bool good = true;
    const struct km_store_options options = {
        .mem = km_mem_default(),
        .clock = km_clock_system(),
        .policy = seed % 2 == 0 ? &km_policy_lru : &km_policy_s3fifo,
        .max_bytes = plan->max_bytes,
        .seed = seed};
    assert_int_equal(km_store_new(&options, &run.store), KAMA_OK);
    assert_int_equal(pthread_barrier_init(&run.start, NULL, plan->threads), 0);
    for (unsigned t = 0; t < plan->threads; t++) {
        worker_start(&workers[t], &run, t, seed);
    }
    for (unsigned t = 0; t < plan->threads; t++) {
        assert_int_equal(pthread_join(workers[t].thread, NULL), 0);
    }
    faulty_reset();
    km_store_check(run.store);
    if (prints) {
        expect_losses(&run);
    }
    for (unsigned k = 0; k < KEYS; k++) {
        good = check_key(&run, workers, k, prints && good) && good;
    }
    for (unsigned t = 0; t < plan->threads; t++) {
        worker_free(&workers[t]);
    }
    (void)pthread_barrier_destroy(&run.start);
    km_store_free(run.store);
    return good;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static const struct plan plans[] = {
    {"1 B", MIB, 1, 8, 10000, HISTORY_NO_LOSS},
    {"100 B", MIB, 100, 8, 8000, HISTORY_NO_LOSS},
    {"4 KiB", 4 * MIB, 4 * KIB, 8, 2500, HISTORY_NO_LOSS},
    {"64 KiB", 32 * MIB, 64 * KIB, 8, 300, HISTORY_NO_LOSS},
    {"1 MiB", 256 * MIB, MIB, 4, 40, HISTORY_NO_LOSS},
    {"1000 B, full", 64 * KIB, 1000, 8, 8000, HISTORY_LOSS_PERMITTED},
    {"4 KiB, full", 256 * KIB, 4 * KIB, 8, 2500, HISTORY_LOSS_PERMITTED},
    {"1 MiB, full", 16 * MIB, MIB, 4, 100, HISTORY_LOSS_PERMITTED},
};

/* The histories of a store are linearizable, whatever the sizes are. */
static void test_histories_are_linearizable(void **state)
{
    uint64_t first = number_of("KAMA_SEED", 1);
    const char *sanitizer = getenv("KAMA_SANITIZE");
    bool sanitized = sanitizer != NULL && sanitizer[0] != '\0';
    uint64_t seeds =
        number_of("KAMA_SEEDS", sanitized ? SEEDS_SANITIZED : SEEDS);
    const struct store_calls calls = store_calls_real();
    (void)state;
    for (unsigned i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        for (uint64_t seed = first; seed < first + seeds; seed++) {
            if (!run_plan(&plans[i], &calls, seed, true)) {
                fail_msg("%s, KAMA_SEED=%llu: a history is not linearizable",
                         plans[i].name, (unsigned long long)seed);
            }
        }
    }
}

/* -- faulty stores --------------------------------------------------------- */

/* Returns true in one of n calls. */
static bool faulty_turn(unsigned n)
{
    pthread_mutex_lock(&faulty.lock);
    bool turn = ++faulty.calls % n == 0;
    pthread_mutex_unlock(&faulty.lock);
    return turn;
}

/* Answers from a value that a get found some calls before. */
static kama_status get_cached(struct km_store *store, uint64_t hash,
                              kama_bytes key, kama_value **ret_value)
{
    kama_status st = km_store_get(store, hash, key, ret_value);
    if (st != KAMA_OK) {
        return st;
    }
    pthread_mutex_lock(&faulty.lock);
    if (faulty.value == NULL || faulty.calls++ % 8 == 0) {
        kama_value *before = faulty.value;
        faulty.value = kama_value_ref(*ret_value);
        faulty.hash = hash;
        if (before != NULL) {
            kama_value_unref(before);
        }
    } else if (faulty.hash == hash) {
        kama_value_unref(*ret_value);
        *ret_value = kama_value_ref(faulty.value);
    }
    pthread_mutex_unlock(&faulty.lock);
    return KAMA_OK;
}

/* Says now and then that there is nothing, as a look-up without a lock may do
 * while the entry moves. */
static kama_status get_that_blinks(struct km_store *store, uint64_t hash,
                                   kama_bytes key, kama_value **ret_value)
{
    return faulty_turn(50) ? KAMA_WOULD_LOAD
                           : km_store_get(store, hash, key, ret_value);
}

/* Copies the second half later than the first one. */
static kama_status copy_torn(struct km_store *store, uint64_t hash,
                             kama_bytes key, void *buf, size_t cap,
                             size_t *ret_len)
{
    size_t len = 0;
    kama_value *value;
    kama_status st = km_store_copy(store, hash, key, buf, cap, ret_len);
    (void)sched_yield();
    if (st == KAMA_OK && km_store_get(store, hash, key, &value) == KAMA_OK) {
        kama_bytes bytes = kama_value_bytes(value);
        len = bytes.len < *ret_len ? bytes.len : *ret_len;
        memcpy((char *)buf + len / 2, (const char *)bytes.data + len / 2,
               len - len / 2);
        kama_value_unref(value);
    }
    return st;
}

/* Returns before the entry is removed, which the next del does. */
static kama_status del_later(struct km_store *store, uint64_t adoption,
                             uint64_t hash, kama_bytes key)
{
    kama_status st = KAMA_MISS;
    pthread_mutex_lock(&faulty.lock);
    if (faulty.key[0] != '\0') {
        st = km_store_del(store, adoption, faulty.hash,
                          kama_bytes_str(faulty.key));
        faulty.key[0] = '\0';
    } else {
        km_ns at;
        st = km_store_peek(store, adoption, hash, key, &at);
        memcpy(faulty.key, key.data, key.len);
        faulty.key[key.len] = '\0';
        faulty.hash = hash;
    }
    pthread_mutex_unlock(&faulty.lock);
    return st;
}

/* Loses one of some values that are put. */
static kama_status put_that_loses(struct km_store *store, uint64_t adoption,
                                  uint64_t hash, kama_value *item)
{
    if (!faulty_turn(100)) {
        return km_store_put(store, adoption, hash, item);
    }
    kama_value_unref(item);
    return KAMA_OK;
}

/* Puts a copy of the value, whether or not it has changed meanwhile. */
static kama_status touch_by_copy(struct km_store *store, uint64_t adoption,
                                 uint64_t hash, kama_bytes key,
                                 km_ns expires_at)
{
    kama_value *value;
    if (km_store_get(store, hash, key, &value) != KAMA_OK) {
        return KAMA_MISS;
    }
    const struct km_item_spec spec = {
        .key = key, .value = kama_value_bytes(value), .expires_at = expires_at};
    kama_value *item = km_store_item_new(store, &spec);
    kama_value_unref(value);
    (void)sched_yield();
    return km_store_put(store, adoption, hash, item);
}

/* Clears some of the entries. */
static void clear_in_part(struct km_store *store)
{
    kama_value *items[8];
    uint64_t cursor = 0;
    size_t n = km_store_scan(store, &cursor, items, 8);
    for (size_t i = 0; i < n; i++) {
        kama_bytes key = km_item_key_bytes(items[i]);
        if (i % 2 == 0) {
            (void)!km_store_del(store, 0, km_store_hash(store, key), key);
        }
        kama_value_unref(items[i]);
    }
}

/* Keeps a loaded value although the fill was overtaken. */
static bool commit_always(struct km_store *store, struct km_fill *fill,
                          kama_value *item)
{
    kama_bytes key = km_item_key_bytes(item);
    const struct km_item_spec spec = {.key = key,
                                      .value = kama_value_bytes(item)};
    if (km_store_fill_commit(store, fill, item)) {
        return true;
    }
    return km_store_put(store, 0, km_store_hash(store, key),
                        km_store_item_new(store, &spec)) == KAMA_OK;
}

/* Runs a plan with some calls replaced, until a history is not linearizable. With
 * the calls of the store it is. */
static void expect_found_out(const char *name, const struct plan *plan,
                             const struct store_calls *calls)
{
    const struct store_calls real = store_calls_real();
    assert_true(run_plan(plan, &real, 1, true));
    for (uint64_t seed = 1; seed <= SEEDS_BROKEN; seed++) {
        if (!run_plan(plan, calls, seed, false)) {
            print_message("%s: %s, seed %llu\n", name, plan->name,
                          (unsigned long long)seed);
            return;
        }
    }
    fail_msg("%s: no seed finds out about %s", plan->name, name);
}

#define FAULTY(member, function, plan)                                         \
    do {                                                                       \
        struct store_calls calls = store_calls_real();                         \
        calls.member = function;                                               \
        expect_found_out(#function, plan, &calls);                             \
    } while (0)

/* The faulty calls, and the sizes with which they are tried. */
static void test_faults_are_found(void **state)
{
    static const struct plan roomy[] = {
        {"1 B", MIB, 1, 4, 1000, HISTORY_NO_LOSS},
        {"100 B", MIB, 100, 4, 1000, HISTORY_NO_LOSS},
        {"64 KiB", 32 * MIB, 64 * KIB, 4, 150, HISTORY_NO_LOSS}};
    static const struct plan full = {
        "1000 B, full", 64 * KIB, 1000, 4, 1500, HISTORY_LOSS_PERMITTED};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        FAULTY(get, get_cached, &roomy[i]);
        FAULTY(del, del_later, &roomy[i]);
        FAULTY(touch, touch_by_copy, &roomy[i]);
        FAULTY(put, put_that_loses, &roomy[i]);
        FAULTY(clear, clear_in_part, &roomy[i]);
        FAULTY(fill_commit, commit_always, &roomy[i]);
    }
    FAULTY(copy, copy_torn, &roomy[1]);
    FAULTY(copy, copy_torn, &roomy[2]);
    FAULTY(get, get_cached, &roomy[2]);
    FAULTY(touch, touch_by_copy, &roomy[2]);
    FAULTY(get, get_cached, &full);
    FAULTY(get, get_that_blinks, &full);
    FAULTY(copy, copy_torn, &full);
    FAULTY(del, del_later, &full);
    FAULTY(touch, touch_by_copy, &full);
    FAULTY(clear, clear_in_part, &full);
    FAULTY(fill_commit, commit_always, &full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories_are_linearizable),
        cmocka_unit_test(test_faults_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
