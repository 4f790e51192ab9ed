/* SPDX-License-Identifier: MIT */
/* Coded bodies that the http plug-in receives are decoded, or refused by the
 * name of their coding. */
#include "loaders/http_server.h"

/* The codings of a body, and a part of the error sentence, or NULL if it is
 * decoded. */
static const struct {
    const char *name;
    const char *text;
} CODINGS[] = {
    {"gzip", NULL},
    {"x-gzip", NULL},
    {"members", NULL},
    {"deflate", NULL},
    {"raw", NULL},
    {"identity", NULL},
    {"with-identity", NULL},
    {"cut", "\"gzip\": its data end too early"},
    {"no-checksum", "\"gzip\": its data end too early"},
    {"wrong-checksum", "\"gzip\": incorrect data check"},
    {"garbage", "\"gzip\": incorrect header check"},
    {"behind", "\"gzip\": incorrect header check"},
    {"deflate-cut", "\"deflate\": its data end too early"},
    {"deflate-behind", "\"deflate\": bytes follow"},
    {"br", "\"br\": only gzip and deflate are decoded"},
    {"zstd", "\"zstd\": only gzip and deflate are decoded"},
    {"nonsense", "\"\"\\x09\\xff\"\": only gzip and deflate"},
    {"twice", "\"gzip, gzip\": more than one"},
    {"two-headers", "\"gzip, deflate\": more than one"},
    {"transfer", "\"gzip\": as a Transfer-Encoding only chunked"},
};

/* A coded body is decoded completely and with its checksum, or an error names
 * the coding. Neither coded bytes nor a part of the decoded ones are ever
 * stored. */
static void test_content_encoding(void **state)
{
    (void)state;
    enum { PLAIN_BYTES = 120000 };
    char *plain = malloc(PLAIN_BYTES);
    assert_non_null(plain);
    for (size_t i = 0; i < PLAIN_BYTES; i++) {
        plain[i] = "plain "[i % 6];
    }
    struct host_plugin plugin;
    open_path(&plugin, "/coded/{key}");
    for (size_t i = 0; i < sizeof CODINGS / sizeof CODINGS[0]; i++) {
        kama_bytes key = kama_bytes_str(CODINGS[i].name);
        print_message("%s\n", CODINGS[i].name);
        if (CODINGS[i].text == NULL) {
            host_expect_value(&plugin, key, KAMA_BYTES(plain, PLAIN_BYTES), 0);
        } else {
            host_expect_status(&plugin, key, KAMA_ERR_LOADER, CODINGS[i].text);
        }
    }
    host_expect_value(&plugin, KAMA_STR("empty"), KAMA_STR(""), 0);
    host_expect_status(&plugin, KAMA_STR("absent-br"), KAMA_MISS, NULL);
    host_close(&plugin);
    free(plain);
}

/* 64 KiB that decode to 64 MiB are refused as soon as they exceed the largest
 * value. They are not decoded at all if the response has no value. */
static void test_decompression_bomb(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_path(&plugin, "/coded/{key}");
    host_expect_status(&plugin, KAMA_STR("bomb"), KAMA_ERR_TOO_LARGE,
                       "decoded from gzip, is larger than max_value_bytes, "
                       "1048576");
    host_expect_status(&plugin, KAMA_STR("absent-bomb"), KAMA_MISS, NULL);
    host_expect_status(&plugin, KAMA_STR("bomb"), KAMA_ERR_TOO_LARGE, "gzip");
    host_close(&plugin);
}

/* The plug-in asks the origin for plain bytes. */
static void test_asks_for_identity(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_path(&plugin, "/{key}");
    host_expect_value(&plugin, KAMA_STR("accept"), KAMA_STR("identity"), 0);
    host_close(&plugin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_encoding),
        cmocka_unit_test(test_decompression_bomb),
        cmocka_unit_test(test_asks_for_identity),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
