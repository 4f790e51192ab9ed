/* SPDX-License-Identifier: MIT */
/*
 * Bytes that arrive piece by piece, up to a bound.
 * Threads: one owner. Memory grows by doubling and stays under twice the bound.
 */
#pragma once

#include <stddef.h>

enum km_blob_result { KM_BLOB_OK, KM_BLOB_FULL, KM_BLOB_NO_MEMORY };

struct km_blob {
    char *data; /* owned; NULL while empty */
    size_t len;
    size_t cap;
    size_t max;
};

/* An empty blob of at most max bytes. Takes no memory yet. */
void km_blob_init(struct km_blob *blob, size_t max);

/* Frees the bytes; the blob is empty again. */
void km_blob_fini(struct km_blob *blob);

/* Appends a copy of len bytes. KM_BLOB_FULL: they do not fit under the bound
 * and nothing was appended. */
enum km_blob_result km_blob_add(struct km_blob *blob, const void *data,
                                size_t len);
