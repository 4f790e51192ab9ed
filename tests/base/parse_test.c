/* SPDX-License-Identifier: MIT */
/* Sizes, durations, numbers: what is taken, what is not. */
#include "base/option.h"
#include "base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The result; UINT64_MAX - 1 when it was refused and nothing written. */
#define REFUSED (UINT64_MAX - 1)

static uint64_t bytes(const char *text)
{
    uint64_t n = REFUSED;
    kama_status status = km_parse_bytes(text, &n);
    assert_int_equal(status != KAMA_OK, n == REFUSED);
    return n;
}

static uint64_t duration(const char *text)
{
    int64_t ms = -2;
    kama_status status = km_parse_duration_ms(text, &ms);
    assert_int_equal(status != KAMA_OK, ms == -2);
    return (uint64_t)ms;
}

static uint64_t number(const char *text, uint64_t min, uint64_t max)
{
    uint64_t n = REFUSED;
    kama_status status = km_parse_uint(text, min, max, &n);
    assert_int_equal(status != KAMA_OK, n == REFUSED);
    return n;
}

/* Powers of 1024 up to what 64 bits hold. */
static void test_bytes(void **state)
{
    (void)state;
    assert_true(bytes("0") == 0);
    assert_true(bytes("1") == 1);
    assert_true(bytes("3k") == 3072 && bytes("3K") == 3072);
    assert_true(bytes("2m") == 2u << 20 && bytes("2M") == 2u << 20);
    assert_true(bytes("1g") == 1u << 30 && bytes("1G") == 1u << 30);
    assert_true(bytes("18446744073709551615") == UINT64_MAX);
    assert_true(bytes("17179869183g") == UINT64_C(17179869183) << 30);
    assert_true(bytes("17179869184g") == REFUSED);
    assert_true(bytes("18446744073709551616") == REFUSED);
}

/* Milliseconds up to what a signed number holds. */
static void test_duration(void **state)
{
    (void)state;
    assert_true(duration("0") == 0);
    assert_true(duration("250") == 250 && duration("250ms") == 250);
    assert_true(duration("5s") == 5000);
    assert_true(duration("3m") == 180000);
    assert_true(duration("1h") == 3600000);
    assert_true(duration("9223372036854775807") == INT64_MAX);
    assert_true(duration("9223372036854775808") == REFUSED);
    assert_true(duration("9223372036854776s") == REFUSED);
    assert_true(duration("18446744073709551615h") == REFUSED);
}

/* The bounds are inclusive. */
static void test_number(void **state)
{
    (void)state;
    assert_true(number("7", 7, 9) == 7 && number("9", 7, 9) == 9);
    assert_true(number("6", 7, 9) == REFUSED);
    assert_true(number("10", 7, 9) == REFUSED);
    assert_true(number("007", 7, 9) == 7);
    assert_true(number("7k", 0, UINT64_MAX) == REFUSED);
}

/* Nothing, signs, spaces, fractions, unknown units. */
static void test_refused_by_all(void **state)
{
    (void)state;
    static const char *const odd[] = {"",   " ",   "-1",   "+1",  " 1",
                                      "1 ", "1.5", "1e3",  "0x1", "k",
                                      "ms", "1kb", "1sec", "1 s", "\n"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        assert_true(bytes(odd[i]) == REFUSED);
        assert_true(duration(odd[i]) == REFUSED);
        assert_true(number(odd[i], 0, UINT64_MAX) == REFUSED);
    }
    assert_true(bytes("1s") == REFUSED);
    assert_true(duration("1k") == REFUSED);
}

/* What was given is shown so that a log can hold it. */
static void test_sentence(void **state)
{
    (void)state;
    char longer[500];
    (void)bytes("6\x01k");
    assert_string_equal(km_last_error(), "\"6\\x01k\" is not a size such as "
                                         "4096, 512k, 64m or 1g");
    memset(longer, '\xff', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    (void)duration(longer);
    assert_non_null(strstr(km_last_error(), "...\" is not a duration"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),    cmocka_unit_test(test_duration),
        cmocka_unit_test(test_number),   cmocka_unit_test(test_refused_by_all),
        cmocka_unit_test(test_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
