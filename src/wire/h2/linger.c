/* SPDX-License-Identifier: MIT */
/*
 * Streams that linger: the server has sent the whole answer and the client
 * still sends its request.
 *
 * RFC 9113 8.1 allows a server to stop such a client at once, with
 * RST_STREAM(NO_ERROR) behind the answer. But haproxy gives up a stream that is
 * reset while it forwards the request, and its client gets CANCELLED in place
 * of the answer. So the answer gets a head start: a part of the request is read
 * and dropped, then the stream's window stays closed, and only when its time is
 * over the stream is reset. A client that ends its request earlier closes the
 * stream without a reset.
 */
#include "wire/h2/linger.h"

#include "base/container.h"
#include "base/limits.h"

void km_h2_linger_begin(struct km_h2_stream_impl *stream)
{
    struct km_h2 *h2 = stream->pub.h2;
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
    km_h2_consume_connection(&stream->pub, n);
    stream->lingered_bytes += (uint32_t)n;
    if (stream->lingered_bytes <= KM_H2_LINGER_BYTES) {
        km_h2_consume_stream(&stream->pub, n);
    } /* else its window stays closed until the reset */
}
