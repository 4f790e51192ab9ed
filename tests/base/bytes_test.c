/* SPDX-License-Identifier: MIT */
/* Comparing, UTF-8, quoting, and patterns, which are compared with fnmatch. */
#include "base/bytes.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <fnmatch.h>
#include <string.h>
#include <cmocka.h>

/* The order is that of memcmp, a prefix comes first, and an empty view may have
 * no data. */
static void test_order(void **state)
{
    (void)state;
    kama_bytes none = kama_bytes_make(NULL, 0);
    assert_int_equal(km_bytes_cmp(none, none), 0);
    assert_true(km_bytes_cmp(none, KM_LIT("a")) < 0);
    assert_true(km_bytes_cmp(KM_LIT("ab"), KM_LIT("a")) > 0);
    assert_true(km_bytes_cmp(KM_LIT("a\0b"), KM_LIT("a\0c")) < 0);
    assert_true(km_bytes_cmp(KM_LIT("\xff"), KM_LIT("a")) > 0);
    assert_true(km_bytes_eq(none, KM_LIT("")));
    assert_false(km_bytes_eq(KM_LIT("a\0b"), KM_LIT("a\0c")));
    assert_true(km_bytes_starts(KM_LIT("abc"), none));
    assert_true(km_bytes_starts(KM_LIT("abc"), KM_LIT("abc")));
    assert_false(km_bytes_starts(KM_LIT("ab"), KM_LIT("abc")));
    assert_true(km_bytes_eq(km_bytes_skip(KM_LIT("abc"), 3), none));
}

/* -- UTF-8 --------------------------------------------------------------- */

/* The borders of RFC 3629, the first and the last character of each length, are
 * well-formed. */
static void test_utf8_well_formed(void **state)
{
    (void)state;
    static const char *const good[] = {
        "",
        "abc",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "中文 é",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(km_bytes_is_utf8(KAMA_STR(good[i])));
    }
    assert_true(km_bytes_is_utf8(KM_LIT("a\0b")));
    assert_true(km_bytes_is_utf8(kama_bytes_make(NULL, 0)));
    assert_int_equal(km_bytes_utf8_char(kama_bytes_make(NULL, 0)), 0);
}

/* Overlong forms, surrogates, code points above U+10FFFF, stray bytes and
 * missing bytes are malformed. */
static void test_utf8_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2",
        "\xc2\x41",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xe1\x80",
        "\xe1\x80\xc0",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf1\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char framed[16];
        (void)snprintf(framed, sizeof framed, "a%s", bad[i]);
        assert_false(km_bytes_is_utf8(KAMA_STR(bad[i])));
        assert_false(km_bytes_is_utf8(KAMA_STR(framed)));
    }
}

/* The code points of the first and the last character of each length are
 * right. */
static void test_utf8_code(void **state)
{
    (void)state;
    assert_int_equal(km_bytes_utf8_code(KM_LIT("\0x")), 0);
    assert_int_equal(km_bytes_utf8_code(KM_LIT("\x7f")), 0x7f);
    assert_int_equal(km_bytes_utf8_code(KM_LIT("\xc2\x80")), 0x80);
    assert_int_equal(km_bytes_utf8_code(KM_LIT("\xdf\xbf")), 0x7ff);
    assert_int_equal(km_bytes_utf8_code(KM_LIT("\xe0\xa0\x80")), 0x800);
    assert_int_equal(km_bytes_utf8_code(KM_LIT("\xef\xbf\xbf")), 0xffff);
    assert_int_equal(km_bytes_utf8_code(KM_LIT("\xf0\x90\x80\x80")), 0x10000);
    assert_int_equal(km_bytes_utf8_code(KM_LIT("\xf4\x8f\xbf\xbf")), 0x10ffff);
}

