/* SPDX-License-Identifier: MIT */
/* Reading the coding from header fields, and decoding with zlib. */
#include "coding.h"

#include "../common/call.h"
#include "field.h"

#include <stdio.h>
#include <string.h>

enum { PIECE_BYTES = 16384 };

/* Arguments of inflateInit2: the largest window, and the number that is added
 * to it for the header of gzip. */
enum { WINDOW_BITS = 15, GZIP_BITS = 16 };

void km_coding_init(struct km_coding *coding)
{
    memset(coding, 0, sizeof *coding);
}

void km_coding_fini(struct km_coding *coding)
{
    if (coding->state != KM_CODING_UNUSED) {
        (void)inflateEnd(&coding->zlib);
        coding->state = KM_CODING_UNUSED;
    }
}

/* -- headers ------------------------------------------------------------ */

/* Appends the name of one more coding. */
static void add_name(struct km_coding *coding, struct km_field name)
{
    size_t used = strlen(coding->name);
    char *end = coding->name + used;
    size_t room = sizeof coding->name - used;
    if (used > 0 && room > 2) {
        strcpy(end, ", ");
        end += 2;
        room -= 2;
    }
    km_quote(end, room, kama_bytes_make(name.data, name.len));
}

/* Returns the coding that a name stands for. */
static enum km_coding_kind kind_of(struct km_field name)
{
    if (km_field_is(name, "gzip") || km_field_is(name, "x-gzip")) {
        return KM_CODING_GZIP;
    }
    return km_field_is(name, "deflate") ? KM_CODING_DEFLATE : KM_CODING_REFUSED;
}

/* Adds a coding of the body. Several codings are refused, because a body could
 * be packed so often that decoding it costs far more than its length
 * suggests. */
static void add_content_coding(struct km_coding *coding, struct km_field name)
{
    bool is_second = coding->kind != KM_CODING_NONE;
    add_name(coding, name);
    coding->kind = is_second ? KM_CODING_REFUSED : kind_of(name);
    if (coding->kind == KM_CODING_REFUSED) {
        coding->reason = is_second ? "more than one coding is not decoded"
                                   : "only gzip and deflate are decoded";
    }
}

/* Refuses transfer codings other than chunked. libcurl would decode them, but
 * without a bound for several at once. */
static void add_transfer_coding(struct km_coding *coding, struct km_field name)
{
    if (!km_field_is(name, "chunked")) {
        add_name(coding, name);
        coding->kind = KM_CODING_REFUSED;
        coding->reason = "as a Transfer-Encoding only chunked is decoded";
    }
}

bool km_coding_read(struct km_coding *coding, const char *line, size_t len)
{
    struct km_field rest;
    struct km_field whole = {.data = line, .len = len};
    struct km_field name = km_field_cut(whole, ':', &rest);
    bool is_content = km_field_is(name, "content-encoding");
    if (!is_content && !km_field_is(name, "transfer-encoding")) {
        return coding->kind != KM_CODING_REFUSED;
    }
    while (rest.len > 0) {
        struct km_field item = km_field_cut(rest, ',', &rest);
        if (item.len == 0 || km_field_is(item, "identity")) {
            continue;
        }
        if (is_content) {
            add_content_coding(coding, item);
        } else {
            add_transfer_coding(coding, item);
        }
    }
    return coding->kind != KM_CODING_REFUSED;
}

/* -- decoding ----------------------------------------------------------- */

/* Returns the argument of inflateInit2. "deflate" means the format of zlib, but
 * some servers send the raw data without zlib's header. Their first byte tells
 * them apart, because raw data cannot begin with it. */
static int window_bits(const struct km_coding *coding, unsigned char first)
{
    if (coding->kind == KM_CODING_GZIP) {
        return WINDOW_BITS + GZIP_BITS;
    }
    return (first & 15) == Z_DEFLATED ? WINDOW_BITS : -WINDOW_BITS;
}

/* Keeps the reason why the body is malformed. */
static enum km_coding_result fail(struct km_coding *coding, const char *reason)
{
    coding->reason = reason;
    return KM_CODING_BROKEN;
}

/* Prepares zlib for more bytes: at the beginning of the body, and behind the
 * end of a gzip member, where another one may follow. */
static enum km_coding_result open_zlib(struct km_coding *coding,
                                       unsigned char first)
{
    if (coding->state == KM_CODING_UNUSED) {
        if (inflateInit2(&coding->zlib, window_bits(coding, first)) != Z_OK) {
            return KM_CODING_NO_MEMORY;
        }
    } else if (coding->state == KM_CODING_ENDED) {
        if (coding->kind != KM_CODING_GZIP) {
            return fail(coding, "bytes follow the end of its data");
        }
        (void)inflateReset(&coding->zlib);
    }
    coding->state = KM_CODING_INSIDE;
    return KM_CODING_OK;
}

/* Appends decoded bytes. */
static enum km_coding_result add(struct km_blob *body, const void *data,
                                 size_t len)
{
    switch (km_blob_add(body, data, len)) {
    case KM_BLOB_FULL:
        return KM_CODING_FULL;
    case KM_BLOB_NO_MEMORY:
        return KM_CODING_NO_MEMORY;
    case KM_BLOB_OK:
        break;
    }
    return KM_CODING_OK;
}

/* Turns a result code of zlib into ours. */
static enum km_coding_result result_of(struct km_coding *coding, int code)
{
    switch (code) {
    case Z_STREAM_END:
        coding->state = KM_CODING_ENDED;
        return KM_CODING_OK;
    case Z_OK:
    case Z_BUF_ERROR: /* zlib needs more bytes */
        return KM_CODING_OK;
    case Z_MEM_ERROR:
        return KM_CODING_NO_MEMORY;
    default:
        return fail(coding, coding->zlib.msg != NULL ? coding->zlib.msg
                                                     : "its data are wrong");
    }
}

/* Decodes up to the end of the input, or up to the end of a gzip member. */
static enum km_coding_result inflate_some(struct km_coding *coding,
                                          struct km_blob *body)
{
    unsigned char piece[PIECE_BYTES];
    z_stream *zlib = &coding->zlib;
    enum km_coding_result result;
    do {
        zlib->next_out = piece;
        zlib->avail_out = sizeof piece;
        result = result_of(coding, inflate(zlib, Z_NO_FLUSH));
        if (result == KM_CODING_OK) {
            result = add(body, piece, sizeof piece - zlib->avail_out);
        }
    } while (result == KM_CODING_OK && coding->state != KM_CODING_ENDED &&
             zlib->avail_out == 0);
    return result;
}

enum km_coding_result km_coding_decode(struct km_coding *coding,
                                       const void *data, size_t len,
                                       struct km_blob *body)
{
    if (coding->kind == KM_CODING_NONE) {
        return add(body, data, len);
    }
    enum km_coding_result result = KM_CODING_OK;
    coding->zlib.next_in = (unsigned char *)(uintptr_t)data;
    coding->zlib.avail_in = (unsigned)len;
    while (result == KM_CODING_OK && coding->zlib.avail_in > 0) {
        result = open_zlib(coding, *coding->zlib.next_in);
        if (result == KM_CODING_OK) {
            result = inflate_some(coding, body);
        }
    }
    return result;
}

bool km_coding_is_whole(struct km_coding *coding)
{
    if (coding->state == KM_CODING_INSIDE) {
        coding->reason = "its data end too early";
        return false;
    }
    return true;
}
