/* SPDX-License-Identifier: MIT */
/* Where the admin port listens, and which hosts a request may name. */
#include "admin/address.h"

#include "admin/host.h"
#include "base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static kama_status place(const char *listen, const char *admin,
                         uint32_t insecure, char *text)
{
    const struct km_admin_place where = {listen, admin, insecure};
    return km_admin_address(&where, text);
}

static void check(const char *listen, const char *admin, const char *expected)
{
    char text[KM_ADMIN_ADDRESS_BYTES];
    assert_int_equal(place(listen, admin, 0, text), KAMA_OK);
    assert_string_equal(text, expected);
}

/* Without --admin it stands beside the data port, on the loopback, whatever
 * address that listens on. */
static void test_beside_the_data_port(void **state)
{
    (void)state;
    check("127.0.0.1:8001", NULL, "127.0.0.1:9001");
    check("127.0.0.1:8001", "", "127.0.0.1:9001");
    check("0.0.0.0:8001", NULL, "127.0.0.1:9001");
    check("[::1]:8001", NULL, "127.0.0.1:9001");
    check(":8001", NULL, "127.0.0.1:9001");
    check("127.0.0.1:0", NULL, "127.0.0.1:0");
    check("127.0.0.1:64535", NULL, "127.0.0.1:65535");
    check("127.0.0.1:65535", "off", "");
    check("127.0.0.1:65535", "127.0.0.1:1", "127.0.0.1:1");
}

static void refuse(const char *listen, const char *admin, kama_status status,
                   const char *says)
{
    char text[KM_ADMIN_ADDRESS_BYTES] = "unchanged";
    assert_int_equal(place(listen, admin, 0, text), status);
    assert_non_null(strstr(km_last_error(), says));
    assert_string_equal(text, "unchanged");
}

static void test_refused(void **state)
{
    char text[KM_ADMIN_ADDRESS_BYTES];
    (void)state;
    refuse("127.0.0.1:64536", NULL, KAMA_ERR_INVALID, "--admin");
    refuse("127.0.0.1:1", "0.0.0.0:9001", KAMA_ERR_PERMISSION, "admin: 0.0.0");
    refuse("127.0.0.1:1", "nonsense", KAMA_ERR_INVALID, "admin: ");
    refuse("127.0.0.1:1", "127.0.0.1:1", KAMA_ERR_INVALID, "the data port");
    assert_int_equal(place("127.0.0.1:0", "127.0.0.1:0", 0, text), KAMA_OK);
    assert_int_equal(place("127.0.0.1:1", "0.0.0.0:9001", 1, text), KAMA_OK);
}

static bool allowed(const char *host)
{
    static const char *const names[] = {"cache.example", "node-1"};
    return km_admin_host_is_allowed(KAMA_STR(host), names, 2);
}

static void test_hosts(void **state)
{
    static const char *const good[] = {
        "127.0.0.1",     "127.0.0.1:9001",     "10.1.2.3:80",    "[::1]",
        "[::1]:9001",    "localhost",          "localhost:9001", "LocalHost",
        "cache.example", "CACHE.example:9001", "node-1:1"};
    static const char *const bad[] = {"",
                                      ":9001",
                                      "evil.example",
                                      "evil.example:9001",
                                      "localhost.",
                                      "localhost.evil",
                                      "127.0.0.1.evil.example",
                                      "*:80",
                                      "cache.example.x",
                                      "xcache.example",
                                      "a b",
                                      "localhost:99999",
                                      "[::1"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (!allowed(good[i])) {
            fail_msg("%s is refused", good[i]);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (allowed(bad[i])) {
            fail_msg("%s is allowed", bad[i]);
        }
    }
    assert_false(
        km_admin_host_is_allowed(kama_bytes_make("localhost\0x", 11), NULL, 0));
}

static void test_names_of_hosts(void **state)
{
    (void)state;
    assert_int_equal(km_admin_host_check("cache.example"), KAMA_OK);
    assert_int_equal(km_admin_host_check(""), KAMA_ERR_INVALID);
    assert_int_equal(km_admin_host_check("http://a"), KAMA_ERR_INVALID);
    assert_int_equal(km_admin_host_check("a:80"), KAMA_ERR_INVALID);
    assert_non_null(strstr(km_last_error(), "a:80"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beside_the_data_port),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_names_of_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
