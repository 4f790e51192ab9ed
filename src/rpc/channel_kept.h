/* SPDX-License-Identifier: MIT */
/*
 * The messages of a request that are kept: because the call has no stream yet,
 * or because it may have to be sent a second time.
 *
 *     km_channel_kept_add(&kept, head, body);     one message
 *     km_channel_kept_send(&kept, stream);        all of them
 *     km_channel_kept_drop(&kept);
 *
 *     first -> [part | head] -> [part | head] -> NULL
 *                 | body           | body        references, not copies
 *
 * Threads: the loop's. Ownership: parts come from the loop's cache; a body is
 * referenced until the parts are dropped. Errors: KAMA_ERR_NO_MEMORY, and those
 * of the stream. Cost: O(1) per message, and the copy of its head.
 */
#pragma once

#include "base/bytes.h"

struct km_h2_loop_cache;
struct km_h2_stream;
struct km_channel_part;

/* Zeroed memory with `cache` set is an empty one. */
struct km_channel_kept {
    struct km_h2_loop_cache *cache; /* borrowed */
    struct km_channel_part *first;
    struct km_channel_part *last;
    size_t bytes; /* of all messages, with the prefixes of gRPC */
};

/* Adds a message: head is copied, and a reference to body is taken (NULL:
 * none). Nothing is added on an error. */
KAMA_NODISCARD kama_status km_channel_kept_add(struct km_channel_kept *kept,
                                               kama_bytes head,
                                               kama_value *body);

/* Queues all messages on the stream. They stay kept. */
KAMA_NODISCARD kama_status km_channel_kept_send(
    const struct km_channel_kept *kept, struct km_h2_stream *stream);

/* Drops all messages. */
void km_channel_kept_drop(struct km_channel_kept *kept);
