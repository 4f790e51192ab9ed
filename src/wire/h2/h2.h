/* SPDX-License-Identifier: MIT */
/*
 * One HTTP/2 connection, either side, on nghttp2: bytes in, callbacks out;
 * calls in, bytes out. No descriptor, no thread, no clock: it is a km_session
 * (km_h2_session) that net drives, and time comes in with feed and tick.
 *
 *   feed(bytes) --> on_open on_header.. on_headers on_data.. on_end --> owner
 *   take() <-- km_h2_request/respond, km_h2_send.., km_h2_end <------- owner
 *
 * After any call that makes something to send the owner wakes the connection
 * (km_conn_wake); inside a callback that is not needed.
 *
 * Flow control: every byte given to on_data is to be given back, once, with
 * km_h2_consume; that opens the windows again. Output waits in the streams'
 * queues: bodies as references, copied when the windows and the wire have
 * room.
 *
 * Abuse: there are limits for frames that cost the sender nothing (h2_rate.h)
 * and for a connection that lets output wait. A connection that passes one of
 * them gets a GOAWAY with ENHANCE_YOUR_CALM and a sentence that names the
 * limit, on_abuse is told the same sentence, and the connection ends.
 *
 * Callbacks run inside feed, take, tick or close. In them everything may be
 * called except closing the connection.
 *
 * Memory: about 13 KiB per idle connection, of which nghttp2 takes most.
 * Thread-safety: loop thread. Errors: KAMA_ERR_NO_MEMORY, KAMA_ERR_CLOSED.
 */
#pragma once

#include "base/session.h"
#include "wire/h2/loop_cache.h"
#include "wire/h2/stream.h"

enum km_h2_role { KM_H2_SERVER, KM_H2_CLIENT };

/* Error codes of RFC 9113 that owners use. */
enum {
    KM_H2_NO_ERROR = 0x0,
    KM_H2_PROTOCOL_ERROR = 0x1,
    KM_H2_INTERNAL_ERROR = 0x2,
    KM_H2_REFUSED_STREAM = 0x7,
    KM_H2_CANCEL = 0x8,
    KM_H2_ENHANCE_YOUR_CALM = 0xb
};

/* In on_close: the stream ended with its connection, without a word. */
#define KM_H2_LOST UINT32_MAX

/* Why a connection ended, or is about to. */
enum km_h2_why {
    KM_H2_WHY_NONE,     /* it lives, or the other side ended it in order */
    KM_H2_WHY_ABUSE,    /* a rate of limits.h was passed */
    KM_H2_WHY_FOREIGN,  /* server: the first bytes are not HTTP/2 */
    KM_H2_WHY_PREFACE,  /* no preface and SETTINGS in KM_H2_PREFACE_MS */
    KM_H2_WHY_PROTOCOL, /* the other side broke the protocol */
    KM_H2_WHY_MEMORY    /* out of memory */
};

enum km_h2_headers {
    KM_H2_HEADERS_FIRST,   /* a request's, or a final response's */
    KM_H2_HEADERS_INTERIM, /* a response's before the final one (1xx) */
    KM_H2_HEADERS_TRAILERS
};

/* Whether the owner was given every field of a header list. */
enum km_h2_list {
    KM_H2_LIST_WHOLE,
    KM_H2_LIST_CUT /* without those beyond KM_H2_HEADER_LIST_BYTES_MAX */
};

/* Whether a chunk of a body is known to be the last one. */
enum km_h2_chunk {
    KM_H2_CHUNK_MORE, /* more may follow */
    KM_H2_CHUNK_LAST  /* on_end follows before feed returns */
};

/* What the owner of a connection is told. Members may be NULL unless marked
 * required. */
