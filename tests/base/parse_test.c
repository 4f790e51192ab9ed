/* SPDX-License-Identifier: MIT */
/* Sizes, durations and numbers that are accepted and refused. */
#include "base/parse.h"

#include "base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The result of the functions below if there was an error and nothing was
 * written. */
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

/* Units are powers of 1024, up to the largest number of 64 bits. */
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

static uint64_t ttl(const char *text)
{
    int64_t ms = -2;
    kama_status status = km_parse_ttl_ms(text, &ms);
    assert_int_equal(status != KAMA_OK, ms == -2);
    return (uint64_t)ms;
}

/* Durations are milliseconds, up to the largest signed number of 64 bits. */
static void test_duration(void **state)
{
    (void)state;
    assert_true(duration("0") == 0);
    assert_true(duration("000") == 0 && duration("0h") == 0);
    assert_true(duration("250ms") == 250);
    assert_true(duration("5s") == 5000);
    assert_true(duration("3m") == 180000);
    assert_true(duration("1h") == 3600000);
    assert_true(duration("9223372036854775807ms") == INT64_MAX);
    assert_true(duration("9223372036854775808ms") == REFUSED);
    assert_true(duration("9223372036854776s") == REFUSED);
    assert_true(duration("18446744073709551615h") == REFUSED);
}

static void expect_sentence(uint64_t refused, const char *sentence)
{
    assert_true(refused == REFUSED);
    assert_string_equal(km_last_error(), sentence);
}

/* A number alone means seconds to one reader and milliseconds to another. */
static void test_duration_needs_a_unit(void **state)
{
    (void)state;
    expect_sentence(duration("5"), "5 what? write 5s or 5ms");
    expect_sentence(duration("0060"), "60 what? write 60s or 60ms");
    expect_sentence(ttl("1"), "1 what? write 1s or 1ms");
}

/* A time to live that never ends is written as a word. */
static void test_forever(void **state)
{
    (void)state;
    assert_true(ttl("forever") == (uint64_t)KAMA_TTL_FOREVER);
    assert_true(ttl("5s") == 5000 && ttl("0") == 0);
    expect_sentence(ttl("for ever"),
                    "\"for ever\" is not a duration such as 250ms, 5s, 3m, 1h, "
                    "or forever");
    expect_sentence(duration("forever"), "\"forever\" is not a duration such "
                                         "as 250ms, 5s, 3m or 1h");
}

/* A number that does not fit has another sentence than a malformed one. */
static void test_too_large(void **state)
{
    (void)state;
    expect_sentence(bytes("17179869184g"),
                    "\"17179869184g\" is too large; the largest size is "
                    "17179869183g");
    assert_true(bytes("17179869183g") != REFUSED);
    expect_sentence(duration("2562047788016h"),
                    "\"2562047788016h\" is too large; the longest duration is "
                    "2562047788015h");
    assert_true(duration("2562047788015h") != REFUSED);
    expect_sentence(duration("18446744073709551616"),
                    "\"18446744073709551616\" is too large; the longest "
                    "duration is 2562047788015h");
    expect_sentence(number("18446744073709551616", 1, 1024),
                    "\"18446744073709551616\" is too large; write a number in "
                    "1..1024");
    expect_sentence(number("18446744073709551616", 1, UINT64_MAX),
                    "\"18446744073709551616\" is too large; write a number "
                    "from 1");
    expect_sentence(bytes("99999999999999999999x"),
                    "\"99999999999999999999x\" is not a size such as 4096, "
                    "512k, 64m or 1g");
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

/* All parsers refuse an empty text, signs, blanks, fractions and unknown
 * units. */
static void test_refused_by_all(void **state)
{
    (void)state;
    static const char *const odd[] = {"",   " ",   "-1",   "+1",  " 1",
                                      "1 ", "1.5", "1e3",  "0x1", "k",
                                      "ms", "1kb", "1sec", "1 s", "\n"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        assert_true(bytes(odd[i]) == REFUSED);
        assert_true(duration(odd[i]) == REFUSED);
        assert_true(ttl(odd[i]) == REFUSED);
        assert_true(number(odd[i], 0, UINT64_MAX) == REFUSED);
    }
    assert_true(bytes("1s") == REFUSED);
    assert_true(duration("1k") == REFUSED);
}

/* The sentence shows the text in a form that a log can hold. */
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
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_duration),
        cmocka_unit_test(test_duration_needs_a_unit),
        cmocka_unit_test(test_forever),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_number),
        cmocka_unit_test(test_refused_by_all),
        cmocka_unit_test(test_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
