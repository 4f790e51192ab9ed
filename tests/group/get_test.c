/* SPDX-License-Identifier: MIT */
/* Synchronous calls of a group outside a node, on one thread: the answers of get,
 * set, del and clear, and the status that callers get for each answer of a
 * loader. */
#include "group/group_fixture.h"

/* A miss loads the key once, and the next get is answered from memory. */
static void test_get_loads_once(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(get_text(f->group, "tom", NULL, "value of tom"),
                         KAMA_OK);
    }
    kama_group_stats s = stats(f);
    assert_int_equal(s.gets, 3);
    assert_int_equal(s.hits, 2);
    assert_int_equal(s.misses, 1);
    assert_int_equal(s.loads, 1);
    assert_int_equal(s.loads_running, 0);
    assert_int_equal(s.entries, 1);
    assert_int_equal(s.pinned_bytes, 0);
    assert_string_equal(kama_group_name(f->group), "test");
    fixture_free(f);
}

/* A value is copied whole, or its length is returned if the buffer is too small or
 * empty. */
static void test_get_copy(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    char buf[64];
    size_t len = 0;
    (void)state;
    for (int i = 0; i < 2; i++) { /* loaded, then hit */
        kama_bytes key = i == 0 ? KAMA_STR("k") : KAMA_STR("k");
        assert_int_equal(kama_get_copy(f->group, key, NULL, NULL, 0, &len),
                         KAMA_ERR_TOO_SMALL);
        assert_int_equal(len, 10);
        assert_int_equal(kama_get_copy(f->group, key, NULL, buf, 9, &len),
                         KAMA_ERR_TOO_SMALL);
        assert_int_equal(kama_get_copy(f->group, key, NULL, buf, 10, &len),
                         KAMA_OK);
        assert_memory_equal(buf, "value of k", 10);
    }
    assert_int_equal(
        kama_get_copy(f->group, KAMA_STR("new"), NULL, buf, sizeof buf, &len),
        KAMA_OK);
    assert_int_equal(len, 12);
    fixture_free(f);
}

/* kama_try_get and KAMA_NO_LOAD look into memory only. */
static void test_memory_only(void **state)
{
    struct fixture *f = fixture_new();
    kama_value *value;
    kama_ctx ctx;
    (void)state;
    kama_ctx_init(&ctx);
    ctx.flags = KAMA_NO_LOAD;
    f->options.negative_ttl_ms = 1000;
    fixture_open(f);
    assert_int_equal(kama_try_get(f->group, KAMA_STR("k"), &value),
                     KAMA_WOULD_LOAD);
    assert_int_equal(get_text(f->group, "k", &ctx, ""), KAMA_WOULD_LOAD);
    atomic_store(&f->script.status, KAMA_MISS);
    assert_int_equal(get_text(f->group, "k", NULL, ""), KAMA_MISS);
    assert_int_equal(kama_try_get(f->group, KAMA_STR("k"), &value), KAMA_MISS);
    assert_int_equal(get_text(f->group, "k", &ctx, ""), KAMA_MISS);
    assert_int_equal(atomic_load(&f->script.calls), 1);
    assert_int_equal(stats(f).negative_hits, 2);
    assert_int_equal(kama_set(f->group, KAMA_STR("k"), KAMA_STR("v"), NULL),
                     KAMA_OK);
    assert_int_equal(kama_try_get(f->group, KAMA_STR("k"), &value), KAMA_OK);
    kama_value_unref(value);
    fixture_free(f);
}

/* A group may remember that a key does not exist, until a value is stored. */
static void test_absence_is_remembered_for_ever(void **state)
{
    struct fixture *f = fixture_new();
    (void)state;
    f->options.negative_ttl_ms = KAMA_TTL_FOREVER;
    fixture_open(f);
    atomic_store(&f->script.status, KAMA_MISS);
    assert_int_equal(get_text(f->group, "k", NULL, ""), KAMA_MISS);
    assert_int_equal(get_text(f->group, "k", NULL, ""), KAMA_MISS);
    assert_int_equal(atomic_load(&f->script.calls), 1);
    assert_int_equal(kama_set(f->group, KAMA_STR("k"), KAMA_STR("v"), NULL),
                     KAMA_OK);
    assert_int_equal(get_text(f->group, "k", NULL, "v"), KAMA_OK);
    fixture_free(f);
}

