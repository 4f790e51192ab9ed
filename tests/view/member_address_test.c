/* SPDX-License-Identifier: MIT */
/* The canonical form of addresses: all nodes must write them in the same
 * way. */
#include "view/member.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void expect_form(const char *text, const char *form)
{
    char address[KM_MEMBER_ADDRESS_BYTES];
    char again[KM_MEMBER_ADDRESS_BYTES];
    if (km_member_address(text, address) != KAMA_OK) {
        fail_msg("%s was refused", text);
    }
    assert_string_equal(address, form);
    assert_int_equal(km_member_address(address, again), KAMA_OK);
    assert_string_equal(again, form);
}

static void expect_refused(const char *text, const char *why)
{
    char address[KM_MEMBER_ADDRESS_BYTES];
    char sentence[256];
    if (km_member_address(text, address) != KAMA_ERR_INVALID) {
        fail_msg("%s was not refused", text);
    }
    kama_last_error(sentence, sizeof sentence);
    if (strstr(sentence, why) == NULL) {
        fail_msg("%s: \"%s\" does not say \"%s\"", text, sentence, why);
    }
}

static void test_names_become_lower_case(void **state)
{
    (void)state;
    expect_form("Cache-1.Example.COM:8001", "cache-1.example.com:8001");
    expect_form("a_b.local.:1", "a_b.local.:1");
    expect_form("10.0.0.1:65535", "10.0.0.1:65535");
    expect_form("localhost:00080", "localhost:80");
    expect_form("3com.example:80", "3com.example:80");
}

/* The examples of RFC 5952, chapters 2 and 4. */
static void test_ipv6_is_written_as_rfc_5952_says(void **state)
{
    (void)state;
    expect_form("[2001:DB8::1]:8001", "[2001:db8::1]:8001");
    expect_form("[2001:0db8:0:0:0:0:2:1]:1", "[2001:db8::2:1]:1");
    expect_form("[2001:db8:0:1:1:1:1:1]:1", "[2001:db8:0:1:1:1:1:1]:1");
    expect_form("[2001:db8:0:0:1:0:0:1]:1", "[2001:db8::1:0:0:1]:1");
    expect_form("[2001:0:0:1:0:0:0:1]:1", "[2001:0:0:1::1]:1");
    expect_form("[fe80:0:0:0:0:0:0:0]:1", "[fe80::]:1");
    expect_form("[0:0:0:0:0:0:0:1]:1", "[::1]:1");
    expect_form("[1:2:3:4:5:6:7:0]:1", "[1:2:3:4:5:6:7:0]:1");
    expect_form("[::FFFF:10.0.0.1]:1", "[::ffff:10.0.0.1]:1");
    expect_form("[::ffff:a00:1]:1", "[::ffff:10.0.0.1]:1");
    expect_form("[::10.0.0.1]:1", "[::a00:1]:1");
}

static void test_addresses_that_stand_for_all_are_refused(void **state)
{
    (void)state;
    expect_refused("0.0.0.0:8001", "all addresses");
    expect_refused("[::]:8001", "all addresses");
    expect_refused("[0:0:0:0:0:0:0:0]:8001", "all addresses");
    expect_refused("[::ffff:0.0.0.0]:8001", "all addresses");
    expect_refused(":8001", "all addresses");
    expect_refused("*:8001", "all addresses");
}

static void test_a_port_is_1_to_65535(void **state)
{
    (void)state;
    expect_form("a:1", "a:1");
    expect_form("a:65535", "a:65535");
    expect_refused("a:0", "1 to 65535");
    expect_refused("a:65536", "1 to 65535");
    expect_refused("a:99999999999999999999", "1 to 65535");
    expect_refused("a:", "1 to 65535");
    expect_refused("a:80x", "1 to 65535");
    expect_refused("a", ":PORT");
    expect_refused("", ":PORT");
}

/* libc would take these for addresses in another notation. */
static void test_numbers_that_are_no_addresses_are_refused(void **state)
{
    (void)state;
    expect_refused("127.1:80", "four decimal numbers");
    expect_refused("0:80", "four decimal numbers");
    expect_refused("0x7f000001:80", "four decimal numbers");
    expect_refused("10.0.0.256:80", "four decimal numbers");
    expect_refused("10.0.0.01:80", "four decimal numbers");
    expect_refused("10.0.0.1.:80", "four decimal numbers");
}

static void test_texts_that_are_no_addresses_are_refused(void **state)
{
    (void)state;
    expect_refused("::1:80", "[ADDRESS]:PORT");
    expect_refused("[fe80::1%eth0]:80", "zone");
    expect_refused("[]:80", "IPv6");
    expect_refused("[10.0.0.1]:80", "IPv6");
    expect_refused("[1:2:3:4:5:6:7:8:9:a:b:c:d:e:f:0:1:2:3:4:5:6:7]:80",
                   "IPv6");
    expect_refused("a..b:80", "host name");
    expect_refused(".a:80", "host name");
    expect_refused("a b:80", "host name");
    expect_refused("a/b:80", "host name");
    expect_refused("a\nb:80", "host name");
    expect_refused("b\xc3\xbc"
                   "cher:80",
                   "host name");
    expect_refused("http://a:80", "[ADDRESS]:PORT");
}

/* A name has at most 253 characters, and a label of it 63. */
static void test_names_have_a_limit(void **state)
{
    (void)state;
    char text[300];
    char form[300];
    memset(text, 'a', sizeof text);
    for (size_t dot = 50; dot < 253; dot += 51) {
        text[dot] = '.';
    }
    memcpy(text + 253, ":65535", 7);
    memcpy(form, text, sizeof form);
    expect_form(text, form);
    memcpy(text + 253, "a:65535", 8);
    expect_refused(text, "253");
    memset(text, 'a', 64);
    memcpy(text + 63, ":1", 3);
    expect_form(text, text);
    memcpy(text + 63, "a:1", 4);
    expect_refused(text, "host name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_become_lower_case),
        cmocka_unit_test(test_ipv6_is_written_as_rfc_5952_says),
        cmocka_unit_test(test_addresses_that_stand_for_all_are_refused),
        cmocka_unit_test(test_a_port_is_1_to_65535),
        cmocka_unit_test(test_numbers_that_are_no_addresses_are_refused),
        cmocka_unit_test(test_texts_that_are_no_addresses_are_refused),
        cmocka_unit_test(test_names_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
