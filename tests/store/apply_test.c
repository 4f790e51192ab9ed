/* SPDX-License-Identifier: MIT */
/* Mutations with versions: which of two wins, what is forgotten first, what a mutation that
 * begins here asks and when, and that nothing fails after it has a version. */
#include "store/apply.h"

#include "helpers/failmalloc.h"
#include "store/store_epoch.h"
#include "store/store_fixture.h"
#include "store/store_hide.h"
#include "store/store_hit.h"
#include "store/store_internal.h"
#include "store/store_touch.h"

#define MIB (1u << 20)

static const struct km_version none = {0, 0};

static uint64_t hash_of(struct fixture *f, kama_bytes key)
{
    return km_store_hash(f->store, key);
}

/* -- mutations of another node ---------------------------------------------- */

static kama_status foreign(struct fixture *f, struct km_operation op,
                           const char *key, struct km_version v)
{
    const struct km_stamp stamp = {.version = v};
    op.key = kama_bytes_str(key);
    op.hash = hash_of(f, op.key);
    return km_store_apply(f->store, &op, &stamp);
}

static kama_status set(struct fixture *f, const char *key, const char *value,
                       struct km_version v)
{
    const struct km_item_spec spec = {.key = kama_bytes_str(key),
                                      .value = kama_bytes_str(value)};
    struct km_operation op = {.kind = KM_APPLY_SET,
                              .item = km_store_item_new(f->store, &spec)};
    assert_non_null(op.item);
    return foreign(f, op, key, v);
}

static kama_status remove_at(struct fixture *f, const char *key,
                             struct km_version v)
{
    return foreign(f, (struct km_operation){.kind = KM_APPLY_DELETE}, key, v);
}

static kama_status drop(struct fixture *f, const char *key, struct km_version v)
{
    return foreign(f, (struct km_operation){.kind = KM_APPLY_DROP}, key, v);
}

static kama_status expire(struct fixture *f, const char *key,
                          struct km_version base, struct km_version v)
{
    return foreign(
        f,
        (struct km_operation){.kind = KM_APPLY_EXPIRE,
                              .base = base,
                              .expires_at = f->clock.now + KM_NS_PER_S},
        key, v);
}

/* -- looks ----------------------------------------------------------------- */

/* Asserts which value and which version a key has; want: NULL for none. */
static void assert_entry(struct fixture *f, const char *key, const char *want,
                         struct km_version v)
{
    kama_value *value;
    kama_status st = get(f, kama_bytes_str(key), &value);
    assert_int_equal(st, want == NULL ? KAMA_WOULD_LOAD : KAMA_OK);
    if (want != NULL) {
        kama_bytes bytes = kama_value_bytes(value);
        assert_int_equal(bytes.len, strlen(want));
        assert_memory_equal(bytes.data, want, bytes.len);
        assert_int_equal(km_version_compare(km_item_stamp(value), v), 0);
        kama_value_unref(value);
    }
    km_store_check(f->store);
}

static uint64_t floor_of(struct fixture *f, const char *key)
{
    return km_store_floor(f->store, hash_of(f, kama_bytes_str(key)));
}

static struct fixture *synced(void)
{
    return fixture_synced(MIB, &km_policy_s3fifo);
}

static struct km_version at(uint64_t hlc)
{
    return (struct km_version){.hlc = hlc, .origin = 1};
}

/* -- R4 -------------------------------------------------------------------- */

/* Of two sets the larger version stays, in both orders; the values have other lengths,
 * so that they lie in the same place, or not. */
static void test_the_larger_version_wins(void **state)
{
    struct fixture *f = synced();
    (void)state;
    assert_int_equal(set(f, "a", "one", at(1)), KAMA_OK);
    assert_int_equal(set(f, "a", "two", at(2)), KAMA_OK);
    assert_entry(f, "a", "two", at(2));
    assert_int_equal(set(f, "b", "two", at(2)), KAMA_OK);
    assert_int_equal(set(f, "b", "one", at(1)), KAMA_MISS);
    assert_entry(f, "b", "two", at(2));
    assert_int_equal(set(f, "b", "a value that is much longer", at(3)),
                     KAMA_OK);
    assert_entry(f, "b", "a value that is much longer", at(3));
    assert_int_equal(set(f, "b", "short", at(2)), KAMA_MISS);
    assert_entry(f, "b", "a value that is much longer", at(3));
    assert_int_equal(floor_of(f, "a"), 0);
    assert_int_equal(stats(f).replaced, 2);
    fixture_free(f, 0);
}

