/* SPDX-License-Identifier: MIT */
/*
 * Touches: the value stays and its time changes, references keep the old time,
 * and a value that was replaced meanwhile does not come back.
 */
#include "helpers/failmalloc.h"
#include "store/store_fixture.h"
#include "store/store_touch.h"

#define MIB (1u << 20)

static kama_status touch(struct fixture *f, const char *key, km_ns expires_at)
{
    kama_bytes k = kama_bytes_str(key);
    kama_status status =
        km_store_touch(f->store, 0, km_store_hash(f->store, k), k, expires_at);
    km_store_check(f->store);
    return status;
}

static kama_status peek(struct fixture *f, const char *key, km_ns *ret_at)
{
    kama_bytes k = kama_bytes_str(key);
    kama_status status =
        km_store_peek(f->store, 0, km_store_hash(f->store, k), k, ret_at);
    km_store_check(f->store);
    return status;
}

static km_ns in_ms(const struct fixture *f, uint64_t ms)
{
    return atomic_load(&f->clock.now) + ms * KM_NS_PER_MS;
}

static void expect_expiry(struct fixture *f, const char *key, km_ns at)
{
    km_ns found = 1;
    assert_int_equal(peek(f, key, &found), KAMA_OK);
    assert_int_equal(found, at);
}

/* A time to live can become longer, shorter, endless and finite again, with
 * both policies. */
static void test_the_time_changes(void **state)
{
    const struct km_policy_ops *const policies[] = {&km_policy_s3fifo,
                                                    &km_policy_lru};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture *f = fixture_new(MIB, policies[i]);
        assert_int_equal(
            put_expiring(f, KAMA_STR("k"), KAMA_STR("value"), in_ms(f, 100)),
            KAMA_OK);
        expect_expiry(f, "k", in_ms(f, 100));
        km_ns const times[] = {in_ms(f, 500), in_ms(f, 50), 0, in_ms(f, 80)};
        for (unsigned t = 0; t < 4; t++) {
            assert_int_equal(touch(f, "k", times[t]), KAMA_OK);
            expect_expiry(f, "k", times[t]);
            km_store_check(f->store);
        }
        assert_int_equal(stats(f).entries, 1);
        assert_int_equal(stats(f).payload_bytes, 6);
        assert_int_equal(stats(f).pinned_bytes, 0);
        assert_int_equal(stats(f).hits, 0);
        fake_clock_add_ms(&f->clock, 79);
        assert_true(has(f, KAMA_STR("k")));
        fake_clock_add_ms(&f->clock, 1);
        assert_false(has(f, KAMA_STR("k")));
        fixture_free(f, 0);
    }
}

static struct km_store_look look(struct fixture *f, const char *key)
{
    struct km_store_look found;
    kama_bytes k = kama_bytes_str(key);
    km_store_look(f->store, km_store_hash(f->store, k), k, &found);
    return found;
}

/* A look says what is there, and leaves even an expired entry where it is. */
static void test_a_look_changes_nothing(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_lru);
    km_ns at = in_ms(f, 100);
    (void)state;
    assert_int_equal(look(f, "k").presence, KM_STORE_ABSENT);
    assert_int_equal(put_expiring(f, KAMA_STR("k"), KAMA_STR("value"), at),
                     KAMA_OK);
    assert_int_equal(look(f, "k").presence, KM_STORE_VALUE);
    assert_int_equal(look(f, "k").expires_at, at);
    assert_int_equal(look(f, "k").value_bytes, 5);
    assert_int_equal(look(f, "l").presence, KM_STORE_ABSENT);
    fake_clock_add_ms(&f->clock, 100);
    assert_int_equal(look(f, "k").presence, KM_STORE_EXPIRED);
    assert_int_equal(stats(f).expirations, 0);
    assert_int_equal(stats(f).entries, 1);
    assert_int_equal(stats(f).hits, 0);
    fixture_free(f, 0);
}

/* A look says why there is no entry, as long as that is remembered. */
static void test_a_look_says_why(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_lru);
    (void)state;
    assert_int_equal(look(f, "k").why, KM_MISS_ABSENT);
    assert_int_equal(
        put_expiring(f, KAMA_STR("k"), KAMA_STR("v"), in_ms(f, 10)), KAMA_OK);
    fake_clock_add_ms(&f->clock, 10);
    assert_int_equal(look(f, "k").why, KM_MISS_EXPIRED);
    assert_false(has(f, KAMA_STR("k")));
    assert_int_equal(look(f, "k").presence, KM_STORE_ABSENT);
    assert_int_equal(look(f, "k").why, KM_MISS_EXPIRED);
    assert_int_equal(put(f, KAMA_STR("k"), KAMA_STR("v")), KAMA_OK);
    assert_true(del(f, KAMA_STR("k")));
    assert_int_equal(look(f, "k").why, KM_MISS_DELETED);
    fixture_free(f, 0);
}

/* A touch of an absent, negative or expired key is a miss, and makes no
 * entry. */
static void test_what_is_not_there_is_a_miss(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    struct km_item_spec spec = {.key = KAMA_STR("none"), .negative = true};
    km_ns at;
    (void)state;
    kama_value *none = km_store_item_new(f->store, &spec);
    assert_int_equal(
        km_store_put(f->store, 0, km_store_hash(f->store, spec.key), none),
        KAMA_OK);
    assert_int_equal(
        put_expiring(f, KAMA_STR("old"), KAMA_STR("v"), in_ms(f, 10)), KAMA_OK);
    fake_clock_add_ms(&f->clock, 10);
    const char *const keys[] = {"absent", "none", "old"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(peek(f, keys[i], &at), KAMA_MISS);
        assert_int_equal(touch(f, keys[i], 0), KAMA_MISS);
    }
    assert_int_equal(stats(f).entries, 0);
    assert_int_equal(stats(f).negative_entries, 1);
    assert_int_equal(stats(f).expirations, 1);
    fixture_free(f, 0);
}

