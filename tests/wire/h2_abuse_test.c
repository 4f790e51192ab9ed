/* SPDX-License-Identifier: MIT */
/* Frames that no well-behaved client sends, at each limit and one past it. */
#include "wire/h2_victim.h"

/* -- one frame n times --------------------------------------------------- */

typedef void (*write_fn)(struct km_buf *out, uint32_t i);

static void write_ping(struct km_buf *out, uint32_t i)
{
    (void)i;
    raw_frame(out, RAW_PING, 0, 0, KM_LIT("12345678"));
}

static void write_ping_ack(struct km_buf *out, uint32_t i)
{
    (void)i;
    raw_frame(out, RAW_PING, RAW_ACK, 0, KM_LIT("12345678"));
}

static void write_settings(struct km_buf *out, uint32_t i)
{
    (void)i;
    raw_frame(out, RAW_SETTINGS, 0, 0, kama_bytes_make(NULL, 0));
}

static void write_priority(struct km_buf *out, uint32_t i)
{
    raw_frame(out, RAW_PRIORITY, 0, 2 * i + 1, KM_LIT("\0\0\0\0\x10"));
}

static void write_unknown(struct km_buf *out, uint32_t i)
{
    (void)i;
    raw_frame(out, 0xee, 0, 0, KM_LIT("whatever"));
}

static void write_window(struct km_buf *out, uint32_t i)
{
    (void)i;
    raw_u32_frame(out, RAW_WINDOW_UPDATE, 0, 1);
}

/* Opens a stream and resets it at once. */
static void write_cancelled(struct km_buf *out, uint32_t i)
{
    raw_request(out, 2 * i + 1, 0);
    raw_u32_frame(out, RAW_RST_STREAM, 2 * i + 1, 8);
}

/* Opens a stream that the server has to reset, because its window would be
 * larger than 2^31 - 1. */
static void write_made_reset(struct km_buf *out, uint32_t i)
{
    raw_request(out, 2 * i + 1, 0);
    raw_u32_frame(out, RAW_WINDOW_UPDATE, 2 * i + 1, 0x7fffffff);
}

static void write_empty_data(struct km_buf *out, uint32_t i)
{
    (void)i;
    raw_frame(out, RAW_DATA, 0, 1, kama_bytes_make(NULL, 0));
}

static void write_padding_only(struct km_buf *out, uint32_t i)
{
    (void)i;
    raw_frame(out, RAW_DATA, RAW_PADDED, 1, KM_LIT("\2\0\0"));
}

static void send_many(struct victim *victim, write_fn write, uint32_t from,
                      uint32_t count)
{
    for (uint32_t i = from; i < from + count; i++) {
        write(&victim->in, i);
        victim->pair.server.opened = 0; /* the slots are used again */
        if (i % 16 == 15) {
            victim_feed(victim);
        }
    }
    victim_feed(victim);
}

/* `count` frames are served, and one more is too many. */
static void check_limit(write_fn write, uint32_t count, const char *name,
                        const char *sentence)
{
    struct victim victim;
    victim_init(&victim);
    victim_feed(&victim);
    send_many(&victim, write, 0, count);
    assert_served(&victim);
    send_many(&victim, write, count, 1);
    assert_calmed(&victim);
    assert_string_equal(victim.pair.abuse, sentence);
    assert_string_equal(km_h2_abuse_name(km_h2_abuse(victim.pair.server.h2)),
                        name);
    victim_fini(&victim);
}

/* A burst of 200 PINGs is allowed. */
static void test_ping(void **state)
{
    (void)state;
    check_limit(write_ping, KM_H2_PING_BURST, "ping",
                "201 PING frames without traffic in 0.000 s, the limit is 100 "
                "a second and 200 at once");
}

/* 50 SETTINGS are allowed, the first of which came with the preface. */
static void test_settings(void **state)
{
    (void)state;
    check_limit(write_settings, KM_H2_SETTINGS_PER_S - 1, "settings",
                "51 SETTINGS frames in 0.000 s, the limit is 50 a second and "
                "50 at once");
}

/* 100 PRIORITY frames are allowed. */
static void test_priority(void **state)
{
    (void)state;
    check_limit(write_priority, KM_H2_PRIORITY_PER_S, "priority",
                "101 PRIORITY frames without requests in 0.000 s, the limit is "
                "100 a second and 100 at once");
}

/* A burst of 2,000 resets is allowed; test_honest_cancels has 3,000 slower
 * ones. */
