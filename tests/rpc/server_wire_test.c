/* SPDX-License-Identifier: MIT */
/* Mistakes of clients, on real sockets: each gets its typed answer, and the
 * connection lives on. */
#include "rpc/rpc_world.h"

#include "base/limits.h"

struct bench {
    struct world world;
    struct wire_client client;
};

static void bench_init(struct bench *bench)
{
    world_start(&bench->world);
    wire_client_open(&bench->client, bench->world.address);
}

/* The connection still serves, then everything ends. */
static void bench_fini(struct bench *bench)
{
    struct seen *seen =
        wire_call(&bench->client, "/t/Echo", KM_LIT("still here"));
    assert_status(seen, KAMA_OK);
    wire_client_close(&bench->client);
    world_fini(&bench->world);
}

/* A request with these bytes as its body, to its end. */
static struct seen *send_raw(struct bench *bench, const char *path,
                             kama_bytes body)
{
    struct seen *seen =
        wire_begin(&bench->client, &(struct wire_request){.path = path});
    wire_body(seen, body);
    wire_end(seen);
    wire_wait(&bench->client, seen);
    return seen;
}

/* -- framing ------------------------------------------------------------- */

#define HELLO "\0\0\0\0\5hello"

/* A frame cut off after each byte. */
static void test_truncated(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    for (size_t n = 0; n < 10; n++) {
        struct seen *seen =
            send_raw(&bench, "/t/Echo", kama_bytes_make(HELLO, n));
        assert_status(seen, n == 0 ? KAMA_ERR_UNSUPPORTED : KAMA_ERR_PROTOCOL);
        seen = send_raw(&bench, "/t/Chat", kama_bytes_make(HELLO, n));
        assert_status(seen, n == 0 ? KAMA_OK : KAMA_ERR_PROTOCOL);
    }
    bench_fini(&bench);
}

/* A unary call takes one message: not two, not one and a half. */
static void test_more_than_one(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    struct seen *seen = send_raw(&bench, "/t/Echo", KM_LIT(HELLO HELLO));
    assert_status(seen, KAMA_ERR_UNSUPPORTED);
    seen = send_raw(&bench, "/t/Echo", KM_LIT(HELLO "\0"));
    assert_status(seen, KAMA_ERR_UNSUPPORTED);
    bench_fini(&bench);
}

/* Compressed without an encoding or with an unknown one, and other flags. */
static void test_flags(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    struct seen *seen = send_raw(&bench, "/t/Echo", KM_LIT("\1\0\0\0\1x"));
    assert_status(seen, KAMA_ERR_PROTOCOL);
    seen = wire_begin(&bench.client,
                      &(struct wire_request){.path = "/t/Echo",
                                             .name = "grpc-encoding",
                                             .value = "snappy"});
    wire_body(seen, KM_LIT("\1\0\0\0\1x"));
    wire_end(seen);
    wire_wait(&bench.client, seen);
    assert_status(seen, KAMA_ERR_UNSUPPORTED);
    assert_true(wire_has(&seen->headers,
                         "grpc-accept-encoding: identity,deflate,gzip"));
    static const char flags[] = {2, 127, (char)128, (char)255};
    for (size_t i = 0; i < sizeof flags; i++) {
        const char frame[] = {flags[i], 0, 0, 0, 1, 'x'};
        seen =
            send_raw(&bench, "/t/Echo", kama_bytes_make(frame, sizeof frame));
        assert_status(seen, KAMA_ERR_PROTOCOL);
    }
    bench_fini(&bench);
}

/* A length past the cap is refused by its prefix, also at its worst. */
static void test_oversized(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    struct seen *seen =
        send_raw(&bench, "/t/Echo", KM_LIT("\0\xff\xff\xff\xff"));
    assert_status(seen, KAMA_ERR_TOO_LARGE);
    bench_fini(&bench);
}

/* Written by hand: a request whose DATA comes as write_frames does it. */
typedef void (*write_frames_fn)(struct km_buf *out, kama_bytes body);

static void write_bytewise(struct km_buf *out, kama_bytes body)
{
    for (size_t i = 0; i < body.len; i++) {
        raw_frame(out, RAW_DATA, i + 1 == body.len ? RAW_END_STREAM : 0, 1,
                  kama_bytes_make((const char *)body.data + i, 1));
    }
}

/* Five bytes at a time, each padded with 255. */
static void write_padded(struct km_buf *out, kama_bytes body)
{
    while (body.len > 0) {
        uint8_t payload[1 + 5 + 255] = {255};
        size_t n = body.len < 5 ? body.len : 5;
        memcpy(payload + 1, body.data, n);
        body = km_bytes_skip(body, n);
        raw_frame(out, RAW_DATA,
                  RAW_PADDED | (body.len == 0 ? RAW_END_STREAM : 0), 1,
                  kama_bytes_make(payload, 1 + n + 255));
    }
}

