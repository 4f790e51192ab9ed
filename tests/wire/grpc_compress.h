/* SPDX-License-Identifier: MIT */
/* Compressed gRPC messages for tests, made by zlib's own compressor. */
#pragma once

#include "wire/grpc/grpc.h"

#include "helpers/failmalloc.h"

#include <stdlib.h>
#include <zlib.h>

enum { GZIP_BITS = 15 + 16, DEFLATE_BITS = 15 };

static inline int bits_of(enum km_grpc_encoding encoding)
{
    return encoding == KM_GRPC_GZIP ? GZIP_BITS : DEFLATE_BITS;
}

/* Appends text in compressed form. */
static inline void compress_to(struct km_buf *out,
                               enum km_grpc_encoding encoding, kama_bytes text)
{
    z_stream z = {.next_in = (z_const Bytef *)text.data,
                  .avail_in = (uInt)text.len};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, bits_of(encoding), 8,
                                  Z_DEFAULT_STRATEGY),
                     Z_OK);
    uint8_t chunk[4096];
    int rv = Z_OK;
    while (rv == Z_OK) {
        z.next_out = chunk;
        z.avail_out = sizeof chunk;
        rv = deflate(&z, Z_FINISH);
        assert_int_equal(km_buf_append(out, chunk, sizeof chunk - z.avail_out),
                         KAMA_OK);
    }
    assert_int_equal(rv, Z_STREAM_END);
    deflateEnd(&z);
}

/* Returns text in compressed form; the caller frees the buffer. */
static inline struct km_buf compressed(enum km_grpc_encoding encoding,
                                       kama_bytes text)
{
    struct km_buf out;
    km_buf_init(&out, NULL, SIZE_MAX);
    compress_to(&out, encoding, text);
    return out;
}
