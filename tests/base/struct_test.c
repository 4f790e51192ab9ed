/* SPDX-License-Identifier: MIT */
/* Public structs of older and newer programs. */
#include "base/struct.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct old {
    uint32_t struct_size;
    uint32_t a;
};

struct known {
    uint32_t struct_size;
    uint32_t a;
    uint64_t b;
};

struct newer {
    uint32_t struct_size;
    uint32_t a;
    uint64_t b;
    uint64_t c;
};

static const struct known defaults = {0, 1, 2};

/* The struct of an older program is written only as far as it goes, and the
 * additional members of a newer one become zero. */
static void test_init(void **state)
{
    (void)state;
    struct known space;
    struct newer newer;
    memset(&space, 0x5a, sizeof space);
    km_struct_init(&space, sizeof(struct old), &defaults, sizeof defaults);
    assert_int_equal(space.struct_size, sizeof(struct old));
    assert_int_equal(space.a, 1);
    assert_int_equal(space.b, 0x5a5a5a5a5a5a5a5a);
    memset(&newer, 0x5a, sizeof newer);
    km_struct_init(&newer, sizeof newer, &defaults, sizeof defaults);
    assert_int_equal(newer.struct_size, sizeof newer);
    assert_int_equal(newer.b, 2);
    assert_int_equal(newer.c, 0);
}

/* Members that an older program does not have keep their defaults, and a newer
 * program may only set members that the library knows. */
static void test_read(void **state)
{
    (void)state;
    struct old old = {sizeof old, 7};
    struct known none;
    assert_int_equal(km_struct_read(&none, sizeof none, NULL, "x"),
                     KAMA_ERR_INVALID);
    struct newer newer = {sizeof newer, 8, 9, 0};
    struct known known = defaults;
    assert_int_equal(km_struct_read(&known, sizeof known, &old, "x"), KAMA_OK);
    assert_int_equal(known.struct_size, sizeof known);
    assert_int_equal(known.a, 7);
    assert_int_equal(known.b, 2);
    assert_int_equal(km_struct_read(&known, sizeof known, &newer, "x"),
                     KAMA_OK);
    assert_int_equal(known.b, 9);
    newer.c = 1;
    newer.a = 10;
    assert_int_equal(km_struct_read(&known, sizeof known, &newer, "x"),
                     KAMA_ERR_INVALID);
    assert_int_equal(known.a, 8);
}

/* A struct whose size is 0 or absurd was never initialised, and is refused. */
static void test_uninitialised(void **state)
{
    (void)state;
    struct known known = defaults;
    struct known from = {0, 3, 4};
    assert_int_equal(km_struct_read(&known, sizeof known, &from, "x"),
                     KAMA_ERR_INVALID);
    from.struct_size = 3;
    assert_int_equal(km_struct_read(&known, sizeof known, &from, "x"),
                     KAMA_ERR_INVALID);
    from.struct_size = 0x5a5a5a5a;
    assert_int_equal(km_struct_read(&known, sizeof known, &from, "x"),
                     KAMA_ERR_INVALID);
    assert_int_equal(known.a, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_uninitialised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
