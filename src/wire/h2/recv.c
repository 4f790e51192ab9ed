/* SPDX-License-Identifier: MIT */
/*
 * nghttp2's callbacks for input, in the order in which it calls them for a
 * request: a frame begins, a header list with its fields, the body, the end.
 * All of them run inside nghttp2_session_mem_recv, so none may close the
 * connection.
 */
#include "wire/h2/recv.h"

#include "base/bytes.h"
#include "base/limits.h"
#include "wire/h2/fail.h"
#include "wire/h2/linger.h"
#include "wire/h2/stream_impl.h"

/* -- rates --------------------------------------------------------------- */

/* Counts a frame. Returns 0, or the value that stops nghttp2 if the frame is
 * one too many. */
static int take_rate(struct km_h2 *h2, enum km_h2_rate kind)
{
    return km_h2_rate_take(&h2->rates, kind, h2->now)
               ? 0
               : km_h2_fail_rate(h2, kind);
}

/*
 * Which resets count as abuse.
 *
 * A client that resets requests as soon as it has sent them gets around the
 * limit of concurrent streams (CVE-2023-44487): each reset frees a place, while
 * the work for the request has begun. Such resets are limited. A reset is fair
 * when we have already answered the stream or reset it ourselves, or when the
 * owner knows a reason.
 *
 * If the stream is not found, we closed it before the reset arrived:
 *
 *     client                     server
 *     request  ------------->
 *              <-------------    whole answer, the stream is closed
 *     reset    ------------->    (crossed the answer)
 *
 * Such a reset counts, and on_stream_close has earned the credit for it.
 */
static int recv_reset(struct km_h2 *h2, int32_t id)
{
    struct km_h2_stream_impl *stream = km_h2_stream_impl_find(h2, id);
    if (stream == NULL) {
        return take_rate(h2, KM_H2_RATE_RESET);
    }
    h2->reset_id = id;
    bool fair = stream->sending != KM_H2_SENDING_IDLE ||
                (h2->ops->reset_is_fair != NULL &&
                 h2->ops->reset_is_fair(h2->arg, &stream->pub));
    return fair ? 0 : take_rate(h2, KM_H2_RATE_RESET);
}

bool km_h2_recv_early_reset(struct km_h2 *h2)
{
    return take_rate(h2, KM_H2_RATE_RESET) == 0;
}

/* Lets a frame earn credit or be counted, by its type. Returns 0, or the value
 * that stops nghttp2 if the frame is one too many. */
static int judge_frame(struct km_h2 *h2, const nghttp2_frame_hd *hd)
{
    struct km_h2_rates *rates = &h2->rates;
    bool ack = (hd->flags & NGHTTP2_FLAG_ACK) != 0;
    switch (hd->type) {
    case NGHTTP2_HEADERS:
        km_h2_rate_earn(rates, KM_H2_RATE_PRIORITY, 1);
        km_h2_rate_earn(rates, KM_H2_RATE_PING, 1);
        km_h2_rate_earn(rates, KM_H2_RATE_WINDOW,
                        KM_H2_WINDOW_UPDATES_PER_HEADERS);
        return 0;
    case NGHTTP2_DATA:
        km_h2_rate_earn(rates, KM_H2_RATE_PING, 1);
        return 0;
    case NGHTTP2_CONTINUATION:
    case NGHTTP2_PUSH_PROMISE:
    case NGHTTP2_GOAWAY:
        return 0;
    case NGHTTP2_RST_STREAM:
        return h2->role == KM_H2_CLIENT ? 0 : recv_reset(h2, hd->stream_id);
    case NGHTTP2_PING:
        return ack ? 0 : take_rate(h2, KM_H2_RATE_PING);
    case NGHTTP2_SETTINGS:
        return ack ? 0 : take_rate(h2, KM_H2_RATE_SETTINGS);
    case NGHTTP2_WINDOW_UPDATE:
        return take_rate(h2, KM_H2_RATE_WINDOW);
    default:
        return take_rate(h2, KM_H2_RATE_PRIORITY);
    }
}