/* Between equal clocks the origin decides; a floor has no origin. */
static void test_equal_clocks(void **state)
{
    struct fixture *f = synced();
    const struct km_version small = {5, 1};
    const struct km_version large = {5, 2};
    (void)state;
    assert_int_equal(set(f, "a", "small", small), KAMA_OK);
    assert_int_equal(set(f, "a", "large", large), KAMA_OK);
    assert_int_equal(set(f, "a", "small", small), KAMA_MISS);
    assert_int_equal(remove_at(f, "a", small), KAMA_MISS);
    assert_entry(f, "a", "large", large);
    assert_int_equal(remove_at(f, "b", small), KAMA_MISS);
    assert_int_equal(set(f, "b", "large", large), KAMA_MISS);
    assert_entry(f, "b", NULL, none);
    fixture_free(f, 0);
}

/* What is applied twice, or as a drop the second time, changes nothing. */
static void test_repeated_mutations(void **state)
{
    struct fixture *f = synced();
    (void)state;
    assert_int_equal(set(f, "a", "one", at(1)), KAMA_OK);
    assert_int_equal(set(f, "a", "other", at(1)), KAMA_MISS);
    assert_entry(f, "a", "one", at(1));
    assert_int_equal(drop(f, "a", at(1)), KAMA_MISS);
    assert_entry(f, "a", "one", at(1));
    assert_int_equal(remove_at(f, "a", at(2)), KAMA_OK);
    assert_int_equal(remove_at(f, "a", at(2)), KAMA_MISS);
    assert_int_equal(set(f, "a", "one", at(1)), KAMA_MISS);
    assert_entry(f, "a", NULL, none);
    fixture_free(f, 0);
}

/* A delete bars older sets, also of a key that was never there, and not newer ones. */
static void test_deletes_raise_the_floor(void **state)
{
    struct fixture *f = synced();
    (void)state;
    assert_int_equal(remove_at(f, "a", at(7)), KAMA_MISS);
    assert_int_equal(floor_of(f, "a"), 7);
    assert_int_equal(set(f, "a", "six", at(6)), KAMA_MISS);
    assert_int_equal(set(f, "a", "seven", at(7)), KAMA_MISS);
    assert_entry(f, "a", NULL, none);
    assert_int_equal(set(f, "a", "eight", at(8)), KAMA_OK);
    assert_int_equal(drop(f, "a", at(7)), KAMA_MISS);
    assert_entry(f, "a", "eight", at(8));
    assert_int_equal(drop(f, "a", at(9)), KAMA_OK);
    assert_int_equal(floor_of(f, "a"), 9);
    fixture_free(f, 0);
}

/* A filled entry yields to every mutation, also to a set that is barred. */
static void test_filled_entries_yield(void **state)
{
    struct fixture *f = synced();
    (void)state;
    assert_int_equal(put(f, KAMA_STR("a"), KAMA_STR("filled")), KAMA_OK);
    assert_int_equal(set(f, "a", "set", at(1)), KAMA_OK);
    assert_entry(f, "a", "set", at(1));
    assert_int_equal(remove_at(f, "b", at(5)), KAMA_MISS);
    assert_int_equal(put(f, KAMA_STR("b"), KAMA_STR("filled")), KAMA_OK);
    assert_int_equal(set(f, "b", "barred", at(4)), KAMA_OK);
    assert_entry(f, "b", NULL, none);
    assert_int_equal(put(f, KAMA_STR("b"), KAMA_STR("filled")), KAMA_OK);
    assert_int_equal(drop(f, "b", at(3)), KAMA_OK);
    assert_entry(f, "b", NULL, none);
    fixture_free(f, 0);
}

/* An explicit entry takes a newer set although the floor of its slot has risen for
 * another key: were it refused, the older value would stay. */
