/* SPDX-License-Identifier: MIT */
/*
 * The log of a node:
 *
 *     clock          versions rise, with the wall clock or without it
 *     overflow       a count that is full borrows a millisecond
 *     ring           what was appended is read back, from any seq on
 *     full, aged     the oldest leave, and each group knows what it has lost
 *     large keys     a record that is larger than the ring leaves at once
 *     model          random records and sizes against an array
 *     begin          a life begins with seq 0, or with 1 (R12)
 *     grew           the reader is told once until it reads
 *     clear          R6 and the record, in one step
 *     invalidate     R6: the floors rise to the clock of the node
 *     own clock      the same, when the rule is broken
 *     find           the newest record of a key
 *     no memory      new and add fail cleanly
 */
#include "sync/log.h"

#include "base/bytes.h"
#include "helpers/draw.h"
#include "store/store_fixture.h"
#include "sync/rules.h"

#include <stdlib.h>

#define WALL 1000000u

struct test_clock {
    struct km_clock clock;
    km_ns now;
    uint64_t wall;
};

static km_ns read_mono(void *arg)
{
    return ((struct test_clock *)arg)->now;
}

static uint64_t read_wall(void *arg)
{
    return ((struct test_clock *)arg)->wall;
}

struct world {
    struct test_clock clock;
    struct km_sync_log *log;
    struct km_buf keys;
    unsigned told;
};

static void on_grew(void *arg)
{
    ((struct world *)arg)->told++;
}

static void world_init(struct world *w, size_t ring_bytes)
{
    *w = (struct world){.clock = {.now = KM_NS_PER_S, .wall = WALL}};
    w->clock.clock = (struct km_clock){.mono = read_mono,
                                       .coarse = read_mono,
                                       .wall_ms = read_wall,
                                       .arg = &w->clock};
    const struct km_sync_log_options options = {.mem = km_mem_default(),
                                                .clock = &w->clock.clock,
                                                .ring_bytes = ring_bytes,
                                                .grew = on_grew,
                                                .arg = w};
    assert_int_equal(km_sync_log_new(&options, &w->log), KAMA_OK);
    km_buf_init(&w->keys, NULL, SIZE_MAX);
    assert_int_equal(km_sync_log_add(w->log, "a", NULL), 0);
    assert_int_equal(km_sync_log_add(w->log, "b", NULL), 1);
    km_sync_log_begin(w->log, 7, 0);
}

static void world_fini(struct world *w)
{
    km_sync_log_check(w->log);
    km_sync_log_free(w->log);
    km_buf_fini(&w->keys);
}

static struct km_sync_log_state state_of(struct world *w)
{
    struct km_sync_log_state state;
    km_sync_log_check(w->log);
    km_sync_log_get(w->log, &state);
    return state;
}

static struct km_version append(struct world *w, uint32_t number,
                                enum km_operation_kind kind, kama_bytes key)
{
    const struct km_asking asking = {
        .kind = kind, .key = key, .base = {.hlc = 3, .origin = 4}};
    return km_sync_log_append(w->log, number, &asking, NULL);
}

static struct km_version append_number(struct world *w, uint32_t number,
                                       unsigned n)
{
    char buf[32];
    return append(w, number, KM_APPLY_SET, number_key(buf, n));
}

/* Reads one entry, and returns whether it is there. */
static bool read_one(struct world *w, uint64_t seq, struct km_sync_entry *ret)
{
    w->keys.len = 0;
    return km_sync_log_read(w->log, seq, ret, 1, &w->keys) == 1;
}

static kama_bytes key_of(const struct world *w,
                         const struct km_sync_entry *entry)
{
    return kama_bytes_make(w->keys.data + entry->key_at, entry->key_len);
}

/* -- the clock ---------------------------------------------------------------- */

/* A version is above the one before, above every merged clock, and not below the wall
 * clock. */
