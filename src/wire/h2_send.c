/* SPDX-License-Identifier: MIT */
/*
 * What is to be sent. Each stream has a queue of messages (head copied, body
 * a reference); nghttp2 asks for its bytes when windows and wire have room,
 * and they go straight behind its frame header into the output buffer.
 * Trailers wait behind the queue, so that a whole answer leaves as HEADERS,
 * DATA, HEADERS in one write.
 */
#include "wire/h2_internal.h"

#include "base/assert.h"

/* Bodies up to this size are copied when queued: cheaper than two changes of
 * a reference count that other threads share. */
#define BODY_COPY_BYTES 1024

/* -- streams ------------------------------------------------------------- */

struct km_h2_inner *km_h2_inner_new(struct km_h2 *h2, int32_t id)
{
    struct km_h2_inner *stream = km_h2_shared_alloc(h2->shared, sizeof *stream);
    if (stream == NULL) {
        return NULL;
    }
    *stream = (struct km_h2_inner){.pub = {.h2 = h2, .id = id}};
    km_list_push_back(&h2->streams, &stream->node);
    km_list_init(&stream->writable);
    h2->stream_count++;
    return stream;
}

static void free_segment(struct km_h2 *h2, struct km_h2_segment *segment)
{
    kama_value_unref(segment->body);
    km_h2_shared_release(h2->shared, segment);
}

void km_h2_inner_drop(struct km_h2_inner *stream)
{
    struct km_h2 *h2 = stream->pub.h2;
    while (stream->first != NULL) {
        struct km_h2_segment *segment = stream->first;
        stream->first = segment->next;
        free_segment(h2, segment);
    }
    stream->last = NULL;
    h2->queued_bytes -= stream->queued_bytes;
    stream->queued_bytes = 0;
    km_h2_shared_release(h2->shared, stream->trailers);
    stream->trailers = NULL;
    km_list_remove(&stream->writable);
}

void km_h2_inner_free(struct km_h2_inner *stream)
{
    struct km_h2 *h2 = stream->pub.h2;
    km_h2_inner_drop(stream);
    km_list_remove(&stream->node);
    KM_ASSERT(h2->stream_count > 0);
    h2->stream_count--;
    if (h2->hot == stream) {
        h2->hot = NULL;
    }
    km_h2_shared_release(h2->shared, stream);
}

/* -- fields -------------------------------------------------------------- */

static uint8_t nv_flags(unsigned flags)
{
    uint8_t nv = NGHTTP2_NV_FLAG_NONE;
    if ((flags & KM_H2_FIELD_STATIC) != 0) {
        nv |= NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    }
    if ((flags & KM_H2_FIELD_NO_INDEX) != 0) {
        nv |= NGHTTP2_NV_FLAG_NO_INDEX;
    }
    return nv;
}

static void nv_from_fields(nghttp2_nv *nv, const struct km_h2_field *fields,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nv[i] = (nghttp2_nv){.name = (uint8_t *)fields[i].name.data,
                             .value = (uint8_t *)fields[i].value.data,
                             .namelen = fields[i].name.len,
                             .valuelen = fields[i].value.len,
                             .flags = nv_flags(fields[i].flags)};
    }
}

static size_t copied_bytes(const struct km_h2_field *fields, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if ((fields[i].flags & KM_H2_FIELD_STATIC) == 0) {
            n += fields[i].name.len + fields[i].value.len;
        }
    }
    return n;
}

static uint8_t *copy_bytes(uint8_t **to, uint8_t **bytes, size_t len)
{
    uint8_t *copy = *to;
    if (len > 0) {
        memcpy(copy, *bytes, len);
    }
    *bytes = copy;
    return copy + len;
}

