/* SPDX-License-Identifier: MIT */
/*
 * The invariants of a connection. Each stream is checked alone first, then the
 * sums over all of them are compared with the counters of the connection.
 */
#include "wire/h2/check.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "wire/h2/queue.h"

/* The segments hold the bytes that the stream counts, and the last one is the
 * end of the list. */
static void check_queue(const struct km_h2_stream_impl *stream)
{
    size_t bytes = 0;
    const struct km_h2_segment *last = NULL;
    for (const struct km_h2_segment *s = stream->first; s != NULL;
         s = s->next) {
        KM_ASSERT(s->taken <= s->head_bytes + s->body_bytes.len);
        bytes += s->head_bytes + s->body_bytes.len - s->taken;
        last = s;
    }
    KM_ASSERT(bytes == stream->queued_bytes);
    KM_ASSERT(last == stream->last);
}

/* Some states belong to one role, and some have an empty queue. */
static void check_states(const struct km_h2_stream_impl *stream)
{
    const struct km_h2 *h2 = stream->pub.h2;
    bool lingers = stream->sending == KM_H2_SENDING_LINGERING;
    KM_ASSERT(lingers == !km_list_empty(&stream->linger));
    KM_ASSERT(h2->role == KM_H2_SERVER || !lingers);
    KM_ASSERT(h2->role == KM_H2_SERVER ||
              stream->sending != KM_H2_SENDING_IDLE);
    KM_ASSERT(h2->role == KM_H2_CLIENT ||
              stream->receiving != KM_H2_RECEIVING_INTERIM);
    if (stream->sending == KM_H2_SENDING_IDLE ||
        stream->sending == KM_H2_SENDING_LINGERING) {
        KM_ASSERT(stream->queued_bytes == 0);
    }
    if (stream->sending == KM_H2_SENDING_STARVED &&
        h2->life != KM_H2_NO_MEMORY) {
        KM_ASSERT(stream->queued_bytes == 0);
    }
    KM_ASSERT(stream->reading == KM_H2_PAUSED || stream->withheld_bytes == 0);
    KM_ASSERT((stream->trailers == NULL) == (stream->trailer_count == 0));
}

/* Streams linger for the same time, so the first one is done first. */
static void check_lingering(const struct km_h2 *h2)
{
    km_ns before = 0;
    for (struct km_list *node = h2->lingering.next; node != &h2->lingering;
         node = node->next) {
        const struct km_h2_stream_impl *stream =
            KM_CONTAINER_OF(node, struct km_h2_stream_impl, linger);
        KM_ASSERT(stream->linger_until >= before);
        before = stream->linger_until;
    }
}

void km_h2_check(const struct km_h2 *h2)
{
    size_t bytes = 0;
    unsigned count = 0;
    bool hot_found = h2->hot == NULL;
    for (struct km_list *node = h2->streams.next; node != &h2->streams;
         node = node->next) {
        const struct km_h2_stream_impl *stream =
            KM_CONTAINER_OF(node, struct km_h2_stream_impl, node);
        KM_ASSERT(stream->pub.h2 == h2);
        check_queue(stream);
        check_states(stream);
        hot_found = hot_found || h2->hot == stream;
        bytes += stream->queued_bytes;
        count++;
    }
    KM_ASSERT(count == h2->stream_count);
    KM_ASSERT(bytes == h2->queued_bytes);
    KM_ASSERT(hot_found);
    KM_ASSERT(h2->out_bytes == 0 || h2->out != NULL);
    KM_ASSERT(h2->out_bytes <= KM_H2_OUT_CAP);
    check_lingering(h2);
}
