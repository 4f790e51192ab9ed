/* SPDX-License-Identifier: MIT */
/*
 * Threads that set and delete keys of one store, each under the lock of its key's shard,
 * while one thread reads the ring as a stream does, and others clear and invalidate the
 * group. Whatever happens:
 *
 *     the reader sees every seq once, and the versions rise with the seqs
 *     whoever knows of a version, and then takes the lock of its key's shard, sees the
 *     effect of that version (R1)
 *     after an R6 no floor is below the clock that had been merged before
 */
#include "sync/log.h"

#include "base/bytes.h"
#include "helpers/draw.h"
#include "helpers/require.h"
#include "store/store_fixture.h"

#include <pthread.h>

enum { WRITERS = 3, STEPS = 20000, KEYS = 64 };

struct shared {
    struct km_store *store;
    struct km_sync_log *log;
    uint32_t number;
    _Atomic uint64_t given[KEYS]; /* the clock of its newest version */
    atomic_uint writing;
};

struct writer {
    pthread_t thread;
    struct shared *shared;
    uint64_t random;
};

/* A mutation that asks for its version. */
struct asked {
    struct shared *shared;
    unsigned k;
};

/* Runs under the lock of the key's shard. */
static struct km_version originate(void *arg, const struct km_asking *asking)
{
    const struct asked *asked = arg;
    struct shared *shared = asked->shared;
    struct km_version v =
        km_sync_log_append(shared->log, shared->number, asking, NULL);
    REQUIRE(v.hlc > atomic_load(&shared->given[asked->k]));
    atomic_store(&shared->given[asked->k], v.hlc);
    return v;
}

static void mutate(struct writer *w)
{
    struct shared *shared = w->shared;
    char buf[32];
    unsigned k = draw(&w->random, KEYS);
    kama_bytes key = number_key(buf, k);
    struct asked asked = {shared, k};
    struct km_operation op = {.kind = KM_APPLY_DELETE,
                              .hash = km_store_hash(shared->store, key),
                              .key = key};
    const struct km_stamp stamp = {.ask = originate, .arg = &asked};
    if (draw(&w->random, 2) == 0) {
        const struct km_item_spec spec = {.key = key, .value = KM_LIT("v")};
        op.kind = KM_APPLY_SET;
        op.item = km_store_item_new(shared->store, &spec);
        REQUIRE(op.item != NULL);
    }
    kama_status st = km_store_apply(shared->store, &op, &stamp);
    REQUIRE(st == KAMA_OK || st == KAMA_MISS);
}

/* R6 begins after a clock was merged. So no floor is below that clock. */
static void invalidate(struct writer *w)
{
    struct shared *shared = w->shared;
    char buf[32];
    uint64_t hash =
        km_store_hash(shared->store, number_key(buf, draw(&w->random, KEYS)));
    uint64_t clock = km_sync_log_newest(shared->log) + draw(&w->random, 3);
    if (draw(&w->random, 2) == 0) {
        km_sync_log_merge(shared->log, clock);
        km_sync_log_invalidate(shared->log, UINT32_MAX, 0);
        REQUIRE(km_store_floor(shared->store, hash) >= clock);
    } else {
        struct km_version v =
            km_sync_log_clear(shared->log, shared->number, NULL);
        REQUIRE(km_store_floor(shared->store, hash) >= v.hlc);
    }
}

/* Whoever has the lock of a shard sees no version without its effect: the entry of a key
 * or its floor is not behind the newest version that was given before. */
static void look(struct writer *w)
{
    struct shared *shared = w->shared;
    char buf[32];
    unsigned k = draw(&w->random, KEYS);
    kama_bytes key = number_key(buf, k);
    uint64_t hash = km_store_hash(shared->store, key);
    uint64_t given = atomic_load(&shared->given[k]);
    uint64_t there = 0;
    kama_value *value;
    if (km_store_get(shared->store, hash, key, &value) == KAMA_OK) {
        there = km_item_stamp(value).hlc;
        kama_value_unref(value);
    }
    REQUIRE(there <= km_sync_log_newest(shared->log));
    REQUIRE(there >= given || km_store_floor(shared->store, hash) >= given);
}

static void *write_all(void *arg)
{
    struct writer *w = arg;
    for (unsigned i = 0; i < STEPS; i++) {
        unsigned what = draw(&w->random, 100);
        if (what == 0) {
            invalidate(w);
        } else if (what < 20) {
            look(w);
        } else {
            mutate(w);
        }
    }
    atomic_fetch_sub(&w->shared->writing, 1);
    return NULL;
}

/* Reads everything from `seq` on. Returns the next seq. */
static uint64_t read_on(struct shared *shared, uint64_t seq, uint64_t *clock)
{
    struct km_sync_entry entries[100];
    struct km_buf keys;
    size_t n;
    km_buf_init(&keys, NULL, SIZE_MAX);
    while ((n = km_sync_log_read(shared->log, seq, entries, 100, &keys)) > 0) {
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(entries[i].seq, seq++);
            assert_true(entries[i].hlc > *clock);
            *clock = entries[i].hlc;
        }
        assert_true(km_sync_log_newest(shared->log) >= *clock);
        keys.len = 0;
    }
    km_buf_fini(&keys);
    return seq;
}

static void test_threads(void **state)
{
    (void)state;
    struct shared *shared = test_calloc(1, sizeof *shared);
    struct writer writers[WRITERS];
    struct fixture *f = fixture_synced(1u << 20, &km_policy_s3fifo);
    const struct km_sync_log_options options = {.mem = km_mem_default(),
                                                .clock = km_clock_system(),
                                                .ring_bytes = 16u << 20};
    struct km_sync_log_state end;
    uint64_t seq = 1;
    uint64_t clock = 0;
    shared->store = f->store;
    assert_int_equal(km_sync_log_new(&options, &shared->log), KAMA_OK);
    shared->number = km_sync_log_add(shared->log, "a", f->store);
    km_sync_log_begin(shared->log, 1, 0);
    atomic_store(&shared->writing, WRITERS);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.shared = shared, .random = i + 1};
        assert_int_equal(
            pthread_create(&writers[i].thread, NULL, write_all, &writers[i]),
            0);
    }
    while (atomic_load(&shared->writing) > 0) {
        seq = read_on(shared, seq, &clock);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        (void)pthread_join(writers[i].thread, NULL);
    }
    seq = read_on(shared, seq, &clock);
    km_sync_log_get(shared->log, &end);
    assert_int_equal(seq, end.seq + 1);
    assert_true(end.seq > STEPS);
    km_sync_log_check(shared->log);
    km_sync_log_free(shared->log);
    test_free(shared);
    fixture_free(f, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
