/* SPDX-License-Identifier: MIT */
/* A pair whose server gives each request's body back, with trailers. */
#pragma once

#include "wire/h2_pair.h"

static const struct km_h2_field ok_headers[] = {
    {{":status", 7}, {"200", 3}, KM_H2_FIELD_STATIC},
    {{"content-type", 12}, {"application/grpc", 16}, KM_H2_FIELD_STATIC},
};
static const struct km_h2_field ok_trailers[] = {
    {{"grpc-status", 11}, {"0", 1}, KM_H2_FIELD_STATIC},
};

#define OK_HEADERS_TEXT ":status: 200\ncontent-type: application/grpc\n"
#define OK_TRAILERS_TEXT "grpc-status: 0\n"

/* Gives the request's body back, with trailers. */
static inline void serve_echo(struct pair *pair, struct seen *seen)
{
    (void)pair;
    struct km_h2_stream *stream = seen->stream;
    kama_status status = km_h2_respond(stream, ok_headers, 2);
    if (status == KAMA_OK) {
        status = km_h2_send(stream, km_buf_bytes(&seen->body), NULL);
    }
    if (status == KAMA_OK) {
        status = km_h2_end(stream, ok_trailers, 1);
    }
    if (status != KAMA_OK) {
        side_fail(&pair->server, status);
    }
}

static inline void start(struct pair *pair, size_t slice)
{
    assert_int_equal(pair_init(pair, NULL, 64 << 10), KAMA_OK);
    pair->slice = slice;
    pair->serve = serve_echo;
}

static inline struct seen *send_request(struct pair *pair, const char *body)
{
    struct seen *seen = NULL;
    assert_int_equal(pair_request(pair, &seen), KAMA_OK);
    assert_int_equal(km_h2_send(seen->stream, kama_bytes_str(body), NULL),
                     KAMA_OK);
    assert_int_equal(km_h2_end(seen->stream, NULL, 0), KAMA_OK);
    return seen;
}

static inline void assert_echoed(const struct seen *seen, const char *body)
{
    assert_true(seen->headers_done);
    assert_text(&seen->headers, OK_HEADERS_TEXT);
    assert_text(&seen->body, body);
    assert_text(&seen->trailers, OK_TRAILERS_TEXT);
    assert_true(seen->ended);
    assert_true(seen->closed);
    assert_int_equal(seen->error_code, KM_H2_NO_ERROR);
}

#define LARGE_BYTES (3u << 20)

static inline uint8_t large_byte(size_t i)
{
    return (uint8_t)(i * 31 + i / 251);
}

static inline void send_large(struct km_h2_stream *stream, size_t bytes)
{
    uint8_t *data = malloc(bytes);
    for (size_t i = 0; i < bytes; i++) {
        data[i] = large_byte(i);
    }
    assert_int_equal(km_h2_send(stream, kama_bytes_make(data, bytes), NULL),
                     KAMA_OK);
    free(data);
}
