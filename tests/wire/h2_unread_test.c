/* SPDX-License-Identifier: MIT */
/* Clients that read slowly or not at all: how much a server keeps for them, and
 * for how long. */
#include "wire/h2_raw.h"

#include "wire/h2_echo.h"

#include "base/limits.h"

static km_ns time_now;

static km_ns read_time(void *arg)
{
    (void)arg;
    return time_now;
}

static const struct km_clock test_clock = {.mono = read_time,
                                           .coarse = read_time};

/* Makes a pair whose server has a clock of its own. */
static void start_with_clock(struct pair *pair)
{
    start(pair, 0);
    time_now = pair->now;
    struct side *server = &pair->server;
    struct km_session *session = km_h2_session(server->h2);
    session->ops->close(session);
    const struct km_h2_options options = {.cache = server->cache,
                                          .role = KM_H2_SERVER,
                                          .clock = &test_clock,
                                          .ops = &pair_ops,
                                          .arg = server};
    server->gone = false;
    assert_int_equal(km_h2_new(&options, time_now, &server->h2), KAMA_OK);
    pair->serve = NULL;
}

static km_ns stall_after(km_ns since)
{
    return since + KM_H2_WRITE_STALL_MS * KM_NS_PER_MS;
}

/* The answer comes long after the last byte of the client. The client's ten
 * seconds begin with the answer. */
static void test_late_answer(void **state)
{
    (void)state;
    struct pair pair;
    start_with_clock(&pair);
    (void)send_request(&pair, "x");
    pair.client.hold = true;
    pair_run(&pair);
    struct km_session *server = km_h2_session(pair.server.h2);
    struct km_h2_stream *stream = pair.server.seen[0].stream;
    time_now += 60 * KM_NS_PER_S;
    assert_int_equal(km_h2_respond(stream, ok_headers, 2), KAMA_OK);
    send_large(stream, LARGE_BYTES);
    assert_int_equal(server->ops->deadline(server), stall_after(time_now));
    pair_fini(&pair);
}

/* A client with wide windows sends nothing while it reads. Each write to it is
 * progress. */
static void test_slow_reader(void **state)
{
    (void)state;
    struct pair pair;
    start_with_clock(&pair);
    (void)send_request(&pair, "x");
    pair_run(&pair);
    struct km_session *server = km_h2_session(pair.server.h2);
    struct km_h2_stream *stream = pair.server.seen[0].stream;
    assert_int_equal(km_h2_respond(stream, ok_headers, 2), KAMA_OK);
    send_large(stream, LARGE_BYTES);
    time_now += 8 * KM_NS_PER_S;
    kama_bytes bytes;
    assert_int_equal(server->ops->take(server, &bytes), KAMA_OK);
    assert_true(bytes.len > 0);
    assert_int_equal(server->ops->deadline(server), stall_after(time_now));
    assert_int_equal(server->ops->tick(server, stall_after(time_now) - 1),
                     KAMA_OK);
    assert_int_equal(server->ops->tick(server, stall_after(time_now)),
                     KAMA_ERR_TIMEOUT);
    pair_fini(&pair);
}

/* Feeds requests beyond the limit of streams, which the client has not yet
 * acknowledged, so that each of them is refused with a frame. */
static size_t feed_refused(struct km_session *server, uint32_t *stream,
                           km_ns now)
{
    struct km_buf in;
    km_buf_init(&in, NULL, SIZE_MAX);
    while (in.len < KM_NET_READ_BYTES_PER_TURN) {
        raw_request(&in, *stream, 0);
        *stream += 2;
    }
    assert_int_equal(server->ops->feed(server, in.data, in.len, now), KAMA_OK);
    size_t bytes = in.len;
    km_buf_fini(&in);
    return bytes;
}

/* A few bytes of ours are not written. The refusals of further requests wait
 * behind them, so reading must stop to keep their number in bounds. */
static void test_frames_wait(void **state)
{
    (void)state;
    struct pair pair;
    struct km_buf in;
    start(&pair, 0);
    struct km_session *server = km_h2_session(pair.server.h2);
    km_buf_init(&in, NULL, SIZE_MAX);
    raw_start(&in);
    assert_int_equal(server->ops->feed(server, in.data, in.len, pair.now),
                     KAMA_OK);
    km_buf_fini(&in);
    kama_bytes bytes;
    assert_int_equal(server->ops->take(server, &bytes), KAMA_OK);
    assert_true(bytes.len > 0);
    uint32_t stream = 1;
    size_t read_bytes = 0;
    while (server->ops->wants_read(server)) {
        read_bytes += feed_refused(server, &stream, pair.now);
        assert_true(read_bytes < (1u << 20));
    }
    assert_true(stream / 2 > KM_H2_STREAMS_MAX);
    while (bytes.len > 0) {
        assert_int_equal(server->ops->take(server, &bytes), KAMA_OK);
    }
    assert_true(server->ops->wants_read(server));
    pair_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_late_answer),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_frames_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