/* Fields that wait until the queue before them is sent: one block. */
static nghttp2_nv *keep_fields(struct km_h2 *h2,
                               const struct km_h2_field *fields, size_t count)
{
    nghttp2_nv *kept = km_h2_shared_alloc(
        h2->shared, count * sizeof *kept + copied_bytes(fields, count));
    if (kept == NULL) {
        return NULL;
    }
    nv_from_fields(kept, fields, count);
    uint8_t *to = (uint8_t *)(kept + count);
    for (size_t i = 0; i < count; i++) {
        if ((fields[i].flags & KM_H2_FIELD_STATIC) == 0) {
            to = copy_bytes(&to, &kept[i].name, kept[i].namelen);
            to = copy_bytes(&to, &kept[i].value, kept[i].valuelen);
        }
    }
    return kept;
}

/* -- nghttp2 asks for DATA ----------------------------------------------- */

static ssize_t read_data(nghttp2_session *ng, int32_t id, uint8_t *buf,
                         size_t room, uint32_t *data_flags,
                         nghttp2_data_source *source, void *arg)
{
    (void)buf;
    (void)arg;
    struct km_h2_inner *stream = source->ptr;
    if (stream->queued_bytes == 0 && !stream->ended) {
        stream->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t n = stream->queued_bytes < room ? stream->queued_bytes : room;
    *data_flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n < stream->queued_bytes || !stream->ended) {
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

/* Copies the next bytes of segment, at most len; how many it were. */
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

static void take_queue(struct km_h2_inner *stream, uint8_t *to, size_t len)
{
    struct km_h2 *h2 = stream->pub.h2;
    bool was_full = stream->queued_bytes >= KM_H2_LOW_WATER_BYTES;
    KM_ASSERT(len <= stream->queued_bytes);
    stream->queued_bytes -= len;
    h2->queued_bytes -= len;
    while (len > 0) {
        struct km_h2_segment *segment = stream->first;
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
    h2->progress_at = h2->now;
    if (was_full && stream->queued_bytes < KM_H2_LOW_WATER_BYTES &&
        !stream->ended && km_list_empty(&stream->writable)) {
        km_list_push_back(&h2->writable, &stream->writable);
    }
}

#define FRAME_HEADER_BYTES 9

/* Frame header and payload go where the frames before them went. */
static int send_data(nghttp2_session *ng, nghttp2_frame *frame,
                     const uint8_t *frame_header, size_t len,
                     nghttp2_data_source *source, void *arg)
{
    (void)ng;
    (void)frame;
    struct km_h2 *h2 = arg;
    size_t room = KM_H2_OUT_CAP - h2->out_bytes;
    if (FRAME_HEADER_BYTES + len > room) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    uint8_t *to = h2->out + h2->out_bytes;
    memcpy(to, frame_header, FRAME_HEADER_BYTES);
    take_queue(source->ptr, to + FRAME_HEADER_BYTES, len);
    h2->out_bytes += FRAME_HEADER_BYTES + len;
    return 0;
}

void km_h2_notify_writable(struct km_h2 *h2)
{
    struct km_list *node;
    while ((node = km_list_pop_front(&h2->writable)) != NULL) {
        struct km_h2_inner *stream =
            KM_CONTAINER_OF(node, struct km_h2_inner, writable);
        if (h2->ops->on_writable != NULL) {
            h2->ops->on_writable(h2->arg, &stream->pub);
        }
    }
}

/* -- a frame was sent, or could not be ----------------------------------- */

/* Resets for what the other side did wrong (MadeYouReset makes us send them
 * in place of its own). */
static bool reset_is_their_fault(uint32_t error_code)
{
    return error_code != NGHTTP2_NO_ERROR && error_code != NGHTTP2_CANCEL &&
           error_code != NGHTTP2_REFUSED_STREAM;
}

static int sent_reset(struct km_h2 *h2, uint32_t error_code)
{
    if (h2->role == KM_H2_SERVER && reset_is_their_fault(error_code) &&
        !km_h2_rate_take(&h2->rates, KM_H2_RATE_RESET_SENT, h2->now)) {
        (void)km_h2_abuse(h2);
    }
    return 0;
}

static void sent_goaway(struct km_h2 *h2, uint32_t error_code)
{
    /* After the other side's GOAWAY whatever nghttp2 has to complain about is
     * its normal end: grpc-go's carries a stream id that is not allowed. */
    if (error_code != NGHTTP2_NO_ERROR && !h2->goaway_seen &&
        h2->why == KM_H2_WHY_NONE) {
        h2->why = error_code == NGHTTP2_ENHANCE_YOUR_CALM ? KM_H2_WHY_ABUSE
                                                          : KM_H2_WHY_PROTOCOL;
    }
}

static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame,
                         void *arg)
{
    struct km_h2 *h2 = arg;
    km_h2_rate_earn(&h2->rates);
    switch (frame->hd.type) {
    case NGHTTP2_RST_STREAM:
        return sent_reset(h2, frame->rst_stream.error_code);
    case NGHTTP2_GOAWAY:
        sent_goaway(h2, frame->goaway.error_code);
        return 0;
    default:
        break;
    }
    if (h2->role == KM_H2_CLIENT ||
        (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) ||
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        return 0;
    }
    struct km_h2_inner *stream = km_h2_inner_find(h2, frame->hd.stream_id);
    if (stream == NULL || stream->remote_ended || stream->reset) {
        return 0;
    }
    stream->reset = true;
    return nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                     NGHTTP2_NO_ERROR);
}

static int on_frame_not_send(nghttp2_session *ng, const nghttp2_frame *frame,
                             int error, void *arg)
{
    struct km_h2 *h2 = arg;
    if (frame->hd.type != NGHTTP2_HEADERS ||
        error == NGHTTP2_ERR_STREAM_CLOSED ||
        error == NGHTTP2_ERR_STREAM_CLOSING) {
        return 0;
    }
    struct km_h2_inner *stream = km_h2_inner_find(h2, frame->hd.stream_id);
    if (stream != NULL && !stream->reset) {
        stream->reset = true;
        return nghttp2_submit_rst_stream(
            ng, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
    }
    return 0;
}

void km_h2_send_register(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks,
                                                         on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks,
                                                             on_frame_not_send);
}

/* -- the owner's calls --------------------------------------------------- */

static kama_status status_of(int error)
{
    if (error >= 0) {
        return KAMA_OK;
    }
    return error == NGHTTP2_ERR_NOMEM ? KAMA_ERR_NO_MEMORY : KAMA_ERR_CLOSED;
}

kama_status km_h2_request(struct km_h2 *h2, const struct km_h2_field *fields,
                          size_t count, bool end, void *user,
                          struct km_h2_stream **ret_stream)
{
    KM_ASSERT(h2->role == KM_H2_CLIENT && count <= KM_H2_FIELDS_MAX);
    if (!km_h2_accepts(h2)) {
        return KAMA_ERR_CLOSED;
    }
    struct km_h2_inner *stream = km_h2_inner_new(h2, -1);
    if (stream == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    nghttp2_nv nv[KM_H2_FIELDS_MAX];
    nv_from_fields(nv, fields, count);
    nghttp2_data_provider body = {.source = {.ptr = stream},
                                  .read_callback = read_data};
    int32_t id = nghttp2_submit_request(h2->ng, NULL, nv, count,
                                        end ? NULL : &body, stream);
    if (id < 0) {
        km_h2_inner_free(stream);
        return status_of(id);
    }
    stream->pub.id = id;
    stream->pub.user = user;
    stream->started = true;
    stream->ended = end;
    *ret_stream = &stream->pub;
    return KAMA_OK;
}

kama_status km_h2_respond(struct km_h2_stream *pub,
                          const struct km_h2_field *fields, size_t count,
                          bool end)
{
    struct km_h2_inner *stream = km_h2_inner_of(pub);
    KM_ASSERT(!stream->started && count <= KM_H2_FIELDS_MAX);
    if (stream->reset) {
        return KAMA_ERR_CLOSED;
    }
    nghttp2_nv nv[KM_H2_FIELDS_MAX];
    nv_from_fields(nv, fields, count);
    nghttp2_data_provider body = {.source = {.ptr = stream},
                                  .read_callback = read_data};
    int rv = nghttp2_submit_response(pub->h2->ng, pub->id, nv, count,
                                     end ? NULL : &body);
    if (rv != 0) {
        return status_of(rv);
    }
    stream->started = true;
    stream->ended = end;
    return KAMA_OK;
}

/* nghttp2 asked before there was anything. */
static kama_status resume(struct km_h2_inner *stream)
{
    if (!stream->deferred) {
        return KAMA_OK;
    }
    int rv = nghttp2_session_resume_data(stream->pub.h2->ng, stream->pub.id);
    stream->deferred = rv != 0;
    return status_of(rv);
}

static struct km_h2_segment *new_segment(struct km_h2 *h2, kama_bytes head,
                                         kama_value *body)
{
    kama_bytes bytes =
        body != NULL ? kama_value_bytes(body) : kama_bytes_make(NULL, 0);
    bool copy = bytes.len <= BODY_COPY_BYTES;
    size_t copied = head.len + (copy ? bytes.len : 0);
    struct km_h2_segment *segment =
        km_h2_shared_alloc(h2->shared, sizeof *segment + copied);
    if (segment == NULL) {
        return NULL;
    }
    *segment = (struct km_h2_segment){.head_bytes = copied};
    uint8_t *to = (uint8_t *)(segment + 1);
    if (head.len > 0) {
        memcpy(to, head.data, head.len);
    }
    if (!copy) {
        segment->body = kama_value_ref(body);
        segment->body_bytes = bytes;
    } else if (bytes.len > 0) {
        memcpy(to + head.len, bytes.data, bytes.len);
    }
    return segment;
}

static void push_segment(struct km_h2_inner *stream,
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
    if (h2->queued_bytes < KM_H2_OUTBOUND_BYTES_MAX) {
        h2->progress_at = h2->now;
    }
    h2->queued_bytes += bytes;
}

kama_status km_h2_send(struct km_h2_stream *pub, kama_bytes head,
                       kama_value *body)
{
    struct km_h2_inner *stream = km_h2_inner_of(pub);
    KM_ASSERT(stream->started && !stream->ended);
    if (stream->reset) {
        return KAMA_ERR_CLOSED;
    }
    struct km_h2_segment *segment = new_segment(pub->h2, head, body);
    if (segment == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    push_segment(stream, segment);
    if (segment->head_bytes + segment->body_bytes.len == 0) {
        return KAMA_OK;
    }
    return resume(stream);
}

kama_status km_h2_end(struct km_h2_stream *pub,
                      const struct km_h2_field *trailers, size_t count)
{
    struct km_h2_inner *stream = km_h2_inner_of(pub);
    KM_ASSERT(stream->started && !stream->ended);
    KM_ASSERT(count <= KM_H2_FIELDS_MAX);
    if (stream->reset) {
        return KAMA_ERR_CLOSED;
    }
    if (count > 0) {
        stream->trailers = keep_fields(pub->h2, trailers, count);
        if (stream->trailers == NULL) {
            return KAMA_ERR_NO_MEMORY;
        }
        stream->trailer_count = count;
    }
    stream->ended = true;
    km_list_remove(&stream->writable);
    return resume(stream);
}

void km_h2_reset(struct km_h2_stream *pub, uint32_t error_code)
{
    struct km_h2_inner *stream = km_h2_inner_of(pub);
    if (stream->reset) {
        return;
    }
    stream->reset = true;
    stream->ended = true;
    km_h2_inner_drop(stream);
    (void)nghttp2_submit_rst_stream(pub->h2->ng, NGHTTP2_FLAG_NONE, pub->id,
                                    error_code);
}

size_t km_h2_queued(const struct km_h2_stream *pub)
{
    return ((const struct km_h2_inner *)(const void *)pub)->queued_bytes;
}

bool km_h2_remote_ended(const struct km_h2_stream *pub)
{
    return ((const struct km_h2_inner *)(const void *)pub)->remote_ended;
}
