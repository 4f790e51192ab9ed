/* SPDX-License-Identifier: MIT */
/* The rules of the codec: malformed input, lists, numbers, and the output of
 * the encoder. Whole messages are in msg_test.c. */
#include "wire/msg/msg.h"

#include "helpers/failmalloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* -- rules --------------------------------------------------------------- */

static kama_status decode_set(kama_bytes bytes, struct km_msg_set_request *set)
{
    return km_pb_decode(&km_msg_set_request_pb, bytes, set);
}

/* Each line has one fault and is refused. */
static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        kama_bytes bytes;
        const char *why;
    } bad[] = {
        {{"\x0a", 1}, "no length"},
        {{"\x0a\x01", 2}, "no bytes"},
        {{"\x0a\x02g", 3}, "length past the end"},
        {{"\x0a\xff\xff\xff\xff\x0f", 6}, "4 GiB"},
        {{"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, "2^64-1"},
        {{"\x20", 1}, "no varint"},
        {{"\x20\x80", 2}, "varint cut off"},
        {{"\x20\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 12},
         "varint of 11 bytes"},
        {{"\x02\x00", 2}, "field number 0"},
        {{"\x00\x00", 2}, "tag 0"},
        {{"\x80\x80\x80\x80\x80\x01\x00", 7}, "tag of 6 bytes"},
        {{"\xff\xff\xff\xff\x1f\x00", 6}, "tag over 32 bits"},
        {{"\x53\x54", 2}, "group of an unknown field"},
        {{"\x0b\x0c", 2}, "group of a known field"},
        {{"\x54", 1}, "end of no group"},
        {{"\x56\x00", 2}, "wire type 6"},
        {{"\x57\x00", 2}, "wire type 7"},
        {{"\x08\x01", 2}, "bytes sent as varint"},
        {{"\x22\x01\x01", 3}, "varint sent as bytes"},
        {{"\x25\x01\x01\x01\x01", 5}, "varint sent as fixed32"},
        {{"\x51\x01\x01\x01\x01\x01\x01\x01", 8}, "unknown fixed64 cut off"},
        {{"\x55\x01\x01\x01", 4}, "unknown fixed32 cut off"},
        {{"\x52\x02\x01", 3}, "unknown bytes cut off"},
    };
    struct km_msg_set_request set;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (decode_set(bad[i].bytes, &set) != KAMA_ERR_MALFORMED) {
            fail_msg("%s was accepted", bad[i].why);
        }
    }
}

/* Unknown fields of each wire type are skipped. Fields may come in any order,
 * and tags and numbers may be longer than they need to be. */
static void test_tolerated(void **state)
{
    (void)state;
    static const uint8_t bytes[] =
        "\x50\x96\x01"                                 /* 10: varint */
        "\x51\1\2\3\4\5\6\7\x08"                       /* 10: fixed64 */
        "\x52\x02xy"                                   /* 10: bytes */
        "\x55\1\2\3\4"                                 /* 10: fixed32 */
        "\x92\x80\x00\x81\x00k"                        /* key, tag in 3 bytes */
        "\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" /* ttl_ms */
        "\x0a\x01g"                                    /* group, out of order */
        "\xfa\xff\xff\xff\x0f\x00";                    /* largest number */
    struct km_msg_set_request set;
    assert_int_equal(decode_set(kama_bytes_make(bytes, sizeof bytes - 1), &set),
                     KAMA_OK);
    assert_true(km_bytes_eq(set.key, KM_LIT("k")));
    assert_true(km_bytes_eq(set.group, KM_LIT("g")));
    assert_int_equal(set.ttl_ms, INT64_MIN);
    assert_null(set.value.data);
}

/* Of several occurrences of a number or of bytes the last one counts. */
static void test_last_wins(void **state)
{
    (void)state;
    struct km_msg_set_request set;
    kama_bytes bytes = KM_LIT("\x12\x01"
                              "a\x20\x02\x12\x02"
                              "bb\x20\x04\x12\x00\x20\x06");
    assert_int_equal(decode_set(bytes, &set), KAMA_OK);
    assert_int_equal(set.key.len, 0);
    assert_non_null(set.key.data);
    assert_int_equal(set.ttl_ms, 3);
}

/* Occurrences of a message are merged, field by field. */
static void test_merge(void **state)
{
    (void)state;
    struct km_msg_group_stats stats;
    kama_bytes bytes = KM_LIT("\xba\x01\x04\x08\x01\x10\x02"
                              "\xba\x01\x04\x10\x05\x18\x06");
    assert_int_equal(km_pb_decode(&km_msg_group_stats_pb, bytes, &stats),
                     KAMA_OK);
    assert_int_equal(stats.load_latency.count, 1);
    assert_int_equal(stats.load_latency.sum_ns, 5);
    assert_int_equal(stats.load_latency.p50_ns, 6);
    bytes = KM_LIT("\xba\x01\x03\x08\x01\x10");
    assert_int_equal(km_pb_decode(&km_msg_group_stats_pb, bytes, &stats),
                     KAMA_ERR_MALFORMED);
}

/* Every prefix of a message is a shorter message or malformed. */
static void test_truncated(void **state)
{
    (void)state;
    static const char bytes[] = "\x0a\x07"
                                "default\x12\x03Tom\x1a\x03"
                                "630\x20\x80\x10";
    static const size_t whole[] = {0, 9, 14, 19, 22};
    struct km_msg_set_request set;
    for (size_t len = 0; len < sizeof bytes; len++) {
        bool expected = false;
        for (size_t i = 0; i < 5; i++) {
            expected = expected || whole[i] == len;
        }
        kama_status st = decode_set(kama_bytes_make(bytes, len), &set);
        assert_int_equal(st, expected ? KAMA_OK : KAMA_ERR_MALFORMED);
    }
}

/* -- lists --------------------------------------------------------------- */

/* Elements keep their order, even when other fields lie between them, and the
 * walk allocates nothing. */
static void test_list(void **state)
{
    (void)state;
    struct km_msg_mget_request request;
    kama_bytes bytes = KM_LIT("\x12\x01"
                              "a\x0a\x01g\x12\x00\x50\x01\x12\x02"
                              "bc\x18\x01");
    assert_int_equal(km_pb_decode(&km_msg_mget_request_pb, bytes, &request),
                     KAMA_OK);
    assert_int_equal(request.keys.count, 3);
    assert_true(request.no_load);
    static const char *const expected[] = {"a", "", "bc"};
    kama_bytes key;
    struct km_pb_list keys = request.keys;
    for (size_t i = 0; i < 3; i++) {
        assert_true(km_pb_next(&keys, &key));
        assert_true(km_bytes_eq(key, KAMA_STR(expected[i])));
    }
    assert_false(km_pb_next(&keys, &key));
    assert_false(km_pb_next(&keys, &key));
    keys = (struct km_pb_list){0};
    assert_false(km_pb_next(&keys, &key));
}

static void test_list_of_a_million(void **state)
{
    (void)state;
    enum { COUNT = 1 << 20 };
    uint8_t *bytes = malloc(2 * COUNT);
    assert_non_null(bytes);
    for (size_t i = 0; i < COUNT; i++) {
        memcpy(bytes + 2 * i, "\x12\x00", 2);
    }
    struct km_msg_mget_request request;
    kama_bytes message = kama_bytes_make(bytes, 2 * COUNT);
    assert_int_equal(km_pb_decode(&km_msg_mget_request_pb, message, &request),
                     KAMA_OK);
    assert_int_equal(request.keys.count, COUNT);
    size_t walked = 0;
    kama_bytes key;
    while (km_pb_next(&request.keys, &key)) {
        walked++;
    }
    assert_int_equal(walked, COUNT);
    free(bytes);
}

#define STATUSES(X, M)                                                         \
    X(M, 1, VLIST, statuses, _)                                                \
    X(M, 2, UINT32, last, _)
KM_PB_DECLARE(statuses, statuses_pb, STATUSES);
KM_PB_DEFINE(statuses, statuses_pb, STATUSES)

/* Numbers may come packed, one by one, or both; an empty pack has none. */
static void test_packed(void **state)
{
    (void)state;
    kama_bytes bytes = KM_LIT("\x0a\x03\x01\xac\x02\x08\x05\x10\x09\x0a\x00"
                              "\x0a\x01\x07\x08\x00");
    static const uint64_t expected[] = {1, 300, 5, 7, 0};
    struct statuses message;
    assert_int_equal(km_pb_decode(&statuses_pb, bytes, &message), KAMA_OK);
    assert_int_equal(message.statuses.count, 5);
    struct km_pb_list list = message.statuses;
    uint64_t value = 0;
    for (size_t i = 0; i < 5; i++) {
        assert_true(km_pb_next_varint(&list, &value));
        assert_int_equal(value, expected[i]);
    }
    assert_false(km_pb_next_varint(&list, &value));

    struct km_buf out;
    km_buf_init(&out, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_pb_append(&out, &statuses_pb, &message), KAMA_OK);
    assert_true(
        km_bytes_eq(km_buf_bytes(&out),
                    KM_LIT("\x0a\x06\x01\xac\x02\x05\x07\x00\x10\x09")));
    km_buf_fini(&out);
    assert_int_equal(
        km_pb_decode(&statuses_pb, KM_LIT("\x0a\x02\x01\x80"), &message),
        KAMA_ERR_MALFORMED);
    assert_int_equal(
        km_pb_decode(&statuses_pb, KM_LIT("\x0d\x01\x01\x01\x01"), &message),
        KAMA_ERR_MALFORMED);
}

/* -- numbers ------------------------------------------------------------- */

#define NUMBERS(X, M)                                                          \
    X(M, 1, BOOL, b, _)                                                        \
    X(M, 2, UINT32, u32, _)                                                    \
    X(M, 3, UINT64, u64, _)                                                    \
    X(M, 4, INT32, i32, _)                                                     \
    X(M, 5, INT64, i64, _)                                                     \
    X(M, 6, SINT64, s64, _)                                                    \
    X(M, 7, FIXED64, f64, _)                                                   \
    X(M, 2000, UINT64, far, _)
KM_PB_DECLARE(numbers, numbers_pb, NUMBERS);
KM_PB_DEFINE(numbers, numbers_pb, NUMBERS)

static void check_numbers(const struct numbers *n)
{
    uint8_t bytes[128];
    struct numbers back;
    size_t size = km_pb_size(&numbers_pb, n);
    assert_true(size <= sizeof bytes);
    assert_ptr_equal(km_pb_write(&numbers_pb, n, bytes), bytes + size);
    assert_int_equal(
        km_pb_decode(&numbers_pb, kama_bytes_make(bytes, size), &back),
        KAMA_OK);
    assert_int_equal(back.b, n->b);
    assert_int_equal(back.u32, n->u32);
    assert_int_equal(back.i32, n->i32);
    assert_int_equal(back.far, n->far);
    assert_true(back.u64 == n->u64 && back.i64 == n->i64 &&
                back.s64 == n->s64 && back.f64 == n->f64);
}

/* The ends of every number, and each power of two, survive. */
static void test_numbers(void **state)
{
    (void)state;
    check_numbers(&(struct numbers){0});
    check_numbers(&(struct numbers){.b = true,
                                    .u32 = UINT32_MAX,
                                    .u64 = UINT64_MAX,
                                    .i32 = INT32_MIN,
                                    .i64 = INT64_MIN,
                                    .s64 = INT64_MIN,
                                    .f64 = UINT64_MAX,
                                    .far = UINT64_MAX});
    for (unsigned i = 0; i < 64; i++) {
        uint64_t bit = 1ull << i;
        check_numbers(&(struct numbers){.u64 = bit,
                                        .i64 = -(int64_t)(bit / 2),
                                        .s64 = (int64_t)(bit - 1),
                                        .far = bit - 1});
    }
}

/* A 32-bit field takes the lower half of a number, and a bool any number. */
static void test_numbers_cut(void **state)
{
    (void)state;
    struct numbers n;
    kama_bytes bytes = KM_LIT("\x08\x80\x02\x10\x85\x80\x80\x80\x10\x20\xff\xff"
                              "\xff\xff\xff\xff\xff\xff\xff\x01");
    assert_int_equal(km_pb_decode(&numbers_pb, bytes, &n), KAMA_OK);
    assert_true(n.b);
    assert_int_equal(n.u32, 5);
    assert_int_equal(n.i32, -1);
}

/* -- encoding ------------------------------------------------------------ */

/* A reply that is sent as a head and a value without a copy is one message. */
static void test_prefix(void **state)
{
    (void)state;
    uint8_t bytes[512];
    struct km_msg_get_response head = {.found = true, .ttl_ms = -1};
    uint8_t *end = km_pb_write(&km_msg_get_response_pb, &head, bytes);
    size_t prefix = km_pb_prefix_size(KM_MSG_VALUE, 300);
    assert_int_equal(prefix, 3);
    assert_ptr_equal(km_pb_write_prefix(end, KM_MSG_VALUE, 300), end + 3);
    memset(end + 3, 'v', 300);
    struct km_msg_get_response back;
    assert_int_equal(
        km_pb_decode(&km_msg_get_response_pb,
                     kama_bytes_make(bytes, (size_t)(end + 303 - bytes)),
                     &back),
        KAMA_OK);
    assert_int_equal(back.value.len, 300);
    assert_int_equal(back.ttl_ms, -1);
    assert_ptr_equal(km_pb_write_prefix(end, KM_MSG_VALUE, 0), end);
    assert_int_equal(km_pb_prefix_size(KM_MSG_VALUE, 0), 0);
}

/* Elements and loose fields are written even when they are empty. */
static void test_append(void **state)
{
    (void)state;
    struct km_buf out;
    struct km_msg_mget_item miss = {.status = KAMA_MISS};
    struct km_msg_mget_item ok = {0};
    km_buf_init(&out, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_pb_append_element(&out, 1, &km_msg_mget_item_pb, &miss),
                     KAMA_OK);
    assert_int_equal(km_pb_append_element(&out, 1, &km_msg_mget_item_pb, &ok),
                     KAMA_OK);
    assert_int_equal(km_pb_append_bytes(&out, 2, KM_LIT("x")), KAMA_OK);
    assert_int_equal(km_pb_append_bytes(&out, 2, KM_LIT("")), KAMA_OK);
    assert_int_equal(km_pb_append_varint(&out, 3, 300), KAMA_OK);
    assert_int_equal(km_pb_append_varint(&out, 3, 0), KAMA_OK);
    assert_true(km_bytes_eq(km_buf_bytes(&out),
                            KM_LIT("\x0a\x02\x08\x01\x0a\x00\x12\x01x\x12\x00"
                                   "\x18\xac\x02\x18\x00")));
    km_buf_fini(&out);
}

static kama_status append_all(const kama_allocator *mem, void *arg)
{
    (void)arg;
    struct km_buf out;
    struct km_msg_group_info info = {.name = KM_LIT("a name"), .bytes = 300};
    km_buf_init(&out, mem, SIZE_MAX);
    kama_status st = km_pb_append(&out, &km_msg_group_info_pb, &info);
    size_t len = out.len;
    for (int i = 0; i < 20 && st == KAMA_OK; i++) {
        len = out.len;
        st = km_pb_append_element(&out, 1, &km_msg_group_info_pb, &info);
    }
    if (st == KAMA_OK) {
        len = out.len;
        st = km_pb_append_bytes(&out, 2, KM_LIT("x"));
    }
    assert_true(st == KAMA_OK || out.len == len);
    km_buf_fini(&out);
    return st;
}

/* If there is no memory, nothing is appended. */
static void test_append_no_memory(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(append_all, NULL) > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_tolerated),
        cmocka_unit_test(test_last_wins),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_list_of_a_million),
        cmocka_unit_test(test_packed),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_numbers_cut),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_append_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
