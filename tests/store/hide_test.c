/* SPDX-License-Identifier: MIT */
/*
 * Adoptions: entries of lost slots are gone at once for every look, whoever acts
 * on an old adoption is refused, and a sweep frees the hidden entries.
 */
#include "store/store_fixture.h"
#include "store/store_hide.h"
#include "store/store_scan.h"
#include "store/store_touch.h"

#include <pthread.h>
#include <sched.h>

#define MIB (1u << 20)

static kama_status put_at(struct fixture *f, uint64_t adoption, kama_bytes key,
                          kama_bytes value)
{
    struct km_item_spec spec = {.key = key, .value = value};
    kama_value *item = km_store_item_new(f->store, &spec);
    assert_non_null(item);
    return km_store_put(f->store, adoption, km_store_hash(f->store, key), item);
}

static void sweep(struct fixture *f)
{
    uint64_t cursor = 0;
    while (km_store_sweep(f->store, &cursor)) {
        km_store_check(f->store);
    }
}

static void add_key(struct km_slot_map *map, kama_bytes key)
{
    km_slot_map_add(map, km_slot_of(0, key));
}

/* Every kind of look says that a hidden entry is not there, and the sweep frees
 * it if no look has met it before. */
static void test_hidden_is_gone(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    struct km_slot_map *lost = test_calloc(1, sizeof *lost);
    kama_value *items[8];
    uint64_t cursor = 0;
    km_ns at;
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        char buf[16];
        kama_bytes key = number_key(buf, i);
        assert_int_equal(put(f, key, KAMA_STR("v")), KAMA_OK);
        add_key(lost, key);
    }
    assert_int_equal(put(f, KAMA_STR("stays"), KAMA_STR("v")), KAMA_OK);
    km_store_hide(f->store, 1, lost);
    km_store_check(f->store);
    kama_bytes k0 = KAMA_STR("key-0");
    kama_bytes k1 = KAMA_STR("key-1");
    char buf[8];
    size_t len;
    uint64_t h0 = km_store_hash(f->store, k0);
    uint64_t h1 = km_store_hash(f->store, k1);
    assert_int_equal(km_store_copy(f->store, h0, k0, buf, sizeof buf, &len),
                     KAMA_WOULD_LOAD);
    assert_int_equal(km_store_del(f->store, 1, h1, k1), KAMA_MISS);
    kama_bytes k2 = KAMA_STR("key-2");
    assert_int_equal(
        km_store_peek(f->store, 1, km_store_hash(f->store, k2), k2, &at),
        KAMA_MISS);
    assert_int_equal(km_store_scan(f->store, &cursor, items, 8), 1);
    kama_value_unref(items[0]);
    assert_true(has(f, KAMA_STR("stays")));
    assert_int_equal(stats(f).expirations, 0);
    sweep(f);
    assert_int_equal(stats(f).entries, 1);
    fixture_free(f, 0);
    test_free(lost);
}

/* A change that was decided by an old adoption is refused and changes nothing. */
static void test_old_adoption_is_refused(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    kama_bytes k = KAMA_STR("k");
    uint64_t hash = km_store_hash(f->store, k);
    struct km_fill fill = {0};
    kama_value *found;
    km_ns at;
    (void)state;
    assert_int_equal(put(f, k, KAMA_STR("v")), KAMA_OK);
    km_store_hide(f->store, 3, NULL);
    assert_int_equal(put(f, k, KAMA_STR("w")), KAMA_ERR_TRY_AGAIN);
    assert_int_equal(km_store_del(f->store, 0, hash, k), KAMA_ERR_TRY_AGAIN);
    assert_int_equal(km_store_touch(f->store, 2, hash, k, 5),
                     KAMA_ERR_TRY_AGAIN);
    assert_int_equal(km_store_peek(f->store, 2, hash, k, &at),
                     KAMA_ERR_TRY_AGAIN);
    assert_int_equal(km_store_peek(f->store, 4, hash, k, &at), KAMA_OK);
    assert_int_equal(km_store_fill_begin(f->store, &fill, hash, k, &found),
                     KAMA_ERR_TRY_AGAIN);
    assert_true(has(f, k));
    assert_int_equal(km_store_touch(f->store, 3, hash, k, 0), KAMA_OK);
    assert_int_equal(km_store_del(f->store, 3, hash, k), KAMA_OK);
    fixture_free(f, 0);
}