static void test_clock(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    struct km_version a = append_number(&w, 0, 1);
    struct km_version b = append_number(&w, 0, 2);
    assert_int_equal(a.hlc, (uint64_t)WALL << 16);
    assert_int_equal(a.origin, 7);
    assert_int_equal(b.hlc, a.hlc + 1);
    w.clock.wall -= 500; /* the wall clock was set back */
    w.clock.now += KM_NS_PER_MS;
    assert_int_equal(append_number(&w, 0, 3).hlc, a.hlc + 2);
    km_sync_log_merge(w.log, a.hlc + 100);
    assert_int_equal(append_number(&w, 0, 4).hlc, a.hlc + 101);
    km_sync_log_merge(w.log, a.hlc);
    assert_int_equal(append_number(&w, 0, 5).hlc, a.hlc + 102);
    w.clock.wall = WALL + 2; /* which is seen at the next tick */
    assert_int_equal(append_number(&w, 0, 6).hlc, a.hlc + 103);
    w.clock.now += KM_NS_PER_MS;
    assert_int_equal(append_number(&w, 0, 7).hlc, (uint64_t)(WALL + 2) << 16);
    assert_int_equal(km_sync_log_newest(w.log), (uint64_t)(WALL + 2) << 16);
    world_fini(&w);
}

/* More than 65,536 mutations within a millisecond use the next one. */
static void test_overflow(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    km_sync_log_merge(w.log, ((uint64_t)WALL << 16) + 0xffff);
    struct km_version v = append_number(&w, 0, 1);
    assert_int_equal(v.hlc, (uint64_t)(WALL + 1) << 16);
    world_fini(&w);
}

/* -- the ring ------------------------------------------------------------------ */

static void test_ring(void **state)
{
    (void)state;
    struct world w;
    struct km_sync_entry entry;
    struct km_sync_entry entries[200];
    char buf[32];
    world_init(&w, 0);
    assert_int_equal(state_of(&w).oldest, 1);
    assert_false(read_one(&w, 1, &entry));
    km_sync_log_set_view(w.log, 99);
    for (unsigned i = 1; i <= 1000; i++) {
        (void)append_number(&w, i % 2, i);
    }
    for (unsigned i = 1; i <= 1000; i++) {
        assert_true(read_one(&w, i, &entry));
        assert_int_equal(entry.seq, i);
        assert_int_equal(entry.number, i % 2);
        assert_int_equal(entry.view_id, 99);
        assert_int_equal(entry.base.origin, 4);
        assert_int_equal(entry.kind, KM_SYNC_SET);
        assert_true(km_bytes_eq(key_of(&w, &entry), number_key(buf, i)));
    }
    w.keys.len = 0;
    assert_int_equal(km_sync_log_read(w.log, 900, entries, 200, &w.keys), 101);
    assert_int_equal(entries[100].seq, 1000);
    assert_false(read_one(&w, 1001, &entry));
    assert_false(read_one(&w, 0, &entry));
    assert_int_equal(state_of(&w).seq, 1000);
    assert_int_equal(state_of(&w).lost, 0);
    world_fini(&w);
}

/* Each record of a 16-byte key takes 64 bytes, so that a ring of 640 bytes has ten. */
static void test_full(void **state)
{
    (void)state;
    struct world w;
    struct km_sync_entry entry;
    kama_bytes key = KAMA_BYTES("0123456789abcdef", 16);
    struct km_version versions[30];
    world_init(&w, 640);
    for (unsigned i = 0; i < 30; i++) {
        versions[i] = append(&w, i < 5, KM_APPLY_DELETE, key);
    }
    struct km_sync_log_state at = state_of(&w);
    assert_int_equal(at.seq, 30);
    assert_int_equal(at.oldest, 21);
    assert_int_equal(at.bytes, 640);
    assert_int_equal(at.lost, versions[19].hlc);
    assert_int_equal(at.newest, versions[29].hlc);
    assert_int_equal(km_sync_log_lost(w.log, 1), 5);
    assert_int_equal(km_sync_log_lost(w.log, 0), 20);
    assert_false(read_one(&w, 20, &entry));
    assert_true(read_one(&w, 21, &entry));
    assert_int_equal(entry.hlc, versions[20].hlc);
    assert_int_equal(km_sync_log_time_of(w.log, 20), 0);
    assert_int_equal(km_sync_log_time_of(w.log, 21), KM_NS_PER_S);
    world_fini(&w);
}