/* The bytes of a character that is incomplete differ from malformed bytes. */
static void test_utf8_tail(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t tail;
    } rows[] = {
        {"", 0},
        {"abc", 0},
        {"a\xc3\xa9", 0},
        {"a\xc3", 1},
        {"\xe6", 1},
        {"\xe6\x97", 2},
        {"\xf0\x9f\x98", 3},
        {"\xf0\x9f\x98\x80", 0},
        {"\xe0\x9f", 0},     /* overlong, whatever byte follows */
        {"\xed\xa0", 0},     /* a surrogate, whatever byte follows */
        {"\xe6\x97\xff", 0}, /* no byte can follow */
        {"\x97\xa5", 0},
        {"\xff", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(km_bytes_utf8_tail(KAMA_STR(rows[i].text)),
                         rows[i].tail);
    }
    assert_int_equal(km_bytes_utf8_tail(kama_bytes_make(NULL, 0)), 0);
}

/* -- quoting ------------------------------------------------------------- */

static void check_quote(kama_bytes bytes, size_t cap, const char *expected)
{
    char buf[64];
    memset(buf, 'Z', sizeof buf);
    assert_ptr_equal(km_bytes_quote(bytes, buf, cap), buf);
    assert_string_equal(buf, expected);
    assert_int_equal(buf[cap], 'Z');
}

/* Bytes are escaped, and a cut never falls into an escape. */
static void test_quote(void **state)
{
    (void)state;
    check_quote(KM_LIT("plain ~"), 32, "plain ~");
    check_quote(KM_LIT("\"\\\n\r\t"), 32, "\\\"\\\\\\n\\r\\t");
    check_quote(KM_LIT("\0\x7f\xff"), 32, "\\x00\\x7f\\xff");
    check_quote(kama_bytes_make(NULL, 0), 4, "");
    check_quote(KM_LIT("abc"), 4, "abc");
    check_quote(KM_LIT("abcd"), 4, "...");
    check_quote(KM_LIT("abcd"), 5, "abcd");
    check_quote(KM_LIT("abcde"), 5, "a...");
    check_quote(KM_LIT("a\xff\xff"), 9, "a\\xff...");
    check_quote(KM_LIT("a\xff\xff"), 8, "a...");
    check_quote(KM_LIT("a\xff\xff"), 10, "a\\xff\\xff");
}

/* The escapes of one UTF-8 character stay together. */
static void test_quote_cuts_at_a_character(void **state)
{
    (void)state;
    kama_bytes two = KM_LIT("\xe6\x97\xa5\xe6\x9c\xac");
    check_quote(two, 25, "\\xe6\\x97\\xa5\\xe6\\x9c\\xac");
    check_quote(two, 24, "\\xe6\\x97\\xa5...");
    check_quote(two, 16, "\\xe6\\x97\\xa5...");
    check_quote(two, 15, "...");
}

/* -- glob ---------------------------------------------------------------- */

static bool glob(const char *pattern, const char *name)
{
    return km_bytes_glob(KAMA_STR(pattern), KAMA_STR(name));
}

/* Each kind of element matches, and unusual classes behave as in Redis. */
static void test_glob_elements(void **state)
{
    (void)state;
    assert_true(glob("", ""));
    assert_false(glob("", "a"));
    assert_true(glob("*", ""));
    assert_true(glob("a*c", "abbc"));
    assert_false(glob("a?c", "ac"));
    assert_true(glob("a[b-d]e", "ace"));
    assert_true(glob("a[d-b]e", "ace"));
    assert_false(glob("a[^b-d]e", "ace"));
    assert_true(glob("[a\\]]", "]"));
    assert_true(glob("\\*", "*"));
    assert_false(glob("\\*", "a"));
    assert_true(glob("a\\", "a\\"));
    assert_true(glob("[abc", "b"));
    assert_false(glob("[]", "]"));
    assert_true(glob("[a-]", "-"));
    assert_true(glob("[^", "x"));
    assert_false(glob("[", "x"));
    assert_true(km_bytes_glob(KM_LIT("a\0*"), KM_LIT("a\0b")));
    assert_true(
        km_bytes_glob(kama_bytes_make(NULL, 0), kama_bytes_make(NULL, 0)));
}

