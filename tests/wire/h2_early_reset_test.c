/* SPDX-License-Identifier: MIT */
/*
 * Resets of streams that never began: a client that cancels a call before it has sent
 * it keeps its connection, in whatever parts the bytes come.
 */
#include "wire/h2_victim.h"

#include "base/limits.h"

/* Feeds what was written, in parts of `part` bytes. */
static void feed_in_parts(struct victim *victim, size_t part)
{
    struct km_session *session = victim_session(victim);
    const uint8_t *at = victim->in.data;
    size_t left = victim->in.len;
    while (left > 0 && victim->status == KAMA_OK) {
        size_t n = left < part ? left : part;
        victim->status = session->ops->feed(session, at, n, victim->pair.now);
        at += n;
        left -= n;
    }
    victim->in.len = 0;
    victim_take(victim);
}

/* Returns how many answers have come for a stream. */
static unsigned answers(const struct victim *victim, uint32_t stream)
{
    kama_bytes bytes = km_buf_bytes(&victim->out);
    struct raw_seen frame;
    unsigned n = 0;
    while (raw_next(&bytes, &frame)) {
        n += frame.type == RAW_HEADERS && frame.stream == stream;
    }
    return n;
}

static void write_calls(struct km_buf *in)
{
    raw_request(in, 1, RAW_END_STREAM);
    raw_u32_frame(in, RAW_RST_STREAM, 3, 8); /* the call was never sent */
    raw_request(in, 5, RAW_END_STREAM);
    raw_u32_frame(in, RAW_RST_STREAM, 7, 8);
    raw_u32_frame(in, RAW_RST_STREAM, 9, 8);
    raw_request(in, 11, RAW_END_STREAM);
}

static void test_calls_go_on(void **state)
{
    (void)state;
    for (size_t part = 1; part <= 40; part++) {
        struct victim victim;
        victim_init(&victim);
        write_calls(&victim.in);
        feed_in_parts(&victim, part);
        assert_int_equal(victim.status, KAMA_OK);
        assert_int_equal(victim_goaway(&victim), -1);
        assert_int_equal(answers(&victim, 1), 1);
        assert_int_equal(answers(&victim, 5), 1);
        assert_int_equal(answers(&victim, 11), 1);
        victim_fini(&victim);
    }
}

/* A reset of a stream that has begun is the client's cancel, as before. */
static void test_resets_of_calls_arrive(void **state)
{
    struct victim victim;
    (void)state;
    victim_init(&victim);
    raw_request(&victim.in, 1, 0);
    raw_request(&victim.in, 3, 0);
    raw_u32_frame(&victim.in, RAW_RST_STREAM, 3, 8);
    raw_u32_frame(&victim.in, RAW_RST_STREAM, 1, 8);
    victim_feed(&victim);
    assert_int_equal(victim.status, KAMA_OK);
    assert_int_equal(victim_goaway(&victim), -1);
    assert_int_equal(victim.pair.server.opened, 2);
    victim_fini(&victim);
}

/* On a connection without a call, and for streams of ours, the error stays. */
static void test_errors_stay(void **state)
{
    (void)state;
    for (unsigned row = 0; row < 2; row++) {
        struct victim victim;
        victim_init(&victim);
        if (row == 1) {
            raw_request(&victim.in, 1, RAW_END_STREAM);
        }
        raw_u32_frame(&victim.in, RAW_RST_STREAM, row == 0 ? 1 : 2, 8);
        victim_feed(&victim);
        assert_int_equal(victim_goaway(&victim), 1); /* PROTOCOL_ERROR */
        victim_fini(&victim);
    }
}

/* They count as resets that cost the client nothing. */
static void test_too_many(void **state)
{
    struct victim victim;
    (void)state;
    victim_init(&victim);
    raw_request(&victim.in, 1, RAW_END_STREAM);
    for (uint32_t i = 0; i < KM_H2_RESET_BURST; i++) {
        raw_u32_frame(&victim.in, RAW_RST_STREAM, 2 * i + 3, 8);
    }
    victim_feed(&victim);
    assert_int_equal(victim.status, KAMA_OK);
    assert_int_equal(victim_goaway(&victim), -1);
    raw_u32_frame(&victim.in, RAW_RST_STREAM, 1000001, 8);
    raw_u32_frame(&victim.in, RAW_RST_STREAM, 1000003, 8);
    victim_feed(&victim);
    assert_int_equal(victim_goaway(&victim), 11); /* ENHANCE_YOUR_CALM */
    assert_string_equal(km_h2_abuse_name(km_h2_abuse(victim.pair.server.h2)),
                        "reset");
    victim_fini(&victim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_go_on),
        cmocka_unit_test(test_resets_of_calls_arrive),
        cmocka_unit_test(test_errors_stay),
        cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
