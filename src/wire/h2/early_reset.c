/* SPDX-License-Identifier: MIT */
#include "wire/h2/early_reset.h"

#include "base/bytes.h"

#include <string.h>

#define TYPE_HEADERS 1u
#define TYPE_RST_STREAM 3u
#define RST_STREAM_BYTES 4u

/* Begins the frame of a whole header. */
static void begin_frame(struct km_h2_early_reset *early, const uint8_t *head)
{
    uint32_t stream = km_bytes_be32(head + 5) & 0x7fffffffu;
    early->payload_left = km_bytes_be32(head) >> 8;
    early->drops =
        head[3] == TYPE_RST_STREAM && early->payload_left == RST_STREAM_BYTES &&
        early->begun != 0 && stream > early->begun && stream % 2 == 1;
    early->dropped += early->drops;
    if (head[3] == TYPE_HEADERS && stream > early->begun) {
        early->begun = stream;
    }
}

/* Gathers a header that comes in parts. Returns it when it is whole, unless its frame
 * is taken out. */
static kama_bytes gather_head(struct km_h2_early_reset *early,
                              kama_bytes *chunk)
{
    size_t n = sizeof early->head - early->head_bytes;
    n = chunk->len < n ? chunk->len : n;
    memcpy(early->head + early->head_bytes, chunk->data, n);
    early->head_bytes += (unsigned)n;
    *chunk = km_bytes_skip(*chunk, n);
    if (early->head_bytes < sizeof early->head) {
        return kama_bytes_make(NULL, 0);
    }
    early->head_bytes = 0;
    begin_frame(early, early->head);
    return kama_bytes_make(early->head, early->drops ? 0 : sizeof early->head);
}

/* Returns how many bytes from the begin of the chunk on are to be fed, up to a header
 * that has come in part, or up to a frame that is taken out, whose header is skipped
 * then: *ret_skip. */
static size_t run(struct km_h2_early_reset *early, kama_bytes chunk,
                  size_t *ret_skip)
{
    const uint8_t *p = chunk.data;
    size_t at = 0;
    *ret_skip = 0;
    for (;;) {
        size_t left = chunk.len - at;
        size_t n = early->payload_left < left ? early->payload_left : left;
        early->payload_left -= (uint32_t)n;
        at += n;
        if (chunk.len - at < sizeof early->head) {
            return at;
        }
        begin_frame(early, p + at);
        if (early->drops) {
            *ret_skip = sizeof early->head;
            return at;
        }
        at += sizeof early->head;
    }
}

kama_bytes km_h2_early_reset_next(struct km_h2_early_reset *early,
                                  kama_bytes *chunk)
{
    if (early->drops) {
        size_t n =
            early->payload_left < chunk->len ? early->payload_left : chunk->len;
        early->payload_left -= (uint32_t)n;
        early->drops = early->payload_left > 0;
        *chunk = km_bytes_skip(*chunk, n);
        return kama_bytes_make(NULL, 0);
    }
    if (early->payload_left == 0 &&
        (early->head_bytes > 0 || chunk->len < sizeof early->head)) {
        return gather_head(early, chunk);
    }
    size_t skipped;
    kama_bytes piece =
        kama_bytes_make(chunk->data, run(early, *chunk, &skipped));
    *chunk = km_bytes_skip(*chunk, piece.len + skipped);
    return piece;
}
