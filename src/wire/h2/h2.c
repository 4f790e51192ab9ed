/* SPDX-License-Identifier: MIT */
/*
 * The life of an HTTP/2 connection, and the km_session that net drives.
 *
 * A server holds its output back until the first bytes have shown that the
 * client speaks HTTP/2, because the answer to an HTTP/1 client must not begin
 * with a SETTINGS frame.
 */
#include "wire/h2/h2.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/mem.h"
#include "wire/h2/fail.h"
#include "wire/h2/h2_impl.h"
#include "wire/h2/keepalive.h"
#include "wire/h2/linger.h"
#include "wire/h2/loop_cache.h"
#include "wire/h2/ng_mem.h"
#include "wire/h2/queue.h"
#include "wire/h2/recv.h"
#include "wire/h2/stream_impl.h"

#include <stdio.h>

static struct km_h2 *h2_of(struct km_session *session)
{
    return (struct km_h2 *)(void *)session;
}

struct km_session *km_h2_session(struct km_h2 *h2)
{
    return &h2->session;
}

/* -- output buffer ------------------------------------------------------- */

/* An idle connection holds no output buffer. */
static void put_out(struct km_h2 *h2)
{
    if (h2->out != NULL) {
        km_h2_loop_cache_out_put(h2->cache, h2->out);
        h2->out = NULL;
    }
    h2->out_bytes = 0;
}

static kama_status need_out(struct km_h2 *h2)
{
    if (h2->out == NULL) {
        h2->out = km_h2_loop_cache_out_get(h2->cache);
    }
    return h2->out != NULL
               ? KAMA_OK
               : km_h2_fail(h2, KM_H2_WHY_MEMORY, KAMA_ERR_NO_MEMORY);
}

/* -- input --------------------------------------------------------------- */

/* Writes the answer for an HTTP/1 client. Returns the status that closes the
 * connection after the answer was written. */
static kama_status answer_http1(struct km_h2 *h2)
{
    if (h2->http1_hint == NULL || need_out(h2) != KAMA_OK) {
        return KAMA_ERR_CLOSED;
    }
    int n = snprintf((char *)h2->out, KM_H2_OUT_CAP,
                     "HTTP/1.1 400 Bad Request\r\n"
                     "Content-Type: text/plain; charset=utf-8\r\n"
                     "Content-Length: %zu\r\n"
                     "Connection: close\r\n\r\n%s\n",
                     strlen(h2->http1_hint) + 1, h2->http1_hint);
    h2->out_bytes = n < (int)KM_H2_OUT_CAP ? (size_t)n : 0;
    return KAMA_ERR_CLOSED;
}

/* A callback that ends the connection makes nghttp2 return normally when its
 * frame was the last one of the chunk, so h2->why is looked at, too. */
static kama_status feed_ng(struct km_h2 *h2, kama_bytes chunk)
{
    ssize_t n = nghttp2_session_mem_recv(h2->ng, chunk.data, chunk.len);
    if (n < 0) {
        return km_h2_fail_ng(h2, n);
    }
    return h2->why == KM_H2_WHY_NONE ? KAMA_OK : KAMA_ERR_PROTOCOL;
}

/* Feeds what a client has sent, without the resets of streams that never began: they
 * count as others do that cost the client nothing. */
static kama_status feed_server(struct km_h2 *h2, kama_bytes chunk)
{
    kama_status status = KAMA_OK;
    while (chunk.len > 0 && status == KAMA_OK) {
        kama_bytes piece = km_h2_early_reset_next(&h2->early, &chunk);
        if (piece.len > 0) {
            status = feed_ng(h2, piece);
        }
        for (; h2->early.dropped > 0 && status == KAMA_OK;
             h2->early.dropped--) {
            status = km_h2_recv_early_reset(h2) ? KAMA_OK : KAMA_ERR_PROTOCOL;
        }
    }
    return status;
}

/* Feeds the first bytes, while the protocol is not known. Returns KAMA_OK, with
 * the rest in *chunk, if the client speaks HTTP/2, and KAMA_MISS if more bytes
 * are needed. */
static kama_status feed_sniff(struct km_h2 *h2, kama_bytes *chunk)
{
    switch (km_h2_sniff_feed(&h2->sniff, chunk)) {
    case KM_H2_SPEECH_UNKNOWN:
        return KAMA_MISS;
    case KM_H2_SPEECH_HTTP2:
        h2->life = KM_H2_LIVE;
        return feed_ng(h2,
                       kama_bytes_make(h2->sniff.bytes, KM_H2_PREFACE_BYTES));
    case KM_H2_SPEECH_HTTP1:
        h2->life = KM_H2_FOREIGN;
        (void)km_h2_fail(h2, KM_H2_WHY_FOREIGN, KAMA_ERR_CLOSED);
        return answer_http1(h2);
    default:
        h2->life = KM_H2_FOREIGN;
        return km_h2_fail(h2, KM_H2_WHY_FOREIGN, KAMA_ERR_CLOSED);
    }
}

