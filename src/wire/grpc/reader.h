/* SPDX-License-Identifier: MIT */
/*
 * Cuts the DATA of a stream into gRPC messages.
 *
 * On the wire each message has a prefix of five bytes: a flag that says whether
 * it is compressed, and its length. Neither keeps to the borders of DATA
 * frames:
 *
 *     chunks     |-----------|---|------------------------|
 *     messages   ppppp mmmmmmmmmmm ppppp mmm ppppp mmmm...
 *                      in pieces         whole
 *
 * A message that lies whole in a chunk is returned as a view of the chunk,
 * without a copy. A message that comes in pieces is collected in one buffer,
 * which grows with the bytes that have arrived and never by a length that was
 * only announced: a flood of one-byte frames costs no memory beyond its bytes.
 * A compressed message is decoded into a second buffer, and a budget that many
 * readers share (wire/grpc/budget.h) can limit the work for it.
 *
 *     while ((status = km_grpc_reader_next(&reader, &chunk, &message)) ==
 *            KAMA_OK) {
 *         use(message);
 *     }
 *     if (status != KAMA_MISS) {
 *         ... km_grpc_reader_error(&reader, status) explains it ...
 *     }
 *
 * Cost: O(bytes). Threads: one owner. Errors: see km_grpc_reader_next.
 * Ownership: the caller owns the reader; messages are borrowed.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "wire/grpc/budget.h"
#include "wire/grpc/encoding.h"

/* The length of the prefix. */
#define KM_GRPC_PREFIX_BYTES 5

struct km_grpc_reader {
    struct km_buf buf;             /* collects a message that comes in pieces */
    struct km_buf plain;           /* holds a message that was decoded */
    struct km_grpc_budget *budget; /* borrowed, for compressed messages; its
                                    * owner sets it. NULL: there is no limit */
    uint64_t message_bytes_max;
    uint32_t message_bytes; /* of the current message, once its prefix is in */
    enum km_grpc_encoding encoding; /* of the stream; its owner sets it */
    uint8_t prefix[KM_GRPC_PREFIX_BYTES];
    uint8_t prefix_bytes; /* how many bytes of the prefix are in */
    bool delivered;       /* buf or plain holds a message that was returned */
};

/* Makes a reader that refuses messages over message_bytes_max, as sent or as
 * decoded. mem is borrowed; NULL means the default allocator. */
void km_grpc_reader_init(struct km_grpc_reader *reader,
                         const kama_allocator *mem, uint64_t message_bytes_max);

/* Frees the buffers, and with them the message that was returned last. */
void km_grpc_reader_fini(struct km_grpc_reader *reader);

/* Takes bytes off the front of *chunk, up to the end of one message.
 *
 * Returns KAMA_OK and the message, which is a view of the chunk or of the
 * reader and stays valid until the chunk is gone or the reader is called again.
 * Returns KAMA_MISS if the chunk was used up before a message was complete.
 *
 * Errors: KAMA_ERR_UNSUPPORTED if the message is compressed with an encoding
 * that is not known; KAMA_ERR_PROTOCOL if it is compressed without an encoding,
 * does not match its encoding, or has an unknown flag; KAMA_ERR_TOO_LARGE;
 * KAMA_ERR_OVERLOADED if it decodes to more than the budget permits;
 * KAMA_ERR_NO_MEMORY. After an error the reader must not be used further, but
 * for km_grpc_reader_error and km_grpc_reader_fini. */
KAMA_NODISCARD kama_status km_grpc_reader_next(struct km_grpc_reader *reader,
                                               kama_bytes *chunk,
                                               kama_bytes *ret_message);

/* Returns a static sentence about the error that km_grpc_reader_next returned
 * last, or NULL if the status says everything. For KAMA_ERR_TOO_LARGE it is the
 * end of a sentence in which the caller names message_bytes_max, or "". */
const char *km_grpc_reader_error(const struct km_grpc_reader *reader,
                                 kama_status status);

/* Lets the message that was returned last outlive its chunk: it is copied into
 * the reader, unless it lies there already, and *message is the copy then.
 * Errors: KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_grpc_reader_keep(struct km_grpc_reader *reader,
                                               kama_bytes *message);

/* Returns whether a message has begun that is not complete. A stream that ends
 * in this state was cut off. */
bool km_grpc_reader_partial(const struct km_grpc_reader *reader);

/* Returns how many bytes of memory the reader holds. */
size_t km_grpc_reader_held(const struct km_grpc_reader *reader);
