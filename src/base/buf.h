/* SPDX-License-Identifier: MIT */
/*
 * A growable run of bytes with an upper bound.
 *
 *     struct km_buf buf;
 *     km_buf_init(&buf, NULL, 1 << 20);
 *     status = km_buf_append_str(&buf, "hello");
 *     status = km_buf_printf(&buf, " %d", 42);
 *     use(km_buf_bytes(&buf));
 *     km_buf_fini(&buf);
 *
 *     data  |hello 42............|
 *                    ^ len       ^ cap  (<= max)
 *
 * Cost: the memory doubles when it is full, so appending costs O(1) per byte on
 * average. No memory is taken before the first append.
 * Threads: one owner.
 * Errors: KAMA_ERR_NO_MEMORY, and KAMA_ERR_TOO_LARGE if the bytes would exceed
 * max. The buffer is unchanged after an error.
 * Ownership: the buffer owns its memory. A view of it (km_buf_bytes) is valid
 * until the next call that changes the buffer.
 */
#pragma once

#include "base/mem.h"

struct km_buf {
    const kama_allocator *mem; /* borrowed */
    uint8_t *data;             /* NULL while no memory was taken */
    size_t len;                /* bytes in use */
    size_t cap;                /* bytes allocated */
    size_t max;                /* len never exceeds this */
};

/* Makes an empty buffer, which takes no memory yet. mem may be NULL for the
 * default allocator, and max SIZE_MAX for no bound. */
void km_buf_init(struct km_buf *buf, const kama_allocator *mem, size_t max);

/* Frees the memory and zeroes the structure. */
void km_buf_fini(struct km_buf *buf);

/* Makes room for n more bytes behind len. */
KAMA_NODISCARD kama_status km_buf_reserve(struct km_buf *buf, size_t n);

/* Appends a copy of len bytes. data may be NULL if len is 0. */
KAMA_NODISCARD kama_status km_buf_append(struct km_buf *buf, const void *data,
                                         size_t len);

/* Appends a C string without its NUL. */
KAMA_NODISCARD kama_status km_buf_append_str(struct km_buf *buf, const char *s);

/* Appends formatted text without its NUL. The NUL needs room for a moment, so
 * the last byte below max cannot be filled by this function. */
KAMA_NODISCARD kama_status km_buf_printf(struct km_buf *buf, const char *fmt,
                                         ...) KAMA_PRINTF(2, 3);

/* Drops the first n bytes (at most len) and moves the others to the front. */
void km_buf_consume(struct km_buf *buf, size_t n);

/* Empties the buffer. Its memory is kept for later unless it is larger than
 * keep_bytes, so that one long message does not hold memory for ever. */
void km_buf_reset(struct km_buf *buf, size_t keep_bytes);

/* Returns a view of the bytes in use. */
static inline kama_bytes km_buf_bytes(const struct km_buf *buf)
{
    return kama_bytes_make(buf->data, buf->len);
}