static void test_set_over_an_explicit_entry_ignores_the_floor(void **state)
{
    struct fixture *f = fixture_synced(64u << 10, &km_policy_s3fifo);
    char other[32];
    unsigned k = 0;
    (void)state;
    assert_int_equal(set(f, "a", "one", at(1)), KAMA_OK);
    do {
        (void)snprintf(other, sizeof other, "other-%u", k++);
    } while (hash_of(f, kama_bytes_str(other)) >> 54 !=
             hash_of(f, KAMA_STR("a")) >> 54);
    assert_int_equal(remove_at(f, other, at(9)), KAMA_MISS);
    assert_int_equal(floor_of(f, "a"), 9);
    assert_entry(f, "a", "one", at(1));
    assert_int_equal(set(f, "a", "two", at(2)), KAMA_OK);
    assert_entry(f, "a", "two", at(2));
    fixture_free(f, 0);
}

static void test_expire(void **state)
{
    struct fixture *f = synced();
    struct km_store_look look;
    (void)state;
    assert_int_equal(set(f, "a", "one", at(1)), KAMA_OK);
    assert_int_equal(expire(f, "a", at(1), at(2)), KAMA_OK);
    assert_entry(f, "a", "one", at(2));
    km_store_look(f->store, hash_of(f, KAMA_STR("a")), KAMA_STR("a"), &look);
    assert_int_equal(look.expires_at, f->clock.now + KM_NS_PER_S);
    assert_int_equal(km_version_compare(look.stamp, at(2)), 0);
    assert_int_equal(floor_of(f, "a"), 0);
    assert_int_equal(expire(f, "a", at(1), at(2)), KAMA_MISS);
    assert_entry(f, "a", "one", at(2));
    fixture_free(f, 0);
}

/* An entry of another version than the base, a filled one and none are dropped. */
static void test_expire_of_another_version_is_a_drop(void **state)
{
    struct fixture *f = synced();
    (void)state;
    assert_int_equal(set(f, "a", "one", at(1)), KAMA_OK);
    assert_int_equal(expire(f, "a", at(2), at(3)), KAMA_OK);
    assert_entry(f, "a", NULL, none);
    assert_int_equal(floor_of(f, "a"), 3);
    assert_int_equal(put(f, KAMA_STR("b"), KAMA_STR("filled")), KAMA_OK);
    assert_int_equal(expire(f, "b", none, at(4)), KAMA_OK);
    assert_entry(f, "b", NULL, none);
    assert_int_equal(expire(f, "c", at(1), at(5)), KAMA_MISS);
    assert_int_equal(floor_of(f, "c"), 5);
    assert_int_equal(set(f, "d", "newer", at(9)), KAMA_OK);
    assert_int_equal(expire(f, "d", at(1), at(5)), KAMA_MISS);
    assert_entry(f, "d", "newer", at(9));
    fixture_free(f, 0);
}

/* The sets and deletes of a key leave the same behind in every order. */
static void test_every_order_ends_alike(void **state)
{
    static const char orders[24][4] = {
        {0, 1, 2, 3}, {0, 1, 3, 2}, {0, 2, 1, 3}, {0, 2, 3, 1}, {0, 3, 1, 2},
        {0, 3, 2, 1}, {1, 0, 2, 3}, {1, 0, 3, 2}, {1, 2, 0, 3}, {1, 2, 3, 0},
        {1, 3, 0, 2}, {1, 3, 2, 0}, {2, 0, 1, 3}, {2, 0, 3, 1}, {2, 1, 0, 3},
        {2, 1, 3, 0}, {2, 3, 0, 1}, {2, 3, 1, 0}, {3, 0, 1, 2}, {3, 0, 2, 1},
        {3, 1, 0, 2}, {3, 1, 2, 0}, {3, 2, 0, 1}, {3, 2, 1, 0}};
    static const char *const values[] = {"v1", "the second one", "v3", "v4"};
    (void)state;
    for (unsigned deleted = 0; deleted < 16; deleted++) {
        for (unsigned i = 0; i < 24; i++) {
            struct fixture *f = synced();
            for (unsigned n = 0; n < 4; n++) {
                unsigned op = (unsigned)orders[i][n];
                (void)((deleted >> op & 1) != 0
                           ? remove_at(f, "k", at(op + 1))
                           : set(f, "k", values[op], at(op + 1)));
            }
            assert_entry(f, "k", (deleted & 8) != 0 ? NULL : values[3], at(4));
            fixture_free(f, 0);
        }
    }
}

/* The stream of mutations sends the value of a version: neither another one nor one
 * that is over. Taking it is no use and no hit. */