/* END_STREAM in a frame of its own. */
static void write_then_end(struct km_buf *out, kama_bytes body)
{
    raw_frame(out, RAW_DATA, 0, 1, body);
    raw_frame(out, RAW_DATA, RAW_END_STREAM, 1, kama_bytes_make(NULL, 0));
}

static bool has_data(kama_bytes bytes, kama_bytes want)
{
    struct raw_seen frame;
    while (raw_next(&bytes, &frame)) {
        if (frame.type == RAW_DATA && km_bytes_eq(frame.payload, want)) {
            return true;
        }
    }
    return false;
}

static void check_frames(write_frames_fn write_frames, size_t message_bytes)
{
    struct world world;
    world_start(&world);
    int fd = wire_connect(world.address);
    struct km_buf out;
    struct km_buf in;
    struct km_buf block;
    km_buf_init(&out, NULL, SIZE_MAX);
    km_buf_init(&in, NULL, SIZE_MAX);
    km_buf_init(&block, NULL, SIZE_MAX);
    raw_start(&out);
    raw_request_fields(&block, "/t/Echo");
    raw_frame(&out, RAW_HEADERS, RAW_END_HEADERS, 1, km_buf_bytes(&block));
    km_buf_reset(&block, 0);
    uint8_t prefix[KM_GRPC_PREFIX_BYTES];
    km_grpc_prefix_write(prefix, (uint32_t)message_bytes);
    raw_bytes(&block, prefix, sizeof prefix);
    for (size_t i = 0; i < message_bytes; i++) {
        raw_bytes(&block, &"abcdefg"[i % 7], 1);
    }
    write_frames(&out, km_buf_bytes(&block));
    wire_write(fd, out.data, out.len);
    while (!has_data(km_buf_bytes(&in), km_buf_bytes(&block))) {
        char buf[4096];
        size_t n = wire_read(fd, buf, sizeof buf);
        assert_true(n > 0);
        raw_bytes(&in, buf, n);
    }
    km_buf_fini(&out);
    km_buf_fini(&in);
    km_buf_fini(&block);
    close(fd);
    world_fini(&world);
}

static void test_odd_frames(void **state)
{
    (void)state;
    check_frames(write_bytewise, 0);
    check_frames(write_bytewise, 1000);
    check_frames(write_padded, 1000);
    check_frames(write_then_end, 0);
    check_frames(write_then_end, 1000);
}

/* -- headers ------------------------------------------------------------- */

static struct seen *send_request(struct bench *bench,
                                 const struct wire_request *request)
{
    struct seen *seen = wire_begin(&bench->client, request);
    wire_body(seen, KM_LIT(HELLO));
    wire_end(seen);
    wire_wait(&bench->client, seen);
    return seen;
}

static void test_unknown_path(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    static const char *const paths[] = {"/t/None", "/", "/t/Echo/", "/t/Ech",
                                        "/T/Echo"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_status(
            send_request(&bench, &(struct wire_request){.path = paths[i]}),
            KAMA_ERR_UNSUPPORTED);
    }
    bench_fini(&bench);
}

static void assert_page(const struct seen *seen, const char *status_line)
{
    assert_true(seen->closed && seen->ended);
    assert_true(wire_has(&seen->headers, status_line));
    assert_true(
        wire_has(&seen->headers, "content-type: text/plain; charset=utf-8"));
    assert_true(seen->body.len > 20);
}

/* Another content-type: 415 with a sentence; another method: 405. */
static void test_foreign_requests(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    static const char *const types[] = {"application/json", "text/plain",
                                        "application/grpc-web",
                                        "application/grp"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct wire_request request = {.path = "/t/Echo",
                                       .content_type = types[i]};
        assert_page(send_request(&bench, &request), ":status: 415");
    }
    struct wire_request put = {.path = "/t/Echo", .method = "PUT"};
    assert_page(send_request(&bench, &put), ":status: 405");
    world_wait_metric(&bench.world, KM_SERVER_M_FOREIGN, 5);
    struct wire_request proto = {.path = "/t/Echo",
                                 .content_type = "application/grpc+proto"};
    assert_status(send_request(&bench, &proto), KAMA_OK);
    bench_fini(&bench);
}

static void test_bad_timeout(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    static const char *const bad[] = {"123456789S", "5", "S", "1x", "-1S"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct wire_request request = {
            .path = "/t/Echo", .name = "grpc-timeout", .value = bad[i]};
        assert_status(send_request(&bench, &request), KAMA_ERR_INVALID);
    }
    static const char *const good[] = {"99999999H", "10S", "99999999u"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct wire_request request = {
            .path = "/t/Echo", .name = "grpc-timeout", .value = good[i]};
        assert_status(send_request(&bench, &request), KAMA_OK);
    }
    bench_fini(&bench);
}