/* A record leaves after a minute, at the next call. */
static void test_aged(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    (void)append_number(&w, 0, 1);
    w.clock.now += 30 * KM_NS_PER_S;
    (void)append_number(&w, 1, 2);
    w.clock.now += 30 * KM_NS_PER_S;
    assert_int_equal(state_of(&w).oldest, 1);
    w.clock.now += KM_NS_PER_MS;
    assert_int_equal(state_of(&w).oldest, 2);
    assert_int_equal(km_sync_log_lost(w.log, 0), 1);
    assert_int_equal(km_sync_log_lost(w.log, 1), 0);
    w.clock.now += 60 * KM_NS_PER_S;
    (void)append_number(&w, 0, 3);
    assert_int_equal(state_of(&w).oldest, 3);
    world_fini(&w);
}

/* A thread reads its clock, and another one that has read it later is first at the lock:
 * the record of that one is not too old. */
static void test_a_clock_that_was_read_before(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    (void)append_number(&w, 0, 1);
    w.clock.now -= 4 * KM_NS_PER_MS;
    (void)append_number(&w, 0, 2);
    assert_int_equal(state_of(&w).oldest, 1);
    world_fini(&w);
}

static void test_large_key(void **state)
{
    (void)state;
    struct world w;
    char key[300] = {0};
    world_init(&w, 256);
    (void)append_number(&w, 0, 1);
    struct km_version v =
        append(&w, 1, KM_APPLY_SET, kama_bytes_make(key, sizeof key));
    assert_int_equal(state_of(&w).seq, 2);
    assert_int_equal(state_of(&w).oldest, 3);
    assert_int_equal(state_of(&w).lost, v.hlc);
    assert_int_equal(km_sync_log_lost(w.log, 1), 2);
    (void)append_number(&w, 0, 3);
    assert_int_equal(state_of(&w).oldest, 3);
    world_fini(&w);
}

/* Keys of all lengths, in rings of several sizes, against an array of what was put. */
static void test_model(void **state)
{
    (void)state;
    static const size_t sizes[] = {160, 1000, 8192, 65536};
    static char key[KM_KEY_BYTES_MAX];
    enum { STEPS = 4000 };
    uint64_t random = 3;
    for (unsigned r = 0; r < sizeof sizes / sizeof *sizes; r++) {
        struct world w;
        size_t lengths[STEPS + 1];
        struct km_sync_entry entry;
        world_init(&w, sizes[r]);
        for (unsigned i = 1; i <= STEPS; i++) {
            lengths[i] = draw(&random, 10) == 0 ? draw(&random, sizeof key + 1)
                                                : draw(&random, 40);
            memset(key, (int)i, sizeof key);
            (void)append(&w, 0, KM_APPLY_SET, kama_bytes_make(key, lengths[i]));
            uint64_t oldest = state_of(&w).oldest;
            assert_int_equal(km_sync_log_lost(w.log, 0), oldest - 1);
            if (oldest <= i) {
                uint64_t seq = oldest + draw(&random, i - (unsigned)oldest + 1);
                assert_true(read_one(&w, seq, &entry));
                assert_int_equal(entry.key_len, lengths[seq]);
                memset(key, (int)seq, sizeof key);
                assert_memory_equal(key_of(&w, &entry).data, key,
                                    entry.key_len);
            }
        }
        world_fini(&w);
    }
}

/* -- lives ----------------------------------------------------------------------- */

static void test_begin(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    struct km_version v = append_number(&w, 0, 1);
    km_sync_log_begin(w.log, 8, 0);
    struct km_sync_log_state at = state_of(&w);
    assert_int_equal(at.seq, 0);
    assert_int_equal(at.oldest, 1);
    assert_int_equal(at.newest, 0);
    assert_int_equal(at.lost, 0);
    assert_int_equal(at.origin, 8);
    assert_int_equal(at.hlc, v.hlc);
    v = append_number(&w, 0, 1);
    assert_int_equal(v.origin, 8);
    km_sync_log_begin(w.log, 9, 1);
    at = state_of(&w);
    assert_int_equal(at.seq, 1);
    assert_int_equal(at.oldest, 2);
    assert_int_equal(at.newest, v.hlc);
    assert_int_equal(at.lost, v.hlc);
    assert_int_equal(km_sync_log_lost(w.log, 0), 1);
    assert_int_equal(km_sync_log_lost(w.log, 1), 1);
    world_fini(&w);
}

