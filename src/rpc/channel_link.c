/* SPDX-License-Identifier: MIT */
/*
 * Events of HTTP/2 go to the call of their stream, if it has not ended, and
 * events of the connection change the link's state.
 */
#include "rpc/channel_link.h"

#include "base/assert.h"
#include "base/text.h"
#include "rpc/channel_answer.h"
#include "rpc/channel_call_life.h"

#include <stdio.h>

/* Time for a GOAWAY, and for the output that is queued before it. */
#define CLOSE_GRACE_MS 200

static struct km_channel_call *call_of(struct km_h2_stream *stream)
{
    struct km_channel_call *call = stream->user;
    KM_ASSERT(call == NULL || call->magic == KM_CHANNEL_CALL_MAGIC);
    return call; /* NULL: the call has ended */
}

/* Sends new calls elsewhere. `why` and text tell the channel's owner. */
static void retire(struct km_channel_link *link, kama_status why,
                   const char *text)
{
    struct km_channel *channel = link->channel;
    bool was_ready = link->state == KM_CHANNEL_LINK_READY;
    link->state = KM_CHANNEL_LINK_RETIRED;
    if (channel->link == link) {
        channel->link = NULL;
        km_channel_wake(channel);
        if (was_ready) {
            km_channel_lost(channel, why, text);
        }
    }
}

kama_status km_channel_link_loss(const struct km_channel_link *link,
                                 enum km_h2_why why, char *text)
{
    switch (why) {
    case KM_H2_WHY_MEMORY:
        (void)km_text_printf(text, KM_CHANNEL_TEXT_BYTES, "%s",
                             kama_strerror(KAMA_ERR_NO_MEMORY));
        return KAMA_ERR_NO_MEMORY;
    case KM_H2_WHY_SILENT:
        (void)km_text_printf(
            text, KM_CHANNEL_TEXT_BYTES,
            "%s has sent nothing for %lld ms and did not answer a PING; the "
            "connection was closed",
            link->channel->address,
            (long long)(link->channel->keepalive_ms +
                        link->channel->keepalive_timeout_ms));
        return KAMA_ERR_DISCONNECTED;
    default:
        (void)km_text_printf(text, KM_CHANNEL_TEXT_BYTES, "%s",
                             kama_strerror(KAMA_ERR_DISCONNECTED));
        return KAMA_ERR_DISCONNECTED;
    }
}

/* -- HTTP/2 events ------------------------------------------------------- */

static void on_header(void *arg, struct km_h2_stream *stream, kama_bytes name,
                      kama_bytes value)
{
    (void)arg;
    struct km_channel_call *call = call_of(stream);
    if (call != NULL) {
        km_channel_answer_header(call, name, value);
    }
}

static void on_headers(void *arg, struct km_h2_stream *stream,
                       enum km_h2_headers kind, enum km_h2_list list)
{
    (void)arg;
    struct km_channel_call *call = call_of(stream);
    if (call == NULL || kind == KM_H2_HEADERS_INTERIM) {
        return;
    }
    if (list == KM_H2_LIST_CUT) {
        km_channel_answer_cut(call);
    } else if (kind == KM_H2_HEADERS_FIRST) {
        km_channel_answer_begin(call);
    }
}

/* Messages are delivered as they arrive, and callers do not hold them, so that
 * the windows open at once. */
static void on_data(void *arg, struct km_h2_stream *stream, kama_bytes chunk,
                    enum km_h2_chunk place)
{
    (void)arg;
    (void)place;
    struct km_channel_call *call = call_of(stream);
    if (call != NULL) {
        km_channel_answer_data(call, chunk);
    }
    km_h2_consume(stream, chunk.len);
}

static void on_end(void *arg, struct km_h2_stream *stream)
{
    (void)arg;
    struct km_channel_call *call = call_of(stream);
    if (call != NULL) {
        km_channel_answer_end(call);
    }
}

/* A call that has ended let go of its stream before; any other call has lost
 * it. */
