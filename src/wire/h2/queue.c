/* SPDX-License-Identifier: MIT */
/*
 * The queue of a stream, from km_h2_send_parts to the output buffer.
 *
 * nghttp2 asks for bytes when the windows and the wire have room, and they are
 * copied once, straight behind their frame header. Trailers wait behind the
 * queue, so that a whole answer leaves as HEADERS, DATA, HEADERS in one write.
 */
#include "wire/h2/queue.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/container.h"
#include "base/limits.h"
#include "wire/h2/fail.h"
#include "wire/h2/loop_cache.h"

/* Bodies up to this size are copied when they are queued. That is cheaper than
 * two changes of a reference count which other threads change, too. */
#define BODY_COPY_BYTES 1024

/* -- dropping ------------------------------------------------------------ */

static void free_segment(struct km_h2 *h2, struct km_h2_segment *segment)
{
    kama_value_unref(segment->body);
    km_h2_loop_cache_release(h2->cache, segment);
}

/* Lets the owners of crowded streams be told when half of the connection's room
 * is free. At a single free byte, each frame would wake all of them for
 * nothing. */
static void uncrowd(struct km_h2 *h2)
{
    if (h2->queued_bytes < KM_H2_OUTBOUND_BYTES_MAX / 2) {
        km_list_splice(&h2->writable, &h2->crowded);
    }
}

void km_h2_queue_drop(struct km_h2_stream_impl *stream)
{
    struct km_h2 *h2 = stream->pub.h2;
    while (stream->first != NULL) {
        struct km_h2_segment *segment = stream->first;
        stream->first = segment->next;
        free_segment(h2, segment);
    }
    stream->last = NULL;
    KM_ASSERT(stream->queued_bytes <= h2->queued_bytes);
    h2->queued_bytes -= stream->queued_bytes;
    stream->queued_bytes = 0;
    km_h2_loop_cache_release(h2->cache, stream->trailers);
    stream->trailers = NULL;
    stream->trailer_count = 0;
    km_list_remove(&stream->writable);
    uncrowd(h2);
}

/* -- messages in --------------------------------------------------------- */

kama_status km_h2_queue_resume(struct km_h2_stream_impl *stream)
{
    if (stream->sending != KM_H2_SENDING_STARVED) {
        return KAMA_OK;
    }
    int rv = nghttp2_session_resume_data(stream->pub.h2->ng, stream->pub.id);
    if (rv == 0) {
        km_h2_stream_impl_send_state(stream, KM_H2_SENDING_OPEN);
    }
    return km_h2_fail_status(rv);
}

static uint8_t *put(uint8_t *to, kama_bytes bytes)
{
    if (bytes.len > 0) {
        memcpy(to, bytes.data, bytes.len);
    }
    return to + bytes.len;
}

static struct km_h2_segment *new_segment(struct km_h2 *h2, kama_bytes prefix,
                                         kama_bytes head, kama_value *body)
{
    kama_bytes bytes =
        body != NULL ? kama_value_bytes(body) : kama_bytes_make(NULL, 0);
    bool copy = bytes.len <= BODY_COPY_BYTES;
    size_t copied = prefix.len + head.len + (copy ? bytes.len : 0);
    struct km_h2_segment *segment =
        km_h2_loop_cache_alloc(h2->cache, sizeof *segment + copied);
    if (segment == NULL) {
        return NULL;
    }
    *segment = (struct km_h2_segment){.head_bytes = copied};
    uint8_t *to = put((uint8_t *)(segment + 1), prefix);
    to = put(to, head);
    if (copy) {
        (void)put(to, bytes);
    } else {
        segment->body = kama_value_ref(body);
        segment->body_bytes = bytes;
    }
    return segment;
}

/* A stream that has more than this queued lets its frames alternate with those
 * of other streams. */
#define LARGE_BYTES (16u << 10)

/* nghttp2 sends one response after the other, because responses are "not
 * incremental" by default (RFC 9218). That is the cheapest way for small ones,
 * but a large response must not make the others wait. */
static void take_turns(struct km_h2_stream_impl *stream)
{
    struct km_h2 *h2 = stream->pub.h2;
    stream->takes_turns = true;
    if (h2->role == KM_H2_SERVER) {
        nghttp2_extpri turns = {.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY,
                                .inc = 1};
        (void)nghttp2_session_change_extpri_stream_priority(
            h2->ng, stream->pub.id, &turns, 1);
    }
}

/* Only output over the limit can stall. The clock is read because h2->now is as
 * old as the last byte of the client, which may have had no reason to send any:
 * a load took long, or its window is wide. */
static void note_progress(struct km_h2 *h2)
{
    if (h2->queued_bytes >= KM_H2_OUTBOUND_BYTES_MAX) {
        h2->progress_at =
            h2->clock != NULL ? km_clock_mono(h2->clock) : h2->now;
    }
}

/* Puts a segment behind the others. */
static void push_segment(struct km_h2_stream_impl *stream,
                         struct km_h2_segment *segment)
{
    struct km_h2 *h2 = stream->pub.h2;
    size_t bytes = segment->head_bytes + segment->body_bytes.len;
    if (stream->last != NULL) {
        stream->last->next = segment;
    } else {
        stream->first = segment;
    }
    stream->last = segment;
    stream->queued_bytes += bytes;
    bool stalls = h2->queued_bytes >= KM_H2_OUTBOUND_BYTES_MAX;
    h2->queued_bytes += bytes;
    if (!stalls) {
        note_progress(h2);
    }
}

