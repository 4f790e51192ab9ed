/* SPDX-License-Identifier: MIT */
/* Text for people: no character is cut in two, and no control character is
 * shown. */
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Characters of one, two, three and four bytes. */
#define MIXED "a\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80z"

/* Whatever the limit is, the text that is kept is well-formed, and no character
 * that would fit is lost. */
static void test_a_cut_never_divides_a_character(void **state)
{
    (void)state;
    static const size_t kept[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (size_t max = 0; max < sizeof kept / sizeof kept[0]; max++) {
        assert_int_equal(km_text_cut(KM_LIT(MIXED), max), kept[max]);
    }
    assert_int_equal(km_text_cut(kama_bytes_make(NULL, 0), 0), 0);
    /* Malformed bytes are not characters and may be cut anywhere. */
    assert_int_equal(km_text_cut(KM_LIT("\x80\x80\x80\x80\x80"), 4), 4);
    assert_int_equal(km_text_cut(KM_LIT("a\xffxx"), 2), 2);
}

/* Only the bytes that may be kept are read. The others need not exist. */
static void test_a_cut_reads_no_further(void **state)
{
    (void)state;
    char *exact = malloc(2);
    assert_non_null(exact);
    memcpy(exact, "a\xc3", 2);
    assert_int_equal(km_text_cut(kama_bytes_make(exact, 1000), 2), 1);
    free(exact);
}

static void test_arguments_of_printf(void **state)
{
    (void)state;
    char buf[32];
    (void)snprintf(buf, sizeof buf, "[%.*s]", KM_TEXT_UP_TO(5, MIXED));
    assert_string_equal(buf, "[a\xc3\xa9]");
    (void)snprintf(buf, sizeof buf, "[%.*s]", KM_TEXT_UP_TO(20, "short"));
    assert_string_equal(buf, "[short]");
}

static void check_clean(kama_bytes text, size_t cap, const char *expected)
{
    char buf[64];
    memset(buf, 'Z', sizeof buf);
    assert_int_equal(km_text_clean(text, buf, cap), strlen(expected));
    assert_string_equal(buf, expected);
    assert_int_equal(buf[cap], 'Z');
}

/* Quotes and backslashes stay, and characters that control a terminal are
 * escaped. */
static void test_controls_are_escaped(void **state)
{
    (void)state;
    check_clean(KM_LIT("say \"hi\" \\ " MIXED), 40, "say \"hi\" \\ " MIXED);
    check_clean(KM_LIT("a\nb\r\t"), 40, "a\\nb\\r\\t");
    check_clean(KM_LIT("\x1b[31m\0\x7f"), 40, "\\x1b[31m\\x00\\x7f");
    check_clean(KM_LIT("\xc2\x9b"), 40, "\\xc2\\x9b");          /* CSI */
    check_clean(KM_LIT("\xe2\x80\xae"), 40, "\\xe2\\x80\\xae"); /* U+202E */
    check_clean(KM_LIT("\xe2\x80\xa8"), 40, "\\xe2\\x80\\xa8"); /* U+2028 */
    check_clean(KM_LIT("caf\xe9!"), 40, "caf\\xe9!");
    check_clean(kama_bytes_make(NULL, 0), 1, "");
}

/* Escapes and characters are kept whole or left out. */
static void test_clean_cuts_whole_units(void **state)
{
    (void)state;
    check_clean(KM_LIT("ab\x1b"), 6, "ab");
    check_clean(KM_LIT("ab\x1b"), 7, "ab\\x1b");
    check_clean(KM_LIT("a\xe2\x80\xae"), 13, "a");
    check_clean(KM_LIT("a\xe2\x80\xae"), 14, "a\\xe2\\x80\\xae");
    check_clean(KM_LIT("a\xe6\x97\xa5"), 4, "a");
    check_clean(KM_LIT("a\xe6\x97\xa5"), 5, "a\xe6\x97\xa5");
    check_clean(KM_LIT("abc"), 1, "");
}

/* A text that was cut elsewhere loses the incomplete character at its end. */
static void test_half_a_character_at_the_end_is_left_out(void **state)
{
    (void)state;
    check_clean(KM_LIT("a\xe6"), 20, "a");
    check_clean(KM_LIT("a\xe6\x97"), 20, "a");
    check_clean(KM_LIT("a\xf0\x9f\x98"), 20, "a");
    check_clean(KM_LIT("a\xe6\x97\xa5"), 20, "a\xe6\x97\xa5");
    check_clean(KM_LIT("a\x97\xa5"), 20, "a\\x97\\xa5");
}

/* An argument may lie in the buffer, and the longest text is cut at a
 * character. */
static void test_printf(void **state)
{
    (void)state;
    char buf[16] = "old\n";
    char longer[KM_TEXT_FORMAT_BYTES_MAX + 100];
    assert_int_equal(km_text_printf(buf, sizeof buf, "new: %s", buf), 10);
    assert_string_equal(buf, "new: old\\n");
    assert_int_equal(
        km_text_printf(buf, sizeof buf, "%s", "123456789012" MIXED), 15);
    assert_string_equal(buf, "123456789012a\xc3\xa9");
    for (size_t i = 0; i + 3 < sizeof longer; i += 3) {
        memcpy(longer + i, "\xe6\x97\xa5", 4);
    }
    char wide[2 * KM_TEXT_FORMAT_BYTES_MAX];
    size_t len = km_text_printf(wide, sizeof wide, "x%s", longer);
    assert_int_equal(len, 1 + (KM_TEXT_FORMAT_BYTES_MAX - 2) / 3 * 3);
    assert_true(km_bytes_is_utf8(kama_bytes_make(wide, len)));
}

/* Any bytes become well-formed text without controls. */
static void test_garbage(void **state)
{
    (void)state;
    unsigned seed = 11;
    for (int i = 0; i < 20000; i++) {
        char text[24];
        char buf[40];
        size_t len = (size_t)rand_r(&seed) % sizeof text;
        size_t cap = 1 + (size_t)rand_r(&seed) % (sizeof buf - 1);
        for (size_t k = 0; k < len; k++) {
            text[k] = (char)rand_r(&seed);
        }
        size_t n = km_text_clean(kama_bytes_make(text, len), buf, cap);
        assert_true(n < cap && buf[n] == '\0');
        kama_bytes rest = kama_bytes_make(buf, n);
        while (rest.len > 0) {
            size_t shown = km_text_shown(rest);
            assert_true(shown > 0);
            rest = km_bytes_skip(rest, shown);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cut_never_divides_a_character),
        cmocka_unit_test(test_a_cut_reads_no_further),
        cmocka_unit_test(test_arguments_of_printf),
        cmocka_unit_test(test_controls_are_escaped),
        cmocka_unit_test(test_clean_cuts_whole_units),
        cmocka_unit_test(test_half_a_character_at_the_end_is_left_out),
        cmocka_unit_test(test_printf),
        cmocka_unit_test(test_garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
