/* SPDX-License-Identifier: MIT */
/*
 * One HTTP/2 connection, as a server or as a client.
 *
 * The connection has no descriptor, no thread and no clock. It is a km_session:
 * net feeds the bytes that arrived and takes the bytes to write, and the owner,
 * which is rpc, is told of requests by callbacks and answers by calls:
 *
 *     net                 km_h2 (nghttp2)                        owner
 *     feed(bytes, now) -> on_open, on_header.., on_headers,   -> callbacks
 *                         on_data.., on_end, on_close
 *     take(bytes)      <- km_h2_respond, km_h2_send, km_h2_end <- calls
 *
 *     struct km_h2_options options = {.cache = cache, .role = KM_H2_SERVER,
 *                                     .ops = &my_ops, .arg = me};
 *     kama_status status = km_h2_new(&options, now, &h2);
 *     ... give km_h2_session(h2) to a km_conn, which drives and closes it ...
 *
 * After a call that makes something to send, the owner wakes the connection
 * (km_conn_wake), so that net takes it. Inside a callback this is not needed.
 * Callbacks run inside feed, take, tick or close; they may make any call except
 * one that closes the connection.
 *
 * Abuse: rate.h limits the frames that cost their sender nothing, and a client
 * that does not read its answers is limited in bytes and time. A connection
 * that passes a limit gets a GOAWAY with ENHANCE_YOUR_CALM and a sentence that
 * names the limit; on_abuse gets the same sentence, and the connection ends.
 *
 * Cost: about 13 KiB for an idle connection, of which nghttp2 takes most.
 * Threads: the loop's thread. Errors: KAMA_ERR_NO_MEMORY, and KAMA_ERR_CLOSED
 * once the connection or the stream has ended. Ownership: the session's close
 * frees the connection; the owner must forget it in on_gone.
 */
#pragma once

#include "base/session.h"
#include "wire/h2/abuse.h"
#include "wire/h2/loop_cache.h"
#include "wire/h2/stream.h"

/* Which side of the connection we are. */
enum km_h2_role { KM_H2_SERVER, KM_H2_CLIENT };

/* The error codes of RFC 9113 that owners use. */
enum {
    KM_H2_NO_ERROR = 0x0,
    KM_H2_PROTOCOL_ERROR = 0x1,
    KM_H2_INTERNAL_ERROR = 0x2,
    KM_H2_REFUSED_STREAM = 0x7,
    KM_H2_CANCEL = 0x8,
    KM_H2_ENHANCE_YOUR_CALM = 0xb
};

/* The error code in on_close of a stream that ended with its connection: the
 * other side did not say anything about it. */
#define KM_H2_LOST UINT32_MAX

/* Why a connection has ended or is about to end. */
enum km_h2_why {
    KM_H2_WHY_NONE,     /* it lives, or it was closed in order */
    KM_H2_WHY_ABUSE,    /* the other side passed a limit */
    KM_H2_WHY_FOREIGN,  /* the client does not speak HTTP/2 */
    KM_H2_WHY_PREFACE,  /* preface or SETTINGS did not come in time */
    KM_H2_WHY_PROTOCOL, /* the other side broke the protocol */
    KM_H2_WHY_MEMORY,   /* there was no memory */
    KM_H2_WHY_SILENT    /* the other side did not answer a PING */
};

/* The place of a header list in its stream. */
enum km_h2_headers {
    KM_H2_HEADERS_FIRST,   /* a request or a final response */
    KM_H2_HEADERS_INTERIM, /* a response before the final one (1xx) */
    KM_H2_HEADERS_TRAILERS /* the end of a body */
};

/* Whether the owner was given every field of a header list. */
enum km_h2_list {
    KM_H2_LIST_WHOLE,
    KM_H2_LIST_CUT /* fields beyond KM_H2_HEADER_LIST_BYTES_MAX are missing */
};

/* Whether a chunk of a body is known to be the last one. */
enum km_h2_chunk {
    KM_H2_CHUNK_MORE, /* more may follow */
    KM_H2_CHUNK_LAST  /* on_end follows before feed returns */
};

/* The callbacks of an owner. Members may be NULL unless marked as required.
 * `stream` is valid from on_open, or km_h2_request, until on_close returns. */
