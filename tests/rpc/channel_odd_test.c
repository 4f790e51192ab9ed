/* SPDX-License-Identifier: MIT */
/* ctest: timeout=180 */
/* The channel against servers that break the protocol. */
#include "rpc/channel.h"

#include "rpc/odd_server.h"

/* -- one answer, one end --------------------------------------------------- */

struct row {
    const char *name;
    void (*make)(struct km_buf *out);
    kama_status status;
    int code;
    const char *text; /* NULL: any */
};

static void make_good(struct km_buf *out)
{
    good_answer(out, 1);
}

static void make_no_status(struct km_buf *out)
{
    good_headers(out, 1);
    good_data(out, 1);
    headers(out, 1, RAW_END_STREAM, FIELDS("x-other", "1"));
}

static void make_end_without_trailers(struct km_buf *out)
{
    good_headers(out, 1);
    data(out, 1, RAW_END_STREAM, "\0\0\0\0\2hi", 7);
}

static void make_status_99(struct km_buf *out)
{
    headers(out, 1, RAW_END_STREAM,
            FIELDS(GRPC, "grpc-status", "99", "grpc-message", "odd%"));
}

static void make_status_text(struct km_buf *out)
{
    headers(out, 1, RAW_END_STREAM, FIELDS(GRPC, "grpc-status", "fine"));
}

static void make_http_502(struct km_buf *out)
{
    headers(out, 1, 0, FIELDS(":status", "502", "content-type", "text/html"));
    data(out, 1, RAW_END_STREAM, "<html>Bad Gateway</html>", 24);
}

static void make_http_404(struct km_buf *out)
{
    headers(out, 1, RAW_END_STREAM, FIELDS(":status", "404"));
}

static void make_http_401_with_code(struct km_buf *out)
{
    headers(out, 1, RAW_END_STREAM,
            FIELDS(":status", "401", "grpc-status", "7", "grpc-message", "no"));
}

static void make_http_301(struct km_buf *out)
{
    headers(out, 1, RAW_END_STREAM,
            FIELDS(":status", "301", "location", "/elsewhere"));
}

static void make_html(struct km_buf *out)
{
    headers(out, 1, 0, FIELDS(":status", "200", "content-type", "text/html"));
    data(out, 1, RAW_END_STREAM, "<html>hello</html>", 18);
}

static void make_interim(struct km_buf *out)
{
    headers(out, 1, 0, FIELDS(":status", "100"));
    headers(out, 1, 0, FIELDS(":status", "103", "link", "x"));
    good_answer(out, 1);
}

static void make_reset(struct km_buf *out, uint32_t error_code)
{
    raw_u32_frame(out, RAW_RST_STREAM, 1, error_code);
}

static void make_reset_no_error(struct km_buf *out)
{
    make_reset(out, 0);
}

static void make_reset_cancel(struct km_buf *out)
{
    make_reset(out, 8);
}

static void make_reset_calm(struct km_buf *out)
{
    make_reset(out, 11);
}

static void make_reset_security(struct km_buf *out)
{
    make_reset(out, 12);
}

static void make_reset_unknown(struct km_buf *out)
{
    make_reset(out, 0xdeadbeef);
}

static void make_refused_after_headers(struct km_buf *out)
{
    good_headers(out, 1);
    make_reset(out, 7);
}

static void make_reset_after_trailers(struct km_buf *out)
{
    good_answer(out, 1);
    make_reset(out, 0);
}

static void make_compressed(struct km_buf *out)
{
    good_headers(out, 1);
    data(out, 1, 0, "\1\0\0\0\2hi", 7);
    good_trailers(out, 1);
}

static void make_flag_2(struct km_buf *out)
{
    good_headers(out, 1);
    data(out, 1, 0, "\2\0\0\0\2hi", 7);
    good_trailers(out, 1);
}

static void make_4_gib(struct km_buf *out)
{
    good_headers(out, 1);
    data(out, 1, 0, "\0\xff\xff\xff\xffhi", 7);
    good_trailers(out, 1);
}