/* Metadata at 8 KiB and past it. */
static void test_large_metadata(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    static char value[KM_H2_HEADER_LIST_BYTES_MAX];
    struct wire_request request = {
        .path = "/t/Echo", .name = "x-large", .value = value};
    memset(value, 'v', 7600);
    assert_status(send_request(&bench, &request), KAMA_OK);
    memset(value, 'v', sizeof value - 1);
    assert_status(send_request(&bench, &request), KAMA_ERR_TOO_LARGE);
    bench_fini(&bench);
}

/* A timeout that is over on arrival ends the call, whatever is in memory. */
static void test_timeout_of_nothing(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    static const char *const over[] = {"0n", "0S", "00000000H"};
    for (size_t i = 0; i < sizeof over / sizeof over[0]; i++) {
        struct wire_request request = {
            .path = "/t/Echo", .name = "grpc-timeout", .value = over[i]};
        assert_status(send_request(&bench, &request), KAMA_ERR_TIMEOUT);
    }
    bench_fini(&bench);
}

/* Has the server waited long enough to answer a refused request? */
static bool refusal_is_due(km_ns begun)
{
    return km_clock_mono(km_clock_system()) >=
           km_ns_after_ms(begun, KM_RPC_REFUSED_WAIT_MS);
}

/* A refusal waits for the end of a request of up to 64 KiB ... */
static void test_refusal_waits(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    km_ns begun = km_clock_mono(km_clock_system());
    struct seen *seen =
        wire_begin(&bench.client, &(struct wire_request){.path = "/t/None"});
    static const char some[KM_RPC_REFUSED_BYTES_MAX];
    wire_body(seen, kama_bytes_make(some, sizeof some));
    do {
        struct seen *echo = wire_call(&bench.client, "/t/Echo", KM_LIT("x"));
        assert_status(echo, KAMA_OK);
    } while (km_h2_queued(seen->stream) > 0);
    assert_status(wire_call(&bench.client, "/t/Echo", KM_LIT("x")), KAMA_OK);
    assert_true(!seen->headers_done || refusal_is_due(begun));
    wire_end(seen);
    wire_wait(&bench.client, seen);
    assert_status(seen, KAMA_ERR_UNSUPPORTED);
    assert_int_equal(seen->error_code, KM_H2_NO_ERROR);
    bench_fini(&bench);
}

/* ... but not for that of a larger one. */
static void test_refusal_of_much(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    struct seen *seen =
        wire_begin(&bench.client, &(struct wire_request){.path = "/t/None"});
    static const char much[KM_RPC_REFUSED_BYTES_MAX + 1];
    wire_body(seen, kama_bytes_make(much, sizeof much));
    wire_wait(&bench.client, seen);
    assert_status(seen, KAMA_ERR_UNSUPPORTED);
    assert_int_equal(seen->error_code, KM_H2_NO_ERROR);
    bench_fini(&bench);
}

/* ... and not for long: the client may be waiting for the answer first. */
static void test_refusal_of_an_open_request(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    struct seen *unknown =
        wire_begin(&bench.client, &(struct wire_request){.path = "/t/None"});
    struct seen *foreign =
        wire_begin(&bench.client,
                   &(struct wire_request){.path = "/t/Echo",
                                          .content_type = "application/json"});
    struct seen *bad_flag =
        wire_begin(&bench.client, &(struct wire_request){.path = "/t/Chat"});
    wire_body(bad_flag, KM_LIT("\7\0\0\0\0"));
    wire_wait(&bench.client, unknown);
    wire_wait(&bench.client, foreign);
    wire_wait(&bench.client, bad_flag);
    assert_status(unknown, KAMA_ERR_UNSUPPORTED);
    assert_true(wire_has(&foreign->headers, ":status: 415"));
    assert_status(bad_flag, KAMA_ERR_PROTOCOL);
    bench_fini(&bench);
}

/* A client that sends on after the answer still gets to the end of it. */
static void test_refusal_of_an_upload(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    struct seen *seen =
        wire_begin(&bench.client, &(struct wire_request){.path = "/t/None"});
    static const char some[KM_H2_LINGER_BYTES];
    wire_body(seen, kama_bytes_make(some, sizeof some));
    wire_flush(&bench.client);
    while (!seen->closed && (!seen->ended || km_h2_queued(seen->stream) > 0)) {
        assert_true(wire_step(&bench.client));
    }
    wire_end(seen); /* on a slow machine the stream's time may be over */
    wire_wait(&bench.client, seen);
    assert_status(seen, KAMA_ERR_UNSUPPORTED);
    bench_fini(&bench);
}

