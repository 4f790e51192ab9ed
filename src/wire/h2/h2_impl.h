/* SPDX-License-Identifier: MIT */
/*
 * The inside of an HTTP/2 connection, which the files of this folder share.
 *
 *     h2.c           life of a connection, and the km_session that net drives
 *     recv.c         nghttp2's callbacks for frames that arrived
 *     send.c         nghttp2's callbacks for frames that were sent
 *     stream.c       the owner's calls on a stream
 *     stream_impl.c  life of a stream
 *     queue.c        the output that waits in a stream
 *     linger.c       streams whose answer was sent before the request ended
 *     fail.c         how a connection fails, and how both sides learn why
 *     rate.c         limits for frames that cost their sender nothing
 *     keepalive.c    PINGs that find out whether the other side still lives
 *     check.c        the invariants of a connection, for tests
 *     loop_cache.c   memory that the connections of one loop share
 *     ng_mem.c       nghttp2's allocator
 *
 * Time: net tells `now` with feed and tick. It is as old as the
 * last byte of the other side, which is why times that begin with our own
 * output are read from `clock`, if there is one.
 *
 * Threads: the loop's thread. Ownership: the session's close frees everything.
 */
#pragma once

#include "base/list.h"
#include "wire/h2/early_reset.h"
#include "wire/h2/h2.h"
#include "wire/h2/rate.h"
#include "wire/sniff.h"

#include <nghttp2/nghttp2.h>

struct km_h2_stream_impl;

/*
 * The life of a connection:
 *
 *     (server) SNIFFING --the preface--> LIVE <-- (client)
 *                 |                       |
 *                 | HTTP/1, or            | a GOAWAY with an error was sent
 *                 v anything else         v
 *              FOREIGN                 CUT_OFF
 *
 *     any of them --nghttp2 got no memory--> NO_MEMORY
 */
enum km_h2_life {
    KM_H2_SNIFFING, /* our SETTINGS are held back until we know the protocol */
    KM_H2_LIVE,
    KM_H2_CUT_OFF,  /* it ends as soon as its output is written */
    KM_H2_FOREIGN,  /* nghttp2 is not asked; an HTTP/1 answer may wait in out */
    KM_H2_NO_MEMORY /* nghttp2 may be in disorder and is not asked any more */
};

/* The state of keepalive.c. */
struct km_h2_silence {
    int64_t ms; /* 0: no PINGs */
    int64_t timeout_ms;
    enum km_h2_keepalive when;
    km_ns heard_at;  /* when bytes arrived last */
    km_ns busy_at;   /* when the connection got a stream after it had none */
    km_ns pinged_at; /* 0: no PING is unanswered */
};

struct km_h2 {
    struct km_session session; /* first */
    nghttp2_session *ng;
    const struct km_clock *clock; /* may be NULL */
    const struct km_h2_ops *ops;
    void *arg;
    const kama_allocator *mem;
    struct km_h2_loop_cache *cache;
    const char *http1_hint;
    enum km_h2_role role;
    enum km_h2_why why;
    enum km_h2_abuse abuse; /* with KM_H2_WHY_ABUSE */
    enum km_h2_life life;
    bool goaway_seen;    /* the other side has begun to send its GOAWAY */
    bool goaway_sent;    /* km_h2_goaway was called */
    bool eof;            /* the other side sends nothing more */
    bool data_ends;      /* the DATA frame being received has END_STREAM */
    uint32_t data_left;  /* of its payload; 0 when it is padded */
    int32_t taken_id;    /* the last request of a client that was taken */
    int32_t reset_id;    /* the stream whose RST_STREAM is being received */
    km_ns now;           /* of the last feed or tick */
    km_ns preface_until; /* KM_NS_NEVER once preface and SETTINGS are in */
    km_ns progress_at;   /* when DATA was last taken, or began to wait */
    struct km_list streams;
    struct km_list crowded;   /* streams that wait for room on the connection */
    struct km_list writable;  /* streams whose owners are to be told of room */
    struct km_list lingering; /* streams in the order of their linger_until */
    unsigned stream_count;
    size_t queued_bytes;           /* of all streams together */
    struct km_h2_stream_impl *hot; /* the stream that was found last */
    uint8_t *out;                  /* KM_H2_OUT_CAP bytes, only while in use */
    size_t out_bytes;              /* of them, taken and maybe not written */
    void *quarantine;              /* blocks freed in NO_MEMORY; see ng_mem.c */
    struct km_h2_rates rates;
    struct km_h2_silence keepalive;
    struct km_h2_sniff sniff;
    struct km_h2_early_reset early; /* of a server */
};