/* Fills of lost slots are overtaken, and so are those that only serve. A fill of
 * another slot is kept, although it was begun by an older adoption. */
static void test_fills_of_an_adoption(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    struct km_slot_map *lost = test_calloc(1, sizeof *lost);
    static const char *const keys[] = {"lost", "kept", "served"};
    struct km_fill fills[3] = {{0}};
    kama_value *found;
    (void)state;
    add_key(lost, KAMA_STR("lost"));
    fills[2].purpose = KM_FILL_TO_SERVE;
    for (unsigned i = 0; i < 3; i++) {
        kama_bytes k = kama_bytes_str(keys[i]);
        assert_int_equal(km_store_fill_begin(f->store, &fills[i],
                                             km_store_hash(f->store, k), k,
                                             &found),
                         KAMA_WOULD_LOAD);
    }
    km_store_hide(f->store, 1, lost);
    km_store_check(f->store);
    assert_true(km_fill_overtaken(&fills[0]));
    assert_false(km_fill_overtaken(&fills[1]));
    assert_true(km_fill_overtaken(&fills[2]));
    struct km_item_spec spec = {.key = KAMA_STR("kept"),
                                .value = KAMA_STR("v")};
    kama_value *item = km_store_item_new(f->store, &spec);
    assert_true(km_store_fill_commit(f->store, &fills[1], item));
    kama_value_unref(item);
    km_store_fill_cancel(f->store, &fills[0]);
    km_store_fill_cancel(f->store, &fills[2]);
    sweep(f);
    assert_true(has(f, KAMA_STR("kept")));
    fixture_free(f, 0);
    test_free(lost);
}

/* A mutation at another node overtakes the fills of the key, and leaves the entry
 * and other keys alone. */
static void test_overtake_alone(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_lru);
    kama_bytes k = KAMA_STR("k");
    uint64_t hash = km_store_hash(f->store, k);
    struct km_fill fill = {.purpose = KM_FILL_TO_SERVE};
    kama_value *found;
    (void)state;
    assert_int_equal(km_store_fill_begin(f->store, &fill, hash, k, &found),
                     KAMA_WOULD_LOAD);
    km_store_overtake(f->store, km_store_hash(f->store, KAMA_STR("other")),
                      KAMA_STR("other"));
    assert_false(km_fill_overtaken(&fill));
    km_store_overtake(f->store, hash, k);
    assert_true(km_fill_overtaken(&fill));
    km_store_fill_cancel(f->store, &fill);
    fixture_free(f, 0);
}

/* -- against a naive model ------------------------------------------------- */

#define KEYS 400u
#define STEPS 60000u

/* The naive store: an array, in which a hide forgets at once. */
struct model {
    struct fixture *f;
    struct km_slot_map *lost;
    uint64_t adoption;
    uint64_t cursor;
    bool sweeping;
    bool there[KEYS];
    uint32_t random;
};

static uint32_t next(struct model *m)
{
    m->random = m->random * 1664525u + 1013904223u;
    return m->random >> 8;
}

/* Hides a quarter of the keys' slots. The bits of a sweep that has not ended
 * stay. */
static void model_adopt(struct model *m)
{
    char buf[16];
    if (!m->sweeping) {
        memset(m->lost, 0, sizeof *m->lost);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        if (next(m) % 4 == 0) {
            add_key(m->lost, number_key(buf, i));
        }
    }
    km_store_hide(m->f->store, ++m->adoption, m->lost);
    for (unsigned i = 0; i < KEYS; i++) {
        if (km_slot_map_has(m->lost, km_slot_of(0, number_key(buf, i)))) {
            m->there[i] = false;
        }
    }
    m->cursor = 0;
    m->sweeping = true;
}