static void test_the_value_of_a_version(void **state)
{
    struct fixture *f = synced();
    kama_bytes a = KAMA_STR("a");
    uint64_t hash = hash_of(f, a);
    (void)state;
    assert_null(km_store_value_of(f->store, hash, a, at(1)));
    assert_int_equal(set(f, "a", "one", at(1)), KAMA_OK);
    kama_value *value = km_store_value_of(f->store, hash, a, at(1));
    assert_non_null(value);
    assert_memory_equal(kama_value_bytes(value).data, "one", 3);
    kama_value_unref(value);
    assert_null(km_store_value_of(f->store, hash, a, at(2)));
    assert_null(km_store_value_of(f->store, hash, a, none));
    assert_int_equal(stats(f).hits, 0);
    assert_int_equal(expire(f, "a", at(1), at(2)), KAMA_OK);
    assert_null(km_store_value_of(f->store, hash, a, at(1)));
    value = km_store_value_of(f->store, hash, a, at(2));
    assert_non_null(value);
    kama_value_unref(value);
    fake_clock_add_ms(&f->clock, 1000);
    assert_null(km_store_value_of(f->store, hash, a, at(2)));
    assert_int_equal(floor_of(f, "a"), 2);
    /* A filled value has no version, and none asks for it. */
    assert_int_equal(put(f, KAMA_STR("b"), KAMA_STR("filled")), KAMA_OK);
    kama_bytes b = KAMA_STR("b");
    assert_null(km_store_value_of(f->store, hash_of(f, b), b, none));
    fixture_free(f, 0);
}

/* -- what is forgotten first ------------------------------------------------ */

static void set_until(struct fixture *f, const char *key, km_ns expires_at,
                      struct km_version v)
{
    const struct km_item_spec spec = {.key = kama_bytes_str(key),
                                      .value = KAMA_STR("value"),
                                      .expires_at = expires_at};
    struct km_operation op = {.kind = KM_APPLY_SET,
                              .item = km_store_item_new(f->store, &spec)};
    assert_non_null(op.item);
    assert_int_equal(foreign(f, op, key, v), KAMA_OK);
}

/* An apply forgets an expired entry, which bars an older set from then on. */
static void test_apply_forgets_what_has_expired(void **state)
{
    struct fixture *f = synced();
    (void)state;
    set_until(f, "a", f->clock.now + 1, at(5));
    fake_clock_add_ms(&f->clock, 1);
    assert_int_equal(set(f, "a", "older", at(4)), KAMA_MISS);
    assert_int_equal(floor_of(f, "a"), 5);
    assert_entry(f, "a", NULL, none);
    assert_int_equal(stats(f).expirations, 1);
    fixture_free(f, 0);
}

/* A begin and a commit of a fill do the same. */
static void test_fills_forget_what_has_expired(void **state)
{
    struct fixture *f = synced();
    kama_value *found = NULL;
    const struct km_item_spec spec = {.key = KAMA_STR("a"),
                                      .value = KAMA_STR("loaded")};
    (void)state;
    set_until(f, "a", f->clock.now + 1, at(5));
    fake_clock_add_ms(&f->clock, 1);
    struct km_fill fill = {.adoption = 0};
    assert_int_equal(km_store_fill_begin(f->store, &fill, hash_of(f, spec.key),
                                         spec.key, &found),
                     KAMA_WOULD_LOAD);
    assert_int_equal(floor_of(f, "a"), 5);
    assert_int_equal(fill.floor, 5);
    kama_value *item = km_store_item_new(f->store, &spec);
    assert_true(km_store_fill_commit(f->store, &fill, item));
    kama_value_unref(item);
    assert_entry(f, "a", "loaded", none);
    fixture_free(f, 0);
}

/* A value of a slot that was lost is not kept, and bars an older one. */
static void test_hidden_slots(void **state)
{
    struct fixture *f = synced();
    struct km_slot_map *lost = test_calloc(1, sizeof *lost);
    (void)state;
    km_slot_map_add(lost, km_slot_of(0, KAMA_STR("a")));
    assert_int_equal(set(f, "a", "one", at(1)), KAMA_OK);
    km_store_hide(f->store, 1, lost);
    assert_int_equal(set(f, "a", "two", at(2)), KAMA_MISS);
    assert_int_equal(floor_of(f, "a"), 2);
    assert_entry(f, "a", NULL, none);
    fixture_free(f, 0);
    test_free(lost);
}

