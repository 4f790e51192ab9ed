/* SPDX-License-Identifier: MIT */
/*
 * A client and a server connection in one thread. The bytes that one side has
 * to send are fed to the other in slices: whole, byte by byte, or of random
 * lengths. After each slice both sides are checked (wire/h2/check.h).
 *
 *     struct pair pair;
 *     pair_init(&pair, NULL, 0);
 *     pair_request(&pair, &seen);     opens a stream on the client
 *     pair_run(&pair);                until neither side has more to send
 *     ... look at seen, pair.server.seen[0] ...
 *     pair_fini(&pair);
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "wire/h2/check.h"
#include "wire/h2/h2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PAIR_CALLS_MAX 64

/* The events of one stream on one side. */
struct seen {
    struct km_h2_stream *stream; /* NULL after on_close */
    struct km_buf headers;       /* "name: value\n" of each field */
    struct km_buf trailers;
    struct km_buf body;
    bool headers_done;
    bool trailers_done;
    enum km_h2_list list;
    bool ended;
    bool closed;
    unsigned interim;
    size_t unsent_bytes; /* queued when it closed */
    uint32_t error_code;
};

struct side {
    struct km_h2 *h2; /* NULL after on_gone */
    struct km_h2_loop_cache *cache;
    struct pair *pair;
    struct seen seen[PAIR_CALLS_MAX];
    bool is_reused; /* several streams share an element of seen */
    unsigned opened;
    unsigned closed;
    unsigned writable;
    bool settings;
    bool goaway;
    int32_t goaway_last;
    uint32_t goaway_code;
    bool gone;
    enum km_h2_why why;
    kama_status status; /* the first error of feed or take */
    size_t hold_bytes;  /* bytes of bodies not given back, when hold is set */
    bool hold;
};

struct pair {
    const kama_allocator *mem;
    struct side client;
    struct side server;
    km_ns now;
    size_t slice; /* 0: whole, else bytes at a time; SIZE_MAX: random */
    unsigned random;
    /* Is called on the server when a request is complete; may be NULL. */
    void (*serve)(struct pair *pair, struct seen *seen);
    kama_status (*admit)(struct pair *pair); /* NULL accepts every stream */
    bool resets_are_fair;                    /* the answer of reset_is_fair */
    char abuse[256];                         /* the sentence of on_abuse */
};

static inline struct seen *seen_of(struct km_h2_stream *stream)
{
    return stream->user;
}

static inline void pair_append(struct km_buf *buf, kama_bytes bytes)
{
    (void)!km_buf_append(buf, bytes.data, bytes.len);
}

static inline void seen_init(struct side *side, struct seen *seen,
                             struct km_h2_stream *stream)
{
    (void)side;
    km_buf_fini(&seen->headers);
    km_buf_fini(&seen->trailers);
    km_buf_fini(&seen->body);
    *seen = (struct seen){.stream = stream};
    km_buf_init(&seen->headers, NULL, SIZE_MAX);
    km_buf_init(&seen->trailers, NULL, SIZE_MAX);
    km_buf_init(&seen->body, NULL, SIZE_MAX);
}

static inline kama_status pair_on_open(void *arg, struct km_h2_stream *stream)
{
    struct side *side = arg;
    if (side->pair->admit != NULL) {
        kama_status status = side->pair->admit(side->pair);
        if (status != KAMA_OK) {
            return status;
        }
    }
    if (side->opened == PAIR_CALLS_MAX) {
        return KAMA_ERR_OVERLOADED;
    }
    stream->user = &side->seen[side->opened++];
    seen_init(side, stream->user, stream);
    return KAMA_OK;
}

static inline void pair_on_header(void *arg, struct km_h2_stream *stream,
                                  kama_bytes name, kama_bytes value)
{
    (void)arg;
    struct seen *seen = seen_of(stream);
    struct km_buf *to = seen->headers_done ? &seen->trailers : &seen->headers;
    pair_append(to, name);
    pair_append(to, KAMA_STR(": "));
    pair_append(to, value);
    pair_append(to, KAMA_STR("\n"));
}