static kama_status feed(struct km_session *session, const uint8_t *data,
                        size_t len, km_ns now)
{
    struct km_h2 *h2 = h2_of(session);
    kama_bytes chunk = kama_bytes_make(data, len);
    h2->now = now;
    km_h2_keepalive_heard(h2);
    if (h2->life == KM_H2_FOREIGN) {
        return KAMA_ERR_CLOSED;
    }
    if (h2->life == KM_H2_NO_MEMORY) {
        return km_h2_fail_ng(h2, NGHTTP2_ERR_NOMEM);
    }
    if (h2->life == KM_H2_SNIFFING) {
        kama_status status = feed_sniff(h2, &chunk);
        if (status != KAMA_OK) {
            return status == KAMA_MISS ? KAMA_OK : status;
        }
    }
    return h2->role == KM_H2_SERVER ? feed_server(h2, chunk)
           : chunk.len > 0          ? feed_ng(h2, chunk)
                                    : KAMA_OK;
}

static void eof(struct km_session *session)
{
    h2_of(session)->eof = true;
}

/* -- output -------------------------------------------------------------- */

/* Adds frames to the output buffer until it is full or nghttp2 has no more.
 * DATA frames do not come through nghttp2_session_mem_send: send_data in
 * queue.c writes them into the buffer itself. */
static kama_status collect_frames(struct km_h2 *h2)
{
    KM_ASSERT(h2->out != NULL && h2->out_bytes <= KM_H2_OUT_CAP);
    while (h2->out_bytes < KM_H2_OUT_BYTES) {
        const uint8_t *data;
        ssize_t n = nghttp2_session_mem_send(h2->ng, &data);
        if (n < 0) {
            return km_h2_fail_ng(h2, n);
        }
        if (n == 0) {
            break;
        }
        if ((size_t)n > KM_H2_OUT_CAP - h2->out_bytes) {
            return KAMA_ERR_INTERNAL;
        }
        memcpy(h2->out + h2->out_bytes, data, (size_t)n);
        h2->out_bytes += (size_t)n;
    }
    return KAMA_OK;
}

/* The HTTP/1 answer, which feed has prepared, is taken once. */
static kama_status take_foreign(struct km_h2 *h2, kama_bytes *ret_bytes)
{
    *ret_bytes = kama_bytes_make(h2->out, h2->out_bytes);
    h2->out_bytes = 0;
    return KAMA_OK;
}

static kama_status take(struct km_session *session, kama_bytes *ret_bytes)
{
    struct km_h2 *h2 = h2_of(session);
    if (h2->life == KM_H2_FOREIGN) {
        return take_foreign(h2, ret_bytes);
    }
    h2->out_bytes = 0;
    *ret_bytes = kama_bytes_make(NULL, 0);
    if (h2->life == KM_H2_NO_MEMORY) {
        return km_h2_fail_ng(h2, NGHTTP2_ERR_NOMEM);
    }
    if (h2->life == KM_H2_SNIFFING) {
        return KAMA_OK;
    }
    if (!nghttp2_session_want_write(h2->ng) && km_list_empty(&h2->writable)) {
        put_out(h2);
        return KAMA_OK;
    }
    kama_status status = need_out(h2);
    if (status != KAMA_OK) {
        return status;
    }
    status = collect_frames(h2);
    if (status != KAMA_OK) {
        return status;
    }
    if (!km_list_empty(&h2->writable)) {
        km_h2_queue_notify(h2);
        status = collect_frames(h2);
    }
    *ret_bytes = kama_bytes_make(h2->out, h2->out_bytes);
    if (h2->out_bytes == 0) {
        put_out(h2);
    }
    return status;
}

static bool is_running(const struct km_h2 *h2)
{
    return h2->life == KM_H2_SNIFFING || h2->life == KM_H2_LIVE;
}

static bool alive(struct km_session *session)
{
    const struct km_h2 *h2 = h2_of(session);
    if (h2->life == KM_H2_FOREIGN) {
        return h2->out_bytes > 0;
    }
    if (h2->goaway_sent && h2->life == KM_H2_SNIFFING) {
        /* A GOAWAY cannot be sent before the client's preface is in. */
        return false;
    }
    return !h2->eof && is_running(h2) &&
           (nghttp2_session_want_read(h2->ng) != 0 ||
            nghttp2_session_want_write(h2->ng) != 0);
}

/* Whether nghttp2 holds too many frames that it made by itself, for instance a
 * refusal for each stream beyond the limit. On a client the queue holds the
 * requests of the owner, whose number the owner limits. */