struct km_h2_ops {
    /* A client begins a request; required of servers. The owner may set
     * stream->user. If it returns an error, the stream is refused with
     * REFUSED_STREAM, and no further callback is made for it. */
    kama_status (*on_open)(void *arg, struct km_h2_stream *stream);
    /* One field of a header list; required. name and value are borrowed until
     * the callback returns. */
    void (*on_header)(void *arg, struct km_h2_stream *stream, kama_bytes name,
                      kama_bytes value);
    /* A header list has ended; required. `list` says whether the owner was
     * given all of it. */
    void (*on_headers)(void *arg, struct km_h2_stream *stream,
                       enum km_h2_headers kind, enum km_h2_list list);
    /* Bytes of the body; required. They are borrowed until the callback
     * returns, or, if they are the last ones, until on_end returns. The owner
     * gives them back with km_h2_consume. */
    void (*on_data)(void *arg, struct km_h2_stream *stream, kama_bytes chunk,
                    enum km_h2_chunk place);
    /* The other side has ended its half of the stream; required. */
    void (*on_end)(void *arg, struct km_h2_stream *stream);
    /* The stream has room again: its queue fell below KM_H2_LOW_WATER_BYTES, or
     * the connection has room for a stream to which km_h2_has_room said no. */
    void (*on_writable)(void *arg, struct km_h2_stream *stream);
    /* The stream has ended, with an error code of RFC 9113 or KM_H2_LOST;
     * required. This is the last callback of a stream, and each stream that was
     * opened gets it exactly once. */
    void (*on_close)(void *arg, struct km_h2_stream *stream,
                     uint32_t error_code);
    /* The first SETTINGS of the other side have arrived. */
    void (*on_settings)(void *arg);
    /* The other side accepts no new streams. Streams with an id above
     * last_stream_id are closed with REFUSED_STREAM. grpc-go sends 1 as
     * last_stream_id at a normal end. */
    void (*on_goaway)(void *arg, int32_t last_stream_id, uint32_t error_code);
    /* A server's client resets a stream that was not answered. Returns whether
     * the owner accepts the reason, for instance that the call's deadline has
     * passed. Any other such reset counts against KM_H2_RESET_PER_S. NULL means
     * that no reset has a reason. */
    bool (*reset_is_fair)(void *arg, struct km_h2_stream *stream);
    /* The other side passed a limit, and the connection is about to end. text
     * names the limit and says by how much it was passed; it is borrowed until
     * the callback returns. */
    void (*on_abuse)(void *arg, const char *text);
    /* The connection has ended, after on_close of every stream; required. It is
     * freed when the callback returns. */
    void (*on_gone)(void *arg, enum km_h2_why why);
};

/* A stream has room while its queue holds fewer bytes than this, and the queues
 * of its connection together fewer than KM_H2_OUTBOUND_BYTES_MAX. */
#define KM_H2_LOW_WATER_BYTES (64u << 10)

/* When a connection sends PINGs to find out whether the other side lives. */
enum km_h2_keepalive {
    KM_H2_KEEPALIVE_STREAMS, /* while it has streams */
    KM_H2_KEEPALIVE_ALWAYS
};

/* How to make a connection. Everything but mem is needed, unless it says that
 * it may be NULL. */
struct km_h2_options {
    const kama_allocator *mem;      /* borrowed; NULL: the default allocator */
    struct km_h2_loop_cache *cache; /* borrowed; it outlives the connection */
    enum km_h2_role role;
    const struct km_clock
        *clock; /* NULL: the time comes with feed and tick only */
    const struct km_h2_ops *ops; /* borrowed */
    void *arg;                   /* the owner's, for its callbacks */
    /* The body of the answer 400 that an HTTP/1 client gets from a server;
     * borrowed. NULL means that it gets no answer. */
    const char *http1_hint;
    /* A PING is sent when nothing has arrived for keepalive_ms (0: never), and
     * the connection ends with KM_H2_WHY_SILENT when nothing arrives for
     * keepalive_timeout_ms after that. Needs `clock`. For clients: a server
     * that stops reading would not see the answer. */
    int64_t keepalive_ms;
    int64_t keepalive_timeout_ms;
    enum km_h2_keepalive keepalive;
};

/* Makes a connection. Its SETTINGS wait in take. Errors: KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_h2_new(const struct km_h2_options *options,
                                     km_ns now, struct km_h2 **ret_h2);

/* Returns the connection as net drives it. Closing it frees h2. */
struct km_session *km_h2_session(struct km_h2 *h2);

/* Returns how many concurrent streams the other side allows. A client may ask
 * after on_settings. */
uint32_t km_h2_remote_streams_max(const struct km_h2 *h2);

/* Returns how many streams are open. */
unsigned km_h2_stream_count(const struct km_h2 *h2);

/* Announces the end of a server's connection with a GOAWAY that still accepts
 * every stream. Requests that are on their way are served; km_h2_goaway follows
 * after a round trip or a moment. */
void km_h2_goaway_notice(struct km_h2 *h2);

/* Ends the connection in order, on either side: it accepts no new streams, and
 * ends when the open ones have ended. Further calls do nothing. */
void km_h2_goaway(struct km_h2 *h2);

/* Gives the connection the limits of a peer (rate.h), for good. */
void km_h2_trust_peer(struct km_h2 *h2);

/* Returns whether a client may open requests: neither side has sent a GOAWAY,
 * and the connection has not failed. */
bool km_h2_accepts(const struct km_h2 *h2);

/* Returns why the connection has ended or is about to end. */
enum km_h2_why km_h2_why(const struct km_h2 *h2);
/* Returns the limit that was passed, with KM_H2_WHY_ABUSE. */
enum km_h2_abuse km_h2_abuse(const struct km_h2 *h2);
