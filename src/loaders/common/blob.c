/* SPDX-License-Identifier: MIT */
/* Bytes that arrive piece by piece, in memory that doubles up to a bound. */
#include "blob.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 4096 };

void km_blob_init(struct km_blob *blob, size_t max)
{
    memset(blob, 0, sizeof *blob);
    blob->max = max;
}

void km_blob_fini(struct km_blob *blob)
{
    free(blob->data);
    blob->data = NULL;
    blob->len = 0;
    blob->cap = 0;
}

/* Sees to it that the blob has room for `needed` bytes in all. Returns false
 * without memory. */
static bool reserve(struct km_blob *blob, size_t needed)
{
    size_t cap = blob->cap > 0 ? blob->cap : FIRST_BYTES;
    while (cap < needed) {
        cap *= 2;
    }
    if (cap == blob->cap) {
        return true;
    }
    char *data = realloc(blob->data, cap);
    if (data == NULL) {
        return false;
    }
    blob->data = data;
    blob->cap = cap;
    return true;
}

/* max - len cannot be negative, so that the comparison cannot overflow,
 * whatever len is. */
enum km_blob_result km_blob_add(struct km_blob *blob, const void *data,
                                size_t len)
{
    if (len == 0) {
        return KM_BLOB_OK;
    }
    if (len > blob->max - blob->len) {
        return KM_BLOB_FULL;
    }
    if (!reserve(blob, blob->len + len)) {
        return KM_BLOB_NO_MEMORY;
    }
    memcpy(blob->data + blob->len, data, len);
    blob->len += len;
    return KM_BLOB_OK;
}
