/* SPDX-License-Identifier: MIT */
/*
 * Compressed gRPC messages: the names of `grpc-encoding`, and zlib behind them.
 *
 * A client names an encoding in a header, and a flag in front of each message
 * says whether that message is compressed. Only requests are decoded. Answers
 * are sent as they are, which every client accepts.
 *
 *     enum km_grpc_encoding encoding = km_grpc_encoding_parse(header);
 *     km_grpc_decode(encoding, compressed, 4 << 20, &out);
 *
 * Output is limited, because a few compressed bytes may decode to very many: a
 * message that passes the limit is refused as soon as one byte more comes out.
 *
 * Cost: O(decoded bytes), and about 40 KiB of memory while a message is
 * decoded. Threads: pure functions.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"

/* The encodings that we know. */
enum km_grpc_encoding {
    KM_GRPC_IDENTITY,
    KM_GRPC_GZIP,
    KM_GRPC_DEFLATE,      /* zlib's format, RFC 1950 */
    KM_GRPC_ENCODING_ELSE /* any name that we do not know */
};

/* The names of the known encodings, as grpc-accept-encoding lists them. */
#define KM_GRPC_ENCODINGS "identity,deflate,gzip"

/* Returns the encoding of that name. */
enum km_grpc_encoding km_grpc_encoding_parse(kama_bytes name);

/* Decodes bytes, which are KM_GRPC_GZIP or KM_GRPC_DEFLATE, and appends the
 * result to out. The maximum of out itself must be larger than max_bytes, so
 * that one byte too many can be seen. After an error the content of out is of
 * no use.
 *
 * Errors: KAMA_ERR_TOO_LARGE if more than max_bytes come out; KAMA_ERR_PROTOCOL
 * if the bytes are not in this encoding or are cut off; KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_grpc_decode(enum km_grpc_encoding encoding,
                                          kama_bytes bytes, size_t max_bytes,
                                          struct km_buf *out);