/* A value that is referenced keeps its time and its bytes. */
static void test_views_keep_their_time(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    kama_value *before;
    kama_value *after;
    (void)state;
    struct km_item_spec spec = {.key = KAMA_STR("k"),
                                .value = KAMA_STR("value"),
                                .version = 7,
                                .expires_at = in_ms(f, 100)};
    assert_int_equal(km_store_put(f->store, 0,
                                  km_store_hash(f->store, spec.key),
                                  km_store_item_new(f->store, &spec)),
                     KAMA_OK);
    assert_int_equal(get(f, KAMA_STR("k"), &before), KAMA_OK);
    assert_int_equal(touch(f, "k", in_ms(f, 9000)), KAMA_OK);
    assert_true(stats(f).pinned_bytes > 0);
    assert_int_equal(get(f, KAMA_STR("k"), &after), KAMA_OK);
    assert_int_equal(kama_value_ttl_ms(before), 100);
    assert_int_equal(kama_value_ttl_ms(after), 9000);
    assert_int_equal(kama_value_version(after), 7);
    assert_memory_equal(kama_value_bytes(after).data, "value", 5);
    assert_memory_equal(kama_value_bytes(before).data, "value", 5);
    kama_value_unref(before);
    kama_value_unref(after);
    assert_int_equal(stats(f).pinned_bytes, 0);
    fixture_free(f, 0);
}

/* A fill that is pending when its key is touched is overtaken, because its
 * commit would bring the time of the load back. A fill of an absent key is
 * not. */
static void test_fills_are_overtaken(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    struct km_fill fill = {0};
    kama_value *found = NULL;
    kama_bytes key = KAMA_STR("k");
    uint64_t hash = km_store_hash(f->store, key);
    (void)state;
    assert_int_equal(km_store_fill_begin(f->store, &fill, hash, key, &found),
                     KAMA_WOULD_LOAD);
    assert_int_equal(touch(f, "k", 0), KAMA_MISS);
    assert_false(km_fill_overtaken(&fill));
    struct km_fill second = {0};
    assert_int_equal(km_store_fill_begin(f->store, &second, hash, key, &found),
                     KAMA_WOULD_LOAD);
    struct km_item_spec spec = {.key = key, .value = KAMA_STR("v")};
    kama_value *item = km_store_item_new(f->store, &spec);
    assert_true(km_store_fill_commit(f->store, &second, item));
    kama_value_unref(item);
    assert_int_equal(touch(f, "k", 0), KAMA_OK);
    assert_true(km_fill_overtaken(&fill));
    km_store_fill_cancel(f->store, &fill);
    fixture_free(f, 0);
}

/* A full store makes room for the copy by evicting other values than the one
 * that is touched. */
static void test_a_full_store_makes_room(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    static char large[100000];
    char key[32];
    (void)state;
    assert_int_equal(put(f, KAMA_STR("k"), KAMA_BYTES(large, sizeof large)),
                     KAMA_OK);
    for (unsigned i = 0; i < 2000; i++) {
        assert_int_equal(put(f, number_key(key, i), KAMA_BYTES(large, 1000)),
                         KAMA_OK);
        if (i % 50 == 0) {
            assert_int_equal(touch(f, "k", 0), KAMA_OK);
            assert_true(stats(f).used_bytes <= MIB);
        }
    }
    km_store_check(f->store);
    fixture_free(f, 0);
}

/* Without memory for the copy, nothing changes. */
static kama_status touch_once(const kama_allocator *mem, void *arg)
{
    struct fake_clock clock;
    struct km_store *store;
    kama_bytes key = KAMA_STR("k");
    km_ns at = 1;
    (void)arg;
    fake_clock_init(&clock);
    struct km_store_options options = {.mem = mem,
                                       .clock = &clock.clock,
                                       .policy = &km_policy_lru,
                                       .max_bytes = MIB};
    kama_status st = km_store_new(&options, &store);
    if (st != KAMA_OK) {
        return st;
    }
    uint64_t hash = km_store_hash(store, key);
    struct km_item_spec spec = {.key = key, .value = KAMA_STR("v")};
    kama_value *item = km_store_item_new(store, &spec);
    st = item != NULL ? km_store_put(store, 0, hash, item) : KAMA_ERR_NO_MEMORY;
    if (st == KAMA_OK) {
        km_ns later = atomic_load(&clock.now) + KM_NS_PER_S;
        st = km_store_touch(store, 0, hash, key, later);
        assert_int_equal(km_store_peek(store, 0, hash, key, &at), KAMA_OK);
        assert_int_equal(at, st == KAMA_OK ? later : 0);
    }
    km_store_free(store);
    return st;
}

static void test_no_memory(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(touch_once, NULL) >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_time_changes),
        cmocka_unit_test(test_a_look_changes_nothing),
        cmocka_unit_test(test_a_look_says_why),
        cmocka_unit_test(test_what_is_not_there_is_a_miss),
        cmocka_unit_test(test_views_keep_their_time),
        cmocka_unit_test(test_fills_are_overtaken),
        cmocka_unit_test(test_a_full_store_makes_room),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