/* -- not HTTP/2 ---------------------------------------------------------- */

static void test_http1(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    int fd = wire_connect(bench.world.address);
    static const char get[] = "GET / HTTP/1.1\r\nHost: here\r\n\r\n";
    wire_write(fd, get, sizeof get - 1);
    struct km_buf answer;
    km_buf_init(&answer, NULL, SIZE_MAX);
    wire_read_all(fd, &answer);
    assert_int_equal(km_buf_append(&answer, "", 1), KAMA_OK);
    const char *text = (const char *)answer.data;
    assert_ptr_equal(strstr(text, "HTTP/1.1 400 Bad Request\r\n"), text);
    assert_non_null(strstr(text, "\r\n\r\n" WORLD_HINT "\n"));
    km_buf_fini(&answer);
    close(fd);
    world_wait_metric(&bench.world, KM_SERVER_M_FOREIGN, 1);
    bench_fini(&bench);
}

static void test_random_bytes(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    unsigned random = 7;
    for (int i = 0; i < 20; i++) {
        int fd = wire_connect(bench.world.address);
        char bytes[512];
        for (size_t k = 0; k < sizeof bytes; k++) {
            bytes[k] = (char)rand_r(&random);
        }
        bytes[0] |= (char)0x80; /* no method begins like this */
        wire_write(fd, bytes, sizeof bytes);
        char byte;
        assert_int_equal(wire_read(fd, &byte, 1), 0);
        close(fd);
    }
    bench_fini(&bench);
}

/* Random frames behind a good start: the connection may end, nothing else. */
static void test_random_frames(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    unsigned random = 11;
    for (int i = 0; i < 50; i++) {
        struct km_buf out;
        km_buf_init(&out, NULL, SIZE_MAX);
        raw_start(&out);
        for (int k = 0; k < 20; k++) {
            char payload[64];
            for (size_t b = 0; b < sizeof payload; b++) {
                payload[b] = (char)rand_r(&random);
            }
            raw_frame(&out, (uint8_t)(rand_r(&random) % 10),
                      (uint8_t)rand_r(&random), (uint32_t)rand_r(&random) % 4,
                      kama_bytes_make(payload, (size_t)rand_r(&random) % 64));
        }
        int fd = wire_connect(bench.world.address);
        wire_write(fd, out.data, out.len);
        shutdown(fd, SHUT_WR);
        km_buf_reset(&out, 0);
        wire_read_all(fd, &out);
        km_buf_fini(&out);
        close(fd);
    }
    bench_fini(&bench);
}

/* -- abuse --------------------------------------------------------------- */

/* A flood of pings: GOAWAY(ENHANCE_YOUR_CALM), counted; others do not
 * notice. */
static void test_ping_flood(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    struct km_buf out;
    km_buf_init(&out, NULL, SIZE_MAX);
    raw_start(&out);
    for (int i = 0; i < 5000; i++) {
        raw_frame(&out, RAW_PING, 0, 0, KM_LIT("12345678"));
    }
    int fd = wire_connect(bench.world.address);
    wire_write(fd, out.data, out.len);
    km_buf_reset(&out, 0);
    wire_read_all(fd, &out);
    kama_bytes bytes = km_buf_bytes(&out);
    struct raw_seen frame = {0};
    while (raw_next(&bytes, &frame)) {
    }
    assert_int_equal(frame.type, RAW_GOAWAY);
    assert_int_equal(raw_get_u32(frame.payload, 4), KM_H2_ENHANCE_YOUR_CALM);
    km_buf_fini(&out);
    close(fd);
    world_wait_metric(&bench.world, KM_SERVER_M_ABUSE_CLOSED, 1);
    struct km_server_abuse abuse;
    for (unsigned i = 0; km_server_abuse(bench.world.server, i, &abuse); i++) {
        assert_int_equal(abuse.closed, strcmp(abuse.reason, "ping") == 0);
    }
    bench_fini(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_more_than_one),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_oversized),
        cmocka_unit_test(test_odd_frames),
        cmocka_unit_test(test_unknown_path),
        cmocka_unit_test(test_foreign_requests),
        cmocka_unit_test(test_bad_timeout),
        cmocka_unit_test(test_timeout_of_nothing),
        cmocka_unit_test(test_large_metadata),
        cmocka_unit_test(test_refusal_waits),
        cmocka_unit_test(test_refusal_of_much),
        cmocka_unit_test(test_refusal_of_an_open_request),
        cmocka_unit_test(test_refusal_of_an_upload),
        cmocka_unit_test(test_http1),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_random_frames),
        cmocka_unit_test(test_ping_flood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
