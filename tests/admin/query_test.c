/* SPDX-License-Identifier: MIT */
/* The parameters of a request. */
#include "admin/query.h"

#include "base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static kama_status get(const char *query, const char *name, size_t cap,
                       kama_bytes *ret_value)
{
    static char buf[64];
    return km_admin_query_get(KAMA_STR(query), name, buf, cap, ret_value);
}

static void check(const char *query, const char *name, kama_bytes expected)
{
    kama_bytes value;
    assert_int_equal(get(query, name, 64, &value), KAMA_OK);
    assert_true(km_bytes_eq(value, expected));
}

static void test_values(void **state)
{
    kama_bytes value;
    (void)state;
    check("a=1&b=2", "a", KM_LIT("1"));
    check("a=1&b=2", "b", KM_LIT("2"));
    check("&&b=2&", "b", KM_LIT("2"));
    check("a", "a", KM_LIT(""));
    check("a=", "a", KM_LIT(""));
    check("a=b=c", "a", KM_LIT("b=c"));
    check("a=%00%ff%7E+%2B", "a", KM_LIT("\0\xff~ +"));
    assert_int_equal(get("ab=1", "a", 64, &value), KAMA_MISS);
    assert_int_equal(get("", "a", 64, &value), KAMA_MISS);
}

static void test_bad_values(void **state)
{
    static const char *const bad[] = {"a=%", "a=%1", "a=%1g", "a=%g1",
                                      "a=1%&b=20"};
    kama_bytes value;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(get(bad[i], "a", 64, &value), KAMA_ERR_INVALID);
        assert_non_null(strstr(km_last_error(), "a: "));
    }
    assert_int_equal(get("a=1234", "a", 4, &value), KAMA_OK);
    assert_int_equal(get("a=12345", "a", 4, &value), KAMA_ERR_TOO_LARGE);
    assert_int_equal(get("a=123%34", "a", 4, &value), KAMA_OK);
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(km_admin_query_check(KM_LIT(""), ""), KAMA_OK);
    assert_int_equal(km_admin_query_check(KM_LIT("b=1&a=2"), "a b"), KAMA_OK);
    assert_int_equal(km_admin_query_check(KM_LIT("c=1"), "a b"),
                     KAMA_ERR_INVALID);
    assert_non_null(strstr(km_last_error(), "known: a b"));
    assert_int_equal(km_admin_query_check(KM_LIT("a=1"), ""), KAMA_ERR_INVALID);
    assert_int_equal(km_admin_query_check(KM_LIT("a=1&b&a=2"), "a b"),
                     KAMA_ERR_INVALID);
    assert_non_null(strstr(km_last_error(), "twice"));
    assert_int_equal(km_admin_query_check(KM_LIT("=1"), "a b"),
                     KAMA_ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
