/* SPDX-License-Identifier: MIT */
/* The largest entries: in their order, each once, also while entries come, change
 * and go; every allocation failed. */
#include "group/group_fixture.h"

#include "group/largest.h"

static char value[20000];

static void set(kama_group *group, const char *key, size_t value_bytes)
{
    assert_int_equal(kama_set(group, kama_bytes_str(key),
                              KAMA_BYTES(value, value_bytes), NULL),
                     KAMA_OK);
}

struct shown {
    size_t count;
    size_t stop_at; /* 0: never */
    uint64_t sizes[1100];
    char keys[1100][16];
};

static int show(void *arg, const kama_entry *entry)
{
    struct shown *s = arg;
    assert_int_equal(entry->struct_size, sizeof *entry);
    assert_true(entry->key.len < 16 && s->count < 1100);
    memset(s->keys[s->count], 0, 16);
    memcpy(s->keys[s->count], entry->key.data, entry->key.len);
    s->sizes[s->count++] = entry->value_bytes;
    return s->count == s->stop_at;
}

/* Entry i of 4000 has i bytes, in whatever order the scan finds them. */
static void test_order(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct shown *s = test_calloc(1, sizeof *s);
    char key[16];
    (void)state;
    for (unsigned i = 0; i < 4000; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        set(f->group, key, i);
    }
    assert_int_equal(kama_group_largest(f->group, 5, show, s), KAMA_OK);
    assert_int_equal(s->count, 5);
    for (unsigned i = 0; i < 5; i++) {
        (void)snprintf(key, sizeof key, "k%u", 3999 - i);
        assert_string_equal(s->keys[i], key);
        assert_int_equal(s->sizes[i], 3999 - i);
    }
    s->count = 0;
    assert_int_equal(kama_group_largest(f->group, SIZE_MAX, show, s), KAMA_OK);
    assert_int_equal(s->count, KM_HOT_KEYS_SHOWN_MAX);
    assert_int_equal(s->sizes[1023], 3999 - 1023);
    s->count = 0;
    s->stop_at = 3;
    assert_int_equal(kama_group_largest(f->group, 9, show, s), KAMA_OK);
    assert_int_equal(s->count, 3);
    assert_int_equal(kama_group_largest(f->group, 0, show, s),
                     KAMA_ERR_INVALID);
    assert_int_equal(kama_group_largest(f->group, 1, NULL, s),
                     KAMA_ERR_INVALID);
    test_free(s);
    fixture_free(f);
}

/* An empty group has none, and one with few entries shows them all. */
static void test_few(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct shown *s = test_calloc(1, sizeof *s);
    (void)state;
    assert_int_equal(kama_group_largest(f->group, 5, show, s), KAMA_OK);
    assert_int_equal(s->count, 0);
    set(f->group, "empty", 0);
    set(f->group, "full", 20000);
    assert_int_equal(kama_group_largest(f->group, 5, show, s), KAMA_OK);
    assert_int_equal(s->count, 2);
    assert_string_equal(s->keys[0], "full");
    assert_string_equal(s->keys[1], "empty");
    test_free(s);
    fixture_free(f);
}

static void offer(struct km_largest *l, const char *key, uint64_t value_bytes)
{
    const kama_entry entry = {.struct_size = sizeof entry,
                              .key = kama_bytes_str(key),
                              .value_bytes = value_bytes};
    assert_int_equal(km_largest_offer(l, &entry), KAMA_OK);
}

static void expect(const struct km_largest *l, const char *keys)
{
    assert_int_equal(l->count, strlen(keys));
    for (size_t i = 0; i < l->count; i++) {
        assert_int_equal(l->entries[i]->key.len, 1);
        assert_memory_equal(l->entries[i]->key.data, &keys[i], 1);
        assert_true(i == 0 || l->entries[i - 1]->value_bytes >=
                                  l->entries[i]->value_bytes);
    }
}

/* An entry that a scan visits again, with the same size or another one, has one
 * place. */
static void test_visited_again(void **state)
{
    struct km_mem_probe probe;
    struct km_largest l;
    (void)state;
    km_mem_probe_init(&probe);
    assert_int_equal(km_largest_init(&l, &probe.allocator, 3), KAMA_OK);
    offer(&l, "a", 10);
    offer(&l, "b", 20);
    offer(&l, "a", 10);
    expect(&l, "ba");
    offer(&l, "a", 30);
    expect(&l, "ab");
    offer(&l, "c", 5);
    offer(&l, "d", 5);
    expect(&l, "abc");
    offer(&l, "c", 25);
    expect(&l, "acb");
    offer(&l, "e", 100);
    expect(&l, "eac");
    km_largest_fini(&l);
    assert_int_equal(atomic_load(&probe.live_blocks), 0);
}

/* Each allocation fails in turn, until the call succeeds. */
static void test_no_memory(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct shown *s = test_calloc(1, sizeof *s);
    kama_status st = KAMA_ERR_NO_MEMORY;
    (void)state;
    set(f->group, "a", 1);
    set(f->group, "b", 2);
    for (int n = 1; st != KAMA_OK; n++) {
        assert_true(n < 10 && st == KAMA_ERR_NO_MEMORY);
        long long blocks = atomic_load(&f->probe.live_blocks);
        s->count = 0;
        atomic_store(&f->probe.fail_at, atomic_load(&f->probe.allocs) + n);
        st = kama_group_largest(f->group, 5, show, s);
        assert_int_equal(s->count, st == KAMA_OK ? 2 : 0);
        assert_int_equal(atomic_load(&f->probe.live_blocks), blocks);
    }
    atomic_store(&f->probe.fail_at, 0);
    test_free(s);
    fixture_free(f);
}

struct writer {
    pthread_t thread;
    kama_group *group;
    atomic_bool stop;
    unsigned long rounds;
};

static void *write_all(void *arg)
{
    struct writer *w = arg;
    for (unsigned i = 0; !atomic_load(&w->stop); i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "w%u", i % 3000);
        KM_ASSERT(kama_set(w->group, kama_bytes_str(key),
                           KAMA_BYTES(value, i % 500), NULL) == KAMA_OK);
        w->rounds++;
    }
    return NULL;
}

/* While another thread writes, the entries that stay are found. */
static void test_beside_a_writer(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct shown *s = test_calloc(1, sizeof *s);
    struct writer w = {.group = f->group};
    (void)state;
    set(f->group, "large", 20000);
    set(f->group, "less", 10000);
    assert_int_equal(pthread_create(&w.thread, NULL, write_all, &w), 0);
    for (unsigned i = 0; i < 20; i++) {
        s->count = 0;
        assert_int_equal(kama_group_largest(f->group, 10, show, s), KAMA_OK);
        assert_true(s->count >= 2);
        assert_string_equal(s->keys[0], "large");
        assert_string_equal(s->keys[1], "less");
    }
    atomic_store(&w.stop, true);
    (void)pthread_join(w.thread, NULL);
    test_free(s);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_few),
        cmocka_unit_test(test_visited_again),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_beside_a_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
