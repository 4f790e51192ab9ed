/* SPDX-License-Identifier: MIT */
/* The table of statuses, and the last error of a thread. */
#include "base/status.h"

#include "base/bytes.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <pthread.h>
#include <string.h>
#include <cmocka.h>

struct row {
    kama_status status;
    int number;
    int grpc;
    int http;
    const char *name;
};

static const struct row rows[] = {
#define ROW(name, value, grpc, http, text) {name, value, grpc, http, #name},
    KAMA_STATUS_MAP(ROW)
#undef ROW
};

#define ROW_COUNT (sizeof rows / sizeof rows[0])

/* Every row has its number, name, text and codes, and no number occurs
 * twice. */
static void test_every_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &rows[i];
        kama_status found = KAMA_STATUS_FORCE_INT;
        assert_int_equal((int)row->status, row->number);
        assert_string_equal(kama_status_name(row->status), row->name);
        assert_true(strlen(kama_strerror(row->status)) > 1);
        assert_int_equal(km_status_grpc(row->status), row->grpc);
        assert_int_equal(km_status_http(row->status), row->http);
        assert_true(km_status_from_name(KAMA_STR(row->name), &found));
        assert_int_equal(found, row->status);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(rows[j].number, row->number);
        }
    }
}

/* A number that is no status has a text, a name and codes nevertheless. */
static void test_unknown_number(void **state)
{
    (void)state;
    kama_status unknown = (kama_status)-777;
    assert_string_equal(kama_strerror(unknown), "unknown status");
    assert_non_null(kama_status_name(unknown));
    assert_int_equal(km_status_grpc(unknown), 13);
    assert_int_equal(km_status_http(unknown), 500);
}

/* Names are compared exactly, and a search that fails writes nothing. */
static void test_unknown_names(void **state)
{
    (void)state;
    static const char *const names[] = {
        "", "KAMA", "KAMA_O", "KAMA_OKAY", "kama_ok", "KAMA_ERR_TIMEOUT "};
    kama_status found = KAMA_ERR_BUSY;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_false(km_status_from_name(KAMA_STR(names[i]), &found));
    }
    assert_false(km_status_from_name(kama_bytes_make(NULL, 0), &found));
    assert_int_equal(found, KAMA_ERR_BUSY);
}

/* A gRPC code becomes a status that has the same code, if there is one. */
static void test_from_grpc(void **state)
{
    (void)state;
    for (int code = -1; code <= 18; code++) {
        kama_status status = km_status_from_grpc(code);
        bool has_own =
            code >= 0 && code <= 16 && code != 2 && code != 11 && code != 15;
        assert_false(km_status_is_connection(status));
        if (has_own) {
            assert_int_equal(km_status_grpc(status), code);
        } else {
            assert_true((int)status < 0);
        }
    }
}

/* The range of a number tells whether it is an error of the connection. */
static void test_severity(void **state)
{
    (void)state;
    assert_false(km_status_is_connection(KAMA_OK));
    assert_false(km_status_is_connection(KAMA_ERR_INTERNAL));
    assert_true(km_status_is_connection(KAMA_ERR_UNREACHABLE));
    assert_true(km_status_is_connection(KAMA_ERR_IO));
}

/* The sentence is kept, is cut at its limit, and may contain the one before. */
static void test_last_error(void **state)
{
    (void)state;
    char buf[KM_ERROR_BYTES_MAX + 10];
    char small[4];
    char longer[400];
    km_last_error_clear();
    kama_last_error(buf, sizeof buf);
    assert_string_equal(buf, "");
    assert_int_equal(km_fail(KAMA_ERR_INVALID, "ttl: %d", 7), KAMA_ERR_INVALID);
    assert_int_equal(km_fail(KAMA_ERR_IO, "file: %s", km_last_error()),
                     KAMA_ERR_IO);
    assert_string_equal(km_last_error(), "file: ttl: 7");
    kama_last_error(small, sizeof small);
    assert_string_equal(small, "fil");
    kama_last_error(small, 1);
    assert_string_equal(small, "");
    kama_last_error(NULL, 0);
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    (void)km_fail(KAMA_ERR_IO, "%s", longer);
    assert_int_equal(strlen(km_last_error()), KM_ERROR_BYTES_MAX - 1);
}

/* 255 bytes are not a multiple of three. A sentence of three-byte characters
 * keeps 84 of them and a prefix, and a smaller buffer of a caller keeps whole
 * characters. */
static void test_sentence_is_cut_at_a_character(void **state)
{
    (void)state;
    char longer[400];
    char small[8];
    for (size_t i = 0; i + 3 < sizeof longer; i += 3) {
        memcpy(longer + i, "\xe6\x97\xa5", 4);
    }
    (void)km_fail(KAMA_ERR_IO, "x: %s", longer);
    assert_int_equal(strlen(km_last_error()), 3 + 84 * 3);
    (void)km_fail(KAMA_ERR_IO, "xy: %s", longer);
    assert_int_equal(strlen(km_last_error()), 4 + 83 * 3);
    assert_true(km_bytes_is_utf8(KAMA_STR(km_last_error())));
    kama_last_error(small, sizeof small);
    assert_string_equal(small, "xy: \xe6\x97\xa5");
    kama_last_error(small, sizeof small - 1);
    assert_string_equal(small, "xy: ");
}

/* A newline would begin a second line of a log, an escape would control the
 * terminal, and a malformed byte would break a gRPC message. */
static void test_sentence_is_one_printable_line(void **state)
{
    (void)state;
    (void)km_fail(KAMA_ERR_IO, "%s", "a\nb\x1b[2J\xff\xc2\x9b\xe6\x97");
    assert_string_equal(km_last_error(), "a\\nb\\x1b[2J\\xff\\xc2\\x9b");
}

static void *read_other(void *arg)
{
    (void)arg;
    const char *seen = km_last_error()[0] == '\0' ? "empty" : "not empty";
    (void)km_fail(KAMA_ERR_IO, "other");
    return (void *)seen;
}

/* Another thread neither sees nor changes the sentence. */
static void test_last_error_is_the_threads(void **state)
{
    (void)state;
    pthread_t thread;
    void *seen;
    (void)km_fail(KAMA_ERR_IO, "mine");
    assert_int_equal(pthread_create(&thread, NULL, read_other, NULL), 0);
    assert_int_equal(pthread_join(thread, &seen), 0);
    assert_string_equal(seen, "empty");
    assert_string_equal(km_last_error(), "mine");
}

/* The library returns the version of the headers it was built with. */
static void test_version(void **state)
{
    (void)state;
    char expected[64];
    (void)snprintf(expected, sizeof expected, "%d.%d.%d", KAMA_VERSION_MAJOR,
                   KAMA_VERSION_MINOR, KAMA_VERSION_PATCH);
    assert_string_equal(kama_version(), expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row),
        cmocka_unit_test(test_unknown_number),
        cmocka_unit_test(test_unknown_names),
        cmocka_unit_test(test_from_grpc),
        cmocka_unit_test(test_severity),
        cmocka_unit_test(test_last_error),
        cmocka_unit_test(test_sentence_is_cut_at_a_character),
        cmocka_unit_test(test_sentence_is_one_printable_line),
        cmocka_unit_test(test_last_error_is_the_threads),
        cmocka_unit_test(test_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
