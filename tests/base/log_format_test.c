/* SPDX-License-Identifier: MIT */
/* Lines as text and as JSON are well-formed single lines, whatever bytes are in
 * them. */
#include "base/log_format.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TS_US UINT64_C(1767323045006007) /* 2026-01-02T03:04:05.006007Z */
#define HEAD_TEXT "ts=2026-01-02T03:04:05.006007Z level=warn component=c "
#define HEAD_JSON                                                              \
    "{\"ts\":\"2026-01-02T03:04:05.006007Z\",\"level\":\"warn\","              \
    "\"component\":\"c\","

static char line[KM_LOG_LINE_BYTES_MAX + 1];

/* Formats an event into `line` and puts a NUL behind it. */
static size_t format(enum km_log_format format, const char *msg,
                     const struct km_field *fields, size_t count)
{
    struct km_log_event event = {
        .wall_us = TS_US,
        .level = KM_LOG_WARN,
        .component = "c",
        .msg = msg,
        .fields = fields,
        .field_count = count,
    };
    size_t len = km_log_format(format, &event, line);
    line[len] = '\0';
    return len;
}

static void check_text(struct km_field field, const char *expected)
{
    char whole[512];
    (void)format(KM_LOG_TEXT, "m", &field, 1);
    (void)snprintf(whole, sizeof whole, HEAD_TEXT "msg=m %s\n", expected);
    assert_string_equal(line, whole);
}

static void check_json(struct km_field field, const char *expected)
{
    char whole[512];
    (void)format(KM_LOG_JSON, "m", &field, 1);
    (void)snprintf(whole, sizeof whole, HEAD_JSON "\"msg\":\"m\",%s}\n",
                   expected);
    assert_string_equal(line, whole);
}

/* In logfmt, values stand without quotes where possible, and texts keep their
 * UTF-8. */
static void test_text(void **state)
{
    (void)state;
    check_text(km_f_int("n", INT64_MIN), "n=-9223372036854775808");
    check_text(km_f_str("s", "127.0.0.1:80"), "s=127.0.0.1:80");
    check_text(km_f_str("s", NULL), "s=\"\"");
    check_text(km_f_str("s", "a b"), "s=\"a b\"");
    check_text(km_f_str("s", "a=\"\n\\"), "s=\"a=\\\"\\n\\\\\"");
    check_text(km_f_str("s", "中 é"), "s=\"中 é\"");
    check_text(km_f_str("s", "\xff\x1b\xc2\x9b"), "s=\"\\xff\\x1b\\xc2\\x9b\"");
    check_text(km_f_str("s", "\xe2\x80\xae!"), "s=\"\\xe2\\x80\\xae!\"");
    check_text(km_f_bytes("b", KM_LIT("a\0é")), "b=\"a\\x00\\xc3\\xa9\"");
    check_text(km_f_bytes("b", kama_bytes_make(NULL, 0)), "b=\"\"");
}

/* In JSON, values are strings, and a field of bytes holds the quoted text. */
static void test_json(void **state)
{
    (void)state;
    check_json(km_f_int("n", 7), "\"n\":7");
    check_json(km_f_str("s", "a\"\\\n\t中"), "\"s\":\"a\\\"\\\\\\n\\t中\"");
    check_json(km_f_str("s", "\x01\x7f"), "\"s\":\"\\u0001\\u007f\"");
    check_json(km_f_str("s", "\xff"), "\"s\":\"\\\\xff\"");
    check_json(km_f_bytes("b", KM_LIT("\0\"\\\n")),
               "\"b\":\"\\\\x00\\\\\\\"\\\\\\\\\\\\n\"");
}

/* The number of lines that were held back is a field of the next line. */
static void test_held_back(void **state)
{
    (void)state;
    struct km_log_event event = {.component = "c", .msg = "m", .held_back = 12};
    size_t len = km_log_format(KM_LOG_TEXT, &event, line);
    line[len] = '\0';
    assert_string_equal(line, "ts=1970-01-01T00:00:00.000000Z level=debug "
                              "component=c msg=m held_back=12\n");
}

/* A value is cut at its limit and not a byte before it. */
static void test_value_limit(void **state)
{
    (void)state;
    char value[KM_LOG_VALUE_BYTES_MAX + 2];
    memset(value, 'v', sizeof value);
    struct km_field field =
        km_f_bytes("b", kama_bytes_make(value, KM_LOG_VALUE_BYTES_MAX));
    (void)format(KM_LOG_TEXT, "m", &field, 1);
    assert_null(strstr(line, "..."));
    field.bytes.len++;
    (void)format(KM_LOG_TEXT, "m", &field, 1);
    assert_non_null(strstr(line, "v...\"\n"));
    assert_int_equal(strcspn(strstr(line, "vvv"), "\""),
                     KM_LOG_VALUE_BYTES_MAX);
    field.bytes = kama_bytes_make(value, sizeof value);
    field.kind = KM_FIELD_STR;
    (void)format(KM_LOG_TEXT, "m", &field, 1);
    assert_non_null(strstr(line, "v...\"\n"));
}