static void make_cut_off(struct km_buf *out)
{
    good_headers(out, 1);
    data(out, 1, 0, "\0\0\0\0\3hi", 7);
    good_trailers(out, 1);
}

static void make_half_prefix(struct km_buf *out)
{
    good_headers(out, 1);
    good_data(out, 1);
    data(out, 1, 0, "\0\0", 2);
    good_trailers(out, 1);
}

static void make_two(struct km_buf *out)
{
    good_headers(out, 1);
    good_data(out, 1);
    good_data(out, 1);
    good_trailers(out, 1);
}

static void make_none(struct km_buf *out)
{
    good_headers(out, 1);
    good_trailers(out, 1);
}

static void make_one_byte_each(struct km_buf *out)
{
    good_headers(out, 1);
    for (int i = 0; i < 7; i++) {
        data(out, 1, 0, &"\0\0\0\0\2hi"[i], 1);
    }
    good_trailers(out, 1);
}

static void make_padded(struct km_buf *out)
{
    static const char padded[1 + 7 + 255] = "\xff\0\0\0\0\2hi";
    good_headers(out, 1);
    data(out, 1, RAW_PADDED, padded, sizeof padded);
    good_trailers(out, 1);
}

static void make_large_list(struct km_buf *out, size_t fields)
{
    char value[1001];
    struct km_buf block;
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    good_headers(out, 1);
    good_data(out, 1);
    km_buf_init(&block, km_mem_default(), SIZE_MAX);
    raw_field(&block, "grpc-status", "0");
    for (size_t i = 0; i < fields; i++) {
        raw_field(&block, "x-large", value);
    }
    raw_frame(out, RAW_HEADERS, RAW_END_HEADERS | RAW_END_STREAM, 1,
              km_buf_bytes(&block));
    km_buf_fini(&block);
}

static void make_large_trailers(struct km_buf *out)
{
    make_large_list(out, 5);
}

static void make_huge_trailers(struct km_buf *out)
{
    make_large_list(out, 12);
}

static void make_push(struct km_buf *out)
{
    struct km_buf block;
    km_buf_init(&block, km_mem_default(), SIZE_MAX);
    raw_u32(&block, 2);
    raw_request_fields(&block, "/pushed");
    raw_frame(out, 5, RAW_END_HEADERS, 1, km_buf_bytes(&block));
    km_buf_fini(&block);
    good_answer(out, 1);
}

static void make_unknown_stream(struct km_buf *out)
{
    good_answer(out, 99);
}

static void make_data_first(struct km_buf *out)
{
    good_data(out, 1);
    good_trailers(out, 1);
}

static void make_trailers_go_on(struct km_buf *out)
{
    good_headers(out, 1);
    headers(out, 1, 0, FIELDS("grpc-status", "0"));
    good_data(out, 1);
}

static void make_garbage(struct km_buf *out)
{
    raw_bytes(out, "\xff\xff\xff\xff this is no frame at all, not at all", 40);
}

static void make_bad_hpack(struct km_buf *out)
{
    raw_frame(out, RAW_HEADERS, RAW_END_HEADERS, 1,
              kama_bytes_make("\xff\xff\xff\xff\xff\xff", 6));
}

static void make_goaway_processed(struct km_buf *out)
{
    raw_frame(out, RAW_GOAWAY, 0, 0,
              kama_bytes_make("\0\0\0\1\0\0\0\0bye", 11));
    good_answer(out, 1);
}

static void make_unknown_frames(struct km_buf *out)
{
    raw_frame(out, 0x77, 0xff, 1, kama_bytes_make("what", 4));
    raw_frame(out, RAW_PING, 0, 0, kama_bytes_make("12345678", 8));
    good_answer(out, 1);
}

#define OK_ROW KAMA_OK, 0, ""
#define LOST KAMA_ERR_DISCONNECTED, 14, NULL

