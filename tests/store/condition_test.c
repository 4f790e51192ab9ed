/* SPDX-License-Identifier: MIT */
/*
 * Conditional puts: which entries fulfil which condition, a put that is refused
 * changes nothing, and of many threads exactly one wins.
 */
#include "store/store_fixture.h"
#include "store/store_hide.h"
#include "store/store_touch.h"

#include <pthread.h>

#define MIB (1u << 20)
#define K KAMA_STR("k")

static const struct km_put_condition absent = {.kind = KM_PUT_IF_ABSENT};
static const struct km_put_condition present = {.kind = KM_PUT_IF_PRESENT};

static kama_status put_spec(struct fixture *f, const struct km_item_spec *spec,
                            const struct km_put_condition *condition)
{
    kama_value *item = km_store_item_new(f->store, spec);
    assert_non_null(item);
    return km_store_put_if(f->store, 0, km_store_hash(f->store, spec->key),
                           item, condition);
}

static kama_status put_if(struct fixture *f, const char *value,
                          const struct km_put_condition *condition)
{
    struct km_item_spec spec = {.key = K, .value = KAMA_STR(value)};
    kama_status st = put_spec(f, &spec, condition);
    km_store_check(f->store);
    return st;
}

static kama_status put_match(struct fixture *f, const char *value,
                             uint64_t etag)
{
    struct km_put_condition match = {.kind = KM_PUT_IF_MATCH, .etag = etag};
    return put_if(f, value, &match);
}

/* Returns the etag of the key's value, or 0 if it has none. */
static uint64_t etag_of(struct fixture *f)
{
    kama_value *value;
    uint64_t etag = 0;
    if (get(f, K, &value) == KAMA_OK) {
        etag = kama_value_etag(value);
        kama_value_unref(value);
    }
    return etag;
}

static void expect_stored(struct fixture *f, const char *text)
{
    char buf[64];
    size_t len = 0;
    assert_int_equal(km_store_copy(f->store, km_store_hash(f->store, K), K, buf,
                                   sizeof buf, &len),
                     KAMA_OK);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(buf, text, len);
}

/* A key without a value fulfils ABSENT alone, and one with a value the others. */
static void test_conditions(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    (void)state;
    assert_int_equal(put_if(f, "v0", &present), KAMA_MISS);
    assert_int_equal(put_match(f, "v0", 1), KAMA_MISS);
    assert_false(has(f, K));
    assert_int_equal(put_if(f, "v1", &absent), KAMA_OK);
    expect_stored(f, "v1");
    assert_int_equal(put_if(f, "v2", &absent), KAMA_ERR_EXISTS);
    expect_stored(f, "v1");
    assert_int_equal(put_if(f, "v3", &present), KAMA_OK);
    expect_stored(f, "v3");
    uint64_t etag = etag_of(f);
    assert_int_equal(put_match(f, "v4", etag + 1), KAMA_ERR_EXISTS);
    expect_stored(f, "v3");
    assert_int_equal(put_match(f, "v4", etag), KAMA_OK);
    assert_int_equal(put_match(f, "v5", etag), KAMA_ERR_EXISTS);
    expect_stored(f, "v4");
    fixture_free(f, 0);
}

/* Asserts that the key counts as absent. It has no value then either. */
static void expect_absent(struct fixture *f, uint64_t etag)
{
    assert_int_equal(put_if(f, "n", &present), KAMA_MISS);
    assert_int_equal(put_match(f, "n", etag), KAMA_MISS);
    assert_int_equal(put_if(f, "new", &absent), KAMA_OK);
    expect_stored(f, "new");
}

/* An entry that has expired is absent, also if nobody has noticed it yet. */
static void test_expired_is_absent(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    (void)state;
    km_ns at = atomic_load(&f->clock.now) + KM_NS_PER_MS;
    assert_int_equal(put_expiring(f, K, KAMA_STR("old"), at), KAMA_OK);
    uint64_t etag = etag_of(f);
    assert_int_equal(put_if(f, "n", &absent), KAMA_ERR_EXISTS);
    fake_clock_add_ms(&f->clock, 1);
    expect_absent(f, etag);
    fixture_free(f, 0);
}