static void on_close(void *arg, struct km_h2_stream *stream,
                     uint32_t error_code)
{
    struct km_channel_link *link = arg;
    struct km_channel_call *call = call_of(stream);
    if (call != NULL) {
        km_channel_call_note_fate(call, error_code);
        stream->user = NULL;
        call->stream = NULL;
        km_channel_answer_lost(call, error_code);
    }
    km_channel_wake(link->channel); /* a slot is free */
}

static void on_writable(void *arg, struct km_h2_stream *stream)
{
    (void)arg;
    struct km_channel_call *call = call_of(stream);
    if (call != NULL) {
        km_channel_call_tell_room(call);
    }
}

static void on_settings(void *arg)
{
    struct km_channel_link *link = arg;
    if (link->state == KM_CHANNEL_LINK_GREETING) {
        KM_ASSERT(link->channel->link == link);
        link->state = KM_CHANNEL_LINK_READY;
        km_channel_ready(link->channel, km_conn_local_address(link->conn));
    }
}

static void on_goaway(void *arg, int32_t last_stream_id, uint32_t error_code)
{
    (void)last_stream_id;
    char text[64];
    if (error_code == KM_H2_NO_ERROR) {
        retire(arg, KAMA_ERR_CLOSED, "the server ends its connections");
        return;
    }
    (void)snprintf(text, sizeof text,
                   "the server ended the connection with HTTP/2 error %u",
                   (unsigned)error_code);
    retire(arg, KAMA_ERR_DISCONNECTED, text);
}

const char *km_channel_link_waits_for(const struct km_channel_link *link)
{
    return link->state == KM_CHANNEL_LINK_CONNECTING
               ? "there was no connection in time"
               : "connected, but there was no answer in time";
}

/* Why a link that was not ready is gone. */
static const char *reason_of(const struct km_channel_link *link,
                             enum km_h2_why why)
{
    if (link->state == KM_CHANNEL_LINK_TIMED_OUT) {
        return km_channel_link_waits_for(link);
    }
    switch (why) {
    case KM_H2_WHY_PROTOCOL:
    case KM_H2_WHY_ABUSE:
        return "the other side does not speak HTTP/2 as gRPC needs it";
    case KM_H2_WHY_MEMORY:
        return "out of memory";
    default:
        return "the connection was closed before it was ready";
    }
}

/* While a link is CONNECTING its failure is told by on_connected, and a closing
 * channel has no calls that want to hear of one. */
static void on_gone(void *arg, enum km_h2_why why)
{
    struct km_channel_link *link = arg;
    bool attempt_failed = link->state == KM_CHANNEL_LINK_GREETING ||
                          link->state == KM_CHANNEL_LINK_TIMED_OUT;
    const char *reason = reason_of(link, why);
    char text[KM_CHANNEL_TEXT_BYTES];
    kama_status status = km_channel_link_loss(link, why, text);
    link->h2 = NULL;
    retire(link, status, text);
    if (attempt_failed) {
        KM_ASSERT(!link->channel->closing);
        km_channel_failed(link->channel,
                          why == KM_H2_WHY_MEMORY ? KAMA_ERR_NO_MEMORY
                                                  : KAMA_ERR_UNREACHABLE,
                          reason);
    }
}

static const struct km_h2_ops h2_ops = {
    .on_header = on_header,
    .on_headers = on_headers,
    .on_data = on_data,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_close = on_close,
    .on_settings = on_settings,
    .on_goaway = on_goaway,
    .on_gone = on_gone,
};

/* -- life ---------------------------------------------------------------- */

/* Nothing refers to the link any more: its calls have ended or were requeued
 * when HTTP/2 ended. */
static void free_link(struct km_channel_link *link)
{
    KM_ASSERT(km_list_empty(&link->calls) && link->h2 == NULL);
    km_list_remove(&link->node);
    km_channel_wake(link->channel);
    km_mem_free(link->channel->mem, link);
}