static bool has_many_frames(const struct km_h2 *h2)
{
    return h2->role == KM_H2_SERVER && nghttp2_session_get_outbound_queue_size(
                                           h2->ng) >= KM_H2_OUTBOUND_FRAMES_MAX;
}

/* A server's reading stops while taken bytes are not written and much more
 * output waits: each frame that is read could add to it. When only the client's
 * windows hold the output back, reading goes on, because it brings the updates.
 *
 * A client always reads, because answers add no output. If it stopped too, each
 * side could wait for the other to read:
 *
 *     client: large requests wait,        server: large answers wait,
 *             the socket is full  <------         the socket is full
 */
static bool wants_read(struct km_session *session)
{
    const struct km_h2 *h2 = h2_of(session);
    if (h2->out_bytes == 0 || h2->life == KM_H2_FOREIGN ||
        h2->role == KM_H2_CLIENT) {
        return true;
    }
    return h2->queued_bytes < KM_H2_OUTBOUND_BYTES_MAX && !has_many_frames(h2);
}

/* -- time ---------------------------------------------------------------- */

/* When a client that lets much output wait behind its closed windows is cut
 * off. The owner of a client limits its output by limiting its requests. */
static km_ns stall_until(const struct km_h2 *h2)
{
    if (h2->role != KM_H2_SERVER ||
        h2->queued_bytes < KM_H2_OUTBOUND_BYTES_MAX) {
        return KM_NS_NEVER;
    }
    return km_ns_after_ms(h2->progress_at, KM_H2_WRITE_STALL_MS);
}

static void abuse_stall(struct km_h2 *h2)
{
    char text[KM_H2_FAIL_TEXT_BYTES];
    (void)snprintf(text, sizeof text,
                   "%zu bytes waited for %u s behind closed windows; the limit "
                   "is %u bytes",
                   h2->queued_bytes, (unsigned)(KM_H2_WRITE_STALL_MS / 1000),
                   (unsigned)KM_H2_OUTBOUND_BYTES_MAX);
    (void)km_h2_fail_abuse(h2, KM_H2_ABUSE_STALL, text);
}

static km_ns deadline(struct km_session *session)
{
    const struct km_h2 *h2 = h2_of(session);
    km_ns at = h2->preface_until;
    km_ns stall = stall_until(h2);
    km_ns linger = km_h2_linger_until(h2);
    km_ns keepalive = km_h2_keepalive_until(h2);
    at = stall < at ? stall : at;
    at = keepalive < at ? keepalive : at;
    return linger < at ? linger : at;
}

static kama_status tick(struct km_session *session, km_ns now)
{
    struct km_h2 *h2 = h2_of(session);
    h2->now = now;
    if (now >= h2->preface_until) {
        return km_h2_fail(h2, KM_H2_WHY_PREFACE, KAMA_ERR_TIMEOUT);
    }
    if (now >= stall_until(h2)) {
        abuse_stall(h2);
        return KAMA_ERR_TIMEOUT;
    }
    km_h2_linger_end(h2);
    return km_h2_keepalive_tick(h2);
}

/* -- life ---------------------------------------------------------------- */

/* The owner is told of each stream, the oldest one first. */
static void close_streams(struct km_h2 *h2)
{
    struct km_list *node;
    while ((node = km_list_first(&h2->streams)) != NULL) {
        struct km_h2_stream_impl *stream =
            KM_CONTAINER_OF(node, struct km_h2_stream_impl, node);
        h2->ops->on_close(h2->arg, &stream->pub, KM_H2_LOST);
        km_h2_stream_impl_free(stream);
    }
}

static void free_h2(struct km_h2 *h2)
{
    KM_ASSERT(h2->stream_count == 0 && h2->queued_bytes == 0);
    nghttp2_session_del(h2->ng);
    km_h2_ng_mem_flush(h2);
    put_out(h2);
    km_mem_free(h2->mem, h2);
}

static void close_session(struct km_session *session)
{
    struct km_h2 *h2 = h2_of(session);
    close_streams(h2);
    h2->ops->on_gone(h2->arg, h2->why);
    free_h2(h2);
}

static const struct km_session_ops session_ops = {
    .name = "h2",
    .feed = feed,
    .take = take,
    .alive = alive,
    .eof = eof,
    .deadline = deadline,
    .tick = tick,
    .close = close_session,
    .wants_read = wants_read,
};

