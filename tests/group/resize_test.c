/* SPDX-License-Identifier: MIT */
/* kama_group_resize: what is shown, what is evicted, and what is refused. */
#include "group/group_fixture.h"

#include "group/info.h"

#define MIB (1u << 20)

/* Sets values of 1000 bytes under the keys 0 to count - 1. */
static void fill(kama_group *group, unsigned count)
{
    static const char value[1000];
    char key[32];
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "key-%u", i);
        assert_int_equal(kama_set(group, kama_bytes_str(key),
                                  KAMA_BYTES(value, sizeof value), NULL),
                         KAMA_OK);
    }
}

static uint64_t shown_max(kama_group *group)
{
    struct km_group_info info;
    km_group_info_get(group, &info);
    return info.max_bytes;
}

/* A smaller bound evicts, a larger one keeps more, and both are shown. */
static void test_down_and_up(void **state)
{
    struct fixture *f = fixture_new();
    (void)state;
    f->options.max_bytes = 16 * MIB;
    f->options.max_value_bytes = 100000;
    (void)fixture_open(f);
    fill(f->group, 10000);
    assert_int_equal(stats(f).entries, 10000);
    assert_int_equal(kama_group_resize(f->group, 4 * MIB), KAMA_OK);
    assert_int_equal(stats(f).max_bytes, 4 * MIB);
    assert_int_equal(shown_max(f->group), 4 * MIB);
    assert_true(stats(f).bytes <= 4 * MIB);
    assert_true(stats(f).entries > 2500 && stats(f).entries < 4200);
    assert_int_equal(stats(f).evictions, 10000 - stats(f).entries);
    assert_int_equal(kama_group_resize(f->group, 32 * MIB), KAMA_OK);
    assert_int_equal(shown_max(f->group), 32 * MIB);
    fill(f->group, 20000);
    assert_int_equal(stats(f).entries, 20000);
    fixture_free(f);
}

static void refused(kama_group *group, uint64_t max_bytes, const char *sentence)
{
    char text[256];
    assert_int_equal(kama_group_resize(group, max_bytes), KAMA_ERR_INVALID);
    kama_last_error(text, sizeof text);
    assert_string_equal(text, sentence);
}

/* Both minima are accepted, and one byte less is refused and changes nothing. */
static void test_minima(void **state)
{
    struct fixture *f = fixture_new();
    (void)state;
    f->options.max_bytes = MIB;
    f->options.max_value_bytes = 1000;
    (void)fixture_open(f);
    refused(f->group, 0,
            "group test: max_bytes: 0 is less than the minimum of 65536");
    refused(f->group, 65535,
            "group test: max_bytes: 65535 is less than the minimum of 65536");
    refused(f->group, (UINT64_C(1) << 46) + 1,
            "group test: max_bytes: 70368744177665 is more than the maximum of "
            "70368744177664");
    assert_int_equal(shown_max(f->group), MIB);
    assert_int_equal(kama_group_resize(f->group, 65536), KAMA_OK);
    fill(f->group, 100);
    assert_true(stats(f).bytes <= 65536);
    fixture_free(f);

    f = fixture_new();
    f->options.max_bytes = MIB;
    f->options.max_value_bytes = 100000;
    (void)fixture_open(f);
    refused(f->group, 399999,
            "group test: max_bytes: 399999 is less than 4 times "
            "max_value_bytes, which is 100000; at least 400000");
    assert_int_equal(kama_group_resize(f->group, 400000), KAMA_OK);
    assert_int_equal(kama_group_resize(f->group, UINT64_C(1) << 46), KAMA_OK);
    assert_int_equal(stats(f).max_bytes, UINT64_C(1) << 46);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_down_and_up),
        cmocka_unit_test(test_minima),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
