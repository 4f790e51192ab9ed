/* SPDX-License-Identifier: MIT */
/*
 * The store: values that were put are found, values that do not fit are
 * evicted, and every byte is accounted for. Random operations are compared
 * with an array.
 */
#include "store/store_fixture.h"

#define MIB (1u << 20)

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A value is returned as it was put, also if it is empty or has NUL bytes. */
static void test_put_get_del(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    char buf[16];
    size_t len = 99;
    (void)state;
    assert_int_equal(put(f, KAMA_STR("a"), KAMA_BYTES("\0x\0", 3)), KAMA_OK);
    assert_int_equal(put(f, KAMA_STR("e"), KAMA_BYTES(NULL, 0)), KAMA_OK);
    uint64_t hash = km_store_hash(f->store, KAMA_STR("a"));
    assert_int_equal(
        km_store_copy(f->store, hash, KAMA_STR("a"), buf, sizeof buf, &len),
        KAMA_OK);
    assert_int_equal(len, 3);
    assert_memory_equal(buf, "\0x\0", 3);
    assert_int_equal(km_store_copy(f->store, hash, KAMA_STR("a"), buf, 2, &len),
                     KAMA_ERR_TOO_SMALL);
    assert_int_equal(len, 3);
    hash = km_store_hash(f->store, KAMA_STR("e"));
    assert_int_equal(
        km_store_copy(f->store, hash, KAMA_STR("e"), NULL, 0, &len), KAMA_OK);
    assert_int_equal(len, 0);
    assert_true(del(f, KAMA_STR("a")));
    assert_false(del(f, KAMA_STR("a")));
    assert_false(has(f, KAMA_STR("a")));
    km_store_check(f->store);
    fixture_free(f, 0);
}

/* Values that are too long to be copied under the lock are copied
 * completely. */
static void test_copy_long(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    static char in[100000], out[100000];
    size_t len;
    (void)state;
    memset(in, 'v', sizeof in);
    kama_bytes key = KAMA_STR("long");
    assert_int_equal(put(f, key, KAMA_BYTES(in, sizeof in)), KAMA_OK);
    assert_int_equal(km_store_copy(f->store, km_store_hash(f->store, key), key,
                                   out, sizeof out, &len),
                     KAMA_OK);
    assert_int_equal(len, sizeof in);
    assert_memory_equal(in, out, sizeof in);
    assert_int_equal(stats(f).hits, 1);
    fixture_free(f, 0);
}

#define MODEL_KEYS 700

struct model {
    int32_t length[MODEL_KEYS]; /* -1 if the key is absent */
    uint8_t fill[MODEL_KEYS];
    km_ns expires_at[MODEL_KEYS];
};

static void model_clear(struct model *m)
{
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        m->length[i] = -1;
        m->expires_at[i] = 0;
    }
}

static void model_put(struct fixture *f, struct model *m, unsigned k,
                      uint64_t r)
{
    char key[32], value[300];
    km_ns at = r % 3 == 0
                   ? atomic_load(&f->clock.now) + (r >> 8) % 50 * KM_NS_PER_MS
                   : 0;
    m->length[k] = (int32_t)((r >> 16) % sizeof value);
    m->fill[k] = (uint8_t)(r >> 32);
    m->expires_at[k] = at;
    memset(value, m->fill[k], sizeof value);
    assert_int_equal(put_expiring(f, number_key(key, k),
                                  KAMA_BYTES(value, (size_t)m->length[k]), at),
                     KAMA_OK);
}

static void model_get(struct fixture *f, const struct model *m, unsigned k)
{
    char key[32], want[300];
    kama_value *value;
    km_ns now = atomic_load(&f->clock.now);
    bool live =
        m->length[k] >= 0 && (m->expires_at[k] == 0 || now < m->expires_at[k]);
    kama_status st = get(f, number_key(key, k), &value);
    assert_int_equal(st, live ? KAMA_OK : KAMA_WOULD_LOAD);
    if (live) {
        memset(want, m->fill[k], sizeof want);
        kama_bytes b = kama_value_bytes(value);
        assert_int_equal(b.len, m->length[k]);
        assert_memory_equal(b.data, want, b.len);
        kama_value_unref(value);
    }
}

