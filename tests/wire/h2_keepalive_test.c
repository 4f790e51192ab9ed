/* SPDX-License-Identifier: MIT */
/* PINGs of a client that has heard nothing for a while, on a clock that the
 * test moves. */
#include "wire/h2_pair.h"

#define QUIET_MS 1000
#define ANSWER_MS 2000

static km_ns time_now;

static km_ns read_time(void *arg)
{
    (void)arg;
    return time_now;
}

static const struct km_clock test_clock = {.mono = read_time,
                                           .coarse = read_time};

/* Makes a pair whose client sends PINGs, and exchanges the SETTINGS. */
static void start(struct pair *pair, enum km_h2_keepalive when)
{
    assert_int_equal(pair_init(pair, NULL, 0), KAMA_OK);
    time_now = pair->now;
    struct side *client = &pair->client;
    struct km_session *session = km_h2_session(client->h2);
    session->ops->close(session);
    client->gone = false;
    const struct km_h2_options options = {.cache = client->cache,
                                          .role = KM_H2_CLIENT,
                                          .clock = &test_clock,
                                          .ops = &pair_ops,
                                          .arg = client,
                                          .keepalive_ms = QUIET_MS,
                                          .keepalive_timeout_ms = ANSWER_MS,
                                          .keepalive = when};
    assert_int_equal(km_h2_new(&options, time_now, &client->h2), KAMA_OK);
    pair_run(pair);
    assert_true(client->settings);
}

static struct km_session *client_of(struct pair *pair)
{
    return km_h2_session(pair->client.h2);
}

/* Returns in how many milliseconds the client has something to do; -1: never. */
static int64_t due_ms(struct pair *pair)
{
    km_ns at = client_of(pair)->ops->deadline(client_of(pair));
    return at == KM_NS_NEVER ? -1 : (int64_t)((at - time_now) / KM_NS_PER_MS);
}

static kama_status pass(struct pair *pair, int64_t ms)
{
    time_now = km_ns_after_ms(time_now, ms);
    pair->now = time_now;
    return client_of(pair)->ops->tick(client_of(pair), time_now);
}

/* Takes what the client has to send, and loses it. Returns its bytes. */
static size_t lose_output(struct pair *pair)
{
    kama_bytes bytes;
    size_t lost = 0;
    struct km_session *client = client_of(pair);
    while (client->ops->take(client, &bytes) == KAMA_OK && bytes.len > 0) {
        lost += bytes.len;
    }
    return lost;
}

/* An answer to the PING keeps the connection, and the next PING comes after the
 * next silence. */
static void test_an_answered_ping_keeps_the_connection(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, KM_H2_KEEPALIVE_ALWAYS);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(due_ms(&pair), QUIET_MS);
        assert_int_equal(pass(&pair, QUIET_MS), KAMA_OK);
        assert_int_equal(due_ms(&pair), ANSWER_MS);
        pair_run(&pair);
    }
    assert_int_equal(pair.server.status, KAMA_OK);
    assert_string_equal(pair.abuse, "");
    pair_fini(&pair);
}

/* Without an answer the connection ends, and says why. */
static void test_a_silent_server_ends_the_connection(void **state)
{
    (void)state;
    struct pair pair;
    struct seen *seen;
    start(&pair, KM_H2_KEEPALIVE_STREAMS);
    assert_int_equal(pair_request(&pair, &seen), KAMA_OK);
    (void)lose_output(&pair);
    assert_int_equal(pass(&pair, QUIET_MS - 1), KAMA_OK);
    assert_int_equal(lose_output(&pair), 0);
    assert_int_equal(pass(&pair, 1), KAMA_OK);
    assert_int_equal(lose_output(&pair), 9 + 8); /* a PING */
    assert_int_equal(pass(&pair, ANSWER_MS - 1), KAMA_OK);
    assert_int_equal(pass(&pair, 1), KAMA_ERR_DISCONNECTED);
    assert_int_equal(km_h2_why(pair.client.h2), KM_H2_WHY_SILENT);
    pair_fini(&pair);
    assert_int_equal(pair.client.why, KM_H2_WHY_SILENT);
    assert_int_equal(seen->error_code, KM_H2_LOST);
}

/* No PING is sent without a stream if the owner wants none, and the silence
 * before a stream does not count. */
static void test_no_ping_without_a_stream(void **state)
{
    (void)state;
    struct pair pair;
    struct seen *seen;
    start(&pair, KM_H2_KEEPALIVE_STREAMS);
    assert_int_equal(due_ms(&pair), -1);
    assert_int_equal(pass(&pair, 60 * 1000), KAMA_OK);
    assert_int_equal(lose_output(&pair), 0);
    assert_int_equal(pair_request(&pair, &seen), KAMA_OK);
    assert_int_equal(due_ms(&pair), QUIET_MS);
    km_h2_reset(seen->stream, KM_H2_CANCEL);
    pair_run(&pair);
    assert_int_equal(due_ms(&pair), -1);
    pair_fini(&pair);
}

/* A process that was stopped has had no chance to read the answer. */
static void test_a_tick_that_is_much_too_late_waits_again(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, KM_H2_KEEPALIVE_ALWAYS);
    assert_int_equal(pass(&pair, QUIET_MS), KAMA_OK);
    assert_int_equal(pass(&pair, ANSWER_MS + 15 * 1000), KAMA_OK);
    assert_int_equal(due_ms(&pair), ANSWER_MS);
    pair_run(&pair);
    assert_int_equal(due_ms(&pair), QUIET_MS);
    pair_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answered_ping_keeps_the_connection),
        cmocka_unit_test(test_a_silent_server_ends_the_connection),
        cmocka_unit_test(test_no_ping_without_a_stream),
        cmocka_unit_test(test_a_tick_that_is_much_too_late_waits_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
