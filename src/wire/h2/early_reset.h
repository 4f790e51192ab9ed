/* SPDX-License-Identifier: MIT */
/*
 * Resets of streams that never began, which are taken out of what a client has sent.
 *
 * gRPC clients that are built on C-core (Python, C++, Ruby, PHP, C#) sometimes cancel a
 * call before they have sent its HEADERS, and reset its stream all the same: about once
 * in 10,000 calls that are cancelled at once. RFC 9113 (5.1) makes that an error of the
 * connection, and nghttp2 ends it with all its calls. Servers that C-core talks to
 * otherwise, grpc-go and C-core itself, ignore such a frame, and so does this one. Only
 * on a connection that has begun no stream at all, the error stays.
 *
 *     while (chunk.len > 0) {
 *         kama_bytes piece = km_h2_early_reset_next(&early, &chunk);
 *         ... feed the piece, which may be empty, to nghttp2 ...
 *     }
 *
 *     frames   [HEADERS 1][DATA 1][RST_STREAM 3][HEADERS 5]...
 *     pieces   '----------------'               '---------
 *
 * Cost: the header of each frame is looked at. Threads: one owner. Errors: none.
 * Ownership: a piece is borrowed from the chunk, or from the structure until the next
 * call.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdbool.h>

#define KM_H2_FRAME_HEAD_BYTES 9u

/* Where the stream of frames stands. Zeroed memory stands before the first frame. */
struct km_h2_early_reset {
    uint8_t head[KM_H2_FRAME_HEAD_BYTES]; /* of a frame that came in parts */
    unsigned head_bytes;                  /* of it that have come */
    uint32_t payload_left;                /* of the present frame */
    bool drops;                           /* the present frame is taken out */
    uint32_t begun;   /* the highest stream with HEADERS; 0: none */
    uint32_t dropped; /* frames that were taken out since the owner looked */
};

/* Returns the next piece of *chunk that is to be fed, and moves *chunk behind it. */
kama_bytes km_h2_early_reset_next(struct km_h2_early_reset *early,
                                  kama_bytes *chunk);