static void test_reset(void **state)
{
    (void)state;
    check_limit(write_cancelled, KM_H2_RESET_BURST, "reset",
                "2001 RST_STREAM frames for unanswered calls in 0.000 s, the "
                "limit is 500 a second and 2000 at once");
}

/* 200 streams may be reset for errors of the other side. */
static void test_made_reset(void **state)
{
    (void)state;
    check_limit(write_made_reset, KM_H2_RESET_SENT_PER_10S, "reset_sent",
                "201 streams reset for protocol errors in 0.000 s, the limit "
                "is 20 a second and 200 at once");
}

/* 1,000 WINDOW_UPDATEs are allowed, and 10 for each frame that we sent. */
static void test_window(void **state)
{
    (void)state;
    struct victim victim;
    victim_init(&victim);
    victim_feed(&victim);
    kama_bytes bytes = km_buf_bytes(&victim.out);
    struct raw_seen frame;
    uint32_t sent = 0;
    while (raw_next(&bytes, &frame)) {
        sent++;
    }
    uint32_t count =
        KM_H2_WINDOW_UPDATE_PER_S + sent * KM_H2_WINDOW_UPDATES_PER_FRAME;
    send_many(&victim, write_window, 0, count);
    assert_served(&victim);
    send_many(&victim, write_window, count, 1);
    assert_calmed(&victim);
    victim_fini(&victim);
}

/* A call with two WINDOW_UPDATEs, as C-core sends it, that ends before it is
 * answered. */
static void write_unanswered(struct km_buf *out, uint32_t i)
{
    raw_request(out, 2 * i + 1, 0);
    raw_u32_frame(out, RAW_WINDOW_UPDATE, 2 * i + 1, 1);
    raw_u32_frame(out, RAW_WINDOW_UPDATE, 0, 1);
    raw_u32_frame(out, RAW_RST_STREAM, 2 * i + 1, 8);
}

/* Calls pay for their WINDOW_UPDATEs, also if none of them is answered. */
static void test_window_of_unanswered_calls(void **state)
{
    (void)state;
    struct victim victim;
    victim_init(&victim);
    victim_feed(&victim);
    send_many(&victim, write_unanswered, 0, KM_H2_RESET_BURST);
    assert_served(&victim);
    victim_fini(&victim);
}

static void check_empty_data(write_fn write)
{
    struct victim victim;
    victim_init(&victim);
    raw_request(&victim.in, 1, 0);
    victim_feed(&victim);
    send_many(&victim, write, 0, KM_H2_EMPTY_DATA_PER_STREAM);
    assert_served(&victim);
    send_many(&victim, write, 0, 1);
    assert_calmed(&victim);
    victim_fini(&victim);
}

/* A stream may have 10 DATA frames without a byte and without END_STREAM. */
static void test_empty_data(void **state)
{
    (void)state;
    check_empty_data(write_empty_data);
    check_empty_data(write_padding_only);
}

/* PING with ACK costs nothing and is not counted. */
static void test_ping_ack_is_free(void **state)
{
    (void)state;
    struct victim victim;
    victim_init(&victim);
    victim_feed(&victim);
    send_many(&victim, write_ping_ack, 0, 1000);
    assert_served(&victim);
    victim_fini(&victim);
}

/* Frames of unknown types are skipped, and cost no more than their bytes. */
static void test_unknown_type_is_free(void **state)
{
    (void)state;
    struct victim victim;
    victim_init(&victim);
    victim_feed(&victim);
    send_many(&victim, write_unknown, 0, 1000);
    assert_served(&victim);
    victim_fini(&victim);
}

/* The buckets fill again, so a client that keeps to a rate is served for
 * ever. */
static void test_refill(void **state)
{
    (void)state;
    struct victim victim;
    victim_init(&victim);
    victim_feed(&victim);
    for (uint32_t i = 0; i < 1000; i++) {
        victim.pair.now += KM_NS_PER_S / KM_H2_PING_PER_S;
        send_many(&victim, write_ping, 0, 1);
    }
    assert_served(&victim);
    send_many(&victim, write_ping, 0, KM_H2_PING_BURST);
    assert_calmed(&victim);
    victim_fini(&victim);
}

/* 3,000 cancels at 400 a second are honest. */
static void test_honest_cancels(void **state)
{
    (void)state;
    struct victim victim;
    victim_init(&victim);
    victim_feed(&victim);
    for (uint32_t i = 0; i < 3000; i++) {
        victim.pair.now += KM_NS_PER_S / 400;
        send_many(&victim, write_cancelled, i, 1);
    }
    assert_served(&victim);
    victim_fini(&victim);
}

