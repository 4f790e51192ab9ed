/* SPDX-License-Identifier: MIT */
/*
 * The coding of a response's body, and decoding it.
 *
 *     Content-Encoding: gzip       is decoded, as deflate is
 *     Content-Encoding: br         is refused, as are several codings at once
 *     Transfer-Encoding: gzip      is refused; libcurl itself decodes chunked
 *
 * zlib is used directly, because libcurl's decoder accepts a body that ends too
 * early or has a wrong checksum. The decoded bytes go into a blob piece by
 * piece, so that a small body which decodes to a huge one ends at the bound of
 * the blob.
 *
 * One response:
 *
 *     km_coding_init
 *     km_coding_read          for each header line
 *     km_coding_decode        for each piece of the body
 *     km_coding_is_whole      at the end of the body
 *     km_coding_fini
 *
 * Cost: about 44 KiB while a body is decoded. Threads: one owner.
 * Errors: as results; `reason` explains them. Ownership: texts are copied.
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
 * In every state but UNUSED zlib holds memory, which km_coding_fini frees. Only
 * in the state INSIDE the body may not end.
 */
enum km_coding_state { KM_CODING_UNUSED, KM_CODING_INSIDE, KM_CODING_ENDED };

struct km_coding {
    enum km_coding_kind kind;
    char name[KM_CODING_NAME_BYTES]; /* the quoted text of the header; empty for
                                      * KM_CODING_NONE */
    const char *reason;              /* why the body is not the value; static */
    enum km_coding_state state;
    z_stream zlib;
};

enum km_coding_result {
    KM_CODING_OK,
    KM_CODING_FULL,   /* the decoded bytes do not fit into the blob */
    KM_CODING_BROKEN, /* the body is malformed; `reason` says how */
    KM_CODING_NO_MEMORY
};

/* Begins a response, which has no coding yet. */
void km_coding_init(struct km_coding *coding);

/* Frees the memory of the decoder. */
void km_coding_fini(struct km_coding *coding);

/* Reads one header line. Lines other than Content-Encoding and
 * Transfer-Encoding change nothing. Returns false if the body cannot be
 * decoded; kind is then KM_CODING_REFUSED and reason says why. */
bool km_coding_read(struct km_coding *coding, const char *line, size_t len);

/* Decodes a piece of the body and appends it to body. */
enum km_coding_result km_coding_decode(struct km_coding *coding,
                                       const void *data, size_t len,
                                       struct km_blob *body);

/* Returns whether the body may end here. If not, reason says why. */
bool km_coding_is_whole(struct km_coding *coding);