kama_status km_h2_queue_push(struct km_h2_stream_impl *stream,
                             kama_bytes prefix, kama_bytes head,
                             kama_value *body)
{
    struct km_h2_segment *segment =
        new_segment(stream->pub.h2, prefix, head, body);
    if (segment == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    push_segment(stream, segment);
    if (stream->queued_bytes > LARGE_BYTES && !stream->takes_turns) {
        take_turns(stream);
    }
    if (segment->head_bytes + segment->body_bytes.len == 0) {
        return KAMA_OK;
    }
    return km_h2_queue_resume(stream);
}

/* -- nghttp2 asks for DATA ----------------------------------------------- */

/* nghttp2 found no DATA and asks again only after km_h2_queue_resume. */
static void starve(struct km_h2_stream_impl *stream)
{
    if (stream->sending == KM_H2_SENDING_OPEN) {
        km_h2_stream_impl_send_state(stream, KM_H2_SENDING_STARVED);
    }
}

ssize_t km_h2_queue_read(nghttp2_session *ng, int32_t id, uint8_t *buf,
                         size_t room, uint32_t *data_flags,
                         nghttp2_data_source *source, void *arg)
{
    (void)buf;
    (void)arg;
    struct km_h2_stream_impl *stream = source->ptr;
    if (stream->queued_bytes == 0 && km_h2_stream_impl_is_open(stream)) {
        starve(stream);
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t n = stream->queued_bytes < room ? stream->queued_bytes : room;
    *data_flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n < stream->queued_bytes || km_h2_stream_impl_is_open(stream)) {
        return (ssize_t)n;
    }
    *data_flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->trailer_count > 0) {
        *data_flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(ng, id, stream->trailers,
                                   stream->trailer_count) != 0) {
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        }
    }
    return (ssize_t)n;
}

/* Copies at most len bytes of the head, or, after the head, of the body.
 * Returns how many were copied. */
static size_t take_segment(struct km_h2_segment *segment, uint8_t *to,
                           size_t len)
{
    const uint8_t *head = (const uint8_t *)(segment + 1);
    size_t at = segment->taken;
    kama_bytes from =
        at < segment->head_bytes
            ? kama_bytes_make(head + at, segment->head_bytes - at)
            : km_bytes_skip(segment->body_bytes, at - segment->head_bytes);
    size_t n = from.len < len ? from.len : len;
    if (n > 0) {
        memcpy(to, from.data, n);
    }
    segment->taken += n;
    return n;
}

static bool segment_done(const struct km_h2_segment *segment)
{
    return segment->taken == segment->head_bytes + segment->body_bytes.len;
}

/* Takes len bytes off the front of the queue. */
static void take_queue(struct km_h2_stream_impl *stream, uint8_t *to,
                       size_t len)
{
    struct km_h2 *h2 = stream->pub.h2;
    bool was_full = stream->queued_bytes >= KM_H2_LOW_WATER_BYTES;
    KM_ASSERT(len <= stream->queued_bytes);
    KM_ASSERT(stream->queued_bytes <= h2->queued_bytes);
    stream->queued_bytes -= len;
    h2->queued_bytes -= len;
    while (len > 0) {
        struct km_h2_segment *segment = stream->first;
        KM_ASSERT(segment != NULL);
        size_t n = take_segment(segment, to, len);
        to += n;
        len -= n;
        if (segment_done(segment)) {
            stream->first = segment->next;
            free_segment(h2, segment);
        }
    }
    if (stream->first == NULL) {
        stream->last = NULL;
    }
    note_progress(h2);
    if (was_full && stream->queued_bytes < KM_H2_LOW_WATER_BYTES &&
        km_h2_stream_impl_is_open(stream) && km_list_empty(&stream->writable)) {
        km_list_push_back(&h2->writable, &stream->writable);
    }
    uncrowd(h2);
}

#define FRAME_HEADER_BYTES 9

/* nghttp2's callback that sends a DATA frame: frame header and payload go
 * behind the frames before them. nghttp2 calls this for one frame after the
 * other without returning to collect_frames, so it is stopped when the buffer
 * is full. */
static int send_data(nghttp2_session *ng, nghttp2_frame *frame,
                     const uint8_t *frame_header, size_t len,
                     nghttp2_data_source *source, void *arg)
{
    (void)ng;
    (void)frame;
    struct km_h2 *h2 = arg;
    struct km_h2_stream_impl *stream = source->ptr;
    if (km_h2_stream_impl_is_reset(stream)) {
        /* The queue was dropped after km_h2_queue_read had answered. */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    if (h2->out_bytes >= KM_H2_OUT_BYTES) {
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    size_t room = KM_H2_OUT_CAP - h2->out_bytes;
    if (FRAME_HEADER_BYTES + len > room) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    uint8_t *to = h2->out + h2->out_bytes;
    memcpy(to, frame_header, FRAME_HEADER_BYTES);
    take_queue(stream, to + FRAME_HEADER_BYTES, len);
    h2->out_bytes += FRAME_HEADER_BYTES + len;
    return 0;
}

void km_h2_queue_notify(struct km_h2 *h2)
{
    struct km_list *node;
    while ((node = km_list_pop_front(&h2->writable)) != NULL) {
        struct km_h2_stream_impl *stream =
            KM_CONTAINER_OF(node, struct km_h2_stream_impl, writable);
        if (h2->ops->on_writable != NULL) {
            h2->ops->on_writable(h2->arg, &stream->pub);
        }
    }
}

void km_h2_queue_register(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
}