/* Gets of keys that are known not to exist have a counter of their own. */
static void test_negative_entries_are_counted_apart(void **state)
{
    struct fixture *f = fixture_new();
    (void)state;
    f->options.negative_ttl_ms = 60000;
    fixture_open(f);
    assert_int_equal(kama_set(f->group, KAMA_STR("here"), KAMA_STR("v"), NULL),
                     KAMA_OK);
    atomic_store(&f->script.status, KAMA_MISS);
    assert_int_equal(get_text(f->group, "a", NULL, ""), KAMA_MISS);
    assert_int_equal(get_text(f->group, "b", NULL, ""), KAMA_MISS);
    assert_int_equal(stats(f).entries, 1);
    assert_int_equal(stats(f).negative_entries, 2);
    assert_int_equal(kama_set(f->group, KAMA_STR("a"), KAMA_STR("v"), NULL),
                     KAMA_OK);
    assert_int_equal(kama_del(f->group, KAMA_STR("b"), NULL), KAMA_MISS);
    assert_int_equal(stats(f).entries, 2);
    assert_int_equal(stats(f).negative_entries, 0);
    assert_int_equal(get_text(f->group, "b", NULL, ""), KAMA_MISS);
    assert_int_equal(kama_group_clear(f->group), KAMA_OK);
    assert_int_equal(stats(f).entries, 0);
    assert_int_equal(stats(f).negative_entries, 0);
    fixture_free(f);
}

/* In a group without a loader, a get of an absent key is a miss. */
static void test_no_loader(void **state)
{
    struct fixture *f = fixture_new();
    kama_value *value;
    (void)state;
    f->options.loader = NULL;
    fixture_open(f);
    assert_int_equal(get_text(f->group, "k", NULL, ""), KAMA_MISS);
    assert_int_equal(kama_try_get(f->group, KAMA_STR("k"), &value), KAMA_MISS);
    assert_int_equal(kama_set(f->group, KAMA_STR("k"), KAMA_STR("v"), NULL),
                     KAMA_OK);
    assert_int_equal(get_text(f->group, "k", NULL, "v"), KAMA_OK);
    fixture_free(f);
}

static void test_set_del_clear(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    (void)state;
    assert_int_equal(
        kama_set(f->group, KAMA_STR("k"), KAMA_BYTES("\0\1", 2), NULL),
        KAMA_OK);
    assert_int_equal(kama_del(f->group, KAMA_STR("k"), NULL), KAMA_OK);
    assert_int_equal(kama_del(f->group, KAMA_STR("k"), NULL), KAMA_MISS);
    assert_int_equal(kama_set(f->group, KAMA_STR("a"), KAMA_STR(""), NULL),
                     KAMA_OK);
    assert_int_equal(get_text(f->group, "a", NULL, ""), KAMA_OK);
    assert_int_equal(kama_group_clear(f->group), KAMA_OK);
    assert_int_equal(stats(f).entries, 0);
    assert_int_equal(kama_del(f->group, KAMA_STR("a"), NULL), KAMA_MISS);
    kama_group_stats s = stats(f);
    assert_int_equal(s.sets, 2);
    assert_int_equal(s.dels, 3);
    assert_int_equal(s.clears, 1);
    fixture_free(f);
}

/* The status that a loader returns decides the caller's status, and no failure is
 * remembered. */
static void test_loader_statuses(void **state)
{
    static const struct {
        kama_status returned;
        kama_status answered;
    } cases[] = {{KAMA_MISS, KAMA_MISS},
                 {KAMA_ERR_TIMEOUT, KAMA_ERR_TIMEOUT},
                 {KAMA_ERR_TOO_LARGE, KAMA_ERR_TOO_LARGE},
                 {KAMA_ERR_NO_MEMORY, KAMA_ERR_NO_MEMORY},
                 {KAMA_ERR_OVERLOADED, KAMA_ERR_OVERLOADED},
                 {KAMA_ERR_CANCELLED, KAMA_ERR_CANCELLED},
                 {KAMA_ERR_INVALID, KAMA_ERR_INVALID},
                 {KAMA_ERR_PEER, KAMA_ERR_LOADER},
                 {KAMA_ERR_IO, KAMA_ERR_LOADER},
                 {KAMA_ERR_TRY_AGAIN, KAMA_ERR_LOADER},
                 {KAMA_WOULD_LOAD, KAMA_ERR_LOADER},
                 {KAMA_DEFERRED, KAMA_ERR_LOADER},
                 {(kama_status)12345, KAMA_ERR_LOADER}};
    struct fixture *f = fixture_open(fixture_new());
    unsigned n = sizeof cases / sizeof cases[0];
    (void)state;
    for (unsigned i = 0; i < n; i++) {
        atomic_store(&f->script.status, cases[i].returned);
        assert_int_equal(get_text(f->group, "k", NULL, ""), cases[i].answered);
        assert_int_equal(atomic_load(&f->script.calls), i + 1);
    }
    assert_int_equal(stats(f).loads_failed, n - 1);
    assert_int_equal(stats(f).loads_missed, 1);
    assert_int_equal(stats(f).entries, 0);
    fixture_free(f);
}