/* Puts a key, as its owner does: not while its slot is hidden. */
static void model_put(struct model *m, unsigned i)
{
    char buf[16];
    kama_bytes key = number_key(buf, i);
    if (m->sweeping && km_slot_map_has(m->lost, km_slot_of(0, key))) {
        assert_int_equal(put_at(m->f, m->adoption - 1, key, KAMA_STR("old")),
                         KAMA_ERR_TRY_AGAIN);
        return;
    }
    assert_int_equal(put_at(m->f, m->adoption, key, KAMA_STR("v")), KAMA_OK);
    m->there[i] = true;
}

static void model_del(struct model *m, unsigned i)
{
    char buf[16];
    kama_bytes key = number_key(buf, i);
    kama_status st = km_store_del(m->f->store, m->adoption,
                                  km_store_hash(m->f->store, key), key);
    assert_int_equal(st, m->there[i] ? KAMA_OK : KAMA_MISS);
    m->there[i] = false;
}

static void model_step(struct model *m)
{
    char buf[16];
    unsigned i = next(m) % KEYS;
    unsigned what = next(m) % 400;
    if (what == 0) {
        model_adopt(m);
    } else if (what < 20 && m->sweeping) {
        m->sweeping = km_store_sweep(m->f->store, &m->cursor);
    } else if (what < 200) {
        model_put(m, i);
    } else if (what < 250) {
        model_del(m, i);
    } else {
        assert_int_equal(has(m->f, number_key(buf, i)), m->there[i]);
    }
}

static void test_model(void **state)
{
    struct model *m = test_calloc(1, sizeof *m);
    (void)state;
    m->f = fixture_new(4 * MIB, &km_policy_s3fifo);
    m->lost = test_calloc(1, sizeof *m->lost);
    m->random = 7;
    for (unsigned step = 0; step < STEPS; step++) {
        model_step(m);
        if (step % 500 == 0) {
            km_store_check(m->f->store);
        }
    }
    assert_true(m->adoption > 20);
    fixture_free(m->f, 0);
    test_free(m->lost);
    test_free(m);
}

/* -- threads ----------------------------------------------------------------- */

/* Each value is the adoption by which it was put. Once a hide of a key's slot has
 * returned, no reader may find a value that is older than it. */
struct race {
    struct fixture *f;
    _Atomic uint64_t adoption; /* what writers act on */
    _Atomic uint64_t lost_at;  /* the last hide, which has returned */
    _Atomic bool may_put;      /* no sweep is to be done */
    atomic_bool stop;
};

static void *race_write(void *arg)
{
    struct race *r = arg;
    char buf[16];
    for (unsigned i = 0; !atomic_load(&r->stop); i++) {
        if (!atomic_load(&r->may_put)) {
            continue;
        }
        uint64_t adoption = atomic_load(&r->adoption);
        kama_bytes value = kama_bytes_make(&adoption, sizeof adoption);
        kama_status st =
            put_at(r->f, adoption, number_key(buf, i % KEYS), value);
        assert_true(st == KAMA_OK || st == KAMA_ERR_TRY_AGAIN);
    }
    return NULL;
}

static void *race_read(void *arg)
{
    struct race *r = arg;
    char buf[16];
    for (unsigned i = 0; !atomic_load(&r->stop); i++) {
        uint64_t at = 0;
        size_t len;
        kama_bytes key = number_key(buf, i % KEYS);
        uint64_t lost_at = atomic_load(&r->lost_at);
        kama_status st =
            km_store_copy(r->f->store, km_store_hash(r->f->store, key), key,
                          &at, sizeof at, &len);
        assert_true(st == KAMA_WOULD_LOAD || at >= lost_at);
    }
    return NULL;
}

/* Hides all slots and sweeps, again and again. Writers put only after the sweep,
 * as owners do; what they decided before the hide is refused. */
static void race_adopt(struct race *r, const struct km_slot_map *all)
{
    uint64_t adoption = atomic_load(&r->adoption) + 1;
    uint64_t cursor = 0;
    atomic_store(&r->may_put, false);
    atomic_store(&r->adoption, adoption);
    km_store_hide(r->f->store, adoption, all);
    atomic_store(&r->lost_at, adoption);
    while (km_store_sweep(r->f->store, &cursor)) {
    }
    atomic_store(&r->may_put, true);
}

