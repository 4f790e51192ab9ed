/* SPDX-License-Identifier: MIT */
/*
 * The answers of kama_mset, kama_mdel, kama_touch, kama_exists and kama_ttl. None
 * of them loads, and a call that returns an error changes nothing.
 */
#include "group/group_fixture.h"
#include "helpers/draw.h"
#include "helpers/failmalloc.h"
#include "store/fake_clock.h"

/* A group on a clock that the test moves; its loader says "does not exist". */
struct timed {
    struct fixture *f;
    struct fake_clock clock;
};

static struct timed *timed_new(void)
{
    struct timed *t = test_calloc(1, sizeof *t);
    const struct km_group_env env = {.clock = &t->clock.clock};
    fake_clock_init(&t->clock);
    t->f = fixture_new();
    t->f->options.ttl_ms = 5000;
    t->f->options.negative_ttl_ms = 60000;
    atomic_store(&t->f->script.status, KAMA_MISS);
    assert_int_equal(km_group_new(&t->f->options, &env, &t->f->group), KAMA_OK);
    return t;
}

/* Asserts how often the loader was called, and ends the fixture. */
static void timed_free(struct timed *t, unsigned loads)
{
    assert_int_equal(atomic_load(&t->f->script.calls), loads);
    fixture_free(t->f);
    test_free(t);
}

static void set(struct timed *t, const char *key, int64_t ttl_ms)
{
    fixture_set(t->f, key, ttl_ms);
}

static kama_status exists(struct timed *t, const char *key)
{
    return kama_exists(t->f->group, kama_bytes_str(key), NULL);
}

/* Returns the remaining time to live, or the status if there is none. */
static int64_t ttl(struct timed *t, const char *key)
{
    int64_t left = -77;
    kama_status st = kama_ttl(t->f->group, kama_bytes_str(key), NULL, &left);
    if (st != KAMA_OK) {
        assert_int_equal(left, -77);
        return -1000 - (int64_t)st;
    }
    return left;
}

#define MISS (-1000 - (int64_t)KAMA_MISS)

static kama_status touch(struct timed *t, const char *key, int64_t ttl_ms)
{
    return kama_touch(t->f->group, kama_bytes_str(key), ttl_ms, NULL);
}

static void test_exists_and_ttl(void **state)
{
    struct timed *t = timed_new();
    (void)state;
    set(t, "group's", 0);
    set(t, "own", 100);
    set(t, "forever", KAMA_TTL_FOREVER);
    assert_int_equal(exists(t, "own"), KAMA_OK);
    assert_int_equal(exists(t, "absent"), KAMA_MISS);
    assert_int_equal(ttl(t, "group's"), 5000);
    assert_int_equal(ttl(t, "own"), 100);
    assert_int_equal(ttl(t, "forever"), KAMA_TTL_FOREVER);
    assert_int_equal(ttl(t, "absent"), MISS);
    fake_clock_add_ms(&t->clock, 99);
    assert_int_equal(ttl(t, "own"), 1);
    fake_clock_add_ms(&t->clock, 1);
    assert_int_equal(exists(t, "own"), KAMA_MISS);
    assert_int_equal(ttl(t, "own"), MISS);
    kama_group_stats s = stats(t->f);
    assert_int_equal(s.gets, 0);
    assert_int_equal(s.entries, 2);
    timed_free(t, 0);
}

static void test_touch(void **state)
{
    struct timed *t = timed_new();
    (void)state;
    set(t, "k", 100);
    assert_int_equal(touch(t, "k", 700), KAMA_OK);
    assert_int_equal(ttl(t, "k"), 700);
    assert_int_equal(touch(t, "k", 0), KAMA_OK);
    assert_int_equal(ttl(t, "k"), 5000);
    assert_int_equal(touch(t, "k", KAMA_TTL_FOREVER), KAMA_OK);
    assert_int_equal(ttl(t, "k"), KAMA_TTL_FOREVER);
    assert_int_equal(touch(t, "k", -2), KAMA_ERR_INVALID);
    assert_int_equal(ttl(t, "k"), KAMA_TTL_FOREVER);
    assert_int_equal(touch(t, "k", 50), KAMA_OK);
    assert_int_equal(get_text(t->f->group, "k", NULL, "v"), KAMA_OK);
    fake_clock_add_ms(&t->clock, 50);
    assert_int_equal(touch(t, "k", 50), KAMA_MISS);
    assert_int_equal(touch(t, "absent", 50), KAMA_MISS);
    timed_free(t, 0);
}

