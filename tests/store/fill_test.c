/* SPDX-License-Identifier: MIT */
/*
 * Fills and mutations in every order: a mutation between begin and commit
 * wins, and a mutation before or after them has its usual effect.
 */
#include "store/store_fixture.h"

#define MIB (1u << 20)

/* A fill of "k" and the item that it would store. */
struct pending {
    struct km_fill fill;
    kama_value *item;
};

static void begin(struct fixture *f, struct pending *p, const char *key)
{
    kama_value *found = NULL;
    kama_bytes k = kama_bytes_str(key);
    struct km_item_spec spec = {.key = k, .value = KAMA_STR("loaded")};
    p->fill.adoption = 0;
    p->fill.purpose = KM_FILL_TO_KEEP;
    assert_int_equal(km_store_fill_begin(f->store, &p->fill,
                                         km_store_hash(f->store, k), k, &found),
                     KAMA_WOULD_LOAD);
    p->item = km_store_item_new(f->store, &spec);
    assert_non_null(p->item);
    km_store_check(f->store);
}

static bool commit(struct fixture *f, struct pending *p)
{
    bool kept = km_store_fill_commit(f->store, &p->fill, p->item);
    kama_value_unref(p->item);
    km_store_check(f->store);
    return kept;
}

static void assert_value(struct fixture *f, const char *key, const char *want)
{
    kama_value *value;
    if (want == NULL) {
        assert_int_equal(get(f, kama_bytes_str(key), &value), KAMA_WOULD_LOAD);
        return;
    }
    assert_int_equal(get(f, kama_bytes_str(key), &value), KAMA_OK);
    assert_int_equal(kama_value_bytes(value).len, strlen(want));
    assert_memory_equal(kama_value_bytes(value).data, want, strlen(want));
    kama_value_unref(value);
}

/* Without a mutation in between, the result is kept, and a later begin finds
 * it. */
static void test_commit_keeps(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    struct pending p;
    struct km_fill second = {0};
    kama_value *found = NULL;
    (void)state;
    begin(f, &p, "k");
    assert_true(commit(f, &p));
    assert_int_equal(stats(f).pinned_bytes, 0);
    assert_value(f, "k", "loaded");
    assert_int_equal(km_store_fill_begin(f->store, &second,
                                         km_store_hash(f->store, KAMA_STR("k")),
                                         KAMA_STR("k"), &found),
                     KAMA_OK);
    kama_value_unref(found);
    fixture_free(f, 0);
}

static void set_other(struct fixture *f)
{
    assert_int_equal(put(f, KAMA_STR("other"), KAMA_STR("x")), KAMA_OK);
}

static void set_key(struct fixture *f)
{
    assert_int_equal(put(f, KAMA_STR("k"), KAMA_STR("set")), KAMA_OK);
}

static void del_key(struct fixture *f)
{
    (void)del(f, KAMA_STR("k"));
}

static void set_del_key(struct fixture *f)
{
    set_key(f);
    del_key(f);
}

static void clear_all(struct fixture *f)
{
    km_store_clear(f->store);
}

/* Each mutation runs before begin, between begin and commit, and after
 * commit. */
static void test_interleavings(void **state)
{
    static const struct {
        void (*mutate)(struct fixture *f);
        bool kept_between;
        const char *between; /* the value at the end, or NULL */
        const char *after;
    } cases[] = {{set_other, true, "loaded", "loaded"},
                 {set_key, false, "set", "set"},
                 {del_key, false, NULL, NULL},
                 {set_del_key, false, NULL, NULL},
                 {clear_all, false, NULL, NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
        struct pending p;
        begin(f, &p, "k");
        assert_false(km_fill_overtaken(&p.fill));
        cases[i].mutate(f);
        assert_int_equal(km_fill_overtaken(&p.fill), !cases[i].kept_between);
        assert_int_equal(commit(f, &p), cases[i].kept_between);
        assert_value(f, "k", cases[i].between);
        km_store_clear(f->store);
        begin(f, &p, "k");
        assert_true(commit(f, &p));
        cases[i].mutate(f);
        assert_value(f, "k", cases[i].after);
        km_store_check(f->store);
        fixture_free(f, 0);
    }
}

/* Two fills of one key, the second of which began after the del, end
 * independently. */
static void test_second_fill_after_del(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    struct pending first, second;
    (void)state;
    begin(f, &first, "k");
    del_key(f);
    begin(f, &second, "k");
    assert_true(km_fill_overtaken(&first.fill));
    assert_false(km_fill_overtaken(&second.fill));
    assert_true(commit(f, &second));
    assert_false(commit(f, &first));
    assert_value(f, "k", "loaded");
    fixture_free(f, 0);
}

/* Cancel may be called twice and leaves nothing behind. */
static void test_cancel(void **state)
{
    struct fixture *f = fixture_new(MIB, &km_policy_s3fifo);
    struct pending p;
    (void)state;
    begin(f, &p, "k");
    km_store_fill_cancel(f->store, &p.fill);
    km_store_fill_cancel(f->store, &p.fill);
    kama_value_unref(p.item);
    del_key(f);
    assert_false(km_fill_overtaken(&p.fill));
    fixture_free(f, 0);
}

/* Many fills are pending at once, in a store of many shards. */
static void test_many(void **state)
{
    struct fixture *f = fixture_new(64 * MIB, &km_policy_s3fifo);
    enum { COUNT = 2000 };
    struct pending *all = test_calloc(COUNT, sizeof *all);
    char(*keys)[32] = test_calloc(COUNT, sizeof *keys);
    unsigned kept = 0;
    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        (void)number_key(keys[i], i);
        begin(f, &all[i], keys[i]);
    }
    for (unsigned i = 0; i < COUNT; i += 2) {
        (void)del(f, kama_bytes_str(keys[i]));
    }
    for (unsigned i = 0; i < COUNT; i++) {
        kept += commit(f, &all[i]);
    }
    assert_int_equal(kept, COUNT / 2);
    km_store_check(f->store);
    test_free(keys);
    test_free(all);
    fixture_free(f, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commit_keeps),
        cmocka_unit_test(test_interleavings),
        cmocka_unit_test(test_second_fill_after_del),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
