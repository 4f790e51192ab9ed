/* SPDX-License-Identifier: MIT */
/*
 * Streams that linger: the server has sent the whole answer, and the client
 * still sends its request.
 *
 * RFC 9113 8.1 allows a server to stop such a client at once, with
 * RST_STREAM(NO_ERROR) behind the answer. But haproxy gives up a stream that is
 * reset while it forwards the request, and its client gets CANCELLED in place
 * of the answer. So the answer gets a head start:
 *
 *     END_STREAM sent    KM_H2_LINGER_BYTES read           KM_H2_LINGER_MS over
 *     |------------------|---------------------------------|
 *      read and dropped    the stream's window stays closed  RST_STREAM
 *
 * A client that ends its request earlier closes the stream without a reset.
 *
 * Cost: O(1); the streams stand in a list in the order of their deadlines.
 * Threads: the loop's thread.
 */
#pragma once

#include "wire/h2/stream_impl.h"

/* Lets a stream linger whose END_STREAM was sent. */
void km_h2_linger_begin(struct km_h2_stream_impl *stream);

/* Returns when the next stream has lingered long enough; KM_NS_NEVER if none
 * lingers. */
km_ns km_h2_linger_until(const struct km_h2 *h2);

/* Resets the streams that have lingered long enough. */
void km_h2_linger_end(struct km_h2 *h2);

/* Drops n bytes of the body of a stream that lingers. */
void km_h2_linger_data(struct km_h2_stream_impl *stream, size_t n);
