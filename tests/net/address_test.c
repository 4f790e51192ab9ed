/* SPDX-License-Identifier: MIT */
/* Addresses: accepted ones, refused ones, and how they are written. */
#include "net/address.h"

#include "base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *normal(const char *text)
{
    static char shown[KM_ADDRESS_TEXT_BYTES];
    struct sockaddr_storage addr;
    if (km_address_parse(text, &addr) != KAMA_OK) {
        return NULL;
    }
    return km_address_format(&addr, shown);
}

/* Every form, in and out. */
static void test_forms(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"127.0.0.1:8001", "127.0.0.1:8001"},   {"0.0.0.0:0", "0.0.0.0:0"},
        {"localhost:65535", "127.0.0.1:65535"}, {"[::1]:8001", "[::1]:8001"},
        {"[0:0::0:1]:08001", "[::1]:8001"},     {":8001", "[::]:8001"},
        {"[::ffff:10.0.0.1]:5", "10.0.0.1:5"},  {"*:8001", "[::]:8001"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *shown = normal(rows[i][0]);
        assert_non_null(shown);
        assert_string_equal(shown, rows[i][1]);
    }
}

/* Texts that are no address, each with a sentence that quotes it. */
static void test_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "localhost",
        "127.0.0.1",
        "127.0.0.1:",
        ":",
        "a:65536",
        "a:-1",
        "a:1x",
        "a: 1",
        "::1:8001",
        "[::1:8001",
        "::1]:8001",
        "[]:1",
        "[::1]8001",
        "[::1]:8001:1",
        "[zz]:1",
        "a:99999999999999",
        "no such host.:1",
        "a:123456",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        km_last_error_clear();
        assert_null(normal(rows[i]));
        assert_non_null(strstr(km_last_error(), rows[i]));
    }
}

/* A URL is no address, and the sentence says how one is written. */
static void test_scheme_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {"http://127.0.0.1:8001", "tcp://h:1/",
                                       "https://h"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_null(normal(rows[i]));
        assert_non_null(
            strstr(km_last_error(), "it must be host:port, without scheme"));
    }
}

/* A host at the limit of its buffer and one past it. */
static void test_host_limit(void **state)
{
    (void)state;
    char text[KM_ADDRESS_HOST_BYTES + 8];
    struct km_address address;
    memset(text, 'a', KM_ADDRESS_HOST_BYTES - 1);
    strcpy(text + KM_ADDRESS_HOST_BYTES - 1, ":1");
    assert_int_equal(km_address_split(text, &address), KAMA_OK);
    assert_int_equal(strlen(address.host), KM_ADDRESS_HOST_BYTES - 1);
    memset(text, 'a', KM_ADDRESS_HOST_BYTES);
    strcpy(text + KM_ADDRESS_HOST_BYTES, ":1");
    assert_int_equal(km_address_split(text, &address), KAMA_ERR_INVALID);
}

static void check_at_host(const char *address, const char *host,
                          const char *expected)
{
    char text[KM_ADDRESS_TEXT_BYTES];
    km_address_at_host(address, host, text, sizeof text);
    assert_string_equal(text, expected);
}

/* Only an address without a host of its own gets the other one. */
static void test_at_host(void **state)
{
    (void)state;
    char host[KM_ADDRESS_TEXT_BYTES];
    check_at_host("0.0.0.0:9001", "10.0.0.5", "10.0.0.5:9001");
    check_at_host(":9001", "10.0.0.5", "10.0.0.5:9001");
    check_at_host("[::]:9001", "10.0.0.5", "10.0.0.5:9001");
    check_at_host("[::]:9001", "fd00::5", "[fd00::5]:9001");
    check_at_host("127.0.0.1:9001", "10.0.0.5", "127.0.0.1:9001");
    check_at_host("", "10.0.0.5", "");
    memset(host, 'a', sizeof host - 1);
    host[sizeof host - 1] = '\0';
    check_at_host("0.0.0.0:9001", host, "0.0.0.0:9001");
}

/* 127/8, ::1 and 127/8 inside IPv6, nothing else. */
static void test_loopback(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool loopback;
    } rows[] = {
        {"127.0.0.1:1", true},
        {"127.9.9.9:1", true},
        {"[::1]:1", true},
        {"localhost:1", true},
        {"10.0.0.1:1", false},
        {"0.0.0.0:1", false},
        {":1", false},
        {"[::2]:1", false},
        {"128.0.0.1:1", false},
        {"[::ffff:127.0.0.1]:1", true},
        {"[::ffff:10.0.0.1]:1", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sockaddr_storage addr;
        assert_int_equal(km_address_parse(rows[i].text, &addr), KAMA_OK);
        assert_int_equal(km_address_is_loopback(&addr), rows[i].loopback);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_scheme_is_refused),
        cmocka_unit_test(test_host_limit),
        cmocka_unit_test(test_at_host),
        cmocka_unit_test(test_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
