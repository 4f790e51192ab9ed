/* SPDX-License-Identifier: MIT */
/*
 * A server that is fed frames written by hand, with its answers, for tests of
 * the limits of a connection.
 */
#pragma once

#include "wire/h2_raw.h"

#include "wire/h2_pair.h"

#include "base/limits.h"

#define CALM 0xb

/* The server under test, its input and its output. */
struct victim {
    struct pair pair;
    struct km_buf in;
    struct km_buf out;
    kama_status status;
};

static inline void serve_headers_only(struct pair *pair, struct seen *seen)
{
    (void)pair;
    const struct km_h2_field status = pair_field(":status", "200");
    assert_int_equal(km_h2_respond_and_end(seen->stream, &status, 1), KAMA_OK);
}

static inline void victim_init(struct victim *victim)
{
    *victim = (struct victim){0};
    assert_int_equal(pair_init(&victim->pair, NULL, 0), KAMA_OK);
    victim->pair.serve = serve_headers_only;
    km_buf_init(&victim->in, NULL, SIZE_MAX);
    km_buf_init(&victim->out, NULL, SIZE_MAX);
    raw_start(&victim->in);
}

static inline void victim_fini(struct victim *victim)
{
    km_buf_fini(&victim->in);
    km_buf_fini(&victim->out);
    pair_fini(&victim->pair);
}

static inline struct km_session *victim_session(struct victim *victim)
{
    return km_h2_session(victim->pair.server.h2);
}

static inline void victim_take(struct victim *victim)
{
    struct km_session *session = victim_session(victim);
    kama_bytes bytes;
    do {
        bytes = kama_bytes_make(NULL, 0);
        kama_status status = session->ops->take(session, &bytes);
        if (victim->status == KAMA_OK) {
            victim->status = status;
        }
        raw_bytes(&victim->out, bytes.data, bytes.len);
    } while (bytes.len > 0 && victim->status == KAMA_OK);
}

/* Feeds the frames in `in`, unless the connection has ended. */
static inline void victim_feed(struct victim *victim)
{
    struct km_session *session = victim_session(victim);
    if (victim->status == KAMA_OK) {
        victim->status = session->ops->feed(session, victim->in.data,
                                            victim->in.len, victim->pair.now);
    }
    km_buf_reset(&victim->in, SIZE_MAX);
    struct km_buf *out = &victim->out;
    kama_bytes bytes;
    /* A connection that ends still sends its GOAWAY. */
    while (session->ops->take(session, &bytes) == KAMA_OK && bytes.len > 0) {
        raw_bytes(out, bytes.data, bytes.len);
    }
    km_h2_check(victim->pair.server.h2);
}

/* Returns the error code of the GOAWAY that was sent, or -1. */
static inline int64_t victim_goaway(const struct victim *victim)
{
    kama_bytes bytes = km_buf_bytes(&victim->out);
    struct raw_seen frame;
    while (raw_next(&bytes, &frame)) {
        if (frame.type == RAW_GOAWAY) {
            return raw_get_u32(frame.payload, 4);
        }
    }
    return -1;
}

/* Returns the text of the GOAWAY that was sent, or "". */
static inline const char *victim_goaway_text(const struct victim *victim,
                                             char *buf, size_t cap)
{
    kama_bytes bytes = km_buf_bytes(&victim->out);
    struct raw_seen frame;
    buf[0] = '\0';
    while (raw_next(&bytes, &frame)) {
        if (frame.type == RAW_GOAWAY) {
            (void)snprintf(buf, cap, "%.*s", (int)(frame.payload.len - 8),
                           (const char *)frame.payload.data + 8);
        }
    }
    return buf;
}

static inline unsigned victim_sent(const struct victim *victim, uint8_t type)
{
    kama_bytes bytes = km_buf_bytes(&victim->out);
    struct raw_seen frame;
    unsigned n = 0;
    while (raw_next(&bytes, &frame)) {
        n += frame.type == type;
    }
    return n;
}

static inline void assert_served(struct victim *victim)
{
    struct km_session *session = victim_session(victim);
    assert_int_equal(victim->status, KAMA_OK);
    assert_int_equal(victim_goaway(victim), -1);
    assert_true(session->ops->alive(session));
    assert_int_equal(km_h2_why(victim->pair.server.h2), KM_H2_WHY_NONE);
}

/* The connection ends, and owner and client are told the same limit. */
static inline void assert_calmed(struct victim *victim)
{
    struct km_session *session = victim_session(victim);
    char text[256];
    assert_int_equal(victim_goaway(victim), CALM);
    assert_string_not_equal(victim->pair.abuse, "");
    assert_string_equal(victim_goaway_text(victim, text, sizeof text),
                        victim->pair.abuse);
    assert_int_equal(km_h2_why(victim->pair.server.h2), KM_H2_WHY_ABUSE);
    if (victim->status == KAMA_OK) {
        assert_false(session->ops->alive(session));
    }
}
