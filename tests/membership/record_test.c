/* SPDX-License-Identifier: MIT */
/* The record of a member: what is accepted, and what is junk. */
#include "membership/record.h"

#include "base/bytes.h"
#include "helpers/failmalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID "0123456789abcdef0123456789abcdef"
#define ADDRESS "10.0.0.1:8001"
#define REST_OF_RECORD                                                         \
    "\"nonce\":\"" ID "\",\"id\":\"" ID "\",\"addr\":\"" ADDRESS "\""
#define WALL_MS 1700000000000u
#define HEAD "{\"cluster\":\"default\"," REST_OF_RECORD

static struct km_record parsed;

static kama_status parse_bytes(kama_bytes value)
{
    return km_record_parse(value, KM_LIT(ADDRESS), WALL_MS, &parsed);
}

static void expect_junk(const char *value, const char *why)
{
    char sentence[256];
    if (parse_bytes(KAMA_STR(value)) != KAMA_ERR_MALFORMED) {
        fail_msg("%.200s is not junk", value);
    }
    kama_last_error(sentence, sizeof sentence);
    if (strstr(sentence, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", sentence, why);
    }
}

static void expect_good(const char *value)
{
    if (parse_bytes(KAMA_STR(value)) != KAMA_OK) {
        char sentence[256];
        kama_last_error(sentence, sizeof sentence);
        fail_msg("%.200s: %s", value, sentence);
    }
}

static void test_a_record_is_read_as_it_was_written(void **state)
{
    (void)state;
    static struct km_record record = {.cluster = "default"};
    static const char *const labels[] = {"zone-a", "caf\xc3\xa9 \"x\""};
    struct km_buf buf;
    km_buf_init(&buf, NULL, SIZE_MAX);
    memset(record.nonce.bytes, 0xab, sizeof record.nonce.bytes);
    record.member = (struct km_member){
        .id = {{1, 2, 3}},
        .address = ADDRESS,
        .admin = "10.0.0.1:9001",
        .version = "0.2.0",
        .state = KM_MEMBER_LEAVING,
        .weight = 16,
        .labels = labels,
        .label_count = 2,
        .final_seq = INT64_MAX,
        .clock = (WALL_MS << 16) + 3,
        .prev = {
            .id = {{4, 5}}, .final_seq = 6, .clock = 7, .originated = true}};
    assert_int_equal(km_record_format(&record, &buf), KAMA_OK);
    assert_int_equal(parse_bytes(km_buf_bytes(&buf)), KAMA_OK);
    assert_string_equal(parsed.cluster, "default");
    assert_true(km_member_id_equal(&parsed.nonce, &record.nonce));
    assert_true(km_member_id_equal(&parsed.member.id, &record.member.id));
    assert_string_equal(parsed.member.address, ADDRESS);
    assert_string_equal(parsed.member.admin, "10.0.0.1:9001");
    assert_string_equal(parsed.member.version, "0.2.0");
    assert_int_equal(parsed.member.state, KM_MEMBER_LEAVING);
    assert_int_equal(parsed.member.weight, 16);
    assert_int_equal(parsed.member.label_count, 2);
    assert_string_equal(parsed.member.labels[1], labels[1]);
    assert_true(parsed.member.final_seq == INT64_MAX);
    assert_true(parsed.member.clock == record.member.clock);
    assert_true(
        km_member_id_equal(&parsed.member.prev.id, &record.member.prev.id));
    assert_int_equal(parsed.member.prev.final_seq, 6);
    assert_int_equal(parsed.member.prev.clock, 7);
    assert_true(parsed.member.prev.originated);
    km_buf_fini(&buf);
}

/* Other programs read these records too: the text is the contract. */
static void test_a_record_is_written_as_the_document_says(void **state)
{
    (void)state;
    static struct km_record record = {.cluster = "default"};
    struct km_buf buf;
    km_buf_init(&buf, NULL, SIZE_MAX);
    assert_true(km_member_id_parse(KM_LIT(ID), &record.nonce));
    record.member = (struct km_member){.id = record.nonce,
                                       .address = ADDRESS,
                                       .admin = "",
                                       .version = "0.2.0",
                                       .state = KM_MEMBER_ACTIVE,
                                       .weight = 1};
    assert_int_equal(km_record_format(&record, &buf), KAMA_OK);
    assert_true(km_bytes_eq(
        km_buf_bytes(&buf),
        KM_LIT("{\"cluster\":\"default\",\"nonce\":\"" ID "\",\"id\":\"" ID
               "\",\"addr\":\"" ADDRESS "\",\"admin\":\"\",\"state\":"
               "\"active\",\"labels\":[],\"weight\":1,\"proto\":[2,2],"
               "\"version\":\"0.2.0\",\"final_seq\":0,\"clock\":0,"
               "\"prev\":null}")));
    km_buf_reset(&buf, SIZE_MAX);
    record.member.final_seq = 8;
    record.member.clock = 9;
    record.member.prev =
        (struct km_member_goodbye){record.nonce, 10, 11, false};
    assert_int_equal(km_record_format(&record, &buf), KAMA_OK);
    kama_bytes end =
        KM_LIT("\"final_seq\":8,\"clock\":9,\"prev\":{\"id\":\"" ID
               "\",\"final_seq\":10,\"clock\":11,\"originated\":false}}");
    assert_true(
        km_bytes_eq(km_bytes_skip(km_buf_bytes(&buf), buf.len - end.len), end));
    km_buf_fini(&buf);
}

static void test_unknown_members_are_ignored(void **state)
{
    (void)state;
    expect_good(HEAD ",\"state\":\"active\",\"weight\":2,"
                     "\"colour\":{\"a\":[1,{\"b\":null}]}}");
    assert_string_equal(parsed.member.version, "");
    assert_int_equal(parsed.member.label_count, 0);
}

/* An older version has written zeros and null, or nothing. */
static void test_a_record_without_goodbyes_reads_as_zeros(void **state)
{
    (void)state;
    static const char *const records[] = {
        HEAD ",\"state\":\"active\",\"weight\":2}",
        HEAD ",\"state\":\"active\",\"weight\":2,\"final_seq\":0,\"clock\":0,"
             "\"prev\":null}"};
    for (size_t i = 0; i < 2; i++) {
        expect_good(records[i]);
        assert_int_equal(parsed.member.final_seq, 0);
        assert_int_equal(parsed.member.clock, 0);
        assert_true(km_member_id_is_none(&parsed.member.prev.id));
        assert_int_equal(parsed.member.prev.final_seq, 0);
        assert_int_equal(parsed.member.prev.clock, 0);
        assert_false(parsed.member.prev.originated);
    }
}

#define ACTIVE HEAD ",\"state\":\"active\",\"weight\":1,"
#define PREV "\"prev\":{\"id\":\"" ID "\","

/* Whoever believed in a wrong goodbye would miss mutations. */
static void test_a_goodbye_of_another_type_is_junk(void **state)
{
    (void)state;
    expect_junk(ACTIVE "\"final_seq\":\"1\"}", "final_seq");
    expect_junk(ACTIVE "\"final_seq\":-1}", "final_seq");
    expect_junk(ACTIVE "\"final_seq\":null}", "final_seq");
    expect_junk(ACTIVE "\"final_seq\":9223372036854775808}", "JSON");
    expect_junk(ACTIVE "\"clock\":1.5}", "clock");
    expect_junk(ACTIVE "\"prev\":[]}", "prev");
    expect_junk(ACTIVE "\"prev\":0}", "prev");
    expect_junk(ACTIVE "\"prev\":{}}", "prev");
    expect_junk(ACTIVE "\"prev\":{\"originated\":true}}", "id");
    expect_junk(ACTIVE PREV "\"originated\":1}}", "prev");
    expect_junk(ACTIVE PREV "\"originated\":true,\"final_seq\":[]}}",
                "final_seq");
    expect_junk(ACTIVE PREV "\"originated\":true,\"clock\":{}}}", "clock");
    expect_good(ACTIVE PREV "\"originated\":true,\"new\":1}}");
    assert_true(parsed.member.prev.originated);
}

/* R3: at the limit, and one millisecond past it. */
static void test_a_clock_that_is_a_minute_ahead_is_junk(void **state)
{
    (void)state;
    static const char *const forms[] = {
        ACTIVE "\"clock\":%llu}",
        ACTIVE PREV "\"originated\":false,\"clock\":%llu}}"};
    char text[1024];
    for (size_t i = 0; i < 2; i++) {
        uint64_t most = ((WALL_MS + KM_MEMBERSHIP_CLOCK_MS) << 16) + 0xffff;
        (void)snprintf(text, sizeof text, forms[i], (unsigned long long)most);
        expect_good(text);
        (void)snprintf(text, sizeof text, forms[i],
                       (unsigned long long)(most + 1));
        expect_junk(text, "clock: it is more than 60000 ms ahead");
    }
}

static void test_what_is_no_such_object_is_junk(void **state)
{
    (void)state;
    expect_junk("", "JSON");
    expect_junk("null", "JSON");
    expect_junk("[]", "not an object");
    expect_junk("{", "JSON");
    expect_junk("{}x", "JSON");
    expect_junk("{\"cluster\":\"a\",\"cluster\":\"b\"}", "JSON");
    expect_junk("{\"cluster\":\"\xff\"}", "JSON");
    expect_junk("{\"cluster\":\"a\\u0000b\"}", "JSON");
    assert_int_equal(parse_bytes(KM_LIT("{\"a\":\"\0\"}")), KAMA_ERR_MALFORMED);
    assert_int_equal(parse_bytes(kama_bytes_make(NULL, 0)), KAMA_ERR_MALFORMED);
}

static void test_members_of_another_type_are_junk(void **state)
{
    (void)state;
    expect_junk("{}", "cluster");
    expect_junk("{\"cluster\":1," REST_OF_RECORD "}", "cluster");
    expect_junk("{\"cluster\":\"c\",\"addr\":\"" ADDRESS "\",\"nonce\":\"\"}",
                "nonce");
    expect_junk(HEAD "}", "state");
    expect_junk(HEAD ",\"state\":\"gone\",\"weight\":1}", "state");
    expect_junk(HEAD ",\"state\":2,\"weight\":1}", "state");
    expect_junk(HEAD ",\"state\":\"active\"}", "weight");
    expect_junk(HEAD ",\"state\":\"active\",\"weight\":\"1\"}", "weight");
    expect_junk(HEAD ",\"state\":\"active\",\"weight\":1.5}", "weight");
    expect_junk(HEAD ",\"state\":\"active\",\"weight\":1,\"labels\":\"a\"}",
                "labels");
    expect_junk(HEAD ",\"state\":\"active\",\"weight\":1,\"labels\":[1]}",
                "labels");
    expect_junk(HEAD ",\"state\":\"active\",\"weight\":1,\"admin\":null}",
                "admin");
    expect_junk(HEAD ",\"state\":\"active\",\"weight\":1,\"version\":[]}",
                "version");
    for (unsigned i = 0; i < 6; i++) {
        static const char *const ranges[] = {"null", "1",         "[]",
                                             "[1]",  "[1,\"2\"]", "[-1,2]"};
        char text[512];
        (void)snprintf(text, sizeof text,
                       HEAD ",\"state\":\"active\",\"weight\":1,\"proto\":%s}",
                       ranges[i]);
        expect_junk(text, "proto");
    }
}

static bool is_spoken(const char *range)
{
    char text[512];
    (void)snprintf(text, sizeof text,
                   HEAD ",\"state\":\"active\",\"weight\":1%s}", range);
    expect_good(text);
    return km_member_is_spoken(parsed.proto_min, parsed.proto_max);
}

/* Nodes without a version of the protocol in common cannot be in one cluster. */
static void test_the_range_of_the_protocol(void **state)
{
    (void)state;
    assert_false(is_spoken(",\"proto\":[1,1]"));
    assert_true(is_spoken(",\"proto\":[1,2]"));
    assert_true(is_spoken(",\"proto\":[2,2]"));
    assert_true(is_spoken(",\"proto\":[2,9]"));
    assert_false(is_spoken(",\"proto\":[3,4294967295]"));
    assert_true(is_spoken(""));
}

static void test_an_id_of_zeros_is_junk(void **state)
{
    (void)state;
    expect_junk("{\"cluster\":\"c\",\"nonce\":\"" ID "\",\"addr\":\"" ADDRESS
                "\",\"id\":\"00000000000000000000000000000000\"}",
                "id");
}

static void test_an_address_that_is_not_the_one_of_the_key_is_junk(void **state)
{
    (void)state;
    const char *value = "{\"cluster\":\"c\",\"nonce\":\"" ID "\",\"id\":\"" ID
                        "\",\"addr\":\"A:1\",\"state\":\"active\","
                        "\"weight\":1}";
    expect_junk(value, "the address in the key");
    /* The key has the same spelling, but it is not canonical. */
    assert_int_equal(
        km_record_parse(KAMA_STR(value), KM_LIT("A:1"), WALL_MS, &parsed),
        KAMA_ERR_MALFORMED);
}

static void test_a_weight_is_1_to_16(void **state)
{
    (void)state;
    expect_good(HEAD ",\"state\":\"active\",\"weight\":1}");
    expect_good(HEAD ",\"state\":\"active\",\"weight\":16}");
    expect_junk(HEAD ",\"state\":\"active\",\"weight\":0}", "weight");
    expect_junk(HEAD ",\"state\":\"active\",\"weight\":17}", "weight");
    expect_junk(HEAD ",\"state\":\"active\",\"weight\":4294967297}", "weight");
}

/* Writes a record with so many labels of so many bytes each. */
static const char *with_labels(char *text, size_t count, size_t bytes)
{
    char *end = text + sprintf(text, "%s",
                               HEAD ",\"state\":\"active\","
                                    "\"weight\":1,\"labels\":[");
    for (size_t i = 0; i < count; i++) {
        end += sprintf(end, "%s\"%0*d\"", i > 0 ? "," : "", (int)bytes, 0);
    }
    strcpy(end, "]}");
    return text;
}

static void test_there_are_at_most_16_labels_of_63_bytes(void **state)
{
    (void)state;
    char text[4096];
    expect_good(
        with_labels(text, KM_MEMBER_LABELS_MAX, KM_MEMBER_LABEL_BYTES_MAX));
    assert_int_equal(parsed.member.label_count, KM_MEMBER_LABELS_MAX);
    expect_junk(with_labels(text, KM_MEMBER_LABELS_MAX + 1, 1), "labels");
    expect_junk(with_labels(text, 1, KM_MEMBER_LABEL_BYTES_MAX + 1), "labels");
}

static void test_texts_have_limits(void **state)
{
    (void)state;
    char text[2048];
    static const struct {
        const char *name;
        int max;
    } texts[] = {{"admin", KM_MEMBER_ADDRESS_BYTES - 1},
                 {"version", KM_MEMBER_VERSION_BYTES_MAX}};
    for (size_t i = 0; i < 2; i++) {
        for (int over = 0; over <= 1; over++) {
            (void)sprintf(text, "%s,\"%s\":\"%0*d\"}",
                          HEAD ",\"state\":\"active\",\"weight\":1",
                          texts[i].name, texts[i].max + over, 0);
            assert_int_equal(parse_bytes(KAMA_STR(text)),
                             over ? KAMA_ERR_MALFORMED : KAMA_OK);
        }
    }
    for (int over = 0; over <= 1; over++) {
        (void)sprintf(text,
                      "{\"cluster\":\"%0*d\"," REST_OF_RECORD
                      ",\"state\":\"active\",\"weight\":1}",
                      KM_CLUSTER_NAME_BYTES_MAX + over, 0);
        assert_int_equal(parse_bytes(KAMA_STR(text)),
                         over ? KAMA_ERR_MALFORMED : KAMA_OK);
    }
}

/* A record that is too long is not parsed, even if it is right. */
static void test_more_than_8_kib_is_junk(void **state)
{
    (void)state;
    static const char head[] =
        HEAD ",\"state\":\"active\",\"weight\":1,\"x\":\"";
    char *text = malloc(KM_MEMBERSHIP_RECORD_BYTES_MAX + 2);
    assert_non_null(text);
    for (size_t over = 0; over <= 1; over++) {
        size_t len = KM_MEMBERSHIP_RECORD_BYTES_MAX + over;
        memset(text, 'x', len);
        memcpy(text, head, sizeof head - 1);
        memcpy(text + len - 2, "\"}", 2);
        assert_int_equal(parse_bytes(kama_bytes_make(text, len)),
                         over ? KAMA_ERR_MALFORMED : KAMA_OK);
    }
    free(text);
}

static void test_brackets_are_nested_at_most_8_deep(void **state)
{
    (void)state;
    expect_good(HEAD ",\"state\":\"active\",\"weight\":1,"
                     "\"x\":[[[[[[[]]]]]]],\"y\":\"[[[[[[[[[[\\\"[[\"}");
    expect_junk(HEAD ",\"state\":\"active\",\"weight\":1,"
                     "\"x\":[[[[[[[[]]]]]]]]}",
                "nesting");
    char deep[4096];
    memset(deep, '[', sizeof deep);
    assert_int_equal(parse_bytes(kama_bytes_make(deep, sizeof deep)),
                     KAMA_ERR_MALFORMED);
}

static kama_status write_one(const kama_allocator *mem, void *arg)
{
    struct km_buf buf;
    km_buf_init(&buf, mem, SIZE_MAX);
    kama_status status = km_record_format(arg, &buf);
    km_buf_fini(&buf);
    return status;
}

static void test_each_allocation_of_writing_may_fail(void **state)
{
    (void)state;
    expect_good(HEAD ",\"state\":\"active\",\"weight\":1," PREV
                     "\"originated\":true}}");
    assert_true(km_test_fail_each(write_one, &parsed) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_is_read_as_it_was_written),
        cmocka_unit_test(test_a_record_is_written_as_the_document_says),
        cmocka_unit_test(test_unknown_members_are_ignored),
        cmocka_unit_test(test_a_record_without_goodbyes_reads_as_zeros),
        cmocka_unit_test(test_a_goodbye_of_another_type_is_junk),
        cmocka_unit_test(test_a_clock_that_is_a_minute_ahead_is_junk),
        cmocka_unit_test(test_what_is_no_such_object_is_junk),
        cmocka_unit_test(test_members_of_another_type_are_junk),
        cmocka_unit_test(test_the_range_of_the_protocol),
        cmocka_unit_test(test_an_id_of_zeros_is_junk),
        cmocka_unit_test(
            test_an_address_that_is_not_the_one_of_the_key_is_junk),
        cmocka_unit_test(test_a_weight_is_1_to_16),
        cmocka_unit_test(test_there_are_at_most_16_labels_of_63_bytes),
        cmocka_unit_test(test_texts_have_limits),
        cmocka_unit_test(test_more_than_8_kib_is_junk),
        cmocka_unit_test(test_brackets_are_nested_at_most_8_deep),
        cmocka_unit_test(test_each_allocation_of_writing_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
