/* SPDX-License-Identifier: MIT */
/* The limits of a group in base/limits.h that its other tests do not reach: a number
 * at the limit is accepted, and the next one is refused. The defaults are checked as
 * figures. */
#include "group/group_fixture.h"

#include <stdlib.h>

static int64_t ttl_of(kama_group *group, const char *key)
{
    kama_value *value = NULL;
    assert_int_equal(kama_try_get(group, kama_bytes_str(key), &value), KAMA_OK);
    int64_t ttl_ms = kama_value_ttl_ms(value);
    kama_value_unref(value);
    return ttl_ms;
}

/* The longest time to live is kept, and a longer one means for ever. */
static void test_ttl(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    kama_set_options set;
    (void)state;
    kama_set_options_init(&set);
    set.ttl_ms = KM_TTL_MS_MAX;
    assert_int_equal(kama_set(f->group, KAMA_STR("k"), KAMA_STR("v"), &set),
                     KAMA_OK);
    assert_true(ttl_of(f->group, "k") > KM_TTL_MS_MAX - 60000);
    assert_true(ttl_of(f->group, "k") <= KM_TTL_MS_MAX);
    set.ttl_ms = KM_TTL_MS_MAX + 1;
    assert_int_equal(kama_set(f->group, KAMA_STR("k"), KAMA_STR("v"), &set),
                     KAMA_OK);
    assert_int_equal(ttl_of(f->group, "k"), KAMA_TTL_FOREVER);
    fixture_free(f);
}

/* The shortest time is one millisecond. */
static void test_shortest_ttl(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    kama_value *value;
    kama_set_options set;
    (void)state;
    kama_set_options_init(&set);
    set.ttl_ms = 1;
    assert_int_equal(kama_set(f->group, KAMA_STR("k"), KAMA_STR("v"), &set),
                     KAMA_OK);
    AWAIT(kama_try_get(f->group, KAMA_STR("k"), &value) == KAMA_WOULD_LOAD ||
          (kama_value_unref(value), false));
    fixture_free(f);
}

static void test_default_value(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    char *bytes = calloc(1, KM_VALUE_BYTES_DEFAULT + 1);
    (void)state;
    assert_int_equal(KM_VALUE_BYTES_DEFAULT, 1 << 20);
    assert_int_equal(kama_set(f->group, KAMA_STR("k"),
                              KAMA_BYTES(bytes, KM_VALUE_BYTES_DEFAULT), NULL),
                     KAMA_OK);
    assert_int_equal(kama_set(f->group, KAMA_STR("k"),
                              KAMA_BYTES(bytes, KM_VALUE_BYTES_DEFAULT + 1),
                              NULL),
                     KAMA_ERR_TOO_LARGE);
    f->script.value = bytes;
    f->script.value_len = KM_VALUE_BYTES_DEFAULT;
    size_t len = 0;
    assert_int_equal(
        kama_get_copy(f->group, KAMA_STR("load"), NULL, NULL, 0, &len),
        KAMA_ERR_TOO_SMALL);
    assert_int_equal(len, KM_VALUE_BYTES_DEFAULT);
    f->script.value_len++;
    assert_int_equal(
        kama_get_copy(f->group, KAMA_STR("load2"), NULL, NULL, 0, &len),
        KAMA_ERR_TOO_LARGE);
    free(bytes);
    fixture_free(f);
}

/* A value may be as large as the limit in a group that has room for four of them. */
static void test_largest_value(void **state)
{
    struct fixture *f = fixture_new();
    kama_value *value;
    (void)state;
    f->options.max_value_bytes = KM_VALUE_BYTES_LOCAL_MAX;
    f->options.max_bytes = KM_GROUP_VALUES_MIN * f->options.max_value_bytes;
    fixture_open(f);
    char *bytes = calloc(1, KM_VALUE_BYTES_LOCAL_MAX + 1);
    assert_non_null(bytes);
    bytes[KM_VALUE_BYTES_LOCAL_MAX - 1] = 'z';
    assert_int_equal(kama_set(f->group, KAMA_STR("k"),
                              KAMA_BYTES(bytes, KM_VALUE_BYTES_LOCAL_MAX),
                              NULL),
                     KAMA_OK);
    assert_int_equal(kama_get(f->group, KAMA_STR("k"), NULL, &value), KAMA_OK);
    kama_bytes got = kama_value_bytes(value);
    assert_int_equal(got.len, KM_VALUE_BYTES_LOCAL_MAX);
    assert_memory_equal(got.data, bytes, got.len);
    kama_value_unref(value);
    assert_int_equal(kama_set(f->group, KAMA_STR("k"),
                              KAMA_BYTES(bytes, KM_VALUE_BYTES_LOCAL_MAX + 1),
                              NULL),
                     KAMA_ERR_TOO_LARGE);
    free(bytes);
    fixture_free(f);
}

static void test_shortest_key(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    (void)state;
    assert_int_equal(KM_KEY_BYTES_MIN, 1);
    assert_int_equal(
        kama_set(f->group, KAMA_BYTES("\0", 1), KAMA_STR(""), NULL), KAMA_OK);
    assert_int_equal(kama_set(f->group, KAMA_STR(""), KAMA_STR(""), NULL),
                     KAMA_ERR_INVALID);
    fixture_free(f);
}

/* A max_bytes that is one byte too small for four of the largest values is refused.
 */
static void test_four_values(void **state)
{
    struct fixture *f = fixture_new();
    (void)state;
    f->options.max_value_bytes = 1u << 20;
    f->options.max_bytes = 4u << 20;
    fixture_open(f);
    kama_group *other = NULL;
    f->options.max_bytes--;
    assert_int_equal(kama_group_new(&f->options, &other), KAMA_ERR_INVALID);
    assert_null(other);
    fixture_free(f);
}

static void test_defaults(void **state)
{
    kama_group_options o;
    (void)state;
    kama_group_options_init(&o);
    assert_int_equal(o.max_bytes, 64 << 20);
    assert_int_equal(o.ttl_ms, 0);
    assert_int_equal(o.negative_ttl_ms, 0);
    assert_int_equal(o.ttl_jitter, 0);
    assert_int_equal(o.loader_timeout_ms, KM_LOADER_TIMEOUT_MS_DEFAULT);
    assert_int_equal(o.loader_timeout_ms, 5000);
    assert_int_equal(o.loader_concurrency, KM_LOADER_CONCURRENCY_DEFAULT);
    assert_int_equal(o.loader_concurrency, 64);
    assert_int_equal(o.async_threads, KM_ASYNC_THREADS_DEFAULT);
    assert_int_equal(o.async_threads, 2);
    assert_string_equal(o.policy, "s3fifo+");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ttl),
        cmocka_unit_test(test_shortest_ttl),
        cmocka_unit_test(test_default_value),
        cmocka_unit_test(test_largest_value),
        cmocka_unit_test(test_shortest_key),
        cmocka_unit_test(test_four_values),
        cmocka_unit_test(test_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
