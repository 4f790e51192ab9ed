/* SPDX-License-Identifier: MIT */
/*
 * Honest clients send some frames in numbers that would be abuse without
 * traffic. Each test shows first that they are served, and then that the same
 * frames are abuse without the traffic, or that the credit has been spent.
 */
#include "wire/h2/rate.h"
#include "wire/h2_victim.h"

#define ROUNDS 20000

/* Writes one round of a client. */
typedef void (*round_fn)(struct km_buf *out, uint32_t i);

static uint32_t id_of(uint32_t i)
{
    return 2 * i + 1;
}

/* All rounds happen in one instant, so that no bucket is refilled. */
static void play(struct victim *victim, round_fn round, uint32_t from,
                 uint32_t count)
{
    for (uint32_t i = from; i < from + count; i++) {
        round(&victim->in, i);
        victim->pair.server.opened = 0; /* the slots are used again */
        victim_feed(victim);
        km_buf_reset(&victim->out, SIZE_MAX);
    }
}

/* Feeds the same frame until the connection ends and returns how many it
 * took. */
static uint32_t play_until_calmed(struct victim *victim, round_fn round,
                                  uint32_t most)
{
    uint32_t n = 0;
    while (victim->status == KAMA_OK && victim_goaway(victim) < 0) {
        assert_in_range(n, 0, most);
        round(&victim->in, n++);
        victim_feed(victim);
    }
    assert_calmed(victim);
    return n;
}

static void ping(struct km_buf *out, uint32_t i)
{
    (void)i;
    raw_frame(out, RAW_PING, 0, 0, KM_LIT("12345678"));
}

static void call_and_ping(struct km_buf *out, uint32_t i)
{
    raw_request(out, id_of(i), RAW_END_STREAM);
    ping(out, i);
}

/* grpc-go and grpc-java send a PING for each answer that they read. */
static void test_a_ping_per_call(void **state)
{
    (void)state;
    struct victim victim;
    victim_init(&victim);
    play(&victim, call_and_ping, 0, ROUNDS);
    assert_served(&victim);
    /* Each round earned one for its request and one for its answer. */
    assert_int_equal(play_until_calmed(&victim, ping, 2 * ROUNDS),
                     ROUNDS + KM_H2_PING_BURST + 1);
    victim_fini(&victim);
}

static void upload_and_ping(struct km_buf *out, uint32_t i)
{
    if (i == 0) {
        raw_request(out, 1, 0);
    }
    raw_frame(out, RAW_DATA, 0, 1, KM_LIT("x"));
    ping(out, i);
}

/* A client that uploads may measure the bandwidth, too. */
static void test_a_ping_per_data_frame(void **state)
{
    (void)state;
    struct victim victim;
    victim_init(&victim);
    play(&victim, upload_and_ping, 0, ROUNDS);
    assert_served(&victim);
    victim_fini(&victim);
}

/* Credit has an upper bound. */
static void test_credit_is_bounded(void **state)
{
    (void)state;
    struct km_h2_rates rates = {0};
    km_h2_rate_earn(&rates, KM_H2_RATE_PING, KM_H2_CREDIT_MAX - 1);
    km_h2_rate_earn(&rates, KM_H2_RATE_PING, UINT32_MAX);
    uint32_t n = 0;
    while (km_h2_rate_take(&rates, KM_H2_RATE_PING, KM_NS_PER_S)) {
        n++;
    }
    assert_int_equal(n, KM_H2_CREDIT_MAX + KM_H2_PING_BURST);
}

static uint32_t resets_at_once(struct km_h2_rates *rates, km_ns now)
{
    uint32_t n = 0;
    while (km_h2_rate_take(rates, KM_H2_RATE_RESET, now)) {
        n++;
    }
    return n;
}

/* A peer may reset more calls than a stranger, at once and in a second. */
static void test_a_peer_may_reset_more(void **state)
{
    (void)state;
    struct km_h2_rates rates = {0};
    assert_int_equal(resets_at_once(&rates, KM_NS_PER_S), KM_H2_RESET_BURST);
    struct km_h2_rates peer = {.trust = KM_H2_PEER};
    assert_int_equal(resets_at_once(&peer, KM_NS_PER_S),
                     KM_H2_PEER_RESET_BURST);
    km_ns long_after = 100 * KM_NS_PER_S;
    (void)resets_at_once(&peer, long_after);
    char text[160];
    km_h2_rate_describe(&peer, KM_H2_RATE_RESET, long_after, text, sizeof text);
    assert_non_null(strstr(
        text, "the limit is " KM_TEXT_OF(KM_H2_PEER_RESET_PER_S) " a second"));
    assert_int_equal(resets_at_once(&peer, long_after + KM_NS_PER_S),
                     KM_H2_PEER_RESET_PER_S - 1);
}