static void on_closed(struct km_conn_owner *owner, struct km_conn *conn,
                      kama_status why)
{
    (void)conn;
    (void)why;
    free_link((struct km_channel_link *)(void *)owner);
}

/* The outcome of the attempt. After a failure the session, and with it h2, is
 * gone already. */
static void on_connected(void *arg, kama_status status, struct km_conn *conn,
                         const char *sentence)
{
    struct km_channel_link *link = arg;
    struct km_channel *channel = link->channel;
    link->connect = NULL;
    link->conn = conn;
    if (status != KAMA_OK) {
        free_link(link);
        if (!channel->closing) {
            km_channel_failed(channel, status, sentence);
        }
    } else if (channel->closing) {
        km_channel_link_close(link);
    } else {
        KM_ASSERT(link->state == KM_CHANNEL_LINK_CONNECTING);
        link->state = KM_CHANNEL_LINK_GREETING;
    }
}

static struct km_channel_link *new_link(struct km_channel *channel)
{
    struct km_channel_link *link = km_mem_zalloc(channel->mem, 1, sizeof *link);
    if (link != NULL) {
        link->owner.on_closed = on_closed;
        link->channel = channel;
        km_list_init(&link->calls);
        km_list_push_back(&channel->links, &link->node);
    }
    return link;
}

static kama_status new_h2(struct km_channel_link *link, km_ns now)
{
    const struct km_channel *channel = link->channel;
    const struct km_h2_options options = {
        .mem = channel->mem,
        .cache = channel->cache,
        .role = KM_H2_CLIENT,
        .clock = channel->clock,
        .ops = &h2_ops,
        .arg = link,
        .keepalive_ms = channel->keepalive_ms,
        .keepalive_timeout_ms = channel->keepalive_timeout_ms,
        .keepalive = channel->keepalive == KM_CHANNEL_KEEPALIVE_ALWAYS
                         ? KM_H2_KEEPALIVE_ALWAYS
                         : KM_H2_KEEPALIVE_STREAMS,
    };
    return km_h2_new(&options, now, &link->h2);
}

kama_status km_channel_link_open(struct km_channel *channel)
{
    struct km_channel_link *link = new_link(channel);
    if (link == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    km_ns now = km_loop_now(channel->loop);
    kama_status status = new_h2(link, now);
    if (status != KAMA_OK) {
        free_link(link);
        return status;
    }
    struct km_session *session = km_h2_session(link->h2);
    channel->link = link;
    const struct km_connect_options connecting = {
        .address = channel->address,
        .deadline = km_ns_after_ms(now, channel->connect_timeout_ms),
        .session = session,
        .owner = &link->owner,
        .cb = on_connected,
        .arg = link,
    };
    status = km_connect_start(channel->loop, &connecting, &link->connect);
    if (status != KAMA_OK) {
        session->ops->close(session);
        free_link(link);
    }
    return status;
}

bool km_channel_link_accepts(const struct km_channel_link *link)
{
    return link->state == KM_CHANNEL_LINK_READY && km_h2_accepts(link->h2) &&
           km_h2_stream_count(link->h2) < km_h2_remote_streams_max(link->h2);
}

void km_channel_link_wake(struct km_channel_link *link)
{
    if (link->conn != NULL) {
        km_conn_wake(link->conn);
    }
}

/* A link in the state CONNECTING is freed by on_connected, any other one when
 * its connection is closed. */
void km_channel_link_close(struct km_channel_link *link)
{
    retire(link, KAMA_ERR_CLOSED, "the channel was closed");
    if (link->connect != NULL) {
        km_connect_cancel(link->connect);
        link->connect = NULL;
    } else if (link->h2 != NULL) {
        km_h2_goaway(link->h2);
        km_conn_close(link->conn, CLOSE_GRACE_MS);
    }
}

void km_channel_link_time_out(struct km_channel_link *link)
{
    if (link->state == KM_CHANNEL_LINK_GREETING) {
        link->state = KM_CHANNEL_LINK_TIMED_OUT;
        km_conn_close(link->conn, 0);
    }
}