static void test_threads(void **state)
{
    struct race race = {.f = fixture_new(4 * MIB, &km_policy_s3fifo)};
    struct km_slot_map *all = test_calloc(1, sizeof *all);
    pthread_t threads[4];
    (void)state;
    memset(all, 0xff, sizeof *all);
    atomic_store(&race.may_put, true);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL,
                                        i % 2 ? race_read : race_write, &race),
                         0);
    }
    for (unsigned i = 0; i < 200; i++) {
        race_adopt(&race, all);
        sched_yield();
    }
    atomic_store(&race.stop, true);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    fixture_free(race.f, 0);
    test_free(all);
}

/* A store that forgets slots, until a newer adoption gives them back. */
struct forgetter {
    struct fixture *f;
    unsigned left; /* so many steps are due */
};

static bool is_due(void *arg)
{
    struct forgetter *forgetter = arg;
    return forgetter->left-- > 0;
}

/* What is stored by a newer adoption stays, although the older one forgets its slot. */
static void test_slots_that_are_held_again(void **state)
{
    struct forgetter forgetter = {.left = 1};
    struct km_slot_map *slots = test_calloc(1, sizeof *slots);
    const struct km_forgetting forgetting = {
        .slots = slots, .is_due = is_due, .arg = &forgetter};
    uint64_t cursor = 0;
    unsigned before = 0;
    char buf[16];
    (void)state;
    forgetter.f = fixture_new(8 * MIB, &km_policy_s3fifo);
    for (unsigned i = 0; i < 20000; i++) {
        assert_int_equal(put(forgetter.f, number_key(buf, i), KAMA_STR("v")),
                         KAMA_OK);
        add_key(slots, number_key(buf, i));
    }
    assert_true(
        km_store_forget_slots(forgetter.f->store, &forgetting, &cursor));
    assert_true(cursor != 0);
    before = (unsigned)stats(forgetter.f).moved;
    assert_true(before > 0);
    forgetter.left = 0; /* adopted: this node holds the slots again */
    assert_false(
        km_store_forget_slots(forgetter.f->store, &forgetting, &cursor));
    assert_int_equal(stats(forgetter.f).moved, before);
    assert_int_equal(stats(forgetter.f).entries, 20000 - before);
    km_store_check(forgetter.f->store);
    fixture_free(forgetter.f, 0);
    test_free(slots);
}

/* The entries of some slots are taken out, and only they, without being hidden before. */
static void test_forget_slots(void **state)
{
    struct fixture *f = fixture_new(8 * MIB, &km_policy_s3fifo);
    struct km_slot_map *slots = test_calloc(1, sizeof *slots);
    const struct km_forgetting forgetting = {.slots = slots};
    uint64_t cursor = 0;
    char buf[16];
    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        kama_bytes key = number_key(buf, i);
        assert_int_equal(put(f, key, KAMA_STR("v")), KAMA_OK);
        if (i % 2 == 1) {
            add_key(slots, key);
        }
    }
    assert_true(has(f, number_key(buf, 1)));
    while (km_store_forget_slots(f->store, &forgetting, &cursor)) {
        km_store_check(f->store);
        assert_true(has(f, number_key(buf, 2)));
    }
    for (unsigned i = 0; i < 2000; i++) {
        kama_bytes key = number_key(buf, i);
        bool is_chosen = km_slot_map_has(slots, km_slot_of(0, key));
        assert_int_equal(has(f, key), !is_chosen);
    }
    assert_in_range(stats(f).moved, 1000, 1100);
    assert_int_equal(put(f, number_key(buf, 1), KAMA_STR("v")), KAMA_OK);
    assert_true(has(f, number_key(buf, 1)));
    fixture_free(f, 0);
    test_free(slots);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hidden_is_gone),
        cmocka_unit_test(test_old_adoption_is_refused),
        cmocka_unit_test(test_fills_of_an_adoption),
        cmocka_unit_test(test_overtake_alone),
        cmocka_unit_test(test_forget_slots),
        cmocka_unit_test(test_slots_that_are_held_again),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
