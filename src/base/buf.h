/* SPDX-License-Identifier: MIT */
/*
 * A growable run of bytes with an upper bound.
 * Ownership: the buffer owns its memory; views of it end with the next append.
 * Thread-safety: one owner. Errors: KAMA_ERR_NO_MEMORY, KAMA_ERR_TOO_LARGE
 * (past max); the buffer is unchanged then.
 */
#pragma once

#include "base/mem.h"

struct km_buf {
    const kama_allocator *mem;
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t max;
};

/* Empty, without memory yet; max SIZE_MAX for none. */
void km_buf_init(struct km_buf *buf, const kama_allocator *mem, size_t max);
/* Frees the memory. */
void km_buf_fini(struct km_buf *buf);

/* Makes room for n more bytes behind len. */
KAMA_NODISCARD kama_status km_buf_reserve(struct km_buf *buf, size_t n);
/* Adds len bytes; data may be NULL for 0. */
KAMA_NODISCARD kama_status km_buf_append(struct km_buf *buf, const void *data,
                                         size_t len);

/* As km_buf_append, of a C string. */
KAMA_NODISCARD kama_status km_buf_append_str(struct km_buf *buf, const char *s);

/* Adds formatted text; needs room for its NUL, which is not added. */
KAMA_NODISCARD kama_status km_buf_printf(struct km_buf *buf, const char *fmt,
                                         ...) KAMA_PRINTF(2, 3);

/* Drops the first n bytes (moves the rest); n <= len. */
void km_buf_consume(struct km_buf *buf, size_t n);

/* Length 0; memory over keep_bytes is given back. */
void km_buf_reset(struct km_buf *buf, size_t keep_bytes);

/* A view of what is in it. */
static inline kama_bytes km_buf_bytes(const struct km_buf *buf)
{
    return kama_bytes_make(buf->data, buf->len);
}