/* Nothing is evicted here, so that the store has exactly the entries of the
 * array. */
static void run_model(uint64_t seed, const struct km_policy_ops *policy)
{
    struct fixture *f = fixture_new(8 * MIB, policy);
    struct model *m = test_malloc(sizeof *m);
    uint64_t r = seed;
    model_clear(m);
    for (unsigned step = 0; step < 40000; step++) {
        char key[32];
        unsigned k = (unsigned)(next_random(&r) % MODEL_KEYS);
        unsigned what = (unsigned)(next_random(&r) % 100);
        if (what < 40) {
            model_put(f, m, k, next_random(&r));
        } else if (what < 80) {
            model_get(f, m, k);
        } else if (what < 98) {
            (void)del(f, number_key(key, k));
            m->length[k] = -1;
        } else if (what < 99) {
            fake_clock_add_ms(&f->clock, 7);
        } else if (step % 50 == 0) {
            km_store_clear(f->store);
            model_clear(m);
        }
        if (step % 64 == 0) {
            km_store_check(f->store);
        }
    }
    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        model_get(f, m, k);
    }
    test_free(m);
    fixture_free(f, 0);
}

static void test_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        run_model(seed * 7919, &km_policy_s3fifo);
        run_model(seed * 104729, &km_policy_lru);
    }
}

/* With evictions, every value that is found is right, and the bound holds. */
static void run_flood(const struct km_policy_ops *policy)
{
    struct fixture *f = fixture_new(4 * MIB, policy);
    static char value[MIB];
    uint64_t r = 88172645463325252u;
    double live = 0; /* the sum over all steps */
    for (unsigned step = 0; step < 20000; step++) {
        char key[32];
        unsigned k = (unsigned)(next_random(&r) % 5000);
        live += (double)stats(f).payload_bytes;
        size_t len = 64u << (next_random(&r) % 14);
        len = len > MIB - 100 ? MIB - 100 : len;
        memset(value, (int)(k & 0xff), 16);
        assert_int_equal(put(f, number_key(key, k), KAMA_BYTES(value, len)),
                         KAMA_OK);
        kama_value *found;
        if (get(f, number_key(key, (unsigned)(next_random(&r) % 5000)),
                &found) == KAMA_OK) {
            kama_value_unref(found);
        }
        assert_true(stats(f).used_bytes <= 4 * MIB + 8192);
        if (step % 512 == 0) {
            km_store_check(f->store);
        }
    }
    assert_true(stats(f).evictions > 1000);
    assert_true(live / 20000 > 4 * MIB * 7 / 10);
    km_store_check(f->store);
    fixture_free(f, 0);
}

static void test_flood_keeps_the_bound(void **state)
{
    (void)state;
    run_flood(&km_policy_s3fifo);
    run_flood(&km_policy_lru);
}

/* A value of a quarter of the store can always be stored. */
static void test_quarter_always_fits(void **state)
{
    const uint64_t sizes[] = {64u << 10, 300u << 10, MIB, 5 * MIB, 64 * MIB};
    (void)state;
    for (unsigned s = 0; s < 5; s++) {
        struct fixture *f = fixture_new(sizes[s], &km_policy_s3fifo);
        char *value = test_calloc(1, sizes[s] / 4);
        char key[32];
        for (unsigned i = 0; i < 2000; i++) {
            assert_int_equal(put(f, number_key(key, i), KAMA_BYTES(value, 100)),
                             KAMA_OK);
        }
        for (unsigned i = 0; i < 20; i++) {
            size_t len = (size_t)sizes[s] / 4;
            kama_bytes name = number_key(key, 100000 + i);
            assert_int_equal(put(f, name, KAMA_BYTES(value, len)), KAMA_OK);
            assert_true(has(f, name));
            assert_true(stats(f).used_bytes <= sizes[s] + 16384);
        }
        km_store_check(f->store);
        test_free(value);
        fixture_free(f, 0);
    }
}

/* A value that is referenced stays readable after its eviction and after the
 * end of the store, and counts as pinned until the reference is given back. */
