/* SPDX-License-Identifier: MIT */
/*
 * A stream as its owner sees it: one request and its answer.
 *
 *     client                                    server
 *     km_h2_request(fields)        ------->     on_open, on_header.., on_headers
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
 * Threads: loop thread. Errors: KAMA_ERR_NO_MEMORY; KAMA_ERR_CLOSED if the
 * stream was reset or the connection ends. Ownership: a stream belongs to its
 * connection.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdbool.h>
#include <stdint.h>

struct km_h2;

/* How long the bytes of a field live, and whether HPACK should keep it. */
enum {
    KM_H2_FIELD_STATIC = 1u << 0,  /* for ever: not copied */
    KM_H2_FIELD_NO_INDEX = 1u << 1 /* unlikely to come again */
};

struct km_h2_field {
    kama_bytes name; /* lower case */
    kama_bytes value;
    unsigned flags; /* KM_H2_FIELD_ */
};

/* Most fields of one header list that we send. */
#define KM_H2_FIELDS_MAX 64

/* What the owner sees of a stream. Valid from on_open or km_h2_request until
 * on_close returns. */
struct km_h2_stream {
    struct km_h2 *h2;
    void *user; /* the owner's */
    int32_t id; /* client: -1 before it is sent */
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

/* Queues prefix and head (copied) and body's bytes (a reference is taken, or
 * few bytes are copied; NULL: none) as DATA. Not after km_h2_end. */
KAMA_NODISCARD kama_status km_h2_send_parts(struct km_h2_stream *stream,
                                            kama_bytes prefix, kama_bytes head,
                                            kama_value *body);
static inline KAMA_NODISCARD kama_status km_h2_send(struct km_h2_stream *stream,
                                                    kama_bytes head,
                                                    kama_value *body)
{
    return km_h2_send_parts(stream, kama_bytes_make(NULL, 0), head, body);
}

/* Ends our side behind what is queued: with trailers, or, with count 0, with
 * END_STREAM on the last DATA. If a server ends before the client has, the
 * stream lingers: up to KM_H2_LINGER_BYTES of the rest are read and dropped, and
 * after KM_H2_LINGER_MS a client that has not ended is stopped with
 * RST_STREAM(NO_ERROR). Not after km_h2_end. */
KAMA_NODISCARD kama_status km_h2_end(struct km_h2_stream *stream,
                                     const struct km_h2_field *trailers,
                                     size_t count);

/* Drops what is queued and resets the stream; on_close follows, from a later
 * take. Idempotent. */
void km_h2_reset(struct km_h2_stream *stream, uint32_t error_code);

/* Gives n bytes of on_data back to both windows ... */
void km_h2_consume(struct km_h2_stream *stream, size_t n);
/* ... or to the connection's now and to the stream's later, so that one
 * stream waits and the others do not. */
void km_h2_consume_connection(struct km_h2_stream *stream, size_t n);
void km_h2_consume_stream(struct km_h2_stream *stream, size_t n);

/* Is there room on stream and connection for more? false: on_writable follows,
 * unless the stream ends. */
bool km_h2_has_room(struct km_h2_stream *stream);

/* Bytes queued on the stream, not yet taken. */
size_t km_h2_queued(const struct km_h2_stream *stream);

/* Has the other side ended its half? */
bool km_h2_remote_ended(const struct km_h2_stream *stream);