/* -- floods that nghttp2 ends -------------------------------------------- */

/* A header block that never ends ends the connection. */
static void test_continuation_flood(void **state)
{
    (void)state;
    struct victim victim;
    victim_init(&victim);
    struct km_buf block;
    km_buf_init(&block, NULL, SIZE_MAX);
    raw_request_fields(&block, "/a/b");
    raw_frame(&victim.in, RAW_HEADERS, 0, 1, km_buf_bytes(&block));
    km_buf_reset(&block, 0);
    raw_field(&block, "x", "y");
    for (int i = 0; i < 50; i++) {
        raw_frame(&victim.in, RAW_CONTINUATION, 0, 1, km_buf_bytes(&block));
    }
    km_buf_fini(&block);
    victim_feed(&victim);
    assert_int_not_equal(victim.status, KAMA_OK);
    victim_fini(&victim);
}

/* A SETTINGS frame has more entries than anyone needs. */
static void test_large_settings(void **state)
{
    (void)state;
    struct victim victim;
    victim_init(&victim);
    uint8_t entries[6 * 100];
    for (size_t i = 0; i < sizeof entries; i += 6) {
        memcpy(entries + i, "\0\x3\0\0\0\x64", 6);
    }
    raw_frame(&victim.in, RAW_SETTINGS, 0, 0,
              kama_bytes_make(entries, sizeof entries));
    victim_feed(&victim);
    struct km_session *session = victim_session(&victim);
    assert_true(victim.status != KAMA_OK || !session->ops->alive(session));
    victim_fini(&victim);
}

/* -- odd, and honest ----------------------------------------------------- */

/* C-core's SETTINGS allow us no streams and frames of 4 MiB, and have an
 * unknown id. */
static void test_ccore_settings(void **state)
{
    (void)state;
    struct victim victim;
    victim_init(&victim);
    raw_frame(&victim.in, RAW_SETTINGS, 0, 0,
              KM_LIT("\0\x2\0\0\0\0"
                     "\0\x3\0\0\0\0"
                     "\0\x4\0\x40\0\0"
                     "\0\x5\0\x40\0\0"
                     "\0\x6\0\0\x20\0"
                     "\xfe\x3\0\0\0\x1"));
    raw_request(&victim.in, 1, RAW_END_STREAM);
    victim_feed(&victim);
    assert_served(&victim);
    assert_int_equal(victim_sent(&victim, RAW_HEADERS), 1);
    victim_fini(&victim);
}

/* The GOAWAY with which grpc-go ends in order has a stream id that HTTP/2 does
 * not allow. */
static void test_grpc_go_goaway(void **state)
{
    (void)state;
    struct victim victim;
    victim_init(&victim);
    raw_request(&victim.in, 1, RAW_END_STREAM);
    raw_frame(&victim.in, RAW_GOAWAY, 0, 0, KM_LIT("\0\0\0\1\0\0\0\0"));
    victim_feed(&victim);
    struct km_session *session = victim_session(&victim);
    assert_false(session->ops->alive(session));
    assert_int_equal(km_h2_why(victim.pair.server.h2), KM_H2_WHY_NONE);
    victim_fini(&victim);
}

/* An error of the protocol ends the connection, with a reason of its own. */
static void test_protocol_error(void **state)
{
    (void)state;
    struct victim victim;
    victim_init(&victim);
    raw_frame(&victim.in, RAW_DATA, 0, 0, KM_LIT("x"));
    victim_feed(&victim);
    victim_take(&victim);
    assert_int_equal(victim_goaway(&victim), KM_H2_PROTOCOL_ERROR);
    assert_int_equal(km_h2_why(victim.pair.server.h2), KM_H2_WHY_PROTOCOL);
    victim_fini(&victim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ping),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_priority),
        cmocka_unit_test(test_unknown_type_is_free),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_made_reset),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_window_of_unanswered_calls),
        cmocka_unit_test(test_empty_data),
        cmocka_unit_test(test_ping_ack_is_free),
        cmocka_unit_test(test_refill),
        cmocka_unit_test(test_honest_cancels),
        cmocka_unit_test(test_continuation_flood),
        cmocka_unit_test(test_large_settings),
        cmocka_unit_test(test_ccore_settings),
        cmocka_unit_test(test_grpc_go_goaway),
        cmocka_unit_test(test_protocol_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