static const struct row rows[] = {
    {"good", make_good, OK_ROW},
    {"no status", make_no_status, KAMA_ERR_PROTOCOL, 2,
     "the answer has no grpc-status"},
    {"no trailers", make_end_without_trailers, KAMA_ERR_PROTOCOL, 2,
     "the answer has no grpc-status"},
    {"status 99", make_status_99, KAMA_ERR_INTERNAL, 2, "odd%"},
    {"status is text", make_status_text, KAMA_ERR_INTERNAL, 2, NULL},
    {"502", make_http_502, KAMA_ERR_NOT_READY, 14,
     "the server answered HTTP status 502"},
    {"404", make_http_404, KAMA_ERR_UNSUPPORTED, 12, NULL},
    {"401 with code", make_http_401_with_code, KAMA_ERR_PERMISSION, 7, "no"},
    {"301", make_http_301, KAMA_ERR_INTERNAL, 2, NULL},
    {"html", make_html, KAMA_ERR_PROTOCOL, 2, NULL},
    {"1xx", make_interim, OK_ROW},
    {"reset NO_ERROR", make_reset_no_error, KAMA_ERR_INTERNAL, 13, NULL},
    {"reset CANCEL", make_reset_cancel, KAMA_ERR_CANCELLED, 1, NULL},
    {"reset CALM", make_reset_calm, KAMA_ERR_OVERLOADED, 8, NULL},
    {"reset SECURITY", make_reset_security, KAMA_ERR_PERMISSION, 7, NULL},
    {"reset unknown", make_reset_unknown, KAMA_ERR_INTERNAL, 13,
     "the stream was reset with HTTP/2 error 3735928559"},
    {"refused too late", make_refused_after_headers, KAMA_ERR_NOT_READY, 14,
     "the server has refused the call; it is stopping, or has too many calls"},
    {"reset after the end", make_reset_after_trailers, OK_ROW},
    {"compressed", make_compressed, KAMA_ERR_PROTOCOL, 13,
     "a compressed message"},
    {"flag 2", make_flag_2, KAMA_ERR_PROTOCOL, 13, NULL},
    {"4 GiB", make_4_gib, KAMA_ERR_TOO_LARGE, 8, NULL},
    {"cut off", make_cut_off, KAMA_ERR_PROTOCOL, 13,
     "the last message is cut off"},
    {"half a prefix", make_half_prefix, KAMA_ERR_PROTOCOL, 13, NULL},
    {"two", make_two, KAMA_ERR_PROTOCOL, 13, "more than one message"},
    {"none", make_none, KAMA_ERR_PROTOCOL, 13, "no message"},
    {"one byte each", make_one_byte_each, OK_ROW},
    {"padded", make_padded, OK_ROW},
    {"large trailers", make_large_trailers, OK_ROW},
    {"huge trailers", make_huge_trailers, KAMA_ERR_TOO_LARGE, 8,
     "headers over 8192 bytes"},
    {"push", make_push, LOST},
    {"unknown stream", make_unknown_stream, LOST},
    {"DATA first", make_data_first, LOST},
    {"trailers go on", make_trailers_go_on, KAMA_ERR_INTERNAL, 13, NULL},
    {"garbage", make_garbage, LOST},
    {"bad HPACK", make_bad_hpack, LOST},
    {"GOAWAY above", make_goaway_processed, OK_ROW},
    {"unknown frames", make_unknown_frames, OK_ROW},
};

static void run_row(const struct row *row, enum after after)
{
    struct odd odd;
    struct caller caller;
    struct outcome o;
    odd_init(&odd);
    row->make(&odd.answers[0]);
    odd.answer_count = 1;
    odd.after = after;
    odd_start(&odd);
    caller_begin(&caller, odd.address);
    outcome_init(&o, &caller, "/odd/Row");
    o.request_count = 1;
    o.requests = (const char *const[]){"request"};
    outcome_run(&o);
    if (o.status != row->status || o.code != row->code ||
        (row->text != NULL && strcmp(o.text, row->text) != 0)) {
        fail_msg("%s: %s (gRPC %d), \"%s\"", row->name,
                 kama_status_name(o.status), o.code, o.text);
    }
    if (row->status == KAMA_OK) {
        assert_int_equal(o.messages.len, 3);
        assert_memory_equal(o.messages.data, "hi|", 3);
    }
    outcome_fini(&o);
    caller_end(&caller);
    odd_fini(&odd);
}

