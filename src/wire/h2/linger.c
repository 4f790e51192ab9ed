/* SPDX-License-Identifier: MIT */
/*
 * All streams linger for the same time, so the list of them is in the order of
 * their deadlines, and only its first stream needs a look.
 */
#include "wire/h2/linger.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"

void km_h2_linger_begin(struct km_h2_stream_impl *stream)
{
    struct km_h2 *h2 = stream->pub.h2;
    KM_ASSERT(h2->role == KM_H2_SERVER && stream->queued_bytes == 0);
    km_ns now = h2->clock != NULL ? km_clock_mono(h2->clock) : h2->now;
    km_h2_stream_impl_send_state(stream, KM_H2_SENDING_LINGERING);
    stream->linger_until = km_ns_after_ms(now, KM_H2_LINGER_MS);
    km_list_push_back(&h2->lingering, &stream->linger);
}

static struct km_h2_stream_impl *first_lingering(const struct km_h2 *h2)
{
    struct km_list *node = km_list_first(&h2->lingering);
    return node == NULL
               ? NULL
               : KM_CONTAINER_OF(node, struct km_h2_stream_impl, linger);
}

km_ns km_h2_linger_until(const struct km_h2 *h2)
{
    const struct km_h2_stream_impl *stream = first_lingering(h2);
    return stream == NULL ? KM_NS_NEVER : stream->linger_until;
}

void km_h2_linger_end(struct km_h2 *h2)
{
    struct km_h2_stream_impl *stream;
    while ((stream = first_lingering(h2)) != NULL &&
           stream->linger_until <= h2->now) {
        km_h2_reset(&stream->pub, KM_H2_NO_ERROR);
    }
}

void km_h2_linger_data(struct km_h2_stream_impl *stream, size_t n)
{
    KM_ASSERT(stream->sending == KM_H2_SENDING_LINGERING);
    km_h2_consume_connection(&stream->pub, n);
    stream->lingered_bytes += (uint32_t)n;
    if (stream->lingered_bytes <= KM_H2_LINGER_BYTES) {
        km_h2_consume_stream(&stream->pub, n);
    } /* Otherwise the stream's window stays closed until the reset. */
}