static void call_with_priority(struct km_buf *out, uint32_t i)
{
    raw_request(out, id_of(i), RAW_END_STREAM);
    raw_frame(out, RAW_PRIORITY, 0, id_of(i), KM_LIT("\0\0\0\0\x10"));
}

/* Clients of RFC 7540 give each of their requests a priority. */
static void test_a_priority_per_request(void **state)
{
    (void)state;
    struct victim victim;
    victim_init(&victim);
    play(&victim, call_with_priority, 0, ROUNDS);
    assert_served(&victim);
    victim_fini(&victim);
}

static void cancel(struct km_buf *out, uint32_t i)
{
    raw_u32_frame(out, RAW_RST_STREAM, id_of(i), 8);
}

static void call_and_cancel(struct km_buf *out, uint32_t i)
{
    raw_request(out, id_of(i), 0);
    cancel(out, i);
}

/* The owner knows that the deadline of these calls has passed. */
static void test_a_reset_that_the_owner_accepts(void **state)
{
    (void)state;
    struct victim victim;
    victim_init(&victim);
    victim.pair.resets_are_fair = true;
    play(&victim, call_and_cancel, 0, ROUNDS);
    assert_served(&victim);
    victim.pair.resets_are_fair = false;
    play(&victim, call_and_cancel, ROUNDS, KM_H2_RESET_BURST);
    assert_served(&victim);
    call_and_cancel(&victim.in, ROUNDS + KM_H2_RESET_BURST);
    victim_feed(&victim);
    assert_calmed(&victim);
    victim_fini(&victim);
}

/* The answer to the request has begun and goes on. */
static void begin_answer(struct pair *pair, struct seen *seen)
{
    (void)pair;
    const struct km_h2_field status = pair_field(":status", "200");
    assert_int_equal(km_h2_respond(seen->stream, &status, 1), KAMA_OK);
}

/* A client that has read enough of an answer resets the stream. */
static void test_a_reset_during_the_answer(void **state)
{
    (void)state;
    struct victim victim;
    victim_init(&victim);
    victim.pair.serve = begin_answer;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        raw_request(&victim.in, id_of(i), RAW_END_STREAM);
        victim.pair.server.opened = 0;
        victim_feed(&victim);
        cancel(&victim.in, i);
        victim_feed(&victim);
        km_buf_reset(&victim.out, SIZE_MAX);
    }
    assert_served(&victim);
    victim_fini(&victim);
}

/* The client's reset and our answer have crossed, so the stream is closed here
 * when the reset arrives. */
static void test_a_reset_that_crosses_the_answer(void **state)
{
    (void)state;
    struct victim victim;
    victim_init(&victim);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        raw_request(&victim.in, id_of(i), RAW_END_STREAM);
        victim.pair.server.opened = 0;
        victim_feed(&victim);
        cancel(&victim.in, i);
        victim_feed(&victim);
        km_buf_reset(&victim.out, SIZE_MAX);
    }
    assert_served(&victim);
    /* Each close pays for one reset, and not for a second one. */
    assert_int_equal(play_until_calmed(&victim, cancel, ROUNDS),
                     KM_H2_RESET_BURST + 1);
    victim_fini(&victim);
}

static void byte_and_empties(struct km_buf *out, uint32_t i)
{
    if (i == 0) {
        raw_request(out, 1, 0);
    }
    raw_frame(out, RAW_DATA, 0, 1, KM_LIT("x"));
    for (int n = 0; n < KM_H2_EMPTY_DATA_PER_STREAM; n++) {
        raw_frame(out, RAW_DATA, 0, 1, kama_bytes_make(NULL, 0));
    }
}

/* A long stream may have many empty DATA frames, with bytes in between. */
static void test_empty_data_between_bytes(void **state)
{
    (void)state;
    struct victim victim;
    victim_init(&victim);
    play(&victim, byte_and_empties, 0, 1000);
    assert_served(&victim);
    victim_fini(&victim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_ping_per_call),
        cmocka_unit_test(test_a_ping_per_data_frame),
        cmocka_unit_test(test_credit_is_bounded),
        cmocka_unit_test(test_a_peer_may_reset_more),
        cmocka_unit_test(test_a_priority_per_request),
        cmocka_unit_test(test_a_reset_that_the_owner_accepts),
        cmocka_unit_test(test_a_reset_during_the_answer),
        cmocka_unit_test(test_a_reset_that_crosses_the_answer),
        cmocka_unit_test(test_empty_data_between_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
