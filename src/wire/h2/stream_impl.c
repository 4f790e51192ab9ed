/* SPDX-License-Identifier: MIT */
/*
 * The life of a stream. nghttp2 keeps its address as the user data of its own
 * stream, so that each callback finds it by its id.
 */
#include "wire/h2/stream_impl.h"

#include "base/assert.h"
#include "wire/h2/loop_cache.h"
#include "wire/h2/queue.h"

/* The arrows of the drawing in stream_impl.h. */
enum {
    TO_OPEN = 1u << KM_H2_SENDING_OPEN,
    TO_STARVED = 1u << KM_H2_SENDING_STARVED,
    TO_ENDED = 1u << KM_H2_SENDING_ENDED,
    TO_LINGERING = 1u << KM_H2_SENDING_LINGERING,
    TO_RESET = 1u << KM_H2_SENDING_RESET
};

static const uint8_t sending_next[] = {
    [KM_H2_SENDING_IDLE] = TO_OPEN | TO_ENDED | TO_RESET,
    [KM_H2_SENDING_OPEN] = TO_STARVED | TO_ENDED | TO_RESET,
    [KM_H2_SENDING_STARVED] = TO_OPEN | TO_ENDED | TO_RESET,
    [KM_H2_SENDING_ENDED] = TO_LINGERING | TO_RESET,
    [KM_H2_SENDING_LINGERING] = TO_RESET,
    [KM_H2_SENDING_RESET] = 0,
};

void km_h2_stream_impl_send_state(struct km_h2_stream_impl *stream,
                                  enum km_h2_sending next)
{
    KM_ASSERT((sending_next[stream->sending] >> next & 1u) != 0);
    stream->sending = next;
}

struct km_h2_stream_impl *km_h2_stream_impl_new(struct km_h2 *h2, int32_t id)
{
    struct km_h2_stream_impl *stream =
        km_h2_loop_cache_alloc(h2->cache, sizeof *stream);
    if (stream == NULL) {
        return NULL;
    }
    *stream = (struct km_h2_stream_impl){.pub = {.h2 = h2, .id = id}};
    km_list_push_back(&h2->streams, &stream->node);
    km_list_init(&stream->writable);
    km_list_init(&stream->linger);
    h2->stream_count++;
    return stream;
}

void km_h2_stream_impl_free(struct km_h2_stream_impl *stream)
{
    struct km_h2 *h2 = stream->pub.h2;
    km_h2_queue_drop(stream);
    km_list_remove(&stream->linger);
    km_list_remove(&stream->node);
    KM_ASSERT(h2->stream_count > 0);
    h2->stream_count--;
    if (h2->hot == stream) {
        h2->hot = NULL;
    }
    km_h2_loop_cache_release(h2->cache, stream);
}

struct km_h2_stream_impl *km_h2_stream_impl_look_up(struct km_h2 *h2,
                                                    int32_t id)
{
    struct km_h2_stream_impl *stream =
        nghttp2_session_get_stream_user_data(h2->ng, id);
    if (stream != NULL) {
        h2->hot = stream;
    }
    return stream;
}