static int on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd,
                          void *arg)
{
    (void)ng;
    struct km_h2 *h2 = arg;
    int rv = judge_frame(h2, hd);
    if (rv != 0) {
        return rv;
    }
    if (hd->type == NGHTTP2_PUSH_PROMISE && h2->role == KM_H2_CLIENT) {
        /* Our SETTINGS forbid pushes, but nghttp2 would accept them until the
         * server has acknowledged the SETTINGS. */
        return km_h2_fail_goaway(h2, KM_H2_WHY_PROTOCOL, KM_H2_PROTOCOL_ERROR,
                                 "this client does not accept PUSH_PROMISE");
    }
    if (hd->type == NGHTTP2_DATA) {
        h2->data_ends = (hd->flags & NGHTTP2_FLAG_END_STREAM) != 0;
        bool padded = (hd->flags & NGHTTP2_FLAG_PADDED) != 0;
        h2->data_left = padded ? 0 : (uint32_t)hd->length;
    } else if (hd->type == NGHTTP2_GOAWAY) {
        h2->goaway_seen = true;
    }
    return 0;
}

/* -- streams and headers ------------------------------------------------- */

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame,
                            void *arg)
{
    struct km_h2 *h2 = arg;
    int32_t id = frame->hd.stream_id;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        struct km_h2_stream_impl *stream = km_h2_stream_impl_find(h2, id);
        if (stream != NULL) {
            stream->header_bytes = 0;
        }
        return 0;
    }
    struct km_h2_stream_impl *stream = km_h2_stream_impl_new(h2, id);
    if (stream == NULL || h2->ops->on_open(h2->arg, &stream->pub) != KAMA_OK) {
        if (stream != NULL) {
            km_h2_stream_impl_free(stream);
        }
        return nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, id,
                                         NGHTTP2_REFUSED_STREAM);
    }
    (void)nghttp2_session_set_stream_user_data(ng, id, stream);
    h2->hot = stream;
    return 0;
}

/* A response with a status of 1xx comes before the final one, which needs the
 * same stream to expect a first header list again. */
static void note_interim(struct km_h2_stream_impl *stream, const uint8_t *name,
                         size_t name_len, const uint8_t *value)
{
    static const kama_bytes status = {":status", 7};
    if (km_bytes_eq(kama_bytes_make(name, name_len), status)) {
        stream->receiving =
            value[0] == '1' ? KM_H2_RECEIVING_INTERIM : KM_H2_RECEIVING_HEADERS;
    }
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *arg)
{
    (void)ng;
    (void)flags;
    struct km_h2 *h2 = arg;
    struct km_h2_stream_impl *stream =
        km_h2_stream_impl_find(h2, frame->hd.stream_id);
    if (stream == NULL || km_h2_stream_impl_is_reset(stream)) {
        return 0;
    }
    stream->header_bytes += (uint32_t)(name_len + value_len + 32);
    if (h2->role == KM_H2_CLIENT && stream->receiving < KM_H2_RECEIVING_BODY) {
        note_interim(stream, name, name_len, value);
    }
    if (stream->header_bytes > KM_H2_HEADER_LIST_BYTES_HARD) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    if (stream->header_bytes <= KM_H2_HEADER_LIST_BYTES_MAX) {
        h2->ops->on_header(h2->arg, &stream->pub,
                           kama_bytes_make(name, name_len),
                           kama_bytes_make(value, value_len));
    }
    return 0;
}

static void end_remote(struct km_h2 *h2, struct km_h2_stream_impl *stream)
{
    if (stream->receiving != KM_H2_RECEIVING_ENDED) {
        stream->receiving = KM_H2_RECEIVING_ENDED;
        h2->ops->on_end(h2->arg, &stream->pub);
    }
}

static enum km_h2_headers headers_kind(const struct km_h2_stream_impl *stream)
{
    switch (stream->receiving) {
    case KM_H2_RECEIVING_HEADERS:
        return KM_H2_HEADERS_FIRST;
    case KM_H2_RECEIVING_INTERIM:
        return KM_H2_HEADERS_INTERIM;
    default:
        return KM_H2_HEADERS_TRAILERS;
    }
}