static inline void pair_on_headers(void *arg, struct km_h2_stream *stream,
                                   enum km_h2_headers kind,
                                   enum km_h2_list list)
{
    (void)arg;
    struct seen *seen = seen_of(stream);
    seen->list = list;
    if (kind == KM_H2_HEADERS_INTERIM) {
        seen->interim++;
        km_buf_reset(&seen->headers, 0);
    } else if (kind == KM_H2_HEADERS_FIRST) {
        assert_false(seen->headers_done);
        seen->headers_done = true;
    } else {
        assert_true(seen->headers_done);
        seen->trailers_done = true;
    }
}

static inline void pair_on_data(void *arg, struct km_h2_stream *stream,
                                kama_bytes chunk, enum km_h2_chunk place)
{
    struct side *side = arg;
    (void)place;
    pair_append(&seen_of(stream)->body, chunk);
    if (side->hold) {
        side->hold_bytes += chunk.len;
    } else {
        km_h2_consume(stream, chunk.len);
    }
}

static inline void pair_on_end(void *arg, struct km_h2_stream *stream)
{
    struct side *side = arg;
    struct seen *seen = seen_of(stream);
    assert_false(seen->ended);
    seen->ended = true;
    if (side == &side->pair->server && side->pair->serve != NULL) {
        side->pair->serve(side->pair, seen);
    }
}

static inline void pair_on_writable(void *arg, struct km_h2_stream *stream)
{
    struct side *side = arg;
    (void)stream;
    side->writable++;
}

static inline void pair_on_close(void *arg, struct km_h2_stream *stream,
                                 uint32_t error_code)
{
    struct side *side = arg;
    struct seen *seen = seen_of(stream);
    assert_true(!seen->closed || side->is_reused);
    seen->closed = true;
    seen->stream = NULL;
    seen->unsent_bytes = km_h2_queued(stream);
    seen->error_code = error_code;
    side->closed++;
}

static inline void pair_on_settings(void *arg)
{
    struct side *side = arg;
    assert_false(side->settings);
    side->settings = true;
}

static inline void pair_on_goaway(void *arg, int32_t last_stream_id,
                                  uint32_t error_code)
{
    struct side *side = arg;
    side->goaway = true;
    side->goaway_last = last_stream_id;
    side->goaway_code = error_code;
}

static inline bool pair_reset_is_fair(void *arg, struct km_h2_stream *stream)
{
    struct side *side = arg;
    (void)stream;
    return side->pair->resets_are_fair;
}

static inline void pair_on_abuse(void *arg, const char *text)
{
    struct side *side = arg;
    assert_string_equal(side->pair->abuse, "");
    (void)snprintf(side->pair->abuse, sizeof side->pair->abuse, "%s", text);
}

static inline void pair_on_gone(void *arg, enum km_h2_why why)
{
    struct side *side = arg;
    side->gone = true;
    side->why = why;
    side->h2 = NULL;
}

static const struct km_h2_ops pair_ops = {
    .on_open = pair_on_open,
    .on_header = pair_on_header,
    .on_headers = pair_on_headers,
    .on_data = pair_on_data,
    .on_end = pair_on_end,
    .on_writable = pair_on_writable,
    .on_close = pair_on_close,
    .on_settings = pair_on_settings,
    .on_goaway = pair_on_goaway,
    .reset_is_fair = pair_reset_is_fair,
    .on_abuse = pair_on_abuse,
    .on_gone = pair_on_gone,
};

/* The sentence with which the server answers HTTP/1 clients. */
#define PAIR_HINT "this port speaks HTTP/2"

static inline kama_status side_init(struct pair *pair, struct side *side,
                                    enum km_h2_role role, size_t cache_bytes)
{
    *side = (struct side){.pair = pair};
    kama_status status =
        km_h2_loop_cache_new(pair->mem, cache_bytes, &side->cache);
    if (status != KAMA_OK) {
        return status;
    }
    struct km_h2_options options = {.mem = pair->mem,
                                    .cache = side->cache,
                                    .role = role,
                                    .ops = &pair_ops,
                                    .arg = side,
                                    .http1_hint = PAIR_HINT};
    return km_h2_new(&options, pair->now, &side->h2);
}

static inline void side_fini(struct side *side)
{
    if (side->h2 != NULL) {
        struct km_session *session = km_h2_session(side->h2);
        session->ops->close(session);
        assert_true(side->gone);
    }
    for (unsigned i = 0; i < PAIR_CALLS_MAX; i++) {
        km_buf_fini(&side->seen[i].headers);
        km_buf_fini(&side->seen[i].trailers);
        km_buf_fini(&side->seen[i].body);
    }
    km_h2_loop_cache_free(side->cache);
    side->cache = NULL;
}

