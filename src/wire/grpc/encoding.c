/* SPDX-License-Identifier: MIT */
/* Decoding with zlib, into a buffer that grows with the bytes that come out. */
#include "wire/grpc/encoding.h"

#include "base/assert.h"

#include <zlib.h>

#define WINDOW_BITS 15
#define WINDOW_GZIP 16   /* is added if the bytes are gzip's, not zlib's */
#define FIRST_BYTES 1024 /* the room that is made at least */
#define RATIO_EXPECTED 4 /* the usual ratio for text */
#define INPUT_BYTES_MAX (1u << 30)

enum km_grpc_encoding km_grpc_encoding_parse(kama_bytes name)
{
    if (km_bytes_eq(name, KM_LIT("identity"))) {
        return KM_GRPC_IDENTITY;
    }
    if (km_bytes_eq(name, KM_LIT("gzip"))) {
        return KM_GRPC_GZIP;
    }
    return km_bytes_eq(name, KM_LIT("deflate")) ? KM_GRPC_DEFLATE
                                                : KM_GRPC_ENCODING_ELSE;
}

static void *alloc_block(void *mem, unsigned count, unsigned size)
{
    return km_mem_alloc(mem, (size_t)count * size);
}

static void free_block(void *mem, void *block)
{
    km_mem_free(mem, block);
}

/* Makes room for at least one byte more. One byte over max_bytes is enough to
 * see that the message is too large. */
static kama_status make_room(struct km_buf *out, size_t max_bytes, size_t hint)
{
    size_t room = max_bytes + 1 - out->len;
    if (out->cap > 0) {
        return km_buf_reserve(out, 1);
    }
    return km_buf_reserve(out, hint < room ? hint : room);
}

/* Decodes into the room of out, but not further than one byte past max_bytes.
 * Returns Z_OK if zlib needs more room or more input. */
static int step(z_stream *z, size_t max_bytes, struct km_buf *out)
{
    size_t limit = out->cap < max_bytes + 1 ? out->cap : max_bytes + 1;
    size_t room = limit - out->len;
    z->next_out = out->data + out->len;
    z->avail_out = room < UINT32_MAX ? (uInt)room : UINT32_MAX;
    KM_ASSERT(room > 0);
    uInt before = z->avail_out;
    int rv = inflate(z, Z_NO_FLUSH);
    out->len += before - z->avail_out;
    return rv;
}

/* A gzip file may consist of several members (RFC 1952), which follow each
 * other without a mark. */
static bool next_member(z_stream *z, enum km_grpc_encoding encoding)
{
    return encoding == KM_GRPC_GZIP && inflateReset(z) == Z_OK;
}

static kama_status decode(z_stream *z, enum km_grpc_encoding encoding,
                          size_t max_bytes, struct km_buf *out)
{
    size_t hint = FIRST_BYTES + (size_t)z->avail_in * RATIO_EXPECTED;
    for (;;) {
        kama_status status = make_room(out, max_bytes, hint);
        if (status != KAMA_OK) {
            return status;
        }
        int rv = step(z, max_bytes, out);
        if (out->len > max_bytes) {
            return KAMA_ERR_TOO_LARGE;
        }
        if (rv == Z_STREAM_END && z->avail_in == 0) {
            return KAMA_OK;
        }
        bool goes_on = rv == Z_STREAM_END ? next_member(z, encoding)
                                          : rv == Z_OK && z->avail_out == 0;
        if (!goes_on) {
            return rv == Z_MEM_ERROR ? KAMA_ERR_NO_MEMORY : KAMA_ERR_PROTOCOL;
        }
    }
}

kama_status km_grpc_decode(enum km_grpc_encoding encoding, kama_bytes bytes,
                           size_t max_bytes, struct km_buf *out)
{
    KM_ASSERT(encoding == KM_GRPC_GZIP || encoding == KM_GRPC_DEFLATE);
    KM_ASSERT(out->max > max_bytes && out->len <= max_bytes);
    if (bytes.len > INPUT_BYTES_MAX) {
        return KAMA_ERR_TOO_LARGE;
    }
    z_stream z = {.zalloc = alloc_block,
                  .zfree = free_block,
                  .opaque = (voidpf)out->mem,
                  .next_in = (z_const Bytef *)bytes.data,
                  .avail_in = (uInt)bytes.len};
    int gzip = encoding == KM_GRPC_GZIP ? WINDOW_GZIP : 0;
    if (inflateInit2(&z, WINDOW_BITS + gzip) != Z_OK) {
        return KAMA_ERR_NO_MEMORY;
    }
    kama_status status = decode(&z, encoding, max_bytes, out);
    (void)inflateEnd(&z);
    return status;
}