static void test_grew(void **state)
{
    (void)state;
    struct world w;
    struct km_sync_entry entry;
    world_init(&w, 0);
    (void)append_number(&w, 0, 1);
    (void)append_number(&w, 0, 2);
    assert_int_equal(w.told, 1);
    assert_true(read_one(&w, 1, &entry));
    assert_int_equal(w.told, 1);
    (void)km_sync_log_clear(w.log, 0, NULL);
    (void)append_number(&w, 0, 3);
    assert_int_equal(w.told, 2);
    km_sync_log_set_reader(w.log, NULL, NULL);
    (void)append_number(&w, 0, 4);
    assert_int_equal(w.told, 2);
    km_sync_log_set_reader(w.log, on_grew, &w);
    (void)append_number(&w, 0, 5);
    assert_int_equal(w.told, 3);
    world_fini(&w);
}

/* The newest record of a key, or of the whole group, with what it was and when. */
static void test_find(void **state)
{
    (void)state;
    struct world w;
    struct km_sync_found found;
    struct fixture *f = fixture_synced(1u << 20, &km_policy_s3fifo);
    char buf[32];
    world_init(&w, 0);
    uint32_t number = km_sync_log_add(w.log, "found", f->store);
    assert_int_equal(km_sync_log_number(w.log, "found"), number);
    assert_int_equal(km_sync_log_number(w.log, "g"), UINT32_MAX);
    assert_false(km_sync_log_find(w.log, "g", number_key(buf, 1), &found));
    assert_true(km_sync_log_find(w.log, "found", number_key(buf, 1), &found));
    assert_int_equal(found.seq, 0);
    (void)append_number(&w, number, 1);
    w.clock.now += 5 * KM_NS_PER_MS;
    struct km_version newest = append_number(&w, number, 1);
    (void)append_number(&w, 0, 1);
    (void)append_number(&w, number, 2);
    assert_true(km_sync_log_find(w.log, "found", number_key(buf, 1), &found));
    assert_int_equal(found.seq, 2);
    assert_int_equal(found.kind, KM_SYNC_SET);
    assert_int_equal(found.time, w.clock.now);
    assert_int_equal(km_version_compare(found.version, newest), 0);
    newest = km_sync_log_clear(w.log, number, NULL);
    assert_true(km_sync_log_find(w.log, "found", number_key(buf, 1), &found));
    assert_int_equal(found.seq, 5);
    assert_int_equal(found.kind, KM_SYNC_CLEAR);
    assert_int_equal(km_version_compare(found.version, newest), 0);
    world_fini(&w);
    fixture_free(f, 0);
}

/* -- R6 ------------------------------------------------------------------------- */

static uint64_t floor_of(struct fixture *f)
{
    return km_store_floor(f->store, km_store_hash(f->store, KM_LIT("k")));
}

/* A clear empties its group, raises the floors to its version, and is in the ring. */
static void test_clear(void **state)
{
    (void)state;
    struct world w;
    struct km_sync_entry entry;
    struct fixture *f = fixture_synced(1u << 20, &km_policy_s3fifo);
    world_init(&w, 0);
    uint32_t number = km_sync_log_add(w.log, "c", f->store);
    assert_int_equal(put(f, KM_LIT("k"), KM_LIT("v")), KAMA_OK);
    struct km_version v = km_sync_log_clear(w.log, number, NULL);
    assert_false(has(f, KM_LIT("k")));
    assert_int_equal(floor_of(f), v.hlc);
    assert_true(read_one(&w, 1, &entry));
    assert_int_equal(entry.kind, KM_SYNC_CLEAR);
    assert_int_equal(entry.hlc, v.hlc);
    assert_int_equal(entry.key_len, 0);
    assert_int_equal(entry.number, number);
    world_fini(&w);
    fixture_free(f, 0);
}

