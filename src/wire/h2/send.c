/* SPDX-License-Identifier: MIT */
/*
 * The owner's calls that make frames, and what follows when nghttp2 has sent
 * one or could not.
 */
#include "wire/h2/internal.h"

#include "base/assert.h"

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
        (void)km_h2_abuse_rate(h2, KM_H2_RATE_RESET_SENT);
    }
    return 0;
}

static void sent_goaway(struct km_h2 *h2, uint32_t error_code)
{
    /* One of ours with an error is the last frame that matters. */
    if (error_code != NGHTTP2_NO_ERROR) {
        h2->cut_off = true;
    }
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
    (void)ng;
    struct km_h2 *h2 = arg;
    km_h2_rate_earn(&h2->rates, KM_H2_RATE_WINDOW,
                    KM_H2_WINDOW_UPDATES_PER_FRAME);
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        km_h2_rate_earn(&h2->rates, KM_H2_RATE_PING, 1);
        break;
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
    struct km_h2_stream_impl *stream =
        km_h2_stream_impl_find(h2, frame->hd.stream_id);
    if (stream == NULL || stream->remote_ended || stream->reset) {
        return 0;
    }
    km_h2_linger_begin(stream);
    return 0;
}

static int on_frame_not_send(nghttp2_session *ng, const nghttp2_frame *frame,
                             int error, void *arg)
{
    struct km_h2 *h2 = arg;
    if (h2->role == KM_H2_CLIENT) {
        /* nghttp2 closes a request that cannot be sent; the server has never
         * seen its stream, and a reset of it would end the connection. */
        return 0;
    }
    if (frame->hd.type != NGHTTP2_HEADERS ||
        error == NGHTTP2_ERR_STREAM_CLOSED ||
        error == NGHTTP2_ERR_STREAM_CLOSING) {
        return 0;
    }
    struct km_h2_stream_impl *stream =
        km_h2_stream_impl_find(h2, frame->hd.stream_id);
    if (stream != NULL && !stream->reset) {
        stream->reset = true;
        return nghttp2_submit_rst_stream(
            ng, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
    }
    return 0;
}

void km_h2_send_register(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks,
                                                         on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks,
                                                             on_frame_not_send);
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

void km_h2_nv_from_fields(nghttp2_nv *nv, const struct km_h2_field *fields,
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
    nghttp2_nv *kept = km_h2_loop_cache_alloc(
        h2->cache, count * sizeof *kept + copied_bytes(fields, count));
    if (kept == NULL) {
        return NULL;
    }
    km_h2_nv_from_fields(kept, fields, count);
    uint8_t *to = (uint8_t *)(kept + count);
    for (size_t i = 0; i < count; i++) {
        if ((fields[i].flags & KM_H2_FIELD_STATIC) == 0) {
            to = copy_bytes(&to, &kept[i].name, kept[i].namelen);
            to = copy_bytes(&to, &kept[i].value, kept[i].valuelen);
        }
    }
    return kept;
}

/* -- the owner's calls --------------------------------------------------- */

kama_status km_h2_status_of(int result)
{
    if (result >= 0) {
        return KAMA_OK;
    }
    return result == NGHTTP2_ERR_NOMEM ? KAMA_ERR_NO_MEMORY : KAMA_ERR_CLOSED;
}

kama_status km_h2_request(struct km_h2 *h2, const struct km_h2_field *fields,
                          size_t count, bool end, void *user,
                          struct km_h2_stream **ret_stream)
{
    KM_ASSERT(h2->role == KM_H2_CLIENT && count <= KM_H2_FIELDS_MAX);
    if (!km_h2_accepts(h2)) {
        return KAMA_ERR_CLOSED;
    }
    struct km_h2_stream_impl *stream = km_h2_stream_impl_new(h2, -1);
    if (stream == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    nghttp2_nv nv[KM_H2_FIELDS_MAX];
    km_h2_nv_from_fields(nv, fields, count);
    nghttp2_data_provider body = {.source = {.ptr = stream},
                                  .read_callback = km_h2_queue_read};
    int32_t id = nghttp2_submit_request(h2->ng, NULL, nv, count,
                                        end ? NULL : &body, stream);
    if (id < 0) {
        km_h2_stream_impl_free(stream);
        return km_h2_status_of(id);
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
    struct km_h2_stream_impl *stream = km_h2_stream_impl_of(pub);
    KM_ASSERT(!stream->started && count <= KM_H2_FIELDS_MAX);
    if (stream->reset) {
        return KAMA_ERR_CLOSED;
    }
    nghttp2_nv nv[KM_H2_FIELDS_MAX];
    km_h2_nv_from_fields(nv, fields, count);
    nghttp2_data_provider body = {.source = {.ptr = stream},
                                  .read_callback = km_h2_queue_read};
    int rv = nghttp2_submit_response(pub->h2->ng, pub->id, nv, count,
                                     end ? NULL : &body);
    if (rv != 0) {
        return km_h2_status_of(rv);
    }
    stream->started = true;
    stream->ended = end;
    return KAMA_OK;
}

kama_status km_h2_end(struct km_h2_stream *pub,
                      const struct km_h2_field *trailers, size_t count)
{
    struct km_h2_stream_impl *stream = km_h2_stream_impl_of(pub);
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
    return km_h2_queue_resume(stream);
}

void km_h2_reset(struct km_h2_stream *pub, uint32_t error_code)
{
    struct km_h2_stream_impl *stream = km_h2_stream_impl_of(pub);
    if (stream->reset) {
        return;
    }
    stream->reset = true;
    stream->ended = true;
    km_h2_stream_impl_drop(stream);
    (void)nghttp2_submit_rst_stream(pub->h2->ng, NGHTTP2_FLAG_NONE, pub->id,
                                    error_code);
}

bool km_h2_remote_ended(const struct km_h2_stream *pub)
{
    return ((const struct km_h2_stream_impl *)(const void *)pub)->remote_ended;
}