/* An entry that says that the key does not exist is absent. */
static void test_negative_is_absent(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    const struct km_put_condition always = {.kind = KM_PUT_ALWAYS};
    struct km_item_spec spec = {.key = K, .negative = true};
    (void)state;
    assert_int_equal(put_spec(f, &spec, &always), KAMA_OK);
    kama_value *item = km_store_item_new(f->store, &spec);
    uint64_t etag = kama_value_etag(item);
    kama_value_unref(item);
    expect_absent(f, etag);
    assert_int_equal(stats(f).negative_entries, 0);
    fixture_free(f, 0);
}

/* A hidden entry is absent; and a put that an older adoption has permitted is
 * refused before its condition is looked at. */
static void test_hidden_is_absent(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    struct km_slot_map *lost = test_calloc(1, sizeof *lost);
    struct km_item_spec spec = {.key = K, .value = KAMA_STR("new")};
    uint64_t hash = km_store_hash(f->store, K);
    (void)state;
    assert_int_equal(put(f, K, KAMA_STR("old")), KAMA_OK);
    km_slot_map_add(lost, km_slot_of(0, K));
    km_store_hide(f->store, 1, lost);
    assert_int_equal(km_store_put_if(f->store, 0, hash,
                                     km_store_item_new(f->store, &spec),
                                     &absent),
                     KAMA_ERR_TRY_AGAIN);
    assert_int_equal(km_store_put_if(f->store, 1, hash,
                                     km_store_item_new(f->store, &spec),
                                     &present),
                     KAMA_MISS);
    assert_int_equal(km_store_put_if(f->store, 1, hash,
                                     km_store_item_new(f->store, &spec),
                                     &absent),
                     KAMA_OK);
    fixture_free(f, 0);
    test_free(lost);
}

/* -- etags ----------------------------------------------------------------- */

/* A version is the etag. Without one, it follows from the bytes and the key of
 * the store, or that of the node that the value came from. */
static void test_etags(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    struct fixture *g = fixture_new(MIB, &km_policy_s3fifo);
    struct km_item_spec specs[] = {
        {.key = K, .value = KAMA_STR("v")},
        {.key = KAMA_STR("other"), .value = KAMA_STR("v"), .expires_at = 1},
        {.key = K, .value = KAMA_STR("w")},
        {.key = K, .value = KAMA_STR("v"), .version = 7, .expires_at = 1},
        {.key = K, .value = KAMA_STR("v"), .etag_key = 99, .expires_at = 1},
        {.key = K, .value = KAMA_STR("v"), .etag_key = 99, .version = 7},
        {.key = K, .value = KAMA_STR("")},
    };
    enum { COUNT = sizeof specs / sizeof specs[0] };
    kama_value *items[COUNT];
    uint64_t etags[COUNT];
    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        items[i] = km_store_item_new(f->store, &specs[i]);
        etags[i] = kama_value_etag(items[i]);
        kama_bytes bytes = kama_value_bytes(items[i]);
        assert_int_equal(bytes.len, specs[i].value.len);
        assert_memory_equal(bytes.data, specs[i].value.data, bytes.len);
        assert_int_equal(kama_value_version(items[i]), specs[i].version);
    }
    assert_true(etags[0] == etags[1]);
    assert_true(etags[0] != etags[2]);
    assert_true(etags[3] == 7 && etags[5] == 7);
    assert_true(etags[4] != etags[0]);
    assert_true(etags[4] == km_item_etag(items[0], 99));
    assert_true(etags[6] != 0);
    kama_value *elsewhere = km_store_item_new(g->store, &specs[0]);
    assert_true(kama_value_etag(elsewhere) == etags[0]); /* of equal keys */
    kama_value_unref(elsewhere);
    for (unsigned i = 0; i < COUNT; i++) {
        kama_value_unref(items[i]);
    }
    fixture_free(f, 0);
    fixture_free(g, 0);
}

/* -- a put that is refused --------------------------------------------------- */

static bool fill_survives(struct fixture *f,
                          const struct km_put_condition *condition,
                          kama_status expected)
{
    struct km_fill fill = {.purpose = KM_FILL_TO_KEEP};
    kama_value *value;
    uint64_t hash = km_store_hash(f->store, K);
    assert_int_equal(km_store_fill_begin(f->store, &fill, hash, K, &value),
                     KAMA_WOULD_LOAD);
    assert_int_equal(put_if(f, "v", condition), expected);
    bool overtaken = km_fill_overtaken(&fill);
    km_store_fill_cancel(f->store, &fill);
    return !overtaken;
}

