/* SPDX-License-Identifier: MIT */
/* kama_scan: globs, calls that are bounded, and callbacks that stop the scan or use
 * the group. */
#include "group/group_fixture.h"

#include "group/group_internal.h"
#include "store/store_scan.h"

enum { KEYS = 5000 };

struct scan {
    kama_group *group;
    unsigned seen;
    unsigned calls;
    unsigned stop_every; /* 0: never */
    bool mutates;
};

static int on_entry(void *arg, const kama_entry *entry)
{
    struct scan *s = arg;
    assert_int_equal(entry->struct_size, sizeof *entry);
    assert_int_equal(entry->value_bytes, 5);
    s->seen++;
    if (s->mutates) {
        assert_int_equal(kama_del(s->group, entry->key, NULL), KAMA_OK);
    }
    return s->stop_every != 0 && s->seen % s->stop_every == 0;
}

static void fill(kama_group *group)
{
    char key[32];
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "%s:%u", i % 5 == 0 ? "five" : "key",
                       i);
        assert_int_equal(
            kama_set(group, kama_bytes_str(key), KAMA_STR("value"), NULL),
            KAMA_OK);
    }
}

static void scan_all(struct scan *s, const char *glob)
{
    uint64_t cursor = 0;
    do {
        unsigned before = s->seen;
        assert_int_equal(
            kama_scan(s->group, &cursor, kama_bytes_str(glob), on_entry, s),
            KAMA_OK);
        assert_true(s->seen - before <= KM_SCAN_ENTRIES_PER_CALL + 64);
        s->calls++;
    } while (cursor != 0);
}

static void test_scan(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    (void)state;
    fill(f->group);
    static const struct {
        const char *glob;
        unsigned count;
        unsigned stop_every;
    } cases[] = {{"", KEYS, 0},         {"*", KEYS, 0}, {"five:*", 1000, 0},
                 {"key:1", 1, 0},       {"no*", 0, 0},  {"", KEYS, 1},
                 {"[fk]*:???", 900, 0}, {"", KEYS, 7}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scan s = {.group = f->group, .stop_every = cases[i].stop_every};
        scan_all(&s, cases[i].glob);
        assert_int_equal(s.seen, cases[i].count);
        assert_true(s.calls >= KEYS / (KM_SCAN_ENTRIES_PER_CALL + 64));
    }
    fixture_free(f);
}

/* The callback may change the group, because no lock is held. */
static void test_mutating_callback(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct scan s = {.group = f->group, .mutates = true};
    (void)state;
    fill(f->group);
    scan_all(&s, "*");
    assert_int_equal(s.seen, KEYS);
    assert_int_equal(stats(f).entries, 0);
    fixture_free(f);
}

/* Long keys that almost match a long glob are compared at every place: a call
 * takes few of them, and all calls together take every one, once. */
static void test_long_globs(void **state)
{
    enum { LONG_KEYS = 100, KEY_BYTES = 4000, GLOB_BYTES = 1000 };
    struct fixture *f = fixture_open(fixture_new());
    static char key[KEY_BYTES + 1];
    static char glob[GLOB_BYTES + 3];
    (void)state;
    for (unsigned i = 0; i < LONG_KEYS; i++) {
        memset(key, 'a', KEY_BYTES);
        (void)snprintf(key, sizeof key, "%u", i);
        key[strlen(key)] = 'a';
        assert_int_equal(
            kama_set(f->group, kama_bytes_str(key), KAMA_STR("value"), NULL),
            KAMA_OK);
    }
    memset(glob, 'a', GLOB_BYTES);
    glob[0] = '*';
    struct scan hits = {.group = f->group};
    scan_all(&hits, glob);
    assert_int_equal(hits.seen, LONG_KEYS);
    glob[GLOB_BYTES] = 'b';
    struct scan s = {.group = f->group};
    scan_all(&s, glob);
    assert_int_equal(s.seen, 0);
    assert_true(s.calls >= (uint64_t)LONG_KEYS * KEY_BYTES * GLOB_BYTES /
                               KM_SCAN_COMPARED_PER_CALL / 4);
    fixture_free(f);
}

/* Returns whether the cursor is the place of an entry in the store. */
static bool is_a_place(kama_group *group, uint64_t cursor)
{
    uint64_t at = 0;
    kama_value *item;
    bool found = false;
    do {
        if (km_store_scan(group->store, &at, &item, 1) == 1) {
            found |= km_store_position(group->store, item) == cursor;
            kama_value_unref(item);
        }
        found |= at != 0 && at == cursor;
    } while (at != 0);
    return found;
}

/* A cursor says nothing about the hash of a key, not even to its owner. */
static void test_cursor_hides_the_hash(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct scan s = {.group = f->group, .stop_every = 1};
    uint64_t cursor = 0;
    (void)state;
    fill(f->group);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(
            kama_scan(f->group, &cursor, KAMA_STR(""), on_entry, &s), KAMA_OK);
        assert_int_not_equal(cursor, 0);
        assert_false(is_a_place(f->group, cursor));
        assert_true(is_a_place(f->group,
                               km_permute_inverse(&f->group->permute, cursor)));
    }
    fixture_free(f);
}

/* Any number is a valid cursor: a scan reads no wrong memory. */
static void test_any_cursor(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct scan s = {.group = f->group};
    (void)state;
    fill(f->group);
    for (uint64_t i = 1; i < 1000; i++) {
        uint64_t cursor = i * 0x9e3779b97f4a7c15u;
        assert_int_equal(
            kama_scan(f->group, &cursor, KAMA_STR(""), on_entry, &s), KAMA_OK);
    }
    fixture_free(f);
}

/* A glob may be as long as the limit, and no longer. */
static void test_limits(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    static char glob[KM_GLOB_BYTES_MAX + 1];
    struct scan s = {.group = f->group};
    uint64_t cursor = 0;
    (void)state;
    memset(glob, '*', sizeof glob);
    assert_int_equal(kama_scan(f->group, &cursor,
                               KAMA_BYTES(glob, KM_GLOB_BYTES_MAX), on_entry,
                               &s),
                     KAMA_OK);
    assert_int_equal(kama_scan(f->group, &cursor,
                               KAMA_BYTES(glob, KM_GLOB_BYTES_MAX + 1),
                               on_entry, &s),
                     KAMA_ERR_INVALID);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_mutating_callback),
        cmocka_unit_test(test_long_globs),
        cmocka_unit_test(test_cursor_hides_the_hash),
        cmocka_unit_test(test_any_cursor),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
