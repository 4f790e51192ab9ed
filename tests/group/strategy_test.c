/* SPDX-License-Identifier: MIT */
/*
 * The texts of strategies:
 *
 *     names          each name, and what is none
 *     copies         shard:R at its limits and beyond them
 *     labels         peers:LABEL at its limits, and what is no label
 *     addresses      peers:ADDR+ADDR becomes canonical, sorted, and each address once
 *     limits         the number of addresses, and the length of the list
 *     members        which members a strategy names
 */
#include "base/status.h"
#include "group/group_fixture.h"
#include "group/strategy.h"

#include <ctype.h>
#include <stdlib.h>

/* What makes addresses canonical here: lower case, and a port that is no 0. */
static kama_status canonical(const char *text, char *ret_text)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || atoi(colon + 1) == 0) {
        return km_fail(KAMA_ERR_INVALID, "\"%s\" is no host:port", text);
    }
    do {
        *ret_text++ = (char)tolower((unsigned char)*text);
    } while (*text++ != '\0');
    return KAMA_OK;
}

static struct km_strategy parse(const char *text)
{
    struct km_strategy strategy;
    assert_int_equal(km_strategy_parse(text, &strategy), KAMA_OK);
    assert_int_equal(km_strategy_complete(&strategy, canonical), KAMA_OK);
    return strategy;
}

static void expect_text(const char *text, const char *canonical)
{
    char shown[KM_STRATEGY_TEXT_BYTES];
    struct km_strategy strategy = parse(text);
    assert_string_equal(km_strategy_format(&strategy, shown), canonical);
}