static void check_value_outlives_store(kama_bytes first)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    kama_value *value;
    assert_int_equal(put(f, KAMA_STR("k"), first), KAMA_OK);
    assert_int_equal(stats(f).pinned_bytes, 0);
    assert_int_equal(get(f, KAMA_STR("k"), &value), KAMA_OK);
    uint64_t pinned = stats(f).pinned_bytes;
    assert_true(pinned >= first.len && pinned < first.len + 8192);
    assert_int_equal(put(f, KAMA_STR("k"), KAMA_STR("second")), KAMA_OK);
    assert_int_equal(stats(f).pinned_bytes, pinned);
    struct km_mem_probe *probe = &f->probe;
    km_store_free(f->store);
    assert_true(atomic_load(&probe->live_blocks) > 0);
    assert_int_equal(kama_value_bytes(value).len, first.len);
    assert_memory_equal(kama_value_bytes(value).data, first.data, first.len);
    assert_int_equal(kama_value_ttl_ms(value), KAMA_TTL_FOREVER);
    kama_value_unref(kama_value_ref(value));
    kama_value_unref(value);
    assert_int_equal(atomic_load(&probe->live_blocks), 0);
    test_free(f);
}

static void test_value_outlives_store(void **state)
{
    static char large[100000];
    (void)state;
    check_value_outlives_store(KAMA_STR("first"));
    check_value_outlives_store(KAMA_BYTES(large, sizeof large));
}

/* Callers may hold three quarters of the store. Then gets are refused, and puts go
 * on. */
static void test_pinned_values_fill_the_store(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    kama_value *held[64];
    static char bytes[32768];
    char key[32];
    unsigned n = 0;
    kama_status st = KAMA_OK;
    (void)state;
    while (st == KAMA_OK) {
        kama_bytes name = number_key(key, n);
        assert_true(n < 64);
        assert_int_equal(put(f, name, KAMA_BYTES(bytes, sizeof bytes)),
                         KAMA_OK);
        st = get(f, name, &held[n]);
        n += st == KAMA_OK;
    }
    assert_int_equal(st, KAMA_ERR_OVERLOADED);
    assert_true(n > 15 && n < 25);
    assert_true(stats(f).used_bytes <= MIB + sizeof bytes);
    assert_int_equal(put(f, KAMA_STR("small"), KAMA_STR("v")), KAMA_OK);
    for (unsigned i = 0; i < n; i++) {
        kama_value_unref(held[i]);
    }
    assert_int_equal(stats(f).pinned_bytes, 0);
    assert_true(has(f, KAMA_STR("small")));
    km_store_check(f->store);
    fixture_free(f, 0);
}

/* An entry is never returned after its time, whatever the coarse clock says.
 * For entries that never expire, no clock is read. */
static void test_expiry(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    (void)state;
    km_ns now = atomic_load(&f->clock.now);
    kama_bytes key = KAMA_STR("k");
    assert_int_equal(
        put_expiring(f, key, KAMA_STR("v"), now + 100 * KM_NS_PER_MS), KAMA_OK);
    fake_clock_add_ms(&f->clock, 50);
    assert_true(has(f, key));
    assert_int_equal(atomic_load(&f->clock.reads),
                     0); /* the coarse clock is enough */
    fake_clock_add_ms(&f->clock, 49);
    assert_true(has(f, key));
    assert_true(atomic_load(&f->clock.reads) > 0);
    fake_clock_add_ms(&f->clock, 1);
    assert_false(has(f, key));
    assert_int_equal(stats(f).expirations, 1);
    assert_int_equal(stats(f).entries, 0);
    unsigned reads = atomic_load(&f->clock.reads);
    assert_int_equal(put(f, key, KAMA_STR("v")), KAMA_OK);
    assert_true(has(f, key));
    assert_int_equal(atomic_load(&f->clock.reads), reads);
    fixture_free(f, 0);
}

/* A del of an expired entry returns that there was no value. */
static void test_del_expired(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_lru);
    (void)state;
    assert_int_equal(put_expiring(f, KAMA_STR("k"), KAMA_STR("v"),
                                  atomic_load(&f->clock.now) + 1),
                     KAMA_OK);
    fake_clock_add_ms(&f->clock, 1);
    assert_false(del(f, KAMA_STR("k")));
    fixture_free(f, 0);
}

