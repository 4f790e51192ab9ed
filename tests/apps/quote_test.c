/* SPDX-License-Identifier: MIT */
/* The notation in which the client shows and reads keys and values. The objects
 * of the program are in no library, so that this test includes the source. */
#include "apps/kamacache-cli/quote.c"

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>

/* Returns the output of a function as a string that the caller frees. */
static char *shown(kama_bytes b, void (*write)(FILE *, kama_bytes))
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    write(out, b);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(len, strlen(text));
    return text;
}

static void sentence(FILE *out, kama_bytes b)
{
    cli_quote_write_sentence(out, b.data);
}

static void assert_shown(kama_bytes b, const char *expected)
{
    char *text = shown(b, cli_quote_write);
    assert_string_equal(text, expected);
    free(text);
}

static void test_shows(void **state)
{
    (void)state;
    assert_shown(KM_LIT("tom"), "tom");
    assert_shown(KM_LIT(""), "\"\"");
    assert_shown(KM_LIT("a b"), "\"a b\"");
    assert_shown(KM_LIT("-x"), "\"-x\"");
    assert_shown(KM_LIT("x-"), "x-");
    assert_shown(KM_LIT("(miss)"), "\"(miss)\"");
    assert_shown(KM_LIT("a\"b\\c"), "\"a\\\"b\\\\c\"");
    assert_shown(KM_LIT("\0\x1b[31m\x7f\n\r\t"),
                 "\"\\x00\\x1b[31m\\x7f\\n\\r\\t\"");
    assert_shown(KM_LIT("日本\U0001f600"), "日本\U0001f600");
    assert_shown(KM_LIT("é\xff"), "\"é\\xff\"");
    assert_shown(KM_LIT("\xc2\x9b"), "\"\\xc2\\x9b\"");          /* C1: CSI */
    assert_shown(KM_LIT("\xe2\x80\xae"), "\"\\xe2\\x80\\xae\""); /* RTL */
    assert_shown(KM_LIT("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\"");
    assert_shown(KM_LIT("\xf3\xa0\x81\x81"), "\"\\xf3\\xa0\\x81\\x81\"");
}

static void test_sentence_keeps_quotes(void **state)
{
    (void)state;
    char *text = shown(KM_LIT("no \"x\\\" \x1b]0;t\a\n"), sentence);
    assert_string_equal(text, "no \"x\\\" \\x1b]0;t\\x07\\n");
    free(text);
}

static void test_text(void **state)
{
    (void)state;
    assert_true(cli_quote_is_text(KM_LIT("")));
    assert_true(cli_quote_is_text(KM_LIT("a \"b\"\n\tc\\ é")));
    assert_false(cli_quote_is_text(KM_LIT("\"quoted\"")));
    assert_false(cli_quote_is_text(KM_LIT("a\rb")));
    assert_false(cli_quote_is_text(KM_LIT("a\x1b")));
    assert_false(cli_quote_is_text(KM_LIT("a\0")));
    assert_false(cli_quote_is_text(KM_LIT("\xc2\x85")));
    assert_false(cli_quote_is_text(KM_LIT("\xff")));
}

/* Asserts that text stands for the expected bytes. A copy on the heap lets ASan
 * notice a read behind its end. */
static void assert_reads(const char *text, kama_bytes expected)
{
    char *copy = strdup(text);
    kama_bytes bytes;
    assert_int_equal(cli_unquote(copy, &bytes), KAMA_OK);
    assert_true(km_bytes_eq(bytes, expected));
    free(copy);
}

static void test_reads(void **state)
{
    (void)state;
    assert_reads("", KM_LIT(""));
    assert_reads("tom", KM_LIT("tom"));
    assert_reads("a\\n\"b", KM_LIT("a\\n\"b"));
    assert_reads("\"\"", KM_LIT(""));
    assert_reads("\"a b\\\"\\\\\\n\\r\\t\\0\\x1B\\xff\"",
                 KM_LIT("a b\"\\\n\r\t\0\x1b\xff"));
}

static void test_refuses(void **state)
{
    static const char *const wrong[] = {
        "\"",     "\"a",       "\"a\\",  "\"a\\\"", "\"\\q\"",   "\"\\x\"",
        "\"\\x1", "\"\\x1g\"", "\"a\"b", "\"a\" ",  "\"\\x-1\"",
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char *copy = strdup(wrong[i]);
        kama_bytes bytes;
        assert_int_equal(cli_unquote(copy, &bytes), KAMA_ERR_INVALID);
        assert_string_not_equal(km_last_error(), "");
        free(copy);
    }
}

/* Everything that is shown can be typed again, and contains no control
 * character. */
static void test_round_trip(void **state)
{
    uint8_t key[24];
    unsigned seed = 1;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t len = (size_t)round % (sizeof key + 1);
        for (size_t i = 0; i < len; i++) {
            seed = seed * 1103515245u + 12345u;
            key[i] = (uint8_t)(seed >> 16);
        }
        kama_bytes b = kama_bytes_make(key, len);
        char *text = shown(b, cli_quote_write);
        for (const char *p = text; *p != '\0'; p++) {
            assert_false((uint8_t)*p < 0x20 || *p == 0x7f);
        }
        assert_true(km_bytes_is_utf8(KAMA_STR(text)));
        assert_reads(text, b);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shows),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_sentence_keeps_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