struct km_h2_ops {
    /* server, required: a request begins. The owner sets stream->user. An
     * error refuses the stream (REFUSED_STREAM), nothing else comes of it. */
    kama_status (*on_open)(void *arg, struct km_h2_stream *stream);
    /* required: one field, borrowed until return. Lists larger than
     * KM_H2_HEADER_LIST_BYTES_MAX are cut; on_headers says so. */
    void (*on_header)(void *arg, struct km_h2_stream *stream, kama_bytes name,
                      kama_bytes value);
    /* required: a header list has ended. */
    void (*on_headers)(void *arg, struct km_h2_stream *stream,
                       enum km_h2_headers kind, enum km_h2_list list);
    /* required: bytes of the body, which are borrowed until the callback
     * returns, or, if they are the last ones, until on_end returns. */
    void (*on_data)(void *arg, struct km_h2_stream *stream, kama_bytes chunk,
                    enum km_h2_chunk place);
    /* required: the other side will send no more on this stream. */
    void (*on_end)(void *arg, struct km_h2_stream *stream);
    /* The stream's queue fell below KM_H2_LOW_WATER_BYTES, or there is room
     * on the connection again for a stream that had asked. */
    void (*on_writable)(void *arg, struct km_h2_stream *stream);
    /* required: the stream is over; error_code of RFC 9113. Exactly once for
     * each stream opened; its last sign. */
    void (*on_close)(void *arg, struct km_h2_stream *stream,
                     uint32_t error_code);
    /* The other side's SETTINGS arrived for the first time. */
    void (*on_settings)(void *arg);
    /* The other side takes no new streams; those above last_stream_id are
     * closed with REFUSED_STREAM. grpc-go's last_stream_id 1 is a normal
     * end. */
    void (*on_goaway)(void *arg, int32_t last_stream_id, uint32_t error_code);
    /* server: the client resets a stream that was not answered yet. Returns
     * true if it had a reason that the owner accepts, for instance that the
     * time of the call is over. Every other reset of a young stream counts
     * against KM_H2_RESET_PER_S. NULL: no reset has a reason. */
    bool (*reset_is_fair)(void *arg, struct km_h2_stream *stream);
    /* A limit was passed and the connection is about to end; text names the
     * limit and by how much it was passed, and is borrowed until return. */
    void (*on_abuse)(void *arg, const char *text);
    /* required: the connection is gone, after on_close of every stream; h2 is
     * freed after return. */
    void (*on_gone)(void *arg, enum km_h2_why why);
};

/* A stream whose queue is below this is writable, when all of the connection's
 * are below KM_H2_OUTBOUND_BYTES_MAX. */
#define KM_H2_LOW_WATER_BYTES (64u << 10)

struct km_h2_options {
    const kama_allocator *mem;
    struct km_h2_loop_cache *cache; /* borrowed; outlives the connection */
    enum km_h2_role role;
    const struct km_clock *clock; /* NULL: the time is what net told last */
    const struct km_h2_ops *ops;  /* borrowed, static */
    void *arg;
    const char *http1_hint; /* server: body of the 400 for HTTP/1; borrowed */
};

/* A connection at its start; our SETTINGS wait in take. */
KAMA_NODISCARD kama_status km_h2_new(const struct km_h2_options *options,
                                     km_ns now, struct km_h2 **ret_h2);

/* The connection as net drives it. Its close frees h2. */
struct km_session *km_h2_session(struct km_h2 *h2);

/* The other side's limit of concurrent streams; client, after on_settings. */
uint32_t km_h2_remote_streams_max(const struct km_h2 *h2);

/* Streams open now. */
unsigned km_h2_stream_count(const struct km_h2 *h2);

/* server, drain in two steps: a GOAWAY with the highest stream id ... */
void km_h2_goaway_notice(struct km_h2 *h2);
/* ... then, a round trip or a moment later, the real one: no new streams, and
 * the connection ends (alive is false) when those open are over. Either
 * side. */
void km_h2_goaway(struct km_h2 *h2);

/* May requests be opened (no GOAWAY in either direction)? */
bool km_h2_accepts(const struct km_h2 *h2);

/* Why it ended or is about to. */
enum km_h2_why km_h2_why(const struct km_h2 *h2);