/* Without the rule, the floors rise to the clock of the event only. */
static void test_own_clock(void **state)
{
    (void)state;
    struct world w;
    struct fixture *f = fixture_synced(1u << 20, &km_policy_s3fifo);
    world_init(&w, 0);
    uint32_t number = km_sync_log_add(w.log, "c", f->store);
    struct km_version v = append_number(&w, number, 1);
    km_sync_broken = KM_SYNC_R6_OWN_CLOCK;
    km_sync_log_invalidate(w.log, number, 5);
    assert_int_equal(floor_of(f), 5);
    km_sync_broken = 0;
    km_sync_log_invalidate(w.log, number, 5);
    assert_int_equal(floor_of(f), v.hlc);
    world_fini(&w);
    fixture_free(f, 0);
}

/* An invalidation raises the floors to the clock of the node, although the clock of the
 * event is behind it, and tells no stream. */
static void test_invalidate(void **state)
{
    (void)state;
    struct world w;
    struct fixture *f = fixture_synced(1u << 20, &km_policy_s3fifo);
    struct fixture *other = fixture_synced(1u << 20, &km_policy_s3fifo);
    world_init(&w, 0);
    uint32_t number = km_sync_log_add(w.log, "c", f->store);
    (void)km_sync_log_add(w.log, "d", other->store);
    struct km_version v = append_number(&w, number, 1);
    assert_int_equal(put(f, KM_LIT("k"), KM_LIT("v")), KAMA_OK);
    km_sync_log_invalidate(w.log, number, 5);
    assert_false(has(f, KM_LIT("k")));
    assert_int_equal(floor_of(f), v.hlc);
    assert_int_equal(floor_of(other), 0);
    km_sync_log_invalidate(w.log, UINT32_MAX, v.hlc + 10);
    assert_int_equal(floor_of(f), v.hlc + 10);
    assert_int_equal(floor_of(other), v.hlc + 10);
    assert_int_equal(state_of(&w).hlc, v.hlc + 10);
    assert_int_equal(state_of(&w).seq, 1);
    km_sync_log_remove(w.log, number);
    km_sync_log_invalidate(w.log, UINT32_MAX, v.hlc + 20);
    assert_int_equal(floor_of(f), v.hlc + 10);
    assert_int_equal(floor_of(other), v.hlc + 20);
    world_fini(&w);
    fixture_free(f, 0);
    fixture_free(other, 0);
}

/* -- memory --------------------------------------------------------------------- */

/* A log is made with the n-th allocation failing, for each n. */
static void test_no_memory(void **state)
{
    (void)state;
    for (long long n = 1;; n++) {
        struct km_mem_probe probe;
        struct km_sync_log *log = NULL;
        km_mem_probe_init(&probe);
        atomic_store(&probe.fail_at, n);
        const struct km_sync_log_options options = {.mem = &probe.allocator,
                                                    .clock = km_clock_system()};
        kama_status st = km_sync_log_new(&options, &log);
        uint32_t number =
            st == KAMA_OK ? km_sync_log_add(log, "a", NULL) : UINT32_MAX;
        km_sync_log_free(log);
        assert_int_equal(atomic_load(&probe.live_blocks), 0);
        if (number != UINT32_MAX) {
            assert_int_equal(n, 5);
            return;
        }
    }
}

/* The numbers of groups are bounded. */
static void test_groups(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    for (unsigned i = 2; i < KM_GROUPS_MAX; i++) {
        assert_int_equal(km_sync_log_add(w.log, "g", NULL), i);
    }
    assert_int_equal(km_sync_log_add(w.log, "g", NULL), UINT32_MAX);
    assert_string_equal(km_sync_log_name(w.log, 1), "b");
    assert_int_equal(state_of(&w).groups, KM_GROUPS_MAX);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_aged),
        cmocka_unit_test(test_large_key),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_begin),
        cmocka_unit_test(test_grew),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_clear),
        cmocka_unit_test(test_invalidate),
        cmocka_unit_test(test_own_clock),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_a_clock_that_was_read_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