/* Writes a random string of these letters and returns its length. */
static size_t random_text(unsigned *seed, const char *letters, char *out,
                          size_t max)
{
    size_t len = (size_t)rand_r(seed) % (max + 1);
    for (size_t i = 0; i < len; i++) {
        out[i] = letters[(size_t)rand_r(seed) % strlen(letters)];
    }
    out[len] = '\0';
    return len;
}

/* Writes a pattern of elements that fnmatch understands in the same way. */
static void random_pattern(unsigned *seed, char *out)
{
    static const char *const parts[] = {"a",    "b",     "c",   "*",  "?",
                                        "[ab]", "[a-c]", "\\a", "\\*"};
    out[0] = '\0';
    for (int n = rand_r(seed) % 8; n > 0; n--) {
        strcat(out, parts[(size_t)rand_r(seed) % 9]);
    }
}

/* For random patterns and names, the answer is that of fnmatch. */
static void test_glob_like_fnmatch(void **state)
{
    (void)state;
    unsigned seed = (unsigned)km_clock_mono(km_clock_system());
    unsigned first = seed;
    int matches = 0;
    for (int i = 0; i < 100000; i++) {
        char pattern[64];
        char name[16];
        random_pattern(&seed, pattern);
        (void)random_text(&seed, "abc*", name, 8);
        bool expected = fnmatch(pattern, name, 0) == 0;
        if (glob(pattern, name) != expected) {
            fail_msg("seed %u: glob(%s, %s) is not %d", first, pattern, name,
                     expected);
        }
        matches += expected ? 1 : 0;
    }
    assert_true(matches > 1000);
}

/* Any bytes are accepted as a pattern, and no byte behind the end is read,
 * which ASan would notice. */
static void test_glob_garbage(void **state)
{
    (void)state;
    unsigned seed = 7;
    for (int i = 0; i < 100000; i++) {
        char text[16];
        size_t len = random_text(&seed, "[]^-\\*?ab", text, 12);
        char *exact = malloc(len + 1);
        memcpy(exact, text, len);
        char *end = realloc(exact, len > 0 ? len : 1);
        (void)km_bytes_glob(kama_bytes_make(end, len), KM_LIT("aab-]"));
        free(end);
    }
}

/* A pattern of 1 KiB of stars and letters against a name of 4 KiB that almost
 * matches takes milliseconds. A matcher that recurses would not end in any
 * practical time. */
static void test_glob_is_not_exponential(void **state)
{
    (void)state;
    char pattern[1025];
    char name[4097];
    for (size_t i = 0; i < 1024; i++) {
        pattern[i] = i % 2 == 0 ? '*' : 'a';
    }
    pattern[1024] = '\0';
    memset(name, 'a', 4096);
    name[4096] = '\0';
    assert_true(glob(pattern, name));
    pattern[1023] = 'b';
    km_ns start = km_clock_mono(km_clock_system());
    assert_false(glob(pattern, name));
    assert_true(km_clock_mono(km_clock_system()) - start < 5 * KM_NS_PER_S);
}

/* The vectors of RFC 4648, and bytes that are no text. */
static void test_base64(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"\xff\xfe", "//4="},
        {"foobar", "Zm9vYmFy"},
    };
    char text[KM_BYTES_BASE64(6)];
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_string_equal(km_bytes_base64(KAMA_STR(pairs[i][0]), text),
                            pairs[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_utf8_well_formed),
        cmocka_unit_test(test_utf8_malformed),
        cmocka_unit_test(test_utf8_code),
        cmocka_unit_test(test_utf8_tail),
        cmocka_unit_test(test_quote),
        cmocka_unit_test(test_quote_cuts_at_a_character),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_glob_elements),
        cmocka_unit_test(test_glob_like_fnmatch),
        cmocka_unit_test(test_glob_garbage),
        cmocka_unit_test(test_glob_is_not_exponential),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
