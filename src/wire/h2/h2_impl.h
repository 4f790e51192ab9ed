/* SPDX-License-Identifier: MIT */
/*
 * The inside of an HTTP/2 connection, which the files of this folder share.
 *
 *     h2.c           life of a connection, and the km_session that net drives
 *     recv.c         what nghttp2 says about frames that arrived
 *     send.c         what nghttp2 says about frames that were sent
 *     stream.c       the owner's calls on a stream
 *     stream_impl.c  life of a stream
 *     queue.c        the output that waits in a stream
 *     linger.c       streams whose answer was sent before the request ended
 *     fail.c         how a connection fails, and who is told
 *     rate.c         limits for frames that cost their sender nothing
 *     check.c        what must hold between two calls, for tests
 *     loop_cache.c   memory that the connections of one loop share
 *     ng_mem.c       nghttp2's allocator
 *
 * Threads: loop thread.
 */
#pragma once

#include "base/list.h"
#include "wire/h2/h2.h"
#include "wire/h2/rate.h"
#include "wire/sniff.h"

#include <nghttp2/nghttp2.h>

struct km_h2_stream_impl;

struct km_h2 {
    struct km_session session; /* first */
    nghttp2_session *ng;
    const struct km_clock *clock; /* NULL: now is all there is */
    const struct km_h2_ops *ops;
    void *arg;
    const kama_allocator *mem;
    struct km_h2_loop_cache *cache;
    const char *http1_hint;
    enum km_h2_role role;
    enum km_h2_why why;
    bool settings_seen;  /* the other side's first SETTINGS */
    bool goaway_seen;    /* the other side's GOAWAY */
    bool goaway_sent;    /* ours, the real one, is submitted */
    bool cut_off;        /* the GOAWAY that ends it at once was sent */
    bool foreign;        /* not HTTP/2: nghttp2 is not asked any more */
    bool eof;            /* nothing more comes */
    bool no_memory;      /* nghttp2 got none: it may not be used any more */
    bool data_ends;      /* the DATA frame being received has END_STREAM */
    uint32_t data_left;  /* of its payload; 0 when it is padded */
    int32_t reset_id;    /* the stream whose RST_STREAM is being received */
    km_ns now;           /* as last told */
    km_ns preface_until; /* KM_NS_NEVER once it is in */
    km_ns progress_at;   /* when DATA was last taken, or began to wait */
    struct km_list streams;
    struct km_list crowded;   /* streams that wait for room on the connection */
    struct km_list writable;  /* streams to be notified */
    struct km_list lingering; /* streams in the order of their linger_until */
    unsigned stream_count;
    size_t queued_bytes;           /* of all streams */
    struct km_h2_stream_impl *hot; /* the stream last looked up */
    uint8_t *out;                  /* KM_H2_OUT_CAP, only while in use */
    size_t out_bytes;
    void *quarantine; /* blocks that nghttp2 freed after no_memory */
    struct km_h2_rates rates;
    struct km_h2_sniff sniff;
};