/* A put overtakes the fills of its key if it was carried out, and only then. */
static void test_fills(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    struct km_put_condition match = {.kind = KM_PUT_IF_MATCH, .etag = 5};
    (void)state;
    assert_true(fill_survives(f, &present, KAMA_MISS));
    assert_true(fill_survives(f, &match, KAMA_MISS));
    assert_false(fill_survives(f, &absent, KAMA_OK));
    fixture_free(f, 0);
}

/* Fills a store with values of one size until it evicts. */
static unsigned fill_up(struct fixture *f, size_t value_bytes)
{
    static const char value[MIB];
    unsigned n = 0;
    while (stats(f).evictions == 0) {
        char buf[16];
        assert_int_equal(
            put(f, number_key(buf, n++), KAMA_BYTES(value, value_bytes)),
            KAMA_OK);
    }
    return n;
}

/* Returns whether a key has a value, without using it. */
static bool is_there(struct fixture *f, kama_bytes key)
{
    struct km_store_look look;
    km_store_look(f->store, km_store_hash(f->store, key), key, &look);
    return look.presence == KM_STORE_VALUE;
}

/* In a full store, room is made for the value before its condition is looked at, but
 * not by the entry that the condition wants to see, even if that is the next one to be
 * evicted; and the bound holds. */
static void test_full_store(void **state)
{
    struct fixture *f = fixture_new(4 * MIB, &km_policy_lru);
    static const char value[512 * 1024];
    char buf[16];
    (void)state;
    unsigned n = fill_up(f, sizeof value);
    uint64_t evictions = stats(f).evictions;
    struct km_item_spec spec = {.key = number_key(buf, n),
                                .value = KAMA_BYTES(value, sizeof value)};
    assert_int_equal(put_spec(f, &spec, &present), KAMA_MISS);
    unsigned oldest = 0;
    while (!is_there(f, number_key(buf, oldest))) {
        oldest++;
    }
    spec.key = number_key(buf, oldest);
    assert_int_equal(put_spec(f, &spec, &present), KAMA_OK);
    evictions = stats(f).evictions;
    spec.key = number_key(buf, n);
    assert_int_equal(put_spec(f, &spec, &absent), KAMA_OK);
    assert_true(stats(f).evictions >= evictions);
    assert_true(stats(f).used_bytes <= stats(f).max_bytes);
    fixture_free(f, 0);
}

/* -- threads ----------------------------------------------------------------- */

enum { THREADS = 8, ROUNDS = 500 };

struct racer {
    pthread_t thread;
    struct fixture *f;
    pthread_barrier_t *start;
    unsigned wins;
};

static void *race(void *arg)
{
    struct racer *racer = arg;
    struct km_item_spec spec = {.value = KAMA_STR("mine")};
    (void)pthread_barrier_wait(racer->start);
    for (unsigned i = 0; i < ROUNDS; i++) {
        char buf[16];
        spec.key = number_key(buf, i);
        kama_status st = put_spec(racer->f, &spec, &absent);
        assert_true(st == KAMA_OK || st == KAMA_ERR_EXISTS);
        racer->wins += st == KAMA_OK;
    }
    return NULL;
}

/* Of the threads that put the same new key, exactly one wins. */
static void test_one_wins(void **state)
{
    struct fixture *f = fixture_new(8 * MIB, &km_policy_s3fifo);
    struct racer racers[THREADS];
    pthread_barrier_t start;
    unsigned wins = 0;
    (void)state;
    assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        racers[i] = (struct racer){.f = f, .start = &start};
        assert_int_equal(
            pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
        wins += racers[i].wins;
    }
    assert_int_equal(wins, ROUNDS);
    assert_int_equal(stats(f).entries, ROUNDS);
    assert_int_equal(pthread_barrier_destroy(&start), 0);
    fixture_free(f, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_expired_is_absent),
        cmocka_unit_test(test_negative_is_absent),
        cmocka_unit_test(test_hidden_is_absent),
        cmocka_unit_test(test_etags),
        cmocka_unit_test(test_fills),
        cmocka_unit_test(test_full_store),
        cmocka_unit_test(test_one_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
