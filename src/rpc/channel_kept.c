/* SPDX-License-Identifier: MIT */
/*
 * A list that grows at its end and is dropped as a whole.
 */
#include "rpc/channel_kept.h"

#include "wire/grpc/grpc.h"
#include "wire/h2/loop_cache.h"

#include <string.h>

/* One message; its head is behind the struct. */
struct km_channel_part {
    struct km_channel_part *next;
    kama_value *body;
    size_t head_bytes;
};

kama_status km_channel_kept_add(struct km_channel_kept *kept, kama_bytes head,
                                kama_value *body)
{
    struct km_channel_part *part =
        km_h2_loop_cache_alloc(kept->cache, sizeof *part + head.len);
    if (part == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    *part = (struct km_channel_part){.head_bytes = head.len};
    if (head.len > 0) {
        memcpy(part + 1, head.data, head.len);
    }
    kept->bytes += KM_GRPC_PREFIX_BYTES + head.len;
    if (body != NULL) {
        part->body = kama_value_ref(body);
        kept->bytes += kama_value_bytes(body).len;
    }
    if (kept->last != NULL) {
        kept->last->next = part;
    } else {
        kept->first = part;
    }
    kept->last = part;
    return KAMA_OK;
}

kama_status km_channel_kept_send(const struct km_channel_kept *kept,
                                 struct km_h2_stream *stream)
{
    kama_status status = KAMA_OK;
    for (const struct km_channel_part *part = kept->first;
         part != NULL && status == KAMA_OK; part = part->next) {
        kama_bytes head = kama_bytes_make(part + 1, part->head_bytes);
        status = km_grpc_send(stream, head, part->body);
    }
    return status;
}

void km_channel_kept_drop(struct km_channel_kept *kept)
{
    while (kept->first != NULL) {
        struct km_channel_part *part = kept->first;
        kept->first = part->next;
        kama_value_unref(part->body);
        km_h2_loop_cache_release(kept->cache, part);
    }
    kept->last = NULL;
    kept->bytes = 0;
}