/* Writing other keys frees the memory of expired entries. */
static void test_sweep_gives_expired_memory_back(void **state)
{
    struct fixture *f = fixture_new(64 * MIB, &km_policy_s3fifo);
    char key[32], value[200] = {0};
    (void)state;
    km_ns at = atomic_load(&f->clock.now) + KM_NS_PER_S;
    for (unsigned i = 0; i < 60000; i++) {
        assert_int_equal(
            put_expiring(f, number_key(key, i), KAMA_BYTES(value, 200), at),
            KAMA_OK);
    }
    uint64_t full = stats(f).used_bytes;
    fake_clock_add_ms(&f->clock, 2000);
    for (unsigned i = 0; i < 40000; i++) {
        assert_int_equal(
            put(f, number_key(key, 1000000 + i % 64), KAMA_BYTES(value, 10)),
            KAMA_OK);
    }
    for (unsigned i = 0; i < 40000; i++) {
        (void)del(f, number_key(key, 2000000 + i));
    }
    assert_int_equal(stats(f).expirations, 60000);
    assert_true(stats(f).used_bytes < full / 4);
    km_store_check(f->store);
    fixture_free(f, 0);
}

/* A clear empties the store at once, and its memory is freed in steps. */
static void test_clear(void **state)
{
    struct fixture *f = fixture_new(64 * MIB, &km_policy_s3fifo);
    char key[32], value[100] = {0};
    uint64_t before = 0;
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 20000; i++) {
            assert_int_equal(put(f, number_key(key, i), KAMA_BYTES(value, 100)),
                             KAMA_OK);
        }
        before = stats(f).used_bytes;
        km_store_clear(f->store);
        assert_int_equal(stats(f).entries, 0);
        assert_int_equal(stats(f).payload_bytes, 0);
        assert_false(has(f, number_key(key, 77)));
        km_store_check(f->store);
    }
    for (unsigned i = 0; i < 20000; i++) {
        (void)del(f, number_key(key, i));
    }
    assert_true(stats(f).used_bytes < before / 4);
    km_store_check(f->store);
    fixture_free(f, 0);
}

/* Random operations while the n-th allocation fails. */
static void test_no_memory(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    char key[32], value[100] = {0};
    unsigned failed = 0;
    (void)state;
    for (unsigned i = 0; i < 6000; i++) {
        if (i % 3 == 0) {
            atomic_store(&f->probe.fail_at,
                         atomic_load(&f->probe.allocs) + 1 + i % 2);
        }
        kama_bytes name = number_key(key, i);
        kama_status st = put(f, name, KAMA_BYTES(value, 100));
        assert_true(st == KAMA_OK || st == KAMA_ERR_NO_MEMORY);
        failed += st != KAMA_OK;
        atomic_store(&f->probe.fail_at, 0); /* a look needs memory */
        assert_int_equal(has(f, name), st == KAMA_OK);
        if (i % 100 == 0) {
            km_store_check(f->store);
        }
    }
    assert_true(failed > 100);
    atomic_store(&f->probe.fail_at, 0);
    fixture_free(f, 0);
}

static void test_new_no_memory(void **state)
{
    struct km_store *store;
    (void)state;
    for (long long n = 1; n <= 2; n++) {
        struct km_mem_probe probe;
        km_mem_probe_init(&probe);
        atomic_store(&probe.fail_at, n);
        struct km_store_options options = {.mem = &probe.allocator,
                                           .clock = km_clock_system(),
                                           .policy = &km_policy_lru,
                                           .max_bytes = MIB};
        assert_int_equal(km_store_new(&options, &store), KAMA_ERR_NO_MEMORY);
        assert_int_equal(atomic_load(&probe.live_blocks), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_get_del),
        cmocka_unit_test(test_copy_long),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_flood_keeps_the_bound),
        cmocka_unit_test(test_quarter_always_fits),
        cmocka_unit_test(test_value_outlives_store),
        cmocka_unit_test(test_pinned_values_fill_the_store),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_del_expired),
        cmocka_unit_test(test_sweep_gives_expired_memory_back),
        cmocka_unit_test(test_clear),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_new_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
