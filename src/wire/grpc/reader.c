/* SPDX-License-Identifier: MIT */
/*
 * A reader is in its prefix, in its message, or between two messages:
 *
 *     prefix_bytes == 0          a message was delivered, or none has begun
 *     prefix_bytes < 5           the prefix is incomplete
 *     prefix_bytes == 5          message_bytes of the message are wanted, and
 *                                buf.len of them have come in pieces
 */
#include "wire/grpc/reader.h"

#include "base/assert.h"
#include "base/limits.h"

void km_grpc_reader_init(struct km_grpc_reader *reader,
                         const kama_allocator *mem, uint64_t message_bytes_max)
{
    *reader = (struct km_grpc_reader){.message_bytes_max = message_bytes_max};
    km_buf_init(&reader->buf, mem, SIZE_MAX);
    km_buf_init(&reader->plain, mem, SIZE_MAX);
}

void km_grpc_reader_fini(struct km_grpc_reader *reader)
{
    km_buf_fini(&reader->buf);
    km_buf_fini(&reader->plain);
    *reader = (struct km_grpc_reader){0};
}

bool km_grpc_reader_partial(const struct km_grpc_reader *reader)
{
    return reader->prefix_bytes != 0;
}

size_t km_grpc_reader_held(const struct km_grpc_reader *reader)
{
    return reader->buf.cap + reader->plain.cap;
}

/* -- the prefix ---------------------------------------------------------- */

enum { FLAG_PLAIN = 0, FLAG_COMPRESSED = 1 };

/* Returns the status for the flag in front of a message. */
static kama_status check_flag(const struct km_grpc_reader *reader)
{
    switch (reader->prefix[0]) {
    case FLAG_PLAIN:
        return KAMA_OK;
    case FLAG_COMPRESSED:
        break;
    default:
        return KAMA_ERR_PROTOCOL;
    }
    if (reader->encoding == KM_GRPC_ENCODING_ELSE) {
        return KAMA_ERR_UNSUPPORTED;
    }
    return reader->encoding == KM_GRPC_IDENTITY ? KAMA_ERR_PROTOCOL : KAMA_OK;
}

static const char *protocol_error(const struct km_grpc_reader *reader)
{
    if (reader->prefix[0] > FLAG_COMPRESSED) {
        return "a message begins with a flag that is neither 0 nor 1";
    }
    return reader->encoding == KM_GRPC_IDENTITY
               ? "a message is compressed, but no grpc-encoding was given"
               : "a compressed message does not match its grpc-encoding";
}

#define PER_BYTE KM_TEXT_OF(KM_GRPC_DECODED_PER_BYTE)
#define MIB_PER_S KM_TEXT_OF(KM_GRPC_DECODED_MIB_PER_S)

static const char over_budget[] =
    "compressed requests may decode to " PER_BYTE
    " times their size, and on each thread of the server to " MIB_PER_S
    " MiB a second beyond that; send the message uncompressed, or retry later";

const char *km_grpc_reader_error(const struct km_grpc_reader *reader,
                                 kama_status status)
{
    switch (status) {
    case KAMA_ERR_UNSUPPORTED:
        return "the grpc-encoding is none of " KM_GRPC_ENCODINGS;
    case KAMA_ERR_PROTOCOL:
        return protocol_error(reader);
    case KAMA_ERR_TOO_LARGE:
        return reader->message_bytes <= reader->message_bytes_max
                   ? " when it is decompressed"
                   : "";
    case KAMA_ERR_OVERLOADED:
        return over_budget;
    default:
        return NULL;
    }
}

/* Takes as much of the prefix as the chunk has. The flag is judged as soon as
 * it has arrived, because the client may never send the rest. */
static kama_status take_prefix(struct km_grpc_reader *reader, kama_bytes *chunk)
{
    size_t want = KM_GRPC_PREFIX_BYTES - (size_t)reader->prefix_bytes;
    size_t n = chunk->len < want ? chunk->len : want;
    if (n > 0) {
        memcpy(reader->prefix + reader->prefix_bytes, chunk->data, n);
        reader->prefix_bytes = (uint8_t)(reader->prefix_bytes + n);
        *chunk = km_bytes_skip(*chunk, n);
    }
    if (reader->prefix_bytes > 0) {
        kama_status status = check_flag(reader);
        if (status != KAMA_OK) {
            return status;
        }
    }
    if (reader->prefix_bytes < KM_GRPC_PREFIX_BYTES) {
        return KAMA_MISS;
    }
    reader->message_bytes = km_bytes_be32(reader->prefix + 1);
    return reader->message_bytes <= reader->message_bytes_max
               ? KAMA_OK
               : KAMA_ERR_TOO_LARGE;
}