static inline kama_status pair_init(struct pair *pair,
                                    const kama_allocator *mem,
                                    size_t cache_bytes)
{
    *pair = (struct pair){.mem = mem, .now = KM_NS_PER_S, .random = 1};
    kama_status status =
        side_init(pair, &pair->client, KM_H2_CLIENT, cache_bytes);
    if (status == KAMA_OK) {
        status = side_init(pair, &pair->server, KM_H2_SERVER, cache_bytes);
    }
    return status;
}

static inline void pair_fini(struct pair *pair)
{
    side_fini(&pair->client);
    side_fini(&pair->server);
}

static inline size_t pair_slice(struct pair *pair, size_t left)
{
    size_t n = pair->slice;
    if (n == SIZE_MAX) {
        n = 1 + (size_t)rand_r(&pair->random) % 97;
    }
    return n == 0 || n > left ? left : n;
}

static inline void side_fail(struct side *side, kama_status status)
{
    if (side->status == KAMA_OK) {
        side->status = status;
    }
}

/* Moves the bytes that one side has ready to the other. Returns false if there
 * were none. */
static inline bool pair_move(struct pair *pair, struct side *from,
                             struct side *to)
{
    struct km_session *session = km_h2_session(from->h2);
    kama_bytes bytes = {NULL, 0};
    kama_status status = session->ops->take(session, &bytes);
    if (status != KAMA_OK) {
        side_fail(from, status);
    }
    struct km_session *other = km_h2_session(to->h2);
    for (size_t at = 0; at < bytes.len && to->status == KAMA_OK;) {
        size_t n = pair_slice(pair, bytes.len - at);
        /* A read beyond the end of a buffer of its own size is found. */
        uint8_t *copy = malloc(n);
        memcpy(copy, (const uint8_t *)bytes.data + at, n);
        status = other->ops->feed(other, copy, n, pair->now);
        free(copy);
        if (status != KAMA_OK) {
            side_fail(to, status);
        }
        at += n;
        km_h2_check(to->h2);
    }
    km_h2_check(from->h2);
    return bytes.len > 0;
}

/* Moves bytes until neither side has any to send. */
static inline void pair_run(struct pair *pair)
{
    bool moved = true;
    while (moved) {
        moved = pair_move(pair, &pair->client, &pair->server);
        moved |= pair_move(pair, &pair->server, &pair->client);
    }
}

static inline struct km_h2_field pair_field(const char *name, const char *value)
{
    return (struct km_h2_field){kama_bytes_str(name), kama_bytes_str(value),
                                KM_H2_FIELD_STATIC};
}

typedef kama_status pair_open_fn(struct km_h2 *h2,
                                 const struct km_h2_field *fields, size_t count,
                                 void *user, struct km_h2_stream **ret_stream);

static inline kama_status pair_open(struct pair *pair, pair_open_fn *open,
                                    struct seen **ret_seen)
{
    const struct km_h2_field fields[] = {
        pair_field(":method", "POST"), pair_field(":scheme", "http"),
        pair_field(":path", "/a/b"),   pair_field(":authority", "here"),
        pair_field("te", "trailers"),
    };
    struct side *client = &pair->client;
    assert_true(client->opened < PAIR_CALLS_MAX);
    struct seen *seen = &client->seen[client->opened];
    struct km_h2_stream *stream;
    kama_status status = open(client->h2, fields, 5, seen, &stream);
    if (status == KAMA_OK) {
        client->opened++;
        seen_init(client, seen, stream);
        *ret_seen = seen;
    }
    return status;
}

/* Opens a POST on the client, whose body follows. */
static inline kama_status pair_request(struct pair *pair,
                                       struct seen **ret_seen)
{
    return pair_open(pair, km_h2_request, ret_seen);
}

/* Opens a POST on the client that ends with its headers. */
static inline kama_status pair_request_and_end(struct pair *pair,
                                               struct seen **ret_seen)
{
    return pair_open(pair, km_h2_request_and_end, ret_seen);
}

static inline void assert_text(const struct km_buf *buf, const char *text)
{
    assert_int_equal(buf->len, strlen(text));
    if (buf->len > 0) {
        assert_memory_equal(buf->data, text, buf->len);
    }
}
