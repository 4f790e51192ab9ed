/* SPDX-License-Identifier: MIT */
/*
 * Each miss is counted once, by the reason for which the key is not in memory,
 * whichever call has asked for it. The reasons sum up to the misses.
 */
#include "group_fixture.h"

#include "store/fake_clock.h"

#define MIB (1u << 20)

/* A group whose time the test moves. */
struct kit {
    struct fixture *f;
    struct fake_clock clock;
};

static void kit_open(struct kit *k)
{
    k->f = fixture_new();
    k->f->options.max_bytes = MIB;
    fake_clock_init(&k->clock);
    const struct km_group_env env = {.clock = &k->clock.clock, .seed = 7};
    assert_int_equal(km_group_new(&k->f->options, &env, &k->f->group), KAMA_OK);
}

/* The counts of the reasons. */
struct reasons {
    uint64_t absent, expired, evicted, deleted;
};

static void expect(struct kit *k, struct reasons want)
{
    kama_group_stats s = stats(k->f);
    assert_int_equal(s.misses_absent, want.absent);
    assert_int_equal(s.misses_expired, want.expired);
    assert_int_equal(s.misses_evicted, want.evicted);
    assert_int_equal(s.misses_deleted, want.deleted);
    assert_int_equal(s.misses,
                     want.absent + want.expired + want.evicted + want.deleted);
}

static void set(struct kit *k, const char *key, int64_t ttl_ms)
{
    fixture_set(k->f, key, ttl_ms);
}

static void del(struct kit *k, const char *key)
{
    assert_int_equal(kama_del(k->f->group, kama_bytes_str(key), NULL), KAMA_OK);
}

/* A load after each of the reasons. */
static void test_get(void **state)
{
    struct kit k;
    (void)state;
    kit_open(&k);
    assert_int_equal(get_text(k.f->group, "k", NULL, "value of k"), KAMA_OK);
    assert_int_equal(get_text(k.f->group, "k", NULL, "value of k"), KAMA_OK);
    expect(&k, (struct reasons){.absent = 1});
    del(&k, "k");
    assert_int_equal(get_text(k.f->group, "k", NULL, "value of k"), KAMA_OK);
    expect(&k, (struct reasons){.absent = 1, .deleted = 1});
    set(&k, "k", 1000);
    fake_clock_add_ms(&k.clock, 2000);
    assert_int_equal(get_text(k.f->group, "k", NULL, "value of k"), KAMA_OK);
    expect(&k, (struct reasons){.absent = 1, .deleted = 1, .expired = 1});
    fixture_free(k.f);
}

/* A copy, a look that may not load, and a key that no loader has. */
static void test_other_calls(void **state)
{
    struct kit k;
    char buf[32];
    size_t len;
    kama_ctx ctx;
    kama_value *value;
    (void)state;
    kit_open(&k);
    kama_ctx_init(&ctx);
    ctx.flags = KAMA_NO_LOAD;
    set(&k, "k", 0);
    del(&k, "k");
    assert_int_equal(kama_try_get(k.f->group, KAMA_STR("k"), &value),
                     KAMA_WOULD_LOAD);
    assert_int_equal(get_text(k.f->group, "k", &ctx, ""), KAMA_WOULD_LOAD);
    expect(&k, (struct reasons){.deleted = 2});
    assert_int_equal(
        kama_get_copy(k.f->group, KAMA_STR("k"), NULL, buf, sizeof buf, &len),
        KAMA_OK);
    expect(&k, (struct reasons){.deleted = 3});
    atomic_store(&k.f->script.status, KAMA_ERR_LOADER);
    assert_int_equal(get_text(k.f->group, "l", NULL, ""), KAMA_ERR_LOADER);
    expect(&k, (struct reasons){.deleted = 3, .absent = 1});
    fixture_free(k.f);
}

/* Of two equal keys in one mget, the second one is a hit if they are taken in turn,
 * and on a pool it is a miss for the same reason. */
static void test_mget(void **state)
{
    const kama_bytes keys[] = {KAMA_STR("k"), KAMA_STR("n"), KAMA_STR("k")};
    struct kit k;
    (void)state;
    kit_open(&k);
    for (uint64_t i = 1; i <= 2; i++) {
        kama_item items[3];
        set(&k, "k", 0);
        del(&k, "k");
        assert_int_equal(kama_mget(k.f->group, keys, 3, NULL, items), KAMA_OK);
        for (unsigned n = 0; n < 3; n++) {
            assert_int_equal(items[n].status, KAMA_OK);
            kama_value_unref(items[n].value);
        }
        kama_group_stats s = stats(k.f);
        assert_int_equal(s.misses, i == 1 ? 2 : 2 + 3);
        assert_int_equal(s.misses_deleted, i == 1 ? 1 : 1 + 2);
        struct km_pool *pool;
        assert_int_equal(km_group_need_pool(k.f->group, &pool), KAMA_OK);
        assert_int_equal(kama_group_clear(k.f->group), KAMA_OK);
    }
    fixture_free(k.f);
}

/* A group that is full says that its misses are for want of room. */
static void test_evicted(void **state)
{
    struct kit k;
    char key[16];
    (void)state;
    kit_open(&k);
    unsigned count = 0;
    while (stats(k.f).evictions < 1000) {
        (void)snprintf(key, sizeof key, "key-%u", count++);
        set(&k, key, 0);
    }
    uint64_t misses = 0;
    for (unsigned i = count; i > 0 && misses < 500; i--) {
        kama_value *value;
        (void)snprintf(key, sizeof key, "key-%u", i - 1);
        kama_status st = kama_try_get(k.f->group, kama_bytes_str(key), &value);
        if (st == KAMA_OK) {
            kama_value_unref(value);
        } else {
            misses++;
        }
    }
    kama_group_stats s = stats(k.f);
    assert_int_equal(s.misses, misses);
    assert_true(s.misses_evicted * 10 >= misses * 9);
    fixture_free(k.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_other_calls),
        cmocka_unit_test(test_mget),
        cmocka_unit_test(test_evicted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