/* -- messages ------------------------------------------------------------ */

/* Decodes bytes into `plain` as far as the budget permits. A message that is
 * refused for the lack of budget is charged for the one byte that showed it, and
 * it may be too large as well, which only decoding more of it would tell. */
static kama_status decode_within(struct km_grpc_reader *reader,
                                 kama_bytes bytes)
{
    struct km_grpc_budget *budget = reader->budget;
    size_t max = (size_t)reader->message_bytes_max;
    if (budget == NULL) {
        return km_grpc_decode(reader->encoding, bytes, max, &reader->plain);
    }
    KM_ASSERT(reader->plain.len == 0);
    size_t room = km_grpc_budget_room(budget, bytes.len, max);
    kama_status status =
        km_grpc_decode(reader->encoding, bytes, room, &reader->plain);
    km_grpc_budget_charge(budget, bytes.len, reader->plain.len);
    return status == KAMA_ERR_TOO_LARGE && room < max ? KAMA_ERR_OVERLOADED
                                                      : status;
}

/* Decodes a compressed message, and frees its compressed bytes. */
static kama_status decode(struct km_grpc_reader *reader, kama_bytes bytes,
                          kama_bytes *ret_message)
{
    kama_status status = decode_within(reader, bytes);
    km_buf_reset(&reader->buf, 0);
    reader->delivered = true;
    *ret_message = km_buf_bytes(&reader->plain);
    return status;
}

/* Returns the message, all of whose bytes are at data. */
static kama_status deliver(struct km_grpc_reader *reader, const void *data,
                           kama_bytes *ret_message)
{
    kama_bytes bytes = kama_bytes_make(data, reader->message_bytes);
    reader->prefix_bytes = 0;
    if (reader->prefix[0] == FLAG_COMPRESSED) {
        return decode(reader, bytes, ret_message);
    }
    *ret_message = bytes;
    return KAMA_OK;
}

/* Frees the message that was returned last: the caller has done with it. */
static void drop_delivered(struct km_grpc_reader *reader)
{
    if (reader->delivered) {
        reader->delivered = false;
        km_buf_reset(&reader->buf, 0);
        km_buf_reset(&reader->plain, 0);
    }
}

kama_status km_grpc_reader_next(struct km_grpc_reader *reader,
                                kama_bytes *chunk, kama_bytes *ret_message)
{
    drop_delivered(reader);
    if (reader->prefix_bytes < KM_GRPC_PREFIX_BYTES) {
        kama_status status = take_prefix(reader, chunk);
        if (status != KAMA_OK) {
            return status;
        }
    }
    KM_ASSERT(reader->buf.len <= reader->message_bytes);
    size_t want = reader->message_bytes - reader->buf.len;
    if (reader->buf.len == 0 && chunk->len >= want) {
        const void *data = chunk->data;
        *chunk = km_bytes_skip(*chunk, want);
        return deliver(reader, data, ret_message);
    }
    size_t n = chunk->len < want ? chunk->len : want;
    if (n > 0) {
        kama_status status = km_buf_append(&reader->buf, chunk->data, n);
        if (status != KAMA_OK) {
            return status;
        }
        *chunk = km_bytes_skip(*chunk, n);
    }
    if (n < want) {
        return KAMA_MISS;
    }
    reader->delivered = true;
    return deliver(reader, reader->buf.data, ret_message);
}

kama_status km_grpc_reader_keep(struct km_grpc_reader *reader,
                                kama_bytes *message)
{
    if (reader->delivered || message->len == 0) {
        return KAMA_OK;
    }
    KM_ASSERT(reader->buf.len == 0 && reader->prefix_bytes == 0);
    kama_status status =
        km_buf_append(&reader->buf, message->data, message->len);
    if (status == KAMA_OK) {
        reader->delivered = true;
        *message = km_buf_bytes(&reader->buf);
    }
    return status;
}
