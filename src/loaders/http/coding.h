/* SPDX-License-Identifier: MIT */
/*
 * The coding of a response's body, and decoding it.
 *
 *     Content-Encoding: gzip       decoded, as deflate is
 *     Content-Encoding: br         refused; so are several codings at once
 *     Transfer-Encoding: gzip      refused; chunked is libcurl's matter
 *
 * zlib is used directly, because libcurl's decoder takes a body that ends too
 * early, or has a wrong checksum, for a whole one. What is decoded goes into a
 * blob piece by piece, so that a bomb ends at the bound of the blob.
 *
 *     init -> read (each header line) -> decode (each piece) -> is_whole
 *
 * Threads: one owner. Memory: about 44 KiB while a body is decoded.
 */
#pragma once

#include "../common/blob.h"

#include <stdbool.h>
#include <stddef.h>

#include <zlib.h>

enum { KM_CODING_NAME_BYTES = 48 };

enum km_coding_kind {
    KM_CODING_NONE,
    KM_CODING_GZIP,
    KM_CODING_DEFLATE,
    KM_CODING_REFUSED
};

/*
 * The state of zlib:
 *
 *     UNUSED --first byte--> INSIDE --end of the data--> ENDED
 *                               ^                          |
 *                               +--gzip: another member----+
 *
 * In every state but UNUSED zlib holds memory, which km_coding_fini frees. Only in
 * the state INSIDE the body may not end.
 */
enum km_coding_state { KM_CODING_UNUSED, KM_CODING_INSIDE, KM_CODING_ENDED };

struct km_coding {
    enum km_coding_kind kind;
    char name[KM_CODING_NAME_BYTES]; /* as the header has it, quoted; empty for
                                      * KM_CODING_NONE */
    const char *reason;              /* why the body is not the value; static */
    enum km_coding_state state;
    z_stream zlib;
};

enum km_coding_result {
    KM_CODING_OK,
    KM_CODING_FULL,   /* the decoded bytes do not fit into the blob */
    KM_CODING_BROKEN, /* reason says why */
    KM_CODING_NO_MEMORY
};

/* No coding yet: the beginning of a response. */
void km_coding_init(struct km_coding *coding);

/* Frees what decoding took. */
void km_coding_fini(struct km_coding *coding);

/* Reads one header line; others than Content-Encoding and Transfer-Encoding
 * change nothing. False: the body cannot be decoded, kind is
 * KM_CODING_REFUSED and reason says why. */
bool km_coding_read(struct km_coding *coding, const char *line, size_t len);

/* Decodes a piece of the body and appends it to body. */
enum km_coding_result km_coding_decode(struct km_coding *coding,
                                       const void *data, size_t len,
                                       struct km_blob *body);

/* Whether the body may end here; if not, reason says why. */
bool km_coding_is_whole(struct km_coding *coding);
