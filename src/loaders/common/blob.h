/* SPDX-License-Identifier: MIT */
/*
 * A blob: bytes that arrive piece by piece, up to a bound.
 *
 *     struct km_blob blob;
 *     km_blob_init(&blob, max_value_bytes);
 *     if (km_blob_add(&blob, piece, len) == KM_BLOB_FULL) ...
 *     km_blob_fini(&blob);
 *
 * It keeps an origin that sends too much from filling the memory.
 *
 * Cost: the memory doubles when it is full, and stays below twice the bound.
 * Threads: one owner. Errors: as results of km_blob_add.
 * Ownership: the blob owns the bytes.
 */
#pragma once

#include <stddef.h>

enum km_blob_result {
    KM_BLOB_OK,
    KM_BLOB_FULL, /* the bytes do not fit below the bound */
    KM_BLOB_NO_MEMORY
};

struct km_blob {
    char *data; /* owned; NULL before the first byte */
    size_t len; /* bytes in use */
    size_t cap; /* bytes allocated */
    size_t max; /* len never exceeds this */
};

/* Makes an empty blob of at most max bytes, which takes no memory yet. */
void km_blob_init(struct km_blob *blob, size_t max);

/* Frees the bytes. The blob is empty then and can be used again. */
void km_blob_fini(struct km_blob *blob);

/* Appends a copy of len bytes. If it returns another result than KM_BLOB_OK,
 * nothing was appended. */
enum km_blob_result km_blob_add(struct km_blob *blob, const void *data,
                                size_t len);