static void recv_headers(struct km_h2 *h2, struct km_h2_stream_impl *stream,
                         uint8_t flags)
{
    enum km_h2_headers kind = headers_kind(stream);
    bool cut = stream->header_bytes > KM_H2_HEADER_LIST_BYTES_MAX;
    if (kind == KM_H2_HEADERS_FIRST) {
        stream->receiving = KM_H2_RECEIVING_BODY;
    } else if (kind == KM_H2_HEADERS_INTERIM) {
        stream->receiving = KM_H2_RECEIVING_HEADERS;
    }
    h2->ops->on_headers(h2->arg, &stream->pub, kind,
                        cut ? KM_H2_LIST_CUT : KM_H2_LIST_WHOLE);
    if ((flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        end_remote(h2, stream);
    }
}

/* -- body ---------------------------------------------------------------- */

/* The frame header told how long the payload is, so the last byte of a body is
 * known before nghttp2 reports the end of the frame. A padded frame hides that:
 * its end is reported by on_end only. */
static int on_data_chunk(nghttp2_session *ng, uint8_t flags, int32_t id,
                         const uint8_t *data, size_t len, void *arg)
{
    (void)flags;
    struct km_h2 *h2 = arg;
    bool last = h2->data_ends && h2->data_left == len;
    h2->data_left -= len < h2->data_left ? (uint32_t)len : h2->data_left;
    struct km_h2_stream_impl *stream = km_h2_stream_impl_find(h2, id);
    if (stream == NULL || km_h2_stream_impl_is_reset(stream)) {
        (void)nghttp2_session_consume_connection(ng, len);
        return h2->life == KM_H2_NO_MEMORY ? NGHTTP2_ERR_NOMEM : 0;
    }
    if (last) {
        stream->receiving = KM_H2_RECEIVING_LAST_DATA;
    }
    if (stream->sending == KM_H2_SENDING_LINGERING) {
        km_h2_linger_data(stream, len);
        return 0;
    }
    h2->ops->on_data(h2->arg, &stream->pub, kama_bytes_make(data, len),
                     last ? KM_H2_CHUNK_LAST : KM_H2_CHUNK_MORE);
    return 0;
}

/* The end of a DATA frame. A frame that neither carries a byte nor ends the
 * stream costs its sender nothing; few of them in a row are allowed. */
static int recv_data(struct km_h2 *h2, struct km_h2_stream_impl *stream,
                     const nghttp2_data *data)
{
    if ((data->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        end_remote(h2, stream);
        return 0;
    }
    if (data->hd.length > data->padlen) {
        stream->empty_data = 0;
        return 0;
    }
    stream->empty_data++;
    if (stream->empty_data <= KM_H2_EMPTY_DATA_PER_STREAM) {
        return 0;
    }
    return km_h2_fail_abuse(
        h2, KM_H2_ABUSE_EMPTY_DATA,
        "more than " KM_TEXT_OF(
            KM_H2_EMPTY_DATA_PER_STREAM) " DATA frames in "
                                         "a row had no byte and no END_STREAM");
}

/* -- connection ---------------------------------------------------------- */

static void recv_settings(struct km_h2 *h2, const nghttp2_frame *frame)
{
    if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 ||
        h2->preface_until == KM_NS_NEVER) {
        return;
    }
    h2->preface_until = KM_NS_NEVER;
    if (h2->ops->on_settings != NULL) {
        h2->ops->on_settings(h2->arg);
    }
}

static void recv_goaway(struct km_h2 *h2, const nghttp2_goaway *goaway)
{
    if (h2->ops->on_goaway != NULL) {
        h2->ops->on_goaway(h2->arg, goaway->last_stream_id, goaway->error_code);
    }
}

static int on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame,
                         void *arg)
{
    (void)ng;
    struct km_h2 *h2 = arg;
    if (frame->hd.type == NGHTTP2_SETTINGS) {
        recv_settings(h2, frame);
        return 0;
    }
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        recv_goaway(h2, &frame->goaway);
        return 0;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) {
        return 0;
    }
    struct km_h2_stream_impl *stream =
        km_h2_stream_impl_find(h2, frame->hd.stream_id);
    if (stream == NULL || km_h2_stream_impl_is_reset(stream)) {
        return 0;
    }
    if (frame->hd.type == NGHTTP2_DATA) {
        return recv_data(h2, stream, &frame->data);
    }
    recv_headers(h2, stream, frame->hd.flags);
    return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t error_code,
                           void *arg)
{
    (void)ng;
    struct km_h2 *h2 = arg;
    struct km_h2_stream_impl *stream = km_h2_stream_impl_find(h2, id);
    if (stream != NULL) {
        if (id != h2->reset_id) {
            /* A reset of the other side may have crossed the end of the stream
             * and arrive later; see recv_reset. */
            km_h2_rate_earn(&h2->rates, KM_H2_RATE_RESET, 1);
        }
        h2->ops->on_close(h2->arg, &stream->pub, error_code);
        km_h2_stream_impl_free(stream);
    }
    return 0;
}

void km_h2_recv_register(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks,
                                                          on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks,
                                                            on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks,
                                                              on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks,
                                                         on_frame_recv);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks,
                                                           on_stream_close);
}