/* Without memory a set is a drop: the old value does not stay. */
static void test_set_without_memory_is_a_drop(void **state)
{
    struct fixture *f = fixture_synced(8 * MIB, &km_policy_s3fifo);
    char key[32];
    (void)state;
    for (unsigned k = 0; k < 2000; k++) { /* until a segment is full */
        (void)number_key(key, k);
        assert_int_equal(set(f, key, &"a short value"[k % 13], at(1)), KAMA_OK);
        const struct km_item_spec spec = {
            .key = kama_bytes_str(key),
            .value = KAMA_STR("a value that is much longer than that")};
        struct km_operation op = {.kind = KM_APPLY_SET,
                                  .item = km_store_item_new(f->store, &spec)};
        atomic_store(&f->probe.sticky, true);
        atomic_store(&f->probe.fail_at, atomic_load(&f->probe.allocs) + 1);
        assert_int_equal(foreign(f, op, key, at(2)), KAMA_OK);
        atomic_store(&f->probe.fail_at, 0);

        if (!has(f, kama_bytes_str(key))) {
            assert_int_equal(floor_of(f, key), 2);
            fixture_free(f, 0);
            return;
        }
    }
    fail_msg("no set was without memory");
}

/* -- fills ----------------------------------------------------------------- */

/* Every mutation overtakes the fills of its key, also one that changes nothing. */
static void test_mutations_overtake_fills(void **state)
{
    struct fixture *f = synced();
    kama_bytes key = KAMA_STR("a");
    kama_value *found = NULL;
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct km_fill fill = {.adoption = 0};
        assert_int_equal(
            km_store_fill_begin(f->store, &fill, hash_of(f, key), key, &found),
            KAMA_WOULD_LOAD);
        (void)set(f, "b", "other key", at(1000 + i));
        assert_false(km_fill_overtaken(&fill));
        switch (i) {
        case 0:
            (void)remove_at(f, "a", at(100));
            break;
        case 1:
            (void)set(f, "a", "barred", at(1));
            break;
        case 2:
            (void)drop(f, "a", at(1));
            break;
        default:
            (void)expire(f, "a", at(1), at(2));
            break;
        }
        assert_true(km_fill_overtaken(&fill));
        km_store_fill_cancel(f->store, &fill);
    }
    fixture_free(f, 0);
}

/* Commits a fill whose value has a version. The key has no entry at its begin. */
static bool commit(struct fixture *f, struct km_fill *fill,
                   struct km_version stamp)
{
    const struct km_item_spec spec = {
        .key = KAMA_STR("a"), .value = KAMA_STR("filled"), .stamp = stamp};
    kama_value *item = km_store_item_new(f->store, &spec);
    bool kept = km_store_fill_commit(f->store, fill, item);
    kama_value_unref(item);
    return kept;
}

static void begin(struct fixture *f, struct km_fill *fill)
{
    kama_value *found = NULL;
    kama_bytes key = KAMA_STR("a");
    *fill = (struct km_fill){.adoption = 0};
    assert_int_equal(
        km_store_fill_begin(f->store, fill, hash_of(f, key), key, &found),
        KAMA_WOULD_LOAD);
}

/* R8: an answer with a version is kept below the floor, too, which other keys may have
 * raised; it loses against an entry that is not older. */
static void test_fills_with_a_version(void **state)
{
    struct fixture *f = synced();
    struct km_fill first;
    struct km_fill second;
    struct km_fill third;
    (void)state;
    (void)remove_at(f, "a", at(9));
    begin(f, &first);
    begin(f, &second);
    begin(f, &third);
    assert_true(commit(f, &first, at(5)));
    assert_entry(f, "a", "filled", at(5));
    assert_false(commit(f, &second, at(4)));
    assert_entry(f, "a", "filled", at(5));
    assert_true(commit(f, &third, at(6)));
    assert_entry(f, "a", "filled", at(6));
    fixture_free(f, 0);
}

/* -- R1: mutations that begin here ------------------------------------------ */

/* A log that gives versions. */
struct log {
    struct fixture *f;
    uint64_t hlc;
    unsigned asked;
    struct km_asking last;
    uint64_t
        invalidate; /* this clock invalidates all while it is asked; 0: none */
};