/* KAMA_OK without a value is an error of the loader. The sentence of the loader
 * becomes the caller's last error. */
static void test_loader_sentence(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    char sentence[256];
    (void)state;
    f->script.no_set = true;
    assert_int_equal(get_text(f->group, "k", NULL, ""), KAMA_ERR_LOADER);
    f->script.sentence = "the table is locked";
    atomic_store(&f->script.status, KAMA_ERR_IO);
    assert_int_equal(get_text(f->group, "k", NULL, ""), KAMA_ERR_LOADER);
    kama_last_error(sentence, sizeof sentence);
    assert_string_equal(sentence, "the table is locked");
    fixture_free(f);
}

static void expect_characters(const char *sentence, const char *start,
                              size_t characters)
{
    size_t len = strlen(start);
    assert_memory_equal(sentence, start, len);
    assert_true(strlen(sentence) >= len + 3 * characters);
    for (size_t i = 0; i < characters; i++) {
        assert_memory_equal(sentence + len + 3 * i, "\xe6\x97\xa5", 3);
    }
}

/* If a loader's sentence or a group's name is too long, whole characters are cut
 * off, and a loader cannot write a second line into a log. */
static void test_sentences_are_cut_at_a_character(void **state)
{
    struct fixture *f = fixture_new();
    char longer[400];
    char sentence[256];
    (void)state;
    for (size_t i = 0; i + 3 < sizeof longer; i += 3) {
        memcpy(longer + i, "\xe6\x97\xa5", 4);
    }
    char name[KM_GROUP_NAME_BYTES_MAX + 1];
    memcpy(name, longer, sizeof name);
    name[KM_GROUP_NAME_BYTES_MAX] = '\0';
    f->options.name = name;
    fixture_open(f);
    atomic_store(&f->script.status, KAMA_ERR_IO);
    assert_int_equal(get_text(f->group, "k", NULL, ""), KAMA_ERR_LOADER);
    kama_last_error(sentence, sizeof sentence);
    expect_characters(sentence, "group ", 20);
    assert_memory_equal(sentence + 6 + 60, "...: the loader", 15);
    memmove(longer + 2, longer, sizeof longer - 3);
    memcpy(longer, "ab", 2);
    f->script.sentence = longer;
    assert_int_equal(get_text(f->group, "k", NULL, ""), KAMA_ERR_LOADER);
    kama_last_error(sentence, sizeof sentence);
    expect_characters(sentence, "ab", 84);
    assert_int_equal(strlen(sentence), 254);
    f->script.sentence = "one\ntwo\x1b[31m";
    assert_int_equal(get_text(f->group, "k", NULL, ""), KAMA_ERR_LOADER);
    kama_last_error(sentence, sizeof sentence);
    assert_string_equal(sentence, "one\\ntwo\\x1b[31m");
    fixture_free(f);
}

/* A loaded value may be as long as the limit and no longer, and a wrong ttl is an
 * error of the loader. */
static void test_loader_limits(void **state)
{
    struct fixture *f = fixture_new();
    static char big[4097];
    (void)state;
    f->options.max_value_bytes = 4096;
    fixture_open(f);
    f->script.value = big;
    f->script.value_len = 4096;
    char out[4096];
    size_t len;
    assert_int_equal(
        kama_get_copy(f->group, KAMA_STR("fits"), NULL, out, sizeof out, &len),
        KAMA_OK);
    assert_int_equal(len, 4096);
    f->script.value_len = 4097;
    assert_int_equal(get_text(f->group, "large", NULL, ""), KAMA_ERR_TOO_LARGE);
    f->script.value_len = 0;
    assert_int_equal(get_text(f->group, "empty", NULL, ""), KAMA_OK);
    f->script.value_len = 1;
    f->script.ttl_ms = -2;
    assert_int_equal(get_text(f->group, "ttl", NULL, ""), KAMA_ERR_LOADER);
    f->script.ttl_ms = INT64_MAX;
    f->script.version = 99;
    kama_value *value;
    assert_int_equal(kama_get(f->group, KAMA_STR("ever"), NULL, &value),
                     KAMA_OK);
    assert_int_equal(kama_value_version(value), 99);
    assert_int_equal(kama_value_ttl_ms(value), KAMA_TTL_FOREVER);
    kama_value_unref(value);
    fixture_free(f);
}

