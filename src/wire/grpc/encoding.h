/* SPDX-License-Identifier: MIT */
/*
 * Compressed gRPC messages: the names of `grpc-encoding`, and zlib behind them.
 *
 * A client says with a header how it may compress, and with a flag in front of
 * each message whether it did. Only requests are decoded; answers are sent as
 * they are, which every client takes.
 *
 *     enum km_grpc_encoding encoding = km_grpc_encoding_parse(header);
 *     km_grpc_decode(encoding, compressed, 4 << 20, &out);
 *
 * Cost: O(decoded bytes); about 40 KiB of memory while a message is decoded.
 * Thread-safety: pure.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"

enum km_grpc_encoding {
    KM_GRPC_IDENTITY,
    KM_GRPC_GZIP,
    KM_GRPC_DEFLATE,      /* zlib's format, RFC 1950 */
    KM_GRPC_ENCODING_ELSE /* a name that is not known here */
};

/* The names for grpc-accept-encoding. */
#define KM_GRPC_ENCODINGS "identity,deflate,gzip"

/* The encoding of a name. */
enum km_grpc_encoding km_grpc_encoding_parse(kama_bytes name);

/* Appends the decoded bytes to out, whose own maximum must lie above max_bytes.
 * encoding is KM_GRPC_GZIP or KM_GRPC_DEFLATE. After an error the content of
 * out is of no use.
 * Errors: KAMA_ERR_TOO_LARGE (more than max_bytes come out), KAMA_ERR_PROTOCOL
 * (bytes are not of this encoding, or are cut off), KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_grpc_decode(enum km_grpc_encoding encoding,
                                          kama_bytes bytes, size_t max_bytes,
                                          struct km_buf *out);
