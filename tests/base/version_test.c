/* SPDX-License-Identifier: MIT */
/* The order of versions, as numbers and as bytes. */
#include "base/version.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* From the smallest to the largest. */
static const struct km_version ordered[] = {
    {0, 0},          {0, 1},
    {0, UINT64_MAX}, {1, 0},
    {1, 255},        {1, 256},
    {256, 0},        {UINT64_MAX, 0},
    {UINT64_MAX, 1}, {UINT64_MAX, UINT64_MAX}};

#define COUNT (sizeof ordered / sizeof ordered[0])

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

/* The clock decides first, then the origin. */
static void test_order(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        for (unsigned j = 0; j < COUNT; j++) {
            assert_int_equal(km_version_compare(ordered[i], ordered[j]),
                             i < j ? -1 : i > j);
        }
    }
}

/* The bytes of two versions compare as the versions do. */
static void test_bytes_have_the_same_order(void **state)
{
    uint8_t a[KM_VERSION_BYTES];
    uint8_t b[KM_VERSION_BYTES];
    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        for (unsigned j = 0; j < COUNT; j++) {
            km_version_write(ordered[i], a);
            km_version_write(ordered[j], b);
            assert_int_equal(sign(memcmp(a, b, sizeof a)),
                             km_version_compare(ordered[i], ordered[j]));
        }
    }
}

/* Only the number 0 in both members is no version. */
static void test_is_set(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(km_version_is_set(ordered[i]), i > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_bytes_have_the_same_order),
        cmocka_unit_test(test_is_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
