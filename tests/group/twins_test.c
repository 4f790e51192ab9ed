/* SPDX-License-Identifier: MIT */
/*
 * Equal keys in one mget. The table that finds them is compared with a naive one,
 * and all equal keys share one load, however it ends.
 */
#include "group/group_fixture.h"
#include "group/group_internal.h"
#include "group/twins.h"
#include "helpers/failmalloc.h"

/* The table is right for few different keys in random order, with hashes that
 * collide. */
static void test_table_beside_an_array(void **state)
{
    enum { KEYS = 300, ADDS = 2000 };
    static char names[KEYS][16];
    uint32_t first[KEYS];
    struct km_twins twins;
    uint64_t random = 7;
    (void)state;
    km_twins_init(&twins, km_mem_default());
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(names[i], sizeof names[i], "%d", i);
        first[i] = KM_TWINS_NONE;
    }
    for (uint32_t i = 0; i < ADDS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        unsigned k = (unsigned)(random >> 33) % KEYS;
        uint64_t hash = (uint64_t)(k % 5) << 16; /* 60 keys per hash */
        kama_bytes key = kama_bytes_str(names[k]);
        assert_int_equal(km_twins_find(&twins, hash, key), first[k]);
        if (first[k] == KM_TWINS_NONE) {
            assert_int_equal(km_twins_add(&twins, hash, key, i), KAMA_OK);
            first[k] = i;
            km_twins_check(&twins);
        }
    }
    km_twins_fini(&twins);
}

static kama_status add_many(const kama_allocator *mem, void *arg)
{
    static char names[100][16];
    struct km_twins twins;
    kama_status st = KAMA_OK;
    (void)arg;
    km_twins_init(&twins, mem);
    for (uint32_t i = 0; i < 100 && st == KAMA_OK; i++) {
        (void)snprintf(names[i], sizeof names[i], "%u", i);
        st = km_twins_add(&twins, (uint64_t)i << 16, kama_bytes_str(names[i]),
                          i);
        km_twins_check(&twins);
    }
    km_twins_fini(&twins);
    return st;
}

static void test_table_without_memory(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(add_many, NULL) >= 4);
}

/* Gets five equal keys and another one with a loader that returns status. */
static void expect_one_load(struct fixture *f, kama_status status)
{
    const kama_bytes keys[6] = {KAMA_STR("a"), KAMA_STR("a"), KAMA_STR("b"),
                                KAMA_STR("a"), KAMA_STR("a"), KAMA_STR("a")};
    kama_item items[6];
    kama_group_stats before = stats(f);
    atomic_store(&f->script.status, (int)status);
    assert_int_equal(kama_mget(f->group, keys, 6, NULL, items), KAMA_OK);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(items[i].status, status);
        assert_true((items[i].value != NULL) == (status == KAMA_OK));
    }
    kama_items_unref(items, 6);
    assert_int_equal(stats(f).loads - before.loads, 2);
    assert_int_equal(stats(f).gets - before.gets, 6);
    assert_int_equal(stats(f).loads_coalesced + stats(f).hits -
                         before.loads_coalesced - before.hits,
                     4);
    assert_int_equal(kama_group_clear(f->group), KAMA_OK);
}

/* A miss or an error, which is not remembered, is not loaded twice either. */
static void expect_one_load_each(struct fixture *f)
{
    expect_one_load(f, KAMA_OK);
    expect_one_load(f, KAMA_MISS);
    expect_one_load(f, KAMA_ERR_OVERLOADED);
}

static void test_equal_keys_are_one_load(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    (void)state;
    expect_one_load_each(f);
    fixture_free(f);
}

static void test_equal_keys_are_one_load_on_a_pool(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct km_pool *pool;
    (void)state;
    assert_int_equal(km_group_need_pool(f->group, &pool), KAMA_OK);
    for (int i = 0; i < 20; i++) {
        expect_one_load_each(f);
    }
    fixture_free(f);
}

/* The same holds for an asynchronous mget, whose callback finds the sentence of a
 * failure. */
struct inbox {
    atomic_uint calls;
    unsigned failed;
    char sentence[256];
};

static void take(void *arg, kama_status status, const kama_item *items,
                 size_t n)
{
    struct inbox *box = arg;
    assert_int_equal(status, KAMA_OK);
    for (size_t i = 0; i < n; i++) {
        box->failed += items[i].status == KAMA_ERR_OVERLOADED;
        kama_value_unref(items[i].value);
    }
    kama_last_error(box->sentence, sizeof box->sentence);
    atomic_fetch_add(&box->calls, 1);
}

static void test_equal_keys_are_one_load_asynchronously(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    kama_bytes keys[3] = {KAMA_STR("a"), KAMA_STR("a"), KAMA_STR("a")};
    struct inbox box = {0};
    (void)state;
    atomic_store(&f->script.status, KAMA_ERR_OVERLOADED);
    assert_int_equal(kama_mget_async(f->group, keys, 3, NULL, take, &box),
                     KAMA_OK);
    AWAIT(atomic_load(&box.calls) == 1);
    assert_int_equal(box.failed, 3);
    assert_string_equal(box.sentence,
                        "group test: the loader returned KAMA_ERR_OVERLOADED "
                        "and gave no reason (key \"a\")");
    assert_int_equal(atomic_load(&f->script.calls), 1);
    fixture_free(f);
}

/* After a synchronous mget, the last error is the sentence of a failed item. */
static void test_mget_says_why_an_item_failed(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    kama_bytes key = KAMA_STR("a");
    kama_item item;
    char sentence[256];
    struct km_pool *pool;
    (void)state;
    atomic_store(&f->script.status, KAMA_ERR_OVERLOADED);
    for (int i = 0; i < 2; i++) {
        (void)!kama_set(f->group, KAMA_STR(""), KAMA_STR(""), NULL);
        assert_int_equal(kama_mget(f->group, &key, 1, NULL, &item), KAMA_OK);
        assert_int_equal(item.status, KAMA_ERR_OVERLOADED);
        kama_last_error(sentence, sizeof sentence);
        assert_string_equal(
            sentence, "group test: the loader returned KAMA_ERR_OVERLOADED "
                      "and gave no reason (key \"a\")");
        assert_int_equal(km_group_need_pool(f->group, &pool), KAMA_OK);
    }
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_beside_an_array),
        cmocka_unit_test(test_table_without_memory),
        cmocka_unit_test(test_equal_keys_are_one_load),
        cmocka_unit_test(test_equal_keys_are_one_load_on_a_pool),
        cmocka_unit_test(test_equal_keys_are_one_load_asynchronously),
        cmocka_unit_test(test_mget_says_why_an_item_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
