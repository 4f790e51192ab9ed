/* SPDX-License-Identifier: MIT */
/*
 * The inside of a stream. The owner sees its first member only, and nghttp2
 * keeps the address of the whole.
 *
 * Threads: loop thread. Errors: running out of memory. Ownership: a stream
 * belongs to its connection, which frees it after on_close.
 */
#pragma once

#include "wire/h2/h2_impl.h"

struct km_h2_segment;

/* A header list this large is not even walked: the stream is reset. */
#define KM_H2_HEADER_LIST_BYTES_HARD (64u << 10)

struct km_h2_stream_impl {
    struct km_h2_stream pub; /* first */
    struct km_list node;     /* in km_h2.streams */
    struct km_list writable; /* in km_h2.crowded or .writable */
    struct km_list linger;   /* in km_h2.lingering */
    km_ns linger_until;
    uint32_t lingered_bytes; /* read and dropped since the answer was sent */
    struct km_h2_segment *first;
    struct km_h2_segment *last;
    size_t queued_bytes;
    nghttp2_nv *trailers; /* one block with their bytes */
    size_t trailer_count;
    uint32_t header_bytes; /* of the list being received */
    uint8_t empty_data;    /* DATA frames without a byte in a row */
    bool interim;          /* client: the list being received is 1xx */
    bool headers_seen;     /* the first (final) list was complete */
    bool last_data;        /* the last byte of its body has arrived */
    bool remote_ended;
    bool started;     /* headers were submitted */
    bool ended;       /* km_h2_end was called, or headers ended it */
    bool lingers;     /* our end was sent, the other side's has not come */
    bool takes_turns; /* it was large once */
    bool deferred;    /* nghttp2 waits for km_h2_send or km_h2_end */
    bool reset;       /* RST_STREAM was submitted */
    bool reset_seen;  /* RST_STREAM of the other side came */
};

/* Makes a stream and puts it into the connection's list, before nghttp2 or the
 * owner know it. Returns NULL if there is no memory. */
struct km_h2_stream_impl *km_h2_stream_impl_new(struct km_h2 *h2, int32_t id);

/* Frees the stream with its queue. The owner has been told. */
void km_h2_stream_impl_free(struct km_h2_stream_impl *stream);

/* Returns the connection's stream of that id, or NULL. */
struct km_h2_stream_impl *km_h2_stream_impl_find(struct km_h2 *h2, int32_t id);

static inline struct km_h2_stream_impl *km_h2_stream_impl_of(
    struct km_h2_stream *stream)
{
    return (struct km_h2_stream_impl *)(void *)stream;
}