/* A key may have from 1 byte to the limit; the empty key and one byte more are
 * refused. */
static void test_key_limits(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    static char key[KM_KEY_BYTES_MAX + 1];
    kama_value *value;
    (void)state;
    memset(key, 'k', sizeof key);
    f->script.value = "v";
    f->script.value_len = 1;
    assert_int_equal(kama_get(f->group, KAMA_BYTES(key, 0), NULL, &value),
                     KAMA_ERR_INVALID);
    assert_int_equal(kama_get(f->group, KAMA_BYTES(NULL, 1), NULL, &value),
                     KAMA_ERR_INVALID);
    assert_int_equal(kama_get(f->group, KAMA_BYTES("\0", 1), NULL, &value),
                     KAMA_OK);
    kama_value_unref(value);
    assert_int_equal(
        kama_get(f->group, KAMA_BYTES(key, KM_KEY_BYTES_MAX), NULL, &value),
        KAMA_OK);
    kama_value_unref(value);
    kama_bytes large = KAMA_BYTES(key, sizeof key);
    assert_int_equal(kama_get(f->group, large, NULL, &value),
                     KAMA_ERR_TOO_LARGE);
    assert_int_equal(kama_set(f->group, large, KAMA_STR("v"), NULL),
                     KAMA_ERR_TOO_LARGE);
    assert_int_equal(kama_del(f->group, large, NULL), KAMA_ERR_TOO_LARGE);
    assert_int_equal(kama_try_get(f->group, large, &value), KAMA_ERR_TOO_LARGE);
    fixture_free(f);
}

/* One mget answers good and bad keys, each by itself. */
static void test_mget_answers_bad_keys_beside_good_ones(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    static char large[KM_KEY_BYTES_MAX + 1];
    const kama_bytes keys[] = {KAMA_STR("a"), KAMA_BYTES(NULL, 5),
                               KAMA_BYTES("", 0),
                               KAMA_BYTES(large, sizeof large), KAMA_STR("a")};
    const kama_status want[] = {KAMA_OK, KAMA_ERR_INVALID, KAMA_ERR_INVALID,
                                KAMA_ERR_TOO_LARGE, KAMA_OK};
    kama_item items[5];
    (void)state;
    assert_int_equal(kama_set(f->group, KAMA_STR("a"), KAMA_STR("v"), NULL),
                     KAMA_OK);
    assert_int_equal(kama_mget(f->group, keys, 5, NULL, items), KAMA_OK);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(items[i].status, want[i]);
        kama_value_unref(items[i].value);
    }
    fixture_free(f);
}

/* A set accepts a value at the limit, and refuses a longer one, a wrong ttl and a
 * wrong context. */
static void test_set_limits(void **state)
{
    struct fixture *f = fixture_new();
    static char big[4097];
    kama_set_options options;
    kama_ctx ctx;
    (void)state;
    f->options.max_value_bytes = 4096;
    fixture_open(f);
    kama_bytes key = KAMA_STR("k");
    assert_int_equal(kama_set(f->group, key, KAMA_BYTES(big, 4096), NULL),
                     KAMA_OK);
    assert_int_equal(kama_set(f->group, key, KAMA_BYTES(big, 4097), NULL),
                     KAMA_ERR_TOO_LARGE);
    assert_int_equal(kama_set(f->group, key, KAMA_BYTES(NULL, 4), NULL),
                     KAMA_ERR_INVALID);
    kama_set_options_init(&options);
    options.ttl_ms = -2;
    assert_int_equal(kama_set(f->group, key, KAMA_STR("v"), &options),
                     KAMA_ERR_INVALID);
    options.ttl_ms = 1000;
    assert_int_equal(kama_set(f->group, key, KAMA_STR("v"), &options), KAMA_OK);
    kama_value *value;
    assert_int_equal(kama_get(f->group, key, NULL, &value), KAMA_OK);
    assert_true(kama_value_ttl_ms(value) > 0);
    assert_true(kama_value_ttl_ms(value) <= 1000);
    kama_value_unref(value);
    kama_ctx_init(&ctx);
    ctx.flags = 4;
    options.ctx = &ctx;
    assert_int_equal(kama_set(f->group, key, KAMA_STR("v"), &options),
                     KAMA_ERR_INVALID);
    memset(&options, 0, sizeof options);
    assert_int_equal(kama_set(f->group, key, KAMA_STR("v"), &options),
                     KAMA_ERR_INVALID);
    assert_int_equal(kama_del(f->group, key, &ctx), KAMA_ERR_INVALID);
    fixture_free(f);
}

