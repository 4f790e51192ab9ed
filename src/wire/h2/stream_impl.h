/* SPDX-License-Identifier: MIT */
/*
 * The inside of a stream. The owner sees its first member only, and nghttp2
 * keeps the address of the whole.
 *
 * The two halves of a stream end independently, so each has its states.
 *
 * Our half, which we send:
 *
 *     IDLE --request, respond--> OPEN <--------resume-------- STARVED
 *      |                         | |                           ^ |
 *      |                         | +--nghttp2 finds no DATA----+ |
 *      |                         |                               |
 *      |                       km_h2_end                     km_h2_end
 *      |                         v                               |
 *      +--request_and_end,---> ENDED <---------------------------+
 *         respond_and_end        |
 *                                | a server's END_STREAM was sent, and the
 *                                v client has not ended its request
 *                            LINGERING
 *
 *     any state --km_h2_reset, or headers that cannot be sent--> RESET
 *
 * The other half, which we receive:
 *
 *     HEADERS --the final list is complete--> BODY --its last byte--> LAST_DATA
 *      |   ^                                   |                          |
 *      v   |                                   +--END_STREAM--> ENDED <---+
 *     INTERIM  (while a list is a 1xx response)
 *
 * A chunk of DATA is given to the owner before its frame is complete, which is
 * why the last byte has a state of its own before END_STREAM. Trailers come in
 * the state BODY. After RESET of our half nothing that arrives is given to the
 * owner any more, but the receiving half keeps its state.
 *
 * Threads: the loop's thread. Errors: running out of memory. Ownership: a
 * stream belongs to its connection, which frees it after on_close.
 */
#pragma once

#include "wire/h2/h2_impl.h"

struct km_h2_segment;

/* A stream whose header list is larger than this is reset. Below it the list is
 * read to its end, so that the owner can answer that it is too large. */
#define KM_H2_HEADER_LIST_BYTES_HARD (64u << 10)

/* Our half; see above. */
enum km_h2_sending {
    KM_H2_SENDING_IDLE,      /* our headers were not submitted yet */
    KM_H2_SENDING_OPEN,      /* the owner may queue messages */
    KM_H2_SENDING_STARVED,   /* as OPEN, and nghttp2 waits to be resumed */
    KM_H2_SENDING_ENDED,     /* the queue holds the rest */
    KM_H2_SENDING_LINGERING, /* all was sent; see linger.h */
    KM_H2_SENDING_RESET      /* RST_STREAM was submitted */
};

/* The other side's half; see above. */
enum km_h2_receiving {
    KM_H2_RECEIVING_HEADERS,   /* the first list has not been complete */
    KM_H2_RECEIVING_INTERIM,   /* the current list is a 1xx response */
    KM_H2_RECEIVING_BODY,      /* DATA, or trailers */
    KM_H2_RECEIVING_LAST_DATA, /* END_STREAM belongs to the current frame */
    KM_H2_RECEIVING_ENDED      /* the other side has ended its half */
};

/* Whether bytes that the owner gives back open the stream's window. */
enum km_h2_reading { KM_H2_READING, KM_H2_PAUSED };

struct km_h2_stream_impl {
    struct km_h2_stream pub; /* first */
    enum km_h2_sending sending;
    enum km_h2_receiving receiving;
    struct km_list node;     /* in km_h2.streams */
    struct km_list writable; /* in km_h2.crowded or .writable, or in neither */
    struct km_list linger;   /* in km_h2.lingering while LINGERING */
    km_ns linger_until;
    uint32_t lingered_bytes;     /* read and dropped while LINGERING */
    struct km_h2_segment *first; /* the queue; see queue.h */
    struct km_h2_segment *last;
    size_t queued_bytes;
    nghttp2_nv *trailers; /* one block with their bytes */
    size_t trailer_count;
    enum km_h2_reading reading;
    uint32_t withheld_bytes; /* given back while PAUSED */
    uint32_t header_bytes;   /* of the list that is being received */
    uint8_t empty_data;      /* DATA frames in a row that carried no byte */
    bool takes_turns;        /* its frames alternate with those of others */
};

/* Moves the sending half on to a state that the drawing above allows. */
void km_h2_stream_impl_send_state(struct km_h2_stream_impl *stream,
                                  enum km_h2_sending next);

/* Returns whether the owner may still queue messages on the stream. */
static inline bool km_h2_stream_impl_is_open(
    const struct km_h2_stream_impl *stream)
{
    return stream->sending == KM_H2_SENDING_OPEN ||
           stream->sending == KM_H2_SENDING_STARVED;
}

/* Returns whether we have reset the stream. */
static inline bool km_h2_stream_impl_is_reset(
    const struct km_h2_stream_impl *stream)
{
    return stream->sending == KM_H2_SENDING_RESET;
}

/* Makes a stream and puts it into the connection's list, before nghttp2 or the
 * owner know it. Returns NULL if there is no memory. */
struct km_h2_stream_impl *km_h2_stream_impl_new(struct km_h2 *h2, int32_t id);

/* Frees the stream with its queue. The owner has been told. */
void km_h2_stream_impl_free(struct km_h2_stream_impl *stream);

/* Asks nghttp2 for the connection's stream of that id, or NULL, and remembers
 * it as the hot one. */
struct km_h2_stream_impl *km_h2_stream_impl_look_up(struct km_h2 *h2,
                                                    int32_t id);

/* Returns the connection's stream of that id, or NULL. Each field of a header
 * list asks for the same stream, so the last one found is tried first. */
static inline struct km_h2_stream_impl *km_h2_stream_impl_find(struct km_h2 *h2,
                                                               int32_t id)
{
    if (h2->hot != NULL && h2->hot->pub.id == id) {
        return h2->hot;
    }
    return km_h2_stream_impl_look_up(h2, id);
}

static inline struct km_h2_stream_impl *km_h2_stream_impl_of(
    struct km_h2_stream *stream)
{
    return (struct km_h2_stream_impl *)(void *)stream;
}
