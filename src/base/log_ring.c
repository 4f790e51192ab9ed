/* SPDX-License-Identifier: MIT */
/*
 * A ring whose end may stay unused, so that no line is split.
 *
 * When the last line has been consumed, the ring begins anew at its first byte.
 * This keeps the memory that a quiet log touches small.
 */
#include "base/log_ring.h"

#include "base/assert.h"

_Static_assert(KM_LOG_RING_BYTES >= 2 * KM_LOG_LINE_BYTES_MAX,
               "the longest line fits");

void km_log_ring_init(struct km_log_ring *ring)
{
    ring->head = 0;
    ring->tail = 0;
    ring->wrap = 0;
    ring->lines = 0;
    ring->wrapped = false;
}

/* Moves head to a place where len bytes are free. Returns false if there is no
 * such place. */
static bool make_room(struct km_log_ring *ring, size_t len)
{
    if (ring->wrapped) {
        return ring->tail - ring->head >= len;
    }
    if (KM_LOG_RING_BYTES - ring->head >= len) {
        return true;
    }
    if (ring->tail < len) {
        return false;
    }
    ring->wrap = ring->head;
    ring->wrapped = true;
    ring->head = 0;
    return true;
}

bool km_log_ring_put(struct km_log_ring *ring, kama_bytes line)
{
    KM_ASSERT(line.len > 0 && line.len <= KM_LOG_LINE_BYTES_MAX);
    if (ring->lines == KM_LOG_RING_LINES || !make_room(ring, line.len)) {
        return false;
    }
    memcpy(ring->bytes + ring->head, line.data, line.len);
    ring->head += line.len;
    ring->lines++;
    return true;
}

kama_bytes km_log_ring_peek(const struct km_log_ring *ring)
{
    const char *from = ring->bytes + ring->tail;
    size_t len = (ring->wrapped ? ring->wrap : ring->head) - ring->tail;
    if (ring->lines == 0) {
        return kama_bytes_make(from, 0);
    }
    if (len > KM_LOG_LINE_BYTES_MAX) {
        const char *end = memrchr(from, '\n', KM_LOG_LINE_BYTES_MAX);
        KM_ASSERT(end != NULL);
        len = (size_t)(end - from) + 1;
    }
    return kama_bytes_make(from, len);
}

void km_log_ring_consume(struct km_log_ring *ring, kama_bytes shown)
{
    ring->tail += shown.len;
    ring->lines -= km_log_count_lines(shown);
    if (ring->lines == 0) {
        km_log_ring_init(ring);
    } else if (ring->wrapped && ring->tail == ring->wrap) {
        ring->tail = 0;
        ring->wrapped = false;
    }
}

void km_log_ring_check(const struct km_log_ring *ring)
{
    size_t end = ring->wrapped ? ring->wrap : ring->head;
    KM_ASSERT(ring->tail <= end && end <= KM_LOG_RING_BYTES);
    KM_ASSERT(!ring->wrapped || ring->head <= ring->tail);
    kama_bytes first =
        kama_bytes_make(ring->bytes + ring->tail, end - ring->tail);
    kama_bytes second =
        kama_bytes_make(ring->bytes, ring->wrapped ? ring->head : 0);
    KM_ASSERT(km_log_count_lines(first) + km_log_count_lines(second) ==
              ring->lines);
    KM_ASSERT(first.len == 0 || ring->bytes[end - 1] == '\n');
    KM_ASSERT(second.len == 0 || ring->bytes[second.len - 1] == '\n');
    KM_ASSERT(ring->lines <= KM_LOG_RING_LINES);
}

size_t km_log_count_lines(kama_bytes text)
{
    const char *p = text.data;
    size_t lines = 0;
    for (size_t i = 0; i < text.len; i++) {
        lines += p[i] == '\n' ? 1 : 0;
    }
    return lines;
}