/* A loader may get another key of its group, and gets a typed error for its own. */
static kama_group *nested_group;

static kama_status nested_load(void *arg, const kama_load *req, kama_sink *out)
{
    kama_status *own = arg;
    kama_value *value;
    char inner[8];
    int n = ((const char *)req->key.data)[0] - '0';
    if (n == 0) {
        *own = kama_get(nested_group, req->key, NULL, &value);
        return kama_sink_set(out, KAMA_STR("bottom"), NULL);
    }
    (void)snprintf(inner, sizeof inner, "%d", n - 1);
    kama_status st = kama_get(nested_group, KAMA_STR(inner), NULL, &value);
    if (st != KAMA_OK) {
        return st;
    }
    st = kama_sink_set(out, kama_value_bytes(value), NULL);
    kama_value_unref(value);
    return st;
}

static void test_reentrance(void **state)
{
    struct fixture *f = fixture_new();
    kama_status own = KAMA_OK;
    (void)state;
    f->options.loader = nested_load;
    f->options.loader_arg = &own;
    f->options.loader_free = NULL;
    f->options.loader_concurrency = 1; /* one thread, one slot */
    fixture_open(f);
    nested_group = f->group;
    assert_int_equal(get_text(f->group, "5", NULL, "bottom"), KAMA_OK);
    assert_int_equal(own, KAMA_ERR_REENTRANT);
    assert_int_equal(stats(f).entries, 6);
    atomic_store(&f->script.frees, 1);
    fixture_free(f);
}

/* Each key of an mget has its own answer. A key may be given twice, and there may
 * be no key at all. */
static void test_mget(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    static char large[KM_KEY_BYTES_MAX + 1];
    kama_bytes keys[4] = {KAMA_STR("a"), KAMA_STR("b"), KAMA_STR("a"),
                          KAMA_BYTES(large, sizeof large)};
    kama_item items[4];
    (void)state;
    assert_int_equal(kama_mget(f->group, keys, 4, NULL, items), KAMA_OK);
    assert_int_equal(items[0].status, KAMA_OK);
    assert_int_equal(items[1].status, KAMA_OK);
    assert_int_equal(kama_value_bytes(items[2].value).len,
                     kama_value_bytes(items[0].value).len);
    assert_int_equal(items[3].status, KAMA_ERR_TOO_LARGE);
    assert_null(items[3].value);
    kama_items_unref(items, 4);
    assert_null(items[0].value);
    assert_int_equal(kama_mget(f->group, NULL, 0, NULL, NULL), KAMA_OK);
    assert_int_equal(
        kama_mget(f->group, keys, KM_MGET_KEYS_MAX + 1, NULL, items),
        KAMA_ERR_TOO_LARGE);
    assert_int_equal(atomic_load(&f->script.calls), 2);
    fixture_free(f);
}

/* Jitter shortens each ttl by at most its percentage, and not all ttls alike. */
static void test_ttl_jitter(void **state)
{
    struct fixture *f = fixture_new();
    bool different = false;
    int64_t first = 0;
    (void)state;
    f->options.ttl_ms = 100000;
    f->options.ttl_jitter = 50;
    fixture_open(f);
    for (int i = 0; i < 100; i++) {
        char key[16];
        kama_value *value;
        (void)snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(kama_get(f->group, kama_bytes_str(key), NULL, &value),
                         KAMA_OK);
        int64_t ttl = kama_value_ttl_ms(value);
        assert_true(ttl > 45000 && ttl <= 100000);
        first = i == 0 ? ttl : first;
        different = different || ttl / 1000 != first / 1000;
        kama_value_unref(value);
    }
    assert_true(different);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_loads_once),
        cmocka_unit_test(test_get_copy),
        cmocka_unit_test(test_memory_only),
        cmocka_unit_test(test_absence_is_remembered_for_ever),
        cmocka_unit_test(test_negative_entries_are_counted_apart),
        cmocka_unit_test(test_no_loader),
        cmocka_unit_test(test_set_del_clear),
        cmocka_unit_test(test_loader_statuses),
        cmocka_unit_test(test_loader_sentence),
        cmocka_unit_test(test_sentences_are_cut_at_a_character),
        cmocka_unit_test(test_loader_limits),
        cmocka_unit_test(test_key_limits),
        cmocka_unit_test(test_mget_answers_bad_keys_beside_good_ones),
        cmocka_unit_test(test_set_limits),
        cmocka_unit_test(test_reentrance),
        cmocka_unit_test(test_mget),
        cmocka_unit_test(test_ttl_jitter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