/* A key that is known not to exist is absent for each of these calls. */
static void test_negative_entries_are_misses(void **state)
{
    struct timed *t = timed_new();
    kama_bytes key = KAMA_STR("none");
    kama_status removed;
    (void)state;
    assert_int_equal(get_text(t->f->group, "none", NULL, ""), KAMA_MISS);
    assert_int_equal(stats(t->f).negative_entries, 1);
    assert_int_equal(exists(t, "none"), KAMA_MISS);
    assert_int_equal(ttl(t, "none"), MISS);
    assert_int_equal(touch(t, "none", 50), KAMA_MISS);
    assert_int_equal(stats(t->f).negative_entries, 1);
    assert_int_equal(kama_mdel(t->f->group, &key, 1, NULL, &removed), KAMA_OK);
    assert_int_equal(removed, KAMA_MISS);
    assert_int_equal(stats(t->f).negative_entries, 0);
    timed_free(t, 1);
}

static void test_mset_and_mdel(void **state)
{
    struct timed *t = timed_new();
    const kama_set_item items[4] = {
        {KAMA_STR("a"), KAMA_STR("1"), 0},
        {KAMA_STR("b"), KAMA_STR(""), 70},
        {KAMA_STR("a"), KAMA_STR("2"), 80},
        {KAMA_STR("c"), KAMA_STR("3"), KAMA_TTL_FOREVER}};
    const kama_bytes keys[4] = {KAMA_STR("a"), KAMA_STR("x"), KAMA_STR("b"),
                                KAMA_STR("a")};
    kama_status statuses[4] = {KAMA_ERR_IO, KAMA_ERR_IO, KAMA_ERR_IO,
                               KAMA_ERR_IO};
    (void)state;
    assert_int_equal(kama_mset(t->f->group, items, 4, NULL, statuses), KAMA_OK);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(statuses[i], KAMA_OK);
    }
    assert_int_equal(get_text(t->f->group, "a", NULL, "2"), KAMA_OK);
    assert_int_equal(get_text(t->f->group, "b", NULL, ""), KAMA_OK);
    assert_int_equal(ttl(t, "a"), 80);
    assert_int_equal(ttl(t, "b"), 70);
    assert_int_equal(ttl(t, "c"), KAMA_TTL_FOREVER);
    assert_int_equal(stats(t->f).sets, 4);
    assert_int_equal(kama_mdel(t->f->group, keys, 4, NULL, statuses), KAMA_OK);
    assert_int_equal(statuses[0], KAMA_OK);
    assert_int_equal(statuses[1], KAMA_MISS);
    assert_int_equal(statuses[2], KAMA_OK);
    assert_int_equal(statuses[3], KAMA_MISS);
    assert_int_equal(stats(t->f).dels, 4);
    assert_int_equal(stats(t->f).entries, 1);
    assert_int_equal(kama_mdel(t->f->group, keys, 4, NULL, NULL), KAMA_OK);
    assert_int_equal(kama_mset(t->f->group, NULL, 0, NULL, NULL), KAMA_OK);
    assert_int_equal(kama_mdel(t->f->group, NULL, 0, NULL, NULL), KAMA_OK);
    timed_free(t, 0);
}

static void expect_refused(kama_status st, kama_status expected,
                           const char *sentence)
{
    char said[256];
    kama_last_error(said, sizeof said);
    assert_int_equal(st, expected);
    assert_string_equal(said, sentence);
}

/* If an item is invalid, the call is refused, the sentence names its index, and the
 * items before it are not stored. */