/* Whatever the server answers, the call ends once, with the code that gRPC
 * says; whether the connection stays open or ends. */
static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        run_row(&rows[i], KEEP);
        run_row(&rows[i], SHUT);
    }
}

/* -- answers cut and bent -------------------------------------------------- */

/* One call to a server with this answer; it ends, somehow. */
static struct outcome run_bytes(const uint8_t *bytes, size_t len)
{
    struct odd odd;
    struct caller caller;
    struct outcome o;
    odd_init(&odd);
    raw_bytes(&odd.answers[0], bytes, len);
    odd.answer_count = 1;
    odd.after = SHUT;
    odd_start(&odd);
    caller_begin(&caller, odd.address);
    outcome_init(&o, &caller, "/odd/Bytes");
    outcome_run(&o);
    outcome_fini(&o);
    caller_end(&caller);
    odd_fini(&odd);
    return o;
}

/* An answer that ends after any of its bytes is a lost connection. */
static void test_truncated(void **state)
{
    (void)state;
    struct km_buf answer;
    km_buf_init(&answer, km_mem_default(), SIZE_MAX);
    good_answer(&answer, 1);
    for (size_t len = 0; len < answer.len; len++) {
        struct outcome o = run_bytes(answer.data, len);
        if (o.status != KAMA_ERR_DISCONNECTED) {
            fail_msg("cut at %zu: %s", len, kama_status_name(o.status));
        }
    }
    assert_int_equal(run_bytes(answer.data, answer.len).status, KAMA_OK);
    km_buf_fini(&answer);
}

/* One bit wrong anywhere: an end, whichever. */
static void test_bit_flips(void **state)
{
    (void)state;
    struct km_buf answer;
    km_buf_init(&answer, km_mem_default(), SIZE_MAX);
    good_answer(&answer, 1);
    for (size_t i = 0; i < answer.len; i++) {
        uint8_t flip = (uint8_t)(1u << (i * 5 % 8));
        answer.data[i] ^= flip;
        (void)run_bytes(answer.data, answer.len);
        answer.data[i] ^= flip;
    }
    km_buf_fini(&answer);
}

/* -- servers that are none ------------------------------------------------- */

static void run_greeting(const char *greeting, size_t len, enum after after,
                         int64_t timeout_ms)
{
    struct odd odd;
    struct caller caller;
    struct outcome o;
    odd_init(&odd);
    odd.greeting.len = 0;
    raw_bytes(&odd.greeting, greeting, len);
    odd.after = after;
    odd_start(&odd);
    caller_begin(&caller, odd.address);
    outcome_init(&o, &caller, "/odd/Greeting");
    o.request_count = 1;
    o.requests = (const char *const[]){"request"};
    o.timeout_ms = timeout_ms;
    outcome_run(&o);
    assert_int_equal(o.status, timeout_ms == 100 ? KAMA_ERR_TIMEOUT
                                                 : KAMA_ERR_UNREACHABLE);
    assert_int_equal(o.code, timeout_ms == 100 ? 4 : 14);
    assert_int_equal(atomic_load(&odd.requests), 0);
    outcome_fini(&o);
    caller_end(&caller);
    odd_fini(&odd);
}

/* HTTP/1, something else, nothing and the end: cannot be reached. A server
 * that says nothing: the call's deadline. */
static void test_greetings(void **state)
{
    (void)state;
    static const char http1[] = "HTTP/1.1 400 Bad Request\r\n\r\nno\n";
    run_greeting(http1, sizeof http1 - 1, KEEP, 20000);
    run_greeting(http1, sizeof http1 - 1, SHUT, 20000);
    run_greeting("-ERR unknown command\r\n", 22, KEEP, 20000);
    run_greeting("", 0, SHUT, 20000);
    run_greeting("", 0, RESET, 20000);
    run_greeting("", 0, KEEP, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_bit_flips),
        cmocka_unit_test(test_greetings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
