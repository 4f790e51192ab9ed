/* SPDX-License-Identifier: MIT */
/*
 * nghttp2's callbacks for output: a frame was sent, or it could not be sent.
 * Each frame of ours earns credit for frames of the other side (rate.h), and
 * the end of a server's answer may let its stream linger (linger.h).
 */
#include "wire/h2/send.h"

#include "base/limits.h"
#include "wire/h2/fail.h"
#include "wire/h2/linger.h"
#include "wire/h2/stream_impl.h"

/* Whether we sent RST_STREAM because the other side broke the protocol. In the
 * attack MadeYouReset a client does so on purpose: the server resets the stream
 * itself, and a limit on the client's own resets would never be reached. */
static bool reset_is_their_fault(uint32_t error_code)
{
    return error_code != NGHTTP2_NO_ERROR && error_code != NGHTTP2_CANCEL &&
           error_code != NGHTTP2_REFUSED_STREAM;
}

static int sent_reset(struct km_h2 *h2, uint32_t error_code)
{
    if (h2->role == KM_H2_SERVER && reset_is_their_fault(error_code) &&
        !km_h2_rate_take(&h2->rates, KM_H2_RATE_RESET_SENT, h2->now)) {
        (void)km_h2_fail_rate(h2, KM_H2_RATE_RESET_SENT);
    }
    return 0;
}

static void sent_goaway(struct km_h2 *h2, uint32_t error_code)
{
    /* After a GOAWAY with an error nothing else that we send matters. */
    if (error_code != NGHTTP2_NO_ERROR && h2->life == KM_H2_LIVE) {
        h2->life = KM_H2_CUT_OFF;
    }
    /* An error that nghttp2 finds after the other side's GOAWAY belongs to its
     * normal end: the GOAWAY of grpc-go carries a stream id that HTTP/2 does
     * not allow. Such a connection has not failed. */
    if (error_code != NGHTTP2_NO_ERROR && !h2->goaway_seen &&
        h2->why == KM_H2_WHY_NONE) {
        h2->why = error_code == NGHTTP2_ENHANCE_YOUR_CALM ? KM_H2_WHY_ABUSE
                                                          : KM_H2_WHY_PROTOCOL;
    }
}

/* Requests leave in the order of their ids, so that the last one tells of all
 * of them. */
static void note_taken(struct km_h2 *h2, int32_t id)
{
    if (h2->role == KM_H2_CLIENT && id > h2->taken_id) {
        h2->taken_id = id;
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
        note_taken(h2, frame->hd.stream_id);
        km_h2_rate_earn(&h2->rates, KM_H2_RATE_PING, 1);
        break;
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
    if (stream == NULL || stream->receiving == KM_H2_RECEIVING_ENDED ||
        km_h2_stream_impl_is_reset(stream)) {
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
        /* nghttp2 closes a request that cannot be sent. The server has never
         * seen its stream, so a RST_STREAM would end the connection. */
        return 0;
    }
    if (frame->hd.type != NGHTTP2_HEADERS ||
        error == NGHTTP2_ERR_STREAM_CLOSED ||
        error == NGHTTP2_ERR_STREAM_CLOSING) {
        return 0;
    }
    struct km_h2_stream_impl *stream =
        km_h2_stream_impl_find(h2, frame->hd.stream_id);
    if (stream != NULL && !km_h2_stream_impl_is_reset(stream)) {
        km_h2_stream_impl_send_state(stream, KM_H2_SENDING_RESET);
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