static void expect_refused(const char *text, kama_status status,
                           const char *part)
{
    char sentence[KM_ERROR_BYTES_MAX];
    struct km_strategy strategy;
    kama_status st = km_strategy_parse(text, &strategy);
    if (st == KAMA_OK) {
        st = km_strategy_complete(&strategy, canonical);
    }
    assert_int_equal(st, status);
    kama_last_error(sentence, sizeof sentence);
    if (strncmp(sentence, "sync:", 5) != 0 || strstr(sentence, part) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", sentence, part);
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(parse("broadcast").kind, KM_STRATEGY_BROADCAST);
    assert_int_equal(parse("invalidate").kind, KM_STRATEGY_INVALIDATE);
    assert_int_equal(parse("owner").kind, KM_STRATEGY_OWNER);
    assert_int_equal(parse("local").kind, KM_STRATEGY_LOCAL);
    expect_text("broadcast", "broadcast");
    expect_text("invalidate", "invalidate");
    expect_text("owner", "owner");
    expect_text("local", "local");
    expect_refused("", KAMA_ERR_INVALID, "none of broadcast");
    expect_refused("Broadcast", KAMA_ERR_INVALID, "\"Broadcast\" is none");
    expect_refused("shard", KAMA_ERR_INVALID, "none of");
    expect_refused("owner:2", KAMA_ERR_INVALID, "none of");
    struct km_strategy owner = parse("owner");
    struct km_strategy peers = parse("peers:eu");
    assert_false(km_strategy_is_streamed(&owner));
    assert_true(km_strategy_is_streamed(&peers));
}

static void test_copies(void **state)
{
    (void)state;
    assert_int_equal(parse("shard:1").kind, KM_STRATEGY_SHARD);
    assert_int_equal(parse("shard:1").copies, 1);
    assert_int_equal(parse("shard:16").copies, KM_STRATEGY_COPIES_MAX);
    expect_text("shard:2", "shard:2");
    expect_text("shard:002", "shard:2");
    expect_refused("shard:17", KAMA_ERR_INVALID, "1 to 16");
    expect_refused("shard:0", KAMA_ERR_INVALID, "shard:0");
    expect_refused("shard:", KAMA_ERR_INVALID, "copies");
    expect_refused("shard:-1", KAMA_ERR_INVALID, "copies");
    expect_refused("shard:2x", KAMA_ERR_INVALID, "2x");
    expect_refused("shard:4294967297", KAMA_ERR_INVALID, "copies");
}

static void test_labels(void **state)
{
    char text[KM_MEMBER_LABEL_BYTES_MAX + 8] = "peers:";
    (void)state;
    assert_string_equal(parse("peers:zone-a").targets, "zone-a");
    expect_text("peers:zone-a", "peers:zone-a");
    memset(text + 6, 'l', KM_MEMBER_LABEL_BYTES_MAX);
    expect_text(text, text);
    text[6 + KM_MEMBER_LABEL_BYTES_MAX] = 'l';
    text[7 + KM_MEMBER_LABEL_BYTES_MAX] = '\0';
    expect_refused(text, KAMA_ERR_INVALID, "1 to 63");
    expect_refused("peers:", KAMA_ERR_INVALID, "1 to 63");
    expect_refused("peers:eu+us", KAMA_ERR_INVALID, "neither one label");
    expect_refused("peers:eu,us", KAMA_ERR_INVALID, "neither one label");
    expect_refused("peers:10.0.0.1", KAMA_ERR_INVALID, "must end in :PORT");
    expect_text("peers:v1.2.3.4", "peers:v1.2.3.4");
    expect_refused("peers:\x01", KAMA_ERR_INVALID, "control character");
}

static void test_addresses(void **state)
{
    (void)state;
    expect_text("peers:a.example:7300", "peers:a.example:7300");
    expect_text("peers:B.example:7300+[::A]:1+a:2+A:2",
                "peers:[::a]:1+a:2+b.example:7300");
    expect_refused("peers:a:1+", KAMA_ERR_INVALID, "\"\" is no host:port");
    expect_refused("peers:a:1+eu", KAMA_ERR_INVALID, "eu");
    expect_refused("peers:a:0", KAMA_ERR_INVALID, "sync: peers:");
}

static void test_limits(void **state)
{
    char text[KM_STRATEGY_TARGETS_BYTES_MAX + 16];
    char *end = text + sprintf(text, "peers:a:1");
    (void)state;
    for (unsigned i = 1; i < KM_STRATEGY_PEERS_MAX; i++) {
        end += sprintf(end, "+a:%u", i + 1);
    }
    assert_int_equal(parse(text).kind, KM_STRATEGY_PEERS);
    (void)sprintf(end, "+a:100");
    expect_refused(text, KAMA_ERR_TOO_LARGE, "more than 16 addresses");
    memset(text, '0', sizeof text);
    memcpy(text, "peers:a:", 8);
    text[6 + KM_STRATEGY_TARGETS_BYTES_MAX + 1] = '\0';
    expect_refused(text, KAMA_ERR_TOO_LARGE, "longer than 1023 bytes");
    memset(text, 'a', sizeof text);
    memcpy(text, "peers:", 6);
    memcpy(text + 6 + 263, ":1", 3);
    expect_refused(text, KAMA_ERR_INVALID, "265 bytes");
}

static void test_members(void **state)
{
    static const char *const labels[] = {"ssd", "eu"};
    struct km_strategy eu = parse("peers:eu");
    struct km_strategy two = parse("peers:a:1+bb:2");
    (void)state;
    assert_true(km_strategy_names(&eu, "a:1", labels, 2));
    assert_false(km_strategy_names(&eu, "eu", labels, 1));
    assert_false(km_strategy_names(&eu, "eu:1", NULL, 0));
    assert_true(km_strategy_names(&two, "a:1", labels, 2));
    assert_true(km_strategy_names(&two, "bb:2", NULL, 0));
    assert_false(km_strategy_names(&two, "b:2", NULL, 0));
    assert_false(km_strategy_names(&two, "bb:22", labels, 2));
    assert_false(km_strategy_names(&two, "", labels, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),  cmocka_unit_test(test_copies),
        cmocka_unit_test(test_labels), cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_limits), cmocka_unit_test(test_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