/* A cut falls between characters, both where they stand as they are and where
 * all their bytes are escaped. */
static void test_value_is_cut_at_a_character(void **state)
{
    (void)state;
    char value[3 * KM_LOG_VALUE_BYTES_MAX];
    for (size_t i = 0; i < sizeof value; i += 3) {
        memcpy(value + i, "\xe6\x97\xa5", 3);
    }
    kama_bytes all = kama_bytes_make(value, sizeof value);
    struct km_field fields[] = {{"s", KM_FIELD_STR, 0, all}};
    (void)format(KM_LOG_TEXT, "m", fields, 1);
    assert_non_null(strstr(line, "\xe6\x97\xa5...\"\n"));
    fields[0] = km_f_bytes("b", all);
    (void)format(KM_LOG_TEXT, "m", fields, 1);
    assert_non_null(strstr(line, "\\xe6\\x97\\xa5...\"\n"));
    (void)format(KM_LOG_JSON, "m", fields, 1);
    assert_non_null(strstr(line, "\\\\xe6\\\\x97\\\\xa5...\"}\n"));
}

/* A line that grows beyond its limit stays well-formed. Fields that do not fit
 * are left out, the line says so, and a small field behind them may still
 * fit. */
static void test_line_limit(void **state)
{
    (void)state;
    char value[1024];
    bool was_cut = false;
    memset(value, '"', sizeof value);
    for (size_t len = 0; len < 500; len++) {
        kama_bytes half = kama_bytes_make(value, len);
        struct km_field fields[] = {
            km_f_bytes("a", half), km_f_bytes("b", half), km_f_bytes("c", half),
            km_f_bytes("d", half), km_f_bytes("e", half), km_f_int("z", 1)};
        for (int json = 0; json < 2; json++) {
            size_t n = format((enum km_log_format)json, "m", fields, 6);
            assert_true(n <= KM_LOG_LINE_BYTES_MAX);
            assert_int_equal(line[n - 1], '\n');
            assert_true(json == 0 || line[n - 2] == '}');
            was_cut = was_cut || strstr(line, "cut") != NULL;
        }
    }
    assert_true(was_cut);
}

/* Check the grammar of a JSON object without nested members. They return the
 * end of the part that they have read. */
static const char *json_string(const char *p)
{
    assert_int_equal(*p++, '"');
    while (*p != '"') {
        assert_true((unsigned char)*p >= 0x20);
        if (*p == '\\') {
            p++;
            assert_non_null(strchr("\"\\nrtu", *p));
        }
        p++;
    }
    return p + 1;
}

static void check_json_line(const char *p)
{
    assert_int_equal(*p++, '{');
    for (;;) {
        p = json_string(p);
        assert_int_equal(*p++, ':');
        p = *p == '"' ? json_string(p) : p + strspn(p, "-0123456789true");
        if (*p == '}') {
            break;
        }
        assert_int_equal(*p++, ',');
    }
    assert_string_equal(p, "}\n");
}

/* With random bytes in the message and the fields, a line is still one line of
 * UTF-8, and JSON follows its grammar. */
static void test_garbage(void **state)
{
    (void)state;
    unsigned seed = 3;
    for (int i = 0; i < 20000; i++) {
        char raw[64];
        size_t len = (size_t)rand_r(&seed) % sizeof raw;
        for (size_t j = 0; j < len; j++) {
            raw[j] = (char)(rand_r(&seed) >> 5);
        }
        raw[len] = '\0';
        kama_bytes bytes = kama_bytes_make(raw, len);
        struct km_field fields[] = {{"s", KM_FIELD_STR, 0, bytes},
                                    km_f_bytes("b", bytes),
                                    km_f_int("n", (int64_t)seed)};
        size_t n =
            format(i % 2 == 0 ? KM_LOG_TEXT : KM_LOG_JSON, raw, fields, 3);
        assert_true(km_bytes_is_utf8(kama_bytes_make(line, n)));
        assert_ptr_equal(memchr(line, '\n', n), line + n - 1);
        assert_null(memchr(line, '\0', n));
        if (i % 2 != 0) {
            check_json_line(line);
        }
    }
}

/* The names of levels and formats are read, and other texts are refused. */
static void test_names(void **state)
{
    (void)state;
    enum km_log_level level = KM_LOG_DEBUG;
    enum km_log_format found = KM_LOG_TEXT;
    assert_true(km_log_level_parse("error", &level));
    assert_int_equal(level, KM_LOG_ERROR);
    assert_false(km_log_level_parse("Error", &level));
    assert_false(km_log_level_parse("", &level));
    assert_int_equal(level, KM_LOG_ERROR);
    assert_true(km_log_format_parse("json", &found));
    assert_int_equal(found, KM_LOG_JSON);
    assert_false(km_log_format_parse("xml", &found));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_held_back),
        cmocka_unit_test(test_value_limit),
        cmocka_unit_test(test_value_is_cut_at_a_character),
        cmocka_unit_test(test_line_limit),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
