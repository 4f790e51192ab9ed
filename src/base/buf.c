/* SPDX-License-Identifier: MIT */
/*
 * A buffer doubles its memory until it reaches its own bound. All sums below
 * are arranged so that they cannot overflow: len <= cap <= max holds at all
 * times.
 */
#include "base/buf.h"

#include "base/assert.h"
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

#define BUF_CAP_MIN 64

void km_buf_init(struct km_buf *buf, const kama_allocator *mem, size_t max)
{
    *buf = (struct km_buf){.mem = km_mem_or_default(mem), .max = max};
}

void km_buf_fini(struct km_buf *buf)
{
    if (buf->data != NULL) {
        km_mem_free(buf->mem, buf->data);
    }
    memset(buf, 0, sizeof *buf);
}

/* Returns how much to allocate for `need` bytes: twice as much as before, but
 * not more than max and not less than needed. */
static size_t grown_cap(const struct km_buf *buf, size_t need)
{
    size_t cap = buf->cap <= SIZE_MAX / 2 ? buf->cap * 2 : SIZE_MAX;
    if (cap < BUF_CAP_MIN) {
        cap = BUF_CAP_MIN;
    }
    if (cap > buf->max) {
        cap = buf->max;
    }
    return cap < need ? need : cap;
}

/* max - len and cap - len cannot be negative, so that neither comparison can
 * overflow, whatever n is. */
kama_status km_buf_reserve(struct km_buf *buf, size_t n)
{
    if (n <= buf->cap - buf->len) {
        return KAMA_OK;
    }
    if (n > buf->max - buf->len) {
        return km_fail(KAMA_ERR_TOO_LARGE, "more than %zu bytes", buf->max);
    }
    size_t cap = grown_cap(buf, buf->len + n);
    uint8_t *data = km_mem_resize(buf->mem, buf->data, cap);
    if (data == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for %zu bytes", cap);
    }
    buf->data = data;
    buf->cap = cap;
    return KAMA_OK;
}

kama_status km_buf_append(struct km_buf *buf, const void *data, size_t len)
{
    if (len == 0) {
        return KAMA_OK;
    }
    kama_status status = km_buf_reserve(buf, len);
    if (status != KAMA_OK) {
        return status;
    }
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    return KAMA_OK;
}

kama_status km_buf_append_str(struct km_buf *buf, const char *s)
{
    return km_buf_append(buf, s, strlen(s));
}

/* Formats behind len, as far as there is room. Returns the length that the
 * whole text has, as vsnprintf does. */
static int format_into(struct km_buf *buf, const char *fmt, va_list args)
{
    size_t room = buf->cap - buf->len;
    char *to = room > 0 ? (char *)buf->data + buf->len : NULL;
    return vsnprintf(to, room, fmt, args);
}

kama_status km_buf_printf(struct km_buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int len = format_into(buf, fmt, args);
    va_end(args);
    kama_status status = len >= 0 ? KAMA_OK : KAMA_ERR_INVALID;
    if (len >= 0 && (size_t)len >= buf->cap - buf->len) {
        status = km_buf_reserve(buf, (size_t)len + 1); /* 1 for the NUL */
        len = status == KAMA_OK ? format_into(buf, fmt, again) : len;
    }
    va_end(again);
    if (status == KAMA_OK) {
        buf->len += (size_t)len;
    }
    return status;
}

void km_buf_consume(struct km_buf *buf, size_t n)
{
    KM_ASSERT(n <= buf->len);
    buf->len -= n;
    if (n > 0 && buf->len > 0) {
        memmove(buf->data, buf->data + n, buf->len);
    }
}

void km_buf_reset(struct km_buf *buf, size_t keep_bytes)
{
    buf->len = 0;
    if (buf->cap > keep_bytes) {
        km_mem_free(buf->mem, buf->data);
        buf->data = NULL;
        buf->cap = 0;
    }
}