static struct km_version next_version(void *arg, const struct km_asking *asking)
{
    struct log *log = arg;
    log->asked++;
    log->last = *asking;
    struct km_version v = at(++log->hlc);
    if (log->invalidate != 0) {
        km_store_invalidate(log->f->store, log->invalidate);
    }
    return v;
}

static kama_status own(struct log *log, struct km_operation op, const char *key)
{
    const struct km_stamp stamp = {.ask = next_version, .arg = log};
    op.key = kama_bytes_str(key);
    op.hash = hash_of(log->f, op.key);
    return km_store_apply(log->f->store, &op, &stamp);
}

static kama_status own_set_if(struct log *log, const char *key,
                              const char *value,
                              const struct km_put_condition *condition)
{
    const struct km_item_spec spec = {.key = kama_bytes_str(key),
                                      .value = kama_bytes_str(value)};
    struct km_operation op = {.kind = KM_APPLY_SET,
                              .item = km_store_item_new(log->f->store, &spec),
                              .condition = condition};
    if (op.item == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    return own(log, op, key);
}

static kama_status own_set(struct log *log, const char *key, const char *value)
{
    return own_set_if(log, key, value, NULL);
}

static kama_status own_delete(struct log *log, const char *key)
{
    return own(log, (struct km_operation){.kind = KM_APPLY_DELETE}, key);
}

static kama_status own_expire(struct log *log, const char *key)
{
    return own(
        log,
        (struct km_operation){.kind = KM_APPLY_EXPIRE,
                              .expires_at = log->f->clock.now + KM_NS_PER_S},
        key);
}

/* Each mutation that acts is asked for one version, and has it. */
static void test_versions_are_asked_for(void **state)
{
    struct fixture *f = synced();
    struct log log = {.f = f, .hlc = 10};
    (void)state;
    assert_int_equal(own_set(&log, "a", "one"), KAMA_OK);
    assert_int_equal(log.last.kind, KM_APPLY_SET);
    assert_int_equal(log.last.key.len, 1);
    assert_entry(f, "a", "one", at(11));
    assert_int_equal(own_expire(&log, "a"), KAMA_OK);
    assert_int_equal(log.last.kind, KM_APPLY_EXPIRE);
    assert_int_equal(km_version_compare(log.last.base, at(11)), 0);
    assert_entry(f, "a", "one", at(12));
    assert_int_equal(own_delete(&log, "a"), KAMA_OK);
    assert_int_equal(log.last.kind, KM_APPLY_DELETE);
    assert_entry(f, "a", NULL, none);
    assert_int_equal(floor_of(f, "a"), 13);
    assert_int_equal(own_delete(&log, "a"), KAMA_MISS);
    assert_int_equal(floor_of(f, "a"), 14);
    assert_int_equal(log.asked, 4);
    fixture_free(f, 0);
}

/* Another node may not have a filled value, so that a touch of it is a set; a touch of
 * nothing is no mutation. */
static void test_touch_of_a_filled_value_is_a_set(void **state)
{
    struct fixture *f = synced();
    struct log log = {.f = f};
    (void)state;
    assert_int_equal(own_expire(&log, "a"), KAMA_MISS);
    assert_int_equal(log.asked, 0);
    assert_int_equal(put(f, KAMA_STR("a"), KAMA_STR("filled")), KAMA_OK);
    assert_int_equal(own_expire(&log, "a"), KAMA_OK);
    assert_int_equal(log.last.kind, KM_APPLY_SET);
    assert_entry(f, "a", "filled", at(1));
    fixture_free(f, 0);
}

/* A condition that is not fulfilled asks for no version and changes nothing. The etag of
 * an explicit value is a hash of its version, from every kind of get. */
static void test_conditions(void **state)
{
    struct fixture *f = synced();
    struct log log = {.f = f};
    const struct km_put_condition absent = {.kind = KM_PUT_IF_ABSENT};
    const struct km_put_condition present = {.kind = KM_PUT_IF_PRESENT};
    struct km_put_condition match = {.kind = KM_PUT_IF_MATCH};
    (void)state;
    assert_int_equal(own_set_if(&log, "a", "no", &present), KAMA_MISS);
    assert_int_equal(own_set_if(&log, "a", "no", &match), KAMA_MISS);
    assert_int_equal(log.asked, 0);
    assert_int_equal(own_set_if(&log, "a", "one", &absent), KAMA_OK);
    assert_int_equal(own_set_if(&log, "a", "no", &absent), KAMA_ERR_EXISTS);
    assert_int_equal(own_set_if(&log, "a", "two", &present), KAMA_OK);
    match.etag = km_etag_of_stamp(at(1));
    assert_int_equal(own_set_if(&log, "a", "no", &match), KAMA_ERR_EXISTS);
    match.etag = km_etag_of_stamp(at(2));
    kama_value *value = NULL;
    assert_int_equal(get(f, KAMA_STR("a"), &value), KAMA_OK);
    assert_int_equal(kama_value_etag(value), match.etag);
    kama_value_unref(value);
    assert_int_equal(own_set_if(&log, "a", "three", &match), KAMA_OK);
    assert_entry(f, "a", "three", at(3));
    assert_int_equal(log.asked, 3);
    fixture_free(f, 0);
}

/* A mutation that was decided by an old adoption, or belongs to a slot that was lost, is
 * given no version. */
static void test_adoptions(void **state)
{
    struct fixture *f = synced();
    struct log log = {.f = f};
    struct km_slot_map *lost = test_calloc(1, sizeof *lost);
    (void)state;
    km_slot_map_add(lost, km_slot_of(0, KAMA_STR("lost")));
    km_store_hide(f->store, 1, lost);
    assert_int_equal(own_set(&log, "a", "old"), KAMA_ERR_TRY_AGAIN);
    assert_int_equal(own_delete(&log, "a"), KAMA_ERR_TRY_AGAIN);
    struct km_operation op = {.kind = KM_APPLY_DELETE, .adoption = 1};
    assert_int_equal(own(&log, op, "lost"), KAMA_ERR_TRY_AGAIN);
    assert_int_equal(log.asked, 0);
    assert_int_equal(own(&log, op, "a"), KAMA_MISS);
    assert_int_equal(log.asked, 1);
    fixture_free(f, 0);
    test_free(lost);
}

/* -- invalidations between the version and the act --------------------------- */

/* A set with a version above the floor is kept in the new epoch, and one below it is
 * not; both are done. */
static void test_invalidated_while_asked(void **state)
{
    struct fixture *f = synced();
    struct log log = {.f = f, .hlc = 10};
    (void)state;
    assert_int_equal(own_set(&log, "other", "of before"), KAMA_OK);
    log.invalidate = 5;
    assert_int_equal(own_set(&log, "a", "above"), KAMA_OK);
    assert_entry(f, "a", "above", at(12));
    assert_entry(f, "other", NULL, none);
    assert_int_equal(own_set(&log, "a", "over an entry that is gone"), KAMA_OK);
    assert_entry(f, "a", "over an entry that is gone", at(13));
    log.invalidate = 100;
    assert_int_equal(own_set(&log, "a", "below"), KAMA_OK);
    assert_entry(f, "a", NULL, none);
    assert_int_equal(floor_of(f, "a"), 100);
    fixture_free(f, 0);
}

/* A touch does not bring back a value that is invalid. */
static void test_touch_invalidated_while_asked(void **state)
{
    struct fixture *f = synced();
    struct log log = {.f = f, .hlc = 10};
    (void)state;
    assert_int_equal(put(f, KAMA_STR("filled"), KAMA_STR("v")), KAMA_OK);
    assert_int_equal(own_set(&log, "set", "v"), KAMA_OK);
    log.invalidate = 5;
    assert_int_equal(own_expire(&log, "filled"), KAMA_OK);
    assert_entry(f, "filled", NULL, none);
    assert_true(floor_of(f, "filled") >= 12);
    log.invalidate = 0;
    assert_int_equal(own_set(&log, "set", "v"), KAMA_OK);
    log.invalidate = 5;
    assert_int_equal(own_expire(&log, "set"), KAMA_OK);
    assert_entry(f, "set", NULL, none);
    assert_int_equal(own_delete(&log, "set"), KAMA_MISS);
    fixture_free(f, 0);
}

/* -- hits without the lock --------------------------------------------------- */

static void test_hits_without_the_lock(void **state)
{
    struct km_store *store;
    const struct km_store_options options = {.mem = km_mem_default(),
                                             .clock = km_clock_system(),
                                             .policy = &km_policy_s3fifo,
                                             .max_bytes = 8 * MIB,
                                             .keeps_floors = true};
    const struct km_item_spec spec = {.key = KAMA_STR("k"),
                                      .value = KAMA_STR("value")};
    char out[8];
    size_t len = 0;
    (void)state;
    assert_int_equal(km_store_new(&options, &store), KAMA_OK);
    const struct km_operation op = {.kind = KM_APPLY_SET,
                                    .hash = km_store_hash(store, spec.key),
                                    .key = spec.key,
                                    .item = km_store_item_new(store, &spec)};
    const struct km_stamp stamp = {.version = {77, 88}};
    struct km_shard *shard = km_store_shard(store, op.hash);
    struct km_gone gone;
    assert_int_equal(km_store_apply(store, &op, &stamp), KAMA_OK);
    km_shard_lock(shard, &gone); /* a hit that needs the lock would wait */
    assert_int_equal(
        km_store_copy(store, op.hash, spec.key, out, sizeof out, &len),
        KAMA_OK);
    assert_int_equal(len, 5);
    assert_memory_equal(out, "value", 5);
    kama_value *value = km_store_hit_item(store, op.hash, spec.key);
    km_shard_unlock(shard, &gone);
    assert_non_null(value);
    assert_memory_equal(kama_value_bytes(value).data, "value", 5);
    assert_int_equal(km_version_compare(km_item_stamp(value), stamp.version),
                     0);
    assert_int_equal(kama_value_etag(value), km_etag_of_stamp(stamp.version));
    kama_value_unref(value);
    km_store_free(store);
}

/* -- without memory ---------------------------------------------------------- */

/* Makes mutations of many keys in a new store. Each of them is asked for a version if and
 * only if it returns no error, and then it has acted. */
static kama_status mutate_many(const kama_allocator *mem, void *arg)
{
    struct fixture f = {.store = NULL};
    struct log log = {.f = &f};
    char key[32];
    kama_status st;
    (void)arg;
    fake_clock_init(&f.clock);
    const struct km_store_options options = {.mem = mem,
                                             .clock = &f.clock.clock,
                                             .policy = &km_policy_s3fifo,
                                             .max_bytes = MIB,
                                             .keeps_floors = true};
    st = km_store_new(&options, &f.store);
    for (unsigned k = 0; st == KAMA_OK && k < 300; k++) {
        unsigned asked = log.asked;
        (void)number_key(key, k % 200);
        st = k % 7 == 6
                 ? own_expire(&log, key)
                 : own_set(&log, key, k % 3 == 0 ? "short" : "longer one");
        assert_int_equal(log.asked, asked + (st == KAMA_OK));
        if (st == KAMA_OK) {
            struct km_store_look look;
            km_store_look(f.store, hash_of(&f, kama_bytes_str(key)),
                          kama_bytes_str(key), &look);
            assert_int_equal(km_version_compare(look.stamp, at(log.hlc)), 0);
        }
        st = st == KAMA_MISS ? KAMA_OK : st;
    }
    if (f.store != NULL) {
        km_store_check(f.store);
    }
    km_store_free(f.store);
    return st;
}

static void test_each_allocation_fails(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(mutate_many, NULL) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_value_of_a_version),
        cmocka_unit_test(test_the_larger_version_wins),
        cmocka_unit_test(test_equal_clocks),
        cmocka_unit_test(test_repeated_mutations),
        cmocka_unit_test(test_deletes_raise_the_floor),
        cmocka_unit_test(test_filled_entries_yield),
        cmocka_unit_test(test_set_over_an_explicit_entry_ignores_the_floor),
        cmocka_unit_test(test_expire),
        cmocka_unit_test(test_expire_of_another_version_is_a_drop),
        cmocka_unit_test(test_every_order_ends_alike),
        cmocka_unit_test(test_apply_forgets_what_has_expired),
        cmocka_unit_test(test_fills_forget_what_has_expired),
        cmocka_unit_test(test_hidden_slots),
        cmocka_unit_test(test_set_without_memory_is_a_drop),
        cmocka_unit_test(test_mutations_overtake_fills),
        cmocka_unit_test(test_fills_with_a_version),
        cmocka_unit_test(test_versions_are_asked_for),
        cmocka_unit_test(test_touch_of_a_filled_value_is_a_set),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_adoptions),
        cmocka_unit_test(test_invalidated_while_asked),
        cmocka_unit_test(test_touch_invalidated_while_asked),
        cmocka_unit_test(test_hits_without_the_lock),
        cmocka_unit_test(test_each_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