static const nghttp2_settings_entry server_settings[] = {
    {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, KM_H2_STREAMS_MAX},
    {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, KM_H2_STREAM_WINDOW_BYTES},
    {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, KM_H2_HEADER_LIST_BYTES_MAX},
    {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
};

/* A client does not send NO_RFC7540_PRIORITIES. Without it nghttp2 lets
 * requests take turns; under RFC 9218 a small request would wait for a large
 * one. */
static const nghttp2_settings_entry client_settings[] = {
    {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, KM_H2_STREAM_WINDOW_BYTES},
    {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, KM_H2_HEADER_LIST_BYTES_MAX},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Makes the nghttp2 session and submits our SETTINGS; false if there is no
 * memory. */
static bool start_ng(struct km_h2 *h2)
{
    struct km_h2_loop_cache *cache = h2->cache;
    nghttp2_mem mem = km_h2_ng_mem(h2);
    bool server = h2->role == KM_H2_SERVER;
    int rv = server ? nghttp2_session_server_new3(&h2->ng, cache->callbacks, h2,
                                                  cache->option, &mem)
                    : nghttp2_session_client_new3(&h2->ng, cache->callbacks, h2,
                                                  cache->option, &mem);
    if (rv != 0) {
        h2->ng = NULL;
        return false;
    }
    rv = server ? nghttp2_submit_settings(h2->ng, NGHTTP2_FLAG_NONE,
                                          server_settings,
                                          COUNT_OF(server_settings))
                : nghttp2_submit_settings(h2->ng, NGHTTP2_FLAG_NONE,
                                          client_settings,
                                          COUNT_OF(client_settings));
    return rv == 0 &&
           nghttp2_session_set_local_window_size(
               h2->ng, NGHTTP2_FLAG_NONE, 0, (int32_t)KM_H2_WINDOW_BYTES) == 0;
}

kama_status km_h2_new(const struct km_h2_options *options, km_ns now,
                      struct km_h2 **ret_h2)
{
    const struct km_h2_ops *ops = options->ops;
    KM_ASSERT(options->cache != NULL && ops->on_header != NULL);
    KM_ASSERT(ops->on_headers != NULL && ops->on_data != NULL);
    KM_ASSERT(ops->on_end != NULL && ops->on_close != NULL);
    KM_ASSERT(ops->on_gone != NULL);
    KM_ASSERT(ops->on_open != NULL || options->role == KM_H2_CLIENT);
    const kama_allocator *mem = km_mem_or_default(options->mem);
    struct km_h2 *h2 = km_mem_zalloc(mem, 1, sizeof *h2);
    if (h2 == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    h2->session.ops = &session_ops;
    h2->mem = mem;
    h2->clock = options->clock;
    h2->ops = ops;
    h2->arg = options->arg;
    h2->cache = options->cache;
    h2->role = options->role;
    h2->life = options->role == KM_H2_SERVER ? KM_H2_SNIFFING : KM_H2_LIVE;
    h2->http1_hint = options->http1_hint;
    h2->now = now;
    h2->preface_until = km_ns_after_ms(now, KM_H2_PREFACE_MS);
    km_h2_keepalive_init(h2, options);
    km_list_init(&h2->streams);
    km_list_init(&h2->crowded);
    km_list_init(&h2->writable);
    km_list_init(&h2->lingering);
    if (!start_ng(h2)) {
        free_h2(h2);
        return KAMA_ERR_NO_MEMORY;
    }
    *ret_h2 = h2;
    return KAMA_OK;
}

/* -- the end, in order --------------------------------------------------- */

void km_h2_goaway_notice(struct km_h2 *h2)
{
    if (!h2->goaway_sent) {
        (void)nghttp2_submit_shutdown_notice(h2->ng);
    }
}

void km_h2_goaway(struct km_h2 *h2)
{
    if (h2->goaway_sent) {
        return;
    }
    h2->goaway_sent = true;
    int32_t last = nghttp2_session_get_last_proc_stream_id(h2->ng);
    (void)nghttp2_submit_goaway(h2->ng, NGHTTP2_FLAG_NONE, last,
                                NGHTTP2_NO_ERROR, NULL, 0);
}

void km_h2_trust_peer(struct km_h2 *h2)
{
    h2->rates.trust = KM_H2_PEER;
}

/* -- questions ----------------------------------------------------------- */

bool km_h2_accepts(const struct km_h2 *h2)
{
    return !h2->goaway_seen && !h2->goaway_sent && !h2->eof &&
           h2->life != KM_H2_NO_MEMORY && h2->why == KM_H2_WHY_NONE &&
           nghttp2_session_check_request_allowed(h2->ng) != 0;
}

enum km_h2_why km_h2_why(const struct km_h2 *h2)
{
    return h2->why;
}

enum km_h2_abuse km_h2_abuse(const struct km_h2 *h2)
{
    return h2->abuse;
}

unsigned km_h2_stream_count(const struct km_h2 *h2)
{
    return h2->stream_count;
}

uint32_t km_h2_remote_streams_max(const struct km_h2 *h2)
{
    return nghttp2_session_get_remote_settings(
        h2->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}