static void test_an_error_changes_nothing(void **state)
{
    struct timed *t = timed_new();
    static char large[KM_KEY_BYTES_MAX + 1];
    kama_set_item items[2] = {{KAMA_STR("a"), KAMA_STR("1"), 0},
                              {KAMA_STR(""), KAMA_STR("2"), 0}};
    kama_bytes keys[2] = {KAMA_STR("k"), KAMA_BYTES(large, sizeof large)};
    kama_status statuses[2] = {KAMA_ERR_IO, KAMA_ERR_IO};
    kama_group *g = t->f->group;
    kama_ctx ctx;
    (void)state;
    set(t, "k", 0);
    expect_refused(kama_mset(g, items, 2, NULL, statuses), KAMA_ERR_INVALID,
                   "mset: item 1: key: 0 bytes, at least 1");
    items[1].key = KAMA_BYTES(NULL, 3);
    expect_refused(kama_mset(g, items, 2, NULL, statuses), KAMA_ERR_INVALID,
                   "mset: item 1: key: 3 bytes at NULL");
    items[1].key = KAMA_STR("b");
    items[1].ttl_ms = -2;
    expect_refused(kama_mset(g, items, 2, NULL, statuses), KAMA_ERR_INVALID,
                   "mset: item 1: ttl_ms: -2 is neither > 0, 0 nor -1");
    items[1].ttl_ms = 0;
    items[1].value = KAMA_BYTES(large, (size_t)1 << 30);
    expect_refused(kama_mset(g, items, 2, NULL, statuses), KAMA_ERR_TOO_LARGE,
                   "mset: item 1: value: 1073741824 bytes, max_value_bytes is "
                   "1048576");
    expect_refused(kama_mset(g, items, KM_MGET_KEYS_MAX + 1, NULL, statuses),
                   KAMA_ERR_TOO_LARGE, "mset: 65537 items, at most 65536");
    expect_refused(kama_mset(g, NULL, 1, NULL, statuses), KAMA_ERR_INVALID,
                   "mset: items are NULL");
    expect_refused(kama_mset(g, items, 1, NULL, NULL), KAMA_ERR_INVALID,
                   "mset: ret_statuses is NULL");
    expect_refused(kama_mdel(g, keys, 2, NULL, statuses), KAMA_ERR_TOO_LARGE,
                   "mdel: item 1: key: 4097 bytes, at most 4096");
    kama_ctx_init(&ctx);
    ctx.flags = 64;
    assert_int_equal(kama_mset(g, items, 1, &ctx, statuses), KAMA_ERR_INVALID);
    assert_int_equal(kama_mdel(g, keys, 1, &ctx, statuses), KAMA_ERR_INVALID);
    assert_int_equal(kama_touch(g, keys[0], 5, &ctx), KAMA_ERR_INVALID);
    assert_int_equal(kama_exists(g, keys[0], &ctx), KAMA_ERR_INVALID);
    assert_int_equal(kama_touch(g, keys[1], 5, NULL), KAMA_ERR_TOO_LARGE);
    assert_int_equal(kama_exists(g, KAMA_STR(""), NULL), KAMA_ERR_INVALID);
    assert_int_equal(statuses[0], KAMA_ERR_IO);
    assert_int_equal(exists(t, "a"), KAMA_MISS);
    assert_int_equal(ttl(t, "k"), 5000);
    timed_free(t, 0);
}

/* A call may have as many items as the limit says. */
static void test_the_most_items(void **state)
{
    struct timed *t = timed_new();
    kama_set_item *items = test_calloc(KM_MGET_KEYS_MAX, sizeof *items);
    kama_bytes *keys = test_calloc(KM_MGET_KEYS_MAX, sizeof *keys);
    kama_status *statuses = test_calloc(KM_MGET_KEYS_MAX, sizeof *statuses);
    char(*names)[16] = test_calloc(KM_MGET_KEYS_MAX, sizeof *names);
    unsigned removed = 0;
    (void)state;
    for (unsigned i = 0; i < KM_MGET_KEYS_MAX; i++) {
        (void)snprintf(names[i], sizeof names[i], "%u", i);
        keys[i] = kama_bytes_str(names[i]);
        items[i] = (kama_set_item){keys[i], keys[i], 0};
    }
    assert_int_equal(
        kama_mset(t->f->group, items, KM_MGET_KEYS_MAX, NULL, statuses),
        KAMA_OK);
    assert_int_equal(stats(t->f).entries, KM_MGET_KEYS_MAX);
    assert_int_equal(
        kama_mdel(t->f->group, keys, KM_MGET_KEYS_MAX, NULL, statuses),
        KAMA_OK);
    for (unsigned i = 0; i < KM_MGET_KEYS_MAX; i++) {
        removed += statuses[i] == KAMA_OK;
    }
    assert_int_equal(removed, KM_MGET_KEYS_MAX);
    test_free(items);
    test_free(keys);
    test_free(statuses);
    test_free(names);
    timed_free(t, 0);
}

/* Mutations win over a load that is running. A touch of an absent key is no
 * mutation. */
static void test_loads_in_flight(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    const kama_set_item item = {KAMA_STR("k"), KAMA_STR("set"), 0};
    kama_bytes key = KAMA_STR("k");
    kama_status status;
    struct caller leader;
    (void)state;
    for (int round = 0; round < 3; round++) {
        gate_close(&f->script.gate);
        unsigned arrived = f->script.gate.arrived;
        caller_start(&leader, f->group, "k", 0);
        gate_await(&f->script.gate, arrived + 1);
        if (round == 0) {
            assert_int_equal(kama_touch(f->group, key, 50, NULL), KAMA_MISS);
            assert_int_equal(kama_exists(f->group, key, NULL), KAMA_MISS);
        } else if (round == 1) {
            assert_int_equal(kama_mset(f->group, &item, 1, NULL, &status),
                             KAMA_OK);
            assert_int_equal(kama_touch(f->group, key, 50000, NULL), KAMA_OK);
        } else {
            assert_int_equal(kama_mdel(f->group, &key, 1, NULL, &status),
                             KAMA_OK);
            assert_int_equal(status, KAMA_MISS);
        }
        gate_open(&f->script.gate);
        assert_int_equal(caller_join(&leader), KAMA_OK);
        assert_string_equal(leader.text, "value of k");
        int64_t left = 0;
        kama_status st = kama_ttl(f->group, key, NULL, &left);
        assert_int_equal(st, round == 2 ? KAMA_MISS : KAMA_OK);
        if (round == 1) {
            assert_int_equal(get_text(f->group, "k", NULL, "set"), KAMA_OK);
            assert_true(left > 0 && left <= 50000);
        }
        assert_int_equal(kama_group_clear(f->group), KAMA_OK);
    }
    fixture_free(f);
}

