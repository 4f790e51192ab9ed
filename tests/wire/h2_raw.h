/* SPDX-License-Identifier: MIT */
/*
 * HTTP/2 frames that are written and read by hand, for tests with input that no
 * well-behaved client sends. The raw_ functions append frames to a buffer, and
 * raw_next walks the frames that came back.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum {
    RAW_DATA = 0,
    RAW_HEADERS = 1,
    RAW_PRIORITY = 2,
    RAW_RST_STREAM = 3,
    RAW_SETTINGS = 4,
    RAW_PING = 6,
    RAW_GOAWAY = 7,
    RAW_WINDOW_UPDATE = 8,
    RAW_CONTINUATION = 9
};
enum { RAW_END_STREAM = 1, RAW_ACK = 1, RAW_END_HEADERS = 4, RAW_PADDED = 8 };

#define RAW_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static inline void raw_bytes(struct km_buf *out, const void *data, size_t len)
{
    assert_int_equal(km_buf_append(out, data, len), KAMA_OK);
}

static inline void raw_u32(struct km_buf *out, uint32_t n)
{
    const uint8_t bytes[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16),
                              (uint8_t)(n >> 8), (uint8_t)n};
    raw_bytes(out, bytes, sizeof bytes);
}

static inline void raw_frame(struct km_buf *out, uint8_t type, uint8_t flags,
                             uint32_t stream, kama_bytes payload)
{
    const uint8_t head[5] = {(uint8_t)(payload.len >> 16),
                             (uint8_t)(payload.len >> 8), (uint8_t)payload.len,
                             type, flags};
    raw_bytes(out, head, sizeof head);
    raw_u32(out, stream);
    raw_bytes(out, payload.data, payload.len);
}

static inline void raw_u32_frame(struct km_buf *out, uint8_t type,
                                 uint32_t stream, uint32_t n)
{
    const uint8_t bytes[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16),
                              (uint8_t)(n >> 8), (uint8_t)n};
    raw_frame(out, type, 0, stream, kama_bytes_make(bytes, sizeof bytes));
}

/* Writes a string for HPACK, without Huffman coding and shorter than 16384. */
static inline void raw_hpack_string(struct km_buf *out, const char *s,
                                    size_t len)
{
    if (len < 127) {
        const uint8_t n = (uint8_t)len;
        raw_bytes(out, &n, 1);
    } else {
        const uint8_t n[3] = {127, (uint8_t)(((len - 127) & 127) | 128),
                              (uint8_t)((len - 127) >> 7)};
        raw_bytes(out, n, sizeof n);
    }
    raw_bytes(out, s, len);
}

static inline void raw_field(struct km_buf *out, const char *name,
                             const char *value)
{
    raw_bytes(out, "", 1);
    raw_hpack_string(out, name, strlen(name));
    raw_hpack_string(out, value, strlen(value));
}

/* Writes the fields of a gRPC request. */
static inline void raw_request_fields(struct km_buf *out, const char *path)
{
    raw_field(out, ":method", "POST");
    raw_field(out, ":scheme", "http");
    raw_field(out, ":path", path);
    raw_field(out, ":authority", "here");
    raw_field(out, "te", "trailers");
    raw_field(out, "content-type", "application/grpc");
}

static inline void raw_request(struct km_buf *out, uint32_t stream,
                               uint8_t flags)
{
    struct km_buf block;
    km_buf_init(&block, NULL, SIZE_MAX);
    raw_request_fields(&block, "/a/b");
    raw_frame(out, RAW_HEADERS, RAW_END_HEADERS | flags, stream,
              km_buf_bytes(&block));
    km_buf_fini(&block);
}

static inline void raw_start(struct km_buf *out)
{
    raw_bytes(out, RAW_PREFACE, strlen(RAW_PREFACE));
    raw_frame(out, RAW_SETTINGS, 0, 0, kama_bytes_make(NULL, 0));
}

struct raw_seen {
    uint8_t type;
    uint8_t flags;
    uint32_t stream;
    kama_bytes payload;
};

/* Takes one frame off the front of *bytes. Returns false if none is whole. */
static inline bool raw_next(kama_bytes *bytes, struct raw_seen *ret_frame)
{
    const uint8_t *p = bytes->data;
    if (bytes->len < 9) {
        return false;
    }
    size_t len = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
    if (bytes->len < 9 + len) {
        return false;
    }
    *ret_frame = (struct raw_seen){.type = p[3],
                                   .flags = p[4],
                                   .stream = ((uint32_t)p[5] << 24 |
                                              (uint32_t)p[6] << 16 |
                                              (uint32_t)p[7] << 8 | p[8]) &
                                             0x7fffffff,
                                   .payload = kama_bytes_make(p + 9, len)};
    *bytes = km_bytes_skip(*bytes, 9 + len);
    return true;
}

static inline uint32_t raw_get_u32(kama_bytes payload, size_t at)
{
    const uint8_t *p = (const uint8_t *)payload.data + at;
    assert_true(payload.len >= at + 4);
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           p[3];
}
