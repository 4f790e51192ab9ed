/* SPDX-License-Identifier: MIT */
/*
 * A stream as its owner sees it: one request and its answer.
 *
 *     client                                    server
 *     km_h2_request(fields)        ------->     on_open, on_header, on_headers
 *     km_h2_send(bytes) ..         ------->     on_data ..
 *     km_h2_end()                  ------->     on_end
 *     on_header.., on_headers      <-------     km_h2_respond(fields)
 *     on_data ..                   <-------     km_h2_send(bytes) ..
 *     on_headers(trailers), on_end <-------     km_h2_end(trailers)
 *     on_close                                  on_close
 *
 * Each side sends its half independently of the other. A stream ends when both
 * halves have ended, when one side resets it, or with the connection; on_close
 * comes exactly once.
 *
 * Flow control: the owner gives every byte that it got by on_data back, once,
 * with km_h2_consume. That opens the windows again, so that the other side may
 * send more. For output, the owner asks km_h2_has_room before it queues much.
 *
 * Threads: the loop's thread. Errors: KAMA_ERR_NO_MEMORY; KAMA_ERR_CLOSED if
 * the stream was reset or the connection ends. Ownership: a stream belongs to
 * its connection.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdbool.h>
#include <stdint.h>

struct km_h2;

/* Properties of the bytes of a field. */
enum {
    KM_H2_FIELD_STATIC = 1u << 0,  /* they live for ever and are not copied */
    KM_H2_FIELD_NO_INDEX = 1u << 1 /* HPACK need not remember the field */
};

/* One field of a header list that we send. */
struct km_h2_field {
    kama_bytes name; /* in lower case */
    kama_bytes value;
    unsigned flags; /* KM_H2_FIELD_STATIC, KM_H2_FIELD_NO_INDEX */
};

/* The largest number of fields in a header list that we send. */
#define KM_H2_FIELDS_MAX 64

/* The part of a stream that the owner sees. It is valid from on_open, or
 * km_h2_request, until on_close returns. */
struct km_h2_stream {
    struct km_h2 *h2;
    void *user; /* for the owner */
    int32_t id;
};

/* Opens a stream on a client's connection. The headers of the request go out
 * with the next take; a body may follow, and km_h2_end must. fields are copied
 * unless they are static. *ret_stream is valid until on_close returns.
 * Errors: KAMA_ERR_NO_MEMORY; KAMA_ERR_CLOSED if the connection opens no more
 * streams (km_h2_accepts). */
KAMA_NODISCARD kama_status km_h2_request(struct km_h2 *h2,
                                         const struct km_h2_field *fields,
                                         size_t count, void *user,
                                         struct km_h2_stream **ret_stream);

/* As km_h2_request, for a request that ends with its headers. */
KAMA_NODISCARD kama_status km_h2_request_and_end(
    struct km_h2 *h2, const struct km_h2_field *fields, size_t count,
    void *user, struct km_h2_stream **ret_stream);

/* Sends the headers of a server's response, once per stream and before any
 * body. A body may follow, and km_h2_end must. fields are copied unless they
 * are static. Errors: KAMA_ERR_NO_MEMORY, KAMA_ERR_CLOSED. */
KAMA_NODISCARD kama_status km_h2_respond(struct km_h2_stream *stream,
                                         const struct km_h2_field *fields,
                                         size_t count);

/* As km_h2_respond, for a response that ends with its headers. */
KAMA_NODISCARD kama_status
km_h2_respond_and_end(struct km_h2_stream *stream,
                      const struct km_h2_field *fields, size_t count);

/* Queues a message as DATA: the bytes of prefix and head, which are copied, and
 * those of body. A reference to body is taken, or its bytes are copied if they
 * are few; NULL means that there are none. Must not be called after km_h2_end.
 * Errors: KAMA_ERR_NO_MEMORY; KAMA_ERR_CLOSED if the stream was reset. */
KAMA_NODISCARD kama_status km_h2_send_parts(struct km_h2_stream *stream,
                                            kama_bytes prefix, kama_bytes head,
                                            kama_value *body);

/* As km_h2_send_parts, without a prefix. */
static inline KAMA_NODISCARD kama_status km_h2_send(struct km_h2_stream *stream,
                                                    kama_bytes head,
                                                    kama_value *body)
{
    return km_h2_send_parts(stream, kama_bytes_make(NULL, 0), head, body);
}

/* Ends our half of the stream behind its queue: with trailers, or, if
 * count is 0, with the last DATA frame. Must be called once, unless the headers
 * ended the stream or it was reset.
 *
 * If a server ends its half before the client has ended the request, the stream
 * lingers (linger.h): some of the rest is read and dropped, and then the client
 * is stopped with RST_STREAM(NO_ERROR).
 *
 * Errors: KAMA_ERR_NO_MEMORY; KAMA_ERR_CLOSED if the stream was reset. */
KAMA_NODISCARD kama_status km_h2_end(struct km_h2_stream *stream,
                                     const struct km_h2_field *trailers,
                                     size_t count);

/* Drops the queue and resets the stream. on_close follows from a later
 * take. Further calls do nothing. */
void km_h2_reset(struct km_h2_stream *stream, uint32_t error_code);

/* Gives back n bytes that on_data delivered, so that the other side may send as
 * many more, on this stream and on the connection. */
void km_h2_consume(struct km_h2_stream *stream, size_t n);

/* The two halves of km_h2_consume. An owner that keeps bytes for longer gives
 * them back to the connection at once and to the stream later: then this stream
 * waits, and the others do not. */
void km_h2_consume_connection(struct km_h2_stream *stream, size_t n);
void km_h2_consume_stream(struct km_h2_stream *stream, size_t n);

/* Pauses the reading of a stream, on either side: bytes that the owner gives
 * back open the connection's window at once, and the stream's window only when
 * the stream is resumed. So the other side stops at this stream's window
 * (KM_H2_STREAM_WINDOW_BYTES), and its other streams go on. Doing so again does
 * nothing. */
void km_h2_pause(struct km_h2_stream *stream);
/* Opens the window by the bytes that were held back. Afterwards the owner wakes
 * the connection. Does nothing for a stream that is not paused. */
void km_h2_resume(struct km_h2_stream *stream);

/* Returns whether any byte of a client's request was taken from the connection,
 * so that the server may have seen it. */
bool km_h2_request_taken(const struct km_h2_stream *stream);

/* Returns whether stream and connection have room for more output. If not,
 * on_writable follows, unless the stream ends before. */
bool km_h2_has_room(struct km_h2_stream *stream);

/* Returns how many bytes are queued on the stream and were not taken yet. */
size_t km_h2_queued(const struct km_h2_stream *stream);

/* Returns whether the other side has ended its half. */
bool km_h2_remote_ended(const struct km_h2_stream *stream);
