/* SPDX-License-Identifier: MIT */
/*
 * The output that waits in a stream: a list of messages.
 *
 *     km_h2_send_parts -> push     [segment] -> [segment] -> [segment]
 *                                   ^ taken
 *     nghttp2: is there DATA?  -> read       how much, and is it the end?
 *     nghttp2: send this frame -> send_data  bytes go straight behind the frame
 *                                            header in the connection's buffer
 *
 * When nghttp2 asks and finds nothing, it waits until km_h2_queue_resume. A
 * stream is writable while its queue is short and those of the connection are
 * not too long together; streams that found the connection crowded are told
 * when half of that room is free again.
 *
 * Cost: O(1) for each message, and one copy of its bytes. Threads: the loop's
 * thread. Ownership: heads are copied; of a larger body a reference is kept.
 */
#pragma once

#include "wire/h2/stream_impl.h"

/* One message: its head is behind the struct, then come the body's bytes. */
struct km_h2_segment {
    struct km_h2_segment *next;
    kama_value *body;
    kama_bytes body_bytes;
    size_t head_bytes;
    size_t taken; /* how many bytes of head and body were sent */
};

/* Queues a message and lets nghttp2 ask for it. Errors: KAMA_ERR_NO_MEMORY, and
 * KAMA_ERR_CLOSED if nghttp2 does not know the stream any more. */
KAMA_NODISCARD kama_status km_h2_queue_push(struct km_h2_stream_impl *stream,
                                            kama_bytes prefix, kama_bytes head,
                                            kama_value *body);

/* Lets nghttp2 ask for the stream's DATA again, if it waits for that. */
KAMA_NODISCARD kama_status km_h2_queue_resume(struct km_h2_stream_impl *stream);

/* Drops all messages of the queue, and the trailers behind them. */
void km_h2_queue_drop(struct km_h2_stream_impl *stream);

/* Tells the owner of each stream that has become writable. */
void km_h2_queue_notify(struct km_h2 *h2);

/* nghttp2's read callback, for a data provider whose source is the stream. */
ssize_t km_h2_queue_read(nghttp2_session *ng, int32_t id, uint8_t *buf,
                         size_t room, uint32_t *data_flags,
                         nghttp2_data_source *source, void *arg);

/* Registers the callbacks of this file with nghttp2. */
void km_h2_queue_register(nghttp2_session_callbacks *callbacks);
