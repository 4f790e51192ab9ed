/* SPDX-License-Identifier: MIT */
/* A group outside a node has no thread before the first asynchronous call, it never
 * has a file descriptor, and its threads are gone when it was freed. */
#include "group/group_fixture.h"

#include <dirent.h>

/* Counts the entries of a folder of /proc/self. They include the descriptor with
 * which the folder is read. */
static int count(const char *path)
{
    DIR *folder = opendir(path);
    int n = 0;
    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        n++;
    }
    (void)closedir(folder);
    return n;
}

static int threads(void)
{
    return count("/proc/self/task");
}

static int descriptors(void)
{
    return count("/proc/self/fd");
}

struct answers {
    atomic_uint count;
};

static void on_value(void *arg, kama_status status, kama_value *value)
{
    struct answers *answers = arg;
    assert_int_equal(status, KAMA_OK);
    kama_value_unref(value);
    atomic_fetch_add(&answers->count, 1);
}

static int ignore_entry(void *arg, const kama_entry *entry)
{
    (void)arg;
    (void)entry;
    return 0;
}

/* Calls every synchronous function. */
static void use(kama_group *group)
{
    const kama_bytes keys[2] = {KAMA_STR("a"), KAMA_STR("b")};
    const kama_set_item item = {KAMA_STR("m"), KAMA_STR("v"), 0};
    kama_item items[2];
    kama_status status;
    int64_t ttl_ms;
    kama_group_stats stats;
    kama_value *value;
    char buf[64];
    size_t len;
    uint64_t cursor = 0;
    assert_int_equal(get_text(group, "k", NULL, "value of k"), KAMA_OK);
    assert_int_equal(
        kama_get_copy(group, KAMA_STR("k"), NULL, buf, sizeof buf, &len),
        KAMA_OK);
    assert_int_equal(kama_try_get(group, KAMA_STR("none"), &value),
                     KAMA_WOULD_LOAD);
    assert_int_equal(kama_mget(group, keys, 2, NULL, items), KAMA_OK);
    kama_items_unref(items, 2);
    assert_int_equal(kama_set(group, KAMA_STR("k"), KAMA_STR("v"), NULL),
                     KAMA_OK);
    assert_int_equal(
        kama_scan(group, &cursor, KAMA_STR(""), ignore_entry, NULL), KAMA_OK);
    assert_int_equal(kama_mset(group, &item, 1, NULL, &status), KAMA_OK);
    assert_int_equal(kama_touch(group, KAMA_STR("k"), 50000, NULL), KAMA_OK);
    assert_int_equal(kama_exists(group, KAMA_STR("k"), NULL), KAMA_OK);
    assert_int_equal(kama_ttl(group, KAMA_STR("k"), NULL, &ttl_ms), KAMA_OK);
    assert_int_equal(kama_mdel(group, keys, 2, NULL, NULL), KAMA_OK);
    assert_int_equal(kama_del(group, KAMA_STR("k"), NULL), KAMA_OK);
    kama_group_stats_get(group, &stats);
    assert_int_equal(kama_group_clear(group), KAMA_OK);
}

static void *return_at_once(void *arg)
{
    return arg;
}

/* ThreadSanitizer starts a thread of its own together with the first thread. */
static void start_first_thread(void)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, return_at_once, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_threads(void **state)
{
    start_first_thread();
    int threads_before = threads();
    int descriptors_before = descriptors();
    struct answers answers = {0};
    struct fixture *f = fixture_new();
    (void)state;
    f->options.ttl_ms = 60000;
    f->options.async_threads = 2;
    fixture_open(f);
    use(f->group);
    assert_int_equal(threads(), threads_before);
    assert_int_equal(
        kama_get_async(f->group, KAMA_STR("k"), NULL, on_value, &answers),
        KAMA_OK);
    assert_true(threads() > threads_before);
    AWAIT(atomic_load(&answers.count) == 1);
    use(f->group);
    assert_int_equal(descriptors(), descriptors_before);
    fixture_free(f);
    AWAIT(threads() == threads_before);
    assert_int_equal(descriptors(), descriptors_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
