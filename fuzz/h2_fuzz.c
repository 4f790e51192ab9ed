/* SPDX-License-Identifier: MIT */
/*
 * Feeds arbitrary bytes to a connection and checks it after each chunk.
 *
 *     byte 0, bit 0   0: a valid preface comes first
 *     byte 0, bit 1   0: a server, which answers every complete request
 *                     1: a client with one open request
 *     byte 1          the size of the chunks
 *     the rest        the bytes
 *
 * Each chunk is fed from a buffer of its own size, so that a read beyond its
 * end is found.
 */
#include "wire/h2/check.h"
#include "wire/h2/h2.h"

#include "base/bytes.h"
#include "base/mem.h"

#include <stdlib.h>

#define PREFACE                                                                \
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"                                         \
    "\0\0\0\4\0\0\0\0\0"

struct peer {
    unsigned open;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static kama_status on_open(void *arg, struct km_h2_stream *stream)
{
    struct peer *peer = arg;
    (void)stream;
    if (peer->open >= 100) {
        return KAMA_ERR_OVERLOADED;
    }
    peer->open++;
    return KAMA_OK;
}

static void on_header(void *arg, struct km_h2_stream *stream, kama_bytes name,
                      kama_bytes value)
{
    (void)arg;
    (void)stream;
    if (name.len + value.len > (8u << 10)) {
        abort();
    }
}

static void on_headers(void *arg, struct km_h2_stream *stream,
                       enum km_h2_headers kind, enum km_h2_list list)
{
    (void)arg;
    (void)stream;
    (void)kind;
    (void)list;
}

static void on_data(void *arg, struct km_h2_stream *stream, kama_bytes chunk,
                    enum km_h2_chunk place)
{
    (void)arg;
    (void)place;
    km_h2_consume(stream, chunk.len);
}

static void on_end(void *arg, struct km_h2_stream *stream)
{
    (void)arg;
    static const struct km_h2_field status = {
        {":status", 7}, {"200", 3}, KM_H2_FIELD_STATIC};
    if (stream->user == NULL && km_h2_respond(stream, &status, 1) == KAMA_OK &&
        km_h2_send(stream, KM_LIT("body"), NULL) == KAMA_OK) {
        (void)!km_h2_end(stream, &status, 0);
    }
}

static void on_close(void *arg, struct km_h2_stream *stream,
                     uint32_t error_code)
{
    struct peer *peer = arg;
    (void)stream;
    (void)error_code;
    if (peer->open-- == 0) {
        abort();
    }
}

static void on_gone(void *arg, enum km_h2_why why)
{
    struct peer *peer = arg;
    (void)why;
    if (peer->open != 0) {
        abort();
    }
}

static const struct km_h2_ops fuzz_ops = {.on_open = on_open,
                                          .on_header = on_header,
                                          .on_headers = on_headers,
                                          .on_data = on_data,
                                          .on_end = on_end,
                                          .on_close = on_close,
                                          .on_gone = on_gone};

static bool drain(struct km_session *session)
{
    kama_bytes bytes;
    do {
        if (session->ops->take(session, &bytes) != KAMA_OK) {
            return false;
        }
    } while (bytes.len > 0);
    return session->ops->alive(session);
}

static bool feed(struct km_h2 *h2, const void *data, size_t len, km_ns now)
{
    struct km_session *session = km_h2_session(h2);
    uint8_t *copy = malloc(len > 0 ? len : 1);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    kama_status status = session->ops->feed(session, copy, len, now);
    free(copy);
    km_h2_check(h2);
    bool more = drain(session) && status == KAMA_OK;
    km_h2_check(h2);
    return more;
}

static void open_request(struct km_h2 *h2, struct peer *peer)
{
    static const struct km_h2_field fields[] = {
        {{":method", 7}, {"POST", 4}, KM_H2_FIELD_STATIC},
        {{":scheme", 7}, {"http", 4}, KM_H2_FIELD_STATIC},
        {{":path", 5}, {"/", 1}, KM_H2_FIELD_STATIC},
    };
    struct km_h2_stream *stream;
    if (km_h2_request_and_end(h2, fields, 3, peer, &stream) == KAMA_OK) {
        peer->open++;
    }
}

static void run(struct km_h2_loop_cache *cache, const uint8_t *data, size_t len)
{
    struct peer peer = {0};
    bool client = (data[0] & 2) != 0;
    size_t slice = 1 + (size_t)data[1] * 8;
    struct km_h2_options options = {.cache = cache,
                                    .role =
                                        client ? KM_H2_CLIENT : KM_H2_SERVER,
                                    .ops = &fuzz_ops,
                                    .arg = &peer,
                                    .http1_hint = "no"};
    struct km_h2 *h2;
    if (km_h2_new(&options, 1, &h2) != KAMA_OK) {
        abort();
    }
    struct km_session *session = km_h2_session(h2);
    km_ns now = 1;
    bool more = true;
    if (client) {
        open_request(h2, &peer);
        more = drain(session);
    } else if ((data[0] & 1) == 0) {
        more = feed(h2, PREFACE, sizeof PREFACE - 1, now);
    }
    for (size_t at = 2; at < len && more; at += slice) {
        size_t n = len - at < slice ? len - at : slice;
        now += KM_NS_PER_MS;
        more = feed(h2, data + at, n, now);
    }
    session->ops->close(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2) {
        return 0;
    }
    struct km_h2_loop_cache *cache;
    if (km_h2_loop_cache_new(NULL, 0, &cache) != KAMA_OK) {
        abort();
    }
    run(cache, data, len);
    km_h2_loop_cache_free(cache);
    return 0;
}