/* -- without memory -------------------------------------------------------- */

static kama_status use_all(const kama_allocator *mem, void *arg)
{
    const kama_set_item items[2] = {{KAMA_STR("a"), KAMA_STR("1"), 0},
                                    {KAMA_STR("b"), KAMA_STR("2"), 50000}};
    const kama_bytes keys[2] = {KAMA_STR("a"), KAMA_STR("b")};
    kama_group_options options;
    kama_group *group;
    kama_status statuses[2];
    int64_t left;
    (void)arg;
    kama_group_options_init(&options);
    options.allocator = mem;
    kama_status st = kama_group_new(&options, &group);
    if (st != KAMA_OK) {
        return st;
    }
    assert_int_equal(kama_mset(group, items, 2, NULL, statuses), KAMA_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kama_exists(group, keys[i], NULL),
                         statuses[i] == KAMA_OK ? KAMA_OK : KAMA_MISS);
        st = statuses[i] != KAMA_OK ? statuses[i] : st;
    }
    if (st == KAMA_OK) {
        st = kama_touch(group, keys[1], 70000, NULL);
        assert_int_equal(kama_ttl(group, keys[1], NULL, &left), KAMA_OK);
        assert_true(st == KAMA_OK ? left > 50000 : left <= 50000);
    }
    assert_int_equal(kama_mdel(group, keys, 2, NULL, statuses), KAMA_OK);
    kama_group_free(group);
    return st;
}

static void test_no_memory(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(use_all, NULL) >= 6);
}

/* -- threads ---------------------------------------------------------------- */

enum { THREADS = 6, STEPS = 3000, KEYS = 8 };

struct worker {
    pthread_t thread;
    kama_group *group;
    uint64_t random;
};

static void step(struct worker *w, const kama_bytes *keys)
{
    const kama_set_item items[2] = {{keys[0], keys[0], draw(&w->random, 3)},
                                    {keys[1], keys[1], KAMA_TTL_FOREVER}};
    kama_status statuses[2];
    kama_status st = KAMA_OK;
    kama_value *value;
    int64_t left;
    switch (draw(&w->random, 6)) {
    case 0:
        st = kama_mset(w->group, items, 2, NULL, statuses);
        break;
    case 1:
        st = kama_mdel(w->group, keys, 2, NULL, statuses);
        break;
    case 2:
        st = kama_touch(w->group, keys[0], 1 + draw(&w->random, 3), NULL);
        break;
    case 3:
        st = kama_exists(w->group, keys[0], NULL);
        break;
    case 4:
        st = kama_ttl(w->group, keys[0], NULL, &left);
        assert_true(st != KAMA_OK || left == KAMA_TTL_FOREVER || left > 0);
        break;
    default:
        st = kama_get(w->group, keys[0], NULL, &value);
        if (st == KAMA_OK) {
            (void)kama_value_ttl_ms(value);
            assert_int_equal(kama_value_bytes(value).len, keys[0].len);
            kama_value_unref(value);
        }
    }
    assert_true(st == KAMA_OK || st == KAMA_MISS);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; i < STEPS; i++) {
        char names[2][16];
        kama_bytes keys[2];
        for (int k = 0; k < 2; k++) {
            (void)snprintf(names[k], sizeof names[k], "%u",
                           draw(&w->random, KEYS));
            keys[k] = kama_bytes_str(names[k]);
        }
        step(w, keys);
    }
    return NULL;
}

static kama_status load_key(void *arg, const kama_load *req, kama_sink *out)
{
    (void)arg;
    return kama_sink_set(out, req->key, NULL);
}

static void test_threads(void **state)
{
    struct fixture *f = fixture_new();
    struct worker workers[THREADS];
    (void)state;
    f->options.loader = load_key;
    f->options.ttl_ms = 2;
    fixture_open(f);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].group = f->group;
        workers[i].random = i + 1;
        assert_int_equal(
            pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pthread_join(workers[i].thread, NULL);
    }
    assert_int_equal(stats(f).pinned_bytes, 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exists_and_ttl),
        cmocka_unit_test(test_touch),
        cmocka_unit_test(test_negative_entries_are_misses),
        cmocka_unit_test(test_mset_and_mdel),
        cmocka_unit_test(test_an_error_changes_nothing),
        cmocka_unit_test(test_the_most_items),
        cmocka_unit_test(test_loads_in_flight),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
